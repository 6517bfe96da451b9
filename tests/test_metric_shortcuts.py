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
from complexity.area import average, shares
from complexity.image import prepare, prepare_array
from complexity.metrics.edges import default_edges, edge_map
from complexity.metrics.entropy import lab_counts
from complexity.metrics.objects import object_count
from complexity.metrics.planes import planes_of

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
    out = np.empty((small[1], small[0], 3), dtype=np.uint8)
    average(four.view(np.uint32)[..., 0], *shares(height, small[1]), *shares(width, small[0]), out)
    np.testing.assert_array_equal(out, cv2.resize(rgb, small, interpolation=cv2.INTER_AREA))


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
