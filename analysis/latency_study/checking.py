"""What of a study of latency alone is there, missing or wrong, without fitting anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from analysis.checking_finding import Finding, attempt
from analysis.join_report import counted, counted_between
from analysis.latency_study.cells import CELL, REPEAT, summarise, units
from analysis.latency_study.floors import doubts, read_floors
from analysis.results import read_latency
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import LatencyStudy

GET_FLOORS = (
    "optional; add to the manifest `floors:` with `path` (a row per k: k, active_bytes, floor_ms), "
    "to see how far above its memory floor a decoded token is"
)


def findings(study: LatencyStudy) -> Iterator[Finding]:
    """Try every part; see `analysis.checking.inspect`."""
    try:
        study.root  # noqa: B018 (looked up for what it raises)
    except InputError as error:
        yield Finding("missing", str(error), "data_root", study.manifest.fetch or "")
        yield Finding("note", "nothing else can be checked without the data", "data_root")
        return
    yield Finding("ok", str(study.root), "data_root")
    absent = [item for item in study.data_files() if not item.exists]
    if absent and study.manifest.fetch:
        keys = listing(f"{item.key} ({item.path})" for item in absent)
        yield Finding("missing", f"not there: {keys}", "data_root", study.manifest.fetch)
    read, found = attempt(lambda: read_latency(study), "latency")
    yield from found
    summary = None
    if read is not None:
        latency, notes = read
        yield Finding("ok", counted(len(latency), "row"), "latency")
        for note in notes:
            yield Finding("note", note, "latency")
        timed, found = attempt(lambda: units(latency), "latency")
        yield from found
        if timed is not None:
            summary = summarise(timed)
            yield from _grid(summary)
    if study.manifest.floors is None:
        yield Finding("note", "no memory floors", "floors", GET_FLOORS)
        return
    floors, found = attempt(lambda: read_floors(study), "floors")
    yield from found
    if floors is not None:
        yield from _floors(floors, summary)


def _grid(summary: pd.DataFrame) -> Iterator[Finding]:
    """Say what was timed, and where the grid has holes."""
    setting = [name for name in CELL if name not in ("phase", "batch", "image_tokens")]
    for key, rows in summary.groupby(setting, sort=False):
        name = ", ".join(str(part) for part in key)
        ks, sizes, batches = (
            sorted(int(value) for value in rows[column].unique())
            for column in ("k", "image_tokens", "batch")
        )
        phases = listing(rows["phase"].unique(), shown=9)
        yield Finding(
            "ok",
            f"{name}: k = {listing(ks, shown=99)}; image tokens {listing(sizes, shown=99)}; "
            f"batch {listing(batches, shown=99)}; phases {phases}",
            "latency",
        )
        if len(ks) < 2:
            yield Finding("wrong", f"{name}: one k only", "latency", "time it at two k or more")
        named = []
        for (phase, batch, n), cell in rows.groupby(["phase", "batch", "image_tokens"], sort=False):
            lacks = sorted(set(ks).difference(cell["k"]))
            if lacks:
                absent = listing(lacks, shown=99)
                named.append(f"{phase}, batch {batch}, {n} image tokens (lacks {absent})")
        if named:
            yield Finding("note", f"{name}: not at every k: {listing(named, shown=3)}", "latency")
        once = rows[rows["n_units"] < 2]
        if len(once):
            yield Finding(
                "note",
                f"{name}: {counted(len(once), 'time')} measured once, so without an interval",
                "latency",
                "repeat each measurement, in another order of k",
            )
        repeats = rows.loc[rows["unit"] == REPEAT, "n_units"]
        if len(repeats):
            each = counted_between(repeats, "repeat")
            yield Finding("ok", f"{name}: {each} of each", "latency")


def _floors(floors: pd.DataFrame, summary: pd.DataFrame | None) -> Iterator[Finding]:
    low, high = floors["floor_ms"].min(), floors["floor_ms"].max()
    yield Finding(
        "ok", f"{counted(len(floors), 'floor')}, {low:.3g} to {high:.3g} ms a token", "floors"
    )
    if summary is None:
        return
    for what, remedy in doubts(summary, floors):
        yield Finding("note", what, "floors", remedy)
