"""A rule for one prediction and its answers, applied to many at the cost of the distinct ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

Texts = tuple[str, ...]


def over_pairs(
    rule: Callable[[str, Texts], float],
    predictions: pd.Series,
    lists: pd.Series | Sequence[Texts],
) -> np.ndarray:
    """Score every row, each distinct pair of a prediction and a list once.

    A sweep over k asks the same questions again and mostly gets the same answers.

    Parameters
    ----------
    rule : callable
        Prediction and list (as a tuple) to a number.
    predictions : Series of str
        One a row.
    lists : Series of list of str
        The accepted answers, or what else the rule needs, of the same rows.

    Returns
    -------
    ndarray of float64, shape (n,)
        The rule's values.
    """
    said, texts = pd.factorize(predictions)
    listed, distinct = number_lists(lists)
    pairs, place = np.unique(
        said.astype(np.int64) * max(len(distinct), 1) + listed, return_inverse=True
    )
    values = [
        rule(texts[pair // len(distinct)], distinct[pair % len(distinct)])
        for pair in pairs.tolist()
    ]
    return np.array(values, dtype=np.float64)[place] if values else np.zeros(0)


def number_lists(lists: pd.Series | Sequence[Sequence[str]]) -> tuple[np.ndarray, list[Texts]]:
    """Give each distinct list a number.

    Parameters
    ----------
    lists : Series of list of str
        One a row.

    Returns
    -------
    codes : ndarray of int64, shape (n,)
        Each row's place in `distinct`.
    distinct : list of tuple of str
        In order of appearance.
    """
    # Lists that are one object (all rows of a sample) need comparing once only.
    unique = {id(item): item for item in lists}
    numbers: dict[Texts, int] = {}
    code = {key: numbers.setdefault(tuple(item), len(numbers)) for key, item in unique.items()}
    codes = np.fromiter((code[id(item)] for item in lists), dtype=np.int64, count=len(lists))
    return codes, list(numbers)
