"""The tidy frames behind a run's tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        `device`, `phase`, `model`, `bucket` (``all`` first), `k`, `mean_ms`, `ci_low`,
        `ci_high` (95 %, normal, clustered by sample), `n_items`.
    """
    items = by_item(latency)
    image = samples.set_index("sample_id")["image_id"]
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
        `share` (of the image-cluster bootstrap), `not_rejected` (list of the k not
        distinguishable from the best), `serves_both_ends` (list).
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
                    "share": item["share"],
                    "not_rejected": item["set"],
                    "serves_both_ends": answer["shift"]["common_k"],
                }
            )
    return pd.DataFrame(rows)


def tests(answers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Spread the tests of each model and metric over one row.

    Returns
    -------
    DataFrame
        `metric`, `role` (primary or secondary), `model`, the interaction's `wald`, `df`,
        `p_interaction`, `p_interaction_adjusted`, `p_interaction_probability`, the shift's
        `p_shift`, `p_shift_adjusted` and `common_k`.
    """
    rows = []
    for answer in answers:
        interaction, shift = answer["interaction"], answer["shift"]
        rows.append(
            {
                "metric": answer["metric"],
                "role": answer["role"],
                "model": answer["model"],
                "wald": _float(interaction["statistic"]),
                "df": _float(interaction["df"]),
                "p_interaction": _float(interaction["p"]),
                "p_interaction_adjusted": _float(interaction["p_adjusted"]),
                "p_interaction_probability": _float(answer["interaction_probability"]["p"]),
                "p_shift": _float(shift["p"]),
                "p_shift_adjusted": _float(shift["p_adjusted"]),
                "common_k": shift["common_k"],
            }
        )
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
                        "best": k == item["k"],
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
