"""How cluttered an image is: Feature Congestion and Subband Entropy.

Both are by Rosenholtz, Li & Nakano (2007), and the numbers in the literature come from their
MATLAB code or its translation, the Python package visual-clutter (MIT). That code departs in
two points from what it says it does, and all constants were fitted with these in place:

* *White point.* X, Y and Z in [0, 1] are divided by a white point in percent, so that nearly
  all of CIE L*a*b* falls on its linear foot: L* runs from 0 to 9, proportional to luminance.
* *Levels.* Each level of the Gaussian pyramid is twice as large as the one before (its filter
  has gain 2), and enlarging a level divides it by 4 per octave (its filter has gain 1/4).

So there are two variants. ``published`` computes what that code computes; the registered
metrics are these, as they are comparable with the literature. ``cie`` has true CIE L*a*b*
(D65, L* from 0 to 100) and gain 1 throughout, with the same constants otherwise, which were
never fitted to it: its values are larger, and colour counts for more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.planes import TO_XYZ, linear_levels, rgb_planes
from complexity.metrics.scratch import Scratch
from complexity.registry import UndefinedMetric, metric

Floats = NDArray[np.float32]
Variant = Literal["published", "cie"]

ROSENHOLTZ = "Rosenholtz, Li & Nakano 2007, J. Vision 7(2):17, doi:10.1167/7.2.17"
LEVELS = 3
#: Standard deviations, in pixels of each level, of the windows in which features vary.
COLOUR_WINDOW, CONTRAST_WINDOW, ORIENTATION_WINDOW = 3.0, 3.0, 14.0
#: Added to the variances of L*, a* and b*; of the two orientation features; to the energy.
COLOUR_NOISE = (0.0007**2, 0.1**2, 0.05**2)
ORIENTATION_NOISE, ENERGY_NOISE = 0.001, 1.0
#: Standard deviation of the differences of Gaussians, over which contrast is taken.
CONTRAST_SCALE = 1.0
#: Distance and standard deviation of the oriented filters' three Gaussians; of their pooling.
ORIENTATION_SCALE, ENERGY_WINDOW = 16 / 14 * 1.75, 1.75
#: What each feature is divided by before they are added.
COLOUR_UNIT, CONTRAST_UNIT, ORIENTATION_UNIT = 0.2088, 0.0660, 0.0269
#: Oriented filters need this many pixels at the coarsest level.
SMALLEST = 13
_scratch = Scratch()


@dataclass(frozen=True)
class Congestion:
    """Feature Congestion and its parts.

    Attributes
    ----------
    total : float
        Sum of the parts, each over its unit (.2088, .0660, .0269).
    colour, contrast, orientation : float
        Average over pixels of the local variability of colour, of luminance contrast and of
        orientation, each the largest of three scales.
    """

    total: float
    colour: float
    contrast: float
    orientation: float


def congestion(image: PreparedImage, variant: Variant = "published") -> Congestion:
    """Compute Feature Congestion and its parts.

    Parameters
    ----------
    image : PreparedImage
        The image.
    variant : {"published", "cie"}
        ``published`` agrees with the authors' code; ``cie`` is without its two slips (see the
        module's docstring).

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 49 pixels on a side.
    """
    from complexity.metrics import clutter_kernels as kernels
    from complexity.metrics import orientation_kernels as orientations

    height, width = image.rgb.shape[:2]
    if min(height, width) <= (SMALLEST - 1) << (LEVELS - 1):
        raise UndefinedMetric(
            f"needs {((SMALLEST - 1) << (LEVELS - 1)) + 1} pixels a side, has {width} × {height}"
        )
    gain = 2.0 if variant == "published" else 1.0
    pyramid = [lab_planes(image, variant)]
    for _ in range(1, LEVELS):
        pyramid.append(
            np.stack([_float(gain * cv2.pyrDown(plane)) for plane in pyramid[-1]])  # 1 4 6 4 1
        )
    colour, contrast, orientation = [], [], []
    for planes in pyramid:
        shape = planes.shape[1:]
        colour.append(_spread(kernels.COLOUR, planes, COLOUR_WINDOW, COLOUR_NOISE, np.float64))
        detail = _center_surround(planes[0])
        contrast.append(
            _spread(kernels.CONTRAST, detail[None], CONTRAST_WINDOW, (0.0,), np.float32)
        )
        tables = _pool_tables(shape[0]), _pool_tables(shape[1])
        opponents = np.empty((2, *shape), dtype=np.float32)
        ring = np.empty((tables[0].shape[1], 3, shape[1]), dtype=np.float32)
        orientations.opponents(*_oriented(planes[0]), *tables, ENERGY_NOISE, ring, opponents)
        orientation.append(_orientation_spread(opponents))
    parts = [_collapse(maps, 4 / gain**2) for maps in (colour, contrast, orientation)]
    units = (COLOUR_UNIT, CONTRAST_UNIT, ORIENTATION_UNIT)
    total = sum(part / unit for part, unit in zip(parts, units, strict=True))
    return Congestion(total, *parts)


@metric(
    name="feature_congestion",
    version=1,
    unit="none",
    range=(0.0, None),
    summary="local variability of colour, contrast and orientation at three scales",
    reference=ROSENHOLTZ,
    parameters={
        "variant": "published",
        "levels": LEVELS,
        "windows": [COLOUR_WINDOW, CONTRAST_WINDOW, ORIENTATION_WINDOW],
        "units": [COLOUR_UNIT, CONTRAST_UNIT, ORIENTATION_UNIT],
    },
    presets=("all",),
)
def feature_congestion(image: PreparedImage) -> float:
    """Feature Congestion: how much colour, contrast and orientation vary around each pixel.

    The more features vary, the harder it is to add a thing that would stand out. As the
    authors' code computes it (within .1 % of the package visual-clutter):

    1. L*, a*, b* in units of that code (see below) and their Gaussian pyramids of 3 levels
       (1 4 6 4 1 over 8 in each direction, mirrored borders).
    2. Colour: sixth root of the determinant of the covariance matrix of L*, a* and b* in a
       Gaussian window of sigma 3 (13 pixels), to whose diagonal .0007², .1² and .05² are added.
    3. Contrast: standard deviation, in the same window, of the absolute difference of two
       Gaussians of L*, sigma .71 and 1.14 (7 pixels).
    4. Orientation: L* filtered in four directions by twice a Gaussian less its two shifts by 2
       pixels (all of sigma 2, 13 pixels), squared, pooled (sigma 1.75 on a grid of half
       pixels); horizontal less vertical and diagonal less other diagonal energy over the sum
       of the four plus 1; fourth root of the determinant of the covariance matrix of these
       two in a Gaussian window of sigma 14 (57 pixels; written as a constant and three cosines,
       within 1e-5 of its peak), .001 added to its diagonal.
    5. Levels 2 and 3 enlarged to the first's size, and the largest of the three at each pixel.
    6. The averages over pixels of colour, contrast and orientation, over .2088, .0660 and
       .0269, are added.

    Windows at the border are cut and weighted up. X, Y and Z in [0, 1] are divided by (95.047,
    100, 108.833), the pyramid doubles values at each level, enlarging divides them by 4 an
    octave: slips of the authors' code with which its constants were fitted. `congestion` also
    has a variant without them.

    Not invariant to flips and rotations to the last digit, as a pyramid of an even number of
    pixels is not. It does not see how things are arranged, nor whether they belong together;
    in the units above darkness hides clutter.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        At least 1.248, which a constant image has from the constants added to the variances;
        photographs have about 2 to 8.

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 49 pixels on a side.
    """
    return congestion(image).total


def lab_planes(image: PreparedImage, variant: Variant) -> Floats:
    """CIE L*a*b* of a variant, shape (3, h, w); computed once per image."""
    return image.shared(_published_lab if variant == "published" else _cie_lab)


def _published_lab(image: PreparedImage) -> Floats:
    """CIE L*a*b* planes, white in percent; shape (3, h, w), L* from 0 to 9."""
    return _to_lab(image, (95.047, 100.0, 108.833))


def _cie_lab(image: PreparedImage) -> Floats:
    """CIE L*a*b* planes for D65; shape (3, h, w), L* from 0 to 100."""
    return _to_lab(image, (0.95047, 1.0, 1.08883))


def _to_lab(image: PreparedImage, white: tuple[float, float, float]) -> Floats:
    from complexity.metrics.clutter_kernels import to_lab

    out = np.empty((3, *image.rgb.shape[:2]), dtype=np.float32)
    to_lab(image.shared(rgb_planes), linear_levels(), TO_XYZ / np.array(white)[:, None], out)
    return out


def _float(array: Any) -> Floats:
    return np.asarray(array, dtype=np.float32)


def _gauss(radius: int, sigma: float, center: float = 0.0) -> NDArray[np.float64]:
    across = np.arange(-radius, radius + 1)
    kernel = np.exp(-((across - center) ** 2) / (2 * sigma**2))
    return np.asarray(kernel / kernel.sum())


def _spread(
    kind: int, planes: Floats, sigma: float, noise: tuple[float, ...], of: type[np.floating[Any]]
) -> Floats:
    from complexity.metrics.clutter_kernels import spread

    radius = round(2 * sigma)
    kernel = _gauss(radius, sigma)
    firsts, height, width = planes.shape
    moments = firsts + firsts * (firsts + 1) // 2
    out = np.empty((height, width), dtype=np.float32)
    spread(
        kind,
        planes,
        kernel[radius:].astype(of),
        _inside(height, kernel).astype(of),
        _inside(width, kernel).astype(of),
        np.array(noise, dtype=of),
        np.empty((2 * radius + 1, moments, width), dtype=of),
        out,
    )
    return out


def _orientation_spread(planes: Floats) -> Floats:
    """Fourth root of the determinant of the covariances of two planes in a wide window."""
    from complexity.metrics import orientation_kernels as kernels

    radius = round(2 * ORIENTATION_WINDOW)
    kernel = _gauss(radius, ORIENTATION_WINDOW)
    base, terms = _cosines(ORIENTATION_WINDOW)
    height, width = planes.shape[1:]
    down, across = _inside(height, kernel), _inside(width, kernel)
    moment, filtered = (_scratch.shaped(name, (height, width), np.float32) for name in "mf")
    means = _scratch.shaped("means", (5, width, height), np.float32)
    turned = _scratch.shaped("turned", (width, height), np.float32)
    # Down, turned, and down again: columns side by side are filtered together.
    for mean, pair in zip(means, ((0,), (1,), (0, 0), (0, 1), (1, 1)), strict=True):
        source = planes[pair[0]]
        if len(pair) == 2:
            kernels.product(planes[pair[0]], planes[pair[1]], moment)
            source = moment
        kernels.slide(source, terms, base, radius, down, filtered)
        cv2.transpose(filtered, dst=turned)
        kernels.slide(turned, terms, base, radius, across, mean)
    out = np.empty((width, height), dtype=np.float32)
    kernels.covariance_root(means, np.float32(ORIENTATION_NOISE), out)
    return _float(cv2.transpose(out))


@lru_cache(maxsize=4)
def _cosines(sigma: float) -> tuple[float, NDArray[np.float64]]:
    """Write a Gaussian window cut at 2 sigma as a constant and three cosines.

    By least squares; within 1e-5 of its peak. Returns the constant, and of each cosine what
    `complexity.metrics.orientation_kernels.slide` asks for.
    """
    radius = round(2 * sigma)
    steps = 2.16 / radius * np.arange(4)
    across = np.arange(-radius, radius + 1)
    weights = np.linalg.lstsq(np.cos(np.outer(across, steps)), _gauss(radius, sigma))[0]
    terms = [
        (2 * np.cos(step), np.cos(step * radius), np.cos(step * (radius + 1)), weight)
        for step, weight in zip(steps[1:], weights[1:], strict=True)
    ]
    return float(weights[0]), np.array(terms)


def _inside(length: int, kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 over the share of a kernel that lies inside, by its place."""
    radius = len(kernel) // 2
    padded = np.concatenate([np.zeros(radius), np.ones(length), np.zeros(radius)])
    return np.asarray(1 / np.convolve(padded, kernel, mode="valid"))


def _filter(plane: Floats, across: NDArray[np.float64], down: NDArray[np.float64]) -> Floats:
    return _float(
        cv2.sepFilter2D(plane, cv2.CV_32F, across, down, borderType=cv2.BORDER_REFLECT_101)
    )


def _center_surround(plane: Floats) -> Floats:
    radius = round(3 * CONTRAST_SCALE)
    inner, outer = _gauss(radius, 0.71 * CONTRAST_SCALE), _gauss(radius, 1.14 * CONTRAST_SCALE)
    return _float(np.abs(_filter(plane, inner, inner) - _filter(plane, outer, outer)))


def _oriented(plane: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Responses: horizontal, vertical, half the sum and half the difference of the diagonals."""
    from complexity.metrics.clutter_kernels import RADIUS
    from complexity.metrics.orientation_kernels import oriented

    padded = cv2.copyMakeBorder(plane, *(RADIUS,) * 4, borderType=cv2.BORDER_REFLECT_101)
    out = _scratch.shaped("oriented", (4, *plane.shape), np.float32)
    oriented(padded, *_oriented_taps(), out)
    return out[0], out[1], out[2], out[3]


@lru_cache(maxsize=1)
def _oriented_taps() -> tuple[Floats, Floats]:
    """Right or lower halves of the filters, the middle first; see the kernel `oriented`."""
    bar, plain, even, odd = _oriented_kernels()
    radius = len(bar) // 2
    symmetric = np.array([(plain, bar), (bar, plain), *even])
    return (
        _float((symmetric + symmetric[..., ::-1])[..., radius:] / 2),
        _float((np.array(odd) - np.array(odd)[..., ::-1])[..., radius:] / 2),
    )


Pairs = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


@lru_cache(maxsize=1)
def _oriented_kernels() -> tuple[NDArray[np.float64], NDArray[np.float64], Pairs, Pairs]:
    """Separable filters: second derivative, smoothing; sums of separable ones for diagonals.

    The authors turn the filters by 45 degrees with bicubic interpolation; here the result is
    taken apart into even and odd parts, and these into products, the negligible ones left out.
    """
    sigma = ORIENTATION_SCALE
    radius = round(3 * sigma)
    plain, before, after = (_gauss(radius, sigma, c) for c in (0.0, sigma, -sigma))
    bar = 2 * plain - before - after
    right, left = (
        sum(
            weight * _turned(np.outer(down, plain), angle)
            for weight, down in ((2.0, plain), (-1.0, before), (-1.0, after))
        )
        for angle in (45, -45)
    )
    return bar, plain, _products((right + left) / 2, 4), _products((right - left) / 2, 3)


def _products(kernel: Any, rank: int) -> Pairs:
    """Take a filter apart into (across, down) products."""
    down, size, across = np.linalg.svd(kernel)
    return [(across[i] * np.sqrt(size[i]), down[:, i] * np.sqrt(size[i])) for i in range(rank)]


def _turned(kernel: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Turn a filter about its middle; its smallest value beyond its border; sum 1."""
    low = float(kernel.min())
    radius = kernel.shape[0] // 2
    padded = np.pad(kernel - low, 2 * radius)
    angle = np.deg2rad(degrees)
    rows, columns = np.indices(kernel.shape) - radius
    x = np.cos(angle) * columns - np.sin(angle) * rows + 3 * radius
    y = np.sin(angle) * columns + np.cos(angle) * rows + 3 * radius
    first_x, first_y = np.floor(x).astype(int), np.floor(y).astype(int)
    turned = np.zeros_like(kernel)
    for i in range(-1, 3):
        for j in range(-1, 3):
            weight = _cubic(y - first_y - i) * _cubic(x - first_x - j)
            turned += weight * padded[first_y + i, first_x + j]
    turned = np.clip(turned, 0, np.ptp(kernel)) + low
    return np.asarray(turned / turned.sum())


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution, a = -1/2."""
    d = np.abs(distance)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@lru_cache(maxsize=64)
def _pool_tables(length: int) -> Floats:
    """Weights by which energy is pooled in one direction; shape (length, 2 r + 1).

    As the authors do it: places are doubled (zeros in between), filtered with the window cut
    at the border, filtered again with mirrored borders, and every second one is kept.
    """
    radius = round(2 * ENERGY_WINDOW)
    kernel = _gauss(radius, ENERGY_WINDOW)
    n = min(length, 6 * radius)  # farther in, all places are alike
    weights = np.zeros((n, n + 2 * radius))
    for j in range(n):
        unit = np.zeros(2 * n + 2 * radius)
        unit[2 * j + radius] = 2
        ones = np.pad(np.ones(2 * n), radius)
        doubled = np.convolve(unit, kernel, "valid") / np.convolve(ones, kernel, "valid")
        mirrored = np.pad(doubled, radius, mode="reflect")
        weights[:, j + radius] = np.convolve(mirrored, kernel, "valid")[::2]
    table = np.stack([weights[i, i : i + 2 * radius + 1] for i in range(n)])
    if length > n:
        middle = np.repeat(table[n // 2][None], length - n, axis=0)
        table = np.concatenate([table[: n // 2], middle, table[n // 2 :]])
    return table.astype(np.float32)


def _collapse(maps: list[Floats], gain: float) -> float:
    """Average over pixels of the largest of three levels, enlarged with the given gain."""
    from complexity.metrics.clutter_kernels import double, mean_of_largest

    enlarged = [maps[0]]
    for level in range(1, LEVELS):
        larger = maps[level]
        for _ in range(level):
            out = np.empty((2 * larger.shape[0], 2 * larger.shape[1]), dtype=np.float32)
            double(larger, gain, out)
            larger = out
        enlarged.append(larger)
    return float(mean_of_largest(*enlarged))
