"""The mixed-model opinion: rung, tests, conditional and averaged optima, and when there is none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from optimum_cases import simulate, tertiles
from scipy.special import expit
from typer.testing import CliRunner

from analysis.cli import app
from analysis.mixed import predict
from analysis.mixed.ladder import fit_ladder
from analysis.optimum import analyse
from analysis.optimum.curves import CurveData, prepare, standardise
from analysis.optimum.rung import (
    RUNGS,
    averaged_rows,
    climb,
    fixed_part,
    observed,
    optimum_at,
    population,
    population_top,
    ready_frame,
    why_not,
)
from analysis.shift import shift_of_table, shift_text

KS = (1, 2, 4, 8, 16)


def study(
    n_images: int = 150,
    *,
    image: tuple[float, float] = (0.8, 0.5),
    question: tuple[float, float] = (1.0, 0.5),
    shift: float = 0.0,
    ks: tuple[int, ...] = KS,
    seed: int = 1,
) -> pd.DataFrame:
    """Simulate answers with slopes in log2 k by image and by question."""
    rng = np.random.default_rng(seed)
    i, q, k = (part.ravel() for part in np.indices((n_images, 4, len(ks))))
    inner = i * 4 + q
    x, c = np.log2(ks)[k], rng.normal(size=n_images)
    by_image = rng.normal(size=(n_images, 2)) * image
    by_question = rng.normal(size=(n_images * 4, 2)) * question
    eta = (
        1 - 0.4 * c[i] - 0.3 * (x - 2 - shift * c[i]) ** 2 + by_image[i, 0] + by_question[inner, 0]
    )
    eta = eta + (by_image[i, 1] + by_question[inner, 1]) * (x - 2)
    return pd.DataFrame(
        {
            "model": "m",
            "image_id": [f"i{number:04d}" for number in i],
            "sample_id": [f"s{number:05d}" for number in inner],
            "k": np.asarray(ks)[k],
            "score": (rng.uniform(size=len(x)) < expit(eta)).astype(float),
            "kind": np.array(["count", "color"])[q % 2],
            "c": c[i],
        }
    )


def ready(table: pd.DataFrame, *covariates: str) -> CurveData:
    c = table.drop_duplicates("image_id").set_index("image_id")["c"]
    return prepare(table, standardise(c), list(covariates))


@pytest.mark.parametrize(("level", "top"), [(0.0, 0.49), (1.5, 0.20), (3.0, -0.04)])
def test_averaging_moves_a_conditional_optimum(level: float, top: float) -> None:
    # Slopes of SD .5, intercepts of SD 2, correlation .5; the conditional optimum is at .50,
    # with the logit falling by .2 per squared doubling from it.
    spread = np.zeros((3, 3))
    spread[:2, :2] = [[4.0, 0.5], [0.5, 0.25]]
    grid = np.linspace(-2, 2, 9)
    found = population_top(grid, (0.2, -0.2), np.array([level]), np.ones(1), spread)
    assert found is not None
    assert round(found, 2) == top
    still = population_top(grid, (0.2, -0.2), np.array([level]), np.ones(1), np.zeros((3, 3)))
    assert still == pytest.approx(0.5, abs=1e-4)


def test_averages_are_those_of_draws() -> None:
    spread = np.array([[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 0.2]])
    draws = np.random.default_rng(2).multivariate_normal(np.zeros(3), spread, 400_000)
    x, logits = np.array([0.0, 1.0, 2.0]), np.array([[0.5, -1.0], [1.0, 0.0], [2.0, 0.3]])
    effects = draws @ np.array([np.ones(3), x, x**2])
    by_hand = [
        0.25 * expit(logits[i, 0] + effects[:, i]).mean()
        + 0.75 * expit(logits[i, 1] + effects[:, i]).mean()
        for i in range(3)
    ]
    found = population(x, logits, np.array([0.25, 0.75]), spread)
    np.testing.assert_allclose(found, by_hand, atol=2e-3)


def test_the_ladder_is_the_one_that_ends_before_intercepts_alone() -> None:
    assert RUNGS == (
        "(1 + x + I(x**2) | image) + (1 + x | image:question)",
        "(1 + x | image) + (1 + x | image:question)",
        "(1 + x | image) + (1 | image:question)",
    )


def test_the_rung_kept_is_the_richest_that_holds_and_says_why_others_were_left() -> None:
    table = study()
    found = climb(ready(table, "kind"), table["sample_id"])
    assert found.reason is None
    assert found.held
    assert found.rung == RUNGS[1]
    assert list(found.left) == [RUNGS[0]]
    assert all(reason.startswith("singular") for reason in found.left.values())
    assert found.formula == f"score ~ (x + I(x**2)) * c + kind + {RUNGS[1]}"
    assert (found.interaction.df, found.no_shift.df) == (2, 1)
    assert "chi-square with 1 df" in found.no_shift.method
    assert [item.c for item in found.optima] == [-1, 0, 1]
    json.dumps(found.to_dict())


def test_optima_agree_with_predictions_of_the_fit() -> None:
    table = study(shift=0.6, seed=3)
    data = ready(table, "kind")
    frame = ready_frame(data, table["sample_id"])
    fitted = fit_ladder(fixed_part(data), frame, RUNGS, family="binomial").kept
    found = optimum_at(data, fitted, 1.0)
    rows = pd.DataFrame(
        [
            {"x": np.log2(k), "c": 1.0, "z0": z, "image": 0, "question": 0}
            for k in KS
            for z in (0.0, 1.0)
        ]
    )
    averaged = predict(fitted, rows, kind="population").reshape(len(KS), 2).mean(axis=1)
    np.testing.assert_allclose(list(found.accuracy.values()), averaged, rtol=1e-9)
    assert found.marginal_k == KS[int(np.argmax(averaged))]
    fixed = predict(fitted, rows, kind="fixed", scale="link").reshape(len(KS), 2)[:, 0]
    assert found.conditional_k == KS[int(np.argmax(fixed))]
    at = np.polyfit(np.log2(KS), fixed, 2)
    assert found.conditional_vertex == pytest.approx(-at[1] / (2 * at[0]))
    # The averaged top is where the averaged curve is highest.
    fine = np.linspace(0, 4, 401)
    rows = pd.concat(
        [rows.iloc[[0]].assign(x=x, z0=z) for x in fine for z in (0.0, 1.0)], ignore_index=True
    )
    curve = predict(fitted, rows, kind="population").reshape(401, 2).mean(axis=1)
    assert found.marginal_vertex == pytest.approx(fine[np.argmax(curve)], abs=0.02)
    # And averages over the rows come near what was seen.
    own = pd.Series(predict(fitted, frame, kind="population")).groupby(data.k).mean()
    np.testing.assert_allclose(averaged_rows(data, fitted), own, rtol=1e-9)
    np.testing.assert_allclose(averaged_rows(data, fitted), observed(data), atol=0.02)


def test_a_shift_is_seen() -> None:
    table = study(shift=0.7, seed=4)
    found = climb(ready(table), table["sample_id"])
    assert found.no_shift.p is not None
    assert found.no_shift.p < 0.001
    tops = [item.conditional_vertex for item in found.optima]
    assert None not in tops
    assert tops == sorted(tops)
    assert found.optima[0].marginal_k < found.optima[-1].marginal_k


def test_reasons_of_the_quadratic_take_the_constrained_test_away() -> None:
    table = study(seed=5)
    reason = "no size of shift is given: the quadratic does not fit."
    found = climb(ready(table), table["sample_id"], [reason])
    assert found.no_shift.p is None
    assert found.no_shift.method == "not given: the quadratic does not fit."
    assert found.common_vertex is None
    assert found.interaction.p is not None


def test_no_rung_holds_no_test() -> None:
    table = study(100, image=(0.0, 0.0), seed=6)
    found = climb(ready(table), table["sample_id"])
    assert not found.held
    assert len(found.left) == 3
    assert found.interaction.p is None
    assert found.no_shift.p is None
    assert "no rung" in found.no_shift.method
    assert len(found.optima) == 3


def test_where_no_mixed_model_is_fitted_it_says_why() -> None:
    table = study(40)
    soft = table.assign(score=table["score"] * 0.6)
    assert "quasi-likelihood" in str(climb(ready(soft), soft["sample_id"]).reason)
    two = table[table["k"] < 4]
    assert "three values of k" in str(climb(ready(two), two["sample_id"]).reason)
    often = study(60, question=(15.0, 0.1), seed=7)
    data = ready(often)
    found = climb(data, often["sample_id"])
    assert "answered alike at every k" in str(found.reason)
    assert found.lines() == [f"mixed model: {found.reason}"]
    assert why_not(data, ready_frame(data, often["sample_id"]), 1.0) is None
    always = table.assign(score=table["score"].where(table["kind"] == "color", 1.0))
    separated = climb(ready(always, "kind"), always["sample_id"])
    assert "separation" in str(separated.reason)


def test_the_answer_holds_it_only_when_asked_and_is_otherwise_the_same() -> None:
    table = simulate(lambda x, z: 1 - 0.4 * (x - 2 - 0.5 * z) ** 2, n_images=90, sticky=0.3)
    labels = tertiles(table)
    (without,) = analyse(table, "objects", labels, n_boot=50)
    (with_it,) = analyse(table, "objects", labels, n_boot=50, mixed_model=True)
    assert without.rung is None
    assert with_it.rung is not None
    one, other = without.to_dict(), with_it.to_dict()
    assert one.pop("mixed_model") is None
    spelled = other.pop("mixed_model")
    assert one == other
    assert spelled == with_it.rung.to_dict()


def test_optik_shift_says_it_and_can_leave_it_out(tmp_path) -> None:  # type: ignore[no-untyped-def]
    table = study(90, shift=0.6, seed=8)
    path = tmp_path / "table.parquet"
    table.to_parquet(path)
    text = shift_text(shift_of_table(table, "c"))
    assert f"  mixed model, {RUNGS[1]}: " in text
    assert "conditional (the average image and question)" in text
    shown = CliRunner().invoke(app, ["shift", str(path), "--complexity", "c", "--json"])
    (answer,) = json.loads(shown.stdout)
    assert answer["mixed_model"]["rung"] == RUNGS[1]
    assert set(answer["mixed_model"]["optima"][0]["accuracy"]) == {str(k) for k in KS}
    arguments = ["shift", str(path), "--complexity", "c", "--json", "--no-mixed-model"]
    (left_out,) = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert left_out["mixed_model"] is None
