"""Compiled kernels: block elimination of nested groups, group by group.

The penalised normal equations of a mixed model, cells sorted by a chain of nested groupings
(level 0 the innermost), are eliminated from the innermost groups outwards. Each group has a
small dense matrix over

    [own effects | effects of the groups around it | crossed effects it meets | fixed columns]

and what is left of it after elimination is added to the matrix of the group around it; what
is left of the outermost groups is added to the `border`, the dense matrix of all crossed
effects and fixed columns. This is Cholesky factorisation in an order that creates no fill
between groups (Bates et al. 2015, doi:10.18637/jss.v067.i01, do it with general sparse
matrices). Rows are met only as sums within cells.

Shared arguments, D levels, G groups in all, C crossed factors:

==========  ============  =================================================================
moments     (kz, kz + p,  Z'W(Z, X) of each cell: Z the columns of the random effects, chain
            cells)        from the innermost outwards, then crossed factors; X the fixed
                          columns, right-hand sides included
lower       (kz, kz)      the relative factor Λ: V = Z Λ are the columns of the equations
where       (G + 1,)      slice of `store`: the group's triangular factor and its coupling
==========  ============  =================================================================

and, in the `Plan`:

==========  ============  =================================================================
first       (leaves + 1)  first cell of each innermost group
closes      (leaves,)     how many levels end with this innermost group, from 1 to D
q, around   (D,)          columns of a level; columns of the levels around it
offset      (D,)          number of the first group of a level
ptr         (G + 1,)      crossed columns of a group: slice of `inner` and `outer`
inner       (...)         their positions in the group around (outermost: in the border)
outer       (...)         their positions in the border
place       (cells, C)    position of a cell's crossed effects among those of its leaf
width       (C,)          columns of a crossed factor
largest                   size of the largest group's matrix, fixed columns left out
==========  ============  =================================================================
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray, Plan


@compiled
def eliminate(
    moments: FloatArray,
    lower: FloatArray,
    plan: Plan,
    where: IntArray,
    store: FloatArray,
    border: FloatArray,
) -> float:
    """Factorise V'WV + I, and add what is left for the border's columns to `border`.

    `border` (upper triangle) comes with the identity of the crossed effects and X'WX, which
    are not added here. Returns the log-determinant of the eliminated part.
    """
    first, closes, q, around, offset, ptr, inner, _, place, width, most = plan
    depth, kz = q.shape[0], lower.shape[0]
    p = moments.shape[1] - kz
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    largest = most + p
    work = np.zeros((depth, largest, largest))
    count = np.zeros(depth, dtype=np.int64)
    fresh = np.ones(depth, dtype=np.bool_)
    half = np.empty((kz, kz + p))
    at = np.empty(kz + p, dtype=np.int64)
    to = np.empty(largest, dtype=np.int64)
    # Rows of Λ that a column fills: its own down to the end of its block.
    stop = np.zeros(kz, dtype=np.int64)
    for a in range(kz):
        stop[a] = a + 1
        for j in range(a, kz):
            if lower[j, a] != 0.0:
                stop[a] = j + 1
    logdet = 0.0
    for leaf in range(first.shape[0] - 1):
        n_local = ptr[leaf + 1] - ptr[leaf]
        A = work[0]
        m = n_chain + n_local + p
        for a in range(n_chain + n_local):
            for b in range(a, m):
                A[a, b] = 0.0
        for a in range(n_chain + n_local, m):
            for b in range(a, m):
                A[a, b] = 0.0
        for a in range(n_chain):
            at[a] = a
        for a in range(p):
            at[kz + a] = n_chain + n_local + a
        for cell in range(first[leaf], first[leaf + 1]):
            for j in range(kz):
                for b in range(kz):
                    v = 0.0
                    for k in range(b, stop[b]):
                        v += moments[j, k, cell] * lower[k, b]
                    half[j, b] = v
                for b in range(kz, kz + p):
                    half[j, b] = moments[j, b, cell]
            k = n_chain
            for c in range(n_crossed):
                for j in range(width[c]):
                    at[k] = n_chain + place[cell, c] + j
                    k += 1
            for a in range(kz):
                row = at[a]
                for j in range(a, stop[a]):
                    v = lower[j, a]
                    for b in range(a, kz + p):
                        A[row, at[b]] += v * half[j, b]
        for d in range(closes[leaf]):
            group = offset[d] + count[d]
            n_local = ptr[group + 1] - ptr[group]
            qd = q[d]
            r = around[d] + n_local + p
            A = work[d]
            for a in range(qd):
                A[a, a] += 1.0
            # The own block becomes its upper Cholesky factor U, the coupling B becomes U'⁻¹B.
            for a in range(qd):
                for k in range(a):
                    v = A[k, a]
                    for b in range(a, qd + r):
                        A[a, b] -= v * A[k, b]
                pivot = np.sqrt(A[a, a])
                logdet += 2.0 * np.log(pivot)
                for b in range(a, qd + r):
                    A[a, b] /= pivot
            start = where[group]
            for a in range(qd):
                for b in range(a, qd):
                    store[start + a * qd + b] = A[a, b]
            start += qd * qd
            for a in range(qd):
                for b in range(r):
                    store[start + a * r + b] = A[a, qd + b]
            if d + 1 < depth:
                parent = work[d + 1]
                above = offset[d + 1] + count[d + 1]
                n_above = ptr[above + 1] - ptr[above]
                if fresh[d + 1]:
                    size = q[d + 1] + around[d + 1] + n_above + p
                    for a in range(size):
                        for b in range(a, size):
                            parent[a, b] = 0.0
                    fresh[d + 1] = False
            else:
                parent = border
                n_above = n_border
            for j in range(qd):
                for a in range(r):
                    v = A[j, qd + a]
                    for b in range(a, r):
                        A[qd + a, qd + b] -= v * A[j, qd + b]
            for a in range(around[d]):
                to[a] = a
            for a in range(n_local):
                to[around[d] + a] = around[d] + inner[ptr[group] + a]
            for a in range(p):
                to[around[d] + n_local + a] = around[d] + n_above + a
            for a in range(r):
                row = to[a]
                for b in range(a, r):
                    parent[row, to[b]] += A[qd + a, qd + b]
            count[d] += 1
            fresh[d] = True
    return logdet


@compiled
def forward(
    sums: FloatArray,
    lower: FloatArray,
    plan: Plan,
    where: IntArray,
    p: int,
    store: FloatArray,
    reduced: FloatArray,
    border: FloatArray,
) -> None:
    """Carry a right-hand side V'W r through the elimination; `sums` (cells, kz) are Z'W r.

    Fills `reduced` (all chain effects, level by level) and adds what is left to `border`.
    """
    first, closes, q, around, offset, ptr, inner, _, place, width, most = plan
    depth, kz = q.shape[0], lower.shape[0]
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    work = np.zeros((depth, most + p))
    count = np.zeros(depth, dtype=np.int64)
    fresh = np.ones(depth, dtype=np.bool_)
    begin = np.zeros(depth, dtype=np.int64)
    for d in range(1, depth):
        begin[d] = begin[d - 1] + (offset[d] - offset[d - 1]) * q[d - 1]
    half = np.empty(kz)
    for leaf in range(first.shape[0] - 1):
        c = work[0]
        for a in range(n_chain + ptr[leaf + 1] - ptr[leaf] + p):
            c[a] = 0.0
        for cell in range(first[leaf], first[leaf + 1]):
            for a in range(kz):
                v = 0.0
                for j in range(a, kz):
                    v += lower[j, a] * sums[cell, j]
                half[a] = v
            for a in range(n_chain):
                c[a] += half[a]
            k = n_chain
            for f in range(n_crossed):
                for j in range(width[f]):
                    c[n_chain + place[cell, f] + j] += half[k]
                    k += 1
        for d in range(closes[leaf]):
            group = offset[d] + count[d]
            n_local = ptr[group + 1] - ptr[group]
            qd = q[d]
            r = around[d] + n_local + p
            c = work[d]
            start = where[group]
            out = begin[d] + count[d] * qd
            for a in range(qd):
                v = c[a]
                for k in range(a):
                    v -= store[start + k * qd + a] * c[k]
                c[a] = v / store[start + a * qd + a]
                reduced[out + a] = c[a]
            start += qd * qd
            for j in range(qd):
                for a in range(r):
                    c[qd + a] -= store[start + j * r + a] * c[j]
            if d + 1 < depth:
                parent = work[d + 1]
                above = offset[d + 1] + count[d + 1]
                n_above = ptr[above + 1] - ptr[above]
                if fresh[d + 1]:
                    for a in range(q[d + 1] + around[d + 1] + n_above + p):
                        parent[a] = 0.0
                    fresh[d + 1] = False
            else:
                parent = border
                n_above = n_border
            for a in range(around[d]):
                parent[a] += c[qd + a]
            for a in range(n_local):
                parent[around[d] + inner[ptr[group] + a]] += c[qd + around[d] + a]
            for a in range(p):
                parent[around[d] + n_above + a] += c[qd + around[d] + n_local + a]
            count[d] += 1
            fresh[d] = True


@compiled
def backward(
    plan: Plan,
    where: IntArray,
    p: int,
    store: FloatArray,
    reduced: FloatArray,
    border: FloatArray,
    solution: FloatArray,
) -> None:
    """Solve for the chain effects given those of the border."""
    _, closes, q, around, offset, ptr, _, outer, _, _, _ = plan
    depth = q.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    count = np.zeros(depth, dtype=np.int64)
    begin = np.zeros(depth, dtype=np.int64)
    for d in range(1, depth):
        begin[d] = begin[d - 1] + (offset[d] - offset[d - 1]) * q[d - 1]
        count[d - 1] = offset[d] - offset[d - 1]
    count[depth - 1] = ptr.shape[0] - 1 - offset[depth - 1]
    # Effects of the open groups, innermost first, as the columns of Λ are.
    path = np.zeros(n_chain)
    for leaf in range(closes.shape[0] - 1, -1, -1):
        for d in range(closes[leaf] - 1, -1, -1):
            count[d] -= 1
            group = offset[d] + count[d]
            n_local = ptr[group + 1] - ptr[group]
            qd = q[d]
            r = around[d] + n_local + p
            start = where[group] + qd * qd
            out = begin[d] + count[d] * qd
            shift = n_chain - around[d]
            for a in range(qd - 1, -1, -1):
                v = reduced[out + a]
                row = start + a * r
                for b in range(around[d]):
                    v -= store[row + b] * path[shift + b]
                row += around[d]
                for b in range(n_local):
                    v -= store[row + b] * border[outer[ptr[group] + b]]
                row += n_local
                for b in range(p):
                    v -= store[row + b] * border[n_border + b]
                for b in range(a + 1, qd):
                    v -= store[where[group] + a * qd + b] * path[shift - qd + b]
                v /= store[where[group] + a * qd + a]
                path[shift - qd + a] = v
                solution[out + a] = v
