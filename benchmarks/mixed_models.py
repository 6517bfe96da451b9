"""Time mixed-model fits: Optik, statsmodels' MixedLM and lme4 on simulated VQA answers.

Every question about an image is answered at eight k, by one model or by several. CPU seconds
of the fit alone, data in memory and code compiled; lme4's is that of `lmer` and `glmer` in
one R process. Beside the time stands the log-likelihood: who is faster because he stopped
short is not faster.

    python benchmarks/mixed_models.py                  18,000 rows, every engine at hand
    python benchmarks/mixed_models.py --rows 300000 --engines optik
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.threads import one_thread

FIXED = "(x + I(x**2)) * c"
#: Name, family, outcome, random terms, data.
DESIGNS = (
    ("intercepts", "gaussian", "ms", "(1 | image) + (1 | image:question)", "nested"),
    ("image slope", "gaussian", "ms", "(1 + x | image) + (1 | image:question)", "nested"),
    (
        "slopes at both levels",
        "gaussian",
        "ms",
        "(1 + x + I(x**2) | image) + (1 + x | image:question)",
        "nested",
    ),
    ("crossed, slope", "gaussian", "ms", "(1 + x | image) + (1 | model)", "crossed"),
    ("intercepts", "binomial", "y", "(1 | image) + (1 | image:question)", "nested"),
    ("image slope", "binomial", "y", "(1 + x | image) + (1 | image:question)", "nested"),
    (
        "slopes at both levels",
        "binomial",
        "y",
        "(1 + x + I(x**2) | image) + (1 + x | image:question)",
        "nested",
    ),
    ("crossed, slope", "binomial", "y", "(1 + x | image) + (1 | model)", "crossed"),
)
TIGHT = (
    'glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, calc.derivs = TRUE, '
    "optCtrl = list(rhoend = 1e-9, maxfun = 2e5))"
)


def simulate(rows: int, models: int, seed: int = 20261123) -> pd.DataFrame:
    """Draw answers: four questions an image, eight k, slopes of log k at both levels.

    Parameters
    ----------
    rows : int
        About so many.
    models : int
        Each answers every question at every k.
    seed : int

    Returns
    -------
    DataFrame
        image, question, model, x, c, y (0 or 1), ms.
    """
    rng = np.random.default_rng(seed)
    ks = np.log2([1, 2, 3, 4, 6, 8, 12, 16]) / 4
    images = max(rows // (4 * len(ks) * models), 2)
    image, question, model, x = (
        part.ravel()
        for part in np.meshgrid(
            np.arange(images), np.arange(4), np.arange(models), ks, indexing="ij"
        )
    )
    image, question, model = image.astype(int), question.astype(int), model.astype(int)
    c = rng.normal(size=images)[image]
    level = rng.normal(size=(images, 3)) * [0.9, 0.6, 0.6]
    inner = rng.normal(size=(images * 4, 2)) * [1.0, 0.8]
    b, d = level[image], inner[image * 4 + question]
    eta = 0.3 + 0.8 * x - 0.4 * x**2 - 0.5 * c + 0.3 * c * x
    eta += b[:, 0] + b[:, 1] * x + b[:, 2] * x**2 + d[:, 0] + d[:, 1] * x
    eta += (rng.normal(size=models) * 0.5)[model]
    return pd.DataFrame(
        {
            "image": image,
            "question": question,
            "model": model,
            "x": x,
            "c": c,
            "y": (rng.random(len(x)) < 1 / (1 + np.exp(-eta))).astype(int),
            "ms": 20 + eta + rng.normal(size=len(x)) * 0.7,
        }
    )


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Least CPU seconds of several runs, and the last result."""
    best, result = np.inf, None
    for _ in range(repeats):
        began = time.process_time()
        result = function()
        best = min(best, time.process_time() - began)
    return best, result


@one_thread
def by_optik(formula: str, family: Any, data: pd.DataFrame, repeats: int) -> tuple[float, float]:
    """CPU seconds from arrays to estimates, standard errors and df; log-likelihood."""
    from analysis.mixed.assemble import ready
    from analysis.mixed.design import build
    from analysis.mixed.formula import parse
    from analysis.mixed.linear_mixed import fit_linear
    from analysis.mixed.logistic_mixed import fit_logistic

    ready(family)
    design = build(parse(formula), data)
    if family == "gaussian":
        seconds, found = timed(lambda: fit_linear(design, reml=True), repeats)
    else:
        seconds, found = timed(lambda: fit_logistic(design), repeats)
    if not found.converged:
        print(f"  Optik did not converge: {formula}")
    return seconds, found.loglik


@one_thread
def by_statsmodels(formula: str, data: pd.DataFrame) -> tuple[float, float] | None:
    """CPU seconds and log-likelihood of MixedLM; None for what it has not."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    if "model" in formula or "image:question" not in formula or "x | image:question" in formula:
        return None
    slope = "~x" if "1 + x | image)" in formula else "1"
    fixed = formula.partition(" + (")[0]

    def run() -> Any:
        return MixedLM.from_formula(
            fixed,
            data,
            groups="image",
            re_formula=slope,
            vc_formula={"question": "0 + C(question)"},
        ).fit(reml=True)

    seconds, found = timed(run, 1)
    return seconds, float(found.llf)


def by_lme4(
    cases: list[tuple[str, str, str]], tables: dict[str, pd.DataFrame], *, tight: bool
) -> list[tuple[float, float]]:
    """CPU seconds and log-likelihoods of lmer and glmer."""
    control = f", control = {TIGHT}" if tight else ""
    with tempfile.TemporaryDirectory() as folder:
        for name, table in tables.items():
            table.to_csv(Path(folder) / f"{name}.csv", index=False)
        lines = ["suppressMessages({ library(lme4); library(jsonlite) })", "out <- list()"]
        for name in tables:
            lines.append(f'{name} <- read.csv("{name}.csv")')
        for formula, family, table_name in cases:
            written = re.sub(r"\*\*", "^", formula)
            call = (
                f"lmer({written}, {table_name})"
                if family == "gaussian"
                else f"glmer({written}, {table_name}, family = binomial{control})"
            )
            lines.append(f"t <- system.time(f <- suppressWarnings({call}))")
            lines.append("out[[length(out) + 1]] <- c(sum(t[1:2]), as.numeric(logLik(f)))")
        lines.append('writeLines(toJSON(out, digits = NA), "out.json")')
        script = Path(folder) / "run.R"
        script.write_text("\n".join(lines), encoding="utf-8")
        # As for the others: linear algebra on one thread.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        subprocess.run(
            ["Rscript", str(script)],
            cwd=folder,
            check=True,
            capture_output=True,
            env={**os.environ, **single},
        )
        found = json.loads((Path(folder) / "out.json").read_text(encoding="utf-8"))
    return [(float(seconds), float(loglik)) for seconds, loglik in found]


def main() -> None:
    """Print a table of CPU seconds and log-likelihoods."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=18_000)
    parser.add_argument("--models", type=int, default=4, help="of the crossed design")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", default="optik,statsmodels,lme4,lme4-tight")
    options = parser.parse_args()
    engines = options.engines.split(",")
    tables = {
        "nested": simulate(options.rows, 1),
        "crossed": simulate(options.rows, options.models),
    }
    cases = [
        (f"{outcome} ~ {FIXED} + {random}", family, data)
        for _, family, outcome, random, data in DESIGNS
    ]
    results: dict[str, list[tuple[float, float] | None]] = {}
    if "optik" in engines:
        results["Optik"] = [
            by_optik(formula, family, tables[data], options.repeats)
            for formula, family, data in cases
        ]
    if "statsmodels" in engines:
        results["MixedLM"] = [
            by_statsmodels(formula, tables[data]) if family == "gaussian" else None
            for formula, family, data in cases
        ]
    for name, tight in (("lme4", False), ("lme4-tight", True)):
        if name not in engines:
            continue
        if shutil.which("Rscript") is None:
            print(f"{name} left out: no Rscript")
            continue
        results[name] = list(by_lme4(cases, tables, tight=tight))
    print(f"{len(tables['nested']):,} rows; CPU seconds (log-likelihood less the best of the row)")
    print("| design | family | " + " | ".join(results) + " |")
    print("|---" * (2 + len(results)) + "|")
    for row, (name, family, *_) in enumerate(DESIGNS):
        found = [results[engine][row] for engine in results]
        best = max(cell[1] for cell in found if cell is not None)
        cells = ["–" if cell is None else f"{cell[0]:.3g} ({cell[1] - best:.4f})" for cell in found]
        print(f"| {name} | {family} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
