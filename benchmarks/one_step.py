"""Cluster bootstrap in full and by one step: time, and how far they agree.

The same draws of images are refitted and approximated. For each number: the correlation of
the two over draws, the ratio of their standard errors (one step over full), and the ends of
both 95 % percentile intervals, in standard errors from the estimate. Where one step is refused
only the refits are timed.

    python benchmarks/one_step.py                       18,000 rows, 1,000 draws
    python benchmarks/one_step.py --rows 3000 --family gaussian
    python benchmarks/one_step.py --random "(1 + x | image) + (1 | item)"
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from mixed_designs import FIXED, vqa

from analysis.mixed import fit
from analysis.mixed.refit import Refits
from analysis.threads import one_thread

RICH = "(1 + x + x2 | image) + (1 + x | item)"


@one_thread
def main() -> None:
    """Print times and a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=18_000)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--family", choices=["binomial", "gaussian"], default="binomial")
    parser.add_argument("--random", default=RICH, help="random terms")
    options = parser.parse_args()
    data = vqa(options.rows, seed=options.seed)
    outcome = "y" if options.family == "binomial" else "ms"
    whole = fit(f"{outcome} ~ {FIXED} + {options.random}", data, family=options.family)
    print(f"{whole.formula}, {options.family}: {whole.n_obs:,} rows, seed {options.seed}")
    for warning in whole.warnings:
        print(warning)
    # Scores and Hessians are had once, compiled code is loaded.
    began = time.process_time()
    refits = Refits(whole)
    refits.clusters(np.ones(refits.n_clusters, dtype=np.int64))
    seconds = np.array([time.process_time() - began, 0.0])
    refused = refits.one_step_refused()
    if refused is None:
        refits.one_step(np.ones(refits.n_clusters, dtype=np.int64))
        seconds[1] = time.process_time() - began - seconds[0]
    print(f"prepared in {seconds[0]:.2f} s CPU, for one step {seconds[1]:.2f} s more")
    full, short = [], []
    seconds[:] = 0
    singular = searched = failed = 0
    rng = np.random.default_rng(options.seed)
    for _ in range(options.draws):
        n = refits.n_clusters
        counts = np.bincount(rng.integers(n, size=n), minlength=n)
        began = time.process_time()
        refit = refits.clusters(counts)
        between = time.process_time()
        step = refits.one_step(counts) if refused is None else refit
        seconds += [between - began, time.process_time() - between]
        singular, searched = singular + refit.singular, searched + refit.searched
        failed += not refit.converged
        if refit.converged:
            full.append(refits.values(refit))
            short.append(refits.values(step))
    print(
        f"{options.draws} draws of {refits.n_clusters} clusters: {seconds[0]:.1f} s CPU in full; "
        f"{singular} singular, {searched} searched in full, {failed} failed"
    )
    if refused is not None:
        print(f"one step is refused: {refused}")
        return
    print(f"by one step: {seconds[1]:.2f} s CPU")
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
