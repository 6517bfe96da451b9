"""All specifications at once: what they would say if complexity meant nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.cells import Cells
from analysis.robustness.specifications import SHARES, ends_of, has_two_ends

Array = NDArray[np.float64]
SHUFFLES = 199


@dataclass(frozen=True)
class JointTest:
    """A permutation test over all specifications (Simonsohn, Simmons & Nelson 2020).

    Attributes
    ----------
    statistic : float
        Median over metrics and ends of the least studentised shortfall of any single k.
    expected : float
        Its mean over the shuffles.
    p : float
        Share of shuffles with at least as much.
    n_shuffles : int
    method : str
    """

    statistic: float
    expected: float
    p: float
    n_shuffles: int
    method: str = (
        "complexity shuffled across images, all metrics together; median over metrics and ends "
        "of the shortfall of the best common k: tests that complexity has nothing to do with "
        "the answers (doi:10.1038/s41562-020-0912-z)"
    )


def joint_test(
    cells: Cells, complexity: pd.DataFrame, rng: np.random.Generator, n_shuffles: int = SHUFFLES
) -> JointTest:
    """Test all specifications of means at the ends together.

    Parameters
    ----------
    cells : Cells
        Scores of one model.
    complexity : DataFrame, index image id
        One column per metric.
    rng : numpy.random.Generator
    n_shuffles : int

    Returns
    -------
    JointTest
    """
    values = complexity.reindex(list(cells.images)).to_numpy(dtype=np.float64)
    known = ~np.isnan(values).any(axis=1)
    part, values = cells.take(known), values[known]
    influence_of = np.arange(len(values))
    # Ties may leave a quantile without two ends; shuffling does not change which.
    usable = [
        (column, share)
        for column in range(values.shape[1])
        for share in SHARES.values()
        if len(values) and has_two_ends(values[:, column], share)
    ]
    if not usable:
        return JointTest(0.0, 0.0, 1.0, 0, "not made: no metric parts the images into two ends")

    def median(order: NDArray[np.intp]) -> float:
        found = [
            _least_shortfall(part, *ends_of(values[order, column], share))
            for column, share in usable
        ]
        return float(np.median(found))

    observed = median(influence_of)
    shuffled = np.array([median(rng.permutation(len(values))) for _ in range(n_shuffles)])
    return JointTest(
        statistic=observed,
        expected=float(shuffled.mean()),
        p=float((1 + (shuffled >= observed - 1e-12).sum()) / (1 + n_shuffles)),
        n_shuffles=n_shuffles,
    )


def _least_shortfall(cells: Cells, low: NDArray[np.bool_], high: NDArray[np.bool_]) -> float:
    """Give the largest studentised shortfall of the k that falls short least."""
    worst = np.zeros(len(cells.ks))
    for mask in (low, high):
        end = cells.take(mask)
        mean, covariance = end.means(), end.test_covariance()
        variance = np.diag(covariance)
        error = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 1e-300))
        short = (mean[None, :] - mean[:, None]) / error
        np.fill_diagonal(short, 0.0)
        worst = np.maximum(worst, short.max(axis=1))
    return float(worst.min())
