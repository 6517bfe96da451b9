"""Questions about how many: counting, comparing, existing.

What two answers are possible for is only asked where both could have been drawn, so that the
wording does not give the answer away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from analysis.datasets.shapes_facts import (
    CLEAR_OF_ALL,
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
    several,
)
from analysis.datasets.shapes_words import COLORS, PLURALS, SHAPES

_VERDICTS = ("more", "fewer", "equal")


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
    return _count([(facts.colors[color], several(color)) for color in COLORS], chance)


def _count_shape(facts: Facts, chance: Chance) -> Made:
    return _count([(facts.shapes[shape], several(shape=shape)) for shape in SHAPES], chance)


def _count_both(facts: Facts, chance: Chance) -> Made:
    groups = [(count, several(*pair)) for pair, count in facts.both.items()]
    absent = chance.one(COLORS), chance.one(SHAPES)
    if absent not in facts.both:
        groups.append((0, several(*absent)))
    return _count(groups, chance)


def _count_relation(facts: Facts, chance: Chance) -> Made:
    if not facts.single or len(facts.things) < 2:
        return None
    for _ in range(TRIES):
        other, relation = chance.one(facts.single), chance.one(SIDES)
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
        by = [apart(thing, other, relation) for thing in which]
        if which and all(abs(pixels) >= CLEAR_OF_ALL for pixels in by):
            text = f"how many {several(color, shape)} are {relation} the {named(other)} ?"
            return text, str(sum(pixels > 0 for pixels in by))
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
            what = f"{several(*first)} than {several(*second)}"
            return f"are there more or fewer {what} ?", verdict
    return None


def _exist(counts: Counter[str], names: tuple[str, ...], noun: str, chance: Chance) -> Made:
    there = chance.coin()
    options = [[name for name in names if (counts[name] > 0) == want] for want in (False, True)]
    if not all(options):
        return None
    return f"is there {article(chance.one(options[there]) + noun)} ?", YES[there]


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
    return f"is there {article(' '.join(pair))} ?", YES[there]


#: By subtype.
QUANTITIES: dict[str, Maker] = {
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
}
