"""Predictions, their errors, and residuals, against lme4 and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fitted_cases import CASES, fitted, name_of, table
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm

from analysis.mixed import fit, predict, predictions, residuals
from analysis.mixed.integrating import averaged
from analysis.mixed.predicting import fitted_values
from complexity.errors import InputError


def new_rows(case: dict[str, Any]) -> pd.DataFrame:
    """Rows with known groups, a new inner group, and a new outer one."""
    rows = pd.DataFrame(case["new"])
    for name in ("Subject", "period"):
        if name in rows:
            rows[name] = [int(v) if str(v).isdigit() else v for v in rows[name]]
    if "herd" in rows:
        rows["herd"] = [int(v) if str(v).isdigit() else v for v in rows["herd"]]
    return rows


def near(found: Any, truth: Any, case: dict[str, Any]) -> None:
    """Within a thousandth of the spread of the fitted values and outcomes."""
    size = max(float(np.std(fitted(case).model.design.y)), 1e-3)  # type: ignore[union-attr]
    np.testing.assert_allclose(np.asarray(found) / size, np.asarray(truth) / size, atol=1e-3)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_predictions_of_new_rows_agree_with_lme4(case: dict[str, Any]) -> None:
    found, rows, truth = fitted(case), new_rows(case), case["predicted"]

    def ask(**options: Any) -> Any:
        return predict(found, rows, **options)

    near(ask(scale="link", new_levels="population"), truth["conditional"], case)
    near(ask(new_levels="population"), truth["conditional_response"], case)
    near(ask(kind="fixed", scale="link"), truth["fixed"], case)
    near(ask(kind="population"), truth["population_response"], case)
    with pytest.raises(InputError, match=r"the fit has not seen .*new.*new_levels='population'"):
        ask()
    frame = predictions(found, rows, scale="link")
    near(frame["prediction"], truth["fixed"], case)
    np.testing.assert_allclose(frame["se"], truth["se"], rtol=2e-3)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_residuals_and_fitted_values_agree_with_lme4(case: dict[str, Any]) -> None:
    found = fitted(case)
    n = len(case["fitted"])
    near(fitted_values(found)[:n], case["fitted"], case)
    for kind, truth in case["residuals"].items():
        near(residuals(found, kind)[:n], truth, case)
    np.testing.assert_allclose(residuals(found, "scaled")[:n], case["scaled"], atol=2e-3)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_fits_own_rows_are_predicted_alike_from_data(case: dict[str, Any]) -> None:
    found, rows = fitted(case), table(case["data"])
    for kind in ("conditional", "fixed", "population"):
        for scale in ("response", "link"):
            options: Any = {"kind": kind, "scale": scale}
            np.testing.assert_allclose(
                predict(found, rows, **options), predict(found, **options), rtol=1e-9, atol=1e-9
            )


def test_averages_over_random_effects() -> None:
    eta, sd = (part.ravel() for part in np.meshgrid([-5.0, -0.7, 0.0, 2.0], [0.0, 0.3, 2, 6, 25]))
    mean, to_eta, to_variance = averaged(eta, sd**2)

    def exact(m: float, s: float) -> float:
        turns = [-m / s] if abs(m) < 12 * s else None
        found = quad(
            lambda t: expit(m + s * t) * norm.pdf(t), -12, 12, points=turns, epsabs=1e-13, limit=400
        )
        return float(found[0])

    expected = [exact(m, s) for m, s in zip(eta, sd, strict=True)]
    np.testing.assert_allclose(mean, expected, atol=1e-11)
    step = 1e-5
    for derivative, up, down in (
        (to_eta, averaged(eta + step, sd**2), averaged(eta - step, sd**2)),
        (to_variance, averaged(eta, sd**2 + 2 * step), averaged(eta, sd**2)),
    ):
        np.testing.assert_allclose(derivative, (up[0] - down[0]) / (2 * step), atol=2e-6)


def test_errors_of_population_averages_count_the_variances() -> None:
    case = next(c for c in CASES if "(x || image)" in c["formula"])
    found, rows = fitted(case), table("vqa").head(5)
    assert found.model is not None
    assert found.model.joint is not None
    theta, params = found.model.theta, found.params
    frame = predictions(found, rows, kind="population")

    def at(point: np.ndarray[Any, Any]) -> Any:
        from dataclasses import replace

        from analysis.mixed.coordinates import covariances

        assert found.model is not None
        moved = covariances(point[: len(theta)], found.model.transforms)
        model = replace(found.model, covariances=moved, theta=point[: len(theta)])
        return predict(
            replace(found, params=point[len(theta) :], model=model), rows, kind="population"
        )

    whole = np.r_[theta, params]
    slopes = np.array([(at(whole + h) - at(whole - h)) / 2e-5 for h in 1e-5 * np.eye(len(whole))])
    se = np.sqrt(np.einsum("in,ij,jn->n", slopes, found.model.joint, slopes))
    np.testing.assert_allclose(frame["se"], se, rtol=1e-5)
    low = logit(frame["prediction"]) - norm.ppf(0.975) * se / (
        frame["prediction"] * (1 - frame["prediction"])
    )
    np.testing.assert_allclose(logit(frame["ci_low"]), low, rtol=1e-5)
    assert frame["df"].isna().all()
    assert list(frame.index) == list(rows.index)


def test_linear_predictions_have_satterthwaite_intervals() -> None:
    found = fit("Reaction ~ Days + (1 + Days | Subject)", table("sleepstudy"))
    frame = predictions(found, pd.DataFrame({"Days": [0]}))
    tidy = found.tidy().iloc[0]
    # At Days = 0 the prediction is the intercept.
    np.testing.assert_allclose(
        frame.iloc[0].to_numpy(), tidy[["estimate", "se", "df", "ci_low", "ci_high"]].astype(float)
    )
    plain = fit("Reaction ~ Days", table("sleepstudy"))
    assert (predictions(plain)["df"] == 178).all()
    for kind in ("conditional", "fixed", "population"):
        np.testing.assert_allclose(
            predict(plain, kind=kind),  # type: ignore[arg-type]
            found.model.design.X @ plain.params,  # type: ignore[union-attr]
        )


def test_rows_with_missing_values_stay_where_they_are() -> None:
    case = next(c for c in CASES if c["data"] == "crossed" and c["family"] == "binomial")
    found, rows = fitted(case), table("crossed").head(6).reset_index(drop=True)
    whole = predict(found, rows)
    holes = rows.astype({"x": "Float64", "model": "category"})
    holes.loc[1, "x"] = pd.NA
    holes.loc[3, "image"] = None
    holes["y"] = np.nan
    expected = np.where([False, True, False, True, False, False], np.nan, whole)
    np.testing.assert_allclose(predict(found, holes), expected)
    # The image is not needed where its effects are averaged over or left out.
    for kind in ("fixed", "population"):
        assert list(np.isnan(predict(found, holes, kind=kind))) == [  # type: ignore[arg-type]
            False, True, False, False, False, False,
        ]  # fmt: skip
    assert predictions(found, holes)["se"].isna().tolist() == [False, True] + [False] * 4
    none = holes.assign(x=np.nan)
    assert np.isnan(predict(found, none)).all()
    assert len(predict(found, rows.head(0))) == 0


def test_what_cannot_be_predicted_is_said() -> None:
    case = next(c for c in CASES if c["data"] == "crossed" and c["family"] == "gaussian")
    found, rows = fitted(case), table("crossed").head(4)
    with pytest.raises(InputError, match="no column 'x'"):
        predict(found, rows.drop(columns="x"))
    with pytest.raises(InputError, match="no column question"):
        predict(found, rows.drop(columns="question"))
    with pytest.raises(InputError, match=r"unknown kind 'populaton'; choose .* population"):
        predict(found, rows, kind="populaton")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="come without, from predict"):
        predictions(found, rows, kind="conditional")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"unknown residuals 'pearsn'.*pearson"):
        residuals(found, "pearsn")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="confidence level"):
        predictions(found, rows, level=95)
    with pytest.raises(InputError, match="in a DataFrame, not in a dict"):
        predict(found, {"x": [1]})  # type: ignore[arg-type]
    seen = rows.assign(image=["i01", "zz", "zy", "zz"])
    with pytest.raises(InputError, match=r"has not seen 'image' zz, zy"):
        predict(found, seen)


def test_categories_splines_and_transformations_are_those_of_the_fit() -> None:
    rows = table("vqa").assign(g=lambda d: d.image)
    found = fit("ms ~ bs(x, df=4) + scale(c) + kind + (1 + scale(c) | image)", rows)
    whole = predict(found, rows)
    few = predict(found, rows.iloc[[7]])
    np.testing.assert_allclose(few, whole[[7]], rtol=1e-9)
    with pytest.raises(InputError, match="cannot evaluate"):
        predict(found, rows.head(2).assign(kind="shape"))
