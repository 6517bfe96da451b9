"""Compiled kernels: from rows to sums within cells, and back.

Cells are those of `analysis.mixed.structure`. Where rows are given with ``starts`` (cells +
1,), they are sorted by cell.
"""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray


@compiled
def accumulate(
    Z: FloatArray, X: FloatArray, y: FloatArray, cell: IntArray, sums: FloatArray
) -> None:
    """Add Z'(Z, X, y) of the rows of each cell to ``sums`` (cells, kz, kz + p + 1)."""
    kz, p = Z.shape[1], X.shape[1]
    for i in range(Z.shape[0]):
        C = sums[cell[i]]
        for j in range(kz):
            v = Z[i, j]
            for b in range(j + 1):
                C[j, b] += v * Z[i, b]
            for b in range(p):
                C[j, kz + b] += v * X[i, b]
            C[j, kz + p] += v * y[i]
    for c in range(sums.shape[0]):
        for j in range(kz):
            for b in range(j):
                sums[c, b, j] = sums[c, j, b]


@compiled
def effects_met(
    level: IntArray, base: IntArray, span: IntArray, effects: FloatArray, met: FloatArray
) -> None:
    """Fill ``met`` (cells, kz) with the effects that each cell meets.

    Columns come in factors; factor f has ``span[f]`` columns, a cell is in its group
    ``level[cell, f]``, and that group's effects begin at ``base[f] + level · span[f]``.
    """
    for cell in range(level.shape[0]):
        k = 0
        for f in range(span.shape[0]):
            start = base[f] + level[cell, f] * span[f]
            for j in range(span[f]):
                met[cell, k] = effects[start + j]
                k += 1


@compiled
def predictor(
    offset: FloatArray, Z: FloatArray, starts: IntArray, met: FloatArray, eta: FloatArray
) -> None:
    """Fill ``eta`` (n,) with ``offset`` + z · ``met`` (cells, kz) of the row's cell."""
    kz = Z.shape[1]
    u = np.empty(kz)
    for cell in range(starts.shape[0] - 1):
        for a in range(kz):
            u[a] = met[cell, a]
        for i in range(starts[cell], starts[cell + 1]):
            x = offset[i]
            for a in range(kz):
                x += Z[i, a] * u[a]
            eta[i] = x


@compiled
def binomial(
    eta: FloatArray,
    exps: FloatArray,
    Z: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    starts: IntArray,
    met: FloatArray,
    score: FloatArray,
    weights: FloatArray,
    sums: FloatArray,
    moments: FloatArray,
) -> float:
    """Differentiate a binomial log-likelihood (logit link) to the effects.

    ``eta`` (n,) is the linear predictor of `predictor`, ``exps`` is exp(−|eta|). Fills, per row,
    ``score`` with trials · (y − μ) and ``weights`` with trials · μ(1 − μ); per cell, ``sums``
    (cells, kz) with Z'score and ``moments`` (kz, kz + 1, cells) with Z'W(Z, Z met) and
    Z'score added to the last. Returns −2 log-likelihood without the binomial coefficients.
    """
    kz = Z.shape[1]
    total = 0.0
    product = 1.0
    pending = 0
    C = np.empty((kz, kz))
    u = np.empty(kz)
    s = np.empty(kz)
    for cell in range(starts.shape[0] - 1):
        for a in range(kz):
            u[a] = met[cell, a]
            s[a] = 0.0
            for b in range(kz):
                C[a, b] = 0.0
        for i in range(starts[cell], starts[cell + 1]):
            x = eta[i]
            small = exps[i]
            share = 1.0 / (1.0 + small)
            mu = share if x >= 0 else small * share
            rest = trials[i] * (y[i] - mu)
            weight = trials[i] * small * share * share
            score[i] = rest
            weights[i] = weight
            # log(1 + exp(x)) − y x, without overflow; one logarithm for many rows.
            total += trials[i] * (max(x, 0.0) - y[i] * x)
            if trials[i] == 1.0:
                product *= 1.0 + small
                pending += 1
                if pending == 500:
                    total += np.log(product)
                    product = 1.0
                    pending = 0
            else:
                total += trials[i] * np.log1p(small)
            for a in range(kz):
                z = Z[i, a]
                s[a] += z * rest
                v = z * weight
                for b in range(a + 1):
                    C[a, b] += v * Z[i, b]
        for a in range(kz):
            sums[cell, a] = s[a]
            v = s[a]
            for b in range(kz):
                w = C[a, b] if b <= a else C[b, a]
                moments[a, b, cell] = w
                v += w * u[b]
            moments[a, kz, cell] = v
    deviance: float = 2.0 * (total + np.log(product))
    return deviance


@compiled
def third_derivative(
    Z: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    starts: IntArray,
    score: FloatArray,
    weights: FloatArray,
    spread: FloatArray,
    third: FloatArray,
    sums: FloatArray,
) -> None:
    """Differentiate log |V'WV + I| to each linear predictor by way of W.

    ``spread`` (kz, kz, cells) is Λ M⁻¹ Λ' of each cell. Fills ``third`` (n,) and its sums
    Z'third per cell.
    """
    kz = Z.shape[1]
    S = np.empty((kz, kz))
    s = np.empty(kz)
    for cell in range(starts.shape[0] - 1):
        for a in range(kz):
            s[a] = 0.0
            S[a, a] = spread[a, a, cell]
            for b in range(a):
                S[a, b] = spread[a, b, cell] + spread[b, a, cell]
        for i in range(starts[cell], starts[cell + 1]):
            leverage = 0.0
            for a in range(kz):
                v = 0.0
                for b in range(a + 1):
                    v += S[a, b] * Z[i, b]
                leverage += v * Z[i, a]
            mu = y[i] - score[i] / trials[i]
            v = leverage * weights[i] * (1.0 - 2.0 * mu)
            third[i] = v
            for a in range(kz):
                s[a] += v * Z[i, a]
        for a in range(kz):
            sums[cell, a] = s[a]


@compiled
def total_derivative(
    Z: FloatArray,
    X: FloatArray,
    starts: IntArray,
    score: FloatArray,
    weights: FloatArray,
    third: FloatArray,
    answer: FloatArray,
    sums: FloatArray,
    slope: FloatArray,
) -> None:
    """Differentiate the Laplace deviance to each linear predictor, the modes answering.

    ``answer`` (cells, kz) times z is how a row's predictor moves with the modes. Fills Z' of
    the derivative per cell, and adds X' of it to ``slope`` (p,).
    """
    kz, p = Z.shape[1], X.shape[1]
    s = np.empty(kz)
    u = np.empty(kz)
    for cell in range(starts.shape[0] - 1):
        for a in range(kz):
            s[a] = 0.0
            u[a] = answer[cell, a]
        for i in range(starts[cell], starts[cell + 1]):
            moved = 0.0
            for a in range(kz):
                moved += Z[i, a] * u[a]
            v = third[i] - 2.0 * score[i] - weights[i] * moved
            for a in range(kz):
                s[a] += v * Z[i, a]
            for b in range(p):
                slope[b] += v * X[i, b]
        for a in range(kz):
            sums[cell, a] = s[a]
