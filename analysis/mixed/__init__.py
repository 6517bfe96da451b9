"""Regressions from a formula: linear and logistic, mixed or cluster-robust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.mixed.clustered import ClusteredFit
    from analysis.mixed.fitting import fit
    from analysis.mixed.linear import linear_clustered
    from analysis.mixed.logit import logit_clustered
    from analysis.mixed.modes import mode_covariance, random_effects
    from analysis.mixed.predicting import predict, predictions, residuals
    from analysis.mixed.result import MixedFit, VarianceComponent
    from analysis.mixed.wald import WaldTest, wald_test

_HOMES = {
    "ClusteredFit": "clustered",
    "MixedFit": "result",
    "VarianceComponent": "result",
    "WaldTest": "wald",
    "fit": "fitting",
    "linear_clustered": "linear",
    "logit_clustered": "logit",
    "mode_covariance": "modes",
    "predict": "predicting",
    "predictions": "predicting",
    "random_effects": "modes",
    "residuals": "predicting",
    "wald_test": "wald",
}
__all__ = [
    "ClusteredFit",
    "MixedFit",
    "VarianceComponent",
    "WaldTest",
    "fit",
    "linear_clustered",
    "logit_clustered",
    "mode_covariance",
    "predict",
    "predictions",
    "random_effects",
    "residuals",
    "wald_test",
]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
