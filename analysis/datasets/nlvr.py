"""Cornell NLVR (Suhr, Lewis, Yeh & Artzi 2017): sentences that are true or false of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.frames import read_frame
from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.manifest import Study

_NEEDED = ("identifier", "sentence", "label", "directory", "structured_rep")


def read(study: Study) -> pd.DataFrame:
    """Read a split's JSON Lines (``dev.json``); one question per sentence.

    The image is the first of the six orders of the boxes,
    ``<directory>/<split>-<identifier>-0.png`` below ``images``, where the split is the stem
    of the file's name. `n_objects` counts the items of all three boxes of the scene.
    """
    path = study.file(study.manifest.samples.path, "samples", "path")
    frame = checked_rows(path)
    split = path.stem
    places = zip(frame["directory"], frame["identifier"], strict=True)
    return pd.DataFrame(
        {
            "sample_id": frame["identifier"],
            "image_id": [f"{folder}/{split}-{name}-0.png" for folder, name in places],
            "question": frame["sentence"],
            "answers": [[label] for label in frame["label"]],
            "n_objects": [sum(map(len, boxes)) for boxes in frame["structured_rep"]],
            "directory": frame["directory"],
        }
    )


def checked_rows(path: Path) -> pd.DataFrame:
    """Read a split's examples as they are.

    Raises
    ------
    InputError
        No examples, or a row that is none; the first one is named.
    """
    frame = read_frame(path, suffix=".jsonl")
    if frame.empty:
        raise InputError(f"{path}: no examples in it; fetch the file again")
    for number, row in enumerate(frame.to_dict("records"), start=1):
        wrong = _wrong(row)
        if wrong:
            raise InputError(f"{path}: row {number:,} {wrong}; is the format right?")
    return frame


def _wrong(row: Mapping[Any, Any]) -> str:
    missing = [name for name in _NEEDED if row.get(name) is None]
    if missing:
        return f"lacks {', '.join(missing)}"
    for name in _NEEDED[:-1]:
        if not isinstance(row[name], str):
            return f"has {name} that is not text"
    boxes = row["structured_rep"]
    if not isinstance(boxes, list) or not all(isinstance(box, list) for box in boxes):
        return "has structured_rep that is not a list of boxes"
    return ""
