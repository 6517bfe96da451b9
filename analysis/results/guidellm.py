"""Latencies from GuideLLM's report (``benchmarks.json``).

Format: GuideLLM 0.8.1, which wrote the fixture of the tests; ``benchmark/schemas/report.py`` and
``schemas/base/request_stats.py``. Each benchmark (one rate of a sweep) has its requests by outcome;
a request has `request_latency` in seconds, `time_to_first_token_ms`, `prompt_tokens`,
`output_tokens`. `time_per_output_token_ms` divides by all tokens, the first included: it is not
vLLM's TPOT and is not used. `decode_ms` is total - ttft, and TPOT is
decode_ms / (n_new_tokens - 1), close to `inter_token_latency_ms`. ``--label k=4`` is under
`config.metadata.labels.k`. YAML reports are not read: export JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.json_stream import walk
from analysis.results.logs import LENIENT, Log, Problem
from complexity.errors import InputError, listing

_OUTCOMES = ("successful", "incomplete", "errored")


def read(path: Path) -> Log:
    """Read a report.

    Parameters
    ----------
    path : Path
        The JSON report, of any size.

    Returns
    -------
    Log
        The frame has `request`, `batch`, `repeat` (the benchmark's number), `order`, times and
        tokens of the requests that succeeded. The metadata are the report's `metadata` and
        `config` (`args` before version 2).

    Raises
    ------
    InputError
        Not such a report, or none with single requests.
    """
    if path.suffix.lower() != ".json":
        raise InputError(f"{path}: only JSON reports are read; run guidellm with --output json")
    rows: list[dict[str, Any]] = []
    left: dict[str, int] = {}
    metadata: dict[str, Any] = {}
    streams: dict[int, Any] = {}

    def enter(place: tuple[str | int, ...]) -> bool:
        inner = place[:1] == ("benchmarks",)
        return (
            place == ()
            or (inner and len(place) <= 2)
            or (inner and place[2:3] == ("requests",) and len(place) <= 4)
        )

    for place, value in walk(path, enter):
        if place[:1] != ("benchmarks",):
            if place and isinstance(place[0], str):
                metadata[place[0]] = value
            continue
        if len(place) < 3 or not isinstance(place[1], int):
            continue
        if place[2] == "config" and isinstance(value, dict):
            streams[place[1]] = _streams(value)
        if place[2] != "requests" or len(place) < 5 or not isinstance(value, dict):
            continue
        if place[3] != "successful":
            left[str(place[3])] = left.get(str(place[3]), 0) + 1
            continue
        rows.append(_row(path, value, place[1], int(place[4])))
    return _log(path, rows, left, metadata, streams)


def _streams(config: dict[str, Any]) -> Any:
    strategy = config.get("strategy")
    if not isinstance(strategy, dict):
        return None
    if strategy.get("type_") == "synchronous":
        return 1
    return strategy.get("streams")


def _row(path: Path, request: dict[str, Any], benchmark: int, number: int) -> dict[str, Any]:
    seconds, ttft = request.get("request_latency"), request.get("time_to_first_token_ms")
    if {type(value) for value in (seconds, ttft)} - {int, float, type(None)}:
        raise InputError(
            f"{path}: request {number} of benchmark {benchmark} has request_latency {seconds!r} "
            f"and time_to_first_token_ms {ttft!r}, where numbers are expected; write it again"
        )
    metrics = request.get("input_metrics")
    return {
        "repeat": benchmark,
        "request": number,
        "ttft_ms": np.nan if ttft is None else float(ttft),
        "total_ms": np.nan if seconds is None else float(seconds) * 1000,
        "n_prompt_tokens": request.get("prompt_tokens"),
        "n_new_tokens": request.get("output_tokens"),
        "n_image_tokens": metrics.get("image_tokens") if isinstance(metrics, dict) else None,
    }


def _log(
    path: Path,
    rows: list[dict[str, Any]],
    left: dict[str, int],
    metadata: dict[str, Any],
    streams: dict[int, Any],
) -> Log:
    if not rows:
        said = listing(f"{n:,} {name}" for name, n in left.items()) or "no requests at all"
        raise InputError(
            f"{path}: no successful request with its times in it ({said}); is it GuideLLM's JSON "
            "report, with requests kept?"
        )
    problems: list[Problem] = []
    if left:
        said = listing(f"{n:,} {name}" for name, n in left.items())
        problems.append(
            Problem(
                str(path),
                f"requests that did not succeed: {said}",
                f"measure again, {LENIENT}",
            )
        )
    frame = pd.DataFrame(rows)
    frame["decode_ms"] = (frame["total_ms"] - frame["ttft_ms"]).clip(lower=0)
    known = {n: s for n, s in streams.items() if isinstance(s, int) and s >= 1}
    frame["batch"] = frame["repeat"].map(known).fillna(1).astype(int)
    unknown = sorted(set(frame["repeat"]) - set(known))
    if unknown:
        problems.append(
            Problem(
                str(path),
                f"benchmark {listing(unknown)}: a rate, not a number of streams: batch is given "
                "as 1 though requests may have overlapped",
                level="note",
            )
        )
    problems.append(
        Problem(
            str(path),
            "request_latency in seconds became total_ms; decode = total - ttft (GuideLLM's "
            "time_per_output_token_ms includes the first token and is not used)",
            level="note",
        )
    )
    frame["order"] = np.arange(len(frame))
    return Log(frame, metadata, problems=tuple(problems))
