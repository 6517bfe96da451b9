"""The stages of a study of latency alone: fit, then report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.latency_study.cells import one_time_for_all_k, summarise, units
from analysis.latency_study.costs import fit_cells
from analysis.latency_study.floors import beside_floors, read_floors
from analysis.record import Record, code_fingerprint, versions
from analysis.results import read_latency
from complexity.errors import InputError
from complexity.files import sha256_file, write_json

if TYPE_CHECKING:
    from analysis.manifest import LatencyStudy

FITS = "fits/latency.json"
REFUSED = "fits/latency_refused.json"
READING = "reading.json"


@dataclass(frozen=True)
class Timed:
    """A study of latency alone, read and checked.

    Attributes
    ----------
    units : DataFrame
        From `analysis.latency_study.cells.units`.
    floors : DataFrame or None
        From `analysis.latency_study.floors.read_floors`.
    notes : tuple of str
        What the reader counted or left out.
    """

    units: pd.DataFrame
    floors: pd.DataFrame | None
    notes: tuple[str, ...]


def read(study: LatencyStudy) -> Timed:
    """Read everything a study names.

    Raises
    ------
    InputError
        Files missing or not right; a single k, which leaves nothing to compare.
    """
    latency, notes = read_latency(study)
    timed = units(latency)
    if timed.empty:
        raise InputError(f"{study.shown}: the latencies are all empty; give times in ms")
    if len(timed["k"].unique()) < 2:
        raise InputError(
            f"{study.shown}: all latencies are at k = {timed['k'].iloc[0]}; what an expert costs "
            "needs two k or more"
        )
    return Timed(timed, read_floors(study), notes)


def do_stages(study: LatencyStudy, timed: Timed, record: Record, say: Callable[[str], None]) -> str:
    """Do the stages that no longer hold; returns the status."""
    entries = study.manifest.model_dump(mode="json", by_alias=True)
    content = [[item.key, sha256_file(item.path)] for item in study.data_files() if item.exists]
    inputs: dict[str, Any] = {
        "code": code_fingerprint(),
        "versions": versions(),
        "content": content,
        "entries": {name: entries[name] for name in ("latency", "floors")},
    }
    record.stage("latency", inputs, lambda: fit_latency(timed, record.folder), say=say)
    record.stage(
        "report",
        {**inputs, "fits": record.outputs("latency")},
        lambda: write_report(timed, record.folder),
        say=say,
    )
    return "finished"


def fit_latency(timed: Timed, folder: Path) -> list[Path]:
    """Fit every cell; writes what the reader left out, the fits, and what has none."""
    found = fit_cells(timed.units)
    outputs = [folder / READING, folder / FITS]
    write_json(outputs[0], {"latency": timed.notes})
    write_json(outputs[1], found.to_dicts())
    if found.refused:
        outputs.append(folder / REFUSED)
        write_json(outputs[2], found.refused_to_dicts())
    return outputs


def write_report(timed: Timed, folder: Path) -> list[Path]:
    """Write tables and figures."""
    from analysis.report import figures
    from analysis.report.latency_tables import write_latency_tables

    summary = summarise(timed.units)
    floors = None if timed.floors is None else beside_floors(summary, timed.floors)
    paths = write_latency_tables(
        summary, _read(folder / FITS), _read(folder / REFUSED), floors, folder / "tables"
    )
    for phase, rows in summary.groupby("phase", sort=False):
        if not rows["max_ms"].max() > 0:
            continue  # a phase that never ran has no place on a logarithmic axis
        if one_time_for_all_k(rows):
            continue  # taken once and written beside every k: there is no curve to look at
        own = None if floors is None else floors[floors["phase"] == phase]
        fig = figures.latency_cells(rows, own)
        paths += figures.save(fig, folder / "figures" / f"latency_vs_k_{phase}")
    return paths


def _read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    )
    return found
