"""One thing that `optik check` looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from complexity.errors import InputError

Level = Literal["ok", "note", "missing", "wrong"]
T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level : {"ok", "note", "missing", "wrong"}
        Fine; fine but worth knowing; not there yet; a run would stop at it, or would answer
        from too little.
    what : str
        What was found.
    where : str
        Which part: a key of the manifest.
    remedy : str
        How to mend it; empty if there is nothing to mend or `what` says it.
    """

    level: Level
    what: str
    where: str
    remedy: str = ""


def attempt(act: Callable[[], T], where: str) -> tuple[T | None, list[Finding]]:
    """Do something; a user's mistake becomes a finding."""
    try:
        return act(), []
    except InputError as error:
        return None, [Finding("wrong", str(error), where)]
