"""How much of an image is edge, and how steep it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import Pixels, PreparedImage
from complexity.metrics.planes import half_sums, rgb_planes
from complexity.metrics.scales import SARITAS, SCALES, WEIGHTS, sizes
from complexity.metrics.scratch import Scratch
from complexity.registry import metric

MACK = (
    "Mack & Oliva 2004, Computational estimation of visual complexity, 12th Annual Object "
    "Perception, Attention, and Memory Conference"
)

#: Right half of OpenCV's kernel for 8-bit images and sigma 1.4, in 256ths.
_TAPS = np.array((74, 56, 26, 8, 1), dtype=np.int32)
_scratch = Scratch()


@dataclass(frozen=True)
class CannySetting:
    """A way to run the Canny detector.

    Attributes
    ----------
    sigma : float
        Standard deviation of the Gaussian before it, pixels; 0 for none.
    kernel : int
        Side of the Gaussian's kernel, pixels; 0 lets OpenCV derive it from sigma
        (``2 * round(3 sigma) + 1`` for 8-bit images).
    low, high : float
        Hysteresis thresholds on the gradient magnitude of 8-bit gray; with `of_median`, as
        multiples of the median gray after smoothing.
    of_median : bool
        See `low`.
    """

    sigma: float
    kernel: int
    low: float
    high: float
    of_median: bool = False


#: The first is the registered metric's; the others are settings found in the literature.
SETTINGS = {
    "default": CannySetting(sigma=1.4, kernel=0, low=30, high=80),
    "median": CannySetting(sigma=0, kernel=5, low=0.67, high=1.33, of_median=True),
    "high": CannySetting(sigma=0, kernel=0, low=166.7, high=500),
}


def edge_map(image: PreparedImage, setting: str = "default") -> NDArray[np.bool_]:
    """Find edge pixels with the Canny detector.

    Parameters
    ----------
    image : PreparedImage
        The image; its gray is used.
    setting : {"default", "median", "high"}
        ``default``: Gaussian of sigma 1.4, thresholds 30 and 80. ``median``: 5 x 5 Gaussian,
        thresholds .67 and 1.33 times the median gray. ``high``: no smoothing, thresholds
        166.7 and 500. All with a 3 x 3 Sobel, L2 gradient magnitude and mirrored borders.

    Returns
    -------
    ndarray of bool, shape (h, w)
        True on edges.
    """
    chosen = SETTINGS[setting]
    gray = image.gray
    if chosen.sigma > 0 or chosen.kernel > 0:
        gray = np.asarray(
            cv2.GaussianBlur(gray, (chosen.kernel, chosen.kernel), chosen.sigma), dtype=np.uint8
        )
    scale = float(np.median(gray)) if chosen.of_median else 1.0
    edges = cv2.Canny(
        gray, chosen.low * scale, chosen.high * scale, apertureSize=3, L2gradient=True
    )
    return np.asarray(edges > 0)


@dataclass(frozen=True)
class Traced:
    """Edges, and how many pieces they are in.

    Attributes
    ----------
    mask : ndarray of bool, shape (h, w)
        True on edges.
    pixels, components : int
        Number of edge pixels, and of their 8-connected pieces.
    """

    mask: NDArray[np.bool_]
    pixels: int
    components: int


def default_edges(image: PreparedImage) -> Traced:
    """Find the edges that metrics share: those of `edge_map` with the default setting."""
    from complexity.metrics.edges_kernels import blur

    chosen = SETTINGS["default"]
    smooth = _scratch.shaped("smooth", image.gray.shape, np.uint8)
    blur(image.gray, _TAPS, smooth)
    return traced(smooth, int(chosen.low), int(chosen.high))


def traced(gray: NDArray[np.uint8], low: int, high: int) -> Traced:
    """Find edges, and count their pieces in the same go.

    The pixels are those of OpenCV's detector (3 x 3 Sobel, L2 gradient magnitude); each piece
    is what hangs together with one strong pixel.

    Parameters
    ----------
    gray : ndarray of uint8, shape (h, w)
        One channel, smoothed already.
    low, high : int
        Hysteresis thresholds.
    """
    from complexity.metrics.edges_kernels import EDGE, trace

    height, width = gray.shape
    room = (height + 2) * (width + 2)
    marks = _scratch.get("marks", (room + 7) // 8, np.uint64).view(np.uint8)
    stack = _scratch.get("stack", height * width, np.int32)
    pixels, components = trace(gray, low**2, high**2, marks, stack)
    mask = marks[:room].reshape(height + 2, width + 2)[1:-1, 1:-1] == EDGE
    return Traced(mask, pixels, components)


@metric(
    name="edge_density",
    version=1,
    unit="share of pixels",
    range=(0.0, 1.0),
    summary="share of pixels on Canny edges",
    reference=f"{MACK}; Canny 1986, doi:10.1109/TPAMI.1986.4767851",
    parameters={**asdict(SETTINGS["default"]), "aperture": 3, "gradient": "L2"},
    presets=("card", "lite", "all"),
)
def edge_density(image: PreparedImage) -> float:
    """Share of pixels that the Canny detector marks as edges.

    Gray is smoothed by a Gaussian of sigma 1.4 pixels (9 x 9 kernel, mirrored borders); Sobel
    3 x 3, L2 gradient magnitude, non-maximum suppression, hysteresis with thresholds 30 and
    80 (of 8-bit gray). Of the settings tried these agree best with people's ratings.

    It grows with contours, texture and noise alike, and depends on the scale of the image
    (which the image policy fixes) and on contrast. It does not see colour contrasts of equal
    luma.

    The share of edge pixels as a measure is Mack and Oliva's; sigma and thresholds are ours.
    Theirs were not found; Rosenholtz, Li and Nakano (2007) smooth by sigma 1 and have other
    thresholds, so the numbers are not to be compared with theirs.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In [0, 1]; 0 on a constant image.
    """
    edges = image.shared(default_edges)
    return edges.pixels / edges.mask.size


@metric(
    name="edge_density_median",
    version=1,
    unit="share of pixels",
    range=(0.0, 1.0),
    summary="share of pixels on Canny edges, thresholds relative to the median",
    reference=SARITAS,
    parameters={**asdict(SETTINGS["median"]), "aperture": 3, "gradient": "L2"},
)
def edge_density_median(image: PreparedImage) -> float:
    """Share of pixels on Canny edges with thresholds of .67 and 1.33 times the median gray.

    Gray smoothed by a 5 x 5 Gaussian (sigma 1.1, mirrored borders), of which the median is
    taken; otherwise as `edge_density`. Bright images have fewer edges by this definition.
    Belongs to no preset.

    Not the authors' numbers: their script takes the L1 norm of the gradient (OpenCV's default),
    cuts the thresholds to whole numbers of at most 255, and sees images at full size. On one and
    the same array the L2 norm here finds fewer edges: .79 of theirs in the median of 120 images
    (.54 to .92 for four fifths of them; rank correlation .96).

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In [0, 1].
    """
    return _share(edge_map(image, "median"))


@metric(
    name="edge_density_high",
    version=1,
    unit="share of pixels",
    range=(0.0, 1.0),
    summary="share of pixels on Canny edges, thresholds 166.7 and 500",
    reference="after Machado et al. 2015, Acta Psychologica 160, 43-57, "
    "doi:10.1016/j.actpsy.2015.06.005",
    parameters={**asdict(SETTINGS["high"]), "aperture": 3, "gradient": "L2"},
)
def edge_density_high(image: PreparedImage) -> float:
    """Share of pixels on Canny edges with thresholds 166.7 and 500, without smoothing.

    Otherwise as `edge_density`: strong contours and fine texture only. Belongs to no preset.

    Machado et al. find the density of Canny edges among the strongest predictors of ratings. That
    these thresholds are theirs could not be confirmed from their text.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In [0, 1].
    """
    return _share(edge_map(image, "high"))


@metric(
    name="edge_components",
    version=1,
    unit="components",
    range=(0.0, None),
    summary="number of connected pieces of Canny edges",
    reference=f"{MACK}; Canny 1986, doi:10.1109/TPAMI.1986.4767851",
    parameters={**asdict(SETTINGS["default"]), "connectivity": 8},
    presets=("lite", "all"),
)
def edge_components(image: PreparedImage) -> float:
    """Count the 8-connected components of the edge map of `edge_density`.

    Contours that touch are one, a broken one is several; n separate disks of enough contrast
    count n. It depends on the size of the image. Nearly invariant to flips and rotations, as
    edges are.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        A whole number, at least 0; 0 without edges.
    """
    return float(image.shared(default_edges).components)


@metric(
    name="msg",
    version=1,
    unit="sRGB from 0 to 1 per Sobel kernel",
    range=(0.0, 6.0),
    summary="mean length of the Sobel gradient of R, G and B, weighted over four scales",
    reference=SARITAS,
    parameters={"scales": [*SCALES], "weights": [*WEIGHTS], "aperture": 3},
    presets=("lite", "all"),
)
def msg(image: PreparedImage) -> float:
    """Multi-scale Sobel gradient (MSG).

    sRGB in [0, 1], shrunk by bilinear interpolation to 1, 1/2, 1/4 and 1/8 of its sides
    (rounded down); for each channel the length of the gradient by 3 x 3 Sobel kernels (weights
    1 2 1, not normalised, mirrored borders), averaged over pixels and channels; the four
    scales weighted with .4, .3, .2 and .1.

    The authors' script gives the same on the same array. It takes images at full size, here they
    are shrunk to the image policy's: on 100 scenes with long sides of 559 to 1,060 pixels the
    values were 1.08 times those that the authors publish in the median (.97 to 1.19 for four
    fifths; rank correlation .98); up to 512 pixels they are the same.

    It grows with contrast and with fine texture, and does not tell one from the other.
    Invariant to flips and rotations by 90 degrees, up to rounding, if both sides are multiples
    of 8 (else shrinking samples other places).

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In [0, 6]; 0 for a constant image; photographs have about .1 to .7.

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 8 pixels on a side.
    """
    from complexity.metrics.counting import middle_sums, sobel_sum

    height, width = image.rgb.shape[:2]
    total = 0.0
    for scale, (columns, rows), weight in zip(SCALES, sizes(image), WEIGHTS, strict=True):
        # Where levels, or sums of four, tell all, they are whole numbers, thus exact.
        if scale == 1:
            length, unit = sobel_sum(image.rgb.reshape(height, -1), 3), 255.0
        elif height % scale == 0 and width % scale == 0:
            if scale == 2:
                sums = image.shared(half_sums)
            else:
                sums = _scratch.shaped("sums", (3, rows, columns), np.int32)
                middle_sums(image.shared(rgb_planes), scale, sums)
            length, unit = sum(sobel_sum(plane, 1) for plane in sums), 4 * 255.0
        else:
            length, unit = _sampled(image.rgb, columns, rows), 1.0
        total += weight * length / (unit * 3 * rows * columns)
    return total


def _sampled(rgb: Pixels, columns: int, rows: int) -> float:
    """Sum of the lengths of gradients of an image shrunk by OpenCV's bilinear interpolation."""
    from complexity.metrics.counting import gradient_sum, to_unit

    levels = rgb.reshape(-1)
    unit_rgb = _scratch.get("unit", levels.size, np.float32)
    to_unit(levels, unit_rgb)
    small, right, down = (
        _scratch.shaped(name, (rows, columns, 3), np.float32) for name in ("small", "right", "down")
    )
    cv2.resize(unit_rgb.reshape(rgb.shape), (columns, rows), dst=small)
    cv2.Sobel(small, cv2.CV_32F, 1, 0, dst=right, ksize=3)
    cv2.Sobel(small, cv2.CV_32F, 0, 1, dst=down, ksize=3)
    return float(gradient_sum(right.reshape(rows, -1), down.reshape(rows, -1)))


def _share(edges: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(edges)) / edges.size
