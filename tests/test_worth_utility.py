from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.worth.utility import DOMINATED, INSIDE, ON, group_utility, price_ranges, standings

KS = (1, 2, 4, 8, 16)


def described(accuracy: list[float], ms: list[float], resampled: Any = None) -> Any:
    ks = KS[: len(accuracy)]
    return group_utility("all", ks, np.array(accuracy), np.array(ms), resampled, 10, 10)


def test_a_hand_made_envelope() -> None:
    # k = 4 lies below the line from 2 to 8; k = 16 is slower and worse than 8.
    found = described([0.50, 0.70, 0.72, 0.80, 0.79], [10, 12, 14, 17, 20])
    assert found.standing == (ON, ON, INSIDE, ON, DOMINATED)
    assert [(b.slower, b.faster) for b in found.break_evens] == [(8, 2), (2, 1)]
    assert [b.price for b in found.break_evens] == pytest.approx([0.1 / 5, 0.2 / 2])
    assert found.price_from == pytest.approx((0.1, 0.02, None, 0.0, None))
    assert found.price_to == pytest.approx((None, 0.1, None, 0.02, None))
    assert found.share == (None,) * 5
    assert found.break_evens[0].ci_low is None


@pytest.mark.parametrize(
    ("accuracy", "ms", "expected"),
    [
        ([0.5, 0.5, 0.5], [1, 2, 3], [ON, DOMINATED, DOMINATED]),  # flat: the fastest
        ([0.5, 0.6, 0.7], [2, 2, 2], [DOMINATED, DOMINATED, ON]),  # nothing to save
        ([0.5, 0.5, 0.5], [2, 2, 2], [ON, DOMINATED, DOMINATED]),  # equal: the smaller
        ([0.5, 0.6, 0.7], [1, 2, 3], [ON, INSIDE, ON]),  # on one line
        ([0.7, 0.6, 0.5], [1, 2, 3], [ON, DOMINATED, DOMINATED]),
        ([0.5, 0.9], [3, 1], [DOMINATED, ON]),  # a larger k may be the faster one
    ],
)
def test_edges_of_the_envelope(accuracy: list[float], ms: list[float], expected: list[str]) -> None:
    assert standings(np.array(accuracy), np.array(ms, dtype=float)) == expected
    found = described(accuracy, [float(t) for t in ms])
    assert [start is not None for start in found.price_from] == [s == ON for s in expected]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), min_size=1, max_size=5))
def test_the_envelope_is_the_best_k_at_every_price(points: list[tuple[int, int]]) -> None:
    accuracy, ms = (np.array(part, dtype=float) for part in zip(*points, strict=True))
    low, high, on = price_ranges(accuracy / 12, ms)
    assert on.any()
    for price in np.concatenate([[0.0], np.geomspace(0.003, 30, 40)]):
        utility = accuracy / 12 - price * ms
        best = utility[on & (low <= price + 1e-12) & (price <= high + 1e-12)]
        assert best.size
        assert best.max() == pytest.approx(utility.max(), abs=1e-9)
    # The ranges of those on the envelope tile all prices.
    order = np.argsort(low[on])
    starts, ends = low[on][order], high[on][order]
    assert starts[0] == 0
    assert np.isinf(ends[-1])
    np.testing.assert_allclose(starts[1:], ends[:-1], rtol=1e-9)


def test_resamples_give_percentiles_and_open_ends() -> None:
    n = 1000
    lost = np.linspace(-0.02, 0.08, n)  # 20 % of the resamples: the slower is not better
    accuracy = np.column_stack([np.full(n, 0.5), 0.5 + lost])
    ms = np.column_stack([np.full(n, 10.0), np.full(n, 12.0)])
    found = described([0.5, 0.53], [10.0, 12.0], (accuracy, ms))
    (end,) = found.break_evens
    assert end.price == pytest.approx(0.015)
    assert end.ci_low == 0.0
    assert end.ci_high == pytest.approx(np.quantile(lost, 0.975) / 2, abs=1e-4)
    assert found.share == pytest.approx((1.0, 0.8), abs=0.002)
    # Where k = 2 is not the slower one in some resamples, no price is high enough.
    ms[:100, 1] = 9.0
    assert described([0.5, 0.53], [10.0, 12.0], (accuracy, ms)).break_evens[0].ci_high is None
