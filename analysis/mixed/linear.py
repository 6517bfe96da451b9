"""Ordinary (weighted) least squares, with cluster-robust covariance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.mixed.clustered import (
    ClusteredFit,
    basis_of,
    checked_rows,
    cluster_warnings,
    sandwich,
    solve,
)


def linear_clustered(
    y: npt.ArrayLike,
    X: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    names: Sequence[str],
    weights: npt.ArrayLike | None = None,
) -> ClusteredFit:
    """Fit a linear regression with covariance robust to clusters (CR1).

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcomes; 0/1 outcomes make it a linear probability model.
    X : array_like, shape (n, p)
        Columns of the model, the intercept's included, linearly independent.
    groups : array_like, shape (n,)
        Cluster of each row: integers or any hashable labels.
    names : sequence of str, length p
        Names of the columns.
    weights : array_like, shape (n,), optional
        Number of observations a row stands for; `y` is then their mean. Rows of weight zero
        are left out. Rows aggregated within clusters give the estimates and covariance of
        their observations.

    Returns
    -------
    ClusteredFit
        ``loglik`` is the maximum-likelihood one of normal errors (None with weights);
        ``deviance`` the residual sum of squares.

    Raises
    ------
    InputError
        For aliased columns, fewer than two clusters, and inputs that are not finite or
        differ in length.
    """
    rows = checked_rows(y, X, groups, names, weights)
    basis, transform = basis_of(rows.X, rows.names)
    information = (basis * rows.weights[:, None]).T @ basis
    coefficients = solve(information, basis.T @ (rows.weights * rows.y))
    residuals = rows.y - basis @ coefficients
    bread, influence, correction, cov = sandwich(
        rows, basis, transform, information, rows.weights * residuals
    )
    squares = float(rows.weights @ residuals**2)
    loglik = None
    if weights is None and squares > 0:
        loglik = -0.5 * rows.n_obs * (np.log(2 * np.pi * squares / rows.n_obs) + 1)
    return ClusteredFit(
        names=rows.names,
        params=solve(transform, coefficients),
        cov=cov,
        influence=influence,
        groups=rows.groups,
        correction=correction,
        bread=bread,
        n_obs=rows.n_obs,
        n_clusters=len(rows.groups),
        loglik=None if loglik is None else float(loglik),
        deviance=squares,
        converged=True,
        iterations=0,
        warnings=tuple(cluster_warnings(len(rows.groups), rows.X.shape[1])),
    )
