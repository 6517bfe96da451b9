"""Minimising a deviance from a point close by: quasi-Newton steps, no differences of gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.search import NEAR_ZERO, PROMISE, Deviance
from analysis.mixed.structure import IntArray

#: Done when the next step promises less than this in log-likelihood: it is still taken, and
#: what is left is then some 1e-5 of a standard error.
SETTLED = 1e-8
STEPS = 30
SIZES = (1.0, 0.4, 0.1, 0.02)
#: Where a diagonal held at zero is tried, in rough standard errors.
ASIDE = 1.0
#: Zero is too far to be tried where a diagonal is as many standard errors, the rest fixed.
FAR = 3.0


@dataclass(frozen=True, eq=False)
class Settled:
    """Where a short search ended.

    Attributes
    ----------
    point : ndarray, shape (d,)
    value : float
        The deviance there, the last step's gain taken from its promise.
    converged : bool
        Judged by the gradient, in the metric of the Hessian as it was updated on the way.
    singular : bool
        A diagonal of a relative factor is zero.
    """

    point: FloatArray
    value: float
    converged: bool
    singular: bool


def settle(
    deviance: Deviance,
    start: FloatArray,
    hessian: FloatArray,
    diagonal: IntArray,
    last: IntArray,
    errors: FloatArray,
) -> Settled:
    """Minimise from nearby, on either side of the boundary.

    Parameters
    ----------
    deviance : callable
        From a point to deviance and exact gradient.
    start : ndarray, shape (d,)
        Diagonals that are exactly zero are held there until the rest has settled.
    hessian : ndarray, shape (d, d)
        Positive definite, near that of the deviance.
    diagonal : ndarray of int
        Entries that are diagonals of relative factors.
    last : ndarray of int
        Those that end their factor: the deviance is even in each of them, so that zero is
        a stationary point, and the sign of the curvature there decides.
    errors : ndarray, shape (d,)
        Rough standard errors.

    Returns
    -------
    Settled
        Not converged also where the end lies at a boundary that is not of the simple kind:
        search in full then.
    """
    held = np.zeros(len(start), dtype=bool)
    held[last] = start[last] == 0
    found = _descend(deviance, start, hessian, held)
    for j in np.flatnonzero(held):
        if not found.converged:
            return found
        found, hessian = _leave(deviance, found, hessian, held, int(j), errors[j])
    for j in diagonal:
        if not found.converged:
            return found
        size = abs(found.point[j])
        # Zero is tried where it is near, and not where it is many standard errors away.
        if held[j] or size >= NEAR_ZERO or hessian[j, j] * size**2 > FAR**2:
            continue
        at_zero = found.point.copy()
        at_zero[j] = 0.0
        if deviance(at_zero)[0] <= found.value + 2 * PROMISE:
            if j not in last:
                return Settled(found.point, found.value, False, True)
            held[j] = True
            found = _descend(deviance, at_zero, hessian, held)
    return found


def _leave(
    deviance: Deviance,
    found: Settled,
    hessian: FloatArray,
    held: np.ndarray[tuple[int], np.dtype[np.bool_]],
    j: int,
    error: float,
) -> tuple[Settled, FloatArray]:
    """Try a diagonal that is held at zero: near there the deviance is a t² + b t⁴."""
    t = ASIDE * error
    aside = found.point.copy()
    aside[j] = t
    value, gradient = deviance(aside)
    if not np.isfinite(value):
        return found, hessian
    rise, slope = (value - found.value) / t**2, float(gradient[j]) / (2 * t)
    a, bend = 2 * rise - slope, (slope - rise) / t**2
    if a >= 0 or (bend > 0 and a**2 / (4 * bend) < 2 * PROMISE):
        return found, hessian
    # Where the two terms have their minimum, but not far from where they were had.
    aside[j] = min(np.sqrt(-a / (2 * bend)), FAR * t) if bend > 0 else FAR * t
    bent = hessian.copy()
    bent[j], bent[:, j] = 0.0, 0.0
    bent[j, j] = max(-4 * a, 1e-3 / error**2)
    held[j] = False
    released = _descend(deviance, aside, bent, held)
    return released, bent


def _descend(
    deviance: Deviance,
    start: FloatArray,
    hessian: FloatArray,
    held: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> Settled:
    """BFGS from a given Hessian, the held coordinates left alone."""
    free = np.flatnonzero(~held)
    singular = bool(held.any())
    inverse = np.asarray(np.linalg.inv(hessian[np.ix_(free, free)]), dtype=np.float64)
    point = start.copy()
    value, gradient = deviance(point)
    if not np.isfinite(value):
        return Settled(point, value, False, singular)
    slope = gradient[free]
    for _ in range(STEPS):
        step = -inverse @ slope
        gain = -float(slope @ step)
        if gain < 4 * SETTLED:
            point[free] += step
            return Settled(point, value - gain / 2, True, singular)
        for size in SIZES:
            trial = point.copy()
            trial[free] += size * step
            there, gradient = deviance(trial)
            if there < value - 1e-4 * size * gain + 1e-10 * (1 + abs(value)):
                break
        else:
            return Settled(point, value, False, singular)
        moved, bent = size * step, gradient[free] - slope
        point, value, slope = trial, there, gradient[free]
        curvature = float(moved @ bent)
        if curvature > 1e-12 * gain:
            left = np.eye(len(free)) - np.outer(moved, bent) / curvature
            inverse = left @ inverse @ left.T + np.outer(moved, moved) / curvature
    return Settled(point, value, False, singular)
