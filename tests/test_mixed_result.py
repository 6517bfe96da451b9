"""What a fit can be asked: each answer is that of the function of its subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fitted_cases import fit_of, table

from analysis import mixed
from analysis.mixed import MixedFit, fit
from complexity.errors import InputError

SLOPES = "Reaction ~ Days + (1 + Days | Subject)"


def slopes() -> MixedFit:
    return fit_of("sleepstudy", SLOPES, "gaussian", "reml")


def test_methods_give_what_the_functions_give() -> None:
    found, rows = slopes(), table("sleepstudy").head(3)
    np.testing.assert_array_equal(found.predict(rows), mixed.predict(found, rows))
    pd.testing.assert_frame_equal(found.predictions(rows), mixed.predictions(found, rows))
    np.testing.assert_array_equal(found.fittedvalues, mixed.predict(found))
    np.testing.assert_array_equal(found.resid, mixed.residuals(found))
    np.testing.assert_array_equal(found.residuals("scaled"), mixed.residuals(found, "scaled"))
    pd.testing.assert_frame_equal(found.random_effects(), mixed.random_effects(found))
    pd.testing.assert_frame_equal(found.r_squared(), mixed.r_squared(found))
    pd.testing.assert_frame_equal(found.icc(), mixed.icc(found))
    np.testing.assert_array_equal(found.diagnose().residuals, mixed.diagnose(found).residuals)
    other = fit_of("sleepstudy", "Reaction ~ Days + (1 | Subject)", "gaussian", "reml")
    assert other.lr_test(found) == found.lr_test(other) == mixed.lr_test(other, found)
    assert (found.nobs, found.llf, found.df_resid) == (180, found.loglik, 178)


def test_the_random_part_is_tabulated_as_sds_and_correlations() -> None:
    frame = slopes().tidy(kind="random")
    assert frame["group"].tolist() == ["Subject"] * 3 + ["residual"]
    assert frame["levels"].tolist() == [18, 18, 18, 180]
    assert frame["term"].tolist() == ["Intercept", "Days", "Intercept", "residual"]
    assert frame["term2"].fillna("").tolist() == ["", "", "Days", ""]
    np.testing.assert_allclose(frame["estimate"], [24.74066, 5.92214, 0.06555, 25.59180], rtol=1e-3)
    logistic = fit_of("cbpp", "y ~ period + (1 | herd)", "binomial", "ml")
    assert logistic.tidy(kind="random")["group"].tolist() == ["herd"]
    with pytest.raises(InputError, match=r"unknown kind 'rnd'"):
        slopes().tidy(kind="rnd")  # type: ignore[arg-type]


def test_the_summary_tells_how_the_fit_ended_and_how_residuals_lie() -> None:
    lines = slopes().summary().splitlines()
    assert "  Converged" in lines
    # As lme4 prints them.
    at = lines.index("Scaled residuals")
    assert lines[at + 2].split() == ["-3.95", "-0.46", "0.02", "0.46", "5.18"]
    singular = fit_of("dyestuff2", "Yield ~ 1 + (1 | Batch)", "gaussian", "reml").summary()
    assert "Converged, at the edge: singular" in singular
    lost = replace(slopes(), converged=False).summary()
    assert "Not converged: see the warnings" in lost
    assert "Scaled residuals" not in lost


def test_a_fit_without_its_data_says_so() -> None:
    bare = replace(slopes(), model=None)
    for ask in (bare.predict, bare.random_effects, bare.r_squared, bare.icc, bare.diagnose):
        with pytest.raises(InputError, match="does not hold its data"):
            ask()
    assert "Fixed effects" in bare.summary()


def test_public_names_can_be_imported() -> None:
    for name in mixed.__all__:
        assert getattr(mixed, name).__doc__
    assert set(dir(mixed)) >= {"predict", "lr_test", "diagnose"}
    assert fit is mixed.fit
