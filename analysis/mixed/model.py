"""What a fit was made of, kept for prediction, simulation and refitting."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.mixed.clustered import FloatArray
from analysis.mixed.coordinates import Transforms
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
        block by block, in the coordinates of `transforms`.
    transforms : tuple of ndarray, shape (q, q)
        Upper triangular R of each block: its columns are R times a basis of orthogonal columns
        of root mean square one, in which theta is had. `analysis.mixed.coordinates` turns
        theta into covariances, and into variances of linear predictors with derivatives.
    sigma : float
        Residual standard deviation, which the relative factors are relative to; one in logistic
        models.
    joint : ndarray, shape (m + p, m + p), or None
        Covariance of (theta, fixed effects) where it was had from a joint Hessian (logistic
        mixed models).
    """

    formula: Formula
    design: Design
    covariances: tuple[FloatArray, ...]
    theta: FloatArray
    transforms: Transforms = ()
    sigma: float = 1.0
    joint: FloatArray | None = None
