"""The top of a continuous curve in k at one complexity, and the images resampled for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.optimum.curves import CurveFit
from analysis.optimum.resample import image_weights

Array = NDArray[np.float64]
#: Standardised complexities at which tops are given.
LEVELS = (-1.0, 0.0, 1.0)
RESAMPLES = 2_000
#: An interval is not given where more of the resamples than this have no top.
WITHOUT_TOP = 0.025
BOOTSTRAP_METHOD = (
    "one-step image-cluster bootstrap (influence of each image on the coefficients), "
    f"{RESAMPLES:,} resamples, percentile, 95 %"
)
DELTA_METHOD = "delta method on log2 k, image-clustered CR1, normal, 95 %"


@dataclass(frozen=True)
class OptimumAt:
    """The k at which a continuous curve is highest, at one complexity.

    Covariates are added to the curve and do not bend it, so that the top of the linear
    predictor is the top of the accuracy averaged over the covariates.

    Attributes
    ----------
    c : float
        Standardised complexity.
    log2_k, k : float
        The top; k need not be whole, nor on the grid.
    ci_low, ci_high : float
        95 % interval in k by the delta method (`DELTA_METHOD`); NaN where there is none.
    bootstrap_low, bootstrap_high : float
        95 % interval in k over resampled images (`BOOTSTRAP_METHOD`); NaN without resamples
        and where more than 2.5 % of these have no top.
    se : float
        Standard error of `log2_k` by the delta method; NaN where there is none.
    at_edge : bool
        Whether the top is the smallest or the largest k measured, so that it may lie beyond.
    beyond : bool
        Whether c lies outside the 5-95 % range of complexity: there the curve is extrapolated.
    """

    c: float
    log2_k: float
    k: float
    ci_low: float
    ci_high: float
    bootstrap_low: float
    bootstrap_high: float
    se: float
    at_edge: bool
    beyond: bool

    def to_dict(self) -> dict[str, object]:
        """Spell it with the bounds in log2 k beside those in k; None where there is none."""
        bounds = ("ci_low", "ci_high", "bootstrap_low", "bootstrap_high")
        spelled = asdict(self)
        for name in (*bounds, "se"):
            value = spelled.pop(name)
            spelled[name] = value if np.isfinite(value) else None
            if name in bounds:
                spelled[f"{name}_log2"] = float(np.log2(value)) if 0 < value < np.inf else None
        return spelled


def resampled(fitted: CurveFit, rng: np.random.Generator, n_draws: int = RESAMPLES) -> Array:
    """One-step bootstrap of the coefficients: images drawn with replacement.

    Each image adds its influence as often as it is drawn, less the once that it is in the
    estimate already.

    Parameters
    ----------
    fitted : CurveFit
    rng : numpy.random.Generator
    n_draws : int

    Returns
    -------
    ndarray, shape (n_draws, p)
        Coefficients.
    """
    influence = fitted.fit.influence
    n = len(influence)
    draws = image_weights(n, n_draws, rng) - 1.0
    resamples: Array = fitted.fit.params + draws @ influence
    return resamples


def percentiles(values: Array) -> tuple[float, float]:
    """Middle 95 % of resampled values; NaN where too many of them are."""
    if np.isnan(values).mean() > WITHOUT_TOP:
        return float("nan"), float("nan")
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
