"""Splitting an lme4-style formula into its outcome, fixed part and random terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from complexity.errors import InputError

_CLOSES = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "`'\""
#: Backticked names and quoted text.
QUOTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")
_PLAIN_NAME = re.compile(r"[^\W\d][\w.]*\Z")


_COUNTS = re.compile(r"cbind\s*\((.*)\)\Z")


@dataclass(frozen=True)
class RandomTerm:
    """One random term of a formula, ``/`` expanded.

    Attributes
    ----------
    columns : str
        What varies between groups, the left side: ``1``, ``1 + x``, ``0 + x``.
    factors : tuple of str
        Columns whose combinations are the groups: ``("image",)``, ``("image", "question")``.
    group : str
        Name of the grouping in results. ``a:b`` keeps the order written; the inner level of
        ``a/b`` is ``b:a``, as lme4 names it.
    correlated : bool
        False for ``||``: each term of `columns` varies on its own.
    text : str
        The term as written, for messages.
    """

    columns: str
    factors: tuple[str, ...]
    group: str
    correlated: bool
    text: str


@dataclass(frozen=True)
class Formula:
    """A model formula in parts.

    Attributes
    ----------
    text : str
        As given, runs of blanks made one.
    outcome : str
        Left of ``~``.
    fixed : str
        Right of ``~`` without the random terms; ``1`` when nothing else is left.
    random : tuple of RandomTerm
    counts : tuple of str, or None
        Successes and failures, where the outcome is ``cbind(successes, failures)``.
    """

    text: str
    outcome: str
    fixed: str
    random: tuple[RandomTerm, ...]
    counts: tuple[str, str] | None = None


def parse(text: str) -> Formula:
    """Split a formula such as ``y ~ x * c + (1 + x | image) + (1 | image:question)``.

    Parameters
    ----------
    text : str
        lme4's notation: ``(1 | g)``, ``(1 + x | g)``, ``(0 + x | g)``, ``(x || g)``,
        ``(1 | a/b)``, ``(1 | a:b)``, any number of them.

    Returns
    -------
    Formula

    Raises
    ------
    InputError
        When the text is not such a formula, saying where it stops making sense.
    """
    text = " ".join(text.split())
    sides = _split(text, "~", text)
    if len(sides) != 2:
        raise InputError(
            f"formula '{text}': needs exactly one ~ between the outcome and what explains it, "
            "as in score ~ C(k) * c"
        )
    outcome, right = (side.strip() for side in sides)
    if not outcome:
        raise InputError(f"formula '{text}': no outcome left of ~")
    if not right:
        raise InputError(f"formula '{text}': nothing right of ~ (write 1 for an intercept alone)")
    _check_powers(right, text)
    if re.search(r"(?<![\w.)\]])\.(?![\w.])", _bare(right)):
        raise InputError(
            f"formula '{text}': . (all other columns) is not offered; name the columns, so that "
            "the formula says what was fitted"
        )
    fixed: list[str] = []
    random: list[RandomTerm] = []
    for sign, piece in _summands(right, text):
        if not piece:
            raise InputError(f"formula '{text}': a + or - with nothing after it")
        if "|" not in _bare(piece):
            fixed.append(f"{sign} {piece}")
        elif sign == "-":
            raise InputError(f"formula '{text}': a random term cannot be taken away: - {piece}")
        else:
            random.extend(_random_terms(piece, text))
    for index, term in enumerate(random):
        if term in random[:index]:
            raise InputError(f"formula '{text}': the random term {term.text} is given twice")
    joined = " ".join(fixed).removeprefix("+ ")
    if not joined or joined.startswith("-"):
        joined = f"1 {joined}".strip()
    return Formula(text, outcome, joined, tuple(random), _counts(outcome, text))


def _counts(outcome: str, text: str) -> tuple[str, str] | None:
    """Read ``cbind(successes, failures)``; refuse arithmetic that stands alone."""
    found = _COUNTS.match(outcome)
    if found and _matching(outcome, outcome.index("("), text) == len(outcome) - 1:
        sides = [side.strip() for side in _split(found[1], ",", text)]
        if len(sides) != 2 or not all(sides):
            raise InputError(
                f"formula '{text}': cbind() takes two columns, successes and failures, as in "
                "cbind(right, asked - right)"
            )
        return sides[0], sides[1]
    if any(char in "+-*/:" for _, char in _outside(outcome, text)):
        raise InputError(
            f"formula '{text}': the outcome is one column; for arithmetic write I({outcome})"
        )
    return None


def _random_terms(piece: str, text: str) -> Iterator[RandomTerm]:
    """Expand ``(columns | factors)``; inner levels of a/b after the outer ones."""
    if not (piece.startswith("(") and _matching(piece, 0, text) == len(piece) - 1):
        raise InputError(
            f"formula '{text}': a random term stands alone in parentheses, as in (1 | image); "
            f"found {piece}"
        )
    inside = piece[1:-1]
    sides = _split(inside, "|", text)
    correlated = True
    if len(sides) == 3 and sides[1] == "" and "||" in inside:
        correlated, sides = False, [sides[0], sides[2]]
    if len(sides) != 2 or not sides[0].strip() or not sides[1].strip():
        raise InputError(f"formula '{text}': {piece} is not of the form (columns | group)")
    columns, right = (side.strip() for side in sides)
    nested = [_factors(level, piece, text) for level in _split(right, "/", text)]
    for depth in range(len(nested)):
        outer_to_inner = nested[: depth + 1]
        factors = tuple(name for level in outer_to_inner for name in level)
        named = [name for level in reversed(outer_to_inner) for name in level]
        yield RandomTerm(columns, factors, ":".join(named), correlated, piece)


def _factors(level: str, piece: str, text: str) -> tuple[str, ...]:
    names = []
    for part in _split(level, ":", text):
        name = part.strip()
        if name.startswith("`") and name.endswith("`") and len(name) > 2:
            name = name[1:-1]
        elif not _PLAIN_NAME.match(name):
            called = re.match(r"(?:C|factor|as\.factor)\((.*)\)\Z", name)
            if called:
                raise InputError(
                    f"formula '{text}': '{name}' in {piece} is not a column name; groups are "
                    f"categories anyway, so write {called[1]}"
                )
            raise InputError(
                f"formula '{text}': groups are columns, joined by : or /; '{name}' in {piece} "
                "is not a column name (put unusual names in backticks)"
            )
        names.append(name)
    return tuple(names)


def _summands(right: str, text: str) -> Iterator[tuple[str, str]]:
    """Split at + and - outside of brackets and quotes: (sign, piece) pairs."""
    sign, start = "+", 0
    for index, char in _outside(right, text):
        if char not in "+-":
            continue
        piece = right[start:index].strip()
        if piece or start:
            yield sign, piece
        sign, start = char, index + 1
    yield sign, right[start:].strip()


def _split(text: str, mark: str, formula: str) -> list[str]:
    """Split at a character outside of brackets and quotes."""
    pieces, start = [], 0
    for index, char in _outside(text, formula):
        if char == mark:
            pieces.append(text[start:index])
            start = index + 1
    return [*pieces, text[start:]]


def _outside(text: str, formula: str) -> Iterator[tuple[int, str]]:
    """Walk over the characters that no bracket or quote encloses."""
    index = 0
    while index < len(text):
        char = text[index]
        if char in _CLOSES or char in _QUOTES:
            index = _matching(text, index, formula) + 1
            continue
        if char in _CLOSES.values():
            raise InputError(f"formula '{formula}': {char} closes nothing")
        yield index, char
        index += 1


def _matching(text: str, start: int, formula: str) -> int:
    """Find where the bracket or quote at `start` closes."""
    if text[start] in _QUOTES:
        end = text.find(text[start], start + 1)
        if end < 0:
            raise InputError(f"formula '{formula}': a {text[start]} is not closed")
        return end
    index = start + 1
    while index < len(text):
        char = text[index]
        if char == _CLOSES[text[start]]:
            return index
        if char in _CLOSES or char in _QUOTES:
            index = _matching(text, index, formula)
        elif char in _CLOSES.values():
            break
        index += 1
    raise InputError(f"formula '{formula}': a {text[start]} is not closed")


def _bare(piece: str) -> str:
    """Blank out quoted text and backticked names."""
    return QUOTED.sub(" ", piece)


def _check_powers(right: str, text: str) -> None:
    """Refuse powers that the formula language would silently drop."""
    bare = _bare(right)
    if "^" in bare:
        raise InputError(
            f"formula '{text}': write ** instead of ^, and powers of numbers inside I(), "
            "as in I(x**2)"
        )
    calls: list[bool] = []  # of every open bracket: does it hold arithmetic?
    closed_group = False
    previous = ""
    for index, char in enumerate(bare):
        if bare.startswith("**", index) and not any(calls) and not closed_group:
            raise InputError(
                f"formula '{text}': ** raises a parenthesised sum of terms to a power; for the "
                "power of a number write I(x**2)"
            )
        if char in _CLOSES:
            calls.append(char == "{" or (char == "(" and bool(re.match(r"[\w.]", previous))))
        elif char in _CLOSES.values() and calls:
            closed_group = not calls.pop()
            previous = char
            continue
        if not char.isspace() and char != "*":
            closed_group = False
        previous = char
