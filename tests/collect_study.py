"""A study of a few small images for sweeps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny_study import write_study

QUESTIONS = ("how many red ?", "what colour is the shape ?", "is the shape blue ?")


def png(seed: int, size: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def pixel_study(folder: Path, n_images: int = 3, **manifest: Any) -> Path:
    """Write images and questions; return the manifest."""
    lines = ["sample_id,image_id,question,answers,n_objects"]
    files: dict[str, str | bytes] = {}
    for i in range(n_images):
        files[f"images/i{i}.png"] = png(i)
        lines += [f"s{i}_{j},i{i}.png,{q},red,{i}" for j, q in enumerate(QUESTIONS)]
    files["samples.csv"] = "\n".join(lines) + "\n"
    more: dict[str, Any] = {
        "results": None,
        "latency": None,
        "object_count": {"from": "annotations", "column": "n_objects"},
        "analysis": {"primary": {"metric": "object_count"}, "metrics": ["object_count"]},
    }
    return write_study(folder, files, **(more | manifest))
