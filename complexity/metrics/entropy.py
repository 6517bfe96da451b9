"""How spread out the gray levels or colours of an image are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.registry import metric

SHANNON = (
    "Shannon 1948, Bell System Technical Journal 27(3), doi:10.1002/j.1538-7305.1948.tb01338.x"
)
LAB_BINS = 16


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
    from complexity.metrics.counting import joint_histogram

    return shannon(joint_histogram(image.lab, LAB_BINS.bit_length() - 1))
