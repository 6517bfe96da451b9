"""Polynomials, splines and scaled columns in formulas: R's bases, R's fits, other rows."""

from __future__ import annotations

import functools
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.mixed import MixedFit, fit
from analysis.mixed.design import Encoder, build
from analysis.mixed.formula import parse
from complexity.errors import InputError

GOLDEN = Path(__file__).parent / "golden"
BASES: dict[str, Any] = json.loads((GOLDEN / "formula" / "bases.json").read_text())
FITS: list[dict[str, Any]] = json.loads((GOLDEN / "formula" / "fits.json").read_text())
CODINGS: list[dict[str, Any]] = json.loads((GOLDEN / "formula" / "codings.json").read_text())
QUASI: list[dict[str, Any]] = json.loads((GOLDEN / "formula" / "quasi.json").read_text())


@functools.cache
def table(name: str) -> pd.DataFrame:
    path = GOLDEN / "formula" / f"{name}.csv"
    return pd.read_csv(path if path.exists() else GOLDEN / "mixed" / f"{name}.csv")


def encoder(found: MixedFit) -> Encoder:
    assert found.model is not None
    assert found.model.design.encoder is not None
    return found.model.design.encoder


@pytest.mark.parametrize("case", BASES["bases"], ids=lambda case: str(case["call"]))
def test_bases_are_those_of_r(case: dict[str, Any]) -> None:
    x, new = np.array(BASES["x"]), np.array(BASES["new"])
    frame = pd.DataFrame({"x": x, "y": np.sin(x), "g": np.arange(len(x)) % 5})
    design = build(parse(f"y ~ 0 + {case['call']}"), frame)
    truth = np.array(case["fit"])
    size = np.abs(truth).max()
    np.testing.assert_allclose(design.X, truth, atol=1e-12 * size)
    width = truth.shape[1]
    call = case["call"]
    assert design.names == (
        (call,) if width == 1 else tuple(f"{call}[{j + 1}]" for j in range(width))
    )
    # Other rows by the same knots and means, whatever those rows are.
    assert design.encoder is not None
    other = pd.DataFrame({"x": new})
    truth = np.array(case["new"])
    tolerance = 1e-10 * np.abs(truth).max()
    np.testing.assert_allclose(design.encoder.X(other), truth, atol=tolerance)
    np.testing.assert_allclose(design.encoder.X(other.tail(1)), truth[-1:], atol=tolerance)
    np.testing.assert_allclose(design.encoder.X(frame), design.X, atol=1e-12 * size)
    # And between groups.
    if width > 1 and "intercept" not in call:
        block = build(parse(f"y ~ 1 + (0 + {call} | g)"), frame.iloc[::-1])
        assert block.encoder is not None
        np.testing.assert_allclose(block.random[0].Z[::-1], design.X, atol=1e-9 * size)
        np.testing.assert_allclose(
            block.encoder.Z(other, 0), truth, atol=1e-7 * np.abs(truth).max()
        )


def ours(name: str, formula: str) -> str:
    """Translate R's name of a column."""
    name = name.replace("(Intercept)", "Intercept")
    name = name.replace("raw = TRUE", "raw=True").replace("df = ", "df=")
    name = name.replace("knots = c(-1, 0.5)", "knots=[-1, 0.5]")
    name = re.sub(r"((?:ns|bs|poly)\([^()]*\))(\d+)", r"\1[\2]", name)
    name = re.sub(r"factor\((\w+)\)(\d+)", r"C(\1)[\2]", name)
    name = re.sub(r"\bperiod(\d)", r"C(period)[\1]", name)
    return re.sub(r"\b(kind)(?=[a-z])(\w+)", r"\1[\2]", name)


@pytest.mark.parametrize("case", FITS, ids=lambda case: str(case["formula"]))
def test_fits_and_predictions_are_those_of_r(case: dict[str, Any]) -> None:
    data = table(case["data"])
    found = fit(case["formula"], data, family=case["family"], weights=case.get("weights"))
    assert found.converged
    assert found.loglik is not None
    np.testing.assert_allclose(found.loglik, case["loglik"], atol=1e-3)
    order = [found.names.index(ours(name, case["formula"])) for name in case["names"]]
    se = np.sqrt(np.diag(case["cov"]))
    np.testing.assert_allclose((found.params[order] - case["params"]) / se, 0, atol=1e-3)
    np.testing.assert_allclose(found.bse[order], se, rtol=1e-3)
    rows = data.iloc[[0, 1, 2, 0, 1, 2]].assign(**{case["column"]: case["moved"]})
    eta = encoder(found).X(rows) @ found.params
    np.testing.assert_allclose(eta, case["predicted"], atol=1e-3 * float(np.abs(eta).max()))
    sds = sorted(c.sd_or_corr for c in found.random if c.term2 is None)
    truth = sorted(row["sdcor"] for row in case["random"] if row.get("var2") is None)
    np.testing.assert_allclose(sds, truth, rtol=1e-3, atol=2e-3 * max(truth, default=1))


@pytest.mark.parametrize("case", QUASI, ids=lambda case: str(case["formula"]))
def test_soft_scores_of_unbalanced_images(case: dict[str, Any]) -> None:
    soft = table("soft")
    assert set(soft.score) == {0, 0.3, 0.6, 0.9, 1}
    robust = fit(case["formula"], soft, family="binomial", cluster="image")
    alone = fit(case["formula"], soft, family="binomial")
    order = [robust.names.index(ours(name, case["formula"])) for name in case["names"]]
    se = np.sqrt(np.diag(case["cov_cluster"]))
    np.testing.assert_allclose((robust.params[order] - case["params"]) / se, 0, atol=1e-6)
    np.testing.assert_allclose(robust.bse[order], se, rtol=1e-6)
    np.testing.assert_allclose(robust.pvalues[order], case["p_cluster"], rtol=1e-5)
    np.testing.assert_allclose(robust.deviance, case["deviance"], rtol=1e-9)
    np.testing.assert_allclose(alone.bse[order] ** 2, np.diag(case["cov_hc1"]), rtol=1e-6)
    for found in (robust, alone):
        assert (found.loglik, found.aic, found.bic) == (None, None, None)
        content = found.to_json()
        assert (content["loglik"], content["aic"], content["bic"]) == (None, None, None)
    assert robust.n_groups == {"image": 70}


@pytest.mark.parametrize("case", CODINGS, ids=lambda case: str(case["formula"]))
def test_categories_get_the_columns_they_need(case: dict[str, Any]) -> None:
    data = table("nested").rename(columns={"kind": "a", "question": "b"})
    data["y"] = np.sin(np.arange(len(data)) + 1)
    design = build(parse(f"y ~ {case['formula']}"), data)
    assert design.X.shape[1] == len(set(design.names)) == case["rank"]
    fitted = design.X @ np.linalg.lstsq(design.X, design.y, rcond=None)[0]
    np.testing.assert_allclose(fitted[:40], case["fitted"], atol=1e-9)
    assert sorted(j for term in design.terms.values() for j in term) == list(range(case["rank"]))
    # New rows are coded alike, whichever of the levels they have.
    assert design.encoder is not None
    np.testing.assert_array_equal(design.encoder.X(data), design.X)
    one = data[data.a == "b"]
    np.testing.assert_array_equal(design.encoder.X(one), design.X[(data.a == "b").to_numpy()])


def test_names_keep_the_parentheses_of_an_expression() -> None:
    nested = table("nested")
    design = build(parse("ms ~ I((x + 1) * z) + I(x + 1 * z) + I(x - (z - k)) + {-(x**2)}"), nested)
    assert design.names[1:] == (
        "I((x + 1) * z)",
        "I(x + 1 * z)",
        "I(x - (z - k))",
        "I(-x ** 2)",
    )
    np.testing.assert_allclose(design.X[:, 1], (nested.x + 1) * nested.z)
    np.testing.assert_allclose(design.X[:, 2], nested.x + nested.z)
    np.testing.assert_allclose(design.X[:, 4], -(nested.x**2))
    with pytest.raises(InputError, match="can be read in two ways"):
        fit("ms ~ I(-x**2)", nested)
    with pytest.raises(InputError, match="the name of two different terms"):
        fit("ms ~ log(k) + `log(k)`", nested.assign(**{"log(k)": nested.z}))


@given(seed=st.integers(0, 10_000), degree=st.integers(1, 4), df=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_bases_span_what_they_should(seed: int, degree: int, df: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal() * 100, 10 ** rng.uniform(-2, 3), 40)
    frame = pd.DataFrame({"x": x, "y": rng.normal(size=40)})
    poly = build(parse(f"y ~ 0 + poly(x, {degree})"), frame).X
    np.testing.assert_allclose(poly.T @ poly, np.eye(degree), atol=1e-10)
    np.testing.assert_allclose(poly.sum(axis=0), 0, atol=1e-10)
    # B-splines with the intercept's are shares of one; natural splines hold straight lines.
    whole = build(parse(f"y ~ 0 + bs(x, df={degree + df}, degree={degree}, intercept=True)"), frame)
    np.testing.assert_allclose(whole.X.sum(axis=1), 1, atol=1e-12)
    natural = build(parse(f"y ~ ns(x, df={df})"), frame)
    wide = pd.DataFrame({"x": np.r_[x, x.min() - np.ptp(x), x.max() + np.ptp(x)]})
    scaled = (x - x.mean()) / x.std()
    weights = np.linalg.lstsq(natural.X, scaled, rcond=None)[0]
    assert natural.encoder is not None
    line = (wide.x - x.mean()) / x.std()
    np.testing.assert_allclose(natural.encoder.X(wide) @ weights, line, atol=1e-7)


def test_parts_of_an_uncorrelated_term_stand_alone() -> None:
    nested = table("nested").assign(**{"my x": table("nested").x})
    design = build(parse("ms ~ x + (poly(z, 2) + kind + `my x` || question)"), nested)
    assert [block.names for block in design.random] == [
        ("Intercept",),
        ("poly(z, 2)[1]", "poly(z, 2)[2]"),
        ("kind[a]", "kind[b]", "kind[c]"),
        ("my x",),
    ]
    assert design.encoder is not None
    for number, block in enumerate(design.random):
        np.testing.assert_allclose(design.encoder.Z(nested, number), block.Z)


def test_terms_with_the_same_left_side_share_their_columns() -> None:
    design = build(parse("ms ~ x + (1 + x | image) + (1 + x | image:question)"), table("nested"))
    assert design.random[0].Z is design.random[1].Z


def test_an_encoder_can_be_sent_to_another_process() -> None:
    nested = table("nested")
    formula = "ms ~ ns(z, knots=[-0.5, 0.5]) * C(kind) + log(k + 1) + (poly(z, 2) || image)"
    design = build(parse(formula), nested)
    other = pickle.loads(pickle.dumps(design.encoder))
    np.testing.assert_array_equal(other.X(nested), design.X)
    np.testing.assert_allclose(other.Z(nested, 1), design.random[1].Z)


def test_a_design_keeps_no_second_copy_of_the_rows() -> None:
    design = build(parse("ms ~ poly(x, 2) * kind + (1 | image)"), table("nested"))
    assert design.encoder is not None
    for columns in (design.encoder.fixed, *design.encoder.varying):
        for term in columns.common.terms.values():
            assert term.data is None
            for part in getattr(term, "components", ()):
                assert part.value is None
                assert part._intermediate_data is None


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("poly(x, 4)", "more than 4 unique values"),
        ("poly(x, 0)", "degree is a whole number from 1 on, not 0"),
        ("poly(x, 1.5)", "whole number"),
        ("poly(kind, 2)", "poly() is of numbers"),
        ("ns(x, 0)", "df is a whole number from 1 on"),
        ("bs(x, df=2)", "df is a whole number from 3 on"),
        ("ns(z, knots=[-100])", "knots inside the boundary"),
        ("ns(z, df=2, knots=[0, 0.5])", "has 3 columns, not df"),
        ("ns(x, df=9)", "puts knots on the boundary"),
        ("bs(z, boundary=[1, 1])", "two different boundary knots"),
        ("scale(one)", "one value"),
        ("ns(log(z - 100), 2)", "missing or not finite"),
        ("nss(z, 2)", "unknown function 'nss' (did you mean 'ns'?)"),
        ("poly(z, 2, row=True)", "cannot evaluate 'poly(z, 2, row=True)'"),
    ],
)
def test_bases_that_cannot_be_made_are_explained(call: str, says: str) -> None:
    nested = table("nested").assign(one=1.0)
    with pytest.raises(InputError) as caught:
        fit(f"ms ~ {call}", nested)
    assert says in str(caught.value)
    assert "optik_" not in str(caught.value)


def test_new_rows_are_refused_plainly() -> None:
    found = fit("ms ~ poly(x, 2) * kind + (1 + log(k) | image)", table("nested"))
    rows = table("nested").head(3)
    for change, says in [
        (rows.drop(columns="x"), "the new rows have no column 'x'"),
        (rows.assign(kind="zebra"), "levels (zebra) in 'kind'"),
        (rows.assign(x=np.nan), "missing or not finite"),
    ]:
        with pytest.raises(InputError) as caught:
            encoder(found).X(change)
        assert says in str(caught.value)
    with pytest.raises(InputError, match=r"log\(k\) missing or not finite in the new rows"):
        encoder(found).Z(rows.assign(k=0), 0)
