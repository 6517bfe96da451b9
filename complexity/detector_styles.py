"""What a detector gives: output styles, told apart by their shapes, as boxes with scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.errors import InputError, did_you_mean, listing

Outputs = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: Name of a style: what its outputs are. n boxes, q queries, c classes.
STYLES = {
    "yolov5": "(1, n, 5 + c): centre, size, objectness, a score per class",
    "yolov8": "(1, 4 + c, n) or (1, n, 4 + c): centre, size, a score per class",
    "end-to-end": "(1, n, 6): left, top, right, bottom, score, class; suppressed already",
    "detr": "logits (1, q, c + 1), the last for no object, and boxes (1, q, 4); softmax",
    "rt-detr": "logits (1, q, c) and boxes (1, q, 4); sigmoid",
    "scored": "labels (q), boxes (q, 4) and scores (q), with or without a batch axis",
}
#: Styles whose boxes overlap by design and need suppression.
RAW = ("yolov5", "yolov8")
# More boxes than this are not what is left after suppression.
_MOST_KEPT = 1000
# Of the queries on an empty image, those whose best class is the last one if it is "no object".
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Detections:
    """Boxes with their scores and classes.

    Attributes
    ----------
    boxes : ndarray of float64, shape (n, 4)
        Left, top, right, bottom, pixels.
    scores : ndarray of float64, shape (n,)
        In [0, 1].
    classes : ndarray of int64, shape (n,)
        Numbers of the classes.
    """

    boxes: Floats
    scores: Floats
    classes: Whole

    def take(self, which: NDArray[Any]) -> Detections:
        """Pick some of them, by mask or by place."""
        return Detections(self.boxes[which], self.scores[which], self.classes[which])


class NotScores(Exception):
    """What should be scores is not; the message says why."""


def shown(outputs: Outputs) -> str:
    """Spell the names and shapes of outputs."""
    return "; ".join(f"{n} {tuple(v.shape)}" for n, v in outputs.items()) or "none"


def recognise(
    outputs: Outputs, size: tuple[int, int], named: int | None, style: str | None, model: str
) -> str:
    """Tell the style of a detector from its outputs for a plain gray image.

    Parameters
    ----------
    outputs : mapping of str to ndarray
        By name.
    size : (height, width)
        Of the input, pixels.
    named : int, optional
        How many classes the model's metadata name.
    style : str, optional
        The user's choice; then it is only checked.
    model : str
        Names the model in messages.

    Returns
    -------
    str
        One of `STYLES`.

    Raises
    ------
    InputError
        No style fits, or several do.
    """
    if style is not None and style not in STYLES:
        raise InputError(
            f"{model}: unknown style '{style}'{did_you_mean(style, STYLES)}; known: "
            f"{', '.join(STYLES)}"
        )
    fitting = _fitting(outputs, size, named, chosen=style is not None)
    if style is not None and style in fitting:
        return style
    if style is None and len(fitting) == 1:
        return fitting[0]
    known = "; ".join(f"{name} is {what}" for name, what in STYLES.items())
    if style is not None:
        said = f"the outputs are not those of style '{style}'"
    elif fitting:
        said = f"the outputs fit {' and '.join(fitting)}; name one of them as style"
    else:
        said = "the outputs fit no style of detector; export the model in one of these"
    raise InputError(f"{model}: {said}. It gives {shown(outputs)}. {known}.")


def _fitting(
    outputs: Outputs, size: tuple[int, int], named: int | None, *, chosen: bool
) -> list[str]:
    if _scored(outputs) is not None:
        return ["scored"]
    pair = _queries(outputs)
    if pair is not None:
        logits = np.asarray(pair[0], dtype=np.float64)
        return ["detr", "rt-detr"] if chosen else _logit_styles(logits)
    table = _table(outputs, named)
    if table is None:
        return []
    rows, columns = table.shape
    extra = 0 if named is None else named
    fits = []
    if columns >= 5 + max(1, extra) and (rows > columns or chosen):
        fits.append("yolov5")
    if rows >= 4 + max(1, extra) and rows < columns:
        fits.append("yolov8")
    if chosen and columns >= 4 + max(1, extra) and rows > columns:
        fits.append("yolov8")
    if columns == 6:
        # Six columns are also those of YOLOv5 with one class; the number of its boxes tells.
        if chosen:
            fits.append("end-to-end")
        elif rows != _anchors(size):
            fits = [fit for fit in fits if fit != "yolov5" or rows > _MOST_KEPT]
            fits.append("end-to-end")
    return fits


def _anchors(size: tuple[int, int]) -> int:
    """Count the boxes of a YOLOv5: three for each cell at strides 8, 16 and 32."""
    return 3 * sum((size[0] // stride) * (size[1] // stride) for stride in (8, 16, 32))


def _logit_styles(logits: Floats) -> list[str]:
    """Tell softmax with "no object" from sigmoid by what is said of an image of nothing.

    The last class wins nearly everywhere if it is "no object"; a sigmoid gives every class
    less than a half.
    """
    last = logits.shape[-1] - 1
    last_wins = last > 0 and bool(np.mean(logits.argmax(-1) == last) >= _NEARLY_ALL)
    nothing = bool((logits < 0).all())
    if last_wins and not nothing:
        return ["detr"]
    if nothing and not last_wins:
        return ["rt-detr"]
    return ["detr", "rt-detr"]


def _table(outputs: Outputs, named: int | None) -> NDArray[Any] | None:
    """Find the one output of shape (1, a, b); without the batch axis."""
    tables = [v for v in outputs.values() if v.ndim == 3 and v.shape[0] == 1]
    # Feature maps (5 axes, of a YOLOv5 export) mean nothing here; masks' prototypes (4) mean
    # that some columns are no scores, which only the list of class names can tell apart.
    others = [v.ndim for v in outputs.values() if v.ndim != 3]
    known = all(axes == 5 or (axes == 4 and named is not None) for axes in others)
    return tables[0][0] if len(tables) == 1 and known else None


def _queries(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Find logits (1, q, c) and boxes (1, q, 4)."""
    threes = {n: v for n, v in outputs.items() if v.ndim == 3 and v.shape[0] == 1}
    boxes = [n for n, v in threes.items() if v.shape[2] == 4]
    if len(boxes) > 1:
        boxes = [n for n in boxes if "box" in n.lower()]
    if len(boxes) != 1 or len(threes) < 2:
        return None
    queries = threes[boxes[0]].shape[1]
    rest = [n for n, v in threes.items() if n != boxes[0] and v.shape[1] == queries]
    if len(rest) > 1:  # hidden states come along in some exports
        rest = [n for n in rest if any(word in n.lower() for word in ("logit", "class", "cls"))]
    return (threes[rest[0]], threes[boxes[0]]) if len(rest) == 1 else None


def _scored(outputs: Outputs) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Find labels (q), boxes (q, 4) and scores (q)."""
    if len(outputs) != 3:
        return None
    boxes = {n: v for n, v in outputs.items() if v.ndim in (2, 3) and v.shape[-1] == 4}
    if len(boxes) > 1:
        boxes = {n: v for n, v in boxes.items() if "box" in n.lower()}
    if len(boxes) != 1:
        return None
    ((name, box),) = boxes.items()
    flat = {n: v for n, v in outputs.items() if n != name and v.shape == box.shape[:-1]}
    scores = [n for n, v in flat.items() if v.dtype.kind == "f"]
    if len(scores) == 2:
        scores = [n for n in scores if "score" in n.lower() or "conf" in n.lower()]
    if len(flat) != 2 or len(scores) != 1 or (box.ndim == 3 and len(box) != 1):
        return None
    labels = next(v for n, v in flat.items() if n != scores[0])
    return labels, box, flat[scores[0]]


def decode(
    outputs: Outputs, style: str, size: tuple[int, int], named: int | None, least: float
) -> Detections:
    """Turn outputs into boxes of at least some score, each with its best class.

    Parameters
    ----------
    outputs : mapping of str to ndarray
        By name, for one image.
    style : str
        One of `STYLES`.
    size : (height, width)
        Of the input, pixels.
    named : int, optional
        How many classes the model's metadata name; columns beyond them are passed over.
    least : float
        Least score.

    Returns
    -------
    Detections
        In pixels of the input, in the model's order. A YOLOv5's score is objectness times
        the class's.

    Raises
    ------
    NotScores
        Scores outside [0, 1] or not finite, or outputs of another style than before.
    """
    height, width = size
    if style == "scored":
        found = _scored(outputs)
        if found is None:
            raise NotScores(f"the outputs changed to {shown(outputs)}")
        labels, boxes, scores = (np.asarray(part, dtype=np.float64) for part in found)
        return _least(Detections(boxes.reshape(-1, 4), scores.ravel(), _whole(labels)), least)
    if style in ("detr", "rt-detr"):
        pair = _queries(outputs)
        if pair is None:
            raise NotScores(f"the outputs changed to {shown(outputs)}")
        logits, boxes = (np.asarray(part[0], dtype=np.float64) for part in pair)
        chances = _softmax(logits)[:, :-1] if style == "detr" else _sigmoid(logits)
        corners = _corners(boxes * np.array([width, height, width, height]))
        return _least(_best(corners, chances), least)
    table = _table(outputs, named)
    if table is None:
        raise NotScores(f"the outputs changed to {shown(outputs)}")
    if style == "end-to-end":
        values = np.asarray(table, dtype=np.float64)
        return _least(Detections(values[:, :4], values[:, 4], _whole(values[:, 5])), least)
    values = table  # left as it is: only what is kept is worth a copy in double precision
    if style == "yolov8":
        values = values.T if values.shape[0] < values.shape[1] else values
    first = 5 if style == "yolov5" else 4
    chances = values[:, first : None if named is None else first + named]
    best = _best(values[:, :4], chances)
    scores = np.asarray(best.scores, dtype=np.float64)
    if style == "yolov5":
        _check(values[:, 4])
        scores = scores * values[:, 4]
    best = _least(Detections(best.boxes, scores, best.classes), least)
    boxes = _corners(np.asarray(best.boxes, dtype=np.float64))
    return Detections(boxes, best.scores, best.classes)


def _best(boxes: NDArray[Any], chances: NDArray[Any]) -> Detections:
    _check(chances)
    if chances.shape[1] == 0:
        raise NotScores("the model has no class but 'no object'")
    return Detections(boxes, chances.max(axis=1), chances.argmax(axis=1).astype(np.int64))


def _least(found: Detections, least: float) -> Detections:
    _check(found.scores)
    return found.take(found.scores >= least)


def _check(scores: NDArray[Any]) -> None:
    # A thousandth for rounding in half precision. NaN is neither within nor outside.
    if scores.size and not (scores.min() >= -1e-3 and scores.max() <= 1 + 1e-3):
        wrong = ~((scores >= -1e-3) & (scores <= 1 + 1e-3))
        said = listing((f"{value:g}" for value in np.unique(scores[wrong])), shown=3)
        raise NotScores(f"scores of the detector lie outside [0, 1] ({said})")


def _whole(labels: NDArray[Any]) -> Whole:
    return np.asarray(np.rint(labels).ravel(), dtype=np.int64)


def _corners(boxes: Floats) -> Floats:
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray((1 + np.tanh(logits / 2)) / 2)
