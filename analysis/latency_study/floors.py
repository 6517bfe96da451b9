"""The memory floor of a decoded token, and how far above it decoding is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.frames import read_frame, require_column
from analysis.join_report import counted
from analysis.latency import PER_TOKEN
from analysis.schemas import Column, TableSchema
from analysis.validation import check
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import LatencyStudy

FLOORS = TableSchema(
    "floors",
    "device × model × k × batch",
    (
        Column("device", "text", "the device; empty for all", needed=False, nullable=True),
        Column("model", "text", "the model; empty for all", needed=False, nullable=True),
        Column("k", "whole", "number of active experts per token, at least 1", low=1),
        Column("batch", "whole", "requests decoded together (1 when left out)", low=1),
        Column(
            *("active_bytes", "number"),
            "bytes of the weights that a decoding step reads",
            needed=False,
            nullable=True,
            low=0,
        ),
        Column(
            *("floor_ms", "number"), "those bytes over the measured bandwidth of memory, ms", low=0
        ),
    ),
    key=("device", "model", "k", "batch"),
    extra=False,
)


def read_floors(study: LatencyStudy) -> pd.DataFrame | None:
    """Read a study's memory floors.

    Parameters
    ----------
    study : LatencyStudy
        Its manifest's `floors` says where.

    Returns
    -------
    DataFrame or None
        `FLOORS` with all its columns; None where the manifest names none.

    Raises
    ------
    InputError
        No such file, or one that is not right.
    """
    entry = study.manifest.floors
    if entry is None:
        return None
    path = study.file(entry.path, "floors", "path")
    frame = _of_json(path) if path.suffix == ".json" else read_frame(path)
    for ours, theirs in entry.columns.items():
        require_column(frame, theirs, path=path, where=f"{study.at('floors', 'columns', ours)}")
    frame = frame.rename(columns={theirs: ours for ours, theirs in entry.columns.items()})
    frame.attrs = {}
    if "batch" not in frame:
        frame["batch"] = 1
    made = check(frame, FLOORS, str(path))
    zero = made["floor_ms"] <= 0
    if zero.any():
        raise InputError(f"{path}: a floor_ms of 0 is no floor (k = {made['k'][zero].iloc[0]})")
    for name in FLOORS.names:
        if name not in made:
            made[name] = float("nan") if name == "active_bytes" else None
    return made[list(FLOORS.names)]


def _of_json(path: Path) -> pd.DataFrame:
    wanted = 'an object with "floors", a list of rows such as {"k": 1, "floor_ms": 0.39}'
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = content["floors"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not {wanted}: {type(error).__name__} {error}") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: its floors are not what is expected: {wanted}")
    return pd.DataFrame(rows)


def beside_floors(summary: pd.DataFrame, floors: pd.DataFrame) -> pd.DataFrame:
    """Set the time of a decoding step beside its memory floor.

    Parameters
    ----------
    summary : DataFrame
        From `analysis.latency_study.cells.summarise`.
    floors : DataFrame
        From `read_floors`.

    Returns
    -------
    DataFrame
        The rows of phase ``tpot_ms`` that have a floor for their device, model, k and batch:
        the columns of `summary`, `active_bytes`, `floor_ms`, `ratio` (median over floor).
    """
    steps = summary[summary["phase"] == PER_TOKEN]
    found = []
    for row in steps.itertuples(index=False):
        of_row = floors[(floors["k"] == row.k) & (floors["batch"] == row.batch)]
        for name in ("device", "model"):
            own = of_row[name] == getattr(row, name)
            of_row = of_row[own if own.any() else of_row[name].isna()]
        if len(of_row):
            found.append((of_row["active_bytes"].iloc[0], of_row["floor_ms"].iloc[0]))
        else:
            found.append((float("nan"), float("nan")))
    floor = pd.DataFrame(
        found, columns=["active_bytes", "floor_ms"], index=steps.index, dtype=float
    )
    beside = steps.join(floor)
    beside["ratio"] = beside["median_ms"] / beside["floor_ms"]
    return beside[beside["floor_ms"].notna()].reset_index(drop=True)


def doubts(summary: pd.DataFrame, floors: pd.DataFrame) -> list[tuple[str, str]]:
    """Say what cannot be right about floors beside the times of decoded tokens.

    Parameters
    ----------
    summary : DataFrame
        From `analysis.latency_study.cells.summarise`.
    floors : DataFrame
        From `read_floors`.

    Returns
    -------
    list of (str, str)
        What, and how to mend it: floors that are of nothing timed; tokens below their floor.
    """
    beside = beside_floors(summary, floors)
    if beside.empty:
        steps = summary[summary["phase"] == PER_TOKEN]
        timed = f"timed were {_described(steps)}" if len(steps) else "none was timed at all"
        return [
            (
                "no decoded token was timed at the floors' device, model, k and batch: the floors "
                f"are of {_described(floors)}; {timed}",
                "give decode_ms and n_new_tokens (at least 2), and floors of the same names",
            )
        ]
    under = below(beside)
    if not under:
        return []
    return [(under, "floor_ms is ms a token: look at the unit, the bytes and the bandwidth")]


def below(beside: pd.DataFrame) -> str:
    """Say which decoded tokens took less than their floor; empty if none did."""
    under = beside[beside["ratio"] < 1]
    if under.empty:
        return ""
    return (
        f"{len(under):,} of {counted(len(beside), 'time')} of a decoded token "
        f"{'lies' if len(under) == 1 else 'lie'} below the memory floor, at "
        f"k = {_each(under['k'])}; the floor or the time is wrong"
    )


def _described(frame: pd.DataFrame) -> str:
    named = [_each(frame[name].dropna()) for name in ("device", "model")]
    parts = [*filter(None, named), f"k = {_each(frame['k'])}", f"batch {_each(frame['batch'])}"]
    return ", ".join(parts)


def _each(values: pd.Series) -> str:
    return listing(sorted(values.unique()), shown=99)
