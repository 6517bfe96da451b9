"""What the rows of a fit are compared with, and how the comparison fares in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.integrating import averaged
from analysis.mixed.model import Model
from analysis.mixed.modes import modes_of
from analysis.mixed.predicting import predict, random_variance, trials_of

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit


@dataclass(frozen=True, eq=False)
class Predicted:
    """What rows are compared with: linear predictor, its variance, mean and SD of the outcome."""

    eta: FloatArray
    variance: FloatArray
    mean: FloatArray
    sd: FloatArray  # NaN for quasi-likelihoods


def expected(fit: MixedFit, model: Model) -> Predicted:
    """Predict gaussian rows from all others, and average binomial ones over random effects."""
    design = model.design
    if fit.family == "gaussian":
        assert fit.residual_sd is not None
        noise, known = fit.residual_sd**2, modes_of(fit).variance
        # Less the row's own part in what is known of its linear predictor.
        left = np.maximum(1 - known / noise, 1e-6)
        eta = design.y - (design.y - predict(fit)) / left
        return Predicted(eta, known / left, eta, np.sqrt(noise / left))
    eta = design.X @ fit.params
    variance, _ = random_variance(model, [block.Z for block in design.random])
    mean, slope, _ = averaged(eta, variance)
    if fit.loglik is None:
        return Predicted(eta, variance, mean, np.full(len(eta), np.nan))
    # The trials of a row share its random effects.
    shared = np.maximum(mean * (1 - mean) - slope, 0.0)
    return Predicted(eta, variance, mean, np.sqrt(slope / trials_of(design) + shared))


def clusters_of(fit: MixedFit, design: Design) -> list[npt.NDArray[np.int64]]:
    """Find the groups whose rows `predicted` leaves dependent: the coarsest of nested ones."""
    if design.cluster is not None:
        return [pd.factorize(design.cluster)[0]]
    if fit.family == "gaussian" or not design.random:
        return [np.arange(len(design.y))]
    coarsest: list[RandomBlock] = []
    for block in sorted(design.random, key=lambda block: block.n_levels):
        pairs = [pd.unique(block.codes * kept.n_levels + kept.codes) for kept in coarsest]
        if all(len(found) > block.n_levels for found in pairs):
            coarsest.append(block)
    return [block.codes for block in coarsest]


def variance_of_sums(
    bins: npt.NDArray[np.int64], values: FloatArray, clusters: list[npt.NDArray[np.int64]]
) -> FloatArray:
    """Estimate the variance of the sum of each bin, values of different clusters independent.

    Parameters
    ----------
    bins : ndarray, shape (n,), int64
        From 0 to the number of bins less one.
    values : ndarray, shape (n,)
        Of mean zero.
    clusters : list of ndarray, shape (n,), int64
        One or more crossed clusterings: what each gives is added, so that what they share is
        counted twice, on the safe side.

    Returns
    -------
    ndarray, shape (bins,)
    """
    total = np.zeros(int(bins.max()) + 1)
    for codes in clusters:
        pair = bins * (int(codes.max()) + 1) + codes
        unique, place = np.unique(pair, return_inverse=True)
        sums = np.bincount(place, weights=values)
        total += np.bincount(
            unique // (int(codes.max()) + 1), weights=sums**2, minlength=len(total)
        )
    return total


def _tiles(values: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """Bin of each value, of like size, equal values together."""
    count = max(1, min(count, len(values)))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]


def binned_means(
    design: Design,
    at: Predicted,
    scaled: FloatArray,
    count: int,
    clusters: list[npt.NDArray[np.int64]],
) -> pd.DataFrame:
    """Compare outcomes with predictions in bins (see `analysis.mixed.diagnostics`)."""
    rest = design.y - at.mean
    bins = _tiles(at.mean, max(2, min(count, len(rest) // 10)))
    frame = pd.DataFrame({"predicted": at.mean, "residual": rest, "scaled": scaled})
    groups = frame.groupby(bins)
    n = groups.size()
    # Where all outcomes of a bin are the same, the model knows better how they vary.
    known = np.bincount(bins, weights=np.nan_to_num(at.sd**2))
    variance = np.maximum(variance_of_sums(bins, rest, clusters), known)
    return pd.DataFrame(
        {
            "predicted": groups["predicted"].mean(),
            "n": n,
            "residual": groups["residual"].mean(),
            "bound": 2 * np.sqrt(variance) / n,
            "sd": groups["residual"].std(),
            "scaled_sd": groups["scaled"].std(),
        }
    )


def calibration_of(
    design: Design, mu: FloatArray, clusters: list[npt.NDArray[np.int64]]
) -> pd.DataFrame:
    """Compare shares of successes with probabilities in tenths of these."""
    trials, bins = trials_of(design), _tiles(mu, 10)
    n, predicted, observed = (
        np.bincount(bins, weights=trials * values) for values in (np.ones(len(mu)), mu, design.y)
    )
    p, z = observed / n, float(ndtri(0.975))
    variance = variance_of_sums(bins, trials * (design.y - mu), clusters) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = np.where(p * (1 - p) > 0, variance * n / (p * (1 - p)), 1.0)
    m = n / np.maximum(alike, 1.0)
    middle = (p + z**2 / (2 * m)) / (1 + z**2 / m)
    half = z / (1 + z**2 / m) * np.sqrt(p * (1 - p) / m + z**2 / (4 * m**2))
    return pd.DataFrame(
        {
            "predicted": predicted / n,
            "observed": p,
            "trials": n,
            "ci_low": middle - half,
            "ci_high": middle + half,
        }
    )
