"""Complexities that nothing can be compared by, refused in words before any arithmetic."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from complexity.errors import InputError, did_you_mean, listing

#: Squares of smaller or larger spreads leave the range of a float.
SMALLEST, LARGEST = 1e-150, 1e150


def check_complexity(values: pd.Series, metric: str) -> None:
    """Refuse complexities by image that cannot be standardised and cut.

    Parameters
    ----------
    values : Series of float
        One value per image that has results; missing ones allowed.
    metric : str
        Their name.

    Raises
    ------
    InputError
        When values are infinite, fewer than two are known, all are the same, or their spread
        is beyond what can be computed with.
    """
    infinite = values.index[np.isinf(values.to_numpy(dtype=np.float64))]
    if len(infinite):
        raise InputError(
            f"'{metric}' holds text or infinite values (infinite for image {listing(infinite)}): "
            "a complexity metric must be a finite number, or empty where an image has none."
        )
    known = values.dropna()
    if len(known) < 2:
        found = "one image has" if len(known) else "no image has"
        raise InputError(
            f"{found} scores together with {metric}: complexity cannot be compared. Check that "
            "the columns are filled and the ids match."
        )
    if known.nunique() < 2:
        raise InputError(
            f"{metric} has the same value on every image that has results "
            f"({known.iloc[0]:g}), so nothing can shift with it. Choose another metric "
            "(--complexity, or analysis.metrics)."
        )
    spread = float(known.max() / 2 - known.min() / 2)
    if not SMALLEST < spread < LARGEST:
        raise InputError(
            f"{metric} ranges from {known.min():g} to {known.max():g}: too "
            f"{'narrow' if spread <= SMALLEST else 'wide'} to be computed with. Give it in other "
            "units."
        )


def complexity_columns(table: pd.DataFrame, known: Iterable[str]) -> list[str]:
    """Name the columns that could be a complexity: numbers, one value per image, not constant.

    Parameters
    ----------
    table : DataFrame
        With `image_id`.
    known : iterable of str
        Columns that mean something else.
    """
    found = []
    for name in table.columns:
        column = table[name]
        if str(name) in set(known) or not pd.api.types.is_numeric_dtype(column):
            continue
        varies = column.min() < column.max()
        if varies and table.groupby("image_id")[name].nunique().max() <= 1:
            found.append(str(name))
    return found


def no_such_metric(table: pd.DataFrame, metric: str, known: Iterable[str]) -> str:
    """Say that a table lacks the metric, and which columns could be one."""
    names = list(known)
    could = complexity_columns(table, names) if "image_id" in table.columns else []
    near = did_you_mean(metric, could or map(str, table.columns))
    if could:
        return (
            f"the table has no column '{metric}'{near}. Columns that could be a complexity "
            f"(numbers, one value per image): {', '.join(could)}."
        )
    return (
        f"the table has no column '{metric}'{near}, and none of its columns could be a "
        "complexity (numbers, one value per image, not all the same): add one, such as a metric "
        f"from `optik measure`. It has {listing(map(str, table.columns))}."
    )
