"""Penalised normal equations of a mixed model: factorise, solve, and walk over the inverse."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from analysis.mixed import kernels, kernels_inverse, kernels_rows
from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import IntArray, Structure


class System:
    """M = [V'WV + I, V'WX; X'WV, X'WX], factorised group by group.

    V = Z Λ(theta); W is the identity where there are fixed effects. Rows are in the
    structure's order throughout. One system holds the memory for one factorisation at a time.

    Parameters
    ----------
    structure : Structure
    X : ndarray, shape (n, p)
        Fixed-effect columns that belong to the equations; p may be 0.
    moments : ndarray, shape (leaves, kz, kz + p), optional
        Z'(Z, X) within the innermost groups, for equations whose weights are all one.
    """

    def __init__(
        self, structure: Structure, X: FloatArray, moments: FloatArray | None = None
    ) -> None:
        self.structure = structure
        kz = structure.Z.shape[1]
        self._moments = np.empty((0, kz, kz)) if moments is None else moments
        self.lower = np.zeros((kz, kz))
        self._gram: FloatArray | None = None
        self.X = np.ascontiguousarray(X)
        self.p = X.shape[1]
        self._where = structure.where(self.p)
        self._store = np.empty(int(self._where[-1]))
        self._border = np.empty((0, 0))
        self.V = structure.Z
        #: log |V'WV + I| and log |X'WX − …|: their sum is log |M|.
        self.logdet_effects = 0.0
        self.logdet_fixed = 0.0

    def factorise(self, theta: FloatArray, weights: FloatArray) -> bool:
        """Factorise M; False where it is not positive definite."""
        s = self.structure
        self.lower = s.factor(theta)
        if not len(self._moments):
            self.V = s.Z @ self.lower
        border = np.zeros((s.n_crossed + self.p, s.n_crossed + self.p))
        border[np.arange(s.n_crossed), np.arange(s.n_crossed)] = 1.0
        if self.p:
            # Equations that hold fixed effects are those of linear models: of weights one.
            self._gram = self.X.T @ self.X if self._gram is None else self._gram
            border[s.n_crossed :, s.n_crossed :] = self._gram
        logdet = kernels.eliminate(
            self.V,
            self.X,
            weights,
            s.first,
            s.closes,
            s.q,
            s.around,
            s.offset,
            s.ptr,
            s.inner,
            s.place,
            s.width,
            self._where,
            s.largest + self.p,
            self._moments,
            self.lower,
            self._store,
            border,
        )
        if not (np.isfinite(logdet) and np.isfinite(border).all()):
            return False
        try:
            self._border = cholesky(border, check_finite=False)
        except np.linalg.LinAlgError:
            return False
        pivots = 2 * np.log(np.diag(self._border))
        self.logdet_effects = float(logdet + pivots[: s.n_crossed].sum())
        self.logdet_fixed = float(pivots[s.n_crossed :].sum())
        return True

    def solve(self, right: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Solve M [u; beta] = [V'right; X'right].

        Returns
        -------
        effects : ndarray
            u: the chain's by factor and group, then the crossed factors'.
        beta : ndarray, shape (p,)
        fitted : ndarray, shape (n,)
            V u.
        """
        fixed = self.X.T @ right if self.p else np.empty(0)
        s = self.structure
        return self._solve(self.V, right, s.first, s.place, fixed)

    def solve_sums(
        self, sums: FloatArray, fixed: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Solve from sums within the innermost groups instead of rows.

        Parameters
        ----------
        sums : ndarray, shape (leaves, kz)
            Z'right of each innermost group.
        fixed : ndarray, shape (p,)
            X'right.

        Returns
        -------
        effects, beta, fitted
            As `solve`, but ``fitted`` is u'V'right of each innermost group.
        """
        n = len(sums)
        first = np.arange(n + 1, dtype=np.int64)
        place = np.zeros((n, 0), dtype=np.int64)
        return self._solve(sums @ self.lower, np.ones(n), first, place, fixed)

    def _solve(
        self, V: FloatArray, right: FloatArray, first: IntArray, place: IntArray, fixed: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        s = self.structure
        reduced = np.empty(s.n_chain)
        border = np.r_[np.zeros(s.n_crossed), fixed]
        kernels.forward(
            V,
            right,
            first,
            s.closes,
            s.q,
            s.around,
            s.offset,
            s.ptr,
            s.inner,
            place,
            s.width,
            self._where,
            s.largest + self.p,
            self.p,
            self._store,
            reduced,
            border,
        )
        if len(border):
            border = np.asarray(cho_solve((self._border, False), border), dtype=np.float64)
        effects = np.empty(s.n_chain)
        fitted = np.empty(len(right))
        kernels.backward(
            V,
            first,
            s.closes,
            s.q,
            s.around,
            s.offset,
            s.ptr,
            s.outer,
            place,
            s.width,
            self._where,
            s.largest + self.p,
            self.p,
            self._store,
            reduced,
            border,
            effects,
            fitted,
        )
        return np.r_[effects, border[: s.n_crossed]], border[s.n_crossed :], fitted

    def fixed_inverse(self) -> FloatArray:
        """Block of the fixed effects in M⁻¹, shape (p, p)."""
        corner = self._border[self.structure.n_crossed :, self.structure.n_crossed :]
        half = np.asarray(solve_triangular(corner, np.eye(self.p)), dtype=np.float64)
        return half @ half.T

    def own_blocks(self) -> tuple[FloatArray, FloatArray]:
        """Each group's own block of (V'WV + I)⁻¹, for systems without fixed effects.

        Returns
        -------
        own : ndarray, shape (effects, columns of the widest factor)
            A row an effect, in the order of `solve`; the columns are the effects of its group,
            zero where a factor has fewer.
        leverage : ndarray, shape (n,)
            v (V'WV + I)⁻¹ v' of each row v of V.
        """
        s = self.structure
        own = np.zeros((s.n_chain + s.n_crossed, int(s.span.max())))
        ones = np.ones(len(self.V))
        leverage, _ = self.logdet_slope(ones, fixed=False, own=own[: s.n_chain])
        if s.n_crossed:
            half = solve_triangular(self._border, np.eye(s.n_crossed))
            border = half @ half.T
            for f in range(s.depth, len(s.span)):
                for first in range(s.base[f], s.base[f] + s.n_levels[f] * s.span[f], s.span[f]):
                    at = slice(first - s.n_chain, first - s.n_chain + s.span[f])
                    own[first : first + s.span[f], : s.span[f]] = border[at, at]
        return own, leverage

    def logdet_slope(
        self, weights: FloatArray, *, fixed: bool, own: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Half the derivative of log |M| to the relative factor, at constant weights.

        Parameters
        ----------
        weights : ndarray, shape (n,)
        fixed : bool
            Of log |M|; else of log |V'WV + I|.
        own : ndarray, shape (chain effects, columns of the widest factor), optional
            Filled with each group's own block of the inverse (see `own_blocks`).

        Returns
        -------
        leverage : ndarray, shape (n,)
            v (M⁻¹)_uu v' of each row v of V when not `fixed`.
        slope : ndarray, shape (kz, kz)
        """
        s = self.structure
        size = s.n_crossed + self.p
        kept = size if fixed else s.n_crossed
        border = np.zeros((size, size))
        if kept:
            half = solve_triangular(self._border[:kept, :kept], np.eye(kept))
            border[:kept, :kept] = half @ half.T
        leverage = np.empty(len(weights))
        slope = np.zeros((s.Z.shape[1], s.Z.shape[1]))
        kernels_inverse.invert(
            self.V,
            self.X,
            s.Z,
            weights,
            s.first,
            s.closes,
            s.q,
            s.around,
            s.offset,
            s.ptr,
            s.inner,
            s.place,
            s.width,
            self._where,
            s.largest + self.p,
            self._moments,
            self.lower,
            self._store,
            border,
            leverage,
            slope,
            np.empty((0, 0)) if own is None else own,
        )
        return leverage, slope

    def outer_sums(self, one: FloatArray, effects: FloatArray) -> FloatArray:
        """Sum one · z u' over rows, u the effects that the row meets: (kz, kz)."""
        s = self.structure
        slope = np.zeros((s.Z.shape[1], s.Z.shape[1]))
        kernels_rows.gather(s.Z, one, s.level, s.base, s.span, effects, slope)
        return slope

    def outer_of_sums(self, sums: FloatArray, effects: FloatArray) -> FloatArray:
        """Sum (Z'one) u' over the innermost groups, given Z'one of each: (kz, kz)."""
        s = self.structure
        slope = np.zeros((s.Z.shape[1], s.Z.shape[1]))
        level = s.level[s.first[:-1]]
        kernels_rows.gather(sums, np.ones(len(sums)), level, s.base, s.span, effects, slope)
        return slope

    def effects_by_leaf(self, effects: FloatArray) -> FloatArray:
        """Effects that each innermost group meets, in the order of the columns: (leaves, kz)."""
        s = self.structure
        level = s.level[s.first[:-1]]
        columns = [
            effects[s.base[f] + level[:, f] * s.span[f] + j]
            for f in range(len(s.span))
            for j in range(s.span[f])
        ]
        return np.column_stack(columns)

    def at_theta(self, slope: FloatArray) -> FloatArray:
        """Pick the entries of a (kz, kz) derivative that belong to theta."""
        picked: FloatArray = slope[self.structure.theta_row, self.structure.theta_column]
        return picked
