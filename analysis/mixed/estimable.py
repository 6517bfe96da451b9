"""Whether the columns of a sum of terms can be estimated, and which cannot."""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import aliased
from analysis.mixed.encoding import Columns
from analysis.mixed.formula import Formula
from complexity.errors import InputError, listing


def check_finite(columns: Columns, formula: Formula) -> None:
    """Refuse columns with values that are not finite.

    Parameters
    ----------
    columns : Columns
    formula : Formula
        For messages.

    Raises
    ------
    InputError
        Naming them and the number of rows.
    """
    with np.errstate(all="ignore"):
        if np.isfinite(columns.matrix.sum()):
            return  # no copy of the matrix where nothing is wrong
    found = []
    for name, values in zip(columns.names, columns.matrix.T, strict=True):
        count = int((~np.isfinite(values)).sum())
        if count:
            found.append(f"{name} in {count:,} {'row' if count == 1 else 'rows'}")
    if found:
        raise InputError(
            f"formula '{formula.text}': not finite: {listing(found)}; leave those rows out"
        )


def check_rank(columns: Columns, formula: Formula) -> None:
    """Refuse columns that are linear combinations of others.

    Parameters
    ----------
    columns : Columns
    formula : Formula
        For messages.

    Raises
    ------
    InputError
        Naming those furthest right, and the likely reason.
    """
    X, names = columns.matrix, columns.names
    if len(X) < X.shape[1]:
        raise InputError(
            f"formula '{formula.text}': {len(X):,} complete "
            f"{'row is' if len(X) == 1 else 'rows are'} too few for "
            f"{X.shape[1]} coefficients"
        )
    with np.errstate(all="ignore"):
        gram = X.T @ X
        length = np.sqrt(np.diag(gram))
        gram /= np.outer(length, length)
    # Slower, so only where the cheap test cannot tell: near or true dependence.
    if np.isfinite(gram).all() and np.linalg.eigvalsh(gram)[0] > 1e-6:
        return
    dependent = aliased(X)
    if not dependent:
        return
    empty = [names[j] for j in dependent if not X[:, j].any()]
    if empty:
        why = (
            "a combination of categories without rows, or of columns that are 0 together"
            if any(":" in name for name in empty)
            else "nothing can be told of it"
        )
        raise InputError(
            f"formula '{formula.text}': cannot estimate {listing(empty)}: 0 in every row ({why}); "
            "leave it out"
        )
    constant = [names[j] for j in dependent if np.ptp(X[:, j]) == 0]
    if constant:
        raise InputError(
            f"formula '{formula.text}': {listing(constant)} has the same value in every row "
            "and cannot be told from the intercept; leave it out"
        )
    raise InputError(
        f"formula '{formula.text}': cannot estimate {listing(names[j] for j in dependent)}: a "
        "linear combination of other columns (for instance a variable given twice, or "
        "categories that always occur together); leave it out"
    )
