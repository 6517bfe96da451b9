"""JSON Lines logs, a line at a time, half-written ones named."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from analysis.results.logs import LENIENT, Problem
from complexity.errors import InputError, listing


def rows(path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a JSON Lines file; memory is that of one line.

    Parameters
    ----------
    path : Path
        The file, gzipped if it ends in ``.gz``.
    problems : list of Problem
        Lines that are no objects are added at the end, the last one as half-written.

    Yields
    ------
    (int, dict)
        The line's place among those that are not blank, from 0, and its object.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    broken: list[int] = []
    last = place = 0
    try:
        with _open(path) as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip():
                    continue
                last = number
                row = _object(line)
                if row is None:
                    broken.append(number)
                else:
                    yield place, row
                place += 1
    except (EOFError, zlib.error):  # a gzipped file that was cut off or damaged
        problems.append(
            Problem(
                str(path), "the gzipped file is cut off or damaged", "copy it again, or go without"
            )
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if broken and broken[-1] == last and len(broken) < place:  # else no line of it is one
        broken.pop()
        problems.append(
            Problem(
                str(path),
                f"the last line (line {last:,}) is half-written",
                "let the evaluation finish, or import leniently, which leaves it out",
            )
        )
    if broken:
        problems.append(
            Problem(
                str(path),
                f"not a JSON object: line {listing(f'{n:,}' for n in broken)}",
                f"each line must be one, in UTF-8; write these again, {LENIENT}",
            )
        )


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return open(path, "rb")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # the latter: nested beyond any log
        return None
    return found if isinstance(found, dict) else None
