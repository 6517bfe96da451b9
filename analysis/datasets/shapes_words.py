"""The words of the `shapes` study's questions and answers: a fixed vocabulary."""

from __future__ import annotations

COLORS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring", "star", "heart")
SIZES = ("small", "medium", "large")

#: Most objects of a scene.
MOST = 48

#: Of a shape, several.
PLURALS = {shape: shape + ("es" if shape.endswith("s") else "s") for shape in SHAPES}

#: How an object lies to another, with the axis (0: x, to the right; 1: y, down) and the sign of
#: its place less the other's.
RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}

KINDS = ("count", "compare", "exist", "color", "shape", "spatial")
"""Kinds of questions: `question_type` in the samples table."""

SUBTYPES = {
    "count": ("count_all", "count_color", "count_shape", "count_both", "count_relation"),
    "compare": ("compare_color", "compare_shape", "compare_both"),
    "exist": ("exist_color", "exist_shape", "exist_both"),
    "color": ("color_unique", "color_size", "color_relation"),
    "shape": ("shape_unique", "shape_size", "shape_relation"),
    "spatial": ("spatial_pair", "spatial_exist"),
}
"""Subtypes of each kind: `question_subtype` in the samples table."""

_GRAMMAR = (
    "? how many objects object are there is a an the what color shape more or fewer than equal "
    "left right of above below largest smallest yes no"
)

WORDS: tuple[str, ...] = (
    *_GRAMMAR.split(),
    *COLORS,
    *(shape for shape in SHAPES),
    *PLURALS.values(),
    *(str(number) for number in range(MOST + 1)),
)
"""All words of questions and answers, each once; an answer is one of them."""

LONGEST = 12
"""Words of the longest question, the question mark among them."""
