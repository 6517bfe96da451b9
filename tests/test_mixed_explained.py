"""R² and intraclass correlations against closed forms in R and the package performance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fitted_cases import CASES, fitted, name_of, table

from analysis.mixed import fit, icc, r_squared
from complexity.errors import InputError


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_variances_and_their_shares(case: dict[str, Any]) -> None:
    truth, frame = case["explained"], r_squared(fitted(case))
    assert list(frame["method"]) == list(truth["residual"])
    np.testing.assert_allclose(frame["fixed"], truth["fixed"], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(frame["random"], sum(truth["random"]), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(frame["residual"], [*truth["residual"].values()], rtol=1e-3)
    whole = frame["fixed"] + frame["random"] + frame["residual"]
    np.testing.assert_allclose(frame["marginal"], frame["fixed"] / whole)
    np.testing.assert_allclose(frame["conditional"], 1 - frame["residual"] / whole)
    by_group: dict[str, float] = {}
    for group, variance in zip(truth["group"], truth["random"], strict=True):
        by_group[group] = by_group.get(group, 0.0) + variance
    shares = icc(fitted(case))
    first = shares[shares["method"] == next(iter(truth["residual"]))].set_index("group")
    assert list(first.index) == ["all", *fitted(case).n_groups]
    noise = next(iter(truth["residual"].values()))
    for group, variance in {"all": sum(truth["random"]), **by_group}.items():
        total = sum(truth["random"]) + noise
        np.testing.assert_allclose(first.loc[group, "adjusted"], variance / total, atol=1e-4)
        total += truth["fixed"]
        np.testing.assert_allclose(first.loc[group, "unadjusted"], variance / total, atol=1e-4)


def test_the_package_performance_agrees() -> None:
    # It leaves out all but the first of several independent terms (||), and counts rows once
    # whatever their trials; everywhere else it has the same closed forms.
    compared = [c for c in CASES if c["explained"]["performance"] and "||" not in c["formula"]]
    assert len(compared) == 9
    for case in compared:
        truth, shares = case["explained"]["performance"], icc(fitted(case)).iloc[0]
        frame = r_squared(fitted(case)).iloc[0]
        for name in ("marginal", "conditional"):
            np.testing.assert_allclose(frame[name], truth[name][0], rtol=1e-3, atol=1e-6)
        for name in ("adjusted", "unadjusted"):
            np.testing.assert_allclose(shares[name], truth[name][0], rtol=1e-3, atol=1e-6)


def test_trials_and_their_shares_answer_alike() -> None:
    trials, shares = (next(c for c in CASES if c["data"] == name) for name in ("cbpp", "herds"))
    for ask in (r_squared, icc):
        one, two = (ask(fitted(case)).select_dtypes("number") for case in (trials, shares))
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_fits_without_random_terms() -> None:
    frame = r_squared(fit("Reaction ~ Days", table("sleepstudy"))).iloc[0]
    assert frame["marginal"] == frame["conditional"]
    # Close to the usual R², whose residual variance is not corrected for the coefficients.
    np.testing.assert_allclose(frame["marginal"], 0.2864714, rtol=5e-3)
    with pytest.raises(InputError, match="no random terms"):
        icc(fit("Reaction ~ Days", table("sleepstudy")))
    soft = fit("soft ~ c", table("answers"), family="binomial", cluster="image")
    with pytest.raises(InputError, match="no residual variance"):
        r_squared(soft)
