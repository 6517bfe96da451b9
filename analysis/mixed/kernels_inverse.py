"""Compiled kernels: the inverse of the eliminated equations, where rows meet it.

Arguments are those that `analysis.mixed.kernels` describes.
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray


@compiled
def invert(
    V: FloatArray,
    X: FloatArray,
    Z: FloatArray,
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
    leverage: FloatArray,
    slope: FloatArray,
    own: FloatArray,
) -> None:
    """Walk over the inverse's blocks that rows meet (Takahashi's recursion, outermost first).

    `border` is the inverse of the border's matrix. With v = (V, X) a row and M the matrix,
    fills ``leverage`` with V M⁻¹ V' of each row (not from moments), and adds to ``slope``
    (kz, kz) the sums of w z (M⁻¹v)', z a row of Z: half the derivative of log |M| to the
    relative factors. Fills ``own`` (chain effects, columns of the widest level; empty to leave
    it) with each group's own block of M⁻¹, a row an effect.
    """
    depth, p, kz = q.shape[0], X.shape[1], V.shape[1]
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    work = np.zeros((depth, largest, largest))
    K = np.empty((n_chain, largest))
    summed = moments.shape[0] > 0
    half = np.empty(kz + p)
    count = np.zeros(depth, dtype=np.int64)
    begin = np.zeros(depth, dtype=np.int64)
    for d in range(1, depth):
        count[d - 1] = offset[d] - offset[d - 1]
        begin[d] = begin[d - 1] + count[d - 1] * q[d - 1]
    count[depth - 1] = ptr.shape[0] - 1 - offset[depth - 1]
    values = np.empty(kz + p)
    at = np.empty(kz + p, dtype=np.int64)
    to = np.empty(largest, dtype=np.int64)
    t = np.empty(kz)
    for leaf in range(first.shape[0] - 2, -1, -1):
        for d in range(closes[leaf] - 1, -1, -1):
            count[d] -= 1
            group = offset[d] + count[d]
            n_local = ptr[group + 1] - ptr[group]
            qd = q[d]
            r = around[d] + n_local + p
            A = work[d]
            if d + 1 < depth:
                parent = work[d + 1]
                above = offset[d + 1] + count[d + 1]
                n_above = ptr[above + 1] - ptr[above]
            else:
                parent = border
                n_above = n_border
            if n_crossed == 0:
                for a in range(r):
                    for b in range(r):
                        A[qd + a, qd + b] = parent[a, b]
            else:
                for a in range(around[d]):
                    to[a] = a
                for a in range(n_local):
                    to[around[d] + a] = around[d] + inner[ptr[group] + a]
                for a in range(p):
                    to[around[d] + n_local + a] = around[d] + n_above + a
                for a in range(r):
                    row = to[a]
                    for b in range(r):
                        A[qd + a, qd + b] = parent[row, to[b]]
            # K = U⁻¹ (U'⁻¹ B), and the own rows of the inverse are −K S and (U'U)⁻¹ + K S K'.
            start = where[group]
            for a in range(qd - 1, -1, -1):
                row = start + qd * qd + a * r
                for b in range(r):
                    K[a, b] = store[row + b]
                for k in range(a + 1, qd):
                    v = store[start + a * qd + k]
                    for b in range(r):
                        K[a, b] -= v * K[k, b]
                pivot = store[start + a * qd + a]
                for b in range(r):
                    K[a, b] /= pivot
            for a in range(qd):
                for b in range(r):
                    A[a, qd + b] = 0.0
                for k in range(r):
                    v = K[a, k]
                    for b in range(r):
                        A[a, qd + b] -= v * A[qd + k, qd + b]
                for b in range(r):
                    A[qd + b, a] = A[a, qd + b]
            # (U'U)⁻¹ column by column.
            for b in range(qd):
                for a in range(qd):
                    v = 1.0 if a == b else 0.0
                    for k in range(a):
                        v -= store[start + k * qd + a] * A[k, b]
                    A[a, b] = v / store[start + a * qd + a]
                for a in range(qd - 1, -1, -1):
                    v = A[a, b]
                    for k in range(a + 1, qd):
                        v -= store[start + a * qd + k] * A[k, b]
                    A[a, b] = v / store[start + a * qd + a]
            for a in range(qd):
                for b in range(qd):
                    v = 0.0
                    for k in range(r):
                        v += A[a, qd + k] * K[b, k]
                    A[a, b] -= v
            if own.shape[0] > 0:
                out = begin[d] + count[d] * qd
                for a in range(qd):
                    for b in range(qd):
                        own[out + a, b] = A[a, b]
        A = work[0]
        if summed:
            C = moments[leaf]
            for j in range(kz):
                for b in range(kz):
                    v = 0.0
                    for k in range(b, kz):
                        v += C[j, k] * lower[k, b]
                    half[b] = v
                for b in range(kz, kz + p):
                    half[b] = C[j, b]
                for b in range(kz + p):
                    v = half[b]
                    for a in range(kz):
                        slope[j, a] += v * A[b, a]
            continue
        n_local = ptr[leaf + 1] - ptr[leaf]
        for a in range(n_chain):
            at[a] = a
        for a in range(p):
            at[kz + a] = n_chain + n_local + a
        for i in range(first[leaf], first[leaf + 1]):
            for a in range(kz):
                values[a] = V[i, a]
                t[a] = 0.0
            for a in range(p):
                values[kz + a] = X[i, a]
            if n_crossed == 0:
                for b in range(kz + p):
                    v = values[b]
                    for a in range(kz):
                        t[a] += v * A[b, a]
            else:
                k = n_chain
                for c in range(n_crossed):
                    for j in range(width[c]):
                        at[k] = n_chain + place[i, c] + j
                        k += 1
                for b in range(kz + p):
                    v = values[b]
                    row = at[b]
                    for a in range(kz):
                        t[a] += v * A[row, at[a]]
            v = 0.0
            for a in range(kz):
                v += t[a] * values[a]
            leverage[i] = v
            for j in range(kz):
                v = weights[i] * Z[i, j]
                for a in range(kz):
                    slope[j, a] += v * t[a]
