"""The scales of Sarıtaş et al.'s metrics, which several families share."""

from __future__ import annotations

from complexity.image import PreparedImage
from complexity.registry import UndefinedMetric

SARITAS = "Sarıtaş, Dayan, Shen & Nath 2025, doi:10.48550/arXiv.2501.15890"
#: Factors by which the image is shrunk, and their weights.
SCALES, WEIGHTS = (1, 2, 4, 8), (0.4, 0.3, 0.2, 0.1)


def sizes(image: PreparedImage) -> list[tuple[int, int]]:
    """Width and height at each scale, rounded down.

    Raises
    ------
    UndefinedMetric
        When a side would be empty.
    """
    height, width = image.rgb.shape[:2]
    if min(height, width) < max(SCALES):
        raise UndefinedMetric(f"needs {max(SCALES)} pixels a side, has {width} × {height}")
    return [(width // scale, height // scale) for scale in SCALES]
