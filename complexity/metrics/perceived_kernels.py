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
    light, place = np.empty(width, np.float32), np.empty(width, np.int32)
    parts = np.empty((3, width), np.float32)
    across, along = parts[0], parts[1]
    for y in range(height):
        line, one, two = length[y], right[y], down[y]
        chroma = parts[2]
        for x in range(width):
            across[x], along[x] = one[x, 0], two[x, 0]
        for x in range(width):
            chroma[x] = (
                one[x, 1] * one[x, 1]
                + two[x, 1] * two[x, 1]
                + one[x, 2] * one[x, 2]
                + two[x, 2] * two[x, 2]
            )
        for x in range(width):
            square = across[x] * across[x] + along[x] * along[x]
            light[x] = np.sqrt(square)
            line[x] = np.sqrt(square + chroma[x])
        if y >= rows * cell:
            continue
        _directions(across, along, place)
        first = (y // cell) * columns
        for column in range(columns):
            bins = directions[first + column]
            for x in range(column * cell, column * cell + cell):
                bins[place[x]] += light[x]  # 0 where there is no gradient
    return length, directions


@compiled
def _directions(across: Array, along: Array, place: Array) -> None:
    """Bin the directions of gradients, of which opposite ones are one direction."""
    narrow, wide = np.float32(np.sqrt(2.0) - 1), np.float32(np.sqrt(2.0) + 1)
    zero = np.float32(0)
    for x in range(len(place)):
        a, b = across[x], along[x]
        turned = (b < zero) | ((b == zero) & (a < zero))
        a, b = (-a if turned else a), (-b if turned else b)
        one = abs(a)
        # Of 22.5 degrees, how many fit below; the thresholds rise.
        steep = np.int32(b >= narrow * one) + np.int32(b >= one) + np.int32(b >= wide * one)
        place[x] = steep if a > zero else np.int32(7) - steep


@compiled
def colour_borders(pixels: Array, bits: int) -> tuple[int, int]:
    """Count neighbours, side by side and one above the other, in different coarse colours."""
    height, width = pixels.shape[:2]
    drop = np.int32(8 - bits)
    coarse = np.empty((2, width), np.int32)
    across, below = 0, 0
    for y in range(height):
        line, before, source = coarse[y % 2], coarse[(y + 1) % 2], pixels[y]
        for x in range(width):
            line[x] = (
                np.int32(source[x, 0] >> drop) << np.int32(16)
                | np.int32(source[x, 1] >> drop) << np.int32(8)
                | np.int32(source[x, 2] >> drop)
            )
        across += _unequal(line[1:], line[: width - 1])
        if y > 0:
            below += _unequal(line, before)
    return across, below


@compiled
def _unequal(one: Array, two: Array) -> Any:
    count = np.int32(0)
    for x in range(len(one)):
        count += np.int32(one[x] != two[x])
    return count


@compiled
def piece_sizes(mask: Array, sizes: Array) -> int:
    """Count the pixels of each 4-connected piece of a mask of zeros and ones.

    Rows are taken run by run; pieces are numbered by their first run, but for those that meet
    later. ``sizes`` has room for (w + 1) // 2 runs in each row. Returns the number of pieces,
    whose sizes then lead ``sizes``, in the order of their first pixels.
    """
    height, width = mask.shape
    most = (width + 1) // 2
    parent = np.empty(height * most, np.int32)
    # Begin, end and piece of the runs of a row and of the one before.
    begin, end = np.empty((2, most), np.int32), np.empty((2, most), np.int32)
    which = np.empty((2, most), np.int32)
    count = np.array((0, 0))
    pieces = 0
    for y in range(height):
        now, last = y % 2, (y + 1) % 2
        line, n, before = mask[y], 0, 0
        for x in range(width):
            value = line[x]
            if value != before:
                if value:
                    begin[now, n] = x
                else:
                    end[now, n] = x
                    n += 1
                before = value
        if before:
            end[now, n] = width
            n += 1
        above = 0
        for run in range(n):
            first, after, own = begin[now, run], end[now, run], -1
            while above < count[last] and end[last, above] <= first:
                above += 1
            touching = above
            while touching < count[last] and begin[last, touching] < after:
                other = which[last, touching]
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                if own < 0:
                    own = other
                elif other != own:
                    if other < own:
                        own, other = other, own
                    parent[other] = own
                    sizes[own] += sizes[other]
                touching += 1
            if own < 0:
                own = pieces
                parent[own], sizes[own] = own, 0
                pieces += 1
            which[now, run] = own
            sizes[own] += after - first
        count[now] = n
    kept = 0
    for piece in range(pieces):
        if parent[piece] == piece:
            sizes[kept] = sizes[piece]
            kept += 1
    return kept
