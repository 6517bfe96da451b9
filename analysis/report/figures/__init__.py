"""Figures for a paper: each function takes a tidy frame and returns a matplotlib Figure."""

from __future__ import annotations

from analysis.report.figures.accuracy import accuracy_curves
from analysis.report.figures.by_price import best_k_by_price
from analysis.report.figures.diagnostics import fit_diagnostics
from analysis.report.figures.examples import example_images
from analysis.report.figures.frontier import frontier
from analysis.report.figures.latency import latency_curves
from analysis.report.figures.latency_cells import latency_cells
from analysis.report.figures.optimal import optimal_k
from analysis.report.figures.policies import policy_value
from analysis.report.figures.power import power_curves
from analysis.report.figures.saving import save
from analysis.report.figures.specifications import specification_curve

__all__ = [
    "accuracy_curves",
    "best_k_by_price",
    "example_images",
    "fit_diagnostics",
    "frontier",
    "latency_cells",
    "latency_curves",
    "optimal_k",
    "policy_value",
    "power_curves",
    "save",
    "specification_curve",
]
