"""Where a slope's column has its zero and its unit must not matter."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.mixed import MixedFit, fit, predictions, random_effects
from analysis.mixed.coordinates import covariances, row_variances, transforms_of
from analysis.mixed.design import RandomBlock

GOLDEN = Path(__file__).parent / "golden"
MOVES = [(1.0, 2000.0), (1.0, 1e4), (1.0, 1e6), (1e3, 0.0), (1e-2, 2000.0), (-1.0, 50.0)]
MODELS = {
    "linear": "ms ~ x * c + (1 + x | image) + (1 | image:question)",
    "crossed": "ms ~ x + c + (1 | image) + (x | model)",
    "logistic": "y ~ x + c + (1 + x | image) + (1 | model)",
}


@functools.cache
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    image = np.repeat(np.arange(40), 24)
    n = len(image)
    x, c, model = rng.normal(size=n), rng.normal(size=40)[image], np.arange(n) % 8
    b = rng.multivariate_normal([0, 0], [[1.0, 0.3], [0.3, 0.5]], 40)[image]
    m = rng.multivariate_normal([0, 0], [[0.3, -0.1], [-0.1, 0.2]], 8)[model]
    eta = 0.4 + 0.6 * x - 0.3 * c + b[:, 0] + m[:, 0] + (b[:, 1] + m[:, 1]) * x
    question = np.arange(n) // 4
    return pd.DataFrame(
        {
            "image": image,
            "question": question,
            "model": model,
            "x": x,
            "c": c,
            "ms": eta + 0.5 * rng.normal(size=question.max() + 1)[question] + rng.normal(size=n),
            "y": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
        }
    )


@functools.cache
def fitted(name: str, unit: float = 1.0, shift: float = 0.0) -> MixedFit:
    moved = data().assign(x=unit * data().x + shift)
    return fit(MODELS[name], moved, family="binomial" if name == "logistic" else "gaussian")


def back(names: tuple[str, ...], unit: float, shift: float) -> np.ndarray[Any, Any]:
    """From coefficients of the moved columns to those of the columns before."""
    whole = np.eye(len(names))
    for j, name in enumerate(names):
        if "x" in name:
            whole[j, j] = unit
            rest = {"x": "Intercept", "x:c": "c"}[name]
            whole[names.index(rest), j] = shift
    return whole


@pytest.mark.parametrize("move", MOVES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_slopes_zero_and_unit_do_not_matter(name: str, move: tuple[float, float]) -> None:
    one, two = fitted(name), fitted(name, *move)
    assert one.converged
    assert two.converged
    # Of whole numbers as far from zero as 1e6 the last six digits are gone.
    lost = 1e-9 * max(1.0, abs(move[1]) / move[0])
    to = back(one.names, *move)
    np.testing.assert_allclose(two.loglik, one.loglik - lost_to_units(name, move), atol=1e-6)
    np.testing.assert_allclose(to @ two.params, one.params, rtol=1e-5, atol=1e-5 + lost)
    np.testing.assert_allclose(
        np.diag(to @ two.cov @ to.T) / np.diag(one.cov), 1, rtol=1e-4 + 100 * lost
    )
    slopes = [j for j, n in enumerate(one.names) if "x" in n]
    np.testing.assert_allclose(np.abs(two.tvalues[slopes]), np.abs(one.tvalues[slopes]), rtol=1e-4)
    if one.df is not None:
        assert isinstance(one.df, np.ndarray)
        assert isinstance(two.df, np.ndarray)
        np.testing.assert_allclose(two.df[slopes], one.df[slopes], rtol=1e-3)
        zero = two.wald_test(to[[0]])
        np.testing.assert_allclose(zero.df_denom, one.df[0], rtol=1e-3)
    assert one.model is not None
    assert two.model is not None
    for block, before, after in zip(
        one.model.design.random, one.model.covariances, two.model.covariances, strict=True
    ):
        turn = back(block.names, *move)
        size = np.sqrt(np.outer(np.diag(before), np.diag(before)))
        np.testing.assert_allclose(
            (turn @ after @ turn.T - before) / size, 0, atol=1e-4 + 1e3 * lost * abs(move[1])
        )


def lost_to_units(name: str, move: tuple[float, float]) -> float:
    """REML counts the fixed columns' units: log |X'X| / 2 moves with them."""
    columns = sum("x" in n for n in fitted(name).names)
    return 0.0 if name == "logistic" else columns * float(np.log(abs(move[0])))


@pytest.mark.parametrize("name", ["linear", "logistic"])
def test_what_is_made_of_a_fit_does_not_mind_either(name: str) -> None:
    one, two = fitted(name), fitted(name, 1.0, 1e4)
    frames = [random_effects(found) for found in (one, two)]
    slopes = [frame[frame["term"] == "x"] for frame in frames]
    np.testing.assert_allclose(slopes[1]["mode"], slopes[0]["mode"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(slopes[1]["sd"], slopes[0]["sd"], rtol=1e-4)
    rows = data().head(20)
    there = [
        predictions(one, rows, kind="population"),
        predictions(two, rows.assign(x=rows.x + 1e4), kind="population"),
    ]
    for column in ("prediction", "se", "ci_low", "ci_high"):
        np.testing.assert_allclose(there[1][column], there[0][column], rtol=1e-4)
    if name == "linear":
        np.testing.assert_allclose(there[1]["df"], there[0]["df"], rtol=1e-3)


def test_variances_of_rows_are_those_of_the_covariances() -> None:
    rng = np.random.default_rng(1)
    columns = [np.c_[np.ones(50), rng.normal(size=(50, 2)) + 3], rng.normal(size=(50, 1))]
    blocks = [
        RandomBlock("g", tuple("abc")[: part.shape[1]], part, np.arange(50) % 5, 5)
        for part in columns
    ]
    transforms = transforms_of(blocks)
    for part, transform in zip(columns, transforms, strict=True):
        basis = part @ np.linalg.inv(transform)
        np.testing.assert_allclose(basis.T @ basis / 50, np.eye(part.shape[1]), atol=1e-10)
    theta = rng.normal(size=7)
    found = covariances(theta, transforms, 2.0)
    variance, slope = row_variances(theta, transforms, columns, 2.0)
    whole = sum(
        np.einsum("ni,ij,nj->n", part, covariance, part)
        for part, covariance in zip(columns, found, strict=True)
    )
    np.testing.assert_allclose(variance, whole, rtol=1e-10)
    steps = 1e-6 * np.eye(7)
    ways = [
        (
            row_variances(theta + h, transforms, columns, 2.0)[0],
            row_variances(theta - h, transforms, columns, 2.0)[0],
        )
        for h in steps
    ]
    expected = np.column_stack([(up - down) / 2e-6 for up, down in ways])
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-6)


def test_dependent_columns_of_a_block_are_scaled_alone() -> None:
    x = np.linspace(1, 2, 30)
    block = RandomBlock("g", ("a", "b"), np.c_[x, 2 * x], np.arange(30) % 3, 3)
    (transform,) = transforms_of([block])
    length = np.sqrt((x**2).mean())
    np.testing.assert_allclose(transform, np.diag([length, 2 * length]))


def test_a_limit_that_lies_far_from_zero_is_found() -> None:
    # lme4's cake: with temperatures as they are, the correlation stops short of one.
    cake = pd.read_csv(GOLDEN / "glmm" / "cake.csv")
    formula = "angle ~ recipe + t + (t | replicate) + (1 | recipe:replicate)"
    for zero in (0.0, 200.0):
        found = fit(formula, cake.assign(t=cake.temperature - zero))
        np.testing.assert_allclose(found.loglik, -826.94875, atol=1e-4)
        assert found.singular
        assert found.random[3].sd_or_corr == pytest.approx(1, abs=1e-6)
