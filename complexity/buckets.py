"""Cut points that turn a complexity metric into a few ordered groups of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from complexity.errors import InputError, listing

Scheme = Literal["quantile", "edges", "column"]
NAMES = {2: ("low", "high"), 3: ("low", "mid", "high")}


class ConstantMetric(InputError):
    """A metric that has one value on all images cannot be cut."""


@dataclass(frozen=True)
class Buckets:
    """Saved cut points: made on one set of images, usable on any other.

    Attributes
    ----------
    metric : str
        What is cut.
    scheme : {"quantile", "edges", "column"}
        How the cut points came about; ``column``: the labels were given.
    edges : tuple of float
        Interior cut points, rising; bucket i holds values in (edges[i-1], edges[i]], the first
        and the last are open to the outside. Empty for ``column``.
    labels : tuple of str
        Bucket names, from low to high.
    counts : tuple of int
        Images per bucket when they were cut.
    notes : tuple of str
        What there is to know about them (merged ties, empty buckets).
    """

    metric: str
    scheme: Scheme
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def assign(self, values: Any) -> pd.Categorical[Any]:
        """Put values into the buckets.

        Parameters
        ----------
        values : array_like of float, or of str for the scheme ``column``
            One per image; missing ones stay missing.

        Returns
        -------
        Categorical
            Ordered, its categories are `labels`.
        """
        if self.scheme == "column":
            given = pd.Series(values, dtype=object)
            spelled = given.where(given.isna(), given.map(_spell))
            return _ordered(self.labels, pd.Index(self.labels).get_indexer(pd.Index(spelled)))
        numbers = np.asarray(values, dtype=np.float64)
        position = np.searchsorted(self.edges, numbers, side="left")
        return _ordered(self.labels, np.where(np.isnan(numbers), -1, position))

    def ranges(self) -> tuple[str, ...]:
        """Spell each bucket's range: ``≤ 8``, ``8 < c ≤ 16``, ``> 16``."""
        if self.scheme == "column":
            return self.labels
        if not self.edges:
            return ("all values",) * len(self.labels)
        spelled = [f"{edge:.4g}" for edge in self.edges]
        between = [f"{a} < c ≤ {b}" for a, b in pairwise(spelled)]
        return (f"≤ {spelled[0]}", *between, f"> {spelled[-1]}")

    def to_dict(self) -> dict[str, object]:
        """Spell the buckets as values JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Buckets:
        """Read what `to_dict` spelled, also after a way through JSON."""
        return cls(
            metric=content["metric"],
            scheme=content["scheme"],
            edges=tuple(float(edge) for edge in content["edges"]),
            labels=tuple(content["labels"]),
            counts=tuple(int(count) for count in content["counts"]),
            notes=tuple(content["notes"]),
        )


def cut(
    values: pd.Series[Any] | Sequence[float],
    *,
    metric: str,
    scheme: Literal["quantile", "edges"] = "quantile",
    n: int = 3,
    edges: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
) -> Buckets:
    """Cut a metric into buckets over images.

    Parameters
    ----------
    values : Series or sequence of float
        One value per image (not per question); missing ones are left out.
    metric : str
        Its name.
    scheme : {"quantile", "edges"}
        ``quantile``: n groups of as many images as ties allow, cut at numpy's linear
        quantiles. ``edges``: at the points given.
    n : int
        Buckets of ``quantile``, at least 2.
    edges : sequence of float, optional
        Interior cut points of ``edges``, rising. Values beyond the first and the last have a
        bucket of their own, so that nothing is lost.
    labels : sequence of str, optional
        Names, from low to high; low/high, low/mid/high or "1 of n" when left out.

    Returns
    -------
    Buckets
        With the images in each. Quantiles that fall on the same value are merged, and that is
        said in `notes`, as are empty buckets.

    Raises
    ------
    ConstantMetric
        When all images have the same value.
    InputError
        When there is no value, or `n`, `edges` or `labels` do not fit.
    """
    numbers = pd.Series(values, dtype=np.float64).dropna().to_numpy()
    if numbers.size == 0:
        raise InputError(
            f"{metric} has no value on any image, so it cannot be cut into buckets. See the "
            "`error` column of the complexity table for the reasons."
        )
    if numbers.min() == numbers.max():
        raise ConstantMetric(
            f"{metric} is {numbers[0]:g} on all {numbers.size:,} images, so there is no low and "
            "no high. Choose another metric, or images that differ in it."
        )
    notes: list[str] = []
    if scheme == "edges":
        points = _checked_edges(edges, metric)
    else:
        if n < 2:
            raise InputError(f"buckets of {metric}: n is {n}; at least 2 are needed.")
        points = _filled(np.quantile(numbers, np.arange(1, n) / n), numbers)
        if len(points) < n - 1:
            notes.append(
                f"ties: {n} quantile buckets of {metric} were asked for; too many images share a "
                f"value, so there are {len(points) + 1}."
            )
    names = _names(len(points) + 1, labels, metric)
    counts = np.bincount(np.searchsorted(points, numbers, side="left"), minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if empty:
        notes.append(f"no image falls into {metric} bucket {listing(empty)}.")
    return Buckets(
        metric=metric,
        scheme=scheme,
        edges=tuple(float(point) for point in points),
        labels=names,
        counts=tuple(int(count) for count in counts),
        notes=tuple(notes),
    )


def from_column(
    labels: pd.Series[Any] | Sequence[object],
    *,
    metric: str,
    order: Sequence[str] | None = None,
) -> Buckets:
    """Take buckets from labels that images already have.

    Parameters
    ----------
    labels : Series or sequence
        One per image; missing ones are left out.
    metric : str
        What the buckets stand for.
    order : sequence of str, optional
        Labels from low to high. Without it numbers are sorted as numbers, texts as texts.

    Raises
    ------
    InputError
        When there are fewer than two labels, or `order` does not name them all.
    """
    given = pd.Series(labels, dtype=object).dropna()
    distinct = list(given.unique())
    numeric = all(isinstance(value, int | float | np.number) for value in distinct)
    found = [
        _spell(value) for value in (sorted(distinct) if numeric else sorted(distinct, key=str))
    ]
    if len(found) < 2:
        raise ConstantMetric(
            f"the bucket column has {len(found)} value(s) over the images; two or more are needed."
        )
    if order is not None:
        missing = [name for name in found if name not in order]
        if missing:
            raise InputError(
                f"buckets.order leaves out {listing(missing)}, which the bucket column holds."
            )
        found = [name for name in order if name in found]
    counts = given.map(_spell).value_counts()
    return Buckets(
        metric=metric,
        scheme="column",
        edges=(),
        labels=tuple(found),
        counts=tuple(int(counts[name]) for name in found),
    )


def _checked_edges(edges: Sequence[float] | None, metric: str) -> np.ndarray[Any, Any]:
    points = np.asarray(edges if edges is not None else [], dtype=np.float64)
    if points.size == 0 or not np.isfinite(points).all() or (np.diff(points) <= 0).any():
        raise InputError(
            f"buckets of {metric}: edges must be one or more finite numbers, each above the one "
            f"before; got {list(edges) if edges is not None else None}."
        )
    return points


def _filled(points: np.ndarray[Any, Any], numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Keep the cut points that leave images on both sides: ties make others coincide."""
    kept: list[float] = []
    for point in points:
        above = numbers > kept[-1] if kept else np.ones(len(numbers), dtype=bool)
        if (above & (numbers <= point)).any() and (numbers > point).any():
            kept.append(float(point))
    if not kept:  # most images share the largest value
        kept = [float(numbers[numbers < numbers.max()].max())]
    return np.asarray(kept)


def _names(n: int, labels: Sequence[str] | None, metric: str) -> tuple[str, ...]:
    if labels is not None:
        if len(labels) != n or len(set(labels)) != n:
            raise InputError(
                f"buckets of {metric}: {n} different labels are needed, got {list(labels)}."
            )
        return tuple(labels)
    return NAMES.get(n, tuple(f"{i} of {n}" for i in range(1, n + 1)))


def _ordered(labels: Sequence[str], codes: Any) -> pd.Categorical[Any]:
    dtype = pd.CategoricalDtype(list(labels), ordered=True)
    return pd.Categorical.from_codes(codes.astype(np.int64), dtype=dtype)


def _spell(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
