"""Formulas, the arrays made from them, and the words for what cannot be fitted."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.mixed import fit
from analysis.mixed.clustered import aliased
from analysis.mixed.design import build
from analysis.mixed.formula import RandomTerm, parse
from complexity.errors import InputError


def random_of(text: str) -> list[tuple[str, tuple[str, ...], str, bool]]:
    return [(t.columns, t.factors, t.group, t.correlated) for t in parse(text).random]


@pytest.mark.parametrize(
    ("text", "outcome", "fixed"),
    [
        ("y ~ x", "y", "x"),
        ("  y~C(k)*x +\n (1|g) ", "y", "C(k)*x"),
        ("log(y) ~ (1|g)", "log(y)", "1"),
        ("y ~ -1 + x", "y", "1 - 1 + x"),
        ("y ~ (1|g) - 1 + x", "y", "1 - 1 + x"),
        ("y ~ (x + I(x**2)) * c + (1 | a)", "y", "(x + I(x**2)) * c"),
        ("y ~ (x + z)**2", "y", "(x + z)**2"),
        ("y ~ {x**2} + `a|b`", "y", "{x**2} + `a|b`"),
    ],
)
def test_the_fixed_part_is_split_off(text: str, outcome: str, fixed: str) -> None:
    formula = parse(text)
    assert (formula.outcome, formula.fixed) == (outcome, fixed)


def test_counts_are_split_off() -> None:
    assert parse("cbind(right, asked - right) ~ x").counts == ("right", "asked - right")
    assert parse("cbind(f(a, b), c) ~ x").counts == ("f(a, b)", "c")
    assert parse("right ~ x").counts is None


def test_random_terms_expand_as_in_lme4() -> None:
    assert random_of("y ~ x + (1 + x | g)") == [("1 + x", ("g",), "g", True)]
    assert random_of("y ~ (x || g)") == [("x", ("g",), "g", False)]
    assert random_of("y ~ (1|a:b) + (0 + x|a)") == [
        ("1", ("a", "b"), "a:b", True),
        ("0 + x", ("a",), "a", True),
    ]
    # The inner level of a/b is called b:a by lme4.
    assert random_of("y ~ (1 | a/b/c)") == [
        ("1", ("a",), "a", True),
        ("1", ("a", "b"), "b:a", True),
        ("1", ("a", "b", "c"), "c:b:a", True),
    ]
    assert parse("y ~ (1 | `my group`)").random == (
        RandomTerm("1", ("my group",), "my group", True, "(1 | `my group`)"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y", "exactly one ~"),
        ("y ~ x ~ z", "exactly one ~"),
        (" ~ x", "no outcome"),
        ("y ~ ", "nothing right of ~"),
        ("y ~ x +", "nothing after it"),
        ("y ~ x ++ z", "nothing after it"),
        ("y ~ (x", "a ( is not closed"),
        ("y ~ x)", ") closes nothing"),
        ("y ~ `x", "a ` is not closed"),
        ("y ~ x | g", "stands alone in parentheses"),
        ("y ~ (1|g)*x", "stands alone in parentheses"),
        ("y ~ x - (1|g)", "cannot be taken away"),
        ("y ~ (1|g|h)", "(columns | group)"),
        ("y ~ (|g)", "(columns | group)"),
        ("y ~ (1|C(g))", "not a column name"),
        ("y ~ (1|g) + (1|g)", "given twice"),
        ("y ~ I(x^2)", "write ** instead of ^"),
        ("y ~ x**2", "write I(x**2)"),
        ("y ~ x + log(x)**2", "write I(x**2)"),
        ("y ~ . + (1|g)", ". (all other columns) is not offered"),
        ("y ~ (1|factor(g))", "categories anyway, so write g"),
        ("-y ~ x", "write I(-y)"),
        ("y / 2 ~ x", "write I(y / 2)"),
        ("cbind(y) ~ x", "takes two columns, successes and failures"),
        ("cbind(y, ) ~ x", "takes two columns"),
    ],
)
def test_a_formula_that_makes_no_sense_is_explained(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert says in str(caught.value)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 120
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": x,
            "twice": 2 * x,
            "positive": np.exp(x),
            "b": np.arange(n) // 3 % 2,
            "soft": np.arange(n) % 4 / 3,
            "apart": (np.arange(n) // 3 % 2) * (np.arange(n) > 60),
            "g": np.repeat(np.arange(20), 6),
            "h": np.tile(np.arange(6), 20),
            "k": np.tile([1, 2, 4], 40),
            "kind": ["p", "q"] * 60,
            "only": "z",
            "one": 1.0,
            "row": np.arange(n),
            "zero": 0,
            "digits": (np.arange(n) % 2).astype(str),
            "levels": pd.Categorical(np.arange(n) % 2),
            "far": np.where(np.arange(n) == 7, np.inf, x),
            "day": pd.date_range("2026-01-01", periods=n),
            "both": [1, "a"] * 60,
            "won": np.arange(n) % 4,
            "lost": 3 - np.arange(n) % 4,
            "asked": 3,
        }
    )


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("y ~ kindd", "no column 'kindd' (did you mean 'kind'?)"),
        ("y ~ x + (1|gg)", "no column 'gg'"),
        ("kind ~ x", "'kind' is not numeric (for instance 'p')"),
        ("one ~ x", "the outcome is 1 in every row"),
        ("y + x ~ k", "write I(y + x)"),
        ("y ~ x + one", "one has the same value in every row"),
        ("y ~ only", "'only' has a single value"),
        ("y ~ x + twice", "cannot estimate twice"),
        ("y ~ log(x)", "not finite: log(x) in"),
        ("log(x) ~ k", "the outcome is not finite in"),
        ("y ~ x g", "from 'g' on"),
        ("y ~ lgo(positive)", "unknown function 'lgo' (did you mean 'log'?)"),
        ("y ~ factor(k)", "write C(column)"),
        ("y ~ as.factor(k)", "unknown function 'as.factor' (for categories write C(column))"),
        ("y ~ s(x)", "write ns(column, df=4)"),
        ("y ~ offset(log(k)) + x + (1|g)", "take it from the outcome, as in I(y - log(k)) ~"),
        ("digits ~ x", "'digits' holds its numbers as text (0), so it is not numeric"),
        ("levels ~ x", "'levels' holds its numbers as categories (0), so it is not numeric"),
        ("both ~ x", "'both' is not numeric (for instance 'a')"),
        ("far ~ x", "the outcome is not finite in 1 row;"),
        ("y ~ far", "not finite: far in 1 row;"),
        ("y ~ x + (far|g)", "not finite: far in 1 row;"),
        ("y ~ day", "column 'day' holds datetime64"),
        ("y ~ both", "column 'both' holds mixed-integer values"),
        ("y ~ zero", "cannot estimate zero: 0 in every row"),
        ("y ~ x + zero:x", "cannot estimate zero:x: 0 in every row"),
        ("y ~ x + (1 + one|g)", "one has the same value in every row"),
        ("y ~ x + (zero|g)", "cannot estimate zero"),
        ("y ~ x + (0|g)", "(0|g) lets nothing vary"),
        ("y ~ x == 1", "write I(x == 1)"),
        ("y ~ 2 * x", "the number 2 stands as a term"),
        ("y ~ 1st", "backticks around an unusual name"),
        ("y ~ _x", "unusual characters goes in backticks"),
        ("cbind(won, lost) ~ x", "cbind(successes, failures) is a binomial outcome"),
        ("y ~ 0", "no column"),
        ("y ~ C(row)", "too few for 120 coefficients"),
        ("y ~ x + (1|only)", "'only' has a single level"),
        ("y ~ x + (1|row)", "as many levels as there are rows (120)"),
        ("y ~ x + (1|g:row)", "as many levels as there are rows (120)"),
        ("y ~ x + (1+x|g:k)", "(1+x|g:k) asks for 120 random effects from 120 rows"),
        ("y ~ (1|g) + (x|g)", "Intercept varies twice between the same groups"),
        ("x ~ twice", "reproduces the outcome exactly"),
        ("x ~ twice + (1|g)", "reproduces the outcome exactly"),
    ],
)
def test_data_that_cannot_be_fitted_is_explained(
    table: pd.DataFrame, formula: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        fit(formula, table)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "options", "says"),
    [
        ("y ~ x", {"family": "poison"}, "unknown family 'poison'"),
        ("y ~ x", {"method": "mle"}, "unknown method 'mle'"),
        ("b ~ x", {"family": "binomial", "method": "reml"}, "REML is for gaussian"),
        ("soft ~ x + (1|g)", {"family": "binomial"}, "give cluster='g'"),
        ("b ~ x + apart + (1|g)", {"family": "binomial"}, "predicted perfectly by apart"),
        ("y ~ x + (1|g)", {"cluster": "g"}, "without random terms"),
        ("y ~ x", {"cluster": "G"}, "no column 'G'"),
        ("y ~ x", {"cluster": "only"}, "'only' has a single value"),
        ("y ~ x", {"family": "binomial"}, "lies in [0, 1]"),
        ("row ~ x", {"family": "binomial"}, "lies in [0, 1], this one in [0, 119]"),
        ("k ~ x", {"family": "binomial"}, "percent? divide by 100"),
        ("y ~ x", {"weights": "k"}, "gaussian rows cannot be weighted"),
        (
            "cbind(won, lost) ~ x",
            {"family": "binomial", "weights": "asked"},
            "leave out the weight",
        ),
        ("cbind(won, y) ~ x", {"family": "binomial"}, "whole numbers from 0 on"),
        ("cbind(won, x - x) ~ x", {"family": "binomial"}, "30 rows count no trial"),
        ("b ~ x + (1|row)", {"family": "binomial"}, "a single 0 or 1 tells nothing"),
        ("b ~ x + (1 + x + h|g:k)", {"family": "binomial"}, "asks for 180 random effects from 120"),
        ("digits ~ x", {"family": "binomial"}, "holds its numbers as text"),
    ],
)
def test_requests_that_cannot_be_met_are_explained(
    table: pd.DataFrame, formula: str, options: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        fit(formula, table, **options)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_an_empty_combination_of_categories_is_named(table: pd.DataFrame) -> None:
    holes = table[(table.k != 4) | (table.kind == "p")]
    with pytest.raises(InputError, match=r"cannot estimate C\(k\)\[4\]:kind\[q\]"):
        fit("y ~ C(k) * kind", holes)


def test_empty_and_ambiguous_tables(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no rows"):
        fit("y ~ x", table.head(0))
    with pytest.raises(InputError, match="several columns named x"):
        fit("y ~ x", pd.concat([table, table[["x"]]], axis=1))
    with pytest.raises(InputError, match=r"every row has a missing value \(x holds nothing"):
        fit("y ~ x", table.assign(x=np.nan))
    with pytest.raises(InputError, match="2 complete rows are too few"):
        fit("y ~ x", table.head(2))


def test_missing_rows_are_dropped_once_and_counted(table: pd.DataFrame) -> None:
    table["other"] = np.nan  # not used, so of no consequence
    table.loc[[0, 1], "x"] = np.nan
    table.loc[[1, 2], "y"] = np.nan
    table["g"] = table.g.astype("Int64").where(table.row != 50)
    assert fit("y ~ x", table).n_dropped == 3
    mixed = fit("y ~ x + (1|g)", table)
    assert (mixed.n_obs, mixed.n_dropped, dict(mixed.n_groups)) == (116, 4, {"g": 20})
    robust = fit("y ~ x", table, cluster="g")
    assert (robust.n_obs, robust.n_dropped, dict(robust.n_groups)) == (116, 4, {"g": 20})
    whole = table.dropna(subset=["x", "y", "g"])
    np.testing.assert_array_equal(robust.params, fit("y ~ x", whole, cluster="g").params)


def test_column_types_do_not_matter(table: pd.DataFrame) -> None:
    plain = fit("y ~ C(k) + kind + x", table)
    dressed = table.astype({"k": "Int64", "kind": "string[pyarrow]", "x": "float64[pyarrow]"})
    other = fit("y ~ C(k) + kind + x", dressed)
    assert plain.names == other.names
    np.testing.assert_array_equal(plain.params, other.params)
    categories = table.assign(kind=pd.Categorical(table.kind, categories=["r", "q", "p"]))
    # The order of the categories decides which is the reference, and unused ones do not count.
    assert fit("y ~ kind", categories).names == ("Intercept", "kind[p]")
    assert fit("y ~ C(kind)", categories).names == ("Intercept", "C(kind)[p]")
    flags = table.assign(b=table.b.astype("boolean"))
    np.testing.assert_array_equal(
        fit("b ~ x", flags, family="binomial").params, fit("b ~ x", table, family="binomial").params
    )


def test_uncorrelated_terms_become_blocks(table: pd.DataFrame) -> None:
    blocks = build(parse("y ~ x + (x + C(k) || g)"), table).random
    assert [block.names for block in blocks] == [
        ("Intercept",),
        ("x",),
        ("C(k)[1]", "C(k)[2]", "C(k)[4]"),
    ]
    assert {block.n_levels for block in blocks} == {20}


def test_one_group_a_row_where_rows_are_several_trials(table: pd.DataFrame) -> None:
    # lme4 takes these: the spread beyond the binomial one is what (1 | row) estimates.
    found = fit("cbind(won, lost) ~ x + (1 | row)", table, family="binomial")
    share = table.assign(share=table.won / 3)
    other = fit("share ~ x + (1 | row)", share, family="binomial", weights="asked")
    assert found.converged
    assert found.n_groups == {"row": 120}
    np.testing.assert_array_equal(found.params, other.params)
    assert found.loglik == other.loglik
    # As many random effects as rows, which a gaussian model cannot have.
    assert fit("b ~ x + (1 + x|g:k)", table, family="binomial").n_groups == {"g:k": 60}


def test_names_of_every_kind(table: pd.DataFrame) -> None:
    plain = fit("y ~ x + sqrt(positive) * kind + (1 + x | g)", table)
    renamed = table.rename(
        columns={"y": "1st y", "x": "größe.cm", "positive": "変 数", "kind": "_kind", "g": "a:b"}
    )
    odd = fit(
        "`1st y` ~ größe.cm + sqrt(`変 数`) * `_kind` + (1 + größe.cm | `a:b`)",
        renamed,
    )
    assert odd.names[1:4] == ("größe.cm", "sqrt(変 数)", "_kind[q]")
    np.testing.assert_allclose(odd.params, plain.params, rtol=1e-10)
    assert dict(odd.n_groups) == {"a:b": 20}
    assert odd.model is not None
    assert odd.model.design.encoder is not None
    np.testing.assert_array_equal(odd.model.design.encoder.X(renamed), odd.model.design.X)


@pytest.mark.parametrize("text", ["0 + x", "x - 1", "-1 + x", "x + 0"])
def test_random_slopes_alone(table: pd.DataFrame, text: str) -> None:
    (block,) = build(parse(f"y ~ x + ({text} | g)"), table).random
    assert block.names == ("x",)


def test_models_with_only_an_intercept_and_without_one(table: pd.DataFrame) -> None:
    assert fit("y ~ (1 | g)", table).names == fit("y ~ 1 + (1 | g)", table).names == ("Intercept",)
    means = fit("y ~ 0 + C(k)", table)
    assert means.names == ("C(k)[1]", "C(k)[2]", "C(k)[4]")
    np.testing.assert_allclose(means.params, table.groupby("k").y.mean(), rtol=1e-10)


@pytest.mark.parametrize("kind", ["int", "text", "object", "arrow", "category", "shuffled"])
def test_groups_of_every_type_are_the_same_groups(table: pd.DataFrame, kind: str) -> None:
    plain = build(parse("y ~ x + (1 | g/k)"), table)
    names = "img_" + table.g.astype(str).str.zfill(6)
    labels: dict[str, Any] = {
        "int": table.g * 1000 - 7,
        "text": names,
        "object": names.astype(object),
        "arrow": names.astype("string[pyarrow]"),
        "category": names.astype("category").cat.add_categories("unused"),
        # Categories keep their order, so that groups are numbered by it.
        "shuffled": pd.Categorical(names, categories=sorted(set(names), reverse=True)),
    }
    other = build(parse("y ~ x + (1 | g/k)"), table.assign(g=labels[kind]))
    assert [block.n_levels for block in other.random] == [20, 60]
    codes = other.random[0].codes
    np.testing.assert_array_equal(
        19 - codes if kind == "shuffled" else codes, plain.random[0].codes
    )
    assert other.random[0].codes.dtype == np.int64
    assert len(np.unique(other.random[1].codes * 60 + plain.random[1].codes)) == 60


def test_whole_numbers_with_gaps_are_numbers(table: pd.DataFrame) -> None:
    # As a Parquet file with gaps is read: whole numbers and None in an object column.
    gaps = table.assign(k=table.k.astype(object).where(table.row > 5, None))
    found = fit("y ~ k", gaps)
    assert (found.names, found.n_dropped) == (("Intercept", "k"), 6)
    assert fit("k ~ x", gaps).n_obs == 114
    assert fit("y ~ C(k)", gaps).names == ("Intercept", "C(k)[2]", "C(k)[4]")


def test_levels_that_are_whole_numbers_are_named_so(table: pd.DataFrame) -> None:
    # A gap makes floats of whole numbers; 2.0 would be no name for k = 2.
    gaps = table.assign(k=table.k.where(table.row > 5), g=table.g.where(table.row != 30) * 1.0)
    assert gaps.k.dtype == gaps.g.dtype == np.float64
    found = fit("y ~ C(k) + (1 | g) + (1 | g:kind)", gaps)
    assert found.names == ("Intercept", "C(k)[2]", "C(k)[4]")
    assert found.model is not None
    encoder = found.model.design.encoder
    assert encoder is not None
    assert encoder.groupings[0].labels()[:3].tolist() == ["1", "2", "3"]
    assert encoder.groupings[1].labels()[:2].tolist() == ["1:p", "1:q"]
    kept = found.model.design.frame
    for rows in (kept, kept.astype({"k": int, "g": int})):  # type: ignore[union-attr]
        np.testing.assert_array_equal(encoder.X(rows), found.model.design.X)
        for block, grouping in zip(found.model.design.random, encoder.groupings, strict=True):
            np.testing.assert_array_equal(grouping.codes_of(rows), block.codes)
    assert fit("y ~ C(half)", table.assign(half=table.k / 2)).names[1] == "C(half)[1.0]"


def test_lists_constants_and_contrasts(table: pd.DataFrame) -> None:
    def names(text: str) -> tuple[str, ...]:
        return fit(f"y ~ {text}", table).names[1:]

    assert names("C(k, Treatment(4))") == ("C(k, Treatment(4))[1]", "C(k, Treatment(4))[2]")
    assert names("C(k, Treatment)") == ("C(k, Treatment)[2]", "C(k, Treatment)[4]")
    assert names("C(k, levels=[4, 1, 2])")[1] == "C(k, levels=[4, 1, 2])[2]"
    assert names("C(kind, levels=['q', 'p'])") == ("C(kind, levels=['q', 'p'])[p]",)
    assert names("poly(x, 2, raw=TRUE)") == ("poly(x, 2, raw=True)[1]", "poly(x, 2, raw=True)[2]")
    assert names("I(x > 0)") == ("I(x > 0)",)


def test_the_evaluation_of_a_formula_prints_nothing(
    table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError):
        fit("y ~ C(k, levels=[1, 2])", table)
    assert capsys.readouterr() == ("", "")


def test_terms_know_their_columns(table: pd.DataFrame) -> None:
    design = build(parse("y ~ C(k) * x"), table)
    assert design.names == ("Intercept", "C(k)[2]", "C(k)[4]", "x", "C(k)[2]:x", "C(k)[4]:x")
    assert design.terms == {"Intercept": (0,), "C(k)": (1, 2), "x": (3,), "C(k):x": (4, 5)}
    assert build(parse("y ~ 0 + x"), table).names == ("x",)
    assert build(parse("y ~ -1 + x"), table).names == ("x",)


def test_aliased_columns_are_those_further_right() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 2))
    years = 2000 + np.arange(50.0)
    matrix = np.column_stack([np.ones(50), x, x[:, 0] - 3 * x[:, 1], years, years**2, 0 * years])
    assert aliased(matrix) == [3, 6]


def test_importing_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys, analysis.mixed as m; m.logit_clustered, m.wald_test, m.fit; "
        "print([x for x in ('statsmodels', 'formulae', 'seaborn', 'numba', 'scipy.optimize') "
        "if x in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_the_package_lists_and_refuses_names() -> None:
    import analysis.mixed

    assert "fit" in dir(analysis.mixed)
    with pytest.raises(AttributeError, match="nothing_here"):
        analysis.mixed.nothing_here  # type: ignore[attr-defined]  # noqa: B018


# ---- small numbers -----------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "float32", "uint64"])
def test_arithmetic_on_small_numbers_does_not_overflow(dtype: str) -> None:
    rng = np.random.default_rng(4)
    wide = pd.DataFrame({"x": rng.integers(0, 100, 60), "g": np.arange(60) % 6})
    wide["y"] = 0.01 * wide.x**2 + wide.g + rng.normal(size=60)
    formula = "y ~ x + I(x**2) + I((x - 50)**3) + (1 | g)"
    truth = fit(formula, wide)
    small = wide.assign(x=wide.x.astype(dtype))
    found = fit(formula, small)
    np.testing.assert_allclose(found.params, truth.params, rtol=1e-9)
    np.testing.assert_allclose(found.predict(small), truth.predict(wide), rtol=1e-9)


def test_rows_without_trials_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.arange(40) % 8, "n": rng.integers(1, 6, 40)})
    data["share"] = rng.binomial(data.n, 0.4) / data.n
    without = pd.concat([data, data[:3].assign(n=0, share=0.0)], ignore_index=True)
    found = fit("share ~ 1 + (1 | g)", without, family="binomial", weights="n")
    assert found.n_dropped == 3
    truth = fit("share ~ 1 + (1 | g)", data, family="binomial", weights="n")
    np.testing.assert_allclose(found.params, truth.params, rtol=1e-9)


def test_rounded_shares_are_named() -> None:
    data = pd.DataFrame({"g": np.arange(30) % 5, "n": 3, "share": np.tile([0.33, 0.67, 1.0], 10)})
    with pytest.raises(InputError, match=r"20 rows the share times the trials is not a whole"):
        fit("share ~ 1 + (1 | g)", data, family="binomial", weights="n")
