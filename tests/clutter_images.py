"""Images on which Feature Congestion and Subband Entropy are compared with visual-clutter.

Only NumPy and what scikit-image ships are used, so that the script that makes the golden values
and the test make the same pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def images() -> dict[str, Pixels]:
    """Make the images, by name; shape (h, w, 3)."""
    import skimage.data

    made: dict[str, Pixels] = {}
    for name in PHOTOGRAPHS:
        rgb = np.asarray(getattr(skimage.data, name)())
        made[name] = rgb[::2, ::2][:192, :256]
        made[f"{name}_detail"] = rgb[60:156, 100:228]
    made["coffee_odd"] = np.asarray(skimage.data.coffee())[::2, ::2][:131, :175]
    rng = np.random.default_rng(20261123)
    made["noise"] = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    made["faint_noise"] = rng.integers(120, 136, (64, 80, 3), dtype=np.uint8)
    made["blocks"] = (
        rng.integers(0, 256, (12, 16, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    )
    y, x = np.indices((120, 160))
    disks = np.full((120, 160, 3), 200, dtype=np.uint8)
    for i in range(12):
        at = (x - 15 - 40 * (i % 4)) ** 2 + (y - 20 - 40 * (i // 4)) ** 2
        disks[at <= (6 + i % 3) ** 2] = rng.integers(0, 256, 3)
    made["disks"] = disks
    made["grating"] = np.repeat(
        (127.5 + 100 * np.sin(2 * np.pi * (x / 11 + y / 17))).astype(np.uint8)[..., None], 3, axis=2
    )
    return {name: np.ascontiguousarray(rgb) for name, rgb in made.items()}
