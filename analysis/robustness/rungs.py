"""The question asked under random effects: a saturated mixed logit on each rung that holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.mixed.coordinates import row_variances
from analysis.mixed.fitting import fit
from analysis.mixed.integrating import averaged
from analysis.mixed.ladder import left_for
from analysis.mixed.modes import model_of
from analysis.mixed.result import MixedFit
from analysis.optimum.cells import best_index
from analysis.optimum.common import CommonOptimum, common_optimum
from analysis.optimum.curves import CurveData
from analysis.optimum.rung import RUNGS, TERMS, TOO_CONSTANT, ready_frame, why_not
from complexity.errors import InputError

Array = NDArray[np.float64]
#: Larger tables are not asked this way: three fits of a saturated curve take too long.
MOST_ROWS = 200_000


def on_rungs(
    data: CurveData,
    samples: pd.Series,
    at: tuple[float, float],
    rng: np.random.Generator,
    *,
    alpha: float,
    n_draws: int,
) -> Iterator[tuple[int, CommonOptimum, tuple[int, int]]]:
    """Ask for a common optimum on each rung of the ladder that holds.

    The curve is saturated (k as a factor, times complexity), so that nothing hangs on a
    quadratic; accuracies are averaged over the random effects, and their covariance is the delta
    method's, from the joint covariance of coefficients and variances.

    Parameters
    ----------
    data : CurveData
        Rows of one model, scores 0 or 1.
    samples : Series, length n
        Question of each row.
    at : tuple of float
        Standardised complexities of the two ends.
    rng : numpy.random.Generator
    alpha, n_draws
        As for `analysis.optimum.common.common_optimum`.

    Yields
    ------
    rung : int
        From 1, the richest.
    found : CommonOptimum
    best : tuple of int
        Arg max at the two ends.
    """
    frame = ready_frame(data, samples)
    if len(frame) > MOST_ROWS or why_not(data, frame, TOO_CONSTANT) is not None:
        return
    dummies = {f"k{k}": (data.k == k).astype(np.float64) for k in data.ks[1:]}
    frame = frame.assign(**dummies)
    covariates = [f"z{i}" for i in range(data.covariates.shape[1])]
    fixed = "score ~ " + " + ".join([f"({' + '.join(dummies)}) * c", *covariates])
    for number, random in enumerate(RUNGS, 1):
        try:
            fitted = fit(f"{fixed} + {random}", frame, family="binomial")
        except InputError:
            continue
        if left_for(fitted) is not None:
            continue
        means, covariance = averaged_ends(data, fitted, at)
        n_images = int(data.image.max()) + 1
        found = common_optimum(
            data.ks, means, covariance, [n_images] * 2, rng, alpha=alpha, n_draws=n_draws
        )
        low, high = (data.ks[best_index(mean)] for mean in means)
        yield number, found, (low, high)


def averaged_ends(
    data: CurveData, fitted: MixedFit, at: tuple[float, float]
) -> tuple[list[Array], Array]:
    """Averaged accuracy by k at each end, and the covariance of all of them.

    Returns
    -------
    list of ndarray, shape (K,)
        One per end.
    ndarray, shape (2 K, 2 K)
        With the ridge of `analysis.optimum.common.common_on_curve`.
    """
    model = model_of(fitted)
    assert model.joint is not None
    n_k, m = len(data.ks), len(data.profiles)
    k = np.repeat(np.asarray(data.ks), m)
    x = np.log2(k.astype(np.float64))
    powers = dict(zip(TERMS, (np.ones_like(x), x, x**2), strict=True))
    Z = [np.column_stack([powers[name] for name in block.names]) for block in model.design.random]
    variance, to_theta = row_variances(model.theta, model.transforms, Z)
    profiles = np.tile(data.profiles, (n_k, 1))
    means, jacobians = [], []
    for c in at:
        columns = {"Intercept": np.ones_like(x), "c": np.full_like(x, c)}
        columns |= {f"z{i}": profiles[:, i] for i in range(profiles.shape[1])}
        for level in data.ks[1:]:
            columns[f"k{level}"] = (k == level).astype(np.float64)
            columns[f"k{level}:c"] = c * columns[f"k{level}"]
        X = np.column_stack([columns[name] for name in fitted.names])
        mean, to_eta, to_variance = averaged(X @ fitted.params, variance)
        slope = np.hstack([to_theta * to_variance[:, None], X * to_eta[:, None]])
        means.append(mean.reshape(n_k, m) @ data.profile_shares)
        jacobians.append(np.einsum("kmp,m->kp", slope.reshape(n_k, m, -1), data.profile_shares))
    jacobian = np.vstack(jacobians)
    ridge = np.eye(len(jacobian)) / (2 * (len(data.k) / n_k) ** 2)
    return means, jacobian @ model.joint @ jacobian.T + ridge
