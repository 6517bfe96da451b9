"""From a formula and a frame to the arrays an engine fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed import terms as language
from analysis.mixed.blocks import Limits, RandomBlock, Varying, check_repeats
from analysis.mixed.clustered import FloatArray
from analysis.mixed.encoding import Encoder, widened
from analysis.mixed.estimable import check_finite, check_rank
from analysis.mixed.formula import Formula
from complexity.errors import InputError, did_you_mean, listing

__all__ = ["Design", "RandomBlock", "build"]


@dataclass(frozen=True, eq=False)
class Design:
    """Arrays of a model, rows with missing values left out.

    Attributes
    ----------
    y : ndarray, shape (n,), float64
    X : ndarray, shape (n, p), float64
        Fixed-effect columns, linearly independent.
    names : tuple of str
        Their names, length p.
    terms : mapping of str to tuple of int
        The columns of each term of the fixed part.
    random : tuple of RandomBlock
        Blocks are independent of each other; columns within a block are correlated.
    cluster : ndarray, shape (n,), or None
        Cluster labels.
    n_dropped : int
        Rows of the frame left out for missing values.
    trials : ndarray, shape (n,), float64, or None
        Trials that each row stands for: from a column, or from ``cbind()``.
    frame : DataFrame or None
        The columns that the formula names, n rows; its index is that of the rows used.
    encoder : Encoder or None
        Makes the same columns of other rows.
    """

    y: FloatArray
    X: FloatArray
    names: tuple[str, ...]
    terms: Mapping[str, tuple[int, ...]]
    random: tuple[RandomBlock, ...]
    cluster: npt.NDArray[Any] | None
    n_dropped: int
    trials: FloatArray | None = None
    frame: pd.DataFrame | None = None
    encoder: Encoder | None = None


def build(
    formula: Formula,
    data: pd.DataFrame,
    cluster: str | None = None,
    trials: str | None = None,
    *,
    family: str = "gaussian",
) -> Design:
    """Evaluate a formula on a frame.

    Parameters
    ----------
    formula : Formula
    data : DataFrame
        With a column for every name in the formula.
    cluster : str, optional
        Column of cluster labels to carry along.
    trials : str, optional
        Column of numbers of trials to carry along.
    family : {"gaussian", "binomial"}
        Decides how many levels a grouping may have, and whether the outcome may be
        ``cbind(successes, failures)``.

    Returns
    -------
    Design

    Raises
    ------
    InputError
        For unknown columns (the nearest name suggested), an outcome that is not numeric or
        has a single value, values that are not finite, aliased or constant columns, and
        groupings with one level or too many.
    """
    if formula.counts and (trials is not None or family != "binomial"):
        raise InputError(
            f"formula '{formula.text}': cbind(successes, failures) is a binomial outcome"
            + (" and brings its own numbers of trials; leave out the weights" if trials else "")
        )
    # Arithmetic within cbind() is that of numbers.
    sides = [f"I({side})" for side in formula.counts or ()] or [formula.outcome]
    answers = [name for side in sides for name in language.variables(side, formula)]
    explaining = language.variables(formula.fixed, formula)
    for term in formula.random:
        explaining += language.variables(term.columns, formula)
    needed = [*answers, *explaining, *(name for term in formula.random for name in term.factors)]
    needed += [name for name in (cluster, trials) if name is not None]
    needed = list(dict.fromkeys(needed))
    _check_known(needed, data, formula)
    complete = _complete(needed, data, formula, trials)
    frame = pd.DataFrame(
        {name: _plain(data[name] if complete is None else data[name][complete]) for name in needed},
        copy=False,
    )
    for name in answers:
        _check_numeric(frame[name], name, formula)
    for name in dict.fromkeys([*answers, *explaining]):
        _check_kind(frame[name], name, formula)
    n_trials: FloatArray | None
    if formula.counts:
        y, n_trials = _shares(sides, frame, formula)
    else:
        y = _outcome(formula, frame)
        n_trials = None if trials is None else _trials(trials, frame)
    # formulae is given categories, for it would sort texts value by value.
    ready = frame.assign(
        **{name: language.as_categories(frame[name]) for name in needed if _is_text(frame[name])}
    )
    fixed = language.columns(formula.fixed, ready, formula)
    if not fixed.names:
        raise InputError(f"formula '{formula.text}': the fixed part has no column")
    check_finite(fixed, formula)
    check_rank(fixed, formula)
    repeated = n_trials is not None and bool((n_trials > 1).any())
    limits = Limits(family != "binomial", repeated)
    varying = Varying(formula, frame, ready, limits).blocks()
    random = tuple(block for block, _, _ in varying)
    check_repeats(random, formula)
    labels = None if cluster is None else frame[cluster].to_numpy()
    if labels is not None and len(pd.unique(labels)) < 2:
        raise InputError(
            f"cluster '{cluster}' has a single value: cluster-robust errors need several clusters"
        )
    frame.index = data.index if complete is None else data.index[complete]
    encoder = Encoder(
        formula,
        fixed,
        tuple(columns for _, columns, _ in varying),
        tuple(grouping for _, _, grouping in varying),
    )
    n_dropped = len(data) - len(frame)
    return Design(
        y,
        fixed.matrix,
        fixed.names,
        fixed.terms,
        random,
        labels,
        n_dropped,
        n_trials,
        frame,
        encoder,
    )


def _check_known(needed: list[str], data: pd.DataFrame, formula: Formula) -> None:
    columns = [str(name) for name in data.columns]
    twice = [name for name in needed if columns.count(name) > 1]
    if twice:
        raise InputError(f"the table has several columns named {listing(twice)}; rename them")
    unknown = [name for name in needed if name not in data.columns]
    if unknown:
        first = unknown[0]
        raise InputError(
            f"formula '{formula.text}': no column '{first}'{did_you_mean(first, columns)}; the "
            f"table has {listing(columns, shown=12)}"
        )


def check_columns(formula: Formula, data: pd.DataFrame) -> None:
    """Refuse a formula with columns that the table lacks, naming the nearest."""
    needed = language.variables(formula.fixed, formula)
    for term in formula.random:
        needed += [*language.variables(term.columns, formula), *term.factors]
    _check_known(list(dict.fromkeys(needed)), data, formula)


def _complete(
    needed: list[str], data: pd.DataFrame, formula: Formula, trials: str | None
) -> npt.NDArray[np.bool_] | None:
    """Tell which rows miss nothing and stand for some trial; None for all."""
    if len(data) == 0:
        raise InputError(f"formula '{formula.text}': the table has no rows")
    complete = np.ones(len(data), dtype=bool)
    for name in needed:
        complete &= data[name].notna().to_numpy()
    if trials is not None and pd.api.types.is_numeric_dtype(data[trials]):
        complete &= (data[trials] != 0).fillna(True).to_numpy(dtype=bool)
    if complete.all():
        return None
    if not complete.any():
        empty = [name for name in needed if not data[name].notna().any()]
        where = f" ({listing(empty)} holds nothing else)" if empty else ""
        raise InputError(f"formula '{formula.text}': every row has a missing value{where}")
    return complete


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    """Give nullable and Arrow columns (complete here) the dtypes of numpy."""
    values = values.reset_index(drop=True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        # Marked as ordered, or formulae would sort the categories by name.
        return values.cat.remove_unused_categories().cat.as_ordered()
    if values.dtype == object:
        # Numbers that came with gaps (whole ones, decimals) are numbers again.
        kind = pd.api.types.infer_dtype(values)
        if kind in ("integer", "floating", "boolean"):
            return values.infer_objects()
        return values.astype(np.float64) if kind in ("decimal", "mixed-integer-float") else values
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype(bool)
    if isinstance(values.dtype, np.dtype):
        return widened(values)
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype(np.int64)
    if pd.api.types.is_float_dtype(values.dtype):
        return values.astype(np.float64)
    if "decimal" in str(values.dtype):
        return values.astype(np.float64)
    return values if _is_text(values) else values.astype(object)


def _is_text(values: pd.Series[Any]) -> bool:
    return isinstance(values.dtype, pd.StringDtype) or (
        values.dtype == object and pd.api.types.infer_dtype(values) == "string"
    )


def _check_kind(values: pd.Series[Any], name: str, formula: Formula) -> None:
    real = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values)
    if (
        real
        or pd.api.types.is_bool_dtype(values)
        or isinstance(values.dtype, pd.CategoricalDtype)
        or _is_text(values)
    ):
        return
    kind = pd.api.types.infer_dtype(values) if values.dtype == object else str(values.dtype)
    raise InputError(
        f"formula '{formula.text}': column '{name}' holds {kind} values (for instance "
        f"{values.iloc[0]!r}), neither numbers nor text; convert it"
    )


# ---- the outcome ---------------------------------------------------------------------------
def _check_numeric(values: pd.Series[Any], name: str, formula: Formula) -> None:
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return
    numbers = pd.to_numeric(values.astype(str), errors="coerce")
    odd = values[numbers.isna().to_numpy()]
    if len(odd):
        said = f"is not numeric (for instance {odd.iloc[0]!r}); make it a number"
        if re.fullmatch(r"-?[0-9]+,[0-9]+", str(odd.iloc[0])):
            said += ", with a point for the decimal comma"
    else:
        said = (
            f"holds its numbers as {'categories' if values.dtype == 'category' else 'text'} "
            f"({values.iloc[0]}), so it is not numeric; convert it, as with pd.to_numeric"
        )
    raise InputError(f"formula '{formula.text}': the outcome column '{name}' {said}")


def _outcome(formula: Formula, frame: pd.DataFrame) -> FloatArray:
    if formula.outcome in frame.columns:
        y = frame[formula.outcome].to_numpy(dtype=np.float64)
    else:
        y = language.outcome(formula.outcome, frame, formula)
    bad = int((~np.isfinite(y)).sum())
    if bad:
        raise InputError(
            f"formula '{formula.text}': the outcome is not finite in {bad:,} "
            f"{'row' if bad == 1 else 'rows'}; leave them out"
        )
    _check_varied(y, formula)
    return y


def _check_varied(y: FloatArray, formula: Formula) -> None:
    if len(y) > 1 and np.ptp(y) == 0:
        raise InputError(
            f"formula '{formula.text}': the outcome is {y[0]:g} in every row: nothing to explain"
        )


def _shares(
    sides: Iterable[str], frame: pd.DataFrame, formula: Formula
) -> tuple[FloatArray, FloatArray]:
    """Shares and numbers of trials from successes and failures."""
    won, lost = (language.outcome(side, frame, formula) for side in sides)
    for counts in (won, lost):
        if not (np.isfinite(counts) & (counts >= 0) & (counts == np.round(counts))).all():
            raise InputError(
                f"formula '{formula.text}': cbind() counts successes and failures, whole numbers "
                "from 0 on"
            )
    trials = won + lost
    if (trials == 0).any():
        raise InputError(
            f"formula '{formula.text}': {int((trials == 0).sum()):,} rows count no trial; leave "
            "them out"
        )
    y = won / trials
    _check_varied(y, formula)
    return y, trials


def _trials(name: str, frame: pd.DataFrame) -> FloatArray:
    values = frame[name]
    if not pd.api.types.is_numeric_dtype(values):
        raise InputError(f"weights '{name}' are not numeric (for instance {values.iloc[0]!r})")
    counts = values.to_numpy(dtype=np.float64)
    whole = np.isfinite(counts) & (counts >= 1) & (counts == np.round(counts))
    if not whole.all():
        raise InputError(
            f"weights '{name}' count the trials of a row, whole numbers from 1 on; "
            f"{listing(f'{value:g}' for value in np.unique(counts[~whole]))} are not"
        )
    return counts
