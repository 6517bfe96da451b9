"""How spread out the gray levels or colours of an image are."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.planes import TO_XYZ, rgb_planes
from complexity.registry import metric

SHANNON = (
    "Shannon 1948, Bell System Technical Journal 27(3), doi:10.1002/j.1538-7305.1948.tb01338.x"
)
LAB_BINS = 16
#: Of 8-bit sRGB, the linear value in 2040ths: a polynomial, the constant first, that rounds to
#: the right whole number at all levels from 11 on, found as the one that stays farthest from
#: halves by linear programming; then the slope below, where the curve is a line.
CURVE = np.array(
    (
        *(2.385186, 0.22160748, 0.017276851, 7.2314782e-05, -1.06555483e-07, 1.01384588e-10),
        2040 / 255 / 12.92,
    ),
    dtype=np.float32,
)


def shannon(counts: NDArray[np.integer]) -> float:
    """Shannon entropy of a histogram, in bits.

    Parameters
    ----------
    counts : ndarray of int
        Counts per bin; empty bins do not matter.

    Returns
    -------
    float
        ``-sum p log2 p``, from 0 to log2 of the number of filled bins.
    """
    filled = counts[counts > 0]
    share = filled / filled.sum()
    # max: one filled bin gives -0.0
    return max(0.0, float(-np.sum(share * np.log2(share))))


@metric(
    name="entropy_gray",
    version=1,
    unit="bits",
    range=(0.0, 8.0),
    summary="Shannon entropy of the gray levels",
    reference=SHANNON,
    parameters={"bins": 256},
    presets=("card", "lite", "all"),
)
def entropy_gray(image: PreparedImage) -> float:
    """Shannon entropy of the histogram of 8-bit gray, 256 bins.

    It says how evenly gray levels are used and nothing about where: a shuffled image has the
    same entropy as the photograph that it was.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        Bits, in [0, 8]; 0 on a constant image.
    """
    from complexity.metrics.counting import histogram

    return shannon(histogram(image.gray))


@metric(
    name="entropy_lab",
    version=1,
    unit="bits",
    range=(0.0, 12.0),
    summary="Shannon entropy of the joint colour histogram in CIE L*a*b*",
    reference=SHANNON,
    parameters={"bins_per_channel": LAB_BINS, "space": "OpenCV 8-bit CIE L*a*b*"},
    presets=("card", "lite", "all"),
)
def entropy_lab(image: PreparedImage) -> float:
    """Shannon entropy of the joint histogram of 8-bit CIE L*a*b*, 16 equal bins a channel.

    Joint, so that two images with the same colours in other combinations differ. Like any
    entropy of a histogram it does not see where the colours are; an image of n pixels cannot
    exceed log2 n.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        Bits, in [0, 12]; 0 on a constant image.
    """
    return shannon(lab_counts(image.shared(rgb_planes)))


def lab_counts(planes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Joint histogram of OpenCV's 8-bit Lab, 16 bins a channel, shape (4096,).

    Parameters
    ----------
    planes : ndarray of uint8, shape (3, h, w)
        8-bit sRGB.
    """
    from complexity.metrics.counting import lab_histogram

    counts: NDArray[np.int32] = lab_histogram(planes, *lab_tables(), LAB_BINS.bit_length() - 1)
    return counts


@lru_cache(maxsize=1)
def lab_tables() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Make the tables by which OpenCV converts 8-bit sRGB to 8-bit Lab in whole numbers.

    Done here because the histogram can then be filled at once, without an image of Lab. All
    2 ** 24 colours come out as OpenCV's.

    Returns
    -------
    curve : ndarray of float32, shape (7,)
        `CURVE`: from levels of sRGB to linear values, in 1 / 2040.
    matrix : ndarray of float32, shape (3, 3)
        From linear R, G and B to X, Y and Z over white, in whole 4096ths.
    roots : ndarray of int32
        The cube root of CIE Lab, linear near 0, by 2040ths (rounded), in 1 / 32768.
    """
    matrix = np.rint(4096 * TO_XYZ / np.array([[0.950456], [1.0], [1.088754]]))
    ratio = np.arange(3072) / (255 * 8)
    roots = np.where(ratio < 216 / 24389, ratio * 841 / 108 + 16 / 116, np.cbrt(ratio))
    # In 32 bits, as there, before rounding: it decides two entries.
    return (
        CURVE,
        matrix.astype(np.float32),
        np.rint((32768 * roots).astype(np.float32)).astype(np.int32),
    )
