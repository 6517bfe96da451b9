"""Compiled parts of `complexity.metrics.clutter`: local statistics, row by row.

Everything is pooled by separable Gaussians. Rows are filtered across when they come in and
kept in a ring as high as the kernel; from it each output row is filtered down and turned into
its statistic at once, so that nothing as large as the image is held but input and output.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]
#: What `spread` measures.
COLOUR, CONTRAST = 0, 1
#: Of the windows and of the oriented filters, in pixels.
RADIUS = 6


@compiled
def _cube_root(values: Array, bits: Array, out: Array) -> None:
    """Cube roots of a row of doubles >= 0; `bits` are the same values seen as int64."""
    guess = out.view(np.int64)
    for x in range(len(values)):
        # A third of the exponent (by shifts, which processors do in rows), then two steps of
        # Halley's rule, each tripling the digits.
        third = (bits[x] >> 2) + (bits[x] >> 4)
        third += third >> 4
        third += third >> 8
        third += third >> 16
        guess[x] = third + 0x2A9F7893782DA1CE
    for _ in range(2):
        for x in range(len(values)):
            cube = out[x] * out[x] * out[x]
            out[x] *= (cube + 2 * values[x]) / (2 * cube + values[x])


@compiled
def _short_cube_root(values: Array, bits: Array, out: Array) -> None:
    """`_cube_root` in 32 bits; `bits` are the values seen as int32."""
    guess = out.view(np.int32)
    for x in range(len(values)):
        third = np.int32((bits[x] >> 2) + (bits[x] >> 4))
        third = np.int32(third + (third >> 4))
        third = np.int32(third + (third >> 8))
        guess[x] = third + 0x2A5137A0
    for _ in range(2):
        for x in range(len(values)):
            cube = out[x] * out[x] * out[x]
            out[x] *= (cube + values[x] + values[x]) / (cube + cube + values[x])


@compiled
def to_lab(planes: Array, linear: Array, matrix: Array, out: Array) -> None:
    """Convert planes of 8-bit sRGB to CIE L*a*b* planes.

    ``linear`` has the linear value of each level, ``matrix`` leads to X, Y and Z over white.
    """
    height, width = planes.shape[1:]
    parts = np.empty((3, width))
    ratios = np.empty((3, width))
    roots = np.empty((3, width))
    red, green, blue = parts[0], parts[1], parts[2]
    for y in range(height):
        for c in range(3):
            part, source = parts[c], planes[c, y]
            for x in range(width):
                part[x] = linear[source[x]]
        for c in range(3):
            from_red, from_green, from_blue = matrix[c, 0], matrix[c, 1], matrix[c, 2]
            ratio = ratios[c]
            for x in range(width):
                ratio[x] = from_red * red[x] + from_green * green[x] + from_blue * blue[x]
        for c in range(3):
            ratio, root = ratios[c], roots[c]
            bright = 0
            for x in range(width):
                bright += ratio[x] >= 0.008856
            if bright > 0:
                _cube_root(ratio, ratio.view(np.int64), root)
            for x in range(width):
                line = 7.787 * ratio[x] + 16 / 116
                root[x] = root[x] if ratio[x] >= 0.008856 else line
        one, two, three = roots[0], roots[1], roots[2]
        first, second, third = out[0, y], out[1, y], out[2, y]
        for x in range(width):
            first[x] = 116 * two[x] - 16
        for x in range(width):
            second[x] = 500 * (one[x] - two[x])
        for x in range(width):
            third[x] = 200 * (two[x] - three[x])


@compiled
def even_taps(line: Array, taps: Array, out: Array) -> None:
    """Add a row filtered with symmetric taps, the middle first."""
    a, b, c, d, e, f, g = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6]
    for x in range(len(out)):
        out[x] += (
            (a * line[x + 6] + b * (line[x + 7] + line[x + 5]))
            + (c * (line[x + 8] + line[x + 4]) + d * (line[x + 9] + line[x + 3]))
            + (e * (line[x + 10] + line[x + 2]) + f * (line[x + 11] + line[x + 1]))
            + g * (line[x + 12] + line[x])
        )


@compiled
def _across(line: Array, taps: Array, scale: Array, out: Array) -> None:
    """Filter a row with symmetric taps, the middle first, and scale it."""
    # The sum of `even_taps`: apart it would be three passes over the row.
    a, b, c, d, e, f, g = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6]
    for x in range(len(out)):
        out[x] = scale[x] * (
            (a * line[x + 6] + b * (line[x + 7] + line[x + 5]))
            + (c * (line[x + 8] + line[x + 4]) + d * (line[x + 9] + line[x + 3]))
            + (e * (line[x + 10] + line[x + 2]) + f * (line[x + 11] + line[x + 1]))
            + g * (line[x + 12] + line[x])
        )


@compiled
def covary(moment: Array, one: Array, two: Array, noise: Any) -> None:
    """Turn means of products into covariances, given the means, and add noise."""
    for x in range(len(moment)):
        moment[x] = moment[x] - one[x] * two[x] + noise


@compiled
def _determinant(mean: Array, noise: Array, out: Array) -> None:
    """Give the determinant, at least 0, of three planes' covariances; use up their moments."""
    # One loop for each product: of loops over many rows the compiler makes slow code.
    a, b, c = mean[0], mean[1], mean[2]
    aa, ab, ac, bb, bc, cc = mean[3], mean[4], mean[5], mean[6], mean[7], mean[8]
    covary(aa, a, a, noise[0])
    covary(ab, a, b, 0.0)
    covary(ac, a, c, 0.0)
    covary(bb, b, b, noise[1])
    covary(bc, b, c, 0.0)
    covary(cc, c, c, noise[2])
    for x in range(len(out)):
        out[x] = aa[x] * (bb[x] * cc[x] - bc[x] * bc[x])
    for x in range(len(out)):
        out[x] -= ab[x] * (ab[x] * cc[x] - bc[x] * ac[x])
    for x in range(len(out)):
        product = out[x] + ac[x] * (ab[x] * bc[x] - bb[x] * ac[x])
        out[x] = product if product > 0 else 0.0


@compiled
def spread(
    kind: int,
    planes: Array,
    kernel: Array,
    scale_y: Array,
    scale_x: Array,
    noise: Array,
    ring: Array,
    out: Array,
) -> None:
    """Measure how much features vary around each pixel.

    Parameters
    ----------
    kind : int
        COLOUR: sixth root of the determinant of the covariance matrix of three planes.
        CONTRAST: standard deviation of one plane.
    planes : ndarray of float, shape (n, h, w)
        The features.
    kernel : ndarray of float, shape (r + 1,)
        Right half of the Gaussian window, the middle first; r is RADIUS.
    scale_y, scale_x : ndarray of float
        1 over the share of the window inside the image, by row and by column.
    noise : ndarray of float, shape (n,)
        Added to the variances.
    ring : ndarray of float, shape (2 r + 1, m, w)
        Room for m = 9 or 2 moments; its type is that of the computation.
    out : ndarray of float32, shape (h, w)
        The result.
    """
    height, width = out.shape
    radius = len(kernel) - 1
    depth, moments = ring.shape[0], ring.shape[1]
    firsts = planes.shape[0]
    padded = np.zeros((moments, width + 2 * radius), dtype=ring.dtype)
    mean = np.empty((moments, width), dtype=ring.dtype)
    # The root of a sum of products in 64 bits needs no more than 32 itself.
    product, root = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    determinant = np.empty(width)
    for row in range(height + radius):
        if row < height:
            slot = ring[row % depth]
            for i in range(firsts):
                line, source = padded[i, radius:], planes[i, row]
                for x in range(width):
                    line[x] = source[x]
            m = firsts
            for i in range(firsts):
                for j in range(i, firsts):
                    # Not of the planes, whose type may be too short for variances.
                    line, one, two = padded[m, radius:], padded[i, radius:], padded[j, radius:]
                    for x in range(width):
                        line[x] = one[x] * two[x]
                    m += 1
            for i in range(moments):
                _across(padded[i], kernel, scale_x, slot[i])
        y = row - radius
        if y < 0:
            continue
        for i in range(moments):
            line, source = mean[i], ring[y % depth, i]
            factor = kernel[0] * scale_y[y]
            for x in range(width):
                line[x] = source[x] * factor
            whole = min(radius, y, height - 1 - y) // 2 * 2
            for step in range(1, whole, 2):
                above, below = ring[(y - step) % depth, i], ring[(y + step) % depth, i]
                over, under = ring[(y - step - 1) % depth, i], ring[(y + step + 1) % depth, i]
                factor, far_factor = kernel[step] * scale_y[y], kernel[step + 1] * scale_y[y]
                for x in range(width):
                    line[x] += (above[x] + below[x]) * factor + (over[x] + under[x]) * far_factor
            for step in range(whole + 1, radius + 1):
                factor = kernel[step] * scale_y[y]
                if y >= step and y + step < height:
                    above, below = ring[(y - step) % depth, i], ring[(y + step) % depth, i]
                    for x in range(width):
                        line[x] += (above[x] + below[x]) * factor
                elif y >= step or y + step < height:
                    source = ring[(y - step if y >= step else y + step) % depth, i]
                    for x in range(width):
                        line[x] += source[x] * factor
        result = out[y]
        if kind == COLOUR:
            _determinant(mean, noise, determinant)
            for x in range(width):
                product[x] = determinant[x]
            for x in range(width):
                product[x] = np.sqrt(product[x])
            _short_cube_root(product, product.view(np.int32), root)
            for x in range(width):
                result[x] = root[x]
        else:
            for x in range(width):
                result[x] = np.sqrt(abs(mean[1, x] - mean[0, x] * mean[0, x]))


@compiled
def double(small: Array, gain: float, out: Array) -> None:
    """Double the size: even places .05, .4, .05, odd ones .25, .25 of `small`, times `gain`.

    In each direction; mirrored about the outermost places of the result.
    """
    height, width = small.shape
    upper, lower = np.empty(width), np.empty(width)
    for y in range(height):
        here = small[y]
        above, below = small[max(y - 1, 0)], small[min(y + 1, height - 1)]
        if y == 0:
            above = below
        for x in range(width):
            upper[x] = gain * (0.4 * here[x] + 0.05 * (above[x] + below[x]))
            lower[x] = gain * 0.25 * (here[x] + below[x])
        for line, result in ((upper, out[2 * y]), (lower, out[2 * y + 1])):
            last = width - 1
            for x in range(1, last):
                result[2 * x] = 0.4 * line[x] + 0.05 * (line[x - 1] + line[x + 1])
                result[2 * x + 1] = 0.25 * (line[x] + line[x + 1])
            result[0] = 0.4 * line[0] + 0.1 * line[min(1, last)]
            result[1] = 0.25 * (line[0] + line[min(1, last)])
            if last > 0:
                result[2 * last] = 0.4 * line[last] + 0.05 * (line[last - 1] + line[last])
                result[2 * last + 1] = 0.5 * line[last]


@compiled
def mean_of_largest(one: Array, two: Array, three: Array) -> float:
    """Average, over the first's places, of the largest of three."""
    total = 0.0
    for y in range(one.shape[0]):
        a, b, c = one[y], two[y], three[y]
        part = np.float64(0)
        for x in range(one.shape[1]):
            part += max(a[x], max(b[x], c[x]))
        total += part
    return total / one.size
