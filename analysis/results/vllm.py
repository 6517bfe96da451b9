"""Latencies from ``vllm bench serve --save-result --save-detailed`` (``--append-result`` too).

Format: vLLM 0.33.0, ``vllm/benchmarks/serve.py`` (`benchmark`, `calculate_metrics`). One object
with a list for each quantity, an element per request, times in seconds: `ttfts`, `latencies` (older
versions lack it: the time to the last token is ttft + the sum of `itls`), `itls`, `input_lens`,
`output_lens`, `errors`. ``--metadata k=4`` is written at the top level. Times become milliseconds:
`ttft_ms`, `total_ms` and `decode_ms` = total - ttft, so that vLLM's TPOT is
decode_ms / (n_new_tokens - 1). `input_lens` is what the server says, or, where it says nothing, the
prompt's text tokens without image tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.json_stream import walk
from analysis.results.logs import LENIENT, Log, Problem
from complexity.errors import InputError, listing

_LISTS = ("ttfts", "itls", "latencies", "input_lens", "output_lens", "errors")


def read(path: Path) -> Log:
    """Read a result file.

    Parameters
    ----------
    path : Path
        The file; several results one after another are of one session.

    Returns
    -------
    Log
        The frame has `request`, `batch`, `repeat`, `order`, the times and the tokens of the
        requests that succeeded. The metadata are the fields of the (first) result's top level.

    Raises
    ------
    InputError
        The file is damaged, or was written without ``--save-detailed``.
    """
    results = _results(path)
    problems: list[Problem] = []
    frames = [_frame(path, found, problems) for found in results]
    for number, frame in enumerate(frames):
        frame["repeat"] = number
    for name in ("model_id", "max_concurrency"):
        values = {str(found.get(name)) for found in results}
        if len(values) > 1:
            raise InputError(
                f"{path}: results of several {name} ({listing(sorted(values))}) appended to one "
                "file; write one file for each"
            )
    frame = pd.concat(frames, ignore_index=True)
    frame["order"] = np.arange(len(frame))
    head = {k: v for k, v in results[0].items() if k not in _LISTS}
    return Log(frame, head, problems=tuple(problems))


def _results(path: Path) -> list[dict[str, Any]]:
    """Return the top-level fields of each result, inter-token latencies summed as they come."""
    found: list[dict[str, Any]] = []

    def enter(place: tuple[str | int, ...]) -> bool:
        if place == ():
            found.append({})
        # The texts and the times of single tokens are the bulk of the file.
        return place == () or place in (("itls",), ("generated_texts",), ("errors",))

    for place, value in walk(path, enter):
        if not place or isinstance(place[0], int):
            raise InputError(f"{path}: not a result of vllm bench serve; is format right?")
        name = str(place[0])
        if len(place) == 1:
            found[-1][name] = value
        elif name == "itls":
            found[-1].setdefault(name, []).append(_summed(path, value))
        elif name == "errors":
            found[-1].setdefault(name, []).append(value or "")
    if not found:
        raise InputError(f"{path}: nothing in it; is it whole?")
    return found


def _summed(path: Path, times: Any) -> float:
    """Add up the times between the tokens of one request; none for a request that failed."""
    given = [] if times is None else times
    if not isinstance(given, list):
        raise InputError(f"{path}: itls has {given!r} where a list of seconds is expected")
    return float(numbers(path, "itls", given).sum())


def numbers(path: Path, name: str, values: list[Any]) -> np.ndarray:
    """Return a list of a result as float64; NaN where it has null.

    Raises
    ------
    InputError
        Something in it is no number.
    """
    for place, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(
                f"{path}: {name} has {value!r} at place {place} where a number is expected; write "
                "the file again"
            )
    return np.array(values, dtype=np.float64)


def _frame(path: Path, found: dict[str, Any], problems: list[Problem]) -> pd.DataFrame:
    lacking = [name for name in ("ttfts", "output_lens") if not isinstance(found.get(name), list)]
    if lacking or not ("latencies" in found or "itls" in found):
        raise InputError(
            f"{path}: no times of single requests ({listing(lacking or ['itls'])}); run vllm "
            "bench serve with --save-result --save-detailed"
        )
    columns = {name: found[name] for name in _LISTS if name in found}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = listing(f"{name} {n:,}" for name, n in lengths.items())
        raise InputError(f"{path}: lists of different lengths ({said}); write the file again")
    ttft = numbers(path, "ttfts", columns["ttfts"])
    if not len(ttft):
        raise InputError(f"{path}: no requests in it; measure again")
    summed = ttft + np.array(columns["itls"], dtype=float) if "itls" in columns else None
    given = columns.get("latencies")
    total = numbers(path, "latencies", given) if given is not None else summed
    if total is None:  # refused above
        raise InputError(f"{path}: neither latencies nor itls")
    tokens = numbers(path, "output_lens", columns["output_lens"])
    failed = np.array([bool(text) for text in columns.get("errors", [""] * len(ttft))])
    failed |= tokens == 0
    if failed.any():
        problems.append(
            Problem(
                str(path),
                f"{int(failed.sum()):,} of {len(ttft):,} requests failed or gave no token: request "
                f"{listing(np.flatnonzero(failed).tolist())}",
                f"mend the server and measure again, {LENIENT}",
            )
        )
    batch = found.get("max_concurrency")
    if batch is not None and not (str(batch).isdecimal() and int(batch) >= 1):
        raise InputError(
            f"{path}: max_concurrency is {batch!r}, where a whole number from 1 is expected"
        )
    if batch is None:
        problems.append(
            Problem(
                str(path),
                "no max_concurrency: batch is given as 1 though requests may have overlapped",
                level="note",
            )
        )
    problems.append(
        Problem(
            str(path),
            "seconds became milliseconds; total = "
            f"{'latencies' if given is not None else 'ttft + sum of itls'}; decode = total - ttft",
            level="note",
        )
    )
    frame = pd.DataFrame(
        {
            "request": np.arange(len(ttft)),
            "batch": 1 if batch is None else int(batch),
            "ttft_ms": ttft * 1000,
            "decode_ms": np.maximum(total - ttft, 0.0) * 1000,
            "total_ms": total * 1000,
            "n_prompt_tokens": columns.get("input_lens", np.full(len(ttft), np.nan)),
            "n_new_tokens": tokens,
        }
    )
    if failed.all():
        raise InputError(f"{path}: every request failed; see its `errors`")
    return frame[~failed]
