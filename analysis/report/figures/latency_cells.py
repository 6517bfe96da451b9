"""Latency against k where image tokens and batch vary, beside the memory floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.latency import PER_TOKEN
from analysis.report.figures import frames, layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = ("device", "model", "dtype", "decode_mode", "batch")
COLUMNS = (*PANEL, "phase", "image_tokens", "k", "median_ms", "min_ms", "max_ms")


def latency_cells(times: pd.DataFrame, floors: pd.DataFrame | None = None) -> Figure:
    """Draw the latency of one phase against k, one line per number of image tokens.

    Parameters
    ----------
    times : DataFrame
        Rows of one phase of `analysis.latency_study.summarise`: one per device, model, dtype,
        decode_mode, batch, image_tokens and k, with `median_ms`, `min_ms` and `max_ms`.
    floors : DataFrame or None
        Memory floors: the columns of a panel, `k` and `floor_ms`; drawn where given.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per device, model, dtype, way and batch, in the order of their first row. Both
        axes are logarithmic, with the same length for a doubling in all panels' k, because
        sizes and ways differ by orders of magnitude; panels share the time axis.
    """
    frames.require(times, COLUMNS, "latency by cell")
    names = list(PANEL)
    keys = list(times[names].drop_duplicates().itertuples(index=False, name=None))
    varying = [name for name in names if len(times[name].unique()) > 1 or name == "batch"]
    sizes = sorted({int(n) for n in times["image_tokens"]})
    ks = sorted({int(k) for k in times["k"]})
    (phase,) = times["phase"].unique()
    with style.paper():
        from matplotlib.lines import Line2D

        looks = dict(zip(sizes, zip(style.bucket_colors(len(sizes)), _markers(len(sizes)),
                                    strict=True), strict=True))  # fmt: skip
        fig, axes = layout.panels(len(keys), height=2.0, columns=_columns(keys))
        drawn = []
        for key, ax in zip(keys, axes, strict=True):
            here = _of_panel(times, key)
            layout.title(ax, _title(dict(zip(names, key, strict=True)), varying))
            for n, (color, marker) in looks.items():
                rows = here[here["image_tokens"] == n].sort_values("k")
                ax.vlines(rows["k"], rows["min_ms"], rows["max_ms"], color=color, linewidth=1)
                look: dict[str, Any] = {"marker": marker, "markeredgecolor": "white"}
                ax.plot(rows["k"], rows["median_ms"], color=color, linewidth=0.8, **look)
                drawn += [*rows["min_ms"], *rows["max_ms"]]
            floor = None if floors is None else _of_panel(floors, key)
            if floor is not None and len(floor):
                floor = floor.drop_duplicates("k").sort_values("k")
                ax.plot(floor["k"], floor["floor_ms"], color=style.GRAY, linestyle="--")
                drawn += list(floor["floor_ms"])
            layout.k_axis(ax.xaxis, sorted({int(k) for k in here["k"]}), ks)
            if layout.is_first_column(ax):
                words = frames.phase_words(str(phase))
                ax.set_ylabel("ms per token" if phase == PER_TOKEN else words)
        low, high = min(value for value in drawn if value > 0), max(drawn)
        for ax in axes:
            _time_axis(ax, low / 1.15, high * 1.15)
        layout.below(fig, layout.K_LABEL)
        notes = ["points: medians; bars: smallest to largest", "both axes are logarithmic"]
        handles = [
            Line2D([], [], color=color, marker=marker, markeredgecolor="white", linewidth=0.8,
                   label=f"{n:,}" if n else "not told")
            for n, (color, marker) in looks.items()
        ]  # fmt: skip
        if any(_coincide(_of_panel(times, key)) for key in keys):
            notes.append("sizes of the same time lie on each other, the largest on top")
        if floors is not None and len(floors):
            handles.append(Line2D([], [], color=style.GRAY, linestyle="--", label="memory floor"))
            notes.append("floor: bytes of active weights over measured bandwidth")
            if len(floors[list(PANEL)].drop_duplicates()) < len(keys):
                notes.append("no floor where none was given")
        if phase == PER_TOKEN and int(times["batch"].max()) > 1:
            notes.append("batch above 1: a step, in which every answer gets one token")
        layout.footnote(fig, notes)
        layout.legend(fig, handles, "image tokens")
        return layout.settle(fig)


def _coincide(panel: pd.DataFrame, share: float = 0.03) -> bool:
    """Whether at every k the times of a panel's sizes are too alike to be told apart."""
    median = panel.groupby("k")["median_ms"]
    spread = median.max() / median.min() - 1
    return len(panel["image_tokens"].unique()) > 1 and bool((spread < share).all())


def _columns(keys: list[tuple[Any, ...]]) -> int:
    """Batches side by side and the rest below each other, where that makes a full grid."""
    batches = list(dict.fromkeys(key[-1] for key in keys))
    ways = list(dict.fromkeys(key[:-1] for key in keys))
    if 1 < len(batches) <= 3 and keys == [(*way, batch) for way in ways for batch in batches]:
        return len(batches)
    return layout.panel_columns(len(keys))


def _of_panel(frame: pd.DataFrame, key: tuple[Any, ...]) -> pd.DataFrame:
    chosen = pd.Series(True, index=frame.index)
    for name, value in zip(PANEL, key, strict=True):
        chosen &= frame[name] == value
    return frame[chosen]


def _title(panel: dict[str, Any], varying: list[str]) -> str:
    parts = [str(panel[name]) for name in varying if name != "batch"]
    # A title is not folded between the word and its number.
    return ", ".join([*parts, f"batch\u00a0{panel['batch']}"])


def _markers(n: int) -> list[str]:
    return [style.MARKERS[i % len(style.MARKERS)] for i in range(n)]


def _time_axis(ax: Axes, low: float, high: float) -> None:
    """Scale the time axis by its logarithm, with plain numbers at few round ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ax.set_yscale("log")
    ax.set_ylim(low, high)
    steps: tuple[float, ...] = (
        (1, 2, 5) if high / low < 60 else (1, 3) if high / low < 300 else (1,)
    )
    ticks = [step * 10.0**power for power in range(-4, 7) for step in steps]
    ax.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
