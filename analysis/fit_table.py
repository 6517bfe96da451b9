"""Tables for `optik fit`: whatever file, with missing cells and truth values told from texts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames import numbers_if_all, plain_columns, read_frame
from complexity.errors import InputError

#: Cells of a text format that hold nothing, as R, pandas and spreadsheets write them.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null")
_TRUTHS = ({"True", "False"}, {"TRUE", "FALSE"}, {"true", "false"})
_INFINITE = r"(?i)[+-]?inf(?:inity)?"


def read_fit_table(path: str | Path, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table for a regression.

    Parameters
    ----------
    path : str or Path
        Parquet, CSV, TSV or JSON Lines, as `analysis.frames.read_frame` takes them. Parquet
        columns of bytes and structs are left out.
    text : collection of str
        Columns of a text format whose cells are names, even if they look like numbers.

    Returns
    -------
    DataFrame
        Columns of a CSV or TSV file are numbers, truth values or texts, each with its missing
        cells (see `MISSING`) missing.

    Raises
    ------
    InputError
        When the file is not there, a folder, empty, or not what its suffix says.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; name a table in it, such as {path / 'table.parquet'}"
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    frame = read_frame(path, columns=plain_columns(path), text=text)
    if not {suffix.lower() for suffix in path.suffixes} & {".csv", ".tsv"}:
        return frame
    return pd.DataFrame(
        {
            name: frame[name]
            if pd.api.types.is_numeric_dtype(frame[name])
            else _typed(frame[name], name in text)
            for name in frame.columns
        }
    )


def _typed(cells: pd.Series[Any], names: bool) -> pd.Series[Any]:
    """Type a column of texts: names stay texts."""
    missing = cells.isin(MISSING)
    if missing.all():
        return pd.Series(float("nan"), index=cells.index)
    if not names:
        filled = cells[~missing]
        if set(filled.unique()) in _TRUTHS:
            return filled.str.lower().eq("true").reindex(cells.index).astype("boolean")
        infinite = filled.str.fullmatch(_INFINITE)
        finite = numbers_if_all(filled[~infinite])
        if pd.api.types.is_numeric_dtype(finite) or infinite.all():
            return pd.to_numeric(filled).reindex(cells.index)
    return cells.mask(missing)
