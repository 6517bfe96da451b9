"""A permutation test of complexity: would the curves differ as much under shuffled images?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.cells import Cells
from analysis.optimum.reported import ReportedTest

Array = NDArray[np.float64]
PERMUTATIONS = 999
#: Strata hold at least so many images on average, or complexity is shuffled over all of them.
STRATUM = 4


def permutation_test(
    cells: Cells,
    c: Array,
    strata: NDArray[np.intp] | None,
    rng: np.random.Generator,
    n_permutations: int = PERMUTATIONS,
) -> ReportedTest:
    """Test the interaction by shuffling complexity across images.

    The statistic is the image-clustered Wald statistic of all k × c terms of a linear
    probability model, recomputed for every shuffle: being studentised, it keeps its level
    asymptotically for "the curve does not change linearly with complexity" also where the
    spread of the answers depends on complexity (Janssen 1997, doi:10.1016/S0167-7152(97)00043-6;
    DiCiccio & Romano 2017, doi:10.1080/01621459.2016.1202117). It is exact only for the
    stronger null that, within strata, complexity has nothing to do with the answers at all. It
    says nothing about a shift of the optimum.

    Parameters
    ----------
    cells : Cells
        Scores of one model, every image with the same number of questions at every k.
    c : ndarray, shape (G,)
        Complexity of the images.
    strata : ndarray of int, shape (G,), or None
        Images are shuffled within these.
    rng : numpy.random.Generator
    n_permutations : int

    Returns
    -------
    ReportedTest
        Chi-square-scale statistic; p from the shuffles.
    """
    n_k = len(cells.ks)
    observed = _wald(cells, c)
    if observed is None:
        return ReportedTest(None, None, None, None, "no variation to test")
    groups = np.zeros(len(c), dtype=np.intp) if strata is None else strata
    order = np.argsort(groups, kind="stable")
    at_least = 1
    for _ in range(n_permutations):
        # Random keys within sorted strata shuffle each of them.
        shuffled = np.empty_like(c)
        shuffled[order] = c[np.lexsort((rng.random(len(c)), groups))]
        value = _wald(cells, shuffled)
        at_least += value is None or value >= observed * (1 - 1e-12)
    where = "over all images" if strata is None else "within strata of the covariates"
    return ReportedTest(
        statistic=observed,
        df=float(n_k - 1),
        df_denom=None,
        p=at_least / (n_permutations + 1),
        method=(
            f"studentised permutation of complexity {where}, {n_permutations:,} shuffles: tests "
            "that complexity has nothing to do with the curve in k, not that the optimum stays"
        ),
    )


def _wald(cells: Cells, c: Array) -> float | None:
    """Robust Wald statistic that the slopes in c are the same at every k."""
    n = cells.counts[:, 0]
    centred = c - (n @ c) / n.sum()
    spread = float(n @ centred**2)
    if spread <= 0:
        return None
    means = cells.sums.sum(axis=0) / n.sum()
    slopes = centred @ cells.sums / spread
    residual = cells.sums - n[:, None] * (means + centred[:, None] * slopes)
    influence = centred[:, None] * residual / spread
    contrast = influence[:, 1:] - influence[:, :1]
    covariance = contrast.T @ contrast * len(c) / (len(c) - 1)
    difference = slopes[1:] - slopes[0]
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    if not kept.any() or values[-1] <= 1e-20:
        return None
    return float(((vectors[:, kept].T @ difference) ** 2 / values[kept]).sum())


def strata_of(
    images: tuple[str, ...], rows: pd.DataFrame, covariates: list[str]
) -> NDArray[np.intp] | None:
    """Give images with the same covariates the same number; None where too few have.

    Parameters
    ----------
    images : tuple of str, length G
    rows : DataFrame
        Rows of one model with `image_id`, `sample_id` and the covariates.
    covariates : list of str

    Returns
    -------
    ndarray of int, shape (G,), or None
        Images with the same multiset of covariate values share a stratum. None without
        covariates and where strata would hold fewer than `STRATUM` images on average.
    """
    if not covariates:
        return None
    samples = rows.drop_duplicates("sample_id")
    kind = samples.groupby(covariates, observed=True, sort=True, dropna=False).ngroup()
    image = samples["image_id"].astype(str).to_numpy()
    order = np.lexsort((kind.to_numpy(), image))
    mixes = kind.iloc[order].astype(str).groupby(image[order]).agg(" ".join)
    codes, found = pd.factorize(mixes.reindex(list(images)), sort=True)
    return None if len(found) * STRATUM > len(images) else np.asarray(codes, dtype=np.intp)
