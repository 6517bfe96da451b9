"""Compiled parts of `complexity.metrics.edges`: OpenCV's Canny detector, its pieces counted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]
#: tan 22.5 degrees times 2 ** 15, as OpenCV has it; tan 67.5 degrees is 2 more.
TAN = 13573
WEAK, STRONG, EDGE = 1, 2, 3


@compiled
def blur(gray: Array, taps: Array, out: Array) -> None:
    """OpenCV's Gaussian blur of 8-bit levels by a kernel of 9 x 9, in whole numbers.

    ``taps`` are 256ths, the middle first; borders are mirrored without the outermost pixel.
    """
    height, width = gray.shape
    a, b, c, d, e = taps[0], taps[1], taps[2], taps[3], taps[4]
    line = np.empty(width + 8, dtype=np.int32)
    ring = np.empty((9, width), dtype=np.int32)
    total = np.empty(width, dtype=np.int32)
    for row in range(height + 4):
        if row < height:
            inner, source, target = line[4:], gray[row], ring[row % 9]
            for x in range(width):
                inner[x] = source[x]
            for x in range(1, 5):
                line[4 - x] = source[_mirrored(-x, width)]
                line[width + 3 + x] = source[_mirrored(width - 1 + x, width)]
            for x in range(width):
                near = np.int32(a * line[x + 4] + b * np.int32(line[x + 3] + line[x + 5]))
                middle = np.int32(c * np.int32(line[x + 2] + line[x + 6]))
                far = np.int32(d * np.int32(line[x + 1] + line[x + 7]))
                far = np.int32(far + np.int32(e * np.int32(line[x] + line[x + 8])))
                target[x] = np.int32(np.int32(near + middle) + far)
        y = row - 4
        if y < 0:
            continue
        here = ring[y % 9]
        for x in range(width):
            total[x] = np.int32(a * here[x] + 32768)
        for step in range(1, 5, 2):
            above, below = (
                ring[_mirrored(y - step, height) % 9],
                ring[_mirrored(y + step, height) % 9],
            )
            over = ring[_mirrored(y - step - 1, height) % 9]
            under = ring[_mirrored(y + step + 1, height) % 9]
            near, far = taps[step], taps[step + 1]
            for x in range(width):
                one = np.int32(near * np.int32(above[x] + below[x]))
                two = np.int32(far * np.int32(over[x] + under[x]))
                total[x] = np.int32(np.int32(total[x] + one) + two)
        smooth = out[y]
        for x in range(width):
            smooth[x] = np.uint8(total[x] >> 16)


@compiled
def _mirrored(place: int, length: int) -> int:
    if length == 1:
        return 0
    while place < 0 or place >= length:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place


@compiled
def _slopes(gray: Array, y: int, line: Array, right: Array, down: Array, square: Array) -> None:
    """Sobel slopes of row `y` and their squared length; the outermost pixels repeated."""
    height, width = gray.shape
    above, here, below = gray[max(y - 1, 0)], gray[y], gray[min(y + 1, height - 1)]
    middle, apart = line[0], line[1]
    inner, difference = middle[1:], apart[1:]
    for x in range(width):
        up, low = np.int32(above[x]), np.int32(below[x])
        inner[x] = np.int32(up + low + 2 * np.int32(here[x]))
        difference[x] = np.int32(low - up)
    middle[0], middle[width + 1] = middle[1], middle[width]
    apart[0], apart[width + 1] = apart[1], apart[width]
    after, last = middle[2:], apart[2:]
    for x in range(width):
        right[x] = after[x] - middle[x]
        down[x] = np.int32(np.int32(apart[x] + last[x]) + 2 * difference[x])
    length = square[1:]
    for x in range(width):
        a, b = right[x], down[x]
        length[x] = np.int32(np.int32(a * a) + np.int32(b * b))


@compiled
def _maxima(
    above: Array,
    here: Array,
    below: Array,
    right: Array,
    down: Array,
    low: int,
    high: int,
    out: Array,
) -> None:
    """Classify a row: 0, or WEAK or STRONG where the slope is a maximum along itself."""
    a1, a2, b1, b2 = above[1:], above[2:], below[1:], below[2:]
    h1, h2 = here[1:], here[2:]
    for x in range(len(out)):
        m, r, d = h1[x], right[x], down[x]
        u0, u1, u2, l0, l1, l2 = above[x], a1[x], a2[x], below[x], b1[x], b2[x]
        before, behind = here[x], h2[x]
        run, rise = np.int32(r if r > 0 else -r), np.int32(d if d > 0 else -d)
        flat, tall = np.int32(run * TAN), np.int32(rise * 32768)
        across = tall < flat
        upright = tall > np.int32(flat + np.int32(run * 65536))
        falling = np.int32(r ^ d) >= 0
        one, two = (u0 if falling else u2), (l2 if falling else l0)
        one, two = (u1 if upright else one), (l1 if upright else two)
        one, two = (before if across else one), (behind if across else two)
        level = np.int32(across | upright)
        largest = (m > low) & (m > one) & (np.int32(m + level) > two)
        out[x] = np.uint8(largest) + np.uint8(largest & (m > high))


@compiled
def trace(gray: Array, low: int, high: int, marks: Array, stack: Array) -> tuple[int, int]:
    """Mark edge pixels with EDGE; low and high are squares of thresholds.

    ``marks``, of h + 2 rows of w + 2 bytes and up to 7 more, has a margin of zeros; ``stack``
    has room for each pixel. Returns the number of edge pixels and of 8-connected pieces.
    """
    height, width = gray.shape
    stride = width + 2
    right, down = np.empty((3, width), dtype=np.int32), np.empty((3, width), dtype=np.int32)
    square = np.zeros((3, width + 2), dtype=np.int32)
    line = np.empty((2, width + 2), dtype=np.int32)
    words = marks.view(np.uint64)
    for i in range(len(words)):
        words[i] = 0
    _slopes(gray, 0, line, right[0], down[0], square[0])
    for y in range(height):
        after = (y + 1) % 3
        if y + 1 < height:
            _slopes(gray, y + 1, line, right[after], down[after], square[after])
        else:
            square[after] = 0
        start = (y + 1) * stride + 1
        at = y % 3
        _maxima(
            square[(y + 2) % 3],
            square[at],
            square[after],
            right[at],
            down[at],
            low,
            high,
            marks[start : start + width],
        )
    pixels, pieces = 0, 0
    around = (-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1)
    for word in range(len(words)):
        if words[word] & np.uint64(0x0202020202020202) == 0:
            continue
        for seed in range(8 * word, 8 * word + 8):
            if marks[seed] != STRONG:
                continue
            # All that hangs together with it is one piece.
            pieces += 1
            marks[seed] = EDGE
            stack[0], n = seed, 1
            while n > 0:
                n -= 1
                place = stack[n]
                pixels += 1
                for step in around:
                    near = place + step
                    if marks[near] == WEAK or marks[near] == STRONG:
                        marks[near] = EDGE
                        stack[n] = near
                        n += 1
    return pixels, pieces
