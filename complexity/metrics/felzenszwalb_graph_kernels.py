"""Compiled parts of `complexity.metrics.felzenszwalb`: smoothed colours, and edges in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Doubles = NDArray[np.float64]
Indices = NDArray[np.int32]
#: Indices without sign: of signed ones Numba asks each time whether they are negative.
Names = NDArray[np.uint32]
Keys = NDArray[np.uint64]


@compiled
def split_row(row: NDArray[Any], factor: float, planes: Doubles) -> None:
    """Split a row of colours into planes, shape (3, w), times a factor."""
    red, green, blue = planes[0], planes[1], planes[2]
    for x in range(len(red)):
        red[x] = row[3 * x] * factor
        green[x] = row[3 * x + 1] * factor
        blue[x] = row[3 * x + 2] * factor


@compiled
def fold(
    middle: Doubles, one: Doubles, two: Doubles, kernel: Doubles, step: int, out: Doubles
) -> None:
    """Add to a sum what lies `step` to either side; the first step, the widest, begins it."""
    part = kernel[step]
    if step == len(kernel) - 1:
        centre = kernel[0]
        for x in range(len(out)):
            out[x] = middle[x] * centre + (one[x] + two[x]) * part
    else:
        for x in range(len(out)):
            out[x] += (one[x] + two[x]) * part


@compiled
def smooth_row(
    ring: Doubles,
    y: int,
    kernel: Doubles,
    place_y: Indices,
    place_x: Indices,
    padded: Doubles,
    out: Doubles,
) -> None:
    """Smooth one row into planes, shape (3, w), as SciPy does: down, then across.

    ``ring`` has the rows at hand, row i at place i modulo its length.
    """
    radius = len(kernel) - 1
    n = out.shape[1]
    for c in range(3):
        middle, plane, line = ring[y % len(ring), c], padded[c], out[c]
        inner = plane[radius : radius + n]
        if radius == 0:
            for x in range(n):
                line[x] = middle[x] * kernel[0] * kernel[0]
            continue
        for step in range(radius, 0, -1):
            above = ring[place_y[radius + y - step] % len(ring), c]
            below = ring[place_y[radius + y + step] % len(ring), c]
            fold(middle, above, below, kernel, step, inner)
        for i in range(radius):
            j = n + 2 * radius - 1 - i
            plane[i] = plane[radius + place_x[i]]
            plane[j] = plane[radius + place_x[j]]
        for step in range(radius, 0, -1):
            fold(inner, plane[radius - step :], plane[radius + step :], kernel, step, line)


@compiled
def distances(one: Doubles, from_one: int, two: Doubles, from_two: int, out: Doubles) -> None:
    """Euclidean distances of colours, planes of shape (3, n), each from a place on."""
    # Cut by lines: of a cut plane Numba forgets that its lines have no gaps.
    r1, g1, b1 = one[0, from_one:], one[1, from_one:], one[2, from_one:]
    r2, g2, b2 = two[0, from_two:], two[1, from_two:], two[2, from_two:]
    for x in range(len(out)):
        a, b, c = r1[x] - r2[x], g1[x] - g2[x], b1[x] - b2[x]
        out[x] = math.sqrt(a * a + b * b + c * c)


@compiled
def weigh(
    rows: NDArray[Any],
    factor: float,
    kernel: Doubles,
    place_y: Indices,
    place_x: Indices,
    weights: Doubles,
) -> None:
    """Smooth, and weigh the edges from each pixel to the right, down, down right, down left.

    Edge 4 p + d leaves pixel p in direction d; its weight goes to ``weights[d, p]``.
    """
    height, width = rows.shape[0], rows.shape[1] // 3
    radius = len(kernel) - 1
    ring = np.empty((2 * radius + 1, 3, width))
    padded = np.empty((3, len(place_x)))
    planes = np.empty((2, 3, width))
    for y in range(min(radius + 1, height)):
        split_row(rows[y], factor, ring[y])
    smooth_row(ring, 0, kernel, place_y, place_x, padded, planes[0])
    for y in range(height):
        start = y * width
        here, below = planes[y % 2], planes[(y + 1) % 2]
        distances(here, 1, here, 0, weights[0, start : start + width - 1])
        if y + 1 < height:
            last = y + 1 + radius
            if last < height:
                split_row(rows[last], factor, ring[last % len(ring)])
            smooth_row(ring, y + 1, kernel, place_y, place_x, padded, below)
            distances(below, 0, here, 0, weights[1, start : start + width])
            distances(below, 1, here, 0, weights[2, start : start + width - 1])
            distances(below, 0, here, 1, weights[3, start + 1 : start + width])


@compiled
def gather(
    weights: Doubles,
    width: int,
    low_bits: int,
    least: np.uint64,
    below: np.uint64,
    region: Names,
    out: Keys,
) -> int:
    """List edges between regions as sort keys: the leading bits of the weight, then the edge.

    Only those with a weight of at least `least` and under `below`, both as the bits of a
    double, and, unless `least` is 0, whose ends have different names in ``region``. Returns how
    many there are.
    """
    pixels = weights.shape[1]
    height = pixels // width
    drop = np.uint64(low_bits)
    bits = weights.view(np.uint64)
    wanted = np.empty(width, dtype=np.uint8)
    made = np.empty(width, dtype=np.uint64)
    filled = 0
    for y in range(height):
        for d in range(4 if y + 1 < height else 1):
            first = y * width + (1 if d == 3 else 0)
            n = width if d == 1 else width - 1
            row, edge = bits[d, first : first + n], np.uint64(4 * first + d)
            one, two = region[first:], region[first + (1, width, width + 1, width - 1)[d] :]
            # By parts, so that all but the last is done for many edges at once.
            for x in range(n):
                made[x] = (row[x] >> drop << drop) | (edge + np.uint64(4 * x))
            if least == 0:
                for x in range(n):
                    wanted[x] = row[x] < below
            else:
                for x in range(n):
                    inside = np.uint8(row[x] >= least) & np.uint8(row[x] < below)
                    wanted[x] = inside & np.uint8(one[x] != two[x])
            for x in range(n):
                out[filled] = made[x]
                filled += wanted[x]
    return filled


@compiled
def order_alike(edges: Keys, weights: Doubles, low_bits: int) -> None:
    """Sort by the whole weight what agrees in its leading bits."""
    drop = np.uint64(low_bits)
    mask = np.uint64((1 << low_bits) - 1)
    n = len(edges)
    block = 512
    done = 0
    for start in range(0, n - 1, block):
        here, after = edges[start : n - 1], edges[start + 1 : n]
        equal = 0
        for m in range(min(block, len(here))):
            equal += (here[m] ^ after[m]) >> drop == 0
        if equal == 0:
            continue
        i = max(start, done)
        while i < n - 1 and edges[i] >> drop == 0:
            i += 1  # weights of 0
        while i < start + block and i < n - 1:
            j = i + 1
            while j < n and (edges[j] ^ edges[i]) >> drop == 0:
                j += 1
            if j > i + 1:
                exact = np.empty(j - i)
                same = True
                for m in range(j - i):
                    edge = np.int64(edges[i + m] & mask)
                    exact[m] = weights[edge & 3, edge >> 2]
                    same = same and exact[m] == exact[0]
                if not same and j - i > 16:
                    edges[i:j] = edges[i:j][np.argsort(exact)]
                elif not same:
                    for m in range(1, j - i):
                        value, key, k = exact[m], edges[i + m], m - 1
                        while k >= 0 and exact[k] > value:
                            exact[k + 1], edges[i + k + 1] = exact[k], edges[i + k]
                            k -= 1
                        exact[k + 1], edges[i + k + 1] = value, key
            i = j
        done = i
