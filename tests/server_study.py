"""A study of small images and questions for servers to answer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_study import write_study


def png(seed: int, size: int = 28) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


def server_study(folder: Path, questions: int = 6, images: int = 3, **files: bytes) -> Path:
    """Write the study; the right answer to every question is 2."""
    rows = ["sample_id,image_id,question,answers"]
    rows += [f"s{n},i{n % images}.png,what is {n}?,2" for n in range(questions)]
    pictures = {f"images/i{n}.png": png(n) for n in range(images)}
    return write_study(
        folder,
        {"samples.csv": "\n".join(rows) + "\n", **pictures, **files},
        results=None,
        latency=None,
        analysis={"primary": {"metric": "edge_density"}, "metrics": ["edge_density"]},
    )
