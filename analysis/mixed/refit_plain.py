"""Refitting models without random terms."""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray, Rows, basis_of, solve
from analysis.mixed.design import Design
from analysis.mixed.logit import solve_logit
from analysis.mixed.refit_mixed import Refit
from complexity.errors import InputError, listing


def refit_plain(
    design: Design, y: FloatArray, counts: FloatArray, start: FloatArray | None, *, linear: bool
) -> Refit:
    """Fit rows that count several times, or not at all.

    Parameters
    ----------
    design : Design
    y : ndarray, shape (n,)
    counts : ndarray, shape (n,)
    start : ndarray, shape (p,), or None
    linear : bool

    Returns
    -------
    Refit

    Raises
    ------
    InputError
        For coefficients that the rows cannot tell, and separation.
    """
    kept = counts > 0
    y, X, counts = y[kept], design.X[kept], counts[kept]
    if linear:
        basis, transform = basis_of(X, design.names)
        weighted = basis * counts[:, None]
        coefficients = solve(weighted.T @ basis, weighted.T @ y)
        residuals = y - basis @ coefficients
        freedom = float(counts.sum()) - X.shape[1]
        if freedom <= 0:
            raise InputError("the rows drawn are too few for the coefficients")
        sigma = float(np.sqrt(counts @ residuals**2 / freedom))
        return _refit(solve(transform, coefficients), sigma)
    trials = np.ones(len(y)) if design.trials is None else design.trials[kept]
    labels = np.arange(len(y))
    rows = Rows(y, X, counts * trials, labels, labels, design.names, len(y))
    found = solve_logit(rows, start)
    if found.separated:
        raise InputError(f"separation in the rows drawn: {listing(found.separated, shown=8)}")
    return _refit(found.params, None, converged=found.converged)


def _refit(params: FloatArray, sigma: float | None, *, converged: bool = True) -> Refit:
    return Refit(params, (), sigma, converged, singular=False, searched=False)
