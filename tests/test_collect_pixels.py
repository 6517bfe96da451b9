"""Pixels for LFM2-VL, against the functions of the processor itself, taken from its source."""

from __future__ import annotations

import ast
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.collection.naflex import DEFAULTS, NaflexImages, convert_to_patches

FUNCTIONS = ("round_by_factor", "find_closest_aspect_ratio", "convert_image_to_patches")
METHODS = ("_target_ratios", "_get_grid_layout", "smart_resize", "_is_image_too_large")


def official() -> Any:
    """The processor's own definitions; its module cannot be imported without torchvision."""
    spec = importlib.util.find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "models" / "lfm2_vl" / "image_processing_lfm2_vl.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS:
            body.append(node)
        if isinstance(node, ast.ClassDef) and node.name == "Lfm2VlImageProcessor":
            values = [n for n in node.body if isinstance(n, ast.Assign)]
            methods = [n for n in node.body if getattr(n, "name", "") in METHODS]
            for method in methods:
                method.decorator_list = []  # type: ignore[attr-defined]
            node.bases, node.decorator_list = [], []
            node.body = [*[v for v in values if v.targets[0].id in DEFAULTS], *methods]  # type: ignore[attr-defined]
            body.append(node)
    names = {
        "math": math,
        "torch": torch,
        "IMAGENET_STANDARD_MEAN": [0.5] * 3,
        "IMAGENET_STANDARD_STD": [0.5] * 3,
    }
    exec(compile(ast.Module(body, []), str(path), "exec"), names)
    return names


OFFICIAL = official()
THEIRS = OFFICIAL["Lfm2VlImageProcessor"]()


def test_the_defaults_are_the_processors() -> None:
    from transformers.image_utils import IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD

    ours = DEFAULTS | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    for name, value in ours.items():
        assert getattr(THEIRS, name) == value, name
    assert DEFAULTS["image_mean"] == IMAGENET_STANDARD_MEAN
    assert DEFAULTS["image_std"] == IMAGENET_STANDARD_STD


@given(st.integers(8, 5000), st.integers(8, 5000))
def test_sides_and_tiles_are_the_processors(height: int, width: int) -> None:
    ours = NaflexImages()
    sizes = {key: DEFAULTS[key] for key in ("downsample_factor", "encoder_patch_size")}
    tokens = {key: DEFAULTS[key] for key in ("min_image_tokens", "max_image_tokens")}
    wide, tall = THEIRS.smart_resize(height, width, **sizes, **tokens)
    assert ours.sides(height, width) == (tall, wide)
    large = THEIRS._is_image_too_large(
        height, width, DEFAULTS["max_image_tokens"], DEFAULTS["encoder_patch_size"], 2, 2.0
    )
    across, down = THEIRS._get_grid_layout(height, width, 2, 10, 512)[:2]
    assert ours.grid(height, width) == ((down, across) if large else (1, 1))


def test_patches_are_the_processors() -> None:
    images = torch.randn(2, 3, 24, 16)
    theirs = OFFICIAL["convert_image_to_patches"](images, 8)
    assert torch.equal(convert_to_patches(images, 8), theirs)


def test_an_image_of_the_right_size_is_only_normalised() -> None:
    settings = {
        "encoder_patch_size": 8,
        "do_image_splitting": False,
        "min_image_tokens": 4,
        "max_image_tokens": 6,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    made = NaflexImages(settings)([[image]])
    assert made["pixel_values"].shape == (1, 24, 192)
    assert made["pixel_attention_mask"].sum() == 16
    assert made["spatial_shapes"].tolist() == [[4, 4]]
    first = made["pixel_values"][0, 0].reshape(8, 8, 3)
    np.testing.assert_allclose(first, image[:8, :8] / 127.5 - 1, atol=1e-6)
    assert made["pixel_values"][0, 16:].abs().max() == 0


def test_a_large_image_is_split() -> None:
    image = np.full((900, 1800, 3), 128, np.uint8)
    image[:, 900:] = 250
    made = NaflexImages()([image])
    rows, columns = made["image_rows"][0], made["image_cols"][0]
    assert (rows, columns) == (2, 4)
    assert len(made["pixel_values"]) == rows * columns + 1
    levels = made["pixel_values"][: rows * columns].mean((1, 2)).reshape(rows, columns)
    assert (levels[:, 0] < levels[:, -1]).all()
    with pytest.raises(AttributeError):
        _ = NaflexImages().no_such_setting
