from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.worth.cross_fit import ByImage, changes, cross_fit, learn, policy_value
from analysis.worth.rules import Rule

KS = (1, 2, 4)
#: Latency by k, and chance of a right answer at low and at high complexity.
MS = np.array([10.0, 12.0, 16.0])
FLAT = np.full((2, 3), 0.7)
#: k = 2 is the best single k by far; by bucket k = 1 and k = 4 are a little better.
MOVES = np.array([[0.75, 0.72, 0.60], [0.50, 0.62, 0.65]])
STRONG = np.array([[0.80, 0.70, 0.50], [0.40, 0.70, 0.80]])


def simulated(chance: np.ndarray, seed: int, n_images: int = 120) -> ByImage:
    """Four questions an image, answers of a question tied across k; complexity uniform."""
    rng = np.random.default_rng(seed)
    c = rng.permutation((np.arange(n_images) + 0.5) / n_images)
    p = chance[(c > 0.5).astype(int)][:, None, :]
    shared, own = rng.random((n_images, 4, 1)), rng.random((n_images, 4, 3))
    draw = np.where(rng.random((n_images, 4, 3)) < 0.5, shared, own)
    sums = (draw < p).sum(axis=1).astype(float)
    counts = np.full(n_images, 4.0)
    ms = rng.normal(0, 0.5, (n_images, 1)) + MS
    return ByImage(KS, sums, counts, c, 2, ms_sums=ms, ms_counts=np.ones(n_images))


def truth(data: ByImage, chance: np.ndarray, chosen: np.ndarray, single: np.ndarray) -> float:
    """True gain in accuracy of what each image was asked at."""
    p = chance[(data.c > 0.5).astype(int)]
    rows = np.arange(len(p))
    return float((p[rows, chosen] - p[rows, single]).mean())


@pytest.mark.parametrize("chance", [FLAT, MOVES], ids=["flat", "moves"])
def test_cross_fitted_is_unbiased_and_in_sample_is_optimistic(chance: np.ndarray) -> None:
    rule = Rule("accuracy")
    errors, optimism = [], []
    for seed in range(200):
        data = simulated(chance, seed)
        found = cross_fit(data, rule, np.random.default_rng(seed), n_repeats=2)
        value = changes(data, found.chosen, found.single, None)[0]
        errors.append(value.estimate - truth(data, chance, found.chosen, found.single))
        full, bucket = learn(data, np.ones(len(data.c), dtype=bool), rule)
        chosen, single = full.by_bucket[bucket], np.full(len(bucket), full.single)
        naive = changes(data, chosen[None], single[None], None)[0].estimate
        optimism.append(naive - truth(data, chance, chosen, single))
    for values, low, high in ((errors, -2, 2), (optimism, 4, np.inf)):
        z = np.mean(values) / (np.std(values, ddof=1) / np.sqrt(len(values)))
        assert low < z < high


def test_intervals_cover_and_are_wider_than_a_fixed_policy_needs() -> None:
    covered = []
    for seed in range(150):
        data = simulated(MOVES, 1000 + seed)
        found = cross_fit(data, Rule("accuracy"), np.random.default_rng(seed), n_repeats=4)
        value = changes(data, found.chosen, found.single, None)[0]
        true = truth(data, MOVES, found.chosen, found.single)
        covered.append(value.ci_low <= true <= value.ci_high)
    assert 0.92 < np.mean(covered) <= 1
    # The widening: one repeat of two folds, three times the variance.
    data = simulated(MOVES, 1)
    n = len(data.c)
    chosen, single = np.full((1, n), 2), np.zeros((1, n), dtype=int)
    value = changes(data, chosen, single, None, n_folds=2)[0]
    gain = data.sums[:, 2] - data.sums[:, 0]
    plain = gain.std(ddof=1) / np.sqrt(n) / 4
    assert value.estimate == pytest.approx(gain.mean() / 4)
    assert value.se == pytest.approx(plain * np.sqrt(3))


def test_a_real_shift_is_found_and_valued() -> None:
    data = simulated(STRONG, 5, n_images=600)
    value = policy_value(data, Rule("accuracy"), np.random.default_rng(1), n_repeats=5)
    assert value.ks == (1, 4)
    assert value.single == 2
    assert value.accuracy.estimate == pytest.approx(0.1, abs=3 * value.accuracy.se)
    assert value.accuracy.ci_low > 0
    assert sum(value.single_shares.values()) == pytest.approx(1)
    for shares in value.shares:
        assert sum(shares.values()) == pytest.approx(1)
    assert value.moved > 0.3
    assert value.utility is None
    assert value.ms is not None


def test_nothing_of_the_held_out_fold_is_learned() -> None:
    data = simulated(MOVES, 2)
    rule = Rule("accuracy")
    found = cross_fit(data, rule, np.random.default_rng(3), n_folds=4, n_repeats=1)
    # Other scores and other complexity order in fold 0 leave what is learned for it alone.
    held = found.folds[0] == 0
    sums = data.sums.copy()
    sums[held] = 4 - sums[held]
    changed = learn(replace(data, sums=sums), ~held, rule)[0]
    assert changed.edges == found.policies[0].edges
    np.testing.assert_array_equal(changed.by_bucket, found.policies[0].by_bucket)
    assert changed.single == found.policies[0].single
    sizes = np.bincount(found.folds[0])
    assert sizes.max() - sizes.min() <= 1
    # Stratified by complexity: every fold sees the whole range.
    for fold in range(4):
        assert data.c[found.folds[0] == fold].mean() == pytest.approx(0.5, abs=0.05)


def test_in_sample_choice_never_loses_and_the_oracle_beats_the_policy() -> None:
    rules = [
        Rule("accuracy"),
        Rule("utility", price=0.01),
        Rule("equal accuracy"),
        Rule("within margin", margin=0.02),
    ]
    for seed in range(10):
        for chance in (FLAT, MOVES):
            data = simulated(chance, seed)
            for rule in rules:
                value = policy_value(data, rule, np.random.default_rng(seed), n_repeats=2)
                assert value.naive.ms is not None
                if rule.name == "accuracy":
                    assert value.naive.accuracy >= 0
                    assert value.oracle.accuracy >= value.accuracy.estimate - 1e-12
                elif rule.name == "utility":
                    assert value.naive.utility is not None
                    assert value.naive.utility >= -1e-12
                else:
                    assert value.naive.ms <= 1e-12
                    assert value.naive.accuracy >= -1e-9


def test_speed_at_equal_accuracy_by_hand() -> None:
    # Low bucket: every k alike. High: 4 is needed. The single k that is most accurate is 4.
    accuracy = np.array([[0.8, 0.8, 0.8], [0.5, 0.6, 0.7]])
    ms = np.tile(MS, (2, 1))
    weights = np.array([0.5, 0.5])
    rule = Rule("equal accuracy")
    single = rule.single(accuracy.mean(axis=0), MS)
    assert single == 2
    np.testing.assert_array_equal(rule.by_bucket(accuracy, ms, weights, single), [0, 2])
    # Within a margin of .06 the fastest single k is 2; the low bucket can go to 1 for free.
    rule = Rule("within margin", margin=0.06)
    single = rule.single(accuracy.mean(axis=0), MS)
    assert single == 1
    np.testing.assert_array_equal(rule.by_bucket(accuracy, ms, weights, single), [0, 1])
    # An empty bucket takes the single k.
    accuracy[0] = np.nan
    found = Rule("accuracy").by_bucket(accuracy, None, np.array([0.0, 1.0]), 1)
    np.testing.assert_array_equal(found, [1, 2])


def test_given_buckets_are_not_cut_anew() -> None:
    data = simulated(MOVES, 4)
    given = np.asarray(data.c > 0.9, dtype=np.intp)
    found = cross_fit(replace(data, given=given), Rule("accuracy"), np.random.default_rng(1))
    assert all(policy.edges == () for policy in found.policies)
    value = policy_value(
        replace(data, given=given), Rule("accuracy"), np.random.default_rng(1), n_repeats=1
    )
    assert len(value.ks) == 2
