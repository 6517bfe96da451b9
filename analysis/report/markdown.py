"""Any text as Markdown that shows it as it is, and pipe tables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# An underscore inside a word is plain text; at its edge it would open emphasis.
_SPECIAL = re.compile(
    r"[\\`*|<>~$]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|^#|^[-+](?=\s)|^\d+(?=[.)]\s)"
)


def escape(text: str) -> str:
    r"""Escape what GitHub's Markdown would read as markup, and line breaks.

    Parameters
    ----------
    text : str
        Plain text.

    Returns
    -------
    str
        One line; ``a|b`` gives ``a\|b``, ``edge_density`` stays.
    """
    flat = " ".join(text.split())
    return _SPECIAL.sub(_escape_match, flat)


def _escape_match(match: re.Match[str]) -> str:
    text = match.group()
    # A number that opens a line makes a list by the point behind it.
    return f"{text}\\" if text[0].isdigit() else f"\\{text}"


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    align: str,
    caption: str,
    notes: Sequence[str],
) -> str:
    """Lay out a pipe table, padded so that it is readable as plain text too.

    Parameters
    ----------
    headers : sequence of str, length p
        Plain text, as everything here but `align`.
    rows : sequence of sequence of str, shape (n, p)
        The cells.
    align : str, length p
        ``l`` or ``r`` for each column.
    caption : str
        Set in bold above the table.
    notes : sequence of str
        Sentences below the table.
    """
    cells = [[escape(text) for text in row] for row in (headers, *rows)]
    widths = [max(3, *(_width(text) for text in column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * (width - 1) + ":" if side == "r" else "-" * width
        for width, side in zip(widths, align, strict=True)
    ]
    lines = ["| " + " | ".join(map(_pad, row, widths, align)) + " |" for row in cells]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    parts = [f"**{escape(caption)}**", "\n".join(lines)]
    if notes:
        parts.append(" ".join(map(escape, notes)))
    return "\n\n".join(parts) + "\n"


def _pad(text: str, width: int, side: str) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if side == "r" else text + blanks


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
