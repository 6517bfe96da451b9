"""Compiled loops of the features that `perceived` combines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


@compiled
def gradients(right: Array, down: Array, cell: int) -> tuple[Array, Array]:
    """Lengths of gradients in CIE L*a*b* and directions of those of L*, cell by cell.

    `right` and `down`, shape (h, w, 3), float32, are the derivatives of L*, a* and b*. The
    first result, shape (h, w), is the length over all three; the second, shape (cells, 8),
    that of L* alone summed by direction, in eight bins of 22.5 degrees from 0 to 180, over
    square cells of side `cell` (whole cells only).
    """
    height, width = right.shape[:2]
    rows, columns = height // cell, width // cell
    length = np.empty((height, width), np.float32)
    directions = np.zeros((rows * columns, 8))
    narrow, wide = np.float32(np.sqrt(2.0) - 1), np.float32(np.sqrt(2.0) + 1)
    for y in range(height):
        for x in range(width):
            a, b = right[y, x, 0], down[y, x, 0]
            light = a * a + b * b
            chroma = (
                right[y, x, 1] * right[y, x, 1]
                + down[y, x, 1] * down[y, x, 1]
                + right[y, x, 2] * right[y, x, 2]
                + down[y, x, 2] * down[y, x, 2]
            )
            length[y, x] = np.sqrt(light + chroma)
            if light > 0 and y < rows * cell and x < columns * cell:
                if b < 0 or (b == 0 and a < 0):
                    a, b = -a, -b  # a gradient and its opposite are one direction
                steep = 0  # of 22.5 degrees, how many fit below
                one = abs(a)
                if b >= narrow * one:
                    steep = 1
                if b >= one:
                    steep = 2
                if b >= wide * one:
                    steep = 3
                place = steep if a > 0 else 7 - steep
                directions[(y // cell) * columns + x // cell, place] += np.sqrt(light)
    return length, directions


@compiled
def colour_borders(pixels: Array, bits: int) -> tuple[int, int]:
    """Count neighbours, side by side and one above the other, in different coarse colours."""
    height, width = pixels.shape[:2]
    drop = 8 - bits
    across, below = 0, 0
    for y in range(height):
        for x in range(width):
            for c in range(3):
                if x + 1 < width and pixels[y, x, c] >> drop != pixels[y, x + 1, c] >> drop:
                    across += 1
                    break
            for c in range(3):
                if y + 1 < height and pixels[y, x, c] >> drop != pixels[y + 1, x, c] >> drop:
                    below += 1
                    break
    return across, below
