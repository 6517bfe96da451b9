"""Write what the authors' script gives on the images of tests/clutter_images.py.

pip install numpy opencv-python-headless scikit-image
git clone https://github.com/Complexity-Project/Complexity-in-Complexity
python tests/golden/saritas/make.py Complexity-in-Complexity/scripts
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), sys.argv[1]]

import algorithms  # noqa: E402
from clutter_images import images  # noqa: E402

values = {}
for name, rgb in images().items():
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    values[name] = {
        "checksum": int(rgb.astype(np.int64).sum()),
        "msg": float(algorithms.calculate_MSG(bgr)),
        "edge_density": float(algorithms.calculate_canny_edge_density(bgr)),
    }
    for bits in (3, 5):
        found = algorithms.calculate_multiscale_unique_colors(bgr, bits)
        values[name][f"unique_colors_{bits}"] = float(found["multiscale_score"])
(HERE / "values.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
