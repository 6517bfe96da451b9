"""The two ways to eliminate a chain of nested groupings: all levels at once, or group by group."""

from __future__ import annotations

import numpy as np

from analysis.mixed import kernels, kernels_inverse, kernels_nested
from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import Structure
from analysis.mixed.system import System


def equations(structure: Structure, p: int) -> System:
    """Choose the kind of system that a structure needs.

    Parameters
    ----------
    structure : Structure
    p : int
        Number of fixed columns.
    """
    return Crossed(structure, p) if structure.n_crossed else Nested(structure, p)


class Crossed(System):
    """With crossed factors: groups differ in what they meet."""

    def __init__(self, structure: Structure, p: int) -> None:
        super().__init__(structure, p)
        self._where = structure.where(p)
        self._store = np.empty(int(self._where[-1]))

    def _eliminate(self, moments: FloatArray, border: FloatArray) -> float:
        plan = self.structure.plan
        return float(kernels.eliminate(moments, self.lower, plan, self._where, self._store, border))

    def _forward(self, sums: FloatArray, border: FloatArray) -> FloatArray:
        reduced = np.empty(self.structure.n_chain)
        kernels.forward(
            sums,
            self.lower,
            self.structure.plan,
            self._where,
            self.p,
            self._store,
            reduced,
            border,
        )
        return reduced

    def _backward(self, reduced: FloatArray | None, border: FloatArray) -> FloatArray:
        s = self.structure
        effects = np.empty(s.n_chain)
        known = np.zeros(s.n_chain) if reduced is None else reduced
        kernels.backward(s.plan, self._where, self.p, self._store, known, border, effects)
        return effects

    def _invert(
        self, moments: FloatArray, border: FloatArray, spread: FloatArray, slope: FloatArray
    ) -> None:
        kernels_inverse.invert(
            moments,
            self.lower,
            self.structure.plan,
            self._where,
            self._store,
            border,
            spread,
            slope,
        )


class Nested(System):
    """Nested groupings alone: all groups of a level have matrices of one size."""

    def __init__(self, structure: Structure, p: int) -> None:
        super().__init__(structure, p)
        q, around = structure.plan.q, structure.plan.around
        self._rows = [int(own + beyond) for own, beyond in zip(q, around, strict=True)]
        self._stores = [
            np.zeros((int(q[d]), rows + p, int(structure.n_levels[d])))
            for d, rows in enumerate(self._rows)
        ]
        kz = structure.Z.shape[1]
        self._wanted = np.zeros((kz, kz))
        self._wanted[structure.theta_row, structure.theta_column] = 1.0

    def _eliminate(self, moments: FloatArray, border: FloatArray) -> float:
        source, lower, logdet = moments, self.lower, 0.0
        for d, store in enumerate(self._stores):
            above = self._room(d + 1)
            logdet += kernels_nested.eliminate_level(
                source, lower, self.structure.parents[d], store, above, border
            )
            source, lower = above, np.empty((0, 0))
        return logdet

    def logdets(self) -> FloatArray:
        """Log |V'WV + I| of each outermost group, whose sum is `logdet_effects`."""
        found = np.zeros(0)
        for d, store in enumerate(self._stores):
            own = 2 * np.log(np.diagonal(store)).sum(axis=1)
            found = own + np.bincount(self.structure.parents[d - 1], found) if d else own
        return np.asarray(found, dtype=np.float64)

    def _room(self, d: int) -> FloatArray:
        """Make room for the matrices of a level; empty beyond the outermost."""
        if d >= len(self._rows):
            return np.empty((0, 0, 0))
        return np.zeros((self._rows[d], self._rows[d] + self.p, int(self.structure.n_levels[d])))

    def _forward(self, sums: FloatArray, border: FloatArray) -> FloatArray:
        right, found = self.lower.T @ sums.T, []
        for d, store in enumerate(self._stores):
            reduced = np.empty((store.shape[0], store.shape[2]))
            rows = self._rows[d] - store.shape[0]
            above = np.zeros((rows, len(self._stores[d + 1].T) if rows else 0))
            kernels_nested.forward_level(right, self.structure.parents[d], store, above, reduced)
            found.append(reduced.ravel())
            right = above
        return np.concatenate(found)

    def _backward(self, reduced: FloatArray | None, border: FloatArray) -> FloatArray:
        outside, stop, pieces = np.empty((0, 0)), self.structure.n_chain, []
        for d in reversed(range(len(self._stores))):
            store = self._stores[d]
            q, n = store.shape[0], store.shape[2]
            begin = stop - q * n
            own = np.zeros((q, n)) if reduced is None else reduced[begin:stop].reshape(q, n)
            found = np.empty((self._rows[d], n))
            parent = self.structure.parents[d]
            kernels_nested.backward_level(own, parent, store, outside, border, found)
            pieces.append(found[:q].T.ravel())
            outside, stop = found, begin
        return np.concatenate(pieces[::-1])

    def _invert(
        self, moments: FloatArray, border: FloatArray, spread: FloatArray, slope: FloatArray
    ) -> None:
        above = np.empty((0, 0, 0))
        for d in reversed(range(len(self._stores))):
            found = self._room(d) if d else np.empty((0, 0, 0))
            kernels_nested.invert_level(
                self._stores[d],
                self.structure.parents[d],
                above,
                border,
                found,
                moments,
                self.lower,
                self._wanted,
                slope,
                spread,
            )
            above = found
