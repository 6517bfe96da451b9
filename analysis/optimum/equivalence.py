"""Is one k as good as any other, to within a margin, at both ends of complexity?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from analysis.optimum.cells import Cells
from analysis.optimum.rare_losses import RARE, rare_p

METHOD = (
    "one-sided t of every other k at every end, image-clustered, the largest p "
    "(intersection-union), Bonferroni over k; where fewer than "
    f"{RARE} images lose, not below the exact binomial p of so few"
)


@dataclass(frozen=True)
class Equivalence:
    """Whether some k is shown to cost less than a margin at both ends.

    Attributes
    ----------
    margin : float
        In accuracy (share, not points).
    k : int
        The k with the least p; ties go to the smaller.
    p : float
        p of the null "every k costs the margin or more at some end".
    within : tuple of int
        Every k shown to cost less, at .05 and together.
    method : str
    """

    margin: float
    k: int
    p: float
    within: tuple[int, ...]
    method: str = METHOD


def within_margin(groups: Sequence[Cells], margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Test whether one k serves all groups of images to within a margin of the best.

    For a candidate k the null is that some other k' beats it by `margin` or more in some group.
    It is rejected when every one of the one-sided tests of ``m(k') − m(k) < margin`` rejects,
    so its p is the largest of theirs (intersection-union; Berger & Hsu 1996, Statistical
    Science 11(4), doi:10.1214/ss/1032280304). The k is chosen after looking: the p-values are
    multiplied by the number of k. Where a k' beats k on few images only, t is too sure: the p is
    then not below `analysis.optimum.rare_losses.rare_p`.

    Parameters
    ----------
    groups : sequence of Cells
        Groups of different images, as a rule the two ends of complexity.
    margin : float
        Accuracy that may be lost, positive. At 0 nothing can be shown.
    alpha : float
        Level of `within`.

    Returns
    -------
    Equivalence
    """
    ks = groups[0].ks
    worst = np.zeros(len(ks))
    for part in groups:
        mean, covariance = part.means(), part.test_covariance()
        variance = np.diag(covariance)
        error = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0.0))
        gap = mean[None, :] - mean[:, None]  # [k, other]: by how much other beats k
        np.fill_diagonal(error, 1.0)
        p = stdtr(len(part.images) - 1, (gap - margin) / error)
        exact = np.column_stack([rare_p(part, other, margin) for other in range(len(ks))])
        p = np.maximum(p, exact)
        np.fill_diagonal(p, 0.0)
        worst = np.maximum(worst, p.max(axis=1))
    adjusted = np.minimum(worst * len(ks), 1.0)
    best = int(np.argmin(np.round(adjusted, 12)))
    within = tuple(k for k, value in zip(ks, adjusted, strict=True) if value <= alpha)
    return Equivalence(margin=margin, k=ks[best], p=float(adjusted[best]), within=within)
