"""k across the columns of a table, for print."""

from __future__ import annotations

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
