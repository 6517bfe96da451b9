"""Yes or no (POPE, Li et al. 2023): accuracy by answer; F1 and the share of yes by set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.scoring.pairs import over_pairs
from complexity.errors import InputError, listing

NO = frozenset({"No", "no", "not"})


def says_yes(prediction: str) -> bool:
    """Read a reply as POPE does: no if its first sentence has the word *No*, *no* or *not*.

    The first sentence ends at the first full stop; commas are dropped; words stand between
    blanks. Anything else is yes, an empty reply and ``NO`` included. White space around the reply
    is removed first, which the published code leaves to its caller.

    References
    ----------
    `evaluate.py` of github.com/RUCAIBox/POPE, commit 3df3ba1b.
    """
    sentence = prediction.strip().split(".")[0]
    return NO.isdisjoint(sentence.replace(",", "").split(" "))


def yes_no(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score 1 where the reply, read by `says_yes`, is what the answer says.

    Parameters
    ----------
    predictions : Series of str
        One reply a row.
    answers : Series of list of str
        ``yes`` or ``no`` (upper or lower case), one a row.

    Returns
    -------
    ndarray of float64, shape (n,)
        0.0 or 1.0.

    Raises
    ------
    InputError
        An answer that is neither yes nor no.
    """
    replied = over_pairs(lambda said, _: says_yes(said), predictions, answers)
    right: np.ndarray = replied == _labels(answers)
    return right.astype(np.float64)


def _labels(answers: pd.Series | Sequence[Sequence[str]]) -> np.ndarray:
    unique = {id(item): item for item in answers}
    truth: dict[int, float] = {}
    wrong = []
    for key, item in unique.items():
        said = {text.strip().lower() for text in item}
        if said == {"yes"} or said == {"no"}:
            truth[key] = float(said == {"yes"})
        else:
            wrong.append(list(item))
    if wrong:
        raise InputError(
            f"scorer yes-no needs the answer yes or no for each question, not {listing(wrong)}; "
            f"correct the answers or choose another scorer"
        )
    return np.fromiter((truth[id(item)] for item in answers), dtype=np.float64, count=len(answers))


def neither_word(predictions: pd.Series) -> int:
    """Count replies with neither *yes* nor one of POPE's three words for no, which count as yes."""
    said, texts = pd.factorize(predictions)
    unread = np.array([_unread(text) for text in texts] or [False])
    return int(unread[said].sum())


def _unread(text: str) -> bool:
    words = text.lower().replace(",", " ").replace(".", " ").split()
    return says_yes(text) and "yes" not in words


def yes_no_summary(
    predictions: pd.Series, answers: pd.Series, by: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Summarise replies as POPE reports them: for the whole set, or by model, k and the like.

    Parameters
    ----------
    predictions, answers : Series
        As for `yes_no`.
    by : DataFrame, optional
        Columns to group by, of the same rows in the same order.

    Returns
    -------
    DataFrame
        One row per group, sorted, `by`'s columns first. `n` replies; `accuracy`; `precision`,
        `recall` and `f1` of yes, missing where their denominator is 0; `yes_ratio`, the share
        of replies that say yes; `unread`, replies counted as yes without the word.
    """
    said = over_pairs(lambda reply, _: says_yes(reply), predictions, answers)
    true = _labels(answers)
    unread = {text: float(_unread(text)) for text in predictions.unique()}
    counted = pd.DataFrame(
        {
            "n": 1.0,
            "right": said == true,
            "both": said * true,
            "said": said,
            "true": true,
            "unread": predictions.map(unread).to_numpy(),
        },
        dtype=np.float64,
        index=range(len(said)),
    )
    if by is None:
        total = counted.sum().to_frame().T
        keys = pd.DataFrame(index=total.index)
    else:
        columns = list(by.columns)
        sums = counted.groupby([by[name].to_numpy() for name in columns], sort=True).sum()
        total = sums.reset_index(drop=True)
        keys = sums.index.to_frame(index=False)
        keys.columns = pd.Index(columns)
    precision = total["both"] / total["said"].mask(total["said"] == 0)
    recall = total["both"] / total["true"].mask(total["true"] == 0)
    f1 = 2 * precision * recall / (precision + recall).mask(precision + recall == 0)
    return keys.assign(
        n=total["n"].astype("int64"),
        accuracy=total["right"] / total["n"],
        precision=precision,
        recall=recall,
        f1=f1,
        yes_ratio=total["said"] / total["n"],
        unread=total["unread"].astype("int64"),
    )
