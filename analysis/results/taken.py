"""k, model and device of rows: from a column, the file's name, the run, or said outright."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.frames import require_column, texts
from analysis.results.run_metadata import look_up
from complexity.errors import InputError, did_you_mean, listing

if TYPE_CHECKING:
    from analysis.manifest_model import Taken


def place(where: str, name: str) -> str:
    """Name a key of an entry: under its place in the manifest, or as a command's option."""
    return f"{where}{name}" if where == "--" else f"{where}.{name}"


def require_file(path: Path) -> None:
    """Refuse a log that is not there, or is a folder."""
    if path.is_dir():
        raise InputError(f"{path}: a folder; name the logs in it, such as {path}/*")
    if not path.is_file():
        raise InputError(f"{path}: no such file; name the log itself")


def take(
    frame: pd.DataFrame,
    taken: Taken,
    name: str,
    path: Path,
    where: str,
    metadata: Mapping[str, Any] | None = None,
) -> pd.Series:
    """Return a value for each row of a file.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    taken : Taken
        Where the value comes from.
    name : str
        `k`, `model` or `device`.
    path : Path
        The file.
    where : str
        The entry's place in the manifest; ``--`` for options of a command.
    metadata : mapping, optional
        What the run says of itself.

    Returns
    -------
    Series
        Whole numbers for `k`, else text.

    Raises
    ------
    InputError
        Nothing is found there, or several values are.
    """
    key = place(where, name)
    if taken.column is not None:
        if taken.column == name and _absent(frame, name):
            raise InputError(
                f"{path}: no column '{name}'; say in {key} where it is: {_ways(name, where)}"
            )
        require_column(frame, taken.column, path=path, where=key)
        return frame[taken.column]
    value: Any = getattr(taken, "value", None)
    if taken.file_name is not None:
        value = _in_name(taken.file_name, name, path, key)
    elif taken.metadata is not None:
        value = look_up(metadata or {}, taken.metadata)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, str | int) or isinstance(value, bool):
            has = listing(metadata or (), shown=12) or "nothing"
            near = did_you_mean(taken.metadata, metadata or ())
            raise InputError(
                f"{path}: the run says no text or whole number under '{taken.metadata}'{near}, "
                f"which {key} asks for; it says {has}; give the value itself: {_ways(name, where)}"
            )
    if name == "k":
        if isinstance(value, str) and not value.isdecimal():
            source = taken.file_name or taken.metadata
            mend = "pattern" if taken.file_name is not None else "key"
            raise InputError(
                f"{key}: '{source}' finds '{value}' in '{path.name}', which is not a whole "
                f"number; correct the {mend}"
            )
        return pd.Series(np.full(len(frame), int(str(value))), index=frame.index)
    return texts([str(value)] * len(frame), index=frame.index)


def _absent(frame: pd.DataFrame, name: str) -> bool:
    return name not in frame.columns or bool(frame[name].isna().all() and len(frame))


def _ways(name: str, where: str) -> str:
    if where == "--":
        example = "4" if name == "k" else "NAME"
        return f"--{name} {example}, --{name} 'file:(?P<{name}>…)', --{name} metadata:KEY"
    return "{column: …}, {value: …}, {file_name: …} or {metadata: …}"


def _in_name(pattern: str, name: str, path: Path, key: str) -> str:
    """Search a file's name, or its whole path if the pattern has a slash."""
    text = path.as_posix() if "/" in pattern else path.name
    found = {match[name] for match in re.finditer(pattern, text)} - {None}
    if not found:
        raise InputError(
            f"{key}.file_name: '{pattern}' does not find {name} in the file name '{path.name}'; "
            f"correct the pattern or the name (a pattern with / is searched in the whole path)"
        )
    if len(found) > 1:
        raise InputError(
            f"{key}.file_name: '{pattern}' finds {listing(sorted(map(repr, found)))} in '{text}'; "
            f"make it find one {name} only"
        )
    return str(found.pop())
