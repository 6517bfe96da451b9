"""Feature Congestion and Subband Entropy: against visual-clutter, and on closed forms."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clutter_images import images

from complexity.image import PreparedImage, prepare_array
from complexity.metrics import clutter
from complexity.metrics.clutter import congestion, feature_congestion, lab_planes
from complexity.metrics.subbands import entropy_of_subbands, subband_entropy
from complexity.registry import UndefinedMetric

IMAGES = images()
GOLDEN: dict[str, dict[str, float]] = json.loads(
    (Path(__file__).parent / "golden" / "clutter" / "values.json").read_text(encoding="utf-8")
)


def flat(level: int, height: int = 64, width: int = 80) -> PreparedImage:
    return prepare_array(np.full((height, width, 3), level, dtype=np.uint8))


def test_the_golden_values_are_of_these_images() -> None:
    assert {name: int(rgb.astype(int).sum()) for name, rgb in IMAGES.items()} == {
        name: values["checksum"] for name, values in GOLDEN.items()
    }


@pytest.mark.parametrize("name", IMAGES)
def test_congestion_is_visual_clutters(name: str) -> None:
    found, golden = congestion(prepare_array(IMAGES[name])), GOLDEN[name]
    assert found.total == pytest.approx(golden["feature_congestion"], rel=1e-3)
    assert found.colour == pytest.approx(golden["colour"], rel=1e-5)
    assert found.contrast == pytest.approx(golden["contrast"], rel=1e-5)
    assert found.orientation == pytest.approx(golden["orientation"], rel=2e-3)
    assert feature_congestion(prepare_array(IMAGES[name])) == found.total


@pytest.mark.parametrize("name", IMAGES)
def test_subband_entropy_is_visual_clutters(name: str) -> None:
    rgb = IMAGES[name]
    # at odd sizes its filters are off frequency 0 (see the docstring)
    even = rgb.shape[0] % 2 == 0 and rgb.shape[1] % 2 == 0
    golden = GOLDEN[name]["subband_entropy"]
    assert subband_entropy(prepare_array(rgb)) == pytest.approx(golden, rel=1e-3 if even else 1e-2)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_constant_image_has_the_constants_alone(level: int) -> None:
    found = congestion(flat(level))
    # determinants of diagonal matrices
    colour = (0.0007 * 0.1 * 0.05) ** (1 / 3)
    assert found.colour == pytest.approx(colour, rel=1e-6)
    assert found.contrast == pytest.approx(0.0, abs=1e-5)
    assert found.orientation == pytest.approx(math.sqrt(0.001), rel=1e-6)
    assert found.total == pytest.approx(colour / 0.2088 + math.sqrt(0.001) / 0.0269, rel=1e-4)
    assert subband_entropy(flat(level)) == 0.0


def test_published_lab_is_linear_below_white() -> None:
    """Luminance in [0, .01] times 903.3, as long as that is on Lab's linear foot."""
    luma = lab_planes(flat(128), "published")[0]
    luminance = ((128 / 255 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(luma, 116 * 7.787 * luminance / 100, rtol=1e-6)


def test_cie_lab_is_scikit_images() -> None:
    from skimage.color import rgb2lab

    rgb = IMAGES["coffee_odd"]
    expected = np.moveaxis(rgb2lab(rgb), -1, 0)
    # the published matrix is rounded to six digits
    np.testing.assert_allclose(lab_planes(prepare_array(rgb), "cie"), expected, atol=0.02)


def test_cie_variant_has_no_loss_between_levels() -> None:
    """A step that only the coarsest level could miss: larger with gain 1 than with 1/2 a level."""
    for name in ("coffee", "disks", "noise"):
        image = prepare_array(IMAGES[name])
        assert congestion(image, "cie").total > congestion(image).total
        assert 0 < entropy_of_subbands(image, "cie") != entropy_of_subbands(image)
    # enlarging keeps a constant map only in this variant
    ones = [np.ones((64 >> i, 64 >> i), dtype=np.float32) * 4**i for i in range(3)]
    assert clutter._collapse(ones, 4.0) == pytest.approx(16.0, rel=1e-6)
    assert clutter._collapse(ones, 1.0) == pytest.approx(1.0, rel=1e-6)


def test_oriented_filters_agree_with_their_products() -> None:
    bar, plain, even, odd = clutter._oriented_kernels()
    assert bar.sum() == pytest.approx(0, abs=1e-12) and plain.sum() == pytest.approx(1)
    for pairs in (even, odd):
        total: Any = sum(np.outer(down, across) for across, down in pairs)
        np.testing.assert_allclose(total, total[::-1, ::-1], atol=1e-9)
        assert abs(total.sum()) < 2e-3


@pytest.mark.parametrize("shape", [(48, 200), (200, 48), (31, 31), (1, 512)])
def test_small_images_have_no_congestion(shape: tuple[int, int]) -> None:
    with pytest.raises(UndefinedMetric, match="needs 49 pixels a side"):
        feature_congestion(flat(9, *shape))
    if min(shape) < 32:
        with pytest.raises(UndefinedMetric, match="needs 32 pixels a side"):
            subband_entropy(flat(9, *shape))


def test_flips_and_rotations_hardly_matter() -> None:
    rgb = IMAGES["coffee"]
    expected = feature_congestion(prepare_array(rgb)), subband_entropy(prepare_array(rgb))
    for other in (rgb[::-1], rgb[:, ::-1], np.rot90(rgb)):
        image = prepare_array(np.ascontiguousarray(other))
        assert feature_congestion(image) == pytest.approx(expected[0], rel=0.01)
        assert subband_entropy(image) == pytest.approx(expected[1], rel=0.005)


def test_more_things_are_more_clutter() -> None:
    rng = np.random.default_rng(5)
    image = np.full((128, 160, 3), 210, dtype=np.uint8)
    y, x = np.indices(image.shape[:2])
    values = []
    for i in range(12):
        values.append(feature_congestion(prepare_array(image)))
        at = abs(x - 20 - 40 * (i % 4)) + abs(y - 24 - 40 * (i // 4)) < 12
        image[at] = rng.integers(0, 200, 3)
    assert all(one < two for one, two in pairwise(values))


def test_subband_entropy_of_noise_is_that_of_a_normal_variable() -> None:
    """Every band of white noise is normal, so its entropy follows from its number and range."""
    rng = np.random.default_rng(2)
    gray = np.clip(128 + 20 * rng.standard_normal((256, 256)), 0, 255).astype(np.uint8)
    found = subband_entropy(prepare_array(gray)) * 1.125

    def expected(n: int) -> float:
        spread = 2 * math.sqrt(2 * math.log(n)) * 0.93  # expected range of n normal values
        return 0.5 * math.log(2 * math.pi * math.e) + math.log(math.sqrt(n) / spread)

    # a* and b* of gray are nearly 0 and count 0
    bands = [256**2] * 5 + [128**2] * 4 + [64**2] * 4 + [32**2]
    assert found == pytest.approx(float(np.mean([expected(n) for n in bands])), rel=0.05)
