"""Metrics against the code of their authors or of a published package, departures included.

docs/metrics_sources.md has the table.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clutter_images import images
from skimage.measure import shannon_entropy

from complexity import registry
from complexity.image import PreparedImage, prepare_array
from complexity.metrics import structure
from complexity.metrics.color import unique_colors, unique_colors_coarse
from complexity.metrics.edges import edge_density_median, msg
from complexity.metrics.entropy import entropy_gray
from complexity.metrics.structure import spectral_slope, symmetries, symmetry

HERE = Path(__file__).parent
IMAGES = images()
PREPARED = {name: prepare_array(rgb) for name, rgb in IMAGES.items()}


def golden(package: str) -> dict[str, dict[str, Any]]:
    text = (HERE / "golden" / package / "values.json").read_text(encoding="utf-8")
    values: dict[str, dict[str, Any]] = json.loads(text)
    return values


SARITAS, FLUENCY = golden("saritas"), golden("imagefluency")


def test_the_golden_values_are_of_these_images() -> None:
    found = {name: int(rgb.astype(int).sum()) for name, rgb in IMAGES.items()}
    assert found == {name: values["checksum"] for name, values in SARITAS.items()}
    grays = {name: int(image.gray.astype(int).sum()) for name, image in PREPARED.items()}
    assert grays == {name: values["checksum"] for name, values in FLUENCY.items()}


@pytest.mark.parametrize("name", IMAGES)
def test_gradients_and_colours_are_their_authors(name: str) -> None:
    image, theirs = PREPARED[name], SARITAS[name]
    # They add in 32 bits and round colours to 2 digits.
    assert msg(image) == pytest.approx(theirs["msg"], rel=1e-6)
    assert unique_colors(image) == pytest.approx(theirs["unique_colors_5"], abs=1e-9)
    assert unique_colors_coarse(image) == pytest.approx(theirs["unique_colors_3"], abs=1e-9)


@pytest.mark.parametrize("name", IMAGES)
def test_edges_by_the_median_have_another_norm(name: str) -> None:
    image, theirs = PREPARED[name], SARITAS[name]["edge_density"]
    smooth = cv2.GaussianBlur(image.gray, (5, 5), 0)
    low, high = (int(min(255, by * np.median(smooth))) for by in (0.67, 1.33))
    one = cv2.Canny(smooth, low, high, L2gradient=False)
    # The L1 norm, thresholds cut to whole numbers of at most 255: nothing else is different. The
    # L1 norm is never the smaller.
    assert np.count_nonzero(one) / one.size == theirs
    assert edge_density_median(image) <= theirs


@pytest.mark.parametrize("name", IMAGES)
def test_symmetry_is_imagefluencys_with_the_axis_in_the_middle(name: str) -> None:
    image, theirs = PREPARED[name], FLUENCY[name]
    for found, key in zip(symmetries(image), ("left_right", "top_bottom"), strict=True):
        expected = theirs[key]
        assert (found is None) == (expected is None)
        if found is not None:
            assert found == pytest.approx(expected, abs=1e-9)
            # Theirs takes the best of several axes.
            assert theirs[f"{key}_moved"] >= found - 1e-9
    assert symmetry(image) == pytest.approx(max(theirs["left_right"], theirs["top_bottom"]))


def square(image: PreparedImage) -> PreparedImage:
    side = 2 * (min(image.gray.shape) // 2)
    return prepare_array(np.repeat(image.gray[:side, :side, None], 3, axis=2))


@pytest.mark.parametrize("name", IMAGES)
def test_spectral_slope_is_imagefluencys_without_the_window(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, theirs = square(PREPARED[name]), FLUENCY[name]["slope"]
    rings = structure._rings

    def without(height: int, width: int) -> tuple[Any, ...]:
        down, across, *rest = rings(height, width)
        return np.ones_like(down), np.ones_like(across), *rest

    monkeypatch.setattr(structure, "_rings", without)
    assert spectral_slope(image) == pytest.approx(theirs, abs=2e-3)


@pytest.mark.parametrize("name", IMAGES)
def test_gray_entropy_is_scikit_images(name: str) -> None:
    image = PREPARED[name]
    assert entropy_gray(image) == pytest.approx(shannon_entropy(image.gray), abs=1e-12)


def test_every_metric_is_in_the_table_of_sources() -> None:
    text = (HERE.parent / "docs" / "metrics_sources.md").read_text(encoding="utf-8")
    for metric in registry.all_metrics():
        rows = [row for row in text.splitlines() if f"`{metric.name}`" in row.split(" | ")[0]]
        assert len(rows) == 1
        for doi in re.findall(r"doi:(10\.[^\s,;]+)", metric.reference):
            assert f"https://doi.org/{doi}" in rows[0]
