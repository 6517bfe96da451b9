"""What the cluster-robust logit and linear fits share: their result, checks and sandwich."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from complexity.errors import InputError, listing

FloatArray = npt.NDArray[np.float64]

#: Fewer clusters than this and the result carries a warning (Cameron & Miller 2015,
#: J. Human Resources 50(2), doi:10.3368/jhr.50.2.317: trouble starts between 20 and 50).
FEW_CLUSTERS = 30
#: A column is aliased when the part of it that earlier columns do not explain is shorter
#: than this share of the column (R's ``lm`` has the same 1e-7).
RANK_TOLERANCE = 1e-7
#: Columns, scaled to length one, whose Gram matrix has no smaller eigenvalue are far from
#: dependent.
WIDE = 1e-4


@dataclass(frozen=True, eq=False)
class ClusteredFit:
    """A regression with cluster-robust covariance, at the level of arrays.

    Attributes
    ----------
    names : tuple of str
        Column names, length p.
    params : ndarray, shape (p,), float64
        Estimates (logit scale for `logit_clustered`).
    cov : ndarray, shape (p, p), float64
        Cluster-robust covariance, CR1: ``correction * influence.T @ influence``. Rows and
        columns of a separated coefficient are NaN.
    influence : ndarray, shape (G, p), float64
        Each cluster's contribution to the estimate: the inverse information times its
        summed scores. Fits over the same clusters have the cross-covariance
        ``sqrt(correction_1 * correction_2) * influence_1.T @ influence_2``. NaN in the
        columns of separated coefficients.
    groups : ndarray, shape (G,)
        Labels of the clusters in the order of the rows of `influence` (sorted).
    correction : float
        (G / (G − 1)) · ((N − 1) / (N − p)).
    bread : ndarray, shape (p, p), float64
        Inverse of the information at unit dispersion: (X'WX)⁻¹.
    n_obs : int
        N: rows, or the sum of the weights.
    n_clusters : int
        G.
    loglik : float or None
        Log-likelihood; None for a quasi-likelihood (outcomes that are not counts) and for
        weighted linear fits (the spread within a row is unknown).
    deviance : float
        Residual deviance (logit) or weighted residual sum of squares (linear).
    converged : bool
        False when the iterations ran out and when coefficients diverge.
    iterations : int
        Newton steps taken (0 for linear fits).
    separated : tuple of str
        Columns whose coefficient diverges because they predict some rows perfectly.
    warnings : tuple of str
        What a reader of the numbers must know.
    """

    names: tuple[str, ...]
    params: FloatArray
    cov: FloatArray
    influence: FloatArray
    groups: npt.NDArray[Any]
    correction: float
    bread: FloatArray
    n_obs: int
    n_clusters: int
    loglik: float | None
    deviance: float
    converged: bool
    iterations: int
    separated: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def df(self) -> float:
        """Degrees of freedom of t and F tests: G − 1."""
        return float(self.n_clusters - 1)

    @property
    def se(self) -> FloatArray:
        """Cluster-robust standard errors, shape (p,)."""
        se: FloatArray = np.sqrt(np.diag(self.cov))
        return se


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked inputs of a clustered fit, rows of zero weight left out.

    Attributes
    ----------
    y : ndarray, shape (n,), float64
    X : ndarray, shape (n, p), float64
    weights : ndarray, shape (n,), float64, positive
    codes : ndarray, shape (n,), int64
        Cluster of each row, an index into `groups`.
    groups : ndarray, shape (G,)
        Cluster labels, sorted where they can be.
    names : tuple of str
        Column names, length p.
    n_obs : int
        Rows, or the sum of the weights where weights were given.
    """

    y: FloatArray
    X: FloatArray
    weights: FloatArray
    codes: npt.NDArray[np.int64]
    groups: npt.NDArray[Any]
    names: tuple[str, ...]
    n_obs: int


def checked_rows(
    y: npt.ArrayLike,
    X: npt.ArrayLike,
    groups: npt.ArrayLike,
    names: Sequence[str],
    weights: npt.ArrayLike | None,
) -> Rows:
    """Check shapes and values, and number the clusters.

    Parameters
    ----------
    y : array_like, shape (n,)
    X : array_like, shape (n, p)
    groups : array_like, shape (n,)
    names : sequence of str, length p
    weights : array_like, shape (n,), or None

    Returns
    -------
    Rows

    Raises
    ------
    InputError
        For lengths that differ, values that are not finite, negative weights, fewer than
        two clusters, and no more rows than columns.
    """
    y = np.asarray(y, dtype=np.float64)
    X = np.asarray(X, dtype=np.float64)
    labels = groups if isinstance(groups, np.ndarray) else pd.Series(groups).to_numpy()
    names = tuple(names)
    if X.ndim != 2 or y.shape != X.shape[:1] or labels.shape != y.shape:
        raise InputError(
            f"outcome, matrix and clusters differ in length: {y.shape}, {X.shape} and "
            f"{labels.shape}; give one row of the matrix and one cluster per outcome"
        )
    if len(names) != X.shape[1]:
        raise InputError(f"{len(names)} names for {X.shape[1]} columns; give one name per column")
    n_obs = len(y)
    trials = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    if trials.shape != y.shape:
        raise InputError(f"{trials.shape} weights for {y.shape} outcomes; give one per row")
    if not np.isfinite(trials).all() or (trials < 0).any():
        raise InputError("weights must be finite and not negative: they count the trials of a row")
    if weights is not None:
        kept = trials > 0
        y, X, trials, labels = y[kept], X[kept], trials[kept], labels[kept]
        n_obs = round(float(trials.sum()))
    if not np.isfinite(y).all():
        raise InputError("the outcome has missing or infinite values; leave those rows out")
    if not np.isfinite(X).all():
        bad = [name for name, column in zip(names, X.T, strict=True) if not _finite(column)]
        raise InputError(f"missing or infinite values in {listing(bad)}; leave those rows out")
    codes, levels = number_groups(labels)
    if len(levels) < 2:
        raise InputError("fewer than two clusters: cluster-robust errors need several")
    if n_obs <= X.shape[1]:
        raise InputError(f"{n_obs} rows are too few for {X.shape[1]} coefficients")
    return Rows(y, X, trials, codes, levels, names, n_obs)


def _finite(column: FloatArray) -> bool:
    return bool(np.isfinite(column).all())


def number_groups(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Give numbers to the levels of a grouping factor in sorted order.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        Any hashable values without missing ones.

    Returns
    -------
    codes : ndarray, shape (n,), int64
    levels : ndarray, shape (G,)
        Sorted; in order of first appearance when the labels cannot be compared.

    Raises
    ------
    InputError
        When a label is missing.
    """
    try:
        codes, levels = pd.factorize(labels, sort=True)
    except TypeError:
        codes, levels = pd.factorize(labels, sort=False)
    if (codes < 0).any():
        raise InputError("rows without a group; leave them out or name their group")
    return codes.astype(np.int64), np.asarray(levels)


def aliased(X: FloatArray) -> list[int]:
    """Find the columns that are linear combinations of columns to their left.

    Parameters
    ----------
    X : ndarray, shape (n, p)

    Returns
    -------
    list of int
        Indices; empty when the columns are linearly independent.
    """
    length = np.sqrt((X**2).sum(axis=0))
    scaled = X / np.where(length > 0, length, 1.0)
    # The triangle has the Gram matrix of X: project in p dimensions instead of n.
    triangle: FloatArray = np.asarray(np.linalg.qr(scaled, mode="r"))
    basis: list[FloatArray] = []
    found: list[int] = []
    for index, column in enumerate(triangle.T):
        rest = column.copy()
        for _ in range(2):  # once more against rounding
            for direction in basis:
                rest -= direction * (direction @ rest)
        left = float(np.linalg.norm(rest))
        if left < RANK_TOLERANCE:
            found.append(index)
        else:
            basis.append(rest / left)
    return found


def triangle(X: FloatArray) -> FloatArray | None:
    """Find the upper triangular R with X = Q R and Q'Q = n I, its diagonal positive.

    Parameters
    ----------
    X : ndarray, shape (n, p)

    Returns
    -------
    ndarray, shape (p, p), or None
        None where columns are constant zero or linear combinations of others.
    """
    gram = X.T @ X / max(len(X), 1)
    length = np.sqrt(np.diag(gram))
    if len(X) and (length > 0).all():
        angles = gram / np.outer(length, length)
        # Squaring costs Q the square of what the angles cost it: not where they are small.
        if np.linalg.eigvalsh(angles)[0] > WIDE:
            return np.asarray(np.linalg.cholesky(angles).T * length, dtype=np.float64)
    if not len(X) or aliased(X):
        return None
    upper = np.linalg.qr(X, mode="r") / np.sqrt(len(X))
    return np.asarray(upper * np.sign(np.diag(upper))[:, None], dtype=np.float64)


def basis_of(X: FloatArray, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Find a well-conditioned basis of the columns.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    names : sequence of str, length p

    Returns
    -------
    basis : ndarray, shape (n, p)
    transform : ndarray, shape (p, p)
        Upper triangular, with ``X = basis @ transform``.

    Raises
    ------
    InputError
        When columns are constant zero or linear combinations of others, naming them.
    """
    upper = triangle(X)
    if upper is None:
        dependent = aliased(X) if len(X) else list(range(X.shape[1]))
        raise InputError(
            f"cannot estimate {listing(names[j] for j in dependent)}: a linear combination of "
            "other columns (or all zero); leave it out of the model"
        )
    return X @ np.linalg.inv(upper), upper


def solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve a square linear system."""
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def sum_by_group(values: FloatArray, codes: npt.NDArray[np.int64], n_groups: int) -> FloatArray:
    """Sum rows within groups: (n, p) to (G, p)."""
    sums = np.empty((n_groups, values.shape[1]))
    for j in range(values.shape[1]):
        sums[:, j] = np.bincount(codes, weights=values[:, j], minlength=n_groups)
    return sums


def sandwich(
    rows: Rows, basis: FloatArray, transform: FloatArray, information: FloatArray, score: FloatArray
) -> tuple[FloatArray, FloatArray, float, FloatArray]:
    """Compute bread, influence, correction and cluster-robust covariance.

    Parameters
    ----------
    rows : Rows
    basis, transform : ndarray
        As `basis_of` returns them.
    information : ndarray, shape (p, p)
        Information in the basis.
    score : ndarray, shape (n,)
        Derivative of each row's log-likelihood (unit dispersion) to its linear predictor.

    Returns
    -------
    bread : ndarray, shape (p, p)
    influence : ndarray, shape (G, p)
    correction : float
        (G / (G − 1)) · ((N − 1) / (N − p)), as ``sandwich::vcovCL(type = "HC1")`` in R
        (Zeileis, Köll & Graham 2020, J. Stat. Softw. 95(1), doi:10.18637/jss.v095.i01).
    cov : ndarray, shape (p, p)
    """
    n_clusters, n_columns = len(rows.groups), rows.X.shape[1]
    back = np.linalg.inv(transform)
    bread = back @ _inverse(information) @ back.T
    scores = sum_by_group(basis * score[:, None], rows.codes, n_clusters)
    # d log-likelihood / d params = transform' (d / d basis coefficients)
    influence = scores @ transform @ bread
    correction = n_clusters / (n_clusters - 1) * (rows.n_obs - 1) / (rows.n_obs - n_columns)
    cov = correction * influence.T @ influence
    return (bread + bread.T) / 2, influence, correction, (cov + cov.T) / 2


def _inverse(information: FloatArray) -> FloatArray:
    try:
        return np.asarray(np.linalg.inv(information), dtype=np.float64)
    except np.linalg.LinAlgError:
        # Only reached where coefficients diverge; the caller marks their columns.
        return np.asarray(np.linalg.pinv(information, hermitian=True), dtype=np.float64)


def cluster_warnings(n_clusters: int, n_columns: int) -> list[str]:
    """Say when there are too few clusters for the sandwich to be trusted."""
    found = []
    if n_clusters < FEW_CLUSTERS:
        found.append(
            f"only {n_clusters} clusters: cluster-robust standard errors tend to be too small"
        )
    if n_clusters <= n_columns:
        found.append(
            f"{n_clusters} clusters for {n_columns} coefficients: the covariance is singular and "
            "joint tests of many coefficients are not possible"
        )
    return found
