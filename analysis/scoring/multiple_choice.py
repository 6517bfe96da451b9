"""Multiple choice: which option a reply names; a reply that names none, or two, scores 0."""

from __future__ import annotations

import functools
import re
import string
import unicodedata

import numpy as np
import pandas as pd

from analysis.scoring.pairs import Texts, number_lists, over_pairs
from complexity.errors import InputError, listing

LETTERS = string.ascii_uppercase
_WRAPPED = re.compile(r"\\(?:boxed|text|textbf|mathrm)\{([^{}]*)\}|\*\*|__|\$|`")
_ALONE = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:,;!]?")
_LEADING = re.compile(r"(?:[(\[]([A-Za-z])[)\]][.:,]?|([A-Za-z])[).:](?!\w))(?=\s|$)")
_STATED = re.compile(
    r"\b(?:answers?|options?|choices?)\b(?:\s+(?:is|are|would be|should be|option|choice|letter))*"
    r"\s*[:=]?\s*[(\[]?([A-Z])\b[)\]]?(?!['’])",
    re.IGNORECASE,
)
_ANOTHER = re.compile(r"\s*(?:,|/|&|or\b|and\b)\s*[(\[]?[A-Z](?![\w'’])")
_NO_ARTICLE = re.compile(r"(?:or|and|because|since|as|is|was|seems|fits|for|with)\b")
_STANDING = re.compile(r"(?<![\w'’])[(\[]?([A-Z])[)\]]?(?![\w'’])")


def multiple_choice(
    predictions: pd.Series, answers: pd.Series, options: pd.Series | None = None
) -> np.ndarray:
    """Score 1 where the reply names the right option.

    Parameters
    ----------
    predictions : Series of str
        One reply a row.
    answers : Series of list of str
        The right option of the same row: its letter, or its text (several: any of them).
    options : Series of list of str, optional
        The texts of the options A, B, C, … of the same row. Without them replies can name letters
        only.

    Returns
    -------
    ndarray of float64, shape (n,)
        0.0 or 1.0. A reply that `chosen` cannot read scores 0.
    """
    return (over_pairs(_points, predictions, _joined(answers, options)) > 0).astype(np.float64)


def unreadable(predictions: pd.Series, answers: pd.Series, options: pd.Series | None = None) -> int:
    """Count the replies that name no option, or more than one."""
    return int((over_pairs(_points, predictions, _joined(answers, options)) < 0).sum())


def _joined(answers: pd.Series, options: pd.Series | None) -> list[Texts]:
    """Put the number of answers, the answers and the options of each row into one list."""
    right, rights = number_lists(answers)
    none: list[Texts] = [()] * len(answers)
    texts, choices = number_lists(none if options is None else options)
    made: dict[tuple[int, int], Texts] = {}
    pairs = list(zip(right.tolist(), texts.tolist(), strict=True))
    for pair in dict.fromkeys(pairs):
        accepted, offered = rights[pair[0]], choices[pair[1]]
        _refuse(accepted, offered)
        made[pair] = (str(len(accepted)), *accepted, *offered)
    return [made[pair] for pair in pairs]


def _refuse(accepted: Texts, offered: Texts) -> None:
    if len(offered) > len(LETTERS):
        raise InputError(
            f"scorer multiple-choice knows options A to Z, but a question has {len(offered)}: "
            f"{listing(offered)}; leave the question out"
        )
    if not right_letters(accepted, offered):
        among = f"none of its options ({listing(offered)})" if offered else "no letter"
        raise InputError(
            f"scorer multiple-choice: the answer {listing(map(repr, accepted))} of a question is "
            f"{among}; give the letter or the text of the right option, and the options in a "
            f"column `options` of the samples"
        )


def _points(said: str, joined: Texts) -> float:
    count = int(joined[0])
    answers, options = joined[1 : count + 1], joined[count + 1 :]
    letter = chosen(said, options)
    return -1.0 if letter is None else float(letter in right_letters(answers, options))


@functools.lru_cache(maxsize=1 << 16)
def right_letters(answers: Texts, options: Texts) -> frozenset[str]:
    """Return the letters that answers given as letters or as texts stand for.

    An answer that is the text of an option is that option, even if it looks like a letter.
    """
    found = set()
    for answer in answers:
        same = [LETTERS[i] for i, text in enumerate(options) if _plain(text) == _plain(answer)]
        bare = answer.strip().strip("()[].").upper()
        found |= set(same) or ({bare} if len(bare) == 1 and bare in LETTERS else set())
    return frozenset(found)


@functools.lru_cache(maxsize=1 << 16)
def chosen(reply: str, options: Texts = ()) -> str | None:
    r"""Say which option a reply names.

    The first of these that applies, after bold, ``$`` and ``\boxed{}`` were taken off:

    1. the reply is an option's text (case, accents' encoding, blanks and a final full stop aside);
    2. the reply is a letter: ``B``, ``b``, ``(B)``, ``B.``;
    3. it begins with a marked letter: ``B. text``, ``B) text``, ``(B) text``, ``B: text``;
    4. it states one: ``answer is B``, ``Answer: (B)``, ``option B``;
    5. exactly one option is named in it: by its text as whole words (a text within a longer one
       that is there does not count) or by a capital letter that stands alone. *A* or *I* before a
       word in lower case is an article or a pronoun, but for *A* before *or*, *and*, *is*,
       *because* and other words that no article goes before.

    Several different letters under 3 and 4, or several options under 5, are ambiguous, and so is a
    letter followed by another (``A or B``, ``(A), (C)``): none is named. A letter beyond the
    options is none.

    Parameters
    ----------
    reply : str
        What the model said.
    options : tuple of str
        Their texts, at most 26; empty if unknown, then any letter is an option.

    Returns
    -------
    str or None
        ``A``, ``B``, …; None if no option, or more than one, is named.
    """
    text = _WRAPPED.sub(lambda match: match[1] or "", reply).strip()
    known = LETTERS[: len(options)] if options else LETTERS
    plain = [_plain(option) for option in options]
    same = [known[i] for i, option in enumerate(plain) if option and option == _plain(text)]
    if same:
        return same[0] if len(same) == 1 else None
    alone = _ALONE.fullmatch(text)
    if alone:
        return _within(alone[1], known)
    marked = [m for line in text.splitlines() if (m := _LEADING.match(line.strip()))]
    if marked and not _LEADING.match(text):
        marked = []
    stated = [m for m in _STATED.finditer(text) if _letter_like(m)]
    letters = {(m[1] or m[2]).upper() for m in marked} | {m[1].upper() for m in stated}
    if letters:
        several = any(_ANOTHER.match(m.string, m.end()) for m in (*marked, *stated))
        return _within(letters.pop(), known) if len(letters) == 1 and not several else None
    standing = {m[1] for m in _STANDING.finditer(text) if _letter_like(m)} & set(known)
    named = standing | {known[i] for i in _texts_in(_plain(text), plain)}
    return named.pop() if len(named) == 1 else None


def _within(letter: str, known: str) -> str | None:
    return letter.upper() if letter.upper() in known else None


def _letter_like(match: re.Match[str]) -> bool:
    """Tell an option's letter from an article or a pronoun."""
    if "(" in match[0] or "[" in match[0]:
        return True
    if match[1] not in "AaIi":
        return match[1].isupper()
    after = match.string[match.end() :].lstrip(" ")
    article = after[:1].islower() and not (match[1] == "A" and _NO_ARTICLE.match(after))
    return match[1].isupper() and not article


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).casefold()
    return " ".join(folded.split()).removesuffix(".").strip()


def _texts_in(reply: str, options: list[str]) -> list[int]:
    """Find the options whose text is in the reply as whole words, longest first."""
    found, rest = [], reply
    for place in sorted(range(len(options)), key=lambda i: -len(options[i])):
        if not options[place]:
            continue
        pattern = rf"(?<!\w){re.escape(options[place])}(?!\w)"
        shorter = re.sub(pattern, "\0", rest)
        if shorter != rest:
            found.append(place)
            rest = shorter
    return found
