"""The `shapes` study of this project: scenes of simple objects, and questions about them.

Pixels and questions depend on a seed and on the arguments alone, on every machine and with
every version of a library. Factors of complexity are varied independently: the number of
objects, clutter, texture of the background, occlusion::

    from analysis.datasets import shapes

    made = shapes.scene(7, n_objects=20, occlusion=0.2)
    for question in shapes.study_questions(made, 4):
        print(question.text, question.answer)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.datasets.shapes_design import (
    LARGE_FIRST,
    LARGE_IMAGES,
    SEEDS,
    STUDY_FIRST,
    STUDY_IMAGES,
    TRAIN_FIRST,
    VALIDATION_FIRST,
    image_id,
    scene_of,
    study_frames,
    study_scene,
)
from analysis.datasets.shapes_questions import Question, study_questions, training_questions
from analysis.datasets.shapes_scenes import PATTERNS, SIDE, Scene, Thing, scene
from analysis.datasets.shapes_words import (
    COLORS,
    KINDS,
    LONGEST,
    MOST,
    SHAPES,
    SIZES,
    SUBTYPES,
    WORDS,
)

__all__ = [
    "COLORS", "KINDS", "LARGE_FIRST", "LARGE_IMAGES", "LONGEST", "MOST", "PATTERNS", "SEEDS",
    "SHAPES", "SIDE", "SIZES", "STUDY_FIRST", "STUDY_IMAGES", "SUBTYPES", "TRAIN_FIRST",
    "VALIDATION_FIRST", "WORDS", "Question", "Scene", "Thing", "image_id", "render", "scene",
    "scene_of",
    "study_frames", "study_questions", "study_scene", "training_questions",
]  # fmt: skip


def render(name: str) -> NDArray[np.uint8]:
    """Make the image of an id, such as s00012: RGB, shape (128, 128, 3).

    Raises
    ------
    InputError
        Not an id of this study (see `scene_of`).
    """
    return scene_of(name).image
