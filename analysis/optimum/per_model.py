"""From a table of scores to an answer for each model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.optimum.answer import ShiftAnswer
from analysis.optimum.answers import Answers
from analysis.optimum.cells import without_scores
from analysis.optimum.curves import standardise
from analysis.optimum.max_t import SETS_BY, Reference
from analysis.optimum.one_model import answer_model
from analysis.optimum.usable import check_complexity
from analysis.threads import one_thread
from complexity.errors import InputError, did_you_mean, listing

SEED = 20261123
N_BOOT = 2_000
ALPHA = 0.05
MARGIN = 0.01


@one_thread
def analyse(
    table: pd.DataFrame,
    metric: str,
    labels: pd.Series,
    *,
    covariates: Sequence[str] = (),
    every_bucket: bool = False,
    margin: float = MARGIN,
    mixed_model: bool = False,
    seed: int = SEED,
    n_boot: int = N_BOOT,
    alpha: float = ALPHA,
    method: Reference = SETS_BY,
) -> Answers:
    """Answer, for each model of a table, where the optimal k is and whether it shifts.

    Parameters
    ----------
    table : DataFrame
        One row per model × sample × k with `model`, `image_id`, `sample_id`, `k`, `score`,
        the metric and the covariates.
    metric : str
        Column with the complexity of the row's image.
    labels : Series of ordered categories, index image id
        Complexity bucket of each image; its first and last category are the two ends.
    covariates : sequence of str
        Columns the regressions adjust for.
    every_bucket : bool
        Ask for a k that serves every bucket instead of the first and the last (for buckets
        without an order).
    margin : float
        Accuracy that one k for all may lose and still count as equivalent.
    mixed_model : bool
        Fit mixed logits too (`analysis.optimum.rung`), a second opinion.
    seed : int
        Seed of bootstrap and Monte Carlo; each model and metric draws from its own stream, so
        that adding one does not change another's figures.
    n_boot : int
        Image-cluster bootstrap resamples of the arg max.
    alpha : float
        Level of tests and of the sets of k.
    method : {"t", "bootstrap", "multiplier", "rademacher"}
        Reference distribution behind the sets of k of single groups and the intervals of gains
        (`analysis.optimum.max_t`); the test of a common optimum does not change with it.

    Returns
    -------
    Answers
        A tuple with one per model, in the order of first appearance; its `unanswered` has the
        models without an answer and why.

    Raises
    ------
    InputError
        When a column is missing, the metric is constant, or no model can be answered: it has
        no two values of k, or an end of complexity has fewer than two images.
    """
    _check(table, metric, covariates)
    scored = table[table["score"].notna()]
    known = scored[metric].notna()
    lost = scored[~known].groupby("model", observed=True)["sample_id"].nunique()
    rows = scored[known]
    # One order whatever the table's: sums in another order differ in the last bits.
    rows = rows.assign(image_id=rows["image_id"].astype(str))
    models = rows["model"].unique()
    rows = rows.sort_values(["image_id", "sample_id", "k"], kind="stable")
    labels = labels.rename(index=str)
    pairs = rows[["image_id", metric]].drop_duplicates()
    twice = pairs.loc[pairs["image_id"].duplicated(), "image_id"].unique()
    if len(twice):
        raise InputError(
            f"'{metric}' differs between rows of one image ({listing(twice)}): complexity is a "
            "property of the image."
        )
    by_image = pairs.set_index("image_id")[metric].astype(float)
    check_complexity(by_image, metric)
    c = standardise(by_image)
    empty_k = {
        str(model): without_scores(of_model)
        for model, of_model in table.groupby("model", observed=True)
    }
    answers: list[ShiftAnswer] = []
    unanswered: dict[str, str] = {}
    present = [str(name) for name in models]
    for name in table["model"].dropna().unique():
        if str(name) not in present:
            unanswered[str(name)] = f"none of its rows has both a score and {metric}."
    of_models = dict(iter(rows.groupby("model", sort=False, observed=True)))
    for model in models:
        of_model = of_models[model]
        if of_model["k"].nunique() < 2:
            unanswered[str(model)] = (
                f"it has results at one k only (k = {of_model['k'].iloc[0]}): an optimal k needs "
                "results at two or more."
            )
            continue
        # A stream of its own for each model and metric.
        digest = hashlib.sha256(f"{model}\0{metric}".encode()).digest()
        stream = np.random.SeedSequence([seed, *digest])
        rng = np.random.default_rng(stream)
        try:
            answers.append(
                answer_model(
                    str(model),
                    of_model,
                    metric,
                    by_image,
                    c,
                    labels,
                    empty_k=empty_k[str(model)],
                    n_lost=int(lost.get(model, 0)),
                    covariates=covariates,
                    every_bucket=every_bucket,
                    margin=margin,
                    mixed_model=mixed_model,
                    rng=rng,
                    n_boot=n_boot,
                    alpha=alpha,
                    method=method,
                )
            )
        except InputError as error:
            # One model that cannot be answered must not silence the others.
            unanswered[str(model)] = str(error)
    if answers:
        return Answers(answers, unanswered)
    if (rows.groupby("model", observed=True)["k"].nunique() < 2).all():
        raise InputError(
            f"every model has results at one k only (k = {listing(sorted(rows['k'].unique()))}): "
            "an optimal k needs results at two or more. Add the others under `results:`."
        )
    if len(set(unanswered.values())) == 1:
        raise InputError(next(iter(unanswered.values())))
    reasons = [f"{model}: {why}" for model, why in unanswered.items()]
    raise InputError(f"no model can be answered by {metric}. {listing(reasons)}")


def _check(table: pd.DataFrame, metric: str, covariates: Sequence[str]) -> None:
    for name in ("model", "image_id", "sample_id", "k", "score", metric, *covariates):
        if name not in table.columns:
            raise InputError(
                f"the table has no column '{name}'{did_you_mean(name, map(str, table.columns))}. "
                "It needs model, image_id, sample_id, k, score, the metric and the covariates."
            )
    values = table[metric]
    if not pd.api.types.is_numeric_dtype(values):
        raise InputError(
            f"column '{metric}' holds text or infinite values: a complexity metric must be a "
            "finite number (or missing) on every row."
        )
