"""Visual complexity of images: one row of numbers per image.

::

    import complexity

    frame = complexity.measure("photos", metrics="card")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from complexity.batch import Measured, measure, measure_into, read_complexity
    from complexity.buckets import Buckets, ConstantMetric, cut, from_column
    from complexity.detector import Detector, open_detector
    from complexity.errors import InputError
    from complexity.image import PreparedImage, UnreadableImage, prepare, prepare_array
    from complexity.registry import Metric, UndefinedMetric, all_metrics, get, metric, resolve
    from complexity.sources import ImageItem, ImageSource, open_source

# Imported where first used, so that cutting buckets does not load OpenCV.
_HOMES = {
    "Buckets": "buckets",
    "ConstantMetric": "buckets",
    "Detector": "detector",
    "ImageItem": "sources",
    "ImageSource": "sources",
    "InputError": "errors",
    "Measured": "batch",
    "Metric": "registry",
    "PreparedImage": "image",
    "UndefinedMetric": "registry",
    "UnreadableImage": "image",
    "all_metrics": "registry",
    "cut": "buckets",
    "from_column": "buckets",
    "get": "registry",
    "measure": "batch",
    "measure_into": "batch",
    "metric": "registry",
    "open_detector": "detector",
    "open_source": "sources",
    "prepare": "image",
    "prepare_array": "image",
    "read_complexity": "batch",
    "resolve": "registry",
}

__all__ = [
    "Buckets",
    "ConstantMetric",
    "Detector",
    "ImageItem",
    "ImageSource",
    "InputError",
    "Measured",
    "Metric",
    "PreparedImage",
    "UndefinedMetric",
    "UnreadableImage",
    "all_metrics",
    "cut",
    "from_column",
    "get",
    "measure",
    "measure_into",
    "metric",
    "open_detector",
    "open_source",
    "prepare",
    "prepare_array",
    "read_complexity",
    "resolve",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"complexity.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'complexity' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
