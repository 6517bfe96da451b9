"""CPU time of the metrics beside that of the libraries people use for them.

Prints a Markdown table. Everything runs in this one process on one thread; times are CPU time
per image, the least of several runs, at 512 x 384 and at about 1 megapixel (which the image
policy shrinks to the same 512 x 384; the peers get the full image). The floor is the decoding
of the image's JPEG by Pillow.

The peers scikit-image and visual-clutter are measured if they are installed. visual-clutter
1.0.7 asks for old versions of NumPy and Pillow which it does not need; to measure it::

    pip install pyrtools && pip install --no-deps visual-clutter
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is loaded

import cv2
import numpy as np
from PIL import Image

from complexity.image import prepare, prepare_array
from complexity.registry import Metric, resolve

Peer = Callable[[np.ndarray], Any]
#: Which of our metrics each peer stands against.
AGAINST = {
    "scikit-image entropy": "entropy_gray",
    "scikit-image Canny": "edge_density",
    "scikit-image Felzenszwalb": "segment_count",
    "visual-clutter feature congestion": "feature_congestion",
    "visual-clutter subband entropy": "subband_entropy",
}


def cpu_ms(work: Callable[[], Any], runs: int) -> float:
    """Least CPU time of some runs after one to warm up, in milliseconds."""
    work()
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def peers() -> dict[str, Peer]:
    """Say what is installed of the peers, by name."""
    found: dict[str, Peer] = {}
    if importlib.util.find_spec("skimage"):
        from skimage.color import rgb2gray
        from skimage.feature import canny
        from skimage.measure import shannon_entropy
        from skimage.segmentation import felzenszwalb

        found["scikit-image entropy"] = lambda rgb: shannon_entropy(
            (rgb2gray(rgb) * 255).astype(np.uint8)
        )
        found["scikit-image Canny"] = lambda rgb: canny(rgb2gray(rgb), sigma=1.4).mean()
        found["scikit-image Felzenszwalb"] = lambda rgb: felzenszwalb(
            rgb, scale=100, sigma=0.8, min_size=50
        ).max()
    if importlib.util.find_spec("visual_clutter") and importlib.util.find_spec("pyrtools"):
        from visual_clutter import Vlc

        options = {"numlevels": 3, "contrast_filt_sigma": 1, "contrast_pool_sigma": 3}
        found["visual-clutter feature congestion"] = lambda rgb: Vlc(
            rgb, color_pool_sigma=3, **options
        ).getClutter_FC()[0]
        found["visual-clutter subband entropy"] = lambda rgb: Vlc(rgb, **options).getClutter_SE()
    return found


def sample(path: Path | None, width: int, height: int) -> bytes:
    """Make a JPEG (quality 90) of a size from a photograph."""
    if path is not None:
        rgb = prepare(path.read_bytes()).rgb
    else:
        from skimage import data

        rgb = np.asarray(data.coffee())
    how = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_CUBIC
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(cv2.resize(rgb, (width, height), interpolation=how))).save(
        buffer, "JPEG", quality=90
    )
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    """Decode a JPEG, and nothing else."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def measure(metrics: tuple[Metric, ...], rgb: np.ndarray) -> None:
    """Compute metrics on a fresh image, sharing what they share."""
    image = prepare_array(rgb)
    for metric in metrics:
        metric.function(image)


def whole_pass(metrics: tuple[Metric, ...], data: bytes) -> None:
    """From a file's bytes to numbers."""
    image = prepare(data)
    for metric in metrics:
        metric.function(image)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, help="a photograph (default: one of scikit-image's)")
    parser.add_argument("--runs", type=int, default=25, help="of ours; the peers have 2")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)

    theirs = peers()
    for name in AGAINST:
        if name not in theirs:
            print(f"{name}: not installed, left out\n")
    sizes = {"512 × 384": (512, 384), "1152 × 864": (1152, 864)}
    rows: dict[str, list[float]] = {}
    passes: dict[str, list[float]] = {"decode": [], "decode and shrink": []}
    for width, height in sizes.values():
        data = sample(options.image, width, height)
        rgb = decode(data)
        small = prepare(data).rgb
        passes["decode"].append(cpu_ms(lambda d=data: decode(d), options.runs))
        passes["decode and shrink"].append(cpu_ms(lambda d=data: prepare(d), options.runs))
        for name, peer in theirs.items():
            rows.setdefault(name, []).append(cpu_ms(lambda p=peer, a=rgb: p(a), 2))
        for metric in resolve("all"):
            rows.setdefault(metric.name, []).append(
                cpu_ms(lambda m=metric, a=small: measure((m,), a), options.runs)
            )
        for preset in ("card", "lite", "all"):
            chosen = resolve(preset)
            passes.setdefault(preset, []).append(
                cpu_ms(lambda m=chosen, a=small: measure(m, a), options.runs)
            )
            passes.setdefault(f"file to {preset}", []).append(
                cpu_ms(lambda m=chosen, d=data: whole_pass(m, d), options.runs)
            )

    head = list(sizes)
    print(f"| CPU ms per image | {' | '.join(head)} | against | ratio {' | ratio '.join(head)} |")
    print("|---|" + "---:|" * len(head) + "---|" + "---:|" * len(head))
    for name, times in passes.items():
        over = [
            f"{t / floor:.1f} decodes" for t, floor in zip(times, passes["decode"], strict=True)
        ]
        print(f"| **{name}** | {_cells(times)} | decode | {' | '.join(over)} |")
    ours = {AGAINST[name]: name for name in theirs}
    for name, times in rows.items():
        if name in AGAINST:
            print(f"| {name} | {_cells(times)} | | {' | '.join('' for _ in head)} |")
        elif name in ours:
            ratio = [f"{p / t:.0f}" for p, t in zip(rows[ours[name]], times, strict=True)]
            print(f"| `{name}` | {_cells(times)} | {ours[name]} | {' | '.join(ratio)} |")
        else:
            print(f"| `{name}` | {_cells(times)} | | {' | '.join('' for _ in head)} |")
    if theirs:
        total = [sum(rows[name][i] for name in theirs) for i in range(len(head))]
        matched = [sum(rows[AGAINST[name]][i] for name in theirs) for i in range(len(head))]
        print(f"| **sum of peers** | {_cells(total)} | | {' | '.join('' for _ in head)} |")
        for label, times in (("our counterparts", matched), ("all", passes["all"])):
            ratio = [f"{p / t:.0f}" for p, t in zip(total, times, strict=True)]
            print(f"| **{label}** | {_cells(times)} | sum of peers | {' | '.join(ratio)} |")


def _cells(times: list[float]) -> str:
    return " | ".join(f"{value:.2f}" for value in times)


if __name__ == "__main__":
    main()
