"""What has been collected so far: append-only JSON Lines, on disk before the next step begins.

A line is written whole and synced, or it is cut off at the next start: a kill at any moment
loses at most the step that was under way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from complexity.errors import InputError, listing
from complexity.files import plain

# What is written before the first answer: nothing is lost with it.
_BEFORE = ("plan", "session")


class Log:
    """An append-only file of records; use it as a context manager.

    Parameters
    ----------
    path : Path
        The file; made if missing.
    request : mapping
        What was asked for. A file that holds answers to another request is refused; one that
        was begun for another and came to no answer, as where a model could not be loaded, is
        begun anew.
    remedy : str
        How to mend that.

    Attributes
    ----------
    records : list of dict
        All complete records after the first, in order.

    Raises
    ------
    InputError
        The file is of another request, or is no such log.
    """

    def __init__(self, path: Path, request: Mapping[str, Any], remedy: str) -> None:
        self.path = path
        self._request = json.loads(json.dumps(plain(dict(request))))
        self._remedy = remedy
        self._handle: IO[bytes] | None = None
        self.records: list[dict[str, Any]] = []

    def __enter__(self) -> Log:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(self.path, "ab")
        try:
            _lock(self._handle, self.path)
            whole, found = _complete(self.path)
            if found:
                begun = found[0].get("request")
                if begun == self._request:
                    self.records = found[1:]
                elif isinstance(begun, dict) and all(r.get("kind") in _BEFORE for r in found[1:]):
                    whole, found = 0, []
                else:
                    raise InputError(
                        f"{self.path} was begun for another request"
                        f"{_difference(begun, self._request)}; {self._remedy}"
                    )
            self._handle.truncate(whole)
        except BaseException:
            self.__exit__()
            raise
        if not found:
            self._write({"request": self._request})
        return self

    def __exit__(self, *exc: object) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record and wait until it is on disk."""
        made = json.loads(json.dumps(plain(dict(record)), ensure_ascii=False))
        self._write(made)
        self.records.append(made)

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield the records of one kind, in order."""
        return (record for record in self.records if record.get("kind") == kind)

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._handle is None:
            raise ValueError("the log is not open")
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._handle.write(line.encode())
        self._handle.flush()
        os.fsync(self._handle.fileno())


def _complete(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the length of a log's complete part and its records."""
    if not path.exists():
        return 0, []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    try:
        found = [json.loads(line) for line in data[:whole].splitlines()]
        if not all(isinstance(record, dict) for record in found):
            raise ValueError("a line is no object")
        return whole, found
    except ValueError as error:
        raise InputError(
            f"{path}: not a log of collected answers ({error}); remove it, or give another -o"
        ) from error


def _difference(begun: Any, asked: Mapping[str, Any]) -> str:
    if not isinstance(begun, dict):
        return ""
    return f" ({listing(_differing(begun, asked))})"


def _differing(begun: Mapping[str, Any], asked: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Say of each entry that is not the same what it was and is, within mappings too."""
    for key in {**begun, **asked}:
        was, now = begun.get(key), asked.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from _differing(was, now, f"{of}{key} ")
        elif was != now:
            yield f"{of}{key} was {was}, is {now}"


def _lock(handle: IO[bytes], path: Path) -> None:
    """Keep a second process from writing into the same file; let go when this one ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are not guarded against there
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(
            f"{path} is being written by another process; wait for it, or give another -o"
        ) from None
