"""How figures look: sizes, type and colours fit for a paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COLUMN = 3.4  # inches: one column of a two-column page
PAGE = 7.0  # inches: both columns

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
GRAY = "#6b6b6b"
FAINT = "#d9d9d9"

_SETTINGS: dict[str, Any] = {
    # DejaVu Sans comes with matplotlib, so that every machine sets the same type.
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 8.5,
    "figure.labelsize": 8,
    "text.color": "black",
    "axes.edgecolor": "#333333",
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#ececec",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.6,
    # A name with two dollar signs is a name, not a formula.
    "text.parse_math": False,
    "text.usetex": False,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "optik",
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "savefig.bbox": None,
    "savefig.transparent": False,
}


@contextmanager
def paper() -> Iterator[None]:
    """Draw within it: Optik's settings hold inside, whatever the user's are, and theirs after."""
    import matplotlib
    import seaborn as sns

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **_SETTINGS}
        matplotlib.rcParams.update(settings)
        yield


def bucket_colors(n: int) -> list[tuple[float, float, float]]:
    """Colours for ordered buckets, light to dark, told apart without colour vision too.

    Parameters
    ----------
    n : int
        How many buckets.
    """
    import seaborn as sns

    # The far ends of the map are left out: too pale on paper, and too near black.
    if n == 1:
        return [tuple(sns.color_palette("viridis_r", 5)[2])]
    blend = sns.color_palette("viridis_r", as_cmap=True)
    return [tuple(blend(0.18 + 0.72 * i / (n - 1))[:3]) for i in range(n)]


def model_colors(n: int) -> list[tuple[float, float, float]]:
    """Colours for models, which have no order; safe for the common colour blindnesses."""
    import seaborn as sns

    return [tuple(color) for color in sns.color_palette("colorblind", n)]
