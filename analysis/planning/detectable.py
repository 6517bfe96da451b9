"""How sure a simulated share is, and the smallest shift that is found often enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
#: The power that a study should have.
WANTED = 0.8
NOT_REACHED = "not within the range asked"
SMALLEST = "or less: the smallest asked"


def wilson(found: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22(158), 209-212).

    Parameters
    ----------
    found, n : int
        Successes and trials, n at least 1.
    level : float
        Coverage.

    Returns
    -------
    tuple of float
        Low and high, within [0, 1].
    """
    z = float(ndtri((1 + level) / 2))
    centre = (found + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * (found * (n - found) / n + z * z / 4) ** 0.5
    return max(centre - half, 0.0), min(centre + half, 1.0)


@dataclass(frozen=True)
class Detectable:
    """The smallest shift found with the power wanted.

    Attributes
    ----------
    shift : float
        Doublings per standard deviation of complexity; NaN where it is not in the range.
    low, high : float
        The same on the upper and on the lower bounds of the simulated powers: its Monte Carlo
        interval; a NaN `high` lies beyond the range.
    remark : str
        Empty, `NOT_REACHED` or `SMALLEST`.
    """

    shift: float
    low: float
    high: float
    remark: str


def detectable(
    shifts: Sequence[float], found: Sequence[int], sets: Sequence[int], wanted: float = WANTED
) -> Detectable:
    """Interpolate the smallest shift that is found with the power wanted.

    Power is made monotone in the size of the shift by pooling adjacent violators (Barlow et
    al. 1972), then taken as linear between the shifts simulated.

    Parameters
    ----------
    shifts : sequence of float
        Of one sign.
    found, sets : sequence of int
        Sets in which the shift was found, and all.
    wanted : float
        Power, in (0, 1).

    Returns
    -------
    Detectable
    """
    order = np.argsort(np.abs(shifts))
    size = np.abs(np.asarray(shifts, dtype=np.float64))[order]
    sign = -1.0 if min(shifts) < 0 else 1.0
    n = np.asarray(sets, dtype=np.float64)[order]
    counts = np.asarray(found)[order]
    bounds = np.array([wilson(int(f), int(m)) for f, m in zip(counts, n, strict=True)])
    at, early, late = (
        _crossing(size, monotone(power, n), wanted)
        for power in (counts / n, bounds[:, 1], bounds[:, 0])
    )
    if np.isnan(at):
        return Detectable(at, sign * early, sign * late, NOT_REACHED)
    remark = SMALLEST if at == size[0] else ""
    return Detectable(sign * at, sign * early, sign * late, remark)


def monotone(values: Array, weights: Array) -> Array:
    """Nearest ascending values, by pooling adjacent violators.

    Parameters
    ----------
    values, weights : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,)
    """
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        blocks.append([float(value), float(weight), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, w, length = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * w) / (before[1] + w)
            before[1] += w
            before[2] += length
    return np.repeat([b[0] for b in blocks], [int(b[2]) for b in blocks])


def _crossing(size: Array, power: Array, wanted: float) -> float:
    """Where ascending powers first reach a value; NaN where they do not."""
    if power[-1] < wanted:
        return float("nan")
    i = int(np.argmax(power >= wanted))
    if i == 0:
        return float(size[0])
    share = (wanted - power[i - 1]) / (power[i] - power[i - 1])
    return float(size[i - 1] + share * (size[i] - size[i - 1]))
