"""Regressions from a formula: linear and logistic, mixed or cluster-robust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.mixed.approximation import Corrected, constant_share, correct
    from analysis.mixed.bootstrapping import Bootstrap, bootstrap
    from analysis.mixed.clustered import ClusteredFit
    from analysis.mixed.fitting import fit
    from analysis.mixed.ladder import Ladder, fit_ladder, rungs_of
    from analysis.mixed.linear import linear_clustered
    from analysis.mixed.logit import logit_clustered
    from analysis.mixed.margins.comparing import contrasts
    from analysis.mixed.margins.estimates import Estimates
    from analysis.mixed.margins.grid import reference_grid
    from analysis.mixed.margins.joint import joint_tests
    from analysis.mixed.margins.means import marginal_means, slopes
    from analysis.mixed.refit import Refit, Refits
    from analysis.mixed.result import MixedFit, VarianceComponent
    from analysis.mixed.simulating import simulate
    from analysis.mixed.wald import WaldTest, wald_test

_HOMES = {
    "Bootstrap": "bootstrapping",
    "ClusteredFit": "clustered",
    "Corrected": "approximation",
    "Estimates": "margins.estimates",
    "Ladder": "ladder",
    "MixedFit": "result",
    "Refit": "refit",
    "Refits": "refit",
    "VarianceComponent": "result",
    "WaldTest": "wald",
    "bootstrap": "bootstrapping",
    "constant_share": "approximation",
    "contrasts": "margins.comparing",
    "correct": "approximation",
    "fit": "fitting",
    "fit_ladder": "ladder",
    "joint_tests": "margins.joint",
    "linear_clustered": "linear",
    "logit_clustered": "logit",
    "marginal_means": "margins.means",
    "reference_grid": "margins.grid",
    "rungs_of": "ladder",
    "simulate": "simulating",
    "slopes": "margins.means",
    "wald_test": "wald",
}
__all__ = [
    "Bootstrap",
    "ClusteredFit",
    "Corrected",
    "Estimates",
    "Ladder",
    "MixedFit",
    "Refit",
    "Refits",
    "VarianceComponent",
    "WaldTest",
    "bootstrap",
    "constant_share",
    "contrasts",
    "correct",
    "fit",
    "fit_ladder",
    "joint_tests",
    "linear_clustered",
    "logit_clustered",
    "marginal_means",
    "reference_grid",
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
