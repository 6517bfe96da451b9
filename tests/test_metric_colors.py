"""Colour, compression and multi-scale gradients: published definitions and closed forms."""

from __future__ import annotations

import io
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from complexity.image import prepare_array
from complexity.metrics.color import colorfulness, unique_colors, unique_colors_coarse
from complexity.metrics.compression import jpeg_bpp
from complexity.metrics.edges import edge_components, edge_density, msg
from complexity.registry import UndefinedMetric

Pixels = NDArray[np.uint8]
WEIGHTS = (0.4, 0.3, 0.2, 0.1)


def photograph(name: str) -> Pixels:
    import skimage.data

    return np.asarray(getattr(skimage.data, name)())[:384, :512]


def flat(colour: tuple[int, int, int], height: int = 64, width: int = 80) -> Pixels:
    return np.full((height, width, 3), colour, dtype=np.uint8)


# --- unique colours ---------------------------------------------------------------------------


def distinct(rgb: Pixels, bits: int) -> float:
    """The definition, word by word."""
    total = 0.0
    for scale, weight in zip((1, 2, 4, 8), WEIGHTS, strict=True):
        size = (rgb.shape[1] // scale, rgb.shape[0] // scale)
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) >> (8 - bits)
        total += weight * len(np.unique(small.reshape(-1, 3), axis=0))
    return total


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_unique_colors_are_those_of_the_definition(name: str) -> None:
    image = prepare_array(photograph(name))
    assert unique_colors(image) == pytest.approx(distinct(image.rgb, 5), rel=1e-12)
    assert unique_colors_coarse(image) == pytest.approx(distinct(image.rgb, 3), rel=1e-12)


def test_large_patches_of_n_colours_count_n() -> None:
    levels = np.array([0, 40, 80, 120, 160, 200, 240], dtype=np.uint8)
    patches = np.stack(np.meshgrid(levels, levels, [7]), axis=-1).reshape(7, 7, 3).astype(np.uint8)
    image = prepare_array(patches.repeat(8, axis=0).repeat(8, axis=1))
    assert unique_colors(image) == pytest.approx(49.0)
    assert unique_colors_coarse(image) == pytest.approx(49.0)
    # 5 bits do not tell levels 0 to 7 apart, 3 bits not 0 to 31
    near = np.where(np.indices((64, 64)).sum(axis=0) % 2, 7, 0).astype(np.uint8)
    assert unique_colors(prepare_array(near)) == 1.0
    apart = np.zeros((64, 64), dtype=np.uint8)
    apart[:32] = 31
    assert unique_colors(prepare_array(apart)) == pytest.approx(2.0)
    assert unique_colors_coarse(prepare_array(apart)) == 1.0


@pytest.mark.parametrize("function", [unique_colors, unique_colors_coarse, msg])
@pytest.mark.parametrize("shape", [(7, 100), (100, 7), (1, 1)])
def test_too_small_for_an_eighth(function: object, shape: tuple[int, int]) -> None:
    with pytest.raises(UndefinedMetric, match="needs 8 pixels a side"):
        function(prepare_array(flat((1, 2, 3), *shape)))  # type: ignore[operator]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 6), width=st.integers(1, 6))
def test_flips_and_rotations_keep_colours_and_gradients(seed: int, height: int, width: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (8 * height, 8 * width, 3), dtype=np.uint8)
    image = prepare_array(rgb)
    for other in (rgb[::-1], rgb[:, ::-1], np.rot90(rgb)):
        turned = prepare_array(np.ascontiguousarray(other))
        assert unique_colors(turned) == unique_colors(image)
        assert unique_colors_coarse(turned) == unique_colors_coarse(image)
        assert colorfulness(turned) == colorfulness(image)
        assert msg(turned) == pytest.approx(msg(image), rel=1e-5)


# --- colourfulness ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_colorfulness_is_the_published_formula(name: str) -> None:
    image = prepare_array(photograph(name))
    r, g, b = np.moveaxis(image.rgb.astype(np.float64), -1, 0)
    rg, yb = r - g, (r + g) / 2 - b
    expected = math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())
    assert colorfulness(image) == pytest.approx(expected, rel=1e-12)


def test_colorfulness_of_known_images() -> None:
    assert colorfulness(prepare_array(np.arange(256, dtype=np.uint8)[None])) == 0.0
    assert colorfulness(prepare_array(flat((255, 0, 0)))) == pytest.approx(
        0.3 * math.hypot(255, 127.5), rel=1e-12
    )
    half = flat((255, 0, 0))
    half[:32] = (0, 255, 0)
    # rg is ±255 around 0, yb is 127.5 everywhere
    assert colorfulness(prepare_array(half)) == pytest.approx(255 + 0.3 * 127.5, rel=1e-12)


# --- JPEG -------------------------------------------------------------------------------------


@given(colour=st.tuples(*[st.integers(0, 255)] * 3), side=st.integers(1, 130))
@settings(max_examples=60, deadline=None)
def test_constant_images_cost_nothing(colour: tuple[int, int, int], side: int) -> None:
    assert jpeg_bpp(prepare_array(flat(colour, side, 70))) == 0.0


def test_bits_are_those_of_the_file_less_a_constant_images() -> None:
    image = prepare_array(photograph("coffee"))

    def size(rgb: Pixels) -> int:
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "JPEG", quality=25, subsampling="4:2:0")
        return len(file.getvalue())

    more = size(image.rgb) - size(np.full_like(image.rgb, 128))
    assert jpeg_bpp(image) == 8 * more / image.gray.size


def test_noise_costs_more_the_stronger_it_is() -> None:
    noise = np.random.default_rng(1).standard_normal((96, 96, 1))
    values = [
        jpeg_bpp(prepare_array(np.repeat(np.clip(128 + sd * noise, 0, 255), 3, 2).astype(np.uint8)))
        for sd in (0, 5, 15, 40, 80)
    ]
    assert values == sorted(set(values))


# --- gradients and edges ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_msg_is_the_published_definition(name: str) -> None:
    image = prepare_array(photograph(name))
    scaled = image.rgb.astype(np.float32) / 255
    expected = 0.0
    for scale, weight in zip((1, 2, 4, 8), WEIGHTS, strict=True):
        small = cv2.resize(scaled, (image.rgb.shape[1] // scale, image.rgb.shape[0] // scale))
        lengths = [
            np.hypot(cv2.Sobel(part, cv2.CV_32F, 1, 0), cv2.Sobel(part, cv2.CV_32F, 0, 1)).mean()
            for part in cv2.split(small)
        ]
        expected += weight * float(np.mean(lengths))
    assert msg(image) == pytest.approx(expected, rel=1e-5)


def test_msg_of_a_ramp() -> None:
    """One level a pixel across: Sobel 8/255 inside, 0 on the mirrored outermost columns."""
    width = 256
    image = prepare_array(np.tile(np.arange(width, dtype=np.uint8), (64, 1)))
    expected = 0.0
    for scale, weight in zip((1, 2, 4, 8), WEIGHTS, strict=True):
        columns = width // scale
        expected += weight * 8 * scale / 255 * (columns - 2) / columns
    assert msg(image) == pytest.approx(expected, rel=1e-5)
    assert msg(prepare_array(flat((9, 99, 199)))) == 0.0


@pytest.mark.parametrize("count", [1, 2, 5, 12, 20])
def test_separate_disks_have_as_many_edge_components(count: int) -> None:
    image = flat((230, 230, 230), 200, 250)
    densities = []
    for i in range(count):
        cv2.circle(image, (25 + 50 * (i % 5), 25 + 50 * (i // 5)), 12, (30, 30, 200), -1)
        prepared = prepare_array(image)
        assert edge_components(prepared) == i + 1
        densities.append(edge_density(prepared))
    assert densities == sorted(set(densities))
