"""One primary analysis, declared before looking; everything else pays for being looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

METHOD = "Holm"


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values after Holm (1979); tests that could not be made stay None.

    Parameters
    ----------
    p_values : sequence of float or None
        A family of p-values.

    Returns
    -------
    list of float or None
        Adjusted p-values in the same order, at most 1.

    References
    ----------
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian
    Journal of Statistics, 6(2), 65-70.
    """
    from statsmodels.stats.multitest import multipletests

    made = [i for i, p in enumerate(p_values) if p is not None and np.isfinite(p)]
    adjusted: list[float | None] = [None] * len(p_values)
    if made:
        values = multipletests([p_values[i] for i in made], method="holm")[1]
        for i, value in zip(made, values, strict=True):
            adjusted[i] = float(value)
    return adjusted


def adjust_answers(answers: Mapping[str, list[dict[str, Any]]], primary: str, model: str) -> None:
    """Adjust the tests of all answers: Holm within the primary family, and within all the rest.

    Adds to each answer its `role`, to its tests `p_adjusted` and `adjusted_by`.

    Parameters
    ----------
    answers : mapping of str to list of dict
        By metric, an answer for each model.
    primary, model : str
        The primary metric and model; model ``all`` stands for every model.
    """

    def is_primary(answer: Mapping[str, Any]) -> bool:
        return answer["metric"] == primary and model in ("all", answer["model"])

    everything = [answer for found in answers.values() for answer in found]
    for family in (True, False):
        members = [answer for answer in everything if is_primary(answer) is family]
        for answer in members:
            answer["role"] = "primary" if family else "secondary"
        for test in ("interaction", "interaction_probability", "shift"):
            adjusted = holm([answer[test]["p"] for answer in members])
            for answer, p in zip(members, adjusted, strict=True):
                answer[test]["p_adjusted"] = p
                answer[test]["adjusted_by"] = f"{METHOD} over {len(members)} tests"
