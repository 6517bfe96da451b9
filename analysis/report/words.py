"""The answer in plain words, with its numbers, and what it cannot tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.join_report import counted
from analysis.manifest import Study
from analysis.numerals import k_list, number, p_value, percent, points, signed
from analysis.optimum.cautions import SHORT
from analysis.report.measured import ALL
from analysis.report.robustness_tables import robustness_sentences
from analysis.report.wording import bullet, indented, opening, paragraph, section
from analysis.report.worth_words import worth_sentences
from complexity.errors import listing

CEILING = 0.95
ALPHA = 0.05
#: A bound on the cost of one k (share of accuracy) above this bounds nothing of interest.
TELLING = 0.05


def answer_text(study: Study, folder: Path) -> str:
    """Spell out what a finished run found.

    Parameters
    ----------
    study : Study
        The study.
    folder : Path
        The run's folder.

    Returns
    -------
    str
        Lines for a terminal; the numbers are those of the run's tables.
    """
    primary = study.manifest.analysis.primary
    answers = {p.stem: _read(p) for p in sorted((folder / "optimum").glob("*.json"))}
    headline = answers[primary.metric]
    chosen = [a for a in headline if primary.model in ("all", a["model"])]
    accuracy = pd.read_csv(folder / "tables" / "accuracy_by_k.csv")
    ranges = _ranges(folder, primary.metric)
    join = _read(folder / "join.json")
    question = f"Does the best number of active experts k shift with {primary.metric}?"
    lines = opening(study.manifest.title, question) + paragraph(_verdict(chosen, primary.metric))
    for answer in chosen:
        lines += ["", *_model(answer, ranges)]
    latency = _latency(study, folder, [a["model"] for a in chosen])
    lines += section("Latency (± half-width of the 95 % interval)", latency)
    path = folder / "worth" / f"{primary.metric}.json"
    worths = [w for w in _read(path) if primary.model in ("all", w["model"])]
    timed = study.manifest.analysis.latency
    choice = None if timed is None else (timed.device, timed.phase)
    lines += section("Worth", worth_sentences(worths, choice))
    robust = robustness_sentences(
        [r for r in _read(folder / "robustness.json") if primary.model in ("all", r["model"])]
    )
    lines += section("Other choices, other data", robust)
    others = [a for found in answers.values() for a in found if a["role"] == "secondary"]
    lines += section("Other metrics and models", [_secondary(others)] if others else [])
    lines += section("Set aside", _set_aside(folder), bullet)
    limits = _limits(chosen, accuracy, join, folder, study)
    lines += section("What this cannot tell", limits, bullet)
    return "\n".join(lines) + "\n"


def no_results_text(study: Study, folder: Path) -> str:
    """Say how far a study without per-k results got, and what it takes to go on."""
    primary = study.manifest.analysis.primary.metric
    table = pd.read_csv(folder / "tables" / "descriptives.csv")
    of_metric = table[table["metric"] == primary]
    total = of_metric[of_metric["bucket"] == ALL].iloc[0]
    ranges = _ranges(folder, primary)
    buckets = "; ".join(
        f"{row.bucket} ({ranges[str(row.bucket)]}): {row.n_images:,} images, "
        f"{row.n_samples:,} samples"
        for row in of_metric.itertuples()
        if row.bucket != ALL
    )
    lines = [f"{study.manifest.title}: measured and bucketed; there are no per-k results yet.", ""]
    lines += paragraph(
        f"{total['n_images']:,} images and {total['n_samples']:,} samples by {primary}: {buckets}."
    )
    lines += [
        "",
        *paragraph(
            "To learn whether the optimal k shifts, Optik needs the score of every sample at two "
            "or more values of k. Run your model's evaluation once per k (k is set in the model's "
            "configuration, for instance num_experts_per_tok), collect the scores in one table "
            "with a row per model, sample and k, and name it in the manifest:"
        ),
        "",
        "  results:",
        "    - {path: results.parquet, format: table, k: {column: k}, model: {column: model},",
        "       columns: {score: score}}",
        "",
        *paragraph("Then run the same command again: what was measured is kept."),
    ]
    return "\n".join(lines) + "\n"


def _verdict(answers: Sequence[Mapping[str, Any]], metric: str) -> str:
    shifted = [a["model"] for a in answers if a["shift"]["p_adjusted"] <= ALPHA]
    rest = [a for a in answers if a["shift"]["p_adjusted"] > ALPHA]
    bounded = [a["model"] for a in rest if a["single_k"]["limit"] <= TELLING]
    open_ = [a["model"] for a in rest if a["single_k"]["limit"] > TELLING]
    parts = []
    if shifted:
        parts.append(f"Yes for {_and(shifted)}: no single k is best at both ends of {metric}.")
    if bounded:
        parts.append(
            f"No shift is shown for {_and(bounded)}: one k may be best at both ends of {metric}, "
            "and what one k for all could cost at most is given for each."
        )
    if open_:
        parts.append(
            f"Too few data to tell for {_and(open_)}: no shift is shown, but one k for all "
            f"could cost more than {_points(TELLING)} points of accuracy."
        )
    changed = [a["model"] for a in rest if _both_scales(a)]
    if changed:
        parts.append(
            f"The curve of accuracy in k does change with {metric} for {_and(changed)}; that "
            "alone does not move its top."
        )
    return " ".join(parts)


def _model(answer: Mapping[str, Any], ranges: Mapping[str, str]) -> list[str]:
    shift, single = answer["shift"], answer["single_k"]
    low, high = shift["ends"][0], shift["ends"][-1]
    ends = f"both ends ({low} {ranges[low]}, {high} {ranges[high]})"
    p = p_value(shift["p"])
    if shift["p_adjusted"] != shift["p"]:
        p += f"; {p_value(shift['p_adjusted'])} after {shift['adjusted_by']}"
    if shift["common_k"]:
        lines = indented(
            f"One k may be best at {ends}: k = {k_list(shift['common_k'])} not rejected ({p})."
        )
    else:
        lines = indented(f"No k is best at {ends}: all rejected ({p}).")
    lines += indented(
        f"One k for all: k = {single['k']} costs at most {_points(single['limit'])} points of "
        f"accuracy against the best k at either end (estimated {_points(single['cost'])}; upper "
        "95 % limit, simultaneous over all k)."
    )
    sets = "; ".join(
        f"{item['bucket']} {k_list(item['set'], 'or')} (most accurate: {_winner(item)})"
        for item in answer["optimum"]
    )
    lines += indented(f"Not distinguishable from the best k by bucket: {sets}.")
    lines += indented(_interaction(answer))
    lines += indented(_gain(answer))
    if shift["estimate"] is not None:
        lines += indented(
            f"Size of the shift by the quadratic: {shift['estimate']:+.2f} doublings of k per "
            f"standard deviation of complexity (95 % interval {shift['ci_low']:+.2f} to "
            f"{shift['ci_high']:+.2f})."
        )
    for warning in answer["warnings"]:
        lines += indented(f"Note: {warning}")
    return [answer["model"], *lines]


def _winner(item: Mapping[str, Any]) -> str:
    tied = item["tied"]
    if len(tied) > 1:
        return f"{k_list(tied, 'and')} tied"
    return f"{item['k']}, {percent(item['share'], 0)} of resamples"


def _interaction(answer: Mapping[str, Any]) -> str:
    logit, probability = answer["interaction"], answer["interaction_probability"]
    if logit["p"] is None:
        return f"Whether the curve in k changes with complexity: {logit['method']}."
    figures = (
        f"F({logit['df']:g}, {logit['df_denom']:g}) = {logit['statistic'] / logit['df']:.2f}, "
        f"{p_value(logit['p_adjusted'])} on the logit scale"
    )
    if probability["p"] is not None:
        figures += f"; {p_value(probability['p_adjusted'])} on the probability scale"
    figures += "; robust Wald, Holm-adjusted"
    if not _both_scales(answer):
        if logit["p_adjusted"] > ALPHA:
            return f"The curve in k is not shown to change with complexity ({figures})."
        return (
            f"The curve in k changes with complexity on the logit scale only ({figures}): no "
            "change in accuracy points is shown."
        )
    low, high = answer["shift"]["ends"][0], answer["shift"]["ends"][-1]
    by_group = {(gain["group"], gain["k"]): gain for gain in answer["gains"]}
    differ = [
        gain
        for (group, _), gain in by_group.items()
        if group == f"{high} - {low}" and (gain["ci_low"] > 0 or gain["ci_high"] < 0)
    ]
    head = f"The curve in k changes with complexity ({figures})"
    if not differ:
        return f"{head}, but no k's accuracy differs between the ends by an amount that is sure."
    gain = max(differ, key=lambda g: abs(g["estimate"]) / (g["ci_high"] - g["ci_low"]))
    k = gain["k"]
    return (
        f"{head}. Clearest at k = {k}, against k = {gain['reference']}: "
        f"{points(by_group[low, k]['estimate'])} ({low}), {points(by_group[high, k]['estimate'])} "
        f"({high}); difference {_with_interval(gain)} (95 %, max-t over k)."
    )


def _both_scales(answer: Mapping[str, Any]) -> bool:
    tests = (answer["interaction"], answer["interaction_probability"])
    return all(test["p"] is not None and test["p_adjusted"] <= ALPHA for test in tests)


def _gain(answer: Mapping[str, Any]) -> str:
    best = answer["overall"]["k"]
    other = min(answer["ks"]) if best != min(answer["ks"]) else max(answer["ks"])
    by_group = {(gain["group"], gain["k"]): gain for gain in answer["gains"]}
    low, high = answer["shift"]["ends"][0], answer["shift"]["ends"][-1]
    return (
        f"Most accurate over all images: k = {best}. Against it k = {other} (95 %, max-t): "
        f"{_with_interval(by_group[ALL, other])}; {low} {_with_interval(by_group[low, other])}, "
        f"{high} {_with_interval(by_group[high, other])}."
    )


def _with_interval(gain: Mapping[str, Any]) -> str:
    low, high = gain["ci_low"], gain["ci_high"]
    return f"{points(gain['estimate'])} [{signed(100 * low, 1)}, {signed(100 * high, 1)}]"


def _points(share: float) -> str:
    return number(100 * share, 1)


def _latency(study: Study, folder: Path, models: Sequence[str]) -> list[str]:
    choice = study.manifest.analysis.latency
    path = folder / "tables" / "latency_by_k.csv"
    if choice is None or not path.is_file():
        return []
    table = pd.read_csv(path)
    chosen = table[(table["phase"] == choice.phase) & (table["bucket"] == ALL)]
    name = choice.phase.removesuffix("_ms")
    lines = []
    for (device, model), rows in chosen.groupby(["device", "model"], sort=False):
        if str(model) not in models:
            continue
        ordered = rows.sort_values("k")
        if device != choice.device:
            ordered = ordered.iloc[[0, -1]]
        decimals = 3 if ordered["mean_ms"].min() < 5 else 2
        steps = ", ".join(
            f"k = {k} {number(ms, decimals)} ± {number((high - low) / 2, decimals)}"
            for k, ms, low, high in zip(
                *(ordered[c] for c in ("k", "mean_ms", "ci_low", "ci_high")), strict=True
            )
        )
        n = int(ordered["n_items"].iloc[0])
        line = f"{model}, {device}, mean {name} in ms over {n:,} samples: {steps}."
        for row in ordered[ordered["carried_by"].notna()].itertuples():
            line += (
                f" At k = {row.k} the mean is carried by {row.carried_by} "
                f"(median {row.median_ms:.2f})."
            )
        lines.append(line)
    return lines


def _secondary(answers: Sequence[Mapping[str, Any]]) -> str:
    n_metrics = len({a["metric"] for a in answers})
    head = (
        f"{counted(len(answers), 'further answer')} ({counted(n_metrics, 'metric')}), "
        "Holm-adjusted together: "
    )
    shifted = [a for a in answers if a["shift"]["p_adjusted"] <= ALPHA]
    changed = [a for a in answers if _both_scales(a)]
    found = []
    for what, members in (("a shift", shifted), ("a curve that changes with complexity", changed)):
        names = [f"{a['model']} by {a['metric']}" for a in members]
        found.append(f"{what} for {listing(names, shown=4) if names else 'none'}")
    return head + "; ".join(found) + "."


def _set_aside(folder: Path) -> list[str]:
    """Say what did not enter, so that it is not only in a file."""
    join = _read(folder / "join.json")
    # Unreadable images are named below, with the reason.
    said = [str(note) for note in join["notes"] if "could not be read" not in note]
    complexity = pd.read_parquet(
        folder / "complexity.parquet", columns=["image_id", "width", "error"]
    )
    unreadable = complexity[complexity["width"].isna()]
    if len(unreadable):
        reasons = zip(unreadable["image_id"], unreadable["error"], strict=True)
        named = listing((f"{image} ({error})" for image, error in reasons), shown=2)
        said.append(f"{len(unreadable):,} of {len(complexity):,} images could not be read: {named}")
    path = folder / "fits" / "set_aside.json"
    if path.is_file():
        said += [f"{metric} was not analysed: {why}" for metric, why in _read(path).items()]
    path = folder / "fits" / "latency_refused.json"
    if path.is_file():
        said += [f"{what}: no regression of it: {why}" for what, why in _read(path).items()]
    return said


def _limits(
    answers: Sequence[Mapping[str, Any]],
    accuracy: pd.DataFrame,
    join: Mapping[str, Any],
    folder: Path,
    study: Study,
) -> list[str]:
    limits = []
    if any(a["shift"]["common_k"] for a in answers):
        n = [item["n_images"] for item in answers[0]["optimum"]]
        limits.append(
            "That one k for both ends is not rejected does not prove that the best k is the same "
            f"everywhere. With {answers[0]['n_images']:,} images ({min(n):,} to {max(n):,} a "
            "bucket) a small move of the optimum would not be seen; the bound on the cost of one "
            "k says how much that could matter."
        )
    overall = accuracy[accuracy["bucket"] == ALL].groupby("model")["accuracy"].max()
    high = [a["model"] for a in answers if overall[a["model"]] >= CEILING]
    if high:
        best = _and([f"{name} ({percent(float(overall[name]))})" for name in high])
        limits.append(
            f"Near the ceiling of accuracy there is little left for more experts to win: {best}."
        )
    limits.append(
        "Each model is one checkpoint: other training runs of the same recipe may differ, and "
        "nothing here averages over them."
    )
    limits.append(
        f"Images that differ in {study.manifest.analysis.primary.metric} may differ in other ways "
        "too: unless the study varied it on its own, any of them may be what changes the curve."
    )
    limits.append(SHORT)
    timed = _models_timed(folder)
    untimed = [a["model"] for a in answers if timed and a["model"] not in timed]
    if untimed:
        limits.append(f"No latency was measured for {_and(untimed)}.")
    if not timed:
        limits.append("There are no latencies, so nothing is said about what k costs.")
    return limits


def _models_timed(folder: Path) -> list[str]:
    path = folder / "tables" / "latency_by_k.csv"
    return [str(m) for m in pd.read_csv(path)["model"].unique()] if path.is_file() else []


def _ranges(folder: Path, metric: str) -> dict[str, str]:
    from complexity.buckets import Buckets

    cut = Buckets.from_dict(_read(folder / "buckets.json")[metric])
    return dict(zip(cut.labels, cut.ranges(), strict=True))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _and(names: Sequence[str]) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
