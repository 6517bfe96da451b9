"""Utility = accuracy - price × latency: which k is best at which price."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.cells import TIE

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

ON = "on the envelope"
DOMINATED = "dominated"
INSIDE = "inside the hull"
BREAK_EVEN_METHOD = "percentile bootstrap of whole images, 95 %; accuracy lost per ms saved"


@dataclass(frozen=True)
class BreakEven:
    """The price at which two neighbours on the envelope are worth the same.

    Attributes
    ----------
    slower, faster : int
        The slower k is best just below the price, the faster one just above.
    price : float
        Accuracy (share) per ms.
    ci_low, ci_high : float or None
        95 % percentile bootstrap interval, not below 0. 0: the slower k may not be the more
        accurate one. None above: the faster k may not be the faster one. Both None where
        nothing could be resampled.
    """

    slower: int
    faster: int
    price: float
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class GroupUtility:
    """The k of highest utility as a function of price, in one group of images.

    Attributes
    ----------
    group : str
        A bucket, or ``all``.
    n_images : int
        Images behind the accuracies.
    n_items : int
        Timed samples behind the latencies.
    ks : tuple of int
        k with both accuracy and latency, ascending.
    accuracy, ms : tuple of float
        Mean score and arithmetic mean latency at each k.
    standing : tuple of str
        `ON`: best at some range of prices. `DOMINATED`: another k is no slower and no less
        accurate, and better in one (or equal in both and smaller). `INSIDE`: not dominated,
        yet at every price some other k is worth at least as much.
    price_from, price_to : tuple of float or None
        Range of prices (accuracy per ms) where the k is best; `price_to` None: no upper
        end. Both None off the envelope.
    share : tuple of float or None
        Share of bootstrap resamples in which the k is on the envelope.
    break_evens : tuple of BreakEven
        By rising price.
    """

    group: str
    n_images: int
    n_items: int
    ks: tuple[int, ...]
    accuracy: tuple[float, ...]
    ms: tuple[float, ...]
    standing: tuple[str, ...]
    price_from: tuple[float | None, ...]
    price_to: tuple[float | None, ...]
    share: tuple[float | None, ...]
    break_evens: tuple[BreakEven, ...]


def price_ranges(accuracy: Array, ms: Array) -> tuple[Array, Array, Flags]:
    """Find the range of prices in which each k has the highest utility.

    ``a_k - p L_k >= a_j - p L_j`` bounds p from above by ``(a_k - a_j) / (L_k - L_j)`` for
    every faster j and from below by the same ratio for every slower j.

    Parameters
    ----------
    accuracy, ms : ndarray, shape (..., K)
        Mean score and mean latency by k, k ascending.

    Returns
    -------
    low, high : ndarray, shape (..., K)
        Price range, accuracy per ms; `high` infinite for the fastest k.
    on : ndarray of bool, shape (..., K)
        Whether the range is more than a point. Of k with the same accuracy and latency only
        the smallest is on; a k that ties with a faster one in accuracy is not.
    """
    gain = accuracy[..., :, None] - accuracy[..., None, :]  # [k, j]
    cost = ms[..., :, None] - ms[..., None, :]
    gain = np.where(np.abs(gain) < TIE, 0.0, gain)
    scale = np.abs(ms).max(axis=-1, initial=0.0)[..., None, None]
    cost = np.where(np.abs(cost) <= TIE * scale, 0.0, cost)
    ratio = np.divide(gain, cost, out=np.zeros_like(gain), where=cost != 0)
    high = np.where(cost > 0, ratio, np.inf).min(axis=-1)
    low = np.maximum(np.where(cost < 0, ratio, 0.0).max(axis=-1), 0.0)
    smaller = np.tri(accuracy.shape[-1], k=-1, dtype=bool)
    beaten = (cost == 0) & ((gain < 0) | ((gain == 0) & smaller))
    # Three k on one line meet in a point up to rounding: the middle one is not on.
    on = (high > low * (1 + TIE)) & ~beaten.any(axis=-1)
    return low, high, np.asarray(on, dtype=np.bool_)


def standings(accuracy: Array, ms: Array) -> list[str]:
    """Name each k's place: `ON`, `DOMINATED` or `INSIDE`.

    Parameters
    ----------
    accuracy, ms : ndarray, shape (K,)
        Mean score and mean latency by k, k ascending.
    """
    _, _, on = price_ranges(accuracy, ms)
    gain = accuracy[None, :] - accuracy[:, None]  # [k, j]: what j has more
    saved = ms[:, None] - ms[None, :]
    no_worse = (gain >= -TIE) & (saved >= 0)
    better = (gain > TIE) | (saved > 0)
    smaller = np.tri(len(ms), k=-1, dtype=bool)
    dominated = (no_worse & (better | smaller)).any(axis=1)
    return [
        ON if is_on else DOMINATED if out else INSIDE
        for is_on, out in zip(on, dominated, strict=True)
    ]


def group_utility(
    group: str,
    ks: tuple[int, ...],
    accuracy: Array,
    ms: Array,
    resampled: tuple[Array, Array] | None,
    n_images: int,
    n_items: int,
) -> GroupUtility:
    """Describe the upper envelope of one group of images.

    Parameters
    ----------
    group : str
        Its name.
    ks : tuple of int, length K
        k with both accuracy and latency.
    accuracy, ms : ndarray, shape (K,)
        Mean score and mean latency.
    resampled : tuple of ndarray, shape (R, K) each, or None
        Mean score and mean latency in each bootstrap resample.
    n_images, n_items : int
        What they rest on.
    """
    low, high, on = price_ranges(accuracy, ms)
    share: list[float | None] = [None] * len(ks)
    if resampled is not None:
        share = [float(s) for s in price_ranges(*resampled)[2].mean(axis=0)]
    order = [int(i) for i in np.argsort(low, kind="stable") if on[i]]
    breaks = tuple(
        break_even(ks, slower, faster, float(low[faster]), resampled)
        for slower, faster in pairwise(order)
    )
    return GroupUtility(
        group=group,
        n_images=n_images,
        n_items=n_items,
        ks=ks,
        accuracy=tuple(float(a) for a in accuracy),
        ms=tuple(float(t) for t in ms),
        standing=tuple(standings(accuracy, ms)),
        price_from=tuple(float(p) if on[i] else None for i, p in enumerate(low)),
        price_to=tuple(float(p) if on[i] and np.isfinite(p) else None for i, p in enumerate(high)),
        share=tuple(share),
        break_evens=breaks,
    )


def break_even(
    ks: tuple[int, ...],
    slower: int,
    faster: int,
    price: float,
    resampled: tuple[Array, Array] | None,
) -> BreakEven:
    """Give the price at which two k are worth the same, with its interval.

    Parameters
    ----------
    ks : tuple of int, length K
    slower, faster : int
        Positions in `ks`.
    price : float
        The estimate, accuracy per ms.
    resampled : tuple of ndarray, shape (R, K) each, or None
        Mean score and mean latency in each bootstrap resample.
    """
    bounds: list[float | None] = [None, None]
    if resampled is not None:
        lost = resampled[0][:, slower] - resampled[0][:, faster]
        saved = resampled[1][:, slower] - resampled[1][:, faster]
        # Where nothing is saved no price makes the faster k worth it.
        ratio = np.divide(lost, saved, out=np.full_like(lost, np.inf), where=saved > 0)
        # No interpolation: it has no meaning beside an infinite price.
        ends = np.quantile(ratio, [0.025, 0.975], method="inverted_cdf")
        bounds = [max(float(end), 0.0) if np.isfinite(end) else None for end in ends]
    return BreakEven(ks[slower], ks[faster], price, bounds[0], bounds[1])
