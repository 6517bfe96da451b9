"""Logits against R's glm and sandwich, closed forms and invariances."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from analysis.mixed import ClusteredFit, fit, linear_clustered, logit_clustered
from complexity.errors import InputError

GOLDEN = Path(__file__).parent / "golden" / "mixed"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "glm.json").read_text())


def ours(name: str) -> str:
    """Translate R's name of a column."""
    name = name.replace("(Intercept)", "Intercept").replace("^2", " ** 2")
    name = re.sub(r"factor\((\w+)\)(\w+)", r"C(\1)[\2]", name)
    return re.sub(r"\bkind(\w+)", r"kind[\1]", name)


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "answers.csv")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["formula"]))
def test_agrees_with_glm_and_sandwich(case: dict[str, Any], answers: pd.DataFrame) -> None:
    robust = fit(case["formula"], answers, family="binomial", cluster=case["cluster"])
    order = [robust.names.index(ours(name)) for name in case["names"]]
    se = np.sqrt(np.diag(case["cov_cluster"]))
    np.testing.assert_allclose((robust.params[order] - case["params"]) / se, 0, atol=1e-6)
    cov = robust.cov[np.ix_(order, order)]
    np.testing.assert_allclose(
        cov / np.outer(se, se), case["cov_cluster"] / np.outer(se, se), atol=1e-7
    )
    np.testing.assert_allclose(robust.pvalues[order], case["p_cluster"], rtol=1e-5)
    np.testing.assert_allclose(robust.deviance, case["deviance"], rtol=1e-9)
    assert robust.covariance == "cluster-robust CR1 by image"
    assert (robust.statistic, robust.df) == ("t", 119.0)
    plain = fit(case["formula"], answers, family="binomial")
    if case.get("loglik") is None:
        assert robust.loglik is None
        assert robust.aic is None
        assert plain.covariance == "robust HC1"
        assert any("quasi-likelihood" in text for text in plain.warnings)
        np.testing.assert_allclose(
            plain.cov[np.ix_(order, order)], case["cov_hc1"], rtol=1e-6, atol=1e-9
        )
    else:
        np.testing.assert_allclose(plain.loglik, case["loglik"], rtol=1e-10)
        np.testing.assert_allclose([plain.aic, plain.bic], [case["aic"], case["bic"]], rtol=1e-10)
        np.testing.assert_allclose(
            plain.cov[np.ix_(order, order)], case["cov"], rtol=1e-6, atol=1e-9
        )
        assert (plain.statistic, plain.df, plain.p_values) == ("z", None, "Wald z")
    assert robust.converged
    assert robust.warnings == ()


def test_counts_of_trials_agree_with_glm() -> None:
    case = json.loads((GOLDEN / "counts.json").read_text())
    counts = pd.read_csv(GOLDEN / "counts.csv")
    X = np.column_stack(
        [np.ones(len(counts)), counts.c, counts.kind == "count", counts.kind == "exist"]
    )
    names = ["Intercept", "c", "kind[count]", "kind[exist]"]
    assert [ours(name) for name in case["names"]] == names
    found = logit_clustered(counts.share, X, counts.image, names=names, weights=counts.trials)
    np.testing.assert_allclose(found.params, case["params"], rtol=1e-7)
    np.testing.assert_allclose(found.bread, case["cov"], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.loglik, case["loglik"], rtol=1e-10)
    np.testing.assert_allclose(found.deviance, case["deviance"], rtol=1e-9)


def test_one_proportion_in_closed_form() -> None:
    # Clusters of sizes 1, 2, 3 with 1, 1, 1 successes: p = 1/2, scores 1/2, 0, −1/2.
    y = np.array([1, 1, 0, 1, 0, 0])
    found = logit_clustered(y, np.ones((6, 1)), list("abbccc"), names=["Intercept"])
    np.testing.assert_allclose(found.params, 0, atol=1e-12)
    bread = 1 / (6 * 0.25)
    np.testing.assert_allclose(found.bread, bread)
    np.testing.assert_allclose(found.influence[:, 0], bread * np.array([0.5, 0, -0.5]), atol=1e-12)
    np.testing.assert_allclose(found.correction, 3 / 2 * 5 / 5)
    np.testing.assert_allclose(found.cov, 1.5 * bread**2 * 0.5)
    np.testing.assert_allclose(found.loglik, 6 * np.log(0.5))
    assert list(found.groups) == ["a", "b", "c"]
    assert found.df == 2


def test_a_saturated_logit_reproduces_the_shares() -> None:
    y = np.r_[np.repeat([1, 0], [3, 7]), np.repeat([1, 0], [9, 1])]
    x = np.repeat([0.0, 1.0], 10)
    found = logit_clustered(
        y, np.column_stack([np.ones(20), x]), np.arange(20), names=["Intercept", "x"]
    )
    np.testing.assert_allclose(found.params, [logit(0.3), logit(0.9) - logit(0.3)], rtol=1e-10)


def design(answers: pd.DataFrame) -> tuple[np.ndarray[Any, Any], list[str]]:
    columns = {"Intercept": np.ones(len(answers)), "c": answers.c}
    for k in (2, 4, 8):
        columns[f"k{k}"] = (answers.k == k).astype(float)
    return np.column_stack(list(columns.values())), list(columns)


@pytest.mark.parametrize("function", [logit_clustered, linear_clustered])
def test_the_covariance_comes_from_the_influence(function: Any, answers: pd.DataFrame) -> None:
    X, names = design(answers)
    found: ClusteredFit = function(answers.y, X, answers.image, names=names)
    assert found.influence.shape == (120, 5)
    np.testing.assert_allclose(
        found.cov, found.correction * found.influence.T @ found.influence, rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(found.influence.sum(axis=0), 0, atol=1e-9)
    n, p, clusters = len(answers), 5, 120
    np.testing.assert_allclose(found.correction, clusters / (clusters - 1) * (n - 1) / (n - p))


def test_influences_of_two_fits_give_their_covariance(answers: pd.DataFrame) -> None:
    X, names = design(answers)
    first = logit_clustered(answers.y, X, answers.image, names=names)
    second = logit_clustered(answers.soft, X, answers.image, names=names)
    zero = np.zeros_like(X)
    joint = logit_clustered(
        np.r_[answers.y, answers.soft],
        np.block([[X, zero], [zero, X]]),
        np.r_[answers.image, answers.image],
        names=[f"{name}{j}" for j in (1, 2) for name in names],
    )
    both = np.hstack([first.influence, second.influence])
    np.testing.assert_allclose(joint.cov, joint.correction * both.T @ both, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("function", [logit_clustered, linear_clustered])
def test_aggregated_rows_answer_as_their_trials(function: Any, answers: pd.DataFrame) -> None:
    columns = ["image", "k", "c"]
    groups = answers.groupby(columns, as_index=False)
    fewer = groups.agg(y=("y", "mean"), trials=("y", "size"))
    assert len(fewer) < len(answers)
    X, names = design(answers)
    full = function(answers.y, X, answers.image, names=names)
    short = function(fewer.y, design(fewer)[0], fewer.image, names=names, weights=fewer.trials)
    np.testing.assert_allclose(short.params, full.params, rtol=1e-9)
    np.testing.assert_allclose(short.cov, full.cov, rtol=1e-8, atol=1e-14)
    assert (short.n_obs, short.n_clusters) == (full.n_obs, full.n_clusters)


def test_rows_of_weight_zero_are_left_out(answers: pd.DataFrame) -> None:
    X, names = design(answers)
    weights = (answers.image > "i030").astype(float).to_numpy()
    kept = weights > 0
    some = logit_clustered(answers.y, X, answers.image, names=names, weights=weights)
    less = logit_clustered(answers.y[kept], X[kept], answers.image[kept], names=names)
    np.testing.assert_allclose(some.cov, less.cov, rtol=1e-12)
    assert list(some.groups) == list(less.groups)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_row_order_units_and_labels_do_not_matter(seed: int) -> None:
    answers = pd.read_csv(GOLDEN / "answers.csv")
    rng = np.random.default_rng(seed)
    X, names = design(answers)
    units = 10.0 ** rng.integers(-5, 6, X.shape[1])
    order = rng.permutation(len(answers))
    labels = answers.image.str[1:].astype(int).to_numpy()
    one = logit_clustered(answers.y, X, answers.image, names=names)
    other = logit_clustered(
        answers.y.to_numpy()[order], (X * units)[order], labels[order], names=names
    )
    np.testing.assert_allclose(other.params * units, one.params, rtol=1e-9)
    np.testing.assert_allclose(other.cov * np.outer(units, units), one.cov, rtol=1e-8, atol=1e-14)


def test_almost_collinear_columns_are_estimated() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=400)
    y = rng.random(400) < 1 / (1 + np.exp(-x))
    groups = np.arange(400) // 4
    far = 1e4 + x  # the intercept and it are nearly parallel
    near = logit_clustered(y, np.column_stack([np.ones(400), x]), groups, names=["1", "x"])
    away = logit_clustered(y, np.column_stack([np.ones(400), far]), groups, names=["1", "x"])
    np.testing.assert_allclose(away.params[1], near.params[1], rtol=1e-7)
    np.testing.assert_allclose(away.cov[1, 1], near.cov[1, 1], rtol=1e-6)


def test_a_start_changes_nothing(answers: pd.DataFrame) -> None:
    X, names = design(answers)
    cold = logit_clustered(answers.y, X, answers.image, names=names)
    for start in (cold.params, np.full(5, 50.0), np.full(5, np.nan)):
        warm = logit_clustered(answers.y, X, answers.image, names=names, start=start)
        assert warm.converged
        np.testing.assert_allclose(warm.params, cold.params, rtol=1e-9)


def test_quasi_separation_is_named_and_has_no_errors() -> None:
    rng = np.random.default_rng(5)
    k = np.tile([1, 2, 4], 100)
    data = pd.DataFrame({"k": k, "image": np.arange(300) // 3, "c": rng.normal(size=300)})
    data["y"] = np.where(k == 4, 1, rng.random(300) < 0.6).astype(int)
    found = fit("y ~ C(k) + c", data, family="binomial", cluster="image")
    assert not found.converged
    assert "predicted perfectly by C(k)[4]" in found.warnings[0]
    bad = found.names.index("C(k)[4]")
    assert np.isnan(found.bse[bad])
    assert np.isnan(found.pvalues[bad])
    # The others are what they are without the rows that tell nothing about them.
    rest = fit("y ~ C(k) + c", data[data.k != 4], family="binomial")
    keep = [found.names.index(name) for name in rest.names]
    np.testing.assert_allclose(found.params[keep], rest.params, rtol=1e-6)
    fixed = {row["term"]: row for row in found.to_json()["fixed"]}  # type: ignore[attr-defined]
    assert fixed["C(k)[4]"]["se"] is None


def test_separation_in_several_directions_at_once() -> None:
    rng = np.random.default_rng(6)
    cell = np.repeat(np.arange(4), 50)
    y = np.where(cell == 0, rng.random(200) < 0.5, cell == 1).astype(float)
    y[cell == 3] = 1
    X = np.column_stack([np.ones(200), cell == 1, cell == 2, cell == 3]).astype(float)
    found = logit_clustered(y, X, np.arange(200) // 2, names=["1", "a", "b", "c"])
    assert found.separated == ("a", "b", "c")
    assert np.isfinite(found.cov[0, 0])


def test_complete_separation_by_a_number() -> None:
    x = np.linspace(-1, 1, 40)
    X = np.column_stack([np.ones(40), x])
    found = logit_clustered(x > 0.3, X, np.arange(40) // 2, names=["1", "x"])
    assert "x" in found.separated
    assert not found.converged
    touching = x > 0.3
    touching[0] = True
    assert logit_clustered(touching, X, np.arange(40) // 2, names=["1", "x"]).converged


def test_extreme_but_finite_estimates_are_not_called_separated() -> None:
    y = np.r_[np.zeros(20_000), np.ones(20_000)]
    y[0], y[-1] = 1, 0
    x = np.repeat([0.0, 1.0], 20_000)
    X = np.column_stack([np.ones(40_000), x])
    found = logit_clustered(y, X, np.arange(40_000) // 4, names=["1", "x"])
    assert found.converged
    assert found.separated == ()
    np.testing.assert_allclose(found.params[0], logit(1 / 20_000), rtol=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_separation_is_found_exactly_when_a_share_is_zero_or_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cell = np.repeat(np.arange(3), 6)
    y = (rng.random(18) < rng.choice([0.05, 0.5, 0.95], 3)[cell]).astype(float)
    X = np.eye(3)[cell]
    found = logit_clustered(y, X, np.arange(18) // 2, names=["a", "b", "c"])
    shares = np.array([y[cell == j].mean() for j in range(3)])
    expected = tuple(name for name, share in zip("abc", shares, strict=True) if share in (0, 1))
    assert found.separated == expected
    assert found.converged == (not expected)
    inside = (shares > 0) & (shares < 1)
    np.testing.assert_allclose(found.params[inside], logit(shares[inside]), rtol=1e-8, atol=1e-10)


def test_few_clusters_are_said(answers: pd.DataFrame) -> None:
    X, names = design(answers)
    found = logit_clustered(answers.y, X, np.arange(len(answers)) % 4, names=names)
    assert found.warnings[0].startswith("only 4 clusters")
    assert "4 clusters for 5 coefficients" in found.warnings[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": np.full(8, 1.2)}, "outside [0, 1]"),
        ({"y": np.full(8, np.nan)}, "missing or infinite"),
        ({"y": np.zeros(7)}, "differ in length"),
        ({"X": np.column_stack([np.ones(8), np.ones(8)])}, "cannot estimate b"),
        ({"X": np.column_stack([np.ones(8), np.zeros(8)])}, "cannot estimate b"),
        ({"X": np.column_stack([np.ones(8), np.full(8, np.inf)])}, "infinite values in b"),
        ({"groups": np.zeros(8)}, "fewer than two clusters"),
        ({"groups": pd.Series(["a"] * 7 + [None])}, "rows without a group"),
        ({"names": ["a"]}, "1 names for 2 columns"),
        ({"weights": np.full(8, -1.0)}, "not negative"),
        ({"weights": np.ones(7)}, "one per row"),
        ({"weights": np.r_[1, 0, 1, np.zeros(5)]}, "2 rows are too few"),
    ],
)
def test_bad_arrays_are_explained(change: dict[str, Any], says: str) -> None:
    given_: dict[str, Any] = {
        "y": np.tile([0.0, 1.0], 4),
        "X": np.column_stack([np.ones(8), [1, 2, 3, 4, 4, 3, 2, 2]]),
        "groups": np.arange(8) // 2,
        "names": ["a", "b"],
    }
    given_ |= change
    with pytest.raises(InputError) as caught:
        logit_clustered(given_.pop("y"), given_.pop("X"), given_.pop("groups"), **given_)
    assert says in str(caught.value)
