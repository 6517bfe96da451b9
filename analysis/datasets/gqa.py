"""GQA (Hudson & Manning 2019): compositional questions about scene graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.datasets.official import demand, image_namer, load_json, refuse_unanswered
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study


def read(study: Study) -> pd.DataFrame:
    """Read a file of questions keyed by id (``val_balanced_questions.json``).

    Images are called ``<imageId>.jpg``. `question_type` is the structural type (query, verify,
    compare, choose, logical), `semantic_type` and `detailed_type` are the set's others and
    `program_length` counts the steps of the question's program. With `samples.annotations`, the
    scene graphs of the same split (``val_sceneGraphs.json``), `n_objects` counts an image's
    objects.
    """
    samples = study.manifest.samples
    path = study.file(samples.path, "samples", "path")
    content = _object(load_json(path), path, "questions keyed by their ids")
    ids, rows = list(content), list(content.values())
    demand(rows, path, {"imageId": str, "question": str})
    answers = [[row["answer"]] if isinstance(row.get("answer"), str) else None for row in rows]
    refuse_unanswered(ids, answers, path, "answer")
    name = image_namer(study, "{image_id}.jpg", path)
    frame: dict[str, list[Any]] = {
        "sample_id": ids,
        "image_id": [name(row["imageId"]) for row in rows],
        "question": [row["question"] for row in rows],
        "answers": answers,
    }
    for ours, theirs in (
        ("question_type", "structural"),
        ("semantic_type", "semantic"),
        ("detailed_type", "detailed"),
    ):
        kinds = [_kind(row, theirs) for row in rows]
        if any(kind is not None for kind in kinds):
            frame[ours] = kinds
    if any(isinstance(row.get("semantic"), list) for row in rows):
        frame["program_length"] = [
            len(row["semantic"]) if isinstance(row.get("semantic"), list) else None for row in rows
        ]
    if samples.annotations is not None:
        other = study.file(samples.annotations, "samples", "annotations")
        frame["n_objects"] = _counts([row["imageId"] for row in rows], other)
    return pd.DataFrame(frame)


def _object(content: Any, path: Path, layout: str) -> dict[str, Any]:
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: {layout} are expected; is samples.format right?")
    return content


def _kind(row: dict[str, Any], key: str) -> str | None:
    kinds = row.get("types")
    found = kinds.get(key) if isinstance(kinds, dict) else None
    return found if isinstance(found, str) else None


def _counts(images: list[str], path: Path) -> list[int]:
    graphs = _object(load_json(path), path, "scene graphs keyed by image ids")
    found: dict[str, int] = {}
    for image in dict.fromkeys(images):
        graph = graphs.get(image)
        objects = graph.get("objects") if isinstance(graph, dict) else None
        if isinstance(objects, dict):
            found[image] = len(objects)
    without = [image for image in dict.fromkeys(images) if image not in found]
    if without:
        raise InputError(
            f"{path}: no scene graph with 'objects' for {len(without):,} images of the questions: "
            f"{listing(without)}; take the scene graphs of the questions' split (there are none "
            f"for testdev: leave samples.annotations out)"
        )
    return [found[image] for image in images]
