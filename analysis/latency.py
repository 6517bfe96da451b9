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
MEANS_METHOD = "normal, clustered by sample (repeats averaged within it), 95 %"
Z95 = 1.959964


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
    """Mean latency by k with intervals clustered by item.

    The arithmetic mean, since what is saved over many questions is a sum.

    Parameters
    ----------
    items : DataFrame
        From `by_item`.
    by : list of str, optional
        Grouping columns beside k; device, phase and model when left out.

    Returns
    -------
    DataFrame
        `by`, `k`, `mean_ms`, `ci_low`, `ci_high` (95 %, normal), `n_items`.
    """
    by = ["device", "phase", "model"] if by is None else by
    # An item that several rows of a group share (two models, say) is one cluster still.
    once = items.groupby([*by, "k", "item"], sort=False, observed=True)["ms"].mean().reset_index()
    grouped = once.groupby([*by, "k"], sort=False, observed=True)["ms"]
    out = grouped.agg(mean_ms="mean", sd="std", n_items="size").reset_index()
    half = Z95 * out["sd"] / np.sqrt(out["n_items"])
    out["ci_low"], out["ci_high"] = out["mean_ms"] - half, out["mean_ms"] + half
    return out[[*by, "k", "mean_ms", "ci_low", "ci_high", "n_items"]]


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
