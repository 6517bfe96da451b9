"""Power against the size of the shift, by design."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis import numerals
from analysis.report.figures import frames, layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "ks",
    "n_questions",
    "n_images",
    "shift",
    "moves",
    "power",
    "power_low",
    "power_high",
    "interaction",
)


def power_curves(cells: pd.DataFrame, *, wanted: float = 0.8) -> Figure:
    """Draw the share of simulated studies that find the shift, one panel per k grid and questions.

    Filled points are shifts that truly move the best k of the grid between the lowest and the
    highest third; open ones leave it where it is, so that finding a shift there would be an
    error. Faint lines are the interaction test: that the curve changes at all.

    Parameters
    ----------
    cells : DataFrame
        As in `analysis.planning.power.Power`.
    wanted : float
        Power marked by a dashed line.
    """
    frames.require(cells, COLUMNS, "power")
    with style.paper():
        from matplotlib.lines import Line2D

        images = sorted({int(n) for n in cells["n_images"]})
        colors = dict(zip(images, style.bucket_colors(len(images)), strict=True))
        markers = {n: style.MARKERS[i % len(style.MARKERS)] for i, n in enumerate(images)}
        designs = cells[["ks", "n_questions"]].drop_duplicates()
        parts = list(zip(designs["ks"], designs["n_questions"], strict=True))
        fig, axes = layout.panels(len(parts), height=1.9)
        for (ks, questions), ax in zip(parts, axes, strict=True):
            part = cells[(cells["ks"] == ks) & (cells["n_questions"] == questions)]
            layout.title(ax, f"k {', '.join(map(str, ks))}: {_questions(int(questions))}")
            for level in (wanted, 0.05):
                ax.axhline(100 * level, color=style.GRAY, linewidth=0.7, linestyle=(0, (4, 3)))
            for n in images:
                rows = part[part["n_images"] == n].sort_values("shift")
                if len(rows):
                    _draw(ax, rows, colors[n], markers[n])
            ax.set(ylim=(-4, 104))
            ax.set_yticks([5, 20, 40, 60, 80, 100])
            if layout.is_first_column(ax):
                ax.set_ylabel("studies that find it (%)")
        layout.below(fig, "shift of the best k (doublings per SD of complexity)")
        handles = [
            Line2D([], [], color=colors[n], marker=markers[n], label=f"{numerals.count(n)} images")
            for n in images
        ]
        handles.append(
            Line2D([], [], color=style.GRAY, linestyle=":", label="curve changes (interaction)")
        )
        layout.legend(fig, handles)
        open_points = not cells["moves"].all()
        layout.footnote(
            fig,
            [
                f"dashed: {100 * wanted:g} % and 5 %",
                "bars: 95 %, Monte Carlo (Wilson)",
                *["open: the best k of the grid stays the same at both ends"] * open_points,
            ],
        )
        return layout.settle(fig)


def _draw(ax: Axes, rows: pd.DataFrame, color: tuple[float, float, float], marker: str) -> None:
    x, y = rows["shift"].to_numpy(dtype=float), 100 * rows["power"].to_numpy(dtype=float)
    low, high = (100 * rows[name].to_numpy(dtype=float) for name in ("power_low", "power_high"))
    bars = [(y - low).clip(0), (high - y).clip(0)]
    interaction = 100 * rows["interaction"].to_numpy(dtype=float)
    ax.plot(x, interaction, color=color, linestyle=":", linewidth=0.9, alpha=0.8)
    ax.errorbar(x, y, yerr=bars, color=color, elinewidth=0.8)
    for moves in (True, False):
        at = rows["moves"].to_numpy(dtype=bool) == moves
        face = color if moves else "white"
        ax.plot(x[at], y[at], linestyle="none", marker=marker, color=color, markerfacecolor=face)


def _questions(n: int) -> str:
    return "1 question each" if n == 1 else f"{n} questions each"
