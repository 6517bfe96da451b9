"""The generator of the shapes study: the same everywhere, independent factors, true answers."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.datasets import shapes
from analysis.datasets.shapes_scenes import FEW, MOST_HIDDEN, MOST_MARKS, _inside
from complexity.errors import InputError

RADIUS = {"small": 6, "medium": 8, "large": 11}
# Seed and arguments: SHA-256 of the pixels, and of the objects and questions. Python 3.11 with
# NumPy 2.4 and Python 3.12 with NumPy 2.5 gave the same.
GOLDEN = {
    "0": (
        "7c9ff2d639a5b2e647b055290b97ae521495943017f8fdb7868d7bc7ff097978",
        "1a6d20e776cbdda069bd848ed7b6933bb248b0f8cac4b905cf019288716f70b9",
    ),
    "10000007": (
        "b0bb828563b56463307964fa7801952257d4b8ba87b592c6b26f0e80d92c71aa",
        "0b8d96a9f220c8693cca7325c674760ef74b709aa8a8fda0e9f05d7c4149013a",
    ),
    "800000001": (
        "38211e0a12233a8e594de38ab19f93f66e8473b3916684a8febc73dc6612218b",
        "43aadbf658049554563ec478413b594d9221f0f811d2603226e2377e3e19687b",
    ),
    "s00000": (
        "1499d588015c6172fbee21170c17e7bb385b8c6caf57d3d3f00a51137f74905f",
        "d69b718bc0d4c549229211908fa119ceb719fae04d701dcbd6b4a041b21eaa64",
    ),
    "s02999": (
        "80f3b36c5b3415440bd2bbf04d96fde91348114e4a6e3d647cfba27dba664d6c",
        "06d7c2bfce6f742487b6346c6cb4429b00e2d256f159f9f1c62d376f77b35716",
    ),
    "l00000": (
        "1754359583779de3ee5b59a9897836009522461480b51e3c1ee84b5890133b10",
        "319f9fde121afc2b2b573d7aadfe8e306e2cbc9e9008776fc7c931d7c65be829",
    ),
    "l24999": (
        "56556e9a7100b6b410d4b8a8658987fedf0ada767a11be078beec51bbb7372e6",
        "96bda5fa03ce8fd240a4ccbcd2996d95e460eb306756830b16df448f6322189e",
    ),
}
FACTORS = ["n_objects", "clutter", "texture", "occlusion"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return shapes.study_frames()


@pytest.fixture(scope="module")
def scenes() -> list[shapes.Scene]:
    return [shapes.study_scene(index) for index in range(0, 3000, 25)]


def sums(made: shapes.Scene) -> tuple[str, str]:
    asked = (shapes.study_questions(made, 4), shapes.training_questions(made, 8))
    told = repr([[tuple(row) for row in rows] for rows in (made.objects, *asked)])
    about = f"{told} {made.clutter} {made.texture!r} {made.background} {made.occlusion!r}"
    return (
        hashlib.sha256(made.image.tobytes()).hexdigest(),
        hashlib.sha256(about.encode()).hexdigest(),
    )


@pytest.mark.parametrize("name", list(GOLDEN))
def test_pixels_and_questions_are_those_of_every_machine(name: str) -> None:
    made = shapes.scene(int(name)) if name.isdigit() else shapes.scene_of(name)
    assert sums(made) == GOLDEN[name]


def test_a_scene_does_not_depend_on_what_was_made_before() -> None:
    first = sums(shapes.scene(5))
    shapes.scene(6, n_objects=48, occlusion=0.4)
    assert sums(shapes.scene(5)) == first


def test_factors_do_not_correlate(frame: pd.DataFrame) -> None:
    images = frame.drop_duplicates("image_id")
    assert len(images) == shapes.STUDY_IMAGES
    for method in ("pearson", "spearman"):
        off = images[FACTORS].corr(method).to_numpy()[~np.eye(4, dtype=bool)]
        assert np.abs(off).max() < 0.015
    counts = images["n_objects"].value_counts()
    assert sorted(counts.index) == list(range(1, 49))
    assert counts.max() - counts.min() <= 4
    patterned = images[images["background"] != "plain"]
    assert (images["texture"].eq(0) == images["background"].eq("plain")).all()
    kinds = patterned["background"].value_counts()
    assert sorted(kinds.index) == sorted(shapes.PATTERNS[1:])
    assert kinds.max() < 1.05 * kinds.min()
    for column in FACTORS:
        of_kind = patterned.groupby("background")[column].mean()
        assert np.ptp(of_kind) < 0.03 * np.ptp(images[column])


def test_factors_span_their_ranges(frame: pd.DataFrame) -> None:
    images = frame.drop_duplicates("image_id")
    assert images["clutter"].agg(["min", "max"]).tolist() == [0, MOST_MARKS]
    assert images["texture"].min() == 0
    assert images["texture"].max() > 0.99
    assert images["occlusion"].min() == 0
    assert 0.19 < images["occlusion"].mean() < 0.21
    assert MOST_HIDDEN - 0.01 < images["occlusion"].max() < MOST_HIDDEN + 0.03


def test_questions_are_four_an_image_and_balanced(frame: pd.DataFrame) -> None:
    assert (frame.groupby("image_id").size() == 4).all()
    assert frame["sample_id"].is_unique
    assert not frame.duplicated(["image_id", "question"]).any()
    kinds = frame["question_type"].value_counts()
    assert sorted(kinds.index) == sorted(shapes.KINDS)
    assert kinds.min() > 0.9 * len(frame) / len(shapes.KINDS)
    subtypes = {subtype for group in shapes.SUBTYPES.values() for subtype in group}
    assert set(frame["question_subtype"]) == subtypes


def test_no_answer_is_guessed_from_the_kind_of_question(frame: pd.DataFrame) -> None:
    commonest = frame.groupby("question_subtype")["answer"].agg(
        lambda answers: answers.value_counts(normalize=True).iloc[0]
    )
    bound = {"compare": 0.39, "exist": 0.53, "spatial": 0.53, "color": 0.16, "shape": 0.16}
    for subtype, share in commonest.items():
        assert share < bound.get(str(subtype).split("_")[0], 0.24), subtype
    assert commonest["count_all"] < 0.05


def test_the_vocabulary_holds_every_word_once(frame: pd.DataFrame) -> None:
    assert len(set(shapes.WORDS)) == len(shapes.WORDS)
    known = set(shapes.WORDS)
    assert all(re.fullmatch(r"[a-z]+|[0-9]+|\?", word) for word in known)
    lengths = frame["question"].str.split(" ").str.len()
    assert lengths.max() == shapes.LONGEST
    assert set(" ".join(frame["question"]).split(" ")) <= known
    assert set(frame["answer"]) <= known


def test_seeds_never_overlap() -> None:
    ordered = sorted(shapes.SEEDS.values(), key=lambda seeds: seeds.start)
    assert all(first.stop <= second.start for first, second in pairwise(ordered))
    assert shapes.SEEDS["study"].start == shapes.STUDY_FIRST
    for name, first in (("s00012", shapes.STUDY_FIRST), ("l24999", shapes.LARGE_FIRST)):
        made = shapes.scene_of(name)
        assert made.seed == first + int(name[1:])
        assert shapes.image_id(int(name[1:]), first) == name
    assert shapes.TRAIN_FIRST in shapes.SEEDS["train"]
    assert shapes.VALIDATION_FIRST in shapes.SEEDS["validation"]


def colored(made: shapes.Scene) -> int:
    """Count pixels that are not grey: backgrounds, marks and slats are, objects are not."""
    pixels = made.image.astype(int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 20).sum())


def painted(made: shapes.Scene) -> np.ndarray:
    """Paint the objects' numbers, from 1, back to front."""
    owner = np.zeros((shapes.SIDE, shapes.SIDE), int)
    for number, thing in enumerate(made.objects, start=1):
        r = RADIUS[thing.size]
        window = owner[thing.y - r : thing.y + r + 1, thing.x - r : thing.x + r + 1]
        window[_inside(thing.shape, r)] = number
    return owner


def test_occlusion_is_what_a_recount_gives(scenes: list[shapes.Scene]) -> None:
    for made in scenes:
        whole = sum(thing.area for thing in made.objects)
        seen = sum(thing.visible for thing in made.objects)
        assert colored(made) == seen
        assert made.occlusion == pytest.approx(1 - seen / whole)
        counts = np.bincount(painted(made).ravel(), minlength=made.n_objects + 1)[1:]
        for thing, count in zip(made.objects, counts, strict=True):
            assert thing.area == _inside(thing.shape, RADIUS[thing.size]).sum()
            assert thing.visible >= 0.4 * thing.area
            # Slats, over the objects of small scenes, hide some more.
            assert thing.visible <= count if made.n_objects <= FEW else thing.visible == count


def test_colours_are_those_of_the_objects(scenes: list[shapes.Scene]) -> None:
    """The front object's pixels have one colour and a darker outline of it."""
    for made in (made for made in scenes if made.n_objects > FEW):
        top, r = made.objects[-1], RADIUS[made.objects[-1].size]
        window = made.image[top.y - r : top.y + r + 1, top.x - r : top.x + r + 1]
        found = np.unique(window[_inside(top.shape, r)], axis=0)
        assert len(found) == 2
        assert (found.min(axis=0) == found.max(axis=0) // 3).all()


# ---- a second implementation of every answer, from the words of the question alone


ONE = {"circles": "circle", "squares": "square", "triangles": "triangle", "diamonds": "diamond",
       "crosses": "cross", "rings": "ring", "stars": "star", "hearts": "heart"}  # fmt: skip
SIDES = {
    "left of": lambda a, b: b.x - a.x,
    "right of": lambda a, b: a.x - b.x,
    "above": lambda a, b: b.y - a.y,
    "below": lambda a, b: a.y - b.y,
}
SIDE = "|".join(SIDES)


def meant(made: shapes.Scene, words: str) -> list[shapes.Thing]:
    """Find the objects that some words mean: red circles, red, circle, objects."""
    found = list(made.objects)
    for word in words.split():
        word = ONE.get(word, word)
        if word in shapes.COLORS:
            found = [thing for thing in found if thing.color == word]
        elif word in shapes.SHAPES:
            found = [thing for thing in found if thing.shape == word]
        else:
            assert word in ("object", "objects")
    return found


def the(things: list[shapes.Thing]) -> shapes.Thing:
    assert len(things) == 1, "not unique"
    return things[0]


def beside(
    made: shapes.Scene, words: str, side: str, other: str, clear: int
) -> Iterator[shapes.Thing]:
    """Find those of the objects meant that lie on a side; all lie clearly on one or the other."""
    mark = the(meant(made, other))
    for thing in meant(made, words):
        if thing is not mark:
            by = SIDES[side](thing, mark)
            assert abs(by) >= clear, "unclear"
            if by > 0:
                yield thing


def answer(made: shapes.Scene, text: str) -> str:
    def match(pattern: str) -> re.Match[str] | None:
        return re.fullmatch(pattern + r" \?", text)

    if found := match("how many (.*) are there"):
        return str(len(meant(made, found[1])))
    if found := match(f"how many (.*) are ({SIDE}) the (.*)"):
        return str(len(list(beside(made, *found.groups(), clear=2))))
    if found := match("are there more or fewer (.*) than (.*)"):
        first, second = (len(meant(made, words)) for words in found.groups())
        return "more" if first > second else "fewer" if first < second else "equal"
    if found := match(f"is there an? (.*) ({SIDE}) the (.*)"):
        mark = the(meant(made, found[3]))
        by = [SIDES[found[2]](thing, mark) for thing in meant(made, found[1]) if thing != mark]
        assert abs(max(by)) >= 4
        return "yes" if max(by) > 0 else "no"
    if found := match("is there (an?) (.*)"):
        assert found[1] == ("an" if found[2][0] in "aeiou" else "a")
        return "yes" if meant(made, found[2]) else "no"
    if found := match(f"is the (.*) ({SIDE}) the (.*)"):
        by = SIDES[found[2]](the(meant(made, found[1])), the(meant(made, found[3])))
        assert abs(by) >= 4
        return "yes" if by > 0 else "no"
    if found := match(f"what (color|shape) is the (.*) ({SIDE}) the (.*)"):
        asked, *rest = found.groups()
        return str(getattr(the(list(beside(made, *rest, clear=4))), asked))
    if found := match("what (color|shape) is the (largest|smallest) (.*)"):
        some = meant(made, found[3])
        best = (max if found[2] == "largest" else min)(RADIUS[thing.size] for thing in some)
        assert len(some) > 1
        only = the([thing for thing in some if RADIUS[thing.size] == best])
        return str(getattr(only, found[1]))
    found = match("what (color|shape) is the (.*)")
    assert found is not None, text
    return str(getattr(the(meant(made, found[2])), found[1]))


def check(made: shapes.Scene, asked: tuple[shapes.Question, ...]) -> None:
    for question in asked:
        assert answer(made, question.text) == question.answer, question
        assert question.subtype in shapes.SUBTYPES[question.kind]
        assert len(question.text.split(" ")) <= shapes.LONGEST


def test_every_answer_is_true(scenes: list[shapes.Scene]) -> None:
    for made in scenes:
        check(made, shapes.study_questions(made, 6))
        check(made, shapes.training_questions(made, 12))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    n=st.one_of(st.none(), st.integers(1, 48)),
    marks=st.one_of(st.none(), st.integers(0, MOST_MARKS)),
    texture=st.one_of(st.none(), st.floats(0, 1)),
    hidden=st.one_of(st.none(), st.floats(0, MOST_HIDDEN)),
)
def test_any_scene_is_sound(
    seed: int, n: int | None, marks: int | None, texture: float | None, hidden: float | None
) -> None:
    made = shapes.scene(seed, n_objects=n, clutter=marks, texture=texture, occlusion=hidden)
    assert made.image.shape == (shapes.SIDE, shapes.SIDE, 3)
    assert made.image.dtype == np.uint8
    assert 1 <= made.n_objects <= shapes.MOST
    assert n is None or made.n_objects == n
    assert marks is None or made.clutter == marks
    assert texture is None or abs(made.texture - texture) < 0.005
    assert (made.background == "plain") == (made.texture == 0)
    assert all(thing.visible >= 0.4 * thing.area for thing in made.objects)
    assert colored(made) == sum(thing.visible for thing in made.objects)
    for thing in made.objects:
        r = RADIUS[thing.size]
        assert r < thing.x < shapes.SIDE - 1 - r
        assert r < thing.y < shapes.SIDE - 1 - r
    asked = shapes.training_questions(made, 8)
    assert len(asked) == 8
    check(made, asked)
    assert shapes.training_questions(made, 3) == asked[:3]
    asked = shapes.study_questions(made, 4)
    assert len({question.text for question in asked}) == 4
    check(made, asked)


def test_training_favours_neither_few_nor_many() -> None:
    counts = np.array([shapes.scene(shapes.TRAIN_FIRST + i).n_objects for i in range(600)])
    assert 0.18 < (counts <= 4).mean() < 0.28
    assert 0.31 < (counts > 24).mean() < 0.43


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seed": -1}, "the seed is -1"),
        ({"n_objects": 0}, "n_objects is 0; it must be 1 to 48"),
        ({"n_objects": 49}, "n_objects is 49"),
        ({"clutter": 81}, "clutter is 81; it must be 0 to 80"),
        ({"texture": 1.2}, "texture is 1.2; it must be 0 to 1"),
        ({"occlusion": 0.5}, "occlusion is 0.5; it must be 0 to 0.4"),
        ({"background": "tartan"}, "background is tartan; it must be plain, stripes"),
    ],
)
def test_impossible_scenes_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        shapes.scene(**({"seed": 1} | wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "s1", "x00001", "s0001a", "s000001", "s٠٠٠٠١"])
def test_foreign_ids_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no id of an image of shapes"):
        shapes.scene_of(name)


def test_it_imports_little() -> None:
    """It runs where models are trained, without what the analysis needs."""
    code = (
        "import sys; import analysis.datasets.shapes; "
        "print(sorted({'pydantic', 'formulae', 'statsmodels', 'torch', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
