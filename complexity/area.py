"""Shrinking by area averaging: OpenCV's values, from Pillow's own memory.

Pillow keeps the pixels of an RGB image in 4 bytes each. Averaging them from there spares taking
the image out, which costs as much as the averaging, and lets the colours of a pixel be worked
on side by side.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


@lru_cache(maxsize=64)
def shares(length: int, shorter: int) -> tuple[Array, Array]:
    """Say which places make up each place of a shorter line, and with which weights.

    As OpenCV computes them, in its order.

    Parameters
    ----------
    length, shorter : int
        Places before and after.

    Returns
    -------
    place : ndarray of int64, shape (n, shorter)
        The first, second, ... old place of each new one.
    weight : ndarray of float32, shape (n, shorter)
        Their weights; 0 where there are fewer than n.
    """
    scale = 1.0 / (shorter / length)
    entries: list[list[tuple[int, float]]] = []
    for new in range(shorter):
        start = new * scale
        end = start + scale
        cell = min(scale, length - start)
        last = min(math.floor(end), length - 1)
        whole = min(math.ceil(start), last)
        found = [(old, 1.0 / cell) for old in range(whole, last)]
        if whole - start > 1e-3:
            found.insert(0, (whole - 1, (whole - start) / cell))
        if end - last > 1e-3:
            found.append((last, min(end - last, 1.0, cell) / cell))
        entries.append(found)
    most = max(len(found) for found in entries)
    place = np.zeros((most, shorter), dtype=np.int64)
    weight = np.zeros((most, shorter), dtype=np.float32)
    for new, found in enumerate(entries):
        place[:, new] = found[-1][0]
        for i, (old, part) in enumerate(found):
            place[i, new], weight[i, new] = old, part
    return place, weight


@compiled
def average(
    pixels: Array, rows: Array, weight_y: Array, columns: Array, weight_x: Array, out: Array
) -> None:
    """Shrink pixels of 4 bytes, shape (H, W) of uint32, to `out`, shape (h, w, 3).

    Rows and columns, and their weights, are from `shares`. The bytes are R, G, B from the
    lowest on.
    """
    height, width = out.shape[:2]
    across, total = np.empty((3, width), dtype=np.float32), np.empty((3, width), dtype=np.float32)
    found = np.empty(width, dtype=np.uint32)
    place = columns.astype(np.uint32)
    last = -1
    for y in range(height):
        for i in range(len(rows)):
            part = weight_y[i, y]
            if part == 0:
                continue
            if rows[i, y] != last:
                last = rows[i, y]
                across[:] = 0
                for j in range(len(place)):
                    _take(pixels[last], place[j], found)
                    _add(found, weight_x[j], across[0], across[1], across[2])
            for c in range(3):
                source, target = across[c], total[c]
                if i == 0:
                    for x in range(width):
                        target[x] = source[x] * part
                else:
                    for x in range(width):
                        target[x] += source[x] * part
        for c in range(3):
            source = total[c]
            for x in range(width):
                source[x] = np.rint(source[x])
        red, green, blue, line = total[0], total[1], total[2], out[y]
        for x in range(width):
            line[x, 0] = np.uint8(red[x])
            line[x, 1] = np.uint8(green[x])
            line[x, 2] = np.uint8(blue[x])


# Fetching and adding apart: the latter is then done for many columns at a time.
@compiled
def _take(pixels: Array, place: Array, out: Array) -> None:
    for x in range(len(out)):
        out[x] = pixels[place[x]]


@compiled
def _add(pixels: Array, weight: Array, red: Array, green: Array, blue: Array) -> None:
    """Add the colours of pixels, times their weights."""
    low = np.uint32(255)
    for x in range(len(red)):
        pixel, part = pixels[x], weight[x]
        red[x] += np.float32(np.int32(pixel & low)) * part
        green[x] += np.float32(np.int32((pixel >> np.uint32(8)) & low)) * part
        blue[x] += np.float32(np.int32((pixel >> np.uint32(16)) & low)) * part
