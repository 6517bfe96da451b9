"""Figures for a paper: each function takes a tidy frame and returns a matplotlib Figure."""

from __future__ import annotations

from analysis.report.figures.accuracy import accuracy_curves
from analysis.report.figures.examples import example_images
from analysis.report.figures.frontier import frontier
from analysis.report.figures.latency import latency_curves
from analysis.report.figures.optimal import optimal_k
from analysis.report.figures.power import power_curves
from analysis.report.figures.saving import save

__all__ = [
    "accuracy_curves",
    "example_images",
    "frontier",
    "latency_curves",
    "optimal_k",
    "power_curves",
    "save",
]
