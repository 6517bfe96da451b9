"""POPE (Li et al. 2023): is there a … in the image?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.datasets.official import demand, load_json_lines, refuse_twice
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

KINDS = ("random", "popular", "adversarial")


def read(study: Study) -> pd.DataFrame:
    """Read its files (``coco_pope_*.json``): JSON Lines of question_id, image, text and label.

    The three files number their questions alike, so the sample id is the kind of absent objects
    and the number (``adversarial-12``). `question_type` is that kind, from the file's name.
    """
    frames = []
    for path in study.files(study.manifest.samples.path, "samples", "path"):
        rows = load_json_lines(path)
        if not rows:
            raise InputError(f"{path}: no questions in it; fetch the file again")
        demand(rows, path, {"question_id": (int, str), "image": str, "text": str, "label": str})
        refuse_twice((row["question_id"] for row in rows), path, "question_id")
        odd = [
            f"{row['label']!r} in question {row['question_id']}"
            for row in rows
            if row["label"].strip().lower() not in ("yes", "no")
        ]
        if odd:
            raise InputError(f"{path}: a label is yes or no, not {listing(odd)}; correct these")
        kind = next((word for word in KINDS if word in path.stem), path.stem)
        frames.append(
            pd.DataFrame(
                {
                    "sample_id": [f"{kind}-{row['question_id']}" for row in rows],
                    "image_id": [row["image"] for row in rows],
                    "question": [row["text"] for row in rows],
                    "answers": [[row["label"].strip().lower()] for row in rows],
                    "question_type": kind,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
