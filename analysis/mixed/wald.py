"""Wald tests of linear hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, fdtrc

from complexity.errors import InputError, did_you_mean

#: Directions with less than this share of the largest (standardised) variance count as none.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class WaldTest:
    """A test that several linear combinations of coefficients are all zero.

    Attributes
    ----------
    statistic : float
        (Rb)' (R V R')⁻¹ (Rb), on the chi-square scale also when p comes from F.
    df : int
        Number of independent combinations tested: the rank of R V R'.
    df_denom : float or None
        Denominator degrees of freedom; None for the chi-square reference.
    p : float
        From F(df, df_denom) on statistic / df, or from chi-square(df).
    method : str
        Which reference gave p, in words.
    warnings : tuple of str
        Said when combinations were redundant or without covariance.
    """

    statistic: float
    df: int
    df_denom: float | None
    p: float
    method: str
    warnings: tuple[str, ...] = ()


def wald_test(
    params: npt.ArrayLike,
    cov: npt.ArrayLike,
    R: npt.ArrayLike | Sequence[str],
    *,
    df_denom: float | None = None,
    names: Sequence[str] | None = None,
) -> WaldTest:
    """Test that R b = 0.

    Parameters
    ----------
    params : array_like, shape (p,)
        Estimates b.
    cov : array_like, shape (p, p)
        Their covariance V.
    R : array_like, shape (q, p), or sequence of str
        Combinations to test, one a row; a (p,) vector is one combination. Names test that
        each of the coefficients so named is zero, and need `names`.
    df_denom : float, optional
        With it p comes from F: for cluster-robust covariance give the number of clusters
        less one.
    names : sequence of str, length p, optional
        Names of the coefficients.

    Returns
    -------
    WaldTest
        Where R V R' is singular, the test is of its rank: combinations that are redundant,
        or more than the clusters can tell apart, are left out, with a warning.

    Raises
    ------
    InputError
        For an unknown name, shapes that do not fit, and an R of zeros.
    """
    b = np.asarray(params, dtype=np.float64)
    V = np.asarray(cov, dtype=np.float64)
    matrix = _matrix(R, names, len(b))
    if V.shape != (len(b), len(b)) or matrix.ndim != 2 or matrix.shape[1] != len(b):
        raise InputError(
            f"a Wald test of {len(b)} coefficients needs a covariance of that size and "
            f"combinations of that length; got {V.shape} and {matrix.shape}"
        )
    used = (matrix != 0).any(axis=0)
    if not len(matrix) or not (matrix != 0).any(axis=1).all():
        raise InputError("a Wald test needs at least one combination, and none of zeros only")
    # Coefficients outside the hypothesis may be without covariance.
    matrix, b, V = matrix[:, used], b[used], V[np.ix_(used, used)]
    reference = "chi-square" if df_denom is None else f"F with {df_denom:g} denominator df"
    if not np.isfinite(V).all() or not np.isfinite(b).all():
        warning = "a tested coefficient has no covariance (separation): the test is not defined"
        return WaldTest(
            np.nan, len(matrix), df_denom, np.nan, f"Wald, {reference}", warnings=(warning,)
        )
    value = matrix @ b
    spread = matrix @ V @ matrix.T
    # Standardised, so that the rank does not depend on units.
    scale = np.sqrt(np.diag(spread))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(spread / np.outer(scale, scale))
    kept = values > RANK_TOLERANCE * max(float(values[-1]), 0.0)
    parts = vectors.T @ (value / scale)
    df = int(kept.sum())
    warnings: list[str] = []
    if df < len(matrix):
        warnings.append(
            f"of {len(matrix)} combinations {df} could be told apart: the test is of rank {df}"
        )
        lost = np.abs(parts[~kept]).max()
        if lost > 1e-6 * max(1.0, float(np.abs(parts).max())):
            warnings.append("a combination without variance is not zero and was left out")
    if df == 0:
        return WaldTest(np.nan, 0, df_denom, np.nan, f"Wald, {reference}", tuple(warnings))
    statistic = float((parts[kept] ** 2 / values[kept]).sum())
    p = chdtrc(df, statistic) if df_denom is None else fdtrc(df, df_denom, statistic / df)
    return WaldTest(statistic, df, df_denom, float(p), f"Wald, {reference}", tuple(warnings))


def _matrix(
    R: npt.ArrayLike | Sequence[str], names: Sequence[str] | None, n_params: int
) -> npt.NDArray[np.float64]:
    if isinstance(R, str):
        R = [R]
    if isinstance(R, Sequence) and R and all(isinstance(item, str) for item in R):
        if names is None:
            raise InputError("coefficients can be tested by name only where `names` are given")
        known = list(names)
        matrix = np.zeros((len(R), n_params))
        for row, name in enumerate(R):
            if name not in known:
                raise InputError(f"no coefficient named '{name}'{did_you_mean(str(name), known)}")
            matrix[row, known.index(str(name))] = 1.0
        return matrix
    return np.atleast_2d(np.asarray(R, dtype=np.float64))
