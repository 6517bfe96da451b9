"""The profiled (restricted) likelihood of a linear mixed model, evaluated exactly.

An engine searches; this says what the likelihood is where the search ended, also at
variances of exactly zero, whether the end is a maximum, and what follows for the fixed
effects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from analysis.mixed.clustered import FloatArray, solve
from analysis.mixed.design import RandomBlock

#: Step of the finite differences in theta: large beside the likelihood's rounding, small
#: beside the curvature of a relative standard deviation.
STEP = 1e-3
#: A fit has converged when another Newton step promises less than this in log-likelihood.
PROMISE = 1e-5
#: A Cholesky diagonal below this is tried at zero.
NEAR_ZERO = 2e-2


@dataclass(frozen=True, eq=False)
class Problem:
    """A linear mixed model in well-conditioned coordinates.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Residuals of ordinary least squares, in units of their standard deviation.
    X : ndarray, shape (n, p)
        A well-conditioned basis of the fixed-effect columns.
    blocks : tuple of RandomBlock
        Columns scaled to root mean square one.
    reml : bool
    """

    y: FloatArray
    X: FloatArray
    blocks: tuple[RandomBlock, ...]
    reml: bool


@dataclass(frozen=True, eq=False)
class Profile:
    """The likelihood and what it implies at one theta.

    Attributes
    ----------
    loglik : float
        Restricted log-likelihood when `Problem.reml`.
    coefficients : ndarray, shape (p,)
        Generalised-least-squares estimates.
    unscaled_cov : ndarray, shape (p, p)
        (X'V⁻¹X)⁻¹ with V in units of the residual variance.
    sigma : float
        Residual standard deviation.
    """

    loglik: float
    coefficients: FloatArray
    unscaled_cov: FloatArray
    sigma: float


def n_theta(blocks: tuple[RandomBlock, ...]) -> int:
    """Count the covariance parameters: q(q + 1)/2 a block."""
    return sum(len(block.names) * (len(block.names) + 1) // 2 for block in blocks)


def factors(theta: FloatArray, blocks: tuple[RandomBlock, ...]) -> list[FloatArray]:
    """Unpack theta into one lower-triangular relative Cholesky factor per block, row by row."""
    found, start = [], 0
    for block in blocks:
        q = len(block.names)
        lower = np.zeros((q, q))
        stop = start + q * (q + 1) // 2
        lower[np.tril_indices(q)] = theta[start:stop]
        found.append(lower)
        start = stop
    return found


def diagonal(blocks: tuple[RandomBlock, ...]) -> npt.NDArray[np.int64]:
    """Find the entries of theta that lie on a factor's diagonal."""
    found, start = [], 0
    for block in blocks:
        rows, columns = np.tril_indices(len(block.names))
        found.append(start + np.flatnonzero(rows == columns))
        start += len(rows)
    return np.concatenate(found)


def evaluate(theta: FloatArray, problem: Problem) -> Profile:
    """Evaluate the profiled likelihood (Bates et al. 2015, doi:10.18637/jss.v067.i01).

    Parameters
    ----------
    theta : ndarray, shape (n_theta,)
        Relative Cholesky factors, see `factors`. Signs do not matter.
    problem : Problem

    Returns
    -------
    Profile
    """
    y, X = problem.y, problem.X
    n, p = X.shape
    data, indices, first = [], [], 0
    for lower, block in zip(factors(theta, problem.blocks), problem.blocks, strict=True):
        q = len(block.names)
        data.append(block.Z @ lower)
        indices.append(first + block.codes[:, None] * q + np.arange(q))
        first += block.n_levels * q
    values, columns = np.hstack(data), np.hstack(indices)
    pointers = np.arange(n + 1) * values.shape[1]
    spread = sparse.csr_matrix((values.ravel(), columns.ravel(), pointers), shape=(n, first))
    inner = (spread.T @ spread + sparse.identity(first)).tocsc()
    # Positive definite: no pivoting needed, and the order may follow the structure alone.
    decomposed = splu(
        inner,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    logdet = float(np.log(np.abs(decomposed.U.diagonal())).sum())
    both = np.column_stack([X, y])
    projected = spread.T @ both
    weighted = both.T @ both - projected.T @ decomposed.solve(projected)
    XVX, XVy, yVy = weighted[:p, :p], weighted[:p, p], float(weighted[p, p])
    coefficients = solve(XVX, XVy)
    squares = yVy - float(coefficients @ XVy)
    freedom = n - p if problem.reml else n
    deviance = logdet + freedom * (1 + np.log(2 * np.pi * squares / freedom))
    if problem.reml:
        deviance += float(np.linalg.slogdet(XVX)[1])
    return Profile(
        loglik=-0.5 * float(deviance),
        coefficients=coefficients,
        unscaled_cov=np.asarray(np.linalg.inv(XVX), dtype=np.float64),
        sigma=float(np.sqrt(squares / freedom)),
    )


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a theta maximises the likelihood.

    Attributes
    ----------
    theta : ndarray
        Where polishing ended.
    profile : Profile
        The likelihood there.
    converged : bool
        A further Newton step promises nothing and no direction curves upwards.
    singular : bool
        Some relative factor has a zero on its diagonal.
    uphill : ndarray or None
        A direction of theta in which the likelihood rises to both sides (a saddle).
    """

    theta: FloatArray
    profile: Profile
    converged: bool
    singular: bool
    uphill: FloatArray | None


def polish(theta: FloatArray, problem: Problem) -> Verdict:
    """Finish a search by Newton steps, try zero where a variance is near it, and judge.

    Parameters
    ----------
    theta : ndarray, shape (n_theta,)
    problem : Problem

    Returns
    -------
    Verdict
    """
    theta = theta.copy()
    best = evaluate(theta, problem)
    for j in diagonal(problem.blocks):
        if theta[j] != 0 and abs(theta[j]) < NEAR_ZERO:
            trial = theta.copy()
            trial[j] = 0.0
            there = evaluate(trial, problem)
            if there.loglik >= best.loglik - PROMISE:
                theta, best = trial, there
    converged, uphill = False, None
    for _ in range(10):
        gradient, hessian = _derivatives(theta, problem, best.loglik)
        values, vectors = np.linalg.eigh(-hessian)  # positive at a maximum
        scale = max(float(np.abs(values).max()), 1.0)
        parts = vectors.T @ gradient
        if values[0] < -1e-4 * scale:
            uphill = vectors[:, 0]
            break
        curved = values > 1e-7 * scale
        promise = float((parts[curved] ** 2 / values[curved]).sum()) / 2
        flat = float(np.abs(parts[~curved]).max(initial=0.0))
        converged = promise < PROMISE and flat < 1e-2
        if promise < 1e-10 or not curved.any():
            break
        step = vectors[:, curved] @ (parts[curved] / values[curved])
        moved = _shortened(theta, step, problem, best)
        if moved is None:
            break
        theta, best = moved
    near = np.abs(theta[diagonal(problem.blocks)]) < 1e-4
    if near.any():
        # Rounding away from zero is not variance.
        theta[diagonal(problem.blocks)[near]] = 0.0
        best = evaluate(theta, problem)
    return Verdict(theta, best, converged, bool(near.any()), uphill)


def _shortened(
    theta: FloatArray, step: FloatArray, problem: Problem, best: Profile
) -> tuple[FloatArray, Profile] | None:
    for size in (1.0, 0.5, 0.25, 0.1):
        there = evaluate(theta + size * step, problem)
        if there.loglik > best.loglik:
            return theta + size * step, there
    return None


def _derivatives(theta: FloatArray, problem: Problem, here: float) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian of the log-likelihood by central differences."""
    d = len(theta)
    steps = STEP * np.eye(d)
    plus = np.array([evaluate(theta + step, problem).loglik for step in steps])
    minus = np.array([evaluate(theta - step, problem).loglik for step in steps])
    gradient = (plus - minus) / (2 * STEP)
    hessian = np.diag((plus + minus - 2 * here) / STEP**2)
    for i in range(d):
        for j in range(i):
            both = evaluate(theta + steps[i] + steps[j], problem).loglik
            neither = evaluate(theta - steps[i] - steps[j], problem).loglik
            mixed = (both + neither + 2 * here - plus[i] - plus[j] - minus[i] - minus[j]) / 2
            hessian[i, j] = hessian[j, i] = mixed / STEP**2
    return gradient, hessian
