"""Tables of a study of latency alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import numerals
from analysis.join_report import counted_between
from analysis.latency_study import CELL
from analysis.latency_study.floors import below
from analysis.report import answered
from analysis.report.export import ColumnStyle, write_csv, write_table
from analysis.report.latency_words import by_reason
from analysis.report.names import readable
from analysis.report.styles import COST, line_note
from analysis.report.wide import across, decimals_of, plus_minus
from analysis.report.wording import sentence

_HEADERS = {"decode_mode": "how obtained", "dtype": "weights", "image_tokens": "image tokens"}
_COUNTS = ("batch", "image_tokens")


def write_latency_tables(
    summary: pd.DataFrame,
    fits: Sequence[Mapping[str, Any]],
    refused: Sequence[Mapping[str, Any]],
    floors: pd.DataFrame | None,
    folder: Path,
) -> list[Path]:
    """Write the tables as CSV, Markdown and LaTeX.

    Parameters
    ----------
    summary : DataFrame
        From `analysis.latency_study.summarise`.
    fits, refused : sequence of mapping
        ``fits/latency.json`` and ``fits/latency_refused.json``.
    floors : DataFrame or None
        From `analysis.latency_study.beside_floors`.
    folder : Path
        The run's `tables/` folder.

    Returns
    -------
    list of Path
        The files.
    """
    paths = write_csv(summary, folder / "latency_by_k")
    for phase, rows in summary.groupby("phase", sort=False):
        wide = across(rows, list(CELL), _median).merge(_spread(rows), on=list(CELL))
        styles, same = _cell_columns(rows, ("phase",))
        name = readable(str(phase))
        paths += write_table(
            wide,
            folder / f"latency_by_k_{phase}",
            formats=("md", "tex"),
            caption=f"Latency, {name} (ms), by active experts k, image tokens and batch.",
            label=f"tab:latency-by-k-{phase}",
            columns=[
                *styles,
                *(ColumnStyle(c) for c in wide.columns if c not in (*CELL, "spread")),
                ColumnStyle("spread", "spread (%)", "number", 1),
            ],
            notes=[
                f"Medians of {_timed(rows)}. Spread: distance of the quartiles over the median, "
                "largest over k. Quartiles, extremes, means and standard deviations are in the "
                "CSV.",
                *same,
            ],
        )
    if floors is not None and len(floors):
        paths += _floors(floors, folder)
    if fits:
        paths += _costs(fits, refused, folder)
    return paths


def _floors(floors: pd.DataFrame, folder: Path) -> list[Path]:
    wide = across(floors, list(CELL), _over_floor)
    under = below(floors)
    styles, same = _cell_columns(floors, ("phase",))
    return write_table(
        wide,
        folder / "decode_floor",
        full=floors,
        caption="Time of a decoded token (ms), and how many times its memory floor that is.",
        columns=[*styles, *(ColumnStyle(c) for c in wide.columns if c not in CELL)],
        notes=[
            f"Median time per generated token after the first, of {_timed(floors)} (in brackets: "
            "over the floor). Floor: bytes of the weights that one token reads over the measured "
            "bandwidth of memory; the cache of keys and values and activations are not in it.",
            *_floor_values(floors),
            *([f"{sentence(under)}."] if under else []),
            *same,
        ],
    )


def _floor_values(floors: pd.DataFrame) -> list[str]:
    keys = [name for name in ("device", "model", "batch") if varies(floors, name)]
    found: dict[str, list[str]] = {}
    for row in floors.drop_duplicates(["device", "model", "batch", "k"]).to_dict("records"):
        of = ", ".join(f"{'batch ' if name == 'batch' else ''}{row[name]}" for name in keys)
        found.setdefault(of, []).append(_floor_value(row))
    return [
        f"Floors in ms{f', {of}' if of else ''}: {'; '.join(values)}."
        for of, values in found.items()
    ]


def _floor_value(row: Mapping[Any, Any]) -> str:
    weights = "" if np.isnan(row["active_bytes"]) else f" ({row['active_bytes'] / 1e9:.2f} GB)"
    return f"k = {row['k']} {numerals.significant(row['floor_ms'])}{weights}"


def _over_floor(row: Any) -> str:
    return f"{numerals.significant(row.median_ms)} ({numerals.number(row.ratio, 1)})"


def _costs(
    fits: Sequence[Mapping[str, Any]], refused: Sequence[Mapping[str, Any]], folder: Path
) -> list[Path]:
    costs = answered.latency_cost(fits, CELL)
    steps = answered.latency_steps(fits, CELL)
    frames = (
        ("latency_cost", costs),
        ("latency_steps", steps),
        ("coefficients_latency", answered.coefficients(fits, CELL)),
        ("random_effects_latency", answered.variance_components(fits, CELL)),
    )
    paths = [path for name, frame in frames for path in write_csv(frame, folder / name)]
    for phase, rows in costs.groupby("phase", sort=False):
        line = line_note([fit for fit in fits if fit["phase"] == phase])
        none = [cell for cell in refused if cell["phase"] == phase]
        paths += _cost(str(phase), rows, line, none, folder)
        paths += _steps(str(phase), steps[steps["phase"] == phase], folder)
    return paths


def _cost(
    phase: str,
    rows: pd.DataFrame,
    line: str,
    refused: Sequence[Mapping[str, Any]],
    folder: Path,
) -> list[Path]:
    styles, same = _cell_columns(rows, ("phase",))
    return write_table(
        rows,
        folder / f"latency_cost_{phase}",
        formats=("md", "tex"),
        caption=f"What one more active expert costs, {readable(phase)} (ms).",
        label=f"tab:latency-cost-{phase}",
        columns=[*styles, *COST],
        notes=[
            f"{line} Where an item is a repeat, the interval is about timing the same request "
            "again in the same session, not about other sessions.",
            "Line: F test that the means by k (as a factor) lie on one, unadjusted; where it is "
            "rejected b is an average slope, and the steps between neighbouring k say more.",
            *_without(refused),
            *same,
        ],
    )


def _steps(phase: str, steps: pd.DataFrame, folder: Path) -> list[Path]:
    between = [f"{k} to {n}" for k, n in steps[["k", "next_k"]].itertuples(index=False)]
    texts = [_step(row) for row in steps.itertuples()]
    order = dict.fromkeys(b for _, b in sorted(zip(steps["k"], between, strict=True)))
    wide = steps.assign(between=between, text=texts).pivot_table(
        index=list(CELL), columns="between", values="text", aggfunc="first", sort=False
    )
    wide = wide.reindex(columns=list(order)).fillna("").reset_index().rename_axis(columns=None)
    styles, same = _cell_columns(steps, ("phase",))
    return write_table(
        wide,
        folder / f"latency_steps_{phase}",
        formats=("md", "tex"),
        caption=f"What one more active expert costs between neighbouring k, {readable(phase)} "
        "(ms).",
        label=f"tab:latency-steps-{phase}",
        columns=[*styles, *(ColumnStyle(name, f"k = {name}") for name in order)],
        notes=[
            "Difference of the times at the two k over the experts between them. ± is the "
            "half-width of the 95 % interval (t, paired within repeats or requests).",
            *same,
        ],
    )


def varies(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column has more than one value."""
    return len(frame[name].unique()) > 1


def _cell_columns(
    frame: pd.DataFrame, told: Sequence[str] = ()
) -> tuple[list[ColumnStyle], list[str]]:
    """Give columns for what varies, and a note for what is the same in all rows."""
    styles, same = [], []
    for name in CELL:
        if name in told:
            continue
        header = _HEADERS.get(name, name)
        if varies(frame, name) or name in ("phase", *_COUNTS):
            kind: Any = "count" if name in _COUNTS else "name" if name == "phase" else "text"
            styles.append(ColumnStyle(name, header, kind, group=name not in _COUNTS))
        else:
            same.append(f"{header} {frame[name].iloc[0]}")
    return styles, [f"In all rows: {', '.join(same)}."] if same else []


def _without(refused: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which cells have no regression."""
    return [
        f"No regression of {phase} ({cells}): {why}." for phase, why, cells in by_reason(refused)
    ]


def _timed(rows: pd.DataFrame) -> str:
    """Say over what a table's medians are."""
    found = []
    for unit, part in rows.groupby("unit", sort=False):
        found.append(counted_between(part["n_units"], str(unit)))
    return " or ".join(found)


def _median(row: Any) -> str:
    return numerals.number(row.median_ms, numerals.decimals_for([row.median_ms], 4))


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the largest interquartile range over k in percent; missing of what was timed once."""
    share = 100 * (rows["q3_ms"] - rows["q1_ms"]) / rows["median_ms"]
    spread = share.where((rows["n_units"] > 1) & (rows["median_ms"] > 0))
    return rows.assign(spread=spread).groupby(list(CELL), sort=False)["spread"].max().reset_index()


def _step(row: Any) -> str:
    half = row.ci_high - row.per_expert_ms
    return plus_minus(row.per_expert_ms, half, decimals_of(row.per_expert_ms, half))
