"""k across the columns of a table, for print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from analysis import numerals


def across(frame: pd.DataFrame, rows: Sequence[str], spell: Callable[[Any], str]) -> pd.DataFrame:
    """Lay k out across columns, for print.

    Parameters
    ----------
    frame : DataFrame
        Tidy, with `k`.
    rows : sequence of str
        Columns that name a row of the result, kept in order of appearance.
    spell : callable
        From a row of `frame` (a named tuple) to the text of its cell.

    Returns
    -------
    DataFrame
        `rows`, then one column of texts per k, named ``k = 1`` and so on; empty where there
        is no such k.
    """
    cells = frame[list(rows)].assign(
        k=[f"k = {k}" for k in frame["k"]], text=[spell(row) for row in frame.itertuples()]
    )
    order = [f"k = {k}" for k in sorted(frame["k"].unique())]
    wide = cells.pivot_table(
        index=list(rows), columns="k", values="text", aggfunc="first", sort=False, observed=True
    )
    return wide.reindex(columns=order).fillna("").reset_index().rename_axis(columns=None)


def plus_minus(value: float, half: float, decimals: int, *, signed: bool = False) -> str:
    """Spell an estimate and the half-width of its interval: ``96.1 ± 0.4``."""
    spell = numerals.signed if signed else numerals.number
    return f"{spell(value, decimals)} ± {numerals.number(half, decimals)}"


def decimals_of(value: float, half: float) -> int:
    """Choose decimals for a time and its half-width: two digits of it, four of the time at most.

    Without a half-width (NaN), two digits of the time.
    """
    if math.isnan(half):
        return numerals.decimals_for([value], 2)
    few, most = numerals.decimals_for([half], 1), numerals.decimals_for([half], 2)
    return max(min(most, numerals.decimals_for([value], 4)), few)
