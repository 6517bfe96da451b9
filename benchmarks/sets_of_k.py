"""Which reference distribution should stand behind sets of k and intervals of gains?

python benchmarks/sets_of_k.py --sets 1000 --out docs/sets_of_k.json

Simulated studies whose truth is known, all their images as one group. Each is judged by every
method on the same answers: is a truly best k in the set, how large is the set, do the intervals
of all gains against the k that looks best hold the true ones. One process; stopped, it goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from analysis.optimum.cells import best_index
from analysis.optimum.max_t import Reference, mean_draws, p_of_sets, pair_errors
from analysis.planning.scenario import SAME, Scenario, draw, slices
from analysis.threads import one_thread

KS = (1, 2, 3, 4, 6, 8, 12, 16)
#: Enough: the error of one set's p, .007 near .05, averages out over sets.
DRAWS = 1_000
SIZES = (40, 200, 600, 2_000)
#: From here on three tenths of the sets are drawn, of a few scenarios: they differ least.
MANY = 2_000
LARGE = ("all k tie", "all k tie, answers alike near the ceiling", "two k tie at the top")
PLAIN = Scenario(600, 4, KS, "flat", image_sd=(0.8, 0.0), question_sd=(1.2, 0.0))
CEILING = replace(PLAIN, level=4.5, image_sd=(1.0, 0.0), question_sd=(1.5, 0.0))
SCENARIOS = {
    "all k tie": PLAIN,
    "all k tie, soft scores": replace(PLAIN, soft=True),
    "all k tie, near the ceiling": CEILING,
    "all k tie, answers alike near the ceiling": replace(
        PLAIN, level=10.0, image_sd=(1.0, 0.0), question_sd=(6.0, 0.0)
    ),
    "two k tie at the top": Scenario(600, 4, (1, 2, 4, 8, 16, 32), "peak", bend=0.15),
    "two k tie at the top, soft scores": Scenario(
        600, 4, (1, 2, 4, 8, 16, 32), "peak", bend=0.15, soft=True
    ),
    "peak inside": Scenario(600, 4, KS, "peak", bend=0.1),
    "peak inside, near the ceiling": replace(CEILING, shape="peak", bend=0.2),
    "best at the largest k": replace(PLAIN, shape="rising", bend=1.0),
    "best at the largest k, one question": replace(PLAIN, shape="rising", bend=1.0, n_questions=1),
}


def one_set(scenario: Scenario, rng: np.random.Generator, true: Any) -> dict[str, Any]:
    """Judge one simulated study by every method."""
    cells = draw(scenario, rng).cells
    means = cells.means()
    at = best_index(means)
    error = pair_errors(cells.test_covariance())[at]
    others = np.arange(len(means)) != at
    miss = np.abs((means - means[at]) - (true - true[at]))[others] / error[others]
    best = true >= true.max() - SAME
    found: dict[str, Any] = {}
    for method in get_args(Reference):
        n = 10 * DRAWS if method == "t" else DRAWS
        draws = mean_draws(cells, method, rng, n)
        kept = p_of_sets(cells, draws) > 0.05
        fixed = draws.critical_value(0.95, at)
        every = draws.critical_value(0.95)
        found[method] = [
            float(kept[best].mean()),
            float(kept.sum()),
            float(miss.max() <= fixed),
            float(miss.max() <= every),
            float(100 * every * error[others].mean()),
        ]
    return found


@one_thread
def run(name: str, n_images: int, n_sets: int, seed: int) -> dict[str, Any]:
    """Simulate one scenario at one size."""
    scenario = replace(SCENARIOS[name], n_images=n_images)
    true = scenario.accuracy(slices(scenario, 3_000)).mean(axis=0)
    began = time.process_time()
    place = list(SCENARIOS).index(name)
    streams = np.random.SeedSequence([seed, place, n_images]).spawn(n_sets)
    found = [one_set(scenario, np.random.default_rng(stream), true) for stream in streams]
    return {
        "name": name,
        "n_images": n_images,
        "sets": n_sets,
        "seed": seed,
        "accuracy": float(true.max()),
        "best": [k for k, m in zip(scenario.ks, true, strict=True) if m >= true.max() - SAME],
        "cpu_seconds": round(time.process_time() - began, 1),
        **{
            method: np.mean([f[method] for f in found], axis=0).round(4).tolist()
            for method in get_args(Reference)
        },
    }


def share(value: float) -> str:
    """Spell a share with three digits, without its leading zero."""
    return f"{value:.3f}".removeprefix("0")


def tables(rows: list[dict[str, Any]]) -> str:
    """Lay the results out as Markdown: the sets, then the intervals of gains."""
    names = get_args(Reference)
    lines = [["scenario", "images", *(f"kept, {n}" for n in names), *(f"size, {n}" for n in names)]]
    for r in rows:
        kept = [share(r[name][0]) for name in names]
        size = [f"{r[name][1]:.2f}" for name in names]
        lines.append([r["name"], f"{r['n_images']:,}", *kept, *size])
    gains = [["scenario", "images", *(f"fixed, {n}" for n in names)]]
    gains[0] += [*(f"all pairs, {n}" for n in names), *(f"± {n}" for n in names[:2])]
    for r in rows:
        held = [share(r[name][i]) for i in (2, 3) for name in names]
        half = [f"{r[name][4]:.1f}" for name in names[:2]]
        gains.append([r["name"], f"{r['n_images']:,}", *held, *half])
    return f"{_markdown(lines)}\n\n{_markdown(gains)}"


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rest])


def main() -> None:
    """Simulate what is not there yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    done: list[dict[str, Any]] = (
        json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else []
    )
    n_sets = {n: chosen.sets if n < MANY else chosen.sets * 3 // 10 for n in SIZES}
    rows = [r for r in done if (r["sets"], r["seed"]) == (n_sets[r["n_images"]], chosen.seed)]
    have = {(r["name"], r["n_images"]) for r in rows}
    for n_images in SIZES:
        for name in SCENARIOS:
            wanted = n_images < MANY or name in LARGE
            if wanted and (name, n_images) not in have:
                rows.append(run(name, n_images, n_sets[n_images], chosen.seed))
                print(rows[-1], flush=True)
                chosen.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    order = list(SCENARIOS)
    rows.sort(key=lambda r: (r["n_images"], order.index(r["name"])))
    print(tables(rows))


if __name__ == "__main__":
    main()
