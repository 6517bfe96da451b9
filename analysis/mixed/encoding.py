"""The columns and groups of a fitted formula, made again of other rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.formula import Formula
from complexity.errors import InputError, did_you_mean, listing


def whole(levels: Any) -> Any:
    """Make levels integers if they are floats without fraction, as gaps make whole numbers."""
    if isinstance(getattr(levels, "dtype", None), np.dtype) and levels.dtype.kind == "f":
        numbers = np.asarray(levels)
        if (np.abs(numbers) < 2**53).all() and (numbers == np.round(numbers)).all():
            return numbers.astype(np.int64)
    return levels


@dataclass(frozen=True, eq=False)
class Remembered:
    """What formulae keeps of a sum: categories, knots and means, but no rows.

    Attributes
    ----------
    terms : mapping of str to object
        formulae's terms by name, in the order of the columns.
    """

    terms: Mapping[str, Any]


def widened(values: pd.Series[Any]) -> pd.Series[Any]:
    """Give numbers 64 bits: arithmetic on smaller ones, as on pixels, overflows in silence."""
    kind = getattr(values.dtype, "kind", "O")
    if isinstance(values.dtype, np.dtype) and values.dtype.itemsize < 8 and kind in "iuf":
        return values.astype(np.float64 if kind == "f" else np.int64)
    return values.astype(np.float64) if values.dtype == np.uint64 else values


@dataclass(frozen=True, eq=False)
class Columns:
    """A sum of terms, evaluated.

    Attributes
    ----------
    matrix : ndarray, shape (n, m), float64
    names : tuple of str, length m
    terms : mapping of str to tuple of int
        The columns of each term.
    text : str
        The sum as written.
    common : Remembered
    """

    matrix: FloatArray
    names: tuple[str, ...]
    terms: Mapping[str, tuple[int, ...]]
    text: str
    common: Remembered

    def of(self, frame: pd.DataFrame, formula: Formula) -> FloatArray:
        """Evaluate the sum on other rows, shape (len(frame), m)."""
        from analysis.mixed.terms import evaluating, used

        for name in used(self.common.terms.values()):
            if name not in frame.columns:
                known = [str(column) for column in frame.columns]
                raise InputError(
                    f"formula '{formula.text}': the new rows have no column '{name}'"
                    f"{did_you_mean(name, known)}"
                )
        frame = frame.assign(
            **{name: widened(frame[name]) for name in used(self.common.terms.values())}
        )
        matrix = np.empty((len(frame), len(self.names)))
        with evaluating(self.text, formula, " on the new rows"):
            for term, places in zip(self.common.terms.values(), self.terms.values(), strict=True):
                values = np.asarray(term.eval_new_data(frame))
                matrix[:, places[0] : places[-1] + 1] = values.reshape(len(frame), -1)
        if not np.isfinite(matrix).all():
            bad = [
                name
                for name, column in zip(self.names, matrix.T, strict=True)
                if not np.isfinite(column).all()
            ]
            raise InputError(
                f"formula '{formula.text}': {listing(bad)} missing or not finite in the new rows"
            )
        return matrix


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of a random term.

    Attributes
    ----------
    factors : tuple of str
        Columns whose combinations are the groups.
    values : DataFrame, shape (n_levels, number of factors)
        The combination that is each group; row number is the group's code.
    """

    factors: tuple[str, ...]
    values: pd.DataFrame

    @classmethod
    def of(
        cls, factors: tuple[str, ...], frame: pd.DataFrame, codes: npt.NDArray[np.int64], n: int
    ) -> Grouping:
        """Take each group's values from one of its rows."""
        row = np.empty(n, dtype=np.int64)
        row[codes] = np.arange(len(codes))
        values = frame[list(factors)].iloc[row].reset_index(drop=True)
        return cls(factors, pd.DataFrame({name: whole(values[name]) for name in factors}))

    def labels(self) -> npt.NDArray[np.object_]:
        """Name the groups as lme4 does, factors joined by a colon: shape (n_levels,)."""
        parts = [self.values[name].astype(str) for name in self.factors]
        joined = parts[0]
        for part in parts[1:]:
            joined = joined + ":" + part
        return joined.to_numpy(dtype=object)

    def codes_of(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        """Find the groups of other rows; −1 for a group that the fit has not seen."""
        names = list(self.factors)
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise InputError(
                f"the new rows have no column {listing(missing)}, which names groups of the fit"
            )
        known = pd.MultiIndex.from_frame(self.values[names].astype(object))
        asked = pd.MultiIndex.from_frame(frame[names].astype(object))
        return np.asarray(known.get_indexer(asked), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Encoder:
    """Makes a design's columns and groups of other rows.

    Attributes
    ----------
    formula : Formula
    fixed : Columns
    varying : tuple of Columns
        One per random block of the design.
    groupings : tuple of Grouping
        One per random block of the design.
    """

    formula: Formula
    fixed: Columns
    varying: tuple[Columns, ...]
    groupings: tuple[Grouping, ...]

    def X(self, frame: pd.DataFrame) -> FloatArray:  # noqa: N802
        """Fixed-effect columns of other rows, shape (len(frame), p)."""
        return self.fixed.of(frame, self.formula)

    def Z(self, frame: pd.DataFrame, block: int) -> FloatArray:  # noqa: N802
        """Columns of a random block for other rows, shape (len(frame), q)."""
        return self.varying[block].of(frame, self.formula)
