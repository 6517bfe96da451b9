"""Compiled counts over all pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


@compiled
def _place(pixels: Array, y: int, x: int, bits: int) -> Any:
    drop = 8 - bits
    place = np.int32(pixels[y, x, 0]) >> drop
    place = (place << bits) | (np.int32(pixels[y, x, 1]) >> drop)
    return (place << bits) | (np.int32(pixels[y, x, 2]) >> drop)


@compiled
def histogram(levels: Array) -> Any:
    """Histogram of 8-bit levels, shape (h, w); length 256."""
    # Several tables: with one, equal levels in a run would wait for each other.
    counts = np.zeros((4, 256), dtype=np.int32)
    for y in range(levels.shape[0]):
        for x in range(levels.shape[1]):
            counts[x & 3, levels[y, x]] += 1
    return counts.sum(axis=0)


@compiled
def joint_histogram(pixels: Array, bits: int) -> Any:
    """Histogram of three 8-bit channels, of which the first `bits` bits count.

    ``pixels`` has shape (h, w, 3), the result length ``8 ** bits``; the first channel is the
    most significant.
    """
    counts = np.zeros((2, 1 << (3 * bits)), dtype=np.int32)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            counts[x & 1, _place(pixels, y, x, bits)] += 1
    return counts.sum(axis=0)


@compiled
def occupied(pixels: Array, bits: int) -> Array:
    """Tell which places of `joint_histogram` are not empty: 1 or 0."""
    table = np.zeros(1 << (3 * bits), dtype=np.uint8)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            table[_place(pixels, y, x, bits)] = 1
    return table


@compiled
def distinct(table: Array, bits: int, fewer: int) -> int:
    """Count what is occupied when only the first `fewer` of the table's `bits` bits count."""
    coarse = np.zeros(1 << (3 * fewer), dtype=np.uint8)
    drop, mask = bits - fewer, (1 << bits) - 1
    for i in range(len(table)):
        a, b, c = i >> (2 * bits), (i >> bits) & mask, i & mask
        place = (((a >> drop) << fewer | (b >> drop)) << fewer) | (c >> drop)
        coarse[place] |= table[i]
    count = 0
    for i in range(len(coarse)):
        count += coarse[i]
    return count


@compiled
def opponent_sums(rgb: Array) -> tuple[int, int, int, int]:
    """Add up R - G, its square, R + G - 2 B and its square."""
    sums = np.zeros(4, dtype=np.int64)
    for y in range(rgb.shape[0]):
        red, red_squared = np.int32(0), np.int32(0)
        yellow, yellow_squared = np.int32(0), np.int32(0)
        for x in range(rgb.shape[1]):
            r, g, b = np.int32(rgb[y, x, 0]), np.int32(rgb[y, x, 1]), np.int32(rgb[y, x, 2])
            one, two = np.int32(r - g), np.int32(r + g - 2 * b)
            red = np.int32(red + one)
            red_squared = np.int32(red_squared + one * one)
            yellow = np.int32(yellow + two)
            yellow_squared = np.int32(yellow_squared + two * two)
        sums[0] += red
        sums[1] += red_squared
        sums[2] += yellow
        sums[3] += yellow_squared
    return sums[0], sums[1], sums[2], sums[3]


@compiled
def gradient_sum(right: Array, down: Array) -> Any:
    """Sum of the lengths of gradients whose parts are rows of two equal arrays."""
    sums = np.zeros(right.shape[1])
    for y in range(right.shape[0]):
        one, two = right[y], down[y]
        for x in range(len(one)):
            a, b = np.float32(one[x]), np.float32(two[x])
            sums[x] += np.sqrt(a * a + b * b)
    return sums.sum()


@compiled
def ring_sums(power: Array, ring: Array, sums: Array) -> None:
    """Add up power by ring; -1 is none."""
    for y in range(power.shape[0]):
        for x in range(power.shape[1]):
            k = ring[y, x]
            if k >= 0:
                sums[k] += power[y, x]
