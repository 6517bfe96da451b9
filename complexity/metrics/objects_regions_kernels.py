"""Compiled parts of `complexity.metrics.objects`: superpixels, merged by colour, and the ground."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


@compiled
def _root(parent: Array, pixel: Any) -> Any:
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@compiled
def flat_zones(planes: Array, parent: Array, sizes: Array) -> None:
    """Join pixels of one colour that touch, corners included; a zone is named by a pixel."""
    height, width = planes.shape[1:]
    colour = np.full((2, width + 2), -1, dtype=np.int32)
    same = np.empty(width, dtype=np.int32)
    place = np.empty(width, dtype=np.int32)
    for pixel in range(height * width):
        parent[pixel] = pixel
    for y in range(height):
        here, before = colour[y % 2], colour[(y + 1) % 2]
        red, green, blue, line = planes[0, y], planes[1, y], planes[2, y], here[1:]
        for x in range(width):
            line[x] = np.int32(red[x]) << 16 | np.int32(green[x]) << 8 | np.int32(blue[x])
        # Which of left, up, up left, up right has the same colour.
        for x in range(width):
            mine = here[x + 1]
            same[x] = (
                np.int32(here[x] == mine)
                | np.int32(before[x + 1] == mine) << 1
                | np.int32(before[x] == mine) << 2
                | np.int32(before[x + 2] == mine) << 3
            )
        # First without branches: most pixels of a photograph are zones of their own.
        n = 0
        for x in range(width):
            place[n] = x
            n += same[x] != 0
        start = y * width
        for i in range(n):
            at, found = np.uint64(start + place[i]), same[place[i]]
            above = at - np.uint64(width)
            if found & 2:  # the others touch this one
                parent[at] = _root(parent, above)
            else:
                if found & 1:
                    root = _root(parent, at - np.uint64(1))
                elif found & 4:
                    root = _root(parent, above - np.uint64(1))
                else:
                    root = _root(parent, above + np.uint64(1))
                if found & 8:
                    other = _root(parent, above + np.uint64(1))
                    if other < root:
                        parent[root], root = other, other
                    else:
                        parent[other] = root
                parent[at] = root
    for pixel in range(height * width):
        sizes[pixel] = 0
    for pixel in range(height * width):
        # Names are first pixels, so what a pixel points at has its name already.
        name = parent[parent[pixel]]
        parent[pixel] = name
        sizes[name] += 1


@compiled
def _steps(lab: Array, y: int, down: int, right: int, out: Array) -> None:
    """Squared distances of a row of pixels from one of their neighbours, to 8 binary digits.

    From one place to the right on where the neighbour is at the left; huge without neighbour.
    """
    width = lab.shape[2]
    bits = out.view(np.int32)
    n = width - abs(right)
    if y + down >= lab.shape[1]:
        n = 0
    for x in range(n, len(out)):
        out[x] = np.float32(3e38)
    if n == 0:
        return
    first = max(0, -right)
    l1, l2 = lab[0, y, first:], lab[0, y + down, first + right :]
    a1, a2 = lab[1, y, first:], lab[1, y + down, first + right :]
    b1, b2 = lab[2, y, first:], lab[2, y + down, first + right :]
    for x in range(n):
        dl, da, db = l1[x] - l2[x], a1[x] - a2[x], b1[x] - b2[x]
        out[x] = max(dl * dl + da * da + db * db, np.float32(2.0**-9))
    for x in range(n):
        bits[x] &= -65536


@compiled
def weigh(lab: Array, parent: Array, sizes: Array, least: int, keys: Array, big: Array) -> int:
    """List the edges that can join a small zone to another, as sort keys: distance, then place.

    Edge 4 p + d leaves pixel p to the right, down, down right or down left; above its 20 bits
    are 12 of the distance: 5 of the binary exponent of its square, 7 of the mantissa. The
    longest edge of a triangle is left out: when its turn comes, its ends are in one zone, or
    both in zones that are not small.

    Returns the number of edges; ``big`` takes up which pixels are in zones that are not small.
    """
    height, width = lab.shape[1:]
    for pixel in range(height * width):
        big[pixel] = sizes[parent[pixel]] >= least
    # What leaves a row of pixels right, down, down right, and from the next one down left.
    steps = np.empty((5, width), dtype=np.float32)
    drop = np.zeros((5, width + 1), dtype=np.uint8)
    made = np.empty(width, dtype=np.uint32)
    filled = 0
    _steps(lab, 0, 0, 1, steps[4])
    for y in range(height):
        steps[0] = steps[4]
        drop[0] = drop[4]
        right, down, falling, rising, below = steps[0], steps[1], steps[2], steps[3], steps[4]
        _steps(lab, y, 1, 0, down)
        _steps(lab, y, 1, 1, falling)
        _steps(lab, y, 1, -1, rising)
        if y + 1 < height:
            _steps(lab, y + 1, 0, 1, below)
        else:
            below[:] = np.float32(3e38)
        drop[1] = 0
        lost0, lost1, lost1_next, lost2, lost3, lost4 = (
            drop[0],
            drop[1],
            drop[1, 1:],
            drop[2],
            drop[3],
            drop[4],
        )
        after = down[1:]
        for x in range(width - 1):
            a, b, c, d, e, f = right[x], below[x], down[x], after[x], falling[x], rising[x]
            lost2[x] = (e > max(a, d)) | (e > max(c, b))
            lost3[x] = (f > max(a, c)) | (f > max(b, d))
            lost0[x] |= (a > max(d, e)) | (a > max(c, f))
            lost4[x] = (b > max(c, e)) | (b > max(d, f))
        for x in range(width - 1):
            a, b, c, e, f = right[x], below[x], down[x], falling[x], rising[x]
            lost1[x] |= (c > max(b, e)) | (c > max(a, f))
        for x in range(width - 1):
            a, b, d, e, f = right[x], below[x], after[x], falling[x], rising[x]
            lost1_next[x] |= (d > max(a, e)) | (d > max(b, f))
        for way in range(4 if y + 1 < height else 1):
            first = y * width + (1 if way == 3 else 0)
            ahead = (1, width, width + 1, width - 1)[way]
            one, two = big[first:], big[first + ahead :]
            mine, other = parent[first:], parent[first + ahead :]
            lost, bits = drop[way], steps[way].view(np.int32)
            n = width if way == 1 else width - 1
            for x in range(n):
                lost[x] |= (mine[x] == other[x]) | (one[x] & two[x])
            # By parts, so that all but the last is done for many edges at once.
            for x in range(n):
                level = np.uint32((bits[x] >> 16) - ((127 - 9) << 7))
                made[x] = level << np.uint32(20) | np.uint32(4 * (first + x) + way)
            for x in range(n):
                keys[filled] = made[x]
                filled += 1 - lost[x]
    return filled


@compiled
def absorb(keys: Array, width: int, least: int, parent: Array, sizes: Array) -> None:
    """Along rising edges, merge zones of which one is small.

    Indices here are unsigned: of signed ones Numba asks each time whether they are negative.
    """
    ahead = np.array((1, width, width + 1, width - 1), dtype=np.uint32)
    enough = np.uint32(least)
    ones, twos = np.empty(64, dtype=np.uint32), np.empty(64, dtype=np.uint32)
    for start in range(0, len(keys), 64):
        # First without branches: most edges are between large zones, or in one. Zones may have
        # grown or been merged since; then the edge goes on and is looked at below.
        n = 0
        for i in range(start, min(start + 64, len(keys))):
            edge = keys[i] & np.uint32(0xFFFFF)
            one = edge >> np.uint32(2)
            two = one + ahead[edge & np.uint32(3)]
            a, b = parent[parent[one]], parent[parent[two]]
            parent[one], parent[two] = a, b
            ones[n], twos[n] = a, b
            n += (min(sizes[a], sizes[b]) < enough) & (a != b)
        for j in range(n):
            a, b = parent[ones[j]], parent[twos[j]]
            while (parent[a] != a) | (parent[b] != b):
                a, b = parent[parent[a]], parent[parent[b]]
            x, y = sizes[a], sizes[b]
            if a == b or min(x, y) >= enough:
                continue
            swap = (a ^ b) & np.uint32(-np.int32(x < y))  # a branch would be guessed wrong
            a ^= swap
            b ^= swap
            parent[b] = a
            sizes[a] = x + y


@compiled
def number(parent: Array, labels: Array) -> int:
    """Give zones numbers in the order of their first pixels."""
    names = np.full(len(parent), -1, dtype=np.int32)
    count = 0
    for pixel in range(len(parent)):
        name = parent[parent[pixel]]  # nearly always
        if parent[name] != name:
            name = _root(parent, name)
        if names[name] < 0:
            names[name] = count
            count += 1
        labels[pixel] = names[name]
    return count


@compiled
def borders(labels: Array, pairs: Array) -> int:
    """List pairs of different labels that share a side; returns how many, repeats included."""
    height, width = labels.shape
    filled = 0
    for y in range(height):
        here = labels[y]
        for x in range(width - 1):
            pairs[filled, 0], pairs[filled, 1] = here[x], here[x + 1]
            filled += here[x] != here[x + 1]
        if y + 1 < height:
            below = labels[y + 1]
            last_one, last_two = -1, -1
            for x in range(width):
                one, two = here[x], below[x]
                pairs[filled, 0], pairs[filled, 1] = one, two
                filled += (one != two) & ((one != last_one) | (two != last_two))
                last_one, last_two = one, two
    return filled


@compiled
def add_up(labels: Array, planes: Array, sums: Array) -> None:
    """Add up number, and colours of shape (3, h, w), by label, into zeros of shape (n, 4)."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            one = labels[y, x]
            sums[one, 0] += 1
            for c in range(3):
                sums[one, 1 + c] += planes[c, y, x]


@compiled
def merge_alike(pairs: Array, sums: Array, nearest: float, parent: Array) -> None:
    """Merge neighbours whose means are at most `nearest` apart, and again with the new means.

    ``sums`` has number and sums of colours by label, shape (n, 4), ``parent`` each label's own
    number; both are changed: what remains is its own parent. ``pairs`` is used up.
    """
    n = len(pairs)
    means = np.empty((len(sums), 3))
    ones, twos = np.empty(n + 1, dtype=np.uint32), np.empty(n + 1, dtype=np.uint32)
    while True:
        for i in range(len(sums)):
            for c in range(3):
                means[i, c] = sums[i, 1 + c] / max(sums[i, 0], 1)
        left, near = 0, 0
        merged = False
        # First without branches: most pairs are not alike.
        for i in range(n):
            first, second = pairs[i, 0], pairs[i, 1]
            # All of a round by the means that it began with, so that no order matters.
            square = 0.0
            for c in range(3):
                apart = means[first, c] - means[second, c]
                square += apart * apart
            alike = square <= nearest * nearest
            ones[near], twos[near] = first, second
            near += alike
            pairs[left, 0], pairs[left, 1] = first, second
            left += 1 - alike
        for i in range(near):
            a, b = _root(parent, ones[i]), _root(parent, twos[i])
            if a != b:
                parent[max(a, b)] = min(a, b)
                merged = True
        if not merged:
            return
        for i in range(len(sums)):
            root = _root(parent, i)
            if root != i and sums[i, 0] > 0:
                for k in range(4):
                    sums[root, k] += sums[i, k]
                    sums[i, k] = 0
        n = 0
        for i in range(left):
            a, b = _root(parent, pairs[i, 0]), _root(parent, pairs[i, 1])
            pairs[n, 0], pairs[n, 1] = a, b
            n += a != b


@compiled
def count_alike(means: Array, colours: Array, nearest: float, counts: Array) -> None:
    """Count colours, planes of shape (3, m), at most `nearest` from each of means, shape (n, 3)."""
    red, green, blue = colours[0], colours[1], colours[2]
    limit = np.float32(nearest * nearest)
    for i in range(len(means)):
        a, b, c = np.float32(means[i, 0]), np.float32(means[i, 1]), np.float32(means[i, 2])
        count = 0
        for j in range(len(red)):
            d, e, f = red[j] - a, green[j] - b, blue[j] - c
            count += d * d + e * e + f * f <= limit
        counts[i] = count
