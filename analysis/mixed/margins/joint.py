"""Joint (type III) tests of main effects and interactions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.margins.grid import (
    At,
    cells,
    check_known,
    design_of,
    predictors,
    row_of,
    term_variables,
)
from analysis.mixed.margins.means import averages, names_of
from analysis.mixed.margins.rows import RowPredictor, combine
from analysis.mixed.result import MixedFit
from analysis.mixed.satterthwaite import joint_degrees
from analysis.mixed.wald import WaldTest, wald_test
from complexity.errors import InputError, did_you_mean, listing


def joint_tests(
    fit: MixedFit,
    terms: str | Sequence[str] | None = None,
    *,
    at: At | None = None,
    by: str | Sequence[str] = (),
) -> pd.DataFrame:
    """Test main effects and interactions, each averaged over the others with equal weights.

    Type III tests, as emmeans' ``joint_tests`` makes them: all interaction contrasts of a
    term's predictors are zero. Numbers are compared one unit (or less, if the data end
    sooner) to either side of their mean; give more values by `at` to test a curve.

    Parameters
    ----------
    fit : MixedFit
    terms : str or sequence of str, optional
        ``k``, ``k:c``: predictors joined by a colon, in any order; all without it.
    at : mapping, optional
        As in `reference_grid`.
    by : str or sequence of str
        Predictors at each of whose levels the tests are made.

    Returns
    -------
    DataFrame
        The columns of `by`, then ``term``, ``df`` (rank of the hypothesis), ``df_denom`` (NaN
        for chi-square), ``statistic`` (F, or chi-square without `df_denom`), ``p``. ``attrs``:
        ``method``, ``warnings``. Denominator degrees of freedom of linear mixed models are
        Satterthwaite's of the joint test (as lmerTest; emmeans takes the smallest of single
        ones).

    Raises
    ------
    InputError
        For an unknown term.
    """
    by = names_of(by)
    predictor = RowPredictor(fit, "link", False)
    around = {**_around(fit), **(at or {})}
    axes = {axis.name: axis for axis in predictors(fit, around)}
    for name in by:
        check_known(name, list(axes), fit)
    asked = _terms_asked(fit, terms, [n for n in axes if n not in by], by)
    families = cells(fit, by, around, "equal").levels
    rows: list[dict[str, object]] = []
    warnings: list[str] = []
    for names in asked:
        found = averages(predictor, cells(fit, [*by, *names], around, "equal"))
        differences: FloatArray = np.ones((1, 1))
        for name in names:
            steps = np.diff(np.eye(len(axes[name].values)), axis=0)
            differences = np.asarray(np.kron(differences, steps), dtype=np.float64)
        size = differences.shape[1]
        for family in range(len(families)):
            part = slice(family * size, (family + 1) * size)
            L = combine(differences, found.gradient[part])
            # Rounding of what cancels.
            L[np.abs(L) < 1e-12 * np.abs(found.gradient[part]).max()] = 0.0
            L = L[(L != 0).any(axis=1)]
            if not len(L):
                continue
            term = ":".join(names)
            test = _tested(fit, L)
            rows.append({**row_of(families, family), "term": term, **_laid_out(test)})
            # Redundant rows are of the making here: interaction contrasts of a number.
            told = [text for text in test.warnings if "could be told apart" not in text]
            warnings += [f"{term}: {text}" for text in told]
    frame = pd.DataFrame(rows, columns=[*by, "term", "df", "df_denom", "statistic", "p"])
    frame = frame.sort_values(list(by), kind="stable", ignore_index=True) if by else frame
    method = f"Wald {'chi-square' if fit.df is None else 'F'}; {fit.p_values}"
    frame.attrs.update(method=method, warnings=list(dict.fromkeys(warnings)))
    return frame


def _tested(fit: MixedFit, L: FloatArray) -> WaldTest:
    freedom = None if fit.df is None else float(np.mean(fit.df))
    if fit.spread is not None:
        freedom = joint_degrees(L, fit.cov, fit.spread)
    return wald_test(fit.params, fit.cov, L, df_denom=freedom)


def _laid_out(test: WaldTest) -> dict[str, object]:
    if test.df_denom is None:
        return {"df": test.df, "df_denom": np.nan, "statistic": test.statistic, "p": test.p}
    share = test.statistic / test.df if test.df else np.nan
    return {"df": test.df, "df_denom": test.df_denom, "statistic": share, "p": test.p}


def _around(fit: MixedFit) -> dict[str, list[float]]:
    """Two values of every number that has a mean in the grid."""
    frame = design_of(fit).frame
    assert frame is not None
    found = {}
    for axis in predictors(fit):
        if axis.kept:
            continue
        column, centre = frame[axis.name], axis.values[0]
        reach = min(1.0, float(column.max()) - centre, centre - float(column.min()))
        found[axis.name] = [centre - reach, centre + reach]
    return found


def _terms_asked(
    fit: MixedFit, terms: str | Sequence[str] | None, names: list[str], by: Sequence[str]
) -> list[tuple[str, ...]]:
    """All sets of predictors that some term holds, those with fewer first."""
    sets: dict[frozenset[str], None] = {}
    for used in term_variables(fit):
        free = [name for name in used if name not in by]
        for size in range(1, len(free) + 1):
            sets.update(dict.fromkeys(map(frozenset, combinations(free, size))))
    known = sorted(
        (tuple(sorted(group, key=names.index)) for group in sets),
        key=lambda group: (len(group), [names.index(n) for n in group]),
    )
    if terms is None:
        return known
    labels = {":".join(group): group for group in known}
    found = []
    for text in names_of(terms):
        group = frozenset(part.strip() for part in text.split(":"))
        match = [one for one in known if frozenset(one) == group]
        if not match:
            raise InputError(
                f"no term '{text}'{did_you_mean(text, labels)}; the model has "
                f"{listing(labels, shown=12)}"
            )
        found += match
    return found
