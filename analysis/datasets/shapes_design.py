"""Which scenes the `shapes` study has: seeds that never overlap, factors that do not correlate.

The factors of image i are the coordinates of the i-th point of a Sobol' sequence, scrambled by
a digital shift. Its points lie evenly over the joint range of any two factors, for any run of
images, so that the factors do not correlate.
"""

from __future__ import annotations

import hashlib
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from analysis.datasets.shapes_questions import study_questions
from analysis.datasets.shapes_scenes import (
    MOST_HIDDEN,
    MOST_MARKS,
    PATTERNS,
    Scene,
    scene,
)
from analysis.datasets.shapes_words import MOST
from complexity.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TRAIN_FIRST = 10_000_000
VALIDATION_FIRST = 800_000_000
STUDY_FIRST = 900_000_000
LARGE_FIRST = 1_000_000_000

SEEDS = {
    "train": range(TRAIN_FIRST, VALIDATION_FIRST),
    "validation": range(VALIDATION_FIRST, STUDY_FIRST),
    "study": range(STUDY_FIRST, LARGE_FIRST),
    "large": range(LARGE_FIRST, LARGE_FIRST + 100_000_000),
}
"""Seeds of each set of images."""

STUDY_IMAGES = 3_000
LARGE_IMAGES = 25_000

PLAIN = 0.125
"""Share of images whose background is plain."""

FACTORS = ("n_objects", "occlusion", "texture", "clutter", "background")

# Of each dimension after the first: degree, coefficients and first numbers of Sobol's
# recurrence, from Joe & Kuo (2008), SIAM J. Sci. Comput. 30(5).
_PRIMITIVE = ((1, 0, (1,)), (2, 1, (1, 3)), (3, 1, (1, 3, 1)), (3, 2, (1, 1, 1)))
_BITS = 32


def study_scene(index: int, first: int = STUDY_FIRST) -> Scene:
    """Make an image of the study, with the factors that its place in the design asks for.

    Parameters
    ----------
    index : int
        From 0.
    first : int
        `STUDY_FIRST`, or `LARGE_FIRST` for the large study.

    Returns
    -------
    Scene
    """
    count, hidden, contrast, marks, pattern = _factors(index, first)
    return scene(
        first + index,
        n_objects=1 + int(count * MOST),
        clutter=int(marks * (MOST_MARKS + 1)),
        texture=max(0.0, (contrast - PLAIN) / (1 - PLAIN)),
        occlusion=hidden * MOST_HIDDEN,
        background=PATTERNS[1 + int(pattern * (len(PATTERNS) - 1))],
    )


def _factors(index: int, first: int) -> tuple[float, ...]:
    """Return an image's coordinates in the design, each from 0 to below 1."""
    places = []
    for numbers, shift in zip(_directions(), _shifts(first), strict=True):
        place = shift
        for bit, number in enumerate(numbers):
            if index >> bit & 1:
                place ^= number
        places.append(place / (1 << _BITS))
    return tuple(places)


@cache
def _shifts(first: int) -> tuple[int, ...]:
    chance = Random(first)
    return tuple(int(chance.random() * (1 << _BITS)) for _ in FACTORS)


@cache
def _directions() -> tuple[tuple[int, ...], ...]:
    """Return Sobol's direction numbers, one tuple of `_BITS` for each factor."""
    found = [(1,) * _BITS]
    for degree, coefficients, firsts in _PRIMITIVE:
        numbers = list(firsts)
        for k in range(degree, _BITS):
            new = numbers[k - degree] ^ (numbers[k - degree] << degree)
            for j in range(1, degree):
                if coefficients >> (degree - 1 - j) & 1:
                    new ^= numbers[k - j] << j
            numbers.append(new)
        found.append(tuple(numbers))
    return tuple(
        tuple(number << (_BITS - 1 - k) for k, number in enumerate(numbers)) for numbers in found
    )


def image_id(index: int, first: int = STUDY_FIRST) -> str:
    """Name an image of the study: s00012, or l00012 in the large study."""
    return f"{'l' if first == LARGE_FIRST else 's'}{index:05d}"


def scene_of(name: str) -> Scene:
    """Make the image of an id.

    Parameters
    ----------
    name : str
        As from `image_id`.

    Returns
    -------
    Scene

    Raises
    ------
    InputError
        Not such an id.
    """
    first = {"s": STUDY_FIRST, "l": LARGE_FIRST}.get(name[:1])
    digits = name[1:]
    if first is None or len(digits) != 5 or not (digits.isascii() and digits.isdigit()):
        raise InputError(
            f"'{name}' is no id of an image of shapes; they are s00000 to s99999 (the study's) "
            "and l00000 to l99999 (the large study's)"
        )
    return study_scene(int(digits), first)


def study_frames(
    first: int = STUDY_FIRST, count: int = STUDY_IMAGES, *, start: int = 0, questions: int = 4
) -> pd.DataFrame:
    """Tell of the study's images and questions: its samples table.

    Parameters
    ----------
    first : int
        `STUDY_FIRST` or `LARGE_FIRST`.
    count : int
        Images.
    start : int
        Index of the first of them.
    questions : int
        For each image.

    Returns
    -------
    DataFrame
        `sample_id`, `image_id`, `question`, `question_type`, `question_subtype`, `answer`,
        `n_objects`, `clutter` (marks), `texture` (0 to 1), `background`, `occlusion` (hidden
        share of the objects' area; both to four decimals), `image_sha256_rgb` (of the RGB
        bytes), in the order of the images.
    """
    import pandas as pd

    rows = []
    for index in range(start, start + count):
        made = study_scene(index, first)
        name = image_id(index, first)
        about = (
            made.n_objects,
            made.clutter,
            round(made.texture, 4),
            made.background,
            round(made.occlusion, 4),
            hashlib.sha256(made.image.tobytes()).hexdigest(),
        )
        for number, (text, kind, subtype, answer) in enumerate(study_questions(made, questions)):
            rows.append((f"{name}_{number}", name, text, kind, subtype, answer, *about))
    columns = [
        "sample_id", "image_id", "question", "question_type", "question_subtype", "answer",
        "n_objects", "clutter", "texture", "background", "occlusion", "image_sha256_rgb",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
