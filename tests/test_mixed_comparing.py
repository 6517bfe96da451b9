"""Likelihood-ratio tests against anova() of lme4, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fitted_cases import PAIRS, fit_of, table
from scipy.stats import chi2

from analysis.mixed import MixedFit, fit, lr_test
from complexity.errors import InputError


def pair(case: dict[str, Any]) -> tuple[MixedFit, MixedFit]:
    of = (case["data"], case["family"], case["method"])
    return fit_of(of[0], case["smaller"], *of[1:]), fit_of(of[0], case["larger"], *of[1:])


def linear(formula: str, method: str = "ml", data: str = "sleepstudy") -> MixedFit:
    return fit_of(data, formula, "gaussian", method)


def logistic(formula: str, data: str = "vqa") -> MixedFit:
    return fit_of(data, formula, "binomial", "ml")


@pytest.mark.parametrize("case", PAIRS, ids=lambda c: f"{c['smaller']} < {c['larger']}")
def test_agrees_with_anova(case: dict[str, Any]) -> None:
    test = lr_test(*pair(case))
    np.testing.assert_allclose(test.statistic, case["statistic"], atol=2e-3)
    assert test.df == case["df"]
    np.testing.assert_allclose(test.p, case["p"], rtol=2e-3)
    assert case["method"].upper() in test.method


def test_one_variance_alone_has_the_mixtures_p() -> None:
    one = lr_test(
        linear("diameter ~ 1 + (1 | plate)", "reml", "penicillin"),
        linear("diameter ~ 1 + (1 | plate) + (1 | sample)", "reml", "penicillin"),
    )
    assert one.p_mixture == chi2.sf(one.statistic, 1) / 2
    assert "conservative" in one.warnings[0]
    assert "p_mixture" in one.warnings[0]
    # A model without random terms is nested in one with them.
    none = lr_test(
        linear("Yield ~ 1", "ml", "dyestuff2"), linear("Yield ~ 1 + (1 | Batch)", "ml", "dyestuff2")
    )
    np.testing.assert_allclose(none.statistic, 0, atol=1e-6)
    assert none.p_mixture is not None
    assert none.p_mixture >= 0.5
    # A slope brings its correlation with the intercept.
    slope = lr_test(
        linear("Reaction ~ Days + (1 | Subject)"), linear("Reaction ~ Days + (1 + Days | Subject)")
    )
    assert slope.df == 2
    assert slope.p_mixture is None
    assert "conservative" in slope.warnings[0]
    # A correlation alone, and a coefficient, are tested away from any edge.
    for smaller, larger in (
        ("Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (1 + Days | Subject)"),
        ("Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 | Subject)"),
    ):
        test = lr_test(linear(smaller), linear(larger))
        assert test.warnings == ()
        assert test.p_mixture is None


def test_the_same_model_may_be_written_otherwise() -> None:
    found = lr_test(
        linear("ms ~ x + (1 | image:question)", data="vqa"),
        linear("ms ~ C(kind) + x + c + (1 | image/question)", data="vqa"),
    )
    assert found.df == 4
    # Nested when each kind's effect is a column of the larger, as far as can be told.
    rows = table("vqa")
    one = fit("ms ~ x + (1 | image) + (1 | image:kind)", rows, method="ml")
    two = fit("ms ~ x + (0 + kind | image)", rows, method="ml")
    test = lr_test(one, two)
    assert "taken to be nested" in test.warnings[0]


def test_what_cannot_be_compared_is_refused() -> None:
    days = "Reaction ~ Days + (1 | Subject)"
    refusals: list[tuple[MixedFit, MixedFit, str]] = [
        (
            linear("Reaction ~ 1 + (1 | Subject)", "reml"),
            linear(days, "reml"),
            r"REML .*different fixed parts.*method='ml'",
        ),
        (
            linear("Reaction ~ Days + (1 | Subject)", "reml"),
            fit("Reaction ~ I(Days / 10) + (1 + Days | Subject)", table("sleepstudy")),
            "coded differently",
        ),
        (linear(days, "reml"), linear("Reaction ~ Days + (1 + Days | Subject)"), "method"),
        (linear("Reaction ~ Days + (1 + Days | Subject)"), linear(days), "smaller model first"),
        (linear(days), linear(days), "smaller model first"),
        (
            linear("Reaction ~ Days + (1 | Subject)"),
            linear("Reaction ~ I(Days**2) + (1 + Days | Subject)"),
            r"Days of .* cannot be had from the fixed part.*not nested",
        ),
        (
            logistic("y ~ x + (1 | image)", "crossed"),
            logistic("y ~ x + (1 + x | model)", "crossed"),
            r"random term \(Intercept \| image\) .*not nested",
        ),
        (
            logistic("y ~ x + (1 | image:question)"),
            logistic("y ~ x + (1 + x | image)"),
            "not nested",
        ),
        (
            linear("Reaction ~ 1 + (1 | Subject)"),
            fit(days, table("sleepstudy").iloc[1:], method="ml"),
            "180 and 179 rows",
        ),
        (
            linear("Reaction ~ 1 + (1 | Subject)"),
            fit(days, table("sleepstudy").iloc[::-1], method="ml"),
            "different rows or outcomes",
        ),
        (linear("ms ~ x", data="vqa"), logistic("y ~ x + (1 | image)"), "family"),
        (
            replace(linear(days), converged=False),
            linear("Reaction ~ Days + (1 + Days | Subject)"),
            "did not converge",
        ),
        (
            fit("soft ~ 1", table("answers"), family="binomial", cluster="image"),
            fit("soft ~ c", table("answers"), family="binomial", cluster="image"),
            "quasi-likelihood.*wald_test",
        ),
        (
            fit("y ~ 1", table("vqa"), family="binomial", cluster="image"),
            logistic("y ~ x"),
            "cluster-robust CR1 by image covariance",
        ),
    ]
    for smaller, larger, message in refusals:
        with pytest.raises(InputError, match=message):
            lr_test(smaller, larger)
    worse = replace(linear("Reaction ~ Days + (1 + Days | Subject)"), loglik=-1e4)
    with pytest.raises(InputError, match="fits worse"):
        lr_test(linear(days), worse)
