"""Scores for results that carry predictions only: each benchmark's own rule, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.scoring.anls import anls
from analysis.scoring.exact import exact
from analysis.scoring.multiple_choice import multiple_choice, unreadable
from analysis.scoring.relaxed import relaxed
from analysis.scoring.vqa_soft import (
    unanimous_near_misses,
    vqa_soft,
    vqa_soft_evalai,
    vqa_soft_simple,
)
from analysis.scoring.yes_no import neither_word, yes_no, yes_no_summary

__all__ = ["SCORERS", "Scored", "exact", "score", "yes_no_summary"]

Scorer = Callable[[pd.Series, pd.Series], np.ndarray]

SCORERS: dict[str, Scorer] = {
    "exact": exact,
    "vqa-soft": vqa_soft,
    "vqa-soft-simple": vqa_soft_simple,
    "vqa-soft-evalai": vqa_soft_evalai,
    "relaxed": relaxed,
    "anls": anls,
    "yes-no": yes_no,
    "multiple-choice": multiple_choice,
}
"""Name in a manifest's `scorer` to its rule: predictions and answers to scores in [0, 1]."""


@dataclass(frozen=True)
class Scored:
    """Scores and what a reader of them should know.

    Attributes
    ----------
    scores : ndarray of float64, shape (n,)
        In [0, 1].
    notes : tuple of str
        Replies that the rule could not read, or refused on a point of form.
    """

    scores: np.ndarray
    notes: tuple[str, ...] = ()


def score(
    rule: str, predictions: pd.Series, answers: pd.Series, options: pd.Series | None = None
) -> Scored:
    """Score predictions by a rule, and count those that it cannot read.

    Parameters
    ----------
    rule : str
        A name in `SCORERS`.
    predictions : Series of str
        One reply a row.
    answers : Series of list of str
        The accepted answers of the same row.
    options : Series of list of str, optional
        The options of the same row; for multiple-choice.

    Returns
    -------
    Scored
        Scores and notes.

    Raises
    ------
    InputError
        Answers that the rule cannot be used with.
    """
    if rule == "multiple-choice":
        given = multiple_choice(predictions, answers, options)
        return _counted(
            *(given, unreadable(predictions, answers, options)),
            "name no option, or more than one, and score 0",
        )
    given = SCORERS[rule](predictions, answers)
    if rule == "yes-no":
        return _counted(
            given,
            neither_word(predictions),
            "have neither the word yes nor No, no or not where POPE's rule looks for them, and "
            "count as yes",
        )
    if rule == "vqa-soft":
        return _counted(
            *(given, unanimous_near_misses(predictions, answers)),
            "differ only in case or punctuation from the answer that everyone gave, and score 0 as "
            "in the official evaluator; scorer: vqa-soft-evalai would accept them",
        )
    return Scored(given)


def _counted(scores: np.ndarray, count: int, what: str) -> Scored:
    notes = (f"{count:,} of {len(scores):,} predictions {what}",) if count else ()
    return Scored(scores, notes)
