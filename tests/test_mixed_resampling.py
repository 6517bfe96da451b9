"""Simulation, refits and bootstraps against fits from nothing, closed forms and each other."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.mixed import (
    Bootstrap,
    MixedFit,
    Refits,
    bootstrap,
    constant_share,
    correct,
    fit,
    simulate,
)
from analysis.mixed.clustered import FloatArray, basis_of
from analysis.mixed.constancy import constant_groups
from analysis.mixed.coordinates import covariances
from analysis.mixed.grouped import Grouped
from analysis.mixed.linear_mixed import Profiled
from analysis.mixed.logistic_mixed import Laplace
from analysis.mixed.refit import Refit
from analysis.mixed.structure import arrange
from complexity.errors import InputError


@functools.cache
def answers(images: int = 60, seed: int = 1, dull: bool = False) -> pd.DataFrame:
    """Questions about images, at six k; `dull` leaves the slopes of questions out."""
    rng = np.random.default_rng(seed)
    image, question, k = (
        part.ravel()
        for part in np.meshgrid(np.arange(images), np.arange(4), np.arange(6), indexing="ij")
    )
    x = np.linspace(-1, 1, 6)[k]
    c = rng.normal(size=images)[image]
    level = rng.normal(size=(images, 2)) @ [[1.0, 0.4], [0.0, 0.7]]
    inner = rng.normal(size=(images * 4, 2)) * [0.9, 0.0 if dull else 1.0]
    wing = rng.normal(size=12)[rng.integers(12, size=images)][image]
    judge = rng.integers(7, size=len(x))
    eta = 0.4 + 0.7 * x - 0.4 * c + level[image, 0] + level[image, 1] * x + 0.7 * wing
    eta += inner[image * 4 + question, 0] + inner[image * 4 + question, 1] * x
    eta += 0.6 * rng.normal(size=7)[judge]
    trials = rng.integers(1, 6, size=len(x))
    chance = 1 / (1 + np.exp(-eta))
    return pd.DataFrame(
        {
            "image": image,
            "question": question,
            "wing": image // 5,
            "judge": judge,
            "x": x,
            "c": c,
            "y": (rng.random(len(x)) < chance).astype(int),
            "ms": eta + rng.normal(size=len(x)),
            "trials": trials,
            "share": rng.binomial(trials, chance) / trials,
        }
    )


NESTED = "x * c + (1 + x | image) + (1 + x | image:question)"
DEEP = "x + (1 | wing) + (1 + x | image) + (1 | image:question)"
SPLIT = "x + (1 + x || image) + (1 | image:question)"
CROSSED = "x + (1 + x | image) + (1 | judge)"


@functools.cache
def fitted(right: str, family: Any = "binomial", **options: Any) -> MixedFit:
    outcome = "y" if family == "binomial" else "ms"
    if "weights" in options:
        outcome = "share"
    return fit(f"{outcome} ~ {right}", answers(), family=family, **options)


def drawn(n: int, seed: int) -> np.ndarray[Any, Any]:
    return np.bincount(np.random.default_rng(seed).integers(n, size=n), minlength=n)


def agree(refits: Refits, short: Refit, slow: Refit, se: FloatArray) -> None:
    """Fixed effects to 1e-4 standard errors, variance parameters to 1e-3."""
    assert short.converged
    assert slow.converged
    assert short.singular == slow.singular
    one, two = refits.values(short), refits.values(slow)
    p = len(se)
    np.testing.assert_allclose((one[:p] - two[:p]) / se, 0, atol=1e-4)
    np.testing.assert_allclose(one[p:], two[p:], atol=1e-3)


@pytest.mark.parametrize("right", [NESTED, DEEP, SPLIT])
@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_groups_sum_to_the_deviance(right: str, family: str) -> None:
    options: dict[str, Any] = {"weights": "trials"} if family == "binomial" else {"method": "ml"}
    whole = fitted(right, family, **options)
    assert whole.model is not None
    design = whole.model.design
    structure = arrange(design.random, whole.model.transforms)
    basis, transform = basis_of(design.X, design.names)
    trials = np.ones(len(design.y)) if design.trials is None else design.trials
    grouped = Grouped(structure, basis, design.y, trials, linear=family == "gaussian")
    rng = np.random.default_rng(3)
    theta = whole.model.theta + 0.05 * rng.normal(size=len(whole.model.theta))
    beta = transform @ whole.params
    modes = np.zeros(grouped.n_effects)
    if family == "binomial":
        beta = beta + 0.05 * rng.normal(size=len(beta))
        laplace = Laplace(structure, design.y, basis, trials)
        value, slope = laplace.deviance(np.r_[theta, beta])
        values, slopes = grouped.at(np.r_[theta, beta], modes)
        np.testing.assert_allclose(values.sum(), value, rtol=1e-9)
        np.testing.assert_allclose(slopes.sum(axis=0), slope, atol=1e-5)
        np.testing.assert_allclose(modes, laplace.modes, atol=1e-5)
        # A group gives its own term: what is there without the others.
        rows, cells, part = structure.drawn(np.array([3, 7]))
        alone = Laplace(part, design.y[rows], basis[rows], trials[rows])
        value, slope = alone.deviance(np.r_[theta, beta])
        np.testing.assert_allclose(value, values[[3, 7]].sum(), rtol=1e-9)
        np.testing.assert_allclose(slope, slopes[[3, 7]].sum(axis=0), atol=1e-5)
        np.testing.assert_allclose(alone.modes, modes[structure.effects(cells, part)], atol=1e-5)
    else:
        profiled = Profiled(structure, design.y, basis, reml=False)
        at = profiled.evaluate(theta)
        assert at is not None
        sigma = np.sqrt(at.squares / profiled.freedom)
        point = np.r_[theta, at.coefficients, np.log(sigma)]
        value, slope = profiled.deviance(theta)
        values, slopes = grouped.at(point, modes)
        total = values.sum() + len(design.y) * np.log(2 * np.pi)
        np.testing.assert_allclose(total, value, rtol=1e-9)
        np.testing.assert_allclose(slopes.sum(axis=0)[: len(theta)], slope, atol=1e-5)
        # Profiled out: no slope is left in beta and sigma.
        np.testing.assert_allclose(slopes.sum(axis=0)[len(theta) :], 0, atol=1e-5)


def test_groups_refuse_crossed_factors() -> None:
    whole = fitted(CROSSED)
    assert whole.model is not None
    design = whole.model.design
    structure = arrange(design.random)
    with pytest.raises(ValueError, match="crossed"):
        Grouped(structure, design.X, design.y, np.ones(len(design.y)), linear=False)


@pytest.mark.parametrize("right", [NESTED, DEEP, SPLIT, CROSSED])
@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_draws_of_clusters_are_fits_of_copied_rows(right: str, family: str) -> None:
    whole = fitted(right, family)
    refits = Refits(whole, "image" if right != DEEP else None)
    assert refits.n_clusters == (60 if right != DEEP else 12)
    for seed in range(3):
        counts = drawn(refits.n_clusters, seed)
        agree(refits, refits.clusters(counts), refits.clusters_slowly(counts), whole.bse)


def test_copied_rows_are_what_one_would_write_by_hand() -> None:
    """The reference itself: copies pasted together with new names for images."""
    data = answers()
    refits = Refits(fitted(NESTED, "gaussian"))
    counts = drawn(60, 5)
    pasted = pd.concat(
        [
            data[data["image"] == image].assign(image=f"{image} copy {copy}")
            for image, times in enumerate(counts)
            for copy in range(times)
        ]
    )
    by_hand = fit(f"ms ~ {NESTED}", pasted)
    slow = refits.clusters_slowly(counts)
    np.testing.assert_allclose((slow.params - by_hand.params) / by_hand.bse, 0, atol=1e-4)
    components = [part.sd_or_corr for part in by_hand.random]
    found = refits.values(slow)[len(by_hand.params) : -1]
    np.testing.assert_allclose(found, components, atol=1e-3)
    np.testing.assert_allclose(slow.residual_sd, by_hand.residual_sd, rtol=1e-5)


def test_clusters_may_hold_several_groups() -> None:
    whole = fitted(NESTED)
    refits = Refits(whole, answers()["wing"].to_numpy())
    assert refits.n_clusters == 12
    counts = drawn(12, 1)
    agree(refits, refits.clusters(counts), refits.clusters_slowly(counts), whole.bse)


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_crossed_groups_within_clusters_are_new_in_every_copy(family: Any) -> None:
    """Seats cross images, but each seat is in one wing."""
    data = answers().assign(seat=lambda d: d["wing"] * 3 + d["question"] % 3)
    outcome = "y" if family == "binomial" else "ms"
    whole = fit(f"{outcome} ~ x + (1 | image) + (1 | seat)", data, family=family)
    refits = Refits(whole, data["wing"].to_numpy())
    counts = drawn(12, 1)
    agree(refits, refits.clusters(counts), refits.clusters_slowly(counts), whole.bse)


def test_draws_with_trials() -> None:
    whole = fitted(NESTED, weights="trials")
    refits = Refits(whole)
    counts = drawn(60, 2)
    agree(refits, refits.clusters(counts), refits.clusters_slowly(counts), whole.bse)


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_draws_around_a_singular_fit(family: Any) -> None:
    """At the boundary some draws stay there and others leave it."""
    data = answers(40, 4, True)
    outcome = "y" if family == "binomial" else "ms"
    whole = fit(f"{outcome} ~ {NESTED}", data, family=family)
    assert whole.singular
    refits = Refits(whole)
    singular = 0
    for seed in range(8):
        counts = drawn(40, seed)
        short, slow = refits.clusters(counts), refits.clusters_slowly(counts)
        agree(refits, short, slow, whole.bse)
        singular += short.singular
    assert singular > 0


@pytest.mark.parametrize("right", [NESTED, CROSSED])
@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_other_outcomes(right: str, family: Any) -> None:
    whole = fitted(right, family)
    assert whole.model is not None
    refits = Refits(whole)
    for y in simulate(whole, 2, 11):
        slow = fit(f"new ~ {right}", answers().assign(new=y), family=family, method=whole.method)
        short = refits.outcome(y)
        assert not short.searched
        np.testing.assert_allclose((short.params - slow.params) / whole.bse, 0, atol=1e-4)
        found = refits.values(short)[len(whole.params) :]
        sds = [part.sd_or_corr for part in slow.random]
        if slow.residual_sd is not None:
            sds.append(slow.residual_sd)
        np.testing.assert_allclose(found, sds, atol=1e-3)


@pytest.mark.parametrize(
    ("family", "options"),
    [("binomial", {}), ("gaussian", {}), ("binomial", {"weights": "trials"})],
)
def test_refits_without_random_terms(family: Any, options: dict[str, Any]) -> None:
    whole = fitted("x * c", family, cluster="image", **options)
    refits = Refits(whole)
    counts = drawn(60, 3)
    short, slow = refits.clusters(counts), refits.clusters_slowly(counts)
    np.testing.assert_allclose(short.params, slow.params, rtol=1e-6)
    np.testing.assert_allclose(refits.one_step(counts).params, slow.params, rtol=1e-6)
    assert whole.model is not None
    same = refits.outcome(whole.model.design.y)
    np.testing.assert_allclose(same.params, whole.params, rtol=1e-6)
    if family == "gaussian":
        np.testing.assert_allclose(short.residual_sd, slow.residual_sd, rtol=1e-9)
        np.testing.assert_allclose(same.residual_sd, whole.residual_sd, rtol=1e-9)


def test_the_full_draw_is_the_fit() -> None:
    whole = fitted(NESTED)
    refits = Refits(whole)
    again = refits.clusters(np.ones(60, dtype=int))
    np.testing.assert_allclose(refits.values(again), refits.values(refits.estimate), atol=1e-4)
    labels = refits.labels
    assert labels[:4] == whole.names
    assert labels[4] == "SD image:question Intercept"
    assert labels[-1] == "correlation image Intercept, x"


@pytest.mark.parametrize("right", [NESTED, DEEP, SPLIT, CROSSED])
def test_values_are_in_the_order_of_the_fit(right: str) -> None:
    whole = fitted(right)
    refits = Refits(whole)
    kinds = {True: "SD", False: "correlation"}
    p = len(whole.params)
    for part, label, value in zip(
        whole.random, refits.labels[p:], refits.values(refits.estimate)[p:], strict=True
    ):
        assert label.startswith(f"{kinds[part.term2 is None]} {part.group} {part.term}")
        assert value == part.sd_or_corr


def test_one_step_is_near_a_refit() -> None:
    data = answers(250, 4)
    whole = fit("y ~ x * c + (1 + x | image) + (1 | image:question)", data, family="binomial")
    refits = Refits(whole)
    assert refits.one_step_refused() is None
    full, short = [], []
    for seed in range(12):
        counts = drawn(250, seed)
        full.append(refits.values(refits.clusters(counts)))
        short.append(refits.values(refits.one_step(counts)))
    a, b = np.array(full), np.array(short)
    off = np.sqrt(((a - b) ** 2).mean(axis=0)) / a.std(axis=0)
    assert off[:4].max() < 0.05
    assert off.max() < 0.2


def test_one_step_refuses_where_it_misleads() -> None:
    few = Refits(fitted(NESTED))
    assert "clusters" in str(few.one_step_refused())
    with pytest.raises(InputError, match="only 60 clusters"):
        few.one_step(np.ones(60, dtype=int))
    crossed = Refits(fitted(CROSSED), "image")
    assert "crossed" in str(crossed.one_step_refused())
    data = answers(210, 4, True)
    edge = fit(f"y ~ {NESTED}", data, family="binomial")
    assert "near zero" in str(Refits(edge).one_step_refused())
    with pytest.raises(InputError, match="near zero"):
        bootstrap(edge, 5, "cluster", one_step=True)


def test_simulated_moments() -> None:
    """Mean and covariance of simulated outcomes are those of the model."""
    whole = fitted("x + (1 + x | image)", "gaussian")
    sets = simulate(whole, 4000, 5)
    assert whole.model is not None
    assert whole.residual_sd is not None
    design = whole.model.design
    Z = design.random[0].Z[:24]
    cov = Z @ whole.model.covariances[0] @ Z.T + whole.residual_sd**2 * np.eye(24)
    mean = (design.X @ whole.params)[:24]
    error = np.sqrt(np.diag(cov) / len(sets))
    np.testing.assert_array_less(np.abs(sets[:, :24].mean(axis=0) - mean), 5 * error)
    np.testing.assert_allclose(np.cov(sets[:, :24], rowvar=False), cov, atol=0.15 * cov.max())
    # Rows of different images are independent.
    apart = np.corrcoef(sets[:, 0], sets[:, -1])[0, 1]
    assert abs(apart) < 5 / np.sqrt(len(sets))


def test_a_simulated_set_depends_on_its_number_alone() -> None:
    whole = fitted(NESTED)
    np.testing.assert_array_equal(simulate(whole, 2, 9), simulate(whole, 5, 9)[:2])
    assert not np.array_equal(simulate(whole, 1, 9), simulate(whole, 1, 10))
    assert set(np.unique(simulate(whole, 1, 0))) == {0.0, 1.0}
    weighted = fitted(NESTED, weights="trials")
    counts = simulate(weighted, 1, 0)[0] * answers()["trials"]
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-12)
    plain = fitted("x * c", "gaussian")
    assert plain.model is not None
    assert plain.residual_sd is not None
    noise = simulate(plain, 20, 1) - plain.model.design.X @ plain.params
    np.testing.assert_allclose(noise.std(), plain.residual_sd, rtol=0.02)


def test_simulation_refuses() -> None:
    with pytest.raises(InputError, match="cluster-robust"):
        simulate(fitted("x * c", cluster="image"), 1, 1)
    with pytest.raises(InputError, match="n_sets"):
        simulate(fitted(NESTED), 0, 1)
    with pytest.raises(InputError, match="seed"):
        simulate(fitted(NESTED), 1, -1)
    with pytest.raises(InputError, match="fit it again"):
        simulate(replace(fitted(NESTED), model=None), 1, 1)
    with pytest.raises(InputError, match="fit it again"):
        Refits(replace(fitted(NESTED), model=None))


def test_refits_refuse() -> None:
    refits = Refits(fitted(NESTED))
    for counts in (np.ones(3), np.full(60, 0.5), np.full(60, -1)):
        with pytest.raises(InputError, match="60 clusters"):
            refits.clusters(counts)
    with pytest.raises(InputError, match="fewer than two"):
        refits.clusters(np.eye(60, dtype=int)[0] * 60)
    with pytest.raises(InputError, match="one finite value"):
        refits.outcome(np.ones(3))
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        refits.outcome(np.full(len(answers()), 2.0))
    with pytest.raises(InputError, match="did you mean 'image'"):
        Refits(fitted(NESTED), "imag")
    with pytest.raises(InputError, match="labels"):
        Refits(fitted(NESTED), np.arange(3))
    with pytest.raises(InputError, match="single value"):
        Refits(fitted(NESTED), np.zeros(len(answers())))
    with pytest.raises(InputError, match="cuts through"):
        Refits(fitted(NESTED), np.arange(len(answers())) % 2)
    plain = Refits(fitted("x * c"))
    with pytest.raises(InputError, match="nothing to draw"):
        plain.clusters(np.ones(2))
    with pytest.raises(InputError, match="name the cluster"):
        bootstrap(fitted("x * c"), 5, "cluster")


@pytest.mark.parametrize("kind", ["parametric", "cluster"])
def test_a_bootstrap_is_the_same_by_any_number_of_workers(kind: Any) -> None:
    whole = fitted("x + (1 | image)", "gaussian")
    one = bootstrap(whole, 6, kind, seed=4)
    two = bootstrap(whole, 6, kind, seed=4, workers=2)
    np.testing.assert_array_equal(one.draws, two.draws)
    assert one.n_failed == 0
    assert kind in one.method
    assert not np.array_equal(bootstrap(whole, 6, kind, seed=5).draws, one.draws)


def test_bootstrap_errors_are_those_of_theory() -> None:
    """Of the fixed effects in a balanced linear model, where Wald's errors are exact."""
    whole = fitted("x + (1 + x | image)", "gaussian")
    found = bootstrap(whole, 400, seed=2)
    np.testing.assert_allclose(found.se()[:2], whole.bse, rtol=0.12)
    assert np.abs(found.bias()[:2] / found.se()[:2]).max() < 0.2
    low, high = found.conf_int()[0]
    assert low < whole.params[0] < high
    robust = fitted("x * c", "gaussian", cluster="image")
    found = bootstrap(robust, 400, "cluster", seed=2)
    np.testing.assert_allclose(found.se()[:4], robust.bse, rtol=0.15)
    # Percentiles corrected by next to nothing in a symmetric case.
    plain, corrected = found.conf_int()[:4], found.conf_int(kind="bca")[:4]
    assert np.abs((plain - corrected) / robust.bse[:, None]).max() < 0.6


def test_a_statistic_of_ones_own() -> None:
    whole = fitted("x + (1 | image)", "gaussian")
    found = bootstrap(
        whole, 5, "cluster", statistic=lambda r: {"ratio": r.params[1] / r.params[0]}, seed=1
    )
    assert found.names == ("ratio",)
    np.testing.assert_allclose(found.estimate, whole.params[1] / whole.params[0])
    assert np.isfinite(found.draws).all()
    with pytest.raises(InputError, match="named numbers"):
        bootstrap(whole, 5, "cluster", statistic=lambda r: 3.0)  # type: ignore[arg-type, return-value]


def test_failed_refits_are_counted() -> None:
    """A category that a single image has is not in every draw."""
    data = answers().assign(rare=lambda d: (d["image"] == 0).astype(float))
    whole = fit("ms ~ x + rare + (1 | image)", data)
    found = bootstrap(whole, 20, "cluster", seed=1)
    assert 0 < found.n_failed < 20
    assert sum(found.failures.values()) == found.n_failed
    assert np.isnan(found.draws).all(axis=1).sum() == found.n_failed
    assert "rare" in found.warnings[0]
    assert found.tidy()["n_used"].iloc[0] == 20 - found.n_failed


def draws_of(values: FloatArray, estimate: float, acceleration: float | None) -> Bootstrap:
    return Bootstrap(
        ("a",),
        np.array([estimate]),
        values[:, None],
        "cluster",
        "",
        0,
        0,
        0.0,
        acceleration=None if acceleration is None else np.array([acceleration]),
    )


def test_intervals_by_hand() -> None:
    values = np.arange(1.0, 102.0)
    found = draws_of(values, 51.0, 0.0)
    np.testing.assert_allclose(found.conf_int(0.9), [[6, 96]])
    np.testing.assert_allclose(found.conf_int(0.9, "basic"), [[6, 96]])
    np.testing.assert_allclose(found.conf_int(0.9, "bca"), [[6, 96]])
    width = 1.6448536269514722 * values.std(ddof=1)
    np.testing.assert_allclose(found.conf_int(0.9, "normal"), [[51 - width, 51 + width]])
    np.testing.assert_allclose(found.bias(), [0.0], atol=1e-12)
    skew = draws_of(values, 41.0, 0.0)
    np.testing.assert_allclose(skew.conf_int(0.9, "basic"), [[82 - 96, 82 - 6]])
    # z0 = Φ⁻¹(40.5/101) = −0.25081: the percentiles are Φ(2 z0 ± 1.64485).
    ends = 1 + 100 * np.array([[0.01591958, 0.87353949]])
    np.testing.assert_allclose(skew.conf_int(0.9, "bca"), ends, atol=1e-3)
    with pytest.raises(InputError, match="BCa"):
        draws_of(values, 51.0, None).conf_int(kind="bca")
    with pytest.raises(InputError, match="unknown interval"):
        found.conf_int(kind="wald")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="between 0 and 1"):
        found.conf_int(95)


def test_bootstrap_refuses() -> None:
    whole = fitted("x + (1 | image)", "gaussian")
    with pytest.raises(InputError, match="unknown bootstrap"):
        bootstrap(whole, 5, "clusters")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="n_sets"):
        bootstrap(whole, 1)
    with pytest.raises(InputError, match="kind='cluster'"):
        bootstrap(whole, 5, cluster="image")
    with pytest.raises(InputError, match="workers"):
        bootstrap(whole, 5, workers=0)


def test_the_bias_of_laplace_is_found_and_taken_off() -> None:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(150), 6), np.tile(np.linspace(-1, 1, 6), 150)
    eta = 1 + x + 4 * rng.normal(size=150)[g]
    data = pd.DataFrame({"g": g, "x": x, "y": rng.random(len(g)) < 1 / (1 + np.exp(-eta))})
    whole = fit("y ~ x + (1 | g)", data, family="binomial")
    share = constant_share(whole)["g"]
    groups = data.groupby("g")["y"].mean()
    assert share == pytest.approx(float(((groups == 0) | (groups == 1)).mean()))
    assert share > 0.5
    assert whole.model is not None
    assert "all 0 or all 1" in constant_groups(whole.model.design)[0]
    found = correct(whole, 40, 3)
    table = found.table.set_index("term")
    assert table["bias"]["SD g Intercept"] < -2 * table["error"]["SD g Intercept"]
    assert found.fit.random[0].sd_or_corr == pytest.approx(table["corrected"]["SD g Intercept"])
    assert found.fit.random[0].sd_or_corr > whole.random[0].sd_or_corr
    assert found.fit.model is not None
    np.testing.assert_allclose(
        np.sqrt(found.fit.model.covariances[0][0, 0]), found.fit.random[0].sd_or_corr
    )
    assert found.fit.loglik is None
    # Predictions, modes and averages over random effects use the corrected variance too.
    again = covariances(found.fit.model.theta, found.fit.model.transforms)
    np.testing.assert_allclose(again[0], found.fit.model.covariances[0])
    assert "simulated" in found.fit.summary()


def test_correction_refuses() -> None:
    with pytest.raises(InputError, match="logistic"):
        correct(fitted(NESTED, "gaussian"))
    with pytest.raises(InputError, match="logistic"):
        constant_share(fitted("x * c"))
    with pytest.raises(InputError, match="20 sets"):
        correct(fitted(NESTED), 5)
    assert constant_groups(fitted("x + (1 | image)").model.design) == []  # type: ignore[union-attr]


# ---- crossed groupings --------------------------------------------------------------------
def test_crossed_groupings_ask_which_cluster_and_say_what_is_left_out() -> None:
    rng = np.random.default_rng(3)
    g, it = (part.ravel() for part in np.meshgrid(np.arange(20), np.arange(6), indexing="ij"))
    y = rng.normal(size=20)[g] + rng.normal(size=6)[it] + rng.normal(size=120)
    found = fit("y ~ 1 + (1 | g) + (1 | it)", pd.DataFrame({"g": g, "it": it, "y": y}))
    with pytest.raises(InputError, match=r"groupings cross .*cluster"):
        bootstrap(found, 5, "cluster")
    drawn = bootstrap(found, 5, "cluster", cluster="g")
    assert any("levels of it were kept" in warning for warning in drawn.warnings)
    assert "it were kept" in repr(drawn)


def test_numbers_of_sets_are_whole() -> None:
    found = fit("y ~ 1", pd.DataFrame({"y": np.arange(9.0)}))
    for wrong in (2.5, "5"):
        with pytest.raises(InputError, match="n_sets counts"):
            simulate(found, wrong, 1)  # type: ignore[arg-type]
