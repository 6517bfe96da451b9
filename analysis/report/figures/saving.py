"""Figures on disk, the same bytes each time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.report.figures.style import paper
from complexity.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GENERATED = re.compile(r"(?<=[#\"])(?:C[0-9a-f]+_[0-9a-f]+_|[a-z]+)[0-9a-f]{10}(?=[\")])")
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
                if suffix == "svg":
                    text = numbered_ids(temporary.read_text(encoding="utf-8"))
                    temporary.write_text(text, encoding="utf-8", newline="\n")
            paths.append(path)
    return paths


def numbered_ids(svg: str) -> str:
    """Replace the generated ids of an SVG by their numbers in order.

    matplotlib makes them from coordinates in full precision, whose last bits may differ
    between two processes where the six printed digits do not.

    Parameters
    ----------
    svg : str
        What matplotlib wrote.

    Returns
    -------
    str
        The same drawing.
    """
    found = dict.fromkeys(_GENERATED.findall(svg))
    number = {name: f"id{n}" for n, name in enumerate(found)}
    return _GENERATED.sub(lambda match: number[match[0]], svg)
