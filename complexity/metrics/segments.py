"""How many regions an image falls into."""

from __future__ import annotations

from complexity.image import PreparedImage
from complexity.registry import metric

SCALE, SIGMA, MIN_SIZE = 100, 0.8, 50


@metric(
    name="segment_count",
    version=1,
    unit="regions",
    range=(1.0, None),
    summary="regions of the Felzenszwalb-Huttenlocher segmentation",
    reference="Felzenszwalb & Huttenlocher 2004, IJCV 59(2), "
    "doi:10.1023/B:VISI.0000022288.19776.77",
    parameters={"scale": SCALE, "sigma": SIGMA, "min_size": MIN_SIZE},
    presets=("card", "all"),
)
def segment_count(image: PreparedImage) -> float:
    """Count the regions of the graph-based segmentation of Felzenszwalb and Huttenlocher.

    On sRGB, scale 100, Gaussian of sigma 0.8, regions under 50 pixels merged: region for
    region those of ``skimage.segmentation.felzenszwalb``, found in a tenth of the time (see
    `complexity.metrics.felzenszwalb`).

    The count depends on image size (which the image policy fixes from above: small images
    have few regions of 50 pixels). It is not invariant to flips and rotations: where a small
    region has two neighbours at the very same distance (drawings, not photographs), the order
    of NumPy's sort decides, here as in scikit-image, and may differ between kinds of
    processor. It does not tell things from the ground, and texture makes many regions.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        Regions, a whole number of at least 1.
    """
    from complexity.metrics.felzenszwalb import count_regions

    return float(count_regions(image.rgb, scale=SCALE, sigma=SIGMA, min_size=MIN_SIZE))
