"""Throughput and memory of `optik measure` against the number of images and of workers.

Images are made first, seeded and varied (flat, smooth, noisy, drawn; several sizes), a thousand to
a folder. Every cell is then one command in a process of its own: CPU seconds of it and its workers,
wall seconds, the peak resident memory of the parent and of the largest worker (Linux: from /proc).
CPU times are the ones to compare on a machine that others use too.

    python benchmarks/scale.py --images 1000,10000,100000 --workers 1,2 --json docs/scale.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from complexity.files import write_json

FOLDER = 1000
SIZES = ((192, 144), (144, 192), (160, 160), (224, 128))
RUN = """
import json, resource, sys, time
from complexity import measure_into
source, out, metrics, workers = sys.argv[1:]
begin = time.perf_counter()
done = measure_into(source, out, metrics=metrics, workers=int(workers), timeout=60)
own = resource.getrusage(resource.RUSAGE_SELF)
theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "images": done.images,
    "reused": done.reused,
    "wall_s": time.perf_counter() - begin,
    "parent_cpu_s": own.ru_utime + own.ru_stime,
    "workers_cpu_s": theirs.ru_utime + theirs.ru_stime,
    "parent_mb": own.ru_maxrss / 1024,
}))
"""


def picture(n: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Draw the n-th image: the same one always, no two alike."""
    rng = np.random.default_rng(n)
    width, height = SIZES[n % len(SIZES)]
    small = rng.integers(0, 256, (2 + n % 13, 2 + n % 17, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=(cv2.INTER_CUBIC, 0)[n % 2])
    for _ in range(n % 9):
        centre = tuple(int(v) for v in rng.integers(0, min(width, height), 2))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(image, centre, int(rng.integers(3, 30)), colour, -1 if n % 3 else 2)
    if n % 5 == 0:
        noise = rng.integers(0, 40, (height, width, 1), dtype=np.uint8)
        image = cv2.add(image, np.repeat(noise, 3, axis=2))
    return np.asarray(image, np.uint8)


def make_images(folder: Path, first: int, last: int) -> None:
    """Write images `first` to `last` − 1, a thousand to a folder."""
    for n in range(first, last):
        path = folder / f"{n // FOLDER:04d}" / f"{n:07d}.jpg"
        if n % FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", picture(n), [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def largest(pid: int) -> float:
    """Return the peak resident memory of a process's largest child so far, MB."""
    peak = 0.0
    with contextlib.suppress(OSError):
        children: set[str] = set()
        for task in Path(f"/proc/{pid}/task").iterdir():
            children |= set((task / "children").read_text().split())
        for child in children:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) / 1024)
    return peak


def run(source: Path, out: Path, metrics: str, workers: int) -> dict[str, float]:
    """Measure once, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(source), str(out), metrics, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    worker = 0.0
    while process.poll() is None:
        worker = max(worker, largest(process.pid))
        time.sleep(0.2)
    assert process.stdout is not None
    found: dict[str, float] = json.loads(process.stdout.read())
    process.stdout.close()
    return found | {"workers": workers, "worker_mb": worker}


def table(rows: list[dict[str, float]]) -> str:
    """Spell the cells as a Markdown table."""
    lines = [
        "| images | workers | CPU ms an image, workers | parent | images / CPU s "
        "| images / s (wall) | peak MB, parent | largest worker "
        "| nothing new: CPU ms an image | parent MB |",
        "|" + "---:|" * 10,
    ]
    for row in rows:
        n = row["images"]
        cpu = row["workers_cpu_s"] + row["parent_cpu_s"]
        again = 1000 * row["again_cpu_s"] / n
        lines.append(
            f"| {n:,.0f} | {row['workers']:.0f} | {1000 * row['workers_cpu_s'] / n:.2f} "
            f"| {1000 * row['parent_cpu_s'] / n:.2f} | {n / cpu:.0f} | {n / row['wall_s']:.0f} "
            f"| {row['parent_mb']:.0f} | {row['worker_mb']:.0f} | {again:.2f} "
            f"| {row['again_parent_mb']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Make the images, measure every cell, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="1000,10000,100000")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--metrics", default="lite")
    parser.add_argument("--folder", type=Path, help="Where to keep the images.")
    parser.add_argument("--json", type=Path, help="Also write the cells there.")
    options = parser.parse_args()
    rows: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = 0
        for n in sorted(int(text) for text in options.images.split(",")):
            make_images(folder / "images", made, n)
            made = n
            for workers in (int(text) for text in options.workers.split(",")):
                out = folder / f"{n}-{workers}.parquet"
                out.unlink(missing_ok=True)
                shutil.rmtree(f"{out}.partial", ignore_errors=True)
                row = run(folder / "images", out, options.metrics, workers)
                again = run(folder / "images", out, options.metrics, workers)
                row["again_cpu_s"] = again["parent_cpu_s"] + again["workers_cpu_s"]
                row["again_parent_mb"] = again["parent_mb"]
                rows.append(row)
                print(table(rows[-1:]).splitlines()[-1], flush=True)
                if options.json is not None:
                    write_json(options.json, {"metrics": options.metrics, "cells": rows})
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
