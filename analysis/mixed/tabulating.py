"""A fit as tables and plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from complexity.errors import InputError, did_you_mean
from complexity.files import plain

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit

Part = Literal["fixed", "random"]


def tidy(fit: MixedFit, level: float = 0.95, kind: Part = "fixed") -> pd.DataFrame:
    """Tabulate the fixed effects, or the random part.

    Parameters
    ----------
    fit : MixedFit
    level : float
        Coverage of the intervals, between 0 and 1.
    kind : {"fixed", "random"}

    Returns
    -------
    DataFrame
        ``fixed``: ``term``, ``estimate``, ``se``, ``statistic``, ``df`` (NaN for z), ``p``,
        ``ci_low``, ``ci_high``, one row a coefficient; ``attrs`` say how p-values were had
        (``p_values``) and which covariance it is (``covariance``). ``random``: ``group``,
        ``levels`` (of the group), ``term``, ``term2`` (missing for standard deviations),
        ``estimate`` (standard deviation, or the correlation of two terms), and the residual
        in the last row of gaussian fits. A standard deviation cannot be negative, so it has
        no Wald statistic.
    """
    if kind not in get_args(Part):
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, get_args(Part))}")
    if kind == "random":
        rows = [
            (part.group, fit.n_groups[part.group], part.term, part.term2, part.sd_or_corr)
            for part in fit.random
        ]
        if fit.residual_sd is not None:
            rows.append(("residual", fit.n_obs, "residual", None, fit.residual_sd))
        columns = ["group", "levels", "term", "term2", "estimate"]
        return pd.DataFrame(rows, columns=columns)
    interval = fit.conf_int(level)
    frame = pd.DataFrame(
        {
            "term": list(fit.names),
            "estimate": fit.params,
            "se": fit.bse,
            "statistic": fit.tvalues,
            "df": np.full(len(fit.names), np.nan if fit.df is None else fit.df),
            "p": fit.pvalues,
            "ci_low": interval[:, 0],
            "ci_high": interval[:, 1],
        }
    )
    frame.attrs.update(p_values=fit.p_values, covariance=fit.covariance)
    return frame


def glance(fit: MixedFit) -> pd.DataFrame:
    """Tabulate the fit in one row of its attributes."""
    keys = ["formula", "family", "method", "engine", "covariance", "n_obs", "n_dropped"]
    keys += ["residual_sd", "loglik", "deviance", "aic", "bic", "converged", "singular"]
    return pd.DataFrame([{key: getattr(fit, key) for key in keys}])


def to_json(fit: MixedFit) -> dict[str, object]:
    """Give what ``optik fit --json`` prints: plain values, null for NaN.

    Returns
    -------
    dict
        ``fixed``, ``random``, ``loglik``, ``deviance``, ``aic``, ``bic``, ``n_obs``,
        ``n_groups``, ``residual_sd``, ``method``, ``converged``, ``singular``, ``seconds``,
        ``covariance``, ``warnings``, ``n_dropped``, ``formula``, ``family``, ``engine``,
        ``statistic``, ``p_values``.
    """
    fixed = [
        {str(key): value for key, value in row.items()} for row in tidy(fit).to_dict("records")
    ]
    value = plain(
        {
            "fixed": fixed,
            "random": [vars(component) for component in fit.random],
            "loglik": fit.loglik,
            "deviance": fit.deviance,
            "aic": fit.aic,
            "bic": fit.bic,
            "n_obs": fit.n_obs,
            "n_groups": dict(fit.n_groups),
            "residual_sd": fit.residual_sd,
            "method": fit.method,
            "converged": fit.converged,
            "singular": fit.singular,
            "seconds": fit.seconds,
            "covariance": fit.covariance,
            "warnings": list(fit.warnings),
            "n_dropped": fit.n_dropped,
            "formula": fit.formula,
            "family": fit.family,
            "engine": fit.engine,
            "statistic": fit.statistic,
            "p_values": fit.p_values,
        }
    )
    assert isinstance(value, dict)
    return value
