"""What the residuals and random effects of a fit look like, in frames and a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import bdtr, expit, ndtri

from analysis.mixed.binning import Predicted, binned_means, calibration_of, clusters_of, expected
from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design
from analysis.mixed.integrating import normal_rule
from analysis.mixed.modes import labels_of, model_of, modes_of
from analysis.mixed.predicting import residuals, trials_of
from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit

_Values = tuple[str, npt.NDArray[np.object_], FloatArray]

#: Points kept of a quantile plot: evenly spaced ranks, the ends among them.
POINTS = 1000
#: Skewness and excess kurtosis beyond these are put into words, from so many values on.
SKEWED, HEAVY, ENOUGH = 1.0, 2.0, 20
#: The spread of residuals in bins of predictions may differ by this factor unsaid.
UNEVEN = 2.0
#: Pearson's chi-square over its degrees of freedom may lie so far from 1 unsaid.
DISPERSED = 1.5


@dataclass(frozen=True, eq=False, repr=False)
class Diagnostics:
    """Residuals and random effects of a fit, looked at.

    Attributes
    ----------
    predicted : ndarray, shape (n_obs,), float64
        What the rows are compared with, on the response scale: in gaussian fits the prediction
        of each row from all others, in binomial fits the probability averaged over the random
        effects.
    residuals : ndarray, shape (n_obs,), float64
        Standard normal where the model holds: outcome minus `predicted` over its standard
        deviation (gaussian); randomised quantile residuals (binomial; Dunn & Smyth 1996,
        doi:10.1080/10618600.1996.10474708), rows of a group alike where its effects are large;
        Pearson's for quasi-likelihoods.
    binned : DataFrame
        Rows in bins of like size by `predicted`: ``predicted`` (mean), ``n`` (rows),
        ``residual`` (mean of outcome minus predicted), ``bound`` (two standard errors, rows of
        a group not taken as independent: about 95 % of the means should lie within), ``sd``
        (of outcome minus predicted), ``scaled_sd`` (of `residuals`; the same in every bin where
        the model holds).
    calibration : DataFrame or None
        Of binomial fits, by tenths of `predicted`: ``predicted`` and ``observed`` (means over
        trials), ``trials``, ``ci_low``, ``ci_high`` (Wilson's, 95 %, of as many independent
        trials as would leave the observed share as uncertain as its groups do).
    quantiles : DataFrame
        ``of`` (``residuals``, or ``group: term`` of random effects), ``theoretical`` (normal
        quantile), ``sample`` (sorted values; at most 1,000 of evenly spaced rank).
    shape : DataFrame
        ``of``, ``n``, ``mean``, ``sd``, ``skewness``, ``excess_kurtosis`` (0 for the normal).
    extremes : DataFrame
        ``of``, ``label`` (index of the row, or level of the group), ``value``: the largest in
        size.
    dispersion : float or None
        Pearson's chi-square over rows less fixed effects, where rows stand for several trials
        of a binomial fit: above 1 the trials of a row are more alike than the model says.
        Random effects make it smaller than that. It has no meaning for single trials.
    words : tuple of str
        What stands out.
    """

    predicted: FloatArray
    residuals: FloatArray
    binned: pd.DataFrame
    calibration: pd.DataFrame | None
    quantiles: pd.DataFrame
    shape: pd.DataFrame
    extremes: pd.DataFrame
    dispersion: float | None
    words: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.words) or "Nothing conspicuous."


def diagnose(fit: MixedFit, *, bins: int = 20, extremes: int = 5, seed: int = 0) -> Diagnostics:
    """Look at the residuals and random effects of a fit.

    Parameters
    ----------
    fit : MixedFit
    bins : int
        Bins of predictions, at least 2; fewer where rows are few (ten a bin).
    extremes : int
        How many of the largest residuals, and of each random effect, are named.
    seed : int
        Of the randomised quantile residuals.

    Returns
    -------
    Diagnostics

    Notes
    -----
    Fitted values of a mixed model have adapted to the outcomes that they are compared with:
    even where the model holds, low ones lie above their outcomes and high ones below. So
    neither is used here: linear models predict each row from all others, fixed effects and
    variances being those of all rows; in logistic models, where this has no exact short cut,
    the random effects are averaged over.

    Modes are standardised by the standard deviation that they
    have under the model, √(variance − conditional variance) (Lange & Ryan 1989,
    doi:10.1214/aos/1176347130), fixed effects and variances taken as known. Modes of logistic
    models from few rows a group are not normal even where the random effects are.
    """
    if bins < 2:
        raise InputError(f"diagnostics need at least 2 bins, not {bins}")
    model = model_of(fit, mixed=False)
    design = model.design
    at, clusters = expected(fit, model), clusters_of(fit, design)
    mu, scaled = at.mean, _standard_residuals(fit, design, at, seed)
    binned = binned_means(design, at, scaled, bins, clusters)
    index = np.arange(len(mu)) if design.frame is None else design.frame.index.to_numpy()
    values: list[_Values] = [("residuals", index.astype(object), scaled), *_standard_modes(fit)]
    shape = pd.DataFrame([{"of": of, **_shape(v)} for of, _, v in values])
    calibration = calibration_of(design, mu, clusters) if fit.family == "binomial" else None
    dispersion = None
    if fit.family == "binomial" and design.trials is not None and design.trials.max() > 1:
        squares = float((residuals(fit, "pearson") ** 2).sum())
        dispersion = squares / max(1, len(mu) - len(fit.params))
    words = _words(binned, calibration, shape, dispersion)
    return Diagnostics(
        mu,
        scaled,
        binned,
        calibration,
        pd.concat([_quantiles(of, v) for of, _, v in values], ignore_index=True),
        shape,
        pd.concat([_largest(of, at, v, extremes) for of, at, v in values], ignore_index=True),
        dispersion,
        words,
    )


def quantile_residuals(
    counts: FloatArray, trials: FloatArray, eta: FloatArray, variance: FloatArray, seed: int
) -> FloatArray:
    """Turn counts into normal quantiles of uniform draws between F(count − 1) and F(count).

    Parameters
    ----------
    counts, trials : ndarray, shape (n,)
        Whole numbers.
    eta, variance : ndarray, shape (n,)
        F is binomial, averaged over normal log-odds with this mean and variance.
    seed : int

    Returns
    -------
    ndarray, shape (n,)
        Finite; standard normal where the counts have that distribution.
    """
    draw = np.random.default_rng(seed).random(len(counts))
    whole, sd = trials.astype(np.int64), np.sqrt(variance)
    low, high = np.zeros(len(counts)), np.zeros(len(counts))
    below = np.maximum(counts - 1, 0)
    for node, weight in zip(*normal_rule(float(sd.max(initial=0.0))), strict=True):
        mu = expit(eta + sd * node)
        high += weight * bdtr(counts, whole, mu)
        low += weight * np.where(counts > 0, bdtr(below, whole, mu), 0.0)
    tiny = 1e-16
    return np.asarray(ndtri(np.clip(low + draw * (high - low), tiny, 1 - tiny)))


def _standard_residuals(fit: MixedFit, design: Design, at: Predicted, seed: int) -> FloatArray:
    if fit.family == "gaussian":
        return np.asarray((design.y - at.mean) / at.sd)
    if fit.loglik is None:
        return residuals(fit, "pearson")
    trials = trials_of(design)
    counts = np.round(design.y * trials)
    return quantile_residuals(counts, trials, at.eta, at.variance, seed)


def _standard_modes(fit: MixedFit) -> list[_Values]:
    """Name, labels and standardised values of each random effect that varies."""
    model = model_of(fit, mixed=False)
    found = []
    blocks = zip(
        model.design.random,
        labels_of(model.design),
        modes_of(fit).blocks,
        model.covariances,
        strict=True,
    )
    for block, labels, modes, covariance in blocks:
        left = np.diag(covariance) - np.diagonal(modes.covariances, axis1=1, axis2=2)
        for j, name in enumerate(block.names):
            known = left[:, j] > 1e-6 * max(float(covariance[j, j]), 1e-12)
            if known.any():
                values = modes.values[known, j] / np.sqrt(left[known, j])
                found.append((f"{block.group}: {name}", labels[known], values))
    return found


def _quantiles(of: str, values: FloatArray) -> pd.DataFrame:
    n = len(values)
    rank = np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(np.int64))
    return pd.DataFrame(
        {"of": of, "theoretical": ndtri((rank + 0.5) / n), "sample": np.sort(values)[rank]}
    )


def _shape(values: FloatArray) -> dict[str, float]:
    n, mean, sd = len(values), float(values.mean()), float(values.std())
    z = (values - mean) / sd if sd > 0 else np.full(n, np.nan)
    return {
        "n": n,
        "mean": mean,
        "sd": float(values.std(ddof=1)) if n > 1 else np.nan,
        "skewness": float((z**3).mean()),
        "excess_kurtosis": float((z**4).mean()) - 3,
    }


def _largest(
    of: str, labels: npt.NDArray[np.object_], values: FloatArray, count: int
) -> pd.DataFrame:
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return pd.DataFrame({"of": of, "label": labels.astype(object)[order], "value": values[order]})


def _words(
    binned: pd.DataFrame,
    calibration: pd.DataFrame | None,
    shape: pd.DataFrame,
    dispersion: float | None,
) -> tuple[str, ...]:
    words = []
    spread = binned.loc[binned["n"] >= 10, "scaled_sd"]
    if len(spread) > 1 and spread.max() > UNEVEN * spread.min():
        words.append(
            f"residuals spread {spread.max() / spread.min():.1f} times as much in some bins of "
            "predictions as in others"
        )
    outside = int((binned["residual"].abs() > binned["bound"]).sum())
    if outside > max(2, 0.15 * len(binned)):
        words.append(f"mean residuals of {outside} in {len(binned)} bins lie beyond their bounds")
    for row in shape.to_dict("records"):
        if row["n"] >= ENOUGH and abs(row["skewness"]) > SKEWED:
            words.append(f"{row['of']} are skewed ({row['skewness']:.1f}; normal: 0)")
        if row["n"] >= ENOUGH and row["excess_kurtosis"] > HEAVY:
            words.append(
                f"{row['of']} have heavy tails (excess kurtosis {row['excess_kurtosis']:.1f}; "
                "normal: 0)"
            )
    if calibration is not None:
        off = (calibration["predicted"] < calibration["ci_low"]) | (
            calibration["predicted"] > calibration["ci_high"]
        )
        if off.sum() > 2:
            words.append(
                f"predicted probabilities lie outside the interval of the observed share in "
                f"{int(off.sum())} of {len(off)} tenths"
            )
    if dispersion is not None and dispersion > DISPERSED:
        words.append(
            f"overdispersed: Pearson's chi-square is {dispersion:.1f} times its degrees of "
            "freedom; give each row a random effect of its own, or robust errors"
        )
    return tuple(words)
