"""DocVQA (Mathew et al. 2021): questions about scanned documents."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.datasets.official import (
    demand,
    listed,
    load_json,
    refuse_twice,
    refuse_unanswered,
    texts_under,
)

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read a split's JSON (``val_v1.0_withQT.json``; InfographicVQA's too).

    The image id is the file's name without folder (the files say ``documents/xnbl0037_1.png``,
    whatever folder the images were unpacked to). `question_type` joins the set's types with
    `` + `` in files that have them; `document` is the document that the page is from.
    """
    path = study.file(study.manifest.samples.path, "samples", "path")
    rows = listed(load_json(path), "data", path, "a split of DocVQA")
    # InfographicVQA, task 3 of the same challenge, calls the image otherwise.
    own = any(isinstance(row, dict) and "image" in row for row in rows)
    image = "image" if own else "image_local_name"
    demand(rows, path, {"questionId": (int, str), image: str, "question": str})
    refuse_twice((row["questionId"] for row in rows), path, "questionId")
    answers = texts_under(rows, "answers", path)
    refuse_unanswered([row["questionId"] for row in rows], answers, path, "answers")
    frame: dict[str, list[Any]] = {
        "sample_id": [str(row["questionId"]) for row in rows],
        "image_id": [PurePosixPath(row[image]).name for row in rows],
        "question": [row["question"] for row in rows],
        "answers": answers,
    }
    kinds = texts_under(rows, "question_types", path)
    if any(kinds):
        frame["question_type"] = [" + ".join(kind) if kind else None for kind in kinds]
    if all(isinstance(row.get("ucsf_document_id"), str) for row in rows):
        frame["document"] = [row["ucsf_document_id"] for row in rows]
    return pd.DataFrame(frame)
