"""What `perceived` looks at: edges, gradients, colours and regions at several scales.

Apart from seven metrics at the image policy's size, everything is measured on the image
shrunk to long sides of 256, 128, 64 and 32 pixels by area averaging: there, texture and noise
have gone and what is left is layout, which people's ratings follow more closely. A feature's
name ends with its scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import Pixels, PreparedImage
from complexity.metrics.color import unique_colors, unique_colors_coarse
from complexity.metrics.compression import jpeg_bpp
from complexity.metrics.edges import edge_components, edge_density, msg, traced
from complexity.metrics.entropy import entropy_lab
from complexity.metrics.scratch import Scratch
from complexity.registry import UndefinedMetric

Floats = NDArray[np.float32]
#: Long sides, pixels; the image is never enlarged.
SCALES = (256, 128, 64, 32)
#: Smallest side of an image that has these features.
SMALLEST = 32
#: Side of the cells within which directions are counted.
CELL = 16
#: Canny thresholds: of contours on L* (weak, strong), and on a* and b*, of 8-bit levels.
WEAK, STRONG, CHROMATIC = (30, 80), (80, 200), (15, 40)
#: CIE L*a*b* units per pixel: of a steep gradient, of those that bound regions, of an even
#: ground, of none that can be seen.
STEEP, REGIONS, EVEN, NONE = 8.0, (2.0, 5.0), 1.5, 0.5
#: Sum of gradients in a cell, per pixel of its side, at which its directions count by half.
FAINT = 0.4
#: Standard deviations of the two Gaussians of a blob detector, and the least contrast in L*.
BLOB, LEAST_BLOB = (1.0, 1.6), 1.0
_scratch = Scratch()


@dataclass(frozen=True)
class _View:
    """An image at one scale.

    Attributes
    ----------
    scale : int
        The long side asked for, pixels.
    rgb, lab : ndarray of uint8, shape (h, w, 3)
        sRGB, and OpenCV's 8-bit CIE L*a*b*.
    length : ndarray of float32, shape (h, w)
        Length of the gradient over L*, a* and b*, CIE L*a*b* units per pixel.
    directions : ndarray of float, shape (cells, 8)
        See `complexity.metrics.perceived_kernels.gradients`.
    """

    scale: int
    rgb: Pixels
    lab: Pixels
    length: Floats
    directions: NDArray[np.float64]


def features(image: PreparedImage) -> dict[str, float]:
    """Measure everything that the fit of `perceived` may choose from.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    dict of str to float
        Finite numbers by name, always in the same order; counts and shares are on scales
        (logarithms, square roots) on which ratings are closer to linear in them.

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 32 pixels on a side.
    """
    height, width = image.rgb.shape[:2]
    if min(height, width) < SMALLEST:
        raise UndefinedMetric(f"needs {SMALLEST} pixels a side, has {width} × {height}")
    found = {
        "edge_density": math.sqrt(image.shared(edge_density)),
        "edge_components": math.log1p(image.shared(edge_components)),
        "msg": math.log(image.shared(msg) + 0.02),
        "entropy_lab": image.shared(entropy_lab),
        "unique_colors": math.log(image.shared(unique_colors)),
        "unique_colors_coarse": math.log(image.shared(unique_colors_coarse)),
        "jpeg_bpp": math.log(image.shared(jpeg_bpp) + 0.05),
    }
    rgb = image.rgb
    for scale in SCALES:
        rgb = _shrunk(rgb, scale)
        view = _view(rgb, scale)
        found |= _gradient_features(view)
        if scale >= 64:
            found |= _edge_features(view)
            found |= _colour_features(view)
            found |= _region_features(view)
        if scale == SCALES[0]:
            found |= _spread(view)
    return found


def _shrunk(rgb: Pixels, side: int) -> Pixels:
    height, width = rgb.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return rgb
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _view(rgb: Pixels, scale: int) -> _View:
    from complexity.metrics.perceived_kernels import gradients

    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), dtype=np.uint8)
    units = lab.astype(np.float32)
    units[..., 0] *= np.float32(100 / 255)
    # An eighth: the weights of a 3 x 3 Sobel kernel add up to 8 per pixel of distance.
    right = np.asarray(cv2.Sobel(units, cv2.CV_32F, 1, 0, ksize=3, scale=0.125))
    down = np.asarray(cv2.Sobel(units, cv2.CV_32F, 0, 1, ksize=3, scale=0.125))
    cell = max(1, min(CELL, *lab.shape[:2]))
    return _View(scale, rgb, lab, *gradients(right, down, cell))


def _gradient_features(view: _View) -> dict[str, float]:
    """Mean log gradient, share of steep pixels, unevenness over about 8 or 16 cells a side."""
    logs = np.log1p(view.length)
    cells = _cell_means(view.length, 8 if view.scale == 32 else 16)
    found = {
        "gradient": float(logs.mean()),
        "steep": float(np.mean(view.length > STEEP)),
        "unevenness": float(cells.std() / (cells.mean() + 0.3)),
    }
    if view.scale in (256, 64):
        y, x = (max(1, side // 5) for side in logs.shape)
        margins = (logs[:y], logs[-y:], logs[:, :x], logs[:, -x:])
        found["quietest_margin"] = min(float(margin.mean()) for margin in margins)
    return _named(found, view.scale)


def _edge_features(view: _View) -> dict[str, float]:
    """Canny contours: share of pixels with colour's, number and mean length of pieces."""
    gray = np.asarray(cv2.cvtColor(view.rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), 1.0), dtype=np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(view.lab, (0, 0), 1.0), dtype=np.uint8)
    every = np.zeros(gray.shape, dtype=np.bool_)
    for channel, thresholds in enumerate((WEAK, CHROMATIC, CHROMATIC)):
        every |= traced(np.ascontiguousarray(smooth[..., channel]), *thresholds).mask
    weak, strong = traced(gray, *WEAK), traced(gray, *STRONG)
    length = weak.pixels / weak.components if weak.components else 1.0
    found = {
        "colour_edges": math.sqrt(np.count_nonzero(every) / every.size),
        "contours": math.log2(weak.components + 1),
        "strong_contours": math.log2(strong.components + 1),
        "contour_length": math.log2(length),
    }
    return _named(found, view.scale)


def _colour_features(view: _View) -> dict[str, float]:
    """Colours and directions: how many, how often neighbours differ, entropy within cells."""
    from complexity.metrics.counting import occupied
    from complexity.metrics.perceived_kernels import colour_borders
    from complexity.metrics.planes import planes_of

    present = np.zeros(1 << 15, dtype=np.uint8)
    occupied(planes_of(view.lab), 5, present)
    height, width = view.lab.shape[:2]
    coarse = np.asarray(cv2.medianBlur(view.rgb, 5 if view.scale >= 128 else 3), dtype=np.uint8)
    across, below = colour_borders(coarse, 2)
    shares = across / max(1, height * (width - 1)) + below / max(1, (height - 1) * width)
    cell = max(1, min(CELL, height, width))
    # Entropy of directions within cells, less where there is next to no gradient to have one.
    strength = view.directions.sum(axis=1, keepdims=True)
    chance = view.directions / np.maximum(strength, 1e-9)
    bits = -(chance * np.log2(np.where(chance > 0, chance, 1.0))).sum(axis=1)
    counted = strength[:, 0] / (strength[:, 0] + FAINT * cell)
    found = {
        "colours": math.log2(np.count_nonzero(present)),
        "colour_borders": shares / 2,
        "local_directions": float((bits * counted).mean()),
    }
    return _named(found, view.scale)


def _region_features(view: _View) -> dict[str, float]:
    """Regions of low gradient: how many, how they share the image; empty ground; blobs."""
    n = view.length.size
    found = {}
    for limit in REGIONS:
        sizes = _sizes(view.length < limit)
        found[f"regions{limit:.0f}"] = math.log2(np.count_nonzero(sizes >= max(3, n / 4000)) + 1)
        if limit == REGIONS[0]:
            share = sizes / n
            found["region_entropy"] = max(0.0, float(-(share * np.log2(share)).sum()))
    if view.scale in (256, 64):
        found["empty"] = float(np.mean(view.length < NONE))
        found["largest_ground"] = float(_sizes(view.length < EVEN).max(initial=0.0)) / n
    if view.scale in (256, 128):
        found["blobs"] = math.log2(_blobs(view.lab) + 1)
    return _named(found, view.scale)


def _sizes(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pixels in each 4-connected piece."""
    from complexity.metrics.perceived_kernels import piece_sizes

    height, width = mask.shape
    sizes = _scratch.get("sizes", height * ((width + 1) // 2), np.int32)
    return sizes[: piece_sizes(mask.view(np.uint8), sizes)].astype(np.float64)


def _blobs(lab: Pixels) -> int:
    """Count the extrema, in 3 x 3 pixels, of a difference of Gaussians of L*."""
    light = lab[..., 0] * np.float32(100 / 255)
    small, large = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in BLOB)
    contrast = np.asarray(small - large)
    kernel = np.ones((3, 3), dtype=np.uint8)
    bright = (contrast == cv2.dilate(contrast, kernel)) & (contrast > LEAST_BLOB)
    dark = (contrast == cv2.erode(contrast, kernel)) & (contrast < -LEAST_BLOB)
    return int(np.count_nonzero(bright)) + int(np.count_nonzero(dark))


def _spread(view: _View) -> dict[str, float]:
    """Say how lightness and chroma spread, and how high chroma is, in 8-bit levels."""
    light = np.asarray(view.lab[..., 0], dtype=np.float32)
    a, b = (view.lab[..., i].astype(np.float32) - np.float32(128) for i in (1, 2))
    chroma = np.sqrt(a * a + b * b)  # of whole numbers, thus rounded once
    return {
        "lightness_spread": float(light.std()),
        "chroma": float(chroma.mean()),
        "chroma_spread": float(chroma.std()),
    }


def _cell_means(plane: Floats, long_side: int) -> Floats:
    """Shrink by area averaging to about `long_side` cells along the longer side."""
    height, width = plane.shape
    step = max(height, width) / long_side
    size = (max(1, round(width / step)), max(1, round(height / step)))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _named(found: dict[str, float], scale: int) -> dict[str, float]:
    return {f"{name}_{scale}": value for name, value in found.items()}
