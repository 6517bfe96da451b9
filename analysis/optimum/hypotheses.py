"""Tests of the regression curves: interaction, linearity, lack of fit, and the quadratic's say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.mixed.logit import logit_clustered
from analysis.mixed.wald import wald_test
from analysis.numerals import p_value
from analysis.optimum.answer import Optimum
from analysis.optimum.cautions import INTERACTION
from analysis.optimum.curves import CurveData, CurveFit, fit_curve, lack_of_fit_design, settled
from analysis.optimum.quadratic import NO_SIZE, Quadratic, quadratic_shift
from analysis.optimum.reported import ReportedTest
from complexity.errors import InputError

Array = NDArray[np.float64]


def interaction_test(fitted: CurveFit) -> ReportedTest:
    """Test that a saturated curve in k does not change with complexity.

    Parameters
    ----------
    fitted : CurveFit
        A saturated curve, logit or linear.

    Returns
    -------
    ReportedTest
        Robust Wald test of all k × c terms; not made, with the reason, on separation or when
        the fit did not converge. Its `caution` says that one scale alone is no headline.
    """
    fit = fitted.fit
    if fit.separated:
        reason = "separation: some k or covariate is always right or always wrong"
        return ReportedTest(None, None, None, None, reason)
    if not fit.converged:
        return ReportedTest(None, None, None, None, "the fit did not converge")
    terms = [name for name in fit.names if name.startswith("C(k)[") and name.endswith(":c")]
    test = wald_terms(fit.params, fit.cov, fit.names, terms, fit.n_clusters)
    return replace(test, caution=INTERACTION)


def widened_test(
    data: CurveData, X: Array, names: Sequence[str], extra: Sequence[str]
) -> ReportedTest:
    """Test that the extra terms of a wider logit are all 0."""
    try:
        wide = logit_clustered(data.score, X, data.image, names=names)
    except InputError as error:
        return ReportedTest(None, None, None, None, f"not estimable: {error}")
    if wide.separated or not wide.converged:
        return ReportedTest(None, None, None, None, "the wider curve could not be fitted")
    return wald_terms(wide.params, wide.cov, wide.names, extra, wide.n_clusters)


def wald_terms(
    params: Array, cov: Array, names: Sequence[str], terms: Sequence[str], n_clusters: int
) -> ReportedTest:
    """Test that named coefficients are all 0: robust Wald, p from F(q, G - 1).

    Parameters
    ----------
    params : ndarray, shape (p,)
    cov : ndarray, shape (p, p)
        Clustered covariance.
    names : sequence of str, length p
    terms : sequence of str
        Those under test.
    n_clusters : int
        Images, G.
    """
    if n_clusters <= len(names):
        reason = f"{n_clusters} images are too few for {len(names)} coefficients"
        return ReportedTest(None, None, None, None, reason)
    R = np.zeros((len(terms), len(names)))
    for row, term in enumerate(terms):
        R[row, list(names).index(term)] = 1.0
    result = wald_test(params, settled(cov), R, df_denom=n_clusters - 1)
    if not np.isfinite(result.statistic) or result.df < 1:
        return ReportedTest(None, None, None, None, "no variation to test")
    method = f"robust Wald, image-clustered CR1, F({result.df:g}, {n_clusters - 1})"
    return ReportedTest(result.statistic, result.df, float(n_clusters - 1), result.p, method)


def quadratic_opinion(
    data: CurveData, c: pd.Series, rng: np.random.Generator
) -> tuple[ReportedTest, Quadratic | None, tuple[CurveFit, ...]]:
    """Fit the quadratic and test it against the saturated curve.

    Parameters
    ----------
    data : CurveData
        Rows of one model.
    c : Series of float
        Standardised complexity by image.
    rng : numpy.random.Generator
        The source of the bootstrap of the size of shift.

    Returns
    -------
    ReportedTest
        Lack of fit, its change with complexity included.
    Quadratic or None
        Its no-shift test; None with under three k or without a fit.
    tuple of CurveFit
        The fitted quadratic, if any.
    """
    if len(data.ks) < 3:
        return ReportedTest(None, None, None, None, "needs four values of k"), None, ()
    fitted = fit_curve(data, "quadratic")
    if not fitted.fit.converged or fitted.fit.separated:
        reason = "the quadratic could not be fitted (separation or no convergence)"
        return ReportedTest(None, None, None, None, reason), None, ()
    c_range = (float(c.quantile(0.05)), float(c.quantile(0.95)))
    quadratic = quadratic_shift(fitted, c_range, rng)
    if len(data.ks) < 4:
        return ReportedTest(None, None, None, None, "needs four values of k"), quadratic, (fitted,)
    test = widened_test(data, *lack_of_fit_design(data))
    return test, quadratic, (fitted,)


def why_no_size(
    quadratic: Quadratic | None,
    lack_of_fit: ReportedTest,
    optimum: Sequence[Optimum],
    ends: Sequence[str],
    ks: Sequence[int],
    alpha: float,
) -> list[str]:
    """Reasons why the quadratic's size of shift must not be read as one; empty if it may."""
    head = NO_SIZE
    if quadratic is None:
        if len(ks) < 3:
            return [head + "the quadratic needs three values of k."]
        return [head + f"{lack_of_fit.method}."]
    if not quadratic.flat_p <= alpha:
        p = f" ({p_value(quadratic.flat_p)})" if np.isfinite(quadratic.flat_p) else ""
        return [
            head + f"the curve is not distinguishable from a flat one{p}, where the quadratic's "
            "no-shift test is degenerate."
        ]
    if not quadratic.curvature_negative:
        return [head + "the quadratic is not certain to have a maximum at all complexities."]
    if lack_of_fit.p is None:
        return [head + f"lack of fit could not be tested ({lack_of_fit.method})."]
    if lack_of_fit.p <= alpha:
        return [head + "the quadratic does not fit (lack of fit against the saturated curve)."]
    inside = np.log2(ks[0]), np.log2(ks[-1])
    vertices = quadratic.vertex_low, quadratic.vertex_high
    if not all(inside[0] <= vertex <= inside[1] for vertex in vertices):
        return [head + "the quadratic's optimum lies outside the k that were measured."]
    named = {item.bucket: item for item in optimum}
    for vertex, end in zip(vertices, (ends[0], ends[-1]), strict=True):
        nearest = min(ks, key=lambda k: (abs(np.log2(k) - vertex), k))
        if nearest not in named[end].set:
            return [head + f"the quadratic's optimum disagrees with the arg max of '{end}'."]
    return []
