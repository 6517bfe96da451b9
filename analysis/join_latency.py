"""The mean latency of each (model, sample, k) on the device and in the phase of choice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.join_report import Unmatched
from complexity.errors import InputError, did_you_mean, listing


def own_rows(frame: pd.DataFrame, study_name: str) -> np.ndarray:
    """Mark the rows of a data set (those that name none included)."""
    if "dataset" not in frame.columns:
        return np.ones(len(frame), dtype=bool)
    own = (frame["dataset"].isna() | (frame["dataset"] == study_name)).to_numpy(dtype=bool)
    if len(frame) and not own.any():
        raise InputError(
            f"study '{study_name}': all rows are of other data sets "
            f"({listing(frame['dataset'].unique())}); correct the manifest's name or the rows"
        )
    return own


def cell_latency(
    latency: pd.DataFrame | None,
    choice: tuple[str, str] | None,
    study_name: str,
    ids: pd.Index,
    models: list[str],
    model: np.ndarray,
    sample: np.ndarray,
    k: np.ndarray,
    about: str,
) -> tuple[np.ndarray, dict[str, Unmatched], list[str]]:
    """Return the mean latency of each cell (NaN where there is none) and what did not match."""
    made = np.full(len(sample), np.nan)
    if latency is None or choice is None:
        return made, {}, []
    device, phase = choice
    rows = latency.loc[own_rows(latency, study_name)]
    rows = _chosen(rows, device, phase, about)
    notes = []
    batches = np.unique(rows["batch"].to_numpy())
    if len(batches) > 1:
        rows = rows.loc[rows["batch"] == batches[0]]
        notes.append(
            f"latency_ms is that of batch {batches[0]} "
            f"(there are {listing(batches, shown=99)} requests served together)"
        )
    unnamed = int(rows["sample_id"].isna().sum())
    if unnamed:
        notes.append(
            f"{unnamed:,} latencies name no sample; they are in the latency tables but not in "
            f"latency_ms"
        )
    place = ids.get_indexer(pd.Index(rows["sample_id"]))
    stray = pd.unique(rows.loc[place < 0, "sample_id"].dropna())
    timed = pd.unique(rows["model"])
    without = [models[i] for i in np.unique(model) if models[i] not in set(timed)]
    report = {
        "latency_without_samples": Unmatched.among(stray, rows["sample_id"].nunique()),
        "models_without_latency": Unmatched.among(without, len(np.unique(model))),
    }
    others = [name for name in timed if name not in models]
    if others:
        notes.append(f"latencies of models without results: {listing(others)}")

    code = pd.Index(models).get_indexer(pd.Index(rows["model"]))
    use = (place >= 0) & (code >= 0)
    grid = np.unique(np.concatenate([k, rows["k"].to_numpy()[use]]))

    def cell(m: np.ndarray, s: np.ndarray, of_k: np.ndarray) -> np.ndarray:
        pair = m.astype(np.int64) * len(ids) + s
        return np.asarray(pair * len(grid) + np.searchsorted(grid, of_k))

    theirs = cell(code[use], place[use], rows["k"].to_numpy()[use])
    unique, inverse = np.unique(theirs, return_inverse=True)
    if len(unique):
        mean = np.bincount(inverse, weights=rows[phase].to_numpy()[use]) / np.bincount(inverse)
        mine = cell(model, sample, k)
        at = np.minimum(np.searchsorted(unique, mine), len(unique) - 1)
        hit = unique[at] == mine
        made[hit] = mean[at[hit]]
    return made, report, notes


def _chosen(rows: pd.DataFrame, device: str, phase: str, about: str) -> pd.DataFrame:
    devices = [str(name) for name in pd.unique(rows["device"])]
    if device not in devices:
        raise InputError(
            f"{about}: no latencies of device '{device}'{did_you_mean(device, devices)}, which "
            f"analysis.latency names; there are {listing(devices)}"
        )
    rows = rows.loc[rows["device"] == device]
    if phase not in rows.columns or rows[phase].isna().all():
        there = [n for n in rows.columns if n.endswith("_ms") and rows[n].notna().any()]
        raise InputError(
            f"{about}: no latencies of phase '{phase}'{did_you_mean(phase, there)} on device "
            f"'{device}', which analysis.latency names; there are {listing(there)}"
        )
    return rows.loc[rows[phase].notna()]
