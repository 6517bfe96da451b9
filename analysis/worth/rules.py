"""How k is chosen: one for all, or one for each complexity bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.cells import TIE, best_index
from analysis.worth.utility import price_ranges

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Name = Literal["accuracy", "utility", "equal accuracy", "within margin"]


@dataclass(frozen=True)
class Rule:
    """A rule that chooses k from means, the same for one k and for k by bucket.

    Attributes
    ----------
    name : str
        ``accuracy``, ``utility``, ``equal accuracy`` or ``within margin``; see
        `analysis.worth.answer.PolicyValue`.
    price : float
        Accuracy per ms, for ``utility``.
    margin : float
        Share of accuracy, for ``within margin``.
    """

    name: Name
    price: float = 0.0
    margin: float = 0.0

    def single(self, accuracy: Array, ms: Array | None) -> int:
        """Choose one k for all images.

        Parameters
        ----------
        accuracy, ms : ndarray, shape (K,)
            Means over all images; `ms` may be None for ``accuracy``.

        Returns
        -------
        int
            Its position; ties go to the smaller k.
        """
        if ms is None or self.name in ("accuracy", "equal accuracy"):
            return best_index(accuracy)
        if self.name == "utility":
            return best_index(accuracy - self.price * ms)
        good = accuracy >= accuracy.max() - self.margin - TIE
        return int(np.argmin(np.where(good, ms, np.inf)))

    def by_bucket(self, accuracy: Array, ms: Array | None, weights: Array, single: int) -> Indices:
        """Choose k for each bucket.

        Parameters
        ----------
        accuracy, ms : ndarray, shape (B, K)
            Means by bucket; NaN in a bucket without images, which gets the single k.
        weights : ndarray, shape (B,)
            Share of the questions in each bucket.
        single : int
            Position of the single k to be compared with.

        Returns
        -------
        ndarray of int, shape (B,)
            Positions; ties go to the smaller k.
        """
        known = ~np.isnan(accuracy).any(axis=1)
        chosen = np.full(len(accuracy), single, dtype=np.intp)
        if ms is None or self.name in ("accuracy", "utility"):
            value = (
                accuracy if ms is None or self.name == "accuracy" else (accuracy - self.price * ms)
            )
            chosen[known] = [best_index(row) for row in value[known]]
            return chosen
        chosen[known] = _fastest_as_accurate(accuracy[known], ms[known], weights[known], single)
        return chosen


def _fastest_as_accurate(accuracy: Array, ms: Array, weights: Array, single: int) -> Indices:
    """Raise the price until the policy would be less accurate than the single k.

    At each price every bucket has its k of highest utility; only these policies are looked
    at. They are the ones that no mixture beats, and there are at most B (K - 1) + 1 of them.
    """
    low, _, on = price_ranges(accuracy, ms)
    rows = np.arange(len(accuracy))
    # At price 0: the most accurate k, the fastest of those if several are.
    start = np.where(on, low, np.inf).argmin(axis=1)
    alone = np.full(len(accuracy), single, dtype=np.intp)
    needed = float(weights @ accuracy[:, single]) - TIE
    best = current = np.asarray(start, dtype=np.intp)
    steps = [(float(low[b, k]), int(b), int(k)) for b, k in np.argwhere(on) if k != start[b]]
    for _, bucket, k in sorted(steps):
        current = current.copy()
        current[bucket] = k
        if float(weights @ accuracy[rows, current]) < needed:
            break
        best = current
    faster = float(weights @ ms[rows, best]) < float(weights @ ms[:, single])
    return best if faster else alone
