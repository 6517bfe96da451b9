"""How often each image is drawn when images are drawn with replacement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Picks drawn at once.
PICKS = 1_000_000


def image_weights(n_images: int, n_resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw sets of images with replacement, each as large as the study.

    Picks are counted set by set: several times as fast as drawing the multinomial counts.

    Parameters
    ----------
    n_images : int
        G.
    n_resamples : int
        B.
    rng : numpy.random.Generator
        The source of randomness.

    Returns
    -------
    ndarray, shape (B, G)
        Times that an image is in a set; rows sum to G.
    """
    weights = np.empty((n_resamples, n_images))
    at_once = max(1, PICKS // n_images)
    for first in range(0, n_resamples, at_once):
        rows = weights[first : first + at_once]
        for row, picked in zip(rows, rng.integers(n_images, size=rows.shape), strict=True):
            row[:] = np.bincount(picked, minlength=n_images)
    return weights
