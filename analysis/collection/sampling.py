"""A part of a study's questions that keeps its spread of complexity."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.manifest import Study

STRATA = 10


def stratified(samples: pd.DataFrame, complexity: pd.Series, n: int, *, seed: int) -> pd.DataFrame:
    """Draw questions so that every tenth of the images' complexity has its share.

    Images are ordered by complexity, ties at random, and cut into `STRATA` groups. Each group
    gives a share of the questions as large as its share of all of them (rounding by the largest
    remainder); within a group, images are drawn at random and give one question each before any
    gives a second.

    Parameters
    ----------
    samples : DataFrame
        With `sample_id`, `image_id`.
    complexity : Series of float
        By image id; images without a value form a group of their own.
    n : int
        Questions to draw.
    seed : int
        The same seed and samples give the same draw.

    Returns
    -------
    DataFrame
        Rows of `samples`, in their order.

    Raises
    ------
    InputError
        n is below 1.
    """
    if n < 1:
        raise InputError(f"--samples: {n} questions cannot be drawn; give 1 or more")
    if n >= len(samples):
        return samples
    rng = np.random.default_rng([seed, 0x5A])
    images = pd.Index(samples["image_id"].unique())
    value = complexity.reindex(images).to_numpy(dtype=float)
    order = np.lexsort((rng.permutation(len(images)), value))
    known = int(np.isfinite(value).sum())
    stratum = np.full(len(images), STRATA)
    stratum[order[:known]] = np.arange(known) * STRATA // max(known, 1)
    # Within a stratum: first every image's first question in random order, then the second …
    group = stratum[images.get_indexer(samples["image_id"])]
    shuffled = rng.permutation(len(samples))
    turn = np.empty(len(samples), dtype=np.int64)
    turn[shuffled] = samples.iloc[shuffled].groupby("image_id").cumcount().to_numpy()
    place = np.empty(len(samples), dtype=np.int64)
    place[shuffled] = np.arange(len(samples))
    sizes = np.bincount(group, minlength=STRATA + 1)
    exact = sizes * (n / len(samples))
    share = np.floor(exact).astype(np.int64)
    spare = np.argsort(-(exact - share), kind="stable")[: n - int(share.sum())]
    share[spare] += 1
    kept: list[int] = []
    for number, count in enumerate(share):
        rows = np.flatnonzero(group == number)
        kept += rows[np.lexsort((place[rows], turn[rows]))][:count].tolist()
    return samples.iloc[sorted(kept)]


def complexity_of(study: Study) -> pd.Series:
    """Measure the manifest's primary metric on every image.

    Parameters
    ----------
    study : Study
        Its images; object counts come from where it says.

    Returns
    -------
    Series of float64
        By image id; missing where the image has no value.
    """
    from analysis.measuring import measure_sources

    metric = study.manifest.analysis.primary.metric
    with TemporaryDirectory() as folder:
        table = Path(folder) / "complexity.parquet"
        measure_sources([study.path], out=table, metrics=metric, workers=1)
        frame = pd.read_parquet(table, columns=["image_id", metric])
    return frame.set_index("image_id")[metric].astype(float)
