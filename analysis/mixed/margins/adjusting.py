"""p-values and intervals of several estimates at once."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from analysis.mixed.clustered import FloatArray
from complexity.errors import InputError, did_you_mean, listing

Adjust = Literal["none", "bonferroni", "holm", "sidak", "fdr", "tukey", "mvt"]
#: Directions over which the multivariate t is averaged, a power of two.
DIRECTIONS = 2**16


def check_adjust(adjust: str) -> Adjust:
    """Refuse an unknown adjustment.

    Parameters
    ----------
    adjust : str

    Returns
    -------
    str
        The same.

    Raises
    ------
    InputError
    """
    for known in get_args(Adjust):
        if known == adjust:
            found: Adjust = known
            return found
    raise InputError(
        f"unknown adjustment '{adjust}'{did_you_mean(adjust, get_args(Adjust))}; choose "
        f"{listing(get_args(Adjust), shown=7)}"
    )


def for_intervals(adjust: Adjust) -> Adjust:
    """Name the adjustment of the intervals: Bonferroni's where p-values are adjusted stepwise."""
    return "bonferroni" if adjust in ("holm", "fdr") else adjust


def adjusted_p(
    statistic: FloatArray,
    df: FloatArray,
    adjust: Adjust,
    *,
    correlation: FloatArray,
    n_means: int | None = None,
) -> FloatArray:
    """Adjust two-sided p-values for the number of tests.

    Parameters
    ----------
    statistic : ndarray, shape (m,)
        t or z statistics; NaN where there is none, which does not count as a test.
    df : ndarray, shape (m,)
        Their degrees of freedom, infinite for z.
    adjust : str
    correlation : ndarray, shape (m, m)
        Of the estimates (for ``mvt``).
    n_means : int, optional
        How many means are compared in pairs (for ``tukey``).

    Returns
    -------
    ndarray, shape (m,)
        With unequal degrees of freedom each test is referred to its own, also in the joint
        distributions (as emmeans does).
    """
    found = np.full(len(statistic), np.nan)
    there = np.flatnonzero(np.isfinite(statistic))
    size = np.abs(statistic[there])
    plain = tail_p(size, df[there])
    m = len(there)
    if m == 0:
        return found
    if adjust == "none" or m == 1:
        found[there] = plain
    elif adjust == "bonferroni":
        found[there] = np.minimum(1.0, m * plain)
    elif adjust == "sidak":
        found[there] = -np.expm1(m * np.log1p(-np.minimum(plain, 1 - 1e-16)))
    elif adjust == "holm":
        found[there] = _holm(plain)
    elif adjust == "fdr":
        found[there] = _benjamini_hochberg(plain)
    elif adjust == "tukey":
        found[there] = [
            _range_p(t, _means(n_means), nu) for t, nu in zip(size, df[there], strict=True)
        ]
    else:
        joint = MaxT(correlation[np.ix_(there, there)])
        found[there] = [joint.p(t, nu) for t, nu in zip(size, df[there], strict=True)]
    return found


def critical(
    level: float,
    df: FloatArray,
    adjust: Adjust,
    *,
    correlation: FloatArray,
    n_means: int | None = None,
) -> FloatArray:
    """Give how many standard errors the intervals reach to either side.

    Parameters
    ----------
    level : float
        Coverage; of all intervals at once when adjusted.
    df : ndarray, shape (m,)
        NaN where there is no estimate, which does not count.
    adjust : str
        ``holm`` and ``fdr`` have no intervals of their own: Bonferroni's (see `for_intervals`).
    correlation, n_means
        As in `adjusted_p`.

    Returns
    -------
    ndarray, shape (m,)
    """
    found = np.full(len(df), np.nan)
    there = np.flatnonzero(~np.isnan(df))
    m = len(there)
    adjust = for_intervals(adjust)
    if m == 0:
        return found
    if m == 1 or adjust in ("none", "bonferroni", "sidak"):
        share = {"bonferroni": (1 - level) / m, "sidak": -np.expm1(np.log(level) / m)}
        tail = share.get(adjust, 1 - level) / 2
        found[there] = tail_quantile(tail, df[there])
        return found
    joint = MaxT(correlation[np.ix_(there, there)]) if adjust == "mvt" else None
    known: dict[float, float] = {}
    for i in there:
        # Degrees of freedom that differ by rounding share a quantile.
        nu = float(f"{df[i]:.7g}")
        if nu not in known:
            known[nu] = (
                _range_quantile(1 - level, _means(n_means), nu)
                if joint is None
                else joint.quantile(1 - level, nu)
            )
        found[i] = known[nu]
    return found


def tail_p(size: FloatArray, df: FloatArray) -> FloatArray:
    """Two-sided p of t statistics of this size; z where df is infinite."""
    finite = np.where(np.isinf(df), 1.0, df)
    tail = np.where(np.isinf(df), ndtr(-size), stdtr(finite, -size))
    return np.asarray(2 * tail, dtype=np.float64)


def tail_quantile(tail: float, df: FloatArray) -> FloatArray:
    """Quantile with this much probability beyond it."""
    finite = np.where(np.isinf(df), 1.0, df)
    found = np.where(np.isinf(df), -ndtri(tail), -stdtrit(finite, tail))
    return np.asarray(found, dtype=np.float64)


class MaxT:
    """The largest of several correlated |t|: P(max |t| > q) without simulated tails.

    A normal vector of rank r is a direction, uniform on the sphere, times a radius. Given the
    direction the radius beyond which some |t| exceeds q is known, and its probability is that
    of an F(r, df), or a chi-square. Only the average over directions is numerical, over the
    points of a Sobol sequence: the same numbers every time, within 2e-4 at p = .3, less in
    the tail (the radial form: Genz & Bretz 2009, doi:10.1007/978-3-642-01689-9, chapter 4).
    Degrees of freedom need not be whole numbers; correlations may be singular.

    Parameters
    ----------
    correlation : ndarray, shape (m, m)
    """

    def __init__(self, correlation: FloatArray) -> None:
        from scipy.stats import qmc

        values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
        kept = values > 1e-10 * values[-1]
        root = vectors[:, kept] * np.sqrt(values[kept])
        # What rounding and the left-out directions took.
        root /= np.linalg.norm(root, axis=1, keepdims=True)
        self.rank = int(kept.sum())
        if self.rank == 1:
            self.reach = np.ones(1)
            return
        if self.rank == 2:
            # One angle, evenly: exact to rounding for all practical purposes.
            angle = np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
            directions = np.column_stack([np.cos(angle), np.sin(angle)])
        else:
            sobol = qmc.Sobol(self.rank, scramble=False).random(DIRECTIONS)
            normal = ndtri(sobol + 0.5 / DIRECTIONS)
            directions = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        reach = np.zeros(DIRECTIONS)
        for row in root:
            np.maximum(reach, np.abs(directions @ row), out=reach)
        self.reach = reach

    def p(self, size: float, df: float) -> float:
        """Probability that the largest |t| exceeds `size`."""
        squared = (size / self.reach) ** 2
        if np.isinf(df):
            return float(np.mean(chdtrc(self.rank, squared)))
        return float(np.mean(fdtrc(self.rank, df, squared / self.rank)))

    def quantile(self, tail: float, df: float) -> float:
        """Size that the largest |t| exceeds with probability `tail`."""
        single = np.array([df])
        low = float(tail_quantile(tail / 2, single)[0])
        # Bonferroni's bound for as many tests as directions can be told apart is far enough.
        high = low
        while self.p(high, df) > tail:
            high *= 1.5
        if high == low:
            return low
        return float(brentq(lambda q: self.p(q, df) - tail, low, high, xtol=1e-10))


def _means(n_means: int | None) -> int:
    if n_means is None:
        raise InputError(
            "tukey is for all pairwise differences of means; choose mvt, sidak or holm here"
        )
    return n_means


def _range_p(size: float, n_means: int, df: float) -> float:
    from scipy.stats import studentized_range

    found = float(np.clip(studentized_range.sf(np.sqrt(2) * size, n_means, df), 0.0, 1.0))
    if found > 1e-9:
        return found
    # Out there the integral has lost its digits and Bonferroni's bound is sharp.
    pairs = n_means * (n_means - 1) / 2
    return float(pairs * tail_p(np.array([size]), np.array([df]))[0])


def _range_quantile(tail: float, n_means: int, df: float) -> float:
    low = float(tail_quantile(tail / 2, np.array([df]))[0])
    if n_means <= 2:
        return low
    pairs = n_means * (n_means - 1) / 2
    high = float(tail_quantile(tail / 2 / pairs, np.array([df]))[0])
    return float(brentq(lambda q: _range_p(q, n_means, df) - tail, low, high, xtol=1e-8))


def _holm(p: FloatArray) -> FloatArray:
    """Holm (1979), Scandinavian J. Statistics 6(2)."""
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    found = np.empty(len(p))
    found[order] = steps
    return found


def _benjamini_hochberg(p: FloatArray) -> npt.NDArray[np.float64]:
    """Benjamini & Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x."""
    order = np.argsort(-p, kind="stable")
    ranks = np.arange(len(p), 0, -1)
    steps = np.minimum(1.0, np.minimum.accumulate(len(p) / ranks * p[order]))
    found = np.empty(len(p))
    found[order] = steps
    return found
