"""Write what visual-clutter 1.0.7 gives on the images of tests/clutter_images.py.

pip install pyrtools scikit-image opencv-python-headless pillow
pip install --no-deps visual-clutter==1.0.7
python tests/golden/clutter/make.py
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from visual_clutter import Vlc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from clutter_images import images  # noqa: E402

warnings.simplefilter("ignore")
values = {}
for name, rgb in images().items():
    vlc = Vlc(rgb, numlevels=3, contrast_filt_sigma=1, contrast_pool_sigma=3, color_pool_sigma=3)
    total, _ = vlc.getClutter_FC()
    values[name] = {
        "checksum": int(rgb.astype(np.int64).sum()),
        "feature_congestion": float(total),
        "colour": float(np.mean(vlc.color_clutter_map)),
        "contrast": float(np.mean(vlc.contrast_clutter_map)),
        "orientation": float(np.mean(vlc.orientation_clutter_map)),
        "subband_entropy": float(vlc.getClutter_SE()),
    }
(HERE / "values.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
