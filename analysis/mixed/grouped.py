"""The deviance of a mixed model without crossed factors, one term an outermost group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.mixed import kernels_groups
from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import IntArray, Structure

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
    of a logistic one (`analysis.mixed.logistic_mixed.Laplace`): sums over the groups.

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
        rows = structure.rows
        self.X = np.ascontiguousarray(X[rows])
        self.y, self.trials = np.ascontiguousarray(y[rows]), np.ascontiguousarray(trials[rows])
        depth = structure.depth
        self.n_groups = int(structure.n_levels[depth - 1])
        self.n_effects = structure.n_chain
        leaf = structure.level[structure.first[:-1], depth - 1]
        self._begin = np.searchsorted(leaf, np.arange(self.n_groups + 1)).astype(np.int64)
        self._column = np.concatenate([[0], np.cumsum(structure.q)]).astype(np.int64)
        self._most = int(np.diff(self._begin).max())
        self._all = np.arange(self.n_groups, dtype=np.int64)
        self.size = len(structure.theta_row) + X.shape[1] + int(linear)

    def with_outcome(self, y: FloatArray) -> Grouped:
        """Give the same model of another outcome, rows in the order of the design."""
        return Grouped(self.structure, self._unsorted(self.X), y, self._unsorted(self.trials),
                       linear=self.linear)  # fmt: skip

    def _unsorted(self, values: FloatArray) -> FloatArray:
        back = np.empty_like(values)
        back[self.structure.rows] = values
        return back

    def at(
        self, point: FloatArray, modes: FloatArray, which: IntArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Evaluate groups.

        Parameters
        ----------
        point : ndarray, shape (d,)
        modes : ndarray, shape (effects,)
            Spherical effects to start from; changed to those found.
        which : ndarray, int64, optional
            Groups; default all.

        Returns
        -------
        values : ndarray, shape (len(which),)
            inf where the modes cannot be found.
        gradients : ndarray, shape (len(which), d)
        """
        s = self.structure
        which = self._all if which is None else which
        m, p = len(s.theta_row), self.X.shape[1]
        values, gradients = np.empty(len(which)), np.empty((len(which), self.size))
        kernels_groups.evaluate(
            which,
            self._begin,
            s.first,
            s.closes,
            s.q,
            self._column,
            s.level,
            s.base,
            self._most,
            s.Z @ s.factor(point[:m]),
            s.Z,
            self.X,
            self.y,
            self.trials,
            self.X @ point[m : m + p],
            float(np.exp(point[-1])) if self.linear else 0.0,
            s.theta_row,
            s.theta_column,
            modes,
            values,
            gradients,
        )
        return values, gradients

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

        def even(aside: FloatArray) -> FloatArray:
            total = -2 * here
            for sign in (1.0, -1.0):
                modes = local.modes + local.sway @ (sign * aside)
                total = total + self.at(local.point + sign * aside, modes)[1].sum(axis=0)
            return np.asarray(total, dtype=np.float64)

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
