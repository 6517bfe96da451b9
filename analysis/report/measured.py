"""Tidy frames of what was measured: complexity, accuracy and latency by bucket and k."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.latency import Z95, by_item, mean_latency
from analysis.optimum.cells import Cells, cells_of, complete_samples
from complexity.errors import InputError

ALL = "all"


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
        clustered by image, kept in [0, 1]; Clopper-Pearson on images where every answer is
        right or wrong), `n_images`, `n_samples`. Images without a bucket are left out.
    """
    rows: list[dict[str, Any]] = []
    for model, of_model in table.groupby("model", sort=False, observed=True):
        known = of_model[of_model["image_id"].map(labels.notna()).fillna(False).astype(bool)]
        try:
            cells = cells_of(complete_samples(known)[0])
        except InputError:
            continue  # no two k on the same questions: said where its answer would stand
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
    # All right or all wrong: no spread to estimate, but not certain. Clopper-Pearson on images.
    slack = 1 - 0.025 ** (1 / len(cells.images))
    low = np.where(means == 1, 1 - slack, np.clip(means - half, 0, 1))
    high = np.where(means == 0, slack, np.clip(means + half, 0, 1))
    return [
        {
            "model": model,
            "bucket": bucket,
            "k": k,
            "accuracy": means[i],
            "ci_low": low[i],
            "ci_high": high[i],
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
