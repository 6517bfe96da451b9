"""What each method says of one answer: its rows of the table `side_by_side`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.numerals import k_list, number, percent, signed
from analysis.optimum.quadratic import NO_SIZE

ALPHA = 0.05
Answer = Mapping[str, Any]
Row = dict[str, Any]
PER_SD = "doublings of k per SD"


def row(
    method: str,
    question: str,
    *,
    how: str,
    verdict: str,
    headline: str,
    test: Mapping[str, Any] | None = None,
    p: float | None = None,
    p_adjusted: float | None = None,
    value: float | None = None,
    ends: tuple[float | None, float | None] = (None, None),
    unit: str | None = None,
    estimate: str | None = None,
    interval: str | None = None,
) -> Row:
    """Make one row of the table, for a method of any kind.

    Parameters
    ----------
    method, question, how, verdict, headline : str
        As in `analysis.report.side_by_side.MEANINGS`.
    test : mapping, optional
        A reported test (`statistic`, `df`, `df_denom`, `p`), the statistic on the chi-square
        scale: it is shown as F where there are denominator degrees of freedom.
    p, p_adjusted : float, optional
        Instead of the test's, which they override.
    value, ends, unit : optional
        The estimate and its interval as numbers.
    estimate, interval : str, optional
        The same in words; made from the numbers where not given.
    """
    test = test or {}
    statistic, df, df2 = (test.get(key) for key in ("statistic", "df", "df_denom"))
    if statistic is not None and df and df2:
        statistic = statistic / df
    if estimate is None and not pd.isna(_float(value)):
        estimate = signed(_float(value))
    low, high = ends
    if interval is None and not (pd.isna(_float(low)) or pd.isna(_float(high))):
        interval = f"[{signed(_float(low))}, {signed(_float(high))}]"
    return {
        "method": method,
        "question": question,
        "statistic": _float(statistic),
        "df": _float(df),
        "df2": _float(df2),
        "p": _float(test.get("p") if p is None else p),
        "p_adjusted": _float(test.get("p_adjusted") if p_adjusted is None else p_adjusted),
        "value": _float(value),
        "ci_low": _float(low),
        "ci_high": _float(high),
        "unit": unit,
        "estimate": estimate,
        "interval": interval,
        "how": how,
        "verdict": verdict,
        "headline": headline,
    }


def _common(answer: Answer) -> Iterator[Row]:
    shift, curve = answer["shift"], answer["shift_curve"]
    question = "null: some k is best at both ends of complexity"
    adjusted = shift.get("p_adjusted", shift["p"])
    yield row(
        "common k at both ends",
        question,
        p=shift["p"],
        p_adjusted=shift.get("p_adjusted"),
        estimate=_k(shift["common_k"], answer),
        interval="95 % set",
        how=shift["method"],
        verdict="shift" if adjusted <= ALPHA else "no shift shown",
        headline="yes",
    )
    yield row(
        "common k at ±1 SD",
        f"{question}, on the saturated regression's curves",
        p=None if curve is None else curve["p"],
        estimate=None if curve is None else _k(curve["common_k"], answer),
        interval=None if curve is None else "95 % set",
        how="the regression could not be fitted" if curve is None else curve["method"],
        verdict="not made" if curve is None else _shift(curve["p"]),
        headline="no",
    )


def _cost(answer: Answer) -> Iterator[Row]:
    single, equivalence = answer["single_k"], answer["equivalence"]
    yield row(
        "cost of one k",
        "the most that the k of least cost loses to the best k at either end, in points",
        value=100 * single["cost"],
        ends=(None, 100 * single["limit"]),
        unit="points",
        estimate=f"{number(100 * single['cost'], 1)} (k = {single['k']})",
        interval=f"≤ {number(100 * single['limit'], 1)}",
        how="upper 95 % limit, simultaneous over all pairs of k and both ends (max-t)",
        verdict=f"≤ {number(100 * single['limit'], 1)} points",
        headline="beside it",
    )
    margin = number(100 * equivalence["margin"], 1)
    shown = equivalence["p"] <= ALPHA
    yield row(
        "equivalence",
        f"null: every k costs {margin} points or more at some end",
        p=equivalence["p"],
        estimate=_k(equivalence["within"], answer) if equivalence["within"] else None,
        interval="shown within" if equivalence["within"] else None,
        how=equivalence["method"],
        verdict=f"within {margin} points" if shown else "not shown",
        headline="beside it",
    )


def _arg_max(answer: Answer) -> Iterator[Row]:
    named = {item["bucket"]: item for item in answer["optimum"]}
    low, high = (named[answer["shift"]["ends"][i]] for i in (0, -1))
    shares = f"{percent(low['share'], 0)}, {percent(high['share'], 0)} of resamples"
    apart = not set(low["tied"]) & set(high["tied"])
    yield row(
        "best k, low → high",
        "estimates the best k of the grid in the lowest and the highest bucket",
        estimate=f"{_tied(low)} → {_tied(high)}",
        interval=_k([k for k in low["set"] if k in high["set"]], answer),
        how=f"k not distinguishable from the best in both buckets; bootstrap: {shares}",
        verdict="tops differ" if apart else "tops agree",
        headline="no",
    )


def _interaction(answer: Answer) -> Iterator[Row]:
    logit, probability = answer["interaction"], answer["interaction_probability"]
    null = "null: the curve in k does not change with complexity"
    for name, test in (("logit", logit), ("probability", probability)):
        yield row(
            f"interaction, {name}",
            f"{null}, {name} scale",
            test=test,
            how=test["method"],
            verdict=_changes(_adjusted(test)),
            headline="no",
        )
    both = [_adjusted(test) for test in (logit, probability)]
    known = [p for p in both if p is not None]
    whole = len(known) == len(both)
    yield row(
        "interaction, both scales",
        f"{null}: shown when both scales reject",
        p_adjusted=max(known) if whole else None,
        how="the larger p of the two scales" if whole else "one of the two could not be made",
        verdict=_changes(max(known) if whole else None),
        headline="beside it",
    )
    shuffled = answer["interaction_permutation"]
    yield row(
        "interaction, shuffled",
        "null: complexity has nothing to do with the curve in k",
        test={"p": shuffled["p"]},
        how=shuffled["method"],
        verdict=_changes(shuffled["p"]),
        headline="no",
    )


def _quadratic(answer: Answer) -> Iterator[Row]:
    quadratic, shift = answer["quadratic"], answer["shift"]
    if quadratic is None:
        yield row(
            "quadratic",
            "null: its top does not move",
            how=_reason(answer),
            verdict="not made",
            headline="no",
        )
        return
    shown = quadratic["shown"]
    reason = "" if shown else f"; {_reason(answer)}"
    yield row(
        "quadratic, Wald",
        "null: the quadratic's top does not move (b1·b5 = b2·b4)",
        test=quadratic,
        how=quadratic["method"] + reason,
        verdict=_shift(quadratic["p"]) if shown else "not to be read",
        headline="no",
    )
    question = f"{PER_SD}, at mean complexity"
    pairs = (
        ("delta", shift["ci_low"], shift["ci_high"], shift["ci_method"]),
        (
            "bootstrap",
            shift["bootstrap_ci_low"],
            shift["bootstrap_ci_high"],
            shift["bootstrap_method"],
        ),
    )
    for name, low, high, method in pairs:
        yield row(
            f"quadratic size, {name}",
            question,
            value=shift["estimate"],
            ends=(low, high),
            unit=PER_SD,
            how=method if shown else _reason(answer),
            verdict=_moves(low, high) if shown else "not given",
            headline="no",
        )
    yield from _tops("quadratic", quadratic["optima"], None if shown else _reason(answer))


def _spline(answer: Answer) -> Iterator[Row]:
    spline = answer["spline"]
    reason, lack = spline["reason"], spline["lack_of_fit"]
    yield row(
        "spline, lack of fit",
        "null: the saturated curve and its change with complexity lie on the spline",
        test=lack,
        how=lack["method"],
        verdict="not made"
        if lack["p"] is None
        else "does not fit"
        if lack["p"] <= ALPHA
        else "fits",
        headline="no",
    )
    low, high = spline["change_low"], spline["change_high"]
    yield row(
        "spline size",
        f"{PER_SD}: half the way of the spline's top from −1 to +1 SD",
        value=spline["change"],
        ends=(low, high),
        unit=PER_SD,
        how=reason or spline["bootstrap_method"],
        verdict="not given" if reason else _moves(low, high),
        headline="no",
    )
    yield from _tops("spline", spline["optima"], reason)


def _mixed(answer: Answer) -> Iterator[Row]:
    mixed = answer.get("mixed_model")
    if mixed is None:
        return
    rung = "" if mixed["rung"] is None else f"; random effects {mixed['rung']}"
    for name, key, null, verdict in (
        ("interaction", "interaction", "no k × c in the quadratic", _changes),
        ("no shift", "no_shift", "the quadratic's top does not move (b1·b5 = b2·b4)", _shift),
    ):
        test = mixed[key]
        yield row(
            f"mixed model, {name}",
            f"null: {null}, with random effects of images and questions",
            test=test,
            how=test["method"] + rung,
            verdict="not made" if test["p"] is None else verdict(test["p"]),
            headline="no",
        )
    for name, key in (("averaged", "marginal_k"), ("conditional", "conditional_k")):
        ks = [str(item[key]) for item in mixed["optima"]]
        over = "averaged over images and questions"
        yield row(
            f"mixed model, best k {name}",
            "the best k of the grid at −1, 0 and +1 SD, "
            + (over if name == "averaged" else "of the average image and question"),
            estimate=", ".join(ks) if ks else None,
            how=str(mixed["reason"]) if not ks else mixed["method"] + rung,
            verdict="descriptive" if ks else "not given",
            headline="no",
        )


def _tops(curve: str, optima: Sequence[Mapping[str, Any]], reason: str | None) -> Iterator[Row]:
    """Spell the top of a continuous curve at -1, 0 and +1 SD of complexity."""
    given = reason is None and bool(optima)
    intervals = ", ".join(
        "–"
        if item["bootstrap_low"] is None
        else f"{number(item['bootstrap_low'], 1)} to {number(item['bootstrap_high'], 1)}"
        for item in optima
    )
    yield row(
        f"{curve} top",
        f"the k at which the {curve} is highest, at −1, 0 and +1 SD",
        estimate=", ".join(number(item["k"], 1) for item in optima) if given else None,
        interval=intervals if given else None,
        how="one-step image-cluster bootstrap, percentile, 95 %" if given else str(reason),
        verdict="descriptive" if given else "not given",
        headline="no",
    )


#: Each gives the rows of one kind of method; another kind is one more function.
METHODS: list[Callable[[Answer], Iterator[Row]]] = [
    _common,
    _cost,
    _arg_max,
    _interaction,
    _quadratic,
    _spline,
    _mixed,
]


def _reason(answer: Answer) -> str:
    """Say why the quadratic has no size, as the answer's note does."""
    found = [w.removeprefix(NO_SIZE) for w in answer["warnings"] if w.startswith(NO_SIZE)]
    return found[0].rstrip(".") if found else "not given"


def _adjusted(test: Mapping[str, Any]) -> float | None:
    p: float | None = test.get("p_adjusted", test["p"])
    return p


def _changes(p: float | None) -> str:
    return "not made" if p is None else "curve changes" if p <= ALPHA else "no change shown"


def _shift(p: float | None) -> str:
    return "not made" if p is None else "shift" if p <= ALPHA else "no shift shown"


def _moves(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no interval"
    return "moves" if low > 0 or high < 0 else "no move shown"


def _k(ks: Sequence[int], answer: Answer) -> str:
    return f"all {len(ks)} k" if len(ks) == len(answer["ks"]) else k_list(ks, "or")


def _tied(item: Mapping[str, Any]) -> str:
    return k_list(item["tied"], "and")


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
