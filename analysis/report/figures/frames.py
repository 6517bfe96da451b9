"""What figures ask of the frames they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.report.names import readable


def require(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise ValueError naming the columns a frame lacks, or when it is empty."""
    lacking = [name for name in columns if name not in frame]
    if lacking:
        raise ValueError(f"{what}: no column {', '.join(lacking)}; there are {list(frame)}")
    if frame.empty:
        raise ValueError(f"{what}: nothing to draw, the frame has no rows")


def names(column: pd.Series) -> list[str]:
    """Distinct values as text: in the order of an ordered categorical, else of appearance."""
    present = list(dict.fromkeys(column.dropna().astype(str)))
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        return [str(name) for name in column.cat.categories if str(name) in present]
    return present


def bucket_order(column: pd.Series, ranges: Mapping[str, str] | None) -> list[str]:
    """Order the buckets as `ranges` has them, else as an ordered categorical or by appearance."""
    present = names(column)
    if ranges is None:
        return present
    unknown = [name for name in present if name not in ranges]
    if unknown:
        raise ValueError(f"bucket {unknown[0]!r} has no range; ranges are given for {list(ranges)}")
    return [name for name in ranges if name in present]


def bucket_text(bucket: str, ranges: Mapping[str, str] | None) -> str:
    """Name a bucket with its range: ``low (≤ 8)``."""
    text = (ranges or {}).get(bucket, "")
    return f"{bucket} ({text})" if text and text != bucket else bucket


def phase_words(phase: str) -> str:
    """Name a latency with its unit: ``prefill_ms`` gives prefill latency (ms)."""
    spelled = readable(phase)
    if phase == "ttft_ms":
        return f"{spelled} (ms)"
    return f"{spelled.removesuffix('_ms').replace('_', ' ')} latency (ms)"


def interval_notes(frame: pd.DataFrame, drawn_as: str) -> list[str]:
    """Say what the intervals of accuracies by k are; nothing where none is drawn."""
    if not frame[["ci_low", "ci_high"]].notna().all(axis=1).any():
        return []
    return [
        f"{drawn_as}: 95 %, clustered by image",
        "k are paired within questions, so overlap is no test",
    ]
