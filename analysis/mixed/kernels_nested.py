"""Compiled kernels for groupings that are all nested: level by level, many groups at a time.

What `analysis.mixed.kernels` does group by group, for models without crossed factors. All
groups of a level then have matrices of one size, over

    [own effects | effects of the groups around it | fixed columns]

so that the same operation can be done to many groups at once. Arrays have the groups last.
Shared arguments, G groups in the level, q own effects, r rows (own effects and those around),
p fixed columns, m = r + p:

==========  ============  =================================================================
source      (r, m, G)     the upper part of each group's matrix, without the identity; at the
                          innermost level Z'W(Z, X), not yet times the relative factor
lower       (r, r)        the relative factor Λ; at outer levels empty
parent      (G,)          the group around, ascending; empty at the outermost level
store       (q, m, G)     triangular factor U and coupling U'⁻¹B of each group
above       (r − q, ...)  `source` of the level around
==========  ============  =================================================================
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray

#: Groups that are worked on together: enough for long loops, few enough for fast memory.
TOGETHER = 64


@compiled
def eliminate_level(
    source: FloatArray,
    lower: FloatArray,
    parent: IntArray,
    store: FloatArray,
    above: FloatArray,
    border: FloatArray,
) -> float:
    """Factorise a level, adding what is left to `above` and, of fixed columns, to `border`.

    Returns the log-determinant of the eliminated part.
    """
    r, m, n = source.shape
    q, p = store.shape[0], m - r
    A = np.empty((r, m, TOGETHER))
    half = np.empty((r, TOGETHER))
    tail = np.zeros((p, p, TOGETHER))
    pivot = np.empty(TOGETHER)
    det = np.empty(TOGETHER)
    logdet = 0.0
    for start in range(0, n, TOGETHER):
        w = min(TOGETHER, n - start)
        if w < TOGETHER:
            # What is not there is zero, and so is all that follows from it.
            A[:] = 0.0
            half[:] = 0.0
        if lower.shape[0] == 0:
            for a in range(r):
                for b in range(a, m):
                    for t in range(w):
                        A[a, b, t] = source[a, b, np.uintp(start + t)]
        else:
            for a in range(r):
                for b in range(a, m):
                    for t in range(TOGETHER):
                        A[a, b, t] = 0.0
            for b in range(m):
                # (C Λ) of this column, then Λ' times it.
                if b < r:
                    for j in range(r):
                        for t in range(TOGETHER):
                            half[j, t] = 0.0
                    for k in range(b, r):
                        scale = lower[k, b]
                        if scale != 0.0:
                            for j in range(r):
                                for t in range(w):
                                    half[j, t] += scale * source[j, k, np.uintp(start + t)]
                else:
                    for j in range(r):
                        for t in range(w):
                            half[j, t] = source[j, b, np.uintp(start + t)]
                for a in range(min(b + 1, r)):
                    for j in range(a, r):
                        scale = lower[j, a]
                        if scale != 0.0:
                            for t in range(TOGETHER):
                                A[a, b, t] += scale * half[j, t]
        for t in range(TOGETHER):
            det[t] = 1.0
        for a in range(q):
            for k in range(a):
                for b in range(a, m):
                    for t in range(TOGETHER):
                        A[a, b, t] -= A[k, a, t] * A[k, b, t]
            for t in range(TOGETHER):
                v = np.sqrt(A[a, a, t] + 1.0)
                det[t] *= v
                pivot[t] = 1.0 / v
                A[a, a, t] = v
            for b in range(a + 1, m):
                for t in range(TOGETHER):
                    A[a, b, t] *= pivot[t]
            for b in range(a, m):
                for t in range(w):
                    store[a, b, np.uintp(start + t)] = A[a, b, t]
        for t in range(TOGETHER):
            logdet += np.log(det[t])
        for a in range(q, r):
            for b in range(a, m):
                for j in range(q):
                    for t in range(TOGETHER):
                        A[a, b, t] -= A[j, a, t] * A[j, b, t]
                for t in range(w):
                    above[a - q, b - q, parent[start + t]] += A[a, b, t]
        for a in range(p):
            for b in range(a, p):
                for j in range(q):
                    for t in range(TOGETHER):
                        tail[a, b, t] += A[j, r + a, t] * A[j, r + b, t]
    for a in range(p):
        for b in range(a, p):
            border[a, b] -= tail[a, b].sum()
    return 2.0 * logdet


@compiled
def invert_level(
    store: FloatArray,
    parent: IntArray,
    above: FloatArray,
    fixed: FloatArray,
    found: FloatArray,
    moments: FloatArray,
    lower: FloatArray,
    wanted: FloatArray,
    slope: FloatArray,
    spread: FloatArray,
) -> None:
    """Find a level's blocks of the inverse from those of the level around (`above`).

    `fixed` (p, p, upper triangle) is the block of the fixed columns, for all groups the same.
    Outer levels fill `found` (r, m, G), where the next level's `above` is read. The innermost
    one, `found` empty, adds to ``slope`` (r, r) the sums of W z (M⁻¹v)' where ``wanted`` is not
    zero, and fills ``spread`` (r, r, G) with Λ M⁻¹ Λ', not when that is empty.
    """
    q, m, n = store.shape
    p = fixed.shape[0]
    r = m - p
    inmost = found.shape[0] == 0
    A = np.zeros((m, m, TOGETHER))
    U = np.zeros((q, m, TOGETHER))
    K = np.zeros((q, m, TOGETHER))
    pivot = np.ones((q, TOGETHER))
    half = np.empty((m, TOGETHER))
    line = np.empty(TOGETHER)
    sums = np.zeros((r, r, TOGETHER))
    for a in range(p):
        for b in range(a, p):
            A[r + a, r + b] = fixed[a, b]
            A[r + b, r + a] = fixed[a, b]
    for start in range(0, n, TOGETHER):
        w = min(TOGETHER, n - start)
        for a in range(q, r):
            for b in range(a, m):
                for t in range(w):
                    A[a, b, t] = above[a - q, b - q, parent[start + t]]
                if b > a:
                    for t in range(TOGETHER):
                        A[b, a, t] = A[a, b, t]
        for a in range(q):
            for b in range(a, m):
                for t in range(w):
                    U[a, b, t] = store[a, b, np.uintp(start + t)]
            for t in range(w):
                pivot[a, t] = 1.0 / U[a, a, t]
        # K = U⁻¹ (U'⁻¹ B), and the own rows of the inverse are −K S and (U'U)⁻¹ + K S K'.
        for a in range(q - 1, -1, -1):
            for b in range(q, m):
                for t in range(TOGETHER):
                    K[a, b, t] = U[a, b, t]
                for k in range(a + 1, q):
                    for t in range(TOGETHER):
                        K[a, b, t] -= U[a, k, t] * K[k, b, t]
                for t in range(TOGETHER):
                    K[a, b, t] *= pivot[a, t]
        for a in range(q):
            for b in range(q, m):
                for t in range(TOGETHER):
                    half[0, t] = 0.0
                for k in range(q, m):
                    for t in range(TOGETHER):
                        half[0, t] += K[a, k, t] * A[k, b, t]
                for t in range(TOGETHER):
                    A[a, b, t] = -half[0, t]
                    A[b, a, t] = -half[0, t]
        # (U'U)⁻¹ column by column.
        for b in range(q):
            for a in range(q):
                for t in range(TOGETHER):
                    A[a, b, t] = 1.0 if a == b else 0.0
                for k in range(a):
                    for t in range(TOGETHER):
                        A[a, b, t] -= U[k, a, t] * A[k, b, t]
                for t in range(TOGETHER):
                    A[a, b, t] *= pivot[a, t]
            for a in range(q - 1, -1, -1):
                for k in range(a + 1, q):
                    for t in range(TOGETHER):
                        A[a, b, t] -= U[a, k, t] * A[k, b, t]
                for t in range(TOGETHER):
                    A[a, b, t] *= pivot[a, t]
        for a in range(q):
            for b in range(q):
                for k in range(q, m):
                    for t in range(TOGETHER):
                        A[a, b, t] -= A[a, k, t] * K[b, k, t]
        if not inmost:
            for a in range(r):
                for b in range(a, m):
                    for t in range(w):
                        found[a, b, np.uintp(start + t)] = A[a, b, t]
            continue
        for j in range(r):
            for b in range(r):
                for t in range(TOGETHER):
                    half[b, t] = 0.0
                for k in range(b, r):
                    scale = lower[k, b]
                    if scale != 0.0:
                        for t in range(w):
                            half[b, t] += scale * moments[j, k, np.uintp(start + t)]
            for a in range(r):
                if wanted[j, a] != 0.0:
                    for b in range(r):
                        for t in range(TOGETHER):
                            sums[j, a, t] += half[b, t] * A[b, a, t]
                    for b in range(r, m):
                        for t in range(w):
                            sums[j, a, t] += moments[j, b, np.uintp(start + t)] * A[b, a, t]
        if spread.shape[2] > 0:
            for j in range(r):
                for b in range(r):
                    for t in range(TOGETHER):
                        half[b, t] = 0.0
                    for k in range(j + 1):
                        scale = lower[j, k]
                        if scale != 0.0:
                            for t in range(TOGETHER):
                                half[b, t] += scale * A[k, b, t]
                for b in range(r):
                    for t in range(TOGETHER):
                        line[t] = 0.0
                    for k in range(b + 1):
                        scale = lower[b, k]
                        if scale != 0.0:
                            for t in range(TOGETHER):
                                line[t] += scale * half[k, t]
                    for t in range(w):
                        spread[j, b, np.uintp(start + t)] = line[t]
    for j in range(r):
        for a in range(r):
            slope[j, a] += sums[j, a].sum()


@compiled
def forward_level(
    right: FloatArray, parent: IntArray, store: FloatArray, above: FloatArray, reduced: FloatArray
) -> None:
    """Carry right-hand sides (r, G) of a level to the level around (`above`).

    Fills ``reduced`` (q, G). What is left for fixed columns is dropped.
    """
    r, n = right.shape
    q = store.shape[0]
    for g in range(n):
        for a in range(q):
            v = right[a, g]
            for k in range(a):
                v -= store[k, a, g] * reduced[k, g]
            reduced[a, g] = v / store[a, a, g]
        for a in range(q, r):
            v = right[a, g]
            for j in range(q):
                v -= store[j, a, g] * reduced[j, g]
            above[a - q, parent[g]] += v


@compiled
def backward_level(
    reduced: FloatArray,
    parent: IntArray,
    store: FloatArray,
    outside: FloatArray,
    fixed: FloatArray,
    found: FloatArray,
) -> None:
    """Solve for the effects of a level and of those around it: ``found`` (r, G).

    `outside` (r − q, ...) are the effects of the level around, `fixed` (p,) the coefficients
    of the fixed columns.
    """
    r, n = found.shape
    q, p = store.shape[0], fixed.shape[0]
    for g in range(n):
        for a in range(q, r):
            found[a, g] = outside[a - q, parent[g]]
        for a in range(q - 1, -1, -1):
            v = reduced[a, g]
            for b in range(a + 1, r):
                v -= store[a, b, g] * found[b, g]
            for b in range(p):
                v -= store[a, r + b, g] * fixed[b]
            found[a, g] = v / store[a, a, g]
