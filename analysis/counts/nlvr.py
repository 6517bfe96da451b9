"""Cornell NLVR's examples (Suhr et al. 2017, doi:10.18653/v1/P17-2034) as a source of counts."""

from __future__ import annotations

from pathlib import Path

from analysis.counts.matching import Counted
from analysis.datasets.nlvr import checked_rows

#: An example's image is drawn with its boxes in each of these orders.
_ORDERS = 6


def read(path: Path, crowd: str = "") -> Counted:
    """Count the items in all three boxes of every example's scene.

    Parameters
    ----------
    path : Path
        A split's JSON Lines, such as ``dev.json``.
    crowd : str
        Means nothing here.

    Returns
    -------
    Counted
        Counts by ``<directory>/<split>-<identifier>-<0 to 5>.png``.

    Raises
    ------
    InputError
        Not this layout.
    """
    counts = {}
    for row in checked_rows(path).to_dict("records"):
        items = sum(map(len, row["structured_rep"]))
        for order in range(_ORDERS):
            name = f"{path.stem}-{row['identifier']}-{order}.png"
            counts[f"{row['directory']}/{name}"] = items
    return Counted(counts)
