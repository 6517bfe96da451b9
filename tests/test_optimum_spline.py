"""The spline curve: against R, known tops, small grids, invariance."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optimum_cases import GOLDEN, KS, real, simulate
from scipy.interpolate import CubicSpline

from analysis.optimum.curves import (
    CurveData,
    CurveFit,
    averaged_curve,
    column_names,
    design,
    fit_curve,
    prepare,
    standardise,
)
from analysis.optimum.hypotheses import widened_test
from analysis.optimum.optimum_at import percentiles, resampled
from analysis.optimum.spline import Spline, lack_of_fit, spline_opinion, tops
from analysis.optimum.spline_basis import knots_of, spline_columns
from analysis.shift import shift_of_table, shift_text
from complexity.files import to_json

RANGE = (-1.6, 1.6)
FINE = np.arange(0, 4 + 1e-9, 1 / 64)


def by_image(table: pd.DataFrame, metric: str = "objects") -> pd.Series:
    return table.drop_duplicates("image_id").set_index("image_id")[metric]


def data_of(table: pd.DataFrame, covariates: tuple[str, ...] = ()) -> CurveData:
    return prepare(table, standardise(by_image(table)), list(covariates))


def ask(table: pd.DataFrame, seed: int = 1) -> Spline:
    data = data_of(table)
    saturated = fit_curve(data, "saturated")
    c = standardise(by_image(table))
    return spline_opinion(data, saturated, c, np.random.default_rng(seed))[0]


def natural(heights: tuple[float, ...]) -> CubicSpline:
    """The natural cubic spline through heights at the knots, made without our basis."""
    inner, ends = knots_of(KS)
    return CubicSpline([ends[0], *inner, ends[1]], heights, bc_type="natural")


LEVEL, TILT = natural((-1.0, 1.0, 0.8, -0.7)), natural((-0.5, -0.1, 0.2, 0.4))


def bent(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Logits on a spline that changes linearly with complexity."""
    return np.asarray(LEVEL(x) + z * TILT(x))


def top(c: float) -> float:
    """Where `bent` is highest."""
    x = np.linspace(0, 4, 100_001)
    return float(x[bent(x, np.array(c)).argmax()])


# ---- against R --------------------------------------------------------------------------
@cache
def theirs() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / "spline.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("model", ["fixed4_3k", "anyk_3k"])
@pytest.mark.parametrize("adjusted", [False, True])
def test_fit_tests_and_tops_agree_with_r(model: str, adjusted: bool) -> None:
    table = real()
    c = standardise(by_image(table, "n_objects"))
    data = prepare(table[table["model"] == model], c, ["question_type"] if adjusted else [])
    expected = theirs()["models"][model]["adjusted" if adjusted else "plain"]
    saturated = fit_curve(data, "saturated")
    found, (fitted,) = spline_opinion(data, saturated, c, np.random.default_rng(1))
    assert fitted.fit.deviance == pytest.approx(expected["deviance"], rel=1e-9)
    mine, other = found.lack_of_fit, expected["lack_of_fit"]
    assert mine.statistic == pytest.approx(other["statistic"], rel=1e-6)
    assert mine.df == other["df"]
    assert mine.p == pytest.approx(other["p"], rel=1e-6)
    assert found.flat_p == pytest.approx(expected["flat"]["p"], rel=1e-6)
    optima, _ = tops(fitted, KS, RANGE)
    for item, top in zip(optima, expected["tops"], strict=True):
        assert item.c == top["c"]
        assert item.log2_k == pytest.approx(top["log2_k"], abs=1e-12)
        accuracy, _ = averaged_curve(data, fitted, item.c, np.array([item.k]))
        assert accuracy[0] == pytest.approx(top["accuracy"], rel=1e-9)
    assert (found.reason is None) == (found.flat_p <= 0.05 < (found.lack_of_fit.p or 0))


def test_knots_are_quantiles_of_the_distinct_x() -> None:
    inner, ends = knots_of(KS)
    np.testing.assert_allclose(inner, theirs()["knots"])
    np.testing.assert_allclose(ends, [0, 4])
    np.testing.assert_array_equal(knots_of((*KS, 4, 4))[0], inner)


# ---- the basis --------------------------------------------------------------------------
def test_the_spline_holds_lines_and_is_straight_at_its_ends() -> None:
    x = np.linspace(0, 4, 400)
    columns = np.column_stack([np.ones_like(x), spline_columns(KS, x)])
    assert np.linalg.matrix_rank(columns) == 4
    line = 2 - 3 * x
    weights = np.linalg.lstsq(columns, line, rcond=None)[0]
    np.testing.assert_allclose(columns @ weights, line, atol=1e-10)
    step = 1e-3
    for end, inside in ((0.0, 1), (4.0, -1)):
        at = spline_columns(KS, end + inside * step * np.arange(3))
        assert abs(at[0] - 2 * at[1] + at[2]).max() / step**2 < 0.02


# ---- known tops -------------------------------------------------------------------------
def test_finds_the_top_of_noiseless_scores() -> None:
    data = data_of(simulate(lambda x, z: 0 * x, n_images=96, n_questions=1))
    data = replace(data, score=1 / (1 + np.exp(-bent(np.log2(data.k), data.c))))
    optima, (change, low, high) = tops(fit_curve(data, "spline"), data.ks, RANGE)
    assert top(1) - top(-1) > 0.4
    for item in optima:
        assert item.log2_k == pytest.approx(top(item.c), abs=1 / 128 + 1e-6)
        assert item.k == pytest.approx(2**item.log2_k)
    assert change == pytest.approx((top(1) - top(-1)) / 2, abs=1 / 128 + 1e-6)
    assert np.isnan([low, high, optima[0].ci_low, optima[0].bootstrap_low]).all()


@pytest.mark.parametrize("shift", [0.0, 0.5, -0.8])
def test_a_parabola_s_top_is_drawn_to_the_middle_of_the_grid(shift: float) -> None:
    # A natural spline is straight at its ends, a parabola is not: the limit that is documented.
    data = data_of(simulate(lambda x, z: 0 * x, n_images=96, n_questions=1))
    eta = 1.5 - 0.4 * (np.log2(data.k) - 2 - shift * data.c) ** 2 + 0.4 * (shift * data.c) ** 2
    data = replace(data, score=1 / (1 + np.exp(-eta)))
    optima, (change, *_) = tops(fit_curve(data, "spline"), data.ks, RANGE)
    assert optima[1].log2_k == pytest.approx(2, abs=0.15)
    assert 0.6 * abs(shift) <= change * np.sign(shift) <= abs(shift)


def test_the_top_of_the_average_is_the_top_of_the_predictor() -> None:
    table = simulate(lambda x, z: 1.2 - 0.4 * (x - 2 - 0.4 * z) ** 2, n_images=80, seed=3)
    table["score"] = table["score"].where(table["kind"] != "count", 0.3 * table["score"])
    data = data_of(table, ("kind",))
    fitted = fit_curve(data, "spline")
    for item in tops(fitted, data.ks, RANGE)[0]:
        accuracy, jacobian = averaged_curve(data, fitted, item.c, np.exp2(FINE))
        assert FINE[accuracy.argmax()] == item.log2_k
        assert jacobian.shape == (len(FINE), len(fitted.fit.names))


def test_what_is_simulated_lies_within_the_interval() -> None:
    found = ask(simulate(bent, n_images=200, seed=4))
    assert found.reason is None
    assert [item.c for item in found.optima] == [-1, 0, 1]
    for item in found.optima:
        assert item.bootstrap_low <= item.k <= item.bootstrap_high
        assert item.bootstrap_low < 2 ** top(item.c) < item.bootstrap_high
        assert not item.at_edge
        assert not item.beyond
    assert found.change_low < (top(1) - top(-1)) / 2 < found.change_high
    spelled = found.to_dict()
    assert spelled["optima"][1]["bootstrap_low_log2"] == pytest.approx(
        np.log2(found.optima[1].bootstrap_low)
    )
    assert spelled["optima"][1]["ci_low"] is None
    assert "descriptive" in spelled["method"]


def test_a_top_at_the_end_of_the_grid_is_said_to_be_there() -> None:
    found = ask(simulate(lambda x, z: 0.7 * x - 1, n_images=150, seed=6))
    assert found.reason is None
    assert all(item.at_edge and item.k == 16 for item in found.optima)
    assert found.change == 0


def test_one_step_intervals_agree_with_refits() -> None:
    table = simulate(lambda x, z: 1.5 - 0.5 * (x - 2 - 0.5 * z) ** 2, n_images=100, seed=6)
    data = data_of(table)
    fitted = fit_curve(data, "spline")
    (_, middle, _), _ = tops(fitted, data.ks, RANGE, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    rows = {code: np.flatnonzero(data.image == code) for code in range(100)}
    found = []
    for _ in range(150):
        drawn = [rows[i] for i in rng.integers(0, 100, 100)]
        take = np.concatenate(drawn)
        again = replace(
            data,
            k=data.k[take],
            c=data.c[take],
            score=data.score[take],
            covariates=data.covariates[take],
            image=np.repeat(np.arange(100), [len(part) for part in drawn]),
        )
        found.append(tops(fit_curve(again, "spline"), data.ks, RANGE)[0][1].log2_k)
    low, high = np.quantile(found, [0.025, 0.975])
    width = high - low
    assert np.log2(middle.bootstrap_low) == pytest.approx(low, abs=0.3 * width)
    assert np.log2(middle.bootstrap_high) == pytest.approx(high, abs=0.3 * width)


# ---- when nothing is given --------------------------------------------------------------
@pytest.mark.parametrize("ks", [(1, 8), (1, 2, 8), (1, 2, 4, 8)])
def test_fewer_than_five_k_have_no_spline(ks: tuple[int, ...]) -> None:
    table = simulate(lambda x, z: 1 - 0.3 * (x - 1) ** 2, n_images=60, ks=ks)
    data = data_of(table)
    c = standardise(by_image(table))
    found, fits = spline_opinion(data, fit_curve(data, "saturated"), c, np.random.default_rng(1))
    assert fits == ()
    assert found.reason is not None
    assert "needs 5 values of k" in found.reason
    assert found.lack_of_fit.p is None
    assert found.optima == ()


def test_four_k_are_said_in_the_answer() -> None:
    table = simulate(lambda x, z: 1 - 0.3 * (x - 1) ** 2, n_images=40, ks=(1, 2, 4, 8))
    (answer,) = shift_of_table(table, "objects")
    assert "spline, top at −1, 0, +1 SD: not given: the spline needs 5" in shift_text([answer])
    assert "NaN" not in to_json(answer.to_dict())


def test_five_k_leave_two_restrictions() -> None:
    table = simulate(lambda x, z: 1.4 - 0.5 * (x - 2) ** 2, n_images=150, ks=(1, 2, 4, 8, 16))
    found = ask(table)
    assert found.lack_of_fit.df == 2
    assert found.reason is None
    assert found.optima[1].log2_k == pytest.approx(2, abs=0.4)


def test_a_flat_curve_has_no_top() -> None:
    found = ask(simulate(lambda x, z: 0 * x + 0.8 - z, n_images=200, seed=3))
    assert found.reason is not None
    assert "flat" in found.reason
    assert found.optima == ()
    assert np.isnan(found.change)


def test_a_curve_with_a_kink_does_not_fit() -> None:
    found = ask(simulate(lambda x, z: np.where(x == 2, 2.0, 0.0), n_images=200, seed=2))
    assert found.lack_of_fit.p is not None
    assert found.lack_of_fit.p < 0.001
    assert found.reason is not None
    assert "does not fit" in found.reason


def test_answers_that_do_not_vary_with_k_have_none() -> None:
    table = simulate(lambda x, z: 0 * x - z, n_images=40)
    table["score"] = table.groupby("sample_id")["score"].transform("first")
    found = ask(table)
    assert found.reason is not None
    assert "flat" in found.reason
    assert np.isnan(found.flat_p)


def test_separation_is_said() -> None:
    table = simulate(lambda x, z: 0.3 * x, n_images=40)
    table.loc[table["k"] == 4, "score"] = 1.0
    data = data_of(table)
    test = lack_of_fit(fit_curve(data, "saturated"), data.ks)
    assert test.p is None
    assert "could not be fitted" in test.method


# ---- the test of lack of fit ------------------------------------------------------------
def test_restrictions_are_the_test_of_a_wider_curve() -> None:
    data = data_of(simulate(lambda x, z: 1.2 - 0.4 * (x - 2) ** 2, n_images=80, seed=7), ("kind",))
    X = design("spline", data.ks, data.k, data.c, data.covariates)
    names = column_names(data, "spline")
    for free in ((2, 4, 6, 12), (1, 3, 8, 16)):
        dummies = np.column_stack([(data.k == k).astype(float) for k in free])
        extra = [f"k{k}" for k in free] + [f"k{k}:c" for k in free]
        wide = widened_test(
            data, np.hstack([X, dummies, dummies * data.c[:, None]]), names + extra, extra
        )
        mine = lack_of_fit(fit_curve(data, "saturated"), data.ks)
        assert mine.statistic == pytest.approx(wide.statistic, rel=1e-6)
        assert (mine.df, mine.p) == (wide.df, pytest.approx(wide.p, rel=1e-6))


# ---- invariance -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def moving() -> tuple[CurveData, CurveFit]:
    table = simulate(lambda x, z: 1.3 - 0.5 * (x - 2 - 0.4 * z) ** 2, n_images=80, seed=8)
    data = data_of(table)
    return data, fit_curve(data, "spline")


def same(one: Any, two: Any, **moved_by: float) -> None:
    add = moved_by.get("add", 0.0)
    for first, second in zip(one[0], two[0], strict=True):
        assert second.log2_k == pytest.approx(first.log2_k + add, abs=1e-9)
        assert second.bootstrap_low == pytest.approx(first.bootstrap_low * 2**add, rel=1e-6)
        assert second.bootstrap_high == pytest.approx(first.bootstrap_high * 2**add, rel=1e-6)


def test_doubling_every_k_adds_one_doubling(moving: tuple[CurveData, CurveFit]) -> None:
    data, fitted = moving
    ks = tuple(2 * k for k in KS)
    again = fit_curve(replace(data, k=2 * data.k, ks=ks), "spline")
    one = tops(fitted, KS, RANGE, np.random.default_rng(1))
    two = tops(again, ks, RANGE, np.random.default_rng(1))
    same(one, two, add=1.0)
    assert two[1] == pytest.approx(one[1], abs=1e-9)
    mine, other = (
        lack_of_fit(fit_curve(d, "saturated"), d.ks)
        for d in (data, replace(data, k=2 * data.k, ks=ks))
    )
    assert mine.statistic == pytest.approx(other.statistic, rel=1e-8)


def test_reversed_complexity_reverses_the_tops(moving: tuple[CurveData, CurveFit]) -> None:
    data, fitted = moving
    again = fit_curve(replace(data, c=-data.c), "spline")
    one, change = tops(fitted, KS, RANGE, np.random.default_rng(1))
    two, back = tops(again, KS, RANGE, np.random.default_rng(1))
    same((one, None), (two[::-1], None))
    assert back == pytest.approx((-change[0], -change[2], -change[1]), abs=1e-9)


def test_scaled_complexity_moves_the_ends_only(moving: tuple[CurveData, CurveFit]) -> None:
    data, fitted = moving
    again = fit_curve(replace(data, c=2 * data.c), "spline")
    one, two = (tops(f, KS, RANGE)[0] for f in (fitted, again))
    assert two[1].log2_k == one[1].log2_k
    assert abs(two[2].log2_k - two[0].log2_k) < abs(one[2].log2_k - one[0].log2_k)
    statistic = [
        lack_of_fit(fit_curve(replace(data, c=c), "saturated"), KS).statistic
        for c in (data.c, 2 * data.c, 3 - data.c)
    ]
    assert statistic == pytest.approx([statistic[0]] * 3, rel=1e-7)


# ---- resampled images -------------------------------------------------------------------
def test_resamples_spread_as_the_clustered_covariance(moving: tuple[CurveData, CurveFit]) -> None:
    fit = moving[1].fit
    spread = np.cov(resampled(moving[1], np.random.default_rng(2)).T) * fit.correction
    se = np.sqrt(np.diag(fit.cov))
    np.testing.assert_allclose(spread / np.outer(se, se), fit.cov / np.outer(se, se), atol=0.12)


def test_percentiles_want_a_top_in_nearly_all_resamples() -> None:
    values = np.arange(1_000.0)
    assert percentiles(values) == pytest.approx((24.975, 974.025))
    values[:20] = np.nan
    assert np.isfinite(percentiles(values)).all()
    values[:30] = np.nan
    assert np.isnan(percentiles(values)).all()
