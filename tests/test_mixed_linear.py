"""Linear (mixed) models against lme4, lm and sandwich, and what a result shows."""

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

from analysis.mixed import MixedFit, fit
from complexity.errors import InputError

GOLDEN = Path(__file__).parent / "golden" / "mixed"
MIXED: list[dict[str, Any]] = json.loads((GOLDEN / "lmer.json").read_text())
LINEAR: list[dict[str, Any]] = json.loads((GOLDEN / "lm.json").read_text())


def ours(name: str) -> str:
    """Translate R's name of a column."""
    name = name.replace("(Intercept)", "Intercept").replace("^2", " ** 2")
    name = re.sub(r"factor\((\w+)\)(\w+)", r"C(\1)[\2]", name)
    return re.sub(r"\bkind(\w+)", r"kind[\1]", name)


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(GOLDEN / f"{name}.csv")


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("case", MIXED, ids=lambda case: f"{case['data']}: {case['formula']}")
def test_agrees_with_lme4(case: dict[str, Any], method: Any) -> None:
    truth = case["fits"][method]
    found = fit(case["formula"], table(case["data"]), method=method)
    order = [found.names.index(ours(name)) for name in truth["names"]]
    se = np.sqrt(np.diag(truth["cov"]))
    np.testing.assert_allclose((found.params[order] - truth["params"]) / se, 0, atol=1e-4)
    np.testing.assert_allclose(found.bse[order], se, rtol=1e-4)
    cov = found.cov[np.ix_(order, order)] / np.outer(se, se)
    np.testing.assert_allclose(cov, truth["cov"] / np.outer(se, se), atol=1e-4)
    assert found.loglik is not None
    np.testing.assert_allclose(found.loglik, truth["loglik"], atol=1e-7)
    np.testing.assert_allclose(
        [found.deviance, found.aic, found.bic],
        [truth["deviance"], truth["aic"], truth["bic"]],
        rtol=1e-9,
    )
    np.testing.assert_allclose(found.residual_sd, truth["residual_sd"], rtol=1e-4)
    assert dict(found.n_groups) == {
        key.replace(".", ":"): count for key, count in truth["n_groups"].items()
    }
    assert found.n_obs == truth["n_obs"]
    assert found.singular == truth["singular"]
    assert found.converged
    assert (found.statistic, found.p_values) == ("t", "t, Satterthwaite df")
    check_components(found, truth["random"])


def check_components(found: MixedFit, truth: list[dict[str, Any]]) -> None:
    ours_by_key = {(c.group, c.term, c.term2): c for c in found.random}
    assert len(ours_by_key) == len(found.random) == len(truth)
    for row in truth:
        # R's names of repeated and of joint groupings: Subject.1, image.question.
        group = re.sub(r"\.1$", "", row["grp"]).replace(".", ":")
        term2 = None if row.get("var2") is None else ours(row["var2"])
        component = ours_by_key[(group, ours(row["var1"]), term2)]
        np.testing.assert_allclose(component.vcov, row["vcov"], rtol=1e-3, atol=1e-8)
        np.testing.assert_allclose(component.sd_or_corr, row["sdcor"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", LINEAR, ids=lambda case: str(case["formula"]))
def test_agrees_with_lm_and_sandwich(case: dict[str, Any]) -> None:
    data = table(case["data"])
    found = fit(case["formula"], data, method="ml")
    order = [found.names.index(ours(name)) for name in case["names"]]
    np.testing.assert_allclose(found.params[order], case["params"], rtol=1e-8)
    np.testing.assert_allclose(found.cov[np.ix_(order, order)], case["cov"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.residual_sd, case["residual_sd"], rtol=1e-10)
    np.testing.assert_allclose(found.pvalues[order], case["p"], rtol=1e-6)
    np.testing.assert_allclose(found.conf_int()[order], case["conf_int"], rtol=1e-7)
    np.testing.assert_allclose(
        [found.loglik, found.aic, found.bic],
        [case["loglik_ml"], case["aic"], case["bic"]],
        rtol=1e-10,
    )
    robust = fit(case["formula"], data, cluster=case["cluster"])
    np.testing.assert_allclose(robust.loglik, case["loglik_reml"], rtol=1e-9)
    np.testing.assert_allclose(
        robust.cov[np.ix_(order, order)], case["cov_cluster"], rtol=1e-6, atol=1e-10
    )
    np.testing.assert_allclose(robust.pvalues[order], case["p_cluster"], rtol=1e-5)
    assert robust.df == data[case["cluster"]].nunique() - 1
    assert robust.p_values == (f"cluster-robust CR1 by {case['cluster']}, t with G − 1 df")


def test_balanced_one_way_in_closed_form() -> None:
    # Davies' dyestuff: REML equals the analysis of variance when that is not negative.
    data = table("dyestuff")
    means = data.groupby("Batch").Yield.mean()
    within = data.groupby("Batch").Yield.var().mean()
    between = (5 * means.var() - within) / 5
    found = fit("Yield ~ 1 + (1 | Batch)", data)
    np.testing.assert_allclose(found.random[0].vcov, between, rtol=1e-5)
    np.testing.assert_allclose(found.residual_sd, np.sqrt(within), rtol=1e-6)
    np.testing.assert_allclose(found.params, [data.Yield.mean()])
    np.testing.assert_allclose(found.bse, np.sqrt((5 * between + within) / 30), rtol=1e-6)


def test_statsmodels_own_fit_is_not_better() -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    data = table("sleepstudy")
    for formula, re_formula in [("(1 | Subject)", "1"), ("(1 + Days | Subject)", "1 + Days")]:
        found = fit(f"Reaction ~ Days + {formula}", data)
        theirs = MixedLM.from_formula(
            "Reaction ~ Days", data, groups="Subject", re_formula=re_formula
        ).fit(reml=True)
        assert found.loglik is not None
        np.testing.assert_allclose(found.loglik, theirs.llf, atol=1e-4)
        assert found.loglik > theirs.llf - 1e-8


def test_a_singular_fit_is_flagged_not_hidden() -> None:
    found = fit("Yield ~ 1 + (1 | Batch)", table("dyestuff2"))
    assert found.singular
    assert found.converged
    assert found.random[0].vcov == 0
    assert "singular fit" in found.warnings[0]
    assert "Warning: singular fit" in found.summary()
    # Then it is ordinary least squares.
    plain = fit("Yield ~ 1", table("dyestuff2"))
    np.testing.assert_allclose(found.bse, plain.bse, rtol=1e-10)
    np.testing.assert_allclose(found.loglik, plain.loglik, rtol=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_units_origins_and_row_order_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = table("sleepstudy")
    a, b, u = 10.0 ** rng.integers(-3, 4), 10.0 ** rng.integers(0, 4), 10.0 ** rng.integers(-3, 4)
    other = data.assign(Reaction=a * data.Reaction + b, Days=u * data.Days)
    other = other.sample(frac=1, random_state=seed)
    one = fit("Reaction ~ Days + (1 + Days | Subject)", data)
    two = fit("Reaction ~ Days + (1 + Days | Subject)", other)
    np.testing.assert_allclose(two.params[0], a * one.params[0] + b, rtol=1e-6)
    np.testing.assert_allclose(two.params[1], a / u * one.params[1], rtol=1e-6)
    np.testing.assert_allclose(two.tvalues[1], one.tvalues[1], rtol=1e-4)
    np.testing.assert_allclose(two.random[0].sd_or_corr, a * one.random[0].sd_or_corr, rtol=1e-3)
    np.testing.assert_allclose(two.random[2].sd_or_corr, one.random[2].sd_or_corr, atol=1e-3)
    # The restricted likelihood changes by the units of outcome and columns alone.
    assert one.loglik is not None
    expected = one.loglik - (180 - 2) * np.log(a) - np.log(u)
    np.testing.assert_allclose(two.loglik, expected, atol=1e-6)


def test_nested_labels_may_repeat_or_be_unique() -> None:
    data = table("pastes")
    repeated = fit("strength ~ 1 + (1 | batch/cask)", data)
    unique = fit("strength ~ 1 + (1 | batch) + (1 | sample)", data)
    np.testing.assert_allclose(repeated.loglik, unique.loglik, atol=1e-9)
    assert [c.group for c in repeated.random] == ["cask:batch", "batch"]


KEYS = ["fixed", "random", "loglik", "deviance", "aic", "bic", "n_obs", "n_groups"]
KEYS += ["residual_sd", "method", "converged", "singular", "seconds"]
KEYS += ["covariance", "warnings", "n_dropped"]
KEYS += ["formula", "family", "engine", "statistic", "p_values"]


def test_json_has_the_published_keys() -> None:
    found = fit("Reaction ~ Days + (1 + Days | Subject)", table("sleepstudy")).to_json()
    assert list(found) == KEYS
    again = json.loads(json.dumps(found, allow_nan=False))
    assert list(again["fixed"][0]) == [
        "term",
        "estimate",
        "se",
        "statistic",
        "df",
        "p",
        "ci_low",
        "ci_high",
    ]
    assert again["fixed"][0]["df"] == pytest.approx(17, abs=1e-3)
    assert [tuple(row) for row in again["random"]] == [
        ("group", "term", "term2", "vcov", "sd_or_corr")
    ] * 3
    assert again["random"][0]["term2"] is None
    assert again["n_groups"] == {"Subject": 18}
    assert again["method"] == "reml"
    robust = fit("Reaction ~ Days", table("sleepstudy"), cluster="Subject").to_json()
    assert list(robust) == KEYS
    assert robust["covariance"] == "cluster-robust CR1 by Subject"
    assert robust["fixed"][0]["df"] == 17  # type: ignore[index]


def test_frames_say_how_p_values_were_had() -> None:
    found = fit("Reaction ~ Days", table("sleepstudy"))
    frame = found.tidy(level=0.9)
    assert frame.attrs == {"p_values": "Wald t, residual df", "covariance": "model"}
    np.testing.assert_array_equal(frame[["ci_low", "ci_high"]], found.conf_int(0.9))
    np.testing.assert_array_equal(found.cov_params(), found.cov)
    glance = found.glance()
    assert len(glance) == 1
    assert glance.loc[0, "n_obs"] == 180
    with pytest.raises(InputError, match="confidence level"):
        found.conf_int(95)


def test_the_summary_shows_sds_and_no_stars() -> None:
    text = fit("Reaction ~ Days + (1 + Days | Subject)", table("sleepstudy")).summary()
    assert "*" not in text
    assert "Linear mixed model fitted by REML" in text
    assert re.search(r"Subject +Intercept +24\.74", text)
    assert re.search(r"Subject +Intercept, Days +0\.07", text)
    assert re.search(r"residual +25\.59", text)
    assert "p-values: t, Satterthwaite df." in text
    quasi = fit("soft ~ c", table("answers"), family="binomial", cluster="image").summary()
    assert "Quasi-likelihood: no log-likelihood, no AIC" in quasi
    assert "t with G − 1 df" in quasi
