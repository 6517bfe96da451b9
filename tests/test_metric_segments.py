"""Felzenszwalb-Huttenlocher regions against scikit-image's, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from complexity.image import prepare, prepare_array
from complexity.metrics import felzenszwalb as own
from complexity.metrics import felzenszwalb_regions_kernels as kernels
from complexity.metrics.segments import segment_count

Pixels = NDArray[np.uint8]
SETTING = {"scale": 100.0, "sigma": 0.8, "min_size": 50}


def same(image: NDArray[np.floating] | Pixels, **setting: float) -> None:
    from skimage.segmentation import felzenszwalb

    expected = felzenszwalb(image, **setting)
    labels, count = own.segment(image, **setting)  # type: ignore[arg-type]
    np.testing.assert_array_equal(labels, expected)
    assert count == len(np.unique(expected))
    assert own.count_regions(image, **setting) == count  # type: ignore[arg-type]


def in_gray(levels: NDArray[np.generic]) -> Pixels:
    return np.repeat(np.asarray(levels).astype(np.uint8)[..., None], 3, axis=2)


def photographs() -> Iterator[Pixels]:
    import skimage.data

    for name in ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins", "page", "text"):
        image = np.asarray(getattr(skimage.data, name)())
        image = in_gray(image) if image.ndim == 2 else image
        yield image[:180, :240]
        yield image[60:220, 100:300]
        yield image[::4, ::4]
        yield image[:120, :160] // 32 * 32


def drawings() -> Iterator[Pixels]:
    y, x = np.indices((64, 75))
    for square in (1, 2, 3, 4, 5, 7, 8, 11, 16, 30):
        yield in_gray((y // square + x // square) % 2 * 255)
    for step in (1, 2, 5):
        yield in_gray(np.minimum(x // step * 3, 255))
        yield in_gray(np.minimum((x + y) // step, 255))
        yield in_gray(y // step % 3 * 100)
    rng = np.random.default_rng(3)
    for i in range(24):
        blocks = rng.integers(0, 4, (12, 14, 3)).astype(np.uint8) * 60
        yield blocks.repeat(2 + i % 6, axis=0).repeat(2 + i % 6, axis=1)
    for i in range(16):
        image = np.full((80, 100, 3), 200 - i, dtype=np.uint8)
        for _ in range(3 + i):
            centre = int(rng.integers(0, 100)), int(rng.integers(0, 80))
            colour = tuple(int(v) for v in rng.integers(0, 256, 3))
            cv2.circle(image, centre, int(rng.integers(2, 14)), colour, -1, cv2.LINE_AA)
        yield image


SHAPES = [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (1, 300), (300, 1), (2, 2), (2, 200), (3, 3)]
SHAPES += [(5, 4), (60, 60), (100, 37)]


def degenerate() -> Iterator[Pixels]:
    rng = np.random.default_rng(4)
    for shape in SHAPES:
        yield np.full((*shape, 3), 77, dtype=np.uint8)
        yield rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        yield in_gray(rng.integers(0, 2, shape) * 255)
        yield rng.integers(100, 103, (*shape, 3), dtype=np.uint8)


def scenes(root: Path) -> Iterator[Pixels]:
    import pandas as pd

    table = pd.read_parquet(root / "data_manifests" / "shapes" / "images.parquet")
    for cell in table["image"][::30]:
        yield prepare(cell["bytes"]).rgb


def test_two_hundred_images_have_scikit_images_regions(root: Path) -> None:
    tested = 0
    for image in (*photographs(), *drawings(), *degenerate(), *scenes(root)):
        same(np.ascontiguousarray(image), **SETTING)
        tested += 1
    assert tested >= 200


@pytest.mark.parametrize("scale", [0.5, 1.0, 300.0])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.5])
@pytest.mark.parametrize("min_size", [1, 12, 200])
def test_other_settings(scale: float, sigma: float, min_size: int) -> None:
    for image in (*list(photographs())[1::7], *list(drawings())[::11]):
        same(np.ascontiguousarray(image), scale=scale, sigma=sigma, min_size=min_size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(6)
    same(rng.normal(size=(40, 50, 3)).astype(dtype), scale=0.5, sigma=0.0, min_size=12)
    lab = cv2.cvtColor(next(photographs()).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    same((lab / 100).astype(dtype), scale=0.5, sigma=0.0, min_size=12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    levels=st.integers(2, 256),
    min_size=st.integers(1, 60),
)
def test_ties_are_broken_as_scikit_image_breaks_them(
    seed: int, height: int, width: int, levels: int, min_size: int
) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.integers(0, levels, (height, width, 3)) * (255 // (levels - 1))).astype(np.uint8)
    same(image, scale=100.0, sigma=0.0, min_size=min_size)


def test_one_by_one_agrees_with_the_fast_way() -> None:
    """The order of NumPy's sort from the beginning, for thresholds that rounding spoils."""
    for image in (*list(photographs())[:3], *list(drawings())[::9]):
        height, width = image.shape[:2]
        expected, count = own.segment(np.ascontiguousarray(image), **SETTING)  # type: ignore[arg-type]
        weights = own._scratch.get("weights", 4 * height * width, np.float64)
        parent, found = own._in_numpys_order(
            weights.reshape(4, height, width), SETTING["scale"] / 255, int(SETTING["min_size"])
        )
        labels = np.empty(height * width, dtype=np.int32)
        assert kernels.number(parent, labels) == found == count
        np.testing.assert_array_equal(labels.reshape(height, width), expected)


@pytest.mark.parametrize("cuts", [(), (0.0,), (0.01, 0.3, 0.31, 0.99)])
def test_it_does_not_matter_where_the_edges_are_cut_into_lots(
    cuts: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "CUTS", cuts)
    rng = np.random.default_rng(8)
    blocks = rng.integers(0, 5, (15, 20, 3)).astype(np.uint8).repeat(10, axis=0) * 50
    few = in_gray(rng.integers(0, 3, (150, 200)) * 9)
    for image in (next(photographs()), blocks.repeat(10, axis=1), few):
        same(np.ascontiguousarray(image), **SETTING)
        same(np.ascontiguousarray(image), scale=100.0, sigma=0.0, min_size=12)


def test_weights_of_zero_are_a_lot_of_their_own() -> None:
    weights = np.zeros((150, 200))
    weights[:, ::2] = np.linspace(0.1, 1, 150)[:, None]
    bounds = own._bounds(weights, 20)
    assert bounds[:2] == [0, 1] and len(bounds) == 5
    assert all(int(bound) % (1 << 20) == 0 for bound in bounds[2:-1])
    assert len(own._bounds(np.zeros((150, 200)), 20)) == 3  # all 0


def test_two_halves_are_two_regions() -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[:, 30:] = 255
    labels, count = own.segment(image, **SETTING)  # type: ignore[arg-type]
    assert count == 2 and segment_count(prepare_array(image)) == 2.0
    # numbered by their first pixel; the smoothed edge goes to either side
    assert labels[0, 0] == 0 and labels[-1, -1] == 1


@pytest.mark.parametrize("count", [1, 4, 9, 16])
def test_separate_disks_and_their_ground(count: int) -> None:
    side = 160
    image = np.full((side, side, 3), 240, dtype=np.uint8)
    for i in range(count):
        cv2.circle(image, (22 + 38 * (i % 4), 22 + 38 * (i // 4)), 12, (200, 30, 30), -1)
    found = segment_count(prepare_array(image))
    assert found == len(np.unique(own.segment(image, **SETTING)[0]))  # type: ignore[arg-type]
    assert found >= count + 1


def test_the_smallest_regions_have_min_size() -> None:
    for image in photographs():
        labels, _ = own.segment(np.ascontiguousarray(image), **SETTING)  # type: ignore[arg-type]
        assert np.bincount(labels.ravel()).min() >= min(50, labels.size)


def test_an_image_too_large_is_refused() -> None:
    huge = np.lib.stride_tricks.as_strided(
        np.zeros(3, dtype=np.uint8), (1 << 14, 1 << 14, 3), (0, 0, 1)
    )
    with pytest.raises(ValueError, match="too many to segment"):
        own.segment(huge, **SETTING)  # type: ignore[arg-type]
