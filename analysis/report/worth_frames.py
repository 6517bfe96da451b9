"""Tidy frames of the worth of k: utility by price, smallest k, value of k by complexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

NAN = float("nan")
_KEYS = {"metric": "complexity metric", "model": "name of the model"}
_VALUE = {
    what: text
    for name, unit in (
        ("accuracy", "share of accuracy"),
        ("ms", "mean latency, ms; negative is faster"),
        ("utility", "share of accuracy; where there is a price"),
    )
    for what, text in (
        (name, f"policy less single k, cross-fitted: {unit}"),
        (f"{name}_low", "lower end of its 95 % interval"),
        (f"{name}_high", "upper end"),
        (f"{name}_naive", "learned and valued on all images: optimistic"),
        (f"{name}_oracle", "k by bucket chosen on the held-out fold: optimistic"),
    )
}
#: Columns of the CSV files, with their meaning; docs/tables.md is written from it.
MEANINGS = {
    "worth_utility": {
        **_KEYS,
        "bucket": "complexity bucket, or all",
        "n_images": "images behind the accuracies",
        "n_items": "timed samples behind the latencies",
        "k": "number of active experts",
        "accuracy": "mean score",
        "latency_ms": "mean latency, ms",
        "standing": "on the envelope, dominated, or inside the hull",
        "price_from": "lowest price (accuracy per ms) at which k has the highest utility",
        "price_to": "highest one: break-even with the next faster k; empty: no upper end",
        "price_to_low": "lower end of the 95 % interval of price_to",
        "price_to_high": "upper end; empty beside a lower one: open",
        "share": "share of bootstrap resamples with k on the envelope",
    },
    "worth_smallest_k": {
        **_KEYS,
        "bucket": "complexity bucket, or all",
        "n_images": "images in it",
        "n_samples": "questions about them",
        "best": "most accurate k",
        "smallest": "smallest k within the margin, or none",
        "k": "number of active experts",
        "shortfall": "estimated distance of k from the most accurate one, share of accuracy",
        "limit": "its upper 95 % limit, simultaneous over k",
        "within_margin": "whether the limit does not exceed the margin",
    },
    "worth_policies": {
        **_KEYS,
        "policy": "accuracy, utility, equal accuracy, or within margin",
        "price": "accuracy per ms, for utility",
        "single": "best single k, chosen on all images",
        "ks": "k by bucket, chosen on all images",
        "moved": "share of held-out questions asked at another k than the single one",
        **_VALUE,
    },
}


def utility_by_price(worths: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per metric × model × bucket × k with a latency: where on the envelope it is.

    Returns
    -------
    DataFrame
        `metric`, `model`, `bucket` (``all`` first), `n_images`, `n_items` (timed samples), `k`,
        `accuracy`, `latency_ms` (means), `standing`, `price_from` and `price_to` (accuracy per
        ms; the range in which k has the highest utility, missing off the envelope and where
        there is no upper end), `price_to_low`, `price_to_high` (95 % interval of `price_to`,
        the break-even price with the next faster k), `share` (of the resamples in which k is
        on the envelope).
    """
    rows = []
    for worth in worths:
        for group in worth["utility"]:
            ends = {item["slower"]: item for item in group["break_evens"]}
            for i, k in enumerate(group["ks"]):
                end = ends.get(k, {})
                rows.append(
                    {
                        "metric": worth["metric"],
                        "model": worth["model"],
                        "bucket": group["group"],
                        "n_images": group["n_images"],
                        "n_items": group["n_items"],
                        "k": k,
                        "accuracy": group["accuracy"][i],
                        "latency_ms": group["ms"][i],
                        "standing": group["standing"][i],
                        "price_from": _float(group["price_from"][i]),
                        "price_to": _float(group["price_to"][i]),
                        "price_to_low": _float(end.get("ci_low")),
                        "price_to_high": _float(end.get("ci_high")),
                        "share": _float(group["share"][i]),
                    }
                )
    return pd.DataFrame(rows, columns=list(MEANINGS["worth_utility"]))


def smallest_k(worths: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per metric × model × bucket × k: how far k may be behind the best.

    Returns
    -------
    DataFrame
        `metric`, `model`, `bucket` (``all`` first), `n_images`, `n_samples`, `best` (most
        accurate k), `smallest` (text: smallest k within the margin, or "none"), `k`,
        `shortfall` and `limit` (share of accuracy; upper 95 % limit, simultaneous over the k of
        a bucket), `within_margin`.
    """
    rows = [
        {
            "metric": worth["metric"],
            "model": worth["model"],
            "bucket": item["group"],
            "n_images": item["n_images"],
            "n_samples": item["n_samples"],
            "best": item["best"],
            "smallest": "none" if item["k"] is None else str(item["k"]),
            "k": k,
            "shortfall": item["shortfall"][i],
            "limit": item["limit"][i],
            "within_margin": item["limit"][i] <= worth["margin"],
        }
        for worth in worths
        for item in worth["non_inferior"]
        for i, k in enumerate(item["ks"])
    ]
    return pd.DataFrame(rows, columns=list(MEANINGS["worth_smallest_k"]))


def policy_values(worths: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per metric × model × policy: its value against the best single k.

    Returns
    -------
    DataFrame
        `metric`, `model`, `policy`, `price` (accuracy per ms), `single` and `ks` (list, by
        bucket) as chosen on all images, `moved` (share of held-out questions asked at another k
        than the single one), then policy less single k: `accuracy`, `ms`, `utility`
        (cross-fitted), each with `_low` and `_high` (95 %), `_naive` (in-sample, optimistic)
        and `_oracle` (chosen on the held-out fold, optimistic).
    """
    rows = []
    for worth in worths:
        for value in worth["value"]:
            row: dict[str, Any] = {
                "metric": worth["metric"],
                "model": worth["model"],
                "policy": value["policy"],
                "price": _float(value["price"]),
                "single": value["single"],
                "ks": value["ks"],
                "moved": value["moved"],
            }
            for what in ("accuracy", "ms", "utility"):
                found = value[what] or {}
                row[what] = _float(found.get("estimate"))
                row[f"{what}_low"] = _float(found.get("ci_low"))
                row[f"{what}_high"] = _float(found.get("ci_high"))
                row[f"{what}_naive"] = _float(value["naive"][what])
                row[f"{what}_oracle"] = _float(value["oracle"][what])
            rows.append(row)
    return pd.DataFrame(rows, columns=list(MEANINGS["worth_policies"]))


def objective(row: Mapping[Any, Any]) -> str:
    """Name what a policy is chosen for: ``accuracy``, ``ms`` or ``utility``."""
    policy = str(row["policy"])
    return policy if policy in ("accuracy", "utility") else "ms"


def _float(value: object) -> float:
    return NAN if value is None else float(value)  # type: ignore[arg-type]
