"""Compiled kernels: sums and derivatives over rows."""

from __future__ import annotations

import numpy as np

from analysis.mixed.clustered import FloatArray
from analysis.mixed.compiling import compiled
from analysis.mixed.structure import IntArray


@compiled
def gather(
    Z: FloatArray,
    one: FloatArray,
    level: IntArray,
    base: IntArray,
    span: IntArray,
    effects: FloatArray,
    slope: FloatArray,
) -> None:
    """Add to ``slope`` (kz, kz) the sums of one · z u' over rows.

    Columns of Z come in factors; factor f has ``span[f]`` columns, row i is in its group
    ``level[i, f]``, and that group's effects begin at ``base[f] + level · span[f]``.
    """
    for i in range(Z.shape[0]):
        k = 0
        for f in range(span.shape[0]):
            start = base[f] + level[i, f] * span[f]
            for j in range(span[f]):
                v = one[i] * Z[i, k + j]
                for a in range(span[f]):
                    slope[k + j, k + a] += v * effects[start + a]
            k += span[f]


@compiled
def logistic(
    eta: FloatArray,
    y: FloatArray,
    trials: FloatArray,
    score: FloatArray,
    weights: FloatArray,
) -> float:
    """Differentiate a binomial log-likelihood (logit link) to its linear predictor.

    Fills ``score`` with trials · (y − μ) and ``weights`` with trials · μ(1 − μ); returns −2
    log-likelihood without the binomial coefficients.
    """
    total = 0.0
    for i in range(eta.shape[0]):
        x = eta[i]
        small = np.exp(-abs(x))
        mu = 1.0 / (1.0 + small) if x >= 0 else small / (1.0 + small)
        score[i] = trials[i] * (y[i] - mu)
        weights[i] = trials[i] * small / (1.0 + small) ** 2
        # log(1 + exp(x)) − y x, without overflow.
        total += trials[i] * (np.log1p(small) + max(x, 0.0) - y[i] * x)
    return 2.0 * total
