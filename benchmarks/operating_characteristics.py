"""How often the methods of `analysis.optimum` are wrong, and how often they see what is there.

Simulated studies of known truth (`analysis.planning.scenario`): image and question slopes in every
one. For each the table says which nulls hold, how often each test rejects at .05, and how often
sets and limits hold what they should.

    python benchmarks/operating_characteristics.py --sets 1000 -o docs/operating.json
    python benchmarks/operating_characteristics.py -o docs/operating.json --print

Stopped at any moment, the first command goes on with the next scenario.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

from analysis.planning.evaluate import MARGIN, Verdicts, judge, projected_slope
from analysis.planning.scenario import Scenario, draw, slices
from analysis.planning.truth import Truth, truth
from analysis.threads import one_thread

KS = (1, 2, 3, 4, 6, 8, 12, 16)
#: Above this share of true nulls rejected a test fails; below the other it is conservative.
LIBERAL, CONSERVATIVE = 0.071, 0.029


def tied_at_the_complex_end() -> Scenario:
    """Two k that tie where images are complex, while the smaller wins where they are simple.

    The border of the null: a test that holds its level rejects about 5 % here.
    """
    base = Scenario(600, 4, (4, 8), bend=0.6, shift=0.5)

    def ahead(peak: float) -> float:
        high = truth(replace(base, peak=peak)).high
        return float(high[1] - high[0])

    return replace(base, peak=brentq(ahead, -3.0, 3.0, xtol=1e-14))


STEADY = {"image_sd": (0.8, 0.0), "question_sd": (1.2, 0.0)}
PEAK, SHARP = Scenario(600, 4, KS), Scenario(600, 4, KS, bend=0.3)
RISING = Scenario(600, 4, KS, shape="rising", bend=1.2)
TRAP = Scenario(600, 4, KS, shape="steep low k", bend=0.25, steeper=0.6)
SCENARIOS: dict[str, Scenario] = {
    "flat": Scenario(600, 4, KS, shape="flat", main=0.0),
    "flat, harder when complex": Scenario(600, 4, KS, shape="flat"),
    "two k tie at the complex end": tied_at_the_complex_end(),
    "peak at 4": PEAK,
    "peak at 4, 200 images": replace(PEAK, n_images=200),
    "peak at 4, 2,000 images": replace(PEAK, n_images=2000),
    "peak at 4, soft scores": replace(PEAK, soft=True),
    "peak at 4, skewed complexity": replace(PEAK, complexity="skewed"),
    "peak at 4, chance floor 1/2": replace(PEAK, floor=0.5),
    "peak at 4, near the ceiling": replace(PEAK, level=3.5),
    "peak at 4, one question": replace(PEAK, n_images=2000, n_questions=1),
    "rising": replace(RISING, **STEADY),
    "rising, steeper when complex": replace(RISING, n_images=2000, steeper=0.4, **STEADY),
    "rising, slopes bend the average": replace(RISING, n_images=2000, steeper=0.4),
    "steep low k": TRAP,
    "steep low k, 2,000 images": replace(TRAP, n_images=2000),
    "shift .2": replace(SHARP, n_images=2000, shift=0.2),
    "shift .4": replace(SHARP, shift=0.4),
    "shift .4, 2,000 images": replace(SHARP, n_images=2000, shift=0.4),
    "shift .8": replace(SHARP, shift=0.8),
    "shift .8, 200 images": replace(SHARP, n_images=200, shift=0.8),
    "shift .8, shallow": replace(PEAK, n_images=2000, shift=0.8),
    "shift .8, soft scores": replace(SHARP, shift=0.8, soft=True),
    "shift .8, chance floor 1/2": replace(SHARP, n_images=2000, shift=0.8, floor=0.5),
}


def scores(verdicts: Verdicts, known: Truth, ks: Sequence[int], slope: float) -> dict[str, float]:
    """Score one set: ones, zeros, NaN where a quantity does not apply."""
    nan = float("nan")
    q = verdicts.quadratic
    costs = np.maximum(known.low.max() - known.low, known.high.max() - known.high)
    cost = float(costs[list(ks).index(verdicts.single.k)])
    shown = verdicts.quadratic_shown and q is not None
    covers = resampled = nan
    if shown and q is not None and np.isfinite(slope):
        covers = float(abs(q.slope - slope) <= 1.959964 * q.slope_se)
        if np.isfinite(q.bootstrap_low):
            resampled = float(q.bootstrap_low <= slope <= q.bootstrap_high)
    interaction = verdicts.interaction <= 0.05
    both = interaction and verdicts.interaction_probability <= 0.05
    return {
        "shift": float(verdicts.common.p <= 0.05),
        "shift_on_curve": float(verdicts.on_curve is not None and verdicts.on_curve.p <= 0.05),
        "common_kept": float(set(known.common) <= set(verdicts.common.kept))
        if known.common
        else nan,
        "interaction": float(interaction),
        "interaction_probability": float(verdicts.interaction_probability <= 0.05),
        "interaction_both": float(both),
        "permutation": float(verdicts.permutation <= 0.05),
        "quadratic": float(q is not None and q.p <= 0.05),
        "quadratic_shown": float(shown),
        "quadratic_shown_rejects": float(shown and q is not None and q.p <= 0.05),
        "quadratic_covers": covers,
        "bootstrap_covers": resampled,
        "sets_cover": float(
            known.best_low in verdicts.sets[0].kept and known.best_high in verdicts.sets[1].kept
        ),
        "set_size": float(len(verdicts.common.kept)),
        "limit_covers": float(cost <= verdicts.single.limit + 1e-9),
        "limit": verdicts.single.limit,
        "equivalence": float(bool(verdicts.equivalence.within)),
        "equivalence_wrong": float(
            any(costs[list(ks).index(k)] >= MARGIN for k in verdicts.equivalence.within)
        ),
    }


@one_thread
def run(name: str, n_sets: int, seed: int) -> dict[str, Any]:
    """Simulate one scenario."""
    scenario = SCENARIOS[name]
    known = truth(scenario)
    c = slices(scenario, 300)
    slope = projected_slope((c - c.mean()) / c.std(), scenario.accuracy(c), scenario.ks)
    began = time.process_time()
    number = list(SCENARIOS).index(name)
    found = []
    for stream in np.random.SeedSequence([seed, number]).spawn(n_sets):
        rng = np.random.default_rng(stream)
        found.append(scores(judge(draw(scenario, rng), rng), known, scenario.ks, slope))
    means = {
        key: None
        if np.isnan([f[key] for f in found]).all()
        else float(np.nanmean([f[key] for f in found]))
        for key in found[0]
    }
    return {
        "name": name,
        "n_images": scenario.n_images,
        "n_questions": scenario.n_questions,
        "sets": n_sets,
        "seed": seed,
        "no_interaction": not known.interaction,
        "bend_in_points": 100 * bend_in_points(known),
        "best": [known.best_low, known.best_high],
        "common": list(known.common),
        "no_marginal_shift": not known.shifts,
        "no_conditional_shift": known.conditional_low == known.conditional_high,
        "projected_slope": slope,
        "cpu_seconds": round(time.process_time() - began, 1),
        **means,
    }


def bend_in_points(known: Truth) -> float:
    """Largest change of a difference between two k from the low to the high end."""
    change = known.high - known.low
    return float(change.max() - change.min())


def table(results: Sequence[dict[str, Any]]) -> str:
    """Lay the results out as Markdown."""
    head = ["scenario", "images × questions", "best k, low / high", "change, points"]
    head += [
        "nulls that hold",
        "shift",
        "on the curve",
        "common k kept",
        "interaction",
        "probability scale",
    ]
    head += ["both", "permutation", "quadratic", "shown", "shown and rejects", "covers"]
    head += ["bootstrap covers", "k sets cover"]
    head += ["cost limit covers", "mean limit", "equivalence", "wrongly"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in results:
        nulls = [
            text
            for text, holds in (
                ("interaction", r["no_interaction"]),
                ("marginal shift", r["no_marginal_shift"]),
                ("conditional shift", r["no_conditional_shift"]),
            )
            if holds
        ]
        cells = [
            r["name"],
            f"{r['n_images']:,} × {r['n_questions']}",
            f"{r['best'][0]} / {r['best'][1]}",
            f"{r['bend_in_points']:.1f}",
            ", ".join(nulls) or "none",
            marked(r["shift"], r["no_marginal_shift"]),
            marked(r["shift_on_curve"], r["no_marginal_shift"]),
            share(r["common_kept"]),
            marked(r["interaction"], r["no_interaction"]),
            marked(r["interaction_probability"], r["bend_in_points"] < 0.05),
            marked(r["interaction_both"], r["no_interaction"]),
            marked(r["permutation"], r["bend_in_points"] < 0.05),
            marked(r["quadratic"], r["best"][0] == r["best"][1]),
            share(r["quadratic_shown"]),
            marked(r["quadratic_shown_rejects"], r["best"][0] == r["best"][1]),
            share(r["quadratic_covers"]),
            share(r["bootstrap_covers"]),
            share(r["sets_cover"]),
            share(r["limit_covers"]),
            f"{100 * r['limit']:.1f}",
            share(r["equivalence"]),
            marked(r["equivalence_wrong"], null=True),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def share(value: float | None) -> str:
    """Spell a share with three digits, without its leading zero."""
    return "–" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def marked(value: float, null: bool) -> str:
    """Spell a share of rejections, in bold where a true null is rejected too often."""
    return f"**{share(value)}**" if null and value > LIBERAL else share(value)


def main() -> None:
    """Simulate what is not there yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", default="", help="scenarios whose name begins so")
    parser.add_argument("--print", action="store_true", help="only print what is there")
    options = parser.parse_args()
    done: list[dict[str, Any]] = (
        json.loads(options.output.read_text(encoding="utf-8")) if options.output.is_file() else []
    )
    kept = {r["name"]: r for r in done if (r["sets"], r["seed"]) == (options.sets, options.seed)}
    if options.print:
        kept = {r["name"]: r for r in done}
    for name in SCENARIOS:
        if options.print or name in kept or not name.startswith(options.only):
            continue
        kept[name] = run(name, options.sets, options.seed)
        print(f"{name}: {kept[name]['cpu_seconds']} s", flush=True)
        ordered = [kept[other] for other in SCENARIOS if other in kept]
        options.output.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    print(table([kept[name] for name in SCENARIOS if name in kept]))


if __name__ == "__main__":
    main()
