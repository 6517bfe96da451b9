"""Questions about one object, told by being alone, by size or by place; and about places.

What two answers are possible for is only asked where both could have been drawn, so that the
wording does not give the answer away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from analysis.datasets.shapes_facts import (
    CLEAR,
    SIDES,
    TRIES,
    YES,
    Chance,
    Facts,
    Made,
    Maker,
    apart,
    article,
    named,
)
from analysis.datasets.shapes_scenes import Thing
from analysis.datasets.shapes_words import SIZES

_ORDER = {size: order for order, size in enumerate(SIZES)}


def _color(thing: Thing) -> str:
    return thing.color


def _shape(thing: Thing) -> str:
    return thing.shape


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
            by = apart(thing, other, relation)
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
        other, relation = chance.one(facts.single), chance.one(SIDES)
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
    return f"what color is the {thing.shape} {relation} the {named(other)} ?", thing.color


def _shape_relation(facts: Facts, chance: Chance) -> Made:
    found = _related(facts, chance, _color)
    if found is None:
        return None
    thing, relation, other = found
    return f"what shape is the {thing.color} object {relation} the {named(other)} ?", thing.shape


def _spatial_pair(facts: Facts, chance: Chance) -> Made:
    if len(facts.single) < 2:
        return None
    holds = chance.coin()
    for _ in range(TRIES):
        thing, other = chance.one(facts.single), chance.one(facts.single)
        relation = chance.one(SIDES)
        by = apart(thing, other, relation)
        if thing is not other and abs(by) >= CLEAR and (by > 0) == holds:
            return f"is the {named(thing)} {relation} the {named(other)} ?", YES[holds]
    return None


def _spatial_exist(facts: Facts, chance: Chance) -> Made:
    if not facts.single or len(facts.things) < 2:
        return None
    holds = chance.coin()
    for _ in range(TRIES):
        other, relation = chance.one(facts.single), chance.one(SIDES)
        options = []
        for name, group in _sides(facts, other, relation, named).items():
            most = max(by for by, _ in group)
            if most >= CLEAR if holds else most <= -CLEAR:
                options.append(name)
        if options:
            text = f"is there {article(chance.one(options))} {relation} the {named(other)} ?"
            return text, YES[holds]
    return None


#: By subtype.
PLACES: dict[str, Maker] = {
    "color_unique": _color_unique,
    "color_size": _color_size,
    "color_relation": _color_relation,
    "shape_unique": _shape_unique,
    "shape_size": _shape_size,
    "shape_relation": _shape_relation,
    "spatial_pair": _spatial_pair,
    "spatial_exist": _spatial_exist,
}
