"""Second opinions: equivalence within a margin, shuffled complexity, a bootstrapped vertex."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.optimum.cells import Cells
from analysis.optimum.equivalence import within_margin
from analysis.optimum.permutation import permutation_test, strata_of
from analysis.planning.evaluate import collapsed, headline, thirds
from analysis.planning.scenario import Scenario, draw
from analysis.planning.truth import truth
from complexity.buckets import cut
from complexity.errors import InputError

KS = (1, 2, 4, 8)


def cells(differences: list[float], n: int = 50, questions: int = 4) -> Cells:
    """Two k; image i scores `differences[i]` answers more at the second."""
    rng = np.random.default_rng(2)
    first = rng.integers(1, questions, n).astype(float)
    sums = np.column_stack([first, first + np.resize(differences, n)])
    return Cells((1, 2), tuple(f"i{i:03d}" for i in range(n)), sums, np.full((n, 2), questions))


# ---- equivalence ------------------------------------------------------------------------
def test_equivalence_of_two_k_is_a_one_sided_t_test() -> None:
    # Ten images lose and twenty gain: enough of both for t.
    part = cells([0.0, 1.0, -1.0, 0.0, 1.0])
    n, mean = 50, 0.2 / 4
    # The pseudo-answer of spread in each k: 1 / (2 N²), N = 200 questions.
    variance = np.var(part.sums[:, 1] - part.sums[:, 0], ddof=1) / n / 16 + 1 / 200**2
    found = within_margin([part], 0.1)
    p = [2 * stats.t.cdf((gap - 0.1) / np.sqrt(variance), n - 1) for gap in (mean, -mean)]
    assert found.k == 2
    assert found.p == pytest.approx(min(p), rel=1e-10)
    assert found.within == tuple(k for k, value in zip((1, 2), p, strict=True) if value <= 0.05)


def test_equivalence_needs_every_end() -> None:
    better, worse = cells([1.0, 0.0]), cells([-1.0, 0.0])
    assert within_margin([better], 0.05).within == (2,)
    assert within_margin([worse], 0.05).within == (1,)
    assert within_margin([better, worse], 0.05).within == ()
    assert within_margin([better, worse], 0.3).within == (1, 2)


def test_nothing_is_equivalent_to_within_nothing() -> None:
    assert within_margin([cells([0.0])], 0.0).p > 0.5


# ---- shuffled complexity ----------------------------------------------------------------
def test_p_is_uniform_where_complexity_means_nothing() -> None:
    scenario = Scenario(60, 2, KS, main=0.0)
    rng = np.random.default_rng(5)
    ps = []
    for _ in range(150):
        drawn = draw(scenario, rng)
        p = permutation_test(drawn.cells, drawn.c, None, rng, 79).p
        assert p is not None
        ps.append(p)
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    assert np.mean(np.array(ps) <= 0.05) < 0.11


def test_it_sees_a_curve_that_moves() -> None:
    drawn = draw(Scenario(400, 4, KS, bend=0.3, shift=0.8), np.random.default_rng(6))
    found = permutation_test(drawn.cells, drawn.c, None, np.random.default_rng(7), 199)
    assert found.p == pytest.approx(1 / 200)
    assert "not that the optimum stays" in found.method


def test_the_statistic_is_the_robust_wald_of_the_probability_scale() -> None:
    from analysis.mixed import fit

    drawn = draw(Scenario(80, 3, KS), np.random.default_rng(8))
    data = collapsed(drawn)
    frame = pd.DataFrame({"k": data.k, "c": data.c, "y": data.score, "image": data.image})
    robust = fit("y ~ C(k) * c", frame, cluster="image").wald_test(["C(k):c"])
    found = permutation_test(drawn.cells, drawn.c, None, np.random.default_rng(9), 9)
    n, p = len(frame), 8
    # Without the correction for the number of coefficients, which no shuffle changes.
    assert found.statistic == pytest.approx(robust.statistic * (n - 1) / (n - p), rel=1e-9)


def test_images_are_shuffled_within_strata_only() -> None:
    drawn = draw(Scenario(40, 2, KS), np.random.default_rng(10))
    one_each = np.arange(40)
    found = permutation_test(drawn.cells, drawn.c, one_each, np.random.default_rng(11), 19)
    # Nothing can move, so that every shuffle is the observed order.
    assert found.p == 1.0


def test_a_constant_score_has_nothing_to_test() -> None:
    drawn = draw(Scenario(40, 2, KS), np.random.default_rng(12))
    same = Cells(KS, drawn.cells.images, drawn.cells.counts, drawn.cells.counts)
    assert permutation_test(same, drawn.c, None, np.random.default_rng(13)).p is None


def test_strata_are_images_with_the_same_mix_of_questions() -> None:
    rows = pd.DataFrame(
        [
            (f"i{i}", f"i{i}_{q}_{k}"[:-2], k, kind)
            for i in range(16)
            for q, kind in enumerate(("count", "color" if i % 2 else "exist"))
            for k in (1, 2)
        ],
        columns=["image_id", "sample_id", "k", "kind"],
    )
    images = tuple(f"i{i}" for i in range(16))
    found = strata_of(images, rows, ["kind"])
    assert found is not None
    assert len(set(found)) == 2
    assert list(found) == [found[i % 2] for i in range(16)]
    assert strata_of(images, rows, []) is None
    assert strata_of(images, rows.assign(kind=rows["sample_id"]), ["kind"]) is None


# ---- the bootstrap of a vertex ----------------------------------------------------------
def test_one_step_bootstrap_agrees_with_full_refits() -> None:
    from analysis.mixed.logit import logit_clustered
    from analysis.optimum.curves import CurveFit, column_names, design
    from analysis.optimum.quadratic import quadratic_shift

    drawn = draw(Scenario(500, 4, KS, bend=0.3, shift=0.4), np.random.default_rng(14))
    data = collapsed(drawn)
    X = design("quadratic", data.ks, data.k, data.c, data.covariates)
    names, weights = column_names(data, "quadratic"), drawn.cells.counts.ravel()
    fit = logit_clustered(data.score, X, data.image, names=names, weights=weights)
    found = quadratic_shift(
        CurveFit("quadratic", "logit", "", fit), (-1.6, 1.6), np.random.default_rng(15)
    )
    rng = np.random.default_rng(16)
    slopes = []
    for _ in range(300):
        drawn_images = rng.multinomial(500, np.full(500, 1 / 500))
        again = logit_clustered(
            data.score, X, data.image, names=names, weights=weights * drawn_images[data.image]
        )
        slopes.append(quadratic_shift(CurveFit("quadratic", "logit", "", again), (0, 0)).slope)
    low, high = np.quantile(slopes, [0.025, 0.975])
    width = high - low
    assert found.bootstrap_low == pytest.approx(low, abs=0.15 * width)
    assert found.bootstrap_high == pytest.approx(high, abs=0.15 * width)
    assert found.slope_se == pytest.approx(width / 3.92, rel=0.15)


def test_thirds_are_the_ends_of_complexity() -> None:
    drawn = draw(Scenario(90, 2, KS), np.random.default_rng(17))
    low, high = thirds(drawn)
    c = dict(zip(drawn.cells.images, drawn.c, strict=True))
    assert len(low.images) == len(high.images) == 30
    assert max(c[image] for image in low.images) < min(c[image] for image in high.images)


def test_thirds_never_part_images_of_one_complexity() -> None:
    drawn = draw(Scenario(90, 2, KS), np.random.default_rng(17))
    tied = replace(drawn, c=np.repeat([1.0, 2.0, 3.0, 4.0], [40, 10, 10, 30]))
    labels = cut(pd.Series(tied.c), metric="c", n=3).assign(tied.c)
    low, high = thirds(tied)
    assert [len(low.images), len(high.images)] == [40, 30]
    assert low.images == tuple(np.array(drawn.cells.images)[labels == "low"])
    assert high.images == tuple(np.array(drawn.cells.images)[labels == "high"])
    # Two thirds share the lowest value: two groups are left, as in a study.
    merged = replace(drawn, c=np.repeat([1.0, 2.0, 3.0], [70, 10, 10]))
    assert [len(end.images) for end in thirds(merged)] == [70, 20]


def test_a_study_without_two_ends_finds_no_shift() -> None:
    drawn = draw(Scenario(9, 2, KS), np.random.default_rng(17))
    apart = replace(drawn, c=np.array([2.0] + [1.0] * 8))
    with pytest.raises(InputError, match="ties of complexity leave one image at an end"):
        thirds(apart)
    assert headline(apart, np.random.default_rng(1)).shift == 1


def test_the_truth_is_cut_as_a_study_is() -> None:
    base = Scenario(90, 2, KS, shift=0.8, complexity="measured", values=(-1.0, -1.0, -1.0, 3.0))
    found = truth(base)
    # Three quarters share the lowest complexity; cut in the middle of them the low end would
    # be the same, but the high third would hold some of them.
    assert found.high == pytest.approx(base.accuracy(np.array([3.0]))[0])
    assert found.low == pytest.approx(base.accuracy(np.array([-1.0]))[0])
