"""Accuracy by k from per-image sums, with image-cluster covariance.

Images are the units that were sampled; the questions of an image, and the answers of one
question at every k, hang together. So everything here is kept as sums per image and k, and
every covariance and every bootstrap resample takes whole images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.resample import image_weights
from complexity.errors import InputError, listing

Array = NDArray[np.float64]
#: Sums of the same answers in another order differ in the last bits: that is a tie.
TIE = 1e-9


@dataclass(frozen=True)
class Cells:
    """Scores of one model, summed per image and k.

    Attributes
    ----------
    ks : tuple of int, length K
        The k grid, ascending.
    images : tuple of str, length G
        Image ids, sorted.
    sums, counts : ndarray, shape (G, K)
        Sum and number of the scores of an image at each k; a count of 0 is a missing cell.
    """

    ks: tuple[int, ...]
    images: tuple[str, ...]
    sums: Array
    counts: Array

    def take(self, chosen: NDArray[np.bool_]) -> Cells:
        """Keep some of the images.

        Parameters
        ----------
        chosen : ndarray of bool, shape (G,)
            Which images stay.
        """
        kept = tuple(image for image, keep in zip(self.images, chosen, strict=True) if keep)
        return Cells(self.ks, kept, self.sums[chosen], self.counts[chosen])

    def means(self) -> Array:
        """Mean score at each k over all scored questions, shape (K,); NaN where there is none."""
        return _ratio(self.sums.sum(axis=0), self.counts.sum(axis=0))

    def covariance(self) -> Array:
        """Image-cluster covariance of `means`, shape (K, K).

        The mean at k is a ratio of two sums over images; its linearisation gives image i the
        influence ``(S_ik - N_ik m_k) / N_k`` (Cochran 1977, Sampling Techniques, section
        2.11), and the covariance is the sum of the influences' outer products times
        G / (G - 1). NaN throughout with fewer than two images.
        """
        n_images = len(self.images)
        if n_images < 2:
            return np.full((len(self.ks), len(self.ks)), np.nan)
        residual = self.sums - self.counts * self.means()
        influence = _ratio(residual, self.counts.sum(axis=0))
        return np.asarray(influence.T @ influence * n_images / (n_images - 1), dtype=np.float64)

    def test_covariance(self) -> Array:
        """`covariance` with one pseudo-answer of spread in every contrast, shape (K, K).

        Two k that differ on a handful of answers, or on none, have a covariance too small to
        studentise by. Adding ``1 / (2 N^2)`` to each variance, N the number of questions, gives
        every difference the variance of one further answer that flips: a difference of
        nothing stays 0 standard errors, and five answers of a thousand are not five sigma.
        """
        n_questions = float(self.counts.sum(axis=0).max())
        ridge = np.eye(len(self.ks)) / (2 * n_questions**2)
        return np.asarray(self.covariance() + ridge, dtype=np.float64)

    def bootstrap_means(self, n_resamples: int, rng: np.random.Generator) -> Array:
        """Means of resampled sets of images, shape (n_resamples, K).

        Parameters
        ----------
        n_resamples : int
            How many resamples, each of G images drawn with replacement.
        rng : numpy.random.Generator
            The source of randomness.
        """
        weights = image_weights(len(self.images), n_resamples, rng)
        return _ratio(weights @ self.sums, weights @ self.counts)


def cells_of(table: pd.DataFrame) -> Cells:
    """Sum the scores of one model per image and k.

    Parameters
    ----------
    table : DataFrame
        Rows of one model with `image_id`, `k` and `score`; rows without a score are left out.

    Returns
    -------
    Cells
        Images sorted by id, so that the order of rows does not matter.
    """
    scored = table.loc[table["score"].notna(), ["image_id", "k", "score"]]
    ks = np.sort(scored["k"].unique())
    codes, images = pd.factorize(scored["image_id"].astype(str), sort=True)
    columns = np.searchsorted(ks, scored["k"].to_numpy())
    shape = (len(images), len(ks))
    flat = codes * len(ks) + columns
    size = shape[0] * shape[1]
    weights = scored["score"].to_numpy(dtype=np.float64)
    return Cells(
        ks=tuple(int(k) for k in ks),
        images=tuple(str(image) for image in images),
        sums=np.bincount(flat, weights=weights, minlength=size).reshape(shape).astype(np.float64),
        counts=np.bincount(flat, minlength=size).astype(np.float64).reshape(shape),
    )


def complete_samples(table: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """Keep the samples of one model that have a score at every k of its grid.

    A k that was measured on easier questions than another looks better than it is; compared
    on the same questions it cannot.

    Parameters
    ----------
    table : DataFrame
        Rows of one model with `sample_id`, `k` and `score`.

    Returns
    -------
    DataFrame
        The rows of complete samples.
    str or None
        What was set aside, in words.

    Raises
    ------
    InputError
        When no sample has every k.
    """
    rows = table[table["score"].notna()]
    n_k = rows["k"].nunique()
    per_sample = rows.groupby("sample_id", observed=True)["k"].nunique()
    complete = per_sample.index[per_sample == n_k]
    if len(complete) == len(per_sample):
        return rows, None
    by_k = rows.groupby("k")["sample_id"].nunique()
    sparsest = int(by_k.index.to_numpy()[by_k.to_numpy().argmin()])
    if len(complete) == 0:
        raise InputError(
            f"no sample has results at all {n_k} k, so no two k can be compared on the same "
            f"questions. k = {sparsest} has the fewest ({by_k.min():,}): complete it or leave "
            "it out of the results."
        )
    return rows[rows["sample_id"].isin(complete)], (
        f"{len(per_sample) - len(complete):,} of {len(per_sample):,} samples lack some k and are "
        f"set aside, so that every k is judged on the same questions; k = {sparsest} has the "
        f"fewest results ({by_k.min():,})."
    )


def without_scores(table: pd.DataFrame) -> str | None:
    """Say which k of one model have rows but no score at all: they leave the grid.

    Parameters
    ----------
    table : DataFrame
        Rows of one model with `k` and `score`.
    """
    counts = table.groupby("k")["score"].count()
    empty = [int(k) for k in counts.index[counts == 0]]
    if not empty:
        return None
    return f"k = {listing(empty)} has rows but no score and is left out: nothing is said about it."


def without_differences(cells: Cells) -> str | None:
    """Say that every question has one score at all k, so that no k can be told from another.

    Parameters
    ----------
    cells : Cells
        Scores of one model on the same questions at every k.
    """
    if np.ptp(cells.sums, axis=1).max(initial=0.0) > TIE:
        return None
    mean = float(cells.means()[0])
    kind = {0.0: "wrong ", 1.0: "right "}.get(mean, "")
    every = f"every answer is {kind.strip()}" if kind else "every image scores the same"
    return (
        f"{every} at all k: these data cannot tell which k is best, nor whether it shifts. The "
        "smallest k is named for want of a better; limits and intervals only bound what so few "
        "images could hide."
    )


def winners(means: Array) -> Array:
    """Share of the win of each k along the last axis; ties share it equally.

    Parameters
    ----------
    means : ndarray, shape (..., K)
        Means by k.

    Returns
    -------
    ndarray, shape (..., K)
        Sums to 1 along the last axis.
    """
    tied = means >= means.max(axis=-1, keepdims=True) - TIE
    return np.asarray(tied / tied.sum(axis=-1, keepdims=True), dtype=np.float64)


def best_index(means: Array) -> int:
    """Position of the largest mean; ties go to the smaller k.

    Parameters
    ----------
    means : ndarray, shape (K,)
        Means by k.
    """
    return int(np.argmax(winners(means) > 0))


def _ratio(numerator: Array, denominator: Array) -> Array:
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
