"""From a mixed model's design to a result: the engine called, its numbers laid out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.formula import Formula
from analysis.mixed.model import Model
from analysis.mixed.result import MixedFit, VarianceComponent
from analysis.mixed.satterthwaite import degrees
from complexity.errors import InputError


@cache
def ready(family: str) -> None:
    """Load (or compile) the engine's kernels once, so that no fit is timed with it."""
    from analysis.mixed.linear_mixed import Profiled
    from analysis.mixed.logistic_mixed import Laplace
    from analysis.mixed.structure import arrange

    codes = np.array([0, 0, 0, 1, 1, 1], dtype=np.int64)
    y, X = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0]), np.ones((6, 1))
    nested = RandomBlock("g", ("Intercept",), np.ones((6, 1)), codes, 2)
    crossed = RandomBlock("h", ("Intercept",), np.ones((6, 1)), np.arange(6) % 3, 3)
    # The two ways of elimination are compiled apart.
    for blocks in ([nested], [nested, crossed]):
        structure = arrange(blocks)
        if family == "gaussian":
            Profiled(structure, y, X, reml=True).deviance(np.ones(len(blocks)))
        else:
            Laplace(structure, y, X, np.ones(6)).deviance(np.ones(len(blocks) + 1))


def linear_mixed(parsed: Formula, design: Design, reml: bool, began: float) -> MixedFit:
    """Fit a linear mixed model and lay out the result.

    Parameters
    ----------
    parsed : Formula
    design : Design
        With at least one random block.
    reml : bool
    began : float
        When the fit began, on `time.perf_counter`.

    Returns
    -------
    MixedFit
        t statistics with Satterthwaite's degrees of freedom.
    """
    from analysis.mixed.linear_mixed import NAME, fit_linear

    try:
        found = fit_linear(design, reml=reml)
    except InputError as error:
        raise InputError(f"formula '{parsed.text}': {error}") from error
    assert found.spread is not None
    assert found.residual_sd is not None
    n_obs, n_params = len(design.y), len(design.names) + found.n_variance + 1
    sizes, random = _random(design, found.covariances)
    return MixedFit(
        formula=parsed.text,
        family="gaussian",
        method="reml" if reml else "ml",
        engine=NAME,
        names=design.names,
        params=found.params,
        cov=found.cov,
        statistic="t",
        df=degrees(np.eye(len(design.names)), found.cov, found.spread),
        p_values="t, Satterthwaite df",
        covariance="model",
        random=random,
        residual_sd=found.residual_sd,
        loglik=found.loglik,
        deviance=-2 * found.loglik,
        aic=-2 * found.loglik + 2 * n_params,
        bic=-2 * found.loglik + n_params * float(np.log(n_obs)),
        n_obs=n_obs,
        n_dropped=design.n_dropped,
        n_groups=sizes,
        converged=found.converged,
        singular=found.singular,
        warnings=found.warnings,
        seconds=time.perf_counter() - began,
        terms=design.terms,
        spread=found.spread,
        model=Model(
            parsed,
            design,
            found.covariances,
            found.theta,
            transforms=found.transforms,
            sigma=found.residual_sd,
        ),
    )


def logistic_mixed(parsed: Formula, design: Design, began: float) -> MixedFit:
    """Fit a logistic mixed model and lay out the result.

    Parameters
    ----------
    parsed : Formula
    design : Design
        With at least one random block; outcomes in [0, 1].
    began : float
        When the fit began, on `time.perf_counter`.

    Returns
    -------
    MixedFit
        Wald z from the joint Hessian; the deviance is −2 log-likelihood.
    """
    from analysis.mixed.logistic_mixed import NAME, fit_logistic

    try:
        found = fit_logistic(design)
    except InputError as error:
        raise InputError(f"formula '{parsed.text}': {error}") from error
    n_obs, n_params = len(design.y), len(design.names) + found.n_variance
    sizes, random = _random(design, found.covariances)
    return MixedFit(
        formula=parsed.text,
        family="binomial",
        method="ml",
        engine=NAME,
        names=design.names,
        params=found.params,
        cov=found.cov,
        statistic="z",
        df=None,
        p_values="Wald z",
        covariance="model",
        random=random,
        residual_sd=None,
        loglik=found.loglik,
        deviance=-2 * found.loglik,
        aic=-2 * found.loglik + 2 * n_params,
        bic=-2 * found.loglik + n_params * float(np.log(n_obs)),
        n_obs=n_obs,
        n_dropped=design.n_dropped,
        n_groups=sizes,
        converged=found.converged,
        singular=found.singular,
        warnings=found.warnings,
        seconds=time.perf_counter() - began,
        terms=design.terms,
        model=Model(
            parsed,
            design,
            found.covariances,
            found.theta,
            transforms=found.transforms,
            joint=found.joint,
        ),
    )


def _random(
    design: Design, covariances: Sequence[FloatArray]
) -> tuple[dict[str, int], tuple[VarianceComponent, ...]]:
    """Sizes of the groupings and their components, as lme4: most levels first."""
    sizes = {block.group: block.n_levels for block in design.random}
    order = sorted(sizes, key=lambda group: -sizes[group])
    random = [
        component
        for group in order
        for block, covariance in zip(design.random, covariances, strict=True)
        if block.group == group
        for component in components(group, block.names, covariance)
    ]
    return {group: sizes[group] for group in order}, tuple(random)


def components(group: str, names: Sequence[str], covariance: FloatArray) -> list[VarianceComponent]:
    """List a covariance matrix as lme4 does: variances, then covariances."""
    sds = np.sqrt(np.diag(covariance))
    found = [
        VarianceComponent(group, name, None, float(covariance[i, i]), float(sds[i]))
        for i, name in enumerate(names)
    ]
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            product = float(sds[i] * sds[j])
            correlation = float(covariance[i, j]) / product if product > 0 else float("nan")
            found.append(
                VarianceComponent(group, names[i], names[j], float(covariance[i, j]), correlation)
            )
    return found
