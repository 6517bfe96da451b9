"""Claims that rest on few losing images: closed forms, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from analysis.optimum.cells import Cells
from analysis.optimum.equivalence import within_margin
from analysis.optimum.rare_losses import RARE, losses, rare_limit, rare_p
from analysis.worth.non_inferior import non_inferior


def cells(lost: int, n: int = 200, questions: int = 4, per_image: float = 1.0, won: int = 0):
    """Two k: the smaller loses `per_image` answers on `lost` images and gains 1 on `won`."""
    sums = np.full((n, 2), 2.0)
    sums[:lost, 0] -= per_image
    sums[lost : lost + won, 0] += 1
    names = tuple(f"i{i:03d}" for i in range(n))
    return Cells((1, 2), names, sums, np.full((n, 2), float(questions)))


def test_where_none_loses_a_whole_image_might() -> None:
    limit = rare_limit(cells(0), 1, 0.05)
    assert limit[0] == pytest.approx(1 - 0.05 ** (1 / 200), rel=1e-12)
    assert limit[1] == -np.inf  # the control itself


@pytest.mark.parametrize("lost", [1, 4, RARE - 1])
def test_the_share_has_the_exact_limit(lost: int) -> None:
    share = binomtest(lost, 200, alternative="less").proportion_ci(0.95, "exact").high
    assert rare_limit(cells(lost, per_image=2), 1, 0.05)[0] == pytest.approx(share / 2, rel=1e-9)
    # Its p is .05 where the margin is the limit.
    assert rare_p(cells(lost, per_image=2), 1, share / 2)[0] == pytest.approx(0.05, rel=1e-9)
    assert rare_p(cells(lost), 1, 0.01)[0] == pytest.approx(binom.cdf(lost, 200, 0.04), rel=1e-9)


def test_enough_losing_images_leave_it_to_t() -> None:
    part = cells(RARE)
    assert np.isneginf(rare_limit(part, 1, 0.05)).all()
    assert (rare_p(part, 1, 0.01) == 0).all()


def test_an_image_with_more_questions_weighs_more() -> None:
    part = cells(0, n=100)
    counts = np.full((100, 2), 4.0)
    counts[0] = 40.0
    crowded = Cells(part.ks, part.images, part.sums, counts)
    assert losses(crowded, 1)[1][0] == pytest.approx(40 / counts[:, 0].mean())


def test_what_others_gain_is_set_against_it_unless_rare_itself() -> None:
    alone = rare_limit(cells(2), 1, 0.05)[0]
    assert rare_limit(cells(2, won=RARE - 1), 1, 0.05)[0] == alone
    gained = losses(cells(2, won=60), 1)[2][0]
    assert 0.05 < gained < 60 / 200 / 4
    assert rare_limit(cells(2, won=60), 1, 0.05)[0] == pytest.approx(alone - gained)


def test_a_k_at_the_margin_is_seldom_claimed_where_images_fail_whole() -> None:
    rng = np.random.default_rng(20261123)
    claimed = equal = 0
    for _ in range(300):
        parts = []
        for _end in range(2):
            sums = np.full((50, 2), 4.0)
            sums[rng.random(50) < 0.03, 0] = 0.0
            parts.append(Cells((1, 2), tuple(f"{i:02d}" for i in range(50)), sums, 0 * sums + 4))
        claimed += non_inferior("all", parts[0], 0.03, rng, n_draws=1000).k == 1
        equal += 1 in within_margin(parts, 0.03).within
    # t alone claims it in a fifth: no image fails in .22 of such sets.
    assert claimed / 300 <= 0.05
    assert equal / 300 <= 0.05
