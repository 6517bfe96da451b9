"""Linear mixed models: the profiled (restricted) deviance and its gradient, and the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.mixed import kernels_rows
from analysis.mixed.clustered import FloatArray, basis_of, solve
from analysis.mixed.coordinates import Transforms, covariances, transforms_of
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.equations import equations
from analysis.mixed.satterthwaite import Spread
from analysis.mixed.search import Minimum, minimise
from analysis.mixed.structure import Structure, arrange
from analysis.mixed.system import check_border
from analysis.mixed.thinning import from_part, thinned
from complexity.errors import InputError, listing

NAME = "Optik, profiled deviance"
#: Where the search begins: relative standard deviations of the random effects.
STARTS = (1.0, 0.25, 4.0)
#: Residual sums of squares below this share of the total are not had by subtraction.
CANCELLED = 1e-6
#: Columns whose Gram matrix, of unit diagonal, has no smaller eigenvalue need no basis.
WIDE = 1e-3
#: Step of the finite differences of the gradient, in rough standard errors: variances of few
#: groups bend the deviance so much that a longer one shows in the degrees of freedom.
STEP = 3e-5
#: The search's last differences serve again when they were taken this close to its end.
CLOSE = 3e-5


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
    transforms : tuple of ndarray, shape (q, q)
        Its coordinates (`analysis.mixed.coordinates`).
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
    transforms: Transforms
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
    gradient : ndarray, shape (n_theta,)
        Of the profiled deviance.
    coefficients : ndarray, shape (p,)
    unscaled_cov : ndarray, shape (p, p)
        (X'V⁻¹X)⁻¹, V in units of the residual variance.
    """

    logdet: float
    squares: float
    gradient: FloatArray
    coefficients: FloatArray
    unscaled_cov: FloatArray


class Profiled:
    """The profiled deviance of a linear mixed model as a function of theta.

    The outcome stands as the last of the equations' columns: its squared pivot is the
    penalised residual sum of squares. Rows are met once, to be summed within cells.

    Parameters
    ----------
    structure : Structure
    y : ndarray, shape (n,)
        Outcomes, rows in the order of the design.
    X : ndarray, shape (n, p)
    reml : bool
    moments : ndarray, shape (kz, kz + p + 1, cells), optional
        Z'(Z, X, y) of each cell, where they are known.
    """

    def __init__(
        self,
        structure: Structure,
        y: FloatArray,
        X: FloatArray,
        *,
        reml: bool,
        moments: FloatArray | None = None,
    ) -> None:
        self.structure, self.reml = structure, reml
        self.y, self.X = np.ascontiguousarray(y), np.ascontiguousarray(X)
        n, p = X.shape
        self.freedom = n - (p if reml else 0)
        if moments is None:
            kz = structure.Z.shape[1]
            sums = np.zeros((structure.n_cells, kz, kz + p + 1))
            kernels_rows.accumulate(structure.Z, self.X, self.y, structure.cell, sums)
            moments = np.ascontiguousarray(sums.transpose(1, 2, 0))
        self.moments = moments
        self.gram = np.empty((p + 1, p + 1))
        self.gram[:p, :p] = self.X.T @ self.X
        self.gram[:p, p] = self.gram[p, :p] = self.X.T @ self.y
        self.gram[p, p] = self.y @ self.y
        self.system = equations(structure, p + 1)
        self._cancelled = False
        self._known: dict[bytes, Evaluation] = {}

    def evaluate(self, theta: FloatArray) -> Evaluation | None:
        """Evaluate; None where theta is too far out for arithmetic."""
        known = self._known.get(theta.tobytes())
        if known is None:
            known = self._evaluate(theta)
            if known is not None:
                self._known[theta.tobytes()] = known
        return known

    def _evaluate(self, theta: FloatArray) -> Evaluation | None:
        system, p = self.system, len(self.gram) - 1
        if not system.factorise(theta, self.moments, self.gram):
            return None
        corner = system.border.corner
        back = np.linalg.inv(np.triu(corner[:p, :p]))
        coefficients = back @ corner[:p, p]
        squares = 0.0 if system.border.exhausted else float(corner[p, p]) ** 2
        self._cancelled = self._cancelled or squares < CANCELLED * self.gram[p, p]
        if self._cancelled:
            # Too little is left of the difference: from the rows instead.
            squares, squares_slope = self._from_rows(coefficients)
            gradient = self._slope(0.0) + self.freedom / squares * squares_slope
        else:
            gradient = self._slope(self.freedom)
        return Evaluation(
            logdet=system.logdet_effects + (system.logdet_fixed(p) if self.reml else 0.0),
            squares=squares,
            gradient=gradient,
            coefficients=coefficients,
            unscaled_cov=back @ back.T,
        )

    def _slope(self, weight: float) -> FloatArray:
        """Differentiate the log-determinants plus `weight` times the log of the squares."""
        weights = np.full(len(self.gram), float(self.reml))
        weights[-1] = weight
        slope, _ = self.system.logdet_slope(self.moments, weights)
        return 2 * self.system.at_theta(slope)

    def _from_rows(self, coefficients: FloatArray) -> tuple[float, FloatArray]:
        """Residual sum of squares and its derivative from residuals of the rows."""
        s, system = self.structure, self.system
        effects = system.explained(np.r_[coefficients, -1.0])
        met = system.met(effects)
        fitted = np.einsum("nk,nk->n", s.Z, (met @ system.lower.T)[s.cell])
        residuals = self.y - self.X @ coefficients - fitted
        outer = (s.Z * residuals[:, None]).T @ met[s.cell]
        return float(residuals @ residuals + effects @ effects), -2 * system.at_theta(outer)

    def squares_slope(self, theta: FloatArray) -> FloatArray:
        """Differentiate the penalised residual sum of squares: (n_theta,)."""
        here = self._evaluate(theta)
        assert here is not None
        rest: FloatArray = (here.gradient - self._slope(0.0)) * here.squares / self.freedom
        return rest

    def deviance(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """−2 log-likelihood (restricted with REML) and its gradient."""
        at = self.evaluate(theta)
        if at is None or not at.squares > 0:
            return np.inf, np.zeros(len(theta))
        value = at.logdet + self.freedom * (1 + np.log(2 * np.pi * at.squares / self.freedom))
        return float(value), at.gradient


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
        When the fixed part reproduces the outcome, and for crossed factors with too many
        levels for this computer's memory.
    """
    X, transform = conditioned(design.X, design.names)
    ordinary = solve(X.T @ X, X.T @ design.y)
    residuals = design.y - X @ ordinary
    spread = float(np.sqrt(residuals @ residuals / len(residuals)))
    if spread <= 1e-10 * float(np.abs(design.y).max()):
        raise InputError("the fixed part reproduces the outcome exactly: no variance is left")
    residuals /= spread
    transforms = transforms_of(design.random)
    structure = arrange(design.random, transforms)
    check_border(structure, groupings(design.random))
    profiled = Profiled(structure, residuals, X, reml=reml)
    best = search(profiled)
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
        covariances=covariances(theta, transforms, sigma * spread),
        residual_sd=sigma * spread,
        loglik=float(loglik),
        n_variance=len(theta),
        converged=best.converged,
        singular=best.singular,
        warnings=verdict(best),
        theta=theta,
        transforms=transforms,
        spread=variance_of_covariance(profiled, best, sigma, spread * back),
    )


def conditioned(X: FloatArray, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Take the columns as they are where their angles allow it, else a basis.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    names : sequence of str, length p

    Returns
    -------
    basis : ndarray, shape (n, p)
    transform : ndarray, shape (p, p)
        ``X = basis @ transform``.

    Raises
    ------
    InputError
        As `basis_of`.
    """
    gram = X.T @ X
    length = np.sqrt(np.diag(gram))
    # Elimination does not mind the columns' units, only their angles.
    if (length > 0).all() and np.linalg.eigvalsh(gram / np.outer(length, length))[0] > WIDE:
        return X, np.eye(X.shape[1])
    return basis_of(X, names)


def groupings(blocks: Sequence[RandomBlock]) -> str:
    """Name the groupings of a model."""
    return listing(dict.fromkeys(block.group for block in blocks))


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


def search(profiled: Profiled, begun: Minimum | None = None, *, once: bool = False) -> Minimum:
    """Minimise the profiled deviance, from several starting points if need be.

    Parameters
    ----------
    profiled : Profiled
        Large data are searched in part first.
    begun : Minimum, optional
        Where a search with `once` ended, at a boundary: it is looked at from a second side.
    once : bool
        Believe the first maximum, at a boundary too.

    Returns
    -------
    Minimum
    """
    structure = profiled.structure
    scale = np.diag(rough_errors(structure))
    part = thinned(structure)
    best = begun
    if part is not None and begun is None:
        kept, rows, fewer = part
        smaller = Profiled(
            fewer,
            profiled.y[rows],
            profiled.X[rows],
            reml=profiled.reml,
            moments=profiled.moments.compress(kept, axis=2),
        )
        best = from_part(
            profiled.deviance,
            lambda first: search(smaller, first, once=first is None),
            scale,
            structure,
            once=once,
            step=STEP,
        )
        if best is not None:
            return best
    for tried, start in enumerate(STARTS):
        if tried == 0 and begun is not None:
            continue
        theta = np.zeros(len(structure.theta_row))
        theta[structure.diagonal] = start
        found = minimise(profiled.deviance, theta, scale, structure.diagonal, best, step=STEP)
        if best is None or (found.converged, -found.value) > (best.converged, -best.value):
            best = found
        # A maximum at the boundary is looked at from a second side before it is believed.
        if found.converged and (once or tried > 0 or not found.singular):
            break
    assert best is not None
    return best


def variance_of_covariance(
    profiled: Profiled, best: Minimum, sigma: float, unit: FloatArray
) -> Spread:
    """Covariance of (theta, sigma), and how the fixed effects' covariance moves with them.

    As lmerTest has it (Kuznetsova, Brockhoff & Christensen 2017, doi:10.18637/jss.v082.i13):
    twice the inverse Hessian of the deviance that is not profiled over sigma, its flat
    directions left out. Profiling takes the part of sigma from a Hessian, which is put back.
    """
    theta, points = best.point, best.probes
    size = len(theta) + 1
    here = profiled.evaluate(theta)
    assert here is not None
    if np.abs(points[0] - theta).max() > CLOSE * np.abs(theta).max():
        points = theta + np.vstack(
            [np.zeros(size - 1), np.diag(STEP * rough_errors(profiled.structure))]
        )
    at = [profiled.evaluate(point) for point in points]
    steps = points[1:] - points[0]
    bends, moves = [], []
    for there in at[1:]:
        assert at[0] is not None
        assert there is not None
        bends.append(there.gradient - at[0].gradient)
        moves.append(there.unscaled_cov - at[0].unscaled_cov)
    profile = np.linalg.solve(steps, np.array(bends))
    slopes = np.linalg.solve(steps, np.array(moves).reshape(size - 1, -1))
    # The mixed derivative, and sigma's own: of squares / σ².
    mixed = -2 * profiled.squares_slope(theta) / sigma**3
    own = 4 * profiled.freedom / sigma**2
    hessian = np.empty((size, size))
    hessian[:-1, :-1] = symmetric(profile) + np.outer(mixed, mixed) / own
    hessian[-1, :-1] = hessian[:-1, -1] = mixed
    hessian[-1, -1] = own
    p = len(here.coefficients)
    jacobian = [unit @ slope.reshape(p, p) @ unit.T * sigma**2 for slope in slopes]
    jacobian.append(2 * sigma * unit @ here.unscaled_cov @ unit.T)
    values, vectors = np.linalg.eigh(hessian)
    kept = values > 1e-8 * max(1.0, float(values[-1]))
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return Spread(np.array(jacobian), 2 * inverse)
