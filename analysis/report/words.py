"""The answer in plain words, with its numbers, and what it cannot tell."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.manifest import Study
from analysis.report.content import ALL
from analysis.report.numbers import k_list, milliseconds, p_value, percent, points

WIDTH = 92
CEILING = 0.95
ALPHA = 0.05


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
        Lines for a terminal; every number in them stands in a table of the run.
    """
    primary = study.manifest.analysis.primary
    answers = {p.stem: _read(p) for p in sorted((folder / "optimum").glob("*.json"))}
    headline = answers[primary.metric]
    chosen = [a for a in headline if primary.model in ("all", a["model"])]
    accuracy = pd.read_csv(folder / "tables" / "accuracy_by_k.csv")
    ranges = _ranges(folder, primary.metric)
    join = _read(folder / "join.json")
    question = f"Does the best number of active experts k shift with {primary.metric}?"
    lines = [*_paragraph(study.manifest.title), question, "=" * len(question), ""]
    lines += _paragraph(_verdict(chosen, primary.metric))
    for answer in chosen:
        lines += ["", *_model(answer, accuracy, ranges)]
    latency = _latency(study, folder, [a["model"] for a in chosen])
    if latency:
        lines += ["", "Latency", *(f"  {line}" for item in latency for line in _paragraph(item, 2))]
    others = [a for found in answers.values() for a in found if a["role"] == "secondary"]
    if others:
        lines += ["", "Other metrics and models", *_indented(_secondary(others))]
    lines += ["", "What this cannot tell"]
    for item in _limits(chosen, accuracy, join, folder, study):
        lines += _bullet(item)
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
    lines += _paragraph(
        f"{total['n_images']:,} images and {total['n_samples']:,} samples by {primary}: {buckets}."
    )
    lines += [
        "",
        *_paragraph(
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
        *_paragraph("Then run the same command again: what was measured is kept."),
    ]
    return "\n".join(lines) + "\n"


def _verdict(answers: Sequence[Mapping[str, Any]], metric: str) -> str:
    shifted = [a["model"] for a in answers if a["shift"]["p_adjusted"] <= ALPHA]
    stayed = [a["model"] for a in answers if a["shift"]["p_adjusted"] > ALPHA]
    if not shifted:
        both = [a for a in answers if _both_interactions(a)]
        text = (
            f"No shift is shown. For {_and(stayed)} a single k can be optimal at both ends of "
            f"{metric}."
        )
        if both:
            text += (
                f" What k buys does change with {metric} for {_and([a['model'] for a in both])}: "
                "the curve is not the same, yet its top need not move."
            )
        return text
    text = f"Yes for {_and(shifted)}: no single k is optimal at both ends of {metric}."
    return text + (f" No shift is shown for {_and(stayed)}." if stayed else "")


def _model(
    answer: Mapping[str, Any], accuracy: pd.DataFrame, ranges: Mapping[str, str]
) -> list[str]:
    shift = answer["shift"]
    low, high = shift["ends"][0], shift["ends"][-1]
    if shift["common_k"]:
        serve = (
            f"k = {k_list(shift['common_k'])} can serve both ends "
            f"({low} {ranges[low]}, {high} {ranges[high]}): {p_value(shift['p'])} for the null "
            f"that one k does, {p_value(shift['p_adjusted'])} after {shift['adjusted_by']}."
        )
    else:
        serve = (
            f"no k can serve both ends ({low} {ranges[low]}, {high} {ranges[high]}): "
            f"{p_value(shift['p'])}, {p_value(shift['p_adjusted'])} after {shift['adjusted_by']}."
        )
    best = "; ".join(
        f"{item['bucket']} k = {item['k']} ({percent(item['share'], 0)} of bootstrap resamples)"
        for item in answer["optimum"]
    )
    lines = [answer["model"], *_indented(_sentence(serve))]
    lines += _indented(f"Most accurate k by bucket: {best}.")
    lines += _indented(_interaction(answer))
    lines += _indented(_gains(answer, accuracy))
    if shift["estimate"] is not None:
        lines += _indented(
            f"Size of the shift by the quadratic: {shift['estimate']:+.2f} doublings of k per "
            f"standard deviation of complexity (95 % interval {shift['ci_low']:+.2f} to "
            f"{shift['ci_high']:+.2f})."
        )
    for warning in answer["warnings"]:
        lines += _indented(f"Note: {warning}")
    return lines


def _interaction(answer: Mapping[str, Any]) -> str:
    logit, probability = answer["interaction"], answer["interaction_probability"]
    if logit["p"] is None:
        return f"Whether the curve in k changes with complexity: {logit['method']}."
    figures = (
        f"robust Wald chi2({logit['df']:g}) = {logit['statistic']:.1f}, {p_value(logit['p'])} on "
        f"the logit scale, {p_value(logit['p_adjusted'])} after Holm"
    )
    if probability["p"] is not None:
        figures += f"; {p_value(probability['p'])} on the probability scale"
    if _both_interactions(answer):
        lead = "The curve in k changes with complexity"
    elif logit["p_adjusted"] <= ALPHA:
        lead = "The curve in k changes with complexity on the logit scale only"
    else:
        lead = "The curve in k is not shown to change with complexity"
    return f"{lead} ({figures})."


def _both_interactions(answer: Mapping[str, Any]) -> bool:
    logit, probability = answer["interaction"], answer["interaction_probability"]
    return all(
        p is not None and p <= ALPHA for p in (logit["p"], logit["p_adjusted"], probability["p"])
    )


def _gains(answer: Mapping[str, Any], accuracy: pd.DataFrame) -> str:
    rows = accuracy[accuracy["model"].astype(str) == answer["model"]]
    best, first = answer["overall"]["k"], min(answer["ks"])
    at = rows.set_index(["bucket", "k"])["accuracy"]
    low, high = answer["shift"]["ends"][0], answer["shift"]["ends"][-1]
    if best == first:
        last = max(answer["ks"])
        return (
            f"Overall k = {best} is most accurate ({percent(at[ALL, best])}); at k = {last} "
            f"accuracy differs by {points(at[low, last] - at[low, best])} ({low}) and "
            f"{points(at[high, last] - at[high, best])} ({high})."
        )
    return (
        f"Overall k = {best} is most accurate ({percent(at[ALL, best])}); over k = {first} it buys "
        f"{points(at[low, best] - at[low, first])} ({low}) and "
        f"{points(at[high, best] - at[high, first])} ({high})."
    )


def _latency(study: Study, folder: Path, models: Sequence[str]) -> list[str]:
    choice = study.manifest.analysis.latency
    path = folder / "tables" / "latency_by_k.csv"
    if choice is None or not path.is_file():
        return []
    table = pd.read_csv(path)
    chosen = table[
        (table["device"] == choice.device)
        & (table["phase"] == choice.phase)
        & (table["bucket"] == ALL)
    ]
    lines = []
    for model in models:
        rows = chosen[chosen["model"].astype(str) == model].sort_values("k")
        if len(rows):
            pairs = zip(rows["k"], rows["mean_ms"], strict=True)
            steps = ", ".join(f"{k}: {milliseconds(ms)}" for k, ms in pairs)
            lines.append(
                f"{model}, mean {choice.phase.removesuffix('_ms')} on {choice.device} over "
                f"{rows['n_items'].iloc[0]:,} samples, by k: {steps}."
            )
    return lines


def _secondary(answers: Sequence[Mapping[str, Any]]) -> str:
    shifted = [a for a in answers if a["shift"]["p_adjusted"] <= ALPHA]
    n_metrics = len({a["metric"] for a in answers})
    head = f"{len(answers)} further answers ({n_metrics} metrics), Holm-adjusted together: "
    if not shifted:
        return head + "none shows a shift."
    named = [
        f"{a['model']} by {a['metric']} ({p_value(a['shift']['p_adjusted'])})" for a in shifted
    ]
    return head + f"a shift for {_and(named)}."


def _limits(
    answers: Sequence[Mapping[str, Any]],
    accuracy: pd.DataFrame,
    join: Mapping[str, Any],
    folder: Path,
    study: Study,
) -> list[str]:
    limits = []
    if any(a["shift"]["common_k"] for a in answers):
        limits.append(
            "That a common k is not rejected does not prove that the best k is the same "
            "everywhere: a small move of the optimum, or one between k of nearly equal accuracy, "
            "would not be seen with these samples."
        )
    overall = accuracy[accuracy["bucket"] == ALL].groupby("model")["accuracy"].max()
    high = [a["model"] for a in answers if overall[a["model"]] >= CEILING]
    if high:
        limits.append(
            f"{_and(high)}: accuracy is near its ceiling (best {percent(float(overall.max()))}), "
            "so there is little left for more experts to win."
        )
    limits.append(
        "Each model is one checkpoint: other training runs of the same recipe may differ, and "
        "nothing here averages over them."
    )
    limits.append(
        "Complexity was measured, not assigned: whatever goes with it (here and in any set of "
        "natural images) may be what moves the curve."
    )
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


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] if not text.startswith("k =") else text


def _paragraph(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH - indent, break_long_words=False, break_on_hyphens=False)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in _paragraph(text, 2)]


def _bullet(text: str) -> list[str]:
    first, *rest = _paragraph(text, 4)
    return [f"  - {first}", *(f"    {line}" for line in rest)]
