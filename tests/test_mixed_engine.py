"""The mixed-model engine against lme4 and lmerTest, dense algebra, and itself in other forms."""

from __future__ import annotations

import functools
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.mixed import MixedFit, fit
from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design, RandomBlock, build
from analysis.mixed.formula import parse
from complexity.errors import InputError

GOLDEN = Path(__file__).parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "glmm" / "fits.json").read_text())


@functools.cache
def table(name: str) -> pd.DataFrame:
    path = GOLDEN / "glmm" / f"{name}.csv"
    return pd.read_csv(path if path.exists() else GOLDEN / "mixed" / f"{name}.csv")


def in_python(formula: str) -> str:
    formula = formula.replace("^", "**")
    # Numbers that R tabulates as factors.
    return re.sub(
        r"\bperiod\b",
        "C(period)",
        re.sub(r"\btemperature \+", "C(temperature) +", formula).replace(
            "* temperature", "* C(temperature)"
        ),
    )


def ours(name: str) -> str:
    """Translate R's name of a column."""
    name = name.replace("(Intercept)", "Intercept").replace("^2", " ** 2")
    name = re.sub(r"\b(period|temperature)(\d+)", r"C(\1)[\2]", name)
    return re.sub(r"\b(kind|recipe|Gender|btype|situ)(?=[a-zA-Z])(\w+)", r"\1[\2]", name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['formula']} {case['method']}")
def test_agrees_with_lme4(case: dict[str, Any]) -> None:
    found = fit(
        in_python(case["formula"]),
        table(case["data"]),
        family=case["family"],
        method=case["method"],
    )
    order = [found.names.index(ours(name)) for name in case["names"]]
    se = np.sqrt(np.diag(case["cov"]))
    assert found.converged
    assert found.loglik is not None
    assert found.loglik > case["loglik"] - 1e-4
    np.testing.assert_allclose(found.loglik, case["loglik"], atol=1e-3)
    np.testing.assert_allclose((found.params[order] - case["params"]) / se, 0, atol=1e-3)
    np.testing.assert_allclose(found.bse[order], se, rtol=1e-3)
    np.testing.assert_allclose([found.aic, found.bic], [case["aic"], case["bic"]], atol=2e-3)
    assert found.n_obs == case["n_obs"]
    assert found.singular == case["singular"]
    check_components(found, case["random"])
    if case["family"] == "gaussian":
        np.testing.assert_allclose(found.residual_sd, case["residual_sd"], rtol=1e-3)
        np.testing.assert_allclose(np.asarray(found.df)[order], case["df"], rtol=1e-2)
        np.testing.assert_allclose(found.pvalues[order], case["p"], rtol=2e-2, atol=1e-12)
        assert found.statistic == "t"
    else:
        assert (found.statistic, found.df, found.residual_sd) == ("z", None, None)


def check_components(found: MixedFit, truth: list[dict[str, Any]]) -> None:
    assert len(found.random) == len(truth)
    ours_by_key = {(c.group, frozenset({c.term, c.term2 or c.term})): c for c in found.random}
    for row in truth:
        group = re.sub(r"\.\d$", "", row["grp"]).replace(".", ":")
        second = ours(row["var2"]) if row.get("var2") else ours(row["var1"])
        component = ours_by_key[(group, frozenset({ours(row["var1"]), second}))]
        np.testing.assert_allclose(component.sd_or_corr, row["sdcor"], rtol=1e-3, atol=1e-4)


# ---- against dense algebra ---------------------------------------------------------------
def small(seed: int = 5) -> pd.DataFrame:
    """Questions in images in sets, answered by models: few rows, every kind of grouping."""
    rng = np.random.default_rng(seed)
    rows = [
        (s, i, q, m, x, kind)
        for s in range(3)
        for i in range(rng.integers(2, 5))
        for q in range(rng.integers(1, 4))
        for kind in rng.choice(list("abc"), 1)
        for m in rng.choice(5, rng.integers(2, 5), replace=False)
        for x in (0.0, 1.0, 2.0)
    ]
    frame = pd.DataFrame(rows, columns=["set", "image", "question", "model", "x", "kind"])
    frame["z"] = rng.normal(size=len(frame))
    frame["y"] = rng.integers(0, 2, len(frame))
    frame["ms"] = rng.normal(size=len(frame)) + frame.image + 0.3 * frame.x * frame.model
    return frame.sample(frac=1, random_state=seed)


STRUCTURES = [
    "(1 | image:set)",
    "(1 + x | image:set)",
    "(x || image:set)",
    "(1 | set/image/question)",
    "(1 + x + I(x**2) | image:set) + (1 + x | question:image:set)",
    "(0 + kind | set) + (1 | image:set)",
    "(1 | model) + (1 | set:image)",
    "(1 + x | model) + (1 + z | set/image) + (1 | kind)",
    "(1 + x | set:image) + (1 | set:image:question) + (0 + z | model) + (1 | kind:model)",
    "(1 | kind) + (1 | model)",
]


def spread_out(block: RandomBlock, lower: FloatArray) -> FloatArray:
    """The block's columns times its factor, over all groups: (n, levels · q)."""
    values = block.Z @ lower
    n, q = values.shape
    matrix = np.zeros((n, block.n_levels * q))
    for j in range(q):
        matrix[np.arange(n), block.codes * q + j] = values[:, j]
    return matrix


def dense(design: Design, theta: FloatArray) -> FloatArray:
    pieces, start = [], 0
    for block in design.random:
        q = len(block.names)
        stop = start + q * (q + 1) // 2
        lower = np.zeros((q, q))
        lower[np.tril_indices(q)] = theta[start:stop]
        pieces.append(spread_out(block, lower))
        start = stop
    return np.hstack(pieces)


def slope_of(function: Any, point: FloatArray) -> FloatArray:
    """Central differences."""
    steps = 1e-5 * np.eye(len(point))
    return np.array([(function(point + h)[0] - function(point - h)[0]) / 2e-5 for h in steps])


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("random", STRUCTURES)
def test_the_linear_deviance_and_its_gradient(random: str, reml: bool) -> None:
    from analysis.mixed.linear_mixed import Profiled
    from analysis.mixed.structure import arrange

    design = build(parse(f"ms ~ x + z + {random}"), small())
    structure = arrange(design.random)
    profiled = Profiled(structure, design.y, design.X, reml=reml)
    theta = np.random.default_rng(2).normal(size=len(structure.theta_row))
    for point in (theta, np.where(np.arange(len(theta)) % 2, theta, 0.0)):
        V = dense(design, point)
        cov = np.eye(len(V)) + V @ V.T
        weighted = np.linalg.solve(cov, design.X)
        information = design.X.T @ weighted
        coefficients = np.linalg.solve(information, weighted.T @ design.y)
        rest = design.y - design.X @ coefficients
        n, p = design.X.shape
        freedom = n - p if reml else n
        squares = rest @ np.linalg.solve(cov, rest)
        expected = np.linalg.slogdet(cov)[1] + freedom * (1 + np.log(2 * np.pi * squares / freedom))
        expected += np.linalg.slogdet(information)[1] if reml else 0
        value, gradient = profiled.deviance(point)
        np.testing.assert_allclose(value, expected, rtol=1e-11)
        np.testing.assert_allclose(gradient, slope_of(profiled.deviance, point), atol=2e-5)
        at = profiled.evaluate(point)
        assert at is not None
        np.testing.assert_allclose(at.coefficients, coefficients, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(at.unscaled_cov, np.linalg.inv(information), rtol=1e-8)


@pytest.mark.parametrize("random", STRUCTURES)
def test_the_laplace_deviance_and_its_gradient(random: str) -> None:
    from analysis.mixed.logistic_mixed import Laplace
    from analysis.mixed.structure import arrange

    design = build(parse(f"y ~ x + z + {random}"), small())
    structure = arrange(design.random)
    trials = np.random.default_rng(3).integers(1, 4, len(design.y)).astype(float)
    laplace = Laplace(structure, design.y, design.X, trials)
    size = len(structure.theta_row)
    point = np.random.default_rng(2).normal(size=size + design.X.shape[1])
    for theta in (point[:size], np.where(np.arange(size) % 2, point[:size], 0.0)):
        here = np.r_[theta, point[size:]]
        V = dense(design, theta)
        u = np.zeros(V.shape[1])
        for _ in range(100):
            eta = design.X @ here[size:] + V @ u
            mu = 1 / (1 + np.exp(-eta))
            inner = (V * (trials * mu * (1 - mu))[:, None]).T @ V + np.eye(len(u))
            step = np.linalg.solve(inner, V.T @ (trials * (design.y - mu)) - u)
            u += step * min(1.0, 2 / max(float(np.abs(step).max()), 1e-9))
        loss = trials * (np.logaddexp(0, eta) - design.y * eta)
        expected = 2 * loss.sum() + u @ u + np.linalg.slogdet(inner)[1]
        value, gradient = laplace.deviance(here)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        np.testing.assert_allclose(gradient, slope_of(laplace.deviance, here), atol=5e-5)


@pytest.mark.parametrize("blocks", [("g",), ("q", "g"), ("q", "g", "s")])
def test_levels_at_once_answer_as_group_by_group(blocks: tuple[str, ...]) -> None:
    # Enough groups for several batches and a remainder; innermost groups of unequal size.
    from analysis.mixed.equations import Crossed, Nested
    from analysis.mixed.structure import arrange
    from analysis.mixed.system import System

    rng = np.random.default_rng(4)
    q = np.sort(np.r_[np.arange(333), rng.integers(0, 333, 700)])
    codes = {"q": q, "g": q // 3, "s": q // 21}
    structure = arrange(
        [
            RandomBlock(
                name,
                ("a", "b"),
                rng.normal(size=(len(q), 2)),
                codes[name],
                int(codes[name].max()) + 1,
            )
            for name in blocks
        ]
    )
    kz = 2 * len(blocks)
    rows = np.c_[structure.Z, rng.normal(size=(len(q), 3))]
    products = structure.Z[:, :, None] * rows[:, None, :]
    moments = np.zeros((structure.n_cells, kz, kz + 3))
    np.add.at(moments, structure.cell, products)
    moments = np.ascontiguousarray(moments.transpose(1, 2, 0))
    theta = rng.normal(size=len(structure.theta_row))
    gram = rows[:, kz:].T @ rows[:, kz:]
    found = []
    for kind in (Nested, Crossed):
        system: System = kind(structure, 3)
        assert system.factorise(theta, moments, gram)
        slope, spread = system.logdet_slope(moments, np.array([1.0, 0.0, 5.0]), spread=True)
        sums = moments[:, -1].T
        found.append(
            [
                np.array([system.logdet_effects, system.logdet_fixed(2)]),
                system.at_theta(slope),
                spread,
                system.solve(sums),
                system.explained(np.array([0.3, -0.2, 1.0])),
            ]
        )
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("theta", [1e2, 1e5, 1e8])
def test_a_residual_lost_to_rounding_is_had_from_the_rows(theta: float) -> None:
    from analysis.mixed.linear_mixed import Profiled
    from analysis.mixed.structure import arrange

    groups, size = 20, 5
    codes = np.repeat(np.arange(groups), size)
    means = np.random.default_rng(1).normal(size=groups)
    means -= means.mean()
    structure = arrange([RandomBlock("g", ("a",), np.ones((len(codes), 1)), codes, groups)])
    n = groups * size
    # A column that varies within groups alone, so that nothing of it is lost.
    within = np.tile(np.arange(size) - (size - 1) / 2, groups)[:, None]
    profiled = Profiled(structure, means[codes], within, reml=False)
    value, gradient = profiled.deviance(np.array([theta]))
    inflated = 1 + size * theta**2
    squares = size * float(means @ means) / inflated
    expected = groups * np.log(inflated) + n * (1 + np.log(2 * np.pi * squares / n))
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    slope = (groups - n) * 2 * size * theta / inflated
    # Beyond, residuals are smaller than the rounding of outcomes of size one.
    np.testing.assert_allclose(gradient, slope, rtol=1e-2, atol=0 if theta < 1e6 else 1e-5)


def large(seed: int) -> pd.DataFrame:
    """Enough rows and groups to be searched in part first."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(600), 32)
    question, model = np.arange(len(image)) // 8, np.arange(len(image)) % 4
    x = rng.normal(size=len(image))
    eta = 0.3 + 0.5 * x + rng.normal(size=600)[image] + 0.6 * rng.normal(size=600)[image] * x
    eta += 0.7 * rng.normal(size=2400)[question] + np.array([-0.4, 0.1, 0.5, 0.0])[model]
    data = pd.DataFrame({"image": image, "question": question, "model": model, "x": x})
    data["ms"] = eta + rng.normal(size=len(image))
    data["y"] = (rng.random(len(image)) < 1 / (1 + np.exp(-eta))).astype(int)
    return data.sample(frac=1, random_state=seed)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
@pytest.mark.parametrize(
    "random", ["(1 + x | image) + (1 | question)", "(1 | image) + (1 | model)"]
)
def test_a_search_begun_in_a_part_ends_where_the_whole_does(
    random: str, family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.mixed import linear_mixed, logistic_mixed, thinning

    module: Any = linear_mixed if family == "gaussian" else logistic_mixed
    parts = []

    def seen(structure: Any) -> Any:
        parts.append(thinning.thinned(structure))
        return parts[-1]

    formula, data = f"{'ms' if family == 'gaussian' else 'y'} ~ x + {random}", large(3)
    monkeypatch.setattr(module, "thinned", seen)
    one = fit(formula, data, family=family)
    assert parts[0] is not None
    kept, rows, part = parts[0]
    assert len(rows) == 2400
    assert part.n_cells == kept.sum() == part.cell.max() + 1
    monkeypatch.setattr(module, "thinned", lambda structure: None)
    two = fit(formula, data, family=family)
    assert one.converged
    np.testing.assert_allclose(one.loglik, two.loglik, atol=1e-5)
    np.testing.assert_allclose((one.params - two.params) / two.bse, 0, atol=1e-3)
    np.testing.assert_allclose(one.bse, two.bse, rtol=1e-3)
    if family == "gaussian":
        np.testing.assert_allclose(one.df, two.df, rtol=1e-3)


# ---- invariances -------------------------------------------------------------------------
@given(seed=st.integers(0, 10_000))
@settings(max_examples=6, deadline=None)
def test_row_order_labels_and_units_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, unit = table("crossed"), 10.0 ** rng.integers(-3, 4)
    other = one.sample(frac=1, random_state=seed)
    names = {name: f"n{number}" for number, name in enumerate(rng.permutation(one.image.unique()))}
    other = other.assign(image=other.image.map(names), x=unit * other.x)
    random = "(1 + x | image) + (1 | image:question) + (1 | model)"
    for outcome, family in (("ms", "gaussian"), ("y", "binomial")):
        formula = f"{outcome} ~ x * c + {random}"
        first, second = (fit(formula, data, family=family) for data in (one, other))  # type: ignore[arg-type]
        np.testing.assert_allclose(second.tvalues, first.tvalues, rtol=1e-5)
        np.testing.assert_allclose(second.pvalues, first.pvalues, rtol=1e-4, atol=1e-12)
        for ours_, theirs in zip(first.random, second.random, strict=True):
            factor = 1 if ours_.term2 or ours_.term == "Intercept" else 1 / unit
            np.testing.assert_allclose(theirs.sd_or_corr, factor * ours_.sd_or_corr, rtol=1e-4)


def test_nesting_may_be_written_in_several_ways() -> None:
    data = table("crossed")
    data = data.assign(unique=data.image + data.question)
    written = [
        "y ~ x + (1 | image/question)",
        "y ~ x + (1 | image:question) + (1 | image)",
        "y ~ x + (1 | unique) + (1 | image)",
    ]
    fits = [fit(formula, data, family="binomial") for formula in written]
    for other in fits[1:]:
        np.testing.assert_allclose(other.loglik, fits[0].loglik, atol=1e-8)
        np.testing.assert_allclose(other.params, fits[0].params, rtol=1e-6)


def test_crossed_factors_may_be_eliminated_in_either_order() -> None:
    # Which of two crossed factors is eliminated and which is dense depends on their sizes.
    design = build(parse("ms ~ x + (1 | image) + (1 | model)"), table("crossed"))
    from analysis.mixed.linear_mixed import Profiled
    from analysis.mixed.structure import arrange

    theta = np.array([0.7, 0.4])
    one = Profiled(arrange(design.random), design.y, design.X, reml=True).deviance(theta)
    blocks = design.random[::-1]
    two = Profiled(arrange(blocks), design.y, design.X, reml=True).deviance(theta[::-1])
    np.testing.assert_allclose(two[0], one[0], rtol=1e-12)
    np.testing.assert_allclose(two[1][::-1], one[1], rtol=1e-9)


def test_shares_of_trials_answer_as_the_trials() -> None:
    animals = table("cbpp")
    herds = animals.groupby(["herd", "period"], as_index=False).agg(
        share=("y", "mean"), size=("y", "size")
    )
    for random in ("", " + (1 | herd)"):
        one = fit(f"y ~ C(period){random}", animals, family="binomial")
        few = fit(f"share ~ C(period){random}", herds, family="binomial", weights="size")
        assert few.n_obs == 56
        np.testing.assert_allclose(few.params, one.params, rtol=1e-6)
        np.testing.assert_allclose(few.bse, one.bse, rtol=1e-5)
        ways = np.log(
            [math.comb(n, round(n * p)) for n, p in zip(herds["size"], herds.share, strict=True)]
        )
        assert few.loglik is not None
        assert one.loglik is not None
        np.testing.assert_allclose(few.loglik, one.loglik + ways.sum(), atol=1e-6)
    with pytest.raises(InputError, match=r"whole numbers from 1 on; 0.5"):
        fit("share ~ 1", herds.assign(size=0.5), family="binomial", weights="size")
    with pytest.raises(InputError, match="leave them out"):
        fit("share ~ 1", herds, weights="size")


# ---- verdicts and refusals ---------------------------------------------------------------
def test_soft_scores_have_no_likelihood_with_random_terms() -> None:
    soft = pd.read_csv(GOLDEN / "mixed" / "answers.csv")
    with pytest.raises(InputError, match=r"no likelihood.*cluster='image'"):
        fit("soft ~ c + (1 | image)", soft, family="binomial")


def test_a_random_effect_without_variance_is_flagged() -> None:
    data = table("vqa").assign(noise=np.arange(1920) % 5)
    found = fit("y ~ x + (1 | image) + (1 | noise)", data, family="binomial")
    assert found.converged
    assert found.singular
    assert "singular fit" in found.warnings[0]
    alone = fit("y ~ x + (1 | image)", data, family="binomial")
    np.testing.assert_allclose(found.loglik, alone.loglik, atol=1e-8)
    np.testing.assert_allclose(found.bse, alone.bse, rtol=1e-4)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_crossed_factors_too_large_for_memory_are_refused(
    family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis.mixed import system

    monkeypatch.setattr(system, "_memory", lambda: 1000.0)
    outcome = "ms" if family == "gaussian" else "y"
    with pytest.raises(InputError, match=r"image, model cross.* 6 random effects.*0 GB.*Leave one"):
        fit(f"{outcome} ~ x + (1 | image) + (1 | model)", table("crossed"), family=family)
    # Nested groupings need no such matrix.
    assert fit(f"{outcome} ~ x + (1 | image/question)", table("crossed"), family=family).converged


def test_large_random_effects_carry_a_warning() -> None:
    rng = np.random.default_rng(8)
    image = np.repeat(np.arange(150), 12)
    p = 1 / (1 + np.exp(-6 * rng.normal(size=150)))[image]
    data = pd.DataFrame({"y": (rng.random(len(image)) < p).astype(int), "image": image})
    found = fit("y ~ 1 + (1 | image)", data, family="binomial")
    assert found.converged
    assert "Laplace" in found.warnings[-1]


def test_joint_tests_use_satterthwaite_too() -> None:
    tested = [case for case in CASES if "anova" in case]
    assert len(tested) == 4
    for case in tested:
        found = fit(in_python(case["formula"]), table(case["data"]), method=case["method"])
        truth = case["anova"]
        test = found.wald_test(truth["term"])
        assert test.df == truth["df"]
        np.testing.assert_allclose(test.statistic / test.df, truth["f"], rtol=1e-3)
        np.testing.assert_allclose(test.df_denom, truth["df_denom"], rtol=1e-2)
        np.testing.assert_allclose(test.p, truth["p"], rtol=2e-2)


def test_the_engine_is_loaded_when_it_is_needed() -> None:
    code = (
        "import sys, pandas as pd; from analysis.mixed import fit; "
        "d = pd.DataFrame({'y': [1., 2, 4, 3, 5, 7], 'x': [0., 1, 2] * 2, 'g': list('aaabbb')}); "
        "fit('y ~ x', d); print('numba' in sys.modules); "
        "fit('y ~ x + (1 | g)', d); print('numba' in sys.modules, 'statsmodels' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["False", "True", "False"]


def test_where_nothing_can_be_written_code_is_compiled_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numba

    from complexity import compiling

    made = numba.njit

    def without_a_folder(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return made(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    monkeypatch.setattr(compiling, "_told", False)
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
        one = compiling.compiled(lambda x: x + 1)
    two = compiling.compiled(lambda x: x + 2)  # one notice is enough
    assert (one(1), two(1)) == (2, 3)
