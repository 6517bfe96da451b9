"""TextVQA (Singh et al. 2019): questions about text in photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.datasets.official import (
    demand,
    image_namer,
    listed,
    load_json,
    refuse_twice,
    refuse_unanswered,
    texts_under,
)

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read a split's JSON (``TextVQA_0.5.1_val.json``): ten answers a question, under ``data``.

    Images are called ``<image_id>.jpg``. The set does not classify its questions.
    """
    path = study.file(study.manifest.samples.path, "samples", "path")
    rows = listed(load_json(path), "data", path, "a split of TextVQA")
    demand(rows, path, {"question_id": int, "image_id": str, "question": str})
    refuse_twice((row["question_id"] for row in rows), path, "question_id")
    answers = texts_under(rows, "answers", path)
    refuse_unanswered([row["question_id"] for row in rows], answers, path, "answers")
    name = image_namer(study, "{image_id}.jpg", path)
    return pd.DataFrame(
        {
            "sample_id": [str(row["question_id"]) for row in rows],
            "image_id": [name(row["image_id"]) for row in rows],
            "question": [row["question"] for row in rows],
            "answers": answers,
        }
    )
