"""Refitting mixed models from nearby: other outcomes, other draws of the clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.mixed.clustered import FloatArray, basis_of
from analysis.mixed.coordinates import covariances
from analysis.mixed.copies import Clusters, copied, copied_blocks, drawn_rows, nested
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.grouped import Grouped, Local
from analysis.mixed.linear_mixed import (
    Components,
    Profiled,
    fit_linear,
    rough_errors,
)
from analysis.mixed.logistic_mixed import Laplace, fit_logistic
from analysis.mixed.result import MixedFit
from analysis.mixed.search import Deviance
from analysis.mixed.settle import Settled, settle
from analysis.mixed.structure import IntArray, Structure, arrange

#: Step of the differences of a gradient, in rough standard errors.
STEP = 1e-3
#: Curvatures below this share of the largest, in rough standard errors, are raised to it.
FLATTEST = 1e-4
#: How much flatter or steeper than at the full fit a draw's curvature may be taken to be.
FLATTER, STEEPER = 0.2, 5.0


@dataclass(frozen=True, eq=False)
class Refit:
    """A fit of the same model to other outcomes or other rows.

    Attributes
    ----------
    params : ndarray, shape (p,)
        Fixed effects, in the order of the fit's names.
    covariances : tuple of ndarray, shape (q, q)
        Of the random effects, one per block of the design.
    residual_sd : float or None
    converged : bool
    singular : bool
        A relative factor has a zero on its diagonal.
    searched : bool
        The short way from the fit's estimates did not do, and the search was made in full.
    """

    params: FloatArray
    covariances: tuple[FloatArray, ...]
    residual_sd: float | None
    converged: bool
    singular: bool
    searched: bool


class MixedRefits:
    """What refits of a mixed model share; see `analysis.mixed.refit.Refits`."""

    def __init__(self, fit: MixedFit, design: Design, clusters: Clusters | None) -> None:
        assert fit.model is not None
        self.linear, self.reml = fit.family == "gaussian", fit.method == "reml"
        self.clusters = clusters
        self.design = design
        trials = np.ones(len(design.y)) if design.trials is None else design.trials
        self._transforms = fit.model.transforms
        self.structure = self._arranged(design.random)
        self._basis, self._transform = basis_of(design.X, design.names)
        self._back = np.asarray(np.linalg.inv(self._transform), dtype=np.float64)
        self._trials = trials
        self.theta = fit.model.theta
        self.params = fit.params
        self.sigma = fit.residual_sd
        beta = self._transform @ fit.params
        # Linear models are searched from residuals: less is lost in sums of squares.
        self._from = design.X @ fit.params if self.linear else np.zeros(len(design.y))
        self._point = self.theta if self.linear else np.r_[self.theta, beta]
        spread = np.sqrt(np.diag(self._transform @ fit.cov @ self._transform.T))
        self._errors = np.r_[rough_errors(self.structure), spread]
        self._full = np.r_[self.theta, beta]
        if self.sigma is not None:
            self._full = np.r_[self._full, np.log(self.sigma)]
            self._errors = np.r_[self._errors, 1 / np.sqrt(2 * len(design.y))]
        sizes = [len(block.names) for block in design.random]
        ends = np.cumsum([q * (q + 1) // 2 for q in sizes]) - 1
        self._last = ends.astype(np.int64)
        zero = self.structure.diagonal[self.theta[self.structure.diagonal] == 0]
        #: The fit lies at a corner that a short search cannot leave.
        self.awkward = bool(np.setdiff1d(zero, self._last).size)
        self.singular = fit.singular

    @cached_property
    def grouped(self) -> Grouped | None:
        """The deviance by outermost group, where there are no crossed factors."""
        if self.structure.n_crossed:
            return None
        return Grouped(self.structure, self._basis, self.design.y, self._trials, linear=self.linear)

    @cached_property
    def local(self) -> Local:
        """Scores and Hessians of the outermost groups at the fit's estimates."""
        assert self.grouped is not None
        return self.grouped.around(self._full, self._errors)

    @property
    def local_start(self) -> bool:
        """Draws begin where one step leads, by the outermost groups' own derivatives."""
        return self.by_group and not self.linear and not self.structure.n_crossed

    # Which coordinates theta has is for these two to know.
    def _arranged(self, blocks: Sequence[RandomBlock]) -> Structure:
        """Structure of random blocks with the fit's columns, in the coordinates of its theta."""
        return arrange(blocks, self._transforms)

    def _covariances(self, theta: FloatArray, sigma: float) -> tuple[FloatArray, ...]:
        return covariances(theta, self._transforms, sigma)

    @cached_property
    def _cluster_of_group(self) -> IntArray:
        assert self.clusters is not None
        s = self.structure
        found = np.empty(int(s.n_levels[s.depth - 1]), dtype=np.int64)
        found[s.level[s.cell, s.depth - 1]] = self.clusters.codes
        return found

    @cached_property
    def by_group(self) -> bool:
        """Clusters are of whole outermost groups, and cut through each crossed grouping."""
        if self.clusters is None:
            return False
        s, ends = self.structure, np.cumsum(self.structure.span)
        factor = np.searchsorted(ends, s.theta_row[self._last], side="right")
        return all(
            nested(block, self.clusters) == (f < s.depth)
            for block, f in zip(self.design.random, factor, strict=True)
        )

    @cached_property
    def hessian(self) -> FloatArray:
        """Of the deviance at the fit's estimates, made positive definite."""
        deviance = self._deviance(self.structure, self._rows_y(self.design.y), self._basis)
        found = np.empty((len(self._point), len(self._point)))
        for j in range(len(found)):
            aside = np.zeros(len(found))
            aside[j] = STEP * self._errors[j]
            ends = (deviance(self._point + aside)[1], deviance(self._point - aside)[1])
            found[j] = (ends[0] - ends[1]) / (2 * aside[j])
        return _definite(found, self._errors[: len(found)])

    @cached_property
    def _moments(self) -> FloatArray:
        """Sums of a linear model's rows within cells."""
        y = self._rows_y(self.design.y)
        return Profiled(self.structure, y, self._basis, reml=self.reml).moments

    def prepare(self, *, drawing: bool, one_step: bool) -> None:
        """Compute the cached properties that refits of a kind use."""
        if self.awkward:
            return
        weighted = drawing and self.by_group
        if one_step:
            _ = self.bend, self._root, self._cluster_of_group
        elif weighted and self.local_start:
            _ = self.local, self._root, self._cluster_of_group
        else:
            _ = self.hessian
        if weighted and self.linear:
            _ = self._moments

    def _rows_y(self, y: FloatArray) -> FloatArray:
        return y - self._from

    def _deviance(
        self, structure: Structure, y: FloatArray, X: FloatArray, trials: FloatArray | None = None
    ) -> Deviance:
        if self.linear:
            return Profiled(structure, y, X, reml=self.reml).deviance
        return Laplace(structure, y, X, self._trials if trials is None else trials).deviance

    def outcome(self, y: FloatArray) -> Refit:
        """Refit to another outcome of the same rows."""
        if not self.awkward:
            if self.linear:
                found = self._profiled(self.structure, self._rows_y(y), self._basis)
            else:
                deviance = self._deviance(self.structure, y, self._basis)
                found = self._settled(self._settle(deviance, self._point, self.hessian))
            if found is not None:
                return found
        return self._searched(replace(self.design, y=y))

    def drawn(self, counts: IntArray) -> Refit:
        """Refit to clusters drawn `counts` times each."""
        assert self.clusters is not None
        if not self.awkward:
            found = self._drawn(counts)
            if found is not None:
                return found
        return self._searched(copied(self.design, self.clusters, counts))

    def nearest_zero(self) -> float:
        """Give the diagonal of a relative factor that is nearest zero, in standard errors."""
        hessian = _definite(self.local.hessians.sum(axis=0), self._errors)
        spread = np.sqrt(2 * np.diag(np.linalg.inv(hessian)))
        diagonal = self.structure.diagonal
        return float((np.abs(self.theta[diagonal]) / spread[diagonal]).min())

    def one_step(self, counts: IntArray) -> Refit:
        """One step from the fit's estimates: Newton's, bent by the third derivatives.

        Halley's method: the Hessian half-way along Newton's step, its change taken from the
        full data. Newton's own step misses the curvature, which shifts the intervals.
        """
        weights = counts[self._cluster_of_group].astype(np.float64)
        hessian = self._reweighted(weights)
        newton = self._step(weights, hessian)
        halfway = self._near(hessian + self.bend @ newton / 2)
        point = self._full + self._step(weights, halfway)
        m, p = len(self.theta), len(self.params)
        sigma = float(np.exp(point[-1])) if self.linear else None
        theta = point[:m]
        return self._refit(theta, self._back @ point[m : m + p], sigma, True, False, False)

    @cached_property
    def bend(self) -> FloatArray:
        """Third derivatives of the deviance at the fit's estimates."""
        assert self.grouped is not None
        return self.grouped.bend(self.local, self._errors)

    def _step(self, weights: FloatArray, hessian: FloatArray) -> FloatArray:
        # Sums of scores are zero at the estimates, but for what REML adds and rounding.
        gradient = (weights - 1) @ self.local.gradients
        step = -np.linalg.solve(hessian, gradient)
        # The deviance is even there: the slope is zero but for rounding.
        step[self._last[self.theta[self._last] == 0]] = 0.0
        return np.asarray(step, dtype=np.float64)

    def _reweighted(self, weights: FloatArray) -> FloatArray:
        """Hessian of a draw at the fit's estimates."""
        size = self.local.hessians.shape[1]
        found = weights @ self.local.hessians.reshape(len(weights), -1)
        return self._near(found.reshape(size, size))

    def _near(self, found: FloatArray) -> FloatArray:
        """Keep a Hessian within bounds of the full one, in each direction."""
        root = self._root
        values, vectors = np.linalg.eigh(np.linalg.solve(root, np.linalg.solve(root, found).T))
        half = root @ vectors
        return np.asarray((half * np.clip(values, FLATTER, STEEPER)) @ half.T, dtype=np.float64)

    @cached_property
    def _root(self) -> FloatArray:
        full = _definite(self.local.hessians.sum(axis=0), self._errors)
        return np.asarray(np.linalg.cholesky(full), dtype=np.float64)

    def _drawn(self, counts: IntArray) -> Refit | None:
        assert self.clusters is not None
        cells = None
        if self.by_group:
            groups = np.repeat(
                np.arange(len(self._cluster_of_group)), counts[self._cluster_of_group]
            )
            rows, cells, structure = self.structure.drawn(groups)
        else:
            rows, copy = drawn_rows(self.clusters, counts)
            blocks = copied_blocks(self.design.random, self.clusters, rows, copy)
            structure = self._arranged(blocks)
        X = self._basis[rows]
        if not np.linalg.eigvalsh(X.T @ X / len(X))[0] > 1e-8:
            return None  # a coefficient that the draw cannot tell: the full search names it
        y = self._rows_y(self.design.y)[rows]
        if self.linear:
            moments = None if cells is None else self._moments[:, :, cells]
            return self._profiled(structure, y, X, moments)
        laplace = Laplace(structure, y, X, self._trials[rows])
        if cells is None or not self.local_start:
            return self._settled(self._settle(laplace.deviance, self._point, self.hessian))
        weights = counts[self._cluster_of_group].astype(np.float64)
        hessian = self._reweighted(weights)
        start = self._point + self._step(weights, hessian)
        deviance = self._followed(laplace, self.structure.effects(cells, structure))
        return self._settled(self._settle(deviance, start, hessian))

    def _followed(self, laplace: Laplace, effects: IntArray) -> Deviance:
        """Deviance with modes moved along with the point as they do at the fit's estimates."""
        sway, last = self.local.sway[effects], self.local.point
        laplace.modes = self.local.modes[effects]

        def deviance(point: FloatArray) -> tuple[float, FloatArray]:
            nonlocal last
            laplace.modes = laplace.modes + sway @ (point - last)
            last = point.copy()
            return laplace.deviance(point)

        return deviance

    def _profiled(
        self,
        structure: Structure,
        y: FloatArray,
        X: FloatArray,
        moments: FloatArray | None = None,
    ) -> Refit | None:
        profiled = Profiled(structure, y, X, reml=self.reml, moments=moments)
        found = self._settle(profiled.deviance, self._point, self.hessian)
        at = profiled.evaluate(found.point) if found.converged else None
        if at is None or not at.squares > 0:
            return None
        sigma = float(np.sqrt(at.squares / profiled.freedom))
        params = self.params + self._back @ at.coefficients
        return self._refit(found.point, params, sigma, True, found.singular, False)

    def _settle(self, deviance: Deviance, start: FloatArray, hessian: FloatArray) -> Settled:
        s = self.structure
        return settle(deviance, start, hessian, s.diagonal, self._last, self._errors)

    def _settled(self, found: Settled) -> Refit | None:
        if not found.converged:
            return None
        m = len(self.theta)
        params = self._back @ found.point[m:]
        return self._refit(found.point[:m], params, None, True, found.singular, False)

    def _refit(
        self,
        theta: FloatArray,
        params: FloatArray,
        sigma: float | None,
        converged: bool,
        singular: bool,
        searched: bool,
    ) -> Refit:
        found = self._covariances(theta, 1.0 if sigma is None else sigma)
        return Refit(params, found, sigma, converged, singular, searched)

    def _searched(self, design: Design) -> Refit:
        return searched(design, linear=self.linear, reml=self.reml)


def searched(design: Design, *, linear: bool, reml: bool) -> Refit:
    """Fit a design from nothing: slow, and what the short ways are measured against."""
    found: Components = fit_linear(design, reml=reml) if linear else fit_logistic(design)
    return Refit(
        params=found.params,
        covariances=found.covariances,
        residual_sd=found.residual_sd,
        converged=found.converged,
        singular=found.singular,
        searched=True,
    )


def _definite(hessian: FloatArray, errors: FloatArray) -> FloatArray:
    """Make a Hessian symmetric and positive definite, flat directions raised."""
    unit = np.outer(errors, errors)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2 * unit)
    values = np.maximum(values, FLATTEST * float(values[-1]))
    return np.asarray((vectors * values) @ vectors.T / unit, dtype=np.float64)
