"""Do break-even prices cover, and how often is a k said to do that in truth does not?

python benchmarks/worth_claims.py --sets 500 --out docs/cross_fitted_value.md

The studies of `benchmarks/cross_fitted_value.py`, and two at the border of the margin, each
judged as `analysis.worth` judges all images together. Their truth is known: accuracy by
complexity is averaged over complexity, latency has a formula. The tables replace the last
section of the page. One process; CPU time is printed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from cross_fitted_value import DESIGNS, GRID, KS, Array, Design, latency, simulate

from analysis.optimum.cells import Cells
from analysis.threads import one_thread
from analysis.worth.non_inferior import non_inferior
from analysis.worth.utility import break_even, group_utility
from complexity.files import write_text

N_BOOT = 1_000
#: Draws behind the critical values of one set: their error averages out over sets.
N_DRAWS = 5_000
MARGIN = 0.03
HEAD = "## Break-even prices and the smallest k that will do"


def _step(c: Array) -> Array:
    # Below k = 4 exactly the margin is lost: every smaller k is inferior, by nothing more.
    return np.broadcast_to(np.where(np.asarray(KS) < 4, 0.8 - MARGIN, 0.8), (len(c), len(KS)))


def _one_inferior(c: Array) -> Array:
    return np.broadcast_to(np.where(np.asarray(KS) == 1, 0.8 - MARGIN, 0.8), (len(c), len(KS)))


BORDER = (
    Design("border", f"k below 4 exactly {100 * MARGIN:g} points worse, the rest alike", _step),
    Design("border at k = 1", f"only k = 1 is {100 * MARGIN:g} points worse", _one_inferior),
    Design(
        "border, answers alike",
        "as border, answers to one question nearly the same at every k",
        _step,
        0.25,
        0.7,
        0.01,
    ),
)


def truth(design: Design) -> tuple[Array, Array]:
    """Mean accuracy and mean latency of all images, shape (K,) each."""
    grid = (np.arange(GRID)[:, None] + 0.5) / GRID
    return np.asarray(design.accuracy(grid)).mean(axis=0), latency(grid).mean(axis=0)


def resamples(n_images: int, rng: np.random.Generator) -> Array:
    """How often each image is drawn, shape (N_BOOT, n_images)."""
    picked = rng.integers(0, n_images, (N_BOOT, n_images))
    picked += np.arange(N_BOOT)[:, None] * n_images
    counts = np.bincount(picked.ravel(), minlength=N_BOOT * n_images)
    return np.asarray(counts.reshape(N_BOOT, n_images), dtype=np.float64)


def covers(low: float | None, high: float | None, true: float) -> bool:
    """Whether an interval of `BreakEven` holds a price; an open end holds any."""
    return (low or 0.0) <= max(true, 0.0) + 1e-12 and (high is None or true <= high + 1e-12)


@one_thread
def cell(design: Design, n_images: int, n_sets: int, seed: int) -> dict[str, float]:
    """Simulate one cell of both tables."""
    accuracy, ms = truth(design)
    short = accuracy.max() - accuracy
    prices: list[bool] = []
    named: list[bool] = []
    inside: list[float] = []
    claimed, wrong, limits, size = [], [], [], []
    for i in range(n_sets):
        rng = np.random.default_rng([seed, n_images, i])
        data = simulate(design, n_images, rng)
        assert data.ms_sums is not None
        assert data.ms_counts is not None
        counts = np.repeat(data.counts[:, None], len(KS), axis=1)
        cells = Cells(KS, tuple(f"{j:05d}" for j in range(n_images)), data.sums, counts)
        weights = resamples(n_images, rng)
        times = weights @ data.ms_counts
        scores = (weights @ data.sums) / (weights @ data.counts)[:, None]
        resampled = (scores, (weights @ data.ms_sums) / times[:, None])
        found = group_utility(
            "all",
            KS,
            cells.means(),
            data.ms_sums.sum(axis=0) / data.ms_counts.sum(),
            resampled,
            n_images,
            int(data.ms_counts.sum()),
        )
        here = []
        for item in found.break_evens:
            a, b = KS.index(item.slower), KS.index(item.faster)
            true = float((accuracy[a] - accuracy[b]) / (ms[a] - ms[b]))
            here.append(covers(item.ci_low, item.ci_high, true))
        prices += here
        inside.append(float(len(here)))
        a, b = KS.index(8), KS.index(2)
        pair = break_even(KS, a, b, 0.0, resampled)
        true = float((accuracy[a] - accuracy[b]) / (ms[a] - ms[b]))
        named.append(covers(pair.ci_low, pair.ci_high, true))
        said = non_inferior("all", cells, MARGIN, rng, N_DRAWS)
        claimed.append(said.k is not None)
        wrong.append(said.k is not None and short[KS.index(said.k)] >= MARGIN - 1e-12)
        limits.append(bool((short <= np.array(said.limit) + 1e-12).all()))
        size.append(0 if said.k is None else said.k)
    chosen = [k for k in size if k]
    return {
        "prices": float(np.mean(prices)) if prices else float("nan"),
        "n_prices": float(np.mean(inside)),
        "named": float(np.mean(named)),
        "claimed": float(np.mean(claimed)),
        "wrong": float(np.mean(wrong)),
        "limits": float(np.mean(limits)),
        "k": float(np.median(chosen)) if chosen else float("nan"),
        "best": float(KS[int(np.argmax(accuracy >= accuracy.max() - MARGIN + 1e-12))]),
    }


ABOUT = """\
{head}

```sh
python benchmarks/worth_claims.py --sets {sets} --out docs/cross_fitted_value.md
```

Seed {seed}, {sets} sets a cell, all images as one group, every second image timed once,
{boot:,} resamples. *prices*: break-even prices on the estimated envelope, a set, and the share of
their 95 % intervals that hold the true price of the same two k (chosen after looking, not
simultaneous); *8 against 2*: the same for two k named before. *claimed*: share of sets in which
some smallest k is said to be within {margin:g} points of the best; *wrongly*: in which that k is in
truth {margin:g} points or more behind; *limits hold*: all limits at once are above the true
distances. *median k*: of those claimed; *true*: the smallest k within the margin.

| {names} |
|{rule}|
"""
NAMES = (
    *("design", "images", "prices a set", "prices cover", "8 against 2 covers", "claimed"),
    *("wrongly", "limits hold", "median k", "true"),
)


def main() -> None:
    """Run every cell and put the table at the end of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    rows = []
    for n_images in (150, 600):
        for design in (*DESIGNS, *BORDER):
            if not design.name.startswith(chosen.only):
                continue
            started = time.process_time()
            f = cell(design, n_images, chosen.sets, chosen.seed)
            price = "–" if np.isnan(f["prices"]) else f"{f['prices']:.3f}"
            k = "–" if np.isnan(f["k"]) else f"{f['k']:g}"
            rows.append(
                f"| {design.name} | {n_images:,} | {f['n_prices']:.1f} | {price} | "
                f"{f['named']:.3f} | {f['claimed']:.3f} | {f['wrong']:.3f} | {f['limits']:.3f} | "
                f"{k} | {f['best']:g} |"
            )
            print(rows[-1], f"{time.process_time() - started:.0f} s", flush=True)
    if chosen.out is not None:
        text = chosen.out.read_text(encoding="utf-8").partition(HEAD)[0].rstrip("\n")
        about = ABOUT.format(
            head=HEAD,
            sets=chosen.sets,
            seed=chosen.seed,
            boot=N_BOOT,
            margin=100 * MARGIN,
            names=" | ".join(NAMES),
            rule="|".join("---" for _ in NAMES),
        )
        designs = [f"* {d.name}: {d.what}." for d in BORDER]
        table = "\n".join([*rows, "", *designs])
        write_text(chosen.out, f"{text}\n\n{about}{table}\n")


if __name__ == "__main__":
    main()
