"""Compiled parts of `complexity.metrics.objects`: noise, edges made sharp, CIE Lab."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


@compiled
def median_detail(gray: Array) -> float:
    """Median absolute value of the diagonal detail of all 2 x 2 blocks of 8-bit gray."""
    height, width = gray.shape
    # Two tables: with one, equal values in a run would wait for each other.
    counts = np.zeros((2, 511), dtype=np.int32)
    row = np.empty(width, dtype=np.int32)
    for y in range(height - 1):
        one, two = gray[y], gray[y + 1]
        for x in range(width - 1):
            row[x] = abs(np.int32(one[x]) - two[x] - one[x + 1] + two[x + 1])
        for x in range(width - 1):
            counts[x & 1, row[x]] += 1
    n = (height - 1) * (width - 1)
    below, middle = 0, 0
    for level in range(511):
        before, below = below, below + counts[0, level] + counts[1, level]
        for place in ((n - 1) // 2, n // 2):
            if before <= place < below:
                middle += level
    return middle / 2


@compiled
def sharpen_once(planes: Array, least: float, out: Array) -> None:
    """One round of `complexity.metrics.objects.sharpen`, on planes of uint8, shape (3, h, w)."""
    height, width = planes.shape[1:]
    flat = np.float32(least * least)
    # Rows above, here and below, by colour, the outermost pixels doubled; in floats, which
    # hold these whole numbers exactly and are not widened.
    rows = np.empty((3, 3, width + 2), dtype=np.float32)
    sharp = np.empty((3, width), dtype=np.float32)
    steepest, whole = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    near, far, first, second = whole.copy(), whole.copy(), whole.copy(), whole.copy()
    for y in range(-1, height):
        after = rows[(y + 1) % 3]
        for c in range(3):
            source, line = planes[c, min(y + 1, height - 1)], after[c, 1:]
            for x in range(width):
                line[x] = source[x]
            after[c, 0], after[c, width + 1] = after[c, 1], after[c, width]
        if y < 0:
            rows[2] = after  # above the first row is the first row
            continue
        here = rows[y % 3]
        for c in range(3):
            _copy(here[c, 1:], sharp[c])
        steepest[:] = flat
        for way in range(4):
            down, right = (0, 1, 1, 1)[way], (1, 0, 1, -1)[way]
            one, two = rows[(y - down) % 3], rows[(y + down) % 3]
            left, right = 1 - right, 1 + right
            _squares(one, left, two, right, whole)
            if _none_above(whole, flat):
                continue
            _squares(one, left, here, 1, near)
            _squares(two, right, here, 1, far)
            _ends(whole, near, far, steepest, first, second)
            for c in range(3):
                _take(one[c, left:], two[c, right:], first, second, sharp[c])
        for c in range(3):
            _copy(sharp[c], out[c, y])


@compiled
def _copy(one: Array, two: Array) -> None:
    for x in range(len(two)):
        two[x] = one[x]


@compiled
def _ends(
    whole: Array, near: Array, far: Array, steepest: Array, first: Array, second: Array
) -> None:
    """Say with ones and zeros which pixels, on a ramp steeper than before, take which end."""
    slack, base = np.float32(1.08), np.float32(4)
    for x in range(len(first)):
        step, before, one, two = whole[x], steepest[x], near[x], far[x]
        both = np.sqrt(one) + np.sqrt(two)
        ramp = (step > before) & (both <= slack * np.sqrt(step) + base)
        steepest[x] = step if ramp else before
        first[x] = np.float32(1) if ramp else np.float32(0)
    for x in range(len(first)):
        farther = np.float32(1) if near[x] > far[x] else np.float32(0)
        second[x] = farther * first[x]
        first[x] -= second[x]


@compiled
def _take(one: Array, two: Array, first: Array, second: Array, colour: Array) -> None:
    for x in range(len(colour)):
        own = colour[x]
        colour[x] = own + (one[x] - own) * first[x] + (two[x] - own) * second[x]


@compiled
def _squares(one: Array, from_one: int, two: Array, from_two: int, out: Array) -> None:
    """Squared distances of two rows of colours, planes of shape (3, n), each from a place on."""
    r1, g1, b1 = one[0, from_one:], one[1, from_one:], one[2, from_one:]
    r2, g2, b2 = two[0, from_two:], two[1, from_two:], two[2, from_two:]
    for x in range(len(out)):
        r, g, b = r1[x] - r2[x], g1[x] - g2[x], b1[x] - b2[x]
        out[x] = r * r + g * g + b * b


@compiled
def _none_above(values: Array, limit: Any) -> Any:
    count = np.int32(0)
    for x in range(len(values)):
        count += np.int32(values[x] > limit)
    return count == 0


@compiled
def to_lab(planes: Array, linear: Array, matrix: Array, out: Array) -> None:
    """Convert planes of 8-bit sRGB to CIE Lab planes of float32, shape (3, h, w).

    ``linear`` has the linear value of each level, ``matrix`` leads to X, Y and Z over white.
    """
    height, width = planes.shape[1:]
    parts = np.empty((3, width), dtype=np.float32)
    value = np.empty(width, dtype=np.float32)
    guess = np.empty((3, width), dtype=np.float32)
    whole = np.empty(width, dtype=np.int32)
    for y in range(height):
        for c in range(3):
            part, source = parts[c], planes[c, y]
            for x in range(width):
                part[x] = linear[source[x]]
        red, green, blue = parts[0], parts[1], parts[2]
        for c in range(3):
            from_red, from_green, from_blue = matrix[c, 0], matrix[c, 1], matrix[c, 2]
            root, bits, seen = guess[c], guess[c].view(np.int32), value.view(np.int32)
            for x in range(width):
                value[x] = from_red * red[x] + from_green * green[x] + from_blue * blue[x]
            for x in range(width):
                # A third of the exponent, by shifts, then two steps of Halley's rule.
                third = np.int32((seen[x] >> 2) + (seen[x] >> 4))
                third = np.int32(third + (third >> 4))
                third = np.int32(third + (third >> 8))
                whole[x] = third + 0x2A5137A0
            for x in range(width):
                bits[x] = whole[x]
            for _ in range(2):
                for x in range(width):
                    cube = root[x] * root[x] * root[x]
                    root[x] *= (cube + value[x] + value[x]) / (cube + cube + value[x])
            for x in range(width):
                foot = np.float32(7.787) * value[x] + np.float32(16 / 116)
                root[x] = root[x] if value[x] > np.float32(0.008856) else foot
        for x in range(width):
            out[0, y, x] = np.float32(116) * guess[1, x] - np.float32(16)
            out[1, y, x] = np.float32(500) * (guess[0, x] - guess[1, x])
            out[2, y, x] = np.float32(200) * (guess[1, x] - guess[2, x])
