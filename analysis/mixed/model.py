"""What a fit was made of, kept for prediction, simulation and refitting."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design
from analysis.mixed.formula import Formula


@dataclass(frozen=True, eq=False)
class Model:
    """A fit's formula, arrays and covariance parameters.

    Attributes
    ----------
    formula : Formula
    design : Design
    covariances : tuple of ndarray, shape (q, q)
        Of the random effects, one per block of the design, in its order; empty without
        random terms.
    theta : ndarray, shape (m,)
        The search's own parameters: lower triangles of the relative factors, row by row and
        block by block, columns of the design scaled to root mean square one.
    joint : ndarray, shape (m + p, m + p), or None
        Covariance of (theta, fixed effects) where it was had from a joint Hessian (logistic
        mixed models).
    """

    formula: Formula
    design: Design
    covariances: tuple[FloatArray, ...]
    theta: FloatArray
    joint: FloatArray | None = None
