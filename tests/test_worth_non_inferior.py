from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.optimum.cells import Cells
from analysis.worth.non_inferior import non_inferior


def cells(scores: np.ndarray) -> Cells:
    """One question an image: scores of shape (G, K)."""
    n, n_k = scores.shape
    ks = tuple(2**i for i in range(n_k))
    return Cells(ks, tuple(f"i{i:05d}" for i in range(n)), scores.astype(float), np.ones((n, n_k)))


def test_two_k_have_the_one_sided_t_limit() -> None:
    rng = np.random.default_rng(1)
    low = (rng.random(400) < 0.7).astype(float)
    high = np.where(rng.random(400) < 0.1, 1.0, low)
    data = cells(np.column_stack([low, high]))
    found = non_inferior("all", data, 0.2, np.random.default_rng(2))
    difference = high - low
    se = np.sqrt(difference.var(ddof=1) / 400 + 1 / 400**2)
    limit = difference.mean() + stats.t.ppf(0.95, 399) * se
    assert found.limit[0] == pytest.approx(limit, rel=0.01)
    assert found.limit[1] == 0.0  # certainly the best
    assert (found.best, found.k, found.n_differ) == (2, 1, int((high != low).sum()))
    assert found.shortfall == pytest.approx((difference.mean(), 0.0))
    none = non_inferior("all", data, difference.mean(), np.random.default_rng(2))
    assert none.k == 2


def test_none_is_said_when_no_k_is_certain() -> None:
    rng = np.random.default_rng(3)
    data = cells((rng.random((40, 3)) < 0.5).astype(float))
    found = non_inferior("all", data, 0.01, rng)
    assert found.k is None
    assert found.n_differ is None
    assert min(found.limit) > 0.01


def test_equal_k_go_to_the_smallest_once_there_are_enough_images() -> None:
    right = np.repeat(np.arange(2000)[:, None] % 5 > 0, 4, axis=1)
    many = non_inferior("all", cells(right), 0.01, np.random.default_rng(1))
    assert (many.k, many.best, many.n_differ) == (1, 1, 0)
    # None of 2,000 images loses: at most 1 - (.05 / 3) ** (1 / 2000) of them do.
    assert many.limit[0] == pytest.approx(1 - (0.05 / 3) ** (1 / 2000), rel=1e-9)
    # Twenty images that all agree do not show a margin of a point.
    few = non_inferior("all", cells(right[:20]), 0.01, np.random.default_rng(1))
    assert few.k is None


@pytest.mark.parametrize("means", [(0.7, 0.7, 0.7, 0.7), (0.6, 0.68, 0.7, 0.69)])
def test_limits_hold_for_all_k_at_once(means: tuple[float, ...]) -> None:
    p = np.array(means)
    n_sets, held, exceeded = 300, 0, 0
    for i in range(n_sets):
        rng = np.random.default_rng([7, i])
        shared, own = rng.random((250, 1)), rng.random((250, 4))
        draw = np.where(rng.random((250, 4)) < 0.6, shared, own)
        found = non_inferior("all", cells((draw < p).astype(float)), 0.05, rng, n_draws=2000)
        held += bool(np.all(p.max() - p <= np.array(found.limit) + 1e-12))
        exceeded += found.k is not None and bool(p.max() - p[found.ks.index(found.k)] > 0.05)
    # 95 % less three binomial standard errors.
    assert held / n_sets > 0.91
    assert exceeded / n_sets < 0.09
