"""The metrics, one file per family; importing this registers them all."""

from __future__ import annotations

from complexity.metrics import edges, entropy, objects, segments

__all__ = ["edges", "entropy", "objects", "segments"]
