"""Relaxed accuracy of ChartQA (Masry et al. 2022): numbers within 5 %, texts exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.scoring.pairs import Texts, over_pairs

TOLERANCE = 0.05


def relaxed(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score 1 where the prediction is within 5 % of an answer, or is that text.

    If prediction and answer are both numbers and the answer is not 0, the prediction may be off by
    up to 5 % of the answer; otherwise the texts must be the same but for case. A number is what
    Python reads as one (``1e3``, ``1_000``, not ``1,000``); ``5%`` is 0.05, in answers too. White
    space around a prediction or an answer is removed first, which the published code leaves to
    its caller.

    Parameters
    ----------
    predictions : Series of str
        One answer a row.
    answers : Series of list of str
        The accepted answers of the same row.

    Returns
    -------
    ndarray of float64, shape (n,)
        0.0 or 1.0; the best over the answers.

    References
    ----------
    `relaxed_correctness` in `pix2struct/metrics.py` of github.com/google-research/pix2struct,
    commit 945f27e9, which lmms-eval and VLMEvalKit use; Masry et al. (2022), section 5.1,
    doi:10.18653/v1/2022.findings-acl.177.
    """

    def rule(said: str, accepted: Texts) -> float:
        return float(any(_near(said.strip(), text.strip()) for text in accepted))

    return over_pairs(rule, predictions, answers)


def _near(said: str, answer: str) -> bool:
    number, target = _number(said), _number(answer)
    if number is None or not target:
        return said.lower() == answer.lower()
    return abs(number - target) / abs(target) <= TOLERANCE


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
