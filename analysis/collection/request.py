"""What a sweep is asked for, and where it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from complexity.errors import InputError

SUFFIXES = (".parquet", ".csv")
DECODE = ("compiled", "graph", "eager")
"""How timed answers may be decoded on a GPU, each falling back on the next."""
PREFILL = ("captured", "eager")
"""How timed prompts may be prefilled on a GPU, the first falling back on the other."""


@dataclass(frozen=True)
class Request:
    """The settings of a sweep; what changes an answer or a time is in `identity`.

    Attributes
    ----------
    source : str
        The model's folder or hub id.
    name : str
        How the tables call it.
    ks : tuple of int
        Active experts per token, rising, at least 1.
    samples : int or None
        Questions to draw; None: all.
    longest : int
        Most new tokens of an answer.
    batch : int
        Most questions asked together for accuracy.
    timed : int
        Questions timed at batch 1.
    repeats : int
        Times that each of them is timed.
    warm_up : int
        Untimed passes before the first timed one.
    instruction : str
        Appended to every question.
    seed : int
        Of the draw of questions and of the order of k.
    decode : str
        How timed answers are decoded, one of `DECODE`; the table says what it came to.
    prefill : str
        How timed prompts are prefilled, one of `PREFILL`; the table says what it came to.
    """

    source: str
    name: str
    ks: tuple[int, ...]
    samples: int | None = None
    longest: int = 32
    batch: int = 16
    timed: int = 50
    repeats: int = 3
    warm_up: int = 3
    instruction: str = ""
    seed: int = 0
    decode: str = DECODE[0]
    prefill: str = PREFILL[0]

    def identity(self) -> dict[str, Any]:
        """Return what a sweep must have in common with the one that it goes on with."""
        kept = ("name", "ks", "samples", "longest", "batch", "timed", "repeats", "instruction")
        return {key: getattr(self, key) for key in (*kept, "seed")}


def checked(request: Request) -> Request:
    """Refuse settings that cannot be, and put the k in order.

    Raises
    ------
    InputError
        No k, a k below 1, a number below what makes sense, or an unknown way of decoding.
    """
    if not request.ks:
        raise InputError("--k: give the numbers of experts to sweep, such as 1,2,4,8")
    low = [k for k in request.ks if k < 1]
    if low:
        raise InputError(f"--k: {low[0]} experts cannot be; k is 1 or more")
    if request.decode not in DECODE:
        raise InputError(f"--decode: '{request.decode}' is not known; give {', '.join(DECODE)}")
    if request.prefill not in PREFILL:
        raise InputError(f"--prefill: '{request.prefill}' is not known; give {', '.join(PREFILL)}")
    smallest = {"samples": 1, "longest": 1, "batch": 1, "timed": 0, "repeats": 1, "warm_up": 0}
    for name, least in smallest.items():
        value = getattr(request, name)
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; it must be {least} or more")
    return Request(**(vars(request) | {"ks": tuple(sorted(set(request.ks)))}))


def ks_of(text: str) -> tuple[int, ...]:
    """Read ``1,2,4,8``.

    Raises
    ------
    InputError
        Something that is not a whole number.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.removeprefix("-").isdecimal()]
    if wrong:
        raise InputError(f"--k: '{wrong[0]}' is not a whole number; give k such as 1,2,4,8")
    return tuple(int(part) for part in parts)


@dataclass(frozen=True)
class Outputs:
    """The files of a sweep, side by side.

    Attributes
    ----------
    results, latency : Path
        The two tables.
    provenance : Path
        What they were measured on, JSON.
    log : Path
        What has been collected so far, JSON Lines; kept, so that the tables can be made again.
    """

    results: Path
    latency: Path
    provenance: Path
    log: Path

    @classmethod
    def beside(cls, out: str | Path) -> Outputs:
        """Name the files after the results table.

        Raises
        ------
        InputError
            Another suffix than .parquet or .csv.
        """
        out = Path(out)
        if out.suffix.lower() not in SUFFIXES:
            raise InputError(f"-o {out}: tables are written as .parquet or .csv; choose one")
        return cls(
            out,
            out.with_name(f"{out.stem}.latency{out.suffix}"),
            out.with_name(f"{out.stem}.provenance.json"),
            out.with_name(f"{out.stem}.log.jsonl"),
        )

    def refuse_to_replace(self) -> None:
        """Refuse tables without a log beside them: they may be the only copy of another sweep.

        Raises
        ------
        InputError
            One is there.
        """
        if self.log.exists():
            return
        for path in (self.results, self.latency, self.provenance):
            if path.exists():
                raise InputError(
                    f"{path} is there and would be replaced, for there is no {self.log.name} "
                    "beside it to go on from; give another -o, or move it away"
                )

    def paths(self) -> Sequence[Path]:
        """List them in the order in which a reader wants them."""
        return (self.results, self.latency, self.provenance, self.log)
