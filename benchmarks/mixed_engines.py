"""One engine, one model, one process: called by `mixed_models.py` for each of its cells.

Prints JSON: CPU seconds and wall seconds of the whole call (formula to standard errors, data in
memory), for Optik also of the fit alone, peak memory above what was held before, and the
log-likelihood. Code is loaded and compiled by a small fit first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from mixed_designs import CASES, SPECIAL, Case

#: An engine: fits a case to a frame and returns the log-likelihood.
Engine = Callable[[Case, pd.DataFrame], float]


class NotOffered(Exception):
    """The engine has no such model."""


def optik(case: Case, data: pd.DataFrame) -> float:
    """Fit with this project."""
    from analysis.mixed import fit

    found = fit(case.formula, data, family=case.family)  # type: ignore[arg-type]
    if not found.converged:
        raise RuntimeError("not converged")
    return float(found.loglik or np.nan)


def optik_alone(case: Case, data: pd.DataFrame, repeats: int) -> float:
    """CPU seconds from a design's arrays to estimates, standard errors and df."""
    from analysis.mixed.design import build
    from analysis.mixed.formula import parse
    from analysis.mixed.linear_mixed import fit_linear
    from analysis.mixed.logistic_mixed import fit_logistic
    from analysis.threads import one_thread

    design = build(parse(case.formula), data)

    @one_thread
    def once() -> float:
        began = time.process_time()
        if case.family == "gaussian":
            fit_linear(design, reml=True)
        else:
            fit_logistic(design)
        return time.process_time() - began

    return min(once() for _ in range(repeats))


def glmm(case: Case, data: pd.DataFrame) -> float:
    """Fit with glmm (Rust)."""
    import glmm as engine

    return float(engine.fit(data, case.formula, family=case.family).loglik)


def mixedlm(case: Case, data: pd.DataFrame) -> float:
    """Fit with mixedlm (Rust)."""
    import mixedlm as engine

    if case.family == "gaussian":
        found = engine.lmer(case.formula, data)
    else:
        found = engine.glmer(case.formula, data, family=engine.families.Binomial())
    return float(found.logLik().value)


def mixedlm_rs(case: Case, data: pd.DataFrame) -> float:
    """Fit with mixedlm-rs, statsmodels' interface over Rust."""
    from mixedlm_rs import MixedLM

    if case.family != "gaussian" or len(case.random) > 1:
        raise NotOffered
    columns, _, group = case.random[0].partition(" | ")
    found = MixedLM.from_formula(
        f"{case.outcome} ~ {case.fixed}", data, groups=group, re_formula=f"~{columns}"
    )
    return float(found.fit(reml=True).llf)


def lme_python(case: Case, data: pd.DataFrame) -> float:
    """Fit with lme-python (Rust)."""
    import lme_python as engine
    import polars

    frame = polars.from_pandas(data)
    if case.family == "gaussian":
        return float(engine.lmer(case.formula, frame).log_likelihood)
    return float(engine.glmer(case.formula, frame, "binomial").log_likelihood)


def interlace(case: Case, data: pd.DataFrame) -> float:
    """Fit with interlace-lme."""
    import interlace as engine

    fixed = f"{case.outcome} ~ {case.fixed}"
    random = [f"({term})" for term in case.random]
    if case.family == "gaussian":
        return float(engine.fit(fixed, data, random=random).llf_restricted)
    return float(engine.glmer(fixed, data, family="binomial", random=random).llf)


def gpboost(case: Case, data: pd.DataFrame) -> float:
    """Fit with GPBoost (C++)."""
    import gpboost as engine
    from formulae import design_matrices

    if any(not term.startswith("1 |") for term in case.random):
        raise NotOffered  # slopes without their correlation are another model
    X = np.asarray(design_matrices(case.fixed, data).common.design_matrix)
    groups = data[[term.partition(" | ")[2] for term in case.random]].to_numpy()
    likelihood = "gaussian" if case.family == "gaussian" else "bernoulli_logit"
    model = engine.GPModel(group_data=groups, likelihood=likelihood, num_parallel_threads=1)
    model.fit(y=data[case.outcome].to_numpy(), X=X)
    model.get_coef(std_err=True)
    # A likelihood, not a restricted one: not to be compared for linear models.
    value = -float(model.get_current_neg_log_likelihood())
    return value if case.family == "binomial" else float("nan")


def statsmodels(case: Case, data: pd.DataFrame) -> float:
    """Fit with MixedLM."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    nested = case.data == "vqa" and case.random[-1] == "1 | item"
    if case.family != "gaussian" or not (nested or len(case.random) == 1):
        raise NotOffered
    columns, _, group = case.random[0].partition(" | ")
    model = MixedLM.from_formula(
        f"{case.outcome} ~ {case.fixed}",
        data,
        groups=group,
        re_formula=f"~{columns}",
        vc_formula={"item": "0 + C(item)"} if nested else None,
    )
    return float(model.fit(reml=True).llf)


ENGINES: dict[str, Engine] = {
    "optik": optik,
    "glmm": glmm,
    "mixedlm": mixedlm,
    "mixedlm-rs": mixedlm_rs,
    "lme-python": lme_python,
    "interlace": interlace,
    "gpboost": gpboost,
    "statsmodels": statsmodels,
}


def memory(key: str) -> float:
    """Megabytes from the kernel's record of this process (Linux; NaN elsewhere)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let the record of the peak begin at what is held now."""
    record = Path("/proc/self/clear_refs")
    if record.exists():
        record.write_text("5")


def small(case: Case, data: pd.DataFrame) -> pd.DataFrame:
    """Rows of a hundred groups, to load and compile with."""
    group = case.random[0].rpartition("| ")[2]
    return data[data[group].isin(data[group].unique()[:100])].reset_index(drop=True)


def main() -> None:
    """Fit, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engine", choices=list(ENGINES))
    parser.add_argument("case", type=int, help="number of the case")
    parser.add_argument("data", type=Path, help="Parquet file")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    case = (*CASES, *SPECIAL)[options.case]
    data = pd.read_parquet(options.data)
    engine = ENGINES[options.engine]
    try:
        engine(case, small(case, data))
        forget_peak()
        before = memory("VmRSS")
        cpu, wall, loglik = np.inf, np.inf, np.nan
        for _ in range(options.repeats):
            began, clock = time.process_time(), time.perf_counter()
            loglik = engine(case, data)
            cpu = min(cpu, time.process_time() - began)
            wall = min(wall, time.perf_counter() - clock)
        peak = memory("VmHWM") - before
        alone = optik_alone(case, data, options.repeats) if options.engine == "optik" else None
    except NotOffered:
        print(json.dumps({"not_offered": True}))
        return
    except Exception as error:  # an engine that fails is a cell that says so
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"[:200]}))
        return
    print(json.dumps({"cpu": cpu, "wall": wall, "alone": alone, "peak_mb": peak, "loglik": loglik}))


if __name__ == "__main__":
    sys.exit(main())
