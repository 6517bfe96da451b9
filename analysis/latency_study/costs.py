"""What one more active expert costs, cell by cell: a + b k, k as a factor, and step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.latency_models import LatencyFit, fit_group
from analysis.latency_study.cells import cells
from complexity.errors import InputError


@dataclass(frozen=True)
class CostStep:
    """What one more expert costs between two neighbouring k.

    Attributes
    ----------
    k, next_k : int
        Neighbours on the grid.
    per_expert_ms : float
        Mean difference of their times over the experts between them, units timed at both.
    ci_low, ci_high : float
        95 % interval, paired within units: t with n − 1 degrees of freedom. NaN with one unit.
    n_units : int
    """

    k: int
    next_k: int
    per_expert_ms: float
    ci_low: float
    ci_high: float
    n_units: int


@dataclass(frozen=True)
class CellFits:
    """The fits of a study's cells.

    Attributes
    ----------
    fitted : tuple of (mapping, LatencyFit, tuple of CostStep)
        What names the cell (`CELL`), its regressions, its steps.
    refused : tuple of (mapping, str)
        Cells without a regression, and why.
    """

    fitted: tuple[tuple[Mapping[str, Any], LatencyFit, tuple[CostStep, ...]], ...]
    refused: tuple[tuple[Mapping[str, Any], str], ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Spell the fits as ``fits/latency.json`` holds them."""
        found = []
        for cell, fit, steps in self.fitted:
            content = fit.to_dict()
            del content["complexity"]
            content["steps"] = [vars(step) for step in steps]
            found.append({**cell, **content})
        return found

    def refused_to_dicts(self) -> list[dict[str, Any]]:
        """Spell what has no regression as ``fits/latency_refused.json`` holds it."""
        return [{**cell, "why": why} for cell, why in self.refused]


def fit_cells(units: pd.DataFrame) -> CellFits:
    """Fit ``ms ~ C(k) + session + order + (1 | unit)`` and the line in its place, by cell.

    As `analysis.latency_models.fit_latency`, but at one number of image tokens and one batch
    size at a time: both change what an expert costs. Where the units are repeats of one request
    the random intercept is that of a round through all k, and intervals are about measuring
    again in the same session(s).

    Parameters
    ----------
    units : DataFrame
        From `analysis.latency_study.cells.units`.

    Returns
    -------
    CellFits
        In the order of `units`. A cell that cannot be fitted does not end the others.
    """
    fitted, refused = [], []
    for cell, rows in cells(units):
        why = _lacking(rows)
        if why:
            refused.append((cell, why))
            continue
        # Sessions number their repeats alike; a unit is one of its session.
        of_session = rows.assign(item=rows["run"] + ", " + rows["item"])
        try:
            fit = fit_group(
                str(cell["device"]), str(cell["phase"]), str(cell["model"]), of_session, None
            )
        except InputError as error:
            refused.append((cell, str(error)))
            continue
        fitted.append((cell, fit, cost_steps(of_session)))
    return CellFits(tuple(fitted), tuple(refused))


def _lacking(rows: pd.DataFrame) -> str:
    if rows["k"].nunique() < 2:
        return "timed at one k only"
    if rows.groupby("k").size().max() < 2:
        return f"timed once at each k: {rows['unit'].iloc[0]}s are needed to tell k from noise"
    if rows["ms"].nunique() < 2:
        return "the same time throughout"
    if rows.groupby(["run", "item"])["ms"].nunique().max() < 2:
        return "one time stands for all k"
    return ""


def cost_steps(rows: pd.DataFrame) -> tuple[CostStep, ...]:
    """Give what one more expert costs between each k and the next.

    Parameters
    ----------
    rows : DataFrame
        Of one cell: `item` (one unit), `k`, `ms`.

    Returns
    -------
    tuple of CostStep
        One per pair of neighbours on the grid with units timed at both.
    """
    value = rows.pivot_table(index="item", columns="k", values="ms")
    steps = []
    for k, next_k in pairwise(int(k) for k in value.columns):
        slopes = ((value[next_k] - value[k]) / (next_k - k)).dropna().to_numpy()
        n = len(slopes)
        if not n:
            continue
        mean, half = float(slopes.mean()), float("nan")
        if n > 1:
            half = float(stdtrit(n - 1, 0.975) * slopes.std(ddof=1) / np.sqrt(n))
        steps.append(CostStep(k, next_k, mean, mean - half, mean + half, n))
    return tuple(steps)
