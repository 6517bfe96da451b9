"""Latencies from a plain table, one phase a row (long) or one request a row (wide)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.frames import name_rows, require_column
from analysis.results.table import named, read_raw
from analysis.schemas import LATENCY, Column
from analysis.validation import convert, repeated_keys, title
from complexity.errors import InputError, did_you_mean, listing

if TYPE_CHECKING:
    from analysis.manifest_model import LatencyEntry, PhaseColumns, Taken

_VALUE = Column("ms", "number", "milliseconds", low=0)


def read(path: Path, entry: LatencyEntry, where: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read latencies; see `analysis.results.LATENCY_READERS`."""
    taken: dict[str, Taken] = {"device": entry.device, "k": entry.k, "model": entry.model}
    long = entry.phase
    also = () if long is None else (long.column, long.value)
    raw = read_raw(path, LATENCY, entry.columns, taken, also=also)
    frame = named(raw, path, LATENCY, entry.columns, taken, where)
    frame = frame.assign(**{n: v for n, v in (("batch", 1), ("request", 0)) if n not in frame})
    left: dict[str, int] = {}
    if long is not None:
        frame, left = _wide(frame, raw, long, path, where)
    elif not any(name.endswith("_ms") for name in frame.columns):
        phases = [name for name in LATENCY.names if name.endswith("_ms")]
        columns, phase = f"{where}.columns", f"{where}.phase if each row is one phase"
        if where == "--":
            columns, phase = "--column OURS=THEIRS", "phase in a manifest if each row is one phase"
        raise InputError(
            f"{path}: no column of times; name one in {columns} ({', '.join(phases)}), or give "
            f"{phase}"
        )
    if "order" not in frame.columns:
        frame["order"] = np.arange(len(frame))
    return frame, left


def _wide(
    frame: pd.DataFrame, raw: pd.DataFrame, long: PhaseColumns, path: Path, where: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Turn one phase a row into one request a row, in order of first appearance."""
    for name, place in ((long.column, "column"), (long.value, "value")):
        require_column(raw, name, path=path, where=f"{where}.phase.{place}")
    phase = raw[long.column]
    present = phase.value_counts(sort=False, dropna=False)
    absent = [name for name in long.map if name not in present.index]
    if absent:
        names = [str(name) for name in present.index]
        raise InputError(
            f"{path}: no phase '{absent[0]}'{did_you_mean(absent[0], names)}, which "
            f"{where}.phase.map names; the file has {listing(names, shown=12)}"
        )
    target = phase.map(long.map)
    mapped = target.notna().to_numpy()
    left = {str(name): int(count) for name, count in present.items() if name not in long.map}
    frame, target = frame.loc[mapped], target[mapped]

    name_row = name_rows(path)

    def row(position: int) -> str:
        return name_row(int(frame.index[position]))

    keys = [name for name in LATENCY.key if name in frame.columns]
    try:
        value = convert(raw.loc[mapped, long.value], _VALUE, title(long.value, {}), row)
        again = repeated_keys(frame[keys].assign(phase=target), row)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if again:
        raise InputError(f"{path}: {again}; {LATENCY.repeated}")
    group = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    made = frame.iloc[first].copy()
    for name in dict.fromkeys(long.map.values()):
        here = (target == name).to_numpy()
        times = np.full(len(made), np.nan)
        times[group[here]] = value.to_numpy()[here]
        made[name] = times
    return made, left
