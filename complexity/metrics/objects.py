"""How many things an image seems to hold, without a detector: proto-objects."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.registry import metric

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

#: Colours that differ by at most this are the same (Euclidean distance in CIE Lab).
SAME_COLOUR = 10.0
#: Superpixels of fewer pixels are taken up by a neighbour.
MIN_SIZE = 12
#: Felzenszwalb's scale on Lab / 100. So small that only (nearly) flat zones are superpixels.
SCALE = 0.5
#: A colour on at least this share of the image's frame is ground.
GROUND_SHARE = 0.1
#: Noise (standard deviation of gray) above which the image is smoothed first.
NOISE = 3.0
#: A step of at least this much (Euclidean, 8-bit sRGB) is an edge that may be blurred.
STEP = 24.0


@metric(
    name="object_count",
    version=1,
    unit="proto-objects",
    range=(0.0, None),
    summary="proto-objects: superpixels merged by colour, the ground left out",
    reference="Yu, Samaras & Zelinsky 2014, J. Vision 14(7):4, doi:10.1167/14.7.4",
    parameters={
        "same_colour": SAME_COLOUR,
        "min_size": MIN_SIZE,
        "scale": SCALE,
        "ground_share": GROUND_SHARE,
        "noise": NOISE,
        "step": STEP,
    },
    presets=("card", "all"),
)
def object_count(image: PreparedImage) -> float:
    """Count proto-objects: coherent patches of one colour that stand on the ground.

    After Yu, Samaras and Zelinsky: the image is cut into superpixels, and adjacent superpixels
    of the same colour become one proto-object. In steps:

    1. If the noise of gray exceeds 3 levels (see `noise_level`), a median of 3 x 3 and a
       bilateral filter whose range grows with the noise.
    2. Blurred edges are made sharp again (see `sharpen`), so that the mixed colours along an
       outline are no superpixels of their own.
    3. Superpixels: Felzenszwalb-Huttenlocher regions in CIE Lab, nearly flat zones of at
       least 12 pixels.
    4. Adjacent superpixels whose mean colours differ by at most 10 (Euclidean distance in
       Lab) are merged, and again with the new means, until none is left.
    5. The ground does not count. Ground is every region whose colour lies within 10 of at
       least a tenth of the pixels on the image's frame (its outermost rows and columns), or
       which holds a tenth of the frame itself. So ground may have several colours (stripes,
       a checkerboard) and need not be connected (the hole of a ring).

    n uniform disks, apart from each other and off the frame, at least 5 pixels across and 10
    Lab units from a plain ground, count n; a constant image counts 0. Things of one colour
    that touch count as one, a thing of several colours as several: on photographs it is a
    measure of clutter, not of objects. It depends on the size of the image, which the image
    policy bounds.

    This is the source without any model. In its place the count can come from annotations (a
    column, COCO instances, CLEVR scenes, NLVR) or from an ONNX detector: ``object_count`` in a
    study's manifest, ``--detector`` of ``optik measure``. A table's column
    ``object_count_source`` says which it was.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        A whole number, at least 0.
    """
    colours = _lab(sharpen(_smooth(image.rgb, noise_level(image.gray))))
    labels, means = merge(superpixels(colours), colours)
    return float(np.count_nonzero(~is_ground(labels, means, colours)))


def noise_level(gray: NDArray[np.uint8]) -> float:
    """Estimate the standard deviation of white noise in an image.

    The median absolute value of the diagonal Haar detail over .6745, as in Donoho and
    Johnstone (1994, doi:10.1093/biomet/81.3.425), on all 2 x 2 blocks.

    Parameters
    ----------
    gray : ndarray of uint8, shape (h, w)
        Gray levels.

    Returns
    -------
    float
        In gray levels; 0 where the image has no 2 x 2 block.
    """
    values = gray.astype(np.float32)
    detail = values[:-1, :-1] - values[1:, :-1] - values[:-1, 1:] + values[1:, 1:]
    return float(np.median(np.abs(detail))) / 2 / 0.6745 if detail.size else 0.0


def sharpen(rgb: NDArray[np.uint8], *, rounds: int = 2) -> Floats:
    """Undo the blur of edges: a pixel on a colour ramp takes the colour of the ramp's nearer end.

    A pixel is on a ramp if its colour lies between those of two opposite neighbours (distances
    to the two sum to their distance, within 8 % and 4 levels) which differ by more than 24;
    of the four directions the steepest counts. A line of one pixel is no ramp and stays.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        8-bit sRGB.
    rounds : int
        Repetitions; each moves an end by one pixel.

    Returns
    -------
    ndarray of float32, shape (h, w, 3)
        Colours in [0, 255], all of them colours of the input.
    """
    from complexity.metrics.objects_kernels import sharpen_once

    for _ in range(rounds):
        sharper = np.empty_like(rgb)
        sharpen_once(rgb, STEP, sharper)
        rgb = sharper
    return rgb.astype(np.float32)


def superpixels(colours: Floats) -> Labels:
    """Cut an image into nearly flat zones of at least 12 pixels.

    Parameters
    ----------
    colours : ndarray of float32, shape (h, w, 3)
        CIE Lab.

    Returns
    -------
    ndarray of int64, shape (h, w)
        Labels from 0.
    """
    from complexity.metrics.felzenszwalb import segment

    # The scale is divided by 255, as if the colours were 8-bit.
    labels, _ = segment(colours / 100, scale=SCALE, sigma=0, min_size=MIN_SIZE)
    return labels.astype(np.int64)


def merge(labels: Labels, colours: Floats) -> tuple[Labels, NDArray[np.float64]]:
    """Merge adjacent regions of the same colour until there are none.

    Parameters
    ----------
    labels : ndarray of int64, shape (h, w)
        Labels from 0, without gaps.
    colours : ndarray of float32, shape (h, w, 3)
        CIE Lab.

    Returns
    -------
    labels : ndarray of int64, shape (h, w)
        Labels of the merged regions, from 0.
    means : ndarray of float64, shape (n, 3)
        Their mean colours.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = _neighbours(labels)
    sizes: NDArray[Any] = np.bincount(labels.ravel())
    sums = np.stack(
        [np.bincount(labels.ravel(), colours[..., i].ravel()) for i in range(3)], axis=1
    )
    of_superpixel = np.arange(len(sizes))
    while True:
        means = sums / sizes[:, None]
        same = pairs[_length(means[pairs[:, 0]] - means[pairs[:, 1]]) <= SAME_COLOUR]
        if not len(same):
            return of_superpixel[labels], means
        graph = coo_array((np.ones(len(same)), (same[:, 0], same[:, 1])), (len(sizes),) * 2)
        count, group = connected_components(graph, directed=False)
        of_superpixel = group[of_superpixel]
        sizes = np.bincount(group, sizes)
        sums = np.stack([np.bincount(group, sums[:, i]) for i in range(3)], axis=1)
        pairs = _unique_pairs(group[pairs[:, 0]], group[pairs[:, 1]], count)


def is_ground(labels: Labels, means: NDArray[np.float64], colours: Floats) -> NDArray[np.bool_]:
    """Tell which regions are ground (see `object_count`).

    Parameters
    ----------
    labels : ndarray of int64, shape (h, w)
        Labels from 0.
    means : ndarray of float64, shape (n, 3)
        The regions' mean colours.
    colours : ndarray of float32, shape (h, w, 3)
        CIE Lab.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for ground.
    """
    from scipy.spatial import KDTree

    height, width = labels.shape
    on_frame = np.ones((height, width), dtype=bool)
    on_frame[1:-1, 1:-1] = False
    held = np.bincount(labels[on_frame], minlength=len(means))
    # The tree counts without a table of regions by frame pixels, which could be 300 MB.
    alike = KDTree(colours[on_frame]).query_ball_point(means, SAME_COLOUR, return_length=True)
    return np.asarray(np.maximum(held, alike) >= GROUND_SHARE * np.count_nonzero(on_frame))


def _smooth(rgb: NDArray[np.uint8], noise: float) -> NDArray[np.uint8]:
    if noise <= NOISE:
        return rgb
    calm = cv2.bilateralFilter(cv2.medianBlur(rgb, 3), 5, 3 * noise, 2)
    return np.asarray(calm, dtype=np.uint8)


def _lab(rgb: Floats) -> Floats:
    """Convert sRGB in [0, 255] to CIE Lab: L in [0, 100]."""
    return np.asarray(cv2.cvtColor(rgb / np.float32(255), cv2.COLOR_RGB2Lab), dtype=np.float32)


def _length(vectors: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.sqrt(np.einsum("...i,...i->...", vectors, vectors)))


def _neighbours(labels: Labels) -> Labels:
    """Pairs of different labels that share a side, each once; shape (n, 2)."""
    one = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    two = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    return _unique_pairs(one, two, int(labels.max()) + 1)


def _unique_pairs(one: Labels, two: Labels, count: int) -> Labels:
    differ = one != two
    one, two = one[differ], two[differ]
    keys = np.unique(np.minimum(one, two) * count + np.maximum(one, two))
    return np.stack([keys // count, keys % count], axis=1)
