"""easy-VQA (Victor Zhou 2019): the question files of the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read a ``questions.json``: a list of ``[question, answer, image number]``.

    The sample id is the split (the file's folder) and the place in the file, from 0:
    ``test-00012``. The file has no ids, and images are named ``<number>.png``. It does not
    classify its questions, so neither does this.
    """
    path = study.file(study.manifest.samples.path, "samples", "path")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); install the package again") from error
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: not a list of questions; is samples.format right?")
    for number, row in enumerate(rows):
        if not (
            isinstance(row, list)
            and [type(part) for part in row] in ([str, str, int], [str, str, str])
        ):
            raise InputError(
                f"{path}: item {number + 1:,} is not [question, answer, image number]; "
                f"is samples.format right?"
            )
    split = path.parent.name
    return pd.DataFrame(
        {
            "sample_id": [f"{split}-{number:05d}" for number in range(len(rows))],
            "image_id": [f"{row[2]}.png" for row in rows],
            "question": [row[0] for row in rows],
            "answers": [[row[1]] for row in rows],
        }
    )
