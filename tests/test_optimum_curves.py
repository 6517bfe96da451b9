"""Regressions behind the answer: designs, population averages, and R's figures."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optimum_cases import KS, real, reference, simulate
from scipy import stats

from analysis.mixed.wald import wald_test
from analysis.optimum.curves import (
    Curve,
    CurveData,
    Link,
    averaged_curve,
    basis,
    column_names,
    design,
    fit_curve,
    lack_of_fit_design,
    linearity_design,
    prepare,
    settled,
    standardise,
)
from analysis.optimum.hypotheses import interaction_test, widened_test
from complexity.files import to_json

MODELS = ("fixed4_3k", "anyk_3k")


def by_image(table: pd.DataFrame, metric: str) -> pd.Series:
    return table.drop_duplicates("image_id").set_index("image_id")[metric]


@cache
def real_data(model: str, adjusted: bool) -> CurveData:
    table = real()
    c = standardise(by_image(table, "n_objects"))
    return prepare(table[table["model"] == model], c, ["question_type"] if adjusted else [])


def theirs(model: str, adjusted: bool) -> dict[str, Any]:
    answer: dict[str, Any] = reference()["models"][model]["adjusted" if adjusted else "plain"]
    return answer


def synthetic(covariates: tuple[str, ...] = ("kind", "weight"), **kwargs: Any) -> CurveData:
    table = simulate(lambda x, z: 0.4 + 0.3 * x - 0.1 * x**2 - 0.5 * z + 0.1 * x * z, **kwargs)
    weight = table["sample_id"].map(
        dict.fromkeys(table["sample_id"].unique())
        | {name: float(i % 7) for i, name in enumerate(table["sample_id"].unique())}
    )
    c = standardise(by_image(table, "objects"))
    return prepare(table.assign(weight=weight), c, list(covariates))


# ---- against R --------------------------------------------------------------------------
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("adjusted", [False, True])
def test_coefficients_and_covariance_agree_with_r(model: str, adjusted: bool) -> None:
    data, expected = real_data(model, adjusted), theirs(model, adjusted)
    fitted = fit_curve(data, "saturated")
    mine = [_r_name(name) for name in fitted.fit.names]
    order = [expected["names"].index(name) for name in mine]
    cov = np.array(expected["cov"])[np.ix_(order, order)]
    se = np.sqrt(np.diag(cov))
    params = np.array(expected["params"])[order]
    np.testing.assert_allclose((fitted.fit.params - params) / se, 0, atol=1e-6)
    np.testing.assert_allclose(fitted.fit.cov / np.outer(se, se), cov / np.outer(se, se), atol=1e-7)
    assert fitted.fit.n_clusters == expected["n_clusters"] == 150


def _r_name(name: str) -> str:
    fixed = {"Intercept": "(Intercept)", "c": "c"}
    if name in fixed:
        return fixed[name]
    return name.replace("C(k)[", "kf").replace("question_type[", "question_type").replace("]", "")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("adjusted", [False, True])
def test_robust_wald_tests_agree_with_r(model: str, adjusted: bool) -> None:
    data, expected = real_data(model, adjusted), theirs(model, adjusted)
    found = {
        "interaction": interaction_test(fit_curve(data, "saturated")),
        "interaction_probability": interaction_test(fit_curve(data, "saturated", "identity")),
        "linearity": widened_test(data, *linearity_design(data)),
        "lack_of_fit": widened_test(data, *lack_of_fit_design(data)),
    }
    for name, test in found.items():
        assert test.statistic == pytest.approx(expected[name]["statistic"], rel=1e-6), name
        assert test.p == pytest.approx(expected[name]["p"], rel=1e-6), name
        assert (test.df, test.df_denom) == (expected[name]["df"], 149), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize("end", ["low", "high"])
def test_averaged_curve_agrees_with_r(model: str, adjusted: bool, end: str) -> None:
    data, expected = real_data(model, adjusted), theirs(model, adjusted)["curve"][end]
    fitted = fit_curve(data, "saturated")
    accuracy, jacobian = averaged_curve(data, fitted, expected["c"])
    np.testing.assert_allclose(accuracy, expected["accuracy"], rtol=1e-8)
    spread = jacobian @ fitted.fit.cov @ jacobian.T
    np.testing.assert_allclose(spread, expected["covariance"], rtol=1e-5, atol=1e-10)


# ---- closed forms -----------------------------------------------------------------------
@pytest.mark.parametrize("link", ["logit", "identity"])
def test_saturated_curve_with_two_complexities_predicts_the_cell_means(link: Link) -> None:
    table = simulate(lambda x, z: 0.8 - 0.1 * x - z * x / 4, n_images=60)
    table["hard"] = (table["objects"] > 12).astype(float)
    c = standardise(by_image(table, "hard"))
    data = prepare(table, c, [])
    fitted = fit_curve(data, "saturated", link)
    for hard, at in ((0.0, c.min()), (1.0, c.max())):
        accuracy, _ = averaged_curve(data, fitted, float(at))
        cells = table[table["hard"] == hard].groupby("k")["score"].mean()
        np.testing.assert_allclose(accuracy, cells, rtol=1e-9)


@pytest.mark.parametrize("curve", ["saturated", "quadratic"])
@pytest.mark.parametrize("link", ["logit", "identity"])
@pytest.mark.parametrize("at", [-1.3, 0.0, 0.8])
def test_averaged_curve_is_the_mean_over_samples(curve: Curve, link: Link, at: float) -> None:
    data = synthetic(n_images=40)
    fitted = fit_curve(data, curve, link)
    of_samples = data.covariates[data.k == 1]  # one row a sample
    assert len(of_samples) == 160

    def brute(beta: np.ndarray) -> np.ndarray:
        out = []
        for k in data.ks:
            X = design(curve, data.ks, np.full(160, k), np.full(160, at), of_samples)
            eta = X @ beta
            out.append(np.mean(1 / (1 + np.exp(-eta)) if link == "logit" else eta))
        return np.array(out)

    accuracy, jacobian = averaged_curve(data, fitted, at)
    np.testing.assert_allclose(accuracy, brute(fitted.fit.params), rtol=1e-12)
    step = 1e-5
    for j in range(len(fitted.fit.params)):
        bump = np.zeros(len(fitted.fit.params))
        bump[j] = step
        slope = (brute(fitted.fit.params + bump) - brute(fitted.fit.params - bump)) / (2 * step)
        np.testing.assert_allclose(jacobian[:, j], slope, atol=1e-8)


def test_identity_link_without_covariates_is_ordinary_least_squares_within_k() -> None:
    # Saturated in k and linear in c: eight separate regressions on c.
    data = synthetic(covariates=(), n_images=50)
    fitted = fit_curve(data, "saturated", "identity")
    for at in (-1.0, 1.5):
        accuracy, _ = averaged_curve(data, fitted, at)
        lines = [np.polyfit(data.c[data.k == k], data.score[data.k == k], 1) for k in KS]
        np.testing.assert_allclose(accuracy, [np.polyval(line, at) for line in lines], rtol=1e-9)


# ---- designs ----------------------------------------------------------------------------
def projection(X: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(X)
    assert np.abs(np.diag(r)).min() > 1e-8 * np.abs(np.diag(r)).max()
    return q @ q.T


@pytest.mark.parametrize("ks", [(1, 2, 4, 8), (1, 3, 4, 5, 9), KS])
def test_lack_of_fit_design_spans_the_saturated_one(ks: tuple[int, ...]) -> None:
    data = synthetic(n_images=30, n_questions=2, ks=ks)
    wide, names, extra = lack_of_fit_design(data)
    saturated = design("saturated", data.ks, data.k, data.c, data.covariates)
    quadratic = design("quadratic", data.ks, data.k, data.c, data.covariates)
    assert wide.shape == saturated.shape
    assert len(names) == wide.shape[1]
    assert names[: quadratic.shape[1]] == column_names(data, "quadratic")
    assert names[quadratic.shape[1] :] == extra
    assert len(extra) == 2 * (len(ks) - 3)
    np.testing.assert_allclose(projection(wide), projection(saturated), atol=1e-9)
    np.testing.assert_array_equal(wide[:, : quadratic.shape[1]], quadratic)


def test_linearity_design_is_the_saturated_one_with_c_squared_everywhere() -> None:
    data = synthetic(n_images=30, n_questions=2, ks=(1, 2, 4))
    wide, names, extra = linearity_design(data)
    assert len(names) == wide.shape[1]
    assert extra == ["C(k)[2]:I(c**2)", "C(k)[4]:I(c**2)"]
    # At each k a parabola in c of its own, beside the covariates.
    at_k = [(data.k == k).astype(float)[:, None] for k in (1, 2, 4)]
    powers = np.column_stack([np.ones_like(data.c), data.c, data.c**2])
    expected = np.hstack([*(dummy * powers for dummy in at_k), data.covariates])
    np.testing.assert_allclose(projection(wide), projection(expected), atol=1e-9)
    # Without the curve × c² terms only a common c² is left over the saturated design.
    kept = [i for i, name in enumerate(names) if name not in extra]
    saturated = design("saturated", data.ks, data.k, data.c, data.covariates)
    np.testing.assert_array_equal(wide[:, kept], np.column_stack([saturated, data.c**2]))


@pytest.mark.parametrize("curve", ["saturated", "quadratic"])
def test_names_belong_to_columns(curve: Curve) -> None:
    data = synthetic(n_images=30)
    X, names = design(curve, data.ks, data.k, data.c, data.covariates), column_names(data, curve)
    assert X.shape[1] == len(names) == len(set(names))
    column = dict(zip(names, X.T, strict=True))
    np.testing.assert_array_equal(column["c"], data.c)
    np.testing.assert_array_equal(column["kind[count]"] + column["kind[shape]"] <= 1, True)
    if curve == "saturated":
        np.testing.assert_array_equal(column["C(k)[6]"], data.k == 6)
        np.testing.assert_array_equal(column["C(k)[6]:c"], (data.k == 6) * data.c)
        assert "C(k)[1]" not in column
    else:
        np.testing.assert_array_equal(column["x"], np.log2(data.k))
        np.testing.assert_array_equal(column["I(x**2):c"], np.log2(data.k) ** 2 * data.c)


def test_basis_at_other_k_keeps_the_grid() -> None:
    columns, names = basis("saturated", (1, 2, 4), np.array([4, 1]))
    assert names == ["C(k)[2]", "C(k)[4]"]
    np.testing.assert_array_equal(columns, [[0, 1], [0, 0]])


# ---- preparation ------------------------------------------------------------------------
def test_complexity_is_standardised_over_images_not_rows() -> None:
    values = pd.Series([1.0, 2.0, 3.0, 10.0])
    c = standardise(values)
    assert c.mean() == pytest.approx(0)
    assert c.std(ddof=1) == pytest.approx(1)


def test_covariates_become_dummies_and_standard_scores() -> None:
    table = simulate(lambda x, z: 0 * x, n_images=12, n_questions=3, ks=(1, 2))
    samples = table["sample_id"].unique()
    table["size"] = table["sample_id"].map({name: i for i, name in enumerate(samples)})
    table["flag"] = table["size"] % 2 == 0
    table["same"] = "x"
    data = prepare(
        table,
        standardise(by_image(table, "objects")),
        ["kind", "size", "flag", "same"],
    )
    assert data.covariate_names == ("kind[count]", "kind[shape]", "size", "flag[True]")
    of_samples = data.covariates[data.k == 1]
    assert of_samples[:, 2].mean() == pytest.approx(0, abs=1e-12)
    assert of_samples[:, 2].std(ddof=1) == pytest.approx(1)
    assert data.profile_shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        data.profile_shares @ data.profiles, of_samples.mean(axis=0), atol=1e-12
    )
    np.testing.assert_array_equal(of_samples[:, 3], (np.arange(36) % 2 == 0))


def test_few_profiles_stand_for_many_samples() -> None:
    data = synthetic(covariates=("kind",), n_images=30)
    assert data.profiles.shape == (3, 2)
    np.testing.assert_allclose(np.sort(data.profile_shares), [0.25, 0.25, 0.5])


def test_order_of_rows_does_not_matter() -> None:
    table = real()
    table = table[table["model"] == "anyk_3k"]
    c = standardise(by_image(table, "n_objects"))
    fits = [
        fit_curve(prepare(rows, c, ["question_type"]), "saturated").fit
        for rows in (table, table.sample(frac=1, random_state=5))
    ]
    np.testing.assert_allclose(fits[0].params, fits[1].params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fits[0].cov, fits[1].cov, rtol=1e-9, atol=1e-14)


# ---- invariances ------------------------------------------------------------------------
@pytest.mark.parametrize("link", ["logit", "identity"])
def test_interaction_does_not_depend_on_the_unit_of_complexity(link: Link) -> None:
    data = real_data("fixed4_3k", False)
    one = interaction_test(fit_curve(data, "saturated", link))
    two = interaction_test(fit_curve(replace(data, c=3 - 7 * data.c), "saturated", link))
    assert one.statistic == pytest.approx(two.statistic, rel=1e-8)


def test_interaction_does_not_depend_on_the_reference_k() -> None:
    # The smallest k is the reference; renaming k = 1 to 32 makes it k = 2.
    data = real_data("fixed4_3k", False)
    k = np.where(data.k == 1, 32, data.k)
    one = interaction_test(fit_curve(data, "saturated"))
    two = interaction_test(fit_curve(replace(data, k=k, ks=(*KS[1:], 32)), "saturated"))
    assert one.statistic == pytest.approx(two.statistic, rel=1e-8)


# ---- coefficients without variance ------------------------------------------------------
def test_rounding_is_no_evidence() -> None:
    # The answers at k = 2 repeat those at k = 1, so one contrast has no variance: the test
    # has six degrees of freedom and the statistic of the table without k = 2.
    table = simulate(lambda x, z: 0.3 * x + 0.2 * x * z, n_images=60, seed=3)
    same = table["k"].isin([1, 2])
    table.loc[same, "score"] = table[same].groupby("sample_id")["score"].transform("first")
    c = standardise(by_image(table, "objects"))
    for link in ("logit", "identity"):
        with_copy = fit_curve(prepare(table, c, []), "saturated", link)  # type: ignore[arg-type]
        test = interaction_test(with_copy)
        assert test.df == 6
        without = fit_curve(prepare(table[table["k"] != 2], c, []), "saturated", link)  # type: ignore[arg-type]
        # CR1's (N - 1) / (N - p) differs between the two.
        scale = without.fit.correction / with_copy.fit.correction
        assert test.statistic == pytest.approx(
            (interaction_test(without).statistic or 0) * scale, rel=1e-6
        )


def test_settled_zeroes_what_is_known_and_nothing_else() -> None:
    cov = np.array([[1.0, 1e-17, 0.2], [1e-17, 1e-33, 1e-17], [0.2, 1e-17, 2.0]])
    expected = np.array([[1.0, 0, 0.2], [0, 0, 0], [0.2, 0, 2.0]])
    np.testing.assert_array_equal(settled(cov), expected)
    cov[0] = cov[:, 0] = np.nan
    assert np.isnan(settled(cov)[0, 0])
    noise = np.array([[3e-33, 1e-33], [1e-33, 2e-33]])
    assert wald_test([2e-16, 1e-16], settled(noise), np.eye(2), df_denom=50).df == 0


def test_a_fit_spells_itself_for_json_also_where_nothing_varies() -> None:
    table = simulate(lambda x, z: 0 * x, n_images=20, ks=(1, 2, 4))
    c = standardise(by_image(table, "objects"))
    for score in (table["score"], table.groupby("sample_id")["score"].transform("first"), 0.5, 1.0):
        data = prepare(table.assign(score=score), c, ["kind"])
        for curve in ("saturated", "quadratic"):
            text = to_json(fit_curve(data, curve).to_json())  # type: ignore[arg-type]
            assert "NaN" not in text
            assert '"formula": "score ~ ' in text


# ---- size -------------------------------------------------------------------------------
def test_robust_interaction_test_keeps_its_size_where_images_have_slopes_of_their_own() -> None:
    # Curves differ between images, but not by complexity. Errors that take answers for
    # independent do not keep the level; clustered ones do.
    n_sets, ks = 300, (1, 2, 4, 8)
    table = simulate(lambda x, z: 0 * x, n_images=120, n_questions=4, ks=ks)
    data = prepare(table, standardise(by_image(table, "objects")), [])
    x, random = np.log2(data.k) - 1.5, np.random.default_rng(17)
    p, naive = [], []
    for _ in range(n_sets):
        level, slope = random.normal(0, 0.8, (2, 120))
        # No main effect of c: averaged over slopes it would be an interaction, if a small one.
        eta = 0.6 + 0.2 * x + level[data.image] + slope[data.image] * x
        score = (random.uniform(size=len(eta)) < 1 / (1 + np.exp(-eta))).astype(float)
        fitted = fit_curve(replace(data, score=score), "saturated")
        test = interaction_test(fitted)
        assert test.p is not None
        p.append(test.p)
        terms = [name for name in fitted.fit.names if name.endswith(":c")]
        model_based = wald_test(fitted.fit.params, fitted.fit.bread, terms, names=fitted.fit.names)
        naive.append(model_based.p)
    # A size of .071 exceeds the bound in one of 2,000 runs.
    assert np.mean(np.array(p) <= 0.05) <= stats.binom.isf(1 / 2_000, n_sets, 0.071) / n_sets
    assert np.mean(np.array(p) <= 0.05) >= 0.02
    assert np.mean(np.array(naive) <= 0.05) > 0.11
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.12)
