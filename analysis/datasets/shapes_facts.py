"""What the makers of questions share: a scene counted, random choices, wording, sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeVar

from analysis.datasets.shapes_scenes import Scene, Thing
from analysis.datasets.shapes_words import PLURALS, RELATIONS

Made = tuple[str, str] | None
"""A question and its answer, or None where the scene does not admit one."""

Option = TypeVar("Option")

CLEAR = 4
"""Pixels by which the centres of two objects differ, at least, for one to be left of another."""

CLEAR_OF_ALL = 2
"""The same where every object of the scene has to lie on one side."""

TRIES = 10

SIDES = tuple(RELATIONS)

YES = ("no", "yes")


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


def several(color: str = "", shape: str = "") -> str:
    """Name objects in the plural: red circles, circles, red objects, objects."""
    noun = PLURALS[shape] if shape else "objects"
    return f"{color} {noun}" if color else noun


def named(thing: Thing) -> str:
    """Name an object: red circle."""
    return f"{thing.color} {thing.shape}"


def article(noun: str) -> str:
    """Put a or an before a noun."""
    return f"an {noun}" if noun[0] == "o" else f"a {noun}"


def apart(thing: Thing, other: Thing, relation: str) -> int:
    """Return the pixels by which a relation holds; negative: by which its opposite does."""
    axis, sign = RELATIONS[relation]
    return sign * (thing.y - other.y if axis else thing.x - other.x)


Maker = Callable[[Facts, Chance], Made]
