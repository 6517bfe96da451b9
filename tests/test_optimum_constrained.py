"""The constrained likelihood-ratio test: against lme4, brute force and other optimisers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from analysis.mixed import MixedFit, fit
from analysis.optimum.constrained import Whole, constrained, interaction_lrt, no_shift_test

GOLDEN = Path(__file__).parent / "golden" / "constrained"
RANDOM = "(1 + x | image) + (1 | image:question)"


def answers(
    n_images: int = 100,
    *,
    bend: float = 0.3,
    shift: float = 0.0,
    stretch: float = 0.0,
    flat: bool = False,
    seed: int = 1,
) -> pd.DataFrame:
    """Simulate answers whose optimum is 2 + shift · c; with `flat`, of no k at c = 0."""
    rng = np.random.default_rng(seed)
    image, question, k = (part.ravel() for part in np.indices((n_images, 3, 6)))
    x = np.log2([1, 2, 3, 4, 8, 16])[k]
    c = rng.normal(size=n_images)[image]
    curve = -bend * (1 + stretch * c) * (x - 2 - shift * c) ** 2
    if flat:
        curve = -bend * c * (x - 2) ** 2
    by_image = rng.normal(size=(n_images, 2)) * [0.9, 0.5]
    by_question = rng.normal(size=n_images * 3)
    inner = image * 3 + question
    eta = 1 - 0.5 * c + curve + by_image[image, 0] + by_image[image, 1] * (x - 2)
    eta = eta + by_question[inner]
    score = (rng.uniform(size=len(x)) < 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"image": image, "question": inner, "x": x, "c": c, "score": score})


def quadratic(table: pd.DataFrame, random: str = RANDOM) -> MixedFit:
    return fit(f"score ~ (x + I(x**2)) * c + {random}", table, family="binomial")


def at_angle(table: pd.DataFrame, angle: float) -> float:
    """Log-likelihood of the null at one angle: an ordinary model in stretched columns."""
    stretch = np.cos(angle) + np.sin(angle) * table["c"]
    columns = table.assign(u=stretch * table["x"], v=stretch * table["x"] ** 2)
    found = fit(f"score ~ u + v + c + {RANDOM}", columns, family="binomial")
    assert found.loglik is not None
    return found.loglik


def test_lme4_agrees() -> None:
    reference = json.loads((GOLDEN / "answers.json").read_text(encoding="utf-8"))
    table = pd.read_csv(GOLDEN / "answers.csv")
    free = quadratic(table, reference["random"])
    assert free.loglik == pytest.approx(reference["loglik"], abs=1e-4)
    found = constrained(free)
    assert found.loglik == pytest.approx(reference["loglik_null"], abs=1e-4)
    assert found.loglik > reference["loglik_null"] - 1e-5
    assert found.angle == pytest.approx(reference["angle"], abs=1e-3)
    assert found.statistic == pytest.approx(
        2 * (reference["loglik"] - reference["loglik_null"]), abs=2e-4
    )
    test = no_shift_test(found)
    assert test.df == 1
    assert test.p == pytest.approx(stats.chi2.sf(found.statistic, 1))
    both = interaction_lrt(free)
    assert both.statistic == pytest.approx(
        2 * (reference["loglik"] - reference["loglik_without"]), abs=2e-4
    )
    assert (both.df, both.p) == (2, pytest.approx(stats.chi2.sf(both.statistic, 2)))


@pytest.mark.parametrize(
    ("kwargs", "seed"), [({}, 2), ({"shift": 0.5}, 3), ({"stretch": 0.5}, 4), ({"flat": True}, 5)]
)
def test_brute_force_finds_nothing_better(kwargs: dict[str, float], seed: int) -> None:
    table = answers(seed=seed, **kwargs)
    free = quadratic(table)
    assert free.converged
    found = constrained(free)
    assert found.converged
    angles = -np.pi / 2 + np.pi * np.arange(12) / 12
    heights = [at_angle(table, angle) for angle in angles]
    assert found.loglik >= max(heights) - 1e-6
    # At its own angle the profile is as high.
    assert at_angle(table, found.angle) == pytest.approx(found.loglik, abs=1e-4)
    for aside in (-0.01, 0.01):
        assert at_angle(table, found.angle + aside) <= found.loglik + 1e-6
    if "flat" in kwargs:
        # Where neither b1 nor b2 is there to be a divisor.
        assert abs(found.angle) > 1


def test_another_optimiser_ends_at_the_same_place() -> None:
    table = answers(60, shift=0.6, seed=6)
    free = quadratic(table)
    whole, found = Whole(free), constrained(free)
    start = np.r_[whole.theta, whole.params]
    index = len(whole.theta) + np.asarray(whole.curve)

    def contrast(point: np.ndarray) -> float:
        b1, b2, b4, b5 = point[index]
        return float(b1 * b5 - b2 * b4)

    by_lagrange = optimize.minimize(
        whole.deviance,
        start,
        jac=True,
        method="SLSQP",
        constraints={"type": "eq", "fun": contrast},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert contrast(by_lagrange.x) == pytest.approx(0, abs=1e-7)
    assert by_lagrange.fun - whole.value == pytest.approx(found.statistic, abs=1e-3)


def test_the_constrained_curve_keeps_its_vertex() -> None:
    found = constrained(quadratic(answers(shift=0.4, stretch=0.3, seed=7)))
    a1, a2 = found.a
    for c in (-1.0, 0.0, 1.0):
        stretch = np.cos(found.angle) + np.sin(found.angle) * c
        assert -(stretch * a1) / (2 * stretch * a2) == pytest.approx(found.vertex)


def test_origin_and_units_of_k_and_complexity_do_not_matter() -> None:
    table = answers(shift=0.5, seed=8)
    one = constrained(quadratic(table))
    moved = table.assign(x=table["x"] - 2, c=2 * table["c"] + 1)
    other = constrained(quadratic(moved))
    assert other.statistic == pytest.approx(one.statistic, abs=1e-3)
    assert one.vertex is not None
    assert other.vertex == pytest.approx(one.vertex - 2, abs=1e-3)


def test_a_shift_is_seen_and_a_stretch_is_not_taken_for_one() -> None:
    moved = no_shift_test(constrained(quadratic(answers(200, shift=0.8, seed=9))))
    stretched = quadratic(answers(200, stretch=0.6, seed=10))
    assert moved.p is not None
    assert moved.p < 1e-4
    kept, changed = no_shift_test(constrained(stretched)), interaction_lrt(stretched)
    assert kept.p is not None
    assert changed.p is not None
    assert kept.p > 0.05
    assert changed.p < 1e-4


def test_the_null_loses_no_more_than_no_interaction() -> None:
    # Without k × c the optimum stays, so that null is the smaller one.
    for seed in (11, 12, 13):
        free = quadratic(answers(80, seed=seed))
        both = interaction_lrt(free)
        assert both.statistic is not None
        assert constrained(free).statistic <= both.statistic + 1e-4
