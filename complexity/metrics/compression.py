"""How many bytes an image takes."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.scratch import Scratch
from complexity.registry import metric

QUALITY = 25
_SETTINGS = [
    *(cv2.IMWRITE_JPEG_QUALITY, QUALITY),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
]

_scratch = Scratch()


@metric(
    name="jpeg_bpp",
    version=1,
    unit="bits per pixel",
    range=(0.0, None),
    summary="bits per pixel after JPEG at quality 25, less those of a constant image",
    reference="after Machado et al. 2015, Acta Psychologica 160, 43-57, "
    "doi:10.1016/j.actpsy.2015.06.005",
    parameters={"quality": QUALITY, "subsampling": "4:2:0", "encoder": "libjpeg, baseline"},
    presets=("lite", "all"),
)
def jpeg_bpp(image: PreparedImage) -> float:
    """Bits per pixel that JPEG at quality 25 takes, less those of a constant image.

    Baseline JPEG by libjpeg(-turbo) with its standard tables, chroma halved in both directions
    (4:2:0). The size of a constant mid-gray image of the same sides is taken off, which is
    header for small images (1.35 bits per pixel at 64 x 64); what is left under 8 bytes, as a
    constant image of another colour has, counts 0.

    Not Machado et al.'s measure: theirs rests on the error that compression makes, this one on
    the size of its result alone. Quality, subsampling and what is taken off are ours.

    Texture and noise cost most; what lies where does not matter beyond blocks of 8 pixels.
    Not invariant to flips and rotations to the last byte. Encoders of other makers differ.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        At least 0; 0 for a constant image.
    """
    height, width = image.rgb.shape[:2]
    more = _size(image.rgb) - _smallest(height, width)
    return 8 * more / (height * width) if more >= 8 else 0.0


def _size(rgb: NDArray[np.uint8]) -> int:
    # OpenCV's encoder is the same library as Pillow's and is fed faster; it takes B, G, R.
    bgr = _scratch.shaped("bgr", rgb.shape, np.uint8)
    cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR, dst=bgr)
    return len(cv2.imencode(".jpg", bgr, _SETTINGS)[1])


@lru_cache(maxsize=256)
def _smallest(height: int, width: int) -> int:
    return _size(np.full((height, width, 3), 128, dtype=np.uint8))
