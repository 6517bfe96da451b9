"""Linear mixed models: the profiled (restricted) deviance and its gradient, and the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.mixed.clustered import FloatArray, basis_of, solve
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.satterthwaite import Spread
from analysis.mixed.search import Minimum, minimise
from analysis.mixed.structure import Structure, arrange
from analysis.mixed.system import System
from analysis.mixed.thinning import from_part, thinned
from complexity.errors import InputError

NAME = "Optik, profiled deviance"
#: Where the search begins: relative standard deviations of the random effects.
STARTS = (1.0, 0.25, 4.0)
#: Residual sums of squares below this share of the total are not had by subtraction.
CANCELLED = 1e-6


@dataclass(frozen=True, eq=False)
class Components:
    """A mixed model's estimates.

    Attributes
    ----------
    params : ndarray, shape (p,)
    cov : ndarray, shape (p, p)
        Of the fixed effects.
    covariances : tuple of ndarray, shape (q, q)
        Of the random effects, one per block of the design.
    residual_sd : float or None
    loglik : float
        Restricted when fitted by REML.
    n_variance : int
        Number of covariance parameters, the residual's left out.
    converged, singular : bool
    warnings : tuple of str
    theta : ndarray, shape (m,)
        Where the search ended (`analysis.mixed.model.Model`).
    spread : Spread or None
        What Satterthwaite's degrees of freedom need (linear models).
    joint : ndarray, shape (m + p, m + p), or None
        Covariance of (theta, fixed effects) (logistic models).
    """

    params: FloatArray
    cov: FloatArray
    covariances: tuple[FloatArray, ...]
    residual_sd: float | None
    loglik: float
    n_variance: int
    converged: bool
    singular: bool
    warnings: tuple[str, ...]
    theta: FloatArray
    spread: Spread | None = None
    joint: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The pieces of the deviance at one theta (Bates et al. 2015, doi:10.18637/jss.v067.i01).

    Attributes
    ----------
    logdet : float
        log |V'V + I|, and log |X'V⁻¹X| with it for REML.
    squares : float
        Penalised residual sum of squares.
    logdet_slope, squares_slope : ndarray, shape (n_theta,)
        Their derivatives.
    coefficients : ndarray, shape (p,)
    unscaled_cov : ndarray, shape (p, p)
        (X'V⁻¹X)⁻¹, V in units of the residual variance.
    """

    logdet: float
    squares: float
    logdet_slope: FloatArray
    squares_slope: FloatArray
    coefficients: FloatArray
    unscaled_cov: FloatArray


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of products within the innermost groups, and over all rows."""

    moments: FloatArray  # (leaves, kz, kz + p): Z'(Z, X)
    Zy: FloatArray  # (leaves, kz)
    Xy: FloatArray  # (p,)
    yy: float


def _sums(structure: Structure, y: FloatArray, X: FloatArray) -> _Sums:
    Z, starts = structure.Z, structure.first[:-1]
    columns = np.hstack([Z, X])
    moments = np.empty((len(starts), Z.shape[1], columns.shape[1]))
    for j in range(Z.shape[1]):
        moments[:, j] = np.add.reduceat(columns * Z[:, [j]], starts, axis=0)
    Zy = np.add.reduceat(Z * y[:, None], starts, axis=0)
    return _Sums(moments, Zy, X.T @ y, float(y @ y))


class Profiled:
    """The profiled deviance of a linear mixed model as a function of theta.

    Parameters
    ----------
    structure : Structure
    y : ndarray, shape (n,)
        Outcomes, rows in the order of the design.
    X : ndarray, shape (n, p)
    reml : bool
    """

    def __init__(self, structure: Structure, y: FloatArray, X: FloatArray, *, reml: bool) -> None:
        self.structure, self.reml = structure, reml
        self.y = np.ascontiguousarray(y[structure.rows])
        self.X = np.ascontiguousarray(X[structure.rows])
        self.freedom = len(y) - (X.shape[1] if reml else 0)
        self._ones = np.ones(len(y))
        self._sums: _Sums | None = None
        if structure.n_crossed == 0 and len(structure.first) - 1 <= len(y) // 2:
            self._sums = _sums(structure, self.y, self.X)
        self.system = System(structure, self.X, None if self._sums is None else self._sums.moments)

    def evaluate(self, theta: FloatArray) -> Evaluation | None:
        """Evaluate; None where theta is too far out for arithmetic."""
        system = self.system
        if not system.factorise(theta, self._ones):
            return None
        if self._sums is None:
            effects, coefficients, fitted = system.solve(self.y)
            residuals = self.y - self.X @ coefficients - fitted
            squares = float(residuals @ residuals + effects @ effects)
            outer = system.outer_sums(residuals, effects)
        else:
            sums = self._sums
            effects, coefficients, fitted = system.solve_sums(sums.Zy, sums.Xy)
            squares = sums.yy - float(coefficients @ sums.Xy) - float(fitted.sum())
            if squares < CANCELLED * sums.yy:
                # Too little is left of the difference: from the rows instead.
                self._sums = None
                self.system = System(self.structure, self.X)
                return self.evaluate(theta)
            met = system.effects_by_leaf(effects) @ system.lower.T
            both = np.hstack([met, np.broadcast_to(coefficients, (len(met), len(coefficients)))])
            explained = np.einsum("ljk,lk->lj", sums.moments, both)
            outer = system.outer_of_sums(sums.Zy - explained, effects)
        _, slope = system.logdet_slope(self._ones, fixed=self.reml)
        return Evaluation(
            logdet=system.logdet_effects + (system.logdet_fixed if self.reml else 0.0),
            squares=squares,
            logdet_slope=2 * system.at_theta(slope),
            squares_slope=-2 * system.at_theta(outer),
            coefficients=coefficients,
            unscaled_cov=system.fixed_inverse(),
        )

    def deviance(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """−2 log-likelihood (restricted with REML) and its gradient."""
        at = self.evaluate(theta)
        if at is None or not at.squares > 0:
            return np.inf, np.zeros(len(theta))
        value = at.logdet + self.freedom * (1 + np.log(2 * np.pi * at.squares / self.freedom))
        return float(value), at.logdet_slope + self.freedom / at.squares * at.squares_slope


def fit_linear(design: Design, *, reml: bool) -> Components:
    """Fit a linear mixed model by (restricted) maximum likelihood.

    Parameters
    ----------
    design : Design
        With at least one random block.
    reml : bool

    Returns
    -------
    Components

    Raises
    ------
    InputError
        When the fixed part reproduces the outcome.
    """
    basis, transform = basis_of(design.X, design.names)
    ordinary = solve(basis.T @ basis, basis.T @ design.y)
    residuals = design.y - basis @ ordinary
    spread = float(np.sqrt((residuals**2).mean()))
    if spread <= 1e-10 * float(np.abs(design.y).max()):
        raise InputError("the fixed part reproduces the outcome exactly: no variance is left")
    scaled, lengths = unit_length(design.random)
    structure = arrange(scaled)
    profiled = Profiled(structure, residuals / spread, basis, reml=reml)
    best = search(profiled, scaled, residuals / spread, basis)
    theta = best.point
    at = profiled.evaluate(theta)
    assert at is not None
    sigma = float(np.sqrt(at.squares / profiled.freedom))
    back = np.asarray(np.linalg.inv(transform), dtype=np.float64)
    loglik = -best.value / 2 - profiled.freedom * np.log(spread)
    if reml:
        loglik -= float(np.linalg.slogdet(transform)[1])
    unit = sigma * spread * back
    return Components(
        params=back @ (ordinary + spread * at.coefficients),
        cov=symmetric(unit @ at.unscaled_cov @ unit.T),
        covariances=covariances(theta, scaled, lengths, sigma * spread),
        residual_sd=sigma * spread,
        loglik=float(loglik),
        n_variance=len(theta),
        converged=best.converged,
        singular=best.singular,
        warnings=verdict(best),
        theta=theta,
        spread=variance_of_covariance(profiled, theta, sigma, spread * back),
    )


def unit_length(blocks: Sequence[RandomBlock]) -> tuple[tuple[RandomBlock, ...], list[FloatArray]]:
    """Scale the columns of random blocks to root mean square one."""
    lengths = [np.sqrt((block.Z**2).mean(axis=0)) for block in blocks]
    scaled = [
        replace(block, Z=block.Z / length) for block, length in zip(blocks, lengths, strict=True)
    ]
    return tuple(scaled), lengths


def covariances(
    theta: FloatArray, blocks: Sequence[RandomBlock], lengths: Sequence[FloatArray], sigma: float
) -> tuple[FloatArray, ...]:
    """Covariance matrices of the random effects in the units of the design's columns."""
    found, start = [], 0
    for block, length in zip(blocks, lengths, strict=True):
        q = len(block.names)
        lower = np.zeros((q, q))
        stop = start + q * (q + 1) // 2
        lower[np.tril_indices(q)] = theta[start:stop]
        start = stop
        found.append(lower @ lower.T * sigma**2 / np.outer(length, length))
    return tuple(found)


def symmetric(matrix: FloatArray) -> FloatArray:
    """Remove the asymmetry of rounding."""
    return (matrix + matrix.T) / 2


def verdict(best: Minimum) -> tuple[str, ...]:
    """Say what a reader must know about the search's end."""
    found = []
    if best.singular:
        found.append(
            "singular fit: a random effect has no variance, or a correlation is at its limit"
        )
    if not best.converged:
        found.append("the likelihood's maximum was not reached; do not use these estimates")
    return tuple(found)


def rough_errors(structure: Structure) -> FloatArray:
    """Rough standard errors of theta: a relative SD is known to 1/√(2 groups) at best."""
    groups = np.repeat(structure.n_levels, structure.span)
    errors: FloatArray = 1 / np.sqrt(2.0 * groups[structure.theta_row])
    return errors


def search(
    profiled: Profiled, blocks: Sequence[RandomBlock], y: FloatArray, X: FloatArray
) -> Minimum:
    """Minimise the profiled deviance, from several starting points if need be.

    Parameters
    ----------
    profiled : Profiled
    blocks, y, X
        What it was made of: large data are searched in part first.

    Returns
    -------
    Minimum
    """
    structure = profiled.structure
    scale = np.diag(rough_errors(structure))
    part = thinned(blocks, structure)
    best: Minimum | None = None
    if part is not None:
        rows, fewer = part
        smaller = Profiled(arrange(fewer), y[rows], X[rows], reml=profiled.reml)
        begun = search(smaller, fewer, y[rows], X[rows])
        best = from_part(profiled.deviance, begun, scale, structure)
        if best is not None:
            return best
    for tried, start in enumerate(STARTS):
        theta = np.zeros(len(structure.theta_row))
        theta[structure.diagonal] = start
        found = minimise(profiled.deviance, theta, scale, structure.diagonal, best)
        if best is None or (found.converged, -found.value) > (best.converged, -best.value):
            best = found
        # A maximum at the boundary is looked at from a second side before it is believed.
        if found.converged and (tried > 0 or not found.singular):
            break
    assert best is not None
    return best


def variance_of_covariance(
    profiled: Profiled, theta: FloatArray, sigma: float, unit: FloatArray
) -> Spread:
    """Covariance of (theta, sigma), and how the fixed effects' covariance moves with them.

    As lmerTest has it (Kuznetsova, Brockhoff & Christensen 2017, doi:10.18637/jss.v082.i13):
    twice the inverse Hessian of the deviance that is not profiled over sigma, its flat
    directions left out.
    """
    size = len(theta) + 1
    hessian = np.zeros((size, size))
    jacobian = []
    here = profiled.evaluate(theta)
    assert here is not None
    for j, step in enumerate(1e-4 * rough_errors(profiled.structure)):
        moved = theta.copy()
        moved[j] += step
        there = profiled.evaluate(moved)
        assert there is not None
        slope = there.logdet_slope - here.logdet_slope
        slope = slope + (there.squares_slope - here.squares_slope) / sigma**2
        hessian[j, :-1] = slope / step
        jacobian.append(unit @ (there.unscaled_cov - here.unscaled_cov) @ unit.T * sigma**2 / step)
    # The mixed derivative: of squares / σ² to σ.
    hessian[-1, :-1] = hessian[:-1, -1] = -2 * here.squares_slope / sigma**3
    hessian[-1, -1] = 4 * profiled.freedom / sigma**2
    jacobian.append(2 * sigma * unit @ here.unscaled_cov @ unit.T)
    hessian[:-1, :-1] = symmetric(hessian[:-1, :-1])
    values, vectors = np.linalg.eigh(hessian)
    kept = values > 1e-8 * max(1.0, float(values[-1]))
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return Spread(np.array(jacobian), 2 * inverse)
