"""Satterthwaite's degrees of freedom of linear mixed models, as lmerTest has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.mixed.clustered import FloatArray


@dataclass(frozen=True, eq=False)
class Spread:
    """How well the covariance of the fixed effects is known.

    Attributes
    ----------
    jacobian : ndarray, shape (m, p, p)
        Derivatives of the fixed effects' covariance to the m variance parameters.
    cov : ndarray, shape (m, m)
        Covariance of the variance parameters.
    """

    jacobian: FloatArray
    cov: FloatArray


def degrees(combinations: FloatArray, cov: FloatArray, spread: Spread) -> FloatArray:
    """Degrees of freedom of the t statistics of single combinations of fixed effects.

    Twice the squared variance of a combination over the variance of that variance
    (Satterthwaite 1946, Biometrics Bulletin 2(6), doi:10.2307/3002019).

    Parameters
    ----------
    combinations : ndarray, shape (k, p)
    cov : ndarray, shape (p, p)
    spread : Spread

    Returns
    -------
    ndarray, shape (k,)
    """
    variance = np.einsum("ki,ij,kj->k", combinations, cov, combinations)
    slope = np.einsum("ki,mij,kj->km", combinations, spread.jacobian, combinations)
    uncertainty = np.einsum("km,mn,kn->k", slope, spread.cov, slope)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * variance**2 / uncertainty, dtype=np.float64)


def joint_degrees(matrix: FloatArray, cov: FloatArray, spread: Spread) -> float:
    """Denominator degrees of freedom of an F test of several combinations at once.

    Those whose F has the expectation of the mean of the squared t statistics of independent
    combinations (Fai & Cornelius 1996, J. Stat. Comput. Simul. 54,
    doi:10.1080/00949659608811740).

    Parameters
    ----------
    matrix : ndarray, shape (q, p)
    cov : ndarray, shape (p, p)
    spread : Spread
    """
    values, vectors = np.linalg.eigh(matrix @ cov @ matrix.T)
    kept = values > 1e-10 * max(float(values[-1]), 0.0)
    single = degrees(vectors[:, kept].T @ matrix, cov, spread)
    count = len(single)
    if count <= 1:
        return float(single[0]) if count else float("nan")
    if np.ptp(single) < 1e-8 * float(single.mean()):
        return float(single.mean())
    if (single <= 2).any():
        return 2.0
    total = float((single / (single - 2)).sum())
    return 2 * total / (total - count)
