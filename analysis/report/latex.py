"""Any text as LaTeX that compiles, and tables with booktabs rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from textwrap import wrap

# What TeX reads as a command, or shows as another character in its default encoding.
_ASCII = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "`": r"\`{}",
}
_SYMBOLS = {
    "µ": r"$\mu$",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "→": r"$\to$",
    "←": r"$\leftarrow$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "§": r"\S{}",
    "©": r"\copyright{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "\u2010": "-",
    "\u2011": "-",
}
_GREEK = re.compile("GREEK (?P<case>SMALL|CAPITAL) LETTER (?P<letter>FINAL SIGMA|[A-Z]+)")
_RAISED = re.compile("<(?P<side>super|sub)> (?P<code>003[0-9]|00[67][0-9A-F])")
_LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True))
# Combining marks that every LaTeX font encoding can build.
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
# Two of these in a row would melt into one dash or quotation mark.
_LIGATURES = re.compile(r"(?<=([-,']))(?=\1)")

LONG = 45
_SIZES = (
    ("", 1.0, 6),
    (r"\small", 0.925, 5),
    (r"\footnotesize", 0.85, 4),
    (r"\scriptsize", 0.80, 3),
)
_TEXT_WIDTH = 345.0  # points: the text block of the standard article class at 10 pt

OTHER_CHARACTERS = (
    "% Characters outside pdfLaTeX's reach: XeLaTeX and LuaLaTeX show them, given a font.\n"
    r"\providecommand{\optikchar}[2]{\ifdefined\Umathchar#1\else[U+#2]\fi}"
)


def escape(text: str) -> str:
    r"""Spell any text so that LaTeX shows it as it is.

    Parameters
    ----------
    text : str
        Plain text. Line breaks become blanks, other control characters vanish.

    Returns
    -------
    str
        ASCII LaTeX for text mode. Accented Latin letters, Greek and common symbols are
        spelled as commands. Any other character becomes ``\optikchar{c}{hex}``, which needs
        the definition `OTHER_CHARACTERS` before it and compiles everywhere.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split("\n"))
    text = _LIGATURES.sub("\u200b", text)
    return "".join(_spell(character) for character in text)


def _spell(character: str) -> str:
    if character == "\u200b":
        return "{}"
    if character in _ASCII:
        return _ASCII[character]
    if " " <= character <= "~":
        return character
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    category = unicodedata.category(character)
    if category.startswith("Z") or character == "\t":
        return " "
    if category.startswith("C"):
        return ""
    greek = _GREEK.fullmatch(unicodedata.name(character, ""))
    if greek and "Α" <= character <= "ω":
        return _greek(greek["case"], greek["letter"], character)
    raised = _RAISED.fullmatch(unicodedata.decomposition(character))
    if raised:
        mark = "^" if raised["side"] == "super" else "_"
        return f"${mark}{chr(int(raised['code'], 16))}$"
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        base = rf"\{parts[0]}" if parts[0] in "ij" else parts[0]
        return rf"\{_ACCENTS[parts[1]]}{{{base}}}"
    return rf"\optikchar{{{character}}}{{{ord(character):04X}}}"


def _greek(case: str, letter: str, character: str) -> str:
    # Unicode writes LAMDA; capitals that look like Latin ones have no command of their own.
    name = {"lamda": "lambda", "final sigma": "varsigma"}.get(letter.lower(), letter.lower())
    if case == "SMALL":
        return "o" if name == "omicron" else rf"$\{name}$"
    return rf"$\{name.title()}$" if character in "ΓΔΘΛΞΠΣΥΦΨΩ" else f"{{{_LATIN[character]}}}"


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
    """Lay out a table; more than `LONG` rows make a longtable, which breaks over pages.

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
    long = len(rows) > LONG
    size, header_rows, fits = _fit(headers, rows)
    head = _span_lines(spans) + [" & ".join(map(_cell, row)) + r" \\" for row in header_rows]
    body = _body(rows, groups)
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
    headers: Sequence[str], rows: Sequence[Sequence[str]]
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
    cells = [max(map(_length, column), default=0) for column in zip(*rows, strict=True)]
    cells = cells or [0] * len(headers)
    folds = [[[header] for header in headers]]
    folds.append(
        [
            wrap(header, max(width, 8), break_long_words=False) or [""]
            for header, width in zip(headers, cells, strict=True)
        ]
    )
    for command, scale, gap in _SIZES:
        for fold in folds:
            widths = [
                max(width, *map(_length, lines)) for width, lines in zip(cells, fold, strict=True)
            ]
            # 5.1 pt is a digit's width in 10 pt Computer Modern, with a little to spare.
            fits = 5.1 * scale * sum(widths) + 2 * gap * (len(widths) - 1) <= _TEXT_WIDTH
            if fits or (command == _SIZES[-1][0] and fold is folds[-1]):
                depth = max(map(len, fold))
                padded = [[""] * (depth - len(lines)) + lines for lines in fold]
                size = f"{command}\\setlength{{\\tabcolsep}}{{{gap}pt}}" if command else ""
                return size, list(zip(*padded, strict=True)), fits
    raise AssertionError("the smallest size is always taken")


def _length(text: str) -> int:
    # A character that pdfLaTeX lacks is printed as its number, [U+4E2D].
    return len(text) + 7 * escape(text).count(r"\optikchar")


def _body(rows: Sequence[Sequence[str]], groups: Sequence[bool]) -> list[str]:
    """Lay out the rows, each repeated group value blank until an outer group starts anew."""
    lines = []
    before: Sequence[str] | None = None
    for row in rows:
        cells = [_cell(text) for text in row]
        opened = before is None
        for i, grouped in enumerate(groups):
            if before is not None and grouped and not opened and row[i] == before[i]:
                cells[i] = ""
            elif grouped and not opened:
                opened = True
                lines.append(r"\addlinespace")
        lines.append(" & ".join(cells) + r" \\")
        before = row
    return lines


def _span_lines(spans: Sequence[str | None]) -> list[str]:
    if not any(spans):
        return []
    cells, rules, start = [], [], 0
    while start < len(spans):
        end = start + 1
        while spans[start] and end < len(spans) and spans[end] == spans[start]:
            end += 1
        name = spans[start]
        if name:
            cells.append(rf"\multicolumn{{{end - start}}}{{c}}{{{_cell(name)}}}")
            rules.append(rf"\cmidrule(lr){{{start + 1}-{end}}}")
        else:
            cells.append("")
        start = end
    return [" & ".join(cells) + r" \\", " ".join(rules)]
