"""Compiled parts of `complexity.metrics.clutter`: orientation, from filters to its spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled
from complexity.metrics.clutter_kernels import RADIUS, covary, even_taps

Array = NDArray[Any]
#: Columns that `slide` works on at a time.
STRIP = 512
#: How far the rows lie before the newest in the window, or after its end.
REACH = (0, 1, 1, 2)


@compiled
def slide(plane: Array, terms: Array, base: float, radius: int, scale: Array, out: Array) -> None:
    """Filter down columns with a window that is a sum of cosines, in time free of its width.

    With C(y) the sum over d from -r to r of cos(w d) f(y + d),
    C(y + 1) = 2 cos(w) C(y) - C(y - 1) + cos(w r) (f(y + r + 1) + f(y - r - 1))
    - cos(w (r + 1)) (f(y + r) + f(y - r)). Outside the plane f is 0.

    Parameters
    ----------
    plane : ndarray of float32, shape (h, w)
        What is filtered.
    terms : ndarray of float64, shape (3, 4)
        Of each cosine 2 cos(w), cos(w r), cos(w (r + 1)) and its weight.
    base : float
        Constant part of the window.
    radius : int
        Its half width, r.
    scale : ndarray of float, shape (h,)
        Factor of each row of the result.
    out : ndarray of float32, shape (h, w)
        The result.
    """
    height, width = plane.shape
    unused = np.empty(STRIP, dtype=np.float32)
    flat = plane.reshape(-1)
    for left in range(0, width, STRIP):
        # Strip by strip, so that all sums stay close to the processor.
        right = min(left + STRIP, width)
        now, before = np.zeros(3 * STRIP), np.zeros(3 * STRIP)
        ends = np.zeros(3 * STRIP)
        share, place = np.empty(4), np.empty(4, dtype=np.uint64)
        for y in range(-radius, height):
            for i in range(4):
                row = y + radius - REACH[i] - (2 * radius if i > 1 else 0)
                there = 0 <= row < height
                share[i] = 1.0 if there else 0.0
                place[i] = row * width + left if there else left
            _ends(flat, place, share, right - left, ends)
            factor = scale[max(y, 0)]
            line = out[y, left:right] if y >= 0 else unused[: right - left]
            _step(terms, base * factor, terms[:, 3] * factor, ends, now, before, line)
            now, before = before, now


# Arrays side by side in one, at distances that the compiler knows: else it would have to see at
# each call that they do not overlap, and gives up at so many.
@compiled
def _ends(flat: Array, place: Array, share: Array, n: int, ends: Array) -> None:
    """Give newer + older, new + old, and bring the sum of all up to date; 0 for no row."""
    p, q, r, s = place[0], place[1], place[2], place[3]
    a, b, c, d = share[0], share[1], share[2], share[3]
    for i in range(n):
        x = np.uint64(i)
        newer, new = np.float64(flat[p + x]) * a, np.float64(flat[q + x]) * b
        old, older = np.float64(flat[r + x]) * c, np.float64(flat[s + x]) * d
        ends[i] = newer + older
        ends[STRIP + i] = new + old
        ends[2 * STRIP + i] += newer - old


@compiled
def _step(
    terms: Array, base: float, weights: Array, ends: Array, now: Array, before: Array, out: Array
) -> None:
    """Put what follows `now` into `before`, and the weighted sum into `out`."""
    p1, q1, r1, w1 = terms[0, 0], terms[0, 1], terms[0, 2], weights[0]
    p2, q2, r2, w2 = terms[1, 0], terms[1, 1], terms[1, 2], weights[1]
    p3, q3, r3, w3 = terms[2, 0], terms[2, 1], terms[2, 2], weights[2]
    for x in range(len(out)):
        far, near = ends[x], ends[STRIP + x]
        a = p1 * now[x] - before[x] + (q1 * far - r1 * near)
        b = p2 * now[STRIP + x] - before[STRIP + x] + (q2 * far - r2 * near)
        c = p3 * now[2 * STRIP + x] - before[2 * STRIP + x] + (q3 * far - r3 * near)
        before[x], before[STRIP + x], before[2 * STRIP + x] = a, b, c
        out[x] = (base * ends[2 * STRIP + x] + w1 * a) + (w2 * b + w3 * c)


@compiled
def product(one: Array, two: Array, out: Array) -> None:
    """Multiply two planes."""
    for y in range(out.shape[0]):
        a, b, line = one[y], two[y], out[y]
        for x in range(len(line)):
            line[x] = a[x] * b[x]


@compiled
def covariance_root(means: Array, noise: Any, out: Array) -> None:
    """Fourth root of the determinant of the covariances of two planes.

    ``means``, shape (5, h, w), has those of the planes, then of the first's square, their
    product and the second's square; the latter three are used up.
    """
    a, b, aa, ab, bb = means[0], means[1], means[2], means[3], means[4]
    for y in range(out.shape[0]):
        one, two, line = a[y], b[y], out[y]
        first, both, second = aa[y], ab[y], bb[y]
        covary(first, one, one, noise)
        covary(both, one, two, np.float32(0))
        covary(second, two, two, noise)
        for x in range(len(line)):
            line[x] = first[x] * second[x] - both[x] * both[x]
        for x in range(len(line)):
            line[x] = np.sqrt(np.sqrt(max(line[x], np.float32(0))))


@compiled
def _folded(rows: Array, y: int, sums: Array, differences: Array) -> None:
    """Make sums and differences of the rows k above and below the middle one, k = 0 to RADIUS."""
    middle, line = rows[y + RADIUS], sums[0]
    for x in range(len(line)):
        line[x] = middle[x]
    for k in range(1, RADIUS + 1):
        above, below = rows[y + RADIUS - k], rows[y + RADIUS + k]
        total, apart = sums[k], differences[k]
        for x in range(len(total)):
            total[x] = below[x] + above[x]
        for x in range(len(apart)):
            apart[x] = below[x] - above[x]


@compiled
def _weighted(rows: Array, taps: Array, out: Array) -> None:
    """Add up 7 rows, side by side in one array, times their taps."""
    n = len(out)
    a, b, c, d, e, f, g = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6]
    r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    r4, r5, r6 = rows[4], rows[5], rows[6]
    for x in range(n):
        out[x] = (a * r0[x] + b * r1[x]) + (c * r2[x] + d * r3[x])
    for x in range(n):
        out[x] += (e * r4[x] + f * r5[x]) + g * r6[x]


@compiled
def _odd(line: Array, taps: Array, out: Array) -> None:
    """Add a row filtered with antisymmetric taps, those of the right half from the middle on."""
    b, c, d, e, f, g = taps[1], taps[2], taps[3], taps[4], taps[5], taps[6]
    for x in range(len(out)):
        out[x] += (
            (b * (line[x + 7] - line[x + 5]) + c * (line[x + 8] - line[x + 4]))
            + (d * (line[x + 9] - line[x + 3]) + e * (line[x + 10] - line[x + 2]))
            + (f * (line[x + 11] - line[x + 1]) + g * (line[x + 12] - line[x]))
        )


@compiled
def oriented(rows: Array, even: Array, odd: Array, out: Array) -> None:
    """Filter in four orientations.

    Parameters
    ----------
    rows : ndarray of float32, shape (h + 12, w + 12)
        The plane with a margin of RADIUS pixels.
    even, odd : ndarray of float32, shape (n, 2, 7)
        Products of filters: taps across, then down, of the right or lower half, the middle
        first; of symmetric ones (the first two: the horizontal and the vertical filter), and
        of antisymmetric ones.
    out : ndarray of float32, shape (4, h, w)
        Horizontal, vertical, the sum of the other symmetric ones, that of the others.
    """
    wide = rows.shape[1]
    sums, differences = np.empty((7, wide), np.float32), np.zeros((7, wide), np.float32)
    line = np.empty(wide, dtype=np.float32)
    for y in range(out.shape[1]):
        _folded(rows, y, sums, differences)
        out[:, y] = 0
        for i in range(len(even)):
            _weighted(sums, even[i, 1], line)
            even_taps(line, even[i, 0], out[min(i, 2), y])
        for i in range(len(odd)):
            _weighted(differences, odd[i, 1], line)
            _odd(line, odd[i, 0], out[3, y])


@compiled
def _pooled_across(line: Array, taps: Array, out: Array) -> None:
    """Filter a row with 9 taps."""
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    f, g, h, i = taps[5], taps[6], taps[7], taps[8]
    for x in range(len(out)):
        total = a * line[x] + b * line[x + 1] + c * line[x + 2] + d * line[x + 3]
        total = total + e * line[x + 4] + f * line[x + 5] + g * line[x + 6]
        out[x] = total + h * line[x + 7] + i * line[x + 8]


@compiled
def _pooled_down(flat: Array, place: Array, taps: Array, out: Array) -> None:
    """Add up 9 rows, which begin at ``place``, times their taps."""
    # In three goes: the compiler works on no more rows at once.
    for first in range(0, 9, 3):
        p, q, r = place[first], place[first + 1], place[first + 2]
        a, b, c = taps[first], taps[first + 1], taps[first + 2]
        for i in range(len(out)):
            x = np.uint64(i)
            before = out[i] if first > 0 else np.float32(0)
            out[i] = before + a * flat[p + x] + b * flat[q + x] + c * flat[r + x]


@compiled
def opponents(
    horizontal: Array,
    vertical: Array,
    even: Array,
    odd: Array,
    table_y: Array,
    table_x: Array,
    noise: float,
    ring: Array,
    out: Array,
) -> None:
    """Turn responses to oriented filters into pooled, normalised opponent energies.

    ``even + odd`` and ``even - odd`` are the responses at the two diagonals. ``table_y`` and
    ``table_x``, shape (h, 2 r + 1) and (w, 2 r + 1), hold the pooling weights at each row and
    column; ``out``, shape (2, h, w), takes up horizontal less vertical, and diagonal less
    other diagonal, energy, over total energy and `noise`.
    """
    height, width = horizontal.shape
    depth = table_y.shape[1]
    radius = depth // 2
    padded = np.zeros((3, width + 2 * radius), dtype=np.float32)
    mean = np.empty((3, width), dtype=np.float32)
    flat = ring.reshape(-1)
    place, factor = np.empty(depth, dtype=np.uint64), np.empty(depth, dtype=np.float32)
    for row in range(height + radius):
        if row < height:
            slot = ring[row % depth]
            zero, one, two = padded[0, radius:], padded[1, radius:], padded[2, radius:]
            h, v, e, o = horizontal[row], vertical[row], even[row], odd[row]
            for x in range(width):
                hh, vv = h[x] * h[x], v[x] * v[x]
                zero[x] = hh - vv
                one[x] = np.float32(4) * e[x] * o[x]
                two[x] = hh + vv + np.float32(2) * (e[x] * e[x] + o[x] * o[x])
            for i in range(3):
                line = slot[i]
                _pooled_across(padded[i], table_x[width // 2], line)
                for side in range(2):
                    for near in range(min(radius, width)):
                        x = near if side == 0 else width - 1 - near
                        total = np.float32(0)
                        for tap in range(depth):
                            total += padded[i, x + tap] * table_x[x, tap]
                        line[x] = total
        y = row - radius
        if y < 0:
            continue
        for i in range(3):
            for tap in range(depth):
                row_of = y + tap - radius
                there = 0 <= row_of < height
                factor[tap] = table_y[y, tap] if there else np.float32(0)
                place[tap] = (row_of % depth * 3 + i) * width if there else 0
            _pooled_down(flat, place, factor, mean[i])
        for x in range(width):
            total = mean[2, x] + np.float32(noise)
            out[0, y, x] = mean[0, x] / total
            out[1, y, x] = mean[1, x] / total
