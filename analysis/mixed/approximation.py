"""Where Laplace's approximation is poor, and a correction by simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.mixed.assemble import components
from analysis.mixed.bootstrapping import Bootstrap, bootstrap
from analysis.mixed.clustered import FloatArray
from analysis.mixed.constancy import constant_shares
from analysis.mixed.coordinates import factors, to_columns
from analysis.mixed.design import Design
from analysis.mixed.result import MixedFit
from complexity.errors import InputError

#: Corrections are limited to this factor: beyond it the model, not the method, is in doubt.
LARGEST = 2.0


def constant_share(fit: MixedFit) -> dict[str, float]:
    """Give the share of groups whose outcomes are all 0 or all 1, by grouping.

    Parameters
    ----------
    fit : MixedFit
        Binomial, with random terms.

    Returns
    -------
    dict of str to float
        Between 0 and 1.

    Raises
    ------
    InputError
        For other fits.
    """
    return constant_shares(_logistic(fit))


@dataclass(frozen=True, eq=False, repr=False)
class Corrected:
    """Estimates with the bias that simulation shows taken off.

    Attributes
    ----------
    fit : MixedFit
        The fit with corrected fixed effects and random-effect covariances, for predictions
        and marginal means. Its standard errors are those of the draws; it has no likelihood.
    bootstrap : Bootstrap
        The draws: fixed effects, SDs, correlations.
    table : DataFrame
        ``term``, ``estimate``, ``bias``, ``corrected``, ``error``: the last is the Monte
        Carlo standard error of the correction.
    """

    fit: MixedFit
    bootstrap: Bootstrap
    table: pd.DataFrame

    def __repr__(self) -> str:
        return self.table.to_string(index=False)


def correct(fit: MixedFit, n_sets: int = 200, seed: int = 0, *, workers: int = 1) -> Corrected:
    """Correct a logistic mixed model for the bias of Laplace's approximation.

    Outcomes are drawn from the fit and fitted again: what comes back is off by about as much
    as the fit itself is from the truth. SDs are corrected by the ratio (estimate over the
    mean of the draws), fixed effects by the difference; correlations are left as they are.

    Parameters
    ----------
    fit : MixedFit
        Binomial, with random terms. Worth while where its warnings say so.
    n_sets : int
        At least 20.
    seed : int
    workers : int
        Processes; the result does not depend on it.

    Returns
    -------
    Corrected
        Probabilities that average over random effects follow from its ``fit``.

    Raises
    ------
    InputError
        For other fits, fewer sets, and when more than a tenth of the refits fail.
    """
    _logistic(fit)
    if n_sets < 20:
        raise InputError(f"a bias needs at least 20 sets, not {n_sets}")
    draws = bootstrap(fit, n_sets, seed=seed, workers=workers)
    if draws.n_failed > n_sets / 10:
        raise InputError(f"too many refits failed to correct from: {'; '.join(draws.warnings)}")
    p = len(fit.params)
    bias, se = draws.bias(), draws.se()
    used = np.isfinite(draws.draws).sum(axis=0)
    params = fit.params - bias[:p]
    corrected = draws.estimate.copy()
    corrected[:p] = params
    ratios: dict[tuple[str, str], float] = {}
    for j, name in enumerate(draws.names):
        if not name.startswith("SD ") or j < p:
            continue
        mean = draws.estimate[j] + bias[j]
        ratio = draws.estimate[j] / mean if mean > 0 else 1.0
        corrected[j] = draws.estimate[j] * float(np.clip(ratio, 1 / LARGEST, LARGEST))
    sds = [part for part in fit.random if part.term2 is None]
    marked = [j for j, name in enumerate(draws.names) if j >= p and name.startswith("SD ")]
    for part, j in zip(sds, marked, strict=True):
        scale = corrected[j] / draws.estimate[j] if draws.estimate[j] > 0 else 1.0
        ratios[part.group, part.term] = float(scale)
    cov = np.cov(draws.draws[np.isfinite(draws.draws[:, :p]).all(axis=1), :p], rowvar=False)
    table = pd.DataFrame(
        {
            "term": list(draws.names),
            "estimate": draws.estimate,
            "bias": bias,
            "corrected": corrected,
            "error": se / np.sqrt(np.maximum(used, 1)),
        }
    )
    made = _with(fit, params, np.atleast_2d(cov), ratios, n_sets)
    return Corrected(made, draws, table)


def _with(
    fit: MixedFit,
    params: FloatArray,
    cov: FloatArray,
    ratios: Mapping[tuple[str, str], float],
    n_sets: int,
) -> MixedFit:
    """Put corrected numbers into a fit."""
    assert fit.model is not None
    blocks = fit.model.design.random
    found, theta = [], []
    lowers = factors(fit.model.theta, fit.model.transforms)
    by_group: dict[str, list[int]] = {}
    for b, (block, covariance) in enumerate(zip(blocks, fit.model.covariances, strict=True)):
        scale = np.array([ratios[block.group, name] for name in block.names])
        found.append(covariance * np.outer(scale, scale))
        R = fit.model.transforms[b]
        # R D R⁻¹ L is no lower triangle: the one with the same product is had from QR.
        root = R @ (scale[:, None] * to_columns(lowers[b], R))
        theta.append(np.asarray(np.linalg.qr(root.T, mode="r")).T[np.tril_indices(len(scale))])
        by_group.setdefault(block.group, []).append(b)
    random = [
        part
        for group in dict.fromkeys(part.group for part in fit.random)
        for b in by_group[group]
        for part in components(group, blocks[b].names, found[b])
    ]
    return replace(
        fit,
        engine=f"{fit.engine}, corrected by {n_sets} simulated sets",
        params=params,
        cov=cov,
        p_values="Wald z, errors of the simulated sets",
        random=tuple(random),
        loglik=None,
        deviance=float("nan"),
        aic=None,
        bic=None,
        warnings=(
            *fit.warnings,
            f"estimates are corrected for their bias in {n_sets} sets simulated from the fit",
        ),
        model=replace(fit.model, covariances=tuple(found), theta=np.concatenate(theta), joint=None),
    )


def _logistic(fit: MixedFit) -> Design:
    if fit.model is None:
        raise InputError("this fit was not kept with its data; fit it again")
    if fit.family != "binomial" or not fit.model.design.random:
        raise InputError("this is about logistic models with random terms; the fit is another")
    return fit.model.design
