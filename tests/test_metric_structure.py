"""Symmetry, fractal dimension and spectral slope: closed forms and known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from complexity.image import PreparedImage, prepare_array
from complexity.metrics.structure import (
    box_dimension,
    fractal_dimension,
    spectral_slope,
    symmetries,
    symmetry,
)
from complexity.registry import UndefinedMetric


def in_gray(levels: NDArray[np.generic]) -> PreparedImage:
    return prepare_array(np.asarray(levels).astype(np.uint8))


def noise(seed: int, height: int, width: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 256, (height, width))


# --- symmetry ---------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(2, 40),
    width=st.integers(2, 30),
    odd=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_mirrored_halves_are_fully_symmetric(seed: int, height: int, width: int, odd: bool) -> None:
    half = noise(seed, height, width)
    assume(np.ptp(half) > 0)
    middle = noise(seed + 1, height, 1) if odd else np.empty((height, 0), dtype=int)
    whole = np.hstack([half, middle, half[:, ::-1]])
    assert symmetries(in_gray(whole))[0] == pytest.approx(1.0, abs=1e-12)
    assert symmetries(in_gray(whole.T))[1] == pytest.approx(1.0, abs=1e-12)
    assert symmetry(in_gray(whole)) == pytest.approx(1.0, abs=1e-12)
    # the negative as well, as the correlation's size counts
    negative = np.hstack([half, middle, 255 - half[:, ::-1]])
    assert symmetry(in_gray(negative)) == pytest.approx(1.0, abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(4, 40), width=st.integers(4, 40))
@settings(max_examples=40, deadline=None)
def test_symmetry_is_numpys_correlation_and_turns_along(seed: int, height: int, width: int) -> None:
    levels = noise(seed, height, width)
    left, right = levels[:, : width // 2], levels[:, ::-1][:, : width // 2]
    upper, lower = levels[: height // 2], levels[::-1][: height // 2]
    expected = max(
        abs(float(np.corrcoef(one.ravel(), two.ravel())[0, 1]))
        for one, two in ((left, right), (upper, lower))
    )
    assert symmetry(in_gray(levels)) == pytest.approx(expected, abs=1e-9)
    for other in (levels[::-1], levels[:, ::-1], np.rot90(levels)):
        assert symmetry(in_gray(other)) == pytest.approx(expected, abs=1e-9)


def test_noise_is_not_symmetric() -> None:
    assert symmetry(in_gray(noise(1, 200, 200))) < 0.05


@pytest.mark.parametrize("levels", [np.full((9, 9), 7), np.zeros((1, 1)), np.ones((1, 30))])
def test_nothing_correlates_with_a_constant(levels: NDArray[np.float64]) -> None:
    with pytest.raises(UndefinedMetric, match="constant"):
        symmetry(in_gray(levels))


def test_one_axis_is_enough() -> None:
    stripes = np.tile(np.arange(30) * 8, (20, 1))  # left and right differ, columns are constant
    assert symmetries(in_gray(stripes)) == (pytest.approx(1.0), pytest.approx(1.0))
    row = np.array([[1, 5, 9, 2, 7]])
    assert symmetries(in_gray(row))[1] is None
    assert 0 <= symmetry(in_gray(row)) <= 1


# --- fractal dimension ------------------------------------------------------------------------


def sierpinski_carpet(steps: int) -> NDArray[np.bool_]:
    carpet = np.ones((1, 1), dtype=bool)
    for _ in range(steps):
        row = np.hstack([carpet] * 3)
        carpet = np.vstack([row, np.hstack([carpet, ~carpet & False, carpet]), row])
    return carpet


def test_sierpinski_carpet() -> None:
    sizes = [1, 3, 9, 27, 81]
    found = box_dimension(sierpinski_carpet(5), sizes)
    assert found == pytest.approx(math.log(8) / math.log(3), rel=1e-12)


@pytest.mark.parametrize(("rows", "dimension"), [(slice(None), 2.0), (slice(17, 18), 1.0)])
def test_plane_and_line(rows: slice, dimension: float) -> None:
    mask = np.zeros((128, 128), dtype=bool)
    mask[rows] = True
    assert box_dimension(mask, [1, 2, 4, 8, 16]) == pytest.approx(dimension, rel=1e-12)


def test_points_have_dimension_zero() -> None:
    mask = np.zeros((128, 100), dtype=bool)
    mask[[3, 70, 120], [90, 5, 60]] = True
    assert box_dimension(mask, [2, 4, 8, 16]) == pytest.approx(0.0, abs=1e-12)


def test_boxes_cut_by_the_border_count() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[4, 6] = True
    assert box_dimension(mask, [1, 2, 4]) == pytest.approx(0.0, abs=1e-12)


def test_fractal_dimension_of_images() -> None:
    step = np.zeros((256, 256))
    step[:, 100:] = 200
    assert fractal_dimension(in_gray(step)) == pytest.approx(1.0, abs=0.02)
    assert fractal_dimension(in_gray(noise(3, 256, 256))) > 1.7
    with pytest.raises(UndefinedMetric, match="no edges"):
        fractal_dimension(in_gray(np.full((64, 64), 9)))
    with pytest.raises(UndefinedMetric, match="needs 32 pixels a side"):
        fractal_dimension(in_gray(noise(1, 31, 90)))


# --- spectral slope ---------------------------------------------------------------------------


def power_law(slope: float, height: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """Gray levels whose power falls with frequency to the given power."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    radius[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * radius ** (slope / 2)
    spectrum[0, 0] = 0
    image = np.fft.irfft2(spectrum, s=(height, width))
    return np.clip(np.round(128 + 40 * image / image.std()), 0, 255)


@pytest.mark.parametrize("slope", [0.0, -1.0, -2.0, -2.5])
@pytest.mark.parametrize("shape", [(256, 256), (192, 320), (301, 211)])
def test_slope_of_a_known_spectrum(slope: float, shape: tuple[int, int]) -> None:
    assert spectral_slope(in_gray(power_law(slope, *shape))) == pytest.approx(slope, abs=0.12)


def test_slope_is_numpys() -> None:
    """The definition, in double precision and without our layout."""
    levels = power_law(-1.5, 96, 130, seed=4)
    gray = in_gray(levels).gray.astype(float)
    height, width = gray.shape
    windows = [np.sin(np.pi * np.arange(n) / n) ** 2 for n in gray.shape]
    power = np.abs(np.fft.fft2((gray - gray.mean()) * np.outer(*windows))) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) * width
    rings = range(10, width // 2 + 1)
    means = [power[np.rint(radius) == k].mean() for k in rings]
    expected = np.polyfit(np.log(list(rings)), np.log(means), 1)[0]
    assert spectral_slope(in_gray(levels)) == pytest.approx(expected, abs=1e-3)


def test_turning_hardly_matters() -> None:
    levels = power_law(-2.0, 160, 200, seed=2)
    expected = spectral_slope(in_gray(levels))
    for other in (levels[::-1], levels[:, ::-1], np.rot90(levels)):
        assert spectral_slope(in_gray(other)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        (np.full((80, 80), 3), "no power"),
        (noise(1, 63, 63), "too small"),
        (noise(1, 7, 300), "too small"),
    ],
)
def test_no_slope(levels: NDArray[np.int64], reason: str) -> None:
    with pytest.raises(UndefinedMetric, match=reason):
        spectral_slope(in_gray(levels))
