"""How residuals and random effects of a fit compare with what its model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.report.figures import frames, layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTILES = ("of", "theoretical", "sample")
BINNED = ("predicted", "residual", "bound")
CALIBRATION = ("predicted", "observed", "ci_low", "ci_high")


def fit_diagnostics(
    quantiles: pd.DataFrame, binned: pd.DataFrame, calibration: pd.DataFrame | None = None
) -> Figure:
    """Draw the frames of `analysis.mixed.diagnose`.

    Parameters
    ----------
    quantiles : DataFrame
        ``of``, ``theoretical``, ``sample``: a normal quantile plot for each ``of``, in the
        order of its first row.
    binned : DataFrame
        ``predicted``, ``residual``, ``bound``: mean residuals by bin of predictions, and the
        bounds that about 95 % of them should keep.
    calibration : DataFrame or None
        ``predicted``, ``observed``, ``ci_low``, ``ci_high``: shares of successes.

    Returns
    -------
    matplotlib.figure.Figure
        Mean residuals, calibration where there is one, then quantiles. Gray lines are what the
        model says.
    """
    frames.require(quantiles, QUANTILES, "fit diagnostics")
    frames.require(binned, BINNED, "fit diagnostics")
    if calibration is not None:
        frames.require(calibration, CALIBRATION, "fit diagnostics")
    parts = frames.names(quantiles["of"])
    with style.paper():
        color = style.model_colors(1)[0]
        fig, axes = layout.panels(1 + (calibration is not None) + len(parts), height=2.0)
        rest = iter(axes)
        _residuals(next(rest), binned, color)
        if calibration is not None:
            _calibration(next(rest), calibration, color)
        for of in parts:
            rows = quantiles[quantiles["of"].astype(str) == of]
            _quantiles(next(rest), of, rows, color)
        notes = ["gray: what the model says", "dashed: two standard errors of a mean residual"]
        layout.footnote(fig, notes + ["bars: 95 %"] * (calibration is not None))
        return layout.settle(fig)


def _residuals(ax: Axes, binned: pd.DataFrame, color: tuple[float, float, float]) -> None:
    layout.title(ax, "mean residual")
    x, bound = binned["predicted"].to_numpy(dtype=float), binned["bound"].to_numpy(dtype=float)
    ax.axhline(0, color=style.GRAY, linewidth=0.8)
    for line in (bound, -bound):
        ax.plot(x, line, color=style.GRAY, linestyle="--", linewidth=0.8)
    ax.plot(x, binned["residual"].to_numpy(dtype=float), color=color, marker="o", linestyle="none")
    ax.set(xlabel="predicted", ylabel="outcome − predicted")


def _calibration(ax: Axes, frame: pd.DataFrame, color: tuple[float, float, float]) -> None:
    layout.title(ax, "calibration")
    x = frame["predicted"].to_numpy(dtype=float)
    ax.axline((0, 0), slope=1, color=style.GRAY, linewidth=0.8)
    ax.vlines(x, frame["ci_low"], frame["ci_high"], color=color, linewidth=0.8, alpha=0.6)
    ax.plot(x, frame["observed"].to_numpy(dtype=float), color=color, marker="o", linestyle="none")
    ax.set(xlabel="predicted share", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))


def _quantiles(ax: Axes, of: str, rows: pd.DataFrame, color: tuple[float, float, float]) -> None:
    layout.title(ax, of)
    ax.axline((0, 0), slope=1, color=style.GRAY, linewidth=0.8)
    ax.plot(
        rows["theoretical"].to_numpy(dtype=float),
        rows["sample"].to_numpy(dtype=float),
        color=color,
        marker="o",
        markersize=2,
        linestyle="none",
    )
    ax.set(xlabel="normal quantile", ylabel="standardised value")
