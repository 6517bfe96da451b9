"""Is a study's power what `optik power` foretold from a pilot?

Three scenarios of known truth. From each, several pilots are drawn; every pilot foretells the
power of a larger study at some shifts, as `optik power TABLE` would. The scenario itself is then
simulated at those shifts, and the same test applied: the power observed.

    python benchmarks/power_foretold.py -o docs/power_foretold.json
    python benchmarks/power_foretold.py -o docs/power_foretold.json --print

Stopped at any moment, the first command goes on with the next cell.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.planning.detectable import wilson
from analysis.planning.pilot import pilot_scenario
from analysis.planning.power import power
from analysis.planning.scenario import Drawn, Scenario, draw
from complexity.files import write_json

KS = (1, 2, 3, 4, 6, 8, 12, 16)
FLOORS = {"multiple choice": 0.25}
SHARP = Scenario(600, 4, KS, bend=0.3, averaged=True)
#: The world of each pilot, at the pilot's size.
SCENARIOS: dict[str, Scenario] = {
    "free answers": SHARP,
    "strong model": replace(SHARP, ks=(1, 2, 4, 8, 16), level=3.0, bend=0.5, image_sd=(1.0, 0.2)),
    "multiple choice": replace(
        SHARP, n_images=1000, n_questions=2, bend=0.5, floor=0.25, complexity="skewed"
    ),
}
SHIFTS = (0.0, 0.4, 0.6, 0.8)
#: Images of the study that is planned; as many questions each as in the pilot.
IMAGES = {"free answers": 1000, "strong model": 1500, "multiple choice": 2000}


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    pilots: int
    sets: int
    pilot_sets: int
    seed: int


def table_of(drawn: Drawn) -> pd.DataFrame:
    """Spell a simulated study as a table of scores."""
    image, question, k = (part.ravel() for part in np.indices(drawn.scores.shape))
    return pd.DataFrame(
        {
            "model": "simulated",
            "image_id": [f"i{i:05d}" for i in image],
            "sample_id": [f"i{i:05d}_{q}" for i, q in zip(image, question, strict=True)],
            "k": np.asarray(drawn.cells.ks)[k],
            "score": drawn.scores.ravel(),
            "complexity": drawn.c[image],
        }
    )


def foretold(name: str, pilot: int, size: Size) -> list[float]:
    """Power at each shift, from one pilot."""
    number = list(SCENARIOS).index(name)
    rng = np.random.default_rng(np.random.SeedSequence([size.seed, number, pilot]))
    table = table_of(draw(SCENARIOS[name], rng))
    found = pilot_scenario(table, "complexity", floor=FLOORS.get(name, 0.0))
    return _power(found.scenario, name, size.pilot_sets, size.seed + pilot)


def observed(name: str, size: Size) -> list[float]:
    """Power at each shift, from the world itself."""
    return _power(SCENARIOS[name], name, size.sets, size.seed)


def _power(scenario: Scenario, name: str, n_sets: int, seed: int) -> list[float]:
    result = power(
        scenario,
        images=[IMAGES[name]],
        questions=[scenario.n_questions],
        ks=[scenario.ks],
        shifts=SHIFTS,
        n_sets=n_sets,
        seed=seed,
    )
    return [float(value) for value in result.cells["power"]]


def rows_of(done: dict[str, Any], size: Size) -> list[list[str]]:
    """One row per scenario and shift: foretold, observed, difference and its allowance."""
    rows = []
    for name in SCENARIOS:
        if f"{name}/observed" not in done:
            continue
        pilots = np.array([done[f"{name}/{i}"] for i in range(size.pilots)])
        for j, shift in enumerate(SHIFTS):
            truth = done[f"{name}/observed"][j]
            mean, sd = pilots[:, j].mean(), pilots[:, j].std(ddof=1)
            # Three errors in one: of the pilots, of their simulation (within it) and of the sets.
            error = np.hypot(sd / np.sqrt(size.pilots), np.sqrt(truth * (1 - truth) / size.sets))
            low, high = wilson(round(truth * size.sets), size.sets)
            allowed = 0.05 + 1.96 * error
            rows.append(
                [
                    name,
                    f"{IMAGES[name]:,} × {SCENARIOS[name].n_questions}",
                    f"{shift:g}",
                    _share(mean),
                    f"{_share(pilots[:, j].min())} to {_share(pilots[:, j].max())}",
                    f"{_share(truth)} [{_share(low)}, {_share(high)}]",
                    f"{mean - truth:+.3f}",
                    f"{allowed:.3f}",
                    "yes" if abs(mean - truth) <= allowed else "**no**",
                ]
            )
    return rows


def _share(value: float) -> str:
    return "1" if value > 0.9995 else f"{value:.3f}".removeprefix("0")


def main() -> None:
    """Simulate what is not there yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pilots", type=int, default=6)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--pilot-sets", type=int, default=200, help="studies behind each forecast")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--print", action="store_true", help="only print what is there")
    options = parser.parse_args()
    size = Size(options.pilots, options.sets, options.pilot_sets, options.seed)
    settings = vars(size)
    done: dict[str, Any] = {}
    if options.output.is_file():
        content = json.loads(options.output.read_text(encoding="utf-8"))
        if content["settings"] == settings:
            done = content["cells"]
    for name in () if options.print else SCENARIOS:
        for task in (*range(size.pilots), "observed"):
            key = f"{name}/{task}"
            if key not in done:
                done[key] = (
                    observed(name, size) if task == "observed" else foretold(name, int(task), size)
                )
                write_json(options.output, {"settings": settings, "cells": done})
                print(key, done[key], flush=True)
    head = ["scenario", "images × questions", "shift", "foretold, mean", "of single pilots"]
    head += ["observed", "difference", "allowed", "within"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows_of(done, size):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
