"""Subband Entropy: how many bits an image's subbands would take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.clutter import ROSENHOLTZ, Variant, lab_planes
from complexity.metrics.scratch import Scratch
from complexity.registry import UndefinedMetric, metric

Floats = NDArray[np.float32]

SCALES, ORIENTATIONS = 3, 4
#: Weight of a* and of b* beside L*'s of 1.
CHROMA_WEIGHT = 0.0625
#: a* or b* that spans less than this counts as constant (the authors').
FLAT_CHROMA = 0.008
#: A subband that spans less than this share of its channel's span is rounding error.
FLAT_BAND = 1e-5
SMALLEST = 1 << (SCALES + 2)
_scratch = Scratch()


@metric(
    name="subband_entropy",
    version=1,
    unit="nats",
    range=(0.0, None),
    summary="mean entropy of steerable-pyramid subbands of L*, a* and b*",
    reference=f"{ROSENHOLTZ}; Simoncelli & Freeman 1995, doi:10.1109/ICIP.1995.537667",
    parameters={
        "variant": "published",
        "scales": SCALES,
        "orientations": ORIENTATIONS,
        "chroma_weight": CHROMA_WEIGHT,
    },
    presets=("all",),
)
def subband_entropy(image: PreparedImage) -> float:
    """Subband Entropy: how many bits the image would take, coded in subbands.

    As the authors' code computes it (within .1 % of the package visual-clutter
    where both sides are even): L*, a* and b*
    each go through a steerable pyramid made in the Fourier domain (circular borders): a high
    band, 3 scales of 4 orientations, a low band. Of the coefficients of each band, from the
    smallest to the largest in ceil(sqrt(n)) - 1 equal bins, the largest itself in a bin of its
    own, the Shannon entropy is taken in nats; of these 14, the mean. The result is the
    weighted mean over channels, L* with 1, a* and b* with .0625; a* or b* that spans less than
    .008 counts 0.

    L*, a* and b* are those of the authors' code, white in percent, so that L* is nearly linear
    in luminance (see `complexity.metrics.clutter`); `entropy_of_subbands` also has a variant
    with true CIE values. Two departures: at odd sizes the filters are centred on frequency 0,
    and a band that spans less than 1e-5 of its channel counts 0, where that code takes the
    entropy of rounding errors (on images without any contrast in some direction).

    It grows with the logarithm of the number of pixels (more bins), does not depend on
    contrast, and is invariant to flips and rotations by 90 degrees only up to the extra bin of
    the largest coefficient (some 0.1 %).

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        At least 0; photographs have about 2 to 4; 0 for a constant image.

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 32 pixels on a side.
    """
    return entropy_of_subbands(image)


def entropy_of_subbands(image: PreparedImage, variant: Variant = "published") -> float:
    """Compute Subband Entropy in one of its variants.

    Parameters
    ----------
    image : PreparedImage
        The image.
    variant : {"published", "cie"}
        Which L*a*b*, see `complexity.metrics.clutter`.

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 32 pixels on a side.
    """
    height, width = image.rgb.shape[:2]
    if min(height, width) < SMALLEST:
        raise UndefinedMetric(f"needs {SMALLEST} pixels a side, has {width} × {height}")
    luma, *chroma = lab_planes(image, variant)
    total = sum(_mean_entropies([luma], 0.0))
    total += CHROMA_WEIGHT * sum(_mean_entropies(chroma, FLAT_CHROMA))
    return total / (1 + 2 * CHROMA_WEIGHT)


def _mean_entropies(planes: list[Floats], flat: float) -> list[float]:
    """Mean entropy of the subbands of one plane or two; constant planes are left out."""
    from complexity.metrics.subbands_kernels import picked, standardised

    spans = [np.ptp(plane) for plane in planes]
    rest = [pair for pair in zip(planes, spans, strict=True) if pair[1] > flat]
    if not rest:
        return []
    # A complex transform does two real ones at a time: of two planes with one filter each
    # time, or of one plane with two filters.
    height, width = planes[0].shape
    whole = _scratch.shaped("whole", (height, width, 2), np.float32)
    if len(rest) == 1:
        whole[..., 1] = 0
    for which, (plane, span) in enumerate(rest):
        # Planes of equal span, so that neither drowns the other; the mean costs digits.
        standardised(plane, plane.mean(), span, which, whole)
    cv2.dft(whole, dst=whole)
    entropies: list[list[float]] = [[] for _ in rest]
    for part in _filters(height, width):
        here = whole
        if part.rows is not None:
            shape = (len(part.rows), len(part.columns), 2)
            here = _scratch.shaped("here", shape, np.float32)
            picked(whole, part.rows, part.columns, here)
        masks = part.masks
        if len(rest) == 2:
            for mask in masks:
                found = _band_pair(here, mask, None, part.odd)
                for mine, entropy in zip(entropies, found, strict=True):
                    mine.append(entropy)
        else:
            for first in range(0, len(masks), 2):
                pair = masks[first : first + 2]
                found = _band_pair(here, pair[0], pair[1] if len(pair) == 2 else None, part.odd)
                entropies[0] += found[: len(pair)]
    return [float(np.mean(mine)) for mine in entropies]


def _band_pair(spectrum: Floats, one: Floats, two: Floats | None, odd: bool) -> list[float]:
    """Entropies of the real and of the imaginary part of a filtered spectrum's inverse."""
    from complexity.metrics.subbands_kernels import extremes, filtered, pair_entropies

    height, width = spectrum.shape[:2]
    band = _scratch.shaped("band", (height, width, 2), np.float32)
    nothing = np.empty((0, 0), dtype=np.float32)
    filtered(spectrum, one, nothing if two is None else two, odd, band)
    cv2.dft(band, dst=band, flags=cv2.DFT_INVERSE)
    values = band.reshape(-1)
    low, high = extremes(values)
    bins = int(np.ceil(np.sqrt(height * width)))
    # The inverse is not scaled: everything is larger by the number of places.
    counts = high - low > FLAT_BAND * height * width
    per_unit = np.where(counts, (bins - 1) / np.where(counts, high - low, 1), 0)
    found = pair_entropies(values, low, per_unit.astype(np.float32), bins)
    return [float(found[i]) if counts[i] else 0.0 for i in range(2)]


@dataclass(frozen=True)
class _Filters:
    """Filters that make bands of one size, for the rows and columns of the spectrum they need.

    No rows are all of them; masks of `odd` filters go with the imaginary unit.
    """

    rows: NDArray[np.intp] | None
    columns: NDArray[np.intp]
    masks: list[Floats]
    odd: bool


@lru_cache(maxsize=8)  # images of one set tend to have few sizes; 5 MB each
def _filters(height: int, width: int) -> list[_Filters]:
    """Make the steerable pyramid's filters of order 3, for spectra from frequency 0 on."""
    y = 2 * np.fft.fftfreq(height).astype(np.float32)[:, None]
    x = 2 * np.fft.fftfreq(width).astype(np.float32)[None]
    radius = np.hypot(x, y)
    radius[0, 0] = radius[0, 1]
    octave = np.log2(radius)
    directions = [
        ((np.cos(angle) * x + np.sin(angle) * y) / radius) ** 3
        for angle in (np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS).astype(np.float32)
    ]
    rows, columns = np.arange(height), np.arange(width)
    filters = [_Filters(None, columns, [_high(octave)], odd=False)]
    low = _low(octave)
    for scale in range(1, SCALES + 1):
        band = low * _high(octave + scale)
        masks = [np.ascontiguousarray(band * direction) for direction in directions]
        filters.append(_Filters(rows if scale > 1 else None, columns, masks, odd=True))
        inner_y, inner_x = (_inner((length + 1) // 2) % length for length in octave.shape)
        rows, columns = rows[inner_y], columns[inner_x]
        inner = np.ix_(inner_y, inner_x)
        octave, low = octave[inner], low[inner]
        directions = [direction[inner] for direction in directions]
        low = low * _low(octave + scale)
    filters.append(_Filters(rows, columns, [np.ascontiguousarray(low)], odd=False))
    return filters


def _inner(length: int) -> NDArray[np.intp]:
    """Frequencies of a line of some length, in cycles, in the order of its spectrum."""
    return np.fft.fftfreq(length, 1 / length).round().astype(np.intp)


def _high(octave: Floats) -> Floats:
    """High-pass: 0 below -1 octave, 1 above 0, a raised cosine (squared) in between."""
    return np.asarray(np.sin(np.float32(np.pi / 2) * np.clip(1 + octave, 0, 1)))


def _low(octave: Floats) -> Floats:
    return np.asarray(np.cos(np.float32(np.pi / 2) * np.clip(1 + octave, 0, 1)))
