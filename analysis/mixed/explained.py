"""How much of the variance a mixed model explains: R² and intraclass correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.model import Model
from analysis.mixed.modes import model_of
from analysis.mixed.predicting import trials_of
from complexity.errors import InputError

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit


def r_squared(fit: MixedFit) -> pd.DataFrame:
    """Share of the variance that fixed effects, and fixed and random effects, explain.

    Parameters
    ----------
    fit : MixedFit

    Returns
    -------
    DataFrame
        A row for each way to have the variance of the residual, in ``method``: ``residual``
        (gaussian); for logistic models, on the log-odds scale, ``theoretical`` (π²/3, the
        variance of the standard logistic distribution) and ``delta`` (1 / (p (1 − p)) of a
        trial, p the mean outcome). Columns ``marginal`` (fixed effects alone) and
        ``conditional`` (with random effects), both in [0, 1], and the variances they come
        from: ``fixed``, ``random``, ``residual``.

    Raises
    ------
    InputError
        For quasi-likelihoods (outcomes between 0 and 1 that are no shares of trials), which
        have no residual variance on the log-odds scale.

    Notes
    -----
    Nakagawa & Schielzeth 2013 (doi:10.1111/j.2041-210x.2012.00261.x), Johnson 2014 for random
    slopes (doi:10.1111/2041-210X.12225: the mean over rows of z Σ z'), Nakagawa, Johnson &
    Schielzeth 2017 for logistic models (doi:10.1098/rsif.2017.0213). The mean outcome stands for
    their p, which they also take from a model without predictors. A row with n trials counts
    as n rows, so that trials and their shares answer alike; packages that count rows once
    differ there. Without random terms ``conditional`` is ``marginal``.
    """
    fixed, random, residual = _parts(fit)
    between = sum(random.values())
    rows = [
        {
            "method": method,
            "marginal": fixed / (fixed + between + noise),
            "conditional": (fixed + between) / (fixed + between + noise),
            "fixed": fixed,
            "random": between,
            "residual": noise,
        }
        for method, noise in residual.items()
    ]
    return pd.DataFrame(rows)


def icc(fit: MixedFit) -> pd.DataFrame:
    """Intraclass correlation: the share of the variance that lies between groups.

    Parameters
    ----------
    fit : MixedFit
        With random terms.

    Returns
    -------
    DataFrame
        ``group`` (``all`` for the sum of all groupings, then each of them), ``method`` (as
        `r_squared`), ``variance`` (of that grouping's random effects, averaged over rows where
        slopes vary), ``adjusted`` (over the variance of random effects and residual) and
        ``unadjusted`` (over that of the fixed effects too).

    Raises
    ------
    InputError
        For fits without random terms.

    Notes
    -----
    Nakagawa, Johnson & Schielzeth 2017, doi:10.1098/rsif.2017.0213. With random slopes the
    correlation differs from row to row; this is that of the mean variance.
    """
    model_of(fit)
    fixed, random, residual = _parts(fit)
    between = sum(random.values())
    rows = [
        {
            "group": group,
            "method": method,
            "variance": variance,
            "adjusted": variance / (between + noise),
            "unadjusted": variance / (fixed + between + noise),
        }
        for group, variance in {"all": between, **random}.items()
        for method, noise in residual.items()
    ]
    return pd.DataFrame(rows)


def _parts(fit: MixedFit) -> tuple[float, dict[str, float], dict[str, float]]:
    """Variance of the fixed part, of each grouping, and of the residual by method."""
    model = model_of(fit, mixed=False)
    design = model.design
    weights = trials_of(design)
    linear = design.X @ fit.params
    mean = np.average(linear, weights=weights)
    fixed = float(weights @ (linear - mean) ** 2 / (weights.sum() - 1))
    # A fixed part that is constant has no variance but that of rounding.
    fixed = 0.0 if fixed < 1e-24 * float(mean) ** 2 else fixed
    random = _between(model, weights)
    random = {name: random[name] for name in fit.n_groups if name in random}
    if fit.family == "gaussian":
        assert fit.residual_sd is not None
        return fixed, random, {"residual": fit.residual_sd**2}
    if fit.loglik is None:
        raise InputError(
            f"formula '{fit.formula}': outcomes between 0 and 1 have no residual variance on the "
            "log-odds scale, and so no R²"
        )
    p = float(np.average(design.y, weights=weights))
    return fixed, random, {"theoretical": np.pi**2 / 3, "delta": 1 / (p * (1 - p))}


def _between(model: Model, weights: FloatArray) -> dict[str, float]:
    """Mean over rows of z Σ z', by grouping factor."""
    found: dict[str, float] = {}
    for block, covariance in zip(model.design.random, model.covariances, strict=True):
        moment = (block.Z * weights[:, None]).T @ block.Z / weights.sum()
        found[block.group] = found.get(block.group, 0.0) + float((moment * covariance).sum())
    return found
