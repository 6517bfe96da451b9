"""R's answers about fitted mixed models (golden/predict), and our fits of the same models."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.mixed import MixedFit, fit

GOLDEN = Path(__file__).parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "predict" / "fits.json").read_text())
PAIRS: list[dict[str, Any]] = json.loads((GOLDEN / "predict" / "anova.json").read_text())


@functools.cache
def table(name: str) -> pd.DataFrame:
    for folder in ("glmm", "mixed", "predict"):
        path = GOLDEN / folder / f"{name}.csv"
        if path.exists():
            return pd.read_csv(path)
    raise FileNotFoundError(name)


def in_python(formula: str) -> str:
    return re.sub(r"\bperiod\b", "C(period)", formula.replace("^", "**"))


def ours(name: str) -> str:
    """Translate R's name of a column."""
    return name.replace("(Intercept)", "Intercept").replace("^2", " ** 2")


def name_of(case: dict[str, Any]) -> str:
    return f"{case['data']}: {case['formula']}"


@functools.cache
def fit_of(data: str, formula: str, family: Any, method: Any) -> MixedFit:
    return fit(
        in_python(formula),
        table(data),
        family=family,
        method=method,
        weights="size" if data == "herds" else None,
    )


def fitted(case: dict[str, Any]) -> MixedFit:
    return fit_of(case["data"], case["formula"], case["family"], case["method"])
