"""Faster ways give what the plain ways give, value for value."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from complexity import image as policy
from complexity.area import average
from complexity.image import prepare, prepare_array
from complexity.metrics import clutter, compression
from complexity.metrics.counting import linearised, paired_ring_power, ring_power
from complexity.metrics.edges import default_edges, edge_map
from complexity.metrics.entropy import CURVE, lab_counts
from complexity.metrics.objects import object_count
from complexity.metrics.orientation_kernels import slide
from complexity.metrics.perceived_kernels import colour_borders, piece_sizes
from complexity.metrics.planes import linear_levels, planes_of

Pixels = NDArray[np.uint8]


def picture(seed: int, height: int, width: int, blur: float = 0.0) -> Pixels:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), blur)) if blur else rgb


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    blur=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_traced_edges_are_opencvs(seed: int, height: int, width: int, blur: float) -> None:
    rgb = picture(seed, height, width, blur)
    stretched = cv2.normalize(rgb, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    for image in (prepare_array(rgb), prepare_array(np.asarray(stretched, dtype=np.uint8))):
        edges = edge_map(image)
        traced = default_edges(image)
        np.testing.assert_array_equal(traced.mask, edges)
        assert traced.pixels == np.count_nonzero(edges)
        pieces, _ = cv2.connectedComponents(edges.astype(np.uint8), connectivity=8)
        assert traced.components == pieces - 1


def test_colours_fall_into_opencvs_lab_bins() -> None:
    # A grid of levels that are not neighbours, ends included, and random colours.
    levels = np.unique(np.append(np.arange(0, 256, 7), (1, 2, 3, 253, 254, 255))).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, len(levels), 3)
    for rgb in (np.ascontiguousarray(grid), picture(1, 400, 500)):
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(int) >> 4
        place = lab[..., 0] << 8 | lab[..., 1] << 4 | lab[..., 2]
        expected = np.bincount(place.ravel(), minlength=4096)
        np.testing.assert_array_equal(lab_counts(planes_of(rgb)), expected)


def test_the_curve_is_right_at_every_level() -> None:
    found = np.empty(256, dtype=np.float32)
    linearised(np.arange(256, dtype=np.uint8), CURVE, found)
    np.testing.assert_array_equal(found, np.rint(2040 * linear_levels()))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sides=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    by=st.floats(1.0, 9.0),
)
def test_averages_are_opencvs(seed: int, sides: tuple[int, int], by: float) -> None:
    height, width = sides
    small = (max(1, round(width / by)), max(1, round(height / by)))
    if width % small[0] == 0 and height % small[1] == 0:
        return  # not asked of it
    rgb = picture(seed, height, width)
    four = np.dstack([rgb, np.full((height, width), 7, dtype=np.uint8)])
    out = average(four.view(np.uint32)[..., 0], *small)
    np.testing.assert_array_equal(out, cv2.resize(rgb, small, interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("size", [(64, 48), (40, 56), (60, 44), (500, 8)])
def test_averages_next_to_a_half_are_opencvs(size: tuple[int, int]) -> None:
    # 4 pixels to 3, levels of 0 and 255: many averages lie on a half, or a rounding error off it.
    width, height = size
    y, x = np.indices((height, width))
    for levels in ((y + x) % 2, x % 2, (y // 2 + x) % 2, picture(2, height, width)[..., 0] // 128):
        rgb = np.repeat(levels[..., None].astype(np.uint8) * 255, 3, axis=2)
        four = np.dstack([rgb, rgb[..., 0]])
        small = (width * 3 // 4, height * 3 // 4)
        out = average(four.view(np.uint32)[..., 0], *small)
        expected = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("size", [(700, 500), (513, 40), (1024, 768), (1500, 3), (90, 600)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_images_are_shrunk_as_arrays_are(
    size: tuple[int, int], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(5, size[1], size[0], 1.5)).save(buffer, kind)
    direct = prepare(buffer.getvalue())
    with monkeypatch.context() as patched:
        patched.setattr(policy, "_shrunk_in_place", lambda image: None)
        plain = prepare(buffer.getvalue())
    np.testing.assert_array_equal(direct.rgb, plain.rgb)
    assert (direct.width, direct.height) == (plain.width, plain.height) == size


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), sides=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_equal_differences_do_not_make_objects_wander(seed: int, sides: tuple[int, int]) -> None:
    # Few levels, thus many equal differences: the same array counts the same, every time.
    rgb = (picture(seed, *sides) // 64 * 64).astype(np.uint8)
    assert object_count(prepare_array(rgb)) == object_count(prepare_array(rgb.copy()))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    share=st.floats(0.0, 1.0),
)
def test_pieces_are_opencvs(seed: int, sides: tuple[int, int], share: float) -> None:
    mask = (np.random.default_rng(seed).random(sides) < share).astype(np.uint8)
    sizes = np.empty(sides[0] * ((sides[1] + 1) // 2), dtype=np.int32)
    found = sizes[: piece_sizes(mask, sizes)]
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    np.testing.assert_array_equal(found, stats[1:, cv2.CC_STAT_AREA])


def test_coarse_borders_are_counted() -> None:
    rgb = picture(3, 37, 53, 2.0)
    coarse = rgb >> 6
    across = (coarse[:, 1:] != coarse[:, :-1]).any(axis=-1).sum()
    below = (coarse[1:] != coarse[:-1]).any(axis=-1).sum()
    assert colour_borders(rgb, 2) == (across, below)


def test_jpeg_sizes_are_pillows() -> None:
    for rgb in (picture(4, 97, 131), picture(4, 384, 512, 2.0), picture(4, 8, 3)):
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=25, subsampling=2)
        gray = io.BytesIO()
        Image.new("RGB", rgb.shape[1::-1], (128,) * 3).save(gray, "JPEG", quality=25, subsampling=2)
        more = len(buffer.getvalue()) - len(gray.getvalue())
        assert compression._size(rgb) - compression._smallest(*rgb.shape[:2]) == more


@pytest.mark.parametrize("height", [20, 57, 150])
def test_the_sliding_window_is_the_gaussian(height: int) -> None:
    plane = np.random.default_rng(height).standard_normal((height, 40)).astype(np.float32)
    kernel = clutter._gauss(28, 14.0)
    padded = np.pad(plane.astype(float), ((28, 28), (0, 0)))
    expected = sum(weight * padded[i : i + height] for i, weight in enumerate(kernel))
    base, terms = clutter._cosines(14.0)
    out = np.empty_like(plane)
    slide(plane, terms, base, 28, np.ones(height), out)
    np.testing.assert_allclose(out, expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(64, 90), (62, 65), (2, 8)])
def test_two_rows_in_one_have_the_same_power(shape: tuple[int, int]) -> None:
    height, width = shape
    rng = np.random.default_rng(1)
    rows = rng.standard_normal(shape).astype(np.float32)
    n, middle = width // 2 + 1, (width + 1) // 2
    ring = rng.integers(0, 10, (height, n)).astype(np.uint16)
    plain, paired = np.zeros(10), np.zeros(10)
    spectrum = np.fft.rfft2(rows).astype(np.complex64)
    ring_power(spectrum.view(np.float32).reshape(height, n, 2), middle, ring, plain)
    pairs = np.fft.fft2(rows[::2] + 1j * rows[1::2]).astype(np.complex64)
    angle = -2 * np.pi * np.arange(height // 2) / height
    turn = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    paired_ring_power(pairs.view(np.float32).reshape(-1, width, 2), turn, ring, paired)
    assert paired.sum() == pytest.approx(plain.sum(), rel=1e-6)
    np.testing.assert_allclose(paired, plain, rtol=1e-5)
