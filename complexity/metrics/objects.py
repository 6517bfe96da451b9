"""How many things an image seems to hold, without a detector: proto-objects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.planes import TO_XYZ, linear_levels, planes_of, rgb_planes
from complexity.metrics.scratch import Scratch
from complexity.registry import metric

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

#: Colours that differ by at most this are the same (Euclidean distance in CIE Lab).
SAME_COLOUR = 10.0
#: Superpixels of fewer pixels are taken up by a neighbour.
MIN_SIZE = 12
#: A colour on at least this share of the image's frame is ground.
GROUND_SHARE = 0.1
#: Noise (standard deviation of gray) above which the image is smoothed first.
NOISE = 3.0
#: Edges are sort keys of 32 bits, of which 20 say which edge.
MOST_PIXELS = 1 << 18
#: A step of at least this much (Euclidean, 8-bit sRGB) is an edge that may be blurred.
STEP = 24.0


_scratch = Scratch()


@metric(
    name="object_count",
    version=2,
    unit="proto-objects",
    range=(0.0, None),
    summary="proto-objects: superpixels merged by colour, the ground left out",
    reference="after Yu, Samaras & Zelinsky 2014, J. Vision 14(7):4, doi:10.1167/14.7.4",
    parameters={
        "same_colour": SAME_COLOUR,
        "min_size": MIN_SIZE,
        "ground_share": GROUND_SHARE,
        "noise": NOISE,
        "step": STEP,
    },
    presets=("card", "all"),
)
def object_count(image: PreparedImage) -> float:
    """Count proto-objects: coherent patches of one colour that stand on the ground.

    After Yu, Samaras and Zelinsky: the image is cut into superpixels, and adjacent superpixels
    of the same colour become one proto-object. Departures: their superpixels are others, they
    merge what shares one of the image's clusters of colours, and they count every proto-object,
    the ground's included; no noise is taken out and no edge sharpened. The numbers are therefore
    not to be compared with theirs. In steps:

    1. If the noise of gray exceeds 3 levels (see `noise_level`), a median of 3 x 3 and a
       bilateral filter whose range grows with the noise.
    2. Blurred edges are made sharp again (see `sharpen`), so that the mixed colours along an
       outline are no superpixels of their own.
    3. Superpixels: zones of one colour (corners touch). Along the pairs of neighbouring pixels
       (8 neighbours), by rising difference of colour in Lab, zones merge of which one has
       fewer than 12 pixels. Differences count to 1 part in 256; equal ones are taken by place,
       so that the count does not depend on the machine.
    4. Adjacent superpixels whose mean colours differ by at most 10 (Euclidean distance in
       Lab) are merged, and again with the new means, until none is left.
    5. The ground does not count. Ground is every region whose colour lies within 10 of at
       least a tenth of the pixels on the image's frame (its outermost rows and columns), or
       which holds a tenth of the frame itself. So ground may have several colours (stripes,
       a checkerboard) and need not be connected (the hole of a ring).

    n uniform disks, apart from each other and off the frame, at least 5 pixels across and 10
    Lab units from a plain ground, count n; a constant image counts 0. Things of one colour
    that touch count as one, a thing of several colours as several: on photographs it is a
    measure of clutter, not of objects. Outlined things that overlap, among marks that are none,
    are counted far too high: on the shapes study's scenes by 29 on average, on none of them
    right, though in nearly the right order (Spearman .92, .88 to .94 by background;
    ``benchmarks/object_count_truth.py``). It depends on the size of the image, which the image
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
    noise = noise_level(image.gray)
    planes = image.shared(rgb_planes) if noise <= NOISE else planes_of(_smooth(image.rgb, noise))
    planes = _sharp(planes)
    colours = _lab(planes)
    labels = superpixels(planes, colours)
    merged, means = _merged(labels, colours)
    return float(np.count_nonzero(~_is_ground(merged[_frame(labels)], means, colours)))


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
    from complexity.metrics.objects_colours_kernels import median_detail

    return float(median_detail(gray)) / 2 / 0.6745 if min(gray.shape) > 1 else 0.0


def sharpen(rgb: Bytes) -> Bytes:
    """Undo the blur of edges: a pixel on a colour ramp takes the colour of the ramp's nearer end.

    A pixel is on a ramp if its colour lies between those of two opposite neighbours (distances
    to the two sum to their distance, within 8 % and 4 levels) which differ by more than 24;
    of the four directions the steepest counts. A line of one pixel is no ramp and stays. Done
    twice: each time moves an end by one pixel.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        8-bit sRGB.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        All colours are colours of the input.
    """
    return np.ascontiguousarray(_sharp(planes_of(rgb)).transpose(1, 2, 0))


def superpixels(planes: Bytes, colours: Floats) -> Labels:
    """Cut an image into nearly flat zones of at least 12 pixels (see `object_count`).

    Parameters
    ----------
    planes : ndarray of uint8, shape (3, h, w)
        8-bit sRGB.
    colours : ndarray of float32, shape (3, h, w)
        The same in CIE Lab.

    Returns
    -------
    ndarray of int32, shape (h, w)
        Labels from 0, numbered by their first pixel in scanning order.
    """
    from complexity.metrics import objects_regions_kernels as kernels

    height, width = planes.shape[1:]
    if height * width > MOST_PIXELS:
        raise ValueError(f"{height} x {width} pixels are too many for superpixels")
    pixels = height * width
    parent, sizes = (_scratch.get(name, pixels, np.uint32) for name in ("parent", "sizes"))
    large = _scratch.get("large", pixels, np.uint8)
    keys = _scratch.get("keys", 4 * pixels, np.uint32)
    kernels.flat_zones(planes, parent, sizes)
    edges = keys[: kernels.weigh(colours, parent, sizes, MIN_SIZE, keys, large)]
    edges.sort()
    kernels.absorb(edges, width, MIN_SIZE, parent, sizes)
    labels = np.empty((height, width), dtype=np.int32)
    kernels.number(parent, labels.reshape(-1))
    return labels


def merge(labels: Labels, colours: Floats) -> tuple[Labels, NDArray[np.float64]]:
    """Merge adjacent regions of the same colour until there are none.

    Parameters
    ----------
    labels : ndarray of int32, shape (h, w)
        Labels from 0, without gaps.
    colours : ndarray of float32, shape (3, h, w)
        CIE Lab.

    Returns
    -------
    labels : ndarray of int32, shape (h, w)
        Labels of the merged regions, from 0.
    means : ndarray of float64, shape (n, 3)
        Their mean colours.
    """
    merged, means = _merged(labels, colours)
    return merged[labels], means


def _merged(labels: Labels, colours: Floats) -> tuple[Labels, NDArray[np.float64]]:
    """Give each region its label after merging, and the merged regions' mean colours."""
    from complexity.metrics import objects_regions_kernels as kernels

    pairs = _scratch.shaped("pairs", (2 * labels.size, 2), np.uint32)
    pairs = pairs[: kernels.borders(labels, pairs)]
    sums = np.zeros((int(labels.max()) + 1, 4))
    kernels.add_up(labels, colours, sums)
    parent = np.arange(len(sums), dtype=np.uint32)
    kernels.merge_alike(pairs, sums, SAME_COLOUR, parent)
    merged = np.empty(len(sums), dtype=np.int32)
    kernels.number(parent, merged)
    left = sums[parent == np.arange(len(sums))]
    return merged, left[:, 1:] / left[:, :1]


def is_ground(labels: Labels, means: NDArray[np.float64], colours: Floats) -> NDArray[np.bool_]:
    """Tell which regions are ground (see `object_count`).

    Parameters
    ----------
    labels : ndarray of int32, shape (h, w)
        Labels from 0.
    means : ndarray of float64, shape (n, 3)
        The regions' mean colours.
    colours : ndarray of float32, shape (3, h, w)
        CIE Lab.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for ground.
    """
    return _is_ground(_frame(labels), means, colours)


def _is_ground(on_frame: Labels, means: NDArray[np.float64], colours: Floats) -> NDArray[np.bool_]:
    """Tell which regions are ground from the labels on the frame."""
    from complexity.metrics.objects_regions_kernels import count_alike

    held = np.bincount(on_frame, minlength=len(means))
    seen = np.stack([_frame(plane) for plane in colours])
    alike = np.empty(len(means), dtype=np.int64)
    count_alike(means, seen, SAME_COLOUR, alike)
    return np.asarray(np.maximum(held, alike) >= GROUND_SHARE * seen.shape[1])


def _frame(plane: NDArray[Any]) -> NDArray[Any]:
    """Pixels of the outermost rows and columns, each once."""
    rows = plane if len(plane) < 3 else plane[[0, -1]]
    if len(plane) < 3:
        return rows.ravel()
    inner = plane[1:-1]
    columns = inner if plane.shape[1] < 3 else inner[:, [0, -1]]
    return np.concatenate([rows.ravel(), columns.ravel()])


def _sharp(planes: Bytes) -> Bytes:
    from complexity.metrics.objects_colours_kernels import sharpen_once

    for turn in ("first", "second"):
        sharper = _scratch.shaped(turn, planes.shape, np.uint8)
        sharpen_once(planes, STEP, sharper)
        planes = sharper
    return planes


def _lab(planes: Bytes) -> Floats:
    """Convert 8-bit sRGB to CIE Lab (D65): L in [0, 100]; planes of shape (3, h, w)."""
    from complexity.metrics.objects_colours_kernels import to_lab

    out = _scratch.shaped("lab", planes.shape, np.float32)
    to_lab(planes, *_to_xyz(), out)
    return out


@lru_cache(maxsize=1)
def _to_xyz() -> tuple[Floats, Floats]:
    """Linear value of each level; the matrix from linear sRGB to X, Y and Z over white."""
    white = np.array([[0.95047], [1.0], [1.08883]])
    return linear_levels().astype(np.float32), (TO_XYZ / white).astype(np.float32)


def _smooth(rgb: NDArray[np.uint8], noise: float) -> NDArray[np.uint8]:
    if noise <= NOISE:
        return rgb
    calm = cv2.bilateralFilter(cv2.medianBlur(rgb, 3), 5, 3 * noise, 2)
    return np.asarray(calm, dtype=np.uint8)
