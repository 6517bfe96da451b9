"""Compiled kernels: Cholesky factor and inverse of a sparse matrix, column by column.

Shared arguments, a symmetric matrix of n rows whose factor is L:

==========  ============  =================================================================
begin       (n + 1,)      slice of `rows` and `values` for each column of L
rows        (...)         rows below the diagonal where the column is not zero, ascending
values      (...)         L there
pivots      (n,)          its diagonal
work        (n, n)        room
==========  ============  =================================================================

Columns are updated in a square array, of which the places outside the factor's pattern are
never touched: with few of them that costs no more than finding each place in a list.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray


@compiled
def link(ptr: IntArray, outer: IntArray, linked: npt.NDArray[np.bool_]) -> None:
    """Mark in ``linked`` (n, n) which crossed effects some group meets together."""
    for group in range(ptr.shape[0] - 1):
        for a in range(ptr[group], ptr[group + 1]):
            for b in range(ptr[group], ptr[group + 1]):
                linked[outer[a], outer[b]] = True


@compiled
def pattern(starts: IntArray, below: IntArray) -> tuple[IntArray, IntArray]:
    """Find where the factor is not zero: ``begin`` and ``rows``.

    A column of L has the rows of the matrix's column (``below[starts[j]:starts[j + 1]]``,
    those below the diagonal) and of all columns whose first row it is (Davis 2006, Direct
    Methods for Sparse Linear Systems, chapter 4).
    """
    n = starts.shape[0] - 1
    begin = np.zeros(n + 1, dtype=np.int64)
    rows = np.empty(max(4 * below.shape[0], 16), dtype=np.int64)
    first = np.full(n, -1, dtype=np.int64)  # of the columns whose first row is j, in a chain
    after = np.full(n, -1, dtype=np.int64)
    seen = np.full(n, -1, dtype=np.int64)
    stop = 0
    for j in range(n):
        if stop + n > rows.shape[0]:
            longer = np.empty(2 * rows.shape[0] + n, dtype=np.int64)
            longer[:stop] = rows[:stop]
            rows = longer
        seen[j] = j
        for k in range(starts[j], starts[j + 1]):
            seen[below[k]] = j
            rows[stop] = below[k]
            stop += 1
        child = first[j]
        while child >= 0:
            for k in range(begin[child], begin[child + 1]):
                i = rows[k]
                if seen[i] != j:
                    seen[i] = j
                    rows[stop] = i
                    stop += 1
            child = after[child]
        begin[j + 1] = stop
        if stop > begin[j]:
            rows[begin[j] : stop].sort()
            above = rows[begin[j]]
            after[j] = first[above]
            first[above] = j
    return begin, rows[:stop].copy()


@compiled
def factorise(
    matrix: FloatArray,
    order: IntArray,
    begin: IntArray,
    rows: IntArray,
    work: FloatArray,
    values: FloatArray,
    pivots: FloatArray,
) -> bool:
    """Factorise a matrix in the order given; False where it is not positive definite.

    ``matrix`` (upper triangle, rows as they were before ordering) is left zero.
    """
    n = begin.shape[0] - 1
    for j in range(n):
        at = order[j]
        work[j, j] = matrix[at, at]
        matrix[at, at] = 0.0
        for k in range(begin[j], begin[j + 1]):
            other = order[rows[k]]
            low, high = min(at, other), max(at, other)
            work[j, rows[k]] = matrix[low, high]
            matrix[low, high] = 0.0
    for j in range(n):
        pivot = work[j, j]
        if not pivot > 0.0:
            return False
        pivot = np.sqrt(pivot)
        pivots[j] = pivot
        for k in range(begin[j], begin[j + 1]):
            values[k] = work[j, rows[k]] / pivot
        for k in range(begin[j], begin[j + 1]):
            i, v = rows[k], values[k]
            for m in range(k, begin[j + 1]):
                work[i, rows[m]] -= v * values[m]
    return True


@compiled
def invert(
    begin: IntArray,
    rows: IntArray,
    values: FloatArray,
    pivots: FloatArray,
    work: FloatArray,
    order: IntArray,
    fixed: FloatArray,
    coupling: FloatArray,
    inverse: FloatArray,
) -> None:
    """Fill the upper triangle of ``inverse`` where the factor is not zero.

    With (LL')⁻¹ by Takahashi's recursion, it is (LL')⁻¹ + K S K', rows as they were before
    ordering; ``coupling`` is K (n, p), in the order, and ``fixed`` S (p, p).
    """
    n, p = begin.shape[0] - 1, fixed.shape[0]
    half = np.empty(p)
    for j in range(n - 1, -1, -1):
        start, stop = begin[j], begin[j + 1]
        for k in range(start, stop):
            v = 0.0
            for m in range(start, stop):
                v += values[m] * work[rows[m], rows[k]]
            work[j, rows[k]] = -v / pivots[j]
        v = 1.0 / pivots[j]
        for k in range(start, stop):
            # Both halves are read on the way.
            work[rows[k], j] = work[j, rows[k]]
            v -= values[k] * work[j, rows[k]]
        work[j, j] = v / pivots[j]
        for a in range(p):
            v = 0.0
            for b in range(p):
                v += coupling[j, b] * fixed[b, a]
            half[a] = v
        at = order[j]
        for k in range(start - 1, stop):
            i = j if k < start else rows[k]
            v = work[j, i]
            for a in range(p):
                v += half[a] * coupling[i, a]
            other = order[i]
            inverse[min(at, other), max(at, other)] = v


@compiled
def solve_lower(
    begin: IntArray, rows: IntArray, values: FloatArray, pivots: FloatArray, right: FloatArray
) -> None:
    """Turn ``right`` (n, k) into L⁻¹ times it."""
    for j in range(begin.shape[0] - 1):
        for a in range(right.shape[1]):
            right[j, a] /= pivots[j]
            v = right[j, a]
            for k in range(begin[j], begin[j + 1]):
                right[rows[k], a] -= values[k] * v


@compiled
def solve_upper(
    begin: IntArray, rows: IntArray, values: FloatArray, pivots: FloatArray, right: FloatArray
) -> None:
    """Turn ``right`` (n, k) into L'⁻¹ times it."""
    for j in range(begin.shape[0] - 2, -1, -1):
        for a in range(right.shape[1]):
            v = right[j, a]
            for k in range(begin[j], begin[j + 1]):
                v -= values[k] * right[rows[k], a]
            right[j, a] = v / pivots[j]
