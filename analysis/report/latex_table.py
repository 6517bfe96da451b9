"""LaTeX tables with booktabs rules that fit the page."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from textwrap import wrap

from analysis.report.latex import OTHER_CHARACTERS, escape

LONG = 45
_SIZES = (
    ("", 1.0, 6),
    (r"\small", 0.925, 5),
    (r"\footnotesize", 0.85, 4),
    (r"\scriptsize", 0.80, 3),
)
_TEXT_WIDTH = 345.0  # points: the text block of the standard article class at 10 pt
# Points that a character takes in 10 pt Computer Modern, as it is spelled by `escape`.
_POINTS = {
    character: points
    for points, characters in {
        2.8: "!',.:;[]`il|",
        3.1: "fj",
        3.3: "- ",
        3.6: "I_",
        3.9: "()rst",
        4.4: "cez²³⁰¹⁴",
        4.7: "?",
        5.0: '"$*/0123456789\\^ago{}~–',
        5.3: "kqvxyJ",
        5.6: "Sbdhnpu",
        6.5: "EFLPZ",
        7.4: "BCRTw",
        7.6: "ADHNUVXY",
        7.8: "&+=@GKOQ<>−±×≤≥",
        8.3: "#%m",
        9.2: "M",
        10.3: "W",
    }.items()
    for character in characters
}
_OTHER_POINTS = 7.8


def _cell(text: str) -> str:
    escaped = escape(text)
    # After \\ an opening bracket would be an argument (extra space), and so would a star.
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    align: str,
    spans: Sequence[str | None],
    groups: Sequence[bool],
    caption: str,
    label: str,
    notes: Sequence[str],
) -> str:
    """Lay out a table; more than `LONG` lines make a longtable, which breaks over pages.

    A table too wide for the page is folded in its headers, set smaller, and at last gets what
    follows a ± and the second half of long lists of numbers on a line below.

    Parameters
    ----------
    headers : sequence of str, length p
        Plain text, as everything here but `align` and `label`.
    rows : sequence of sequence of str, shape (n, p)
        The cells.
    align : str, length p
        ``l`` or ``r`` for each column.
    spans : sequence of str or None, length p
        A common heading over adjacent columns that name the same one.
    groups : sequence of bool, length p
        Columns whose repeated values are shown once, with some space above each new one.
    caption, label : str
        The caption's text and the key for cross-references.
    notes : sequence of str
        Sentences set small below the table, as wide as the table but within two fifths and
        the whole of a line.

    Returns
    -------
    str
        A table environment with its caption; it needs the package booktabs, and longtable
        when it is long. The first line says so.
    """
    # The lines of each row: one, unless the table has to be made narrower.
    lines_of = [[row] for row in rows]
    size, header_rows, fits = _fit(headers, rows, spans)
    if not fits:
        lines_of = [_stacked(row) for row in rows]
        physical = [line for row in lines_of for line in row]
        size, header_rows, fits = _fit(headers, physical, spans)
    long = sum(map(len, lines_of)) > LONG
    head = _span_lines(spans) + [" & ".join(map(_cell, row)) + r" \\" for row in header_rows]
    body = _body(lines_of, groups)
    columns = f"{{@{{}}{align}@{{}}}}"
    title, key = escape(caption), rf"\label{{{label}}}"
    note = rf"\footnotesize {' '.join(map(escape, notes))}" if notes else ""
    if long:
        lines = [
            r"\begingroup",
            *_LONG_CAPTION,
            *_LONG_WIDTH * bool(note),
            *[size] * bool(size),
            rf"\begin{{longtable}}{columns}",
            rf"\caption[{{{title}}}]{{\normalsize {title}}}{key}\\",
            *[r"\toprule", *head, r"\midrule", r"\endfirsthead"],
            rf"\multicolumn{{{len(headers)}}}{{@{{}}l}}{{Table \thetable, continued}}\\",
            *[r"\toprule", *head, r"\midrule", r"\endhead"],
            r"\bottomrule",
            *_long_note(note, len(headers)),
            *[r"\endlastfoot", *body],
            r"\end{longtable}",
            r"\endgroup",
        ]
    else:
        lines = [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{title}}}{key}\par\smallskip",
            *[size] * bool(size),
            *[r"\sbox0{%"] * bool(note),
            rf"\begin{{tabular}}{columns}",
            *[r"\toprule", *head, r"\midrule", *body, r"\bottomrule"],
            r"\end{tabular}" + "}" * bool(note),
            *_note(note),
            r"\end{table}",
        ]
    packages = "booktabs and longtable" if long else "booktabs"
    text = "\n".join(lines) + "\n"
    extra = "" if fits else "% Wider than the text of a page: set it on a landscape page.\n"
    extra += f"{OTHER_CHARACTERS}\n" if r"\optikchar" in text else ""
    return f"% Needs the LaTeX package{'s' * long} {packages}.\n{extra}{text}"


def _note(note: str) -> list[str]:
    """Set the table in box 0 with a note below that is as wide."""
    if not note:
        return []
    return [
        r"\dimen0=\wd0 \ifdim\dimen0<.4\linewidth \dimen0=.4\linewidth \fi",
        r"\ifdim\dimen0>\linewidth \dimen0=\linewidth \fi",
        r"\usebox0\par\smallskip",
        rf"\parbox{{\dimen0}}{{{note}}}",
    ]


# A longtable's caption is a cell of it, and would shrink with the others.
_LONG_CAPTION = (
    r"\setlength{\LTcapwidth}{\linewidth}",
    r"\makeatletter",
    r"\let\optikfnum\fnum@table \def\fnum@table{\normalsize\optikfnum}",
    r"\makeatother",
)
# How wide a longtable comes out is known from the run of LaTeX before, as a list of columns.
_LONG_WIDTH = (
    r"\makeatletter",
    r"\edef\optikwidth{\the\linewidth}",
    r"\expandafter\let\expandafter\optikcolumns",
    r"  \csname LT@\romannumeral\numexpr\value{LT@tables}+1\relax\endcsname",
    r"\ifx\optikcolumns\relax\else",
    r"  \begingroup \dimen0=0pt \def\LT@entry#1#2{\advance\dimen0 #2\relax}\optikcolumns",
    r"  \ifdim\dimen0<.4\linewidth \dimen0=.4\linewidth \fi",
    r"  \ifdim\dimen0>\linewidth \dimen0=\linewidth \fi",
    r"  \xdef\optikwidth{\the\dimen0}\endgroup",
    r"\fi",
    r"\makeatother",
)


def _long_note(note: str, n_columns: int) -> list[str]:
    """Set a note in the last foot, so that no page break parts it from the table."""
    if not note:
        return []
    box = rf"\makebox[0pt][l]{{\parbox[t]{{\optikwidth}}{{{note}\strut}}}}"
    return [
        r"\noalign{\smallskip}",
        rf"\multicolumn{{{n_columns}}}{{@{{}}l@{{}}}}{{{box}}}\\",
    ]


def _fit(
    headers: Sequence[str], rows: Sequence[Sequence[str]], spans: Sequence[str | None]
) -> tuple[str, list[Sequence[str]], bool]:
    """Fold headers, then shrink type and gaps, until the table is within the margins.

    Returns
    -------
    size : str
        Commands before the table.
    folded : list of sequence of str
        The header rows.
    fits : bool
        False for a table too wide even so.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(headers)
    cells = [max(map(_points, column), default=0.0) for column in columns]
    lengths = [max(map(len, column), default=0) for column in columns]
    folds = [[[header] for header in headers]]
    folds.append(
        [
            wrap(header, max(width, 8), break_long_words=False) or [""]
            for header, width in zip(headers, lengths, strict=True)
        ]
    )
    for command, scale, gap in _SIZES:
        for fold in folds:
            widths = [
                max(width, *map(_points, lines)) for width, lines in zip(cells, fold, strict=True)
            ]
            total = scale * sum(widths) + 2 * gap * (len(widths) - 1)
            for start, end in _runs(spans):
                own = scale * sum(widths[start:end]) + 2 * gap * (end - start - 1)
                total += max(scale * _points(spans[start] or "") - own, 0)
            fits = total <= _TEXT_WIDTH
            if fits or (command == _SIZES[-1][0] and fold is folds[-1]):
                depth = max(map(len, fold))
                padded = [[""] * (depth - len(lines)) + lines for lines in fold]
                size = f"{command}\\setlength{{\\tabcolsep}}{{{gap}pt}}" if command else ""
                return size, list(zip(*padded, strict=True)), fits
    raise AssertionError("the smallest size is always taken")


def _points(text: str) -> float:
    total = 0.0
    for character in text:
        if character not in _POINTS and r"\optikchar" in escape(character):
            # What pdfLaTeX lacks is printed as its number, [U+4E2D].
            total += _points(f"[U+{ord(character):04X}]")
            continue
        base = unicodedata.normalize("NFD", character)[0]
        total += _POINTS.get(base, _OTHER_POINTS)
    return total


def _stacked(row: Sequence[str]) -> list[Sequence[str]]:
    """Set what follows a ± and the second half of a long list on a second line."""
    parts = [_halves(text) for text in row]
    if not any(second for _, second in parts):
        return [row]
    return [[first for first, _ in parts], [second for _, second in parts]]


def _halves(text: str) -> tuple[str, str]:
    value, sign, half = text.partition(" ± ")
    if sign:
        return value, f"± {half}"
    items = text.split(", ")
    if len(items) < 5 or not all(map(str.isdigit, items)):
        return text, ""
    middle = (len(items) + 1) // 2
    return ", ".join(items[:middle]) + ",", ", ".join(items[middle:])


def _body(rows: Sequence[Sequence[Sequence[str]]], groups: Sequence[bool]) -> list[str]:
    """Lay out the rows, each repeated group value blank until an outer group starts anew.

    Parameters
    ----------
    rows : sequence of sequence of sequence of str
        Each row's lines, each of these its cells.
    groups : sequence of bool
        Columns that group the rows.
    """
    lines = []
    before: Sequence[str] | None = None
    for first, *others in rows:
        cells = [_cell(text) for text in first]
        opened = before is None
        for i, grouped in enumerate(groups):
            if before is not None and grouped and not opened and first[i] == before[i]:
                cells[i] = ""
            elif grouped and not opened:
                opened = True
                lines.append(r"\addlinespace")
        # The star keeps the lines of a row on one page.
        lines.append(" & ".join(cells) + (r" \\*" if others else r" \\"))
        lines += [" & ".join(map(_cell, line)) + r" \\\addlinespace[2pt]" for line in others]
        before = first
    return lines


def _runs(spans: Sequence[str | None]) -> list[tuple[int, int]]:
    """First column and the one after the last, for each heading or column without one."""
    runs, start = [], 0
    while start < len(spans):
        end = start + 1
        while spans[start] and end < len(spans) and spans[end] == spans[start]:
            end += 1
        runs.append((start, end))
        start = end
    return runs


def _span_lines(spans: Sequence[str | None]) -> list[str]:
    if not any(spans):
        return []
    cells, rules = [], []
    for start, end in _runs(spans):
        name = spans[start]
        if name:
            side = "@{}" * (start == 0) + "c" + "@{}" * (end == len(spans))
            cells.append(rf"\multicolumn{{{end - start}}}{{{side}}}{{{_cell(name)}}}")
            rules.append(rf"\cmidrule(lr){{{start + 1}-{end}}}")
        else:
            cells.append("")
    return [" & ".join(cells) + r" \\", " ".join(rules)]
