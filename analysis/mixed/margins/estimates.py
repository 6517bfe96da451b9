"""Estimates made from a fit's coefficients, with their errors, tests and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from analysis.mixed.clustered import FloatArray
from analysis.mixed.margins.adjusting import (
    Adjust,
    adjusted_p,
    check_adjust,
    critical,
    for_intervals,
)
from analysis.mixed.margins.rows import Source
from analysis.mixed.satterthwaite import degrees
from complexity.errors import InputError, listing

Shown = Literal["as is", "logistic", "exp"]


#: Columns of the table, which predictors in it may not be named.
COLUMNS = ("estimate", "se", "df", "statistic", "p", "ci_low", "ci_high")


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """Marginal means, slopes or contrasts of a fit: m functions of its coefficients.

    Attributes
    ----------
    kind : str
        ``means``, ``slopes`` or ``contrasts``.
    what : str
        What `tidy` shows, in words: ``log odds``, ``probability``, ``odds ratio``.
    levels : DataFrame, shape (m, number of columns)
        What each estimate is of.
    value : ndarray, shape (m,)
        On the scale where errors are normal; `shown` leads from there to what is shown.
    gradient : ndarray, shape (m, d)
        Derivatives of `value` to the parameters; NaN where an estimate is not defined.
    source : Source
        Covariance of the parameters and degrees of freedom.
    scale : str
        Of `value`: ``link``, ``response`` or ``log``.
    shown : {"as is", "logistic", "exp"}
        Errors and intervals of the last two: the delta method, and the interval's ends
        transformed.
    by : tuple of str
        Columns whose combinations are families of tests of their own.
    level : float
    adjust : str
    n_means : int or None
        For all pairwise differences: how many means are compared in a family.
    notes : tuple of str
        What a reader of the numbers must know.
    details : mapping of str to object
        How they were had: weights, values held and the like.
    """

    kind: str
    what: str
    levels: pd.DataFrame
    value: FloatArray
    gradient: FloatArray
    source: Source
    scale: str
    shown: Shown = "as is"
    by: tuple[str, ...] = ()
    level: float = 0.95
    adjust: Adjust = "none"
    n_means: int | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def undefined(self) -> npt.NDArray[np.bool_]:
        """Which estimates rest on a coefficient without covariance, shape (m,)."""
        bad = self.source.undefined
        # Weights that cancel leave rounding behind.
        size = np.nan_to_num(np.abs(self.gradient)).max(axis=1, initial=0.0)
        touched = np.abs(self.gradient[:, bad]) > 1e-9 * size[:, None]
        return np.asarray(np.isnan(self.gradient).any(axis=1) | touched.any(axis=1))

    @property
    def cov(self) -> FloatArray:
        """Covariance of `value`, shape (m, m); NaN for what is not defined."""
        clean = np.where(self.undefined[:, None], np.nan, self.gradient)
        clean[:, self.source.undefined] = np.where(self.undefined, np.nan, 0.0)[:, None]
        return np.asarray(clean @ self.source.cov @ clean.T, dtype=np.float64)

    @property
    def df(self) -> FloatArray:
        """Degrees of freedom of each, shape (m,): infinite for z."""
        if self.source.spread is not None:
            return degrees(self.gradient, self.source.cov, self.source.spread)
        return np.full(len(self.value), np.inf if self.source.df is None else self.source.df)

    def tidy(self, *, level: float | None = None, adjust: str | None = None) -> pd.DataFrame:
        """Tabulate the estimates.

        Parameters
        ----------
        level : float, optional
            Coverage of the intervals, instead of the one given when they were made.
        adjust : str, optional
            Adjustment, instead of the one given when they were made.

        Returns
        -------
        DataFrame
            The columns of `levels`, then ``estimate``, ``se``, ``df`` (NaN for z), for slopes
            and contrasts ``statistic`` and ``p`` (that the difference is 0, the ratio 1),
            ``ci_low``, ``ci_high``. ``attrs``: ``estimate`` (what it is), ``scale``,
            ``p_values`` (how they were had), ``adjust``, ``interval_adjust``, ``level``,
            ``weights``, ``average``, ``population``, ``held`` (values of other predictors),
            ``averaged_over``, ``warnings``.
        """
        level = self.level if level is None else level
        method = self.adjust if adjust is None else check_adjust(adjust)
        if not 0 < level < 1:
            raise InputError(f"a confidence level lies between 0 and 1, not {level:g}")
        missing = self.undefined
        value = np.where(missing, np.nan, self.value)
        cov, df = self.cov, self.df
        se = np.sqrt(np.diag(cov))
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = value / se
            correlation = cov / np.outer(se, se)
        p, width = np.full(len(value), np.nan), np.full(len(value), np.nan)
        for rows in families_of(self.levels, self.by):
            known = np.where(np.isfinite(statistic[rows]), df[rows], np.nan)
            shared = {"correlation": correlation[np.ix_(rows, rows)]}
            width[rows] = critical(level, known, method, n_means=self.n_means, **shared)
            if self.kind != "means":
                p[rows] = adjusted_p(
                    statistic[rows], df[rows], method, n_means=self.n_means, **shared
                )
        low, high = value - width * se, value + width * se
        shown, slope = self._shown(value)
        frame = self.levels.reset_index(drop=True).copy()
        frame["estimate"], frame["se"] = shown, slope * se
        frame["df"] = np.where(np.isinf(df) | missing, np.nan, df)
        if self.kind != "means":
            frame["statistic"], frame["p"] = statistic, p
        frame["ci_low"], frame["ci_high"] = self._shown(low)[0], self._shown(high)[0]
        warnings = list(self.warnings(method))
        if self.kind == "means" and self.what.startswith("probability"):
            beyond = (frame["ci_low"] < 0) | (frame["ci_high"] > 1)
            if beyond.any():
                warnings.append(
                    f"{int(beyond.sum())} intervals reach beyond 0 or 1: too little data for the "
                    "delta method there; averaged on the link they stay between"
                )
        frame.attrs.update(
            estimate=self.what,
            scale=self.scale,
            p_values=self.source.p_values,
            adjust=method,
            interval_adjust=for_intervals(method),
            level=level,
            **self.details,
            warnings=warnings,
        )
        return frame

    def warnings(self, adjust: Adjust | None = None) -> tuple[str, ...]:
        """Say what a reader of the table must know."""
        found = list(self.notes)
        method = self.adjust if adjust is None else adjust
        if for_intervals(method) != method and len(self.levels) > 1:
            found.append(f"{method} has no intervals: these are Bonferroni's")
        if self.undefined.any():
            rows = self.levels[self.undefined].to_dict("records")
            cells = [", ".join(f"{k} {v}" for k, v in row.items()) or "the mean" for row in rows]
            found.append(
                f"no estimate for {listing(cells)}: it rests on a coefficient that diverges "
                "(separation) or on categories without rows"
            )
        return tuple(found)

    def _shown(self, value: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Transform for showing: values and the transformation's slopes."""
        if self.shown == "as is":
            return value, np.ones(len(value))
        if self.shown == "exp":
            return np.exp(value), np.exp(value)
        return np.asarray(expit(value)), np.asarray(expit(value) * expit(-value))

    def __str__(self) -> str:
        """Lay out the table with what it is and how it was had."""
        frame = self.tidy()
        lines = [f"{self.kind.capitalize()}: {self.what}", frame.to_string(index=False)]
        how = f"{self.level:.0%} intervals; {self.source.p_values}"
        if self.adjust != "none":
            how += f"; adjusted: {self.adjust}"
        return "\n".join([*lines, how, *(f"Warning: {t}" for t in frame.attrs["warnings"])])

    __repr__ = __str__


def families_of(levels: pd.DataFrame, by: tuple[str, ...]) -> Iterator[npt.NDArray[np.int64]]:
    """Iterate over the rows that are compared, and adjusted, together.

    Parameters
    ----------
    levels : DataFrame
    by : tuple of str
        Columns whose combinations are the families; none: one family.

    Yields
    ------
    ndarray of int64
        Row numbers.
    """
    if not by:
        yield np.arange(len(levels))
        return
    codes = pd.MultiIndex.from_frame(levels[list(by)].astype(object)).factorize()[0]
    for code in range(int(codes.max()) + 1):
        yield np.flatnonzero(codes == code)
