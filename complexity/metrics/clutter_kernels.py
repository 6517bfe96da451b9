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
#: Of the oriented filters, in pixels.
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
def _across(padded: Array, kernel: Array, scale: Array, out: Array) -> None:
    radius = len(kernel) - 1
    for x in range(len(out)):
        out[x] = padded[radius + x] * kernel[0]
    n = len(out)
    for step in range(1, radius, 2):  # two at a time: half the traffic
        left, right, factor = padded[radius - step :], padded[radius + step :], kernel[step]
        far_left, far_right = padded[radius - step - 1 :], padded[radius + step + 1 :]
        far_factor = kernel[step + 1]
        for x in range(n):
            out[x] += (left[x] + right[x]) * factor + (far_left[x] + far_right[x]) * far_factor
    for x in range(n):
        out[x] *= scale[x]


@compiled
def _covary(moment: Array, one: Array, two: Array, noise: float) -> None:
    for x in range(len(moment)):
        moment[x] = moment[x] - one[x] * two[x] + noise


@compiled
def _determinant(mean: Array, noise: Array, out: Array) -> None:
    """Determinant, at least 0, of the covariance matrix of three; uses up their moments."""
    # One loop for each product: of loops over many rows the compiler makes slow code.
    a, b, c = mean[0], mean[1], mean[2]
    aa, ab, ac, bb, bc, cc = mean[3], mean[4], mean[5], mean[6], mean[7], mean[8]
    _covary(aa, a, a, noise[0])
    _covary(ab, a, b, 0.0)
    _covary(ac, a, c, 0.0)
    _covary(bb, b, b, noise[1])
    _covary(bc, b, c, 0.0)
    _covary(cc, c, c, noise[2])
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
        Right half of the Gaussian window, the middle first; r even.
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
def _row(plane: Array, y: int, zeros: Array) -> Array:
    return plane[y] if 0 <= y < len(plane) else zeros


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
    zeros = np.zeros(width, dtype=np.float32)
    now, before = np.zeros((3, width)), np.zeros((3, width))
    everything, far, near = np.zeros(width), np.empty(width), np.empty(width)
    for y in range(-radius, height):
        new, newer = _row(plane, y + radius - 1, zeros), _row(plane, y + radius, zeros)
        old, older = _row(plane, y - radius - 1, zeros), _row(plane, y - radius - 2, zeros)
        for x in range(width):
            far[x] = np.float64(newer[x]) + np.float64(older[x])
        for x in range(width):
            near[x] = np.float64(new[x]) + np.float64(old[x])
        for x in range(width):
            everything[x] += np.float64(newer[x]) - np.float64(old[x])
        for i in range(3):
            _step(terms[i, 0], terms[i, 1], terms[i, 2], far, near, now[i], before[i])
        if y >= 0:
            w = terms[:, 3] * scale[y]
            _mixed(base * scale[y], w[0], w[1], w[2], everything, now[0], now[1], now[2], out[y])


@compiled
def _step(p: float, q: float, r: float, far: Array, near: Array, now: Array, before: Array) -> None:
    for x in range(len(now)):
        value = now[x]
        now[x] = p * value - before[x] + (q * far[x] - r * near[x])
        before[x] = value


@compiled
def _mixed(
    w: float, w1: float, w2: float, w3: float, s: Array, s1: Array, s2: Array, s3: Array, out: Array
) -> None:
    for x in range(len(out)):
        out[x] = (w * s[x] + w1 * s1[x]) + (w2 * s2[x] + w3 * s3[x])


@compiled
def product(one: Array, two: Array, out: Array) -> None:
    """Multiply two planes."""
    for y in range(out.shape[0]):
        a, b, line = one[y], two[y], out[y]
        for x in range(len(line)):
            line[x] = a[x] * b[x]


@compiled
def covariance_root(
    a: Array, b: Array, aa: Array, ab: Array, bb: Array, noise: Any, out: Array
) -> None:
    """Fourth root of the determinant of two planes' covariances, from means; uses these up."""
    for y in range(out.shape[0]):
        one, two, line = a[y], b[y], out[y]
        first, both, second = aa[y], ab[y], bb[y]
        _covary(first, one, one, noise)
        _covary(both, one, two, np.float32(0))
        _covary(second, two, two, noise)
        for x in range(len(line)):
            line[x] = first[x] * second[x] - both[x] * both[x]
        for x in range(len(line)):
            line[x] = np.sqrt(np.sqrt(max(line[x], np.float32(0))))


@compiled
def _folded(rows: Array, y: int, sums: Array, differences: Array) -> None:
    """Sums and differences of the rows k above and below the middle one, k = 0 to RADIUS."""
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
def _even(line: Array, taps: Array, out: Array) -> None:
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
            _even(line, even[i, 0], out[min(i, 2), y])
        for i in range(len(odd)):
            _weighted(differences, odd[i, 1], line)
            _odd(line, odd[i, 0], out[3, y])


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
                for x in range(width):
                    line[x] = 0
                for tap in range(depth):
                    source, factor = padded[i, tap:], table_x[width // 2, tap]
                    for x in range(width):
                        line[x] += source[x] * factor
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
            line = mean[i]
            for x in range(width):
                line[x] = 0
            for tap in range(depth):
                place = y + tap - radius
                if 0 <= place < height:
                    source, factor = ring[place % depth, i], table_y[y, tap]
                    for x in range(width):
                        line[x] += source[x] * factor
        for x in range(width):
            total = mean[2, x] + np.float32(noise)
            out[0, y, x] = mean[0, x] / total
            out[1, y, x] = mean[1, x] / total


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
