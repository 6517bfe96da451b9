"""The natural cubic spline in x = log2 k: where its knots lie and its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.mixed.splines import NaturalSplines

Array = NDArray[np.float64]
#: Columns of the spline: two interior knots, at the thirds.
DF = 3
#: With fewer k the spline has as many coefficients as the saturated curve, or more.
FEWEST = DF + 2
KNOTS = "knots at the ends and at the thirds of the distinct log2 k of the grid"


def knots_of(ks: Sequence[int]) -> tuple[Array, Array]:
    """Interior and boundary knots of the spline, in log2 k.

    Parameters
    ----------
    ks : sequence of int, length K
        The k grid; at least `FEWEST` different ones.

    Returns
    -------
    inner : ndarray, shape (2,)
        Quantiles 1/3 and 2/3 (linear between order statistics, R's type 7) of the distinct
        x = log2 k: each k counts once, however many answers there are at it.
    ends : ndarray, shape (2,)
        The smallest and the largest x.
    """
    x = np.log2(np.unique(np.asarray(ks, dtype=np.float64)))
    share = np.linspace(0, 1, DF + 1)[1:-1]
    return np.quantile(x, share), np.array([x[0], x[-1]])


def spline_columns(ks: Sequence[int], x: Array) -> Array:
    """Columns of the natural cubic spline without intercept (R's ``ns`` with these knots).

    Parameters
    ----------
    ks : sequence of int
        The k grid, which sets the knots.
    x : ndarray, shape (n,)
        Where to evaluate, in log2 k.

    Returns
    -------
    ndarray, shape (n, 3)
    """
    inner, ends = knots_of(ks)
    return NaturalSplines()(x, knots=inner, boundary=ends)
