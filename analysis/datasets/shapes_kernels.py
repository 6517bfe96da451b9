"""Compiled parts of `analysis.datasets.shapes_scenes`: integer arithmetic throughout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Numbers = NDArray[np.int64]
State = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Owners = NDArray[np.int16]

SIDE = 128
"""Width and height of an image, pixels."""

FREE = -1
"""Owner of a pixel of the background."""

SLAT = -2
SLAT_EDGE = -3
"""Owners of the pixels of a neutral slat that lies over an object."""

KEPT = 9
"""Twentieths of its area that an object shows, at least."""

FREE_TRIES = 400
JOINED_TRIES = 80


@compiled
def draw(state: State, below: int) -> int:
    """Draw a whole number from 0 to `below` − 1 by SplitMix64 (Steele, Lea & Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.int64(((z >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32))  # type: ignore[return-value]


@compiled
def covering(
    x: int, y: int, mask: Bytes, owner: Owners, most: int, tally: Numbers, met: Numbers
) -> tuple[int, int]:
    """Count the pixels of objects below a mask put at (x, y).

    Parameters
    ----------
    x, y : int
        Centre, pixels.
    mask : array of uint8, shape (m, m), m odd
        Not 0 where the shape is.
    owner : array of int16, shape (SIDE, SIDE)
        Number of the object at each pixel, or FREE.
    most : int
        Give up above so many.
    tally : array of int64, shape (objects,)
        Zeros; filled with the pixels lost to each object met.
    met : array of int64, shape (objects,)
        Filled with the objects met.

    Returns
    -------
    covered, others : int
        Pixels, and objects met; `most` + 1 pixels where it gave up.
    """
    half = mask.shape[0] // 2
    covered = 0
    others = 0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j] == 0:
                continue
            below = owner[y + i - half, x + j - half]
            if below >= 0:
                covered += 1
                if covered > most:
                    return covered, others
                if tally[below] == 0:
                    met[others] = below
                    others += 1
                tally[below] += 1
    return covered, others


@compiled
def place(
    state: State,
    shapes: Numbers,
    sizes: Numbers,
    masks: Any,
    areas: Numbers,
    radii: Numbers,
    aim: int,
    owner: Owners,
    xs: Numbers,
    ys: Numbers,
    visible: Numbers,
) -> bool:
    """Lay objects one over the other, from back to front, with a share of their area hidden.

    Each is put where it hides about as much of the earlier ones as is still missing: clear
    of all of them while little is missing, else beside one of them. Every object keeps
    `KEPT` twentieths of its area.

    Parameters
    ----------
    state : array of uint64, shape (1,)
        Of the random numbers.
    shapes, sizes : array of int64, shape (n,)
        Indices into `masks`, `areas` and `radii`.
    masks : tuple of array of uint8, shape (SHAPES, 2 r + 1, 2 r + 1)
        One array per size: not 0 where the shape is.
    areas : array of int64, shape (SHAPES, SIZES)
        Pixels of each mask.
    radii : array of int64, shape (SIZES,)
        Pixels.
    aim : int
        Hidden share of the total area, in 1/10,000.
    owner : array of int16, shape (SIDE, SIDE)
        Filled: the object at each pixel, or FREE.
    xs, ys, visible : array of int64, shape (n,)
        Filled: centres, and pixels that are seen.

    Returns
    -------
    bool
        Whether all found a place.
    """
    n = len(shapes)
    tally = np.zeros(n, np.int64)
    met = np.zeros(n, np.int64)
    total = 0
    hidden = 0
    owner[:] = FREE
    for k in range(n):
        mask = masks[sizes[k]][shapes[k]]
        area = areas[shapes[k], sizes[k]]
        r = radii[sizes[k]]
        span = SIDE - 2 * r - 2
        total += area
        want = aim * total // 10000 - hidden
        least = area // 16 if k + 3 >= n else area * (8 + draw(state, 40)) // 100
        if k == 0 or want < least:
            want = 0
        tries = JOINED_TRIES if want > 0 else FREE_TRIES
        near = area // 24 if want > 0 else 0
        best = SIDE * SIDE
        best_x = 0
        best_y = 0
        # After the random tries, every place in turn: so that none is ever left over.
        for t in range(tries + span * span):
            if t >= tries:
                if best < SIDE * SIDE:
                    break
                x = r + 1 + (t - tries) % span
                y = r + 1 + (t - tries) // span
            elif want > 0:
                other = draw(state, k)
                reach = r + radii[sizes[other]]
                x = xs[other] + draw(state, 2 * reach + 1) - reach
                y = ys[other] + draw(state, 2 * reach + 1) - reach
                if x <= r or y <= r or x >= SIDE - 1 - r or y >= SIDE - 1 - r:
                    continue
            else:
                x = r + 1 + draw(state, span)
                y = r + 1 + draw(state, span)
            covered, others = covering(x, y, mask, owner, want + best - 1, tally, met)
            fits = True
            for i in range(others):
                one = met[i]
                if 20 * (visible[one] - tally[one]) < KEPT * areas[shapes[one], sizes[one]]:
                    fits = False
                tally[one] = 0
            gap = abs(covered - want)
            if fits and gap < best:
                best, best_x, best_y = gap, x, y
                if best <= near:
                    break
        if best == SIDE * SIDE:
            return False
        xs[k] = best_x
        ys[k] = best_y
        visible[k] = area
        for i in range(2 * r + 1):
            for j in range(2 * r + 1):
                if mask[i, j]:
                    below = owner[best_y + i - r, best_x + j - r]
                    if below >= 0:
                        visible[below] -= 1
                        hidden += 1
                    owner[best_y + i - r, best_x + j - r] = k
    return True


@compiled
def slats(
    state: State,
    reach: Numbers,
    areas: Numbers,
    xs: Numbers,
    ys: Numbers,
    aim: int,
    owner: Owners,
    visible: Numbers,
) -> None:
    """Lay neutral slats over objects until a share of their area is hidden.

    For scenes of so few objects that they cannot hide each other enough. A slat takes whole
    columns of one object from its left or right side, and some free pixels around: half of any
    of the shapes, so cut, cannot be taken for another.

    Parameters
    ----------
    state : array of uint64, shape (1,)
        Of the random numbers.
    reach, areas, xs, ys, visible : array of int64, shape (n,)
        Radius, area, centre and visible area of each object; the last is changed.
    aim : int
        Hidden share of the total area, in 1/10,000.
    owner : array of int16, shape (SIDE, SIDE)
        As from `place`; changed.
    """
    total = 0
    seen = 0
    for k in range(len(areas)):
        total += areas[k]
        seen += visible[k]
    missing = aim * total // 10000 - (total - seen)
    for k in range(len(areas)):
        side = draw(state, 2)
        r = reach[k]
        if 80 * missing < total:
            return
        cut = 0
        lost = 0
        for step in range(2 * r + 1):
            line = 0
            for across in range(-r, r + 1):
                x = xs[k] + (step - r if side == 0 else r - step)
                y = ys[k] + across
                if owner[y, x] == k:
                    line += 1
            if 2 * (lost - missing) + line > 0 or 20 * (visible[k] - lost - line) < KEPT * areas[k]:
                break
            lost += line
            cut = step + 1
        if lost == 0:
            continue
        visible[k] -= lost
        missing -= lost
        for step in range(-2, cut):
            for across in range(-r - 2, r + 3):
                x = xs[k] + (step - r if side == 0 else r - step)
                y = ys[k] + across
                if x < 0 or y < 0 or x >= SIDE or y >= SIDE:
                    continue
                if owner[y, x] == k or owner[y, x] == FREE:
                    edge = step == -2 or step == cut - 1 or abs(across) == r + 2
                    owner[y, x] = SLAT_EDGE if edge else SLAT


@compiled
def pattern_tone(pattern: int, x: int, y: int, period: int, turn: int, shift: int, key: int) -> int:
    """Say which of four tones a background has at a pixel, offsets already added to it.

    Patterns: 0 plain, 1 stripes (in four directions, `turn`), 2 checker, 3 dots, 4 bricks,
    5 zigzag, 6 blocks (a grey of four for each cell, from a hash of the cell and `key`).
    """
    if pattern == 1:
        along = x
        if turn == 1:
            along = y
        elif turn == 2:
            along = x + y
        elif turn == 3:
            along = x - y + 2 * SIDE
        return 3 * ((along // period) % 2)
    if pattern == 2:
        return 3 * ((x // period + y // period) % 2)
    if pattern == 3:
        wide = period + 3
        dx = 2 * (x % wide) - wide
        dy = 2 * (y % wide) - wide
        return 3 if 2 * (dx * dx + dy * dy) < wide * wide else 0
    if pattern == 4:
        high = period + 2
        row = y // high
        if y % high == 0:
            return 3
        return 3 if (x + (row % 2) * high) % (2 * high) == 0 else 0
    if pattern == 5:
        bend = abs(x % (2 * period) - period)
        return 3 * (((y + bend) // period) % 2)
    if pattern == 6:
        cell = 2 + shift
        mixed = ((x // cell) * 73856093) ^ ((y // cell) * 19349663) ^ key
        mixed = (mixed ^ (mixed >> 13)) & 0x3FFFFFFF
        return ((mixed * 1274126177) >> 27) & 3
    return 0


@compiled
def paint(
    state: State,
    pattern: int,
    tones: Bytes,
    owner: Owners,
    shapes: Numbers,
    sizes: Numbers,
    masks: Any,
    radii: Numbers,
    xs: Numbers,
    ys: Numbers,
    fills: Bytes,
    outlines: Bytes,
    slat: Bytes,
    marks: int,
    inks: Bytes,
    image: Bytes,
) -> None:
    """Colour every pixel: background, objects, slats, then thin marks on what is left free.

    Parameters
    ----------
    state : array of uint64, shape (1,)
        Of the random numbers.
    pattern : int
        See `pattern_tone`.
    tones : array of uint8, shape (4, 3)
        Colours of the background.
    owner, shapes, sizes, masks, radii, xs, ys
        As from `place`.
    fills, outlines : array of uint8, shape (n, 3)
        Colours of each object.
    slat : array of uint8, shape (3,)
        Colour of the slats; their edges are black.
    marks : int
        Strokes and dots that are no objects.
    inks : array of uint8, shape (inks, 3)
        Their colours.
    image : array of uint8, shape (SIDE, SIDE, 3)
        Filled.
    """
    period = 4 + draw(state, 11)
    turn = draw(state, 4)
    shift = draw(state, 4)
    key = draw(state, 1 << 30)
    off_x = draw(state, 64)
    off_y = draw(state, 64)
    for y in range(SIDE):
        for x in range(SIDE):
            own = owner[y, x]
            if own >= 0:
                r = radii[sizes[own]]
                inside = masks[sizes[own]][shapes[own], y - ys[own] + r, x - xs[own] + r]
                for c in range(3):
                    image[y, x, c] = fills[own, c] if inside == 1 else outlines[own, c]
            elif own != FREE:
                for c in range(3):
                    image[y, x, c] = slat[c] if own == SLAT else 0
            else:
                tone = pattern_tone(pattern, x + off_x, y + off_y, period, turn, shift, key)
                for c in range(3):
                    image[y, x, c] = tones[tone, c]
    for _ in range(marks):
        ink = inks[draw(state, len(inks))]
        x = 0
        y = 0
        for _try in range(12):
            x = draw(state, SIDE)
            y = draw(state, SIDE)
            if owner[y, x] == FREE:
                break
        if draw(state, 5) < 2:
            for i in range(4):
                stroke(image, owner, x + i % 2, y + i // 2, ink)
        else:
            # The step along the stroke in eighths of a pixel, in one of 16 directions.
            step_x = draw(state, 17) - 8
            step_y = 8 if draw(state, 2) == 0 else -8
            if draw(state, 2) == 0:
                step_x, step_y = step_y, step_x
            for i in range(5 + draw(state, 12)):
                stroke(image, owner, x + (i * step_x + 4) // 8, y + (i * step_y + 4) // 8, ink)


@compiled
def stroke(image: Bytes, owner: Owners, x: int, y: int, ink: Bytes) -> None:
    """Colour one pixel of a mark, where it is in the image and free."""
    if 0 <= x < SIDE and 0 <= y < SIDE and owner[y, x] == FREE:
        for c in range(3):
            image[y, x, c] = ink[c]
