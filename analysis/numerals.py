"""Numbers as a reader wants them, the same in tables, figures and sentences.

Every function takes a plain number and returns text. Negative numbers carry a true minus
sign (U+2212), what rounds to zero carries no sign, and what is not finite is shown as
`MISSING`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
MINUS = "−"


def number(value: float, decimals: int = 2, *, leading_zero: bool = True) -> str:
    """Round to a fixed number of decimals, thousands apart.

    Parameters
    ----------
    value : float
        Any number; NaN and infinities give `MISSING`.
    decimals : int
        Digits after the point.
    leading_zero : bool
        False writes .81 for 0.81: the habit for what cannot exceed 1 in size (shares,
        correlations, p).

    Returns
    -------
    str
        ``8,000``, ``0.81``, ``.81`` or ``−1.4``.
    """
    if not math.isfinite(value):
        return MISSING
    text = f"{abs(value):,.{decimals}f}"
    is_zero = not text.strip("0.,")
    if not leading_zero and text.startswith("0."):
        text = text[1:]
    return f"{MINUS}{text}" if value < 0 and not is_zero else text


def count(value: float) -> str:
    """Write a whole number with thousands apart: ``8,000``."""
    return number(value, 0)


def decimals_for(values: Sequence[float], digits: int = 3) -> int:
    """Choose the decimals that show a typical value with some significant digits.

    Parameters
    ----------
    values : sequence of float
        The numbers of one column.
    digits : int
        Significant digits that the median of the non-zero sizes gets.

    Returns
    -------
    int
        Between 0 and 6.
    """
    sizes = sorted(abs(v) for v in values if math.isfinite(v) and v != 0)
    if not sizes:
        return 0
    exponent = math.floor(math.log10(sizes[len(sizes) // 2]))
    return min(max(digits - 1 - exponent, 0), 6)


def decimals_that_show_signs(values: Sequence[float], decimals: int) -> int:
    """Add a decimal where a bound other than zero would be printed as zero.

    Whether an interval spans zero is what it is read for, and [0.000, 0.003] would not say.

    Parameters
    ----------
    values : sequence of float
        The bounds of one column of intervals.
    decimals : int
        Digits after the point otherwise.

    Returns
    -------
    int
        `decimals`, or one more.
    """
    hidden = any(v != 0 and math.isfinite(v) and _is_zero(v, decimals) for v in values)
    return decimals + 1 if hidden else decimals


def _is_zero(value: float, decimals: int) -> bool:
    return not f"{abs(value):.{decimals}f}".strip("0.")


def significant(value: float, digits: int = 3) -> str:
    """Round to significant digits, without exponent: ``26.3``, ``1,240``, ``0.0129``."""
    if not math.isfinite(value):
        return MISSING
    decimals = decimals_for([value], digits)
    # Rounding may carry into a new digit: 9.996 has three digits as 10.0, not 10.00.
    return number(value, decimals_for([round(value, decimals)], digits))


def milliseconds(value: float) -> str:
    """Write a time with three significant digits: ``26.3 ms``."""
    return f"{significant(value)} ms" if math.isfinite(value) else MISSING


def percent(share: float, decimals: int = 1) -> str:
    """Write a share in [0, 1] as ``96.1 %``."""
    return f"{number(100 * share, decimals)} %" if math.isfinite(share) else MISSING


def signed(value: float, decimals: int = 2) -> str:
    """Write a difference with its sign, none when it rounds to zero: ``+0.12``, ``−1.40``."""
    text = number(value, decimals)
    positive = math.isfinite(value) and value > 0 and text.strip("0.,")
    return f"+{text}" if positive else text


def points(difference: float, decimals: int = 1) -> str:
    """Write a difference of two shares in percentage points: ``+1.4 points``."""
    if not math.isfinite(difference):
        return MISSING
    return f"{signed(100 * difference, decimals)} points"


def p_number(p: float) -> str:
    """Write a p-value for a table: ``.014``, ``<.001``, ``>.999``, ``1``.

    Raises
    ------
    ValueError
        When p is outside [0, 1].
    """
    if not math.isfinite(p):
        return MISSING
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, outside [0, 1]")
    if p < 0.001:
        return "<.001"
    if p == 1:
        return "1"
    if p > 0.999:
        return ">.999"
    return number(p, 3, leading_zero=False)


def p_value(p: float) -> str:
    """Write a p-value for a sentence: ``p = .014``, ``p < .001``, ``p > .999``, ``p = 1``."""
    text = p_number(p)
    if text == MISSING:
        return "p undefined"
    return f"p {text[0]} {text[1:]}" if text[0] in "<>" else f"p = {text}"


def interval(low: float, high: float, decimals: int = 2, *, leading_zero: bool = False) -> str:
    """Write an interval: ``[.81, .85]``, or ``[−0.10, 1.20]`` with `leading_zero`."""
    if not (math.isfinite(low) or math.isfinite(high)):
        return MISSING
    ends = [number(end, decimals, leading_zero=leading_zero) for end in (low, high)]
    return f"[{ends[0]}, {ends[1]}]"


def percent_interval(low: float, high: float, decimals: int = 1) -> str:
    """Write an interval of shares in percent: ``[81.0, 85.2] %``."""
    text = interval(100 * low, 100 * high, decimals, leading_zero=True)
    return text if text == MISSING else f"{text} %"


def k_list(ks: Sequence[int], word: str = "or") -> str:
    """Write some k: ``4``, ``4 or 6``, ``4, 6, 8 or 12``; ``none`` when there is none."""
    texts = [str(int(k)) for k in ks]
    if len(texts) < 2:
        return texts[0] if texts else "none"
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}"
