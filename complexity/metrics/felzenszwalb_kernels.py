"""Compiled parts of `complexity.metrics.felzenszwalb`, where the method is explained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Doubles = NDArray[np.float64]
Indices = NDArray[np.int32]
#: Indices without sign: of signed ones Numba asks each time whether they are negative.
Names = NDArray[np.uint32]
Keys = NDArray[np.uint64]


@compiled
def split_row(row: NDArray[Any], factor: float, planes: Doubles) -> None:
    """Split a row of colours into planes, shape (3, w), times a factor."""
    red, green, blue = planes[0], planes[1], planes[2]
    for x in range(len(red)):
        red[x] = row[3 * x] * factor
        green[x] = row[3 * x + 1] * factor
        blue[x] = row[3 * x + 2] * factor


@compiled
def fold(
    middle: Doubles, one: Doubles, two: Doubles, kernel: Doubles, step: int, out: Doubles
) -> None:
    """Add to a sum what lies `step` to either side; the first step, the widest, begins it."""
    part = kernel[step]
    if step == len(kernel) - 1:
        centre = kernel[0]
        for x in range(len(out)):
            out[x] = middle[x] * centre + (one[x] + two[x]) * part
    else:
        for x in range(len(out)):
            out[x] += (one[x] + two[x]) * part


@compiled
def smooth_row(
    ring: Doubles,
    y: int,
    kernel: Doubles,
    place_y: Indices,
    place_x: Indices,
    padded: Doubles,
    out: Doubles,
) -> None:
    """Smooth one row into planes, shape (3, w), as SciPy does: down, then across.

    ``ring`` has the rows at hand, row i at place i modulo its length.
    """
    radius = len(kernel) - 1
    n = out.shape[1]
    for c in range(3):
        middle, plane, line = ring[y % len(ring), c], padded[c], out[c]
        inner = plane[radius : radius + n]
        if radius == 0:
            for x in range(n):
                line[x] = middle[x] * kernel[0] * kernel[0]
            continue
        for step in range(radius, 0, -1):
            above = ring[place_y[radius + y - step] % len(ring), c]
            below = ring[place_y[radius + y + step] % len(ring), c]
            fold(middle, above, below, kernel, step, inner)
        for i in range(radius):
            j = n + 2 * radius - 1 - i
            plane[i] = plane[radius + place_x[i]]
            plane[j] = plane[radius + place_x[j]]
        for step in range(radius, 0, -1):
            fold(inner, plane[radius - step :], plane[radius + step :], kernel, step, line)


@compiled
def distances(one: Doubles, from_one: int, two: Doubles, from_two: int, out: Doubles) -> None:
    """Euclidean distances of colours, planes of shape (3, n), each from a place on."""
    # Cut by lines: of a cut plane Numba forgets that its lines have no gaps.
    r1, g1, b1 = one[0, from_one:], one[1, from_one:], one[2, from_one:]
    r2, g2, b2 = two[0, from_two:], two[1, from_two:], two[2, from_two:]
    for x in range(len(out)):
        a, b, c = r1[x] - r2[x], g1[x] - g2[x], b1[x] - b2[x]
        out[x] = math.sqrt(a * a + b * b + c * c)


@compiled
def weigh(
    rows: NDArray[Any],
    factor: float,
    kernel: Doubles,
    place_y: Indices,
    place_x: Indices,
    weights: Doubles,
) -> None:
    """Smooth, and weigh the edges from each pixel to the right, down, down right, down left.

    Edge 4 p + d leaves pixel p in direction d; its weight goes to ``weights[d, p]``.
    """
    height, width = rows.shape[0], rows.shape[1] // 3
    radius = len(kernel) - 1
    ring = np.empty((2 * radius + 1, 3, width))
    padded = np.empty((3, len(place_x)))
    planes = np.empty((2, 3, width))
    for y in range(min(radius + 1, height)):
        split_row(rows[y], factor, ring[y])
    smooth_row(ring, 0, kernel, place_y, place_x, padded, planes[0])
    for y in range(height):
        start = y * width
        here, below = planes[y % 2], planes[(y + 1) % 2]
        distances(here, 1, here, 0, weights[0, start : start + width - 1])
        if y + 1 < height:
            last = y + 1 + radius
            if last < height:
                split_row(rows[last], factor, ring[last % len(ring)])
            smooth_row(ring, y + 1, kernel, place_y, place_x, padded, below)
            distances(below, 0, here, 0, weights[1, start : start + width])
            distances(below, 1, here, 0, weights[2, start : start + width - 1])
            distances(below, 0, here, 1, weights[3, start + 1 : start + width])


@compiled
def gather(
    weights: Doubles,
    width: int,
    low_bits: int,
    least: np.uint64,
    below: np.uint64,
    region: Names,
    out: Keys,
) -> int:
    """List edges between regions as sort keys: the leading bits of the weight, then the edge.

    Only those with a weight of at least `least` and under `below`, both as the bits of a
    double, and, unless `least` is 0, whose ends have different names in ``region``. Returns how
    many there are.
    """
    pixels = weights.shape[1]
    height = pixels // width
    drop = np.uint64(low_bits)
    bits = weights.view(np.uint64)
    wanted = np.empty(width, dtype=np.uint8)
    made = np.empty(width, dtype=np.uint64)
    filled = 0
    for y in range(height):
        for d in range(4 if y + 1 < height else 1):
            first = y * width + (1 if d == 3 else 0)
            n = width if d == 1 else width - 1
            row, edge = bits[d, first : first + n], np.uint64(4 * first + d)
            one, two = region[first:], region[first + (1, width, width + 1, width - 1)[d] :]
            # By parts, so that all but the last is done for many edges at once.
            for x in range(n):
                made[x] = (row[x] >> drop << drop) | (edge + np.uint64(4 * x))
            if least == 0:
                for x in range(n):
                    wanted[x] = row[x] < below
            else:
                for x in range(n):
                    inside = np.uint8(row[x] >= least) & np.uint8(row[x] < below)
                    wanted[x] = inside & np.uint8(one[x] != two[x])
            for x in range(n):
                out[filled] = made[x]
                filled += wanted[x]
    return filled


@compiled
def name_of(parent: Any, pixel: Any) -> Any:
    """Find the pixel that names a region, and shorten the way to it."""
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@compiled
def order_alike(edges: Keys, weights: Doubles, low_bits: int) -> None:
    """Sort by the whole weight what agrees in its leading bits."""
    drop = np.uint64(low_bits)
    mask = np.uint64((1 << low_bits) - 1)
    n = len(edges)
    block = 512
    done = 0
    for start in range(0, n - 1, block):
        here, after = edges[start : n - 1], edges[start + 1 : n]
        equal = 0
        for m in range(min(block, len(here))):
            equal += (here[m] ^ after[m]) >> drop == 0
        if equal == 0:
            continue
        i = max(start, done)
        while i < n - 1 and edges[i] >> drop == 0:
            i += 1  # weights of 0
        while i < start + block and i < n - 1:
            j = i + 1
            while j < n and (edges[j] ^ edges[i]) >> drop == 0:
                j += 1
            if j > i + 1:
                exact = np.empty(j - i)
                same = True
                for m in range(j - i):
                    edge = np.int64(edges[i + m] & mask)
                    exact[m] = weights[edge & 3, edge >> 2]
                    same = same and exact[m] == exact[0]
                if not same and j - i > 16:
                    edges[i:j] = edges[i:j][np.argsort(exact)]
                elif not same:
                    for m in range(1, j - i):
                        value, key, k = exact[m], edges[i + m], m - 1
                        while k >= 0 and exact[k] > value:
                            exact[k + 1], edges[i + k + 1] = exact[k], edges[i + k]
                            k -= 1
                        exact[k + 1], edges[i + k + 1] = value, key
            i = j
        done = i


@compiled
def grow(
    edges: Keys,
    weights: Doubles,
    width: int,
    low_bits: int,
    step: float,
    region: Names,
    nodes: Indices,
    refused: Indices,
    first: int,
) -> tuple[int, int, bool]:
    """Merge regions along rising edges; `refused` takes up those between regions left apart.

    `first` edges came before: if none, every pixel is a region; others are counted on from there.

    ``region`` leads from a pixel to its region's name, which is a pixel of it: in steps at
    first, in one when this returns. ``nodes`` has, at the name, size and threshold.

    Returns how many edges were refused, how many regions disappeared, and whether the order
    among equal weights cannot matter.
    """
    drop = np.uint64(low_bits)
    mask = np.uint64((1 << low_bits) - 1)
    values = edges.view(np.float64)  # a weight but for its last bits
    slack = 2.0 ** (low_bits - 51)
    ahead = np.array((1, width, width + 1, width - 1), dtype=np.uint32)
    limits = nodes.view(np.float32)
    if first == 0:
        for pixel in range(len(region)):
            region[pixel] = pixel
            nodes[pixel, 0] = 1
            limits[pixel, 1] = step
    count, gone, clear = 0, 0, True
    before = risky = ~np.uint64(0)
    place = np.empty(64, dtype=np.uint32)
    ones, twos = place.copy(), place.copy()
    for start in range(0, len(edges), 64):
        # First without branches: most edges are inside a region.
        m = 0
        for i in range(start, min(start + 64, len(edges))):
            edge = edges[i] & mask
            one = edge >> np.uint64(2)
            two = one + ahead[edge & np.uint64(3)]
            a, b = region[region[one]], region[region[two]]
            region[one], region[two] = a, b
            place[m], ones[m], twos[m] = i, a, b
            m += a != b
        for j in range(m):
            i = place[j]
            a, b = name_of(region, ones[j]), name_of(region, twos[j])
            if a == b:
                continue
            if edges[i] >> drop == risky:
                clear = False
            value = values[i]
            if value < min(limits[a, 1], limits[b, 1]):
                x, y = nodes[a, 0], nodes[b, 0]
                swap = (a ^ b) & np.uint32(-np.int32(x < y))  # a branch would be guessed wrong
                a ^= swap
                b ^= swap
                region[b] = a
                nodes[a, 0] = x + y
                gone += 1
                more = step / (x + y)
                limit = np.float32(value * (1 - slack) + more)
                if limit != np.float32(value * (1 + slack) + more):
                    edge = edges[i] & mask
                    limit = np.float32(weights[edge & np.uint64(3), edge >> np.uint64(2)] + more)
                limits[a, 1] = limit
                if limit <= value:
                    risky = edges[i] >> drop
                    if before == risky:
                        clear = False
            else:
                refused[count] = first + i
                count += 1
            before = edges[i] >> drop
    for pixel in range(len(region)):
        a = region[region[pixel]]  # nearly always the name
        if region[a] != a:
            a = name_of(region, a)
        region[pixel] = a
    return count, gone, clear


@compiled
def absorb(
    refused: Indices,
    edges: Keys,
    weights: Doubles,
    width: int,
    low_bits: int,
    min_size: int,
    region: Names,
    nodes: Indices,
    parts: Indices,
    rank: Indices,
    regions: int,
) -> tuple[int, bool]:
    """Merge small regions along rising edges; False if the order of ties could matter.

    With `rank`, by place in scikit-image's list, ties are taken in that order; else it is empty.
    The first result is the number of regions.

    It cannot matter within a set of regions that edges of one weight connect, if these are
    two, or if all but at most one of them are small and remain so together: then any order
    makes one region of them. From here on `region` leads to a region's name, in steps.
    ``parts`` is room for each set: pixels of small regions, number of large ones and of all.
    """
    drop = np.uint64(low_bits)
    mask = np.uint64((1 << low_bits) - 1)
    ahead = np.array((1, width, width + 1, width - 1))
    # Only edges at small regions have a part in this.
    n = 0
    for i in refused:
        edge = np.int64(edges[i] & mask)
        a, b = region[edge >> 2], region[(edge >> 2) + ahead[edge & 3]]
        refused[n] = i
        n += (a != b) & (min(nodes[a, 0], nodes[b, 0]) < min_size)
    places = np.empty(n if len(rank) > 0 else 0, dtype=np.int32)
    first = 0
    while first < n:
        edge = np.int64(edges[refused[first]] & mask)
        last = first + 1
        while last < n and (edges[refused[last]] ^ edges[refused[first]]) >> drop == 0:
            other = np.int64(edges[refused[last]] & mask)
            # A rank puts unequal weights in order as well.
            if len(rank) == 0 and weights[other & 3, other >> 2] != weights[edge & 3, edge >> 2]:
                break
            last += 1
        alone = last == first + 1
        after = last
        if not alone and len(rank) > 0:
            # What is inside a region, or between large ones, remains so.
            last = first
            for i in range(first, after):
                at = refused[i]
                edge = np.int64(edges[at] & mask)
                a = name_of(region, edge >> 2)
                b = name_of(region, (edge >> 2) + ahead[edge & 3])
                if a != b and min(nodes[a, 0], nodes[b, 0]) < min_size:
                    places[last] = rank[listed(edge, len(region), width)]
                    refused[last] = at
                    last += 1
            if last - first > 32:
                refused[first:last] = refused[first:last][np.argsort(places[first:last])]
            else:
                for i in range(first + 1, last):
                    place, at, k = places[i], refused[i], i - 1
                    while k >= first and places[k] > place:
                        places[k + 1], refused[k + 1] = places[k], refused[k]
                        k -= 1
                    places[k + 1], refused[k + 1] = place, at
            alone = True  # each to be judged as it comes
        if not alone:
            for i in range(first, last):
                edge = np.int64(edges[refused[i]] & mask)
                for pixel in (edge >> 2, (edge >> 2) + ahead[edge & 3]):
                    a = name_of(region, pixel)
                    small = nodes[a, 0] < min_size
                    parts[a, 0] = nodes[a, 0] if small else 0
                    parts[a, 1] = 0 if small else 1
                    parts[a, 2] = 1
        for i in range(first, last):
            edge = np.int64(edges[refused[i]] & mask)
            a = name_of(region, edge >> 2)
            b = name_of(region, (edge >> 2) + ahead[edge & 3])
            if a == b:
                continue
            if alone:
                if min(nodes[a, 0], nodes[b, 0]) >= min_size:
                    continue
            elif parts[a, 0] == 0 and parts[b, 0] == 0:
                continue  # neither holds a region that was small
            if nodes[a, 0] < nodes[b, 0]:
                a, b = b, a
            region[b] = a
            nodes[a, 0] += nodes[b, 0]
            regions -= 1
            if not alone:
                parts[a, 0] += parts[b, 0]
                parts[a, 1] += parts[b, 1]
                parts[a, 2] += parts[b, 2]
                if parts[a, 2] > 2 and (parts[a, 1] > 1 or parts[a, 0] >= min_size):
                    return regions, False
        first = after
    return regions, True


@compiled
def listed(edge: Any, pixels: int, width: int) -> Any:
    """Place of an edge in scikit-image's list: right, down, down right, down left."""
    pixel = edge >> 2
    y = pixel // width
    height = pixels // width
    if edge & 3 == 0:
        return pixel - y
    place = height * (width - 1)
    if edge & 3 == 1:
        return place + pixel
    place += (height - 1) * width
    if edge & 3 == 2:
        return place + pixel - y
    return place + (height - 1) * (width - 1) + pixel - y - 1


@compiled
def one_by_one(
    order: NDArray[np.int64],
    costs: Doubles,
    one: Indices,
    two: Indices,
    step: float,
    min_size: int,
    parent: Names,
) -> int:
    """Both passes, over edges in the given order; the number of regions."""
    regions = len(parent)
    size = np.ones(len(parent), dtype=np.int32)
    threshold = np.full(len(parent), np.float32(step))
    for final in (False, True):
        for e in order:
            a, b = name_of(parent, one[e]), name_of(parent, two[e])
            if a == b:
                continue
            if final:
                merge = size[a] < min_size or size[b] < min_size
            else:
                merge = costs[e] < threshold[a] and costs[e] < threshold[b]
            if merge:
                if size[a] < size[b]:
                    a, b = b, a
                parent[b] = a
                size[a] += size[b]
                regions -= 1
                if not final:
                    threshold[a] = np.float32(costs[e] + step / size[a])
    return regions


@compiled
def number(parent: Any, labels: Indices) -> int:
    """Give components numbers in the order of their first pixels."""
    names = np.full(len(parent), -1, dtype=np.int32)
    count = 0
    for p in range(len(parent)):
        name = name_of(parent, p)
        if names[name] < 0:
            names[name] = count
            count += 1
        labels[p] = names[name]
    return count
