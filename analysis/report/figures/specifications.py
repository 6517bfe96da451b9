"""Every reasonable way to ask the question, side by side: a specification curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.report.figures import frames, layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("model", "metric", "ends", "curve", "coding", "adjusted", "effects", "p")
#: Choices in the order of the rows; a choice with one value only is not drawn.
CHOICES = ("metric", "ends", "curve", "coding", "adjusted", "effects")
_HEADS = {
    "metric": "",
    "ends": "ends: ",
    "curve": "by ",
    "coding": "scores: ",
    "adjusted": "covariates: ",
    "effects": "effects: ",
}
_PRIMARY = "#c8553d"


def specification_curve(found: pd.DataFrame, primary: str, alpha: float = 0.05) -> Figure:
    """Draw p of "some k is best at both ends" under every specification, sorted, by model.

    Below each p stand the choices that led to it. Specifications of the primary metric are in
    red; the line is `alpha`.

    Parameters
    ----------
    found : DataFrame
        `model`, `metric`, `ends`, `curve`, `coding`, `adjusted`, `effects`, `p`
        (`analysis.robustness.specifications.as_frame`).
    primary : str
        The primary metric.
    alpha : float
        Level.
    """
    frames.require(found, COLUMNS, "specification curve")
    models = frames.names(found["model"])
    rows = [
        (choice, value)
        for choice in CHOICES
        for value in found[choice].drop_duplicates()
        if len(found[choice].unique()) > 1
    ]
    across = min(len(models), 4)
    bands = -(-len(models) // across)
    with style.paper():
        height = 1.2 + 0.14 * len(rows)
        fig = layout.blank(style.PAGE if across > 1 else style.COLUMN + 1.4, bands * height + 0.2)
        ratios = [1.0, 0.14 * len(rows)] * bands
        grid: Any = fig.subplots(2 * bands, across, squeeze=False, height_ratios=ratios)
        for number, model in enumerate(models):
            band, column = divmod(number, across)
            above, below = grid[2 * band][column], grid[2 * band + 1][column]
            part = found[found["model"].astype(str) == model].sort_values("p", kind="stable")
            _values(above, part, primary, alpha)
            layout.title(above, model)
            _matrix(below, part, rows, primary)
            if column == 0:
                above.set_ylabel("p")
                below.set_yticks(range(len(rows)), [_label(*row) for row in rows])
            else:
                above.set_yticklabels([])
                below.set_yticks(range(len(rows)), [""] * len(rows))
        for unused in range(len(models), bands * across):
            band, column = divmod(unused, across)
            grid[2 * band][column].remove()
            grid[2 * band + 1][column].remove()
        layout.footnote(
            fig,
            [
                "p of the null that some k is optimal at both ends of complexity",
                f"red: {readable(primary)}, the primary metric",
                f"line: {alpha:g}",
                "not adjusted for their number",
            ],
        )
        layout.settle(fig)
        return fig


def _values(ax: Axes, part: pd.DataFrame, primary: str, alpha: float) -> None:
    x = np.arange(len(part))
    red = (part["metric"] == primary).to_numpy()
    for mask, color in ((~red, style.GRAY), (red, _PRIMARY)):
        ax.plot(x[mask], part["p"].to_numpy()[mask], "o", color=color, markersize=2.4)
    ax.axhline(alpha, color="#222222", linewidth=0.8)
    ax.set(ylim=(-0.04, 1.04), xlim=(-1, len(part)))
    ax.set_xticks([])
    ax.set_yticks([0, 0.5, 1], ["0", ".5", "1"])


def _matrix(ax: Axes, part: pd.DataFrame, rows: list[tuple[str, Any]], primary: str) -> None:
    red = (part["metric"] == primary).to_numpy()
    for y, (choice, value) in enumerate(rows):
        chosen = (part[choice] == value).to_numpy()
        for mask, color in ((chosen & ~red, style.GRAY), (chosen & red, _PRIMARY)):
            x = np.flatnonzero(mask)
            ax.plot(x, np.full(len(x), y), "|", color=color, markersize=4.5, markeredgewidth=1.1)
    last = None
    for y, (choice, _) in enumerate(rows):
        if last is not None and choice != last:
            ax.axhline(y - 0.5, color=style.FAINT, linewidth=0.6)
        last = choice
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-1, len(part)))
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _label(choice: str, value: Any) -> str:
    if choice == "metric":
        return readable(str(value))
    if choice == "adjusted":
        return "adjusted" if value else "unadjusted"
    return _HEADS[choice] + str(value)
