"""Questions about a scene of the `shapes` study, with computed answers of one word.

Each maker returns a question and its answer, or None where the scene does not admit one.
Questions that two answers are possible for are only asked where both could have been drawn,
so that the wording does not give the answer away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple, TypeVar

from analysis.datasets.shapes_scenes import Scene, Thing
from analysis.datasets.shapes_words import (
    COLORS,
    KINDS,
    PLURALS,
    RELATIONS,
    SHAPES,
    SIZES,
    SUBTYPES,
)

Made = tuple[str, str] | None
Option = TypeVar("Option")

CLEAR = 4
"""Pixels by which the centres of two objects differ, at least, for one to be left of another."""

CLEAR_OF_ALL = 2
"""The same where every object of the scene has to lie on one side."""

TRIES = 10


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


class Facts:
    """What the makers ask of a scene, counted once.

    Attributes
    ----------
    things : tuple of Thing
        All objects.
    colors, shapes : Counter
        Objects of each colour and of each shape.
    both : Counter
        Objects of each colour and shape that occur together.
    single : list of Thing
        Objects that alone have their colour and shape.
    """

    def __init__(self, scene: Scene) -> None:
        self.things = scene.objects
        self.colors = Counter(thing.color for thing in self.things)
        self.shapes = Counter(thing.shape for thing in self.things)
        self.both = Counter((thing.color, thing.shape) for thing in self.things)
        self.single = [thing for thing in self.things if self.both[thing.color, thing.shape] == 1]


class Chance:
    """Random choices by `random.Random.random` alone, whose stream Python guarantees."""

    def __init__(self, seed: int) -> None:
        self.number = Random(seed).random

    def below(self, count: int) -> int:
        """Draw a whole number from 0 to `count` − 1."""
        return int(self.number() * count)

    def coin(self) -> bool:
        """Draw true or false."""
        return self.number() < 0.5

    def one(self, options: list[Option] | tuple[Option, ...]) -> Option:
        """Draw one of some options."""
        return options[int(self.number() * len(options))]

    def shuffled(self, options: tuple[Option, ...]) -> list[Option]:
        """Return the options in a random order."""
        order = list(options)
        for i in range(len(order) - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def _several(color: str = "", shape: str = "") -> str:
    """Name objects in the plural: red circles, circles, red objects, objects."""
    noun = PLURALS[shape] if shape else "objects"
    return f"{color} {noun}" if color else noun


def _named(thing: Thing) -> str:
    return f"{thing.color} {thing.shape}"


def _color(thing: Thing) -> str:
    return thing.color


def _shape(thing: Thing) -> str:
    return thing.shape


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] == "o" else f"a {noun}"


def _count_all(facts: Facts, chance: Chance) -> Made:
    return "how many objects are there ?", str(len(facts.things))


def _count(groups: list[tuple[int, str]], chance: Chance) -> Made:
    """Ask for one of some counts: each number as often, but 0 and 1 less often."""
    numbers = sorted({count for count, _ in groups})
    for rare in (0, 1):
        if numbers[0] == rare and len(numbers) > 1 and chance.coin():
            numbers = numbers[1:]
    number = chance.one(numbers)
    what = chance.one([name for count, name in groups if count == number])
    return f"how many {what} are there ?", str(number)


def _count_color(facts: Facts, chance: Chance) -> Made:
    return _count([(facts.colors[color], _several(color)) for color in COLORS], chance)


def _count_shape(facts: Facts, chance: Chance) -> Made:
    return _count([(facts.shapes[shape], _several(shape=shape)) for shape in SHAPES], chance)


def _count_both(facts: Facts, chance: Chance) -> Made:
    groups = [(count, _several(*pair)) for pair, count in facts.both.items()]
    absent = chance.one(COLORS), chance.one(SHAPES)
    if absent not in facts.both:
        groups.append((0, _several(*absent)))
    return _count(groups, chance)


def _count_relation(facts: Facts, chance: Chance) -> Made:
    if not facts.single or len(facts.things) < 2:
        return None
    for _ in range(TRIES):
        other, relation = chance.one(facts.single), chance.one(_RELATIONS)
        color, shape = ("", "")
        coin = chance.number()
        if coin < 0.3:
            color = chance.one(COLORS)
        elif coin < 0.6:
            shape = chance.one(SHAPES)
        which = [
            thing
            for thing in facts.things
            if thing is not other
            and (not color or thing.color == color)
            and (not shape or thing.shape == shape)
        ]
        apart = [_apart(thing, other, relation) for thing in which]
        if which and all(abs(by) >= CLEAR_OF_ALL for by in apart):
            text = f"how many {_several(color, shape)} are {relation} the {_named(other)} ?"
            return text, str(sum(by > 0 for by in apart))
    return None


def _compare(
    counts: Counter[str], names: tuple[str, ...], ask: Callable[[str, str], str], chance: Chance
) -> Made:
    verdict = chance.one(_VERDICTS)
    found = [
        (first, second)
        for first in names
        for second in names
        if first != second
        and (counts[first] or counts[second])
        and _verdict(counts[first], counts[second]) == verdict
    ]
    if not found and verdict == "equal":
        # Where no two that occur are: two that are both absent are equal.
        found = [(a, b) for a in names for b in names if a != b and not counts[a] + counts[b]]
    if not found:
        return None
    return ask(*min(chance.one(found), chance.one(found), key=_closeness(counts))), verdict


def _closeness(counts: Counter[str]) -> Callable[[tuple[str, str]], int]:
    return lambda pair: abs(counts[pair[0]] - counts[pair[1]])


def _verdict(first: int, second: int) -> str:
    return "more" if first > second else "fewer" if first < second else "equal"


def _compare_color(facts: Facts, chance: Chance) -> Made:
    def ask(first: str, second: str) -> str:
        return f"are there more or fewer {first} than {second} objects ?"

    return _compare(facts.colors, COLORS, ask, chance)


def _compare_shape(facts: Facts, chance: Chance) -> Made:
    def ask(first: str, second: str) -> str:
        return f"are there more or fewer {PLURALS[first]} than {PLURALS[second]} ?"

    return _compare(facts.shapes, SHAPES, ask, chance)


def _compare_both(facts: Facts, chance: Chance) -> Made:
    verdict = chance.one(_VERDICTS)
    pairs = list(facts.both)
    for _ in range(2 * TRIES):
        first = chance.one(pairs)
        # Half of the time one that need not occur: of a colour and a shape that do.
        second = chance.one(pairs)
        if chance.coin():
            second = second[0], chance.one(pairs)[1]
        if first == second:
            continue
        if chance.coin():
            first, second = second, first
        if _verdict(facts.both[first], facts.both[second]) == verdict:
            what = f"{_several(*first)} than {_several(*second)}"
            return f"are there more or fewer {what} ?", verdict
    return None


def _exist(counts: Counter[str], names: tuple[str, ...], noun: str, chance: Chance) -> Made:
    there = chance.coin()
    options = [[name for name in names if (counts[name] > 0) == want] for want in (False, True)]
    if not all(options):
        return None
    return f"is there {_article(chance.one(options[there]) + noun)} ?", _YES[there]


def _exist_color(facts: Facts, chance: Chance) -> Made:
    return _exist(facts.colors, COLORS, " object", chance)


def _exist_shape(facts: Facts, chance: Chance) -> Made:
    return _exist(facts.shapes, SHAPES, "", chance)


def _exist_both(facts: Facts, chance: Chance) -> Made:
    there, pairs = chance.coin(), list(facts.both)
    pair = chance.one(pairs)
    if not there:
        # One that has the colour of one object and the shape of another, where there is such.
        for _ in range(TRIES):
            pair = chance.one(pairs)[0], chance.one(pairs)[1]
            if pair not in facts.both:
                break
        else:
            pair = chance.one(COLORS), chance.one(SHAPES)
        if pair in facts.both:
            return None
    return f"is there {_article(' '.join(pair))} ?", _YES[there]


def _color_unique(facts: Facts, chance: Chance) -> Made:
    options = [thing for thing in facts.things if facts.shapes[thing.shape] == 1]
    if not options:
        return None
    thing = chance.one(options)
    return f"what color is the {thing.shape} ?", thing.color


def _shape_unique(facts: Facts, chance: Chance) -> Made:
    options = [thing for thing in facts.things if facts.colors[thing.color] == 1]
    if not options:
        return None
    thing = chance.one(options)
    return f"what shape is the {thing.color} object ?", thing.shape


def _extremes(things: list[Thing]) -> Iterator[tuple[str, Thing]]:
    """Yield the one that is larger, and the one that is smaller, than all the rest."""
    if len(things) > 1:
        for word, sign in (("largest", 1), ("smallest", -1)):
            top = max(sign * _ORDER[thing.size] for thing in things)
            first = [thing for thing in things if sign * _ORDER[thing.size] == top]
            if len(first) == 1:
                yield word, first[0]


def _sized(groups: dict[str, list[Thing]], chance: Chance) -> tuple[str, str, Thing] | None:
    """Draw a group, all objects among them, with one that is largest or smallest in it."""
    options = [
        (name, word, thing) for name, group in groups.items() for word, thing in _extremes(group)
    ]
    return chance.one(options) if options else None


def _color_size(facts: Facts, chance: Chance) -> Made:
    groups = {"object": list(facts.things)}
    for thing in facts.things:
        groups.setdefault(thing.shape, []).append(thing)
    found = _sized(groups, chance)
    return found and (f"what color is the {found[1]} {found[0]} ?", found[2].color)


def _shape_size(facts: Facts, chance: Chance) -> Made:
    groups = {"object": list(facts.things)}
    for thing in facts.things:
        groups.setdefault(f"{thing.color} object", []).append(thing)
    found = _sized(groups, chance)
    return found and (f"what shape is the {found[1]} {found[0]} ?", found[2].shape)


def _sides(
    facts: Facts, other: Thing, relation: str, key: Callable[[Thing], str]
) -> dict[str, list[tuple[int, Thing]]]:
    """Group all objects but one, each with the pixels by which it has a relation to that one."""
    groups: dict[str, list[tuple[int, Thing]]] = {}
    for thing in facts.things:
        if thing is not other:
            by = _apart(thing, other, relation)
            groups.setdefault(key(thing), []).append((by, thing))
    return groups


def _related(
    facts: Facts, chance: Chance, key: Callable[[Thing], str]
) -> tuple[Thing, str, Thing] | None:
    """Draw an object that alone of those with its key has a relation to a single one.

    In scenes of six or more there is one with its key on the other side, so that the relation
    is needed.
    """
    if not facts.single or len(facts.things) < 2:
        return None
    most = 1 if len(facts.things) >= 6 else 0
    for _ in range(TRIES):
        other, relation = chance.one(facts.single), chance.one(_RELATIONS)
        options = []
        for group in _sides(facts, other, relation, key).values():
            having = [thing for by, thing in group if by >= CLEAR]
            lacking = sum(by <= -CLEAR for by, _ in group)
            if len(having) == 1 and lacking == len(group) - 1 >= most:
                options.append(having[0])
        if options:
            return chance.one(options), relation, other
    return None


def _color_relation(facts: Facts, chance: Chance) -> Made:
    found = _related(facts, chance, _shape)
    if found is None:
        return None
    thing, relation, other = found
    return f"what color is the {thing.shape} {relation} the {_named(other)} ?", thing.color


def _shape_relation(facts: Facts, chance: Chance) -> Made:
    found = _related(facts, chance, _color)
    if found is None:
        return None
    thing, relation, other = found
    return f"what shape is the {thing.color} object {relation} the {_named(other)} ?", thing.shape


def _spatial_pair(facts: Facts, chance: Chance) -> Made:
    if len(facts.single) < 2:
        return None
    holds = chance.coin()
    for _ in range(TRIES):
        thing, other = chance.one(facts.single), chance.one(facts.single)
        relation = chance.one(_RELATIONS)
        by = _apart(thing, other, relation)
        if thing is not other and abs(by) >= CLEAR and (by > 0) == holds:
            return f"is the {_named(thing)} {relation} the {_named(other)} ?", _YES[holds]
    return None


def _spatial_exist(facts: Facts, chance: Chance) -> Made:
    if not facts.single or len(facts.things) < 2:
        return None
    holds = chance.coin()
    for _ in range(TRIES):
        other, relation = chance.one(facts.single), chance.one(_RELATIONS)
        options = []
        for name, group in _sides(facts, other, relation, _named).items():
            most = max(by for by, _ in group)
            if most >= CLEAR if holds else most <= -CLEAR:
                options.append(name)
        if options:
            text = f"is there {_article(chance.one(options))} {relation} the {_named(other)} ?"
            return text, _YES[holds]
    return None


def _apart(thing: Thing, other: Thing, relation: str) -> int:
    """Return the pixels by which a relation holds; negative: by which its opposite does."""
    axis, sign = RELATIONS[relation]
    return sign * (thing.y - other.y if axis else thing.x - other.x)


_RELATIONS = tuple(RELATIONS)
_VERDICTS = ("more", "fewer", "equal")
_YES = ("no", "yes")
_ORDER = {size: order for order, size in enumerate(SIZES)}
_MAKERS: dict[str, Callable[[Facts, Chance], Made]] = {
    "count_all": _count_all,
    "count_color": _count_color,
    "count_shape": _count_shape,
    "count_both": _count_both,
    "count_relation": _count_relation,
    "compare_color": _compare_color,
    "compare_shape": _compare_shape,
    "compare_both": _compare_both,
    "exist_color": _exist_color,
    "exist_shape": _exist_shape,
    "exist_both": _exist_both,
    "color_unique": _color_unique,
    "color_size": _color_size,
    "color_relation": _color_relation,
    "shape_unique": _shape_unique,
    "shape_size": _shape_size,
    "shape_relation": _shape_relation,
    "spatial_pair": _spatial_pair,
    "spatial_exist": _spatial_exist,
}

#: Kinds as often as training asks them: counting is the hardest.
_TRAINED = tuple(
    kind for kind, weight in zip(KINDS, (6, 4, 2, 3, 3, 3), strict=True) for _ in range(weight)
)


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
