from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import numerals

NAN = float("nan")


@pytest.mark.parametrize(
    ("p", "cell", "sentence"),
    [
        (0.0, "<.001", "p < .001"),
        (2e-10, "<.001", "p < .001"),
        (0.00099, "<.001", "p < .001"),
        (0.001, ".001", "p = .001"),
        (0.0144, ".014", "p = .014"),
        (0.89, ".890", "p = .890"),
        (0.9995, ">.999", "p > .999"),
        (1.0, "1", "p = 1"),
        (NAN, "–", "p undefined"),
    ],
)
def test_p_values(p: float, cell: str, sentence: str) -> None:
    assert numerals.p_number(p) == cell
    assert numerals.p_value(p) == sentence


@pytest.mark.parametrize("p", [-0.01, 1.01])
def test_a_p_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        numerals.p_number(p)


@pytest.mark.parametrize(
    ("value", "decimals", "leading", "expected"),
    [
        (0.814, 2, True, "0.81"),
        (0.814, 2, False, ".81"),
        (-0.814, 2, False, "−.81"),
        (1.0, 2, False, "1.00"),
        (-0.001, 2, True, "0.00"),
        (-0.0, 1, False, ".0"),
        (256000, 0, True, "256,000"),
        (-1234.56, 1, True, "−1,234.6"),
        (math.inf, 1, True, "–"),
    ],
)
def test_number(value: float, decimals: int, leading: bool, expected: str) -> None:
    assert numerals.number(value, decimals, leading_zero=leading) == expected


def test_shares_and_differences() -> None:
    assert numerals.percent(0.9612) == "96.1 %"
    assert numerals.percent(1, 0) == "100 %"
    assert numerals.percent(NAN) == "–"
    assert numerals.points(0.014) == "+1.4 points"
    assert numerals.points(-0.014) == "−1.4 points"
    assert numerals.points(-0.0001) == "0.0 points"
    assert numerals.points(0.0001, 2) == "+0.01 points"
    assert numerals.points(NAN) == "–"
    assert numerals.signed(0) == "0.00"


def test_times_keep_three_digits() -> None:
    assert numerals.milliseconds(26.345) == "26.3 ms"
    assert numerals.milliseconds(0.01294) == "0.0129 ms"
    assert numerals.milliseconds(1239.6) == "1,240 ms"
    assert numerals.milliseconds(9.996) == "10.0 ms"
    assert numerals.milliseconds(NAN) == "–"
    assert numerals.significant(0) == "0"


def test_intervals() -> None:
    assert numerals.interval(0.81, 0.854) == "[.81, .85]"
    assert numerals.interval(-0.1, 1.2, leading_zero=True) == "[−0.10, 1.20]"
    assert numerals.interval(NAN, NAN) == "–"
    assert numerals.percent_interval(0.81, 0.852) == "[81.0, 85.2] %"


def test_lists_of_k() -> None:
    assert numerals.k_list([4, 6, 8, 12]) == "4, 6, 8 or 12"
    assert numerals.k_list([4, 6], "and") == "4 and 6"
    assert numerals.k_list([4]) == "4"
    assert numerals.k_list([]) == "none"


def test_decimals_follow_the_median() -> None:
    assert numerals.decimals_for([0.0, 0.3, 0.5, 40.0]) == 3
    assert numerals.decimals_for([12.0, 15.0, 22.0]) == 1
    assert numerals.decimals_for([8000.0]) == 0
    assert numerals.decimals_for([]) == 0
    assert numerals.decimals_for([1e-12]) == 6


def test_a_bound_that_would_read_as_zero_gets_a_decimal_more() -> None:
    assert numerals.decimals_that_show_signs([0.0002, 0.003], 3) == 4
    assert numerals.decimals_that_show_signs([-0.0002, 0.003], 3) == 4
    assert numerals.decimals_that_show_signs([0.0, 0.003], 3) == 3
    assert numerals.decimals_that_show_signs([-0.0006, NAN], 3) == 3
    assert numerals.decimals_that_show_signs([0.4], 0) == 1
    assert numerals.decimals_that_show_signs([], 2) == 2


@given(st.floats(0, 1))
def test_a_p_reads_back_to_its_rounding(p: float) -> None:
    text = numerals.p_number(p)
    if text[0] not in "<>":
        assert abs(float(text) - p) <= 0.0005 + 1e-12


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_numbers_read_back_to_their_rounding(value: float, decimals: int) -> None:
    text = numerals.number(value, decimals).replace(",", "").replace("−", "-")
    assert abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-6
    assert text.partition(".")[2] == "" if decimals == 0 else len(text.split(".")[1]) == decimals
