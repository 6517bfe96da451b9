"""Subband Entropy: how many bits an image's subbands would take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.clutter import ROSENHOLTZ, Variant, lab_planes
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
    total = _mean_entropy(luma, 0.0)
    for plane in chroma:
        total += CHROMA_WEIGHT * _mean_entropy(plane, FLAT_CHROMA)
    return total / (1 + 2 * CHROMA_WEIGHT)


def _mean_entropy(plane: Floats, flat: float) -> float:
    from scipy import fft

    span = float(np.ptp(plane))
    if span <= flat:
        return 0.0
    # The mean has no part in any entropy but costs digits.
    spectrum = fft.rfft2(plane - plane.mean())
    entropies = []
    for part in _filters(*plane.shape):
        here = spectrum if part.rows is None else spectrum[part.rows, : part.columns]
        if part.odd:
            here = here * np.complex64(1j)
        for masks in part.masks:
            bands = fft.irfft2(here * masks, s=part.shape, overwrite_x=True)
            entropies += [_entropy(band, span) for band in bands]
    return float(np.mean(entropies))


def _entropy(band: Floats, span: float) -> float:
    from complexity.metrics.clutter_kernels import histogram_entropy

    low, high = float(band.min()), float(band.max())
    if high - low <= FLAT_BAND * span:
        return 0.0
    bins = int(np.ceil(np.sqrt(band.size)))
    return float(histogram_entropy(band.reshape(-1), low, (bins - 1) / (high - low), bins))


@dataclass(frozen=True)
class _Filters:
    """Filters that make bands of one size: rows and columns of the spectrum, then masks.

    No rows are all of them; masks of `odd` filters go with the imaginary unit. Small masks
    lie together, large ones apart, for speed.
    """

    shape: tuple[int, int]
    rows: NDArray[np.intp] | None
    columns: int
    masks: list[Floats]
    odd: bool


@lru_cache(maxsize=8)  # images of one set tend to have few sizes; 2.5 MB each
def _filters(height: int, width: int) -> list[_Filters]:
    """Make the steerable pyramid's filters of order 3 for ``rfft2``'s layout."""
    y = 2 * np.fft.fftfreq(height).astype(np.float32)[:, None]
    x = 2 * np.fft.rfftfreq(width).astype(np.float32)[None]
    radius = np.hypot(x, y)
    radius[0, 0] = radius[0, 1]
    octave = np.log2(radius)
    directions = [
        ((np.cos(angle) * x + np.sin(angle) * y) / radius) ** 3
        for angle in (np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS).astype(np.float32)
    ]
    shape, rows, columns = (height, width), np.arange(height), x.shape[1]
    filters = [_Filters(shape, None, columns, [_high(octave)[None]], odd=False)]
    low = _low(octave)
    for scale in range(1, SCALES + 1):
        band = low * _high(octave + scale)
        masks = [(band * direction)[None] for direction in directions]
        if scale > 1:
            masks = [np.concatenate(masks)]
        filters.append(_Filters(shape, rows if scale > 1 else None, columns, masks, odd=True))
        shape = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
        inner = np.fft.fftfreq(shape[0], 1 / shape[0]).astype(np.intp) % len(rows)
        rows, columns = rows[inner], shape[1] // 2 + 1
        octave, low = octave[inner, :columns], low[inner, :columns]
        directions = [direction[inner, :columns] for direction in directions]
        low = low * _low(octave + scale)
    filters.append(_Filters(shape, rows, columns, [low[None]], odd=False))
    return filters


def _high(octave: Floats) -> Floats:
    """High-pass: 0 below -1 octave, 1 above 0, a raised cosine (squared) in between."""
    return np.asarray(np.sin(np.float32(np.pi / 2) * np.clip(1 + octave, 0, 1)))


def _low(octave: Floats) -> Floats:
    return np.asarray(np.cos(np.float32(np.pi / 2) * np.clip(1 + octave, 0, 1)))
