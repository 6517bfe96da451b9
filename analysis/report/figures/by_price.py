"""Which k is best at which price of time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.report.figures import frames, layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("model", "bucket", "k", "price_from", "price_to", "price_to_low", "price_to_high")
_ALL = "all"
_HEIGHT = 0.52  # of a row, the bar


def best_k_by_price(
    frame: pd.DataFrame,
    *,
    metric: str = "complexity",
    bucket_ranges: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the upper envelope of utility as strips: the best k along the price of time.

    One panel per model, one strip per group of images; a bar spans the prices at which its k
    has the highest utility, and a line below a border is the 95 % interval of that break-even
    price. The price axis is logarithmic, from a third of the lowest break-even price to three
    times the highest, over all models.

    Parameters
    ----------
    frame : DataFrame
        One row per model, bucket and k on the envelope or off it: `model`, `bucket` (``all``
        for all images), `k`, `price_from`, `price_to` (accuracy per ms; null off the envelope,
        and `price_to` where there is no upper end), `price_to_low`, `price_to_high` (null: not
        known, or no such end).
    metric : str
        Name of the complexity metric, for the y axis.
    bucket_ranges : mapping of str to str, or None
        Bucket label to the range it stands for, in the order of the buckets.
    """
    frames.require(frame, COLUMNS, "k by price")
    models = frames.names(frame["model"])
    named = frame[frame["bucket"] != _ALL]
    buckets = frames.bucket_order(named["bucket"], bucket_ranges) if len(named) else []
    groups = [*buckets, *([_ALL] if (frame["bucket"] == _ALL).any() else [])]
    on = frame[frame["price_from"].notna()]
    prices = 100 * on["price_to"].dropna()
    prices = prices[prices > 0]
    limits = (prices.min() / 3, prices.max() * 3) if len(prices) else (0.1, 10.0)
    with style.paper():
        from matplotlib.patches import Patch

        ks = sorted({int(k) for k in on["k"]})
        colors = dict(zip(ks, style.bucket_colors(len(ks)), strict=True))
        fig, axes = layout.panels(len(models), height=0.6 + 0.3 * len(groups))
        for model, ax in zip(models, axes, strict=True):
            layout.title(ax, model)
            of_model = on[on["model"].astype(str) == model]
            for place, group in enumerate(groups):
                rows = of_model[of_model["bucket"].astype(str) == group].sort_values("price_from")
                for lane, row in enumerate(rows.to_dict("records")):
                    _bar(ax, place, lane % 3, row, limits, colors[int(row["k"])])
            ax.set_xscale("log")
            _plain_ticks(ax, limits)
            ax.set_ylim(len(groups) - 0.4, -0.6)
            ax.set_yticks(range(len(groups)), groups if layout.is_first_column(ax) else [])
            ax.tick_params(axis="y", length=0)
            ax.grid(False)
            if layout.is_first_column(ax):
                ax.set_ylabel(readable(metric))
        layout.below(fig, "price of time (accuracy points per ms, log scale)")
        notes = [
            "bar: prices at which this k has the highest utility, accuracy less price × latency"
        ]
        if frame["price_to_low"].notna().any():
            notes.append("line of a bar's colour: 95 % interval of the price at its right border")
        layout.footnote(fig, notes)
        handles = [Patch(facecolor=colors[k], label=f"{k}") for k in ks]
        layout.legend(fig, handles, "best k")
        return layout.settle(fig)


def _bar(
    ax: Axes,
    place: int,
    lane: int,
    row: Mapping[Any, Any],
    limits: tuple[float, float],
    color: tuple[float, float, float],
) -> None:
    left = min(max(100 * row["price_from"], limits[0]), limits[1])
    end = 100 * row["price_to"]
    right = limits[1] if math.isnan(end) else min(max(end, limits[0]), limits[1])
    ax.barh(place, right - left, left=left, height=_HEIGHT, color=color, edgecolor="white",
            linewidth=0.6)  # fmt: skip
    if math.isnan(end) or math.isnan(row["price_to_low"]):
        return
    low = min(max(100 * row["price_to_low"], limits[0]), limits[1])
    top = 100 * row["price_to_high"]
    high = limits[1] if math.isnan(top) else min(max(top, limits[0]), limits[1])
    # Intervals of neighbouring borders overlap: three lines take turns.
    ax.plot([low, high], [place + 0.33 + 0.07 * lane] * 2, color=color, linewidth=1.3,
            solid_capstyle="butt")  # fmt: skip


def _plain_ticks(ax: Axes, limits: tuple[float, float]) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    low, high = (math.floor(math.log10(limit)) for limit in limits)
    steps = (1, 3) if high - low < 3 else (1,)
    ticks = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    ticks = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    ax.set_xlim(*limits)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
