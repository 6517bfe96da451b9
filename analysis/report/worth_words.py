"""What k is worth, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.numerals import k_list, signed, significant
from analysis.report.names import readable

ALL = "all"
#: Models named in a sentence; the tables have them all.
SHOWN = 4


def worth_sentences(
    worths: Sequence[Mapping[str, Any]], choice: tuple[str, str] | None = None
) -> list[str]:
    """Spell the worth of k over models in at most four sentences.

    Parameters
    ----------
    worths : sequence of mapping
        The models of the primary analysis, as ``worth/*.json`` has them.
    choice : tuple of str or None
        Device and phase of the latencies.

    Returns
    -------
    list of str
        Sentences, the smallest k first; empty without anything to say.
    """
    if not worths:
        return []
    shown = list(worths[:SHOWN])
    more = f" (and {len(worths) - SHOWN} in tables/worth_*)" if len(worths) > SHOWN else ""
    metric, share = worths[0]["metric"], 100 * worths[0]["margin"]
    margin = "1 point" if share == 1 else f"{significant(share, 2)} points"
    found = [f"Smallest k within {margin} of the best (95 %): {_listed(shown, _smallest)}{more}."]
    valued = [worth for worth in shown if worth["value"]]
    if valued:
        found.append(
            f"k by {metric} less one k for all, cross-fitted, points of accuracy: "
            f"{_listed(valued, _accuracy)}."
        )
    priced = [worth for worth in shown if worth["utility"]]
    if priced:
        time = "time" if choice is None else f"{readable(choice[1])} time on {choice[0]}"
        found.append(
            f"Best k by the price of {time}, points per ms: {_listed(priced, _prices, '; ')}."
        )
        timed = [worth for worth in priced if _value(worth, "within margin")]
        if timed:
            found.append(
                f"At the accuracy of the fastest k estimated to be within the margin, k by "
                f"{metric} saves: {_listed(timed, _saved, '; ')}."
            )
    return found


def _listed(worths: Sequence[Mapping[str, Any]], spell: Any, between: str = ", ") -> str:
    return between.join(f"{worth['model']} {spell(worth)}" for worth in worths)


def _smallest(worth: Mapping[str, Any]) -> str:
    by_group = {item["group"]: item["k"] for item in worth["non_inferior"]}
    if ALL not in by_group:
        return "not known"
    return "none shown" if by_group[ALL] is None else str(by_group[ALL])


def _accuracy(worth: Mapping[str, Any]) -> str:
    value = worth["value"][0]["accuracy"]
    return (
        f"{signed(100 * value['estimate'], 2)} "
        f"[{signed(100 * value['ci_low'], 2)}, {signed(100 * value['ci_high'], 2)}]"
    )


def _prices(worth: Mapping[str, Any]) -> str:
    (group,) = (item for item in worth["utility"] if item["group"] == ALL)
    steps = [
        f"{item['slower']} to {significant(100 * item['price'], 2)}"
        for item in group["break_evens"]
    ]
    if steps:
        return ", ".join([*steps, f"then {group['break_evens'][-1]['faster']}"])
    on = [k for k, start in zip(group["ks"], group["price_from"], strict=True) if start is not None]
    return f"{k_list(on)} at any price"


def _saved(worth: Mapping[str, Any]) -> str:
    value = _value(worth, "within margin")
    assert value is not None
    if not value["moved"]:
        return f"no time, always k = {value['single']}"
    ms = value["ms"]
    decimals = 3 if abs(ms["ci_high"] - ms["ci_low"]) < 0.1 else 2
    ends = sorted((-ms["ci_low"], -ms["ci_high"]))
    return (
        f"{signed(-ms['estimate'], decimals)} ms "
        f"[{signed(ends[0], decimals)}, {signed(ends[1], decimals)}] against k = "
        f"{value['single']} (accuracy {signed(100 * value['accuracy']['estimate'], 2)} points)"
    )


def _value(worth: Mapping[str, Any], policy: str) -> Mapping[str, Any] | None:
    return next((item for item in worth["value"] if item["policy"] == policy), None)
