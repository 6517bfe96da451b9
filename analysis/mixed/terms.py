"""Sums of terms, read and evaluated by formulae: what they name, and their columns."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from copy import copy
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.encoding import Columns, Remembered, whole
from analysis.mixed.formula import QUOTED, Formula
from analysis.mixed.splines import REMEMBERING
from complexity.errors import InputError, did_you_mean

#: Before our own functions' names while formulae reads them, for it has others of that name.
_OURS = "optik_"
_OWN = re.compile(rf"(?<![\w.])({'|'.join((*REMEMBERING, 'C'))})(?=\s*\()")
_LIST = re.compile(r"(?<=[=(,])(\s*)\[([^\[\]]*)\]")
_WRITTEN_LIST = re.compile(rf"{_OURS}list\(([^()]*)\)")
_LITERALS = {"TRUE": "True", "FALSE": "False", "NULL": "None"}
_CONTRASTS = ("Treatment", "Sum")
_PLAIN = {name: getattr(np, name) for name in ("abs", "exp", "log", "log2", "log10", "log1p")}
_PLAIN |= {name: getattr(np, name) for name in ("sqrt", "sin", "cos", "minimum", "maximum")}


def _categories(data: Any, contrast: Any = None, levels: Any = None) -> Any:
    """``C(x)``: categories in their order, or sorted; contrasts and levels as in formulae."""
    from formulae.transforms import C

    if contrast is not None or levels is not None or not isinstance(data, pd.Series):
        return C(data, contrast, levels)
    return pd.Series(as_categories(data), index=data.index)


def as_categories(values: pd.Series[Any]) -> pd.Categorical:
    """Make ordered categories of a column without missing values, sorted unless they are so.

    Parameters
    ----------
    values : Series

    Returns
    -------
    Categorical
        Ordered: formulae would sort the others once more, value by value.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        return pd.Categorical(values).as_ordered()
    codes, levels = pd.factorize(values, sort=True)
    return pd.Categorical.from_codes(codes, categories=pd.Index(whole(levels)), ordered=True)


class _Functions(dict[str, Any]):
    """What a formula may call; copied and pickled by name, so that an encoder can be."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _functions, ()


@cache
def _functions() -> _Functions:
    own = {_OURS + name: kind for name, kind in REMEMBERING.items()}
    return _Functions(
        {"np": np, **_PLAIN, "c": _listed, f"{_OURS}list": _listed, f"{_OURS}C": _categories, **own}
    )


def _listed(*values: Any) -> list[Any]:
    return list(values)


_HINTS = {
    "factor": "for categories write C(column)",
    "as.factor": "for categories write C(column)",
    "s": "for a smooth curve write ns(column, df=4)",
}
_KNOWN = [*_PLAIN, *REMEMBERING, "C", "I", "S", "T"]


def ready() -> None:
    """Import formulae, so that no fit is timed with it."""
    import formulae  # noqa: F401
    from scipy import interpolate  # noqa: F401


def variables(text: str, formula: Formula) -> list[str]:
    """Name the columns that a sum of terms uses.

    Parameters
    ----------
    text : str
        A part of `formula`.
    formula : Formula
        For messages.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    InputError
        When the text cannot be read.
    """
    return used(_described(text, formula).terms)


def used(terms: Iterable[Any]) -> list[str]:
    """Name the columns that formulae's terms use, sorted."""
    found = {name for term in terms for name in term.var_names}
    # Constants have no name; contrasts are looked up where the functions are.
    return sorted(name for name in found if isinstance(name, str) and name not in ("", *_CONTRASTS))


def columns(text: str, frame: pd.DataFrame, formula: Formula) -> Columns:
    """Evaluate a sum of terms.

    Parameters
    ----------
    text : str
    frame : DataFrame
        Complete rows. Text columns are best given as ordered categories.
    formula : Formula
        For messages.

    Returns
    -------
    Columns
    """
    return _evaluated(_described(text, formula), text, frame, formula)


def columns_alone(text: str, frame: pd.DataFrame, formula: Formula) -> list[Columns]:
    """Evaluate every term of a sum as if it were the only one, as ``||`` in lme4 means."""
    from formulae.terms.terms import Intercept, Model

    found = []
    for term in _described(text, formula).common_terms:
        name = "1" if isinstance(term, Intercept) else f"0 + {_as_written(term.name)}"
        found.append(_evaluated(Model(term), name, frame, formula))
    return found


def outcome(text: str, frame: pd.DataFrame, formula: Formula) -> FloatArray:
    """Evaluate the left side of a formula: one column, shape (n,)."""
    found = columns(f"0 + {text}", frame, formula).matrix
    if found.shape[1] != 1:
        raise InputError(f"formula '{formula.text}': the outcome must be one numeric column")
    return np.ascontiguousarray(found[:, 0])


def _in_ours(text: str) -> str:
    """Write a sum of terms so that formulae reads it as meant; quoted text stays."""

    def mend(piece: str) -> str:
        piece = _OWN.sub(rf"{_OURS}\1", piece)
        piece = _LIST.sub(rf"\1{_OURS}list(\2)", piece)
        return re.sub(r"(?<![\w.])(TRUE|FALSE|NULL)(?![\w.])", lambda m: _LITERALS[m[1]], piece)

    # Lists may hold quoted names: those are put aside while the text is changed.
    kept = QUOTED.findall(text)
    mended = mend(QUOTED.sub("\0", text))
    for quoted in kept:
        mended = mended.replace("\0", quoted, 1)
    # A sum that starts with a minus would take from nothing.
    return f"1 {mended}" if mended.startswith("-") else mended


def _as_written(text: str) -> str:
    return _WRITTEN_LIST.sub(r"[\1]", text).replace(_OURS, "")


def _described(text: str, formula: Formula) -> Any:
    from formulae import model_description
    from formulae.parser import Parser
    from formulae.scanner import Scanner

    mended = _in_ours(text)
    try:
        parser = Parser(Scanner(mended).scan())
        parser.parse()
        # What follows a complete expression would be ignored in silence.
        rest = None if parser.at_end() else parser.peek().lexeme
        described = model_description(mended)
    except Exception as error:
        # The parser raises exceptions of many types; each means that it was not understood.
        reason = _as_written(str(error)).strip().rstrip(".") or type(error).__name__
        hint = ""
        if reason.startswith("Unexpected character"):
            hint = " (a column name with unusual characters goes in backticks)"
        elif "Couldn't resolve" in reason:
            reason, hint = "this is arithmetic", f"; write I({text})"
        raise InputError(
            f"formula '{formula.text}': cannot read '{text}': {reason}{hint}"
        ) from error
    if rest is not None:
        raise InputError(
            f"formula '{formula.text}': cannot read '{text}' from '{rest}' on: is a + or * "
            "missing, or backticks around an unusual name?"
        )
    for term in described.common_terms:
        for part in getattr(term, "components", ()):
            if not isinstance(part.name, str):
                raise InputError(
                    f"formula '{formula.text}': in '{text}' the number {part.name} stands as a "
                    "term; arithmetic goes inside I(), as in I(2 * x)"
                )
            if hasattr(part, "call"):
                # formulae's own names drop parentheses: I((x + 1) * z) is not I(x + 1 * z).
                part.name = _written(part.call, formula)
        if hasattr(term, "components"):
            term.name = ":".join(part.name for part in term.components)
    return described


def _written(lazy: Any, formula: Formula, within: int = -1) -> str:
    """Write an expression that formulae has read, with the parentheses it needs."""
    if hasattr(lazy, "callee"):
        parts = [_written(part, formula) for part in lazy.args]
        if lazy.callee == f"{_OURS}list":
            return f"[{', '.join(parts)}]"
        parts += [f"{name}={_written(part, formula)}" for name, part in lazy.kwargs.items()]
        return f"{lazy.callee.removeprefix(_OURS)}({', '.join(parts)})"
    if not hasattr(lazy, "symbol"):
        return str(lazy)
    if len(lazy.args) == 1:
        return f"{lazy.symbol}{_written(lazy.args[0], formula, 3)}"
    first = lazy.args[0]
    if lazy.symbol == "**" and hasattr(first, "symbol") and len(first.args) == 1:
        # formulae would square the negative; R and Python negate the square.
        raise InputError(
            f"formula '{formula.text}': a minus before a power can be read in two ways; write "
            "-(x**2)"
        )
    strength = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}.get(lazy.symbol, 0)
    left, right = (_written(part, formula, strength + side) for side, part in enumerate(lazy.args))
    joined = f"{left} {lazy.symbol} {right}"
    return f"({joined})" if strength < within else joined


@contextmanager
def evaluating(text: str, formula: Formula, where: str = "") -> Iterator[None]:
    """Turn what an expression raises into words for its writer.

    Parameters
    ----------
    text : str
        What is evaluated.
    formula : Formula
    where : str
        Which rows, with a leading blank; nothing for those of the fit.
    """
    try:
        # Numpy warns of log(0) and the like; results are checked. formulae prints of errors.
        with np.errstate(all="ignore"), redirect_stdout(io.StringIO()):
            yield
    except InputError:
        raise
    except KeyError as error:
        name = _as_written(str(error.args[0])) if error.args else "?"
        if not name.replace(".", "_").isidentifier():
            raise InputError(
                f"formula '{formula.text}': cannot evaluate '{text}'{where}"
            ) from error
        # Of a.b() only a is looked up.
        whole = re.search(rf"(?<![\w.]){re.escape(name)}[\w.]*(?=\s*\()", text)
        name = whole[0] if whole else name
        hint = f" ({_HINTS[name]})" if name in _HINTS else did_you_mean(name, _KNOWN)
        raise InputError(f"formula '{formula.text}': unknown function '{name}'{hint}") from error
    except Exception as error:
        # Whatever the user's expression raises, on this data, is the user's to mend.
        reason = _as_written(str(error))
        if isinstance(error, TypeError) and "argument" in reason and ") " in reason:
            reason = f"the call {reason.split(') ', 1)[1]}"
        raise InputError(
            f"formula '{formula.text}': cannot evaluate '{text}'{where}: {reason}"
        ) from error


def _evaluated(model: Any, text: str, frame: pd.DataFrame, formula: Formula) -> Columns:
    from formulae.environment import Environment

    _separate(model)
    with evaluating(text, formula):
        model.eval(frame, Environment([_functions()]))
        parts = [(term, np.asarray(term.data)) for term in model.common_terms]
    names: list[str] = []
    terms: dict[str, tuple[int, ...]] = {}
    for term, values in parts:
        name = _as_written(str(term.name))
        if term.kind == "offset":
            raise InputError(
                f"formula '{formula.text}': offset() is not supported; in a gaussian model take it "
                f"from the outcome, as in I({formula.outcome} - {name[7:-1]}) ~ ..."
            )
        width = values.shape[1] if values.ndim == 2 else 1
        if width == 0:
            raise InputError(f"formula '{formula.text}': '{name}' has a single value; leave it out")
        if name in terms:
            raise InputError(
                f"formula '{formula.text}': '{name}' is the name of two different terms; rename a "
                "column"
            )
        terms[name] = tuple(range(len(names), len(names) + width))
        names += [_as_written(label) for label in _labels(term)]
    matrix = np.empty((len(frame), len(names)))
    for (_, values), places in zip(parts, terms.values(), strict=True):
        matrix[:, places[0] : places[-1] + 1] = values.reshape(len(frame), -1)
    for term, _ in parts:
        _forget(term)
    common = Remembered(dict(zip(terms, (term for term, _ in parts), strict=True)))
    return Columns(matrix, tuple(names), terms, text, common)


def _separate(model: Any) -> None:
    """Give every term its own components.

    formulae shares them, and with them their last coding: in ``0 + a * b``, a has a column for
    every level and those of a:b have one less, so names and new rows would be coded as a:b is.
    """

    def split() -> None:
        for term in model.common_terms:
            if hasattr(term, "components"):
                term.components = [copy(part) for part in term.components]

    def add_extra_terms(*args: Any) -> None:
        added(*args)
        split()

    added = model.add_extra_terms
    model.add_extra_terms = add_extra_terms
    split()


def _labels(term: Any) -> list[str]:
    """Name a term's columns: ``x``, ``C(k)[2]``, ``poly(x, 2)[1]``, joined by colons."""
    components = getattr(term, "components", None)
    if components is None:
        return [str(label) for label in term.labels]
    names = []
    for part in components:
        if part.kind == "categoric":
            names.append([f"{part.name}[{label}]" for label in part.contrast_matrix.labels])
        elif part.value.ndim == 2 and part.value.shape[1] > 1:
            names.append([f"{part.name}[{i + 1}]" for i in range(part.value.shape[1])])
        else:
            names.append([str(part.name)])
    return [":".join(several) for several in itertools.product(*names)]


def _forget(term: Any) -> None:
    """Let go of the rows, which other rows do not need."""
    term.data = None
    for part in getattr(term, "components", ()):
        part.value = part._intermediate_data = None
