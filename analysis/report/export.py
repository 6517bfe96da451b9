"""Tables on disk: CSV for machines, Markdown and LaTeX for readers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis import numerals
from analysis.report import latex_table, markdown, names
from complexity.files import write_text

Kind = Literal[
    "text", "name", "count", "number", "proportion", "percent", "points", "p", "ks", "flag"
]
Format = Literal["csv", "md", "tex"]

FORMATS: tuple[Format, ...] = ("csv", "md", "tex")
# Kinds that stand at the left of their column.
_WORDS = ("text", "name", "ks", "flag")
# Columns of these names hold names when nothing else is said.
_NAMES = ("metric", "phase", "term")


@dataclass(frozen=True)
class ColumnStyle:
    """How a reader sees one column.

    Attributes
    ----------
    column : str
        Its name in the frame.
    header : str or None
        What stands above it; None shows the name, in words where it is a known one. Columns
        of kind `percent` and `points` get their unit behind it.
    kind : str
        ``text`` as it is; ``name`` of a metric, phase or model term in words (see
        `analysis.report.names`); ``count`` 8,000; ``number`` 0.81; ``proportion`` .81 (of at most 1
        in size, so without the zero); ``percent`` 81.0 from .81; ``points`` +1.4 from .014;
        ``p`` <.001; ``ks`` a list of k, "4, 6, 8"; ``flag`` yes or no.
    decimals : int or None
        Digits after the point. None: 1 for percent and points, 2 for proportion, and for
        number as many as show the column's median with three significant digits, both bounds
        of an interval counting.
    upper : str or None
        Another column of the frame: the two are shown as the interval [.81, .85]. A column
        of intervals gets one more decimal when a bound other than zero would round to zero;
        one that still does keeps its sign.
    like : str or None
        Another column of the frame, which chooses the decimals of this one when `decimals` is
        None: an interval beside its estimate.
    span : str or None
        A heading over this and the adjacent columns with the same `span`.
    group : bool
        Show a repeated value once (in LaTeX; Markdown repeats it).
    """

    column: str
    header: str | None = None
    kind: Kind = "text"
    decimals: int | None = None
    upper: str | None = None
    like: str | None = None
    span: str | None = None
    group: bool = False


def write_table(
    frame: pd.DataFrame,
    path_stem: str | Path,
    *,
    caption: str,
    label: str | None = None,
    formats: Sequence[Format] = FORMATS,
    full: pd.DataFrame | None = None,
    columns: Sequence[ColumnStyle] | None = None,
    notes: Sequence[str] = (),
) -> list[Path]:
    """Write a frame as CSV, Markdown and LaTeX, each atomically and the same bytes each time.

    Parameters
    ----------
    frame : DataFrame
        One row per row of the table; the index is not shown.
    path_stem : str or Path
        Path without suffix; a point in its name is kept.
    caption : str
        What the table shows, as plain text.
    label : str or None
        LaTeX key for cross-references; None takes the file's name: ``tab:accuracy-by-k``.
    formats : sequence of {"csv", "md", "tex"}
        Which files to write. The CSV holds every column of the frame under its own name, in
        full precision: floats read back to the same bits, nulls are empty, flags are true or
        false, lists are parted by blanks. Markdown and LaTeX hold the styled columns, rounded.
    full : DataFrame or None
        What the CSV holds in place of `frame`, where readers are shown less or in other words.
    columns : sequence of ColumnStyle or None
        What readers see, in this order; None shows every column by its type (see
        `default_styles`).
    notes : sequence of str
        Sentences below the table, as plain text.

    Returns
    -------
    list of Path
        The files, in the order of `formats`.

    Raises
    ------
    ValueError
        For an unknown format, a style of a column that the frame lacks, or a label that
        LaTeX cannot take.
    """
    stem = Path(path_stem)
    key = f"tab:{stem.name.replace('_', '-')}" if label is None else label
    if not re.fullmatch(r"[A-Za-z0-9:._-]+", key):
        raise ValueError(f"label {key!r}: use letters, digits, colon, point, _ and - only")
    styles = list(default_styles(frame) if columns is None else columns)
    _check_styles(frame, styles)
    texts: dict[str, Callable[[], str]] = {
        "csv": lambda: to_csv(frame if full is None else full),
        "md": lambda: to_markdown(frame, styles, caption=caption, notes=notes),
        "tex": lambda: to_latex(frame, styles, caption=caption, label=key, notes=notes),
    }
    unknown = sorted(set(formats) - set(texts))
    if unknown:
        raise ValueError(f"no table format {unknown[0]!r}: choose from {', '.join(texts)}")
    paths = []
    for suffix in formats:
        path = stem.with_name(f"{stem.name}.{suffix}")
        write_text(path, texts[suffix]())
        paths.append(path)
    return paths


def write_csv(frame: pd.DataFrame, path_stem: str | Path) -> list[Path]:
    """Write a frame as CSV alone; see `write_table`."""
    return write_table(frame, path_stem, caption="", formats=("csv",))


def default_styles(frame: pd.DataFrame, group: Collection[str] = ()) -> list[ColumnStyle]:
    """Style every column by its type: flags, whole numbers, numbers, lists of k, else text.

    A float column named ``p`` or ``p_…`` is shown as p-values; the columns ``metric``,
    ``phase`` and ``term`` hold names. The columns in `group` group the rows.
    """
    return [
        ColumnStyle(str(name), kind=_kind_of(str(name), frame[name]), group=str(name) in group)
        for name in frame
    ]


def to_csv(frame: pd.DataFrame) -> str:
    """Spell a frame as CSV in full precision (see `write_table`)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([str(name) for name in frame.columns])
    columns = [[_exact(value) for value in frame[name]] for name in frame.columns]
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()


def to_markdown(
    frame: pd.DataFrame,
    columns: Sequence[ColumnStyle],
    *,
    caption: str,
    notes: Sequence[str] = (),
) -> str:
    """Spell a frame as a Markdown pipe table (see `write_table`)."""
    headers = [
        f"{style.span}: {_header(style)}" if style.span else _header(style) for style in columns
    ]
    rows = list(zip(*(_cells(frame, style) for style in columns), strict=True))
    return markdown.table(headers, rows, align=_align(columns), caption=caption, notes=notes)


def to_latex(
    frame: pd.DataFrame,
    columns: Sequence[ColumnStyle],
    *,
    caption: str,
    label: str,
    notes: Sequence[str] = (),
) -> str:
    """Spell a frame as a LaTeX table with booktabs rules (see `write_table`)."""
    return latex_table.table(
        [_header(style) for style in columns],
        list(zip(*(_cells(frame, style) for style in columns), strict=True)),
        align=_align(columns),
        spans=[style.span for style in columns],
        groups=[style.group for style in columns],
        caption=caption,
        label=label,
        notes=notes,
    )


def _check_styles(frame: pd.DataFrame, styles: Iterable[ColumnStyle]) -> None:
    for style in styles:
        for name in (style.column, style.upper, style.like):
            if name is not None and name not in frame:
                raise ValueError(f"no column {name!r} to style: the table has {list(frame)}")


def _kind_of(name: str, column: pd.Series[Any]) -> Kind:
    if pd.api.types.is_bool_dtype(column):
        return "flag"
    if pd.api.types.is_integer_dtype(column):
        return "count"
    if pd.api.types.is_float_dtype(column):
        return "p" if name == "p" or name.startswith("p_") else "number"
    present = [value for value in column if not _is_missing(value)]
    if present and all(isinstance(value, list | tuple | np.ndarray) for value in present):
        return "ks"
    if present and all(isinstance(value, bool | np.bool_) for value in present):
        return "flag"
    return "name" if name in _NAMES else "text"


def _is_missing(value: object) -> bool:
    if isinstance(value, list | tuple | np.ndarray):
        return False
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _exact(value: object) -> str:
    if _is_missing(value):
        return ""
    if isinstance(value, list | tuple | np.ndarray):
        return " ".join(_exact(item) for item in value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return repr(float(value))
    return str(value)


def _header(style: ColumnStyle) -> str:
    header = names.readable(style.column) if style.header is None else style.header
    unit = {"percent": "(%)", "points": "(points)"}.get(style.kind)
    return header if unit is None or header.endswith(unit) else f"{header} {unit}"


def _align(columns: Iterable[ColumnStyle]) -> str:
    return "".join("l" if style.kind in _WORDS else "r" for style in columns)


def _cells(frame: pd.DataFrame, style: ColumnStyle) -> list[str]:
    values = list(frame[style.column])
    if style.kind in _WORDS:
        return [_text_cell(value, style.kind) for value in values]
    lower = [_float(value) for value in values]
    upper = None if style.upper is None else [_float(value) for value in frame[style.upper]]
    model = lower + (upper or [])
    if style.like is not None:
        model = [_float(value) for value in frame[style.like]]
    show = _number_format(style, model, None if upper is None else lower + upper)
    if upper is None:
        return [show(value) for value in lower]
    return [
        numerals.MISSING
        if np.isnan(low) and np.isnan(high)
        else f"[{_bound(low, show)}, {_bound(high, show)}]"
        for low, high in zip(lower, upper, strict=True)
    ]


def _text_cell(value: object, kind: Kind) -> str:
    if _is_missing(value):
        return numerals.MISSING
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(str(item) for item in value) or "none"
    if kind == "flag":
        return "yes" if value else "no"
    return names.readable(str(value)) if kind == "name" else str(value)


def _bound(value: float, show: Callable[[float], str]) -> str:
    text = show(value)
    # A bound that rounds to zero from below still tells that the interval holds zero.
    return numerals.MINUS + text if value < 0 and text[0] in "0." else text


def _float(value: object) -> float:
    return float("nan") if _is_missing(value) else float(value)  # type: ignore[arg-type]


def _number_format(
    style: ColumnStyle, values: Sequence[float], bounds: Sequence[float] | None
) -> Callable[[float], str]:
    """Choose how a column is written, from the values that set its decimals."""
    if style.kind == "p":
        return numerals.p_number
    if style.kind == "count":
        return numerals.count
    scale = 100 if style.kind in ("percent", "points") else 1
    decimals = style.decimals
    if decimals is None:
        usual = {"percent": 1, "points": 1, "proportion": 2}
        decimals = usual.get(style.kind, numerals.decimals_for(values))
    if bounds is not None:
        decimals = numerals.decimals_that_show_signs([scale * v for v in bounds], decimals)
    if style.kind == "points":
        return lambda value: numerals.signed(100 * value, decimals)
    zero = style.kind != "proportion"
    return lambda value: numerals.number(scale * value, decimals, leading_zero=zero)
