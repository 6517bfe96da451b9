"""Compiled counts over all pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


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
def linearised(levels: Array, curve: Array, out: Array) -> None:
    """Give the linear value of 8-bit levels of sRGB, in whole 2040ths.

    ``curve`` has the coefficients of a polynomial for levels from 11 on, the constant first, and
    the slope below; `complexity.metrics.entropy.CURVE`.
    """
    a, b, c, d, e, f, foot = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5], curve[6]
    for i in range(len(out)):
        v = np.float32(levels[i])
        out[i] = ((((f * v + e) * v + d) * v + c) * v + b) * v + a
        if v < np.float32(11):
            out[i] = foot * v
    for i in range(len(out)):
        out[i] = np.rint(out[i])


@compiled
def _mixed(linear: Array, weights: Array, out: Array) -> None:
    """Add up three rows times their weights in 4096ths, rounded; exact, as below 2 ** 24."""
    red, green, blue = linear[0], linear[1], linear[2]
    r, g, b = weights[0], weights[1], weights[2]
    for i in range(len(out)):
        total = (r * red[i] + g * green[i]) + (b * blue[i] + np.float32(2048))
        # Unsigned, thus known not to count from the end of a table.
        out[i] = np.uint32(np.int32(total * np.float32(1 / 4096)))


@compiled
def lab_histogram(planes: Array, curve: Array, matrix: Array, roots: Array, bits: int) -> Any:
    """Joint histogram of OpenCV's 8-bit Lab, of which the first `bits` bits a channel count.

    ``planes`` are R, G and B, shape (3, h, w); ``curve``, ``matrix`` and ``roots`` are what
    `complexity.metrics.entropy.lab_tables` explains. Length ``8 ** bits``, L* first.
    """
    # Four tables: with one, equal colours in a run would wait for each other.
    counts = np.zeros((4, 1 << (3 * bits)), dtype=np.int32)
    counts_0, counts_1, counts_2, counts_3 = counts[0], counts[1], counts[2], counts[3]
    width = planes.shape[2]
    places = np.empty(width, dtype=np.uint32)
    linear, ratio = np.empty((3, width), dtype=np.float32), np.empty((3, width), dtype=np.uint32)
    root = np.empty((3, width), dtype=np.int32)
    one, two, three = root[0], root[1], root[2]
    light, colour = np.int32((1 << 14) - 1336934), np.int32((128 << 15) + (1 << 14))
    drop = np.int32(23 - bits)
    first, second = np.int32(2 * bits), np.int32(bits)
    fours = width // 4 * 4
    for y in range(planes.shape[1]):
        # Looking up and computing in loops of their own: the latter are done in rows.
        for c in range(3):
            linearised(planes[c, y], curve, linear[c])
        for c in range(3):
            _mixed(linear, matrix[c], ratio[c])
        for c in range(3):
            line, place = root[c], ratio[c]
            for i in range(width):
                line[i] = roots[place[i]]
        for i in range(width):
            middle = two[i]
            level = np.int32(np.int32(np.int32(296) * middle) + light) >> drop
            a = np.int32(np.int32(500) * np.int32(one[i] - middle))
            b = np.int32(np.int32(200) * np.int32(middle - three[i]))
            a, b = np.int32(a + colour) >> drop, np.int32(b + colour) >> drop
            places[i] = level << first | a << second | b
        for i in range(0, fours, 4):
            counts_0[places[i]] += 1
            counts_1[places[i + 1]] += 1
            counts_2[places[i + 2]] += 1
            counts_3[places[i + 3]] += 1
        for i in range(fours, width):
            counts_0[places[i]] += 1
    return counts.sum(axis=0)


@compiled
def occupied(planes: Array, bits: int, table: Array) -> None:
    """Mark with 1 the colours, of `bits` bits a channel, in planes of shape (3, h, w)."""
    width = planes.shape[2]
    drop = np.int32(8 - bits)
    places = np.empty(width, dtype=np.int32)
    for y in range(planes.shape[1]):
        one, two, three = planes[0, y], planes[1, y], planes[2, y]
        for x in range(width):
            places[x] = (
                np.int32(one[x] >> drop) << (2 * bits)
                | np.int32(two[x] >> drop) << bits
                | np.int32(three[x] >> drop)
            )
        for x in range(width):
            table[places[x]] = 1


@compiled
def halve(planes: Array, sums: Array) -> None:
    """Add up blocks of 2 x 2; shapes (3, 2 h, 2 w) and (3, h, w)."""
    for c in range(sums.shape[0]):
        for y in range(sums.shape[1]):
            upper, lower, out = planes[c, 2 * y], planes[c, 2 * y + 1], sums[c, y]
            for x in range(sums.shape[2]):
                out[x] = (
                    np.int32(upper[2 * x])
                    + np.int32(upper[2 * x + 1])
                    + np.int32(lower[2 * x])
                    + np.int32(lower[2 * x + 1])
                )


@compiled
def rounded(sums: Array, bits: int, half_up: bool, out: Array) -> None:
    """Divide sums by ``2 ** bits`` and round, halves up or to even, as OpenCV's averages do."""
    half = (1 << (bits - 1)) - (0 if half_up else 1)
    for c in range(sums.shape[0]):
        for y in range(sums.shape[1]):
            line, result = sums[c, y], out[c, y]
            for x in range(len(line)):
                odd = 0 if half_up else (line[x] >> bits) & 1
                result[x] = (line[x] + half + odd) >> bits


@compiled
def distinct(table: Array, coarser: Array) -> Any:
    """Count what is marked in a table of 5 bits a channel, and what with 3 bits.

    ``coarser`` is the same table with its last two bits taken together, in 32-bit words.
    """
    fine = np.int32(0)
    for i in range(len(table)):
        fine += table[i]
    few = np.zeros(512, dtype=np.uint32)
    for a in range(32):
        for b in range(32):
            row, start = (a >> 2) << 6 | (b >> 2) << 3, (a << 5 | b) << 3
            for c in range(8):
                few[row + c] |= coarser[start + c]
    count = np.int32(0)
    for i in range(512):
        count += few[i] != 0
    return fine, count


@compiled
def opponent_sums(planes: Array) -> tuple[int, int, int, int]:
    """Add up R - G, its square, R + G - 2 B and its square; planes of shape (3, h, w)."""
    sums = np.zeros(4, dtype=np.int64)
    for y in range(planes.shape[1]):
        red, green, blue = planes[0, y], planes[1, y], planes[2, y]
        first, first_squared = np.int32(0), np.int32(0)
        second, second_squared = np.int32(0), np.int32(0)
        for x in range(len(red)):
            r, g, b = np.int32(red[x]), np.int32(green[x]), np.int32(blue[x])
            one, two = np.int32(r - g), np.int32(r + g - 2 * b)
            first = np.int32(first + one)
            first_squared = np.int32(first_squared + np.int32(one * one))
            second = np.int32(second + two)
            second_squared = np.int32(second_squared + np.int32(two * two))
        sums[0] += first
        sums[1] += first_squared
        sums[2] += second
        sums[3] += second_squared
    return sums[0], sums[1], sums[2], sums[3]


@compiled
def sobel_sum(rows: Array, colours: int) -> Any:
    """Sum of the lengths of 3 x 3 Sobel gradients, mirrored borders.

    ``rows`` has shape (h, w * colours): levels up to 4 * 255, the colours of a pixel side by side.
    """
    height, n = rows.shape
    whole, sums = np.zeros(n), np.zeros(n, dtype=np.float32)
    # 16 bits hold what levels up to 4 * 255 give, at most 4 times that.
    line = np.empty(n + 2 * colours, dtype=np.int16)
    apart, smooth = np.empty((3, n), dtype=np.int16), np.empty((3, n), dtype=np.int16)
    mirrored = colours if n > colours else 0
    middle, right = line[colours:], line[2 * colours :]
    for y in range(-1, height + 1):
        # The row before the first is the second, that after the last the last but one.
        inside = min(1, height - 1) if y < 0 else y
        inside = max(height - 2, 0) if y == height else inside
        source = rows[inside]
        for x in range(n):
            middle[x] = source[x]
        for x in range(colours):
            line[x] = source[mirrored + x]
            line[n + colours + x] = source[n - colours - mirrored + x]
        difference, mean = apart[y % 3], smooth[y % 3]
        for x in range(n):
            difference[x] = np.int16(right[x] - line[x])
            mean[x] = np.int16(np.int16(line[x] + right[x]) + np.int16(np.int16(2) * middle[x]))
        if y > 0:
            above, below = (y - 2) % 3, y % 3
            _add_lengths(
                *(apart[above], apart[(y - 1) % 3], apart[below], smooth[above], smooth[below]),
                sums,
            )
        if y % 16 == 0 or y == height:  # few terms in 32 bits, so that no digits are lost
            for x in range(n):
                whole[x] += sums[x]
            for x in range(n):
                sums[x] = np.float32(0)
    return whole.sum()


@compiled
def _add_lengths(
    first: Array, second: Array, third: Array, upper: Array, lower: Array, sums: Array
) -> None:
    for x in range(len(sums)):
        across = np.int16(np.int16(first[x] + third[x]) + np.int16(np.int16(2) * second[x]))
        a, b = np.int32(across), np.int32(np.int16(lower[x] - upper[x]))
        sums[x] += np.sqrt(np.float32(np.int32(np.int32(a * a) + np.int32(b * b))))


@compiled
def mirror_sums(gray: Array, sums: Array) -> None:
    """Add up the levels of two halves, their squares and the products of mirrored pixels.

    ``sums``, shape (2, 5), for left and right, then for top and bottom, takes up those of the
    first half, of the second, of their squares, and of the products.
    """
    height, width = gray.shape
    turned = np.empty(width, dtype=np.uint8)
    for y in range(height):
        line = gray[y]
        for x in range(width // 2):
            turned[x] = line[width - 1 - x]
        _add_products(line[: width // 2], turned[: width // 2], sums[0])
    for y in range(height // 2):
        _add_products(gray[y], gray[height - 1 - y], sums[1])


@compiled
def _add_products(one: Array, two: Array, sums: Array) -> None:
    first, second = np.int32(0), np.int32(0)
    square, other, both = np.int32(0), np.int32(0), np.int32(0)
    for x in range(len(one)):
        a, b = np.int32(one[x]), np.int32(two[x])
        first, second = np.int32(first + a), np.int32(second + b)
        square, other = np.int32(square + np.int32(a * a)), np.int32(other + np.int32(b * b))
        both = np.int32(both + np.int32(a * b))
    sums[0] += first
    sums[1] += second
    sums[2] += square
    sums[3] += other
    sums[4] += both


@compiled
def middle_sums(planes: Array, scale: int, sums: Array) -> None:
    """Add up the middle 2 x 2 of blocks of `scale` x `scale`, an even number; planes."""
    first = scale // 2 - 1
    for c in range(sums.shape[0]):
        for y in range(sums.shape[1]):
            upper = planes[c, scale * y + first, first:]
            lower, out = planes[c, scale * y + first + 1, first:], sums[c, y]
            for x in range(sums.shape[2]):
                out[x] = (
                    np.int32(upper[scale * x])
                    + np.int32(upper[scale * x + 1])
                    + np.int32(lower[scale * x])
                    + np.int32(lower[scale * x + 1])
                )


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
def merge_boxes(boxes: Array, twice: Array) -> None:
    """Merge boxes two by two in each direction, cut ones included.

    Zeros and ones; shapes (h, w) and ((h + 1) // 2, (w + 1) // 2).
    """
    height, width = boxes.shape
    row = np.zeros(2 * twice.shape[1], dtype=np.uint8)
    for y in range(twice.shape[0]):
        upper, lower = boxes[2 * y], boxes[min(2 * y + 1, height - 1)]
        for x in range(width):
            row[x] = upper[x] | lower[x]
        out = twice[y]
        for x in range(len(out)):
            out[x] = row[2 * x] | row[2 * x + 1]


@compiled
def to_unit(levels: Array, out: Array) -> None:
    """Divide 8-bit levels by 255, in 32 bits."""
    for i in range(len(out)):
        out[i] = np.float32(levels[i]) / np.float32(255)


@compiled
def window(gray: Array, mean: Any, down: Array, across: Array, out: Array) -> None:
    """Gray less its mean, times a window in each direction; row y goes to row y % k of y // k.

    The shape of ``out`` is (h / k, k, w).
    """
    each = out.shape[1]
    for y in range(gray.shape[0]):
        line, result, factor = gray[y], out[y // each, y % each], down[y]
        for x in range(len(line)):
            result[x] = (np.float32(line[x]) - mean) * factor * across[x]


@compiled
def ring_power(spectrum: Array, middle: int, ring: Array, sums: Array) -> None:
    """Add up the power of a half spectrum by ring, the last being all the rest.

    ``spectrum`` has shape (h, n, 2), real and imaginary parts; what lies in columns from 1 to
    before `middle` stands for two coefficients.
    """
    power = np.empty(spectrum.shape[1], dtype=np.float32)
    for y in range(spectrum.shape[0]):
        line = spectrum[y]
        for x in range(len(power)):
            power[x] = line[x, 0] * line[x, 0] + line[x, 1] * line[x, 1]
        _to_rings(power, middle, ring[y], sums)


@compiled
def _to_rings(power: Array, middle: int, ring: Array, sums: Array) -> None:
    for x in range(1, middle):
        power[x] *= np.float32(2)
    for x in range(len(power)):
        sums[ring[x]] += power[x]


@compiled
def paired_ring_power(pairs: Array, turn: Array, ring: Array, sums: Array) -> None:
    """`ring_power` of real rows two of which went into the transform as one complex row.

    ``pairs`` is the whole transform, shape (h / 2, w, 2), of even rows plus the imaginary unit
    times odd rows; ``turn``, shape (h / 2, 2), has exp(-2 pi i y / h).
    """
    half, width = pairs.shape[:2]
    n, middle = ring.shape[1], (width + 1) // 2
    first, second = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    parts = np.empty((4, n), dtype=np.float32)
    a, b, c, d = parts[0], parts[1], parts[2], parts[3]
    quarter = np.float32(0.25)
    for y in range(half):
        line, mirror = pairs[y], pairs[(half - y) % half]
        c[0], d[0] = mirror[0, 0], mirror[0, 1]
        for x in range(n):
            a[x], b[x] = line[x, 0], line[x, 1]
        for x in range(1, n):
            c[x], d[x] = mirror[width - x, 0], mirror[width - x, 1]
        cosine, sine = turn[y, 0], turn[y, 1]
        for x in range(n):
            # Twice the transforms of the even and of the odd rows, the latter turned.
            even, even_i = a[x] + c[x], b[x] - d[x]
            odd, odd_i = b[x] + d[x], c[x] - a[x]
            part, part_i = cosine * odd - sine * odd_i, cosine * odd_i + sine * odd
            one, one_i, two, two_i = even + part, even_i + part_i, even - part, even_i - part_i
            first[x] = (one * one + one_i * one_i) * quarter
            second[x] = (two * two + two_i * two_i) * quarter
        _to_rings(first, middle, ring[y], sums)
        _to_rings(second, middle, ring[y + half], sums)
