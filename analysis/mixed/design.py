"""From a formula and a frame to the arrays an engine fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.clustered import FloatArray, aliased, number_groups
from analysis.mixed.encoding import Columns, Encoder, Grouping
from analysis.mixed.formula import Formula, RandomTerm
from complexity.errors import InputError, did_you_mean, listing

_FUNCTIONS = {
    "np": np,
    **{name: getattr(np, name) for name in ("abs", "exp", "log", "log2", "log10", "log1p", "sqrt")},
}


@dataclass(frozen=True, eq=False)
class RandomBlock:
    """Columns that vary together between the groups of one factor.

    Attributes
    ----------
    group : str
        Name of the grouping factor.
    names : tuple of str
        Names of the columns, length q.
    Z : ndarray, shape (n, q), float64
        The columns, not yet spread over groups.
    codes : ndarray, shape (n,), int64
        Group of each row.
    n_levels : int
    """

    group: str
    names: tuple[str, ...]
    Z: FloatArray
    codes: npt.NDArray[np.int64]
    n_levels: int


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
        Trials that each row stands for.
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

    Returns
    -------
    Design

    Raises
    ------
    InputError
        For unknown columns (the nearest name suggested), an outcome that is not numeric or
        has a single value, values that are not finite, aliased or constant columns, and
        groupings with one level or as many levels as rows.
    """
    needed = [*_variables(formula.outcome, formula), *_variables(formula.fixed, formula)]
    for term in formula.random:
        needed += [*_variables(term.columns, formula), *term.factors]
    if cluster is not None:
        needed.append(cluster)
    if trials is not None:
        needed.append(trials)
    needed = list(dict.fromkeys(needed))
    _check_known(needed, data, formula)
    complete = data[needed].notna().all(axis=1).to_numpy()
    n_dropped = int(len(data) - complete.sum())
    if len(data) == 0:
        raise InputError(f"formula '{formula.text}': the table has no rows")
    if not complete.any():
        empty = [name for name in needed if not data[name].notna().any()]
        where = f" ({listing(empty)} holds nothing else)" if empty else ""
        raise InputError(f"formula '{formula.text}': every row has a missing value{where}")
    frame = pd.DataFrame({name: _plain(data[name][complete]) for name in needed})
    y = _outcome(formula, frame)
    fixed = _columns(formula.fixed, frame, formula)
    X, names = fixed.matrix, fixed.names
    if X.shape[1] == 0:
        raise InputError(f"formula '{formula.text}': the fixed part has no column")
    _check_finite(X, names, formula)
    _check_rank(X, names, formula)
    varying = [part for term in formula.random for part in _random_blocks(term, frame, formula)]
    random = tuple(block for block, _, _ in varying)
    _check_repeats(random, formula)
    labels = None if cluster is None else frame[cluster].to_numpy()
    if labels is not None and len(pd.unique(labels)) < 2:
        raise InputError(
            f"cluster '{cluster}' has a single value: cluster-robust errors need several clusters"
        )
    counts = None if trials is None else _trials(trials, frame)
    frame.index = data.index[complete]
    encoder = Encoder(
        formula,
        fixed,
        tuple(columns for _, columns, _ in varying),
        tuple(grouping for _, _, grouping in varying),
    )
    return Design(y, X, names, fixed.terms, random, labels, n_dropped, counts, frame, encoder)


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


def _variables(text: str, formula: Formula) -> list[str]:
    """Names of the columns that a piece of formula uses."""
    from formulae import model_description
    from formulae.parser import Parser
    from formulae.scanner import Scanner

    try:
        parser = Parser(Scanner(text).scan())
        parser.parse()
        # What follows a complete expression would be ignored in silence.
        rest = None if parser.at_end() else parser.peek().lexeme
        names: Iterable[object] = model_description(text).var_names
    except Exception as error:
        # The parser raises exceptions of many types; each means that it was not understood.
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise InputError(f"formula '{formula.text}': cannot read '{text}': {reason}") from error
    if rest is not None:
        raise InputError(
            f"formula '{formula.text}': cannot read '{text}' from '{rest}' on: is a + or * missing?"
        )
    return sorted(name for name in names if isinstance(name, str) and name)


def _terms_of(text: str) -> int:
    """Count the terms of a sum, the intercept that is added to it left out."""
    from formulae import model_description

    return len(model_description(text).common_terms) - 1


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


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    """Give nullable and Arrow columns (complete here) the dtypes of numpy."""
    values = values.reset_index(drop=True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        # Marked as ordered, or formulae would sort the categories by name.
        return values.cat.remove_unused_categories().cat.as_ordered()
    if isinstance(values.dtype, np.dtype):
        return values
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype(bool)
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype(np.int64)
    if pd.api.types.is_float_dtype(values.dtype):
        return values.astype(np.float64)
    return values.astype(object)


def _evaluate(text: str, frame: pd.DataFrame, formula: Formula) -> Any:
    from formulae import design_matrices
    from formulae.environment import Environment

    try:
        # Numpy warns of log(0) and the like; the result is checked and refused below.
        with np.errstate(all="ignore"):
            return design_matrices(
                text, frame, na_action="pass", env=Environment([dict(_FUNCTIONS)])
            )
    except KeyError as error:
        name = str(error.args[0]) if error.args else "?"
        if not name.replace(".", "_").isidentifier():
            raise InputError(f"formula '{formula.text}': cannot evaluate '{text}'") from error
        hint = " (for categories write C(column))" if name in ("factor", "as.factor") else ""
        known = [*_FUNCTIONS, "C", "I", "bs", "poly", "scale", "center", "standardize"]
        raise InputError(
            f"formula '{formula.text}': unknown function '{name}'"
            f"{hint or did_you_mean(name, known)}"
        ) from error
    except Exception as error:
        # Whatever the user's expression raises, on this data, is the user's to mend.
        raise InputError(f"formula '{formula.text}': cannot evaluate '{text}': {error}") from error


def _outcome(formula: Formula, frame: pd.DataFrame) -> FloatArray:
    for name in _variables(formula.outcome, formula):
        if not (
            pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name])
        ):
            raise InputError(
                f"formula '{formula.text}': the outcome column '{name}' is not numeric "
                f"(for instance {frame[name].iloc[0]!r}); make it a number"
            )
    if formula.outcome in frame.columns:
        y = frame[formula.outcome].to_numpy(dtype=np.float64)
    else:
        if _terms_of(formula.outcome) != 1:
            raise InputError(
                f"formula '{formula.text}': the outcome is one column; for arithmetic write "
                f"I({formula.outcome})"
            )
        response = _evaluate(f"{formula.outcome} ~ 1", frame, formula).response
        y = np.asarray(response.design_matrix, dtype=np.float64)
    if y.ndim != 1:
        raise InputError(f"formula '{formula.text}': the outcome must be one numeric column")
    bad = int((~np.isfinite(y)).sum())
    if bad:
        raise InputError(
            f"formula '{formula.text}': the outcome is not finite in {bad:,} rows; leave them out"
        )
    if len(y) > 1 and np.ptp(y) == 0:
        raise InputError(
            f"formula '{formula.text}': the outcome is {y[0]:g} in every row: nothing to explain"
        )
    return y


def _columns(text: str, frame: pd.DataFrame, formula: Formula) -> Columns:
    """Evaluate a sum of terms."""
    common = _evaluate(text, frame, formula).common
    if common is None:
        return Columns(np.empty((len(frame), 0)), (), {}, text, None)
    names: list[str] = []
    terms: dict[str, tuple[int, ...]] = {}
    for name, term in common.terms.items():
        if term.kind == "offset":
            raise InputError(f"formula '{formula.text}': offset() is not supported")
        part = common.slices[name]
        names += [str(label) for label in term.labels]
        terms[str(name)] = tuple(range(part.start, part.stop))
        if part.stop == part.start:
            raise InputError(f"formula '{formula.text}': '{name}' has a single value; leave it out")
    matrix = np.asarray(common.design_matrix, dtype=np.float64).reshape(len(frame), -1)
    return Columns(matrix, tuple(names), terms, text, common)


def _check_finite(X: FloatArray, names: tuple[str, ...], formula: Formula) -> None:
    bad = ~np.isfinite(X)
    if bad.any():
        found = [
            f"{name} in {count:,} rows"
            for name, count in zip(names, bad.sum(axis=0), strict=True)
            if count
        ]
        raise InputError(
            f"formula '{formula.text}': not finite: {listing(found)}; leave those rows out"
        )


def _check_rank(X: FloatArray, names: tuple[str, ...], formula: Formula) -> None:
    if len(X) < X.shape[1]:
        raise InputError(
            f"formula '{formula.text}': {len(X):,} complete rows are too few for "
            f"{X.shape[1]} coefficients"
        )
    dependent = aliased(X)
    if not dependent:
        return
    constant = [names[j] for j in dependent if X[0, j] != 0 and np.ptp(X[:, j]) == 0]
    if constant:
        raise InputError(
            f"formula '{formula.text}': {listing(constant)} has the same value in every row "
            "and cannot be told from the intercept; leave it out"
        )
    raise InputError(
        f"formula '{formula.text}': cannot estimate {listing(names[j] for j in dependent)}: a "
        "linear combination of other columns (a variable given twice, or a combination of "
        "categories without rows); leave it out"
    )


def _random_blocks(
    term: RandomTerm, frame: pd.DataFrame, formula: Formula
) -> Iterable[tuple[RandomBlock, Columns, Grouping]]:
    keys = [number_groups(frame[name].to_numpy()) for name in term.factors]
    codes = keys[0][0]
    for more, levels in keys[1:]:
        codes = number_groups(codes * len(levels) + more)[0]
    n_levels = int(codes.max()) + 1
    if n_levels < 2:
        raise InputError(
            f"formula '{formula.text}': '{term.group}' has a single level; a random term needs "
            "several groups"
        )
    if n_levels >= len(frame):
        raise InputError(
            f"formula '{formula.text}': '{term.group}' has as many levels as there are rows "
            f"({n_levels:,}); its effect cannot be told from the residual"
        )
    grouping = Grouping.of(term.factors, frame, codes, n_levels)
    pieces = [term.columns]
    if not term.correlated:
        # As lme4: every term of the left side on its own, its columns together.
        pieces = [
            "1" if name == "Intercept" else f"0 + {name}"
            for name in _columns(term.columns, frame, formula).terms
        ]
    for piece in pieces:
        columns = _columns(piece, frame, formula)
        Z, names = columns.matrix, columns.names
        if not names:
            raise InputError(f"formula '{formula.text}': {term.text} lets nothing vary")
        _check_finite(Z, names, formula)
        _check_rank(Z, names, formula)
        if n_levels * len(names) >= len(frame):
            raise InputError(
                f"formula '{formula.text}': {term.text} asks for {n_levels * len(names):,} random "
                f"effects from {len(frame):,} rows; let less vary, or group more coarsely"
            )
        yield RandomBlock(term.group, names, Z, codes, n_levels), columns, grouping


def _check_repeats(blocks: tuple[RandomBlock, ...], formula: Formula) -> None:
    """Refuse the same column varying twice between the same groups."""
    for index, block in enumerate(blocks):
        for other in blocks[:index]:
            shared = sorted(set(block.names) & set(other.names))
            if shared and block.n_levels == other.n_levels and _same(block.codes, other.codes):
                names = " and ".join(dict.fromkeys([f"'{other.group}'", f"'{block.group}'"]))
                raise InputError(
                    f"formula '{formula.text}': {listing(shared)} varies twice between the same "
                    f"groups ({names}); leave one out"
                )


def _same(codes: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> bool:
    pairs = codes * (int(others.max()) + 1) + others
    return len(np.unique(pairs)) == int(codes.max()) + 1
