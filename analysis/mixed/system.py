"""Penalised normal equations of a mixed model: factorise, solve, and walk over the inverse."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from analysis.mixed import kernels, kernels_inverse, kernels_rows
from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import Structure


class System:
    """M = [V'WV + I, V'WX; X'WV, X'WX], factorised group by group.

    V = Z Λ(theta). Rows are in the structure's order throughout. One system holds the
    memory for one factorisation at a time.

    Parameters
    ----------
    structure : Structure
    X : ndarray, shape (n, p)
        Fixed-effect columns that belong to the equations; p may be 0.
    """

    def __init__(self, structure: Structure, X: FloatArray) -> None:
        self.structure = structure
        self.X = np.ascontiguousarray(X)
        self.p = X.shape[1]
        self._where = structure.where(self.p)
        self._store = np.empty(int(self._where[-1]))
        self._border = np.empty((0, 0))
        self.V = np.empty_like(structure.Z)
        #: log |V'WV + I| and log |X'WX − …|: their sum is log |M|.
        self.logdet_effects = 0.0
        self.logdet_fixed = 0.0

    def factorise(self, theta: FloatArray, weights: FloatArray) -> bool:
        """Factorise M; False where it is not positive definite."""
        s = self.structure
        self.V = s.Z @ s.factor(theta)
        border = np.zeros((s.n_crossed + self.p, s.n_crossed + self.p))
        border[np.arange(s.n_crossed), np.arange(s.n_crossed)] = 1.0
        if self.p:
            border[s.n_crossed :, s.n_crossed :] = (self.X * weights[:, None]).T @ self.X
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
        s = self.structure
        reduced = np.empty(s.n_chain)
        border = np.zeros(s.n_crossed + self.p)
        if self.p:
            border[s.n_crossed :] = self.X.T @ right
        kernels.forward(
            self.V,
            right,
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
            self.V,
            s.first,
            s.closes,
            s.q,
            s.around,
            s.offset,
            s.ptr,
            s.outer,
            s.place,
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

    def logdet_slope(self, weights: FloatArray, *, fixed: bool) -> tuple[FloatArray, FloatArray]:
        """Half the derivative of log |M| to the relative factor, at constant weights.

        Parameters
        ----------
        weights : ndarray, shape (n,)
        fixed : bool
            Of log |M|; else of log |V'WV + I|.

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
            self._store,
            border,
            leverage,
            slope,
        )
        return leverage, slope

    def outer_sums(self, one: FloatArray, effects: FloatArray) -> FloatArray:
        """Sum one · z u' over rows, u the effects that the row meets: (kz, kz)."""
        s = self.structure
        slope = np.zeros((s.Z.shape[1], s.Z.shape[1]))
        kernels_rows.gather(s.Z, one, s.level, s.base, s.span, effects, slope)
        return slope

    def at_theta(self, slope: FloatArray) -> FloatArray:
        """Pick the entries of a (kz, kz) derivative that belong to theta."""
        picked: FloatArray = slope[self.structure.theta_row, self.structure.theta_column]
        return picked
