"""The metrics, one file per family; importing this registers them all."""

from __future__ import annotations

# In the order in which lists and tables shall name them.
from complexity.metrics import edges, entropy, segments

# isort: split
from complexity.metrics import objects

__all__ = ["edges", "entropy", "objects", "segments"]
