"""Per-k results from a plain table: Parquet, CSV, TSV or JSON Lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.frames import pick, read_frame, require_column, texts
from analysis.schemas import RESULTS, TableSchema
from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.manifest_model import ResultsEntry, Taken


def read(path: Path, entry: ResultsEntry, where: str) -> pd.DataFrame:
    """Read results; see `analysis.results.RESULT_READERS`."""
    taken: dict[str, Taken] = {"k": entry.k, "model": entry.model}
    frame = read_raw(path, RESULTS, entry.columns, taken)
    return named(frame, path, RESULTS, entry.columns, taken, where)


def read_raw(
    path: Path,
    schema: TableSchema,
    columns: Mapping[str, str],
    taken: Mapping[str, Taken],
    *,
    also: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read those of a file's columns that a table needs, under their own names.

    Parameters
    ----------
    path : Path
        The file.
    schema : TableSchema
        The table.
    columns : mapping of str to str
        Our names to the file's.
    taken : mapping of str to Taken
        Columns that may come from elsewhere.
    also : tuple of str
        Further columns of the file.

    Returns
    -------
    DataFrame
        In CSV, the columns that are text in the table stay the text they are.
    """
    theirs = {name: columns.get(name, name) for name in schema.names if name not in taken}
    theirs |= {name: value.column for name, value in taken.items() if value.column is not None}
    text = {theirs[c.name] for c in schema.columns if c.kind == "text" and c.name in theirs}
    return read_frame(path, columns={*theirs.values(), *columns.values(), *also}, text=text)


def named(
    frame: pd.DataFrame,
    path: Path,
    schema: TableSchema,
    columns: Mapping[str, str],
    taken: Mapping[str, Taken],
    where: str,
) -> pd.DataFrame:
    """Give a file's columns our names and add what is taken from elsewhere.

    Raises
    ------
    InputError
        The file lacks a column, or its name what a pattern looks for.
    """
    added = {name: _take(frame, value, name, path, where) for name, value in taken.items()}
    known = [name for name in schema.names if name not in taken]
    made = pick(frame, columns, path=path, where=f"{where}.columns", known=known)
    return made.assign(**added)


def _take(frame: pd.DataFrame, taken: Taken, name: str, path: Path, where: str) -> pd.Series:
    value = getattr(taken, "value", None)
    if taken.column is not None:
        if taken.column == name and name not in frame.columns:
            raise InputError(
                f"{path}: no column '{name}'; say in {where}.{name} where it is: "
                f"{{column: …}}, {{value: …}} or {{file_name: …}}"
            )
        require_column(frame, taken.column, path=path, where=f"{where}.{name}")
        return frame[taken.column]
    if taken.file_name is not None:
        found = re.search(taken.file_name, path.name)
        value = found[name] if found else None
        if value is None:
            raise InputError(
                f"{where}.{name}.file_name: '{taken.file_name}' does not find {name} in the file "
                f"name '{path.name}'; correct the pattern or the name"
            )
    if name == "k":
        if isinstance(value, str) and not value.isdecimal():
            raise InputError(
                f"{where}.{name}.file_name: '{taken.file_name}' finds '{value}' in "
                f"'{path.name}', which is not a whole number; correct the pattern"
            )
        return pd.Series(np.full(len(frame), int(str(value))), index=frame.index)
    return texts([value] * len(frame), index=frame.index)
