"""Cluster bootstrap in full and by one step: time, and how far they agree.

The same draws of images are refitted and approximated. For each number: the correlation of
the two over draws, the ratio of their standard errors (one step over full), and the ends of
both 95 % percentile intervals, in standard errors from the estimate.

    python benchmarks/one_step.py                       18,000 rows, 1,000 draws
    python benchmarks/one_step.py --rows 3000 --family gaussian
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from mixed_models import simulate

from analysis.mixed import fit
from analysis.mixed.refit import Refits
from analysis.threads import one_thread

RICH = "(x + I(x**2)) * c + (1 + x + I(x**2) | image) + (1 + x | image:question)"


@one_thread
def main() -> None:
    """Print times and a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=18_000)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--family", choices=["binomial", "gaussian"], default="binomial")
    parser.add_argument("--formula", default=RICH, help="right-hand side")
    options = parser.parse_args()
    data = simulate(options.rows, 1, options.seed)
    outcome = "y" if options.family == "binomial" else "ms"
    whole = fit(f"{outcome} ~ {options.formula}", data, family=options.family)
    print(f"{whole.formula}, {options.family}: {whole.n_obs:,} rows, seed {options.seed}")
    print(*whole.warnings, sep="\n")
    refits = Refits(whole)
    # Scores and Hessians are had once, compiled code is loaded.
    began = time.process_time()
    refits.clusters(np.ones(refits.n_clusters, dtype=np.int64))
    if refits._mixed is not None and refits._mixed.by_group:
        refits._mixed.one_step(np.ones(refits.n_clusters, dtype=np.int64))
    print(f"prepared in {time.process_time() - began:.2f} s CPU")
    refused = refits.one_step_refused()
    if refused is not None:
        print(f"one step is refused ({refused}); taken all the same:")
    full, short = [], []
    seconds = np.zeros(2)
    singular = searched = failed = 0
    rng = np.random.default_rng(options.seed)
    for _ in range(options.draws):
        n = refits.n_clusters
        counts = np.bincount(rng.integers(n, size=n), minlength=n)
        began = time.process_time()
        refit = refits.clusters(counts)
        between = time.process_time()
        assert refits._mixed is not None
        step = refits._mixed.one_step(counts) if refits._mixed.by_group else refit
        seconds += [between - began, time.process_time() - between]
        singular, searched = singular + refit.singular, searched + refit.searched
        failed += not refit.converged
        if refit.converged:
            full.append(refits.values(refit))
            short.append(refits.values(step))
    print(
        f"{options.draws} draws: {seconds[0]:.1f} s CPU in full, {seconds[1]:.2f} s by one step; "
        f"{singular} singular, {searched} searched in full, {failed} failed"
    )
    a, b = np.array(full), np.array(short)
    estimate = refits.values(refits.estimate)
    print("| | correlation | SE ratio | full 95 % | one step 95 % |\n|---|---|---|---|---|")
    for j, name in enumerate(refits.labels):
        both = np.isfinite(a[:, j]) & np.isfinite(b[:, j])
        one, two = a[both, j], b[both, j]
        if one.std() == 0:
            print(f"| {name} | no spread | | | |")
            continue
        ends = [
            " to ".join(
                f"{(q - estimate[j]) / one.std():.2f}" for q in np.quantile(v, [0.025, 0.975])
            )
            for v in (one, two)
        ]
        print(
            f"| {name} | {np.corrcoef(one, two)[0, 1]:.4f} | {two.std() / one.std():.3f} "
            f"| {ends[0]} | {ends[1]} |"
        )


if __name__ == "__main__":
    main()
