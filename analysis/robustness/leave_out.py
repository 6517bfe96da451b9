"""The answer without some of the data: a bucket, a kind of question, a single image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag

from analysis.optimum.cells import Cells, best_index, cells_of, complete_samples
from analysis.optimum.common import CommonOptimum, common_optimum
from complexity.errors import InputError

Array = NDArray[np.float64]
DRAWS = 20_000
#: So many images are left out one at a time: those whose answers move the means most.
TRIED = 20


@dataclass(frozen=True)
class Without:
    """The headline test without some of the data.

    Attributes
    ----------
    left_out : str
        ``bucket: low``, ``question_type: count``, ``image: i0042.png``, or ``nothing``.
    p : float
    common : tuple of int
        The k not rejected as best at both ends.
    best_low, best_high : int
    """

    left_out: str
    p: float
    common: tuple[int, ...]
    best_low: int
    best_high: int


def leave_out(
    rows: pd.DataFrame,
    labels: pd.Series,
    covariates: Sequence[str],
    seed: np.random.SeedSequence,
    *,
    alpha: float = 0.05,
) -> list[Without]:
    """Repeat the headline test without each bucket, category and influential image.

    Parameters
    ----------
    rows : DataFrame
        Of one model: `image_id`, `sample_id`, `k`, `score` and the covariates.
    labels : Series of ordered categories, index image id
        Complexity buckets; the first and the last that are left are the ends.
    covariates : sequence of str
        Text columns are left out one category at a time, if they have two to twenty.
    seed : SeedSequence
        Every test draws from the same stream, so that differences are the data's.
    alpha : float

    Returns
    -------
    list of Without
        First that with nothing left out.
    """
    rows = complete_samples(rows)[0]
    cells = cells_of(rows)
    of_image = labels.reindex(list(cells.images))

    def tested(name: str, part: Cells, buckets: pd.Series) -> Without | None:
        present = [b for b in labels.cat.categories if (buckets == b).sum() >= 2]
        if len(present) < 2:
            return None
        ends = [part.take((buckets == b).to_numpy()) for b in (present[0], present[-1])]
        found = _headline(ends, np.random.default_rng(seed), alpha)
        best = [part.ks[best_index(end.means())] for end in ends]
        return Without(name, found.p, found.kept, best[0], best[1])

    answers = [tested("nothing", cells, of_image)]
    if len(labels.cat.categories) > 2:
        for bucket in (labels.cat.categories[0], labels.cat.categories[-1]):
            answers.append(tested(f"bucket: {bucket}", cells, of_image.where(of_image != bucket)))
    for name in covariates:
        column = rows[name]
        if pd.api.types.is_numeric_dtype(column) or not 2 <= column.nunique() <= 20:
            continue
        for level in sorted(column.dropna().astype(str).unique()):
            try:
                part = cells_of(rows[column.astype(str) != level])
            except (InputError, ValueError):
                continue
            answers.append(tested(f"{name}: {level}", part, labels.reindex(list(part.images))))
    for i in influential(cells, of_image):
        kept = np.arange(len(cells.images)) != i
        answers.append(tested(f"image: {cells.images[i]}", cells.take(kept), of_image[kept]))
    return [answer for answer in answers if answer is not None]


def influential(cells: Cells, of_image: pd.Series) -> list[int]:
    """Name the images whose answers move the differences between k of their end most."""
    influence = np.zeros(len(cells.images))
    categories = [b for b in of_image.cat.categories if (of_image == b).sum() >= 2]
    for bucket in (categories[0], categories[-1]) if len(categories) > 1 else ():
        mask = (of_image == bucket).to_numpy()
        part = cells.take(mask)
        total = part.counts.sum(axis=0)
        moved = (part.sums - part.counts * part.means()) / total
        influence[mask] = np.ptp(moved, axis=1)
    order = np.argsort(-influence, kind="stable")
    return [int(i) for i in order[:TRIED] if influence[i] > 0]


def _headline(ends: Sequence[Cells], rng: np.random.Generator, alpha: float) -> CommonOptimum:
    return common_optimum(
        ends[0].ks,
        [end.means() for end in ends],
        block_diag(*(end.test_covariance() for end in ends)),
        [len(end.images) for end in ends],
        rng,
        alpha=alpha,
        n_draws=DRAWS,
    )
