"""Means by k and their image-clustered covariance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from optimum_cases import KS, real, real_buckets, reference, simulate

from analysis.optimum.cells import Cells, best_index, cells_of, complete_samples, winners
from complexity.errors import InputError

MODELS = ("fixed4_3k", "anyk_3k")


def uneven(seed: int = 0, n_images: int = 30) -> pd.DataFrame:
    """One to five questions an image, soft scores, some answers missing."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"i{i}", f"i{i}_{q}", k, rng.uniform())
        for i in range(n_images)
        for q in range(rng.integers(1, 6))
        for k in (1, 2, 4)
        if rng.uniform() < 0.9
    ]
    return pd.DataFrame(rows, columns=["image_id", "sample_id", "k", "score"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("bucket", ["low", "mid", "high", "all"])
def test_agrees_with_sandwich(model: str, bucket: str) -> None:
    rows = real()
    rows = rows[rows["model"] == model]
    if bucket != "all":
        rows = rows[rows["image_id"].map(real_buckets()) == bucket]
    cells, theirs = cells_of(rows), reference()["models"][model]["cells"][bucket]
    assert cells.ks == KS
    assert len(cells.images) == theirs["n_images"]
    np.testing.assert_allclose(cells.means(), theirs["means"], rtol=1e-12)
    np.testing.assert_allclose(cells.covariance(), theirs["covariance"], rtol=1e-9, atol=1e-16)
    ridge = np.eye(8) / (2 * theirs["n_questions"] ** 2)
    np.testing.assert_allclose(cells.test_covariance(), cells.covariance() + ridge, rtol=1e-12)


def test_covariance_by_hand_with_unequal_and_missing_cells() -> None:
    table = uneven()
    cells = cells_of(table)
    ks, images = (1, 2, 4), sorted(table["image_id"].unique())
    mean = {k: table.loc[table["k"] == k, "score"].mean() for k in ks}
    expected = np.zeros((3, 3))
    for image in images:
        mine = table[table["image_id"] == image]
        influence = [
            (mine.loc[mine["k"] == k, "score"] - mean[k]).sum() / (table["k"] == k).sum()
            for k in ks
        ]
        expected += np.outer(influence, influence)
    expected *= len(images) / (len(images) - 1)
    np.testing.assert_allclose(cells.means(), list(mean.values()), rtol=1e-12)
    np.testing.assert_allclose(cells.covariance(), expected, rtol=1e-10)


def test_one_question_an_image_is_the_textbook_covariance_of_means() -> None:
    table = simulate(lambda x, z: 0 * x + z, n_questions=1)
    wide = table.pivot_table(index="image_id", columns="k", values="score")
    expected = np.cov(wide.to_numpy().T, ddof=1) / len(wide)
    np.testing.assert_allclose(cells_of(table).covariance(), expected, rtol=1e-10)


def test_repeating_every_question_changes_nothing_but_the_ridge() -> None:
    # Answers that copy each other within an image carry no information.
    table = uneven()
    copy = table.assign(sample_id=table["sample_id"] + "again")
    once, twice = cells_of(table), cells_of(pd.concat([table, copy]))
    np.testing.assert_allclose(twice.means(), once.means(), rtol=1e-12)
    np.testing.assert_allclose(twice.covariance(), once.covariance(), rtol=1e-10)
    ridges = [np.diag(c.test_covariance() - c.covariance())[0] for c in (once, twice)]
    assert ridges[0] == pytest.approx(4 * ridges[1], rel=1e-6)


def test_the_ridge_gives_a_difference_the_variance_of_one_answer() -> None:
    # 50 questions, the same answers at both k: no variance but the ridge's.
    table = simulate(lambda x, z: 0 * x, n_images=25, n_questions=2, ks=(2, 4), sticky=1.0)
    cells = cells_of(table)
    contrast = np.array([1.0, -1.0])
    assert contrast @ cells.covariance() @ contrast == pytest.approx(0, abs=1e-18)
    assert contrast @ cells.test_covariance() @ contrast == pytest.approx(1 / 50**2)


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_order_of_rows_does_not_matter(random: object) -> None:
    table = uneven(3, 12)
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, two = cells_of(table), cells_of(table.iloc[order])
    assert (one.ks, one.images) == (two.ks, two.images)
    np.testing.assert_array_equal(one.counts, two.counts)
    np.testing.assert_allclose(one.sums, two.sums, rtol=1e-13, atol=1e-15)


def test_rows_without_a_score_count_for_nothing() -> None:
    table = uneven()
    extra = table.head(20).assign(score=np.nan)
    np.testing.assert_array_equal(
        cells_of(table).counts, cells_of(pd.concat([table, extra])).counts
    )


def test_take_is_the_cells_of_the_images_taken() -> None:
    table = uneven()
    cells = cells_of(table)
    chosen = np.array([image < "i2" for image in cells.images])
    expected = cells_of(table[table["image_id"] < "i2"])
    part = cells.take(chosen)
    assert part.images == expected.images
    np.testing.assert_array_equal(part.sums, expected.sums)
    np.testing.assert_array_equal(part.counts, expected.counts)


def test_too_little_to_know_is_nan_without_a_warning() -> None:
    cells = Cells((1, 2), ("a",), np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]]))
    np.testing.assert_array_equal(cells.means(), [0.5, np.nan])
    assert np.isnan(cells.covariance()).all()


def test_bootstrap_agrees_with_the_linearisation() -> None:
    table = simulate(lambda x, z: 0.5 + 0.3 * x - z, n_images=200, ks=(1, 2, 8), seed=5)
    cells = cells_of(table)
    draws = cells.bootstrap_means(20_000, np.random.default_rng(0))
    covariance = cells.covariance()
    error = np.sqrt(np.diag(covariance) / len(draws))
    assert (np.abs(draws.mean(axis=0) - cells.means()) < 4 * error).all()
    # The bootstrap's variance is (G - 1) / G of ours; a variance of 20,000 draws has a
    # relative error of 1 %.
    ratio = np.cov(draws.T) / (covariance * 199 / 200)
    np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_bootstrap_takes_whole_images() -> None:
    # Two images, one always right and one always wrong: only 0, 1/2 and 1 can come out,
    # with chances 1/4, 1/2, 1/4, and the same at every k.
    cells = Cells((1, 2), ("a", "b"), np.array([[3.0, 3.0], [0.0, 0.0]]), np.full((2, 2), 3.0))
    draws = cells.bootstrap_means(4_000, np.random.default_rng(1))
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    values, counts = np.unique(draws[:, 0], return_counts=True)
    np.testing.assert_array_equal(values, [0, 0.5, 1])
    np.testing.assert_allclose(counts / 4_000, [0.25, 0.5, 0.25], atol=0.03)


def test_bootstrap_of_ratios_weighs_images_by_their_questions() -> None:
    # An image with three questions, all right, and one with a single one, wrong.
    cells = Cells(
        (1, 2), ("a", "b"), np.array([[3.0, 3.0], [0.0, 0.0]]), np.array([[3.0] * 2, [1.0] * 2])
    )
    assert set(np.unique(cells.bootstrap_means(200, np.random.default_rng(2)))) == {0, 0.75, 1}


def test_complete_samples_keeps_what_has_every_k() -> None:
    table = simulate(lambda x, z: 0 * x, n_images=10, n_questions=1, ks=(1, 2, 4))
    rows, words = complete_samples(table)
    assert words is None
    pd.testing.assert_frame_equal(rows, table)

    thinned = table.drop(index=[4, 8])  # k = 2 of i0001, k = 4 of i0002
    thinned.loc[thinned.index[-1], "score"] = np.nan  # k = 4 of i0009
    rows, words = complete_samples(thinned)
    assert sorted(set(table["image_id"]) - set(rows["image_id"])) == ["i0001", "i0002", "i0009"]
    assert (rows.groupby("sample_id").size() == 3).all()
    assert words is not None
    assert words.startswith("3 of 10 samples lack some k")
    assert "k = 4 has the fewest results (8)" in words


def test_complete_samples_refuses_when_nothing_is_comparable() -> None:
    table = simulate(lambda x, z: 0 * x, n_images=6, n_questions=1, ks=(1, 2))
    parts = table[(table["image_id"] < "i0002") == (table["k"] == 2)]
    with pytest.raises(InputError, match=r"no sample has results at all 2 k.*k = 2 has the fewest"):
        complete_samples(parts)


def test_easier_questions_at_one_k_do_not_make_it_better() -> None:
    # k = 8 was measured on the right answers only: complete samples remove its advantage.
    table = simulate(lambda x, z: 0 * x, n_images=60, ks=(1, 8), sticky=1.0)
    easy = table[(table["k"] == 1) | (table["score"] == 1)]
    assert cells_of(easy).means()[1] == 1
    rows, _ = complete_samples(easy)
    np.testing.assert_array_equal(cells_of(rows).means(), [1, 1])


@given(
    hnp.arrays(
        float,
        st.tuples(st.integers(1, 4), st.integers(1, 8)),
        elements=st.integers(0, 20).map(lambda i: i / 20),
    ),
    st.randoms(use_true_random=False),
)
def test_winners_share_the_win(means: np.ndarray, random: object) -> None:
    shares = winners(means)
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
    assert ((shares > 0) == (means == means.max(axis=-1, keepdims=True))).all()
    order = list(range(means.shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(winners(means[:, order]), shares[:, order])


def test_ties_go_to_the_smaller_k_also_when_only_rounding_tells_them_apart() -> None:
    assert best_index(np.array([0.5, 0.7, 0.7])) == 1
    assert best_index(np.array([0.5, 0.7, 0.7 + 1e-15])) == 1
    assert best_index(np.array([0.5, 0.7, 0.7 + 1e-6])) == 2
    np.testing.assert_array_equal(winners(np.array([0.1 + 0.2, 0.3, 0.1])), [0.5, 0.5, 0])
