"""What a choice of k by complexity is worth on images that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.worth.answer import Change, Interval, PolicyValue
from analysis.worth.rules import Indices, Rule
from complexity.buckets import ConstantMetric, cut

Array = NDArray[np.float64]
Z95 = 1.959964
N_FOLDS = 4
N_REPEATS = 20


@dataclass(frozen=True)
class ByImage:
    """What is known of each image of one model; the same questions at every k.

    Attributes
    ----------
    ks : tuple of int, length K
        The k grid.
    sums : ndarray, shape (G, K)
        Sum of the scores of an image at each k.
    counts : ndarray, shape (G,)
        Its questions, at least one.
    c : ndarray, shape (G,)
        Its complexity.
    n_buckets : int
        Complexity buckets.
    given : ndarray of int, shape (G,), or None
        Bucket of each image where buckets were fixed before looking; None: quantile buckets
        are cut anew in every training fold.
    ms_sums : ndarray, shape (G, K), or None
        Sum of its latencies at each k.
    ms_counts : ndarray, shape (G,), or None
        Their number; 0 where it was not timed.
    """

    ks: tuple[int, ...]
    sums: Array
    counts: Array
    c: Array
    n_buckets: int
    given: Indices | None = None
    ms_sums: Array | None = None
    ms_counts: Array | None = None


@dataclass(frozen=True)
class Policy:
    """A choice of k by bucket, with the single k that it is compared with.

    Attributes
    ----------
    edges : tuple of float
        Cut points of complexity; empty where buckets were given.
    by_bucket : ndarray of int, shape (B,)
        Position of k in the grid, by bucket.
    single : int
        Position of the single k.
    """

    edges: tuple[float, ...]
    by_bucket: Indices
    single: int


@dataclass(frozen=True)
class CrossFit:
    """Every policy that was learned, and what each image was asked at when it was held out.

    Attributes
    ----------
    policies : tuple of Policy
        One per repeat and fold.
    folds : ndarray of int, shape (R, G)
        Fold of each image, by repeat.
    chosen, single, oracle : ndarray of int, shape (R, G)
        Position of the k of the policy, of the single k, and of the policy chosen on the
        held-out fold itself.
    """

    policies: tuple[Policy, ...]
    folds: Indices
    chosen: Indices
    single: Indices
    oracle: Indices


def learn(data: ByImage, images: NDArray[np.bool_], rule: Rule) -> tuple[Policy, Indices]:
    """Learn cut points, k by bucket and the single k from some of the images.

    Parameters
    ----------
    data : ByImage
        All images.
    images : ndarray of bool, shape (G,)
        Those to learn from.
    rule : Rule
        How k is chosen.

    Returns
    -------
    Policy
        What was learned.
    ndarray of int, shape (G,)
        Bucket of every image by these cut points.
    """
    edges, bucket = _cut(data, images)
    single = rule.single(*_overall(data, images))
    accuracy, ms, weights = _by_bucket(data, images, bucket)
    return Policy(edges, rule.by_bucket(accuracy, ms, weights, single), single), bucket


def cross_fit(
    data: ByImage,
    rule: Rule,
    rng: np.random.Generator,
    n_folds: int = N_FOLDS,
    n_repeats: int = N_REPEATS,
) -> CrossFit:
    """Learn in all folds but one, apply in that one, for every fold and several draws of folds.

    Parameters
    ----------
    data : ByImage
        At least `n_folds` images.
    rule : Rule
        How k is chosen.
    rng : numpy.random.Generator
        Draws the folds.
    n_folds, n_repeats : int
        Folds by image, stratified by complexity; how often they are drawn.
    """
    shape = (n_repeats, len(data.counts))
    folds, chosen, single, oracle = (np.zeros(shape, dtype=np.intp) for _ in range(4))
    policies = []
    for repeat, fold_of in enumerate(_draw_folds(data, n_folds, n_repeats, rng)):
        folds[repeat] = fold_of
        for fold in range(n_folds):
            held = fold_of == fold
            policy, bucket = learn(data, ~held, rule)
            policies.append(policy)
            chosen[repeat, held] = policy.by_bucket[bucket[held]]
            single[repeat, held] = policy.single
            seen = rule.by_bucket(*_by_bucket(data, held, bucket), policy.single)
            oracle[repeat, held] = seen[bucket[held]]
    return CrossFit(tuple(policies), folds, chosen, single, oracle)


def policy_value(
    data: ByImage,
    rule: Rule,
    rng: np.random.Generator,
    n_folds: int = N_FOLDS,
    n_repeats: int = N_REPEATS,
) -> PolicyValue:
    """Value of choosing k by complexity against one k, cross-fitted, naive and by oracle.

    Parameters
    ----------
    data, rule, rng, n_folds, n_repeats
        As for `cross_fit`.
    """
    found = cross_fit(data, rule, rng, n_folds, n_repeats)
    everything = np.ones(len(data.counts), dtype=bool)
    full, bucket = learn(data, everything, rule)
    price = rule.price if rule.name == "utility" else None
    n_k, shares = len(data.ks), []
    for b in range(data.n_buckets):
        picks = [policy.by_bucket[b] for policy in found.policies if b < len(policy.by_bucket)]
        times = np.bincount(np.asarray(picks, dtype=np.intp), minlength=n_k)
        shares.append(_shares(data.ks, times))
    moved = (found.chosen != found.single) @ data.counts / data.counts.sum()
    accuracy, ms, utility = changes(data, found.chosen, found.single, price, n_folds)
    return PolicyValue(
        policy=rule.name,
        price=price,
        single=data.ks[full.single],
        ks=tuple(data.ks[i] for i in full.by_bucket),
        single_shares=_shares(
            data.ks, np.bincount([p.single for p in found.policies], minlength=n_k)
        ),
        shares=tuple(shares),
        moved=float(moved.mean()),
        accuracy=accuracy,
        ms=ms,
        utility=utility,
        naive=_point(
            data, full.by_bucket[bucket][None], np.full((1, len(bucket)), full.single), price
        ),
        oracle=_point(data, found.oracle, found.single, price),
        n_folds=n_folds,
        n_repeats=n_repeats,
    )


def changes(
    data: ByImage, chosen: Indices, single: Indices, price: float | None, n_folds: int = N_FOLDS
) -> tuple[Interval, Interval | None, Interval | None]:
    """Estimate chosen less single k in accuracy, latency and utility, clustered by image.

    With d_ri the sum of an image's differences when it was held out in repeat r and n_i its
    questions, the estimate is ``v = sum_ri d_ri / (R sum_i n_i)``. One repeat's variance is
    ``sum_i (d_ri - n_i v)^2 / (sum n_i)^2 * G / (G - 1)``; their mean is widened by
    ``1/R + F/(F - 1)``, F the number of folds, after Nadeau and Bengio (2003), because policies
    learned on shared images err together. Averaging d over repeats first would be shorter,
    and wrong: what differs between the policies would drop out
    (`benchmarks/cross_fitted_value.py`).

    Parameters
    ----------
    data : ByImage
        The images.
    chosen, single : ndarray of int, shape (R, G)
        Positions of the k that each image is asked at.
    price : float or None
        Accuracy per ms; None: no utility.
    n_folds : int
        Folds behind one repeat.

    Returns
    -------
    accuracy, ms, utility : Interval or None
        Latency is None where there is none, utility where there is no price either.

    References
    ----------
    Nadeau, C., & Bengio, Y. (2003). Inference for the generalization error. Machine Learning,
    52(3), 239-281. doi:10.1023/A:1024068626366
    """
    widening = 1 / len(chosen) + n_folds / (n_folds - 1)
    accuracy, of_accuracy = _influence(data.sums, data.counts, chosen, single)
    if data.ms_sums is None or data.ms_counts is None:
        return _interval(accuracy, of_accuracy, widening), None, None
    ms, of_ms = _influence(data.ms_sums, data.ms_counts, chosen, single)
    utility = None
    if price is not None:
        utility = _interval(accuracy - price * ms, of_accuracy - price * of_ms, widening)
    return (
        _interval(accuracy, of_accuracy, widening),
        _interval(ms, of_ms, widening),
        utility,
    )


def _influence(sums: Array, counts: Array, chosen: Indices, single: Indices) -> tuple[float, Array]:
    rows = np.arange(len(sums))
    difference = sums[rows, chosen] - sums[rows, single]
    total = float(counts.sum())
    estimate = float(difference.sum(axis=1).mean() / total)
    return estimate, (difference - counts * estimate) / total


def _interval(estimate: float, influence: Array, widening: float) -> Interval:
    n_images = influence.shape[1]
    variance = (influence**2).sum(axis=1).mean() * n_images / (n_images - 1)
    se = float(np.sqrt(variance * widening))
    return Interval(estimate, se, estimate - Z95 * se, estimate + Z95 * se)


def _point(data: ByImage, chosen: Indices, single: Indices, price: float | None) -> Change:
    accuracy, ms, utility = changes(data, chosen, single, price)
    return Change(
        accuracy.estimate,
        None if ms is None else ms.estimate,
        None if utility is None else utility.estimate,
    )


def _shares(ks: Sequence[int], counts: NDArray[np.intp]) -> dict[int, float]:
    total = max(int(counts.sum()), 1)
    return {k: float(n / total) for k, n in zip(ks, counts, strict=True) if n}


def _cut(data: ByImage, images: NDArray[np.bool_]) -> tuple[tuple[float, ...], Indices]:
    if data.given is not None:
        return (), data.given
    try:
        edges = cut(data.c[images].tolist(), metric="complexity", n=data.n_buckets).edges
    except ConstantMetric:
        edges = ()
    return edges, np.searchsorted(edges, data.c, side="left").astype(np.intp)


def _overall(data: ByImage, images: NDArray[np.bool_]) -> tuple[Array, Array | None]:
    accuracy = data.sums[images].sum(axis=0) / data.counts[images].sum()
    if data.ms_sums is None or data.ms_counts is None:
        return accuracy, None
    return accuracy, data.ms_sums[images].sum(axis=0) / data.ms_counts[images].sum()


def _by_bucket(
    data: ByImage, images: NDArray[np.bool_], bucket: Indices
) -> tuple[Array, Array | None, Array]:
    """Means of accuracy and latency by bucket over some images, and shares of questions."""
    member = np.zeros(
        (int(bucket.max()) + 1 if data.given is None else data.n_buckets, len(bucket))
    )
    member[bucket, np.arange(len(bucket))] = images
    counts = member @ data.counts
    accuracy = np.full((len(member), len(data.ks)), np.nan)
    some = counts > 0
    accuracy[some] = (member @ data.sums)[some] / counts[some, None]
    weights = counts / counts.sum()
    if data.ms_sums is None or data.ms_counts is None:
        return accuracy, None, weights
    # A bucket in which nothing was timed takes the mean over all.
    timed = member @ data.ms_counts
    whole = data.ms_sums[images].sum(axis=0) / data.ms_counts[images].sum()
    ms = np.tile(whole, (len(member), 1))
    ms[timed > 0] = (member @ data.ms_sums)[timed > 0] / timed[timed > 0, None]
    return accuracy, ms, weights


def _draw_folds(
    data: ByImage, n_folds: int, n_repeats: int, rng: np.random.Generator
) -> Iterator[Indices]:
    """Folds by image: neighbours in complexity are dealt to different folds."""
    timed = np.zeros(len(data.c)) if data.ms_counts is None else data.ms_counts > 0
    n = len(data.c)
    for _ in range(n_repeats):
        order = np.lexsort((rng.random(n), data.c, timed))
        hands = [rng.permutation(n_folds) for _ in range(-(-n // n_folds))]
        fold_of = np.empty(n, dtype=np.intp)
        fold_of[order] = np.concatenate(hands)[:n]
        yield fold_of
