"""The quadratic second opinion: against R, closed forms, invariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from optimum_cases import KS, real, reference, simulate

from analysis.mixed.clustered import ClusteredFit
from analysis.optimum.curves import CurveData, CurveFit, fit_curve, prepare, standardise
from analysis.optimum.quadratic import Quadratic, quadratic_shift

RANGE = (-1.5, 1.5)


def data_of(table: pd.DataFrame, metric: str, covariates: list[str]) -> CurveData:
    c = standardise(table.drop_duplicates("image_id").set_index("image_id")[metric])
    return prepare(table, c, covariates)


def noiseless(vertex: float, shift: float, curvature: float = -0.3) -> CurveData:
    """Scores exactly on a logistic parabola whose vertex lies at ``vertex + shift * c``.

    Its curvature is constant, so b5 = 0 and the vertex is linear in c.
    """
    data = data_of(simulate(lambda x, z: 0 * x, n_images=48, n_questions=1), "objects", [])
    x = np.log2(data.k)
    eta = 1.0 + curvature * ((x - vertex) ** 2 - 2 * shift * (x - vertex) * data.c)
    return replace(data, score=1 / (1 + np.exp(-eta)))


@pytest.mark.parametrize("model", ["fixed4_3k", "anyk_3k"])
@pytest.mark.parametrize("adjusted", [False, True])
def test_agrees_with_numerical_derivatives_in_r(model: str, adjusted: bool) -> None:
    table = real()
    c = standardise(table.drop_duplicates("image_id").set_index("image_id")["n_objects"])
    covariates = ["question_type"] if adjusted else []
    fitted = fit_curve(prepare(table[table["model"] == model], c, covariates), "quadratic")
    found = quadratic_shift(fitted, (-1.2, 1.3))
    theirs = reference()["models"][model]["adjusted" if adjusted else "plain"]["quadratic"]
    assert found.statistic == pytest.approx(theirs["statistic"], rel=1e-6)
    assert found.p == pytest.approx(theirs["p"], rel=1e-6)
    assert found.flat_p == pytest.approx(theirs["flat_p"], rel=1e-6)
    assert found.curvature_negative == (max(theirs["curvature_upper"]) < 0)
    b2, b5 = theirs["b"][1], theirs["b"][3]
    for at, mine, vertex in (
        (-1, found.vertex_low, theirs["vertex_low"]),
        (1, found.vertex_high, theirs["vertex_high"]),
    ):
        assert mine == pytest.approx(vertex if b2 + b5 * at < 0 else np.nan, rel=1e-6, nan_ok=True)
    slope = [theirs["slope"], theirs["slope_se"]] if b2 < 0 else [np.nan, np.nan]
    assert [found.slope, found.slope_se] == pytest.approx(slope, rel=1e-5, nan_ok=True)


def test_the_reference_has_a_vertex_and_a_case_without() -> None:
    models = reference()["models"]
    curvature = [models[m]["plain"]["quadratic"]["b"][1] for m in ("fixed4_3k", "anyk_3k")]
    assert curvature[0] < 0 < curvature[1]


@pytest.mark.parametrize(("vertex", "shift"), [(2.0, 0.0), (1.5, 0.4), (2.5, -0.6)])
def test_recovers_the_vertex_of_noiseless_scores(vertex: float, shift: float) -> None:
    found = quadratic_shift(fit_curve(noiseless(vertex, shift), "quadratic"), RANGE)
    assert found.slope == pytest.approx(shift, abs=1e-6)
    assert found.vertex_low == pytest.approx(vertex - shift, abs=1e-6)
    assert found.vertex_high == pytest.approx(vertex + shift, abs=1e-6)
    assert found.curvature_negative


def with_coefficients(b1: float, b2: float, b4: float, b5: float, se: float = 0.01) -> CurveFit:
    names = ("Intercept", "x", "I(x**2)", "c", "x:c", "I(x**2):c")
    params = np.array([0.0, b1, b2, 0.0, b4, b5])
    fit = ClusteredFit(
        names=names,
        params=params,
        cov=np.eye(6) * se**2,
        influence=np.zeros((101, 6)),
        groups=np.arange(101),
        correction=1.0,
        bread=np.eye(6),
        n_obs=1_000,
        n_clusters=101,
        loglik=None,
        deviance=0.0,
        converged=True,
        iterations=1,
    )
    return CurveFit("quadratic", "logit", "score ~ (x + I(x**2)) * c", fit)


def vertex(b: tuple[float, float, float, float], c: float) -> float:
    return -(b[0] + b[2] * c) / (2 * (b[1] + b[3] * c))


def test_slope_is_the_derivative_of_the_vertex() -> None:
    b = (1.2, -0.3, 0.2, 0.05)
    found = quadratic_shift(with_coefficients(*b), RANGE)
    step = 1e-5
    assert found.slope == pytest.approx((vertex(b, step) - vertex(b, -step)) / (2 * step), rel=1e-8)
    assert found.vertex_low == pytest.approx(vertex(b, -1))
    assert found.vertex_high == pytest.approx(vertex(b, 1))


def test_delta_method_agrees_with_simulation() -> None:
    b, se = (1.2, -0.3, 0.2, 0.05), 0.002
    found = quadratic_shift(with_coefficients(*b, se=se), RANGE)
    draws = np.random.default_rng(0).normal(b, se, (200_000, 4))
    slopes = (draws[:, 0] * draws[:, 3] - draws[:, 1] * draws[:, 2]) / (2 * draws[:, 1] ** 2)
    assert found.slope_se == pytest.approx(slopes.std(), rel=0.02)
    contrast = draws[:, 0] * draws[:, 3] - draws[:, 1] * draws[:, 2]
    expected = (b[0] * b[3] - b[1] * b[2]) ** 2 / contrast.var()
    assert found.statistic == pytest.approx(expected, rel=0.02)


def test_a_curve_that_only_stretches_does_not_shift() -> None:
    # b4 / b1 = b5 / b2: an interaction without a shift.
    found = quadratic_shift(with_coefficients(1.2, -0.3, 0.6, -0.15), (-1.0, 1.0))
    assert found.statistic == pytest.approx(0, abs=1e-20)
    assert found.p == pytest.approx(1)
    assert found.slope == pytest.approx(0, abs=1e-15)
    assert found.vertex_low == pytest.approx(found.vertex_high) == pytest.approx(2.0)


def test_without_a_maximum_there_is_no_vertex() -> None:
    convex = quadratic_shift(with_coefficients(-1.0, 0.3, 0.1, 0.0), RANGE)
    assert not convex.curvature_negative
    assert np.isnan([convex.slope, convex.slope_se, convex.vertex_low, convex.vertex_high]).all()
    assert np.isfinite([convex.statistic, convex.p, convex.flat_p]).all()
    # Concave for simple images only.
    mixed = quadratic_shift(with_coefficients(1.0, -0.1, 0.1, 0.2), RANGE)
    assert not mixed.curvature_negative
    assert np.isfinite([mixed.slope, mixed.vertex_low]).all()
    assert np.isnan(mixed.vertex_high)
    # Concave everywhere, but not surely so.
    unsure = quadratic_shift(with_coefficients(1.0, -0.1, 0.1, 0.0, se=0.1), RANGE)
    assert not unsure.curvature_negative
    assert np.isfinite(unsure.vertex_high)


@pytest.mark.parametrize("model", ["fixed4_3k", "anyk_3k"])
def test_the_test_does_not_depend_on_where_x_and_c_are_centred(model: str) -> None:
    table = real()
    data = data_of(table[table["model"] == model], "n_objects", [])

    def shift(changed: CurveData) -> Quadratic:
        return quadratic_shift(fit_curve(changed, "quadratic"), RANGE)

    one = shift(data)
    for changed in (
        replace(data, c=2.5 + data.c),
        replace(data, c=-3 * data.c),
        # Doubling every k adds 1 to x.
        replace(data, k=2 * data.k, ks=tuple(2 * k for k in KS)),
    ):
        two = shift(changed)
        assert two.statistic == pytest.approx(one.statistic, rel=1e-6)
        assert two.p == pytest.approx(one.p, rel=1e-6)


def test_slope_is_in_doublings_per_standard_deviation() -> None:
    data = data_of(simulate(lambda x, z: 2 - 0.5 * (x - 2 - 0.5 * z) ** 2, seed=4), "objects", [])
    one = quadratic_shift(fit_curve(data, "quadratic"), RANGE)
    two = quadratic_shift(fit_curve(replace(data, c=data.c / 2), "quadratic"), RANGE)
    doubled = replace(data, k=2 * data.k, ks=tuple(2 * k for k in KS))
    three = quadratic_shift(fit_curve(doubled, "quadratic"), RANGE)
    assert two.slope == pytest.approx(2 * one.slope, rel=1e-8)
    assert two.slope_se == pytest.approx(2 * one.slope_se, rel=1e-8)
    assert three.slope == pytest.approx(one.slope, rel=1e-6)
    assert three.vertex_low == pytest.approx(one.vertex_low + 1, rel=1e-6)
    assert abs(one.slope - 0.5) < 3 * one.slope_se


def test_curvature_is_judged_with_the_error_it_has_at_the_ends() -> None:
    # Upper limits: -.1 + 1.96 * .03 at c = 0, -.1 + 1.96 * .03 * sqrt(1 + 9) at c = 3.
    fitted = with_coefficients(1.0, -0.1, 0.1, 0.0, se=0.03)
    assert quadratic_shift(fitted, (-0.1, 0.1)).curvature_negative
    assert not quadratic_shift(fitted, (-3.0, 3.0)).curvature_negative
    assert not quadratic_shift(fitted, (-0.1, 3.0)).curvature_negative


def test_answers_that_do_not_vary_with_k_have_no_figures() -> None:
    table = simulate(lambda x, z: 0 * x - z, n_images=40)
    table["score"] = table.groupby("sample_id")["score"].transform("first")
    found = quadratic_shift(fit_curve(data_of(table, "objects", []), "quadratic"), RANGE)
    assert np.isnan([found.statistic, found.p, found.flat_p]).all()
    assert not found.curvature_negative


# ---- the optimum by complexity ----------------------------------------------------------
def test_optima_are_the_vertices_at_minus_one_zero_and_one() -> None:
    b = (1.2, -0.3, 0.2, 0.05)
    found = quadratic_shift(with_coefficients(*b), RANGE)
    assert [item.c for item in found.optima] == [-1, 0, 1]
    for item in found.optima:
        assert item.log2_k == pytest.approx(vertex(b, item.c))
        assert item.k == pytest.approx(2 ** vertex(b, item.c))
        assert np.log2([item.ci_low, item.ci_high]) == pytest.approx(
            item.log2_k + np.array([-1, 1]) * 1.959964 * item.se
        )
        assert np.isnan([item.bootstrap_low, item.bootstrap_high]).all()
        assert not item.beyond
    assert (found.vertex_low, found.vertex_high) == pytest.approx(
        (found.optima[0].log2_k, found.optima[2].log2_k)
    )
    narrow = quadratic_shift(with_coefficients(*b), (-0.5, 2.0))
    assert [item.beyond for item in narrow.optima] == [True, False, False]


@pytest.mark.parametrize("c", [-1, 0, 1])
def test_error_of_an_optimum_agrees_with_simulation(c: int) -> None:
    b, se = (1.2, -0.3, 0.2, 0.05), 0.002
    found = quadratic_shift(with_coefficients(*b, se=se), RANGE).optima[c + 1]
    draws = np.random.default_rng(0).normal(b, se, (200_000, 4)).T
    vertices = -(draws[0] + c * draws[2]) / (2 * (draws[1] + c * draws[3]))
    assert found.se == pytest.approx(vertices.std(), rel=0.02)


def test_optima_of_noiseless_scores_and_of_simulated_ones() -> None:
    exact = quadratic_shift(fit_curve(noiseless(2.0, 0.4), "quadratic"), RANGE)
    assert [item.k for item in exact.optima] == pytest.approx([2**1.6, 4, 2**2.4], rel=1e-6)
    table = simulate(lambda x, z: 2 - 0.5 * (x - 2 - 0.5 * z) ** 2, n_images=200, seed=4)
    fitted = fit_curve(data_of(table, "objects", []), "quadratic")
    found = quadratic_shift(fitted, RANGE, np.random.default_rng(1))
    for item in found.optima:
        assert item.ci_low < 2 ** (2 + 0.5 * item.c) < item.ci_high
        assert item.bootstrap_low < 2 ** (2 + 0.5 * item.c) < item.bootstrap_high
        width = np.log2(item.ci_high / item.ci_low)
        assert np.log2(item.bootstrap_high / item.bootstrap_low) == pytest.approx(width, rel=0.2)


def test_optima_do_not_depend_on_where_x_and_c_are_centred() -> None:
    data = data_of(simulate(lambda x, z: 2 - 0.5 * (x - 2 - 0.5 * z) ** 2, seed=4), "objects", [])

    def optima(changed: CurveData) -> list[tuple[float, ...]]:
        fitted = fit_curve(changed, "quadratic")
        found = quadratic_shift(fitted, RANGE, np.random.default_rng(1)).optima
        return [(o.k, o.ci_low, o.ci_high, o.bootstrap_low, o.bootstrap_high) for o in found]

    one = np.array(optima(data))
    doubled = optima(replace(data, k=2 * data.k, ks=tuple(2 * k for k in KS)))
    np.testing.assert_allclose(doubled, 2 * one, rtol=1e-5)
    np.testing.assert_allclose(optima(replace(data, c=-data.c)), one[::-1], rtol=1e-6)
    # One SD further is where the top at 0 was.
    moved = optima(replace(data, c=data.c + 1))
    np.testing.assert_allclose(moved[1:], one[:2], rtol=1e-5)


def test_where_the_curve_bends_upward_there_is_no_optimum() -> None:
    mixed = quadratic_shift(with_coefficients(1.0, -0.1, 0.1, 0.2), RANGE)
    assert [item.c for item in mixed.optima] == [-1, 0]
    convex = quadratic_shift(with_coefficients(-1.0, 0.3, 0.1, 0.0), RANGE)
    assert convex.optima == ()
    # Nearly straight: bounds beyond any k are no numbers for a reader, and no error.
    straight = quadratic_shift(with_coefficients(1.0, -1e-6, 0.0, 0.0), RANGE)
    assert straight.optima[0].to_dict()["ci_high"] is None
