"""Compiled parts of `complexity.metrics.subbands`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]
#: Values worked on at a time.
BLOCK = 512


@compiled
def picked(spectrum: Array, rows: Array, columns: Array, out: Array) -> None:
    """Take some rows and columns out of a spectrum, shape (h, w, 2)."""
    for y in range(len(rows)):
        line, target = spectrum[rows[y]], out[y]
        for x in range(len(columns)):
            target[x, 0], target[x, 1] = line[columns[x], 0], line[columns[x], 1]


@compiled
def standardised(plane: Array, mean: Any, span: Any, which: int, out: Array) -> None:
    """Put a plane, less its mean and over its span, among complex numbers, shape (h, w, 2)."""
    for y in range(plane.shape[0]):
        line, target = plane[y], out[y]
        for x in range(len(line)):
            target[x, which] = (line[x] - mean) / span


@compiled
def filtered(spectrum: Array, one: Array, two: Array, odd: bool, out: Array) -> None:
    """Multiply a spectrum, shape (h, w, 2), with a filter, or with two for a band each.

    The filters are ``one`` and ``two``, or with `odd` these times the imaginary unit; the second,
    if not empty, is added times the imaginary unit, which makes its band the imaginary part.
    """
    height, width = one.shape
    for y in range(height):
        line, target, first = spectrum[y], out[y], one[y]
        second = two[y] if len(two) > 0 else first
        if len(two) > 0 and odd:
            for x in range(width):
                a, b, real, imaginary = line[x, 0], line[x, 1], -second[x], first[x]
                target[x, 0] = a * real - b * imaginary
                target[x, 1] = a * imaginary + b * real
        elif len(two) > 0:
            for x in range(width):
                a, b, real, imaginary = line[x, 0], line[x, 1], first[x], second[x]
                target[x, 0] = a * real - b * imaginary
                target[x, 1] = a * imaginary + b * real
        elif odd:
            for x in range(width):
                a, b, part = line[x, 0], line[x, 1], first[x]
                target[x, 0] = -b * part
                target[x, 1] = a * part
        else:
            for x in range(width):
                part = first[x]
                target[x, 0] = line[x, 0] * part
                target[x, 1] = line[x, 1] * part


@compiled
def extremes(values: Array) -> tuple[Array, Array]:
    """Smallest and largest of the values in even and in odd places."""
    n = 64
    least, most = np.full(n, np.inf, dtype=np.float32), np.full(n, -np.inf, dtype=np.float32)
    whole = len(values) // n * n
    for start in range(0, whole, n):
        part = values[start : start + n]
        for i in range(n):
            value, low, high = part[i], least[i], most[i]
            least[i] = value if value < low else low
            most[i] = value if value > high else high
    for i in range(whole, len(values)):
        least[i & 1] = min(least[i & 1], values[i])
        most[i & 1] = max(most[i & 1], values[i])
    lows, highs = least[:2].copy(), most[:2].copy()
    for i in range(n):
        lows[i & 1] = min(lows[i & 1], least[i])
        highs[i & 1] = max(highs[i & 1], most[i])
    return lows, highs


@compiled
def pair_entropies(values: Array, low: Array, per_unit: Array, bins: int) -> Array:
    """Shannon entropies in nats of the values in even and in odd places.

    Binned from ``low`` up in bins of 1 / ``per_unit``, which are given for both.
    """
    # Four tables: with two, equal values in a run would wait for each other.
    counts = np.zeros((4, bins), dtype=np.int32)
    last = np.int32(bins - 1)
    places = np.empty(BLOCK, dtype=np.int32)
    first, factor = np.empty(BLOCK, dtype=np.float32), np.empty(BLOCK, dtype=np.float32)
    for i in range(BLOCK):
        first[i], factor[i] = low[i & 1], per_unit[i & 1]
    for start in range(0, len(values), BLOCK):
        n = min(BLOCK, len(values) - start)
        part = values[start : start + n]
        for i in range(n):
            places[i] = min(np.int32((part[i] - first[i]) * factor[i]), last)
        for i in range(n):
            counts[i & 3, places[i]] += 1
    entropies = np.zeros(2)
    for which in range(2):
        for i in range(bins):
            count = counts[which, i] + counts[which + 2, i]
            if count > 0:
                share = 2 * count / len(values)
                entropies[which] -= share * np.log(share)
    return np.maximum(entropies, 0.0)
