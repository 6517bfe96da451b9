"""Penalised normal equations of a mixed model: factorise, solve, and walk over the inverse."""

from __future__ import annotations

import os

import numpy as np

from analysis.mixed import kernels_rows
from analysis.mixed.border import border_of
from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import Structure
from complexity.errors import InputError

#: Matrices of the border's size that a fit holds at once.
COPIES = 4


def check_border(structure: Structure, names: str) -> None:
    """Refuse crossed factors whose dense equations would not fit in memory.

    Parameters
    ----------
    structure : Structure
    names : str
        The groupings, for the message.

    Raises
    ------
    InputError
    """
    largest = structure.plan.largest
    needed = 8.0 * (COPIES * structure.n_crossed**2 + structure.depth * largest**2)
    if structure.n_crossed == 0:
        return
    memory = _memory()
    if memory is not None and needed > memory:
        raise InputError(
            f"random terms {names} cross, and the smaller of them have "
            f"{structure.n_crossed:,} random effects, which would need {needed / 2**30:,.0f} GB of "
            f"memory; this computer has {memory / 2**30:,.0f} GB. Leave one of the terms out, or "
            "group more coarsely"
        )


def _memory() -> float | None:
    """Memory of this computer in bytes; None where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None


class System:
    """M = [V'WV + I, V'WX; X'WV, X'WX], factorised group by group.

    V = Z Λ(theta); the fixed columns X may include right-hand sides. Rows come as sums within
    the structure's cells. One system holds the memory for one factorisation at a time.

    Parameters
    ----------
    structure : Structure
    p : int
        Number of fixed columns.
    """

    def __init__(self, structure: Structure, p: int) -> None:
        self.structure, self.p = structure, p
        kz = structure.Z.shape[1]
        self.lower = np.zeros((kz, kz))
        self.border = border_of(structure, p)
        #: log |V'WV + I|.
        self.logdet_effects = 0.0

    def factorise(
        self, theta: FloatArray, moments: FloatArray, gram: FloatArray | None = None
    ) -> bool:
        """Factorise M; False where it is not positive definite.

        Parameters
        ----------
        theta : ndarray
        moments : ndarray, shape (kz, kz + p, cells)
            Z'W(Z, X) of each cell.
        gram : ndarray, shape (p, p), optional
            X'WX. Without it the fixed columns are right-hand sides for `solved` alone.
        """
        self.lower = self.structure.factor(theta)
        border = self.border.room(gram)
        logdet = self._eliminate(moments, border)
        if not np.isfinite(logdet) or not self.border.factorise(border, fixed=gram is not None):
            return False
        self.logdet_effects = logdet + self.border.logdet
        return True

    def logdet_fixed(self, count: int) -> float:
        """Log |M| less log |V'WV + I|, of the first `count` fixed columns."""
        return 2 * float(np.log(np.diag(self.border.corner)[:count]).sum())

    def solved(self) -> FloatArray:
        """Solve (V'WV + I) u = V'W r for the one fixed column r of the last `factorise`."""
        crossed = self.border.solved()
        return np.concatenate([self._backward(None, np.r_[crossed, -1.0]), crossed])

    def explained(self, coefficients: FloatArray) -> FloatArray:
        """Effects u for given coefficients of the fixed columns: (V'WV + I) u = −V'WX times them.

        Parameters
        ----------
        coefficients : ndarray, shape (p,)
        """
        crossed = self.border.explained(coefficients)
        chain = self._backward(None, np.concatenate([crossed, coefficients]))
        return np.concatenate([chain, crossed])

    def solve(self, sums: FloatArray) -> FloatArray:
        """Solve (V'WV + I) u = V'W r.

        Parameters
        ----------
        sums : ndarray, shape (cells, kz)
            Z'W r of each cell.

        Returns
        -------
        ndarray
            u: the chain's by factor and group, then the crossed factors'.
        """
        s = self.structure
        border = np.zeros(s.n_crossed + self.p)
        reduced = self._forward(sums, border)
        border[: s.n_crossed] = self.border.solve(border[: s.n_crossed])
        border[s.n_crossed :] = 0.0
        return np.concatenate([self._backward(reduced, border), border[: s.n_crossed]])

    def logdet_slope(
        self, moments: FloatArray, weights: FloatArray, *, spread: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Half the derivative of a weighted sum of log pivots to the relative factor.

        With R'R = M and r its diagonal, the function is Σ a log r², a being one for the
        random effects; at a = 1 throughout it is log |M|. Its derivative to M is
        R⁻¹ diag(a) R⁻ᵀ, which has the recursion of the inverse of M.

        Parameters
        ----------
        moments : ndarray
            As `factorise` had them.
        weights : ndarray, shape (p,) or (0,)
            a of the fixed columns.
        spread : bool
            Return the blocks of Λ M⁻¹ Λ' also.

        Returns
        -------
        slope : ndarray, shape (kz, kz)
        blocks : ndarray, shape (kz, kz, cells)
            Empty unless asked for.
        """
        s = self.structure
        kz = s.Z.shape[1]
        whole = self.border.inverse(weights)
        slope = np.zeros((kz, kz))
        blocks = np.empty((kz, kz, s.n_cells if spread else 0))
        self._invert(moments, whole, blocks, slope)
        return slope, blocks

    def _eliminate(self, moments: FloatArray, border: FloatArray) -> float:
        """Eliminate the chain; what is left goes to `border`; return the log-determinant."""
        raise NotImplementedError

    def _forward(self, sums: FloatArray, border: FloatArray) -> FloatArray:
        """Carry Z'W r through the elimination; what is left goes to `border`."""
        raise NotImplementedError

    def _backward(self, reduced: FloatArray | None, border: FloatArray) -> FloatArray:
        """Chain effects, given what `_forward` returned (None: zero) and the border's solution."""
        raise NotImplementedError

    def _invert(
        self, moments: FloatArray, border: FloatArray, spread: FloatArray, slope: FloatArray
    ) -> None:
        """Walk over the inverse; `kernels_inverse.invert` says what is filled."""
        raise NotImplementedError

    def met(self, effects: FloatArray) -> FloatArray:
        """Effects that each cell meets, in the order of the columns: (cells, kz)."""
        s = self.structure
        met = np.empty((s.n_cells, s.Z.shape[1]))
        kernels_rows.effects_met(s.level, s.base, s.span, effects, met)
        return met

    def at_theta(self, slope: FloatArray) -> FloatArray:
        """Pick the entries of a (kz, kz) derivative that belong to theta."""
        picked: FloatArray = slope[self.structure.theta_row, self.structure.theta_column]
        return picked
