"""Non-maximum suppression: of boxes that overlap, the best one stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Compute the intersection over union of one box with others.

    Parameters
    ----------
    box : ndarray of float64, shape (4,)
        Left, top, right, bottom.
    boxes : ndarray of float64, shape (n, 4)
        The others.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1]; 0 where both are without area.
    """
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    union = _area(box[None])[0] + _area(boxes) - common
    found = np.divide(common, union, out=np.zeros(len(boxes)), where=union > 0)
    return np.asarray(found, dtype=np.float64)


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def suppress(boxes: Floats, scores: Floats, classes: Whole, limit: float) -> Whole:
    """Keep the best of boxes of one class that overlap: greedy suppression.

    Boxes are taken from the highest score down (equal scores in their order); each removes
    the later ones of its own class whose intersection over union with it exceeds `limit`.

    Parameters
    ----------
    boxes : ndarray of float64, shape (n, 4)
        Left, top, right, bottom.
    scores : ndarray of float64, shape (n,)
        Higher is better.
    classes : ndarray of int64, shape (n,)
        Boxes of different classes do not remove each other.
    limit : float
        In [0, 1]; at 1 all stay.

    Returns
    -------
    ndarray of int64
        Places of those kept, from the highest score down.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    for name in np.unique(classes):
        left = order[classes[order] == name]
        while len(left):
            best, left = left[0], left[1:]
            kept.append(best)
            left = left[overlap(boxes[best], boxes[left]) <= limit]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return np.array(sorted(kept, key=lambda place: int(ranks[place])), dtype=np.int64)
