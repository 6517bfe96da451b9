"""Rows of drawn clusters put together, every copy of a group a group of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.clustered import number_groups
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.structure import IntArray
from complexity.errors import InputError, did_you_mean


@dataclass(frozen=True, eq=False)
class Clusters:
    """What is drawn.

    Attributes
    ----------
    name : str
        For messages and results.
    codes : ndarray, shape (n,), int64
        Cluster of each row of the design.
    n : int
        Number of clusters.
    """

    name: str
    codes: IntArray
    n: int


def clusters_of(design: Design, cluster: str | npt.ArrayLike | None, outermost: str) -> Clusters:
    """Find the clusters to draw.

    Parameters
    ----------
    design : Design
    cluster : str, array_like of shape (n,), or None
        A grouping of the random terms, a column of the formula, or one label for each row
        that the fit used; None for the fit's own cluster, or else `outermost`.
    outermost : str
        Grouping that holds the others; empty without random terms.

    Returns
    -------
    Clusters

    Raises
    ------
    InputError
        For an unknown name, labels of another length, a single cluster, and clusters that
        cut through every grouping of the random terms.
    """
    name = cluster if isinstance(cluster, str) else "cluster"
    if cluster is None:
        name = outermost
        if not design.random:
            if design.cluster is None:
                raise InputError(
                    "this fit has neither random terms nor a cluster: say what is to be drawn "
                    "(cluster='image')"
                )
            labels = np.asarray(design.cluster)
    if isinstance(cluster, str) or (cluster is None and design.random):
        groupings = {block.group: block.codes for block in design.random}
        frame = pd.DataFrame() if design.frame is None else design.frame
        if name in groupings:
            labels = groupings[name]
        elif name in frame.columns:
            labels = frame[name].to_numpy()
        else:
            known = [*groupings, *(str(column) for column in frame.columns)]
            raise InputError(
                f"no grouping or column '{name}' in the fit{did_you_mean(name, known)}; give the "
                "labels themselves, one for each row that was used"
            )
    elif cluster is not None:
        labels = np.asarray(cluster)
        if labels.shape != (len(design.y),):
            raise InputError(
                f"{labels.shape} cluster labels for {len(design.y):,} rows; give one for each row "
                "that the fit used"
            )
    codes, levels = number_groups(labels)
    found = Clusters(name, codes, len(levels))
    if found.n < 2:
        raise InputError(f"'{name}' has a single value; several clusters are needed to draw from")
    if design.random and not any(nested(block, found) for block in design.random):
        raise InputError(
            f"'{name}' cuts through the groups of every random term; draw clusters that hold "
            f"whole groups, such as '{outermost}'"
        )
    return found


def nested(block: RandomBlock, clusters: Clusters) -> bool:
    """Say whether each group of a random block lies within one cluster."""
    pairs = pd.unique(block.codes * clusters.n + clusters.codes)
    return len(pairs) == block.n_levels


def drawn_rows(clusters: Clusters, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Rows of the drawn clusters and which copy each is: both shape (drawn rows,).

    Copies of a cluster have numbers from 0 on; rows of a copy keep their order.
    """
    times = counts[clusters.codes]
    rows = np.repeat(np.arange(len(times)), times)
    starts = np.cumsum(times) - times
    return rows, np.arange(len(rows)) - starts[rows]


def copied_blocks(
    blocks: Sequence[RandomBlock], clusters: Clusters, rows: IntArray, copy: IntArray
) -> tuple[RandomBlock, ...]:
    """Random blocks of drawn rows: groups within clusters are new in every copy, others not."""
    many = int(copy.max()) + 1
    found = []
    for block in blocks:
        codes = block.codes[rows]
        if nested(block, clusters):
            codes = codes * many + copy
        codes = pd.factorize(codes, sort=True)[0].astype(np.int64)
        found.append(replace(block, Z=block.Z[rows], codes=codes, n_levels=int(codes.max()) + 1))
    return tuple(found)


def copied(design: Design, clusters: Clusters, counts: IntArray) -> Design:
    """Put the design of a cluster bootstrap sample together.

    Parameters
    ----------
    design : Design
    clusters : Clusters
    counts : ndarray, shape (clusters,), int64
        How often each cluster was drawn.

    Returns
    -------
    Design
        Its cluster labels are those of the copies; it has no frame and no encoder.
    """
    rows, copy = drawn_rows(clusters, counts)
    labels = clusters.codes[rows] * (int(copy.max()) + 1) + copy
    return replace(
        design,
        y=design.y[rows],
        X=design.X[rows],
        random=copied_blocks(design.random, clusters, rows, copy),
        cluster=labels,
        trials=None if design.trials is None else design.trials[rows],
        frame=None,
        encoder=None,
    )
