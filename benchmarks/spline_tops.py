"""How well the spline's tops are covered, on simulated studies of known truth.

python benchmarks/spline_tops.py --sets 200 > table.md

About two minutes of CPU for 200 sets.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from analysis.mixed.logit import logit_clustered
from analysis.optimum.curves import Curve, CurveFit, column_names, design
from analysis.optimum.spline import flat_curve_p, lack_of_fit, tops, why_not
from analysis.planning.evaluate import collapsed
from analysis.planning.scenario import Drawn, Scenario, draw
from analysis.threads import one_thread

SEED = 20261123
KS = (1, 2, 3, 4, 6, 8, 12, 16)
RANGE = (-1.6, 1.6)
#: The averaged curve is symmetric about k = 4 and moves by `shift`, and by nothing else.
PEAK = Scenario(600, 4, KS, bend=0.3, averaged=True)
TRAP = Scenario(600, 4, KS, shape="steep low k", bend=0.25, steeper=0.6)
SCENARIOS = {
    "peak at 4": PEAK,
    "shift .4": replace(PEAK, shift=0.4),
    "shift .4, 2,000 images": replace(PEAK, shift=0.4, n_images=2_000),
    "shift .8": replace(PEAK, shift=0.8),
    "steep low k": TRAP,
    "steep low k, 2,000 images": replace(TRAP, n_images=2_000),
    # No question has a curve; slopes that differ make k = 4 the best on average.
    "flat": Scenario(600, 4, KS, shape="flat", main=0.0),
}


def fitted(drawn: Drawn, curve: Curve) -> CurveFit:
    """Fit a curve to the images' mean scores, weighted by their questions."""
    data = collapsed(drawn)
    X = design(curve, data.ks, data.k, data.c, data.covariates)
    names, weights = column_names(data, curve), drawn.cells.counts.ravel()
    fit = logit_clustered(data.score, X, data.image, names=names, weights=weights)
    return CurveFit(curve, "logit", "", fit)


@one_thread
def row(scenario: Scenario, sets: int) -> list[float]:
    """Shares of the sets: shown, covered at -1, 0, +1, size covered, shown and moves; mean size."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(sets):
        drawn = draw(scenario, rng)
        saturated, spline = fitted(drawn, "saturated"), fitted(drawn, "spline")
        if why_not(lack_of_fit(saturated, KS), flat_curve_p(spline), 0.05) is not None:
            found.append([0.0, *[np.nan] * 4, 0.0, np.nan])
            continue
        optima, (size, low, high) = tops(spline, KS, RANGE, rng)
        # The middle of the grid is k = 4.
        truth = [2 + scenario.shift * item.c for item in optima]
        covered = [
            np.log2(item.bootstrap_low) - 1e-9 <= x <= np.log2(item.bootstrap_high) + 1e-9
            for item, x in zip(optima, truth, strict=True)
        ]
        covered.append(low <= scenario.shift <= high)
        found.append([1.0, *map(float, covered), float(low > 0 or high < 0), size])
    return list(np.nanmean(np.array(found, dtype=float), axis=0))


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    sets = parser.parse_args().sets
    print("| scenario | true size | shown | covers at −1, 0, +1 SD | size: mean | covers | moves |")
    print("|---|---|---|---|---|---|---|")
    for name, scenario in SCENARIOS.items():
        shown, *covers, size_covered, moves, size = row(scenario, sets)
        at, mean = ", ".join(map(_share, covers)), f"{round(size, 2) + 0.0:+.2f}"
        print(
            f"| {name} | {scenario.shift:.1f} | {_share(shown)} | {at} | {mean} | "
            f"{_share(size_covered)} | {_share(moves)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
