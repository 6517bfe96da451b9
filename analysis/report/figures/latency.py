"""Latency against k."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.report.figures import frames, layout, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("device", "phase", "model", "k", "mean_ms", "ci_low", "ci_high")


def latency_curves(latency: pd.DataFrame) -> Figure:
    """Draw mean latency against k by model, one panel per device and phase.

    Parameters
    ----------
    latency : DataFrame
        One row per device, phase, model and k: `device`, `phase` (such as prefill_ms),
        `model`, `k` (int ≥ 1), `mean_ms`, `ci_low`, `ci_high` (milliseconds; bounds may be
        null; 95 %, clustered by image). Panels and models appear in the order of their first row.

    Returns
    -------
    matplotlib.figure.Figure
        Points of several models at one k stand side by side. Time axes start at 0, so that a
        doubling looks like one, and are each panel's own: devices differ by orders of magnitude.
        A phase that never ran on a device, 0 at every k, has no panel.
    """
    frames.require(latency, COLUMNS, "latency curves")
    ran = latency.groupby(["device", "phase"], observed=True)["mean_ms"].transform("max") > 0
    latency = latency[ran] if ran.any() else latency
    keys = list(latency[["device", "phase"]].astype(str).drop_duplicates().itertuples(index=False))
    models = frames.names(latency["model"])
    with style.paper():
        from matplotlib.lines import Line2D

        looks = dict(
            zip(models, zip(style.model_colors(len(models)), style.MARKERS, strict=False),
                strict=False)
        )  # fmt: skip
        step = min(0.08, 0.24 / len(models))  # octaves of k between two models
        fig, axes = layout.panels(len(keys), height=1.85)
        all_ks = sorted({int(k) for k in latency["k"]})
        for (device, phase), ax in zip(keys, axes, strict=True):
            here = latency[
                (latency["device"].astype(str) == device) & (latency["phase"].astype(str) == phase)
            ]
            layout.title(ax, device)
            ax.set_ylabel(frames.phase_words(phase))
            for i, model in enumerate(models):
                color, marker = looks[model]
                rows = here[here["model"].astype(str) == model].sort_values("k")
                # Models often cost the same: side by side they can both be seen.
                k = rows["k"].to_numpy(dtype=float) * 2 ** (step * (i - (len(models) - 1) / 2))
                y = rows["mean_ms"].to_numpy(dtype=float)
                low, high = (rows[name].to_numpy(dtype=float) for name in ("ci_low", "ci_high"))
                ax.vlines(k, low, high, color=color, linewidth=1)
                ax.plot(k, y, color=color, marker=marker, markeredgecolor="white", linewidth=0.8)
            layout.k_axis(ax.xaxis, sorted({int(k) for k in here["k"]}), all_ks)
            ax.set_ylim(0, 1.08 * np.nanmax(here[["mean_ms", "ci_high"]].to_numpy(dtype=float)))
        layout.below(fig, layout.K_LABEL)
        notes = []
        if latency[["ci_low", "ci_high"]].notna().all(axis=1).any():
            notes.append("bars: 95 %, clustered by image")
        if len(models) > 1:
            notes.append("models at one k are set side by side")
        if len(keys) > 1:
            notes.append("y axes differ")
        layout.footnote(fig, notes)
        handles = [
            Line2D([], [], color=looks[m][0], marker=looks[m][1], markeredgecolor="white",
                   linewidth=0.8, label=m)
            for m in models
        ]  # fmt: skip
        layout.legend(fig, handles)
        return layout.settle(fig)
