from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import block_diag

from analysis.optimum import max_t
from analysis.optimum.cells import Cells
from analysis.optimum.common import common_optimum
from analysis.optimum.max_t import Reference, best_set, mean_draws, p_of_sets, pair_errors
from complexity.errors import InputError

METHODS: tuple[Reference, ...] = get_args(Reference)


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def scored(n: int, accuracy: list[float], seed: int = 1, questions: int = 3) -> Cells:
    """Images with a level of their own, so that the answers at different k hang together."""
    draw = rng(seed)
    level = draw.normal(0, 0.15, (n, 1))
    chance = np.clip(np.array(accuracy) + level, 0.01, 0.99)
    sums = draw.binomial(questions, chance).astype(float)
    images = tuple(f"i{i:05d}" for i in range(n))
    return Cells((1, 2, 4, 8)[: len(accuracy)], images, sums, np.full(sums.shape, float(questions)))


def test_the_t_reference_is_that_of_the_common_optimum_with_one_group() -> None:
    cells = scored(60, [0.5, 0.62, 0.66, 0.6])
    found = best_set(cells, rng(), method="t", n_draws=4_000)
    same = common_optimum(
        cells.ks,
        [cells.means()],
        block_diag(cells.test_covariance()),
        [60],
        rng(),
        n_draws=4_000,
    )
    assert found.p_by_k == pytest.approx(same.p_by_k, abs=1e-12)
    assert found.kept == same.kept


@pytest.mark.parametrize("unequal", [False, True], ids=["complete", "missing cells"])
def test_resamples_have_the_means_and_covariance_of_the_images_they_drew(unequal: bool) -> None:
    cells = scored(40, [0.5, 0.62, 0.66], questions=4)
    if unequal:
        counts = cells.counts + rng(5).integers(0, 3, cells.counts.shape)
        cells = Cells(cells.ks, cells.images, cells.sums, counts.astype(float))
    draws = mean_draws(cells, "bootstrap", rng(3), 5)
    picked = rng(3).integers(0, 40, (5, 40), dtype=np.int32)
    ridge = cells.test_covariance() - cells.covariance()
    for r, rows in enumerate(picked):
        again = Cells(cells.ks, cells.images, cells.sums[rows], cells.counts[rows])
        np.testing.assert_allclose(draws.errors[r], again.means() - cells.means(), atol=1e-14)
        np.testing.assert_allclose(draws.covariance[r], again.covariance() + ridge, atol=1e-14)
        errors = pair_errors(again.covariance() + ridge)
        shift = again.means() - cells.means()
        np.testing.assert_allclose(draws.against(1)[r], (shift - shift[1]) / errors[1], atol=1e-9)


def test_chunks_of_resamples_are_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = scored(30, [0.5, 0.6])
    whole = [mean_draws(cells, method, rng(), 50).errors for method in METHODS]
    monkeypatch.setattr(max_t, "AT_ONCE", 200)
    parts = [mean_draws(cells, method, rng(), 50).errors for method in METHODS]
    # The bits of `rademacher` and `integers` of 32 bits may be drawn in blocks; means agree.
    assert [part.shape for part in parts] == [one.shape for one in whole]
    # A product of other shape may differ in its last bit.
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("method", ["multiplier", "rademacher"])
def test_multipliers_keep_mean_variance_and_mammen_the_third_moment(method: Reference) -> None:
    # One right answer in 50 images: influences as skewed as they come.
    sums = np.zeros((50, 2))
    sums[0, 1] = 1.0
    cells = Cells((1, 2), tuple(f"i{i:02d}" for i in range(50)), sums, np.ones((50, 2)))
    errors = mean_draws(cells, method, rng(), 200_000).errors
    gain = errors[:, 1] - errors[:, 0]
    influence = (sums[:, 1] - 0.02) / 50 * np.sqrt(50 / 49)
    assert gain.mean() == pytest.approx(0, abs=4e-4)
    assert gain.var() == pytest.approx((influence**2).sum(), rel=0.02)
    third = (influence**3).sum() if method == "multiplier" else 0.0
    assert (gain**3).mean() == pytest.approx(third, abs=0.05 * (influence**3).sum())


@pytest.mark.parametrize("method", METHODS)
def test_with_two_k_every_method_is_nearly_the_paired_t_test(method: Reference) -> None:
    cells = scored(400, [0.6, 0.61], seed=4)
    difference = (cells.sums[:, 0] - cells.sums[:, 1]) / 3
    se = np.sqrt(difference.var(ddof=1) / 400 + 1 / 1200**2)
    p = stats.t.sf(abs(difference.mean()) / se, 399)
    found = best_set(cells, rng(), method=method, n_draws=20_000)
    assert 0.01 < p < 0.3
    assert min(found.p_by_k) == pytest.approx(p, abs=0.012)
    assert max(found.p_by_k) == 1
    critical = mean_draws(cells, method, rng(), 20_000).critical_value(0.95)
    assert critical == pytest.approx(stats.t.ppf(0.975, 399), rel=0.03)


@pytest.mark.parametrize("method", ["t", "bootstrap"])
def test_a_truly_best_k_stays_in_the_set_as_often_as_said(method: Reference) -> None:
    kept = 0
    for seed in range(200):
        cells = scored(80, [0.7, 0.7, 0.7], seed=100 + seed)
        kept += 1 in best_set(cells, rng(seed), method=method, n_draws=400).kept
    # 95 % of 200 is 190; four standard deviations are 12.
    assert 178 <= kept <= 200


def test_a_k_clearly_behind_leaves_the_comparisons() -> None:
    cells = scored(300, [0.3, 0.6, 0.6], seed=9)
    draws = mean_draws(cells, "bootstrap", rng(), 2_000)
    with_it = p_of_sets(cells, draws)
    without = Cells(cells.ks[1:], cells.images, cells.sums[:, 1:], cells.counts[:, 1:])
    alone = p_of_sets(without, mean_draws(without, "bootstrap", rng(), 2_000))
    assert with_it[0] < 0.01
    assert with_it[1:] == pytest.approx(alone, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_answers_that_never_differ_keep_every_k(method: Reference) -> None:
    same = np.repeat(rng().integers(0, 2, (30, 1)), 3, axis=1).astype(float)
    images = tuple(f"i{i:02d}" for i in range(30))
    found = best_set(Cells((1, 2, 4), images, same, np.ones_like(same)), rng(), method=method)
    assert found.kept == (1, 2, 4)
    assert found.p_by_k == (1.0, 1.0, 1.0)


def test_the_result_says_which_method_was_used() -> None:
    cells = scored(30, [0.5, 0.6])
    said = {best_set(cells, rng(), method=method, n_draws=50).method for method in METHODS}
    assert len(said) == len(METHODS)
    assert all("max-T" in text for text in said)
    with pytest.raises(InputError, match="choose one of t, bootstrap, multiplier, rademacher"):
        best_set(cells, rng(), method="normal")  # type: ignore[arg-type]
