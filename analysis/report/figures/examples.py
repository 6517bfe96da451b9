"""Example images by complexity bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis import numerals
from analysis.report.figures import layout, style
from analysis.report.names import readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Example = tuple[str, NDArray[np.uint8], float]
_LONG_SIDE = 384  # pixels kept: more than a tile shows at 300 dots per inch


def example_images(groups: Mapping[str, Sequence[Example]], *, metric: str) -> Figure:
    """Show some images of each bucket, a row per bucket, each with its value below.

    Parameters
    ----------
    groups : mapping of str to sequence of (image_id, rgb, value)
        Bucket labels in order, to images: rgb is (h, w, 3) uint8, value the metric's. Rows
        may differ in length and be empty.
    metric : str
        The metric's name.
    """
    columns = max((len(group) for group in groups.values()), default=0)
    if columns == 0:
        raise ValueError("example images: no image in any group")
    values = [value for group in groups.values() for _, _, value in group]
    whole = all(float(value).is_integer() for value in values)
    decimals = 0 if whole else numerals.decimals_for(values)
    with style.paper():
        width = min(style.PAGE, 0.45 + 1.2 * columns)
        tile = (width - 0.45) / columns
        fig = layout.blank(width, len(groups) * (tile + 0.18) + 0.22)
        grid = fig.subplots(len(groups), columns, squeeze=False)
        for row, (bucket, group) in zip(grid, groups.items(), strict=True):
            for ax in row:
                ax.set(xticks=[], yticks=[])
                ax.grid(False)
                for spine in ax.spines.values():
                    spine.set_visible(False)
            row[0].set_ylabel(bucket)
            for ax, (_, rgb, value) in zip(row, group, strict=False):
                ax.imshow(_shrunk(rgb))
                ax.set_xlabel(numerals.number(value, decimals), labelpad=2)
        fig.supxlabel(readable(metric))
        return layout.settle(fig)


def _shrunk(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = rgb.shape[:2]
    factor = max(height, width) / _LONG_SIDE
    if factor <= 1:
        return rgb
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
