"""Latency by k: repeats averaged within items, and means that a reader can add up."""

from __future__ import annotations

import numpy as np
import pandas as pd

PHASES = ("vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms")
#: Per token after the first: the time of decoding over the tokens it took.
PER_TOKEN = "tpot_ms"
Z95 = 1.959964
#: With fewer items than this every one carries the mean.
FEW = 30


def by_item(latency: pd.DataFrame) -> pd.DataFrame:
    """Average repeats within each item, one row per device × phase × model × item × run × k.

    An item is a sample where the rows name one, else a request. Where a device was timed with
    several batch sizes, only the smallest counts, as in the join.

    Parameters
    ----------
    latency : DataFrame
        The latency table.

    Returns
    -------
    DataFrame
        Columns `device`, `phase`, `model`, `item`, `run` (the session), `k`, `ms` (mean over
        repeats), `order` (mean position in the session, scaled to 0-1 within device × model ×
        run; 0 where unknown), `image_tokens` (mean; 0
        throughout where some are unknown). Beside the table's phases
        `phase` has ``tpot_ms``, `decode_ms` per generated token after the first, where both are
        known: how many tokens an answer has depends on k, so that the whole of decoding mixes
        cost and length.
    """
    smallest = latency.groupby("device", observed=True)["batch"].transform("min")
    rows = latency[latency["batch"] == smallest].copy()
    named = rows["sample_id"].notna()
    rows["item"] = rows["sample_id"].where(named, "request " + rows["request"].astype(str))
    rows["run"] = rows["run"].astype(str) if "run" in rows else ""
    order = rows["order"].astype(float)
    sessions = ["device", "model", "run"]
    span = rows.assign(order=order).groupby(sessions, observed=True)["order"]
    width = span.transform("max") - span.transform("min")
    rows["order"] = ((order - span.transform("min")) / width.where(width > 0)).fillna(0.0)
    told = "n_image_tokens" in rows and rows["n_image_tokens"].notna().all()
    rows["image_tokens"] = rows["n_image_tokens"].astype(float) if told else 0.0
    phases = [phase for phase in PHASES if phase in rows.columns]
    if {"decode_ms", "n_new_tokens"} <= set(rows.columns):
        later = rows["n_new_tokens"].astype(float) - 1
        rows[PER_TOKEN] = rows["decode_ms"].astype(float) / later.where(later > 0)
        phases.append(PER_TOKEN)
    long = rows.melt(
        id_vars=["device", "model", "item", "run", "k", "order", "image_tokens"],
        value_vars=phases,
        var_name="phase",
        value_name="ms",
    ).dropna(subset=["ms"])
    keys = ["device", "phase", "model", "item", "run", "k"]
    means = long.groupby(keys, sort=False, observed=True)[["ms", "order", "image_tokens"]].mean()
    return means.reset_index()


def mean_latency(items: pd.DataFrame, by: list[str] | None = None) -> pd.DataFrame:
    """Mean latency by k with intervals clustered by image.

    The arithmetic mean, since what is saved over many questions is a sum; median and maximum
    beside it show where a few stalls carry it.

    Parameters
    ----------
    items : DataFrame
        From `by_item`. With a column `cluster` (the image of the item) intervals are clustered
        by it, else by item.
    by : list of str, optional
        Grouping columns beside k; device, phase and model when left out.

    Returns
    -------
    DataFrame
        `by`, `k`, `mean_ms`, `ci_low`, `ci_high` (95 %, normal), `median_ms`, `max_ms` (both over
        items), `n_items`, and `carried_by`: items without which the mean would differ by more
        than half its standard error, or missing.
    """
    by = ["device", "phase", "model"] if by is None else by
    clustered = items if "cluster" in items else items.assign(cluster=items["item"])
    rows = []
    for key, part in clustered.groupby([*by, "k"], sort=False, observed=True):
        ms = part["ms"]
        mean, n = float(ms.mean()), len(ms)
        sums = (ms - mean).groupby(part["cluster"].to_numpy()).sum().to_numpy()
        g = len(sums)
        se = float(np.sqrt((sums**2).sum() * g / (g - 1))) / n if g > 1 else float("nan")
        # Leaving an item out moves the mean by its distance over n - 1.
        heavy = part["item"][(ms - mean).abs() > se / 2 * (n - 1)] if n > FEW else part["item"][:0]
        rows.append(
            {
                **dict(zip([*by, "k"], key, strict=True)),
                "mean_ms": mean,
                "ci_low": mean - Z95 * se,
                "ci_high": mean + Z95 * se,
                "median_ms": float(ms.median()),
                "max_ms": float(ms.max()),
                "n_items": int(part["item"].nunique()),
                "carried_by": ", ".join(heavy.astype(str)) or None,
            }
        )
    return pd.DataFrame(rows)
