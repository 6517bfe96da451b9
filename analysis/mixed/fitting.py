"""`fit`: from a formula and a frame to a result, by the engine that fits it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from analysis.mixed import design as designs
from analysis.mixed import terms as language
from analysis.mixed.assemble import linear_mixed, logistic_mixed, ready
from analysis.mixed.clustered import ClusteredFit
from analysis.mixed.design import Design
from analysis.mixed.formula import Formula, parse
from analysis.mixed.linear import linear_clustered
from analysis.mixed.logit import logit_clustered
from analysis.mixed.model import Model
from analysis.mixed.result import MixedFit
from analysis.threads import one_thread
from complexity.errors import InputError

Family = Literal["gaussian", "binomial"]
Method = Literal["reml", "ml"]


@one_thread
def fit(
    formula: str,
    data: pd.DataFrame,
    *,
    family: Family = "gaussian",
    method: Method | None = None,
    cluster: str | None = None,
    weights: str | None = None,
) -> MixedFit:
    """Fit a regression, mixed or not.

    Parameters
    ----------
    formula : str
        As in lme4: ``ms ~ C(k) + (1 | sample_id)``, ``correct ~ C(k) * c + C(question_type)``,
        ``correct ~ x * c + (1 + x | image) + (1 + x | image:question) + (1 | model)``.
        The fixed part is read by formulae: ``C(x)`` makes categories (the first is the
        reference), ``I(x**2)`` arithmetic. ``poly(x, 2)``, ``ns(x, df=3)``, ``bs(x, df=4)``,
        ``scale(x)`` and ``center(x)`` are R's, in random terms too. A binomial outcome may be
        ``cbind(successes, failures)``; then ``(1 | row)`` with one group a row is allowed.
    data : DataFrame
        One row an observation; rows with a missing value in a used column are left out and
        counted.
    family : {"gaussian", "binomial"}
        Binomial: logit link, outcome in [0, 1]; outcomes between 0 and 1 make it a
        quasi-likelihood with robust errors, which has no random terms.
    method : {"reml", "ml"}, optional
        Default ``reml`` for gaussian, ``ml`` for binomial. Without random terms it only
        decides which log-likelihood is reported.
    cluster : str, optional
        Column of clusters for a robust covariance (CR1, t with G − 1 degrees of freedom);
        for models without random terms.
    weights : str, optional
        Column with the number of trials of each row; the outcome is then the share of
        successes. Binomial models only.

    Returns
    -------
    MixedFit

    Raises
    ------
    InputError
        When formula, data or the combination asked for cannot be fitted, saying why.
    """
    if not isinstance(formula, str) or not isinstance(data, pd.DataFrame):
        raise InputError(
            "fit(formula, data) takes a formula as text and a pandas DataFrame, not "
            f"{type(formula).__name__} and {type(data).__name__}"
        )
    if family not in get_args(Family):
        raise InputError(f"unknown family '{family}'; choose gaussian or binomial")
    if method is not None and method not in get_args(Method):
        raise InputError(f"unknown method '{method}'; choose reml or ml")
    if family == "binomial" and method == "reml":
        raise InputError("REML is for gaussian models; leave the method out, or say ml")
    if weights is not None and family != "binomial":
        raise InputError(
            "weights count the trials of binomial rows; gaussian rows cannot be weighted, so leave "
            "them out"
        )
    parsed = parse(formula)
    _check_offered(parsed, cluster)
    if parsed.random:
        ready(family)
    language.ready()
    began = time.perf_counter()
    design = designs.build(parsed, data, cluster, weights, family=family)
    if family == "binomial":
        _check_share(parsed, design)
        if parsed.random:
            return logistic_mixed(parsed, design, began)
        return _logistic(parsed, design, cluster, began)
    reml = method != "ml"
    if parsed.random:
        return linear_mixed(parsed, design, reml, began)
    return _linear(parsed, design, reml, cluster, began)


def _check_offered(parsed: Formula, cluster: str | None) -> None:
    if parsed.random and cluster is not None:
        raise InputError(
            f"formula '{parsed.text}': a cluster-robust covariance is for models without random "
            f"terms; leave out either {parsed.random[0].text} or the cluster"
        )


def _check_share(parsed: Formula, design: Design) -> None:
    low, high = float(design.y.min()), float(design.y.max())
    if low < 0 or high > 1:
        percent = " (percent? divide by 100)" if low >= 0 and high <= 100 else ""
        raise InputError(
            f"formula '{parsed.text}': a binomial outcome lies in [0, 1], this one in "
            f"[{low:g}, {high:g}]{percent}"
        )


def _linear(
    parsed: Formula, design: Design, reml: bool, cluster: str | None, began: float
) -> MixedFit:
    n_obs, p = design.X.shape
    _check_freedom(parsed, n_obs, p)
    found = linear_clustered(design.y, design.X, _labels(design), names=design.names)
    squares = found.deviance
    if squares <= 1e-20 * float(design.y @ design.y):
        raise InputError(
            f"formula '{parsed.text}': the fixed part reproduces the outcome exactly; no variance "
            "is left"
        )
    freedom = n_obs - p if reml else n_obs
    loglik = -0.5 * freedom * (float(np.log(2 * np.pi * squares / freedom)) + 1)
    if reml:
        # log|X'X| belongs to the REML criterion, as in R's logLik(REML = TRUE) and lme4.
        loglik += 0.5 * float(np.linalg.slogdet(found.bread)[1])
    variance = squares / (n_obs - p)
    return MixedFit(
        formula=parsed.text,
        family="gaussian",
        method="reml" if reml else "ml",
        engine="least squares",
        names=design.names,
        params=found.params,
        cov=variance * found.bread if cluster is None else found.cov,
        statistic="t",
        df=float(n_obs - p) if cluster is None else found.df,
        p_values="Wald t, residual df" if cluster is None else _robust_words(cluster),
        covariance="model" if cluster is None else f"cluster-robust CR1 by {cluster}",
        random=(),
        residual_sd=float(np.sqrt(variance)),
        loglik=loglik,
        deviance=-2 * loglik,
        aic=-2 * loglik + 2 * (p + 1),
        bic=-2 * loglik + (p + 1) * float(np.log(n_obs)),
        n_obs=n_obs,
        n_dropped=design.n_dropped,
        n_groups={} if cluster is None else {cluster: found.n_clusters},
        converged=True,
        singular=False,
        warnings=() if cluster is None else found.warnings,
        seconds=time.perf_counter() - began,
        terms=design.terms,
        model=Model(parsed, design, (), np.empty(0)),
    )


def _logistic(parsed: Formula, design: Design, cluster: str | None, began: float) -> MixedFit:
    n_obs, p = design.X.shape
    y = design.y
    _check_freedom(parsed, n_obs, p)
    found = logit_clustered(y, design.X, _labels(design), names=design.names, weights=design.trials)
    soft = found.loglik is None
    robust = cluster is not None or soft
    warnings = list(_solver_warnings(found, cluster))
    if soft and cluster is None:
        warnings.append(
            "outcomes between 0 and 1 make this a quasi-likelihood; errors are robust, with rows "
            "taken as independent: give a cluster if they are not"
        )
    if cluster is not None:
        covariance, words = f"cluster-robust CR1 by {cluster}", _robust_words(cluster)
    elif soft:
        covariance, words = "robust HC1", "robust HC1, t with N − 1 df"
    else:
        covariance, words = "model", "Wald z"
    loglik = found.loglik
    return MixedFit(
        formula=parsed.text,
        family="binomial",
        method="ml",
        engine="iteratively reweighted least squares",
        names=design.names,
        params=found.params,
        cov=found.cov if robust else found.bread,
        statistic="t" if robust else "z",
        df=found.df if robust else None,
        p_values=words,
        covariance=covariance,
        random=(),
        residual_sd=None,
        loglik=loglik,
        deviance=found.deviance,
        aic=None if loglik is None else -2 * loglik + 2 * p,
        bic=None if loglik is None else -2 * loglik + p * float(np.log(n_obs)),
        n_obs=n_obs,
        n_dropped=design.n_dropped,
        n_groups={} if cluster is None else {cluster: found.n_clusters},
        converged=found.converged,
        singular=False,
        warnings=tuple(warnings),
        seconds=time.perf_counter() - began,
        terms=design.terms,
        model=Model(parsed, design, (), np.empty(0)),
    )


def _solver_warnings(found: ClusteredFit, cluster: str | None) -> Sequence[str]:
    if cluster is not None:
        return found.warnings
    return [text for text in found.warnings if "clusters" not in text]


def _labels(design: Design) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    """Clusters, or every row its own (which makes CR1 the HC1 of heteroscedasticity)."""
    labels = np.arange(len(design.y)) if design.cluster is None else design.cluster
    return np.asarray(labels)


def _robust_words(cluster: str) -> str:
    return f"cluster-robust CR1 by {cluster}, t with G − 1 df"


def _check_freedom(parsed: Formula, n_obs: int, p: int) -> None:
    if n_obs <= p:
        raise InputError(
            f"formula '{parsed.text}': {n_obs:,} complete rows are too few for {p} coefficients"
        )
