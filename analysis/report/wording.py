"""Text folded for a terminal, numbers and their signs kept on one line."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence

WIDTH = 92
GLUE = "\N{NO-BREAK SPACE}"
#: What no line should be broken in: p = .01, k = 4, F(7, 1999), [1, 2], 5 %, 1.0 ± 0.1.
_TOGETHER = re.compile(
    r"\b[pk] [=<>] [\d.]+(?: [\d.]+ ±)?|[\[(]\S+, \S+[\])]|\d %|\S+ ± \S+|= [\d.]+"
)


def paragraph(text: str, indent: int = 0) -> list[str]:
    """Fold a text into lines, indented by as much as `indent` leaves room for."""
    glued = _TOGETHER.sub(lambda match: match[0].replace(" ", GLUE), text)
    lines = textwrap.wrap(glued, WIDTH - indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace(GLUE, " ") for line in lines]


def indented(text: str) -> list[str]:
    """Fold a text into lines set in by two."""
    return [f"  {line}" for line in paragraph(text, 2)]


def sentence(text: str) -> str:
    """Begin with a capital."""
    return text[:1].upper() + text[1:]


def opening(title: str, question: str) -> list[str]:
    """Begin an answer: what is studied, the question underlined, an empty line."""
    return [*paragraph(title), question, "=" * len(question), ""]


def section(
    heading: str, items: Sequence[str], fold: Callable[[str], list[str]] = indented
) -> list[str]:
    """Set items under a heading after an empty line; nothing without items."""
    return ["", heading, *(line for item in items for line in fold(item))] if items else []


def bullet(text: str) -> list[str]:
    """Fold a text into an item of a list."""
    first, *rest = paragraph(text, 4)
    return [f"  - {first}", *(f"    {line}" for line in rest)]
