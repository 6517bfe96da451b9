"""Wald tests against R's lmtest and against algebra."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.mixed import fit, wald_test
from complexity.errors import InputError

GOLDEN = Path(__file__).parent / "golden" / "mixed"
CASES = json.loads((GOLDEN / "wald.json").read_text())


@pytest.mark.parametrize("name", list(CASES))
def test_agrees_with_lmtest(name: str) -> None:
    case = CASES[name]
    answers = pd.read_csv(GOLDEN / "answers.csv")
    full = fit("y ~ C(k) * c + kind", answers, family="binomial", cluster="image")
    is_f = name.endswith("_f")
    test = wald_test(
        full.params,
        full.cov,
        case["terms"],
        names=full.names,
        df_denom=case["df_denom"] if is_f else None,
    )
    statistic = test.statistic / test.df if is_f else test.statistic
    np.testing.assert_allclose(statistic, case["statistic"], rtol=1e-7)
    np.testing.assert_allclose(test.p, case["p"], rtol=1e-7)
    assert test.df == case["df"]
    assert not test.warnings


def test_a_fit_tests_its_terms_by_name() -> None:
    answers = pd.read_csv(GOLDEN / "answers.csv")
    full = fit("y ~ C(k) * c + kind", answers, family="binomial", cluster="image")
    by_term = full.wald_test("C(k):c")
    by_column = full.wald_test(["C(k)[2]:c", "C(k)[4]:c", "C(k)[8]:c"])
    assert by_term == by_column
    assert by_term.df_denom == 119
    assert by_term.method == "Wald, F with 119 denominator df"
    with pytest.raises(InputError, match=r"did you mean 'C\(k\):c'"):
        full.wald_test("C(k):cc")


def test_one_combination_is_the_square_of_t() -> None:
    params, cov = np.array([1.0, 2.0]), np.array([[4.0, 1.0], [1.0, 9.0]])
    test = wald_test(params, cov, [1.0, -1.0], df_denom=12)
    t = (1 - 2) / np.sqrt(4 + 9 - 2)
    np.testing.assert_allclose(test.statistic, t**2)
    np.testing.assert_allclose(test.p, 2 * stats.t.sf(abs(t), 12))
    free = wald_test(params, cov, [1.0, -1.0])
    np.testing.assert_allclose(free.p, 2 * stats.norm.sf(abs(t)))
    assert free.method == "Wald, chi-square"


def test_redundant_combinations_are_counted_once_and_said() -> None:
    params, cov = np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 9e6])
    R = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])
    test = wald_test(params, cov, R)
    np.testing.assert_allclose(test.statistic, 1 + 1 + 1e-6)
    assert test.df == 3
    assert test.warnings == ("of 4 combinations 3 could be told apart: the test is of rank 3",)


def test_a_combination_without_variance_is_left_out_and_said() -> None:
    test = wald_test([1.0, 2.0], np.diag([1.0, 0.0]), np.eye(2))
    assert (test.statistic, test.df) == (1.0, 1)
    assert "without variance is not zero" in test.warnings[1]
    nothing = wald_test([0.0], [[0.0]], [[1.0]])
    assert np.isnan(nothing.p)
    assert nothing.df == 0


def test_coefficients_without_covariance() -> None:
    cov = np.array([[1.0, np.nan], [np.nan, np.nan]])
    undefined = wald_test([1.0, 30.0], cov, np.eye(2))
    assert np.isnan(undefined.p)
    assert "separation" in undefined.warnings[0]
    # A coefficient outside the hypothesis does no harm.
    np.testing.assert_allclose(wald_test([1.0, 30.0], cov, [[2.0, 0.0]]).statistic, 1.0)


def test_bad_requests_are_explained() -> None:
    with pytest.raises(InputError, match="no coefficient named 'aa'"):
        wald_test([1.0], [[1.0]], ["aa"], names=["aaa"])
    with pytest.raises(InputError, match="only where `names` are given"):
        wald_test([1.0], [[1.0]], "a")
    with pytest.raises(InputError, match="combinations of that length"):
        wald_test([1.0, 2.0], np.eye(2), [[1.0, 0.0, 0.0]])
    with pytest.raises(InputError, match="none of zeros only"):
        wald_test([1.0, 2.0], np.eye(2), np.zeros((1, 2)))


@given(seed=st.integers(0, 10_000), q=st.integers(1, 4), power=st.integers(-6, 6))
def test_the_test_does_not_depend_on_how_the_hypothesis_is_written(
    seed: int, q: int, power: int
) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 5)) + 3 * np.eye(5)
    cov, params, R = root @ root.T, rng.normal(size=5), rng.normal(size=(q, 5))
    mixing = np.linalg.qr(rng.normal(size=(q, q)))[0] * 10.0**power
    one, other = (wald_test(params, cov, m, df_denom=30) for m in (R, mixing @ R))
    np.testing.assert_allclose(one.statistic, other.statistic, rtol=1e-6)
    assert one.df == other.df == q
