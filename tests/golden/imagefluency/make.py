"""Write what imagefluency 1.0.0 gives on the gray images of tests/clutter_images.py.

git clone https://github.com/stm/imagefluency
python tests/golden/imagefluency/make.py imagefluency
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from clutter_images import images  # noqa: E402

from complexity.image import prepare_array  # noqa: E402

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    for image, rgb in images().items():
        np.savetxt(folder / f"{image}.csv", prepare_array(rgb).gray, fmt="%d", delimiter=",")
    subprocess.run(["Rscript", HERE / "make.R", sys.argv[1], folder], check=True)
    values = json.loads((folder / "values.json").read_text(encoding="utf-8"))
(HERE / "values.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
