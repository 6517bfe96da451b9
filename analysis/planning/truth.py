"""What holds in a simulated study: the best k at the ends of complexity, and whether it shifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.cells import best_index
from analysis.planning.scenario import SAME, Scenario, slices
from complexity.buckets import cut

Array = NDArray[np.float64]


def third_of(c: Array) -> NDArray[np.intp]:
    """Put complexities into thirds as a study is cut (`complexity.buckets.cut`).

    Images of the same complexity are never parted, so with ties the thirds are not of one
    size, and there may be two.

    Parameters
    ----------
    c : ndarray, shape (n,)

    Returns
    -------
    ndarray of int, shape (n,)
        0 is the lowest, the largest number the highest.

    Raises
    ------
    InputError
        When all are the same.
    """
    edges = cut(pd.Series(c), metric="complexity", n=3).edges
    return np.asarray(np.searchsorted(edges, c, side="left"), dtype=np.intp)


@dataclass(frozen=True)
class Truth:
    """What holds in a scenario.

    Attributes
    ----------
    low, high : ndarray, shape (K,)
        Population-averaged accuracy in the lowest and the highest third of complexity.
    best_low, best_high : int
        Their most accurate k, ties to the smaller.
    common : tuple of int
        Every k that is optimal at both ends; empty where the optimum shifts.
    conditional_low, conditional_high : int
        Best k of an average question at the mean complexities of the ends: another thing.
    interaction : bool
        Whether the curve in k changes with complexity, logits of the average question.
    """

    low: Array
    high: Array
    best_low: int
    best_high: int
    common: tuple[int, ...]
    conditional_low: int
    conditional_high: int
    interaction: bool

    @property
    def shifts(self) -> bool:
        """Whether no k is optimal at both ends."""
        return not self.common


def truth(scenario: Scenario) -> Truth:
    """Integrate a scenario: thirds of complexity, random effects averaged out.

    Thirds are cut as in a study, so that images of the same complexity are never parted.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    Truth
    """
    c = slices(scenario, 3_000)
    place = third_of(c)
    ends = [c[place == i] for i in (0, place.max())]
    low, high = (scenario.accuracy(part).mean(axis=0) for part in ends)
    inside = [scenario.curve(np.array([part.mean()]))[0] for part in ends]
    common = tuple(
        k
        for k, a, b in zip(scenario.ks, low, high, strict=True)
        if a >= low.max() - SAME and b >= high.max() - SAME
    )
    changes = scenario.curve(np.array([-1.0, 1.0]))
    changes -= changes[:, :1]
    return Truth(
        low=low,
        high=high,
        best_low=scenario.ks[best_index(low)],
        best_high=scenario.ks[best_index(high)],
        common=common,
        conditional_low=scenario.ks[best_index(inside[0])],
        conditional_high=scenario.ks[best_index(inside[1])],
        interaction=bool(np.abs(changes[0] - changes[1]).max() > SAME),
    )
