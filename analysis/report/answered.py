"""Tidy frames of what was found: tests, optimal k, gains and coefficients of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

#: Above this p a flat curve is not rejected, and the quadratic's no-shift test says nothing.
FLAT_ALPHA = 0.05


def optimal_k(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Arg max of accuracy by model, metric and bucket.

    Returns
    -------
    DataFrame
        `metric`, `model`, `bucket`, `complexity` (mean of the metric), `n_images`, `k`,
        `tied` (list of every k of that accuracy), `share` (of the image-cluster bootstrap),
        `not_rejected` (list of the k not distinguishable from the best), `serves_both_ends`
        (list).
    """
    rows = []
    for answer in answers:
        for item in [answer["overall"], *answer["optimum"]]:
            rows.append(
                {
                    "metric": answer["metric"],
                    "model": answer["model"],
                    "bucket": item["bucket"],
                    "complexity": item["complexity"],
                    "n_images": item["n_images"],
                    "k": item["k"],
                    "tied": item["tied"],
                    "share": item["share"],
                    "not_rejected": item["set"],
                    "serves_both_ends": answer["shift"]["common_k"],
                }
            )
    return pd.DataFrame(rows)


def interactions(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Spread the interaction tests of each model and metric over one row.

    Returns
    -------
    DataFrame
        `metric`, `role` (primary or secondary), `model`, `n_images`, `f`, `df`, `df2`, `p` and
        `p_adjusted` on the logit scale, `p_probability` and `p_probability_adjusted` in the
        linear probability model, `p_permutation` (complexity shuffled across images),
        `p_linearity` (curve × c²).
    """
    rows = []
    for answer in answers:
        logit, probability = answer["interaction"], answer["interaction_probability"]
        rows.append(
            {
                "metric": answer["metric"],
                "role": answer["role"],
                "model": answer["model"],
                "n_images": answer["n_images"],
                "f": _float(logit["statistic"]) / _float(logit["df"]),
                "df": _float(logit["df"]),
                "df2": _float(logit["df_denom"]),
                "p": _float(logit["p"]),
                "p_adjusted": _float(logit["p_adjusted"]),
                "p_probability": _float(probability["p"]),
                "p_probability_adjusted": _float(probability["p_adjusted"]),
                "p_permutation": _float(answer["interaction_permutation"]["p"]),
                "p_linearity": _float(answer["linearity"]["p"]),
            }
        )
    return pd.DataFrame(rows)


def shifts(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Spread the shift test of each model and metric over one row.

    Returns
    -------
    DataFrame
        `metric`, `role`, `model`, `images_low`, `images_high` (in the two ends), `p` and
        `p_adjusted` of "one k is optimal at both ends", `p_curve` (the same test on the
        regression's curves), `common_k` (list), then `single_k` with the least possible cost,
        its estimated `cost` and `cost_limit` (shares of accuracy), `p_equivalence` and `within`
        (list): the k shown to cost less than the margin at both ends.
    """
    rows = []
    for answer in answers:
        shift, single = answer["shift"], answer["single_k"]
        images = {item["bucket"]: item["n_images"] for item in answer["optimum"]}
        rows.append(
            {
                "metric": answer["metric"],
                "role": answer["role"],
                "model": answer["model"],
                "images_low": images[shift["ends"][0]],
                "images_high": images[shift["ends"][-1]],
                "p": _float(shift["p"]),
                "p_adjusted": _float(shift["p_adjusted"]),
                "p_curve": _float((answer["shift_curve"] or {}).get("p")),
                "common_k": shift["common_k"],
                "single_k": single["k"],
                "cost": single["cost"],
                "cost_limit": single["limit"],
                "p_equivalence": answer["equivalence"]["p"],
                "within": answer["equivalence"]["within"],
            }
        )
    return pd.DataFrame(rows)


def p_by_k(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per metric × model × k: p of "this k is optimal at both ends".

    Returns
    -------
    DataFrame
        `metric`, `model`, `k`, `p`, `in_common_set`.
    """
    rows = [
        {
            "metric": answer["metric"],
            "model": answer["model"],
            "k": k,
            "p": answer["shift"]["p_by_k"][str(k)],
            "in_common_set": k in answer["shift"]["common_k"],
        }
        for answer in answers
        for k in answer["ks"]
    ]
    return pd.DataFrame(rows)


def gains_by_k(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Stack what every k gains over the reference k, by bucket and high against low.

    Returns
    -------
    DataFrame
        `model`, `reference`, `group`, `k`, `gain`, `ci_low`, `ci_high` (shares of accuracy,
        simultaneous 95 % intervals over the k of a group).
    """
    rows = [
        {
            "model": answer["model"],
            "reference": gain["reference"],
            "group": gain["group"],
            "k": gain["k"],
            "gain": gain["estimate"],
            "ci_low": gain["ci_low"],
            "ci_high": gain["ci_high"],
        }
        for answer in answers
        for gain in answer["gains"]
    ]
    return pd.DataFrame(rows)


def quadratics(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Spread the quadratic's tests of each model and metric over one row.

    Returns
    -------
    DataFrame
        `metric`, `model`, `wald_lack_of_fit`, `df_lack_of_fit`, `p_lack_of_fit`, `p_flat`, the
        no-shift test's `wald` and `p` (missing where the curve may be flat), and `shift`,
        `shift_low`, `shift_high` where a size may be read.
    """
    rows = []
    for answer in answers:
        quadratic = answer["quadratic"] or {}
        flat = _float(quadratic.get("flat_p"))
        tested = quadratic if flat <= FLAT_ALPHA else {}
        lack, shift = answer["lack_of_fit"], answer["shift"]
        rows.append(
            {
                "metric": answer["metric"],
                "model": answer["model"],
                "wald_lack_of_fit": _float(lack["statistic"]),
                "df_lack_of_fit": _float(lack["df"]),
                "p_lack_of_fit": _float(lack["p"]),
                "p_flat": flat,
                "wald": _float(tested.get("statistic")),
                "p": _float(tested.get("p")),
                "shift": _float(shift["estimate"]),
                "shift_low": _float(shift["ci_low"]),
                "shift_high": _float(shift["ci_high"]),
            }
        )
    return pd.DataFrame(rows)


def coefficients(fits: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Stack the fixed effects of fits, one row per coefficient.

    Parameters
    ----------
    fits : sequence of mapping
        Fits as written under `fits/`.
    keys : sequence of str
        What tells the fits apart, as leading columns.

    Returns
    -------
    DataFrame
        `keys`, `term`, `estimate`, `se`, `statistic`, `df`, `p`, `ci_low`, `ci_high`.
    """
    rows = [{**{key: fit[key] for key in keys}, **term} for fit in fits for term in fit["fixed"]]
    return pd.DataFrame(rows)


def variance_components(fits: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Stack the random-effect standard deviations of fits, the residual's last in each.

    Returns
    -------
    DataFrame
        `keys`, `group`, `term`, `term2`, `sd_or_corr`, `n_groups`.
    """
    rows = []
    for fit in fits:
        lead = {key: fit[key] for key in keys}
        for part in fit["random"]:
            names = {key: part[key] for key in ("group", "term", "term2", "sd_or_corr")}
            rows.append({**lead, **names, "n_groups": fit["n_groups"].get(part["group"])})
        rows.append(
            {
                **lead,
                "group": "residual",
                "term": None,
                "term2": None,
                "sd_or_corr": fit["residual_sd"],
                "n_groups": None,
            }
        )
    return pd.DataFrame(rows)


def latency_cost(fits: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Give the cost of one more expert, and whether a line may be drawn at all.

    Parameters
    ----------
    fits : sequence of mapping
        ``fits/latency.json``.
    keys : sequence of str
        What tells the fits apart, as leading columns.

    Returns
    -------
    DataFrame
        `keys`, `at_zero_ms` (a of a + b k), `per_expert_ms` (b), `ci_low`, `ci_high` (of b, 95 %),
        `lack_of_fit_p` (that the means by k lie on the line; missing with two k), and of fits
        with complexity `complexity_p` (level and curve in k do not move with it).
    """
    rows = []
    for fit in fits:
        line = {term["term"]: term for term in fit["linear"]["fixed"]}
        row = {
            **{key: fit[key] for key in keys},
            "at_zero_ms": line["Intercept"]["estimate"],
            "per_expert_ms": line["k"]["estimate"],
            "ci_low": line["k"]["ci_low"],
            "ci_high": line["k"]["ci_high"],
            "lack_of_fit_p": (fit["lack_of_fit"] or {}).get("p"),
        }
        if "complexity" in fit:
            row["complexity_p"] = (fit["complexity"] or {}).get("p")
        rows.append(row)
    return pd.DataFrame(rows)


def latency_steps(fits: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """Stack what each step to the next k takes, as the fits have it.

    Returns
    -------
    DataFrame
        `keys`, `k`, `next_k`, `ci_low`, `ci_high`, and `ratio` and `n_items` (see
        `analysis.latency_models`) or `per_expert_ms` and `n_units` (a study of latency alone: see
        `analysis.latency_study.costs.CostStep`).
    """
    rows = [{**{key: fit[key] for key in keys}, **step} for fit in fits for step in fit["steps"]]
    return pd.DataFrame(rows)


def bootstrap_shares(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per model × bucket × k: bootstrap share, whether best, whether not rejected."""
    rows = []
    for answer in answers:
        for item in answer["optimum"]:
            for k in answer["ks"]:
                rows.append(
                    {
                        "model": answer["model"],
                        "bucket": item["bucket"],
                        "k": k,
                        "share": item["shares"][str(k)],
                        "best": k in item["tied"],
                        "in_set": k in item["set"],
                    }
                )
    return pd.DataFrame(rows)


def common_k(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Spell `p_by_k` as the figure of the optimal k takes it: `serves_both` for the set."""
    return p_by_k(answers).rename(columns={"in_common_set": "serves_both"})


def _float(value: object) -> float:
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]
