"""Compiled parts of `complexity.metrics.objects`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.compiling import compiled

Array = NDArray[Any]


@compiled
def sharpen_once(rgb: Array, least: float, out: Array) -> None:
    """One round of `complexity.metrics.objects.sharpen`; ``rgb`` and ``out`` are uint8."""
    height, width = rgb.shape[:2]
    slack, base = np.float32(1.08), np.float32(4)
    downs, rights = (0, 1, 1, 1), (1, 0, 1, -1)
    for y in range(height):
        for x in range(width):
            for c in range(3):
                out[y, x, c] = rgb[y, x, c]
            steepest = np.float32(least)
            for way in range(4):
                down, right = downs[way], rights[way]
                y1, y2 = max(y - down, 0), min(y + down, height - 1)
                x1, x2 = min(max(x - right, 0), width - 1), min(max(x + right, 0), width - 1)
                whole = first = second = np.int32(0)
                for c in range(3):
                    here = np.int32(rgb[y, x, c])
                    one, two = np.int32(rgb[y1, x1, c]), np.int32(rgb[y2, x2, c])
                    whole += (one - two) * (one - two)
                    first += (one - here) * (one - here)
                    second += (two - here) * (two - here)
                step = np.sqrt(np.float32(whole))
                if step <= steepest:
                    continue
                near, far = np.sqrt(np.float32(first)), np.sqrt(np.float32(second))
                if near + far <= slack * step + base:
                    steepest = step
                    y1, x1 = (y1, x1) if near <= far else (y2, x2)
                    for c in range(3):
                        out[y, x, c] = rgb[y1, x1, c]
