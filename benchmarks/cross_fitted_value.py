"""Is the cross-fitted value of choosing k by complexity unbiased, and do its intervals cover?

python benchmarks/cross_fitted_value.py --sets 500 --out docs/cross_fitted_value.md

Every cell simulates data sets whose accuracy at each k and complexity is known, learns and
values policies as `analysis.worth` does, and compares with the true value of the very policies
that were learned (their mean over folds and repeats). One process; CPU time is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.threads import one_thread
from analysis.worth.cross_fit import (
    N_FOLDS,
    N_REPEATS,
    ByImage,
    CrossFit,
    Policy,
    changes,
    cross_fit,
    learn,
)
from analysis.worth.rules import Rule
from complexity.files import write_text

Array = NDArray[np.float64]
KS = (1, 2, 3, 4, 6, 8, 12, 16)
X = np.log2(KS)
N_QUESTIONS = 4
N_BUCKETS = 3
GRID = 3000  # points of complexity, uniform on (0, 1), at which policies are truly valued
Z95 = 1.959964


@dataclass(frozen=True)
class Design:
    """Accuracy and latency by complexity c in (0, 1) and k, and how answers hang together.

    Attributes
    ----------
    name, what : str
        For the table.
    accuracy : callable
        From c, shape (n, 1), to the chance of a right answer, shape (n, K).
    image, question : float
        Shares of the latent variance that an image's questions, and one question's answers at
        different k, have in common; the rest of it, less `slope`, is each answer's own.
    slope : float
        Share that is an image's own at each k: k curves that differ between images.
    """

    name: str
    what: str
    accuracy: Callable[[Array], Array]
    image: float = 0.2
    question: float = 0.5
    slope: float = 0.05


def _flat(c: Array) -> Array:
    return np.broadcast_to(0.75, (len(c), len(KS)))


def _ceiling(c: Array) -> Array:
    return np.broadcast_to(0.97, (len(c), len(KS)))


def _trap(c: Array) -> Array:
    # The best k is 4 everywhere; hard images lose more below it.
    return 0.9 - 0.2 * c - (0.01 + 0.05 * c * (X < 2)) * (X - 2) ** 2


def _shift(c: Array) -> Array:
    # The best k moves from 2 to 8.
    return 0.85 - 0.1 * c - 0.03 * (X - 1 - 2 * c) ** 2


def _small_shift(c: Array) -> Array:
    return 0.85 - 0.1 * c - 0.01 * (X - 1.5 - c) ** 2


DESIGNS = (
    Design("flat", "every k .75 at all complexities", _flat),
    Design("ceiling", "every k .97, answers nearly the same", _ceiling, 0.3, 0.6, 0.02),
    Design("trap", "k = 4 best everywhere, hard images lose more below", _trap),
    Design("small shift", "best log2 k moves from 1.5 to 2.5, flat tops", _small_shift),
    Design("shift", "best log2 k moves from 1 to 3", _shift),
)


def latency(c: Array) -> Array:
    """Mean latency in ms at complexity c, shape (n, K)."""
    return 10 + 2 * c + 0.8 * np.asarray(KS, dtype=float)


def simulate(design: Design, n_images: int, rng: np.random.Generator) -> ByImage:
    """One data set: binary scores of a Gaussian copula; every second image is timed once."""
    from scipy.special import ndtri

    c = rng.uniform(size=n_images)
    shape = (n_images, N_QUESTIONS, len(KS))
    own = 1 - design.image - design.question - design.slope
    latent = (
        np.sqrt(design.image) * rng.standard_normal((n_images, 1, 1))
        + np.sqrt(design.slope) * rng.standard_normal((n_images, 1, len(KS)))
        + np.sqrt(design.question) * rng.standard_normal((*shape[:2], 1))
        + np.sqrt(own) * rng.standard_normal(shape)
    )
    score = latent < ndtri(design.accuracy(c[:, None]))[:, None, :]
    timed = (np.arange(n_images) % 2).astype(float)
    ms = latency(c[:, None]) + rng.normal(0, 1, (n_images, 1)) + rng.normal(0, 0.3, (n_images, 8))
    return ByImage(
        ks=KS,
        sums=score.sum(axis=1).astype(float),
        counts=np.full(n_images, float(N_QUESTIONS)),
        c=c,
        n_buckets=N_BUCKETS,
        ms_sums=ms * timed[:, None],
        ms_counts=timed,
    )


class Truth:
    """The true value of a policy: sums over complexity up to a point, by k."""

    def __init__(self, table: Array) -> None:
        self.upto = np.vstack([np.zeros(table.shape[1]), np.cumsum(table, axis=0)]) / len(table)

    def of(self, policy: Policy) -> float:
        """Value of a policy less that of its single k."""
        points = np.rint(np.concatenate([[0.0], policy.edges, [1.0]]) * GRID).astype(int)
        by_bucket = self.upto[points[1:]] - self.upto[points[:-1]]
        rows = np.arange(len(by_bucket))
        return float((by_bucket[rows, policy.by_bucket] - by_bucket[:, policy.single]).sum())


def true_value(found: CrossFit, truth: Truth) -> float:
    """Mean true value of the learned policies, folds weighted by their images."""
    n_repeats = len(found.folds)
    n_folds = len(found.policies) // n_repeats
    values = np.array([truth.of(p) for p in found.policies]).reshape(n_repeats, n_folds)
    sizes = np.stack([np.bincount(f, minlength=n_folds) for f in found.folds])
    return float((values * sizes).sum() / sizes.sum())


def averaged_se(data: ByImage, found: CrossFit) -> float:
    """SE from differences averaged over repeats first, for comparison."""
    rows = np.arange(len(data.sums))
    mean = (data.sums[rows, found.chosen] - data.sums[rows, found.single]).mean(axis=0)
    total = data.counts.sum()
    influence = (mean - data.counts * mean.sum() / total) / total
    return float(np.sqrt((influence**2).sum() * len(rows) / (len(rows) - 1)))


@one_thread
def cell(design: Design, rule: Rule, n_images: int, n_sets: int, seed: int) -> dict[str, float]:
    """Simulate one cell of the table; everything in points (or ms for equal accuracy)."""
    grid = (np.arange(GRID)[:, None] + 0.5) / GRID
    table = np.asarray(design.accuracy(grid)) - rule.price * latency(grid)
    in_ms = rule.name == "equal accuracy"
    truth = Truth(latency(grid) if in_ms else table)
    found = np.zeros((n_sets, 6))
    for i in range(n_sets):
        rng = np.random.default_rng([seed, n_images, i])
        data = simulate(design, n_images, rng)
        fitted = cross_fit(data, rule, rng)
        price = rule.price if rule.name == "utility" else None
        accuracy, ms, utility = changes(data, fitted.chosen, fitted.single, price)
        chosen = ms if in_ms else utility if price is not None else accuracy
        assert chosen is not None
        full, bucket = learn(data, np.ones(n_images, dtype=bool), rule)
        naive = changes(
            data, full.by_bucket[bucket][None], np.full((1, n_images), full.single), price
        )
        own = naive[1] if in_ms else naive[2] if price is not None else naive[0]
        assert own is not None
        found[i] = (
            chosen.estimate,
            chosen.se,
            true_value(fitted, truth),
            own.estimate,
            truth.of(full),
            averaged_se(data, fitted),
        )
    estimate, se, true, naive_value, naive_true, short = found.T
    scale = 1.0 if in_ms else 100.0
    error = estimate - true
    optimism = naive_value - naive_true

    def covered(half: Array, target: Array | float) -> float:
        return float(np.mean(np.abs(estimate - target) <= Z95 * half + 1e-12))

    return {
        "true": scale * true.mean(),
        "estimate": scale * estimate.mean(),
        "bias": scale * error.mean(),
        "bias_se": scale * error.std(ddof=1) / np.sqrt(n_sets),
        "naive": scale * naive_value.mean(),
        "optimism": scale * optimism.mean(),
        "optimism_se": scale * optimism.std(ddof=1) / np.sqrt(n_sets),
        "sd": scale * error.std(ddof=1),
        "se": scale * np.sqrt((se**2).mean()),
        "covers": covered(se, true),
        "covers_expected": covered(se, float(true.mean())),
        "covers_averaged": covered(short, true),
    }


def main() -> None:
    """Run every cell and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    cells = [(d, Rule("accuracy"), n) for d in DESIGNS for n in (150, 600)]
    cells += [(DESIGNS[i], Rule("utility", price=0.005), 600) for i in (0, 4)]
    cells += [(DESIGNS[i], Rule("equal accuracy"), 600) for i in (0, 4)]
    rows = []
    for design, rule, n_images in cells:
        if chosen.only and chosen.only != design.name:
            continue
        started = time.process_time()
        f = cell(design, rule, n_images, chosen.sets, chosen.seed)
        rows.append(
            f"| {design.name} | {rule.name} | {n_images} | {f['true']:.3f} | {f['estimate']:.3f} | "
            f"{f['bias']:+.4f} ({f['bias_se']:.4f}) | {f['naive']:.3f} | "
            f"{f['optimism']:+.3f} ({f['optimism_se']:.3f}) | {f['sd']:.3f} | {f['se']:.3f} | "
            f"{f['covers']:.3f} | {f['covers_expected']:.3f} | {f['covers_averaged']:.3f} |"
        )
        print(rows[-1], f"{time.process_time() - started:.0f} s", flush=True)
    if chosen.out is not None:
        # The section of benchmarks/worth_claims.py at the end of the page stays.
        old = chosen.out.read_text(encoding="utf-8") if chosen.out.is_file() else ""
        _, head, rest = old.partition("\n## ")
        write_text(chosen.out, page(rows, chosen.sets, chosen.seed) + head + rest)


ABOUT = """\
# Cross-fitted value of choosing k by complexity

```sh
python benchmarks/cross_fitted_value.py --sets {sets} --out docs/cross_fitted_value.md
```

Seed {seed}, {sets} simulated data sets a cell, {n_questions} questions an image, k = 1 to 16
(8 values), {n_buckets} quantile buckets, {n_folds} folds × {n_repeats} draws. Answers of an image,
and of a question at different k, are correlated; images have k curves of their own. Policy less
best single k, in accuracy points (utility at 0.5 points per ms; ms for equal accuracy).

*true*: mean true value of the very policies that were learned; *bias*: estimate less that;
*in-sample*: learned and valued on all images; *optimism*: that less the policy's true value; *SD*:
of estimate less true; *SE*: root mean square of the one reported; *covers*: share of 95 % intervals
that hold the true value of the policies learned; *covers mean*: that hold its mean over data sets;
*averaged*: as *covers*, with differences averaged over draws of folds first and no widening (not
used).

| {names} |
|{rule}|
"""
NAMES = (
    *("design", "chosen for", "images", "true", "estimate", "bias (SE)", "in-sample"),
    *("optimism (SE)", "SD", "SE", "covers", "covers mean", "averaged"),
)


def page(rows: list[str], sets: int, seed: int) -> str:
    """Spell the table with what it means."""
    about = ABOUT.format(
        sets=sets,
        seed=seed,
        n_questions=N_QUESTIONS,
        n_buckets=N_BUCKETS,
        n_folds=N_FOLDS,
        n_repeats=N_REPEATS,
        names=" | ".join(NAMES),
        rule="|".join("---" for _ in NAMES),
    )
    designs = [f"* {d.name}: {d.what}." for d in DESIGNS]
    return about + "\n".join([*rows, "", *designs]) + "\n"


if __name__ == "__main__":
    main()
