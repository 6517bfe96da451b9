"""VizWiz-VQA (Gurari et al. 2018): questions that blind people asked about their photographs."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from analysis.datasets.official import (
    demand,
    load_json,
    refuse_twice,
    refuse_unanswered,
    texts_under,
)
from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read a split's JSON (``val.json``): a list, one question an image, ten answers each.

    The set has no question ids: the sample id is the image's name without suffix
    (``VizWiz_val_00000000``), as harnesses have it. `answer_type` is the set's (yes/no, number,
    other, unanswerable), `answerable` 1 or 0.
    """
    path = study.file(study.manifest.samples.path, "samples", "path")
    rows = load_json(path)
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: not a list of questions; is samples.format right?")
    demand(rows, path, {"image": str, "question": str})
    refuse_twice((row["image"] for row in rows), path, "image")
    answers = texts_under(rows, "answers", path, "answer")
    refuse_unanswered([row["image"] for row in rows], answers, path, "answers")
    frame = {
        "sample_id": [PurePosixPath(row["image"]).stem for row in rows],
        "image_id": [row["image"] for row in rows],
        "question": [row["question"] for row in rows],
        "answers": answers,
    }
    for key in ("answer_type", "answerable"):
        if any(row.get(key) is not None for row in rows):
            frame[key] = [row.get(key) for row in rows]
    return pd.DataFrame(frame)
