"""Minimising a deviance whose gradient is exact, and judging where the search ended."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import IntArray

#: A search has converged when another Newton step promises less than this in log-likelihood.
PROMISE = 1e-5
#: A diagonal of a relative factor below this is tried at zero.
NEAR_ZERO = 0.2
#: A diagonal that is zero but for rounding: singular, as lme4 calls it.
ZERO = 1e-4
#: Step of the finite differences of the gradient, in rough standard errors.
STEP = 3e-4
#: BFGS hands over to Newton when the gradient, per rough standard error, is below this.
HANDOVER = 2e-3
#: Newton's Hessian is renewed when the point has moved further than this from it.
MOVED = 1e-2
NEWTON_STEPS = 15
#: From nearby no step is longer than this many standard errors, the root mean square taken.
FARTHEST = 10.0
#: Shares of the largest curvature that are added to all when Newton's step fails.
DAMPINGS = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0)

Deviance = Callable[[FloatArray], tuple[float, FloatArray]]


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a search ended.

    Attributes
    ----------
    point : ndarray, shape (d,)
    value : float
        The deviance there; inf when nothing could be evaluated.
    gradient : ndarray, shape (d,)
    hessian : ndarray, shape (d, d)
        Of the deviance, by differences of the gradient.
    converged : bool
        A further Newton step promises nothing and no direction curves downwards.
    singular : bool
        Some relative factor has a zero on its diagonal.
    evaluations : int
        Of deviance and gradient.
    probes : ndarray, shape (d + 1, d)
        Where the gradient was taken for the last Hessian: a point, and one step from it each.
    """

    point: FloatArray
    value: float
    gradient: FloatArray
    hessian: FloatArray
    converged: bool
    singular: bool
    evaluations: int
    probes: FloatArray


class _Counted:
    """The deviance in units of rough standard errors, counting evaluations."""

    def __init__(
        self, deviance: Deviance, origin: FloatArray, scale: FloatArray, step: float
    ) -> None:
        self._deviance, self.origin, self.scale, self.calls = deviance, origin, scale, 0
        self.step = step
        self._known: dict[bytes, tuple[float, FloatArray]] = {}
        self.probes = np.empty((0, len(origin)))

    def __call__(self, z: FloatArray) -> tuple[float, FloatArray]:
        known = self._known.get(z.tobytes())
        if known is None:
            known = self._known[z.tobytes()] = self._evaluated(z)
        return known

    def _evaluated(self, z: FloatArray) -> tuple[float, FloatArray]:
        self.calls += 1
        value, gradient = self._deviance(self.point(z))
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return 1e300, np.zeros(len(z))
        return value, self.scale.T @ gradient

    def point(self, z: FloatArray) -> FloatArray:
        """Give the model's own parameters."""
        return self.origin + self.scale @ z

    def inside(self, point: FloatArray) -> FloatArray:
        """Invert `point`."""
        return np.asarray(np.linalg.solve(self.scale, point - self.origin), dtype=np.float64)


def minimise(
    deviance: Deviance,
    start: FloatArray,
    scale: FloatArray,
    diagonal: IntArray,
    rival: Minimum | None = None,
    *,
    close: bool = False,
    step: float = STEP,
) -> Minimum:
    """Minimise a deviance by BFGS, then by Newton steps; try the boundary; leave saddles.

    Parameters
    ----------
    deviance : callable
        From a point to deviance and exact gradient.
    start : ndarray, shape (d,)
    scale : ndarray, shape (d, d)
        Columns are directions one rough standard error long.
    diagonal : ndarray of int
        Entries that are diagonals of relative factors: their sign is free, and zero is the
        boundary.
    rival : Minimum, optional
        An end already reached from elsewhere: returned when this search leads no lower.
    close : bool
        The start is within a few standard errors, and `scale` nearly whitens the Hessian.
    step : float
        Of the finite differences of the gradient, in rough standard errors: the shorter, the
        better the gradient must be.

    Returns
    -------
    Minimum
    """
    counted = _Counted(deviance, start, scale, step)
    z = (_descend if close else _bfgs)(counted, np.zeros(len(start)))
    if rival is not None and counted(z)[0] > rival.value - 1e-3:
        return rival
    for attempt in range(4):
        if attempt == 0:
            z = _probe_zero(counted, z, diagonal)
        z, value, gradient, hessian, promise = _newton(counted, z)
        values, vectors = np.linalg.eigh(hessian)
        flat_size = 1e-7 * max(float(np.abs(values).max()), 1e-3)
        saddle = values[0] < -1e3 * flat_size
        if (not saddle and promise < PROMISE) or attempt == 3:
            break
        if not saddle:
            # A narrow bent valley, as where a correlation nears its limit: follow it.
            z = _bfgs(counted, z, HANDOVER * 0.1**attempt * 1e-2)
            continue
        # A saddle: go down on one side of it, the other is its mirror image or no worse.
        aside = vectors[:, 0] * min(1.0 / np.sqrt(-values[0]), 1e3)
        ways = [z + aside, z - aside]
        z = _bfgs(counted, min(ways, key=lambda way: counted(way)[0]))
    curved = values > flat_size
    slack = float(np.abs(vectors.T @ gradient)[~curved].max(initial=0.0))
    converged = bool(promise < PROMISE and values[0] >= -1e3 * flat_size and slack < 1e-2)
    point = counted.point(z)
    near = np.abs(point[diagonal]) < ZERO
    if near.any():
        # Rounding away from zero is not variance.
        point[diagonal[near]] = 0.0
        value, gradient = counted(counted.inside(point))
    back = np.asarray(np.linalg.inv(scale), dtype=np.float64)
    return Minimum(
        point=point,
        value=value,
        gradient=back.T @ gradient,
        hessian=back.T @ hessian @ back,
        converged=converged and value < 1e299,
        singular=bool(near.any()),
        evaluations=counted.calls,
        probes=counted.probes,
    )


def _descend(counted: _Counted, z: FloatArray) -> FloatArray:
    """Quasi-Newton steps from nearby, the Hessian taken to be that of standard errors."""
    inverse = np.eye(len(z)) / 2
    value, gradient = counted(z)
    for _ in range(40):
        if float(np.abs(gradient).max()) < HANDOVER:
            return z
        step = -inverse @ gradient
        step *= min(1.0, FARTHEST * np.sqrt(len(z)) / float(np.linalg.norm(step)))
        for size in (1.0, 0.4, 0.1, 0.02):
            there, slope = counted(z + size * step)
            if there < value + 1e-4 * size * float(gradient @ step):
                break
        else:
            break
        moved, bent = size * step, slope - gradient
        z, value, gradient = z + moved, there, slope
        curvature = float(moved @ bent)
        if curvature > 1e-10:
            left = np.eye(len(z)) - np.outer(moved, bent) / curvature
            inverse = left @ inverse @ left.T + np.outer(moved, moved) / curvature
    return _bfgs(counted, z)


def _bfgs(counted: _Counted, z: FloatArray, slope: float = HANDOVER) -> FloatArray:
    """Go downhill until Newton's method can take over."""
    from scipy.optimize import minimize

    with warnings.catch_warnings():
        # Steps far out are tried and turned down; the verdict is ours, not the warnings'.
        warnings.simplefilter("ignore")
        found = minimize(
            counted, z, jac=True, method="BFGS", options={"gtol": slope, "maxiter": 400}
        )
    return np.atleast_1d(np.asarray(found.x, dtype=np.float64))


def _probe_zero(counted: _Counted, z: FloatArray, diagonal: IntArray) -> FloatArray:
    """Set near-zero diagonals to zero where the deviance is none the worse."""
    best = None
    for j in diagonal:
        point = counted.point(z)
        if point[j] == 0 or abs(point[j]) >= NEAR_ZERO:
            continue
        best = counted(z)[0] if best is None else best
        point[j] = 0.0
        trial = counted.inside(point)
        there = counted(trial)[0]
        if there <= best + 2 * PROMISE:
            z, best = trial, there
    return z


def _newton(
    counted: _Counted, z: FloatArray
) -> tuple[FloatArray, float, FloatArray, FloatArray, float]:
    """Newton steps until they promise nothing; the Hessian is renewed when the point moved."""
    value, gradient = counted(z)
    hessian, at = _hessian(counted, z, gradient), z
    promise = np.inf
    for _ in range(NEWTON_STEPS):
        values, vectors = np.linalg.eigh(hessian)
        parts = vectors.T @ gradient
        curved = values > 1e-7 * max(float(np.abs(values).max()), 1e-3)
        promise = float((parts[curved] ** 2 / values[curved]).sum()) / 4
        if values[0] < -1e-4 * max(float(np.abs(values).max()), 1e-3):
            break
        if promise < 1e-12 or not curved.any():
            break
        for damping in DAMPINGS:
            # Steps of Levenberg and Marquardt bend from Newton's towards steepest descent.
            weight = values[curved] + damping * float(values[-1])
            step = vectors[:, curved] @ (parts[curved] / weight)
            there, slope = counted(z - step)
            # Near the end rounding hides the gain: a smaller gradient is a gain too.
            if there < value or (
                there <= value + 1e-9 * (1 + abs(value))
                and np.linalg.norm(slope) < np.linalg.norm(gradient)
            ):
                z, value, gradient = z - step, there, slope
                break
        else:
            break
        if np.linalg.norm(z - at) > MOVED:
            hessian, at = _hessian(counted, z, gradient), z
    return z, value, gradient, hessian, promise


def _hessian(counted: _Counted, z: FloatArray, gradient: FloatArray) -> FloatArray:
    """Differences of the exact gradient."""
    found = np.empty((len(z), len(z)))
    points = [z, *(z + counted.step * np.eye(len(z)))]
    for j, point in enumerate(points[1:]):
        found[j] = (counted(point)[1] - gradient) / counted.step
    counted.probes = np.array([counted.point(point) for point in points])
    return (found + found.T) / 2
