"""VQA v2 (Goyal et al. 2017) and sets in its layout: OK-VQA, VQA v1, abstract scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

# How image files are called, by `data_type`.
_IMAGES = {
    "mscoco": "COCO_{subset}_{{image_id:012d}}.jpg",
    "abstract_v002": "abstract_v002_{subset}_{{image_id:012d}}.png",
}


def read(study: Study) -> pd.DataFrame:
    """Read a file of OpenEnded questions (`path`) and that of their answers (`annotations`).

    Images are called as COCO's 2014 files (``COCO_val2014_000000262148.jpg``) unless
    `samples.image_name` says otherwise. `question_type` and `answer_type` are the set's; OK-VQA's
    types are spelled out by the key of its file. Files are read whole: the training split of
    VQA v2 takes about 2 GB of memory.
    """
    samples = study.manifest.samples
    path = study.file(samples.path, "samples", "path")
    if samples.annotations is None:
        raise InputError(
            f"{study.at('samples')}: format {samples.format} needs a second file with the answers; "
            f"add 'annotations', such as v2_mscoco_val2014_annotations.json"
        )
    other = study.file(samples.annotations, "samples", "annotations")
    content, answered = load_json(path), load_json(other)
    questions = listed(content, "questions", path, "the file of questions")
    annotations = listed(answered, "annotations", other, "the file of answers")
    demand(questions, path, {"question_id": int, "image_id": int, "question": str})
    demand(annotations, other, {"question_id": int, "image_id": int}, "annotation")
    refuse_twice((row["question_id"] for row in questions), path, "question_id")
    refuse_twice((row["question_id"] for row in annotations), other, "question_id")
    _same_split(content, answered, path, other)
    by_id = {row["question_id"]: row for row in annotations}
    _all_answered(questions, by_id, path, other)
    rows = [by_id[row["question_id"]] for row in questions]
    answers = texts_under(rows, "answers", other, "answer")
    refuse_unanswered([row["question_id"] for row in questions], answers, other, "answers")

    pattern = _IMAGES.get(str(content.get("data_type")))
    subset = content.get("data_subtype")
    default = None if pattern is None or not subset else pattern.format(subset=subset)
    name = image_namer(study, default, path)
    spelled = answered.get("question_types")
    kinds = spelled if isinstance(spelled, dict) else {}
    frame = {
        "sample_id": [str(row["question_id"]) for row in questions],
        "image_id": [name(row["image_id"]) for row in questions],
        "question": [row["question"] for row in questions],
        "answers": answers,
    }
    for key in ("question_type", "answer_type"):
        if any(row.get(key) is not None for row in rows):
            frame[key] = [kinds.get(row.get(key), row.get(key)) for row in rows]
    return pd.DataFrame(frame)


def _same_split(one: Any, other: Any, path: Path, answers: Path) -> None:
    for key in ("data_type", "data_subtype"):
        first, second = one.get(key), other.get(key)
        if first and second and first != second:
            raise InputError(
                f"{answers}: answers of another split: its {key} is '{second}', that of the "
                f"questions {path} is '{first}'; take both files of one split"
            )


def _all_answered(questions: list[Any], by_id: dict[int, Any], path: Path, answers: Path) -> None:
    without = [row["question_id"] for row in questions if row["question_id"] not in by_id]
    if without:
        raise InputError(
            f"{answers}: {len(without):,} of the {len(questions):,} questions of {path.name} have "
            f"no annotation: {listing(without)}; take both files of one split"
        )
    moved = [
        f"{row['question_id']} ({row['image_id']} and {by_id[row['question_id']]['image_id']})"
        for row in questions
        if row["image_id"] != by_id[row["question_id"]]["image_id"]
    ]
    if moved:
        raise InputError(
            f"{answers}: another image_id than in {path.name} for question {listing(moved)}; take "
            f"both files of one release"
        )
