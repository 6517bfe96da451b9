"""How an image is built: symmetry, fractal dimension, spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.edges import default_edges
from complexity.metrics.scratch import Scratch
from complexity.registry import UndefinedMetric, metric

#: Cycles per long side at which the fit of the spectrum begins.
FIRST_RING = 10
SMALLEST_SPECTRUM = 64
#: Boxes reach from this side up to a quarter of the image's shorter side.
FIRST_BOX, LEAST_BOXES = 2, 3
_scratch = Scratch()


@metric(
    name="symmetry",
    version=1,
    unit="correlation",
    range=(0.0, 1.0),
    summary="larger of the mirror symmetries, left to right and top to bottom",
    reference="after Mayer & Landwehr 2018, Psychol. Aesthet. Creat. Arts 12(4), 399-431, "
    "doi:10.1037/aca0000187",
    presets=("lite", "all"),
)
def symmetry(image: PreparedImage) -> float:
    """Mirror symmetry: absolute correlation of one half with the other, mirrored.

    Pearson's correlation, over pixels of 8-bit gray, of the left half with the mirrored right
    half, and of the upper with the mirrored lower half (a middle line is left out); the larger
    absolute value of the two.

    Mayer and Landwehr correlate the halves in this way: their R package imagefluency gives the
    same on the same gray with the axis in the middle. Departures: they also move the axis by up to
    5 % of the side and take the best, so their values are never smaller; colour images they take
    channel by channel (weights .2989, .587, .114); they report both directions, of which the larger
    is our choice.

    As the value is absolute, a negative counts as symmetric. Only the two axes through the
    middle are tried, pixel by pixel: a symmetric thing off the middle, or slightly turned,
    is not seen; a picture with a bright sky over a dark ground has a negative correlation from
    top to bottom, thus a high value. Invariant to flips and rotations by 90 degrees.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    UndefinedMetric
        When along both axes a half is constant or missing.
    """
    found = [value for value in symmetries(image) if value is not None]
    if not found:
        raise UndefinedMetric("a half of the image is constant, so that nothing correlates")
    return max(found)


def symmetries(image: PreparedImage) -> tuple[float | None, float | None]:
    """Left-right and top-bottom mirror symmetry; None where a half is constant or missing.

    Parameters
    ----------
    image : PreparedImage
        The image.
    """
    from complexity.metrics.counting import mirror_sums

    gray = image.gray
    height, width = gray.shape
    sums = np.zeros((2, 5), dtype=np.int64)
    mirror_sums(gray, sums)
    return (
        _correlation(height * (width // 2), sums[0].tolist()),
        _correlation(height // 2 * width, sums[1].tolist()),
    )


@metric(
    name="fractal_dimension",
    version=1,
    unit="dimension",
    range=(0.0, 2.0),
    summary="box-counting dimension of the Canny edges",
    reference="after Forsythe et al. 2011, Br. J. Psychol. 102(1), 49-70, "
    "doi:10.1348/000712610X498958",
    parameters={"edges": "edge_density", "first_box": FIRST_BOX, "last_box": "min(h, w) / 4"},
    presets=("lite", "all"),
)
def fractal_dimension(image: PreparedImage) -> float:
    """Box-counting dimension of the edge map.

    Of the edges of `edge_density`: the number of boxes that hold an edge, on grids of squares
    of 2, 4, 8, ... pixels, up to a quarter of the shorter side, laid from the top left corner
    (cut boxes at the right and bottom count); the slope, by least squares, of the logarithm of
    the number on that of 1 over the side.

    Forsythe et al. relate the dimension of pictures to their beauty; edges, sides of boxes and fit
    are ours and were not compared with their program's. Of another kind are the fractal dimensions
    of the Aesthetics Toolbox: of the border between what is darker and lighter than the mean, and
    of the surface of gray levels.

    Lines have 1, a plane filled with edges 2, a few isolated points 0. With few sizes of boxes
    it says how evenly edges fill the image more than whether they are fractal. Not invariant to
    flips and rotations unless both sides are multiples of the largest box.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In [0, 2].

    Raises
    ------
    UndefinedMetric
        Without edges, or for an image of fewer than 32 pixels on a side.
    """
    edges = image.shared(default_edges).mask
    least = 4 * FIRST_BOX << (LEAST_BOXES - 1)
    if min(edges.shape) < least:
        raise UndefinedMetric(
            f"needs {least} pixels a side, has {edges.shape[1]} × {edges.shape[0]}"
        )
    if not edges.any():
        raise UndefinedMetric("no edges")
    sizes = [FIRST_BOX]
    while 2 * sizes[-1] <= min(edges.shape) / 4:
        sizes.append(2 * sizes[-1])
    # Slopes between neighbours lie in [0, 2]; their mean may leave it by rounding.
    return min(2.0, max(0.0, box_dimension(edges, sizes)))


def box_dimension(mask: NDArray[np.bool_], sizes: Sequence[int]) -> float:
    """Slope of log number of occupied boxes on log 1 / side.

    Parameters
    ----------
    mask : ndarray of bool, shape (h, w)
        The set; not empty.
    sizes : sequence of int
        Sides of boxes, pixels, ascending, each a multiple of the one before; at least two.
    """
    from complexity.metrics.counting import merge_boxes

    counts = []
    boxes, side = mask.view(np.uint8), 1
    for size in sizes:
        while size % (2 * side) == 0:
            larger = np.empty([(length + 1) // 2 for length in boxes.shape], dtype=np.uint8)
            merge_boxes(boxes, larger)
            boxes, side = larger, 2 * side
        step = size // side
        if step > 1:
            boxes = np.pad(boxes, [(0, -length % step) for length in boxes.shape])
            rows = np.bitwise_or.reduce([boxes[i::step] for i in range(step)])
            boxes, side = np.bitwise_or.reduce([rows[:, i::step] for i in range(step)]), size
        counts.append(int(np.count_nonzero(boxes)))
    return -_slope(np.log(np.array(sizes, dtype=float)), np.log(np.array(counts, dtype=float)))


@metric(
    name="spectral_slope",
    version=1,
    unit="log power per log frequency",
    range=(-math.inf, None),
    summary="slope of the radial power spectrum in log-log coordinates",
    reference="after Field 1987, J. Opt. Soc. Am. A 4(12), 2379-2394, "
    "doi:10.1364/JOSAA.4.002379; Redies, Hasenstein & Denzler 2007, Spatial Vision 21, 137-148, "
    "doi:10.1163/156856807782753921",
    parameters={"window": "Hann", "first_ring": FIRST_RING, "last": "Nyquist"},
    presets=("lite", "all"),
)
def spectral_slope(image: PreparedImage) -> float:
    """Slope of the power spectrum: how fast power falls with spatial frequency.

    8-bit gray less its mean, times a Hann window in each direction (periodic), its Fourier
    power; averaged over rings of spatial frequency one cycle per long side wide, from 10 cycles
    per long side up to half a cycle per pixel; the slope of log power on log frequency, by
    least squares with equal weights.

    Departures from Redies et al. (as in their Aesthetics Toolbox): they pad to a square with the
    mean gray, resize to 1024 pixels, stop at 256 cycles and fit averages of bins that are equal
    in log frequency; and they take no window. Without the window, on a square image, this is what
    the R package imagefluency gives. On 120 pictures the mean slope was -2.66 (theirs -2.69);
    one picture's differed by -.21 to +.29 in four fifths of cases, rank correlation .86: compare
    slopes of one program only.

    White noise has 0, natural images about -2, smooth ones less (steeper), texture more
    (flatter). It sees neither phase nor direction, thus nothing of what makes contours.
    Invariant to flips and rotations by 90 degrees but for the window, which is off the middle
    by half a pixel.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        Finite.

    Raises
    ------
    UndefinedMetric
        For a long side of fewer than 64 pixels, a short side of fewer than 8, or where some
        ring has no power (constant images, drawings of few frequencies).
    """
    from scipy import fft

    from complexity.metrics.counting import paired_ring_power, ring_power, window

    gray = image.gray
    height, width = gray.shape
    if max(gray.shape) < SMALLEST_SPECTRUM or min(gray.shape) < 8:
        raise UndefinedMetric(f"too small for a spectrum: {width} × {height}")
    down, across, ring, weight = _rings(height, width)
    mean = np.float32(cv2.sumElems(gray)[0] / gray.size)
    sums = np.zeros(len(weight) + 1)
    if height % 2 == 0:
        # Two rows as one of complex numbers: half the transform.
        pairs = _scratch.shaped("pairs", (height // 2, width, 2), np.float32)
        window(gray, mean, down[:, 0], across[0], pairs.transpose(0, 2, 1))
        cv2.dft(pairs, dst=pairs)
        paired_ring_power(pairs, _turns(height), ring, sums)
    else:
        rows = _scratch.shaped("rows", (height, 1, width), np.float32)
        window(gray, mean, down[:, 0], across[0], rows)
        spectrum = fft.rfft2(rows[:, 0], overwrite_x=True)
        parts = spectrum.view(np.float32).reshape(height, -1, 2)
        ring_power(parts, (width + 1) // 2, ring, sums)
    # What rounding to 32 bits leaves of an image without power at some frequency.
    if sums[:-1].min() <= 1e-13 * sums.sum():
        raise UndefinedMetric("no power at some frequencies")
    radius = np.arange(len(weight)) + FIRST_RING
    return float(_slope(np.log(radius), np.log(sums[:-1] / weight)))


@lru_cache(maxsize=16)
def _turns(height: int) -> NDArray[np.float32]:
    angle = -2 * np.pi * np.arange(height // 2) / height
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@lru_cache(maxsize=16)
def _rings(height: int, width: int) -> tuple[Any, Any, NDArray[np.uint16], NDArray[Any]]:
    """Windows; coefficients' rings in ``rfft2``'s layout, the last for none; their numbers."""
    down, across = (
        np.sin(np.pi * np.arange(n, dtype=np.float32) / n) ** 2 for n in (height, width)
    )
    long = max(height, width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    ring = np.rint(frequency * long).astype(np.int16) - FIRST_RING
    rings = long // 2 - FIRST_RING + 1
    ring[(ring < 0) | (ring > rings)] = rings
    twice = np.ones(ring.shape[1])
    twice[1 : (width + 1) // 2] = 2
    weights = np.broadcast_to(twice, ring.shape)
    count = np.bincount(ring.ravel(), weights.ravel(), rings + 1)[:rings]
    # Unsigned, thus known not to count from the end.
    return down[:, None], across[None], ring.astype(np.uint16), count


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    centred = x - x.mean()
    return float(np.dot(centred, y) / np.dot(centred, centred))


def _correlation(n: int, sums: Sequence[int]) -> float | None:
    """Absolute Pearson correlation of n pairs; None for nothing or for a constant.

    ``sums`` are those of both, of their squares and of their products, in whole numbers:
    constants are known for certain, and a mirrored image has exactly 1.
    """
    sum_a, sum_b, square_a, square_b, both = sums
    variance_a, variance_b = n * square_a - sum_a**2, n * square_b - sum_b**2
    if variance_a == 0 or variance_b == 0:
        return None
    covariance = n * both - sum_a * sum_b
    return min(1.0, abs(covariance) / math.sqrt(variance_a) / math.sqrt(variance_b))
