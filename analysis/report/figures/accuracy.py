"""Accuracy against k, one curve per complexity bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from analysis.report.figures import frames, layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("model", "bucket", "k", "accuracy", "ci_low", "ci_high")


def accuracy_curves(
    curves: pd.DataFrame, *, metric: str, bucket_ranges: Mapping[str, str] | None = None
) -> Figure:
    """Draw accuracy against k by complexity bucket, one panel per model.

    Parameters
    ----------
    curves : DataFrame
        One row per model, bucket and k: `model`, `bucket`, `k` (int ≥ 1), `accuracy`,
        `ci_low`, `ci_high` (shares in [0, 1], 95 % and clustered by image; bounds may be
        null: no band there). Models appear in the order of their first row.
    metric : str
        Name of the complexity metric, for the legend's title.
    bucket_ranges : mapping of str to str, or None
        Bucket label to the range it stands for, in the order of the buckets.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide for one model, else a page. Each panel has a y axis of its own:
        checkpoints differ by more than k changes any of them. A footnote says so, and what
        the bands are.
    """
    frames.require(curves, COLUMNS, "accuracy curves")
    models = frames.names(curves["model"])
    buckets = frames.bucket_order(curves["bucket"], bucket_ranges)
    with style.paper():
        from matplotlib.lines import Line2D

        colors = style.bucket_colors(len(buckets))
        fig, axes = layout.panels(len(models), height=1.75)
        all_ks = sorted({int(k) for k in curves["k"]})
        for model, ax in zip(models, axes, strict=True):
            of_model = curves[curves["model"].astype(str) == model]
            layout.title(ax, model)
            for bucket, color, marker in zip(buckets, colors, style.MARKERS, strict=False):
                rows = of_model[of_model["bucket"].astype(str) == bucket].sort_values("k")
                k = rows["k"].to_numpy(dtype=float)
                ax.fill_between(
                    k,
                    100 * rows["ci_low"].to_numpy(dtype=float),
                    100 * rows["ci_high"].to_numpy(dtype=float),
                    color=color,
                    alpha=0.18,
                    linewidth=0,
                )
                y = 100 * rows["accuracy"].to_numpy(dtype=float)
                ax.plot(k, y, color=color, marker=marker, markeredgecolor="white", label=bucket)
            layout.k_axis(ax.xaxis, sorted({int(k) for k in of_model["k"]}), all_ks)
            layout.percent_axis(ax)
            if layout.is_first_column(ax):
                ax.set_ylabel("accuracy (%)")
        layout.below(fig, layout.K_LABEL)
        notes = frames.interval_notes(curves, "bands")
        layout.footnote(fig, [*notes, *["y axes differ"] * (len(models) > 1)])
        handles = [
            Line2D([], [], color=color, marker=marker, markeredgecolor="white",
                   label=frames.bucket_text(bucket, bucket_ranges))
            for bucket, color, marker in zip(buckets, colors, style.MARKERS, strict=False)
        ]  # fmt: skip
        layout.legend(fig, handles, f"{readable(metric)} of the image")
        return layout.settle(fig)
