"""Latency logs of serving benchmarks as latency frames: device, k and model added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.results import guidellm, vllm
from analysis.results.logs import Log
from analysis.results.taken import require_file, take

if TYPE_CHECKING:
    from analysis.manifest_model import LatencyEntry

LATENCY_LOG_READERS: dict[str, Callable[[Path], Log]] = {
    "vllm": vllm.read,
    "guidellm": guidellm.read,
}
"""Format to the reader of one file."""


def read_latency_log(path: Path, entry: LatencyEntry, where: str) -> Log:
    """Read a file of latencies and add device, k and model.

    Parameters
    ----------
    path : Path
        The file.
    entry : LatencyEntry
        Its format, and where device, k and model come from.
    where : str
        The entry's place for messages; ``--`` for options of a command.

    Returns
    -------
    Log
        The frame has columns of the latency table.

    Raises
    ------
    InputError
        The file cannot be read, or does not have what is asked for.
    """
    require_file(path)
    log = LATENCY_LOG_READERS[entry.format](path)
    frame, said = log.frame, dict(log.metadata)
    taken = {"device": entry.device, "k": entry.k, "model": entry.model}
    # What a run says at its top level can be named as a column too: it is one for all rows.
    columns = {v.column for v in taken.values() if v.column is not None} & set(said)
    wide = frame.assign(**{name: said[name] for name in columns})
    made = {name: take(wide, value, name, path, where, said) for name, value in taken.items()}
    return replace(log, frame=frame.assign(**made))
