"""Every model of a table: specifications, their joint test, and what leaving out changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.optimum.cells import cells_of, complete_samples
from analysis.robustness.joint import joint_test
from analysis.robustness.leave_out import leave_out
from analysis.robustness.specifications import as_frame, verdicts
from analysis.threads import one_thread
from complexity.errors import InputError
from complexity.files import plain


@one_thread
def robustness(
    table: pd.DataFrame,
    complexity: pd.DataFrame,
    labels: pd.Series,
    *,
    covariates: Sequence[str] = (),
    seed: int = 20261123,
    alpha: float = 0.05,
) -> list[dict[str, Any]]:
    """Ask each model's results in every way, and without some of the data.

    Parameters
    ----------
    table : DataFrame
        One row per model × sample × k with `model`, `image_id`, `sample_id`, `k`, `score` and
        the covariates.
    complexity : DataFrame, index image id
        One column per metric, the primary one first.
    labels : Series of ordered categories, index image id
        Buckets of the primary metric.
    covariates : sequence of str
    seed : int
        Each model draws from a stream of its own.
    alpha : float

    Returns
    -------
    list of dict
        One per model with two or more k: ``model``, ``primary`` (the metric),
        ``specifications`` (rows of `specifications.as_frame`), ``joint`` (`JointTest`),
        ``left_out`` (`leave_out.Without`). Plain values.
    """
    scored = table[table["score"].notna()].astype({"image_id": str})
    complexity = complexity.rename(index=str)
    found = []
    for model, rows in scored.groupby("model", sort=False, observed=True):
        if rows["k"].nunique() < 2:
            continue
        try:
            cells = cells_of(complete_samples(rows)[0])
        except InputError:
            continue  # it has no answer that could be asked otherwise
        digest = hashlib.sha256(f"{model}\0robustness".encode()).digest()
        many, shuffled, without = np.random.SeedSequence([seed, *digest]).spawn(3)
        asked = verdicts(rows, complexity, covariates, np.random.default_rng(many), alpha=alpha)
        if not asked:
            continue
        joint = joint_test(cells, complexity, np.random.default_rng(shuffled))
        left = leave_out(rows, labels.rename(index=str), covariates, without, alpha=alpha)
        found.append(
            {
                "model": str(model),
                "primary": str(complexity.columns[0]),
                "alpha": alpha,
                "specifications": as_frame(asked, str(model)).to_dict("records"),
                "joint": vars(joint),
                "left_out": [vars(item) for item in left],
            }
        )
    value = plain(found)
    assert isinstance(value, list)
    return value
