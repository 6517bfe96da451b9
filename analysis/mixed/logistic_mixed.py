"""Logistic mixed models: the Laplace deviance with its exact gradient, and the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit, gammaln

from analysis.mixed import kernels_rows
from analysis.mixed.clustered import FloatArray, Rows, aliased
from analysis.mixed.constancy import constant_groups
from analysis.mixed.coordinates import Transforms, covariances, factors, transforms_of
from analysis.mixed.design import Design
from analysis.mixed.equations import equations
from analysis.mixed.linear_mixed import (
    Components,
    groupings,
    rough_errors,
    symmetric,
    verdict,
)
from analysis.mixed.logit import Solution, solve_logit
from analysis.mixed.search import Minimum, minimise
from analysis.mixed.structure import IntArray, Structure, arrange
from analysis.mixed.system import check_border
from analysis.mixed.thinning import from_part, thinned
from complexity.errors import InputError, listing

NAME = "Optik, Laplace approximation"
#: Where the search begins: standard deviations of the random effects, in their coordinates.
STARTS = (0.7, 0.2, 2.0)
#: Newton's iterations for the modes end with the step that promised less than this in
#: log-likelihood: what is left after it is in the order of the square.
MODE_TOLERANCE = 1e-7
MODE_ITERATIONS = 60
#: Beyond this standard deviation in the linear predictor Laplace's approximation is poor.
LARGE_SD = 3.0


class Laplace:
    """The Laplace deviance of a logistic mixed model as a function of (theta, beta).

    −2 log-likelihood is approximated by d(u) + u'u + log |V'WV + I| at the mode u of the
    first two (Bates et al. 2015, section on generalised models; d without the binomial
    coefficients). Its gradient includes how the mode, and with it W, moves.

    Parameters
    ----------
    structure : Structure
    y : ndarray, shape (n,)
        Shares of successes, rows in the order of the design.
    X : ndarray, shape (n, p)
    trials : ndarray, shape (n,)
    """

    def __init__(
        self, structure: Structure, y: FloatArray, X: FloatArray, trials: FloatArray
    ) -> None:
        self.structure = structure
        order = structure.order()
        rows: IntArray | slice = slice(None) if order is None else order
        self.y, self.trials = np.ascontiguousarray(y[rows]), np.ascontiguousarray(trials[rows])
        self.X = np.ascontiguousarray(X[rows])
        self.Z = structure.Z[rows]
        self.starts = np.concatenate(
            [[0], np.cumsum(np.bincount(structure.cell, minlength=structure.n_cells))]
        ).astype(np.int64)
        kz = self.Z.shape[1]
        self.system = equations(structure, 1)
        self.modes = np.zeros(structure.n_chain + structure.n_crossed)
        self.mode_steps = 0
        self._moments = np.empty((kz, kz + 1, structure.n_cells))
        self._sums = np.empty((structure.n_cells, kz))
        self._score, self._weights = np.empty(len(y)), np.empty(len(y))
        self._eta, self._exps = np.empty(len(y)), np.empty(len(y))

    def split(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Split (theta, beta)."""
        size = len(self.structure.theta_row)
        return point[:size], point[size:]

    def _penalised(self, offset: FloatArray, lower: FloatArray, modes: FloatArray) -> float:
        """Penalised deviance at given modes; score, weights and their sums on the way."""
        met = self.system.met(modes) @ lower.T
        eta, exps = self._eta, self._exps
        kernels_rows.predictor(offset, self.Z, self.starts, met, eta)
        # NumPy's exponential does several numbers at a time.
        np.exp(np.copysign(eta, -1.0, out=exps), out=exps)
        value = kernels_rows.binomial(
            eta,
            exps,
            self.Z,
            self.y,
            self.trials,
            self.starts,
            met,
            self._score,
            self._weights,
            self._sums,
            self._moments,
        )
        return float(value + modes @ modes)

    def _find_modes(self, theta: FloatArray, offset: FloatArray) -> float | None:
        """Newton's method from the last modes: the penalised deviance at the end."""
        system, lower = self.system, self.structure.factor(theta)
        modes = self.modes
        value = self._penalised(offset, lower, modes)
        if not np.isfinite(value):
            return None
        for _ in range(MODE_ITERATIONS):
            self.mode_steps += 1
            if not system.factorise(theta, self._moments):
                return None
            step = system.solved() - modes
            # The gradient of −2 log-likelihood along the step, halved and turned.
            along = float(np.vdot(self._sums, system.met(step) @ lower.T))
            promise = along - float(modes @ step)
            if not np.isfinite(promise):
                return None
            size = 1.0
            while True:
                trial = modes + size * step
                new = self._penalised(offset, lower, trial)
                if new <= value + 1e-12 * (1 + abs(value)) or size < 1e-4:
                    break
                size /= 2
            modes, value = trial, new
            if abs(promise) < MODE_TOLERANCE:
                self.modes = modes
                return value
        return None

    def _factorised(self, theta: FloatArray, offset: FloatArray) -> float | None:
        """Factorise the equations at the modes: the penalised deviance there."""
        last = self.modes
        value = self._find_modes(theta, offset)
        if value is None:
            # From far away the last modes can be a bad start.
            self.modes = np.zeros_like(last)
            value = self._find_modes(theta, offset)
        if value is None:
            self.modes = last
            return None
        return value if self.system.factorise(theta, self._moments) else None

    def found(self, point: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Give the effects at their modes and their spread; None where there are none.

        Returns
        -------
        effects : ndarray, shape (cells, kz)
            Effects that each cell meets, Λ u.
        spread : ndarray, shape (kz, kz, cells)
            Their covariance given the outcomes, Λ (V'WV + I)⁻¹ Λ'.
        """
        theta, beta = self.split(point)
        if self._factorised(theta, self.X @ beta) is None:
            return None
        _, spread = self.system.logdet_slope(self._moments, np.empty(0), spread=True)
        return self.system.met(self.modes) @ self.system.lower.T, spread

    def deviance(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Deviance and its exact gradient; inf where the modes cannot be found."""
        theta, beta = self.split(point)
        system = self.system
        value = self._factorised(theta, self.X @ beta)
        if value is None:
            return np.inf, np.zeros(len(point))
        value += system.logdet_effects
        slope, spread = system.logdet_slope(self._moments, np.empty(0), spread=True)
        third, sums = np.empty(len(self.y)), np.empty_like(self._sums)
        kernels_rows.third_derivative(
            self.Z,
            self.y,
            self.trials,
            self.starts,
            self._score,
            self._weights,
            spread,
            third,
            sums,
        )
        # How the modes answer: implicit differentiation of their equation.
        answer = system.met(system.solve(sums))
        fixed = np.zeros(len(beta))
        kernels_rows.total_derivative(
            self.Z,
            self.X,
            self.starts,
            self._score,
            self._weights,
            third,
            answer @ system.lower.T,
            sums,
            fixed,
        )
        inner = sums.T @ system.met(self.modes) + self._sums.T @ answer + 2 * slope
        return value, np.r_[system.at_theta(inner), fixed]


def fit_logistic(design: Design) -> Components:
    """Fit a logistic mixed model by maximum likelihood, Laplace approximation.

    Parameters
    ----------
    design : Design
        With at least one random block; outcomes in [0, 1], shares of its trials if it has any.

    Returns
    -------
    Components
        Standard errors from the joint Hessian of fixed effects and variance parameters.

    Raises
    ------
    InputError
        For outcomes that are not shares of the trials (soft scores), and separation by the
        fixed part.
    """
    trials = np.ones(len(design.y)) if design.trials is None else design.trials
    counts = design.y * trials
    off = np.abs(counts - np.round(counts)) > 1e-6
    if off.any() and design.trials is not None:
        raise InputError(
            f"in {off.sum():,} rows the share times the trials is not a whole number of successes "
            "(is the share rounded?); give counts, as in cbind(successes, failures)"
        )
    if off.any():
        raise InputError(
            "outcomes between 0 and 1 have no likelihood, which random terms need: leave the "
            f"random terms out and give cluster='{outermost(design)}', or round the outcome to 0 "
            "and 1"
        )
    labels = np.arange(len(design.y))
    rows = Rows(design.y, design.X, trials, labels, labels, design.names, len(design.y))
    plain = solve_logit(rows)
    if plain.separated:
        raise InputError(
            f"separation: some rows are predicted perfectly by "
            f"{listing(plain.separated, shown=8)}, whose estimates would grow without limit; "
            "leave it out or merge categories"
        )
    transforms = transforms_of(design.random)
    structure = arrange(design.random, transforms)
    check_border(structure, groupings(design.random))
    laplace = Laplace(structure, design.y, plain.basis, trials)
    best = search(laplace, rows, plain)
    theta, beta = laplace.split(best.point)
    back = np.asarray(np.linalg.inv(plain.transform), dtype=np.float64)
    joint = inverse_information(best.hessian)
    joint[len(theta) :] = back @ joint[len(theta) :]
    joint[:, len(theta) :] = joint[:, len(theta) :] @ back.T
    joint = symmetric(joint)
    ways = gammaln(trials + 1) - gammaln(counts + 1) - gammaln(trials - counts + 1)
    warnings = list(verdict(best))
    return Components(
        params=back @ beta,
        cov=joint[len(theta) :, len(theta) :].copy(),
        covariances=covariances(theta, transforms),
        residual_sd=None,
        loglik=float(-best.value / 2 + ways.sum()),
        n_variance=len(theta),
        converged=best.converged,
        singular=best.singular,
        warnings=(
            *warnings,
            *poor_approximation(design, theta, transforms),
            *constant_groups(design),
        ),
        theta=theta,
        transforms=transforms,
        joint=joint,
    )


def outermost(design: Design) -> str:
    """Name the grouping with the fewest levels."""
    return min(design.random, key=lambda block: block.n_levels).group


def poor_approximation(design: Design, theta: FloatArray, transforms: Transforms) -> list[str]:
    """Say where Laplace's approximation is known to be off."""
    large = [
        block.group
        for block, lower in zip(design.random, factors(theta, transforms), strict=True)
        # The mean of z L L' z' over rows, columns being orthogonal of mean square one.
        if (lower**2).sum() > LARGE_SD**2
    ]
    if not large:
        return []
    return [
        f"random effects of {listing(large)} have a standard deviation above {LARGE_SD:g}: "
        "Laplace's approximation underestimates it by a few percent, and slopes a little"
    ]


def search(
    laplace: Laplace,
    rows: Rows,
    plain: Solution,
    begun: Minimum | None = None,
    *,
    once: bool = False,
) -> Minimum:
    """Minimise the Laplace deviance, from several starting points if need be.

    Parameters
    ----------
    laplace : Laplace
    rows : Rows
        What it was made of: large data are searched in part first.
    plain : Solution
        The logit without random effects.
    begun, once
        As in `analysis.mixed.linear_mixed.search`.

    Returns
    -------
    Minimum
    """
    structure = laplace.structure
    beta = plain.transform @ plain.params
    size = len(structure.theta_row)
    scale = np.zeros((size + len(beta), size + len(beta)))
    scale[:size, :size] = np.diag(rough_errors(structure))
    scale[size:, size:] = np.linalg.inv(np.linalg.cholesky(plain.information)).T
    part = thinned(structure)
    best = begun
    if part is not None and begun is None:
        _, kept, fewer = part
        some = _part(kept, fewer, rows, plain)
        if some is not None:
            best = from_part(
                laplace.deviance,
                lambda first: search(*some, first, once=first is None),
                scale,
                structure,
                once=once,
            )
        if best is not None:
            return best
    for tried, start in enumerate(STARTS):
        if tried == 0 and begun is not None:
            continue
        laplace.modes[:] = 0.0
        theta = np.zeros(size)
        theta[structure.diagonal] = start
        # Coefficients given the random effects are larger than averaged over them.
        larger = np.sqrt(1 + 0.35 * start**2 * len(structure.diagonal))
        point = np.r_[theta, larger * beta]
        found = minimise(laplace.deviance, point, scale, structure.diagonal, best)
        if best is None or (found.converged, -found.value) > (best.converged, -best.value):
            best = found
        # A maximum at the boundary is looked at from a second side before it is believed.
        if found.converged and (once or tried > 0 or not found.singular):
            break
    assert best is not None
    return best


def _part(
    kept: IntArray, structure: Structure, rows: Rows, plain: Solution
) -> tuple[Laplace, Rows, Solution] | None:
    """Take some rows, in the coordinates of the whole; None where they cannot tell."""
    X, labels = plain.basis[kept], np.arange(len(kept))
    if len(aliased(X)):
        return None
    some = Rows(rows.y[kept], X, rows.weights[kept], labels, labels, rows.names, len(kept))
    alone = solve_logit(some)
    if alone.separated or not alone.converged:
        return None
    # The part's own basis would be other coordinates.
    mu = expit(X @ alone.params)
    information = (X * (some.weights * mu * (1 - mu))[:, None]).T @ X
    alone = replace(alone, basis=X, transform=np.eye(X.shape[1]), information=information)
    return Laplace(structure, some.y, X, some.weights), some, alone


def inverse_information(hessian: FloatArray) -> FloatArray:
    """Covariance from the Hessian of −2 log-likelihood, its flat directions left out."""
    size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(size, size))
    kept = values > 1e-9 * float(values[-1])
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return np.asarray(2 * inverse / np.outer(size, size), dtype=np.float64)
