"""Regressions from a formula: linear and logistic, mixed or cluster-robust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.mixed.approximation import Corrected, constant_share, correct
    from analysis.mixed.bootstrapping import Bootstrap, bootstrap
    from analysis.mixed.clustered import ClusteredFit
    from analysis.mixed.comparing import LikelihoodRatioTest, lr_test
    from analysis.mixed.diagnostics import Diagnostics, diagnose
    from analysis.mixed.explained import icc, r_squared
    from analysis.mixed.fitting import fit
    from analysis.mixed.ladder import Ladder, fit_ladder, rungs_of
    from analysis.mixed.linear import linear_clustered
    from analysis.mixed.logit import logit_clustered
    from analysis.mixed.margins.comparing import contrasts
    from analysis.mixed.margins.estimates import Estimates
    from analysis.mixed.margins.grid import reference_grid
    from analysis.mixed.margins.joint import joint_tests
    from analysis.mixed.margins.means import marginal_means, slopes
    from analysis.mixed.modes import mode_covariance, random_effects
    from analysis.mixed.predicting import predict, predictions, residuals
    from analysis.mixed.refit import Refit, Refits
    from analysis.mixed.result import MixedFit, VarianceComponent
    from analysis.mixed.simulating import simulate
    from analysis.mixed.wald import WaldTest, wald_test

_HOMES = {
    "Bootstrap": "bootstrapping",
    "ClusteredFit": "clustered",
    "Corrected": "approximation",
    "Diagnostics": "diagnostics",
    "Estimates": "margins.estimates",
    "Ladder": "ladder",
    "LikelihoodRatioTest": "comparing",
    "MixedFit": "result",
    "Refit": "refit",
    "Refits": "refit",
    "VarianceComponent": "result",
    "WaldTest": "wald",
    "bootstrap": "bootstrapping",
    "constant_share": "approximation",
    "contrasts": "margins.comparing",
    "correct": "approximation",
    "diagnose": "diagnostics",
    "fit": "fitting",
    "fit_ladder": "ladder",
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
    "rungs_of": "ladder",
    "simulate": "simulating",
    "slopes": "margins.means",
    "wald_test": "wald",
}
__all__ = [
    "Bootstrap",
    "ClusteredFit",
    "Corrected",
    "Diagnostics",
    "Estimates",
    "Ladder",
    "LikelihoodRatioTest",
    "MixedFit",
    "Refit",
    "Refits",
    "VarianceComponent",
    "WaldTest",
    "bootstrap",
    "constant_share",
    "contrasts",
    "correct",
    "diagnose",
    "fit",
    "fit_ladder",
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
    "rungs_of",
    "simulate",
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
