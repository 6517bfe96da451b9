"""Accuracy against latency: what a millisecond buys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.report.figures import frames, layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("model", "bucket", "k", "accuracy", "ci_low", "ci_high", "latency_ms")


def frontier(
    frame: pd.DataFrame,
    *,
    device: str,
    phase: str,
    metric: str = "complexity",
    bucket_ranges: Mapping[str, str] | None = None,
) -> Figure:
    """Draw accuracy against latency along k, one panel per model that has latencies.

    Filled points are on the frontier of their bucket: by the point estimates, no other k of
    the model is as fast and as accurate and better in one of the two. Open points are not.
    Axes above the panels name the k; a footnote says what the bars and the x are.

    Parameters
    ----------
    frame : DataFrame
        One row per model, bucket and k: `model`, `bucket`, `k`, `accuracy`, `ci_low`,
        `ci_high` (shares in [0, 1], 95 % and clustered by image; bounds may be null) and
        `latency_ms` (mean over the timed samples of all buckets; null where not measured).
        Models without any latency are named below the panels.
    device, phase : str
        Where the latency was measured, and what of.
    metric : str
        Name of the complexity metric, for the legend's title.
    bucket_ranges : mapping of str to str, or None
        Bucket label to the range it stands for, in the order of the buckets.

    Raises
    ------
    ValueError
        When no model has a latency.
    """
    frames.require(frame, COLUMNS, "frontier")
    buckets = frames.bucket_order(frame["bucket"], bucket_ranges)
    timed = frame[frame["latency_ms"].notna() & frame["accuracy"].notna()]
    if timed.empty:
        raise ValueError("frontier: no row has both accuracy and latency")
    models = frames.names(timed["model"])
    untimed = [name for name in frames.names(frame["model"]) if name not in models]
    with style.paper():
        from matplotlib.lines import Line2D

        colors = style.bucket_colors(len(buckets))
        looks = list(zip(buckets, colors, style.MARKERS, strict=False))
        fig, axes = layout.panels(len(models), height=2.1)
        for model, ax in zip(models, axes, strict=True):
            of_model = timed[timed["model"].astype(str) == model]
            layout.title(ax, model)
            for bucket, color, marker in looks:
                rows = of_model[of_model["bucket"].astype(str) == bucket].sort_values("k")
                if len(rows):
                    _draw(ax, rows, color, marker)
            layout.percent_axis(ax)
            if layout.is_first_column(ax):
                ax.set_ylabel("accuracy (%)")
            _name_k(ax, of_model)
        label = f"{frames.phase_words(phase)} on {device}"
        layout.below(fig, label + f"\nno latency: {', '.join(untimed)}" * bool(untimed))
        notes = frames.interval_notes(timed, "bars")
        notes.append("x: mean over all timed samples, the same for every bucket")
        notes += ["axes differ"] * (len(models) > 1)
        layout.footnote(fig, notes)
        handles = [
            Line2D(
                [], [], color=color, marker=marker, label=frames.bucket_text(name, bucket_ranges)
            )
            for name, color, marker in looks
        ]
        handles.append(
            Line2D([], [], color=style.GRAY, marker="o", markerfacecolor="white",
                   linestyle="none", label="dominated (point estimates)")
        )  # fmt: skip
        layout.legend(fig, handles, f"{readable(metric)} of the image")
        return layout.settle(fig)


def _draw(ax: Axes, rows: pd.DataFrame, color: tuple[float, float, float], marker: str) -> None:
    x = rows["latency_ms"].to_numpy(dtype=float)
    y = 100 * rows["accuracy"].to_numpy(dtype=float)
    bounds = 100 * rows[["ci_low", "ci_high"]].to_numpy(dtype=float)
    efficient = on_frontier(x, y)
    ax.vlines(x, bounds[:, 0], bounds[:, 1], color=color, alpha=0.45, linewidth=0.8)
    ax.plot(x, y, color=color, linewidth=0.9, alpha=0.7)
    for chosen, face in ((efficient, color), (~efficient, "white")):
        ax.plot(x[chosen], y[chosen], linestyle="none", marker=marker, color=color,
                markerfacecolor=face, markeredgecolor=color, markeredgewidth=0.9)  # fmt: skip


def on_frontier(cost: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other dominates: costs no more, is worth no less, and not both the same.

    Equal points do not dominate one another: both are kept, or neither.

    Parameters
    ----------
    cost, value : ndarray, shape (n,)
        Less cost and more value are better.
    """
    kept = np.ones(len(cost), dtype=bool)
    for i in range(len(cost)):
        no_worse = (cost <= cost[i]) & (value >= value[i])
        better = (cost < cost[i]) | (value > value[i])
        kept[i] = not np.any(no_worse & better)
    return kept


def _name_k(ax: Axes, rows: pd.DataFrame) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator

    at = rows.groupby("k", sort=True)["latency_ms"].mean()
    top = ax.secondary_xaxis("top")
    top.xaxis.set_major_locator(FixedLocator([float(x) for x in at]))
    ks = [str(int(k)) for k in at.index]
    top.xaxis.set_major_formatter(FixedFormatter([f"k = {ks[0]}", *ks[1:]]))
    top.tick_params(length=2.5, pad=1)
    top.spines["top"].set_visible(True)
