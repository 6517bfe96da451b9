"""Questions about a scene of the `shapes` study, with computed answers of one word."""

from __future__ import annotations

from typing import NamedTuple

from analysis.datasets.shapes_facts import Chance, Facts
from analysis.datasets.shapes_places import PLACES
from analysis.datasets.shapes_quantities import QUANTITIES
from analysis.datasets.shapes_scenes import Scene
from analysis.datasets.shapes_words import KINDS, SUBTYPES

_MAKERS = QUANTITIES | PLACES

#: Kinds as often as training asks them: counting is the hardest.
_TRAINED = tuple(
    kind for kind, weight in zip(KINDS, (6, 4, 2, 3, 3, 3), strict=True) for _ in range(weight)
)


class Question(NamedTuple):
    """A question about a scene.

    Attributes
    ----------
    text : str
        Lower-case words of `WORDS` parted by blanks, the question mark last.
    kind, subtype : str
        Of `KINDS` and `SUBTYPES`.
    answer : str
        One word of `WORDS`.
    """

    text: str
    kind: str
    subtype: str
    answer: str


def training_questions(scene: Scene, count: int = 8) -> tuple[Question, ...]:
    """Ask a scene some questions, counts more often than other kinds.

    Parameters
    ----------
    scene : Scene
        What is asked about.
    count : int
        Questions. The first of a longer list are those of a shorter one.

    Returns
    -------
    tuple of Question
        `count` of them, different as far as the scene admits.
    """
    chance, facts = Chance(2 * scene.seed + 1), Facts(scene)
    asked: dict[str, Question] = {}
    for _ in range(12 * count):
        if len(asked) == count:
            break
        kind = chance.one(_TRAINED)
        question = _ask(kind, chance.one(SUBTYPES[kind]), facts, chance)
        if question is not None:
            asked.setdefault(question.text, question)
    repeats = list(asked.values())
    return tuple(repeats[i % len(repeats)] for i in range(count))


def study_questions(scene: Scene, count: int = 4) -> tuple[Question, ...]:
    """Ask a scene some questions of different kinds, all kinds equally often over scenes.

    Parameters
    ----------
    scene : Scene
        What is asked about.
    count : int
        Questions, at most 8.

    Returns
    -------
    tuple of Question
        `count` different ones; of different kinds, as far as there are as many and the scene
        admits them.
    """
    chance, facts = Chance(2 * scene.seed), Facts(scene)
    asked: dict[str, Question] = {}
    while len(asked) < count:
        for kind in chance.shuffled(KINDS):
            for subtype in chance.shuffled(SUBTYPES[kind]):
                question = _ask(kind, subtype, facts, chance)
                if question is not None and question.text not in asked:
                    asked[question.text] = question
                    break
            if len(asked) == count:
                break
    return tuple(asked.values())


def _ask(kind: str, subtype: str, facts: Facts, chance: Chance) -> Question | None:
    made = _MAKERS[subtype](facts, chance)
    return None if made is None else Question(made[0], kind, subtype, made[1])
