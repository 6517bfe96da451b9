"""Diagnostics: right where the model holds, and outspoken where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fitted_cases import CASES, fitted, table
from scipy import stats
from scipy.linalg import block_diag
from test_mixed_engine import spread_out

from analysis.mixed import diagnose, fit, predict, residuals
from analysis.mixed.binning import variance_of_sums
from analysis.mixed.diagnostics import quantile_residuals
from analysis.report import figures
from complexity.errors import InputError

N_GROUPS, PER_GROUP = 80, 40


def simulated(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"g": np.repeat(np.arange(N_GROUPS), PER_GROUP)})
    frame["x"] = rng.normal(size=len(frame))
    frame["eta"] = 0.5 * frame.x + rng.normal(size=N_GROUPS)[frame.g]
    frame["e"] = rng.normal(size=len(frame))
    frame["u"] = rng.random(len(frame))
    return frame


def test_nothing_stands_out_where_the_linear_model_holds() -> None:
    rows = simulated().assign(y=lambda d: d.eta + 2 * d.e)
    found = diagnose(fit("y ~ x + (1 | g)", rows))
    assert found.words == ()
    assert found.calibration is None
    assert found.dispersion is None
    assert found.binned["n"].sum() == len(rows)
    np.testing.assert_allclose(found.binned["scaled_sd"], 1, atol=0.25)
    np.testing.assert_allclose(found.binned["sd"], 2, atol=0.5)
    shape = found.shape.set_index("of")
    assert list(shape.index) == ["residuals", "g: Intercept"]
    np.testing.assert_allclose(shape["sd"], 1, atol=0.2)
    assert (shape[["skewness", "excess_kurtosis"]].abs() < 1).all(axis=None)
    modes = found.quantiles[found.quantiles["of"] == "g: Intercept"]
    assert len(modes) == N_GROUPS
    np.testing.assert_allclose(modes["sample"], modes["theoretical"], atol=0.7)
    assert (found.quantiles["of"] == "residuals").sum() == 1000


def test_what_breaks_a_linear_model_is_said() -> None:
    rows = simulated()
    rows["wide"] = rows.eta * 2 + np.exp(0.7 * rows.eta) * rows.e
    words = " ".join(diagnose(fit("wide ~ x + (1 | g)", rows)).words)
    assert "times as much" in words
    assert "residuals have heavy tails" in words
    rows["skew"] = rows.eta + np.exp(1.5 * rows.e)
    assert "residuals are skewed" in " ".join(diagnose(fit("skew ~ x + (1 | g)", rows)).words)
    rows["bent"] = rows.x**2 + 0.5 * rows.eta + 0.3 * rows.e
    assert "beyond their bounds" in " ".join(diagnose(fit("bent ~ x + (1 | g)", rows)).words)
    rows["odd"] = 0.3 * rows.e + np.where(rows.g < 3, 12.0, 0.0)
    found = diagnose(fit("odd ~ x + (1 | g)", rows))
    assert any("g: Intercept are skewed" in word for word in found.words)
    largest = found.extremes[found.extremes["of"] == "g: Intercept"]
    assert set(largest["label"][:3]) == {"0", "1", "2"}
    assert len(largest) == 5


def test_the_largest_residuals_are_named_by_their_row() -> None:
    rows = simulated().assign(y=lambda d: d.eta + d.e)
    rows.index = pd.Index([f"row {i}" for i in range(len(rows))])
    rows.loc["row 77", "y"] += 25
    rows.loc["row 5", "y"] = np.nan
    largest = diagnose(fit("y ~ x + (1 | g)", rows)).extremes
    assert largest.loc[0, "label"] == "row 77"
    np.testing.assert_allclose(largest.loc[0, "value"], 23, atol=3)


def test_quantile_residuals_are_standard_normal_and_seeded() -> None:
    rng = np.random.default_rng(3)
    trials = rng.integers(1, 9, 5000).astype(float)
    eta, none = 2 * rng.normal(size=5000), np.zeros(5000)
    mu = 1 / (1 + np.exp(-eta))
    counts = rng.binomial(trials.astype(int), mu).astype(float)
    found = quantile_residuals(counts, trials, eta, none, 1)
    assert stats.kstest(found, "norm").pvalue > 0.01
    np.testing.assert_array_equal(found, quantile_residuals(counts, trials, eta, none, 1))
    assert (found != quantile_residuals(counts, trials, eta, none, 2)).all()
    # Between the normal quantiles of the two ends of the count's step.
    low = stats.norm.ppf(stats.binom.cdf(counts - 1, trials, mu))
    high = stats.norm.ppf(stats.binom.cdf(counts, trials, mu))
    assert ((found >= low - 1e-9) & (found <= high + 1e-9)).all()
    # Trials that share what is not known of their log-odds.
    variance = np.full(5000, 1.5**2)
    shared = 1 / (1 + np.exp(-eta - 1.5 * rng.normal(size=5000)))
    counts = rng.binomial(trials.astype(int), shared).astype(float)
    assert stats.kstest(quantile_residuals(counts, trials, eta, variance, 1), "norm").pvalue > 0.01
    assert stats.kstest(quantile_residuals(counts, trials, eta, none, 1), "norm").pvalue < 1e-6
    ends = quantile_residuals(
        np.array([0.0, 1.0]), np.ones(2), np.array([900.0, -900.0]), np.zeros(2), 0
    )
    assert np.isfinite(ends).all()


def test_rows_of_linear_models_are_predicted_from_all_others() -> None:
    rows = table("crossed").assign(ms=lambda d: d.ms - 10)
    model = fit("ms ~ x * c + (1 + x | image) + (1 | image:question) + (1 | model)", rows)
    found = diagnose(model)
    assert model.model is not None
    assert model.residual_sd is not None
    design, noise = model.model.design, model.residual_sd**2
    Z = np.hstack([spread_out(b, np.eye(len(b.names))) for b in design.random])
    covariances = zip(design.random, model.model.covariances, strict=True)
    prior = block_diag(*[np.kron(np.eye(b.n_levels), c) for b, c in covariances])
    rest = design.y - design.X @ model.params
    for i in (0, 50, 700):
        others = np.arange(len(rows)) != i
        V = Z[others]
        cov = np.linalg.inv(np.linalg.inv(prior) + V.T @ V / noise)
        expected = Z[i] @ cov @ V.T @ rest[others] / noise
        np.testing.assert_allclose(
            found.predicted[i], design.X[i] @ model.params + expected, rtol=1e-5
        )
        sd = np.sqrt(noise + Z[i] @ cov @ Z[i])
        np.testing.assert_allclose(found.residuals[i], (rest[i] - expected) / sd, rtol=1e-5)


def test_small_groups_do_not_tilt_the_residuals() -> None:
    # Fitted values of groups of a few rows have adapted to these rows' own outcomes.
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"g": np.repeat(np.arange(600), 6), "x": rng.normal(size=3600)})
    eta = 0.4 + 0.8 * rows.x + 1.5 * rng.normal(size=600)[rows.g]
    rows["y"] = (rng.random(len(rows)) < 1 / (1 + np.exp(-eta))).astype(int)
    model = fit("y ~ x + (1 | g)", rows, family="binomial")
    assert np.polyfit(predict(model), rows["y"], 1)[0] > 1.2
    found = diagnose(model)
    np.testing.assert_allclose(np.polyfit(found.predicted, rows["y"], 1)[0], 1, atol=0.05)
    assert found.words == ()


def test_bounds_count_what_rows_of_a_group_share() -> None:
    rng = np.random.default_rng(7)
    means, bounds = [], []
    for _ in range(60):
        rows = pd.DataFrame({"g": np.repeat(np.arange(40), 25), "x": np.tile(np.arange(25), 40)})
        eta = rng.normal(size=40)[rows.g]
        rows["y"] = (rng.random(1000) < 1 / (1 + np.exp(-eta))).astype(int)
        clusters = [rows["g"].to_numpy()]
        bins = np.asarray(rows["x"] // 13, dtype=np.int64)
        rest = rows["y"].to_numpy() - 0.5
        bounds.append(np.sqrt(variance_of_sums(bins, rest, clusters)))
        means.append(np.bincount(bins, weights=rest))
    np.testing.assert_allclose(np.mean(bounds, axis=0), np.std(means, axis=0), rtol=0.25)


def test_a_logistic_model_that_holds_is_calibrated() -> None:
    rows = simulated().assign(y=lambda d: (d.u < 1 / (1 + np.exp(-d.eta))).astype(int))
    model = fit("y ~ x + (1 | g)", rows, family="binomial")
    found = diagnose(model)
    assert found.words == ()
    assert found.dispersion is None
    assert found.calibration is not None
    assert len(found.calibration) == 10
    assert found.calibration["trials"].sum() == len(rows)
    between = found.calibration["observed"].between(
        found.calibration["ci_low"], found.calibration["ci_high"]
    )
    assert between.all()
    one = stats.binomtest(30, 40).proportion_ci(method="wilson")
    few = diagnose(
        fit("y ~ 1", pd.DataFrame({"y": [1] * 30 + [0] * 10}), family="binomial")
    ).calibration
    assert few is not None
    np.testing.assert_allclose(few[["ci_low", "ci_high"]].to_numpy()[0], [one.low, one.high])
    np.testing.assert_allclose(found.residuals.std(), 1, atol=0.05)
    mu = found.predicted
    order = np.argsort(mu)[: len(rows) // 20]
    first = found.binned.iloc[0]
    np.testing.assert_allclose(first["predicted"], mu[order].mean())
    np.testing.assert_allclose(first["residual"], (rows["y"] - mu)[order].mean())
    sums = (rows["y"] - mu)[order].groupby(rows["g"][order]).sum()
    bound = 2 * np.sqrt((sums**2).sum()) / len(order)
    assert bound > 2 * np.sqrt((mu[order] * (1 - mu[order])).sum()) / len(order)
    np.testing.assert_allclose(first["bound"], bound)


def test_a_logistic_model_that_lacks_a_curve_is_not_calibrated() -> None:
    rows = simulated()
    rows["y"] = (rows.u < 1 / (1 + np.exp(2 - 2 * rows.x**2))).astype(int)
    words = " ".join(diagnose(fit("y ~ x", rows, family="binomial")).words)
    assert "beyond their bounds" in words
    assert "outside the interval of the observed share" in words


def test_overdispersion_is_looked_for_where_rows_are_several_trials() -> None:
    rng = np.random.default_rng(2)
    size = rng.integers(5, 20, 400)
    rows = pd.DataFrame({"n": size, "g": np.arange(400) % 20})
    rows["fair"] = rng.binomial(size, 0.4) / size
    rows["over"] = rng.binomial(size, rng.beta(0.8, 1.2, 400)) / size
    for outcome, over in (("fair", False), ("over", True)):
        found = diagnose(fit(f"{outcome} ~ 1 + (1 | g)", rows, family="binomial", weights="n"))
        assert found.dispersion is not None
        assert (found.dispersion > 2) == over
        assert any("overdispersed" in word for word in found.words) == over


@pytest.mark.parametrize("data", ["herds", "dyestuff2", "crossed"])
def test_frames_make_a_figure(data: str) -> None:
    found = diagnose(fitted(next(case for case in CASES if case["data"] == data)), bins=8)
    fig = figures.fit_diagnostics(found.quantiles, found.binned, found.calibration)
    panels = 1 + (found.calibration is not None) + found.quantiles["of"].nunique()
    assert len(fig.axes) == panels
    # A random effect without variance has no modes to look at.
    assert ("Batch: Intercept" in set(found.quantiles["of"])) is False
    assert fig.axes[0].get_ylabel() == "outcome − predicted"


def test_soft_scores_and_odd_requests() -> None:
    soft = fit("soft ~ c", table("answers"), family="binomial", cluster="image")
    found = diagnose(soft)
    np.testing.assert_array_equal(found.residuals, residuals(soft, "pearson"))
    assert (found.binned["bound"] > 0).all()
    with pytest.raises(InputError, match="at least 2 bins"):
        diagnose(soft, bins=1)
    few: Any = diagnose(fit("y ~ x", pd.DataFrame({"y": [1.0, 2, 4], "x": [0, 1, 2]})))
    assert len(few.binned) == 2
