"""The five tables that the stages hand to each other: checked when read and when written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import DELIMITED, PARQUET, name_rows, read_frame, texts
from analysis.schemas import (
    ANALYSIS,
    COMPLEXITY,
    LATENCY,
    RESULTS,
    SAMPLES,
    SCHEMAS,
    Column,
    TableSchema,
)
from analysis.validation import check
from complexity.errors import InputError
from complexity.files import atomic_path, write_parquet

__all__ = [
    "ANALYSIS",
    "COMPLEXITY",
    "LATENCY",
    "RESULTS",
    "SAMPLES",
    "SCHEMAS",
    "Column",
    "TableSchema",
    "check",
    "json_lists",
    "read_table",
    "write_table",
]


def write_table(frame: pd.DataFrame, path: str | Path, schema: TableSchema) -> pd.DataFrame:
    """Check a table and write it, atomically, as Parquet or CSV (by suffix).

    Parameters
    ----------
    frame : DataFrame
        The rows.
    path : str or Path
        ``.parquet`` or ``.csv``. In CSV, lists are written as JSON.
    schema : TableSchema
        What the rows must be.

    Returns
    -------
    DataFrame
        The table as checked.

    Raises
    ------
    InputError
        See `check`; or another suffix.
    """
    path = Path(path)
    made = check(frame, schema, str(path))
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        import pyarrow as pa

        table = pa.Table.from_pandas(made, preserve_index=False)
        about = json.dumps({"table": schema.name}).encode()
        write_parquet(path, table.replace_schema_metadata({b"optik": about}))
    elif suffix in DELIMITED:
        spelled = made.copy()
        for column in schema.columns:
            if column.kind == "texts" and column.name in spelled:
                lists = [json.dumps(item, ensure_ascii=False) for item in spelled[column.name]]
                spelled[column.name] = texts(lists, index=spelled.index)
        with atomic_path(path) as temporary:
            spelled.to_csv(
                temporary, sep=DELIMITED[suffix], index=False, lineterminator="\n", encoding="utf-8"
            )
    else:
        raise InputError(f"{path}: tables are written as .parquet or .csv; choose one of these")
    return made


def read_table(path: str | Path, schema: TableSchema, *, where: str | None = None) -> pd.DataFrame:
    """Read a Parquet, CSV or JSON Lines file and check it.

    Parameters
    ----------
    path : str or Path
        The file. In CSV, text columns stay the text they are ("007" is not 7), and a cell of
        a list column that is a JSON list is that list.
    schema : TableSchema
        What the rows must be.
    where : str, optional
        How messages name the file; by default by its path.

    Returns
    -------
    DataFrame
        See `check`.

    Raises
    ------
    InputError
        See `analysis.frames.read_frame` and `check`.
    """
    path = Path(path)
    text = {column.name for column in schema.columns if column.kind in ("text", "texts")}
    frame = read_frame(path, text=text)
    frame = json_lists(frame, path, schema)
    return check(frame, schema, where or str(path), row=name_rows(path))


def json_lists(frame: pd.DataFrame, path: Path, schema: TableSchema) -> pd.DataFrame:
    """Read the JSON lists in the cells of a CSV file's list columns.

    A cell that is not a JSON list stays the text it is.

    Parameters
    ----------
    frame : DataFrame
        As read from `path`.
    path : Path
        Files other than CSV are left alone.
    schema : TableSchema
        Says which columns hold lists.

    Returns
    -------
    DataFrame
        The same frame, or a copy with lists.
    """
    if not any(suffix in DELIMITED for suffix in map(str.lower, path.suffixes)):
        return frame
    for column in schema.columns:
        if column.kind == "texts" and column.name in frame.columns:
            cells = [_json_list(cell) for cell in frame[column.name]]
            frame = frame.assign(**{column.name: pd.Series(cells, index=frame.index, dtype=object)})
    return frame


def _json_list(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith("[") and cell.endswith("]"):
        try:
            return json.loads(cell)
        except json.JSONDecodeError:
            return cell
    return cell
