"""Per-k results from a plain table: Parquet, CSV, TSV or JSON Lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.frames import pick, read_frame
from analysis.results.taken import place, take
from analysis.schemas import RESULTS, TableSchema

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
    added = {name: take(frame, value, name, path, where) for name, value in taken.items()}
    known = [name for name in schema.names if name not in taken]
    made = pick(frame, columns, path=path, where=place(where, "columns"), known=known)
    return made.assign(**added)
