"""A permutation test of complexity: would the curves differ as much under shuffled images?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.cells import Cells
from analysis.optimum.reported import ReportedTest

Array = NDArray[np.float64]
PERMUTATIONS = 999
#: Shuffles times images worked on at once.
BATCH = 200_000
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
    observed = float(_wald(cells, c[None, :])[0])
    if np.isnan(observed):
        return ReportedTest(None, None, None, None, "no variation to test")
    groups = np.zeros(len(c), dtype=np.intp) if strata is None else strata
    order = np.argsort(groups, kind="stable")
    at_least, left = 1, n_permutations
    while left:
        batch = min(left, max(1, BATCH // len(c)))
        # Random keys within sorted strata shuffle each of them.
        keys = np.argsort(groups + rng.random((batch, len(c))), axis=1)
        shuffled = np.empty((batch, len(c)))
        shuffled[:, order] = c[keys]
        values = _wald(cells, shuffled)
        at_least += int((np.isnan(values) | (values >= observed * (1 - 1e-12))).sum())
        left -= batch
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


def _wald(cells: Cells, c: Array) -> Array:
    """Robust Wald statistics that the slopes in c are the same at every k; NaN: none.

    One per row of `c`, shape (B, G). With d the scores less their mean, x the centred
    complexity, n the questions of an image and s the slopes, the meat of the sandwich is
    ``Σ x² (d - n x s)(d - n x s)ᵀ``: multiplied out, it is sums over images of powers of x
    times terms that no shuffle changes, that is, matrix products.
    """
    n = cells.counts[:, 0].astype(np.float64)
    x = c - (c @ n / n.sum())[:, None]
    squared = x * x
    spread = squared @ n
    spread[spread <= 0] = np.nan
    sums = cells.sums[:, 1:] - cells.sums[:, :1]
    d = sums - n[:, None] * (sums.sum(axis=0) / n.sum())
    slopes = x @ d / spread[:, None]
    n_terms = d.shape[1]
    pairs = (d[:, :, None] * d[:, None, :]).reshape(len(d), -1)
    square = (squared @ pairs).reshape(-1, n_terms, n_terms)
    cross = ((squared * x) @ (n[:, None] * d))[:, :, None] * slopes[:, None, :]
    last = ((squared * squared) @ n**2)[:, None, None] * slopes[:, :, None] * slopes[:, None, :]
    meat = square - cross - cross.transpose(0, 2, 1) + last
    covariance = meat / spread[:, None, None] ** 2 * len(n) / (len(n) - 1)
    found = np.full(len(c), np.nan)
    usable = np.isfinite(covariance).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(covariance[usable])
    kept = values > np.maximum(1e-10 * values[:, -1:], 1e-20)
    turned = np.einsum("bij,bi->bj", vectors, slopes[usable])
    terms = np.divide(turned**2, values, out=np.zeros_like(values), where=kept)
    found[usable] = np.where(kept.any(axis=1), terms.sum(axis=1), np.nan)
    return found


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
