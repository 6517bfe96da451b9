"""Results for samples that the study does not have: refused or set aside, and why they miss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from complexity.errors import InputError, listing

_SPELLINGS: dict[str, Callable[[str], str]] = {
    "without surrounding blanks": lambda t: t.strip(),
    "without leading zeros": lambda t: t.lstrip("0") or "0",
    "without a trailing .0": lambda t: t.removesuffix(".0"),
    "if upper and lower case were spelled the same": lambda t: t.casefold(),
}
_MEND = (
    "name the right column in columns: {sample_id: …}, say match: row if a log's ids are places, "
    "or correct the ids"
)


def spelling(theirs: Iterable[str], ours: Iterable[str]) -> str:
    """Say which difference of spelling keeps ids from matching.

    Parameters
    ----------
    theirs : iterable of str
        Ids without a match.
    ours : iterable of str
        Those they should match.

    Returns
    -------
    str
        Such as ``they would match without leading zeros``, or that they begin at another number;
        empty if no rule helps.
    """
    have, want = set(theirs), set(ours)
    for words, change in _SPELLINGS.items():
        known = {change(text) for text in want}
        n = sum(change(text) in known for text in have)
        if n:
            who = "they" if n == len(have) else f"{n:,} of them"
            return f"{who} would match {words}"
    for step, words in ((1, "from 0 and the others from 1"), (-1, "from 1 and the others from 0")):
        if have and all(_moved(text, step) in want for text in have):
            return f"they may be numbered {words}: then every match is one off"
    return ""


def _moved(text: str, step: int) -> str | None:
    """Add to the number at the end of an id, keeping its leading zeros."""
    found = re.fullmatch(r"(.*?)([0-9]+)", text, re.DOTALL)
    if not found or int(found[2]) + step < 0:
        return None
    return f"{found[1]}{int(found[2]) + step:0{len(found[2])}d}"


def _shown(theirs: Iterable[str], ours: Iterable[str]) -> str:
    have, want = list(theirs), list(ours)
    hint = spelling(have, want) or "both must be spelled the same"
    return (
        f"results have {listing(map(repr, have), shown=3)}, samples have "
        f"{listing(map(repr, want), shown=3)}; {hint}: {_MEND}"
    )


def _pairs(results: pd.DataFrame) -> list[tuple[str, int]]:
    rows = results[["model", "k"]].drop_duplicates()
    return [(str(model), int(k)) for model, k in rows.itertuples(index=False, name=None)]


def refuse_unknown(
    results: pd.DataFrame, known: np.ndarray, sample_ids: pd.Series, about: str
) -> None:
    """Refuse results of which all, or all of one model at one k, are for unknown samples.

    Parameters
    ----------
    results : DataFrame
        With `model`, `sample_id` and `k`.
    known : ndarray of bool
        Whether the samples have the row's id.
    sample_ids : Series
        The ids of samples.
    about : str
        What messages start with.

    Raises
    ------
    InputError
        Names model and k, ids of both sides and, where one is found, the difference.
    """
    want = [str(text) for text in pd.unique(sample_ids)]
    if not known.any():
        have = [str(text) for text in pd.unique(results["sample_id"])]
        raise InputError(
            f"{about}: none of the {len(have):,} sample ids in the results is in samples; "
            f"{_shown(have, want)}"
        )
    if known.all():
        return
    seen = set(_pairs(results.loc[known]))
    lost = [pair for pair in _pairs(results) if pair not in seen]
    if not lost:
        return
    named = listing(f"{model} at k = {k}" for model, k in lost)
    model, k = lost[0]
    rows = ((results["model"] == model) & (results["k"] == k)).to_numpy()
    have = [str(text) for text in pd.unique(results.loc[rows, "sample_id"])]
    first = f" ({model} at k = {k})" if len(lost) > 1 else ""
    raise InputError(
        f"{about}: all results of {named} are for samples that samples do not have{first}: "
        f"{_shown(have, want)}; or leave these results out"
    )


def refuse_unknown_file(results: pd.DataFrame, sample_ids: pd.Series, path: str) -> None:
    """Refuse a file of results of which every row is for an unknown sample.

    Parameters
    ----------
    results : DataFrame
        The file's, with `model`, `sample_id` and `k`.
    sample_ids : Series
        The ids of samples.
    path : str
        The file.

    Raises
    ------
    InputError
        Names the file, models and k, ids of both sides and, where one is found, the difference.
    """
    if results["sample_id"].isin(sample_ids).any():
        return
    have = [str(text) for text in pd.unique(results["sample_id"])]
    named = listing(f"{model} at k = {k}" for model, k in _pairs(results))
    raise InputError(
        f"{path}: none of the {len(have):,} sample ids in it ({named}) is in samples; "
        f"{_shown(have, [str(text) for text in pd.unique(sample_ids)])}"
    )
