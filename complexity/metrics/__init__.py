"""The metrics, one file per family; importing this registers them all."""

from __future__ import annotations

# In the order in which lists and tables shall name them.
from complexity.metrics import edges, entropy, segments

# isort: split
from complexity.metrics import objects

# isort: split
from complexity.metrics import color

# isort: split
from complexity.metrics import compression

# isort: split
from complexity.metrics import clutter, subbands

# isort: split
from complexity.metrics import structure

# isort: split
from complexity.metrics import perceived

__all__ = [
    "clutter",
    "color",
    "compression",
    "edges",
    "entropy",
    "objects",
    "perceived",
    "segments",
    "structure",
    "subbands",
]
