"""Parquet, CSV and JSON Lines files as frames, without guessing what a key is."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import pandas as pd

from complexity.errors import InputError, did_you_mean, listing

PARQUET = (".parquet", ".pq")
DELIMITED = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*PARQUET, *DELIMITED, *JSON_LINES)

# Numbers as people write them. Codes such as 007 are left as the text they are.
_NUMBER = r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|[+-]?\.[0-9]+"


def text_dtype() -> Any:
    """Return the dtype of text columns: ``str`` from pandas 3 on, ``object`` before."""
    return "str" if int(pd.__version__.split(".")[0]) >= 3 else object


def texts(values: Any, index: pd.Index | None = None) -> pd.Series:
    """Return a text column; None and NaN are missing values in it.

    Parameters
    ----------
    values : sequence of (str or None)
        The texts.
    index : Index, optional
        Of the column.

    Returns
    -------
    Series
        dtype `text_dtype`, missing values recognised by ``isna``.
    """
    column = pd.Series(values, index=index, dtype=object)
    return column.astype(text_dtype())


def name_rows(path: str | Path) -> Callable[[int], str]:
    """Return what names the data row at a position (0-based) of a file for messages.

    Parameters
    ----------
    path : str or Path
        The file; it is read only once a row is named.

    Returns
    -------
    callable
        ``row 4 (line 5)`` for text formats, whose lines an editor counts; else ``row 4``.
    """
    path = Path(path)
    lines: list[int] = []

    def name(position: int) -> str:
        if not lines:
            lines.extend(_lines(path))
        said = f"row {position + 1:,}"
        return f"{said} (line {lines[position]:,})" if position < len(lines) else said

    return name


def _lines(path: Path) -> list[int]:
    """Return the line on which each data row of a text format starts; empty for the others."""
    suffix, found = _suffix(path), []
    try:
        if suffix in DELIMITED:
            with _open_text(path) as handle:
                reader, start = csv.reader(handle, delimiter=DELIMITED[suffix]), 1
                for record in reader:
                    # As in reading, lines without anything are no rows.
                    if len(record) > 1 or any(cell.strip() for cell in record):
                        found.append(start)
                    start = reader.line_num + 1
            return found[1:]
        if suffix in JSON_LINES:
            with _open_text(path) as handle:
                return [n for n, line in enumerate(handle, start=1) if line.strip()]
    except (OSError, ValueError, csv.Error):  # a message goes without lines rather than fail
        pass
    return []


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def column_names(path: str | Path) -> list[str] | None:
    """Return the names of a file's columns where they can be had without reading it all.

    Parameters
    ----------
    path : str or Path
        Parquet or CSV file.

    Returns
    -------
    list of str or None
        None for JSON Lines, whose columns are known only at the end.

    Raises
    ------
    InputError
        The file cannot be read, or names a column twice.
    """
    path = Path(path)
    suffix = _suffix(path)
    try:
        if suffix in PARQUET:
            import pyarrow.parquet as pq

            names = list(pq.read_schema(path).names)
        elif suffix in DELIMITED:
            with _open_text(path) as handle:
                names = next(csv.reader(handle, delimiter=DELIMITED[suffix]), [])
        else:
            return None
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"{path}: column {listing(map(repr, twice))} is there more than once; "
            f"rename or drop all but one"
        )
    return names


def plain_columns(path: str | Path) -> list[str] | None:
    """Return the columns of a Parquet file that are not bytes or structs, such as images.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of str or None
        None for other formats, whose columns are all plain.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    path = Path(path)
    if _suffix(path) not in PARQUET or not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    column_names(path)  # says so if the file cannot be read
    heavy = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_struct)
    return [f.name for f in pq.read_schema(path) if not any(is_a(f.type) for is_a in heavy)]


def read_frame(
    path: str | Path,
    *,
    columns: Collection[str] | None = None,
    text: Collection[str] = (),
    suffix: str | None = None,
) -> pd.DataFrame:
    """Read a Parquet, CSV, TSV or JSON Lines file (the latter three also gzipped).

    Parameters
    ----------
    path : str or Path
        The file; the format is told by its suffix.
    columns : collection of str, optional
        Read these only (those of them that the file has). All by default.
    text : collection of str
        Columns of a CSV or TSV file that stay the text they are. In the others, a column in
        which every filled cell is a number becomes a number column (empty cells become
        missing); a column with codes such as ``007`` stays text.
    suffix : str, optional
        Read the file as one that ends so, whatever its name.

    Returns
    -------
    DataFrame
        One row per data row, in file order, with a RangeIndex. Whole numbers of Parquet and
        JSON Lines stay whole where a column has gaps (dtype object). ``attrs["columns"]``
        names all columns of the file.

    Raises
    ------
    InputError
        No such file, an unknown suffix, or contents that are not what the suffix says.
    """
    path = Path(path)
    suffix = suffix or _suffix(path)
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path}: a table is expected in a file that ends in {', '.join(SUFFIXES)} "
            f"(the text formats may be gzipped); this one ends in '{path.suffix}'"
        )
    if not path.is_file():
        raise InputError(f"{path}: no such file{_near_file(path)}")
    names = column_names(path)
    if suffix in DELIMITED and names is not None:
        _refuse_other_separator(path, names, DELIMITED[suffix])
    wanted = None if columns is None or names is None else [n for n in names if n in set(columns)]
    try:
        if suffix in PARQUET:
            frame = _read_parquet(path, wanted)
        elif suffix in DELIMITED:
            frame = _read_delimited(path, DELIMITED[suffix], wanted, set(text))
        else:
            frame, names = _read_json_lines(path, columns)
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    frame.attrs["columns"] = names
    return frame


def _refuse_other_separator(path: Path, names: list[str], separator: str) -> None:
    """Refuse a file whose only column is all columns, for every table has two or more."""
    for other, said in ((";", "';'"), ("\t", "tabs"), (",", "commas")):
        if len(names) == 1 and other != separator and other in names[0]:
            save = "with tabs or as .csv" if separator == "\t" else "with commas or as .tsv"
            if (other, separator) == ("\t", ","):
                save = "with commas, or name it .tsv"
            elif (other, separator) == (",", "\t"):
                save = "with tabs, or name it .csv"
            raise InputError(
                f"{path}: this file is separated by {said}; save it {save} "
                f"(its first line is {names[0]!r})"
            )


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError):
        said = "it is not UTF-8"
        remedy = "save the file as UTF-8"
    else:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "check that the file is whole and is what its suffix says"
    return InputError(f"{path}: cannot be read ({said}); {remedy}")


def _near_file(path: Path) -> str:
    try:
        siblings = [item.name for item in path.parent.iterdir() if item.is_file()]
    except OSError:
        return f" (nor a folder {path.parent})"
    return did_you_mean(path.name, sorted(siblings))


def _open_text(path: Path) -> IO[str]:
    # utf-8-sig: spreadsheets put a byte-order mark before the first column's name.
    if path.suffix.lower() == ".gz":
        return cast(IO[str], gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return open(path, encoding="utf-8-sig", newline="")


def _read_parquet(path: Path, columns: list[str] | None) -> pd.DataFrame:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=columns, partitioning=None)
    # Metadata is ignored so that an index saved by pandas is a column like any other;
    # whole numbers with gaps must not become floats, for they may be keys.
    return cast(pd.DataFrame, table.to_pandas(ignore_metadata=True, integer_object_nulls=True))


def _read_delimited(
    path: Path, separator: str, columns: list[str] | None, text: set[str]
) -> pd.DataFrame:
    # All columns are read, because told to read some, pandas is silent about rows that have more
    # cells than the header, as after an unquoted comma; a first row that has makes it an index.
    with _open_text(path) as handle:
        try:
            frame = pd.read_csv(handle, sep=separator, dtype=str, keep_default_na=False)
        except pd.errors.ParserError as error:
            found = re.search(r"Expected \d+ fields in line (\d+), saw \d+", str(error))
            if found is None:
                raise
            raise _too_many_cells(path, f"line {found[1]}") from None
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):
        raise _too_many_cells(path, "the first row")
    if columns is not None:
        frame = frame[columns]
    for name in frame.columns:
        if name not in text:
            frame[name] = numbers_if_all(frame[name])
    return frame


def _too_many_cells(path: Path, where: str) -> InputError:
    return InputError(
        f"{path}: more cells in {where} than the header has columns; put texts that hold the "
        "separator in double quotes, and end no row with a separator"
    )


def numbers_if_all(values: pd.Series) -> pd.Series:
    """Return a text column as numbers if every filled cell of it is one, else unchanged."""
    filled = values != ""
    if not filled.any() or not values[filled].str.fullmatch(_NUMBER).all():
        return values
    return pd.to_numeric(values.where(filled))


def _read_json_lines(path: Path, columns: Collection[str] | None) -> tuple[pd.DataFrame, list[str]]:
    rows: list[dict[str, Any]] = []
    with _open_text(path) as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{path}: line {number} is not JSON ({error.msg} at column {error.colno}); "
                    f"each line must be one JSON object"
                ) from error
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}: line {number} is not a JSON object; each line must be one, "
                    f'such as {{"sample_id": "q1"}}'
                )
            rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    kept = names if columns is None else [name for name in names if name in set(columns)]
    # Columns are made one by one as objects: pandas would turn whole numbers with gaps into
    # floats, and texts that look like dates into dates.
    made = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in kept}
    return pd.DataFrame(made, index=pd.RangeIndex(len(rows))).infer_objects(), names


def pick(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    path: str | Path,
    where: str,
    known: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Give columns our names: ``{ours: theirs}``; the others keep theirs.

    Parameters
    ----------
    frame : DataFrame
        As read from `path`.
    columns : mapping of str to str
        Our name to the file's name. One of the file's columns may serve twice.
    path : str or Path
        The file, for messages.
    where : str
        The manifest key that holds the mapping, for messages.
    known : iterable of str, optional
        Drop columns of other names than these.

    Returns
    -------
    DataFrame
        The mapped columns first, then the file's others, except those that a mapped column
        replaces or was made from.

    Raises
    ------
    InputError
        The file lacks a column that is named.
    """
    for ours, theirs in columns.items():
        require_column(frame, theirs, path=path, where=f"{where}.{ours}")
    used = set(columns) | set(columns.values())
    others = [name for name in frame.columns if name not in used]
    if known is not None:
        kept = set(known)
        others = [name for name in others if name in kept]
    made = {ours: frame[theirs] for ours, theirs in columns.items()}
    picked = pd.DataFrame(made | {name: frame[name] for name in others}, index=frame.index)
    picked.attrs |= frame.attrs
    return picked


def read_as(frame: pd.DataFrame, name: str) -> str:
    """Say what a column that is not there is called: under our name, or mistyped.

    Parameters
    ----------
    frame : DataFrame
        ``attrs["theirs"]``, where there is one, has the file's names to ours.
    name : str
        What was asked for.

    Returns
    -------
    str
        Starts with a blank, or empty.
    """
    ours = frame.attrs.get("theirs", {}).get(name)
    if ours is not None:
        return f" ('{name}' is read as {ours}; name that)"
    return did_you_mean(name, [str(column) for column in frame.columns])


def require_column(frame: pd.DataFrame, name: str, *, path: str | Path, where: str) -> None:
    """Refuse a frame without column `name`.

    Raises
    ------
    InputError
        Names the file, the manifest key, the nearest column and all of them.
    """
    if name not in frame.columns:
        names = [str(column) for column in frame.attrs.get("columns", frame.columns)]
        raise InputError(
            f"{path}: no column '{name}'{did_you_mean(name, names)}, which {where} asks for; "
            f"its columns are {listing(names, shown=12)}"
        )
