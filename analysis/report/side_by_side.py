"""What each method says of the same results, side by side: one row per model and method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.report.side_by_side_methods import METHODS, Answer

#: The columns of `side_by_side`, and what they hold.
MEANINGS = {
    "metric": "complexity metric",
    "role": "primary or secondary",
    "model": "model",
    "method": "the method, in short",
    "question": "what it tests (its null) or estimates, in words",
    "statistic": "F, for tests that have one; chi-square where df2 is empty",
    "df": "its degrees of freedom",
    "df2": "its denominator degrees of freedom",
    "p": "p of the null, not adjusted",
    "p_adjusted": "p after Holm's adjustment, where the method has a family",
    "value": "the estimate where it is one number, in `unit`",
    "ci_low": "lower end of its 95 % interval",
    "ci_high": "upper end",
    "unit": "points (of accuracy) or doublings of k per SD (of complexity)",
    "estimate": "the estimate in words",
    "interval": "its interval or set in words",
    "how": "how p, interval or set was obtained, or why there is none",
    "verdict": "what the method says",
    "headline": "yes: decides; beside it: read with the headline; no: descriptive or not safe",
}


def side_by_side(answers: Sequence[Answer]) -> pd.DataFrame:
    """Spell what every method says of every model.

    Parameters
    ----------
    answers : sequence of mapping
        `optimum/*.json`.

    Returns
    -------
    DataFrame
        The columns of `MEANINGS`; one row per metric × model × method.
    """
    rows = [
        {"metric": answer["metric"], "role": answer.get("role"), "model": answer["model"], **row}
        for answer in answers
        for method in METHODS
        for row in method(answer)
    ]
    return pd.DataFrame(rows, columns=list(MEANINGS))
