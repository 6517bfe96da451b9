"""The latencies of one model, as sums that can be resampled by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.latency import FEW
from analysis.worth.answer import LatencyBasis

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Timed:
    """Latencies summed by cluster and k.

    Attributes
    ----------
    ks : tuple of int, length K
        k that were timed among those with scores.
    sums : ndarray, shape (C, K)
        Sum over the timed samples of a cluster, ms.
    counts : ndarray, shape (C,)
        Their number.
    basis : LatencyBasis
        What they are. With `by_bucket` the clusters are the images with scores, in their
        order; else they are whatever was timed.
    """

    ks: tuple[int, ...]
    sums: Array
    counts: Array
    basis: LatencyBasis

    def means(self, chosen: NDArray[np.bool_] | None = None) -> Array:
        """Arithmetic mean latency at each k, shape (K,), over some clusters or all."""
        pick = slice(None) if chosen is None else chosen
        return np.asarray(self.sums[pick].sum(axis=0) / self.counts[pick].sum(), dtype=np.float64)


def timed_items(
    items: pd.DataFrame,
    ks: tuple[int, ...],
    image_of: pd.Series,
    images: tuple[str, ...],
    bucket: NDArray[np.intp],
    n_buckets: int,
) -> tuple[Timed | None, list[str]]:
    """Sum one model's latencies, paired over k: only items that were timed at every k count.

    Parameters
    ----------
    items : DataFrame
        `item`, `k` and `ms` of one model, one device and one phase (`analysis.latency.by_item`).
    ks : tuple of int
        k that have scores.
    image_of : Series, index sample id
        Image of each sample.
    images : tuple of str, length G
        Images with scores.
    bucket : ndarray of int, shape (G,)
        Their bucket.
    n_buckets : int
        Complexity buckets.

    Returns
    -------
    Timed or None
        None where fewer than two of the k were timed on the same items.
    list of str
        What was left out, and why nothing is given, in words.
    """
    rows = items[items["k"].isin(ks)]
    wide = rows.pivot_table(index="item", columns="k", values="ms", aggfunc="mean", observed=True)
    if wide.shape[1] < 2:
        return None, ["no latency of this model at two or more of its k"]
    whole = wide.dropna().sort_index()
    if not len(whole):
        return None, ["no timed sample has a latency at every k, so latencies are not compared"]
    notes = []
    if len(whole) < len(wide):
        notes.append(
            f"{len(wide) - len(whole):,} of {len(wide):,} timed samples lack some k and are left "
            "out of prices and times"
        )
    absent = [k for k in ks if k not in wide.columns]
    if absent:
        notes.append(f"k = {', '.join(map(str, absent))} was not timed and has no utility")
    found = tuple(int(k) for k in whole.columns)
    place = pd.Index(images).get_indexer(pd.Index(whole.index.to_series().map(image_of)))
    known = place >= 0
    per_bucket = np.bincount(bucket[place[known]], minlength=n_buckets)
    values = whole.to_numpy(dtype=np.float64)
    if per_bucket.min() >= FEW and len(np.unique(place[known])) >= FEW:
        if not known.all():
            notes.append(
                f"{int((~known).sum()):,} timed samples are not among those with scores and are "
                "left out of prices and times"
            )
        sums = np.zeros((len(images), len(found)))
        np.add.at(sums, place[known], values[known])
        counts = np.bincount(place[known], minlength=len(images)).astype(np.float64)
        basis = LatencyBasis(
            int(known.sum()),
            int((counts > 0).sum()),
            True,
            "images, with their scores and latencies together",
        )
        return Timed(found, sums, counts, basis), notes
    cluster = np.where(known, place.astype(str), "item " + whole.index.astype(str))
    codes, names = pd.factorize(cluster)
    sums = np.zeros((len(names), len(found)))
    np.add.at(sums, codes, values)
    notes.append(
        f"latency is the mean over all {len(whole):,} timed samples, the same for every bucket "
        f"(fewer than {FEW} timed samples, or images, in some bucket)"
    )
    basis = LatencyBasis(
        len(whole),
        len(names),
        False,
        "images for scores and, apart from them, the images of the timed samples for latency"
        if len(names) > 1
        else "images for scores; the one latency at each k is taken as known",
    )
    return Timed(found, sums, np.bincount(codes).astype(np.float64), basis), notes
