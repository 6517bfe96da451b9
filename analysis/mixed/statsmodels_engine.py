"""Linear mixed models on statsmodels' MixedLM: one grouping factor, or nested ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from analysis.mixed import profiled
from analysis.mixed.clustered import FloatArray, basis_of, solve
from analysis.mixed.design import Design, RandomBlock
from complexity.errors import InputError

NAME = "statsmodels MixedLM"
#: MixedLM inverts the covariance of the random effects and takes eigenvalues below 1e-10
#: for infinite variances, so the search keeps every relative variance above this.
FLOOR = 1e-8
#: Where the search begins: relative standard deviations of the random effects.
STARTS = (1.0, 0.25, 4.0)


@dataclass(frozen=True, eq=False)
class Components:
    """A linear mixed model's estimates.

    Attributes
    ----------
    params : ndarray, shape (p,)
    cov : ndarray, shape (p, p)
        σ²(X'V⁻¹X)⁻¹, as lme4's ``vcov``.
    covariances : tuple of ndarray, shape (q, q)
        Of the random effects, one per block of the design.
    residual_sd : float
    loglik : float
        Restricted when fitted by REML.
    n_variance : int
        Number of covariance parameters, the residual's left out.
    converged, singular : bool
    warnings : tuple of str
    """

    params: FloatArray
    cov: FloatArray
    covariances: tuple[FloatArray, ...]
    residual_sd: float
    loglik: float
    n_variance: int
    converged: bool
    singular: bool
    warnings: tuple[str, ...]


def fit_linear(design: Design, *, reml: bool) -> Components:
    """Fit a linear mixed model by (restricted) maximum likelihood.

    MixedLM's own optimiser stops short on ordinary data, from its own starting values: it is
    given good ones and its likelihood is climbed by BFGS; where that ends is then checked by
    exact evaluation, gradient and curvature.

    Parameters
    ----------
    design : Design
        With at least one random block.
    reml : bool

    Returns
    -------
    Components

    Raises
    ------
    InputError
        For crossed groupings, correlated columns in an inner level, and an outcome that the
        fixed part reproduces.
    """
    outer = _outer_blocks(design.random)
    basis, transform = basis_of(design.X, design.names)
    ordinary = solve(basis.T @ basis, basis.T @ design.y)
    residuals = design.y - basis @ ordinary
    spread = float(np.sqrt((residuals**2).mean()))
    if spread <= 1e-10 * float(np.abs(design.y).max()):
        raise InputError("the fixed part reproduces the outcome exactly: no variance is left")
    lengths = [np.sqrt((block.Z**2).mean(axis=0)) for block in design.random]
    scaled = tuple(
        replace(block, Z=block.Z / length)
        for block, length in zip(design.random, lengths, strict=True)
    )
    problem = profiled.Problem(residuals / spread, basis, scaled, reml)
    verdict = _search(problem, _likelihood(problem, outer))
    profile = verdict.profile
    sigma = profile.sigma * spread
    back = np.asarray(np.linalg.inv(transform), dtype=np.float64)
    covariances = tuple(
        (lower @ lower.T) * sigma**2 / np.outer(length, length)
        for lower, length in zip(profiled.factors(verdict.theta, scaled), lengths, strict=True)
    )
    freedom = len(design.y) - (design.X.shape[1] if reml else 0)
    loglik = profile.loglik - freedom * np.log(spread)
    if reml:
        loglik -= float(np.linalg.slogdet(transform)[1])
    found = []
    if verdict.singular:
        found.append(
            "singular fit: a random effect has no variance, or a correlation is at its limit"
        )
    if not verdict.converged:
        found.append("the likelihood's maximum was not reached; do not use these estimates")
    return Components(
        params=back @ (ordinary + spread * profile.coefficients),
        cov=sigma**2 * back @ profile.unscaled_cov @ back.T,
        covariances=covariances,
        residual_sd=sigma,
        loglik=float(loglik),
        n_variance=len(verdict.theta),
        converged=verdict.converged,
        singular=verdict.singular,
        warnings=tuple(found),
    )


def _outer_blocks(blocks: tuple[RandomBlock, ...]) -> list[bool]:
    """Tell the blocks of the outermost grouping from inner ones; refuse what is not nested."""
    first = min(blocks, key=lambda block: block.n_levels)
    outer = []
    for block in blocks:
        pairs = len(np.unique(block.codes * first.n_levels + first.codes))
        if pairs > block.n_levels:
            raise InputError(
                f"'{first.group}' and '{block.group}' are crossed, and this engine fits nested "
                "groups only: leave one out, or leave both out and give "
                f"cluster='{first.group}' for errors robust to it"
            )
        outer.append(block.n_levels == first.n_levels)
        if not outer[-1] and len(block.names) > 1:
            raise InputError(
                f"this engine has no correlated columns ({', '.join(block.names)}) within the "
                f"inner level '{block.group}': write them with || there"
            )
    return outer


def _likelihood(problem: profiled.Problem, outer: list[bool]) -> Callable[[FloatArray], float]:
    """Make statsmodels' −log-likelihood a function of theta."""
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

    blocks = problem.blocks
    top = [block for block, is_outer in zip(blocks, outer, strict=True) if is_outer]
    inner = [block for block, is_outer in zip(blocks, outer, strict=True) if not is_outer]
    codes = top[0].codes
    components = None
    if inner:
        rows = [np.flatnonzero(codes == g) for g in range(top[0].n_levels)]
        mats = [[_spread(block, index) for index in rows] for block in inner]
        components = VCSpec(
            [str(j) for j in range(len(inner))],
            [[[str(c) for c in range(m.shape[1])] for m in each] for each in mats],
            mats,
        )
    model = MixedLM(
        problem.y,
        problem.X,
        groups=codes,
        exog_re=np.hstack([block.Z for block in top]),
        exog_vc=components,
    )
    model.reml, model.cov_pen, model.fe_pen = problem.reml, None, None

    def negative(theta: FloatArray) -> float:
        lower = profiled.factors(theta, blocks)
        outer_factors = [f for f, is_outer in zip(lower, outer, strict=True) if is_outer]
        variances = [f[0, 0] ** 2 for f, is_outer in zip(lower, outer, strict=True) if not is_outer]
        joint = sparse.block_diag([f @ f.T for f in outer_factors]).toarray()
        parameters = MixedLMParams.from_components(
            cov_re=joint + FLOOR * np.eye(len(joint)),
            vcomp=np.array(variances) + FLOOR,
        )
        return -float(model.loglike(parameters, profile_fe=True))

    return negative


def _spread(block: RandomBlock, rows: Any) -> FloatArray:
    """Spread an inner block's column over its levels among some rows: (rows, levels)."""
    levels, codes = np.unique(block.codes[rows], return_inverse=True)
    matrix = np.zeros((len(rows), len(levels)))
    matrix[np.arange(len(rows)), codes] = block.Z[rows, 0]
    return matrix


def _search(problem: profiled.Problem, negative: Callable[[FloatArray], float]) -> profiled.Verdict:
    """Climb MixedLM's likelihood from a good starting point, and judge where it ends.

    The exact likelihood costs a tenth of MixedLM's, so the ground is surveyed with it.
    """
    begin = _survey(problem)
    end = _minimise(negative, begin.theta, "BFGS", len(problem.y))
    verdict = profiled.polish(end, problem)
    return max(begin, verdict, key=lambda found: (found.converged, found.profile.loglik))


def _survey(problem: profiled.Problem) -> profiled.Verdict:
    """Find a maximum of the exact likelihood, from several starting points if need be."""

    def exact(theta: FloatArray) -> float:
        return -profiled.evaluate(theta, problem).loglik

    n = len(problem.y)
    best: profiled.Verdict | None = None
    for tried, start in enumerate(STARTS):
        theta = np.zeros(profiled.n_theta(problem.blocks))
        theta[profiled.diagonal(problem.blocks)] = start
        verdict = profiled.polish(_minimise(exact, theta, "BFGS", n), problem)
        if verdict.uphill is not None:
            aside = verdict.theta + 0.3 * verdict.uphill
            verdict = profiled.polish(_minimise(exact, aside, "BFGS", n), problem)
        if not verdict.converged:
            verdict = profiled.polish(_minimise(exact, verdict.theta, "Powell", n), problem)
        rank = (verdict.converged, verdict.profile.loglik)
        if best is None or rank > (best.converged, best.profile.loglik):
            best = verdict
        # A maximum at the boundary is looked at from a second side before it is believed.
        if verdict.converged and (tried > 0 or not verdict.singular):
            break
    assert best is not None
    return best


def _minimise(
    negative: Callable[[FloatArray], float], start: FloatArray, method: str, n: int
) -> FloatArray:
    """Go downhill until `polish` can take over: within about .01 standard errors."""
    from scipy.optimize import minimize

    options: dict[str, dict[str, float]] = {
        # Curvature grows with the n rows, so a gradient of √n / 100 is that near.
        "BFGS": {"gtol": 1e-2 * np.sqrt(n), "eps": 1e-5, "maxiter": 200},
        "Powell": {"xtol": 1e-3, "maxfev": 600},
    }
    with warnings.catch_warnings():
        # Steps far out are tried and turned down; the verdict is ours, not the warnings'.
        warnings.simplefilter("ignore")
        found = minimize(negative, start, method=method, options=options[method])
    return np.atleast_1d(np.asarray(found.x, dtype=np.float64))
