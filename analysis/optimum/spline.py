"""A third curve: a natural cubic spline in log2 k, and where it is highest by complexity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.mixed.wald import wald_test
from analysis.numerals import p_value
from analysis.optimum.curves import CurveData, CurveFit, basis, fit_curve, settled
from analysis.optimum.optimum_at import (
    BOOTSTRAP_METHOD,
    LEVELS,
    OptimumAt,
    percentiles,
    resampled,
)
from analysis.optimum.reported import ReportedTest
from analysis.optimum.spline_basis import DF, FEWEST, KNOTS
from complexity.errors import InputError

Array = NDArray[np.float64]
#: Points of the fine grid in each doubling of k.
FINE = 64
METHOD = (
    f"natural cubic spline in log2 k ({DF} df, {KNOTS}) times complexity, logit, image-clustered "
    f"CR1; top on a grid of 1/{FINE} doublings within the k measured; descriptive"
)


@dataclass(frozen=True)
class Spline:
    """What the spline says, or why it says nothing.

    Attributes
    ----------
    df : int
        Columns of the spline.
    lack_of_fit : ReportedTest
        Spline against saturated curve, complexity terms included.
    flat_p : float
        Robust Wald p that the spline and its product with complexity are 0; NaN without a fit.
    reason : str or None
        Why no optimum is given; None where it is.
    optima : tuple of OptimumAt
        Tops at c = -1, 0 and +1; empty where there is a reason. Bootstrap intervals only.
    change, change_low, change_high : float
        Doublings of k per SD of complexity: half the way of the top from c = -1 to c = +1,
        with its bootstrap interval; NaN where there is a reason.
    method : str
        What was fitted and how the top is read off it.
    """

    df: int
    lack_of_fit: ReportedTest
    flat_p: float
    reason: str | None
    optima: tuple[OptimumAt, ...] = ()
    change: float = float("nan")
    change_low: float = float("nan")
    change_high: float = float("nan")
    method: str = METHOD

    def to_dict(self) -> dict[str, Any]:
        """Spell it as ``optik shift --json`` prints it."""
        return {
            **asdict(self),
            "optima": [item.to_dict() for item in self.optima],
            "bootstrap_method": BOOTSTRAP_METHOD,
        }


def spline_opinion(
    data: CurveData,
    saturated: CurveFit,
    c: pd.Series,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> tuple[Spline, tuple[CurveFit, ...]]:
    """Fit the spline, test it against the saturated curve, and read its tops where it fits.

    Parameters
    ----------
    data : CurveData
        Rows of one model.
    saturated : CurveFit
        The saturated logit on the same rows.
    c : Series of float
        Standardised complexity by image.
    rng : numpy.random.Generator
        The source of the bootstrap.
    alpha : float
        Level of the tests of lack of fit and of a flat curve.

    Returns
    -------
    Spline
    tuple of CurveFit
        The fitted spline, if any.
    """
    if len(data.ks) < FEWEST:
        few = f"needs {FEWEST} values of k"
        return _without(
            f"the spline {few} ({DF} df, so that fewer leave nothing to test it by)", few
        ), ()
    try:
        fitted = fit_curve(data, "spline")
    except InputError as error:
        return _without("the spline could not be fitted", f"not estimable: {error}"), ()
    if not fitted.fit.converged or fitted.fit.separated:
        failed = "the spline could not be fitted (separation or no convergence)"
        return _without(failed, failed), ()
    lack = lack_of_fit(saturated, data.ks)
    flat_p = flat_curve_p(fitted)
    reason = why_not(lack, flat_p, alpha)
    if reason is not None:
        return Spline(DF, lack, flat_p, reason), (fitted,)
    c_range = float(c.quantile(0.05)), float(c.quantile(0.95))
    optima, change = tops(fitted, data.ks, c_range, rng)
    return Spline(DF, lack, flat_p, None, optima, *change), (fitted,)


def lack_of_fit(saturated: CurveFit, ks: tuple[int, ...]) -> ReportedTest:
    """Test that the saturated curve and its change with complexity lie on the spline.

    The values of the saturated curve at the k of the grid are on the spline if they are
    orthogonal to all that is orthogonal to the spline's columns: 2 (K - 4) linear
    restrictions on the coefficients of k and of k × c. It is the Wald test of the terms by
    which the saturated curve is wider, whichever terms one writes for them.

    Parameters
    ----------
    saturated : CurveFit
    ks : tuple of int, length K
        The k grid, `FEWEST` or more.

    Returns
    -------
    ReportedTest
    """
    fit = saturated.fit
    if fit.separated or not fit.converged:
        return ReportedTest(None, None, None, None, "the saturated curve could not be fitted")
    if fit.n_clusters <= len(fit.names):
        reason = f"{fit.n_clusters} images are too few for {len(fit.names)} coefficients"
        return ReportedTest(None, None, None, None, reason)
    columns, _ = basis("spline", ks, np.asarray(ks, dtype=np.float64))
    spanned = np.column_stack([np.ones(len(ks)), columns])
    left, values, _ = np.linalg.svd(spanned)
    rank = int((values > 1e-9 * values[0]).sum())
    # The first k is the reference: its value is the intercept, on which nothing depends.
    across = left[1:, rank:].T
    _, of_k = basis("saturated", ks, np.asarray(ks[:1]))
    names = list(fit.names)
    R = np.zeros((2 * len(across), len(names)))
    R[: len(across), [names.index(name) for name in of_k]] = across
    R[len(across) :, [names.index(f"{name}:c") for name in of_k]] = across
    result = wald_test(fit.params, settled(fit.cov), R, df_denom=fit.n_clusters - 1)
    if not np.isfinite(result.statistic) or result.df < 1:
        return ReportedTest(None, None, None, None, "no variation to test")
    method = f"robust Wald, image-clustered CR1, F({result.df:g}, {fit.n_clusters - 1})"
    return ReportedTest(
        result.statistic, float(result.df), float(fit.n_clusters - 1), result.p, method
    )


def tops(
    fitted: CurveFit,
    ks: tuple[int, ...],
    c_range: tuple[float, float],
    rng: np.random.Generator | None = None,
) -> tuple[tuple[OptimumAt, ...], tuple[float, float, float]]:
    """Read where a fitted spline is highest at c = -1, 0 and +1, on a fine grid of log2 k.

    Ties go to the smaller k. The percentiles of the resampled tops are descriptive: the
    bootstrap of an arg max is not regular where the curve is flat at its top or the top lies
    at an end of the grid.

    Parameters
    ----------
    fitted : CurveFit
        A spline.
    ks : tuple of int
        The k grid.
    c_range : tuple of float
        The range of standardised complexity beyond which a top is extrapolated.
    rng : numpy.random.Generator, optional
        The source of the bootstrap; without it there are no intervals.

    Returns
    -------
    tuple of OptimumAt
    tuple of float
        Half the way of the top from c = -1 to c = +1 in doublings, and its interval.
    """
    first, last = float(np.log2(ks[0])), float(np.log2(ks[-1]))
    x = np.linspace(first, last, int(np.ceil((last - first) * FINE)) + 1)
    columns, names = basis("spline", ks, np.exp2(x))
    position = {name: i for i, name in enumerate(fitted.fit.names)}
    level = [position[name] for name in names]
    product = [position[f"{name}:c"] for name in names]
    draws = None if rng is None else resampled(fitted, rng)

    def at(params: Array, c: float) -> Array:
        # Intercept, c and covariates lift the whole curve and do not move its top.
        height = (params[:, level] + c * params[:, product]) @ columns.T
        return np.asarray(x[height.argmax(axis=1)], dtype=np.float64)

    optima, found, drawn = [], [], []
    for c in LEVELS:
        top = float(at(fitted.fit.params[None, :], c)[0])
        resamples = np.full(1, np.nan) if draws is None else at(draws, c)
        low, high = percentiles(resamples)
        optima.append(
            OptimumAt(
                c=c,
                log2_k=top,
                k=float(np.exp2(top)),
                ci_low=float("nan"),
                ci_high=float("nan"),
                bootstrap_low=float(np.exp2(low)),
                bootstrap_high=float(np.exp2(high)),
                se=float("nan"),
                at_edge=top in (x[0], x[-1]),
                beyond=not c_range[0] <= c <= c_range[1],
            )
        )
        found.append(top)
        drawn.append(resamples)
    change = (found[-1] - found[0]) / 2
    return tuple(optima), (change, *percentiles((drawn[-1] - drawn[0]) / 2))


def flat_curve_p(fitted: CurveFit) -> float:
    """Robust Wald p that the spline and its product with complexity are 0; NaN without one."""
    fit = fitted.fit
    terms = [i for i, name in enumerate(fit.names) if name.startswith("ns(x)[")]
    if fit.n_clusters <= len(fit.names):
        return float("nan")
    b, cov = fit.params[terms], settled(fit.cov[np.ix_(terms, terms)])
    return wald_test(b, cov, np.eye(len(terms)), df_denom=fit.n_clusters - 1).p


def why_not(lack: ReportedTest, flat_p: float, alpha: float) -> str | None:
    """Say why a spline's top must not be read as one; None if it may."""
    if not flat_p <= alpha:
        p = f" ({p_value(flat_p)})" if np.isfinite(flat_p) else ""
        return f"the curve is not distinguishable from a flat one{p}"
    if lack.p is None:
        return f"lack of fit could not be tested ({lack.method})"
    if lack.p <= alpha:
        return (
            f"the spline does not fit (lack of fit against the saturated curve, {p_value(lack.p)})"
        )
    return None


def _without(reason: str, method: str) -> Spline:
    return Spline(DF, ReportedTest(None, None, None, None, method), float("nan"), reason)
