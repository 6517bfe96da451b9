"""The random terms of a formula as columns and groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed import terms as language
from analysis.mixed.clustered import FloatArray, number_groups
from analysis.mixed.encoding import Columns, Grouping
from analysis.mixed.estimable import check_finite, check_rank
from analysis.mixed.formula import Formula, RandomTerm
from complexity.errors import InputError, listing


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


@dataclass(frozen=True)
class Limits:
    """What decides how many random effects the rows can tell apart.

    Attributes
    ----------
    residual : bool
        The family has a variance of its own (gaussian).
    repeated : bool
        Some row stands for several trials.
    """

    residual: bool
    repeated: bool


@dataclass(eq=False)
class Varying:
    """The random terms of a formula; whatever two of them share is made once.

    Attributes
    ----------
    formula : Formula
    frame, ready : DataFrame
        The rows as they are, and with texts as categories.
    limits : Limits
    """

    formula: Formula
    frame: pd.DataFrame
    ready: pd.DataFrame
    limits: Limits

    def __post_init__(self) -> None:
        self._numbers: dict[str, tuple[npt.NDArray[np.int64], int]] = {}
        self._made: dict[tuple[str, bool], list[Columns]] = {}

    def blocks(self) -> list[tuple[RandomBlock, Columns, Grouping]]:
        """One block per random term, or per column set of a term with ``||``."""
        return [made for term in self.formula.random for made in self._of(term)]

    def _of(self, term: RandomTerm) -> Iterable[tuple[RandomBlock, Columns, Grouping]]:
        n_rows = len(self.frame)
        codes, n_levels = self._groups(term.factors)
        if n_levels < 2:
            raise InputError(
                f"formula '{self.formula.text}': '{term.group}' has a single level; a random term "
                "needs several groups"
            )
        if n_levels >= n_rows and not (self.limits.repeated and not self.limits.residual):
            why = (
                "its effect cannot be told from the residual"
                if self.limits.residual
                else "a single 0 or 1 tells nothing of how groups vary (rows of several trials "
                "would: give weights, or cbind(successes, failures))"
            )
            raise InputError(
                f"formula '{self.formula.text}': '{term.group}' has as many levels as there are "
                f"rows ({n_levels:,}); {why}"
            )
        grouping = Grouping.of(term.factors, self.frame, codes, n_levels)
        for columns in self._columns(term):
            effects = n_levels * len(columns.names)
            # As lme4: without a residual variance there may be as many effects as rows.
            if effects > n_rows or (effects == n_rows and self.limits.residual):
                raise InputError(
                    f"formula '{self.formula.text}': {term.text} asks for {effects:,} random "
                    f"effects from {n_rows:,} rows; let less vary, or group more coarsely"
                )
            block = RandomBlock(term.group, columns.names, columns.matrix, codes, n_levels)
            yield block, columns, grouping

    def _columns(self, term: RandomTerm) -> list[Columns]:
        key = (term.columns, term.correlated)
        if key not in self._made:
            make = _together if term.correlated else language.columns_alone
            self._made[key] = made = make(term.columns, self.ready, self.formula)
            for columns in made:
                if not columns.names:
                    raise InputError(
                        f"formula '{self.formula.text}': {term.text} lets nothing vary"
                    )
                check_finite(columns, self.formula)
                check_rank(columns, self.formula)
            if not made:
                raise InputError(f"formula '{self.formula.text}': {term.text} lets nothing vary")
        return self._made[key]

    def _groups(self, factors: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], int]:
        """Give numbers to the combinations of factors that have rows, in sorted order."""
        codes, n_levels = self._number(factors[0])
        for name in factors[1:]:
            more, n_more = self._number(name)
            codes, n_levels = _dense(codes * n_more + more, n_levels * n_more)
        return codes, n_levels

    def _number(self, name: str) -> tuple[npt.NDArray[np.int64], int]:
        if name not in self._numbers:
            values = self.ready[name]
            if isinstance(values.dtype, pd.CategoricalDtype):
                codes = values.cat.codes.to_numpy().astype(np.int64)
                self._numbers[name] = codes, len(values.cat.categories)
            else:
                codes, levels = number_groups(values.to_numpy())
                self._numbers[name] = codes, len(levels)
        return self._numbers[name]


def _together(text: str, frame: pd.DataFrame, formula: Formula) -> list[Columns]:
    return [language.columns(text, frame, formula)]


def _dense(keys: npt.NDArray[np.int64], n_keys: int) -> tuple[npt.NDArray[np.int64], int]:
    """Give numbers to the keys that occur, in order."""
    if n_keys > 8 * len(keys) + 1024:
        codes, levels = number_groups(keys)
        return codes, len(levels)
    occurs = np.zeros(n_keys, dtype=bool)
    occurs[keys] = True
    number = np.cumsum(occurs, dtype=np.int64) - 1
    return number[keys], int(number[-1]) + 1


def check_repeats(blocks: tuple[RandomBlock, ...], formula: Formula) -> None:
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
    """Tell whether two groupings are one: the first row of each group says which would be."""
    partner = np.empty(int(codes.max()) + 1, dtype=np.int64)
    partner[codes] = others
    return bool((partner[codes] == others).all())
