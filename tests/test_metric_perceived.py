"""`perceived`: its features on closed forms, its calibration, its place among the metrics."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from complexity import measure
from complexity.image import PreparedImage, prepare_array
from complexity.metrics.edges import msg
from complexity.metrics.perceived import (
    _CALIBRATION,
    COEFFICIENTS,
    Calibration,
    perceived,
    read_calibration,
)
from complexity.metrics.perceived_features import SCALES, SMALLEST, features
from complexity.registry import UndefinedMetric, get

Pixels = NDArray[np.uint8]
FIT = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))


def flat(height: int, width: int, level: int = 255) -> Pixels:
    return np.full((height, width, 3), level, dtype=np.uint8)


def squares(count: int, side: int = 256) -> Pixels:
    """Draw black squares of 16 pixels on white, 32 pixels apart, row by row."""
    image = flat(side, side)
    for i in range(count):
        y, x = 8 + 32 * (i // 8), 8 + 32 * (i % 8)
        image[y : y + 16, x : x + 16] = 0
    return image


def photograph(name: str) -> Pixels:
    import skimage.data

    return np.asarray(getattr(skimage.data, name)(), dtype=np.uint8)


def of(array: NDArray[Any]) -> dict[str, float]:
    return features(prepare_array(array))


# --- features -------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_image(level: int) -> None:
    found = of(flat(300, 400, level))
    for scale in SCALES:
        assert found[f"gradient_{scale}"] == found[f"steep_{scale}"] == 0.0
        assert found[f"unevenness_{scale}"] == 0.0
    for scale in (256, 128, 64):
        assert found[f"contours_{scale}"] == found[f"strong_contours_{scale}"] == 0.0
        assert found[f"colour_edges_{scale}"] == found[f"colour_borders_{scale}"] == 0.0
        assert found[f"colours_{scale}"] == 0.0
        # one region, which is all of the image
        assert found[f"regions2_{scale}"] == found[f"regions5_{scale}"] == 1.0
        assert found[f"region_entropy_{scale}"] == 0.0
        assert found[f"local_directions_{scale}"] == 0.0
    assert found["empty_256"] == found["largest_ground_64"] == 1.0
    assert found["blobs_256"] == found["chroma"] == found["lightness_spread"] == 0.0


@pytest.mark.parametrize("count", [1, 5, 24, 64])
def test_squares_are_counted(count: int) -> None:
    found = of(squares(count))
    assert found["contours_256"] == math.log2(count + 1)
    assert found["strong_contours_256"] == math.log2(count + 1)
    # each square is a region, and so is the ground
    assert found["regions2_256"] == math.log2(count + 1 + 1)
    assert found["colours_256"] == 1.0
    # of 2 (256 x 255) pairs of neighbours, 4 x 16 a square differ, less a corner's rounding:
    # a median of 5 x 5 takes some pixels off each corner
    share = 4 * 16 * count / (2 * 256 * 255)
    assert found["colour_borders_256"] == pytest.approx(share, rel=0.1)


def test_region_entropy_of_two_halves() -> None:
    image = flat(256, 256)
    image[:, :128] = 0
    found = of(image)
    assert found["regions2_256"] == math.log2(3)
    assert found["region_entropy_256"] == pytest.approx(1.0, abs=0.02)
    assert found["largest_ground_256"] == pytest.approx(0.5, abs=0.01)
    # the two columns at the border are steep
    assert found["steep_256"] == 2 / 256
    # contrast of 100 over two columns, each 50 units of L* per pixel
    assert found["gradient_256"] == pytest.approx(2 / 256 * math.log(51), rel=1e-5)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_one_direction_is_no_entropy(turn: int) -> None:
    stripes = np.repeat(np.tile([0, 255], 64), 2)[None, :].repeat(256, axis=0).astype(np.uint8)
    assert of(np.ascontiguousarray(np.rot90(stripes, turn)))["local_directions_256"] == 0.0


def test_noise_has_every_direction() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (256, 256), dtype=np.uint8)
    found = of(noise)["local_directions_256"]
    assert 2.9 < found < 3.0


@pytest.mark.parametrize("angle", [11, 34, 56, 79, 101, 124, 146, 169])
def test_directions_fall_into_their_bins(angle: int) -> None:
    from complexity.metrics.perceived_kernels import gradients

    right = np.zeros((16, 16, 3), np.float32)
    down = np.zeros((16, 16, 3), np.float32)
    for sign in (1, -1):
        right[..., 0] = sign * math.cos(math.radians(angle))
        down[..., 0] = sign * math.sin(math.radians(angle))
        length, directions = gradients(right, down, 16)
        assert length == pytest.approx(np.ones((16, 16)), abs=1e-6)
        assert np.flatnonzero(directions[0]) == [int(angle // 22.5)]
        assert directions.sum() == pytest.approx(256, rel=1e-5)


def test_quiet_margins_are_seen() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    framed = flat(256, 256)
    framed[60:196, 60:196] = noise[60:196, 60:196]
    assert of(framed)["quietest_margin_256"] == 0.0
    assert of(noise)["quietest_margin_256"] > 3


def test_features_do_not_depend_on_the_finest_scale_of_the_file() -> None:
    """Shrinking a large photograph beforehand changes little below 256 pixels."""
    large = photograph("astronaut")
    small = np.asarray(cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA))
    one, two = of(large), of(small)
    own = {name for name in one if name.rpartition("_")[2] in {"256", "128", "64", "32"}}
    assert len(own) > 45
    for name in own:
        assert one[name] == two[name], name


@pytest.mark.parametrize("flip", [np.flipud, np.fliplr, np.rot90])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_flips_and_turns_matter_little(name: str, flip: Any) -> None:
    image = photograph(name)[:256, :384]
    turned = np.ascontiguousarray(flip(image))
    assert perceived(prepare_array(image)) == pytest.approx(
        perceived(prepare_array(turned)), abs=1.0
    )


# --- calibration ----------------------------------------------------------------------------


def test_the_file_says_where_it_comes_from() -> None:
    assert {"data", "script", "commit", "seed", "date", "form", "penalty"} <= set(FIT)
    names = [term["feature"] for term in FIT["terms"]]
    assert len(set(names)) == len(names)
    assert set(names) <= set(of(photograph("coffee")))
    assert all(term["sd"] > 0 and math.isfinite(term["slope"]) for term in FIT["terms"])
    assert get("perceived").parameters["terms"] == len(names)


def test_rating_of_a_known_combination() -> None:
    text = json.dumps(
        {
            "intercept": 0.5,
            "limit": 4.0,
            "terms": [
                {"feature": "a", "mean": 1.0, "sd": 2.0, "slope": 0.25},
                {"feature": "b", "mean": 0.0, "sd": 1.0, "slope": -1.0},
            ],
        }
    )
    calibration = read_calibration(text)
    assert calibration.rating({"a": 1.0, "b": 0.5, "unused": 9.0}) == pytest.approx(50.0)
    # 3 for a, cut to 4 for b
    expected = 100 / (1 + math.exp(-(0.5 + 0.25 * 3 + 4.0)))
    assert calibration.rating({"a": 7.0, "b": -50.0}) == pytest.approx(expected)


def test_a_rating_never_reaches_its_ends() -> None:
    far = dict.fromkeys(_CALIBRATION.names, 1000000000.0)
    best = {
        n: math.copysign(1e9, s)
        for n, s in zip(_CALIBRATION.names, _CALIBRATION.slopes, strict=True)
    }
    worst = {name: -value for name, value in best.items()}
    low, high = _CALIBRATION.rating(worst), _CALIBRATION.rating(best)
    assert 0 < low < _CALIBRATION.rating(far) < high < 100


def test_features_at_their_means_give_the_intercept() -> None:
    even: Calibration = replace(_CALIBRATION, intercept=0.0)
    means = dict(zip(even.names, even.means, strict=True))
    assert even.rating(means) == 50.0


# --- the metric -----------------------------------------------------------------------------


def test_more_things_are_rated_more_complex() -> None:
    values = [perceived(prepare_array(squares(count))) for count in (1, 4, 16, 48)]
    assert values == sorted(values) and values[-1] > values[0] + 10
    assert perceived(prepare_array(squares(0))) < 10


def test_photographs_lie_where_photographs_do() -> None:
    found = {name: perceived(prepare_array(photograph(name))) for name in ("astronaut", "rocket")}
    assert 20 < found["rocket"] < found["astronaut"] < 90


@pytest.mark.parametrize("shape", [(SMALLEST - 1, 400), (400, SMALLEST - 1), (1, 1)])
def test_too_small_is_undefined(shape: tuple[int, int]) -> None:
    with pytest.raises(UndefinedMetric, match="needs 32 pixels a side"):
        perceived(prepare_array(flat(*shape)))


@pytest.mark.parametrize("shape", [(SMALLEST, SMALLEST), (SMALLEST, 512), (512, 40)])
def test_the_smallest_images_have_a_value(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for array in (flat(*shape), noise):
        found = of(array)
        assert all(math.isfinite(value) for value in found.values())
        assert list(found) == list(of(squares(3)))
        assert 0 < perceived(prepare_array(array)) < 100


def test_metrics_are_not_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    image = prepare_array(photograph("coffee"))
    value = image.shared(msg)
    monkeypatch.setattr(PreparedImage, "rgb", image.rgb, raising=False)
    perceived(image)
    assert image._shared[msg] == value


def test_a_table_has_it_and_says_where_it_is_missing(tmp_path: Any) -> None:
    for name, array in {"photo": photograph("coffee"), "thin": flat(400, 20)}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), array[..., ::-1])
    table = measure(tmp_path, metrics="msg,perceived", workers=1).set_index("image_id")
    alone = perceived(prepare_array(photograph("coffee")))
    assert table.loc["photo.png", "perceived"] == alone
    assert np.isnan(table.loc["thin.png", "perceived"])
    assert table.loc["thin.png", "error"] == "perceived: needs 32 pixels a side, has 20 × 400"
    about = table.attrs["optik"]["metrics"]["perceived"]
    assert "coefficients" in json.dumps(about)
