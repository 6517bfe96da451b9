"""ChartQA (Masry et al. 2022): questions about charts, written by people or made from summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.datasets.official import demand, load_json, refuse_unanswered
from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read a split's JSON files (``test/test_*.json``): lists of imgname, query and label.

    The set has no ids: the sample id is the file's stem and the place in it, from 0
    (``test_human-00012``). `question_type` is human or augmented, from the file's name.
    """
    paths = study.files(study.manifest.samples.path, "samples", "path")
    frames = []
    for path in paths:
        rows = load_json(path)
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{path}: not a list of questions; is samples.format right?")
        demand(rows, path, {"imgname": str, "query": str})
        ids = [f"{path.stem}-{number:05d}" for number in range(len(rows))]
        labels = [row.get("label") for row in rows]
        answers = [None if label is None else [str(label)] for label in labels]
        refuse_unanswered(ids, answers, path, "label")
        kind = next((word for word in ("human", "augmented") if word in path.stem), path.stem)
        frames.append(
            pd.DataFrame(
                {
                    "sample_id": ids,
                    "image_id": [row["imgname"] for row in rows],
                    "question": [row["query"] for row in rows],
                    "answers": answers,
                    "question_type": kind,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
