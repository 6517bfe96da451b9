"""What is left of the equations when the chain is eliminated: crossed effects, fixed columns.

Two ways to factorise it: as a dense matrix, and, where groups of the chain tie few of the
crossed effects together (pupils who change teachers, most of them within a school), in an order
that leaves most of the factor zero.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dlauum, dpotrf, dtrtri

from analysis.mixed import kernels_sparse
from analysis.mixed.clustered import FloatArray
from analysis.mixed.structure import IntArray, Structure

#: Dense matrices smaller than this are faster.
FEWEST = 200
#: More than this share of pairs of crossed effects tied: dense.
SPARSE = 0.1
#: Multiplications that dense routines do in the time of one in a sparse factor.
SLOWER = 20.0


def border_of(structure: Structure, p: int) -> Border:
    """Choose the kind of border that is faster for a structure and p fixed columns."""
    ordered = _ordered(structure)
    if ordered is None:
        return Dense(structure.n_crossed, p)
    return Sparse(structure.n_crossed, p, *ordered)


def _ordered(structure: Structure) -> tuple[IntArray, IntArray, IntArray] | None:
    """Find an order of little fill, and the factor's pattern in it; None where dense is faster."""
    c, plan = structure.n_crossed, structure.plan
    if c < FEWEST:
        return None
    linked = np.zeros((c, c), dtype=np.bool_)
    kernels_sparse.link(plan.ptr[plan.offset[-1] :], plan.outer, linked)
    if np.count_nonzero(linked) > SPARSE * c**2:
        return None
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    whole = csc_matrix(linked, dtype=np.float64)
    whole.setdiag(2.0 * c)
    # Minimum degree, of which only the order is wanted.
    rough = splu(
        whole, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True}
    )
    order = np.argsort(rough.perm_c).astype(np.int64)
    lower = csc_matrix(np.tril(linked[np.ix_(order, order)], -1))
    begin, rows = kernels_sparse.pattern(
        lower.indptr.astype(np.int64), lower.indices.astype(np.int64)
    )
    work = float((np.diff(begin).astype(np.float64) ** 2).sum())
    return None if SLOWER * work > c**3 / 3 else (order, begin, rows)


class Border:
    """The matrix over c crossed effects and p fixed columns, factorised as R'R.

    Attributes
    ----------
    corner : ndarray, shape (p, p)
        R of the fixed columns; what is below its diagonal is not zero. Empty where they took no
        part.
    logdet : float
        log |R'R| of the crossed effects.
    exhausted : bool
        Nothing but rounding is left of the last fixed column: its pivot has no meaning.
    """

    def __init__(self, c: int, p: int) -> None:
        self.c, self.p = c, p
        self.corner = np.empty((0, 0))
        self.logdet = 0.0
        self.exhausted = False

    def room(self, gram: FloatArray | None) -> FloatArray:
        """Give the matrix to add to: the identity of crossed effects and X'WX, (c + p, c + p)."""
        matrix = self._zeros()
        matrix.ravel()[: self.c * (self.c + self.p) : self.c + self.p + 1] = 1.0
        matrix[self.c :, self.c :] = 0.0 if gram is None else gram
        return matrix

    def _zeros(self) -> FloatArray:
        return np.zeros((self.c + self.p, self.c + self.p))

    def factorise(self, matrix: FloatArray, *, fixed: bool) -> bool:
        """Factorise what was added to `room`; False where it is not positive definite.

        Without `fixed` the fixed columns are right-hand sides, for `solved`.
        """
        raise NotImplementedError

    def solve(self, right: FloatArray) -> FloatArray:
        """Solve R'R u = r for crossed effects: (c,)."""
        raise NotImplementedError

    def solved(self) -> FloatArray:
        """Solve for the one fixed column that is a right-hand side: (c,)."""
        raise NotImplementedError

    def explained(self, coefficients: FloatArray) -> FloatArray:
        """Crossed effects for given coefficients of the fixed columns: (c,)."""
        raise NotImplementedError

    def inverse(self, weights: FloatArray) -> FloatArray:
        """R⁻¹ diag(a) R⁻ᵀ, a one for crossed effects and `weights` for fixed columns.

        The upper triangle, (c + p, c + p), where a group of the chain meets both; zero for
        right-hand sides.
        """
        raise NotImplementedError


def _corner(matrix: FloatArray) -> tuple[FloatArray, int]:
    """Factorise an upper triangle in place; the last pivot may fail: R, and which pivot did."""
    # Transposed, C's upper triangles are Fortran's lower ones: nothing is copied.
    factor, failed = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed and failed == len(matrix):
        # Any pivot does: with weight zero the column takes no part in derivatives.
        factor[-1, -1] = 1.0
    return factor.T, int(failed)


def _weighted_inverse(upper: FloatArray, weights: FloatArray) -> FloatArray:
    """R⁻¹ diag(a) R⁻ᵀ, its upper triangle."""
    inverse, _ = dtrtri(upper.T, lower=1)
    inverse *= np.sqrt(weights)[:, None]
    between: FloatArray = dlauum(inverse, lower=1, overwrite_c=1)[0].T
    return between


class Dense(Border):
    """As one dense matrix."""

    def __init__(self, c: int, p: int) -> None:
        super().__init__(c, p)
        self._factor = np.empty((0, 0))
        self._coupled = np.empty((0, 0))

    def factorise(self, matrix: FloatArray, *, fixed: bool) -> bool:
        """See `Border`."""
        c = self.c
        kept = c + self.p if fixed else c
        if not np.isfinite(matrix).all():
            return False
        self._coupled = matrix[:c, c:].copy()
        factor, failed = _corner(matrix[:kept, :kept])
        if failed and not (fixed and failed == kept):
            return False
        self.exhausted = bool(failed)
        self._factor, self.corner = factor, factor[c:, c:]
        self.logdet = 2 * float(np.log(np.diag(factor)[:c]).sum())
        return True

    def solve(self, right: FloatArray) -> FloatArray:
        """See `Border`."""
        if self.c == 0:
            return right
        corner = self._factor[: self.c, : self.c]
        return _triangular(corner, _triangular(corner, right, transposed=True))

    def solved(self) -> FloatArray:
        """See `Border`."""
        return self.solve(self._coupled[:, 0])

    def explained(self, coefficients: FloatArray) -> FloatArray:
        """See `Border`."""
        c = self.c
        return _triangular(self._factor[:c, :c], -self._factor[:c, c:] @ coefficients)

    def inverse(self, weights: FloatArray) -> FloatArray:
        """See `Border`."""
        size, whole = len(self._factor), self.c + self.p
        if not size:
            return np.zeros((whole, whole))
        between = _weighted_inverse(self._factor, np.concatenate([np.ones(self.c), weights]))
        if size == whole:
            return between
        padded = np.zeros((whole, whole))
        padded[:size, :size] = between
        return padded


def _triangular(upper: FloatArray, right: FloatArray, *, transposed: bool = False) -> FloatArray:
    if not len(right):
        return right
    found = solve_triangular(upper, right, trans=int(transposed), check_finite=False)
    return np.asarray(found, dtype=np.float64)


class Sparse(Border):
    """Crossed effects in an order that leaves most of their factor zero; fixed columns dense."""

    def __init__(self, c: int, p: int, order: IntArray, begin: IntArray, rows: IntArray) -> None:
        super().__init__(c, p)
        self._order, self._back = order, np.argsort(order)
        self._begin, self._rows = begin, rows
        self._values, self._pivots = np.empty(len(rows)), np.empty(c)
        self._matrix = np.zeros((c + p, c + p))
        self._work = np.empty((c, c))
        self._inverse = np.zeros((c + p, c + p))
        # L⁻¹ of the fixed columns' part, in the order.
        self._coupling = np.empty((c, p))

    def _zeros(self) -> FloatArray:
        # Where the factor is zero nothing is added; `factorise` clears the rest.
        if self._matrix[0, 0] != 0.0:
            self._matrix[:] = 0.0
        self._matrix[: self.c, self.c :] = 0.0
        return self._matrix

    def factorise(self, matrix: FloatArray, *, fixed: bool) -> bool:
        """See `Border`."""
        c = self.c
        self._coupling = matrix[:c, c:][self._order]
        found = kernels_sparse.factorise(
            matrix, self._order, self._begin, self._rows, self._work, self._values, self._pivots
        )
        if not found:
            return False
        kernels_sparse.solve_lower(*self._factor, self._coupling)
        self.logdet = 2 * float(np.log(self._pivots).sum())
        self.exhausted, self.corner = False, np.empty((0, 0))
        if fixed:
            left = matrix[c:, c:] - self._coupling.T @ self._coupling
            self.corner, failed = _corner(left)
            self.exhausted = bool(failed)
            return failed in (0, self.p)
        return bool(np.isfinite(self.logdet))

    @property
    def _factor(self) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
        return self._begin, self._rows, self._values, self._pivots

    def solve(self, right: FloatArray) -> FloatArray:
        """See `Border`."""
        found = right[self._order][:, None]
        kernels_sparse.solve_lower(*self._factor, found)
        return self._upper(found[:, 0])[self._back]

    def solved(self) -> FloatArray:
        """See `Border`."""
        return self._upper(self._coupling[:, 0])[self._back]

    def explained(self, coefficients: FloatArray) -> FloatArray:
        """See `Border`."""
        return self._upper(-self._coupling @ coefficients)[self._back]

    def _upper(self, right: FloatArray) -> FloatArray:
        """R⁻¹ times columns, or one, in the order."""
        found = right.reshape(self.c, -1).copy()
        kernels_sparse.solve_upper(*self._factor, found)
        return found.reshape(right.shape)

    def inverse(self, weights: FloatArray) -> FloatArray:
        """See `Border`."""
        c, found = self.c, self._inverse
        coupling = np.empty((c, 0))
        fixed = np.empty((0, 0))
        found[:, c:] = 0.0
        if len(self.corner):
            fixed = np.triu(_weighted_inverse(self.corner, weights))
            fixed += np.triu(fixed, 1).T
            coupling = self._upper(self._coupling)
            found[c:, c:] = fixed
            found[:c, c:] = -(coupling @ fixed)[self._back]
        kernels_sparse.invert(*self._factor, self._work, self._order, fixed, coupling, found)
        return found
