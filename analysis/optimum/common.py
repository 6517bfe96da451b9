"""Is there one k that serves everywhere?  The test behind the word "shift"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.curves import CurveData, CurveFit, averaged_curve

Array = NDArray[np.float64]

DRAWS = 200_000
METHOD = (
    "no common optimum: intersection-union over k of the largest studentised shortfall, "
    "image-cluster covariance, t Monte Carlo with Hansen (2005) recentring"
)


@dataclass(frozen=True)
class CommonOptimum:
    """Which k may be optimal in every one of some groups of images at once.

    Attributes
    ----------
    ks : tuple of int, length K
        The k grid.
    p_by_k : tuple of float, length K
        p of the null "this k is optimal in every group".
    p : float
        p of the null "some k is optimal in every group": the largest of `p_by_k`.
    kept : tuple of int
        The k not rejected: a confidence set of level 1 - alpha for a common optimum.
    alpha : float
        The level behind `kept`.
    n_draws : int
        Monte Carlo draws behind the p-values; none is below ``1 / (1 + n_draws)``.
    method : str
        How the p-values were obtained.
    """

    ks: tuple[int, ...]
    p_by_k: tuple[float, ...]
    p: float
    kept: tuple[int, ...]
    alpha: float
    n_draws: int
    method: str = METHOD

    def borderline(self) -> tuple[int, ...]:
        """Name the k whose p lies within three Monte Carlo standard errors of alpha."""
        error = (self.alpha * (1 - self.alpha) / self.n_draws) ** 0.5
        return tuple(
            k for k, p in zip(self.ks, self.p_by_k, strict=True) if abs(p - self.alpha) < 3 * error
        )


def common_optimum(
    ks: Sequence[int],
    means: Sequence[Array],
    covariance: Array,
    n_images: Sequence[int],
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
    n_draws: int = DRAWS,
) -> CommonOptimum:
    """Test, for every k, that it is optimal in all groups at once.

    For a candidate k the null says that every other k' is at most as accurate in every group
    g: ``d = m_g(k') - m_g(k) <= 0``. The statistic is the largest of 0 and all
    ``d / se(d)``. Its null distribution is that of the same maximum over draws from a
    multivariate t (G - 1 degrees of freedom in a group of G images) with the estimated
    covariance, recentred after Hansen (2005): a d clearly below 0 (studentised,
    at most ``-sqrt(2 log log n)``, n the images of its group) keeps its estimate as mean and
    so drops out of the maximum; every other d has mean 0. "A single k is optimal everywhere"
    is the union of these nulls over k, so its p is the largest (intersection-union test;
    Berger 1982, Technometrics 24(4), 295-300). With one group the k kept are those not
    distinguishable from its best.

    Parameters
    ----------
    ks : sequence of int, length K
        The k grid, at least two.
    means : sequence of ndarray, shape (K,)
        Mean score by k, one array per group; E groups.
    covariance : ndarray, shape (E K, E K)
        Joint covariance of all means, group by group; groups of different images have zeros
        between them (`scipy.linalg.block_diag`). Every contrast needs a positive variance
        (`Cells.test_covariance`).
    n_images : sequence of int
        Images behind each group.
    rng : numpy.random.Generator
        The source of the draws.
    alpha : float
        One minus the level of the confidence set.
    n_draws : int
        Number of draws; the Monte Carlo standard error of a p near .05 is
        ``sqrt(.05 * .95 / n_draws)``, .0007 at the default.

    Returns
    -------
    CommonOptimum
        p by k, the largest of them, and the k not rejected.

    References
    ----------
    Hansen, P. R. (2005). A test for superior predictive ability. Journal of Business &
    Economic Statistics, 23(4), 365-380. doi:10.1198/073500105000000063
    """
    n_groups, n_k = len(means), len(ks)
    shape = (n_groups, n_k, n_groups, n_k)
    blocks = covariance.reshape(shape)[range(n_groups), :, range(n_groups), :]
    draws = gaussian_draws(covariance, n_draws, rng).reshape(n_draws, n_groups, n_k)
    for group, n in enumerate(n_images):
        draws[:, group] /= np.sqrt(rng.chisquare(n - 1, (n_draws, 1)) / (n - 1))
    p_by_k = [
        _p_of_candidate(candidate, means, blocks, n_images, draws) for candidate in range(n_k)
    ]
    return CommonOptimum(
        ks=tuple(ks),
        p_by_k=tuple(p_by_k),
        p=max(p_by_k),
        kept=tuple(k for k, p in zip(ks, p_by_k, strict=True) if p > alpha),
        alpha=alpha,
        n_draws=n_draws,
    )


def common_on_curve(
    data: CurveData,
    fitted: CurveFit,
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
    n_draws: int = DRAWS,
) -> CommonOptimum:
    """Apply `common_optimum` to a regression's curves at -1 and +1 SD of complexity.

    A level beyond the 5th or the 95th percentile of the rows is drawn in to it; `method` of the
    result has the levels. Both curves come from one fit, so their joint covariance is drawn at
    once. It uses every image, and leans on the curve's changing linearly with complexity.

    Parameters
    ----------
    data : CurveData
        The rows behind the fit.
    fitted : CurveFit
        A saturated curve.
    rng : numpy.random.Generator
        The source of the draws.
    alpha, n_draws
        As for `common_optimum`.
    """
    # Never beyond the data: a skewed metric may have no image at -1 SD.
    c_low = max(-1.0, float(np.quantile(data.c, 0.05)))
    c_high = min(1.0, float(np.quantile(data.c, 0.95)))
    low, jac_low = averaged_curve(data, fitted, c_low)
    high, jac_high = averaged_curve(data, fitted, c_high)
    jacobian = np.vstack([jac_low, jac_high])
    covariance = jacobian @ fitted.fit.cov @ jacobian.T
    ridge = np.eye(len(covariance)) / (2 * (len(data.k) / len(data.ks)) ** 2)
    found = common_optimum(
        data.ks,
        [low, high],
        covariance + ridge,
        [fitted.fit.n_clusters] * 2,
        rng,
        alpha=alpha,
        n_draws=n_draws,
    )
    scale = "" if fitted.link == "logit" else " on the probability scale"
    return replace(
        found,
        method=(
            f"the same test on the saturated regression{scale} at {c_low:+.3g} and {c_high:+.3g} SD"
        ),
    )


def gaussian_draws(covariance: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Draw from a centred Gaussian, shape (n_draws, K).

    Parameters
    ----------
    covariance : ndarray, shape (K, K)
        Positive semi-definite; singular is allowed.
    n_draws : int
        How many.
    rng : numpy.random.Generator
        The source of randomness.
    """
    # The symmetric root does not depend on the signs that LAPACK gives to eigenvectors.
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return np.asarray(rng.standard_normal((n_draws, len(values))) @ root, dtype=np.float64)


def t_draws(covariance: Array, n_images: int, n_draws: int, rng: np.random.Generator) -> Array:
    """Draw from a centred multivariate t with ``n_images - 1`` degrees of freedom.

    Parameters
    ----------
    covariance : ndarray, shape (K, K)
        Scale matrix: the estimated covariance.
    n_images : int
        Images it was estimated from, at least two.
    n_draws : int
        How many.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray, shape (n_draws, K)
        One draw a row.
    """
    df = n_images - 1
    draws = gaussian_draws(covariance, n_draws, rng)
    return np.asarray(draws / np.sqrt(rng.chisquare(df, (n_draws, 1)) / df), dtype=np.float64)


def _p_of_candidate(
    candidate: int,
    means: Sequence[Array],
    blocks: Array,
    n_images: Sequence[int],
    draws: Array,
) -> float:
    statistic = 0.0
    null = np.zeros(len(draws))
    for group, (mean, covariance, n) in enumerate(zip(means, blocks, n_images, strict=True)):
        threshold = -np.sqrt(2 * np.log(np.log(max(n, 3))))
        variances = np.diag(covariance)
        for other in range(len(mean)):
            if other == candidate:
                continue
            variance = variances[other] + variances[candidate] - 2 * covariance[other, candidate]
            se = np.sqrt(variance)
            gain = (mean[other] - mean[candidate]) / se
            statistic = max(statistic, gain)
            centre = gain if gain <= threshold else 0.0
            np.maximum(
                null, (draws[:, group, other] - draws[:, group, candidate]) / se + centre, out=null
            )
    # Draws at exactly the statistic count against rejection; a statistic of 0 gives p = 1.
    return float((1 + np.count_nonzero(null >= statistic - 1e-12)) / (1 + len(null)))
