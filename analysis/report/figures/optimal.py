"""Where the best k lies by complexity, how surely, and which k serve both ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis import numerals
from analysis.report.figures import frames, layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

COLUMNS = ("model", "bucket", "k", "share", "best", "in_set")
COMMON_COLUMNS = ("model", "k", "serves_both", "p")
_SERVES = "#f0c36a"
_REJECTED = "#e9e9e9"
_GAP = 0.35  # between the buckets' tiles and the strip above them, in tiles


def optimal_k(
    by_bucket: pd.DataFrame,
    common: pd.DataFrame,
    ranges: Mapping[str, str] | None = None,
    *,
    metric: str = "complexity",
) -> Figure:
    """Draw the optimal k by complexity: a tile per k and bucket, one panel per model.

    A tile's shade and number are the share of image-cluster bootstrap resamples in which its
    k has the highest accuracy in its bucket (percent); a dot marks the arg max itself (each k
    of an exact tie), and a frame the k that cannot be told from the best of the bucket at level
    .05. The strip above shows for which k it is rejected, and for which not, that they are
    optimal in the lowest and the highest bucket at once, with p.

    Parameters
    ----------
    by_bucket : DataFrame
        One row per model, bucket and k: `model`, `bucket`, `k`, `share` (of 1; shares of a
        bucket sum to 1), `best` (bool, several of a bucket when tied), `in_set` (bool).
    common : DataFrame
        One row per model and k: `model`, `k`, `serves_both` (bool), `p` (null: not shown).
        May be empty: no strip then.
    ranges : mapping of str to str, or None
        Bucket label to the range it stands for, in the order of the buckets.
    metric : str
        Name of the complexity metric, for the y axis.
    """
    frames.require(by_bucket, COLUMNS, "optimal k")
    if len(common):
        frames.require(common, COMMON_COLUMNS, "optimal k, both ends")
    models = frames.names(by_bucket["model"])
    buckets = frames.bucket_order(by_bucket["bucket"], ranges)
    rows = len(buckets) + (1 + _GAP if len(common) else 0)
    with style.paper():
        labels = [frames.bucket_text(bucket, ranges) for bucket in buckets]
        n_ks = int(by_bucket.groupby("model", observed=True)["k"].nunique().max())
        width, columns = _arrange(len(models), n_ks, max(map(len, labels)))
        fig, axes = layout.panels(
            len(models), height=0.5 + 0.24 * rows, width=width, columns=columns
        )
        for model, ax in zip(models, axes, strict=True):
            layout.title(ax, model)
            of_model = by_bucket[by_bucket["model"].astype(str) == model]
            of_common = common[common["model"].astype(str) == model] if len(common) else common
            ks = sorted({int(k) for k in of_model["k"]} | {int(k) for k in of_common.get("k", [])})
            _tiles(ax, of_model, buckets, ks)
            if len(of_common):
                _strip(ax, of_common, ks, len(buckets) + _GAP)
            ax.set(xlim=(-0.5, len(ks) - 0.5), ylim=(-0.5, rows - 0.5))
            at = [float(i) for i in range(len(buckets))]
            if len(common):
                at.append(len(buckets) + _GAP)
            first = layout.is_first_column(ax)
            ax.set_yticks(at, [*labels, "both ends"][: len(at)] if first else [""] * len(at))
            ax.set_xticks(range(len(ks)), [str(k) for k in ks])
            ax.tick_params(length=0)
            ax.grid(False)
            for spine in ax.spines.values():
                spine.set_visible(False)
            if first:
                ax.set_ylabel(readable(metric))
        layout.below(fig, "active experts k")
        layout.legend(fig, _keys() if len(common) else _keys()[:-2])
        layout.settle(fig)
        for ax in axes:
            _drop_wide_numbers(ax)
        return fig


def _arrange(n_models: int, n_ks: int, label_length: int) -> tuple[float, int]:
    """Inches in all and panels side by side, such that a tile holds two digits."""
    label = 0.3 + 0.068 * max(label_length, len("both ends"))
    if n_models == 1:
        return min(max(style.COLUMN, label + 0.27 * n_ks), style.PAGE), 1
    fitting = int((style.PAGE - label) / (0.19 * n_ks + 0.1))
    return style.PAGE, max(1, min(fitting, layout.panel_columns(n_models)))


def _shade(share: float) -> Any:
    import seaborn as sns

    return sns.color_palette("Blues", as_cmap=True)(0.03 + 0.85 * share**0.8)


def _tiles(ax: Axes, rows: pd.DataFrame, buckets: list[str], ks: list[int]) -> None:
    columns = [rows[name] for name in ("bucket", "k", "share", "best", "in_set")]
    for bucket, k, share, best, in_set in zip(*columns, strict=True):
        x, y = ks.index(int(k)), buckets.index(str(bucket))
        ink = "white" if share > 0.5 else "#222222"
        frame = "#222222" if in_set else "none"
        ax.add_patch(_tile(x, y, facecolor=_shade(float(share)), edgecolor=frame))
        if share >= 0.005:
            weight = "bold" if best else "normal"
            text = numerals.number(100 * float(share), 0)
            ax.text(x, y, text, ha="center", va="center", fontsize=7, color=ink, fontweight=weight)
        if best:
            ax.plot(x + 0.35, y + 0.33, "o", color=ink, markersize=3.2, markeredgewidth=0)


def _tile(x: float, y: float, **look: Any) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, linewidth=1, **look)


def _strip(ax: Axes, rows: pd.DataFrame, ks: list[int], y: float) -> None:
    for k, serves, p in zip(rows["k"], rows["serves_both"], rows["p"], strict=True):
        x = ks.index(int(k))
        ax.add_patch(_tile(x, y, facecolor=_SERVES if serves else _REJECTED, edgecolor="none"))
        if pd.notna(p):
            ink = "black" if serves else style.GRAY
            ax.text(x, y, _short_p(float(p)), ha="center", va="center", fontsize=6.5, color=ink)


def _drop_wide_numbers(ax: Axes) -> None:
    left, right = ax.transData.transform([(0, 0), (1, 0)])[:, 0]
    for text in list(ax.texts):
        if text.get_window_extent().width > right - left:
            text.remove()


def _short_p(p: float) -> str:
    if p < 0.0995 or p == 1:
        return numerals.p_number(p)
    return ">.99" if p >= 0.995 else numerals.number(p, 2, leading_zero=False)


def _keys() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=_shade(0.4), label="bootstrap share of best k (%)"),
        Line2D(
            [], [], linestyle="none", marker="o", color="#222222", markersize=3.2, label="best k"
        ),
        Patch(facecolor="none", edgecolor="#222222", label="not distinguishable from it at .05"),
        Patch(facecolor=_SERVES, label="not rejected at both ends (p)"),
        Patch(facecolor=_REJECTED, label="rejected (p)"),
    ]
