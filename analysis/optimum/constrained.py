"""Likelihood-ratio tests of a quadratic mixed logit: no k × c, and an optimum that stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from analysis.mixed.clustered import basis_of
from analysis.mixed.linear_mixed import rough_errors
from analysis.mixed.logistic_mixed import Laplace
from analysis.mixed.modes import model_of
from analysis.mixed.result import MixedFit
from analysis.mixed.search import minimise
from analysis.mixed.settle import settle
from analysis.mixed.structure import arrange
from analysis.optimum.reported import ReportedTest

Array = NDArray[np.float64]
#: Columns of the fixed part whose coefficients are b1, b2, b4 and b5.
CURVE = ("x", "I(x ** 2)", "x:c", "I(x ** 2):c")
#: Angles at which the null is looked at before it is fitted.
ANGLES = 720
#: Local minima of the approximation that are fitted: those nearest to the unconstrained fit.
STARTS = 3
#: A null whose approximate statistic is larger than the best one's by this is not fitted.
HOPELESS = 30.0
#: The unconstrained deviance may be above the constrained one by this: their precision.
ROUNDING = 1e-3
CAUTION = (
    "a second opinion on the average question's own curve: it leans on the quadratic, on normal "
    "random effects and on Laplace's approximation"
)
#: From free coefficients to all of them, and the derivatives of these.
Embedding = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Constrained:
    """The best fit on which the optimum does not move.

    Attributes
    ----------
    statistic : float
        Twice what the log-likelihood loses, not negative.
    angle : float
        φ in [-π/2, π/2): (b1, b2) = cos φ · a and (b4, b5) = sin φ · a.
    a : ndarray, shape (2,)
        The curve (coefficients of x and x²) that is stretched by cos φ + sin φ · c.
    loglik : float
        Of the constrained fit.
    starts : int
        Local minima that were fitted.
    converged, singular : bool
        Of the constrained fit.
    """

    statistic: float
    angle: float
    a: Array
    loglik: float
    starts: int
    converged: bool
    singular: bool

    @property
    def vertex(self) -> float | None:
        """log2 k of the optimum that all complexities share; None where it is a minimum."""
        stretch = float(np.cos(self.angle))
        if stretch * self.a[1] >= 0:
            return None
        return float(-self.a[0] / (2 * self.a[1]))


class Whole:
    """An unconstrained fit, ready for fits on parts of its parameter space.

    Parameters
    ----------
    fit : MixedFit
        A logistic mixed model that converged and is not singular.
    """

    def __init__(self, fit: MixedFit) -> None:
        model = model_of(fit)
        design = model.design
        assert model.joint is not None
        self.structure = arrange(design.random, model.transforms)
        basis, self._transform = basis_of(design.X, design.names)
        trials = np.ones(len(design.y)) if design.trials is None else design.trials
        self._laplace = Laplace(self.structure, design.y, basis, trials)
        self.theta, self.params, self.joint = model.theta, fit.params, model.joint
        self.curve = [fit.names.index(name) for name in CURVE]
        self.others = [i for i in range(len(fit.names)) if i not in self.curve]
        sizes = [len(block.names) for block in design.random]
        self._last = (np.cumsum([q * (q + 1) // 2 for q in sizes]) - 1).astype(np.int64)
        self.value = self.deviance(np.r_[self.theta, self.params])[0]
        assert fit.loglik is not None
        self._loglik = fit.loglik

    def loglik(self, value: float) -> float:
        """Log-likelihood of a deviance, with the constants that the fit's own has."""
        return self._loglik - (value - self.value) / 2

    def deviance(self, point: Array) -> tuple[float, Array]:
        """Deviance and gradient at (theta, coefficients of the design's own columns)."""
        size = len(self.theta)
        value, slope = self._laplace.deviance(np.r_[point[:size], self._transform @ point[size:]])
        return value, np.r_[slope[:size], self._transform.T @ slope[size:]]

    @cached_property
    def hessian(self) -> Array:
        """Of the deviance at the fit's estimates."""
        return np.asarray(2 * np.linalg.pinv(self.joint, hermitian=True), dtype=np.float64)

    def near(self, index: list[int], values: Array) -> Array:
        """Where (theta, coefficients) go when some coefficients are given, to first order."""
        at = len(self.theta) + np.asarray(index)
        point = np.r_[self.theta, self.params]
        pull = self.joint[:, at] @ np.linalg.pinv(self.joint[np.ix_(at, at)], hermitian=True)
        moved: Array = point + pull @ (values - point[at])
        return moved

    def restricted(
        self, embed: Embedding, theta: Array, free: Array
    ) -> tuple[Array, float, bool, bool]:
        """Minimise the deviance over theta and free coefficients.

        Parameters
        ----------
        embed : callable
            From the free coefficients (f,) to all (p,), with the Jacobian (p, f).
        theta : ndarray, shape (m,)
            Start.
        free : ndarray, shape (f,)
            Start.

        Returns
        -------
        free : ndarray, shape (f,)
        value : float
            The deviance there.
        converged, singular : bool
        """
        size = len(theta)

        def deviance(point: Array) -> tuple[float, Array]:
            params, jacobian = embed(point[size:])
            value, slope = self.deviance(np.r_[point[:size], params])
            return value, np.r_[slope[:size], jacobian.T @ slope[size:]]

        jacobian = np.zeros((len(self.hessian), size + len(free)))
        jacobian[:size, :size] = np.eye(size)
        jacobian[size:, size:] = embed(free)[1]
        hessian = _definite(jacobian.T @ self.hessian @ jacobian)
        start = np.r_[theta, free]
        errors = np.r_[rough_errors(self.structure), np.sqrt(2 / np.diag(hessian))[size:]]
        diagonal = self.structure.diagonal
        found = settle(deviance, start, hessian, diagonal, self._last, errors)
        if found.converged:
            return found.point[size:], found.value, True, found.singular
        # Not where the short way leads: search in full, in directions of about one error.
        scale = np.sqrt(2) * np.linalg.inv(np.linalg.cholesky(hessian)).T
        far = minimise(deviance, start, scale, diagonal, close=True)
        return far.point[size:], far.value, far.converged, far.singular


def constrained(fit: MixedFit, starts: int = STARTS) -> Constrained:
    """Fit the null that the optimum of a quadratic does not move, ``b1 b5 = b2 b4``.

    The null says that (b4, b5) and (b1, b2) lie on one line through the origin: with an angle φ,
    (b1, b2) = cos φ · a and (b4, b5) = sin φ · a, so that the curve in x is stretched by
    cos φ + sin φ · c and keeps its vertex. φ, a, the other coefficients and the variances are
    fitted together (for a given φ it is the same model in the columns x · (cos φ + sin φ · c) and
    x² · (cos φ + sin φ · c)). An angle has no chart in which (b1, b2) = 0 or (b4, b5) = 0 lie at
    infinity. The profile over φ can have several minima: the search begins at those of its
    quadratic approximation.

    Parameters
    ----------
    fit : MixedFit
        A logistic mixed model with the fixed part ``(x + I(x**2)) * c`` and more; converged and
        not singular.
    starts : int
        At most so many minima are searched from.
    """
    whole = Whole(fit)
    size, p = len(whole.theta), len(whole.params)

    def embed(free: Array) -> tuple[Array, Array]:
        params, jacobian = np.empty(p), np.zeros((p, p - 1))
        a1, a2, angle = free[-3:]
        cos, sin = np.cos(angle), np.sin(angle)
        params[whole.others] = free[:-3]
        params[whole.curve] = a1 * cos, a2 * cos, a1 * sin, a2 * sin
        jacobian[whole.others, np.arange(p - 4)] = 1.0
        jacobian[np.ix_(whole.curve, [p - 4, p - 3, p - 2])] = [
            [cos, 0.0, -a1 * sin],
            [0.0, cos, -a2 * sin],
            [sin, 0.0, a1 * cos],
            [0.0, sin, a2 * cos],
        ]
        return params, jacobian

    b = whole.params[whole.curve]
    cov = whole.joint[size:, size:][np.ix_(whole.curve, whole.curve)]
    best: tuple[Array, float, bool, bool] | None = None
    tried = 0
    for near, angle, a in _approximate(b, cov)[:starts]:
        if best is not None and near > best[1] - whole.value + HOPELESS:
            break
        tried += 1
        held = np.r_[np.cos(angle) * a, np.sin(angle) * a]
        point = whole.near(whole.curve, held)
        start = np.r_[point[size:][whole.others], a, angle]
        found = whole.restricted(embed, point[:size], start)
        if best is None or (found[2], -found[1]) > (best[2], -best[1]):
            best = found
    assert best is not None
    free, value, converged, singular = best
    statistic = value - whole.value
    # The same null at φ + π, with −a.
    turns = np.round(free[-1] / np.pi)
    angle = float(free[-1] - turns * np.pi)
    return Constrained(
        statistic=max(statistic, 0.0),
        angle=angle,
        a=free[-3:-1] * (-1.0) ** int(turns),
        loglik=whole.loglik(value),
        starts=tried,
        converged=converged and statistic > -ROUNDING,
        singular=singular,
    )


def no_shift_test(found: Constrained) -> ReportedTest:
    """Say what the constrained fit says of the null that the optimum stays."""
    if not found.converged:
        return ReportedTest(None, None, None, None, "the constrained fit did not converge")
    return _reported(found.statistic, 1, "b1·b5 = b2·b4", found.singular)


def interaction_lrt(fit: MixedFit) -> ReportedTest:
    """Test that the quadratic does not change with complexity: likelihood ratio, 2 df.

    Parameters
    ----------
    fit : MixedFit
        As for `constrained`.
    """
    whole = Whole(fit)
    size, p = len(whole.theta), len(whole.params)
    gone = whole.curve[2:]
    left = [i for i in range(p) if i not in gone]
    jacobian = np.eye(p)[:, left]

    def embed(free: Array) -> tuple[Array, Array]:
        return jacobian @ free, jacobian

    point = whole.near(gone, np.zeros(2))
    found = whole.restricted(embed, point[:size], point[size:][left])
    _, value, converged, singular = found
    statistic = value - whole.value
    if not converged or statistic <= -ROUNDING:
        return ReportedTest(None, None, None, None, "the fit without k × c did not converge")
    return _reported(max(statistic, 0.0), 2, "no k × c", singular)


def _reported(statistic: float, df: int, null: str, singular: bool) -> ReportedTest:
    method = f"likelihood ratio ({null}; Laplace), chi-square with {df} df"
    if singular:
        method += "; the constrained fit is singular, which makes the reference rough"
    return ReportedTest(statistic, float(df), None, float(chdtrc(df, statistic)), method, CAUTION)


def _approximate(b: Array, cov: Array) -> list[tuple[float, float, Array]]:
    """Local minima over φ of the Wald distance from b to the null, the least first.

    Returns
    -------
    list of (distance, angle, a)
    """
    precision = np.linalg.pinv(cov, hermitian=True)
    angles = -np.pi / 2 + np.pi * np.arange(ANGLES) / ANGLES
    distances, curves = np.empty(ANGLES), np.empty((ANGLES, 2))
    for i, angle in enumerate(angles):
        ray = np.kron(np.array([[np.cos(angle)], [np.sin(angle)]]), np.eye(2))
        inner = np.linalg.pinv(ray.T @ precision @ ray, hermitian=True)
        curves[i] = inner @ (ray.T @ precision @ b)
        rest = b - ray @ curves[i]
        distances[i] = rest @ precision @ rest
    lowest = (distances <= np.roll(distances, 1)) & (distances < np.roll(distances, -1))
    # On a flat profile no angle is lower than its neighbours.
    index = np.flatnonzero(lowest) if lowest.any() else np.array([int(np.argmin(distances))])
    found = [(float(distances[i]), float(angles[i]), curves[i]) for i in index]
    return sorted(found, key=lambda item: item[0])


def _definite(hessian: Array) -> Array:
    """Raise the flattest curvatures, each coordinate in units of its own."""
    size = np.sqrt(np.maximum(np.diag(hessian), 1e-12))
    values, vectors = np.linalg.eigh(hessian / np.outer(size, size))
    steep = np.maximum(values, 1e-6 * float(values[-1]))
    return np.asarray((vectors * steep) @ vectors.T * np.outer(size, size), dtype=np.float64)
