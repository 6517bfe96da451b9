"""Regressions from a formula: linear and logistic, mixed or cluster-robust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.mixed.clustered import ClusteredFit
    from analysis.mixed.comparing import LikelihoodRatioTest, lr_test
    from analysis.mixed.diagnostics import Diagnostics, diagnose
    from analysis.mixed.explained import icc, r_squared
    from analysis.mixed.fitting import fit
    from analysis.mixed.linear import linear_clustered
    from analysis.mixed.logit import logit_clustered
    from analysis.mixed.margins.comparing import contrasts
    from analysis.mixed.margins.estimates import Estimates
    from analysis.mixed.margins.grid import reference_grid
    from analysis.mixed.margins.joint import joint_tests
    from analysis.mixed.margins.means import marginal_means, slopes
    from analysis.mixed.modes import mode_covariance, random_effects
    from analysis.mixed.predicting import predict, predictions, residuals
    from analysis.mixed.result import MixedFit, VarianceComponent
    from analysis.mixed.wald import WaldTest, wald_test

_HOMES = {
    "ClusteredFit": "clustered",
    "Diagnostics": "diagnostics",
    "Estimates": "margins.estimates",
    "LikelihoodRatioTest": "comparing",
    "MixedFit": "result",
    "VarianceComponent": "result",
    "WaldTest": "wald",
    "contrasts": "margins.comparing",
    "diagnose": "diagnostics",
    "fit": "fitting",
    "icc": "explained",
    "joint_tests": "margins.joint",
    "linear_clustered": "linear",
    "logit_clustered": "logit",
    "lr_test": "comparing",
    "marginal_means": "margins.means",
    "mode_covariance": "modes",
    "predict": "predicting",
    "predictions": "predicting",
    "r_squared": "explained",
    "random_effects": "modes",
    "reference_grid": "margins.grid",
    "residuals": "predicting",
    "slopes": "margins.means",
    "wald_test": "wald",
}
__all__ = [
    "ClusteredFit",
    "Diagnostics",
    "Estimates",
    "LikelihoodRatioTest",
    "MixedFit",
    "VarianceComponent",
    "WaldTest",
    "contrasts",
    "diagnose",
    "fit",
    "icc",
    "joint_tests",
    "linear_clustered",
    "logit_clustered",
    "lr_test",
    "marginal_means",
    "mode_covariance",
    "predict",
    "predictions",
    "r_squared",
    "random_effects",
    "reference_grid",
    "residuals",
    "slopes",
    "wald_test",
]


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
