"""Compiled kernel: deviance and gradient of each outermost group on its own.

Without crossed factors the deviance of a mixed model, given (theta, beta) and for linear
models the residual SD, is a sum over the outermost groups. With the terms apart, a group that
is drawn several times counts several times, and its modes are found in as many steps as it
needs and no more. The elimination within a group is that of `analysis.mixed.kernels`. The
functions stand in one file because Numba keeps compiled code by file: what `evaluate` calls
must not change without it.

Shared arguments, n rows, D levels of nesting, kz columns of random effects:

==========  ==================  ===========================================================
V           (n, kz)             columns of the random effects times their relative factors,
                                from the innermost level outwards
rows        (leaf + 1,)         first row of each innermost group
closes      (leaves,)           how many levels end with this innermost group, from 1 to D
q           (D,)                columns of a level
column      (D + 1,)            first column of a level among the kz
level       (n, D)              group of each row
base        (D,)                where a level's effects begin among all effects
store       (D, m, q, kz)       triangular factor and coupling of each group of the open
                                outermost group
==========  ==================  ===========================================================
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray

#: Newton's steps for the modes of a group end with the one that promised less than this.
MODE_TOLERANCE = 1e-6
MODE_ITERATIONS = 60


@compiled
def _factorise(
    V: FloatArray,
    weights: FloatArray,
    leaf0: int,
    leaf1: int,
    rows: IntArray,
    closes: IntArray,
    q: IntArray,
    column: IntArray,
    work: FloatArray,
    store: FloatArray,
    count: IntArray,
    fresh: IntArray,
) -> float:
    """Factorise V'WV + I of one outermost group; its log-determinant (NaN where it fails)."""
    depth, kz = q.shape[0], V.shape[1]
    count[:] = 0
    fresh[:] = 1
    logdet = 0.0
    for leaf in range(leaf0, leaf1):
        A = work[0]
        for a in range(kz):
            for b in range(a, kz):
                A[a, b] = 0.0
        for i in range(rows[leaf], rows[leaf + 1]):
            weight = weights[i]
            for a in range(kz):
                v = V[i, a] * weight
                for b in range(a, kz):
                    A[a, b] += v * V[i, b]
        for d in range(closes[leaf]):
            A = work[d]
            size, own = kz - column[d], q[d]
            for a in range(own):
                A[a, a] += 1.0
            pivots = 1.0
            for a in range(own):
                for k in range(a):
                    v = A[k, a]
                    for b in range(a, size):
                        A[a, b] -= v * A[k, b]
                if not A[a, a] > 0.0:
                    return np.nan
                pivots *= A[a, a]
                inverse = 1.0 / np.sqrt(A[a, a])
                for b in range(a, size):
                    A[a, b] *= inverse
            logdet += np.log(pivots)
            kept = store[d, count[d]]
            for a in range(own):
                for b in range(a, size):
                    kept[a, b] = A[a, b]
            count[d] += 1
            if d + 1 < depth:
                parent = work[d + 1]
                if fresh[d + 1] == 1:
                    fresh[d + 1] = 0
                    for a in range(size - own):
                        for b in range(a, size - own):
                            parent[a, b] = 0.0
                for a in range(size - own):
                    for b in range(a, size - own):
                        v = A[own + a, own + b]
                        for j in range(own):
                            v -= A[j, own + a] * A[j, own + b]
                        parent[a, b] += v
            fresh[d] = 1
    return logdet


@compiled
def _solve(
    V: FloatArray,
    right: FloatArray,
    less: FloatArray,
    leaf0: int,
    leaf1: int,
    rows: IntArray,
    closes: IntArray,
    q: IntArray,
    column: IntArray,
    store: FloatArray,
    count: IntArray,
    fresh: IntArray,
    carried: FloatArray,
    out: FloatArray,
    moved: FloatArray,
) -> float:
    """Solve (V'WV + I) out = V'right − less; V out to `moved`; returns out'(V'right − less)."""
    depth, kz = q.shape[0], V.shape[1]
    count[:] = 0
    fresh[:] = 1
    squares = 0.0
    for leaf in range(leaf0, leaf1):
        c = carried[0]
        for a in range(kz):
            c[a] = 0.0
        for i in range(rows[leaf], rows[leaf + 1]):
            v = right[i]
            for a in range(kz):
                c[a] += v * V[i, a]
        for d in range(closes[leaf]):
            c = carried[d]
            size, own = kz - column[d], q[d]
            kept = store[d, count[d]]
            for a in range(own):
                v = c[a] - less[d, count[d], a]
                for k in range(a):
                    v -= kept[k, a] * c[k]
                v /= kept[a, a]
                c[a] = v
                squares += v * v
                out[d, count[d], a] = v
            count[d] += 1
            if d + 1 < depth:
                parent = carried[d + 1]
                if fresh[d + 1] == 1:
                    fresh[d + 1] = 0
                    for a in range(size - own):
                        parent[a] = 0.0
                for b in range(size - own):
                    v = c[own + b]
                    for a in range(own):
                        v -= kept[a, own + b] * c[a]
                    parent[b] += v
            fresh[d] = 1
    path = carried[0]
    for leaf in range(leaf1 - 1, leaf0 - 1, -1):
        for d in range(closes[leaf] - 1, -1, -1):
            count[d] -= 1
            own, start, stop = q[d], column[d], column[d + 1]
            kept = store[d, count[d]]
            for a in range(own - 1, -1, -1):
                v = out[d, count[d], a]
                for b in range(stop, kz):
                    v -= kept[a, b - start] * path[b]
                for b in range(a + 1, own):
                    v -= kept[a, b] * path[start + b]
                v /= kept[a, a]
                path[start + a] = v
                out[d, count[d], a] = v
        for i in range(rows[leaf], rows[leaf + 1]):
            v = 0.0
            for a in range(kz):
                v += V[i, a] * path[a]
            moved[i] = v
    return squares


@compiled
def _spread(
    V: FloatArray,
    effects: FloatArray,
    r0: int,
    r1: int,
    q: IntArray,
    column: IntArray,
    level: IntArray,
    fitted: FloatArray,
) -> float:
    """V effects to `fitted`, rows r0 to r1; returns the effects' sum of squares."""
    squares = 0.0
    for d in range(q.shape[0]):
        for g in range(level[r1 - 1, d] - level[r0, d] + 1):
            for a in range(q[d]):
                squares += effects[d, g, a] ** 2
    for i in range(r0, r1):
        v = 0.0
        for d in range(q.shape[0]):
            g = level[i, d] - level[r0, d]
            for a in range(q[d]):
                v += V[i, column[d] + a] * effects[d, g, a]
        fitted[i] = v
    return squares


@compiled
def _fit_of_rows(
    r0: int,
    r1: int,
    offset: FloatArray,
    fitted: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    linear: bool,
    score: FloatArray,
    weights: FloatArray,
) -> float:
    """Score and weights of rows; −2 log-likelihood, or the residual sum of squares."""
    total = 0.0
    for i in range(r0, r1):
        x = offset[i] + fitted[i]
        if linear:
            score[i] = y[i] - x
            weights[i] = 1.0
            total += 0.5 * score[i] * score[i]
        else:
            small = np.exp(-abs(x))
            share = 1.0 / (1.0 + small)
            mu = share if x >= 0 else small * share
            score[i] = trials[i] * (y[i] - mu)
            weights[i] = trials[i] * small * share * share
            total += trials[i] * (np.log1p(small) + max(x, 0.0) - y[i] * x)
    return 2.0 * total


@compiled
def _derivatives(
    V: FloatArray,
    Z: FloatArray,
    X: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    linear: bool,
    sigma: float,
    leaf0: int,
    leaf1: int,
    rows: IntArray,
    closes: IntArray,
    q: IntArray,
    column: IntArray,
    level: IntArray,
    store: FloatArray,
    work: FloatArray,
    half: FloatArray,
    count: IntArray,
    fresh: IntArray,
    carried: FloatArray,
    effects: FloatArray,
    zeros: FloatArray,
    answer: FloatArray,
    score: FloatArray,
    weights: FloatArray,
    third: FloatArray,
    moved: FloatArray,
    inner: FloatArray,
    at_beta: FloatArray,
) -> None:
    """Gradient of one group's deviance: to the relative factors (`inner`) and to beta.

    `half` (D, kz, kz) is room for the inverse. As `Laplace.deviance`: log |V'WV + I| moves
    with theta directly and, through W, with the linear predictor, which the modes follow.
    """
    depth, kz = q.shape[0], V.shape[1]
    inner[:] = 0.0
    at_beta[:] = 0.0
    t = np.empty(kz)
    K = np.empty((kz, kz))
    # count holds the number of groups of each level: walk over the inverse from the outside.
    r0 = rows[leaf0]
    for d in range(depth):
        count[d] = level[rows[leaf1] - 1, d] - level[r0, d] + 1
    for leaf in range(leaf1 - 1, leaf0 - 1, -1):
        for d in range(closes[leaf] - 1, -1, -1):
            count[d] -= 1
            own, size = q[d], kz - column[d]
            rest = size - own
            kept, S = store[d, count[d]], half[d]
            if d + 1 < depth:
                outside = half[d + 1]
                for a in range(rest):
                    for b in range(rest):
                        S[own + a, own + b] = outside[a, b]
            # K = U⁻¹ B; the own rows of the inverse are −K S and (U'U)⁻¹ + K S K'.
            for a in range(own - 1, -1, -1):
                for b in range(rest):
                    v = kept[a, own + b]
                    for k in range(a + 1, own):
                        v -= kept[a, k] * K[k, b]
                    K[a, b] = v / kept[a, a]
            for a in range(own):
                for b in range(rest):
                    v = 0.0
                    for k in range(rest):
                        v -= K[a, k] * S[own + k, own + b]
                    S[a, own + b] = v
                    S[own + b, a] = v
            for b in range(own):
                for a in range(own):
                    v = 1.0 if a == b else 0.0
                    for k in range(a):
                        v -= kept[k, a] * t[k]
                    t[a] = v / kept[a, a]
                for a in range(own - 1, -1, -1):
                    v = t[a]
                    for k in range(a + 1, own):
                        v -= kept[a, k] * t[k]
                    t[a] = v / kept[a, a]
                for a in range(own):
                    v = t[a]
                    for k in range(rest):
                        v -= S[a, own + k] * K[b, k]
                    work[0, a, b] = v
            for a in range(own):
                for b in range(own):
                    S[a, b] = work[0, a, b]
        S = half[0]
        for i in range(rows[leaf], rows[leaf + 1]):
            leverage = 0.0
            for a in range(kz):
                v = 0.0
                for b in range(kz):
                    v += S[a, b] * V[i, b]
                t[a] = v
                leverage += v * V[i, a]
            if linear:
                third[i] = 0.0
            else:
                mu = y[i] - score[i] / trials[i]
                third[i] = leverage * weights[i] * (1.0 - 2.0 * mu)
            twice = 2.0 * weights[i]
            for d in range(depth):
                for a in range(column[d], column[d + 1]):
                    v = twice * Z[i, a]
                    for b in range(column[d], a + 1):
                        inner[a, b] += v * t[b]
    scale = 1.0
    if linear:
        # The modes are linear in what they fit: nothing moves the weights.
        scale = 1.0 / (sigma * sigma)
    else:
        _solve(
            V, third, zeros, leaf0, leaf1, rows, closes, q, column, store, count, fresh, carried,
            answer, moved,
        )  # fmt: skip
    for i in range(r0, rows[leaf1]):
        v = -2.0 * score[i] * scale
        if not linear:
            v += third[i] - weights[i] * moved[i]
        for k in range(X.shape[1]):
            at_beta[k] += v * X[i, k]
        for d in range(depth):
            g = level[i, d] - level[r0, d]
            for a in range(column[d], column[d + 1]):
                one, two = v * Z[i, a], score[i] * Z[i, a]
                for b in range(column[d], a + 1):
                    k = b - column[d]
                    inner[a, b] += one * effects[d, g, k]
                    if not linear:
                        inner[a, b] += two * answer[d, g, k]


@compiled
def evaluate(
    which: IntArray,
    begin: IntArray,
    rows: IntArray,
    closes: IntArray,
    q: IntArray,
    column: IntArray,
    level: IntArray,
    base: IntArray,
    most: int,
    V: FloatArray,
    Z: FloatArray,
    X: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    offset: FloatArray,
    sigma: float,
    theta_row: IntArray,
    theta_column: IntArray,
    modes: FloatArray,
    values: FloatArray,
    gradients: FloatArray,
) -> int:
    """Deviance and gradient of some outermost groups.

    Parameters
    ----------
    which : ndarray, int64
        Groups asked for.
    begin : ndarray, shape (G + 1,)
        First innermost group of each outermost one.
    most : int
        Groups of the finest level in the largest outermost group.
    sigma : float
        Residual SD of a linear model; 0 for a logistic one.
    modes : ndarray
        Of all effects: where the search begins, and on return where it ended.
    values : ndarray, shape (len(which),)
    gradients : ndarray, shape (len(which), m + p), or with the logarithm of sigma at the end

    Returns
    -------
    int
        How many groups' modes could not be found (their values are inf).
    """
    depth, kz, n = q.shape[0], V.shape[1], V.shape[0]
    m, p = theta_row.shape[0], X.shape[1]
    linear = sigma > 0.0
    widest = 0
    for d in range(depth):
        widest = max(widest, q[d])
    work, half = np.zeros((depth, kz, kz)), np.zeros((depth, kz, kz))
    store = np.zeros((depth, most, widest, kz))
    carried = np.zeros((depth, kz))
    effects, step = np.zeros((depth, most, widest)), np.zeros((depth, most, widest))
    answer, zeros = np.zeros((depth, most, widest)), np.zeros((depth, most, widest))
    trial = np.zeros((depth, most, widest))
    count, fresh = np.zeros(depth, dtype=np.int64), np.zeros(depth, dtype=np.int64)
    fitted, there, moved = np.empty(n), np.empty(n), np.empty(n)
    score, weights, third = np.empty(n), np.empty(n), np.empty(n)
    inner, at_beta = np.zeros((kz, kz)), np.zeros(p)
    failed = 0
    for index in range(which.shape[0]):
        group = which[index]
        leaf0, leaf1 = begin[group], begin[group + 1]
        r0, r1 = rows[leaf0], rows[leaf1]
        found = False
        value, logdet = 0.0, 0.0
        for attempt in range(2):
            for d in range(depth):
                first = base[d] + level[r0, d] * q[d]
                for g in range(level[r1 - 1, d] - level[r0, d] + 1):
                    for a in range(q[d]):
                        # From far away the last modes can be a bad start: then from zero.
                        effects[d, g, a] = modes[first + g * q[d] + a] if attempt == 0 else 0.0
            squares = _spread(V, effects, r0, r1, q, column, level, fitted)
            value = squares + _fit_of_rows(
                r0, r1, offset, fitted, y, trials, linear, score, weights
            )
            for _ in range(MODE_ITERATIONS):
                logdet = _factorise(
                    V, weights, leaf0, leaf1, rows, closes, q, column, work, store, count, fresh
                )
                promise = _solve(
                    V, score, effects, leaf0, leaf1, rows, closes, q, column, store, count, fresh,
                    carried, step, moved,
                )  # fmt: skip
                if not (np.isfinite(promise) and np.isfinite(logdet)):
                    break
                size = 1.0
                while True:
                    for d in range(depth):
                        for g in range(level[r1 - 1, d] - level[r0, d] + 1):
                            for a in range(q[d]):
                                trial[d, g, a] = effects[d, g, a] + size * step[d, g, a]
                    squares = 0.0
                    for d in range(depth):
                        for g in range(level[r1 - 1, d] - level[r0, d] + 1):
                            for a in range(q[d]):
                                squares += trial[d, g, a] ** 2
                    for i in range(r0, r1):
                        there[i] = fitted[i] + size * moved[i]
                    new = squares + _fit_of_rows(
                        r0, r1, offset, there, y, trials, linear, score, weights
                    )
                    if new <= value + 1e-12 * (1.0 + abs(value)) or size < 1e-4:
                        break
                    size /= 2.0
                effects, trial = trial, effects
                fitted, there = there, fitted
                value = new
                if promise < MODE_TOLERANCE or linear:
                    found = True
                    break
            if found:
                if not linear:
                    logdet = _factorise(
                        V, weights, leaf0, leaf1, rows, closes, q, column, work, store, count,
                        fresh,
                    )  # fmt: skip
                found = np.isfinite(logdet)
                if found:
                    break
        if not found:
            failed += 1
            values[index] = np.inf
            gradients[index, :] = 0.0
            continue
        for d in range(depth):
            first = base[d] + level[r0, d] * q[d]
            for g in range(level[r1 - 1, d] - level[r0, d] + 1):
                for a in range(q[d]):
                    modes[first + g * q[d] + a] = effects[d, g, a]
        _derivatives(
            V, Z, X, y, trials, linear, sigma, leaf0, leaf1, rows, closes, q, column, level,
            store, work, half, count, fresh, carried, effects, zeros, answer, score, weights,
            third, moved, inner, at_beta,
        )  # fmt: skip
        for k in range(m):
            gradients[index, k] = inner[theta_row[k], theta_column[k]]
        for k in range(p):
            gradients[index, m + k] = at_beta[k]
        if linear:
            scaled = value / (sigma * sigma)
            values[index] = logdet + scaled + 2.0 * (r1 - r0) * np.log(sigma)
            gradients[index, m + p] = 2.0 * (r1 - r0) - 2.0 * scaled
        else:
            values[index] = logdet + value
    return failed
