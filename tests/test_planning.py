"""Simulated studies of known truth, pilots, and the power that they foretell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import expit
from statsmodels.stats.proportion import proportion_confint
from typer.testing import CliRunner

from analysis.cli import app
from analysis.planning.components import both
from analysis.planning.detectable import NOT_REACHED, SMALLEST, detectable, monotone, wilson
from analysis.planning.evaluate import headline, judge, projected_slope
from analysis.planning.pilot import pilot_scenario
from analysis.planning.power import Power, power
from analysis.planning.scenario import Drawn, Scenario, averaged, draw, slices
from analysis.planning.stated import stated_scenario
from analysis.planning.truth import truth
from analysis.report import figures
from complexity.errors import InputError

KS = (1, 2, 4, 8, 16)
PEAK = Scenario(400, 2, KS, bend=0.4, averaged=True)
MEASURED = replace(
    PEAK,
    shape="measured",
    knots=((0.0, -1.5), (1.0, -0.3), (2.0, 0.0), (3.0, -0.2), (4.0, -0.9)),
    complexity="measured",
    values=tuple(float(v) for v in stats.norm.ppf((np.arange(60) + 0.5) / 60)),
    origin=2.0,
    averaged=True,
    image_corr=0.5,
    question_corr=-0.6,
)
WORLDS = {
    "peak": replace(PEAK, shift=0.5),
    "logits move": replace(PEAK, shift=0.5, averaged=False),
    "floor": replace(PEAK, floor=0.5, shift=0.5),
    "soft": replace(PEAK, soft=True),
    "skewed": replace(PEAK, complexity="skewed", shift=-0.4),
    "rising": replace(PEAK, shape="rising", bend=1.0, steeper=0.3),
    "measured": replace(MEASURED, shift=0.6),
    "measured, wide": replace(MEASURED, image_sd=(4.0, 2.0), question_sd=(9.0, 5.0), shift=0.3),
}


def table_of(drawn: Drawn, model: str = "m") -> pd.DataFrame:
    image, question, k = (part.ravel() for part in np.indices(drawn.scores.shape))
    return pd.DataFrame(
        {
            "model": model,
            "image_id": [f"i{i:05d}" for i in image],
            "sample_id": [f"i{i:05d}_{q}" for i, q in zip(image, question, strict=True)],
            "k": np.asarray(drawn.cells.ks)[k],
            "score": drawn.scores.ravel(),
            "objects": drawn.c[image],
        }
    )


def sample(scenario: Scenario, seed: int) -> pd.DataFrame:
    return table_of(draw(scenario, np.random.default_rng(seed)))


def optik(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_true_is_what_draws_average_to(name: str) -> None:
    world = replace(WORLDS[name], n_images=30_000, n_questions=1)
    drawn = draw(world, np.random.default_rng(5))
    order = np.argsort(drawn.c, kind="stable")
    known = truth(world)
    for part, expected in ((order[:10_000], known.low), (order[-10_000:], known.high)):
        np.testing.assert_allclose(drawn.scores[part, 0].mean(axis=0), expected, atol=0.019)


@pytest.mark.parametrize("spread", [0.2, 0.99, 1.01, 3.0, 40.0])
def test_averages_over_random_effects_are_exact(spread: float) -> None:
    for logit in (-2.0, 0.3, 5.0):
        exact = integrate.quad(
            lambda z, h=logit: expit(h + spread * z) * stats.norm.pdf(z),
            -12,
            12,
            points=[float(np.clip(-logit / spread, -11, 11))],
            epsabs=1e-12,
            limit=400,
        )[0]
        found = averaged(np.array([[logit]]), np.array([spread]))[0, 0]
        assert found == pytest.approx(exact, abs=1e-9)


def test_a_measured_curve_moves_as_a_whole() -> None:
    world = replace(MEASURED, main=0.0, ks=(2, 4, 8), shift=1.0, question_sd=(3.0, 1.0))
    # One doubling per SD: at c = 1 the curve stands one k of the grid further.
    moved, still = world.accuracy(np.array([1.0, 0.0]))
    np.testing.assert_allclose(moved[1:], still[:-1], rtol=1e-12)


def test_a_main_effect_moves_no_optimum_however_answers_spread() -> None:
    world = replace(MEASURED, main=-3.0, question_sd=(5.0, 2.5), question_corr=0.8)
    best = world.accuracy(np.array([-1.5, 0.0, 1.5])).argmax(axis=1)
    assert len(set(best)) == 1
    logits = replace(world, averaged=False).accuracy(np.array([-1.5, 0.0, 1.5])).argmax(axis=1)
    assert len(set(logits)) > 1, "the premise: main effects do move optima elsewhere"


@pytest.mark.parametrize("name", ["peak", "rising", "measured"])
def test_another_grid_sees_the_same_world(name: str) -> None:
    world = WORLDS[name]
    c = np.array([-1.0, 0.5])
    other = world.on_grid((2, 3, 8))
    np.testing.assert_allclose(
        other.accuracy(c)[:, [0, 2]], world.accuracy(c)[:, [1, 3]], rtol=1e-12
    )


def test_a_curve_is_not_guessed_beyond_what_was_measured() -> None:
    with pytest.raises(InputError, match="k = 32 lies outside the 1 to 16"):
        MEASURED.on_grid((2, 32))


@pytest.mark.parametrize(
    "change",
    [
        {"image_sd": (-1.0, 0.0)},
        {"image_corr": 1.5},
        {"right_scores": (1.0,)},
        {"shape": "measured"},
        {"complexity": "measured"},
        {"floor": 1.0},
        {"ks": (4, 2)},
        {"n_images": 3},
    ],
)
def test_an_impossible_world_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(PEAK, **change)


def test_the_projected_slope_of_a_quadratic_truth_is_its_shift() -> None:
    plain = replace(PEAK, shift=0.37, image_sd=(0.0, 0.0), question_sd=(0.0, 0.0))
    c = slices(plain, 200)
    c = (c - c.mean()) / c.std(ddof=1)
    assert projected_slope(c, plain.accuracy(c), KS) == pytest.approx(0.37, abs=0.02)


def test_the_two_tests_alone_say_what_all_tests_say() -> None:
    drawn = draw(replace(PEAK, shift=0.8), np.random.default_rng(1))
    short, long = (f(drawn, np.random.default_rng(2)) for f in (headline, judge))
    assert (short.shift, short.kept) == (long.common.p, long.common.kept)
    assert short.interaction == long.interaction


def test_bivariate_normal_probabilities_are_scipys() -> None:
    tau = np.array([-1.2, 0.4, 2.0])
    for rho in (-0.9, 0.0, 0.5, 0.98):
        found = both(tau, np.full((3, 3), rho))
        for i in range(3):
            for j in range(3):
                exact = stats.multivariate_normal.cdf(tau[[i, j]], cov=[[1, rho], [rho, 1]])
                assert found[i, j] == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "method"),
    [
        ({}, "C(k) * c + (1 + x"),
        ({"soft": True}, "moments"),
        ({"floor": 0.3}, "moments"),
        ({"level": 3.5, "n_images": 800}, "moments"),
        ({"n_questions": 1, "n_images": 900}, "(1 + x | image_id)"),
        ({"complexity": "skewed"}, "C(k) * c + (1 + x"),
    ],
)
def test_a_pilot_gives_back_its_world(change: dict[str, Any], method: str) -> None:
    world = replace(PEAK, **{"n_images": 500, "n_questions": 3, "main": -0.6} | change)
    pilot = pilot_scenario(sample(world, 3), "objects", floor=world.floor)
    found = pilot.scenario
    assert method in pilot.method
    # The accuracy that it measured, averaged over everybody.
    c = slices(found, 500)
    np.testing.assert_allclose(found.accuracy(c).mean(axis=0), pilot.accuracy, atol=3e-4)
    # As noisy as the pilot, and as the truth.
    assert 0.85 < pilot.noise < 1.15
    fresh = [
        np.mean(
            [np.diag(draw(w, np.random.default_rng(i)).cells.covariance()) for i in range(15)], 0
        )
        for w in (found, world)
    ]
    np.testing.assert_allclose(fresh[0], fresh[1], rtol=0.2)
    assert found.main == pytest.approx(-0.6, abs=0.3)
    # Moved, it says what the world says; its outermost k rest on straight lines.
    known, guess = truth(replace(world, shift=0.8)), truth(replace(found, shift=0.8))
    np.testing.assert_allclose(guess.low[:4], known.low[:4], atol=0.05)
    np.testing.assert_allclose(guess.high[1:], known.high[1:], atol=0.05)


def test_a_pilot_of_fixed_answers_still_has_a_scenario() -> None:
    # Greedy decoding: nearly every question is right, or wrong, at every k.
    world = replace(PEAK, n_images=200, n_questions=3, level=20.0, question_sd=(25.0, 6.0), bend=4)
    pilot = pilot_scenario(sample(world, 4), "objects")
    assert "moments" in pilot.method
    assert 0.8 < pilot.noise < 1.2


def test_one_question_for_each_image_is_said() -> None:
    pilot = pilot_scenario(sample(replace(PEAK, n_questions=1), 1), "objects")
    assert pilot.scenario.question_sd == (0.0, 0.0)
    assert any("one question for each image" in warning for warning in pilot.warnings)


def two_models(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.assign(model="other")])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (two_models, {}, "choose one"),
        (two_models, {"model": "othr"}, "did you mean 'other'"),
        (lambda t: t[t["k"] == 2], {}, "1 k"),
        (lambda t: t[t["image_id"] < "i00004"], {}, "six images"),
        (lambda t: t.assign(objects=1.0), {}, "more than one complexity"),
        (lambda t: t.drop(columns="objects"), {}, "no column 'objects'"),
        (lambda t: t.assign(score=0.0), {"floor": 0.25}, "name a lower floor"),
        (lambda t: t.assign(score=2.0), {}, r"\[0, 1\]"),
    ],
)
def test_a_table_that_is_no_pilot_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], options: dict[str, Any], message: str
) -> None:
    table = sample(replace(PEAK, n_images=30), 1)
    with pytest.raises(InputError, match=message):
        pilot_scenario(change(table), "objects", **options)


def test_stated_effects_have_the_stated_accuracy() -> None:
    world = stated_scenario(KS, accuracy=0.8, bend=0.3, peak=8, floor=0.25, main=-0.7)
    at_best = world.accuracy(slices(world, 400)).mean(axis=0)
    assert at_best[3] == pytest.approx(0.8, abs=0.002)
    assert truth(world).best_low == truth(world).best_high == 8
    for wrong in ({"accuracy": 0.2}, {"peak": 32}, {"bend": -1.0}, {"peak": 0}):
        with pytest.raises(InputError):
            stated_scenario(KS, **{"floor": 0.25, **wrong})


def test_wilsons_interval_is_that_of_statsmodels() -> None:
    for found, n in ((0, 40), (7, 40), (400, 400)):
        expected = proportion_confint(found, n, method="wilson")
        assert wilson(found, n) == pytest.approx(expected, abs=1e-12)


def test_violators_are_pooled() -> None:
    pooled = monotone(np.array([0.1, 0.4, 0.2, 0.9]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(pooled, [0.1, 0.25, 0.25, 0.9])


def test_the_smallest_shift_found_is_interpolated() -> None:
    found = detectable([0.8, 0.0, 0.4], [100, 0, 60], [100] * 3)
    assert found.shift == pytest.approx(0.6)
    assert found.low < 0.6 < found.high
    down = detectable([0.0, -0.4, -0.8], [0, 60, 100], [100] * 3)
    assert down.shift == pytest.approx(-0.6)
    assert detectable([0.0, 0.4], [0, 60], [100] * 2).remark == NOT_REACHED
    early = detectable([0.4, 0.8], [90, 100], [100] * 2)
    assert (early.shift, early.remark) == (0.4, SMALLEST)


@pytest.fixture(scope="module")
def planned() -> Power:
    return power(
        replace(PEAK, bend=0.5),
        images=[150, 600],
        questions=[2],
        ks=[KS],
        shifts=[0.0, 0.7, 1.0],
        n_sets=60,
    )


def test_power_rises_with_images_and_with_the_shift(planned: Power) -> None:
    shares = planned.cells.pivot_table(index="n_images", columns="shift", values="power")
    assert (shares.loc[600] >= shares.loc[150]).all()
    assert shares.loc[600, 1.0] > shares.loc[600, 0.7] > shares.loc[600, 0.0]
    assert shares.loc[600, 1.0] > 0.75


def test_without_a_shift_the_tests_hold_their_level(planned: Power) -> None:
    null = planned.cells[planned.cells["shift"] == 0]
    assert not null["moves"].any()
    assert (null["best_low"] == null["best_high"]).all()
    assert (null["power"] <= 0.05).all()
    assert (null["interaction"] <= 0.15).all()


def test_adding_designs_or_workers_changes_no_cell(planned: Power) -> None:
    wider = power(
        replace(PEAK, bend=0.5),
        images=[600, 60],
        questions=[1, 2],
        ks=[(1, 4, 16), KS],
        shifts=[0.7],
        n_sets=60,
        workers=2,
    )
    key = ["ks", "n_questions", "n_images", "shift"]
    both_have = planned.cells.merge(wider.cells, on=key, suffixes=("", "_again"))
    assert len(both_have) == 1
    row = both_have.iloc[0]
    for name in ("power", "interaction", "kept", "best_low"):
        assert row[name] == row[f"{name}_again"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "at least one value of images"),
        ({"images": [5]}, "too few to cut into thirds"),
        ({"images": [50, 50]}, "twice"),
        ({"questions": [0]}, "needs a question"),
        ({"shifts": [-0.4, 0.4]}, "both signs"),
        ({"shifts": [float("nan")]}, "number of doublings"),
        ({"ks": [(4,)]}, "k grid"),
        ({"n_sets": 0}, "one set"),
    ],
)
def test_a_grid_that_cannot_be_simulated_is_refused(change: dict[str, Any], message: str) -> None:
    asked: dict[str, Any] = {"images": [50], "questions": [1], "ks": [KS], "shifts": [0.0]}
    with pytest.raises(InputError, match=message):
        power(PEAK, **asked | {"n_sets": 1} | change)


def test_the_figure_marks_shifts_that_move_nothing(planned: Power, tmp_path: Path) -> None:
    fig = figures.power_curves(planned.cells)
    lines = [line for ax in fig.axes for line in ax.get_lines() if len(line.get_xdata()) == 1]
    assert {line.get_markerfacecolor() for line in lines} >= {"white"}
    assert len(figures.save(fig, tmp_path / "power")) == 3


SMALL = ["--images", "60,90", "--questions", "2", "--shift", "0,1", "--sets", "40", "--bend", "0.5"]


def test_the_command_writes_what_it_says(tmp_path: Path) -> None:
    done = optik("power", "-o", tmp_path / "p", *SMALL, "--sets", 5, "--workers", 1, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said == json.loads((tmp_path / "p" / "power.json").read_text(encoding="utf-8"))
    assert len(said["cells"]) == 4
    assert len(said["detectable"]) == 2
    for name in ("power", "detectable"):
        for suffix in ("csv", "md", "tex"):
            assert (tmp_path / "p" / f"{name}.{suffix}").is_file()
    for suffix in ("pdf", "svg", "png"):
        assert (tmp_path / "p" / "figures" / f"power.{suffix}").is_file()
    record = json.loads((tmp_path / "p" / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["study"]) == ("finished", "optik power")


def test_the_command_takes_a_pilot(tmp_path: Path) -> None:
    table = two_models(sample(replace(PEAK, n_images=60), 2))
    table.to_csv(tmp_path / "pilot.csv", index=False)
    start = ["power", tmp_path / "pilot.csv", "-o", tmp_path / "p"]
    about = ["--complexity", "objects", "--model", "other"]
    rest = ["--images", 60, "--shift", "0,1", "--sets", 3, "--workers", 1]
    done = optik(*start, *about, *rest)
    assert done.exit_code == 0, done.output
    assert "Pilot: other by objects" in done.output
    assert "k = 1, 2, 4, 8 and 16" in done.output
    assert "in 80 % of studies" in done.output
    for wrong, message in (
        ([*start, *rest], "--complexity"),
        ([*start, *about[:2], *rest], "choose one"),
        ([*start, *about, *rest, "--bend", 0.2], "--bend: taken from the pilot"),
        ([*start, *about, *rest, "--k", "1,32"], "k = 32 lies outside"),
        ([*start, *about, *rest, "--shift", "some"], "--shift some"),
        (["power", "-o", tmp_path, *rest], "holds files but no run.json"),
        (["power", "-o", tmp_path / "q", "--model", "m"], "--model is about a pilot"),
    ):
        refused = optik(*wrong)
        assert refused.exit_code == 1, refused.output
        assert message in refused.output
    assert optik("power").exit_code == 2
    assert "..." not in optik("--help").output.partition("Commands:")[2]


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "analysis.cli", "power", "-o", str(folder), *SMALL]
        command += ["--workers", "1"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed)

    def finished() -> list[Path]:
        # A name with a point in front is a file that is being written.
        return [path for path in (killed / "cells").glob("*.json") if path.name[0] != "."]

    while process.poll() is None and not finished():
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (killed / "power.csv").exists(), "it was done before it could be killed"
    kept = {path: path.stat().st_mtime_ns for path in finished()}
    assert 0 < len(kept) < 4
    for folder in (killed, whole):
        _, err = (done := start(folder)).communicate()
        assert done.returncode == 0, err.decode()
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())

    def contents(folder: Path) -> dict[str, bytes]:
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "run.json"]
        named = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return {name: data for name, data in named.items() if "/." not in name}

    assert contents(killed) == contents(whole)
