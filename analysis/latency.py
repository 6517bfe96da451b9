"""Latency by k: means that a reader can add up, and a mixed model that separates k from noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.mixed import MixedFit

PHASES = ("vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms")
Z95 = 1.959964
#: With fewer items than this every one carries the mean.
FEW = 30


@dataclass(frozen=True)
class LatencyFit:
    """A latency regression with what it was fitted to.

    Attributes
    ----------
    device, phase, model : str
        What was timed.
    fit : MixedFit
        The fitted model.
    """

    device: str
    phase: str
    model: str
    fit: MixedFit


def by_item(latency: pd.DataFrame) -> pd.DataFrame:
    """Average repeats within each item, one row per device × phase × model × item × k.

    An item is a sample where the rows name one, else a request. Where a device was timed with
    several batch sizes, only the smallest counts, as in the join.

    Parameters
    ----------
    latency : DataFrame
        The latency table.

    Returns
    -------
    DataFrame
        Columns `device`, `phase`, `model`, `item`, `k`, `ms` (mean over repeats), `order` (mean
        position in the run, scaled to 0-1 within device × model; 0 where unknown).
    """
    smallest = latency.groupby("device", observed=True)["batch"].transform("min")
    rows = latency[latency["batch"] == smallest].copy()
    named = rows["sample_id"].notna()
    rows["item"] = rows["sample_id"].where(named, "request " + rows["request"].astype(str))
    order = rows["order"].astype(float)
    span = rows.assign(order=order).groupby(["device", "model"], observed=True)["order"]
    width = span.transform("max") - span.transform("min")
    rows["order"] = ((order - span.transform("min")) / width.where(width > 0)).fillna(0.0)
    long = rows.melt(
        id_vars=["device", "model", "item", "k", "order"],
        value_vars=[phase for phase in PHASES if phase in rows.columns],
        var_name="phase",
        value_name="ms",
    ).dropna(subset=["ms"])
    keys = ["device", "phase", "model", "item", "k"]
    return long.groupby(keys, sort=False, observed=True)[["ms", "order"]].mean().reset_index()


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


def fit_latency(items: pd.DataFrame, c: pd.Series | None) -> list[LatencyFit]:
    """Fit ``ms ~ C(k) + c + order + (1 | item)`` for each device × phase × model.

    k enters as a factor: a doubling of k costs next to nothing where launches dominate and
    most of the time where the experts do.

    Parameters
    ----------
    items : DataFrame
        From `by_item`.
    c : Series of float, index item, or None
        Standardised complexity of each item's image; items without it are left out.

    Returns
    -------
    list of LatencyFit
        In order of device, phase and model. A group with one k, under two items or a constant
        time (a phase that never runs) is left out. Order, then c, leave the formula where they
        cannot be told from the rest, as in a session that took the questions by complexity.
    """
    fits = []
    keys = ["device", "phase", "model"]
    for (device, phase, model), rows in items.groupby(keys, sort=False, observed=True):
        if min(rows[name].nunique() for name in ("k", "item", "ms")) < 2:
            continue
        terms = ["C(k)"]
        data = rows
        if c is not None:
            data = rows.assign(c=c.reindex(rows["item"]).to_numpy()).dropna(subset=["c"])
            if data["item"].nunique() < 2 or data["c"].nunique() < 2:
                data = rows
            else:
                terms.append("c")
        if data["order"].max() > data["order"].min():
            terms.append("order")
        repeated = data.groupby("item", observed=True).size().max() > 1
        random = " + (1 | item)" if repeated else ""
        try:
            fitted = _fit_what_can_be_told(data, terms, random)
        except InputError as error:
            raise InputError(f"latency of {model} on {device}, {phase}: {error}") from error
        fits.append(LatencyFit(str(device), str(phase), str(model), fitted))
    return fits


def _fit_what_can_be_told(data: pd.DataFrame, terms: list[str], random: str) -> MixedFit:
    from analysis.mixed import fit

    try:
        return fit(f"ms ~ {' + '.join(terms)}{random}", data)
    except InputError:
        if len(terms) == 1:
            raise
        return _fit_what_can_be_told(data, terms[:-1], random)
