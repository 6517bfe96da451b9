"""A frame is what its schema says, or is refused with the rows at fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from analysis.frames import text_dtype, texts
from analysis.schemas import KINDS, Column, TableSchema
from complexity.errors import SHOWN, InputError, did_you_mean, listing

RowNamer = Callable[[int], str]


def _row(position: int) -> str:
    return f"row {position + 1:,}"


def check(
    frame: pd.DataFrame,
    schema: TableSchema,
    where: str,
    *,
    row: RowNamer = _row,
    theirs: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Check a frame against a table's schema and give it the schema's types and order.

    Parameters
    ----------
    frame : DataFrame
        The rows, with the schema's column names.
    schema : TableSchema
        What they must be.
    where : str
        The file (or stage) they come from, for messages.
    row : callable
        Names the data row at a position (0-based); ``row 1`` is the first by default.
    theirs : mapping of str to str, optional
        Our column names to the file's where they differ, for messages.

    Returns
    -------
    DataFrame
        A new frame with a RangeIndex: the schema's columns (those of the optional ones that
        are there), then the others if the schema keeps them. Text is of `text_dtype`.
        Whole numbers given as ids become their decimal text; 4.0 is a whole number, 4.5 is
        refused; true and false are scores of 1 and 0.

    Raises
    ------
    InputError
        Columns missing, wrong types, gaps, values out of range or a repeated key: all that
        is wrong, each with the first five offending rows and how to mend it.
    """
    theirs = theirs or {}
    names = [str(name) for name in frame.attrs.get("columns", frame.columns)]
    problems = [
        f"no column '{column.name}' ({column.meaning}){did_you_mean(column.name, names)}; "
        f"its columns are {listing(names, shown=12)}"
        for column in schema.columns
        if column.needed and column.name not in frame.columns
    ]
    made: dict[str, pd.Series] = {}
    for column in schema.columns:
        if column.name in frame.columns:
            try:
                values = frame[column.name].reset_index(drop=True)
                made[column.name] = convert(values, column, title(column.name, theirs), row)
            except InputError as error:
                problems.append(str(error))
    if not problems:
        keys = pd.DataFrame({name: made[name] for name in schema.key if name in made})
        repeated = repeated_keys(keys, row)
        if repeated:
            problems.append(f"{repeated}; {schema.repeated}")
    if problems:
        raise InputError("\n".join(f"{where}: {problem}" for problem in problems))
    if schema.extra:
        others = [name for name in frame.columns if name not in made]
        made |= {name: _tidy(frame[name].reset_index(drop=True)) for name in others}
    return pd.DataFrame(made, index=pd.RangeIndex(len(frame)))


def _tidy(values: pd.Series) -> pd.Series:
    """Give a column of texts that came as objects the dtype of texts."""
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "string":
        return _objects(values).astype(text_dtype())
    return values


def repeated_keys(keys: pd.DataFrame, row: RowNamer = _row) -> str:
    """Describe the rows whose key an earlier row has.

    Parameters
    ----------
    keys : DataFrame
        The key columns.
    row : callable
        Names the row at a position.

    Returns
    -------
    str
        Empty if every key is there once; else count and first five, without a remedy.
    """
    again = np.flatnonzero(keys.duplicated(keep="first").to_numpy())
    if not len(again):
        return ""
    pairs = []
    shown = [name for name in keys.columns if name != "dataset"]
    for position in again[:SHOWN]:
        record = keys.iloc[position]
        same = np.ones(len(keys), dtype=bool)
        for name in keys.columns:
            column = keys[name]
            same &= (column.isna() if pd.isna(record[name]) else column == record[name]).to_numpy()
        first = int(np.flatnonzero(same)[0])
        key = ", ".join(f"{name} {record[name]}" for name in shown if not pd.isna(record[name]))
        pairs.append(f"{row(first)} and {row(int(position))} ({key})")
    more = f" and {len(again) - SHOWN:,} more" if len(again) > SHOWN else ""
    return f"the same key twice: {'; '.join(pairs)}{more}"


def _first(positions: np.ndarray, say: Callable[[int], str]) -> str:
    head = ", ".join(say(int(i)) for i in positions[:SHOWN])
    rest = len(positions) - SHOWN
    return f"{head} and {rest:,} more" if rest > 0 else head


def _offenders(values: pd.Series, wrong: np.ndarray, row: RowNamer) -> str:
    def say(position: int) -> str:
        value = values.iloc[position]
        return (
            f"{value!r} in {row(position)}"
            if isinstance(value, str)
            else (f"{value} in {row(position)}")
        )

    return _first(np.flatnonzero(wrong), say)


def title(ours: str, theirs: Mapping[str, str]) -> str:
    """Name a column as the file does, and as the tables do where that differs."""
    name = theirs.get(ours, ours)
    return f"column '{name}'" + (f" (our '{ours}')" if name != ours else "")


def convert(values: pd.Series, column: Column, name: str, row: RowNamer = _row) -> pd.Series:
    """Give one column its type, and refuse what does not fit.

    Parameters
    ----------
    values : Series
        As read.
    column : Column
        What it must be.
    name : str
        What messages call it, from `title`.
    row : callable
        Names the row at a position.

    Returns
    -------
    Series
        Of the same index.

    Raises
    ------
    InputError
        Wrong types, gaps or values out of range, with the first five rows.
    """
    if column.kind == "texts":
        return _as_texts(values, name, row)
    if column.kind == "text":
        made = as_text(values, name, row=row)
        if not column.blank:
            made = made.mask((made == "").fillna(False).astype(bool))
    else:
        made = _as_number(values, column, name, row)
    gaps = made.isna().to_numpy()
    if not column.nullable and gaps.any():
        raise InputError(
            f"{name} is empty in {_first(np.flatnonzero(gaps), row)}; fill it in "
            f"({column.meaning}) or leave the row out"
        )
    if column.kind in ("whole", "number"):
        _check_range(made, values, column, name, row)
    if column.kind == "whole":
        made = made.astype("Int64" if column.nullable else "int64")
    return made


def as_text(values: pd.Series, name: str, *, row: RowNamer = _row) -> pd.Series:
    """Return a column as text, without inventing any.

    Parameters
    ----------
    values : Series
        Text, whole numbers (which become their decimal text), categories of these.
    name : str
        What messages call the column, from `title`.
    row : callable
        Names the row at a position.

    Returns
    -------
    Series
        dtype `text_dtype`; missing values stay missing.

    Raises
    ------
    InputError
        Decimal numbers, true and false, dates or nested values.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "string":
        return values if values.dtype == text_dtype() else _objects(values).astype(text_dtype())
    if kind in ("empty", "floating") and bool(values.isna().all()):
        return texts([None] * len(values), index=values.index)
    objects = _objects(values)
    if kind in ("integer", "mixed-integer"):
        plain = [isinstance(v, str | int | np.integer) and not isinstance(v, bool) for v in objects]
        if all(ok or v is None for ok, v in zip(plain, objects, strict=True)):
            said = [v if v is None or isinstance(v, str) else str(int(v)) for v in objects]
            return texts(said, index=values.index)
    wrong = np.array([v is not None and not isinstance(v, str) for v in objects])
    raise InputError(
        f"{name} must be text or whole numbers, compared as they are written; it has "
        f"{_offenders(values, wrong, row)}; write them as text"
    )


def _objects(values: pd.Series) -> pd.Series:
    made = values.astype(object)
    return made.where(made.notna(), None)


def _as_texts(values: pd.Series, name: str, row: RowNamer) -> pd.Series:
    made: list[list[str] | None] = [_answers(value) for value in values]
    wrong = np.array([item is None for item in made], dtype=bool)
    if wrong.any():
        raise InputError(
            f"{name} must hold a text, a whole number or a list of these; it has "
            f"{_offenders(values, wrong, row)}; an unknown answer is an empty list"
        )
    return pd.Series(made, index=values.index, dtype=object)


def _answers(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return [str(int(value))]
    if isinstance(value, list | tuple | np.ndarray):
        items = [_answers(item) for item in value]
        if all(item is not None and len(item) == 1 for item in items):
            return [cast(list[str], item)[0] for item in items]
    return None


def _as_number(values: pd.Series, column: Column, name: str, row: RowNamer) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    numbers = values
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        objects = _objects(values)
        objects = objects.map(_truth if column.kind == "number" else _no_truth)
        numbers = pd.to_numeric(objects, errors="coerce")
        wrong = (numbers.isna() & objects.notna()).to_numpy()
        if wrong.any():
            raise InputError(_not_a_number(values, wrong, column, name, row))
    made = numbers.to_numpy(dtype="float64", na_value=np.nan)
    if column.kind == "whole":
        wrong = np.isfinite(made) & (made != np.floor(made))
        if wrong.any():
            raise InputError(_not_a_number(values, wrong, column, name, row))
    return pd.Series(made, index=values.index)


def _not_a_number(
    values: pd.Series, wrong: np.ndarray, column: Column, name: str, row: RowNamer
) -> str:
    texts_at_fault = values[wrong].astype(str)
    commas = bool(texts_at_fault.str.fullmatch(r"\s*[+-]?[0-9]*,[0-9]+\s*").all())
    mend = (
        "these have a decimal comma: write 0.5 for 0,5 (replace , by . in this column)"
        if commas
        else "correct these"
    )
    return (
        f"{name} must be a {KINDS[column.kind]} ({column.meaning}); it has "
        f"{_offenders(values, wrong, row)}; {mend}"
    )


def _truth(value: Any) -> Any:
    """Read true and false as 1 and 0, as logs of right and wrong answers have them."""
    if isinstance(value, str):
        spelled = value.strip().lower()
        return {"true": 1.0, "false": 0.0, "": None}.get(spelled, value)
    return float(value) if isinstance(value, bool | np.bool_) else value


def _no_truth(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        return None
    return str(value) if isinstance(value, bool | np.bool_) else value


def _check_range(
    made: pd.Series, given: pd.Series, column: Column, name: str, row: RowNamer
) -> None:
    number = made.to_numpy(dtype=float)
    low = -math.inf if column.low is None else column.low
    high = math.inf if column.high is None else column.high
    wrong = (number < low) | (number > high) | np.isinf(number)
    if not wrong.any():
        return
    beyond = number[wrong]
    hint = "correct or leave out these rows"
    if column.name == "score" and (beyond > 1).all() and (beyond <= 100).all():
        hint = f"are these percentages? then divide the column by 100, else {hint}"
    raise InputError(
        f"{name} has {_offenders(given, wrong, row)}, but must be "
        f"{_range_in_words(column)} ({column.meaning}); {hint}"
    )


def _range_in_words(column: Column) -> str:
    if column.low is not None and column.high is not None:
        return f"between {column.low:g} and {column.high:g}"
    if column.low is not None:
        return "finite and not negative" if column.low == 0 else f"at least {column.low:g}"
    return "finite"
