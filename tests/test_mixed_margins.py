"""Marginal means, contrasts, slopes and joint tests against emmeans and closed forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import multivariate_t, norm, studentized_range

from analysis.mixed import (
    Estimates,
    MixedFit,
    contrasts,
    fit,
    joint_tests,
    marginal_means,
    reference_grid,
    slopes,
)
from analysis.mixed.margins.adjusting import MaxT, adjusted_p, critical
from analysis.mixed.margins.contrast_weights import weights_of
from analysis.mixed.margins.rows import population_mean
from complexity.errors import InputError

GOLDEN = Path(__file__).parent / "golden"
TRUTH: dict[str, Any] = json.loads((GOLDEN / "margins" / "margins.json").read_text())
ADJUSTMENTS = ["none", "bonferroni", "holm", "sidak", "fdr", "tukey", "mvt"]
FITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lm_nested": ("mixed/nested", "ms ~ C(k) * kind + z", {}),
    "lm_curve": ("mixed/nested", "ms ~ (x + I(x**2)) * kind + z", {}),
    "glm_answers": ("mixed/answers", "y ~ C(k) * c + kind", {"family": "binomial"}),
    "glm_counts": (
        "mixed/counts",
        "share ~ c + kind",
        {"family": "binomial", "weights": "trials"},
    ),
    "lmer_nested": ("mixed/nested", "ms ~ C(k) * kind + z + (1 | image)", {}),
    "lmer_slopes": ("mixed/nested", "ms ~ x * kind * z + (1 + x | image)", {}),
    "lmer_cake": (
        "glmm/cake",
        "angle ~ recipe * C(temperature) + (1 | replicate) + (1 | recipe:replicate)",
        {},
    ),
    "glmer_vqa": (
        "glmm/vqa",
        "y ~ x * c + kind + (1 + x | image) + (1 | image:question)",
        {"family": "binomial"},
    ),
    "glmer_cbpp": ("glmm/cbpp", "y ~ C(period) + (1 | herd)", {"family": "binomial"}),
}


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(GOLDEN / f"{name}.csv")


@cache
def fitted(name: str) -> MixedFit:
    data, formula, options = FITS[name]
    return fit(formula, table(data), **options)


def means(name: str, specs: Any = (), **options: Any) -> Estimates:
    return marginal_means(fitted(name), specs, **options)


GLM = {"scale": "response"}
CASES: dict[str, Callable[[], Estimates]] = {
    "lm mean": lambda: means("lm_nested"),
    "lm k": lambda: means("lm_nested", "k"),
    "lm k by kind": lambda: means("lm_nested", "k", by="kind"),
    "lm k proportional": lambda: means("lm_nested", "k", weights="proportional"),
    "lm k at": lambda: means("lm_nested", "k", at={"z": [-1, 2], "k": [1, 8]}),
    "lm curve": lambda: means("lm_curve", "x", by="kind", at={"x": [0, 1.5, 3]}),
    "lm k bonferroni": lambda: means("lm_nested", "k", adjust="bonferroni"),
    "glm k link": lambda: means("glm_answers", "k"),
    "glm k response": lambda: means("glm_answers", "k", **GLM),
    "glm k regrid": lambda: means("glm_answers", "k", average="response"),
    "glm k by c": lambda: means("glm_answers", "k", by="c", at={"c": [-1, 1]}, **GLM),
    "glm counts proportional": lambda: means("glm_counts", weights="proportional", **GLM),
    "glm counts kind": lambda: means("glm_counts", "kind"),
    "lmer k": lambda: means("lmer_nested", "k"),
    "lmer k by kind": lambda: means("lmer_nested", "k", by="kind"),
    "lmer cake": lambda: means("lmer_cake", "recipe"),
    "glmer kind": lambda: means("glmer_vqa", "kind", **GLM),
    "glmer kind regrid": lambda: means("glmer_vqa", "kind", at={"x": [0, 1]}, average="response"),
    "glmer period": lambda: means("glmer_cbpp", "period"),
    "lmer pairs by kind": lambda: contrasts(means("lmer_nested", "k", by="kind")),
    "lmer pairs kind by k": lambda: contrasts(means("lmer_nested", "kind", by="k")),
    "lmer cake pairs": lambda: contrasts(means("lmer_cake", "recipe")),
    "lmer cake reference": lambda: contrasts(means("lmer_cake", "temperature"), "reference"),
    "lmer cake reference 205": lambda: contrasts(
        means("lmer_cake", "temperature"), "reference", reference=205, adjust="holm"
    ),
    "lmer cake consecutive": lambda: contrasts(means("lmer_cake", "temperature"), "consecutive"),
    "lmer cake poly": lambda: contrasts(means("lmer_cake", "temperature"), "poly"),
    "lm custom": lambda: contrasts(
        means("lm_nested", "k"),
        {"few - many": [0.5, 0.5, -0.5, -0.5], "first": {1: 1, 8: -1}},
    ),
    "glm regrid pairs": lambda: contrasts(
        means("glm_answers", "k", average="response"), adjust="holm"
    ),
    "glm response differences": lambda: contrasts(
        means("glm_answers", "k", **GLM), ratio=False, adjust="none"
    ),
    "glmer odds ratios": lambda: contrasts(means("glmer_vqa", "kind", **GLM)),
    "glmer period odds ratios": lambda: contrasts(
        means("glmer_cbpp", "period", **GLM), adjust="mvt"
    ),
    "lm slope at": lambda: slopes(fitted("lm_curve"), "x", "kind", at={"x": 2}),
    "glm slope by k": lambda: slopes(fitted("glm_answers"), "c", "k"),
    "glm slope pairs": lambda: contrasts(slopes(fitted("glm_answers"), "c", "k")),
    "lmer slope": lambda: slopes(fitted("lmer_slopes"), "x", "kind"),
    "lmer slope pairs": lambda: contrasts(slopes(fitted("lmer_slopes"), "x", "kind")),
    "glmer slope": lambda: slopes(fitted("glmer_vqa"), "x"),
}
for method in ADJUSTMENTS:
    CASES |= {
        f"lm pairs {method}": lambda m=method: contrasts(means("lm_nested", "k"), adjust=m),
        f"lmer pairs {method}": lambda m=method: contrasts(means("lmer_nested", "k"), adjust=m),
        f"glm odds ratios {method}": lambda m=method: contrasts(
            means("glm_answers", "k", **GLM), adjust=m
        ),
    }


def numbers(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=float)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_emmeans(name: str) -> None:
    truth, found = TRUTH["estimates"][name], CASES[name]().tidy()
    assert len(found) == len(truth["estimate"])
    for column, levels in truth["levels"].items():
        if column in found and column != "contrast":
            assert [str(v) for v in found[column]] == levels or np.allclose(
                found[column].astype(float), numbers(levels)
            )
    # The logits' variances follow from a search: looser where a fit is one.
    loose = 1e-4 if name.startswith("glmer") else 1e-5
    # emmeans takes joint quantiles from qmvt, which are off by .002 at random (see below).
    simulated = "mvt" in name or name.endswith(("reference", "consecutive", "period odds ratios"))
    joint = 1e-3 if simulated else loose
    estimate, se = numbers(truth["estimate"]), numbers(truth["se"])
    np.testing.assert_allclose(found.estimate, estimate, atol=loose, rtol=loose)
    np.testing.assert_allclose(found.se, se, rtol=loose, atol=loose * 1e-3)
    df = numbers(truth["df"])
    np.testing.assert_allclose(found.df, np.where(df < 0, np.nan, df), rtol=1e-3)
    width = 4 * joint * se if simulated else joint
    for end in ("ci_low", "ci_high"):
        assert (np.abs(found[end] - truth[end]) <= width + loose * np.abs(truth[end])).all()
    if "p" in found:
        np.testing.assert_allclose(
            found.statistic, numbers(truth["statistic"]), rtol=10 * loose, atol=10 * loose
        )
        np.testing.assert_allclose(found.p, numbers(truth["p"]), atol=joint, rtol=0)


def test_ratios_of_probabilities_agree_with_emmeans() -> None:
    truth = TRUTH["estimates"]["glm risk ratios"]
    averages = means("glm_answers", "k", average="response")
    found = contrasts(averages, ratio=True, adjust="none").tidy()
    for column in ("estimate", "se", "ci_low", "ci_high", "statistic", "p"):
        np.testing.assert_allclose(found[column], truth[column], rtol=1e-5, atol=1e-9)
    assert found.attrs["estimate"] == "ratio of probabilities"


def test_interaction_contrasts_agree_with_emmeans() -> None:
    truth = TRUTH["estimates"]["lm interaction"]
    first = contrasts(means("lm_nested", ["k", "kind"]), "consecutive", by="kind")
    found = contrasts(first, "consecutive", by="contrast", adjust="none").tidy()
    order, reverse = np.argsort(truth["estimate"]), np.argsort(found.estimate)
    for column in ("estimate", "se", "statistic"):
        np.testing.assert_allclose(
            found[column].to_numpy()[reverse], np.array(truth[column])[order], rtol=1e-7
        )
    assert list(found.columns[:2]) == ["contrast", "contrast of contrasts"]
    # Six comparisons, in families of two, or all at once.
    within = contrasts(first, "consecutive", by="contrast", adjust="bonferroni").tidy()
    np.testing.assert_allclose(within.p, np.minimum(1, 2 * found.p))
    whole = contrasts(first, "consecutive", by="contrast", adjust="bonferroni", across=True).tidy()
    np.testing.assert_allclose(whole.p, np.minimum(1, 6 * found.p))
    pairs = contrasts(means("lm_nested", "k", by="kind"), across=True)
    assert pairs.adjust == "mvt" and (pairs.tidy().p >= pairs.tidy(adjust="none").p).all()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("lm", "lm_nested"),
        ("glm", "glm_answers"),
        ("lmer", "lmer_nested"),
        ("lmer slopes", "lmer_slopes"),
        ("lmer cake", "lmer_cake"),
        ("glmer", "glmer_vqa"),
    ],
)
def test_joint_tests_agree_with_emmeans(name: str, model: str) -> None:
    truth, found = TRUTH["tests"][name], joint_tests(fitted(model))
    ours = {frozenset(t.split(":")): row for t, row in zip(found.term, found.index, strict=True)}
    assert len(found) == len(truth["term"])
    for term, df, f in zip(truth["term"], truth["df"], truth["f"], strict=True):
        row = found.loc[ours[frozenset(term.split(":"))]]
        assert row.df == df
        statistic = row.statistic if np.isfinite(row.df_denom) else row.statistic / df
        # emmeans rounds to three decimals; glmer's errors are good to four digits.
        np.testing.assert_allclose(statistic, f, atol=6e-4, rtol=4e-4)


def test_joint_tests_within_levels() -> None:
    truth, found = TRUTH["tests"]["lm by kind"], joint_tests(fitted("lm_nested"), by="kind")
    key = {(k, t): f for k, t, f in zip(truth["by"], truth["term"], truth["f"], strict=True)}
    assert {(row.kind, row.term) for row in found.itertuples()} == set(key)
    for row in found.itertuples():
        np.testing.assert_allclose(row.statistic, key[row.kind, row.term], atol=6e-4)


def test_joint_tests_have_the_denominators_of_lmertest() -> None:
    truth = TRUTH["tests"]["lmertest"]
    found = joint_tests(fitted("lmer_nested"))
    ours = {"factor(k)": "k", "kind": "kind", "z": "z", "factor(k):kind": "k:kind"}
    for i, term in enumerate(truth["term"]):
        row = found.set_index("term").loc[ours[term]]
        np.testing.assert_allclose(row.statistic, truth["f"][i], rtol=1e-5)
        np.testing.assert_allclose(row.df_denom, truth["df_denom"][i], rtol=1e-3)
        # One p is 5e-255: there a change of the df by 1e-5 shows.
        np.testing.assert_allclose(np.log(row.p), np.log(truth["p"][i]), rtol=1e-4)


def test_joint_test_of_one_term_and_of_a_curve() -> None:
    model = fitted("lm_curve")
    one = joint_tests(model, "kind:x")
    assert list(one.term) == ["x:kind"] and list(one.df) == [2]
    # Three values of x see both of its columns.
    curve = joint_tests(model, "x:kind", at={"x": [0, 1, 2]})
    whole = model.wald_test(["x:kind", "I(x ** 2):kind"])
    assert list(curve.df) == [4] == [whole.df]
    np.testing.assert_allclose(curve.statistic[0], whole.statistic / 4, rtol=1e-8)
    np.testing.assert_allclose(curve.p[0], whole.p, rtol=1e-6)


def test_averages_over_the_rows_used() -> None:
    truth = TRUTH["observed"]
    averages = means("glm_answers", "k", weights="observed", average="response")
    found = averages.tidy()
    np.testing.assert_allclose(found.estimate, truth["estimate"], rtol=1e-9)
    np.testing.assert_allclose(found.se, truth["se"], rtol=1e-7)
    difference = contrasts(averages, {"8 - 1": {8: 1, 1: -1}}).tidy()
    np.testing.assert_allclose(difference.estimate[0], truth["difference"], rtol=1e-8)
    np.testing.assert_allclose(difference.se[0], truth["difference_se"], rtol=1e-7)
    effect = slopes(fitted("glm_answers"), "c", weights="observed", scale="response").tidy()
    np.testing.assert_allclose(effect.estimate[0], truth["ame"], rtol=1e-6)
    np.testing.assert_allclose(effect.se[0], truth["ame_se"], rtol=1e-6)


def test_trials_count_in_averages() -> None:
    counts = table("mixed/counts")
    split = counts.loc[counts.index.repeat(counts.trials)].copy()
    rank = split.groupby(level=0).cumcount()
    split["share"] = (rank < split.y).astype(int)
    rows = fit("share ~ c + kind", split, family="binomial")
    for weights in ("proportional", "observed"):
        options: Any = {"weights": weights, "average": "response", "at": {"c": 0.3}}
        a, b = means("glm_counts", **options).tidy(), marginal_means(rows, **options).tidy()
        np.testing.assert_allclose(a[["estimate", "se"]], b[["estimate", "se"]], rtol=1e-7)


def test_population_means_by_quadrature() -> None:
    for eta, variance in [(0.3, 0.5), (-2, 4), (1, 30), (3, 400), (-1, 0), (-30, 1)]:
        found = population_mean([eta, 0.0], [variance, variance])
        sd = np.sqrt(variance)

        def integral(f: Callable[[float], float], eta: float = eta, sd: float = sd) -> float:
            cuts = np.linspace(-9, 9, 61)
            return sum(
                quad(lambda z: norm.pdf(z) * f(eta + sd * z), a, b, epsabs=1e-15)[0]
                for a, b in pairwise(cuts)
            )

        np.testing.assert_allclose(found.mean[0], integral(expit), rtol=1e-10)
        np.testing.assert_allclose(found.rest[0], integral(lambda x: expit(-x)), rtol=1e-10)
        np.testing.assert_allclose(
            found.by_eta[0], integral(lambda x: expit(x) * expit(-x)), rtol=1e-9
        )
        bend = integral(lambda x: expit(x) * expit(-x) * (expit(-x) - expit(x)) / 2)
        np.testing.assert_allclose(found.by_variance[0], bend, rtol=1e-8, atol=1e-14)
        np.testing.assert_allclose(found.mean[1], 0.5, rtol=1e-13)


def test_population_means_agree_with_a_simulation() -> None:
    found = means(
        "glmer_vqa", "x", at={"x": [0, 0.5, 1], "kind": "exist"}, population=True, scale="response"
    ).tidy()
    truth = TRUTH["population"]
    error = np.array([row["error"] for row in truth])
    np.testing.assert_allclose(
        (found.estimate - [row["mean"] for row in truth]) / error, 0, atol=3.5
    )
    inside = means("glmer_vqa", "x", at={"x": [0, 0.5, 1], "kind": "exist"}, scale="response")
    # Averaging over random effects pulls probabilities towards one half.
    assert (abs(found.estimate - 0.5) < abs(inside.tidy().estimate - 0.5)).all()
    assert found.attrs["population"]


@pytest.mark.parametrize("scale", ["link", "response"])
def test_population_errors_by_central_differences(scale: Any) -> None:
    model = fitted("glmer_vqa")
    assert model.model is not None and model.model.joint is not None
    m = len(model.model.theta)
    options: Any = {"average": scale, "population": True, "at": {"x": [0, 1]}}

    def value(point: np.ndarray) -> np.ndarray:
        assert model.model is not None
        moved = replace(
            model, params=point[m:], model=replace(model.model, theta=np.asarray(point[:m]))
        )
        return np.r_[
            marginal_means(moved, "kind", **options).value,
            slopes(moved, "x", "kind", scale=scale, population=True).value,
        ]

    point = np.r_[model.model.theta, model.params]
    jacobian = np.column_stack(
        [(value(point + h) - value(point - h)) / 2e-5 for h in 1e-5 * np.eye(len(point))]
    )
    spread = np.sqrt(np.diag(jacobian @ model.model.joint @ jacobian.T))
    averages = marginal_means(model, "kind", **options)
    effects = slopes(model, "x", "kind", scale=scale, population=True)
    found = np.r_[np.sqrt(np.diag(averages.cov)), np.sqrt(np.diag(effects.cov))]
    np.testing.assert_allclose(found, spread, rtol=1e-6)


def test_population_leaves_linear_models_alone() -> None:
    plain = means("lmer_nested", "k").tidy()
    averaged = means("lmer_nested", "k", population=True)
    pd.testing.assert_frame_equal(averaged.tidy(), plain)
    assert "changes nothing" in averaged.warnings()[-1]


def test_random_columns_enter_the_grid_only_when_integrated_out() -> None:
    model = fit("y ~ c + (1 + x | image)", table("glmm/vqa"), family="binomial")
    assert list(reference_grid(model)) == ["c"]
    assert list(reference_grid(model, population=True)) == ["c", "x"]
    found = marginal_means(model, "x", at={"x": [0, 1]}, population=True, average="response")
    # The random slope makes the averages differ though x has no coefficient.
    assert abs(np.diff(found.value)[0]) > 1e-4
    with pytest.raises(InputError, match="no predictor 'x'"):
        marginal_means(model, "x")


def test_robust_fits_use_their_degrees_of_freedom() -> None:
    data = table("mixed/answers")
    model = fit("soft ~ C(k) + kind", data, family="binomial", cluster="image")
    found = contrasts(marginal_means(model, "k", scale="response"), "reference").tidy()
    assert (found.df == data.image.nunique() - 1).all()
    j = model.names.index("C(k)[8]")
    np.testing.assert_allclose(found.estimate.iloc[-1], np.exp(model.params[j]))
    np.testing.assert_allclose(found.statistic.iloc[-1], model.tvalues[j])
    assert list(found.contrast) == ["2 / 1", "4 / 1", "8 / 1"]
    assert found.attrs["p_values"].startswith("cluster-robust CR1 by image")


def test_grid() -> None:
    data = table("mixed/nested")
    data["half"] = (data.question == "q1").astype(float)
    data["flag"] = data.z > 0
    data["kind"] = pd.Categorical(data.kind, categories=["c", "a", "b"])
    model = fit("ms ~ C(k) + kind + flag + half + x : flag + poly(z, 2)", data)
    found = reference_grid(model)
    assert set(found) == {"k", "kind", "flag", "half", "z", "x"}
    assert len(found) == 4 * 3 * 2 * 2
    assert found.kind.unique().tolist() == ["c", "a", "b"]
    np.testing.assert_allclose(found.z, data.z.mean())
    assert sorted(found.half.unique()) == [0, 1]
    smaller = reference_grid(model, {"k": 8, "kind": ["a"], "z": np.array([0, 1])})
    assert len(smaller) == 1 * 1 * 2 * 2 * 2
    rows = reference_grid(model, {"k": [1, 8]}, rows=True)
    assert len(rows) == 2 * len(data) and rows.k.tolist() == [1] * len(data) + [8] * len(data)
    # The encoder makes poly's and the logarithm's columns of the table's own ones.
    averaged = marginal_means(model, "k", by="flag", weights="observed")
    by_hand = [
        model.params @ model.model.design.encoder.X(data.assign(k=k, flag=flag)).mean(axis=0)
        for flag in (False, True)
        for k in (1, 2, 4, 8)
    ]
    np.testing.assert_allclose(averaged.value, by_hand)


def test_pairs_of_many_levels_come_in_their_order() -> None:
    names, weights = weights_of("pairwise", ["a", "b", "c"])
    assert names == ["a - b", "a - c", "b - c"]
    np.testing.assert_array_equal(weights, [[1, -1, 0], [1, 0, -1], [0, 1, -1]])
    names, weights = weights_of("poly", list("abcde"))
    assert names == ["linear", "quadratic", "cubic", "quartic"]
    np.testing.assert_array_equal(
        weights, [[-2, -1, 0, 1, 2], [2, -1, -2, -1, 2], [-1, 2, 0, -2, 1], [1, -4, 6, -4, 1]]
    )


@pytest.mark.parametrize("case", TRUTH["joint_t"], ids=lambda case: f"{case['q']}, {case['df']}")
def test_largest_t_agrees_with_mvtnorm(case: dict[str, Any]) -> None:
    joint = MaxT(np.array(case["correlation"]))
    df = case["df"] or np.inf
    found = joint.p(case["q"], df)
    np.testing.assert_allclose(found, case["p"], atol=3e-5)
    np.testing.assert_allclose(joint.quantile(found, df), case["q"], rtol=1e-6)


def test_largest_t_of_pairs_is_the_studentised_range() -> None:
    for n, df in [(3, 7.4), (4, np.inf), (8, 30.0)]:
        _, weights = weights_of("pairwise", [str(i) for i in range(n)])
        joint = MaxT(weights @ weights.T / 2)
        for size in (1.5, 2.3, 4.0):
            truth = studentized_range.sf(np.sqrt(2) * size, n, df)
            np.testing.assert_allclose(joint.p(size, df), truth, atol=2e-4)


def test_largest_t_far_out_and_of_one_direction() -> None:
    same = MaxT(np.ones((3, 3)))
    np.testing.assert_allclose(same.p(2.0, 9.0), 2 * 0.0382764, rtol=1e-5)
    np.testing.assert_allclose(same.quantile(0.05, np.inf), norm.ppf(0.975))
    # Far out the tests are as good as exclusive.
    apart = MaxT(np.eye(4))
    np.testing.assert_allclose(apart.p(8.0, np.inf), 4 * 2 * norm.sf(8.0), rtol=0.02)
    shape = np.array([[1, 0.6], [0.6, 1]])
    lower = multivariate_t(shape=shape, df=5, seed=1).cdf([2, 2], lower_limit=[-2, -2])
    np.testing.assert_allclose(MaxT(shape).p(2.0, 5.0), 1 - lower, atol=1e-4)


def test_adjustments_in_closed_form() -> None:
    t = np.array([3.0, -2.2, 0.4, np.nan, 2.2])
    df = np.full(5, np.inf)
    R = np.eye(5)
    p = 2 * norm.sf(np.abs(t))

    def adjusted(how: Any) -> np.ndarray:
        return adjusted_p(t, df, how, correlation=R)

    # What is not there is no test.
    np.testing.assert_allclose(adjusted("bonferroni"), np.minimum(1, 4 * p))
    np.testing.assert_allclose(adjusted("sidak"), 1 - (1 - p) ** 4)
    np.testing.assert_allclose(adjusted("mvt"), adjusted("sidak"), atol=2e-4)
    np.testing.assert_allclose(
        adjusted("holm"), [4 * p[0], 3 * p[1], p[2], np.nan, 3 * p[1]], rtol=1e-12
    )
    np.testing.assert_allclose(
        adjusted("fdr"), [4 * p[0], p[1] * 4 / 3, p[2], np.nan, p[1] * 4 / 3], rtol=1e-12
    )
    df[3] = np.nan
    width = critical(0.95, df, "holm", correlation=R)
    np.testing.assert_allclose(width[[0, 4]], norm.isf(0.05 / 8))
    assert np.isnan(width[3])


def test_intervals_of_stepwise_adjustments_are_said_to_be_bonferronis() -> None:
    found = contrasts(means("lm_nested", "k"), adjust="holm")
    assert found.tidy().attrs["interval_adjust"] == "bonferroni"
    assert "holm has no intervals: these are Bonferroni's" in found.tidy().attrs["warnings"]
    plain, adjusted = found.tidy(adjust="bonferroni"), found.tidy()
    np.testing.assert_allclose(plain.ci_low, adjusted.ci_low)
    assert "Warning: holm has no intervals" in str(found)


def separated() -> MixedFit:
    data = table("mixed/answers")
    data.loc[data.kind == "exist", "y"] = 1
    return fit("y ~ C(k) + kind", data, family="binomial", cluster="image")


def test_separation_gives_no_number_where_it_matters() -> None:
    model = separated()
    for options in ({}, {"average": "response"}, {"scale": "response"}):
        averages = marginal_means(model, "kind", **options)
        found = averages.tidy().set_index("kind")
        assert found.loc["exist", ["estimate", "se", "ci_low", "ci_high"]].isna().all()
        assert found.loc[["color", "count"]].notna().loc[:, ["estimate", "se"]].all().all()
        assert any("no estimate for kind exist" in w for w in found.attrs["warnings"])
        for ratio in (None, False) if options else (None,):
            pairs = contrasts(averages, ratio=ratio, adjust="holm").tidy()
            assert pairs.p.isna().tolist() == [False, True, True]
            assert pairs.estimate.isna().tolist() == [False, True, True]
    # Differences in k on the link do not involve the coefficient that diverges.
    logits = marginal_means(model, "k", scale="response")
    assert logits.tidy().estimate.isna().all()
    assert contrasts(logits).tidy().notna().all(axis=None)
    # On the probability scale they do.
    assert contrasts(logits, ratio=False).tidy().p.isna().all()
    test = joint_tests(model).set_index("term")
    assert np.isnan(test.p["kind"]) and np.isfinite(test.p["k"])


def test_cells_that_the_rows_say_nothing_about() -> None:
    # A fit that leaves out the aliased column of an empty cell.
    data = table("mixed/nested")
    part = data[(data.k != 8) | (data.kind != "c")]
    whole = fit("ms ~ C(k) * kind", data)
    assert whole.model is not None and whole.model.design.encoder is not None
    kept = [i for i, name in enumerate(whole.names) if name != "C(k)[8]:kind[c]"]
    X = whole.model.design.encoder.X(part)[:, kept]
    bread = np.linalg.inv(X.T @ X)
    params = bread @ X.T @ part.ms.to_numpy()
    sigma = np.sqrt(((part.ms - X @ params) ** 2).sum() / (len(X) - len(kept)))
    design = replace(whole.model.design, frame=part, X=X, y=part.ms.to_numpy())
    model = replace(
        whole,
        names=tuple(whole.names[i] for i in kept),
        params=params,
        cov=sigma**2 * bread,
        df=float(len(X) - len(kept)),
        model=replace(whole.model, design=design),
    )
    averages = marginal_means(model, "k", by="kind")
    found = averages.tidy().set_index(["kind", "k"])
    cells = part.groupby(["kind", "k"]).ms.agg(["mean", "size"])
    assert np.isnan(found.estimate["c", 8])
    found = found.loc[cells.index]
    np.testing.assert_allclose(found.estimate, cells["mean"])
    np.testing.assert_allclose(found.se, sigma / np.sqrt(cells["size"]))
    assert any("no estimate for kind c, k 8" in text for text in averages.warnings())
    assert marginal_means(model, "k").tidy().estimate.isna().tolist() == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: marginal_means(m, "kin"), "no predictor 'kin' .did you mean 'kind'"),
        (lambda m: marginal_means(m, "k", at={"zz": 1}), "no predictor 'zz'"),
        (lambda m: marginal_means(m, "k", at={"k": 3}), "'k' has no level 3; it has 1, 2, 4, 8"),
        (lambda m: marginal_means(m, "k", at={"kind": "exit"}), "did you mean 'exist'"),
        (lambda m: marginal_means(m, "k", at={"c": "high"}), "'c' is a number; 'high' is none"),
        (lambda m: marginal_means(m, "k", at={"c": [1, np.nan]}), "'c' is a number; nan is none"),
        (lambda m: marginal_means(m, "k", at={"c": [1, 1.0]}), "same value twice"),
        (lambda m: marginal_means(m, "k", at={"c": []}), "'c' has no value"),
        (lambda m: marginal_means(m, "k", by="k"), "k named twice"),
        (lambda m: marginal_means(m, "k", weights="equl"), "did you mean 'equal'"),
        (lambda m: marginal_means(m, "k", scale="prob"), "scale is link or response"),
        (lambda m: marginal_means(m, "k", average="prob"), "average is link or response"),
        (lambda m: marginal_means(m, "k", adjust="tukey"), "tukey is for pairwise"),
        (lambda m: marginal_means(m, "k", adjust="bonferoni"), "did you mean 'bonferroni'"),
        (lambda m: marginal_means(m, "k").tidy(level=95), "between 0 and 1"),
        (lambda m: slopes(m, "kind"), "'kind' is a category"),
        (lambda m: slopes(m, "k"), "'k' is a category"),
        (lambda m: slopes(m, "cc"), "no predictor 'cc'"),
        (lambda m: slopes(m, "c", "k", adjust="tukey"), "tukey is for pairwise"),
        (lambda m: contrasts(marginal_means(m, "k"), "pairs"), "did you mean 'pairwise'"),
        (lambda m: contrasts(marginal_means(m, "k"), by="kind"), "by: no column 'kind'"),
        (lambda m: contrasts(marginal_means(m)), "nothing to compare"),
        (lambda m: contrasts(marginal_means(m, "k"), {"a": [1, -1]}), "needs 4 weights"),
        (lambda m: contrasts(marginal_means(m, "k"), {"a": {3: 1}}), "no level '3'"),
        (lambda m: contrasts(marginal_means(m, "k"), {"a": [0, 0, 0, 0]}), "not all zero"),
        (lambda m: contrasts(marginal_means(m, "k"), "reference", reference=3), "no level '3'"),
        (lambda m: contrasts(marginal_means(m, "k"), "poly", adjust="tukey"), "tukey is for all"),
        (lambda m: contrasts(slopes(m, "c", "k"), ratio=True), "compared by differences"),
        (
            lambda m: contrasts(marginal_means(m, "k"), {"a": [1, 0, 0, 0]}, ratio=True),
            "add up to zero",
        ),
        (lambda m: joint_tests(m, "k:kin"), "no term 'k:kin'"),
        (lambda m: joint_tests(m, "k:kind"), "no term 'k:kind'"),
        (lambda m: joint_tests(m, by="kin"), "no predictor 'kin'"),
        (lambda m: marginal_means(replace(m, model=None), "k"), "keeps neither"),
        (lambda m: marginal_means(m, "k", at="c"), "at gives values by name"),
        (lambda m: marginal_means(m, "df"), "rename the predictor df"),
        (lambda m: contrasts(m, "k"), "contrasts.marginal_means.fit, 'k'"),
    ],
)
def test_mistakes_are_named(call: Callable[[MixedFit], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(fitted("glm_answers"))


def test_ratios_of_linear_means_are_refused() -> None:
    with pytest.raises(InputError, match="ratios are of probabilities or odds"):
        contrasts(means("lm_nested", "k"), ratio=True)


def test_slope_where_a_logarithm_ends() -> None:
    data = table("mixed/nested")
    data["x"] = data.k / 1000
    model = fit("ms ~ np.log2(x - 0.0009999)", data)
    found = slopes(model, "x", weights="observed").tidy()
    assert np.isfinite(found.estimate).all()
    inside = slopes(model, "x", at={"x": 0.004}).tidy()
    by_hand = model.params[1] / (0.004 - 0.0009999) / np.log(2)
    np.testing.assert_allclose(inside.estimate[0], by_hand, rtol=1e-6)


def test_table_says_what_it_is() -> None:
    found = marginal_means(fitted("glm_answers"), "k", by="c", at={"c": [-1, 1]}, scale="response")
    frame = found.tidy()
    assert list(frame.columns) == ["c", "k", "estimate", "se", "df", "ci_low", "ci_high"]
    attrs = frame.attrs
    assert attrs["estimate"] == "probability" and attrs["p_values"] == "Wald z"
    assert attrs["held"] == {} and attrs["averaged_over"] == ["kind"]
    assert attrs["weights"] == "equal" and attrs["average"] == "link"
    np.testing.assert_allclose(logit(frame.estimate), found.value)
    assert str(found).startswith("Means: probability")
    # pandas compares attributes when it puts tables together.
    assert len(pd.concat([frame, frame])) == 16


def test_unusual_column_names() -> None:
    data = table("mixed/answers").rename(columns={"kind": "question type", "k": "my.k"})
    model = fit("y ~ `question type` + C(my.k) + c", data, family="binomial")
    plain = marginal_means(fitted("glm_answers"), "k")
    found = marginal_means(model, ["question type", "my.k"])
    assert list(found.tidy().columns[:2]) == ["question type", "my.k"]
    assert len(found.value) == 3 * len(plain.value)


def test_intervals_beyond_possible_probabilities_are_said() -> None:
    data = pd.DataFrame({"g": ["a"] * 20 + ["b"] * 20, "y": [1] * 19 + [0] + [1, 0] * 10})
    model = fit("y ~ g", data, family="binomial")
    direct = marginal_means(model, "g", average="response").tidy()
    assert direct.ci_high[0] > 1 and "1 intervals reach" in direct.attrs["warnings"][-1]
    transformed = marginal_means(model, "g", scale="response").tidy()
    np.testing.assert_allclose(direct.estimate, transformed.estimate)
    assert transformed.ci_high[0] < 1 and not transformed.attrs["warnings"]


def test_names_are_offered_by_the_package() -> None:
    import analysis.mixed as package

    for name in ("marginal_means", "contrasts", "slopes", "joint_tests", "reference_grid"):
        assert callable(getattr(package, name)) and name in package.__all__
