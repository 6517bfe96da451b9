"""What `poly`, `ns`, `bs`, `scale` and `center` make of a column, as R does, and remember."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.mixed.clustered import FloatArray


class Remembering:
    """A function of a column that keeps for other rows what it learnt of the first ones.

    formulae makes one such object per call in a formula and asks it again for new rows.
    """

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.learnt = False

    def first(self) -> bool:
        """Tell whether these are the rows to learn from."""
        first, self.learnt = not self.learnt, True
        return first


class Center(Remembering):
    """``center(x)``: x less its mean."""

    def __call__(self, x: npt.ArrayLike) -> FloatArray:
        """Take the mean of the first rows from x, shape (n,)."""
        values = _numbers(x, "center")
        if self.first():
            self.mean = float(values.mean())
        return values - self.mean


class Scale(Remembering):
    """``scale(x)``: x less its mean, in standard deviations (divisor n − 1, as in R)."""

    def __call__(self, x: npt.ArrayLike) -> FloatArray:
        """Return x in units of the first rows, shape (n,)."""
        values = _numbers(x, "scale")
        if self.first():
            self.mean = float(values.mean())
            self.sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            if not self.sd > 0:
                raise ValueError("scale() of a column that has one value")
        return (values - self.mean) / self.sd


class Poly(Remembering):
    """``poly(x, degree, raw=False)``: polynomials that are orthogonal over the first rows.

    Columns have length one and a positive leading coefficient, as R's ``poly``. Other rows
    follow the same three-term recursion (Kennedy & Gentle 1980, Statistical Computing,
    pp. 343-344).
    """

    def __call__(self, x: npt.ArrayLike, degree: int = 1, raw: bool = False) -> FloatArray:
        """Return the powers or orthogonal polynomials, shape (n, degree)."""
        values = _numbers(x, "poly")
        degree = _whole(degree, "degree", least=1)
        if raw:
            return np.column_stack([values**power for power in range(1, degree + 1)])
        if self.first():
            if len(np.unique(values)) <= degree:
                raise ValueError(f"poly of degree {degree} needs more than {degree} unique values")
            self._learn(values, degree)
        found = np.empty((len(values), degree))
        before, column = np.zeros(len(values)), np.ones(len(values))
        for power in range(degree):
            before, column = (
                column,
                (values - self.shift[power]) * column - self.back[power] * before,
            )
            found[:, power] = column / self.length[power]
        return found

    def _learn(self, x: FloatArray, degree: int) -> None:
        # QR of centred powers is what R takes; the recursion alone loses digits sooner.
        powers = np.vander(x - x.mean(), degree + 1, increasing=True)
        q, r = np.linalg.qr(powers)
        monic = q * np.diag(r)
        squares = (monic**2).sum(axis=0)
        self.shift = (x[:, None] * monic**2).sum(axis=0) / squares
        self.back = np.r_[0.0, squares[1:] / squares[:-1]]
        self.length = np.sqrt(squares[1:])


class BSplines(Remembering):
    """``bs(x, df=, knots=, degree=3, intercept=False, boundary=)``: B-splines as R's ``bs``.

    `df` columns: interior knots at quantiles, boundary knots at the range unless given. The
    first function is left out, for the intercept. Beyond the boundary the end polynomials
    go on.
    """

    def __call__(
        self,
        x: npt.ArrayLike,
        df: int | None = None,
        knots: Any = None,
        degree: int = 3,
        intercept: bool = False,
        boundary: Any = None,
    ) -> FloatArray:
        """Return the basis, shape (n, df)."""
        values = _numbers(x, "bs")
        degree = _whole(degree, "degree", least=1)
        if self.first():
            least = degree + bool(intercept)
            ends, inner = _knots(values, df, knots, boundary, least, "bs")
            self.spline = _basis(ends, inner, degree)
        basis = np.asarray(self.spline(values), dtype=np.float64)
        return basis if intercept else basis[:, 1:]


class NaturalSplines(Remembering):
    """``ns(x, df=, knots=, intercept=False, boundary=)``: natural cubic splines as R's ``ns``.

    Cubic B-splines whose second derivative vanishes at the boundary knots, linear beyond
    them. Knots as for ``bs``.
    """

    def __call__(
        self,
        x: npt.ArrayLike,
        df: int | None = None,
        knots: Any = None,
        intercept: bool = False,
        boundary: Any = None,
    ) -> FloatArray:
        """Return the basis, shape (n, df)."""
        values = _numbers(x, "ns")
        skip = 0 if intercept else 1
        if self.first():
            self.ends, inner = _knots(values, df, knots, boundary, 1 + bool(intercept), "ns")
            self.spline = _basis(self.ends, inner, 3)
            bends = self.spline(self.ends, nu=2)[:, skip:]
            # The splines without bend at the ends: what is orthogonal to the two bends.
            self.free = np.linalg.qr(bends.T, mode="complete")[0][:, 2:]
        inside = np.clip(values, *self.ends)
        basis = np.asarray(self.spline(inside), dtype=np.float64)
        outside = values != inside
        if outside.any():
            slope = self.spline(inside[outside], nu=1)
            basis[outside] += (values - inside)[outside, None] * slope
        return np.asarray(basis[:, skip:] @ self.free, dtype=np.float64)


def _basis(ends: FloatArray, inner: FloatArray, degree: int) -> Any:
    from scipy.interpolate import BSpline

    knots = np.sort(np.r_[np.repeat(ends, degree + 1), inner])
    return BSpline(knots, np.eye(len(knots) - degree - 1), degree)


def _knots(
    x: FloatArray, df: int | None, knots: Any, boundary: Any, least: int, name: str
) -> tuple[FloatArray, FloatArray]:
    """Boundary knots, shape (2,), and interior knots."""
    if boundary is None:
        ends = np.array([x.min(), x.max()])
    else:
        ends = np.sort(np.atleast_1d(np.asarray(boundary, dtype=np.float64)))
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"{name}() needs two different boundary knots")
    if knots is not None:
        inner = np.sort(np.atleast_1d(np.asarray(knots, dtype=np.float64)))
        if df is not None and df != least + len(inner):
            raise ValueError(f"{name}() with these knots has {least + len(inner)} columns, not df")
        if len(inner) and not (ends[0] < inner[0] and inner[-1] < ends[1]):
            raise ValueError(
                f"{name}() needs knots inside the boundary, {ends[0]:g} to {ends[1]:g}"
            )
        return ends, inner
    columns = least if df is None else _whole(df, "df", least=least)
    share = np.linspace(0, 1, columns - least + 2)[1:-1]
    within = x[(x >= ends[0]) & (x <= ends[1])]
    inner = np.quantile(within, share) if len(share) else np.empty(0)
    if len(inner) and not (ends[0] < inner[0] and inner[-1] < ends[1]):
        raise ValueError(
            f"{name}() with df={columns} puts knots on the boundary, for x has few different "
            "values; take a smaller df, or name the knots"
        )
    return ends, inner


def _numbers(x: npt.ArrayLike, name: str) -> FloatArray:
    try:
        values = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}() is of numbers") from None
    if values.ndim != 1:
        raise ValueError(f"{name}() is of one column")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}() of values that are missing or not finite")
    return values


def _whole(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        given = value if isinstance(value, int | float | str) else "a column"
        raise ValueError(f"{name} is a whole number from {least} on, not {given}")
    return int(value)


#: The name in a formula, and what does the work.
REMEMBERING = {
    "poly": Poly,
    "ns": NaturalSplines,
    "bs": BSplines,
    "scale": Scale,
    "standardize": Scale,
    "center": Center,
}
