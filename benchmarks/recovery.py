"""Parameter recovery and interval coverage of mixed models, by simulation.

For each design outcomes are drawn from known parameters and fitted, 500 times or more. Told
are, for fixed effects: the bias in standard deviations of the estimates, the mean standard
error over that standard deviation, and the share of 95 % Wald intervals (t with
Satterthwaite's degrees of freedom for linear models, z for logistic ones) that hold the truth;
for random effects the mean of their standard deviations; and how many fits were singular or
did not converge. No fit is left out but those that could not be made, which are counted.

    python benchmarks/recovery.py --sets 500 --seed 20261123 --write docs/coverage.md
    python benchmarks/recovery.py --kept sets.jsonl      goes on where it was interrupted
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.mixed.assemble import linear_mixed, logistic_mixed, ready
from analysis.mixed.design import Design, build
from analysis.mixed.formula import parse
from analysis.mixed.simulating import stream
from analysis.threads import one_thread
from complexity.errors import InputError

FIXED = {"Intercept": 0.5, "x": 0.6, "c": -0.4, "x:c": 0.3}
IMAGE = np.array([[1.0, 0.18], [0.18, 0.36]])  # SD 1.0 and 0.6, correlation 0.3
QUESTION = np.array([[0.64, -0.08], [-0.08, 0.25]])  # SD 0.8 and 0.5, correlation -0.2
MODEL = np.array([[0.25]])
RESIDUAL = 1.0
#: The design that tries Laplace's approximation most.
POOR = "logistic, slopes at both levels"


@dataclass(frozen=True)
class Case:
    """A design to recover parameters from."""

    name: str
    family: str
    random: str
    images: int
    questions: int = 3
    models: int = 1
    ks: int = 6


CASES = (
    Case("linear, intercepts", "gaussian", "(1 | image) + (1 | image:question)", 100),
    Case("linear, slopes at both levels", "gaussian",
         "(1 + x | image) + (1 + x | image:question)", 100),
    Case("linear, crossed with 8 models", "gaussian", "(1 + x | image) + (1 | model)",
         100, questions=1, models=8, ks=4),
    Case("logistic, intercepts", "binomial", "(1 | image) + (1 | image:question)", 200),
    Case("logistic, slope by image", "binomial", "(1 + x | image) + (1 | image:question)", 200),
    Case(POOR, "binomial",
         "(1 + x | image) + (1 + x | image:question)", 200),
    Case("logistic, few groups", "binomial", "(1 | image) + (1 | image:question)", 15),
)  # fmt: skip


def table_of(case: Case, seed: int) -> pd.DataFrame:
    """Rows of a design; its covariate is drawn once."""
    image, question, model, k = (
        part.ravel()
        for part in np.meshgrid(
            *(np.arange(n) for n in (case.images, case.questions, case.models, case.ks)),
            indexing="ij",
        )
    )
    c = np.random.default_rng([seed, 1]).normal(size=case.images)
    c = (c - c.mean()) / c.std()
    x = np.linspace(-1, 1, case.ks)[k]
    y = np.arange(len(x)) % 2
    return pd.DataFrame(
        {"image": image, "question": question, "model": model, "x": x, "c": c[image], "y": y}
    )


def truth_of(design: Design) -> list[np.ndarray[Any, Any]]:
    """Look up the true covariance of each random block."""
    known = {"image": IMAGE, "image:question": QUESTION, "model": MODEL}
    return [known[b.group][: len(b.names), : len(b.names)] for b in design.random]


def one_set(case: Case, design: Design, formula: Any, seed: int, index: int) -> dict[str, Any]:
    """Draw outcomes, fit, and keep what the table needs."""
    rng = stream(seed, index)
    eta = design.X @ np.array([FIXED[name] for name in design.names])
    for block, covariance in zip(design.random, truth_of(design), strict=True):
        effects = rng.multivariate_normal(
            np.zeros(len(covariance)), covariance, size=block.n_levels, method="cholesky"
        )
        eta += (block.Z * effects[block.codes]).sum(axis=1)
    try:
        if case.family == "gaussian":
            y = eta + RESIDUAL * rng.standard_normal(len(eta))
            fit = linear_mixed(formula, replace(design, y=y), True, time.perf_counter())
        else:
            y = (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(float)
            fit = logistic_mixed(formula, replace(design, y=y), time.perf_counter())
    except InputError as error:
        return {"failed": str(error)}
    truth = np.array([FIXED[name] for name in design.names])
    interval = fit.conf_int()
    sds = [part.sd_or_corr for part in fit.random if part.term2 is None]
    return {
        "estimate": fit.params.tolist(),
        "se": fit.bse.tolist(),
        "inside": ((interval[:, 0] <= truth) & (truth <= interval[:, 1])).tolist(),
        "sd": [*sds, *([] if fit.residual_sd is None else [fit.residual_sd])],
        "names": [f"{part.group} {part.term}" for part in fit.random if part.term2 is None],
        "singular": fit.singular,
        "converged": fit.converged,
    }


@one_thread
def run(case: Case, sets: int, seed: int, kept: Path | None) -> tuple[Design, list[dict[str, Any]]]:
    """Fit the sets of a design, those already kept left out."""
    formula = parse(f"y ~ x * c + {case.random}")
    design = build(formula, table_of(case, seed), family=case.family)
    ready(case.family)
    known: dict[int, dict[str, Any]] = {}
    if kept is not None and kept.exists():
        for line in kept.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if (row["design"], row["seed"]) == (case.name, seed):
                known[row["set"]] = row
    for index in range(sets):
        if index in known:
            continue
        known[index] = one_set(case, design, formula, seed, index)
        if kept is not None:
            row = {"design": case.name, "seed": seed, "set": index, **known[index]}
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    return design, [known[index] for index in range(sets)]


def tell(case: Case, design: Design, rows: list[dict[str, Any]]) -> list[str]:
    """Lay out a design's recovery as Markdown."""
    made = [row for row in rows if "failed" not in row]
    estimates = np.array([row["estimate"] for row in made])
    errors = np.array([row["se"] for row in made])
    inside = np.array([row["inside"] for row in made])
    singular = np.mean([row["singular"] for row in made])
    lost = np.mean([not row["converged"] for row in made])
    lines = [
        f"## {case.name}",
        "",
        f"`y ~ x * c + {case.random}`: {len(design.y):,} rows, "
        + ", ".join(f"{b.n_levels:,} {b.group}" for b in design.random)
        + f". {len(rows)} sets; singular {singular:.1%}, not converged {lost:.1%}, could not be "
        f"fitted {len(rows) - len(made)}.",
        "",
        "| fixed effect | truth | bias / SD | mean SE / SD | coverage of 95 % |",
        "|---|---|---|---|---|",
    ]
    for j, name in enumerate(design.names):
        spread = estimates[:, j].std(ddof=1)
        bias = (estimates[:, j].mean() - FIXED[name]) / spread
        lines.append(
            f"| {name} | {FIXED[name]:g} | {bias:+.3f} | {errors[:, j].mean() / spread:.3f} "
            f"| {inside[:, j].mean():.1%} |"
        )
    lines += ["", "| SD of random effects | truth | mean | bias |", "|---|---|---|---|"]
    truths = {
        f"{b.group} {name}": float(np.sqrt(covariance[i, i]))
        for b, covariance in zip(design.random, truth_of(design), strict=True)
        for i, name in enumerate(b.names)
    }
    truths["residual"] = RESIDUAL
    sds = np.array([row["sd"] for row in made]).mean(axis=0)
    for name, mean in zip([*made[0]["names"], "residual"], sds, strict=False):
        truth = truths[name]
        lines.append(f"| {name} | {truth:g} | {mean:.3f} | {mean / truth - 1:+.1%} |")
    return [*lines, ""]


def few_rows(lines: list[str]) -> list[str]:
    """Say how Laplace's approximation fares in the design that tries it most, from its table."""
    name = f"## {POOR}"
    if name not in lines:
        return []
    own = lines[lines.index(name) :]
    rows = [line for line in own if line.startswith("| image:question")][:2]
    share = next(line for line in own if "; singular " in line).partition("singular ")[2]
    return [
        "Laplace's approximation is good up to standard deviations of 3 where groups have many "
        "rows, but poor with few binary rows a group, however small the standard deviations: with "
        "6 rows a question those of questions come out too low, that of a slope by question most "
        f"of all, and {share.partition(',')[0]} of the fits are singular ({POOR}):",
        "",
        "| SD of random effects | truth | mean | bias |",
        "|---|---|---|---|",
        *rows,
        "",
        "`analysis.mixed.correct` simulates how large the bias is in a design of one's own.",
        "",
    ]


def main() -> None:
    """Simulate, fit, print or write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--designs", default="", help="only those whose name holds this")
    parser.add_argument("--kept", type=Path, help="file of sets done, to go on from")
    parser.add_argument("--write", type=Path, help="Markdown file; default: print")
    options = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    noise = 1.96 * np.sqrt(0.95 * 0.05 / options.sets)
    head = [
        "# Parameter recovery and interval coverage",
        "",
        f"`python benchmarks/recovery.py --sets {options.sets} --seed {options.seed}`, at commit "
        f"{commit or 'unknown'}. Linear models by REML, intervals from t with Satterthwaite's "
        "degrees of freedom; logistic models by Laplace's approximation, intervals from z. With "
        f"{options.sets} sets a coverage of 95 % is seen as 95 ± {100 * noise:.1f} %, and a bias "
        f"of nothing as ± {1.96 / np.sqrt(options.sets):.3f} SD.",
        "",
    ]
    began = time.process_time()
    lines: list[str] = []
    for case in CASES:
        if options.designs not in case.name:
            continue
        design, rows = run(case, options.sets, options.seed, options.kept)
        lines += tell(case, design, rows)
        print(f"{case.name}: {time.process_time() - began:.0f} s CPU so far", flush=True)
    text = "\n".join([*head, *few_rows(lines), *lines])
    if options.write is None:
        print(text)
    else:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
