"""Scenes of the `shapes` study: objects on a background, the same pixels on every machine.

All arithmetic is that of whole numbers, or of IEEE sums and products; random numbers come
from `random.Random.random`, whose stream Python guarantees, and from SplitMix64. Nothing is
drawn by a library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.datasets import shapes_kernels as kernels
from analysis.datasets.shapes_words import COLORS, MOST, SHAPES, SIZES
from complexity.errors import InputError

SIDE = kernels.SIDE

#: Of each size, the distance from the centre to the farthest pixel on an axis, pixels.
RADII = (6, 8, 11)

PATTERNS = ("plain", "stripes", "checker", "dots", "bricks", "zigzag", "blocks")
"""Kinds of background; all but the first have a contrast."""

MOST_MARKS = 80
"""Most marks of clutter."""

MOST_HIDDEN = 0.4
"""Largest share of the objects' area that can be asked to be hidden."""

FEW = 6
"""Up to so many objects cannot hide each other enough: grey slats lie over them, too."""

STEP = 110
"""Grey levels between the darkest and the lightest tone of a background at texture 1."""

_FILLS = (
    (222, 40, 44), (246, 138, 26), (240, 222, 52), (44, 158, 62),
    (72, 208, 220), (44, 78, 220), (134, 54, 176), (250, 150, 200),
)  # fmt: skip


class Thing(NamedTuple):
    """An object of a scene.

    Attributes
    ----------
    color, shape, size : str
        Of `COLORS`, `SHAPES` and `SIZES`.
    x, y : int
        Centre, pixels from the left and from the top.
    area, visible : int
        Pixels, and those of them that nothing lies over.
    """

    color: str
    shape: str
    size: str
    x: int
    y: int
    area: int
    visible: int


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is in it.

    Attributes
    ----------
    seed : int
        What it was made from.
    image : array of uint8, shape (128, 128, 3)
        RGB.
    objects : tuple of Thing
        From back to front.
    clutter : int
        Thin strokes and dots in greys that are no objects, 0 to 80.
    texture : float
        Contrast of the background's tones, 0 to 1 (110 grey levels).
    background : str
        Of `PATTERNS`; plain where `texture` is 0.
    occlusion : float
        Share of the objects' area, over all of them, that is hidden.
    """

    seed: int
    image: NDArray[np.uint8] = field(repr=False)
    objects: tuple[Thing, ...] = field(repr=False)
    clutter: int
    texture: float
    background: str
    occlusion: float

    @property
    def n_objects(self) -> int:
        """Number of objects, 1 to 48."""
        return len(self.objects)


def scene(
    seed: int,
    *,
    n_objects: int | None = None,
    clutter: int | None = None,
    texture: float | None = None,
    occlusion: float | None = None,
    background: str | None = None,
) -> Scene:
    """Make a scene; it depends on the arguments alone.

    Parameters
    ----------
    seed : int
        Not negative.
    n_objects : int, optional
        1 to 48. Left out: even over 1 to 48, or even over its doublings, by a coin.
    clutter : int, optional
        Marks, 0 to 80. Left out: none, or even.
    texture : float, optional
        Contrast of the background, 0 to 1. Left out: none, or even.
    occlusion : float, optional
        Share of the objects' area to be hidden, 0 to 0.4; `Scene.occlusion` is what came of
        it. Left out: none, or even. Every object shows 45 % of its area or more.
    background : str, optional
        Of `PATTERNS`. Left out: any; plain whenever `texture` is 0.

    Returns
    -------
    Scene

    Raises
    ------
    InputError
        An argument out of its range.
    """
    if seed < 0:
        raise InputError(f"shapes: the seed is {seed}; it must not be negative")
    chance = Random(seed)
    n = _training_count(chance) if n_objects is None else n_objects
    marks = _training_share(chance, 0.25)
    step = _training_share(chance, 0.2)
    hidden = _training_share(chance, 0.3)
    kind = 1 + _below(chance, len(PATTERNS) - 1)
    if background is not None:
        _check("background", background in PATTERNS, background, ", ".join(PATTERNS))
        kind = PATTERNS.index(background)
    marks = int(marks * MOST_MARKS + 0.5) if clutter is None else clutter
    contrast = int((step if texture is None else texture) * STEP + 0.5)
    hidden = hidden * MOST_HIDDEN if occlusion is None else occlusion
    _check("n_objects", 1 <= n <= MOST, n, f"1 to {MOST}")
    _check("clutter", 0 <= marks <= MOST_MARKS, marks, f"0 to {MOST_MARKS}")
    _check("texture", 0 <= contrast <= STEP, texture, "0 to 1")
    _check("occlusion", 0 <= hidden <= MOST_HIDDEN, hidden, f"0 to {MOST_HIDDEN}")
    kind = kind if contrast else 0
    contrast = contrast if kind else 0

    colors, shapes, sizes = _composition(chance, n)
    of_shape, of_size = np.array(shapes, np.int64), np.array(sizes, np.int64)
    masks, areas, radii = _masks()
    owner = np.empty((SIDE, SIDE), np.int16)
    xs, ys, visible = (np.empty(n, np.int64) for _ in range(3))
    state = np.array([int(chance.random() * (1 << 53))], np.uint64)
    aim = int(hidden * 10_000 + 0.5)
    if not kernels.place(
        state, of_shape, of_size, masks, areas, radii, aim, owner, xs, ys, visible
    ):
        raise AssertionError(f"shapes: no place for an object of scene {seed}")
    area = areas[of_shape, of_size]
    if n <= FEW:
        kernels.slats(state, radii[of_size], area, xs, ys, aim, owner, visible)

    image = np.empty((SIDE, SIDE, 3), np.uint8)
    fills = _fills()[np.array(colors), [_below(chance, 3) for _ in range(n)]]
    base = 80 + _below(chance, 96)
    tint = [_below(chance, 15) - 7 for _ in range(3)]
    greys = [base + (2 * i - 3) * contrast // 6 for i in range(4)]
    tones = np.array([[grey + t for t in tint] for grey in greys], np.uint8)
    inks = np.array([[grey] * 3 for grey in (16, 60, 200, 244)], np.uint8)
    slat = np.full(3, 224, np.uint8)
    kernels.paint(
        state, kind, tones, owner, of_shape, of_size, masks, radii, xs, ys,
        fills, fills // 3, slat, marks, inks, image,
    )  # fmt: skip
    image.flags.writeable = False
    seen, whole = visible.tolist(), area.tolist()
    things = tuple(
        map(
            Thing,
            [COLORS[i] for i in colors],
            [SHAPES[i] for i in shapes],
            [SIZES[i] for i in sizes],
            xs.tolist(),
            ys.tolist(),
            whole,
            seen,
        )
    )
    share = 1 - sum(seen) / sum(whole)
    return Scene(seed, image, things, marks, contrast / STEP, PATTERNS[kind], share)


def _check(name: str, right: bool, given: object, allowed: str) -> None:
    if not right:
        raise InputError(f"shapes: {name} is {given}; it must be {allowed}")


def _below(chance: Random, below: int) -> int:
    """Draw a whole number from 0 to `below` − 1."""
    return int(chance.random() * below)


def _training_count(chance: Random) -> int:
    """Draw a number of objects: even, or even over 1, 2–3, 4–7, 8–15, 16–31 and 32–48."""
    coin, share, place = chance.random(), chance.random(), chance.random()
    if coin < 0.5:
        return 1 + int(share * MOST)
    low = 1 << int(share * 6)
    return low + int(place * (min(2 * low, MOST + 1) - low))


def _training_share(chance: Random, none: float) -> float:
    """Draw 0 with a probability, else evenly from 0 to 1; always takes two numbers."""
    coin, share = chance.random(), chance.random()
    return 0.0 if coin < none else share


def _composition(chance: Random, n: int) -> tuple[list[int], list[int], list[int]]:
    """Draw colours, shapes and sizes: some common and some rare, some of one object only."""
    colors = _shares(chance, n, len(COLORS), chance.random() < 0.5)
    shapes = _shares(chance, n, len(SHAPES), chance.random() < 0.5)
    coin, one = chance.random(), _below(chance, n)
    # One large among smaller ones, one small among larger ones, or any.
    odds = ((5, 3, 0), (0, 3, 2), (5, 3, 2))[0 if coin < 0.25 else 1 if coin < 0.4 else 2]
    bag = [size for size, weight in enumerate(odds) for _ in range(weight)]
    sizes = [bag[_below(chance, len(bag))] for _ in range(n)]
    if coin < 0.4:
        sizes[one] = 2 if coin < 0.25 else 0
    return colors, shapes, sizes


def _shares(chance: Random, n: int, kinds: int, single: bool) -> list[int]:
    """Draw a kind for each of n objects, some kinds more often; if `single`, one just once."""
    order = list(range(kinds))
    for i in range(kinds - 1, 0, -1):
        j = _below(chance, i + 1)
        order[i], order[j] = order[j], order[i]
    some = order[1 : 2 + 1 + _below(chance, kinds - 2)]
    power = 1 + _below(chance, 2)
    weights = [1 + _below(chance, 4) ** power for _ in some]
    bag = [kind for kind, weight in zip(some, weights, strict=True) for _ in range(weight)]
    drawn = [bag[_below(chance, len(bag))] for _ in range(n)]
    if single:
        drawn[_below(chance, n)] = order[0]
    return drawn


@cache
def _fills() -> NDArray[np.uint8]:
    """Colours in three shades, shape (8, 3, 3)."""
    shades: NDArray[np.int64] = (
        np.array(_FILLS, np.int64)[:, None, :] + np.array([-14, 0, 14])[None, :, None]
    )
    return np.clip(shades, 0, 255).astype(np.uint8)


@cache
def _masks() -> tuple[tuple[NDArray[np.uint8], ...], NDArray[np.int64], NDArray[np.int64]]:
    """Rasterise the shapes.

    Returns
    -------
    masks : tuple of array of uint8, shape (SHAPES, 2 r + 1, 2 r + 1)
        For each size: 0 outside, 1 inside, 2 on the outline.
    areas : array of int64, shape (SHAPES, SIZES)
        Pixels that are not 0.
    radii : array of int64, shape (SIZES,)
        Pixels.
    """
    masks = []
    for r in RADII:
        inside = np.stack([_inside(shape, r) for shape in SHAPES])
        padded = np.pad(inside, ((0, 0), (1, 1), (1, 1)))
        deep = (
            padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
        )
        masks.append(np.where(inside, np.where(deep, 1, 2), 0).astype(np.uint8))
    areas = np.stack([(mask > 0).sum((1, 2)) for mask in masks], axis=1).astype(np.int64)
    return tuple(masks), areas, np.array(RADII, np.int64)


def _inside(shape: str, r: int) -> NDArray[np.bool_]:
    """Say which pixels of a square of 2 r + 1 a shape takes; y goes down."""
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    y, x = np.mgrid[-r : r + 1, -r : r + 1].astype(np.int64)
    wide, far = np.abs(x), x * x + y * y
    disc: NDArray[np.bool_] = far <= r * r + r
    if shape == "circle":
        return disc
    if shape == "square":
        half = (r * 86 + 50) // 100
        return (wide <= half) & (np.abs(y) <= half)
    if shape == "triangle":
        return (7 * wide <= 4 * (y + r) + 3) & (4 * y <= 3 * r)
    if shape == "diamond":
        return wide + np.abs(y) <= r
    if shape == "cross":
        arm = (r * 33 + 50) // 100
        return (wide <= arm) | (np.abs(y) <= arm)
    if shape == "ring":
        hole = (r * 42 + 50) // 100
        return disc & (far > hole * hole + hole)
    if shape == "star":
        # Within at least four of the five lines of a pentagram, in thousandths of a pixel.
        points = ((0, -1000), (951, -309), (-951, -309), (588, 809), (-588, 809))
        within = sum((x * a + y * b <= 345 * r + 200).astype(np.int64) for a, b in points)
        return np.asarray(within >= 4) & (far <= (r + 1) * (r + 1))
    if shape == "heart":
        lobe, top = (r + 1) // 2, -(2 * r + 2) // 5
        round_top = (wide - lobe) ** 2 + (y - top) ** 2 <= lobe * lobe + lobe
        return (round_top | ((y >= top) & (6 * wide <= 5 * (r - y) + 3))) & (wide <= r)
    raise ValueError(shape)
