"""The tidy frames behind a run's tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.latency import Z95, by_item, mean_latency
from analysis.optimum.cells import Cells, cells_of, complete_samples

ALL = "all"
#: Above this p a flat curve is not rejected, and the quadratic's no-shift test says nothing.
FLAT_ALPHA = 0.05


def descriptives(
    complexity: pd.DataFrame, samples: pd.DataFrame, labels: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """Describe each metric, over all images and by its buckets.

    Parameters
    ----------
    complexity : DataFrame
        The complexity table.
    samples : DataFrame
        The samples table.
    labels : mapping of str to Series
        Bucket of each image, by metric.

    Returns
    -------
    DataFrame
        `metric`, `bucket`, `n_images`, `n_samples`, `mean`, `sd`, `min`, `max`.
    """
    questions = samples.groupby("image_id", observed=True).size()
    by_image = complexity.set_index("image_id")
    rows = []
    for metric, bucket in labels.items():
        values = by_image[metric].dropna()
        for name in [ALL, *bucket.cat.categories]:
            of_bucket = bucket.index[bucket == name]
            part = values if name == ALL else values.loc[values.index.isin(of_bucket)]
            rows.append(
                {
                    "metric": metric,
                    "bucket": name,
                    "n_images": len(part),
                    "n_samples": int(questions.reindex(part.index).fillna(0).sum()),
                    "mean": part.mean(),
                    "sd": part.std(ddof=1),
                    "min": part.min(),
                    "max": part.max(),
                }
            )
    return pd.DataFrame(rows)


def accuracy_by_k(table: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Accuracy by model, bucket and k, over samples with every k.

    Parameters
    ----------
    table : DataFrame
        The analysis table.
    labels : Series of ordered categories, index image id
        Bucket of each image.

    Returns
    -------
    DataFrame
        `model`, `bucket` (``all`` first), `k`, `accuracy`, `ci_low`, `ci_high` (95 %, normal,
        clustered by image, kept in [0, 1]), `n_images`, `n_samples`.
    """
    rows: list[dict[str, Any]] = []
    for model, of_model in table.groupby("model", sort=False, observed=True):
        cells = cells_of(complete_samples(of_model)[0])
        bucket = labels.reindex(list(cells.images))
        rows += _accuracy_rows(str(model), ALL, cells)
        for name in labels.cat.categories:
            chosen = (bucket == name).to_numpy()
            if chosen.any():
                rows += _accuracy_rows(str(model), str(name), cells.take(chosen))
    return pd.DataFrame(rows)


def _accuracy_rows(model: str, bucket: str, cells: Cells) -> list[dict[str, Any]]:
    means = cells.means()
    half = Z95 * np.sqrt(np.diag(cells.covariance()))
    counts = cells.counts.sum(axis=0)
    return [
        {
            "model": model,
            "bucket": bucket,
            "k": k,
            "accuracy": means[i],
            "ci_low": np.clip(means[i] - half[i], 0, 1),
            "ci_high": np.clip(means[i] + half[i], 0, 1),
            "n_images": len(cells.images),
            "n_samples": int(counts[i]),
        }
        for i, k in enumerate(cells.ks)
    ]


def latency_by_k(latency: pd.DataFrame, samples: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Mean latency by device, phase, model, bucket and k.

    Returns
    -------
    DataFrame
        `device`, `phase`, `model`, `bucket` (``all`` first), then the columns of
        `analysis.latency.mean_latency`, clustered by image.
    """
    items = by_item(latency)
    image = samples.set_index("sample_id")["image_id"]
    items["cluster"] = items["item"].map(image).fillna(items["item"])
    bucket = items["item"].map(image).map(labels.astype(str))
    keys = ["device", "phase", "model", "bucket"]
    parts = [mean_latency(items.assign(bucket=ALL), keys)]
    named = items.assign(bucket=bucket).dropna(subset=["bucket"])
    if len(named):
        parts.append(mean_latency(named, keys))
    out = pd.concat(parts, ignore_index=True)
    # Devices, phases and models in their order of appearance, buckets and k in theirs.
    order = {ALL: -1, **{name: i for i, name in enumerate(labels.cat.categories)}}
    for key in ("device", "phase", "model"):
        out[key] = pd.Categorical(out[key], categories=list(out[key].unique()), ordered=True)
    out = out.assign(rank=out["bucket"].map(order))
    out = out.sort_values(["device", "phase", "model", "rank", "k"], kind="stable")
    return out.drop(columns="rank").astype({"device": str, "phase": str, "model": str})


def frontier(accuracy: pd.DataFrame, latency: pd.DataFrame) -> pd.DataFrame:
    """Join accuracy by model, bucket and k with one device's and phase's mean latency.

    Parameters
    ----------
    accuracy : DataFrame
        From `accuracy_by_k`.
    latency : DataFrame
        Rows of `latency_by_k` of one device and phase.

    Returns
    -------
    DataFrame
        `model`, `bucket`, `k`, `accuracy`, `ci_low`, `ci_high`, `latency_ms` (over all the
        samples that were timed).
    """
    overall = latency.loc[latency["bucket"] == ALL, ["model", "k", "mean_ms"]]
    joined = accuracy.merge(overall.rename(columns={"mean_ms": "latency_ms"}), on=["model", "k"])
    columns = ["model", "bucket", "k", "accuracy", "ci_low", "ci_high", "latency_ms"]
    return joined[columns]


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
        linear probability model, `p_linearity` (curve × c²).
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
        its estimated `cost` and `cost_limit` (shares of accuracy).
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


def across(frame: pd.DataFrame, rows: Sequence[str], spell: Callable[[Any], str]) -> pd.DataFrame:
    """Lay k out across columns, for print.

    Parameters
    ----------
    frame : DataFrame
        Tidy, with `k`.
    rows : sequence of str
        Columns that name a row of the result, kept in order of appearance.
    spell : callable
        From a row of `frame` (a named tuple) to the text of its cell.

    Returns
    -------
    DataFrame
        `rows`, then one column of texts per k, named ``k = 1`` and so on; empty where there
        is no such k.
    """
    cells = frame[list(rows)].assign(
        k=[f"k = {k}" for k in frame["k"]], text=[spell(row) for row in frame.itertuples()]
    )
    order = [f"k = {k}" for k in sorted(frame["k"].unique())]
    wide = cells.pivot_table(
        index=list(rows), columns="k", values="text", aggfunc="first", sort=False, observed=True
    )
    return wide.reindex(columns=order).fillna("").reset_index().rename_axis(columns=None)


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
    """One row per model × k: p of "this k is optimal at both ends", and whether it stands."""
    rows = [
        {
            "model": answer["model"],
            "k": k,
            "serves_both": k in answer["shift"]["common_k"],
            "p": answer["shift"]["p_by_k"][str(k)],
        }
        for answer in answers
        for k in answer["ks"]
    ]
    return pd.DataFrame(rows)


def _float(value: object) -> float:
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]
