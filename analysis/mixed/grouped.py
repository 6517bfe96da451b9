"""The deviance of a mixed model without crossed factors, one term an outermost group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from analysis.mixed.clustered import FloatArray
from analysis.mixed.equations import Nested
from analysis.mixed.logistic_mixed import Laplace
from analysis.mixed.structure import IntArray, Structure
from complexity.errors import InputError

NO_MODES = "the likelihood cannot be had around the estimates; refit in full"
#: Step of the differences of gradients, in rough standard errors.
STEP = 1e-2
#: Step of their second differences.
WIDE = 0.5


@dataclass(frozen=True, eq=False)
class Local:
    """The deviance around one point, by outermost group.

    Attributes
    ----------
    point : ndarray, shape (d,)
    values : ndarray, shape (G,)
    gradients : ndarray, shape (G, d)
    hessians : ndarray, shape (G, d, d)
    modes : ndarray, shape (effects,)
    sway : ndarray, shape (effects, d)
        How the modes move with the point.
    """

    point: FloatArray
    values: FloatArray
    gradients: FloatArray
    hessians: FloatArray
    modes: FloatArray
    sway: FloatArray


class Grouped:
    """Deviances of outermost groups as functions of (theta, beta), or (theta, beta, log sigma).

    −2 log-likelihood of a linear model without its constant n log 2π, or the Laplace deviance
    of a logistic one (`analysis.mixed.logistic_mixed.Laplace`): sums over the groups. What the
    engine's kernels sum over all groups is summed here within each.

    Parameters
    ----------
    structure : Structure
        Without crossed factors.
    X : ndarray, shape (n, p)
        Rows in the order of the design.
    y, trials : ndarray, shape (n,)
    linear : bool

    Raises
    ------
    ValueError
        With crossed factors.
    """

    def __init__(
        self,
        structure: Structure,
        X: FloatArray,
        y: FloatArray,
        trials: FloatArray,
        *,
        linear: bool,
    ) -> None:
        if structure.n_crossed:
            raise ValueError("crossed factors bind the groups together")
        self.structure, self.linear = structure, linear
        self._laplace = None if linear else Laplace(structure, y, X, trials)
        rows = np.argsort(structure.cell, kind="stable")
        self._Z, self._X, self._y = structure.Z[rows], X[rows], y[rows]
        self._trials, self._cell = trials[rows], structure.cell[rows]
        self._starts = np.searchsorted(self._cell, np.arange(structure.n_cells))
        self._system = Nested(structure, 1)
        outermost = structure.level[:, structure.depth - 1]
        self.n_groups = int(outermost[-1]) + 1
        self._begin = np.searchsorted(outermost, np.arange(self.n_groups))
        self._rows = np.bincount(outermost[self._cell]).astype(np.float64)
        self.n_effects = structure.n_chain
        chain = zip(structure.level.T, structure.n_levels, structure.span, strict=True)
        #: Outermost group of each effect.
        self._of_effect = np.concatenate(
            [np.repeat(_of_groups(level, n, outermost), q) for level, n, q in chain]
        )
        self.size = len(structure.theta_row) + X.shape[1] + int(linear)

    def at(self, point: FloatArray, modes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Evaluate all groups.

        Parameters
        ----------
        point : ndarray, shape (d,)
        modes : ndarray, shape (effects,)
            Spherical effects to start from; changed to those found.

        Returns
        -------
        values : ndarray, shape (G,)
        gradients : ndarray, shape (G, d)

        Raises
        ------
        InputError
            Where the modes cannot be found.
        """
        s, system = self.structure, self._system
        m, p, kz = len(s.theta_row), self._X.shape[1], self._Z.shape[1]
        offset = self._X @ point[m : m + p]
        if self._laplace is not None:
            self._laplace.modes = modes.copy()
            if not np.isfinite(self._laplace.deviance(point[: m + p])[0]):
                raise InputError(NO_MODES)
            modes[:] = self._laplace.modes
            score, weights = self._score(offset, self._moved(s.factor(point[:m]), modes))
        else:
            score, weights = self._y - offset, np.ones(len(offset))
        moments = np.empty((kz, kz + 1, s.n_cells))
        for j in range(kz):
            right = np.column_stack([self._Z * weights[:, None], score])
            moments[j] = self._by_cell(self._Z[:, j, None] * right).T
        if not system.factorise(point[:m], moments):
            raise InputError(NO_MODES)
        lower, sigma2 = system.lower, 1.0
        if self.linear:
            modes[:] = system.solved()
            sigma2 = float(np.exp(2 * point[-1]))
            score = score - self._moved(lower, modes)
            squares = self._by_group(score**2)
        else:
            squares = self._deviances(offset + self._moved(lower, modes))
        squares = squares + np.bincount(self._of_effect, modes**2)
        # With the identity for Λ what is had is M⁻¹ itself, not Λ M⁻¹ Λ'.
        system.lower = np.eye(kz)
        inverse = system.logdet_slope(moments, np.empty(0), spread=True)[1]
        system.lower = lower
        half = np.einsum("ik,kjc->ijc", lower, inverse)
        inner = 2 * np.einsum("jkc,kac->cja", moments[:, :kz], half)
        slope = -2 * score / sigma2
        if not self.linear:
            spread = np.einsum("ikc,jk->cij", half, lower)[self._cell]
            leverage = np.einsum("ni,nij,nj->n", self._Z, spread, self._Z)
            mu = self._y - score / self._trials
            third = leverage * weights * (1 - 2 * mu)
            answer = system.solve(self._by_cell(self._Z * third[:, None]))
            slope += third - weights * self._moved(lower, answer)
            sums = self._by_cell(self._Z * score[:, None])
            inner += np.einsum("cj,ca->cja", sums, system.met(answer))
        sums = self._by_cell(self._Z * slope[:, None])
        inner += np.einsum("cj,ca->cja", sums, system.met(modes))
        columns = [inner[:, s.theta_row, s.theta_column], self._by_cell(self._X * slope[:, None])]
        gradients = np.add.reduceat(np.column_stack(columns), self._begin)
        values = system.logdets() + squares / sigma2
        if self.linear:
            values += self._rows * np.log(sigma2)
            gradients = np.column_stack([gradients, 2 * self._rows - 2 * squares / sigma2])
        return values, gradients

    def _moved(self, lower: FloatArray, effects: FloatArray) -> FloatArray:
        """Z Λ times the effects, by row."""
        met = self._system.met(effects) @ lower.T
        return np.asarray(np.einsum("nk,nk->n", self._Z, met[self._cell]), dtype=np.float64)

    def _by_cell(self, columns: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(columns, self._starts), dtype=np.float64)

    def _score(self, offset: FloatArray, moved: FloatArray) -> tuple[FloatArray, FloatArray]:
        mu = expit(offset + moved)
        return self._trials * (self._y - mu), self._trials * mu * expit(-offset - moved)

    def _deviances(self, eta: FloatArray) -> FloatArray:
        """−2 log-likelihood of the rows of each group, given the effects."""
        each = 2 * self._trials * (np.logaddexp(0, eta) - self._y * eta)
        return self._by_group(each)

    def _by_group(self, values: FloatArray) -> FloatArray:
        """Sum rows' values within outermost groups."""
        groups = self.structure.level[self._cell, self.structure.depth - 1]
        return np.asarray(np.bincount(groups, values), dtype=np.float64)

    def around(self, point: FloatArray, errors: FloatArray) -> Local:
        """Differentiate once more, by central differences of the exact gradients.

        Parameters
        ----------
        point : ndarray, shape (d,)
        errors : ndarray, shape (d,)
            Rough standard errors: the measure of a small step.
        """
        modes = np.zeros(self.n_effects)
        values, gradients = self.at(point, modes)
        hessians = np.empty((self.n_groups, self.size, self.size))
        sway = np.empty((self.n_effects, self.size))
        for j, step in enumerate(STEP * errors):
            aside = np.zeros(self.size)
            aside[j] = step
            up, down = modes.copy(), modes.copy()
            slope = self.at(point + aside, up)[1] - self.at(point - aside, down)[1]
            hessians[:, j] = slope / (2 * step)
            sway[:, j] = (up - down) / (2 * step)
        hessians = (hessians + hessians.transpose(0, 2, 1)) / 2
        return Local(point, values, gradients, hessians, modes, sway)

    def bend(self, local: Local, errors: FloatArray) -> FloatArray:
        """Third derivatives of the summed deviance, by second differences of gradients.

        Parameters
        ----------
        local : Local
            At the point in question.
        errors : ndarray, shape (d,)
            Rough standard errors.

        Returns
        -------
        ndarray, shape (d, d, d)
            Symmetric.
        """
        here = local.gradients.sum(axis=0)
        steps = WIDE * errors

        def slope(aside: FloatArray) -> FloatArray:
            modes = local.modes + local.sway @ aside
            if self._laplace is None:
                return np.asarray(self.at(local.point + aside, modes)[1].sum(axis=0))
            self._laplace.modes = modes
            gradient: FloatArray = self._laplace.deviance(local.point + aside)[1]
            return gradient

        def even(aside: FloatArray) -> FloatArray:
            return np.asarray(slope(aside) + slope(-aside) - 2 * here)

        axes = np.diag(steps)
        alone = [even(aside) for aside in axes]
        found = np.empty((self.size,) * 3)
        for j in range(self.size):
            found[j, j] = alone[j] / steps[j] ** 2
            for k in range(j):
                both = (even(axes[j] + axes[k]) - alone[j] - alone[k]) / 2
                found[j, k] = found[k, j] = both / (steps[j] * steps[k])
        turned = found.transpose(1, 2, 0) + found.transpose(2, 0, 1)
        return np.asarray((found + turned) / 3, dtype=np.float64)


def _of_groups(level: IntArray, n_levels: int, outermost: IntArray) -> IntArray:
    """Outermost group of each group of a level, given both of each cell."""
    found = np.empty(n_levels, dtype=np.int64)
    found[level] = outermost
    return found
