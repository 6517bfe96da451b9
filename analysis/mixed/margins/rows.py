"""Predictions of rows and their derivatives, random effects at zero or integrated out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from analysis.mixed import integrating
from analysis.mixed.clustered import FloatArray
from analysis.mixed.margins.grid import design_of, encoder_of
from analysis.mixed.result import MixedFit
from analysis.mixed.satterthwaite import Spread
from complexity.errors import InputError

Scale = Literal["link", "response"]


@dataclass(frozen=True, eq=False)
class Source:
    """The parameters that estimates depend on.

    Attributes
    ----------
    cov : ndarray, shape (d, d)
        Their covariance; NaN for coefficients that diverge.
    undefined : ndarray, shape (d,), bool
        Which have none.
    df : float or None
        Degrees of freedom of every t statistic; None for z, and where `spread` gives them.
    spread : Spread or None
        What Satterthwaite's degrees of freedom need.
    p_values : str
        How p-values and intervals are had, in words.
    """

    cov: FloatArray
    undefined: npt.NDArray[np.bool_]
    df: float | None
    spread: Spread | None
    p_values: str


@dataclass(frozen=True, eq=False)
class Predictions:
    """Values of rows and their derivatives.

    Attributes
    ----------
    value : ndarray, shape (n,)
    gradient : ndarray, shape (n, d)
        To the parameters of the source; NaN where a coefficient without covariance matters.
    """

    value: FloatArray
    gradient: FloatArray


class RowPredictor:
    """Predicts rows by a fit.

    Parameters
    ----------
    fit : MixedFit
    scale : {"link", "response"}
    population : bool
        Integrate the random effects out. Without random effects, and for linear models,
        nothing changes.

    Raises
    ------
    InputError
        When the fit lacks what the integral's standard errors need.
    """

    def __init__(self, fit: MixedFit, scale: Scale, population: bool) -> None:
        design_of(fit)
        assert fit.model is not None
        self.fit, self.scale, self.model = fit, scale, fit.model
        self.encoder = encoder_of(fit)
        self.curved = fit.family == "binomial"
        self.integrates = population and self.curved and bool(fit.random)
        if self.integrates and self.model.joint is None:
            raise InputError(
                "this fit keeps no joint covariance of fixed effects and variances, which "
                "population=True needs"
            )
        # Columns of the formula that the fit has no coefficient for.
        made = list(self.encoder.fixed.names)
        self.columns = [made.index(name) for name in fit.names]
        self.null = self._null_space() if len(made) > len(self.columns) else None
        self.source = self._source()

    def _source(self) -> Source:
        fit = self.fit
        cov = fit.cov
        if self.integrates:
            assert self.model.joint is not None
            cov = self.model.joint
        df = None if fit.spread is not None or fit.df is None else float(np.mean(fit.df))
        undefined = ~np.isfinite(np.diag(cov))
        return Source(np.where(np.isfinite(cov), cov, 0.0), undefined, df, fit.spread, fit.p_values)

    def _null_space(self) -> FloatArray:
        """Directions of the formula's columns that the rows used say nothing about."""
        frame = design_of(self.fit).frame
        assert frame is not None
        X = self.encoder.X(frame)
        values, vectors = np.linalg.eigh(X.T @ X)
        return np.asarray(vectors[:, values < 1e-10 * values[-1]], dtype=np.float64)

    def __call__(self, frame: pd.DataFrame) -> Predictions:
        """Predict rows.

        Parameters
        ----------
        frame : DataFrame, n rows
            With the columns that the formula uses.

        Returns
        -------
        Predictions
            Linear predictors or means; with random effects integrated out, the average
            probability or its logit.
        """
        X = self.encoder.X(frame)
        unknown = np.zeros(len(X), dtype=bool)
        if self.null is not None:
            unknown = np.abs(X @ self.null).max(axis=1, initial=0.0) > 1e-8 * np.abs(X).max(axis=1)
        X = X[:, self.columns]
        eta = X @ self.fit.params
        if self.integrates:
            found = self._integrated(frame, eta, X)
        elif self.curved and self.scale == "response":
            mean = expit(eta)
            found = Predictions(mean, (mean * expit(-eta))[:, None] * X)
        else:
            found = Predictions(eta, X.copy())
        gradient = found.gradient
        gradient[unknown] = np.nan
        if self.curved and (self.integrates or self.scale == "response"):
            # A slope near zero would hide that its coefficient diverges.
            first = gradient.shape[1] - X.shape[1]
            for j in np.flatnonzero(self.source.undefined[first:]):
                gradient[X[:, j] != 0, first + j] = np.nan
        return found

    def _integrated(self, frame: pd.DataFrame, eta: FloatArray, X: FloatArray) -> Predictions:
        variance, slope = self._variance(frame)
        found = population_mean(eta, variance)
        by_eta, by_variance = found.by_eta, found.by_variance
        value = found.mean
        if self.scale == "link":
            # log m − log(1 − m), both had without cancellation.
            value = np.log(found.mean) - np.log(found.rest)
            size = found.mean * found.rest
            by_eta, by_variance = by_eta / size, by_variance / size
        gradient = np.column_stack([by_variance[:, None] * slope, by_eta[:, None] * X])
        return Predictions(value, gradient)

    def _variance(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Variance z'Σz of each row's random part, and its derivatives to theta."""
        from analysis.mixed.coordinates import row_variances

        model = self.model
        Z = [self.encoder.Z(frame, index) for index in range(len(model.design.random))]
        return row_variances(model.theta, model.transforms, Z)


@dataclass(frozen=True, eq=False)
class PopulationMean:
    """Average probabilities and their derivatives, shape (n,) each.

    Attributes
    ----------
    mean, rest : ndarray
        The probability and one less it.
    by_eta, by_variance : ndarray
        Derivatives of `mean`.
    """

    mean: FloatArray
    rest: FloatArray
    by_eta: FloatArray
    by_variance: FloatArray


def population_mean(eta: npt.ArrayLike, variance: npt.ArrayLike) -> PopulationMean:
    """Average a logistic curve over a normal linear predictor.

    Parameters
    ----------
    eta : array_like, shape (n,)
        Means of the linear predictor.
    variance : array_like, shape (n,)
        Its variances, 0 or more.

    Returns
    -------
    PopulationMean
        By the rule of `analysis.mixed.integrating.averaged`.
    """
    centre = np.asarray(eta, dtype=np.float64)
    spread = np.asarray(variance, dtype=np.float64)
    mean, by_eta, by_variance = integrating.averaged(centre, spread)
    # Near 1 the rest would be lost by subtraction.
    rest = integrating.averaged(-centre, spread)[0]
    return PopulationMean(mean, rest, by_eta, by_variance)


def averaged(predictor: RowPredictor, frame: pd.DataFrame, weights: FloatArray) -> Predictions:
    """Average the predictions of rows.

    Parameters
    ----------
    predictor : RowPredictor
    frame : DataFrame, n rows
    weights : ndarray, shape (m, n)

    Returns
    -------
    Predictions
        Of m averages.
    """
    found = predictor(frame)
    return Predictions(weights @ found.value, combine(weights, found.gradient))


def combine(weights: FloatArray, gradient: FloatArray) -> FloatArray:
    """Multiply, NaN entries reaching only the combinations that give them weight.

    Parameters
    ----------
    weights : ndarray, shape (m, n)
    gradient : ndarray, shape (n, d)

    Returns
    -------
    ndarray, shape (m, d)
    """
    missing = np.isnan(gradient)
    product = weights @ np.where(missing, 0.0, gradient)
    if missing.any():
        product[((weights != 0).astype(float) @ missing) > 0] = np.nan
    return np.asarray(product, dtype=np.float64)


def to_probability(value: FloatArray, gradient: FloatArray) -> Predictions:
    """Turn logits and their derivatives into probabilities and theirs."""
    mean = expit(value)
    return Predictions(mean, (mean * expit(-value))[:, None] * gradient)


def to_logit(value: FloatArray, gradient: FloatArray) -> Predictions:
    """Turn probabilities and their derivatives into logits and theirs."""
    return Predictions(logit(value), gradient / (value * (1 - value))[:, None])
