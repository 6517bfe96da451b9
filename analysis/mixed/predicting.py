"""Predictions of a fit, on its own rows or others, and what they leave: residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit, ndtri, stdtrit, xlogy

from analysis.mixed.clustered import FloatArray
from analysis.mixed.coordinates import row_variances
from analysis.mixed.design import Design
from analysis.mixed.encoding import Encoder
from analysis.mixed.integrating import averaged
from analysis.mixed.model import Model
from analysis.mixed.modes import model_of, modes_of
from analysis.mixed.satterthwaite import degrees
from complexity.errors import InputError, did_you_mean, listing

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit

Kind = Literal["conditional", "fixed", "population"]
Scale = Literal["response", "link"]
NewLevels = Literal["refuse", "population"]
Residual = Literal["response", "pearson", "deviance", "scaled"]


def predict(
    fit: MixedFit,
    data: pd.DataFrame | None = None,
    *,
    kind: Kind = "conditional",
    scale: Scale = "response",
    new_levels: NewLevels = "refuse",
) -> FloatArray:
    """Predict the outcome.

    Parameters
    ----------
    fit : MixedFit
    data : DataFrame, optional
        Rows to predict; the outcome is not needed. Default: the rows of the fit.
    kind : {"conditional", "fixed", "population"}
        ``conditional`` adds each group's modes (lme4's ``re.form = NULL``), ``fixed`` puts the
        random effects at zero (``re.form = NA``), and ``population`` averages the response over
        them, with the estimated variances. In gaussian models the last two are the same, and
        without random terms all three are.
    scale : {"response", "link"}
        Probabilities or log-odds in logistic models. The link of a population average is the
        log-odds of the averaged probability.
    new_levels : {"refuse", "population"}
        Groups that the fit has not seen, for ``conditional``: refuse them, or predict with
        their random effects at zero, the mean of the population on the link scale (lme4's
        ``allow.new.levels``).

    Returns
    -------
    ndarray, shape (n,), float64
        In the order of `data`. Rows with a missing value in a column that the prediction needs
        (a group's included) are NaN.

    Raises
    ------
    InputError
        For columns that are missing, values that the formula cannot take, and new groups.
    """
    options = (("kind", kind, Kind), ("scale", scale, Scale), ("new_levels", new_levels, NewLevels))
    for option, value, known in options:
        if value not in get_args(known):
            raise InputError(f"unknown {option} '{value}'; choose {' or '.join(get_args(known))}")
    rows = _rows(fit, data, kind, new_levels)
    eta = rows.X @ fit.params
    if kind == "conditional":
        eta = eta + rows.shift
    if fit.family == "binomial":
        if kind == "population":
            mean = averaged(eta, rows.variance)[0]
            eta = mean if scale == "response" else np.asarray(logit(mean))
        elif scale == "response":
            eta = np.asarray(expit(eta))
    return rows.spread(eta)


def predictions(
    fit: MixedFit,
    data: pd.DataFrame | None = None,
    *,
    kind: Literal["fixed", "population"] = "fixed",
    scale: Scale = "response",
    level: float = 0.95,
) -> pd.DataFrame:
    """Predict with standard errors and intervals of the mean.

    Parameters
    ----------
    fit, data, scale
        As `predict` has them.
    kind : {"fixed", "population"}
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    DataFrame
        ``prediction``, ``se``, ``df`` (NaN: normal quantiles), ``ci_low``, ``ci_high``, with
        the index of `data`. They say how well the mean is known; a new observation varies
        more. Standard errors are by the delta method, from the covariance of the fixed
        effects, and of the variances too for population averages of logistic mixed models.
        Intervals of probabilities are made on the log-odds scale. Degrees of freedom are the
        fit's (Satterthwaite's for each row of a linear mixed model).

    Raises
    ------
    InputError
        As `predict`, and for conditional predictions, whose modes' errors go with those of
        the fixed effects.
    """
    if kind not in ("fixed", "population"):
        raise InputError(
            "standard errors are for kind='fixed' and kind='population'; conditional predictions "
            "come without, from predict()"
        )
    if not 0 < level < 1:
        raise InputError(f"a confidence level lies between 0 and 1, not {level:g}")
    rows = _rows(fit, data, kind, "population")
    eta, X, cov = rows.X @ fit.params, rows.X, fit.cov
    logistic = fit.family == "binomial"
    freedom = np.full(len(eta), np.nan if fit.df is None else 1.0)
    if logistic and kind == "population":
        mean, to_eta, to_variance = averaged(eta, rows.variance)
        # From the average's own log-odds scale.
        size = np.maximum(mean * (1 - mean), 1e-300)
        eta, X = np.asarray(logit(mean)), X * (to_eta / size)[:, None]
        if rows.model.joint is not None:
            X = np.hstack([rows.slope * (to_variance / size)[:, None], X])
            cov = rows.model.joint
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.einsum("ni,ij,nj->n", X, cov, X, optimize=True))
    tail = (1 + level) / 2
    quantile = np.full(len(eta), float(ndtri(tail)))
    if fit.df is not None:
        freedom = degrees(X, cov, fit.spread) if fit.spread is not None else freedom * fit.df
        quantile = np.asarray(stdtrit(freedom, tail))
    table = {"prediction": eta, "se": se, "df": freedom}
    table |= {"ci_low": eta - quantile * se, "ci_high": eta + quantile * se}
    if logistic and scale == "response":
        for name in ("prediction", "ci_low", "ci_high"):
            table[name] = np.asarray(expit(table[name]))
        table["se"] = se * table["prediction"] * (1 - table["prediction"])
    frame = rows.model.design.frame if data is None else data
    index = None if frame is None else frame.index
    return pd.DataFrame({k: rows.spread(v) for k, v in table.items()}, index=index)


def fitted_values(fit: MixedFit) -> FloatArray:
    """Conditional predictions of the fit's own rows on the response scale, shape (n_obs,)."""
    return predict(fit)


def residuals(fit: MixedFit, kind: Residual = "response") -> FloatArray:
    """Outcome minus fitted value, as it is or scaled.

    Parameters
    ----------
    fit : MixedFit
    kind : {"response", "pearson", "deviance", "scaled"}
        ``response``: y − mu, mu with the modes of the random effects. ``pearson``: over the
        standard deviation of the outcome but for the residual's (as lme4: gaussian residuals
        are left as they are). ``deviance``: signed root of each row's part in the deviance.
        ``scaled``: Pearson's over the residual standard deviation.

    Returns
    -------
    ndarray, shape (n_obs,), float64
        In the order of the rows used.
    """
    if kind not in get_args(Residual):
        raise InputError(f"unknown residuals '{kind}'{did_you_mean(kind, get_args(Residual))}")
    design = model_of(fit, mixed=False).design
    mu = fitted_values(fit)
    raw = design.y - mu
    if fit.family == "gaussian":
        return raw / fit.residual_sd if kind == "scaled" and fit.residual_sd else raw
    if kind == "response":
        return raw
    trials = trials_of(design)
    if kind in ("pearson", "scaled"):
        return np.asarray(raw * np.sqrt(trials / np.maximum(mu * (1 - mu), 1e-300)))
    y = design.y
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = 2 * trials * (xlogy(y, y / mu) + xlogy(1 - y, (1 - y) / (1 - mu)))
    return np.asarray(np.sign(raw) * np.sqrt(np.maximum(parts, 0.0)))


def trials_of(design: Design) -> FloatArray:
    """Trials that each row stands for, shape (n_obs,): ones where none were given."""
    return np.ones(len(design.y)) if design.trials is None else design.trials


def random_variance(model: Model, Z: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Variance of the random effects in each row's linear predictor, with its derivatives.

    Parameters
    ----------
    model : Model
    Z : sequence of ndarray, shape (n, q)
        Columns of each block; none for a model without random terms.

    Returns
    -------
    variance : ndarray, shape (n,)
        The sum of z Σ z' over blocks.
    slope : ndarray, shape (n, m)
        Its derivatives to theta.
    """
    if not len(Z):
        n = len(model.design.y)
        return np.zeros(n), np.zeros((n, 0))
    return row_variances(model.theta, model.transforms, Z, model.sigma)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows to predict, those with missing values left out.

    ``X`` (n, p); ``shift`` (n,), the modes' part of the linear predictor; ``variance`` (n,) and
    ``slope`` (n, m), as `random_variance` gives them; ``complete`` (all rows,), which are here.
    """

    model: Model
    X: FloatArray
    shift: FloatArray
    variance: FloatArray
    slope: FloatArray
    complete: npt.NDArray[np.bool_]

    def spread(self, values: FloatArray) -> FloatArray:
        """Put values of the rows here among all rows, NaN elsewhere."""
        everywhere = np.full(len(self.complete), np.nan)
        everywhere[self.complete] = values
        return everywhere


def _rows(fit: MixedFit, data: pd.DataFrame | None, kind: Kind, new: NewLevels) -> _Rows:
    model = model_of(fit, mixed=False)
    design, encoder = model.design, model.design.encoder
    blocks = design.random if kind != "fixed" else ()
    if data is None:
        complete = np.ones(len(design.y), dtype=bool)
        X, Z = design.X, [block.Z for block in blocks]
        codes = [block.codes for block in blocks]
    else:
        if not isinstance(data, pd.DataFrame):
            raise InputError(f"rows to predict come in a DataFrame, not in a {type(data).__name__}")
        assert encoder is not None
        frame, complete = _complete(encoder, data, kind)
        if not complete.any():
            none = np.zeros(0)
            X = np.zeros((0, len(fit.names)))
            return _Rows(model, X, none, none, np.zeros((0, len(model.theta))), complete)
        X = encoder.X(frame)
        Z = [encoder.Z(frame, index) for index in range(len(blocks))]
        codes = []
        if kind == "conditional":
            codes = [grouping.codes_of(frame) for grouping in encoder.groupings]
            if new == "refuse":
                _check_levels(encoder, codes, frame)
    shift, variance, slope = np.zeros(len(X)), np.zeros(len(X)), np.zeros((len(X), 0))
    if kind == "conditional" and blocks:
        for modes, columns, code in zip(modes_of(fit).blocks, Z, codes, strict=True):
            effects = np.where(code[:, None] >= 0, modes.values[code], 0.0)
            shift += (columns * effects).sum(axis=1)
    elif kind == "population" and blocks and fit.family == "binomial":
        variance, slope = random_variance(model, Z)
    return _Rows(model, X, shift, variance, slope, complete)


def _complete(
    encoder: Encoder, data: pd.DataFrame, kind: Kind
) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """Rows without missing values in what is needed, in numpy's dtypes."""
    from formulae import model_description

    sums = [encoder.fixed, *(encoder.varying if kind != "fixed" else ())]
    needed = {str(name) for part in sums for name in model_description(part.text).var_names}
    if kind == "conditional":
        needed |= {name for grouping in encoder.groupings for name in grouping.factors}
    # What is not there is named by whoever asks for it.
    names = [name for name in data.columns if name in needed]
    complete = data[names].notna().all(axis=1).to_numpy()
    columns = {name: data[name][complete].to_numpy() for name in names}
    index = data.index[complete]
    return pd.DataFrame(columns, index=index).infer_objects().reset_index(drop=True), complete


def _check_levels(
    encoder: Encoder, codes: Sequence[npt.NDArray[np.int64]], frame: pd.DataFrame
) -> None:
    for grouping, code in zip(encoder.groupings, codes, strict=True):
        if (code < 0).any():
            unseen = frame.loc[code < 0, list(grouping.factors)].astype(str)
            labels = list(dict.fromkeys(unseen.agg(":".join, axis=1)))
            group = ":".join(grouping.factors)
            raise InputError(
                f"the fit has not seen '{group}' {listing(labels, shown=5)}: give "
                "new_levels='population' to predict with their random effects at zero, or "
                "kind='population'"
            )
