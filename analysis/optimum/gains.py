"""What each k gains or loses in accuracy points, and what one k for all would cost at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.cells import Cells
from analysis.optimum.common import t_draws
from analysis.optimum.max_t import (
    SETS_BY,
    SPELLED,
    Draws,
    Reference,
    mean_draws,
    pair_errors,
)

Array = NDArray[np.float64]
DRAWS = 50_000
LEVEL = 0.95
COST_METHOD = (
    "upper limit, simultaneous over all pairs of k and both ends (max-t, Monte Carlo), 95 %"
)


@dataclass(frozen=True)
class Gain:
    """Difference in accuracy between one k and the reference k.

    Attributes
    ----------
    group : str
        A bucket, ``all``, or ``high - low`` for the difference between two buckets.
    k, reference : int
        What is compared.
    estimate, ci_low, ci_high : float
        Difference in accuracy (share, not points), simultaneous interval over the k of a
        group.
    """

    group: str
    k: int
    reference: int
    estimate: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class SingleK:
    """The one k for all images whose worst case is least bad, among those not rejected.

    Attributes
    ----------
    k : int
        It has the lowest `limit`; ties go to the smaller.
    cost : float
        Largest estimated shortfall from the best k, over both ends; 0 if it is best at both.
    limit : float
        Simultaneous upper 95 % limit of that shortfall.
    method : str
        How the limit was obtained.
    """

    k: int
    cost: float
    limit: float
    method: str = COST_METHOD


def gains_method(method: Reference) -> str:
    """Spell how the intervals of gains were obtained."""
    return (
        "paired within questions, clustered by image, simultaneous over all pairs of k of a "
        "group, so that the reference may be the k that turned out best (high - low: over k "
        f"against the reference); max-t, {SPELLED[method]}, 95 %"
    )


def gains(
    groups: Mapping[str, Cells],
    ends: tuple[str, str],
    reference: int,
    rng: np.random.Generator,
    method: Reference = SETS_BY,
    n_draws: int | None = None,
) -> tuple[Gain, ...]:
    """Compare every k with a reference k, by group and between the two ends.

    The reference is as a rule the k that is most accurate over all images: chosen after
    looking. Within a group the critical value therefore covers all pairs of k; over those with
    a fixed reference alone, intervals against the apparent best of k that tie hold together in
    .84 to .89 of studies instead of .95 (`docs/sets_of_k.md`). The difference between the ends
    hardly depends on which k is best over both, and keeps the fixed reference.

    Parameters
    ----------
    groups : mapping of str to Cells
        Scores of each group of images.
    ends : tuple of str
        The two groups whose difference is wanted, low and high.
    reference : int
        A k of the grid.
    rng : numpy.random.Generator
        The source of the draws behind the simultaneous intervals.
    method : {"t", "bootstrap", "multiplier", "rademacher"}
        Where the critical values come from (`analysis.optimum.max_t`).
    n_draws : int, optional
        Draws behind them; the method's own number when left out.

    Returns
    -------
    tuple of Gain
        Group by group, then the difference of the ends.
    """
    drawn = {name: mean_draws(part, method, rng, n_draws) for name, part in groups.items()}
    found: list[Gain] = []
    for name, part in groups.items():
        critical = drawn[name].critical_value(LEVEL)
        spread = part.test_covariance()
        found += _against(name, part.ks, part.means(), spread, critical, reference)
    low, high = (groups[end] for end in ends)
    a, b = (drawn[end] for end in ends)
    draws = Draws(b.errors - a.errors, b.covariance + a.covariance)
    critical = draws.critical_value(LEVEL, low.ks.index(reference))
    difference = high.means() - low.means()
    spread = high.test_covariance() + low.test_covariance()
    name = f"{ends[1]} - {ends[0]}"
    return (*found, *_against(name, low.ks, difference, spread, critical, reference, bound=2.0))


def _against(
    name: str,
    ks: Sequence[int],
    means: Array,
    covariance: Array,
    critical: float,
    reference: int,
    bound: float = 1.0,
) -> list[Gain]:
    base = list(ks).index(reference)
    half = critical * pair_errors(covariance)[base]
    estimate = means - means[base]
    return [
        Gain(
            group=name,
            k=k,
            reference=reference,
            estimate=float(estimate[i]),
            ci_low=float(max(estimate[i] - half[i], -bound)),
            ci_high=float(min(estimate[i] + half[i], bound)),
        )
        for i, k in enumerate(ks)
        if i != base
    ]


def single_k(
    groups: Sequence[Cells], rng: np.random.Generator, among: Sequence[int] = ()
) -> SingleK:
    """Find the k that could serve all groups at the least possible cost.

    For each k the cost is the largest amount by which another k beats it in any group. Its
    upper limit uses one critical value for all pairs of k and all groups, so it holds for
    whichever k is chosen after looking.

    Parameters
    ----------
    groups : sequence of Cells
        Groups of different images, as a rule the two ends of complexity.
    rng : numpy.random.Generator
        The source of the draws.
    among : sequence of int
        Choose among these k; among all when empty.
    """
    ks = groups[0].ks
    n_k = len(ks)
    largest = np.full(DRAWS, -np.inf)
    gaps, errors = [], []
    for part in groups:
        mean, covariance = part.means(), part.test_covariance()
        variance = np.diag(covariance)
        error = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0))
        draw = t_draws(covariance, len(part.images), DRAWS, rng)
        for k in range(n_k):
            for other in range(n_k):
                if other != k:
                    gap = (draw[:, other] - draw[:, k]) / error[k, other]
                    np.maximum(largest, gap, out=largest)
        gaps.append(mean[None, :] - mean[:, None])  # [k, other]: by how much other beats k
        errors.append(error)
    critical = float(np.quantile(largest, LEVEL))
    off = ~np.eye(n_k, dtype=bool)
    limits = np.max(
        [
            np.where(off, gap + critical * error, -np.inf).max(axis=1)
            for gap, error in zip(gaps, errors, strict=True)
        ],
        axis=0,
    )
    costs = np.max([gap.max(axis=1) for gap in gaps], axis=0)
    allowed = np.array([not among or k in among for k in ks])
    best = int(np.argmin(np.where(allowed, np.round(limits, 12), np.inf)))
    return SingleK(
        k=ks[best], cost=float(costs[best]), limit=float(np.clip(limits[best], 0.0, 1.0))
    )
