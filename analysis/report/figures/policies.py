"""What choosing k by complexity is worth, honestly and otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.report.figures import frames, layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("model", "what", "value", "low", "high", "naive", "oracle")


def policy_value(frame: pd.DataFrame, *, unit: str, metric: str = "complexity") -> Figure:
    """Draw the value of choosing k by complexity against the best single k.

    One row per model and policy: a filled point with its interval is cross-fitted; the open
    ones are the in-sample value and the oracle's, both optimistic. Where neither is given
    there is no legend.

    Parameters
    ----------
    frame : DataFrame
        One row per model and policy, top to bottom: `model`, `what` (the policy in words, may
        be empty), `value`, `low`, `high`, `naive`, `oracle`, in the unit shown; nulls are left
        out.
    unit : str
        What the x axis says behind "k by complexity less one k".
    metric : str
        Name of the complexity metric.
    """
    frames.require(frame, COLUMNS, "policy value")
    with style.paper():
        from matplotlib.lines import Line2D

        rows: list[dict[Any, Any]] = frame.to_dict("records")
        fig = layout.blank(style.PAGE, 0.55 + 0.23 * len(rows))
        ax = fig.subplots()
        blue, orange, green = (style.model_colors(3)[i] for i in (0, 1, 2))
        for place, row in enumerate(rows):
            ax.plot([row["low"], row["high"]], [place, place], color=blue, linewidth=1.3)
            ax.plot(row["value"], place, marker="o", color=blue, linestyle="none")
            for name, marker, color in (("naive", "D", orange), ("oracle", "^", green)):
                ax.plot(row[name], place, marker=marker, color=color, linestyle="none",
                        markerfacecolor="white", markeredgewidth=0.9)  # fmt: skip
        ax.axvline(0, color=style.GRAY, linewidth=0.6, zorder=0)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        labels = [": ".join(part for part in (row["model"], row["what"]) if part) for row in rows]
        ax.set_yticks(range(len(rows)), labels)
        ax.tick_params(axis="y", length=0)
        ax.margins(x=0.04)
        layout.below(fig, f"k by {readable(metric)} less one k for all: {unit}")
        both = bool(frame[["naive", "oracle"]].notna().any(axis=None))
        notes = ["cross-fitted: 95 % interval, clustered by image"]
        if both:
            notes.append("in-sample and oracle choose on the images they are valued on: optimistic")
        layout.footnote(fig, notes)
        handles = [
            Line2D([], [], color=blue, marker="o", label="cross-fitted"),
            Line2D([], [], color=orange, marker="D", markerfacecolor="white", linestyle="none",
                   label="in-sample"),
            Line2D([], [], color=green, marker="^", markerfacecolor="white", linestyle="none",
                   label="oracle by bucket"),
        ]  # fmt: skip
        if both:
            layout.legend(fig, handles)
        return layout.settle(fig)
