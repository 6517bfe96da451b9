"""Regressions from a formula: linear and logistic, mixed or cluster-robust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.mixed.clustered import ClusteredFit
    from analysis.mixed.fitting import fit
    from analysis.mixed.linear import linear_clustered
    from analysis.mixed.logit import logit_clustered
    from analysis.mixed.margins.comparing import contrasts
    from analysis.mixed.margins.estimates import Estimates
    from analysis.mixed.margins.grid import reference_grid
    from analysis.mixed.margins.joint import joint_tests
    from analysis.mixed.margins.means import marginal_means, slopes
    from analysis.mixed.result import MixedFit, VarianceComponent
    from analysis.mixed.wald import WaldTest, wald_test

_HOMES = {
    "ClusteredFit": "clustered",
    "Estimates": "margins.estimates",
    "MixedFit": "result",
    "VarianceComponent": "result",
    "WaldTest": "wald",
    "contrasts": "margins.comparing",
    "fit": "fitting",
    "joint_tests": "margins.joint",
    "linear_clustered": "linear",
    "logit_clustered": "logit",
    "marginal_means": "margins.means",
    "reference_grid": "margins.grid",
    "slopes": "margins.means",
    "wald_test": "wald",
}
__all__ = [
    "ClusteredFit",
    "Estimates",
    "MixedFit",
    "VarianceComponent",
    "WaldTest",
    "contrasts",
    "fit",
    "joint_tests",
    "linear_clustered",
    "logit_clustered",
    "marginal_means",
    "reference_grid",
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
