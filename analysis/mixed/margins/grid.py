"""The combinations of predictors at which a fit is looked at, and how they are averaged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design
from analysis.mixed.encoding import Columns, Encoder
from analysis.mixed.result import MixedFit
from complexity.errors import InputError, did_you_mean, listing

Weights = Literal["equal", "proportional", "observed"]
At = Mapping[str, object]
#: More rows than this come from numeric columns taken for categories, not from a design.
MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class Axis:
    """A column that the model uses.

    Attributes
    ----------
    name : str
    values : tuple
        What it takes in the grid, in order.
    kept : bool
        True where `values` are all that the data hold (categories, booleans, and numbers with
        at most two values): such columns are counted for proportional weights.
    """

    name: str
    values: tuple[Any, ...]
    kept: bool


@dataclass(frozen=True, eq=False)
class Cells:
    """Averages over rows, one a cell.

    Attributes
    ----------
    levels : DataFrame, shape (m, number of named columns)
        The cells.
    parts : callable
        Iterates over (frame, weights): rows to evaluate and, of shape (cells of this part,
        rows), how they are averaged. The parts' cells follow each other in the order of
        `levels`.
    """

    levels: pd.DataFrame
    parts: Callable[[], Iterator[tuple[pd.DataFrame, FloatArray]]]


def reference_grid(
    fit: MixedFit, at: At | None = None, *, rows: bool = False, population: bool = False
) -> pd.DataFrame:
    """List the combinations of predictors at which marginal means are evaluated.

    Categories, booleans and columns inside ``C()`` take all their levels; numbers their mean
    over the rows used, those with at most two values both of them (as emmeans has it).
    Columns used inside ``I()``, ``poly()``, ``np.log2()`` and the like are the table's own.

    Parameters
    ----------
    fit : MixedFit
    at : mapping of str to value or sequence of values, optional
        Values to take instead: ``{"c": [-1, 1], "k": 8}``.
    rows : bool
        Give every row used, once for each combination of `at`, instead of the grid.
    population : bool
        Include columns that only random terms use.

    Returns
    -------
    DataFrame
        One column a predictor; the last varies fastest.

    Raises
    ------
    InputError
        For names that are no predictor, levels that the fit has not seen, and numbers that
        are not finite.
    """
    design = design_of(fit)
    if rows:
        asked = _values(fit, at, population)
        names = list(_kinds(fit, population))
        frame = _data(design)[names]
        return pd.concat(
            [
                frame.assign(**dict(zip(asked, combination, strict=True)))
                for combination in product(*asked.values())
            ]
        )
    return _product({p.name: p.values for p in predictors(fit, at, population=population)})


def design_of(fit: MixedFit) -> Design:
    """Return what the fit keeps of its design.

    Raises
    ------
    InputError
        When it keeps none.
    """
    if not hasattr(fit, "model"):
        raise InputError(
            f"a fit is needed, not {type(fit).__name__}: give the `.fit` of a correction, the "
            "`.kept` of a ladder"
        )
    if fit.model is None or fit.model.design.encoder is None or fit.model.design.frame is None:
        raise InputError("this fit keeps neither its rows nor its columns; fit it again with fit()")
    return fit.model.design


def encoder_of(fit: MixedFit) -> Encoder:
    """Return what makes the fit's columns."""
    encoder = design_of(fit).encoder
    assert encoder is not None
    return encoder


def predictors(
    fit: MixedFit, at: At | None = None, *, population: bool = False
) -> tuple[Axis, ...]:
    """Say which values each predictor takes in the reference grid.

    Parameters
    ----------
    fit : MixedFit
    at : mapping, optional
        As in `reference_grid`.
    population : bool
        Include columns that only random terms use.

    Returns
    -------
    tuple of Axis
    """
    frame = _data(design_of(fit))
    asked = _values(fit, at, population)
    found = []
    for name, category in _kinds(fit, population).items():
        column = frame[name]
        levels = _levels(column) if category or column.nunique() <= 2 else None
        if name in asked:
            found.append(Axis(name, asked[name], category))
        elif levels is not None:
            found.append(Axis(name, levels, True))
        else:
            found.append(Axis(name, (float(column.mean()),), False))
    return tuple(found)


def cells(
    fit: MixedFit,
    named: Sequence[str],
    at: At | None,
    weights: Weights,
    *,
    population: bool = False,
    held: str | None = None,
) -> Cells:
    """Lay out the cells of some predictors, and how each is averaged over the others.

    Parameters
    ----------
    fit : MixedFit
    named : sequence of str
        Predictors whose combinations are the cells; the last varies fastest.
    at : mapping or None
        As in `reference_grid`.
    weights : {"equal", "proportional", "observed"}
        Equal weights over the grid; proportional to how often each combination of the other
        categories occurs; or averages over the rows used, each with the cell's values put
        in place of its own.
    population : bool
        Include columns that only random terms use.
    held : str, optional
        A number that keeps its values in the rows (or its mean), also with two values.

    Returns
    -------
    Cells
    """
    if weights not in get_args(Weights):
        raise InputError(
            f"unknown weights '{weights}'{did_you_mean(weights, get_args(Weights))}; choose "
            f"{listing(get_args(Weights))}"
        )
    known = list(_kinds(fit, population))
    for name in named:
        check_known(name, known, fit)
    twice = [name for i, name in enumerate(named) if name in named[:i]]
    if twice:
        raise InputError(f"{listing(twice)} named twice")
    grid = {p.name: p for p in predictors(fit, at, population=population)}
    if held is not None and held not in (at or {}) and held not in named:
        mean = float(_data(design_of(fit))[held].mean())
        grid[held] = Axis(held, (mean,), False)
    levels = _product({name: grid[name].values for name in named})
    if weights == "observed":
        free = [name for name in (at or {}) if name not in named]
        inner = _product({name: grid[name].values for name in free})
        return Cells(levels, lambda: _observed(fit, levels, inner, known))
    full = _product({name: grid[name].values for name in [*named, *_others(grid, named)]})
    share = np.full((len(levels), len(full) // len(levels)), 1.0)
    if weights == "proportional":
        share *= _frequencies(fit, grid, named)
    matrix = np.zeros((len(levels), len(full)))
    # The cells' own columns come first in the product: a cell's rows are neighbours.
    size = share.shape[1]
    for i in range(len(levels)):
        matrix[i, i * size : (i + 1) * size] = share[i] / share[i].sum()
    return Cells(levels, lambda: iter([(full, matrix)]))


def check_known(name: str, known: Sequence[str], fit: MixedFit) -> None:
    """Refuse what is no predictor, with the nearest that is one."""
    if name not in known:
        raise InputError(
            f"formula '{fit.formula}' has no predictor '{name}'{did_you_mean(name, known)}; it has "
            f"{listing(known, shown=12)}"
        )


def term_variables(fit: MixedFit) -> list[tuple[str, ...]]:
    """Name the columns that each term of the fixed part uses, one tuple a term."""
    fixed = encoder_of(fit).fixed
    return [_used(term) for term in _terms(fixed).values()]


def row_of(frame: pd.DataFrame, row: int) -> dict[str, Any]:
    """Give a row by column name, each value as its column holds it."""
    return {str(name): frame[name].iloc[row] for name in frame.columns}


def _others(grid: Mapping[str, Axis], named: Sequence[str]) -> list[str]:
    return [name for name in grid if name not in named]


def _data(design: Design) -> pd.DataFrame:
    assert design.frame is not None
    return design.frame


def _terms(columns: Columns) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {} if columns.common is None else columns.common.terms
    return found


def _used(term: Any) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for component in getattr(term, "components", ()):
        # formulae lists nested calls as ''.
        names.update(dict.fromkeys(sorted(n for n in component.var_names if n)))
    return tuple(names)


def _kinds(fit: MixedFit, population: bool) -> dict[str, bool]:
    """Tell categories (True) from numbers, for every predictor."""
    frame = _data(design_of(fit))
    encoder = encoder_of(fit)
    found: dict[str, bool] = {}
    for columns in [encoder.fixed, *(encoder.varying if population else ())]:
        for term in _terms(columns).values():
            for component in getattr(term, "components", ()):
                for name in sorted(n for n in component.var_names if n):
                    numeric = pd.api.types.is_numeric_dtype(frame[name])
                    category = component.kind == "categoric" or not numeric
                    category |= pd.api.types.is_bool_dtype(frame[name])
                    found[name] = found.get(name, False) or category
    return found


def _levels(column: pd.Series[Any]) -> tuple[Any, ...]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return tuple(column.cat.categories)
    return tuple(sorted(column.unique().tolist()))


def _values(fit: MixedFit, at: At | None, population: bool) -> dict[str, tuple[Any, ...]]:
    """Check what `at` asks for."""
    kinds = _kinds(fit, population)
    frame = _data(design_of(fit))
    found: dict[str, tuple[Any, ...]] = {}
    if at is not None and not isinstance(at, Mapping):
        raise InputError(f"at gives values by name, as in at={{'c': [-1, 1]}}; got {at!r}")
    for name, given in (at or {}).items():
        check_known(name, list(kinds), fit)
        several = isinstance(given, Sequence | np.ndarray | pd.Series | pd.Index)
        items = list(given) if several and not isinstance(given, str) else [given]  # type: ignore[call-overload]
        if not items:
            raise InputError(f"at: '{name}' has no value")
        found[name] = tuple(
            _level(name, item, frame[name]) if kinds[name] else _number(name, item)
            for item in items
        )
        if len(set(found[name])) < len(items):
            raise InputError(f"at: '{name}' has the same value twice")
    return found


def _level(name: str, item: object, column: pd.Series[Any]) -> object:
    levels = _levels(column)
    for level in levels:
        if level == item:
            return level
    near = did_you_mean(str(item), map(str, levels))
    raise InputError(f"at: '{name}' has no level {item!r}{near}; it has {listing(levels)}")


def _number(name: str, item: object) -> float:
    try:
        value = float(item)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"at: '{name}' is a number; {item!r} is none")
    return value


def _product(values: Mapping[str, tuple[Any, ...]]) -> pd.DataFrame:
    """All combinations, the last column varying fastest; one row without columns."""
    size = math.prod(len(v) for v in values.values())
    if size > MAX_ROWS:
        most = max(values, key=lambda name: len(values[name]))
        raise InputError(
            f"the reference grid has {size:,} rows ('{most}' {len(values[most]):,} levels); choose "
            "fewer levels with at"
        )
    columns = {}
    repeat = size
    for name, levels in values.items():
        repeat //= len(levels)
        index = np.tile(np.repeat(np.arange(len(levels)), repeat), size // (repeat * len(levels)))
        columns[name] = pd.Series(levels, dtype=_dtype(levels)).iloc[index].to_numpy()
    return pd.DataFrame(columns, index=pd.RangeIndex(size))


def _dtype(levels: tuple[Any, ...]) -> Any:
    return object if any(isinstance(level, str) for level in levels) else None


def _frequencies(fit: MixedFit, grid: Mapping[str, Axis], named: Sequence[str]) -> FloatArray:
    """How often the other columns' combinations occur among rows that are in the grid."""
    design = design_of(fit)
    frame = _data(design)
    counts = np.ones(len(frame)) if design.trials is None else design.trials
    inside = np.ones(len(frame), dtype=bool)
    code = np.zeros(len(frame), dtype=np.int64)
    others = _others(grid, named)
    for name, predictor in grid.items():
        if predictor.kept:
            where = pd.Index(list(predictor.values), dtype=object).get_indexer(
                frame[name].astype(object)
            )
            inside &= where >= 0
        elif name in others:
            where = np.zeros(len(frame), dtype=np.int64)
        if name in others:
            code = code * len(predictor.values) + where
    size = math.prod(len(grid[name].values) for name in others)
    share = np.bincount(code[inside], weights=counts[inside], minlength=size).astype(np.float64)
    # A number at several values has no frequency of its own: each value counts alike.
    shape = [len(grid[name].values) for name in others]
    table = share.reshape(shape)
    for axis, name in enumerate(others):
        if not grid[name].kept:
            table = np.broadcast_to(table.sum(axis=axis, keepdims=True), shape)
    if table.sum() <= 0:
        raise InputError("no row has the levels asked for: proportional weights are not defined")
    return np.asarray(table.reshape(-1), dtype=np.float64)


def _observed(
    fit: MixedFit, levels: pd.DataFrame, inner: pd.DataFrame, known: list[str]
) -> Iterator[tuple[pd.DataFrame, FloatArray]]:
    design = design_of(fit)
    counts = np.ones(len(design.y)) if design.trials is None else design.trials
    frame = _data(design)[known].reset_index(drop=True)
    for cell in range(len(levels)):
        copies = []
        for row in range(len(inner)):
            values = row_of(levels, cell) | row_of(inner, row)
            copies.append(frame.assign(**values))
        share = np.tile(counts / counts.sum() / len(inner), len(inner))
        yield pd.concat(copies, ignore_index=True), share[None, :]
