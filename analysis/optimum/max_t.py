"""Reference distributions for the largest of many studentised differences between k.

Three ways to ask how large the differences between k would be by chance, all with whole images
as units. They agree where images are many and no answer is rare; `docs/sets_of_k.md` says
where they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.cells import Cells
from analysis.optimum.common import CommonOptimum, t_draws
from complexity.errors import InputError

Array = NDArray[np.float64]
#: ``t``: multivariate t with the image-clustered covariance. ``bootstrap``: images drawn with
#: replacement, every resample studentised by its own covariance. ``multiplier``: the images'
#: influences times Mammen's two-point weights. ``rademacher``: times random signs.
Reference = Literal["t", "bootstrap", "multiplier", "rademacher"]
#: Behind sets and gains unless another is asked for: of the four the one whose sets hold the
#: best k often enough in every simulated study (docs/sets_of_k.md).
SETS_BY: Reference = "t"
DRAWS: dict[Reference, int] = {
    "t": 50_000,
    "bootstrap": 2_000,
    "multiplier": 5_000,
    "rademacher": 5_000,
}
SPELLED: dict[Reference, str] = {
    "t": "multivariate t Monte Carlo, image-cluster covariance",
    "bootstrap": "bootstrap of whole images, studentised in every resample",
    "multiplier": "multiplier bootstrap of the images' influences (Mammen's weights)",
    "rademacher": "multiplier bootstrap of the images' influences (random signs)",
}
#: Numbers held at once while resampling, so that many images fit in memory.
AT_ONCE = 4_000_000


def pair_errors(covariance: Array) -> Array:
    """Give the standard errors of all differences between two k; 1 on the diagonal.

    Parameters
    ----------
    covariance : ndarray, shape (..., K, K)
        Of the means; every difference has a positive variance (`Cells.test_covariance`).

    Returns
    -------
    ndarray, shape (..., K, K)
    """
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    squared = variance[..., :, None] + variance[..., None, :] - 2 * covariance
    index = np.arange(variance.shape[-1])
    squared[..., index, index] = 1.0
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)), dtype=np.float64)


@dataclass(frozen=True)
class Draws:
    """How means by k could have come out, were the estimates the truth.

    Attributes
    ----------
    errors : ndarray, shape (R, K)
        Means less the truth.
    covariance : ndarray, shape (R, K, K) or (K, K)
        To studentise by: of every resample (``bootstrap``), or the one that was estimated.
    """

    errors: Array
    covariance: Array

    def __len__(self) -> int:
        """Count the draws."""
        return len(self.errors)

    def against(self, position: int) -> Array:
        """Studentised amounts by which every k beats the one at `position`, shape (R, K)."""
        variance = np.diagonal(self.covariance, axis1=-2, axis2=-1)
        squared = variance + variance[..., [position]] - 2 * self.covariance[..., position]
        squared[..., position] = 1.0
        gain = self.errors - self.errors[:, [position]]
        return np.asarray(gain / np.sqrt(np.maximum(squared, 0.0)), dtype=np.float64)

    def critical_value(self, level: float, reference: int | None = None) -> float:
        """Quantile of the largest studentised difference, in absolute value.

        Parameters
        ----------
        level : float
            Simultaneous level of the intervals, such as .95.
        reference : int, optional
            Position of a k named before looking: over differences from it alone. Without it
            over all pairs, so that the reference may be the k that turned out best.
        """
        positions = range(self.errors.shape[1]) if reference is None else [reference]
        largest = np.zeros(len(self))
        for position in positions:
            np.maximum(largest, np.abs(self.against(position)).max(axis=1), out=largest)
        return float(np.quantile(largest, level))


def mean_draws(
    cells: Cells,
    method: Reference,
    rng: np.random.Generator,
    n_draws: int | None = None,
) -> Draws:
    """Draw means by k as they scatter about the truth.

    Parameters
    ----------
    cells : Cells
        Scores of one group of images, at least two; at least two k.
    method : {"t", "bootstrap", "multiplier", "rademacher"}
        See `Reference`. The first follows from a central limit theorem for the means and their
        covariance; the multiplier bootstraps from one for the maximum itself (Chernozhukov,
        Chetverikov & Kato 2013, doi:10.1214/13-AOS1161), Mammen's (1993,
        doi:10.1214/aos/1176349025) weights keeping the third moment of the influences; the
        bootstrap studentised in every resample also follows how the estimated errors vary with
        the differences (Hall 1988, doi:10.1214/aos/1176350933; Romano & Wolf 2005,
        doi:10.1198/016214504000000539).
    rng : numpy.random.Generator
        The source of the draws.
    n_draws : int, optional
        How many; `DRAWS` when left out.

    Returns
    -------
    Draws

    Raises
    ------
    InputError
        When the method is none of these.
    """
    if method not in get_args(Reference):
        raise InputError(f"method is '{method}'; choose one of {', '.join(get_args(Reference))}.")
    n = DRAWS[method] if n_draws is None else n_draws
    if method == "bootstrap":
        return _resampled(cells, n, rng)
    covariance = cells.test_covariance()
    if method == "t":
        return Draws(t_draws(covariance, len(cells.images), n, rng), covariance)
    return Draws(_multiplied(cells, method, n, rng), covariance)


def best_set(
    cells: Cells,
    rng: np.random.Generator,
    *,
    method: Reference = SETS_BY,
    alpha: float = 0.05,
    n_draws: int | None = None,
) -> CommonOptimum:
    """Find the k not distinguishable from the best of one group of images.

    For a candidate k the null says that no other k is more accurate. The statistic is the
    largest of 0 and all studentised amounts by which another k beats it; in its null
    distribution a k clearly behind the candidate (studentised, at most
    ``-sqrt(2 log log G)``) keeps its distance and so drops out (Hansen 2005,
    doi:10.1198/073500105000000063), as in `common_optimum`. A truly best k is kept with
    probability 1 - alpha.

    Parameters
    ----------
    cells : Cells
        Scores of the group: at least two images, at least two k.
    rng : numpy.random.Generator
        The source of the draws.
    method : {"t", "bootstrap", "multiplier", "rademacher"}
        Where the null distribution comes from (`mean_draws`).
    alpha : float
        One minus the level of the set.
    n_draws : int, optional
        Draws behind the p-values; `DRAWS` when left out.
    """
    draws = mean_draws(cells, method, rng, n_draws)
    p_by_k = tuple(float(p) for p in p_of_sets(cells, draws))
    return CommonOptimum(
        ks=cells.ks,
        p_by_k=p_by_k,
        p=max(p_by_k),
        kept=tuple(k for k, p in zip(cells.ks, p_by_k, strict=True) if p > alpha),
        alpha=alpha,
        n_draws=len(draws),
        method=set_method(method),
    )


def p_of_sets(cells: Cells, draws: Draws) -> Array:
    """Give p of "no other k is more accurate" for each k, shape (K,).

    Parameters
    ----------
    cells : Cells
        Scores of one group of images.
    draws : Draws
        Of the same group.
    """
    means = cells.means()
    gain = (means[None, :] - means[:, None]) / pair_errors(cells.test_covariance())
    threshold = -np.sqrt(2 * np.log(np.log(max(len(cells.images), 3))))
    centre = np.where(gain <= threshold, gain, 0.0)
    statistic = gain.max(axis=1)  # 0 at least: the diagonal is
    at_least = np.empty(len(means))
    for i in range(len(means)):
        null = (draws.against(i) + centre[i]).max(axis=1)
        # Draws at exactly the statistic count against rejection; a statistic of 0 gives p = 1.
        at_least[i] = np.count_nonzero(null >= statistic[i] - 1e-12)
    return np.asarray((1 + at_least) / (1 + len(draws)), dtype=np.float64)


def set_method(method: Reference) -> str:
    """Spell how a set of k was obtained."""
    return (
        "largest studentised shortfall from another k (max-T, multiple comparisons with the "
        f"best), {SPELLED[method]}, Hansen (2005) recentring"
    )


def _multiplied(cells: Cells, method: Reference, n_draws: int, rng: np.random.Generator) -> Array:
    counts = cells.counts
    influence = (cells.sums - counts * cells.means()) / counts.sum(axis=0)
    n = len(influence)
    influence = influence * np.sqrt(n / (n - 1))
    root = np.sqrt(5.0)
    out = np.empty((n_draws, influence.shape[1]))
    for rows in _chunks(n_draws, n):
        shape = (rows.stop - rows.start, n)
        if method == "rademacher":
            weights = 2.0 * rng.integers(0, 2, shape, dtype=np.int8) - 1.0
        else:
            # -(sqrt 5 - 1)/2 with chance (sqrt 5 + 1)/(2 sqrt 5): mean 0, variance and third
            # moment 1.
            high = rng.random(shape, dtype=np.float32) >= (root + 1) / (2 * root)
            weights = np.where(high, (root + 1) / 2, -(root - 1) / 2)
        out[rows] = weights @ influence
    return out


def _resampled(cells: Cells, n_draws: int, rng: np.random.Generator) -> Draws:
    """Resample images; covariances from weighted sums of products, not image by image."""
    n, n_k = cells.sums.shape
    # Centred first, so that squares of large sums do not cancel.
    own = cells.sums - cells.counts * cells.means()
    counts = cells.counts
    if (counts == counts[:, :1]).all():  # as many questions at every k: one column says all
        counts = counts[:, :1]
    n_c = counts.shape[1]
    first, second = np.triu_indices(n_k)
    own_pairs = own[:, first] * own[:, second]
    mixed_pairs = (own[:, :, None] * counts[:, None, :]).reshape(n, -1)
    count_pairs = (counts[:, :, None] * counts[:, None, :]).reshape(n, -1)
    ridge = cells.test_covariance() - cells.covariance()
    errors, covariance = np.empty((n_draws, n_k)), np.empty((n_draws, n_k, n_k))
    for rows in _chunks(n_draws, n):
        m = rows.stop - rows.start
        pick = rng.integers(0, n, (m, n), dtype=np.int32)
        pick += (np.arange(m, dtype=np.int32) * n)[:, None]
        weights = np.bincount(pick.ravel(), minlength=m * n).reshape(m, n).astype(np.float64)
        total = np.maximum(weights @ counts, 1.0)
        shift = (weights @ own) / total  # the resample's means less the study's
        spread = np.empty((m, n_k, n_k))
        spread[:, first, second] = spread[:, second, first] = weights @ own_pairs
        # [j, l]: sum of own_j times counts_l, times the shift of l; one count stands for all.
        mixed = (weights @ mixed_pairs).reshape(m, n_k, n_c) * shift[:, None, :]
        spread -= mixed + mixed.transpose(0, 2, 1)
        squares = (weights @ count_pairs).reshape(m, n_c, n_c)
        spread += squares * (shift[:, :, None] * shift[:, None, :])
        spread /= total[:, :, None] * total[:, None, :]
        errors[rows], covariance[rows] = shift, spread * (n / (n - 1)) + ridge
    return Draws(errors, covariance)


def _chunks(n_rows: int, n_columns: int) -> list[slice]:
    step = max(AT_ONCE // max(n_columns, 1), 1)
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]
