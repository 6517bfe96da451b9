"""How much a k may lose on images too rare for a t interval to know of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.cells import Cells

Array = NDArray[np.float64]
#: With fewer images that lose, an exact limit stands beside t's.
RARE = 10
#: Confidence of the least that images which gain are worth.
SECURED = 0.99
METHOD = (
    f"where fewer than {RARE} images lose, not below the exact binomial limit of their share "
    "(Clopper & Pearson) times the largest loss of one of them, a whole image where none loses, "
    "less what others gain"
)


def losses(cells: Cells, control: int) -> tuple[NDArray[np.int_], Array, Array]:
    """Count the images on which each k scores below another, and what loss and gain they say.

    Parameters
    ----------
    cells : Cells
    control : int
        Place in the grid of the k that the others are compared with.

    Returns
    -------
    lost : ndarray of int, shape (K,)
        Images on which `control` scores more.
    largest : ndarray, shape (K,)
        Largest loss of an image, as its contribution to the mean times the number of images;
        where none loses, that of an image lost whole. At least 0.
    gained : ndarray, shape (K,)
        What the images that gain are worth at least: lower `SECURED` t limit of their mean
        contribution; 0 where fewer than `RARE` do.
    """
    from scipy.special import stdtrit

    n = len(cells.images)
    questions = cells.counts[:, control]
    # Images with more questions weigh more in the mean.
    gain = (cells.sums - cells.sums[:, [control]]) / questions.mean()
    lost = np.count_nonzero(gain < 0, axis=0)
    largest = np.where(lost > 0, -gain.min(axis=0), questions.max() / questions.mean())
    won = np.maximum(gain, 0.0)
    limit = won.mean(axis=0) - stdtrit(n - 1, SECURED) * won.std(axis=0, ddof=1) / np.sqrt(n)
    enough = np.count_nonzero(won, axis=0) >= RARE
    return lost, np.maximum(largest, 0.0), np.where(enough, np.maximum(limit, 0.0), 0.0)


def rare_limit(cells: Cells, control: int, alpha: float) -> Array:
    """Give the least upper limit of what each k loses to another that so few images allow.

    A t interval of a difference that rests on a handful of images is too short, and one that
    rests on none has next to no width, although images that lose may have been missed by
    chance. With m losing images of G, their share is at most the Clopper-Pearson limit
    (Biometrika 26, 1934, doi:10.1093/biomet/26.4.404) at confidence ``1 - alpha``; what they
    lose on average is taken to be the most that was seen. Images that gain are set against them
    with the least that they are worth, where they are not rare themselves.

    Parameters
    ----------
    cells : Cells
    control : int
        Place in the grid of the k that the others are compared with.
    alpha : float
        In (0, 1), one-sided, for each k on its own.

    Returns
    -------
    ndarray, shape (K,)
        Share of accuracy; minus infinity where `RARE` or more images lose, and at `control`.
    """
    from scipy.special import betaincinv

    lost, largest, gained = losses(cells, control)
    n = len(cells.images)
    few = (lost < RARE) & (np.arange(len(lost)) != control)
    share = betaincinv(np.minimum(lost, n - 1) + 1.0, np.maximum(n - lost, 1.0), 1 - alpha)
    share = np.where(lost >= n, 1.0, share)
    return np.where(few, np.minimum(share * largest, 1.0) - gained, -np.inf)


def rare_p(cells: Cells, control: int, margin: float) -> Array:
    """Give the exact p of "this k loses `margin` or more to another", where few images lose.

    Parameters
    ----------
    cells : Cells
    control : int
        Place in the grid of the k that the others are compared with.
    margin : float
        Positive share of accuracy.

    Returns
    -------
    ndarray, shape (K,)
        Chance of so few losing images, if their share were that which makes `margin` at the
        largest loss seen; 0 where `RARE` or more images lose, and at `control`.
    """
    from scipy.special import bdtr

    lost, largest, gained = losses(cells, control)
    n = len(cells.images)
    few = (lost < RARE) & (np.arange(len(lost)) != control)
    share = np.minimum((margin + gained) / np.maximum(largest, 1e-12), 1.0)
    return np.where(few, bdtr(lost, n, share), 0.0)
