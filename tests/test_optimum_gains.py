from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.optimum.cells import Cells
from analysis.optimum.gains import gains, single_k
from analysis.optimum.max_t import Reference, mean_draws, pair_errors


def cells(scores: np.ndarray, ks: tuple[int, ...]) -> Cells:
    """One question an image, scores of shape (images, k)."""
    images = tuple(f"i{n:04d}" for n in range(len(scores)))
    return Cells(ks, images, scores.astype(float), np.ones_like(scores, dtype=float))


def some(n: int, accuracy: list[float], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((n, len(accuracy))) < accuracy).astype(float)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_with_two_k_the_interval_is_the_paired_t_interval() -> None:
    low, high = some(80, [0.5, 0.7], 1), some(80, [0.4, 0.8], 2)
    groups = {"low": cells(low, (1, 2)), "high": cells(high, (1, 2))}
    found = {gain.group: gain for gain in gains(groups, ("low", "high"), 1, rng())}
    t = stats.t.ppf(0.975, 79)
    for name, scores in (("low", low), ("high", high)):
        difference = scores[:, 1] - scores[:, 0]
        # The pseudo-answer of the test covariance adds 1 / N^2.
        se = np.sqrt(difference.var(ddof=1) / 80 + 1 / 80**2)
        assert found[name].estimate == pytest.approx(difference.mean())
        assert found[name].ci_high == pytest.approx(difference.mean() + t * se, abs=0.02 * se)
        assert found[name].ci_low == pytest.approx(difference.mean() - t * se, abs=0.02 * se)
    between = found["high - low"]
    assert between.estimate == pytest.approx(found["high"].estimate - found["low"].estimate)
    width = [found[name].ci_high - found[name].ci_low for name in ("low", "high")]
    assert between.ci_high - between.ci_low == pytest.approx(np.hypot(*width), rel=0.02)


def test_more_k_make_simultaneous_intervals_wider_but_not_beyond_bonferroni() -> None:
    scores = some(200, [0.5, 0.6, 0.7, 0.65, 0.6], 3)
    groups = {"low": cells(scores, (1, 2, 4, 8, 16)), "high": cells(scores, (1, 2, 4, 8, 16))}
    for gain in gains(groups, ("low", "high"), 4, rng())[:4]:
        column = (1, 2, 4, 8, 16).index(gain.k)
        difference = scores[:, column] - scores[:, 2]
        se = np.sqrt(difference.var(ddof=1) / 200 + 1 / 200**2)
        critical = (gain.ci_high - gain.estimate) / se
        # Over all ten pairs, so that the reference may be chosen after looking.
        assert stats.t.ppf(1 - 0.025 / 4, 199) < critical < stats.t.ppf(1 - 0.025 / 10, 199) * 1.01
        assert gain.reference == 4


def test_simultaneous_intervals_cover() -> None:
    truth = np.array([0.5, 0.7, 0.72])
    missed = 0
    for seed in range(300):
        scores = some(120, list(truth), 1000 + seed)
        groups = {"low": cells(scores, (1, 2, 4)), "high": cells(scores, (1, 2, 4))}
        found = gains(groups, ("low", "high"), 1, rng(), n_draws=1_000)
        low = [g for g in found if g.group == "low"]
        outside = [not g.ci_low <= truth[(1, 2, 4).index(g.k)] - truth[0] <= g.ci_high for g in low]
        missed += any(outside)
    # 5 % of 300 is 15; 4 standard deviations above is 30.
    assert 3 <= missed <= 30


def test_the_reference_may_be_the_k_that_looks_best() -> None:
    ks = (1, 2, 4, 8, 16)
    missed = {"pairs": 0, "fixed": 0}
    for seed in range(300):
        part = cells(some(100, [0.7] * 5, 2000 + seed), ks)
        best = int(np.argmax(part.means()))
        found = gains({"low": part, "high": part}, ("low", "high"), ks[best], rng(), n_draws=1_000)
        missed["pairs"] += any(not g.ci_low <= 0 <= g.ci_high for g in found[:4])
        away = (part.means() - part.means()[best]) / pair_errors(part.test_covariance())[best]
        fixed = mean_draws(part, "t", rng(), 1_000).critical_value(0.95, best)
        missed["fixed"] += bool(np.abs(away).max() > fixed)
    # All k are alike; 5 % of 300 is 15, and 4 standard deviations above is 30.
    assert missed["pairs"] <= 30 < missed["fixed"]


@pytest.mark.parametrize("method", ["bootstrap", "multiplier", "rademacher"])
def test_every_method_gives_nearly_the_same_intervals_of_many_images(method: Reference) -> None:
    groups = {
        name: cells(some(800, [0.5, 0.6, 0.62], seed), (1, 2, 4))
        for name, seed in (("low", 11), ("high", 12))
    }
    plain = gains(groups, ("low", "high"), 1, rng(), "t")
    other = gains(groups, ("low", "high"), 1, rng(), method)
    for a, b in zip(plain, other, strict=True):
        assert (a.group, a.k, a.estimate) == (b.group, b.k, b.estimate)
        assert b.ci_high - b.ci_low == pytest.approx(a.ci_high - a.ci_low, rel=0.06)


def test_the_cost_of_one_k_with_two_k_and_one_group_is_a_t_limit() -> None:
    scores = some(90, [0.5, 0.6], 5)
    found = single_k([cells(scores, (2, 8))], rng())
    difference = scores[:, 1] - scores[:, 0]
    se = np.sqrt(difference.var(ddof=1) / 90 + 1 / 90**2)
    t = stats.t.ppf(0.975, 89)
    limits = {2: difference.mean() + t * se, 8: -difference.mean() + t * se}
    assert found.k == min(limits, key=limits.__getitem__)
    assert found.limit == pytest.approx(limits[found.k], abs=0.02 * se)
    shortfall = difference.mean() if found.k == 2 else -difference.mean()
    assert found.cost == pytest.approx(max(0.0, shortfall))


def test_the_cost_grows_when_the_best_k_differs_between_the_ends() -> None:
    same = [cells(some(400, [0.5, 0.8, 0.5], 6), (1, 2, 4)) for _ in range(2)]
    assert single_k(same, rng()).k == 2
    moved = [
        cells(some(400, [0.5, 0.8, 0.6], 7), (1, 2, 4)),
        cells(some(400, [0.5, 0.6, 0.8], 8), (1, 2, 4)),
    ]
    found = single_k(moved, rng())
    assert found.cost > 0.1
    assert found.limit > found.cost
    assert found.k in (2, 4)


def test_identical_answers_cost_next_to_nothing_and_give_no_nan() -> None:
    scores = np.repeat(some(50, [0.6], 9), 3, axis=1)
    found = single_k([cells(scores, (1, 2, 4))] * 2, rng())
    assert found.k == 1
    assert found.cost == 0
    assert 0 < found.limit < 0.1
    for gain in gains(
        {"low": cells(scores, (1, 2, 4)), "high": cells(scores, (1, 2, 4))},
        ("low", "high"),
        1,
        rng(),
    ):
        assert gain.estimate == 0
        assert gain.ci_low < 0 < gain.ci_high
