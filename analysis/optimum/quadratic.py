"""The quadratic second opinion: does the vertex of the curve move with complexity?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.mixed.wald import wald_test
from analysis.optimum.cautions import QUADRATIC
from analysis.optimum.curves import CurveFit, settled
from analysis.optimum.optimum_at import LEVELS, RESAMPLES, OptimumAt, percentiles, resampled

Array = NDArray[np.float64]
Z95 = 1.959964
UNIT = "log2 k per SD of complexity"
#: What begins the warning that says why neither a size nor optima are given.
NO_SIZE = "no size of shift is given: "


@dataclass(frozen=True)
class Quadratic:
    """The quadratic's no-shift null and, where it means something, the size of the shift.

    With x = log2 k, c the standardised complexity and coefficients b1 (x), b2 (x²), b4 (x·c)
    and b5 (x²·c), the vertex is ``x*(c) = -(b1 + b4 c) / (2 (b2 + b5 c))``.

    Attributes
    ----------
    statistic, df, df_denom, p : float
        Robust Wald test of ``b1 b5 - b2 b4 = 0`` (chi-square on 1 df, p from F(1, G - 1)); NaN
        where the answers do not vary with k.
    method : str
        How p was obtained.
    slope, slope_se : float
        ``dx*/dc`` at c = 0, doublings of k per SD of complexity, and its delta-method
        standard error; NaN where the curvature at c = 0 is not negative.
    vertex_low, vertex_high : float
        x* at c = -1 and c = +1; NaN where the curvature there is not negative.
    curvature_negative : bool
        Whether the upper 95 % limit of ``b2 + b5 c`` is below 0 over the range of c asked for.
    bootstrap_low, bootstrap_high : float
        Interval of `slope` (`BOOTSTRAP_METHOD`): it needs no symmetry. NaN where the curvature
        at c = 0 is not negative, or not in 2.5 % of the resamples.
    flat_p : float
        Robust Wald p of ``b1 = b2 = b4 = b5 = 0``: while a flat curve is not rejected, the
        no-shift test is degenerate (its gradient vanishes there). NaN where the answers do not
        vary with k.
    optima : tuple of OptimumAt
        x* at c = -1, 0 and +1; those where the curvature is not negative are left out.
    caution : str
        Why the test is no headline.
    """

    statistic: float
    df: float
    df_denom: float
    p: float
    method: str
    slope: float
    slope_se: float
    vertex_low: float
    vertex_high: float
    curvature_negative: bool
    bootstrap_low: float
    bootstrap_high: float
    flat_p: float
    optima: tuple[OptimumAt, ...] = ()
    caution: str = QUADRATIC


def quadratic_shift(
    fitted: CurveFit,
    c_range: tuple[float, float],
    rng: np.random.Generator | None = None,
    n_draws: int = RESAMPLES,
) -> Quadratic:
    """Test that the vertex of a quadratic curve does not move with complexity.

    The null ``b1 b5 = b2 b4`` needs no division and does not depend on where x and c are
    centred. It degenerates on a flat curve (all four near 0), where it says nothing.

    Parameters
    ----------
    fitted : CurveFit
        A quadratic curve.
    c_range : tuple of float
        Lowest and highest standardised complexity over which the curvature must be negative
        for a vertex to be an optimum.
    rng : numpy.random.Generator, optional
        The source of the bootstrap; without it there is none.
    n_draws : int
        Its resamples.
    """
    from scipy import stats

    position = {name: i for i, name in enumerate(fitted.fit.names)}
    index = [position[name] for name in ("x", "I(x**2)", "x:c", "I(x**2):c")]
    b1, b2, b4, b5 = (float(fitted.fit.params[i]) for i in index)
    cov = settled(fitted.fit.cov[np.ix_(index, index)])

    contrast = b1 * b5 - b2 * b4
    gradient = np.array([b5, -b4, -b2, b1])
    variance = float(gradient @ cov @ gradient)
    statistic = contrast**2 / variance if variance > 0 else float("nan")
    df_denom = float(fitted.fit.n_clusters - 1)

    slope = slope_se = float("nan")
    if b2 < 0:
        slope = contrast / (2 * b2**2)
        delta = np.array(
            [
                b5 / (2 * b2**2),
                -b4 / (2 * b2**2) - contrast / b2**3,
                -1 / (2 * b2),
                b1 / (2 * b2**2),
            ]
        )
        slope_se = float(np.sqrt(delta @ cov @ delta))

    draws = None if rng is None or not b2 < 0 else resampled(fitted, rng, n_draws)[:, index]
    low, high = (float("nan"),) * 2 if draws is None else percentiles(_slopes(draws))

    b = np.array([b1, b2, b4, b5])
    low_vertex, _, high_vertex = (float(_vertices(b[None, :], c)[0]) for c in LEVELS)
    optima = [_optimum(b, cov, c, c_range, draws) for c in LEVELS if b2 + b5 * c < 0]

    def upper_curvature(c: float) -> float:
        spread = np.array([0.0, 1.0, 0.0, c])
        return b2 + b5 * c + Z95 * float(np.sqrt(spread @ cov @ spread))

    return Quadratic(
        statistic=statistic,
        df=1.0,
        df_denom=df_denom,
        p=float(stats.f.sf(statistic, 1, df_denom)),
        method="robust Wald (delta method), image-clustered CR1, F(1, G - 1)",
        slope=slope,
        slope_se=slope_se,
        vertex_low=low_vertex,
        vertex_high=high_vertex,
        curvature_negative=all(upper_curvature(c) < 0 for c in c_range),
        bootstrap_low=low,
        bootstrap_high=high,
        flat_p=wald_test(b, cov, np.eye(4), df_denom=df_denom).p,
        optima=tuple(optima),
    )


def _slopes(draws: Array) -> Array:
    """dx*/dc at c = 0 for resampled coefficients, shape (n, 4); NaN without a maximum."""
    b1, b2, b4, b5 = draws.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b2 < 0, (b1 * b5 - b2 * b4) / (2 * b2**2), np.nan)


def _vertices(draws: Array, c: float) -> Array:
    """x*(c) for coefficients, shape (n, 4); NaN without a maximum."""
    b1, b2, b4, b5 = draws.T
    curvature = b2 + b5 * c
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(curvature < 0, -(b1 + b4 * c) / (2 * curvature), np.nan)


def _optimum(
    b: Array, cov: Array, c: float, c_range: tuple[float, float], draws: Array | None
) -> OptimumAt:
    """Spell x*(c) = -N / (2 D), N = b1 + b4 c, D = b2 + b5 c, with both intervals.

    The gradient by (b1, b2, b4, b5) is ``(-1 / 2D, N / 2D², -c / 2D, c N / 2D²)``.
    """
    slope, curvature = b[0] + b[2] * c, b[1] + b[3] * c
    x = float(-slope / (2 * curvature))
    by_slope, by_curvature = -1 / (2 * curvature), slope / (2 * curvature**2)
    gradient = np.array([by_slope, by_curvature, c * by_slope, c * by_curvature])
    se = float(np.sqrt(gradient @ cov @ gradient))
    low, high = (np.nan, np.nan) if draws is None else percentiles(_vertices(draws, c))
    # Far from any k an interval may have no finite bound.
    with np.errstate(over="ignore", under="ignore"):
        in_k = np.exp2([x, x - Z95 * se, x + Z95 * se, low, high])
    k, ci_low, ci_high, boot_low, boot_high = in_k
    return OptimumAt(
        c=c,
        log2_k=x,
        k=float(k),
        ci_low=float(ci_low),
        ci_high=float(ci_high),
        bootstrap_low=float(boot_low),
        bootstrap_high=float(boot_high),
        se=se,
        at_edge=False,
        beyond=not c_range[0] <= c <= c_range[1],
    )
