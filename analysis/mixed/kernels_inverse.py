"""Compiled kernels: the inverse of the eliminated equations, where cells meet it.

Arguments are those that `analysis.mixed.kernels` describes.
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray, Plan


@compiled
def invert(
    moments: FloatArray,
    lower: FloatArray,
    plan: Plan,
    where: IntArray,
    store: FloatArray,
    border: FloatArray,
    spread: FloatArray,
    slope: FloatArray,
) -> None:
    """Walk over the inverse's blocks that cells meet (Takahashi's recursion, outermost first).

    `border` (upper triangle) is the inverse of the border's matrix, or stands in its place.
    With M⁻¹ the matrix that follows from it, adds to ``slope`` (kz, kz) the sums of W z
    (M⁻¹v)', z a row of Z and v of (V, X): half the derivative of log |M| to Λ. Fills
    ``spread`` (kz, kz, cells) with the cells' blocks of Λ M⁻¹ Λ'; not when it is empty.
    """
    first, closes, q, around, offset, ptr, inner, _, place, width, most = plan
    depth, kz = q.shape[0], lower.shape[0]
    p = moments.shape[1] - kz
    n_crossed = width.shape[0]
    n_chain = q[0] + around[0]
    n_border = border.shape[0] - p
    largest = most + p
    wanted = spread.shape[2] > 0
    work = np.zeros((depth, largest, largest))
    K = np.empty((n_chain, largest))
    half = np.empty(kz + p)
    met = np.empty((kz + p, kz))
    count = np.zeros(depth, dtype=np.int64)
    for d in range(1, depth):
        count[d - 1] = offset[d] - offset[d - 1]
    count[depth - 1] = ptr.shape[0] - 1 - offset[depth - 1]
    at = np.empty(kz + p, dtype=np.int64)
    to = np.empty(largest, dtype=np.int64)
    stop = np.zeros(kz, dtype=np.int64)
    for a in range(kz):
        stop[a] = a + 1
        for j in range(a, kz):
            if lower[j, a] != 0.0:
                stop[a] = j + 1
    for leaf in range(closes.shape[0] - 1, -1, -1):
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
            for a in range(around[d]):
                to[a] = a
            for a in range(n_local):
                to[around[d] + a] = around[d] + inner[ptr[group] + a]
            for a in range(p):
                to[around[d] + n_local + a] = around[d] + n_above + a
            for a in range(r):
                row = to[a]
                for b in range(a, r):
                    v = parent[row, to[b]]
                    A[qd + a, qd + b] = v
                    A[qd + b, qd + a] = v
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
        A = work[0]
        n_local = ptr[leaf + 1] - ptr[leaf]
        for a in range(n_chain):
            at[a] = a
        for a in range(p):
            at[kz + a] = n_chain + n_local + a
        for cell in range(first[leaf], first[leaf + 1]):
            k = n_chain
            for c in range(n_crossed):
                for j in range(width[c]):
                    at[k] = n_chain + place[cell, c] + j
                    k += 1
            for b in range(kz + p):
                row = at[b]
                for a in range(kz):
                    met[b, a] = A[row, at[a]]
            for j in range(kz):
                for b in range(kz):
                    v = 0.0
                    for k in range(b, stop[b]):
                        v += moments[j, k, cell] * lower[k, b]
                    half[b] = v
                for b in range(kz, kz + p):
                    half[b] = moments[j, b, cell]
                for b in range(kz + p):
                    v = half[b]
                    for a in range(kz):
                        slope[j, a] += v * met[b, a]
            if wanted:
                for j in range(kz):
                    for b in range(kz):
                        v = 0.0
                        for k in range(j + 1):
                            v += lower[j, k] * met[k, b]
                        half[b] = v
                    for b in range(kz):
                        v = 0.0
                        for k in range(b + 1):
                            v += half[k] * lower[b, k]
                        spread[j, b, cell] = v
