"""A study of latency alone: no images, no questions, no scores; what does k cost in time?"""

from __future__ import annotations

from analysis.latency_study.cells import CELL, summarise, units
from analysis.latency_study.costs import CellFits, fit_cells
from analysis.latency_study.floors import beside_floors, read_floors

__all__ = [
    "CELL",
    "CellFits",
    "beside_floors",
    "fit_cells",
    "read_floors",
    "summarise",
    "units",
]
