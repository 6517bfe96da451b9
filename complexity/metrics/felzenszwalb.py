"""Felzenszwalb and Huttenlocher's segmentation: scikit-image's regions, an order faster.

Felzenszwalb & Huttenlocher 2004, doi:10.1023/B:VISI.0000022288.19776.77. Pixels are joined to
their 8 neighbours by edges whose weight is the Euclidean distance of their smoothed colours.
Edges are taken by rising weight; the components at their ends merge if the weight is below
``Int(C) + scale / |C|`` of both, Int(C) being the weight at which C was made. Then, by rising
weight again, components of fewer than `min_size` pixels merge with the other end's.

The label maps are those of ``skimage.segmentation.felzenszwalb``, because

* the weights are the same doubles: the same operations in the same order;
* edges of different weights are taken in the same order: they are sorted by the first 44 bits
  of the double, then where these agree by the double itself;
* the order among equal weights does not matter in the first pass. What is made at weight w
  has a threshold above w, so all components with a threshold above w that edges of weight w
  connect become one, in whatever order; the others stay as they are. (Where rounding the
  threshold to 32 bits breaks that, it is noticed.)
* in the second pass it can matter: a small component may have two neighbours at the same
  distance. That is noticed too, and the image is done again in the order in which scikit-image
  takes equal weights, which is NumPy's.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Doubles = NDArray[np.float64]
Indices = NDArray[np.int32]
Keys = NDArray[np.uint64]


class _Scratch(threading.local):
    """Large arrays kept from image to image, as new memory costs a fifth of the time."""

    def __init__(self) -> None:
        self.kept: dict[str, NDArray[Any]] = {}

    def get(self, name: str, length: int, dtype: type) -> NDArray[Any]:
        """Give an array of any content."""
        array = self.kept.get(name)
        if array is None or len(array) < length:
            array = np.empty(length, dtype=dtype)
            # What one huge image needed is not held for ever.
            if length <= _KEPT:
                self.kept[name] = array
        return array[:length]


_KEPT = 1 << 21
_scratch = _Scratch()


def segment(
    colours: NDArray[Any], *, scale: float, sigma: float, min_size: int
) -> tuple[Indices, int]:
    """Cut an image into regions.

    Parameters
    ----------
    colours : ndarray of uint8, float32 or float64, shape (h, w, 3)
        8-bit colours are divided by 255; floats are taken as they are.
    scale : float
        Larger values make larger regions; divided by 255, as if colours were 8-bit.
    sigma : float
        Standard deviation in pixels of the Gaussian that smooths the colours first
        (4 sigma wide, rounded; edge pixels doubled at the border); 0 for none.
    min_size : int
        Regions of fewer pixels merge with the neighbour nearest in colour.

    Returns
    -------
    labels : ndarray of int32, shape (h, w)
        From 0, numbered by their first pixel in scanning order.
    count : int
        Number of regions.
    """
    region, _ = _regions(colours, scale, sigma, min_size)
    labels = np.empty(colours.shape[:2], dtype=np.int32)
    return labels, _number(region, labels.reshape(-1))


def count_regions(colours: NDArray[Any], *, scale: float, sigma: float, min_size: int) -> int:
    """Count the regions that `segment` finds, with the same parameters."""
    return _regions(colours, scale, sigma, min_size)[1]


def _regions(
    colours: NDArray[Any], scale: float, sigma: float, min_size: int
) -> tuple[Indices, int]:
    """Give each pixel's region, named by one of its pixels, and the number of regions."""
    height, width = colours.shape[:2]
    pixels, step = height * width, scale / 255
    # Each edge is a sort key: the leading bits of its weight, then its number. The bits left
    # out are among those that a 32-bit threshold lacks, so comparing with one needs no more.
    low_bits = (4 * pixels - 1).bit_length()
    if low_bits > 29:
        raise ValueError(f"{height} x {width} pixels are too many to segment")
    weights = _scratch.get("weights", 4 * pixels, np.float64).reshape(4, pixels)
    keys = _scratch.get("keys", 4 * pixels, np.uint64)
    kernel = _gaussian(sigma)
    places = (_mirror(height, len(kernel) - 1), _mirror(width, len(kernel) - 1))
    factor = 1 / 255 if colours.dtype == np.uint8 else 1.0
    rows = np.ascontiguousarray(colours).reshape(height, 3 * width)
    edges = keys[: _weigh(rows, factor, kernel, *places, weights, keys, low_bits)]
    edges.sort()
    _order(edges, weights, low_bits)
    region = _scratch.get("region", pixels, np.int32)
    following = _scratch.get("following", pixels, np.int32)
    nodes = _scratch.get("nodes", 2 * pixels, np.int32).reshape(pixels, 2)
    refused = _scratch.get("refused", len(edges), np.int32)
    left, count, clear = _grow(
        edges, weights, width, low_bits, step, region, following, nodes, refused
    )
    if not clear:
        return _in_numpys_order(weights.reshape(4, height, width), step, min_size)
    parts = _scratch.get("parts", 3 * pixels, np.int32).reshape(pixels, 3)
    grown = (region.copy(), nodes.copy(), count)
    left, count, clear = _absorb(
        refused[:left], edges, weights, width, low_bits, min_size, region, nodes, parts, count
    )
    if clear:
        return region, count
    region, nodes, count = grown
    order = np.argsort(_costs(weights.reshape(4, height, width)))
    chosen = _scratch.get("chosen", len(edges), np.uint8)
    count = _absorb_in_order(
        order, chosen, refused[:left], edges, height, low_bits, min_size, region, nodes, count
    )
    return region, count


def _costs(weights: Doubles) -> Doubles:
    """Weights in the order in which scikit-image lists its edges."""
    right, down, down_right, down_left = weights
    height, width = right.shape
    costs = _scratch.get("costs", 4 * height * width, np.float64)
    first = 0
    for part in (right[:, :-1], down[:-1], down_right[:-1, :-1], down_left[:-1, 1:]):
        costs[first : first + part.size].reshape(part.shape)[...] = part
        first += part.size
    return costs[:first]


def _in_numpys_order(weights: Doubles, step: float, min_size: int) -> tuple[Indices, int]:
    """Segment in the order of NumPy's default sort, that of scikit-image, ties included."""
    costs = _costs(weights)
    pixel = np.arange(weights[0].size, dtype=np.int32).reshape(weights[0].shape)
    one = (pixel[:, :-1], pixel[:-1], pixel[:-1, :-1], pixel[:-1, 1:])
    two = (pixel[:, 1:], pixel[1:], pixel[1:, 1:], pixel[1:, :-1])
    parent = np.arange(pixel.size, dtype=np.int32)
    count = _one_by_one(
        np.argsort(costs),
        costs,
        np.concatenate([part.ravel() for part in one]),
        np.concatenate([part.ravel() for part in two]),
        step,
        min_size,
        parent,
    )
    return parent, count


def _gaussian(sigma: float) -> Doubles:
    """Right half of SciPy's Gaussian kernel, the middle first."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    across = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 / (sigma * sigma) * across**2)
    return np.array((kernel / kernel.sum())[radius:])


def _mirror(length: int, radius: int) -> Indices:
    """Where positions -radius to length + radius - 1 lie when the border is mirrored."""
    place = np.arange(-radius, length + radius) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place).astype(np.int32)


@compiled
def _smooth_row(
    rows: NDArray[Any],
    y: int,
    factor: float,
    kernel: Doubles,
    place_y: Indices,
    place_x: Indices,
    down: Doubles,
    padded: Doubles,
    out: Doubles,
) -> None:
    """Smooth one row into planes, shape (3, w), as SciPy does: down, then across."""
    radius = len(kernel) - 1
    n = out.shape[1]
    middle = rows[y]
    for i in range(3 * n):
        down[i] = middle[i] * factor * kernel[0]
    for step in range(radius, 0, -1):
        above, below = rows[place_y[radius + y - step]], rows[place_y[radius + y + step]]
        part = kernel[step]
        for i in range(3 * n):
            down[i] += (above[i] * factor + below[i] * factor) * part
    for x in range(n):
        for c in range(3):
            padded[c, radius + x] = down[3 * x + c]
    for i in range(radius):
        j = n + 2 * radius - 1 - i
        for c in range(3):
            padded[c, i] = padded[c, radius + place_x[i]]
            padded[c, j] = padded[c, radius + place_x[j]]
    for c in range(3):
        line, plane = out[c], padded[c]
        for x in range(n):
            line[x] = plane[radius + x] * kernel[0]
        for step in range(radius, 0, -1):
            left, right = plane[radius - step :], plane[radius + step :]
            part = kernel[step]
            for x in range(n):
                line[x] += (left[x] + right[x]) * part


@compiled
def _distances(one: Doubles, two: Doubles, out: Doubles) -> None:
    for x in range(len(out)):
        a, b, c = one[0, x] - two[0, x], one[1, x] - two[1, x], one[2, x] - two[2, x]
        out[x] = math.sqrt(a * a + b * b + c * c)


@compiled
def _weigh(
    rows: NDArray[Any],
    factor: float,
    kernel: Doubles,
    place_y: Indices,
    place_x: Indices,
    weights: Doubles,
    keys: Keys,
    low_bits: int,
) -> int:
    """Smooth, and weigh the edges from each pixel to the right, down, down right, down left.

    Edge 4 p + d leaves pixel p in direction d; its weight goes to ``weights[d, p]``. Returns
    the number of edges.
    """
    height, width = rows.shape[0], rows.shape[1] // 3
    drop = np.uint64(low_bits)
    down = np.empty(3 * width)
    padded = np.empty((3, len(place_x)))
    planes = np.empty((2, 3, width))
    bits = weights.view(np.uint64)
    filled = 0
    _smooth_row(rows, 0, factor, kernel, place_y, place_x, down, padded, planes[0])
    for y in range(height):
        start = y * width
        here, below = planes[y % 2], planes[(y + 1) % 2]
        _distances(here[:, 1:], here[:, : width - 1], weights[0, start : start + width - 1])
        directions = 1
        if y + 1 < height:
            directions = 4
            _smooth_row(rows, y + 1, factor, kernel, place_y, place_x, down, padded, below)
            _distances(below, here, weights[1, start : start + width])
            _distances(below[:, 1:], here[:, : width - 1], weights[2, start : start + width - 1])
            _distances(below[:, : width - 1], here[:, 1:], weights[3, start + 1 : start + width])
        for d in range(directions):
            first, last = (1 if d == 3 else 0), (width if d in (1, 3) else width - 1)
            row, out = bits[d, start + first : start + last], keys[filled:]
            edge = np.uint64(4 * (start + first) + d)
            for x in range(last - first):
                out[x] = (row[x] >> drop << drop) | (edge + np.uint64(4 * x))
            filled += last - first
    return filled


@compiled
def _name(parent: Indices, pixel: Any) -> Any:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@compiled
def _order(edges: Keys, weights: Doubles, low_bits: int) -> None:
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
def _grow(
    edges: Keys,
    weights: Doubles,
    width: int,
    low_bits: int,
    step: float,
    region: Indices,
    following: Indices,
    nodes: Indices,
    refused: Indices,
) -> tuple[int, int, bool]:
    """Merge regions along rising edges; `refused` takes up those between regions left apart.

    Every pixel holds its region's name, which is a pixel of it, at all times, and is renamed
    when the smaller of two regions joins the larger: finding it is one look, which pays.
    ``following`` is a ring through a region's pixels; ``nodes`` has, at its name, its size
    and threshold.

    Returns how many edges were refused, the number of regions, and whether the order among
    equal weights cannot matter.
    """
    drop = np.uint64(low_bits)
    mask = np.uint64((1 << low_bits) - 1)
    values = edges.view(np.float64)  # a weight but for its last bits
    slack = 2.0 ** (low_bits - 51)
    ahead = np.array((1, width, width + 1, width - 1))
    limits = nodes.view(np.float32)
    for pixel in range(len(region)):
        region[pixel] = following[pixel] = pixel
        nodes[pixel, 0] = 1
        limits[pixel, 1] = step
    count, regions, clear = 0, len(region), True
    before = risky = ~np.uint64(0)
    place = np.empty(64, dtype=np.int32)
    ones, twos = place.copy(), place.copy()
    for start in range(0, len(edges), 64):
        # First without branches: most edges are inside a region.
        m = 0
        for i in range(start, min(start + 64, len(edges))):
            edge = np.int64(edges[i] & mask)
            one = edge >> 2
            two = one + ahead[edge & 3]
            place[m], ones[m], twos[m] = i, one, two
            m += region[one] != region[two]
        for j in range(m):
            i = place[j]
            a, b = region[ones[j]], region[twos[j]]
            if a == b:
                continue
            if edges[i] >> drop == risky:
                clear = False
            value = values[i]
            if value < min(limits[a, 1], limits[b, 1]):
                if nodes[a, 0] < nodes[b, 0]:
                    a, b = b, a
                pixel = b
                while True:
                    region[pixel] = a
                    pixel = following[pixel]
                    if pixel == b:
                        break
                following[a], following[b] = following[b], following[a]
                nodes[a, 0] += nodes[b, 0]
                regions -= 1
                more = step / nodes[a, 0]
                limit = np.float32(value * (1 - slack) + more)
                if limit != np.float32(value * (1 + slack) + more):
                    edge = np.int64(edges[i] & mask)
                    limit = np.float32(weights[edge & 3, edge >> 2] + more)
                limits[a, 1] = limit
                if limit <= value:
                    risky = edges[i] >> drop
                    if before == risky:
                        clear = False
            else:
                refused[count] = i
                count += 1
            before = edges[i] >> drop
    return count, regions, clear


@compiled
def _absorb(
    refused: Indices,
    edges: Keys,
    weights: Doubles,
    width: int,
    low_bits: int,
    min_size: int,
    region: Indices,
    nodes: Indices,
    parts: Indices,
    regions: int,
) -> tuple[int, int, bool]:
    """Merge small regions along rising edges; False if the order of ties could matter.

    Before that, `refused` is cut down to the edges at small regions, whose number is the first
    result; the second is the number of regions.

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
    first = 0
    while first < n:
        edge = np.int64(edges[refused[first]] & mask)
        last = first + 1
        while last < n and (edges[refused[last]] ^ edges[refused[first]]) >> drop == 0:
            other = np.int64(edges[refused[last]] & mask)
            if weights[other & 3, other >> 2] != weights[edge & 3, edge >> 2]:
                break
            last += 1
        alone = last == first + 1
        if not alone:
            for i in range(first, last):
                edge = np.int64(edges[refused[i]] & mask)
                for pixel in (edge >> 2, (edge >> 2) + ahead[edge & 3]):
                    a = _name(region, pixel)
                    small = nodes[a, 0] < min_size
                    parts[a, 0] = nodes[a, 0] if small else 0
                    parts[a, 1] = 0 if small else 1
                    parts[a, 2] = 1
        for i in range(first, last):
            edge = np.int64(edges[refused[i]] & mask)
            a = _name(region, edge >> 2)
            b = _name(region, (edge >> 2) + ahead[edge & 3])
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
                    return n, regions, False
        first = last
    return n, regions, True


@compiled
def _absorb_in_order(
    order: NDArray[np.int64],
    chosen: NDArray[np.uint8],
    refused: Indices,
    edges: Keys,
    height: int,
    low_bits: int,
    min_size: int,
    region: Indices,
    nodes: Indices,
    regions: int,
) -> int:
    """Merge small regions along the `refused` edges, in an order of scikit-image's list."""
    mask = np.uint64((1 << low_bits) - 1)
    width = len(region) // height
    first_down = height * (width - 1)
    first_right = first_down + (height - 1) * width
    first_left = first_right + (height - 1) * (width - 1)
    chosen[:] = 0
    for i in refused:
        edge = np.int64(edges[i] & mask)
        pixel = edge >> 2
        y = pixel // width
        if edge & 3 == 0:
            chosen[pixel - y] = 1
        elif edge & 3 == 1:
            chosen[first_down + pixel] = 1
        elif edge & 3 == 2:
            chosen[first_right + pixel - y] = 1
        else:
            chosen[first_left + pixel - y - 1] = 1
    for e in order:
        if chosen[e] == 0:
            continue
        if e < first_down:
            one = e + e // (width - 1)
            two = one + 1
        elif e < first_right:
            one = e - first_down
            two = one + width
        elif e < first_left:
            one = e - first_right
            one += one // (width - 1)
            two = one + width + 1
        else:
            one = e - first_left
            one += one // (width - 1) + 1
            two = one + width - 1
        a, b = _name(region, one), _name(region, two)
        if a != b and min(nodes[a, 0], nodes[b, 0]) < min_size:
            if nodes[a, 0] < nodes[b, 0]:
                a, b = b, a
            region[b] = a
            nodes[a, 0] += nodes[b, 0]
            regions -= 1
    return regions


@compiled
def _one_by_one(
    order: NDArray[np.int64],
    costs: Doubles,
    one: Indices,
    two: Indices,
    step: float,
    min_size: int,
    parent: Indices,
) -> int:
    """Both passes, over edges in the given order; the number of regions."""
    regions = len(parent)
    size = np.ones(len(parent), dtype=np.int32)
    threshold = np.full(len(parent), np.float32(step))
    for final in (False, True):
        for e in order:
            a, b = _name(parent, one[e]), _name(parent, two[e])
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
def _number(parent: Indices, labels: Indices) -> int:
    """Give components numbers in the order of their first pixels."""
    names = np.full(len(parent), -1, dtype=np.int32)
    count = 0
    for p in range(len(parent)):
        name = _name(parent, p)
        if names[name] < 0:
            names[name] = count
            count += 1
        labels[p] = names[name]
    return count
