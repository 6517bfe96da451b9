"""Figures on disk, the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.report.figures.style import paper
from complexity.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# No dates, and no names of programs' versions where the format does not ask for them.
_OPTIONS: dict[str, dict[str, Any]] = {
    "pdf": {"dpi": 300, "metadata": {"CreationDate": None}},
    "svg": {"dpi": 300, "metadata": {"Date": None}},
    "png": {"dpi": 200, "metadata": {"Software": None}},
}


def save(fig: Figure, stem: str | Path) -> list[Path]:
    """Write a figure as PDF, SVG and PNG, each atomically.

    Parameters
    ----------
    fig : Figure
        What to write; it is saved at its own size.
    stem : str or Path
        Path without suffix; a point in its name is kept.

    Returns
    -------
    list of Path
        The three files. PDF holds its type as TrueType, SVG as text; PNG has 200 dots per
        inch, as have images inside the others 300. No file holds a date.
    """
    stem = Path(stem)
    paths = []
    with paper():
        for suffix, options in _OPTIONS.items():
            path = stem.with_name(f"{stem.name}.{suffix}")
            with atomic_path(path) as temporary:
                fig.savefig(temporary, format=suffix, **options)
            paths.append(path)
    return paths
