"""Compiled kernels: block elimination of nested groups, group by group.

The penalised normal equations of a mixed model, rows sorted by a chain of nested groupings
(level 0 the innermost), are eliminated from the innermost groups outwards. Each group has a
small dense matrix over

    [own effects | effects of the groups around it | crossed effects it meets | fixed effects]

and what is left of it after elimination is added to the matrix of the group around it; what
is left of the outermost groups is added to the `border`, the dense matrix of all crossed and
fixed effects. This is Cholesky factorisation in an order that creates no fill between groups
(Bates et al. 2015, doi:10.18637/jss.v067.i01, do it with general sparse matrices).

Shared arguments, n rows, D levels, G groups in all, C crossed factors:

==========  ============  =================================================================
V           (n, kz)       columns of the random effects times their relative factors:
                          chain from the innermost outwards, then crossed factors
X           (n, p)        fixed-effect columns of the equations (p may be 0)
first       (leaves + 1)  first row of each innermost group
closes      (leaves,)     how many levels end with this innermost group, from 1 to D
q, around   (D,)          columns of a level; columns of the levels around it
offset      (D,)          number of the first group of a level
ptr         (G + 1,)      crossed columns of a group: slice of `inner` and `outer`
inner       (...)         their positions in the group around (outermost: in the border)
outer       (...)         their positions in the border
place       (n, C)        position of a row's crossed effects among those of its leaf
width       (C,)          columns of a crossed factor
where       (G + 1,)      slice of `store`: the group's triangular factor and its coupling
moments     (leaves, kz,  Z'(Z, X) of each innermost group at weight one, which then stand in
            kz + p)       for its rows; empty to use the rows (always with crossed factors)
lower       (kz, kz)      the relative factor, V = Z lower
==========  ============  =================================================================
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray


@compiled
def eliminate(
    V: FloatArray,
    X: FloatArray,
    weights: FloatArray,
    first: IntArray,
    closes: IntArray,
    q: IntArray,
    around: IntArray,
    offset: IntArray,
    ptr: IntArray,
    inner: IntArray,
    place: IntArray,
    width: IntArray,
    where: IntArray,
    largest: int,
    moments: FloatArray,
    lower: FloatArray,
    store: FloatArray,
    border: FloatArray,
) -> float:
    """Factorise V'WV + I, and add what is left for crossed and fixed effects to `border`.

    `border` (upper triangle) comes with the identity of the crossed effects and X'WX, which
    are not added here. Returns the log-determinant of the eliminated part.
    """
    depth, p, kz = q.shape[0], X.shape[1], V.shape[1]
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    summed = moments.shape[0] > 0
    half = np.empty((kz, kz))
    work = np.zeros((depth, largest, largest))
    count = np.zeros(depth, dtype=np.int64)
    fresh = np.ones(depth, dtype=np.bool_)
    values = np.empty(kz + p)
    at = np.empty(kz + p, dtype=np.int64)
    to = np.empty(largest, dtype=np.int64)
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
        if summed:
            C = moments[leaf]
            for j in range(kz):
                for b in range(kz):
                    v = 0.0
                    for k in range(b, kz):
                        v += C[j, k] * lower[k, b]
                    half[j, b] = v
            for a in range(kz):
                for j in range(a, kz):
                    v = lower[j, a]
                    if v != 0.0:
                        for b in range(a, kz):
                            A[a, b] += v * half[j, b]
                        for b in range(kz, kz + p):
                            A[a, b] += v * C[j, b]
            last = first[leaf]
        else:
            last = first[leaf + 1]
        for i in range(first[leaf], last):
            weight = weights[i]
            if n_crossed == 0:
                for a in range(kz):
                    v = V[i, a] * weight
                    for b in range(a, kz):
                        A[a, b] += v * V[i, b]
                    for b in range(p):
                        A[a, kz + b] += v * X[i, b]
            else:
                for a in range(kz):
                    values[a] = V[i, a]
                for a in range(p):
                    values[kz + a] = X[i, a]
                k = n_chain
                for c in range(n_crossed):
                    for j in range(width[c]):
                        at[k] = n_chain + place[i, c] + j
                        k += 1
                for a in range(kz):
                    v = values[a] * weight
                    row = at[a]
                    for b in range(a, kz + p):
                        A[row, at[b]] += v * values[b]
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
            if n_crossed == 0:
                for a in range(r):
                    for b in range(a, r):
                        parent[a, b] += A[qd + a, qd + b]
                for j in range(qd):
                    for a in range(r):
                        v = A[j, qd + a]
                        for b in range(a, r):
                            parent[a, b] -= v * A[j, qd + b]
            else:
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
    V: FloatArray,
    right: FloatArray,
    first: IntArray,
    closes: IntArray,
    q: IntArray,
    around: IntArray,
    offset: IntArray,
    ptr: IntArray,
    inner: IntArray,
    place: IntArray,
    width: IntArray,
    where: IntArray,
    largest: int,
    p: int,
    store: FloatArray,
    reduced: FloatArray,
    border: FloatArray,
) -> None:
    """Carry the right-hand side V'right through the elimination.

    Fills `reduced` (all chain effects, level by level) and adds what is left to `border`
    (crossed, then fixed effects, whose own V'right or X'right is the caller's for the fixed).
    """
    depth = q.shape[0]
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    work = np.zeros((depth, largest))
    count = np.zeros(depth, dtype=np.int64)
    fresh = np.ones(depth, dtype=np.bool_)
    begin = np.zeros(depth, dtype=np.int64)
    for d in range(1, depth):
        begin[d] = begin[d - 1] + (offset[d] - offset[d - 1]) * q[d - 1]
    for leaf in range(first.shape[0] - 1):
        c = work[0]
        for a in range(n_chain + ptr[leaf + 1] - ptr[leaf] + p):
            c[a] = 0.0
        for i in range(first[leaf], first[leaf + 1]):
            v = right[i]
            for a in range(n_chain):
                c[a] += v * V[i, a]
            k = n_chain
            for f in range(n_crossed):
                for j in range(width[f]):
                    c[n_chain + place[i, f] + j] += v * V[i, k]
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
    V: FloatArray,
    first: IntArray,
    closes: IntArray,
    q: IntArray,
    around: IntArray,
    offset: IntArray,
    ptr: IntArray,
    outer: IntArray,
    place: IntArray,
    width: IntArray,
    where: IntArray,
    largest: int,
    p: int,
    store: FloatArray,
    reduced: FloatArray,
    border: FloatArray,
    solution: FloatArray,
    fitted: FloatArray,
) -> None:
    """Solve for the chain effects given those of the border; V times all effects to `fitted`."""
    depth = q.shape[0]
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    count = np.zeros(depth, dtype=np.int64)
    begin = np.zeros(depth, dtype=np.int64)
    for d in range(1, depth):
        begin[d] = begin[d - 1] + (offset[d] - offset[d - 1]) * q[d - 1]
        count[d - 1] = offset[d] - offset[d - 1]
    count[depth - 1] = ptr.shape[0] - 1 - offset[depth - 1]
    # Effects of the open groups, innermost first, as the columns of V are.
    path = np.zeros(n_chain)
    for leaf in range(first.shape[0] - 2, -1, -1):
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
        for i in range(first[leaf], first[leaf + 1]):
            v = 0.0
            for a in range(n_chain):
                v += V[i, a] * path[a]
            k = n_chain
            for f in range(n_crossed):
                for j in range(width[f]):
                    v += V[i, k] * border[outer[ptr[leaf] + place[i, f] + j]]
                    k += 1
            fitted[i] = v
