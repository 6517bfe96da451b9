"""Logistic regression by Newton steps, with cluster-robust covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlogy

from analysis.mixed.clustered import (
    ClusteredFit,
    FloatArray,
    Rows,
    basis_of,
    checked_rows,
    cluster_warnings,
    sandwich,
    solve,
)
from analysis.mixed.separation import named, separated_columns
from complexity.errors import InputError, listing

#: Newton stops once a step promises less than this in log-likelihood: estimates are then
#: within a millionth of a standard error, and the last step is still taken.
TOLERANCE = 1e-12
MAX_ITERATIONS = 60


def logit_clustered(
    y: npt.ArrayLike,
    X: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    names: Sequence[str],
    weights: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
) -> ClusteredFit:
    """Fit a logistic regression with covariance robust to clusters (CR1).

    Parameters
    ----------
    y : array_like, shape (n,)
        Outcomes in [0, 1]: 0 and 1, proportions, or soft scores (a quasi-likelihood then).
    X : array_like, shape (n, p)
        Columns of the model, the intercept's included, linearly independent.
    groups : array_like, shape (n,)
        Cluster of each row: integers or any hashable labels.
    names : sequence of str, length p
        Names of the columns.
    weights : array_like, shape (n,), optional
        Number of trials a row stands for; `y` is then their mean. Rows of weight zero are
        left out. Rows aggregated within clusters give the same answer as their trials.
    start : array_like, shape (p,), optional
        Where the iterations begin (for refits).

    Returns
    -------
    ClusteredFit
        Quasi-likelihoods have ``loglik`` None. The log-likelihood of weighted rows includes
        the binomial coefficients, as R's ``glm`` does.

    Raises
    ------
    InputError
        For outcomes outside [0, 1], aliased columns, fewer than two clusters, and inputs
        that are not finite or differ in length.

    Notes
    -----
    The covariance is Liang & Zeger's (1986, Biometrika 73(1), doi:10.1093/biomet/73.1.13)
    times (G / (G − 1)) · ((N − 1) / (N − p)).
    """
    rows = checked_rows(y, X, groups, names, weights)
    if (rows.y < 0).any() or (rows.y > 1).any():
        raise InputError("the outcome of a logit lies outside [0, 1]; rescale it to a proportion")
    begin = None if start is None else np.asarray(start, dtype=np.float64)
    solution = solve_logit(rows, begin)
    warnings = cluster_warnings(len(rows.groups), rows.X.shape[1]) + list(solution.warnings)
    bread, influence, correction, cov = sandwich(
        rows, solution.basis, solution.transform, solution.information, solution.score
    )
    for name in solution.separated:
        # Sandwich errors of a diverging coefficient look small and mean nothing.
        j = rows.names.index(name)
        influence[:, j] = np.nan
        cov[j] = cov[:, j] = np.nan
        bread[j] = bread[:, j] = np.nan
    return ClusteredFit(
        names=rows.names,
        params=solution.params,
        cov=cov,
        influence=influence,
        groups=rows.groups,
        correction=correction,
        bread=bread,
        n_obs=rows.n_obs,
        n_clusters=len(rows.groups),
        loglik=loglik(rows, solution.mu),
        deviance=solution.deviance,
        converged=solution.converged,
        iterations=solution.iterations,
        separated=solution.separated,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, eq=False)
class Solution:
    """Where Newton's iterations ended.

    Attributes
    ----------
    params : ndarray, shape (p,)
    mu, score : ndarray, shape (n,)
        Fitted probabilities; weight × (y − mu).
    basis, transform : ndarray
        As `basis_of` returns them.
    information : ndarray, shape (p, p)
        In the basis.
    """

    params: FloatArray
    mu: FloatArray
    score: FloatArray
    basis: FloatArray
    transform: FloatArray
    information: FloatArray
    deviance: float
    converged: bool
    iterations: int
    separated: tuple[str, ...]
    warnings: tuple[str, ...]


def solve_logit(rows: Rows, start: FloatArray | None = None) -> Solution:
    """Maximise the (quasi-)likelihood of a logit by damped Newton steps.

    Parameters
    ----------
    rows : Rows
        Checked inputs, outcomes in [0, 1].
    start : ndarray, shape (p,), optional

    Returns
    -------
    Solution
    """
    basis, transform = basis_of(rows.X, rows.names)
    y, weights = rows.y, rows.weights
    coefficients = _first(rows, basis) if start is None else transform @ start
    constant = float(2 * weights @ (xlogy(y, y) + xlogy(1 - y, 1 - y)))
    mu, deviance = _fitted(basis @ coefficients, y, weights, constant)
    converged = stuck = False
    iterations = 0
    while not converged and not stuck and iterations < MAX_ITERATIONS:
        iterations += 1
        score = weights * (y - mu)
        gradient = basis.T @ score
        information = (basis * (weights * mu * (1 - mu))[:, None]).T @ basis
        try:
            step = solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        promise = float(gradient @ step)
        if not np.isfinite(promise) or promise < 0:
            break
        converged = promise < TOLERANCE
        size = 1.0
        while True:
            trial, trial_deviance = _fitted(
                basis @ (coefficients + size * step), y, weights, constant
            )
            # Rounding of a sum of n terms must not stop the last steps.
            if trial_deviance <= deviance * (1 + 1e-12) + 1e-12:
                coefficients = coefficients + size * step
                mu, deviance = trial, trial_deviance
                break
            size /= 2
            if size < 1e-6:
                stuck = True
                break
    if start is not None and not converged:
        return solve_logit(rows)  # a start far off must not decide the outcome
    direction = separated_columns(y, mu, basis)
    separated: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    if direction is not None:
        separated = named(solve(transform, direction), rows.names)
        converged = False
        warnings = (
            f"separation: some rows are predicted perfectly by {listing(separated, shown=8)}: "
            "these estimates grow without limit and have no standard error",
        )
    elif not converged:
        warnings = (f"the logit did not converge in {iterations} Newton steps",)
    return Solution(
        params=solve(transform, coefficients),
        mu=mu,
        score=weights * (y - mu),
        basis=basis,
        transform=transform,
        information=(basis * (weights * mu * (1 - mu))[:, None]).T @ basis,
        deviance=deviance,
        converged=converged,
        iterations=iterations,
        separated=separated,
        warnings=warnings,
    )


def _first(rows: Rows, basis: FloatArray) -> FloatArray:
    """Regress the logits of outcomes shrunk towards one half, as R's ``glm`` begins."""
    mu = (rows.weights * rows.y + 0.5) / (rows.weights + 1)
    working = np.log(mu / (1 - mu)) + (rows.y - mu) / (mu * (1 - mu))
    weighted = basis * (rows.weights * mu * (1 - mu))[:, None]
    return solve(weighted.T @ basis, weighted.T @ working)


def _fitted(
    eta: FloatArray, y: FloatArray, weights: FloatArray, constant: float
) -> tuple[FloatArray, float]:
    """Probabilities and deviance; `constant` is the saturated model's part of it."""
    small = np.exp(np.copysign(eta, -1.0))
    share = 1 / (1 + small)
    mu = np.where(eta >= 0, share, small * share)
    # log(1 + exp(eta)) − y eta, without overflow.
    terms = np.log1p(small) + np.maximum(eta, 0.0) - y * eta
    return mu, float(2 * weights @ terms + constant)


def loglik(rows: Rows, mu: FloatArray) -> float | None:
    """Return the binomial log-likelihood, or None when outcomes are not counts of trials."""
    successes = rows.weights * rows.y
    counts = np.round(successes)
    trials = np.round(rows.weights)
    if np.abs(successes - counts).max() > 1e-6 or np.abs(rows.weights - trials).max() > 1e-6:
        return None
    kernel = xlogy(counts, mu) + xlogy(trials - counts, 1 - mu)
    ways = gammaln(trials + 1) - gammaln(counts + 1) - gammaln(trials - counts + 1)
    return float(kernel.sum() + ways.sum())
