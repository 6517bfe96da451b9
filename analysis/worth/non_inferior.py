"""The smallest k that is certainly within a margin of the most accurate one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.cells import Cells, best_index
from analysis.optimum.common import t_draws
from analysis.optimum.rare_losses import METHOD as RARE_METHOD
from analysis.optimum.rare_losses import rare_limit

Array = NDArray[np.float64]
DRAWS = 50_000
LEVEL = 0.95
METHOD = (
    "upper limits of the distance from the best k, simultaneous over k (multiple comparisons "
    "with the best after Hsu, image-cluster covariance, multivariate t Monte Carlo), 95 %; "
    f"{RARE_METHOD}, Bonferroni over k"
)


@dataclass(frozen=True)
class NonInferior:
    """How far each k may be behind the most accurate one.

    Attributes
    ----------
    group : str
        A bucket, or ``all``.
    n_images, n_samples : int
        Images and questions in it.
    ks : tuple of int
        The k grid.
    best : int
        Most accurate k; ties go to the smaller.
    shortfall : tuple of float
        Estimated distance of each k from the most accurate one (share of accuracy).
    limit : tuple of float
        Upper 95 % limit of the distance from the truly best k, simultaneous over k.
    k : int or None
        Smallest k whose limit does not exceed the margin; None: none is shown.
    n_differ : int or None
        Images on which that k and `best` score differently; the limit rests on them.
    method : str
        How the limits were obtained.
    """

    group: str
    n_images: int
    n_samples: int
    ks: tuple[int, ...]
    best: int
    shortfall: tuple[float, ...]
    limit: tuple[float, ...]
    k: int | None
    n_differ: int | None
    method: str = METHOD


def non_inferior(
    group: str, cells: Cells, margin: float, rng: np.random.Generator, n_draws: int = DRAWS
) -> NonInferior:
    """Find the smallest k whose accuracy is within a margin of the best k's.

    Let b be the truly most accurate k, which is not known. With probability .95 no
    ``m_b - m_j`` is underestimated by more than ``c_b se_bj``, for all j at once (one-sided,
    many-to-one with b as control). Whichever k is b, the distance of j from it is then at most
    ``max over i of (m_i - m_j + c_i se_ij)``, and not below 0. These limits hold for all j at
    once, so also for the smallest one that meets the margin. Where few images lose, the limit of
    `analysis.optimum.rare_losses.rare_limit` holds beside them.

    Parameters
    ----------
    group : str
        Name of the group of images.
    cells : Cells
        Its scores: at least two images, the same questions at every k.
    margin : float
        Share of accuracy, in [0, 1).
    rng : numpy.random.Generator
        The source of the draws.
    n_draws : int
        Monte Carlo draws behind the critical values.

    References
    ----------
    Hsu, J. C. (1984). Constrained simultaneous confidence intervals for multiple comparisons
    with the best. The Annals of Statistics, 12(3), 1136-1144. doi:10.1214/aos/1176346732
    """
    mean, covariance = cells.means(), cells.test_covariance()
    variance = np.diag(covariance)
    error = np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0.0))
    draws = t_draws(covariance, len(cells.images), n_draws, rng)
    limit = np.zeros(len(mean))
    for control in range(len(mean)):
        others = np.arange(len(mean)) != control
        behind = (draws[:, others] - draws[:, [control]]) / error[control, others]
        critical = float(np.quantile(behind.max(axis=1), LEVEL))
        bound = mean[control] - mean[others] + critical * error[control, others]
        bound = np.maximum(bound, rare_limit(cells, control, (1 - LEVEL) / len(bound))[others])
        limit[others] = np.maximum(limit[others], bound)
    limit = np.minimum(limit, 1.0)
    best = best_index(mean)
    found = np.flatnonzero(limit <= margin)
    first = int(found[0]) if len(found) else None
    differ = None
    if first is not None:
        differ = int(np.count_nonzero(cells.sums[:, first] != cells.sums[:, best]))
    return NonInferior(
        group=group,
        n_images=len(cells.images),
        n_samples=int(cells.counts.max(axis=1).sum()),
        ks=cells.ks,
        best=cells.ks[best],
        shortfall=tuple(float(d) for d in mean.max() - mean),
        limit=tuple(float(u) for u in limit),
        k=None if first is None else cells.ks[first],
        n_differ=differ,
    )
