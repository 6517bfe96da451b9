"""Compiled parts of `complexity.metrics.felzenszwalb`: regions that merge along edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled
from complexity.metrics.felzenszwalb_graph_kernels import Doubles, Indices, Keys, Names


@compiled
def name_of(parent: Any, pixel: Any) -> Any:
    """Find the pixel that names a region, and shorten the way to it."""
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


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
