"""Panels, axes and legends that every figure shares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from analysis.report.figures.style import COLUMN, GRAY, PAGE

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

K_LABEL = "active experts k (log scale)"
_TITLE = "panel title"
_FOOTNOTE = "footnote"
_FOOTNOTE_SIZE = 6.5
_EDGE = 0.03  # inches between a footnote and the figure's edges
_LINE = 0.145  # inches: a line of 8 to 9 points
_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}


def blank(width: float, height: float) -> Figure:
    """Make an empty figure that no pyplot state knows of; size in inches."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from analysis.report.figures.canvas import PaperFigure

    engine = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.04)
    return PaperFigure(figsize=(width, height), layout=engine)


def panels(
    n: int,
    *,
    height: float,
    width: float | None = None,
    columns: int | None = None,
) -> tuple[Figure, list[Axes]]:
    """Make a figure of n equal panels, filled row by row.

    Parameters
    ----------
    n : int
        How many panels.
    height : float
        Inches for each row of panels with its tick labels and one line of title.
    width : float or None
        Inches in all; None takes one column of a page for one panel, else the page.
    columns : int or None
        Panels side by side; None chooses.
    """
    columns = columns or panel_columns(n)
    rows = -(-n // columns)
    fig = blank(width or (COLUMN if n == 1 else PAGE), rows * height)
    axes = list(fig.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[n:]:
        unused.remove()
    return fig, axes[:n]


def panel_columns(n: int) -> int:
    """How many of n panels stand side by side."""
    return _COLUMNS.get(n, 4)


def title(ax: Axes, name: str) -> None:
    """Head a panel; `settle` folds what is wider than the panel."""
    text = ax.set_title(name, loc="left")
    text.set_label(_TITLE)
    text.set_in_layout(False)


def below(fig: Figure, text: str) -> None:
    """Label the x axes of all panels at once, folded to the figure's width."""
    lines = [line for part in text.split("\n") for line in wrap(part, int(14 * fig.get_figwidth()))]
    fig.supxlabel("\n".join(lines))
    _grow(fig, 0.2 + _LINE * (len(lines) - 1))


def footnote(fig: Figure, parts: Sequence[str]) -> None:
    """Say below everything else, quietly, how a figure is to be read.

    Parameters
    ----------
    fig : Figure
        Any; its height grows by the lines of the note.
    parts : sequence of str
        Joined by semicolons and folded to the figure's width. Without any there is no note.
    """
    if not parts:
        return
    text = fig.text(0, 0, "; ".join(parts), fontsize=_FOOTNOTE_SIZE, color=GRAY, va="bottom")
    text.set_label(_FOOTNOTE)
    text.set_in_layout(False)
    words, length = text.get_text(), len(text.get_text())
    room = fig.bbox.width - 2 * _EDGE * fig.dpi
    while text.get_window_extent(_renderer(fig)).width > room and length > 20:
        length -= 1
        text.set_text("\n".join(wrap(words, length)))
    # Lines of like length look better than a last one of a single word.
    lines = text.get_text().count("\n") + 1
    while len(wrap(words, length - 1)) == lines:
        length -= 1
    text.set_text("\n".join(wrap(words, length)))
    _grow(fig, text.get_window_extent(_renderer(fig)).height / fig.dpi + 3 * _EDGE)


def is_first_column(ax: Axes) -> bool:
    """Whether a panel stands at the left edge."""
    place = ax.get_subplotspec()
    return place is not None and place.is_first_col()


def k_axis(axis: Axis, ks: Sequence[int], limits: Sequence[int] | None = None) -> None:
    """Scale an axis by log2 k with a tick at every measured k and at nothing else.

    Parameters
    ----------
    axis : matplotlib axis
        The x or y axis.
    ks : sequence of int
        The measured k.
    limits : sequence of int or None
        k that the axis must span as well, for panels to be compared.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    spanned = sorted({*ks, *(limits or ())})
    low, high = spanned[0], spanned[-1]
    margin = 2**0.1 * (high / low) ** 0.03
    axis._set_axes_scale("log", base=2)  # type: ignore[attr-defined]
    axis.axes.set(**{f"{axis.axis_name}lim": (low / margin, high * margin)})  # type: ignore[attr-defined]
    axis.set_major_locator(FixedLocator(list(ks)))
    axis.set_major_formatter(FixedFormatter([str(k) for k in ks]))
    axis.set_minor_locator(NullLocator())


def legend(fig: Figure, handles: Sequence[Artist], title: str | None = None) -> None:
    """Put one legend above all panels, in as few rows as the width allows."""
    for columns in range(len(handles), 0, -1):
        found = fig.legend(
            handles=list(handles),
            title=title,
            loc="outside upper center",
            ncols=columns,
            columnspacing=1.6,
            handletextpad=0.5,
            borderaxespad=0.2,
        )
        box = found.get_window_extent(_renderer(fig))
        if columns == 1 or box.width <= fig.bbox.width:
            _grow(fig, box.height / fig.dpi)
            return
        found.remove()


def settle(fig: Figure) -> Figure:
    """Lay the figure out for good: fold long titles, drop tick labels that would collide.

    The layout is computed once and then frozen, so that every format shows the same.
    """
    fold_titles(fig)
    _arrange(fig)
    for ax in fig.axes:
        for one in (ax, *ax.child_axes):
            thin_labels(fig, one.xaxis)
    _arrange(fig)
    fig.set_layout_engine("none")
    return fig


def _arrange(fig: Figure) -> None:
    engine: Any = fig.get_layout_engine()
    if engine is None:
        return
    notes = [text for text in fig.texts if text.get_label() == _FOOTNOTE]
    if not notes:
        engine.execute(fig)
        return
    # The engine keeps its room free, but sets the label of the x axes at the very bottom.
    (note,) = notes
    width, height = fig.get_size_inches()
    note.set_position((_EDGE / width, _EDGE / height))
    taken = note.get_window_extent(_renderer(fig)).height / fig.dpi + 3 * _EDGE
    engine.set(rect=(0, taken / height, 1, 1 - taken / height))
    engine.execute(fig)
    label: Any = fig._supxlabel  # type: ignore[attr-defined]
    if label is not None:
        label.set_y(label.get_position()[1] + taken / height)


def fold_titles(fig: Figure) -> None:
    """Break titles wider than their panel at a hyphen, slash, underscore or blank."""
    from matplotlib.text import Text

    _arrange(fig)
    lines: dict[int, int] = {}
    for ax in fig.axes:
        place = ax.get_subplotspec()
        row = 0 if place is None else place.rowspan.start
        for text in ax.findobj(Text):
            if isinstance(text, Text) and text.get_label() == _TITLE:
                _fold(text, ax.get_window_extent().width, fig)
                text.set_in_layout(True)
                lines[row] = max(lines.get(row, 1), text.get_text().count("\n") + 1)
    _grow(fig, _LINE * sum(n - 1 for n in lines.values()))


def _fold(text: Text, room: float, fig: Figure) -> None:
    renderer = _renderer(fig)

    def width(content: str) -> float:
        text.set_text(content)
        return float(text.get_window_extent(renderer).width)

    lines = [""]
    for piece in re.findall(r"[^-/_ :]*[-/_ :]|[^-/_ :]+", text.get_text()):
        if lines[-1] and width((lines[-1] + piece).strip()) > room:
            lines.append("")
        lines[-1] += piece
    folded = "\n".join(line.strip() for line in lines)
    size = float(text.get_fontsize())
    while width(folded) > room and size > 6:
        size -= 0.5
        text.set_fontsize(size)


def _grow(fig: Figure, inches: float) -> None:
    fig.set_figheight(fig.get_figheight() + inches)


def thin_labels(fig: Figure, axis: Axis) -> None:
    """Blank tick labels that touch a more important one; the ticks stay.

    The ends come first, then powers of two, then the rest from the left.
    """
    from matplotlib.ticker import FixedFormatter

    formatter = axis.get_major_formatter()
    if not isinstance(formatter, FixedFormatter):
        return
    renderer = _renderer(fig)
    # An axis shows its labels on one side; the other side's are not visible.
    pairs = [(tick.label1, tick.label2) for tick in axis.get_major_ticks()]
    labels = [first if first.get_visible() else second for first, second in pairs]
    boxes = [label.get_window_extent(renderer).padded(1.2) for label in labels]
    order = sorted(range(len(labels)), key=lambda i: (_rank(i, labels), i))
    kept: list[int] = []
    for i in order:
        if not any(boxes[i].overlaps(boxes[j]) for j in kept):
            kept.append(i)
    texts = [label.get_text() if i in kept else "" for i, label in enumerate(labels)]
    axis.set_major_formatter(FixedFormatter(texts))


def _rank(i: int, labels: Sequence[Text]) -> int:
    if i in (0, len(labels) - 1):
        return 0
    text = labels[i].get_text()
    return 1 if text.isdigit() and int(text).bit_count() == 1 else 2


def _renderer(fig: Figure) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Text is measured with one renderer whatever the format, so that all formats agree.
    canvas: Any = fig.canvas if isinstance(fig.canvas, FigureCanvasAgg) else FigureCanvasAgg(fig)
    return canvas.get_renderer()


def percent_axis(ax: Axes) -> None:
    """Give a y axis of percentages few round ticks, a span of at least 1 and no room above 100."""
    from matplotlib.ticker import MaxNLocator

    low, high = ax.dataLim.intervaly
    spread = max(high - low, 1.0)
    ax.set_ylim(min(low, high - spread) - 0.05 * spread, high + 0.05 * spread)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
