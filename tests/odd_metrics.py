"""Metrics that fail in every way, by the width of the image; worker processes import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import cv2

from complexity.image import PreparedImage
from complexity.registry import UndefinedMetric


def width(image: PreparedImage) -> float:
    """Give a value that a test can foretell."""
    return float(image.width)


def deadly(image: PreparedImage) -> float:
    """End the process at 13 and 17 pixels."""
    if image.width == 13:
        os._exit(3)
    if image.width == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(image.width)


def fickle(image: PreparedImage) -> float:
    """Have no value at 21, a bug at 22 and NaN at 23 pixels."""
    if image.width == 21:
        raise UndefinedMetric("one colour; nothing to count")
    if image.width == 22:
        raise RuntimeError("a bug")
    return float("nan") if image.width == 23 else 1.0


def slow(image: PreparedImage) -> float:
    """Take a while, and leave a file named by the process in the folder ``$PIDS``."""
    (Path(os.environ["PIDS"]) / str(os.getpid())).touch()
    time.sleep(0.04)
    return float(image.height)


def threads(image: PreparedImage) -> float:
    """Print, and give the numbers of threads: OpenCV's and ten times the BLAS's."""
    print("a library that prints")
    return float(cv2.getNumThreads()) + 10 * float(os.environ["OPENBLAS_NUM_THREADS"])


def hangs(image: PreparedImage) -> float:
    """Never end at 19 pixels, whatever signal asks it to."""
    if image.width == 19:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)
        while True:
            time.sleep(60)
    return float(image.width)


def everything(image: PreparedImage) -> float:
    """Hang at 19 pixels, end the process at 13 and 17, else take a little while."""
    time.sleep(0.02)
    return hangs(image) + deadly(image)


def parricide(image: PreparedImage) -> float:
    """End the process that started this one at 15 pixels."""
    if image.width == 15:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return float(image.width)
