"""Finding coefficients of a logit that diverge: separation, confirmed, not guessed."""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray

#: Rows predicted this closely are looked at for separation.
CLOSE = 1e-6
#: A coefficient moves along a direction when its share of it is above this.
SHARE = 1e-6


def separated_columns(y: FloatArray, mu: FloatArray, basis: FloatArray) -> FloatArray | None:
    """Find a direction in which the likelihood rises for ever.

    Such a direction d has x·d ≥ 0 where y = 1, x·d ≤ 0 where y = 0 and x·d = 0 where y lies
    between, not all zero (Albert & Anderson 1984, Biometrika 71(1),
    doi:10.1093/biomet/71.1.1). Rows not yet predicted almost perfectly must have x·d = 0,
    which leaves a small space to search by linear programming (as Konis 2007, DPhil thesis,
    Oxford, does in the whole space).

    Parameters
    ----------
    y : ndarray, shape (n,)
        Outcomes in [0, 1].
    mu : ndarray, shape (n,)
        Fitted probabilities where the iterations ended.
    basis : ndarray, shape (n, p)
        Well-conditioned columns.

    Returns
    -------
    ndarray, shape (p,), or None
        The direction with the most separated rows, in coordinates of `basis`; None when the
        estimate exists.
    """
    close = ((y == 0) | (y == 1)) & (np.abs(y - mu) < CLOSE)
    if not close.any():
        return None
    space = _null_space(basis[~close])
    if space.shape[1] == 0:
        return None
    signed = np.where(y[close] == 1, 1.0, -1.0)[:, None] * (basis[close] @ space)
    # Many rows repeat (cells of a design); the conditions are the same.
    conditions = np.unique(np.round(signed, 9), axis=0)
    if space.shape[1] == 1:
        values = conditions[:, 0]
        for sign in (1.0, -1.0):
            if (sign * values >= -1e-7).all() and (np.abs(values) > 1e-7).any():
                return sign * space[:, 0]
        return None
    return _by_programme(conditions, space)


def _null_space(rows: FloatArray) -> FloatArray:
    n_columns = rows.shape[1]
    if len(rows) == 0:
        return np.eye(n_columns)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    space: FloatArray = vectors[:, values < 1e-10 * max(1.0, float(values[-1]))]
    return space


def _by_programme(conditions: FloatArray, space: FloatArray) -> FloatArray | None:
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, eye, hstack

    n_rows, n_free = conditions.shape
    # Maximise the sum of t with 0 ≤ t ≤ 1 and t ≤ conditions @ z: as many rows as can be.
    answer = linprog(
        np.r_[np.zeros(n_free), -np.ones(n_rows)],
        A_ub=hstack([csr_matrix(-conditions), eye(n_rows)]).tocsr(),
        b_ub=np.zeros(n_rows),
        bounds=[(None, None)] * n_free + [(0.0, 1.0)] * n_rows,
        method="highs",
    )
    if not answer.success or -answer.fun < 0.5:
        return None
    direction: FloatArray = space @ answer.x[:n_free]
    return direction


def named(direction: FloatArray, names: tuple[str, ...]) -> tuple[str, ...]:
    """Name the columns that take part in a direction (given in the model's coordinates)."""
    share = np.abs(direction) / np.abs(direction).max()
    return tuple(name for name, part in zip(names, share, strict=True) if part > SHARE)
