"""Weights of comparisons among the levels of a factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import gcd, lcm
from typing import Literal, get_args

import numpy as np

from analysis.mixed.clustered import FloatArray
from complexity.errors import InputError, did_you_mean, listing

Method = Literal["pairwise", "reference", "consecutive", "poly"]
Custom = Mapping[str, object]
_DEGREES = ("linear", "quadratic", "cubic", "quartic", "quintic", "sextic")


def weights_of(
    method: str | Custom, labels: Sequence[str], *, reference: object = None, sign: str = "-"
) -> tuple[list[str], FloatArray]:
    """Make the weights of a family of contrasts.

    Parameters
    ----------
    method : str or mapping
        ``pairwise``: each level less each later one; ``reference``: each other level less
        the reference; ``consecutive``: each level less the one before; ``poly``: orthogonal
        polynomials of evenly spaced levels, in the smallest whole numbers; or a mapping from
        names to weights, a sequence as long as there are levels or a mapping from levels.
    labels : sequence of str
        The levels, in order.
    reference : object, optional
        Level for ``reference``; the first without it.
    sign : str
        Between two levels in names: ``-`` or ``/``.

    Returns
    -------
    names : list of str, length q
    weights : ndarray, shape (q, len(labels))

    Raises
    ------
    InputError
        For an unknown method or level, and weights of another length.
    """
    n = len(labels)
    unit = np.eye(n)
    if isinstance(method, Mapping):
        rows = [_custom(name, given, labels) for name, given in method.items()]
        return [str(name) for name in method], np.array(rows).reshape(len(rows), n)
    if method not in get_args(Method):
        raise InputError(
            f"unknown contrasts '{method}'{did_you_mean(str(method), get_args(Method))}; choose "
            f"{listing(get_args(Method))}, or give weights by name"
        )
    if n < 2:
        raise InputError(f"nothing to compare: {listing(labels) or 'the mean'} is the only level")
    if method == "poly":
        return _polynomials(n)
    if method == "pairwise":
        pairs = list(combinations(range(n), 2))
    elif method == "consecutive":
        pairs = [(i + 1, i) for i in range(n - 1)]
    else:
        first = 0 if reference is None else _position(reference, labels)
        pairs = [(i, first) for i in range(n) if i != first]
    names = [f"{labels[i]} {sign} {labels[j]}" for i, j in pairs]
    return names, np.array([unit[i] - unit[j] for i, j in pairs])


def _position(level: object, labels: Sequence[str]) -> int:
    if str(level) not in labels:
        near = did_you_mean(str(level), labels)
        raise InputError(f"no level '{level}'{near} among {listing(labels, shown=12)}")
    return list(labels).index(str(level))


def _custom(name: str, given: object, labels: Sequence[str]) -> FloatArray:
    row = np.zeros(len(labels))
    if isinstance(given, Mapping):
        for level, weight in given.items():
            row[_position(level, labels)] = float(weight)
    else:
        values = np.asarray(given, dtype=np.float64)
        if values.shape != row.shape:
            raise InputError(
                f"contrast '{name}' needs {len(labels)} weights, one for each of "
                f"{listing(labels, shown=12)}; got {values.size}"
            )
        row = values
    if not np.isfinite(row).all() or not row.any():
        raise InputError(f"contrast '{name}' needs finite weights that are not all zero")
    return row


def _polynomials(n: int) -> tuple[list[str], FloatArray]:
    """Orthogonalise 1, x, x², … on 0 … n − 1 in fractions, and clear the denominators."""
    basis: list[list[Fraction]] = []
    degree_max = min(len(_DEGREES), n - 1)
    for degree in range(degree_max + 1):
        row = [Fraction(x) ** degree for x in range(n)]
        for other in basis:
            share = _dot(row, other) / _dot(other, other)
            row = [a - share * b for a, b in zip(row, other, strict=True)]
        basis.append(row)
    whole = []
    for row in basis[1:]:
        common = lcm(*(value.denominator for value in row))
        numbers = [int(value * common) for value in row]
        whole.append([number // gcd(*numbers) for number in numbers])
    return list(_DEGREES[:degree_max]), np.array(whole, dtype=np.float64)


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
