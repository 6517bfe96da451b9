"""What the number of active experts buys, and whether the best one shifts with complexity.

Every stage is a function from tidy frames to tidy frames; `run` does them in order::

    import analysis

    result = analysis.run("shapes", "runs/shapes")
    print(result.answer)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.checking import inspect
    from analysis.datasets import object_counts, read_samples
    from analysis.joining import join
    from analysis.latency import by_item, mean_latency
    from analysis.latency_models import fit_latency
    from analysis.manifest import LatencyStudy, Study, load_any, load_study
    from analysis.mixed import fit
    from analysis.optimum import ShiftAnswer, analyse
    from analysis.pipeline import RunResult, run
    from analysis.results import read_latency, read_results
    from analysis.shift import shift_of_table
    from complexity.errors import InputError

# Imported where first used: a notebook that only reads a manifest should not wait for
# statsmodels. No name here may be a module of this package: the module, once imported, would
# stand in its place.
_HOMES = {
    "InputError": "complexity.errors",
    "LatencyStudy": "analysis.manifest",
    "RunResult": "analysis.pipeline",
    "ShiftAnswer": "analysis.optimum",
    "Study": "analysis.manifest",
    "analyse": "analysis.optimum",
    "by_item": "analysis.latency",
    "fit": "analysis.mixed",
    "fit_latency": "analysis.latency_models",
    "inspect": "analysis.checking",
    "join": "analysis.joining",
    "load_any": "analysis.manifest",
    "load_study": "analysis.manifest",
    "mean_latency": "analysis.latency",
    "object_counts": "analysis.datasets",
    "read_latency": "analysis.results",
    "read_results": "analysis.results",
    "read_samples": "analysis.datasets",
    "run": "analysis.pipeline",
    "shift_of_table": "analysis.shift",
}

__all__ = [
    "InputError",
    "LatencyStudy",
    "RunResult",
    "ShiftAnswer",
    "Study",
    "analyse",
    "by_item",
    "fit",
    "fit_latency",
    "inspect",
    "join",
    "load_any",
    "load_study",
    "mean_latency",
    "object_counts",
    "read_latency",
    "read_results",
    "read_samples",
    "run",
    "shift_of_table",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
