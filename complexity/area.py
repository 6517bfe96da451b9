"""Shrinking by area averaging: OpenCV's values, from Pillow's own memory.

Pillow keeps the pixels of an RGB image in 4 bytes each. Averaging them from there spares taking
the image out, which costs as much as the averaging, and lets the colours of a pixel be worked
on side by side.

OpenCV averages across first, row by row, which is slow: down first is half the work, as whole
rows are added up. The two differ by rounding errors, thus in the result only where the average
is next to a half; there it is computed again as OpenCV does.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled, inlined

Array = NDArray[Any]
#: Rows, and columns, that are added up at a time.
DOWN, ACROSS = 3, 4


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


def average(pixels: Array, width: int, height: int) -> NDArray[np.uint8]:
    """Shrink an image by area averaging, as OpenCV does where blocks are not whole.

    Parameters
    ----------
    pixels : ndarray of uint32, shape (H, W)
        The bytes of each are R, G, B from the lowest on, and one of any value.
    width, height : int
        Size of the result, not larger.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        R, G and B.
    """
    before = np.ascontiguousarray(pixels)
    rows, weight_y = shares(before.shape[0], height)
    columns, weight_x = shares(before.shape[1], width)
    four = np.empty((height, width, 4), dtype=np.uint8)
    _average(
        before.view(np.uint8),
        *(rows, weight_y, columns, weight_x),
        *_by_groups(before.shape[0], height, DOWN),
        _by_columns(before.shape[1], width),
        four.reshape(height, -1),
    )
    return np.asarray(cv2.cvtColor(four, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


@lru_cache(maxsize=64)
def _by_groups(length: int, shorter: int, group: int) -> tuple[Array, Array]:
    """Fill `shares` up to whole groups of places, with weights of 0."""
    place, weight = shares(length, shorter)
    more = ((0, -len(place) % group), (0, 0))
    return np.pad(place, more, mode="edge"), np.pad(weight, more)


@lru_cache(maxsize=64)
def _by_columns(length: int, shorter: int) -> Array:
    """Weights of `shares`, ACROSS by ACROSS for each place; shape (groups, ACROSS * shorter)."""
    weight = _by_groups(length, shorter, ACROSS)[1].reshape(-1, ACROSS, shorter)
    return np.ascontiguousarray(weight.transpose(0, 2, 1)).reshape(len(weight), -1)


@compiled
def _average(
    pixels: Array,
    rows: Array,
    weight_y: Array,
    columns: Array,
    weight_x: Array,
    all_rows: Array,
    all_y: Array,
    all_x: Array,
    out: Array,
) -> None:
    """Shrink rows of 4 bytes a pixel, shape (H, 4 W), to `out`, shape (h, 4 w).

    Places and weights as `shares` gives them; then those of rows in whole groups, and the
    weights of columns, group by group.
    """
    height, width = out.shape[0], out.shape[1] // 4
    n = pixels.shape[1]
    # Weights of 0 may reach beyond the last pixel.
    padded = np.zeros(n + 4 * ACROSS * len(all_x), dtype=np.float32)
    line = padded[:n]
    total, more = np.empty(4 * width, dtype=np.float32), np.empty(4 * width, dtype=np.float32)
    # Bytes, seen as words to find the few that are not 0.
    words = np.zeros((4 * width + 7) // 8, dtype=np.uint64)
    near = words.view(np.uint8)
    # Levels up to 255 are added up with positive weights: each product and sum is off by half a
    # unit of the last place at most, in either order.
    error = 2 * 255 * (len(all_y) + ACROSS * len(all_x) + 2) * 2.0**-24
    limit = np.float32(0.5 - error)
    for y in range(height):
        for i in range(0, len(all_y), DOWN):
            a, b, c = all_y[i, y], all_y[i + 1, y], all_y[i + 2, y]
            one, two = pixels[all_rows[i, y]], pixels[all_rows[i + 1, y]]
            three = pixels[all_rows[i + 2, y]]
            if i == 0:
                _set_rows(one, two, three, a, b, c, line)
            else:
                _add_rows(one, two, three, a, b, c, line)
        for group in range(len(all_x)):
            target = total if group == 0 else more
            source, weights = padded[4 * ACROSS * group :], all_x[group]
            for x in range(width):
                _add_pixels(source, columns[0], weights, x, target)
            if group > 0:
                for x in range(len(total)):
                    total[x] += more[x]
        if _rounded(total, limit, near, out[y]) == 0:
            continue
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for place in range(8 * word, min(8 * word + 8, 4 * width)):
                if near[place] and place % 4 < 3:
                    out[y, place] = _as_opencv(
                        pixels, rows, weight_y, columns, weight_x, y, place // 4, place % 4
                    )


@compiled
def _set_rows(one: Array, two: Array, three: Array, a: Any, b: Any, c: Any, out: Array) -> None:
    for x in range(len(out)):
        out[x] = np.float32(one[x]) * a + np.float32(two[x]) * b + np.float32(three[x]) * c


@compiled
def _add_rows(one: Array, two: Array, three: Array, a: Any, b: Any, c: Any, out: Array) -> None:
    for x in range(len(out)):
        out[x] += np.float32(one[x]) * a + np.float32(two[x]) * b + np.float32(three[x]) * c


@compiled
def _rounded(values: Array, limit: Any, near: Array, out: Array) -> Any:
    """Round to bytes, mark what is next to a half, and say whether anything is."""
    for x in range(len(out)):
        out[x] = np.uint8(np.int32(np.rint(values[x])))
    found = np.uint8(0)
    for x in range(len(out)):
        close = np.uint8(abs(values[x] - np.rint(values[x])) > limit)
        near[x] = close
        found |= close
    return found


@compiled
def _as_opencv(
    pixels: Array,
    rows: Array,
    weight_y: Array,
    columns: Array,
    weight_x: Array,
    y: int,
    x: int,
    colour: int,
) -> Any:
    """One colour of one pixel, every sum in OpenCV's order."""
    total = np.float32(0)
    for i in range(len(rows)):
        across = np.float32(0)
        for j in range(len(columns)):
            level = np.float32(pixels[rows[i, y], 4 * columns[j, x] + colour])
            across += level * weight_x[j, x]
        total += across * weight_y[i, y]
    return np.uint8(np.rint(total))


@inlined
def _add_pixels(typing: Any, line: Any, place: Any, weights: Any, x: Any, out: Any) -> Any:
    """Add up ACROSS pixels of 4 floats from pixel ``place[x]`` on, to pixel `x` of ``out``.

    ``weights`` has ACROSS for each pixel. Written for vectors, as the compiler does not see that
    the four colours are worked on alike.
    """
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, single = ir.IntType(32), ir.FloatType()

        def vector(array: int, pixel: Any, n: int) -> Any:
            base = context.make_array(signature.args[array])(context, builder, arguments[array])
            first = builder.gep(base.data, [builder.mul(pixel, ir.Constant(pixel.type, 4))])
            return builder.bitcast(first, ir.VectorType(single, n).as_pointer())

        def part(value: Any, which: list[int]) -> Any:
            mask = ir.Constant(ir.VectorType(word, len(which)), which)
            return builder.shuffle_vector(value, value, mask)

        places = context.make_array(signature.args[1])(context, builder, arguments[1])
        start = builder.load(builder.gep(places.data, [arguments[3]]))
        pixels = builder.load(vector(0, start, 16), align=4)
        four = builder.load(vector(2, arguments[3], 4), align=4)
        product = builder.fmul(pixels, part(four, [i // 4 for i in range(16)]))
        half = builder.fadd(part(product, [*range(8)]), part(product, [*range(8, 16)]))
        quarter = builder.fadd(part(half, [*range(4)]), part(half, [*range(4, 8)]))
        builder.store(quarter, vector(4, arguments[3], 4), align=4)
        return context.get_dummy_value()

    return types.void(line, place, weights, x, out), generate
