"""A figure that shows itself in notebooks; imported when the first one is drawn."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.report.figures.style import paper


class PaperFigure(Figure):
    """A matplotlib figure outside pyplot's state, shown as PNG by notebooks.

    Notebooks show a plain `Figure` only once pyplot has been set up in them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with paper():
            self.savefig(buffer, format="png", dpi=144)
        return buffer.getvalue()
