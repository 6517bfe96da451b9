"""Forms of an image that several families of metrics start from."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage

#: sRGB to CIE XYZ (ITU-R BT.709 primaries).
TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)


def linear_levels() -> NDArray[np.float64]:
    """Linear value in [0, 1] of each of the 256 levels of sRGB."""
    level = np.arange(256) / 255
    return np.where(level >= 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)


def rgb_planes(image: PreparedImage) -> NDArray[np.uint8]:
    """R, G and B of an image, shape (3, h, w); for `PreparedImage.shared`."""
    return planes_of(image.rgb)


def half_sums(image: PreparedImage) -> NDArray[np.int32]:
    """Add up blocks of 2 x 2 pixels of R, G and B; for `PreparedImage.shared`, even sides."""
    from complexity.metrics.counting import halve

    planes = image.shared(rgb_planes)
    sums = np.empty((3, planes.shape[1] // 2, planes.shape[2] // 2), dtype=np.int32)
    halve(planes, sums)
    return sums


def planes_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the channels of an array of shape (h, w, 3) apart, to shape (3, h, w)."""
    planes = np.empty((3, *rgb.shape[:2]), dtype=np.uint8)
    cv2.split(rgb, [planes[0], planes[1], planes[2]])
    return planes
