"""New outcomes from a fitted model, new random effects drawn."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from analysis.mixed.clustered import FloatArray
from analysis.mixed.result import MixedFit
from complexity.errors import InputError


class Simulator:
    """What is needed of a fit to draw outcomes from it.

    Parameters
    ----------
    fit : MixedFit

    Raises
    ------
    InputError
        For fits that say nothing of how outcomes are distributed: quasi-likelihoods (soft
        scores) and cluster-robust fits; and for fits kept without their data.
    """

    def __init__(self, fit: MixedFit) -> None:
        if fit.model is None:
            raise InputError("this fit was not kept with its data; fit it again")
        if fit.covariance != "model":
            raise InputError(
                f"a fit with {fit.covariance} errors does not say how the outcomes of a cluster "
                "hang together: nothing can be drawn from it; draw clusters instead "
                "(kind='cluster')"
            )
        design = fit.model.design
        self._linear = fit.family == "gaussian"
        self._mean = design.X @ fit.params
        self._sigma = fit.residual_sd
        self._trials = (
            np.ones(len(design.y), dtype=np.int64)
            if design.trials is None
            else np.round(design.trials).astype(np.int64)
        )
        self._blocks = [
            (block.Z, block.codes, block.n_levels, _root(covariance))
            for block, covariance in zip(design.random, fit.model.covariances, strict=True)
        ]

    def draw(self, seed: int, index: int) -> FloatArray:
        """Draw one set of outcomes, shape (n,): always the same for a seed and an index."""
        rng = stream(seed, index)
        eta = self._mean.copy()
        for Z, codes, n_levels, root in self._blocks:
            effects = rng.standard_normal((n_levels, len(root))) @ root
            eta += np.einsum("nq,nq->n", Z, effects[codes])
        if self._linear:
            assert self._sigma is not None
            return eta + self._sigma * rng.standard_normal(len(eta))
        return np.asarray(rng.binomial(self._trials, expit(eta)) / self._trials)


def simulate(fit: MixedFit, n_sets: int, seed: int) -> FloatArray:
    """Draw outcomes from a fitted model, its random effects drawn anew in every set.

    Parameters
    ----------
    fit : MixedFit
        Mixed or not.
    n_sets : int
        At least 1.
    seed : int
        Not negative. Set i depends on the seed and i alone: the first sets are the same
        however many are drawn, in whatever order.

    Returns
    -------
    ndarray, shape (n_sets, n), float64
        Rows of the design in their order; binomial outcomes are shares of each row's trials.

    Raises
    ------
    InputError
        For fits without a distribution (soft scores, cluster-robust errors), and numbers out
        of range.
    """
    check_seed(seed)
    if not isinstance(n_sets, (int, np.integer)) or n_sets < 1:
        raise InputError(f"n_sets counts the sets to draw, from 1 on, not {n_sets}")
    simulator = Simulator(fit)
    return np.array([simulator.draw(seed, index) for index in range(n_sets)])


def stream(seed: int, index: int) -> np.random.Generator:
    """Random numbers of one set: independent of those of other sets and seeds."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def check_seed(seed: int) -> None:
    """Refuse what cannot be a seed."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"a seed is a whole number from 0 on, not {seed!r}")


def _root(covariance: FloatArray) -> FloatArray:
    """Symmetric square root: unique, and there for singular matrices too."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
