"""The test of a common optimum: closed forms, R's integrals, invariances, size and power."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimum_cases import real, real_buckets, reference
from scipy import stats
from scipy.linalg import block_diag

from analysis.optimum.cells import Cells, cells_of
from analysis.optimum.common import CommonOptimum, common_optimum, gaussian_draws


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def common(
    means: list[list[float]],
    covariance: np.ndarray,
    n: int | list[int],
    *,
    seed: int = 0,
    n_draws: int = 200_000,
) -> CommonOptimum:
    """Groups of one or several n, one covariance for all where a single one is given."""
    ns = [n] * len(means) if isinstance(n, int) else n
    if len(covariance) == len(means[0]):
        covariance = block_diag(*[covariance] * len(means))
    ks = [2**i for i in range(len(means[0]))]
    arrays = [np.array(mean) for mean in means]
    return common_optimum(ks, arrays, covariance, ns, rng(seed), n_draws=n_draws)


def near(p: float, expected: float, n_draws: int = 200_000) -> bool:
    """Within five Monte Carlo standard errors."""
    return abs(p - expected) < 5 * np.sqrt(expected * (1 - expected) / n_draws) + 2 / n_draws


@pytest.mark.parametrize("n", [2, 4, 30, 2_000])
@pytest.mark.parametrize("t", [0.3, 1.0, 2.5])
def test_two_k_in_one_group_is_a_one_sided_t_test(n: int, t: float) -> None:
    covariance = np.array([[4.0, 1.0], [1.0, 3.0]]) * 1e-4  # variance of the difference 5e-4
    found = common([[0.5, 0.5 + t * np.sqrt(5e-4)]], covariance, n)
    assert near(found.p_by_k[0], stats.t.sf(t, n - 1))
    assert found.p_by_k[1] == 1
    assert found.p == 1


def test_one_sided_t_test_on_answers() -> None:
    # 40 images with one question each: the paired t test of scipy, but for the ridge.
    score = (rng(3).uniform(size=(40, 2)) < [0.5, 0.75]).astype(float)
    cells = Cells((2, 4), tuple(f"i{i:02d}" for i in range(40)), score, np.ones((40, 2)))
    expected = stats.ttest_rel(score[:, 1], score[:, 0], alternative="greater")
    ridge = 1 / 40**2
    shrink = np.sqrt(1 / (1 + ridge / (np.var(score[:, 1] - score[:, 0], ddof=1) / 40)))
    found = common_optimum((2, 4), [cells.means()], cells.test_covariance(), [40], rng())
    assert near(found.p_by_k[0], stats.t.sf(expected.statistic * shrink, 39))


@pytest.mark.parametrize(("n_low", "n_high"), [(20, 20), (5, 300)])
def test_two_independent_groups_multiply(n_low: int, n_high: int) -> None:
    # k = 1 is beaten by t standard errors in the low group and ties in the high one.
    t, covariance = 1.7, np.diag([0.5, 0.5])
    found = common([[0.0, t], [0.0, 0.0]], covariance, [n_low, n_high])
    expected = 1 - stats.t.cdf(t, n_low - 1) * stats.t.cdf(t, n_high - 1)
    assert near(found.p_by_k[0], expected)
    assert found.p_by_k[1] == found.p == 1


def test_opposite_winners_take_the_larger_of_the_two_p() -> None:
    # Each k is beaten in one group and clearly ahead in the other, where it is recentred and
    # leaves the maximum to the first: p is the one-sided t tail of the weaker loss.
    covariance = np.diag([0.5, 0.5])
    found = common([[0.0, 5.0], [6.0, 0.0]], covariance, 50)
    assert near(found.p_by_k[1], stats.t.sf(6, 49))
    assert near(found.p_by_k[0], stats.t.sf(5, 49))
    assert found.p == max(found.p_by_k)
    assert found.kept == ()


def test_groups_that_are_one_and_the_same_count_once() -> None:
    # The joint covariance matters: two copies of a group are no second chance to be beaten.
    t, block = 1.7, np.diag([0.5, 0.5])
    covariance = np.block([[block, block], [block, block]])
    found = common([[0.0, t], [0.0, t]], covariance, 100_000)
    assert near(found.p_by_k[0], stats.norm.sf(t))


def test_best_everywhere_is_never_rejected() -> None:
    covariance = np.diag([1.0, 2.0, 3.0])
    found = common([[0.1, 9.0, 0.3], [0.2, 0.3, 0.1]], covariance, 50)
    assert found.p_by_k[1] == found.p == 1
    assert 2 in found.kept


def test_huge_separation_gives_the_smallest_p_and_an_empty_set() -> None:
    found = common([[50.0, 0.0, 1.0], [0.0, 50.0, 1.0]], np.eye(3), 40, n_draws=5_000)
    assert found.p == 1 / 5_001
    assert found.kept == ()


def test_a_hopeless_k_neither_helps_nor_hurts_the_others() -> None:
    covariance = np.diag([0.5, 0.5, 0.5])
    without = common([[0.0, 2.0], [0.5, 0.0]], covariance[:2, :2], 80)
    hopeless = common([[0.0, 2.0, -60.0], [0.5, 0.0, -60.0]], covariance, 80)
    for i in range(2):
        assert abs(hopeless.p_by_k[i] - without.p_by_k[i]) < 0.006
    # Were it not recentred, it would count as one more chance: (1 - F^2) against (1 - F^4).
    tied = common([[0.0, 2.0, 0.0], [0.5, 0.0, 0.0]], covariance, 80)
    assert tied.p_by_k[0] > without.p_by_k[0] + 0.01


@pytest.mark.parametrize("model", ["fixed4_3k", "anyk_3k"])
@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("p_ends", ["low", "high"]),
        ("p_every", ["low", "mid", "high"]),
        ("p_low", ["low"]),
        ("p_all", ["all"]),
    ],
)
def test_agrees_with_integrals_of_the_multivariate_t_in_r(
    model: str, name: str, groups: list[str]
) -> None:
    rows = real()
    rows = rows[rows["model"] == model]
    buckets = rows["image_id"].map(real_buckets()).astype(str)
    parts = [cells_of(rows if group == "all" else rows[buckets == group]) for group in groups]
    found = common_optimum(
        parts[0].ks,
        [part.means() for part in parts],
        block_diag(*(part.test_covariance() for part in parts)),
        [len(part.images) for part in parts],
        rng(7),
    )
    theirs = reference()["models"][model][name]
    assert [near(p, q) for p, q in zip(found.p_by_k, theirs, strict=True)] == [True] * 8
    assert found.p == max(found.p_by_k)


scores = st.lists(st.floats(-3, 3), min_size=3, max_size=3)


@given(scores, scores, st.floats(-5, 5), st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_location_and_scale_do_not_matter(
    low: list[float], high: list[float], shift: float, scale: float
) -> None:
    covariance = np.array([[1.0, 0.3, 0.1], [0.3, 2.0, 0.2], [0.1, 0.2, 0.7]])
    one = common([low, high], covariance, 60, n_draws=1_000)
    moved = [[scale * (value + shift) for value in mean] for mean in (low, high)]
    two = common(moved, scale**2 * covariance, 60, n_draws=1_000)
    # The same draws, so that at most a tie is broken by rounding.
    np.testing.assert_allclose(one.p_by_k, two.p_by_k, atol=2 / 1_000)


@given(scores, scores, st.permutations(range(3)))
@settings(max_examples=15, deadline=None)
def test_names_of_k_and_order_of_groups_do_not_matter(
    low: list[float], high: list[float], order: list[int]
) -> None:
    covariance = np.array([[1.0, 0.3, 0.1], [0.3, 2.0, 0.2], [0.1, 0.2, 0.7]])
    one = common([low, high], covariance, 60, n_draws=20_000)
    turned = [[mean[i] for i in order] for mean in (high, low)]
    two = common(turned, covariance[np.ix_(order, order)], 60, seed=1, n_draws=20_000)
    np.testing.assert_allclose([one.p_by_k[i] for i in order], two.p_by_k, atol=0.025)


@given(st.lists(scores, min_size=1, max_size=3), st.integers(2, 200))
@settings(max_examples=30, deadline=None)
def test_parts_of_the_answer_fit_together(means: list[list[float]], n: int) -> None:
    found = common(means, np.diag([1.0, 2.0, 0.5]), n, n_draws=300)
    assert found.p == max(found.p_by_k)
    assert all(1 / 301 <= p <= 1 for p in found.p_by_k)
    assert found.kept == tuple(
        k for k, p in zip(found.ks, found.p_by_k, strict=True) if p > found.alpha
    )
    best = [set(np.flatnonzero(np.array(mean) == max(mean))) for mean in means]
    for shared in set.intersection(*best):
        assert found.p_by_k[shared] == 1
    if len(means) == 1:
        assert found.kept


def test_same_seed_same_answer() -> None:
    covariance = np.diag([1.0, 1.0])
    one, two = (common([[0.0, 1.0], [1.0, 0.0]], covariance, 30, n_draws=999) for _ in range(2))
    assert one == two


def test_borderline_is_three_monte_carlo_errors() -> None:
    error = np.sqrt(0.05 * 0.95 / 10_000)
    p = (0.05 + 2.9 * error, 0.05 - 2.9 * error, 0.05 + 3.1 * error, 1.0)
    found = CommonOptimum((1, 2, 4, 8), p, 1.0, (1, 4, 8), 0.05, 10_000)
    assert found.borderline() == (1, 2)


def test_draws_have_the_covariance_asked_for_also_a_singular_one() -> None:
    root = np.array([[1.0, 0.0], [2.0, 1.0], [-1.0, 3.0]])  # rank 2 in three dimensions
    draws = gaussian_draws(root @ root.T, 100_000, rng())
    np.testing.assert_allclose(np.cov(draws.T), root @ root.T, atol=0.15)
    flat = np.linalg.svd(root @ root.T)[0][:, -1]
    np.testing.assert_allclose(draws @ flat, 0, atol=1e-6)
    np.testing.assert_array_equal(gaussian_draws(np.zeros((2, 2)), 3, rng()), np.zeros((3, 2)))


# ---- size and power ---------------------------------------------------------------------
SETS, DRAWS, IMAGES = 400, 999, 60


def answers(chance: np.ndarray, random: np.random.Generator) -> Cells:
    """Two questions an image; answers at different k mostly agree, images differ in level."""
    shape = (IMAGES, 2, len(chance))
    level = random.normal(0, 1, (IMAGES, 1, 1)) + random.normal(0, 0.7, (*shape[:2], 1))
    p = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + level)))
    draw = np.where(
        random.uniform(size=shape) < 0.7,
        random.uniform(size=(*shape[:2], 1)),
        random.uniform(size=shape),
    )
    names = tuple(f"i{i:03d}" for i in range(IMAGES))
    return Cells(
        (1, 2, 4, 8), names, (draw < p).sum(axis=1).astype(float), np.full((IMAGES, 4), 2.0)
    )


def rejections(low: list[float], high: list[float], seed: int) -> tuple[float, np.ndarray]:
    """Share of simulated sets with p <= .05, for the common optimum and for each k."""
    random = rng(seed)
    p, p_by_k = [], []
    for _ in range(SETS):
        parts = [answers(np.array(chance), random) for chance in (low, high)]
        found = common_optimum(
            (1, 2, 4, 8),
            [part.means() for part in parts],
            block_diag(*(part.test_covariance() for part in parts)),
            [IMAGES, IMAGES],
            random,
            n_draws=DRAWS,
        )
        p.append(found.p)
        p_by_k.append(found.p_by_k)
    return float(np.mean(np.array(p) <= 0.05)), (np.array(p_by_k) <= 0.05).mean(axis=0)


#: A true size of .05 exceeds this in one of 2,000 runs.
BOUND = stats.binom.isf(1 / 2_000, SETS, 0.05) / SETS


def test_size_on_flat_curves() -> None:
    # Every k is optimal everywhere: each k's own test has its level, the union is far below.
    of_any, of_each = rejections([0.7] * 4, [0.5] * 4, 11)
    assert of_any <= 0.01
    assert (of_each <= BOUND).all()
    assert of_each.mean() >= 0.015  # a test, not a formality


def test_size_with_two_tied_best() -> None:
    _, of_each = rejections([0.2, 0.7, 0.7, 0.2], [0.2, 0.6, 0.6, 0.2], 12)
    assert (of_each[1:3] <= BOUND).all()
    assert of_each[1:3].mean() >= 0.015
    assert of_each[0] == of_each[3] == 1


def test_size_when_low_k_is_steeper_for_hard_images() -> None:
    # The optimum stays at the third k although the curves differ a lot.
    of_any, of_each = rejections([0.75, 0.8, 0.85, 0.84], [0.2, 0.4, 0.7, 0.68], 13)
    assert of_any <= 0.02
    assert of_each[2] <= BOUND


def test_power_when_the_optimum_moves() -> None:
    of_any, _ = rejections([0.8, 0.6, 0.4, 0.3], [0.3, 0.4, 0.6, 0.8], 14)
    assert of_any >= 0.9
