"""The coordinates in which the random effects of a mixed model are searched.

A block's columns Z, over all rows, are Z = B R: B has orthogonal columns of root mean square
one and R, the block's transform, is upper triangular. With the intercept first, B holds a one,
the slope's column less its mean over its standard deviation, and so on: where zero lies and
what the unit is changes R alone. Random effects b of Z are R⁻¹ those of B, so with L the
relative factor in these coordinates and σ the residual standard deviation (logistic models:
one), their covariance is σ² R⁻¹ L L' R⁻ᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular

from analysis.mixed.clustered import FloatArray, triangle
from analysis.mixed.design import RandomBlock

#: One upper triangular (q, q) per block of the design.
Transforms = tuple[FloatArray, ...]


def transforms_of(blocks: Sequence[RandomBlock]) -> Transforms:
    """Find each block's transform R.

    Parameters
    ----------
    blocks : sequence of RandomBlock

    Returns
    -------
    tuple of ndarray, shape (q, q)
        Upper triangular with a positive diagonal. Where a block's columns are linearly
        dependent, diagonal: their root mean squares.
    """
    found = []
    for block in blocks:
        upper = triangle(block.Z)
        if upper is None:
            length = np.sqrt((block.Z**2).mean(axis=0))
            upper = np.diag(np.where(length > 0, length, 1.0))
        found.append(upper)
    return tuple(found)


def in_basis(columns: FloatArray, transform: FloatArray) -> FloatArray:
    """Give columns of a block in its basis, B = Z R⁻¹: (n, q) for any rows."""
    if len(transform) == 1:
        return np.asarray(columns / transform[0, 0], dtype=np.float64)
    back = np.asarray(np.linalg.inv(transform), dtype=np.float64)
    return np.asarray(columns @ back, dtype=np.float64)


def to_columns(effects: FloatArray, transform: FloatArray) -> FloatArray:
    """Give effects of the basis as effects of the columns, R⁻¹ b: (q,) or (q, k)."""
    return np.asarray(solve_triangular(transform, effects), dtype=np.float64)


def factors(theta: FloatArray, transforms: Transforms) -> list[FloatArray]:
    """Lay theta out: the relative factor L of each block, lower triangular (q, q)."""
    found, start = [], 0
    for transform in transforms:
        row, column = np.tril_indices(len(transform))
        lower = np.zeros(transform.shape)
        lower[row, column] = theta[start : start + len(row)]
        start += len(row)
        found.append(lower)
    return found


def covariances(
    theta: FloatArray, transforms: Transforms, sigma: float = 1.0
) -> tuple[FloatArray, ...]:
    """Covariance matrices of the random effects in the units of the design's columns.

    Parameters
    ----------
    theta : ndarray, shape (m,)
    transforms : tuple of ndarray, shape (q, q)
    sigma : float
        Residual standard deviation; one in logistic models.

    Returns
    -------
    tuple of ndarray, shape (q, q)
        σ² R⁻¹ L L' R⁻ᵀ of each block.
    """
    halves = [
        sigma * to_columns(lower, transform)
        for lower, transform in zip(factors(theta, transforms), transforms, strict=True)
    ]
    return tuple(half @ half.T for half in halves)


def row_variances(
    theta: FloatArray, transforms: Transforms, Z: Sequence[FloatArray], sigma: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Variance of the random effects in each row's linear predictor, with its derivatives.

    Parameters
    ----------
    theta, transforms, sigma
        As in `covariances`.
    Z : sequence of ndarray, shape (n, q)
        Columns of each block, for any rows.

    Returns
    -------
    variance : ndarray, shape (n,)
        The sum of z Σ z' over blocks, without the cancellation that Σ has where a column lies
        far from zero.
    slope : ndarray, shape (n, m)
        Its derivatives to theta at constant sigma.
    """
    total, slopes = np.zeros(len(Z[0])), []
    for columns, transform, lower in zip(Z, transforms, factors(theta, transforms), strict=True):
        unit = in_basis(columns, transform)
        spread = unit @ lower
        total += (spread**2).sum(axis=1)
        row, column = np.tril_indices(len(lower))
        slopes.append(2 * unit[:, row] * spread[:, column])
    return sigma**2 * total, sigma**2 * np.hstack(slopes)
