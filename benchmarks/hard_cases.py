"""Where the answer on the optimal k is too sure: cases that a study may well be.

Three tables: questions crowded on few images, complexity with a long tail, and k that differ on
rare images alone. Truth is known in all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.special import expit

from analysis.optimum.cells import Cells, cells_of
from analysis.optimum.common import common_optimum
from analysis.optimum.curves import fit_curve, prepare, standardise
from analysis.optimum.equivalence import within_margin
from analysis.optimum.gains import gains, single_k
from analysis.optimum.hypotheses import interaction_test
from analysis.optimum.permutation import permutation_test
from analysis.worth.non_inferior import non_inferior

Array = NDArray[np.float64]
Rng = np.random.Generator
DRAWS = 2_000
KS = (1, 2, 4, 8, 16)

COUNTS: dict[str, Callable[[int, Rng], NDArray[np.int64]]] = {
    "4 each": lambda n, rng: np.full(n, 4),
    "1 each": lambda n, rng: np.ones(n, dtype=np.int64),
    "log-normal, sigma 1.2": lambda n, rng: np.maximum(
        1, np.round(np.exp(rng.normal(1, 1.2, n)))
    ).astype(np.int64),
    "one image has a tenth": lambda n, rng: np.r_[4 * (n - 1) // 9, np.full(n - 1, 4)],
    "one image has half": lambda n, rng: np.r_[4 * (n - 1), np.full(n - 1, 4)],
}
COMPLEXITY: dict[str, Callable[[int, Rng], Array]] = {
    "normal": lambda n, rng: rng.normal(size=n),
    "log-normal, sigma 1": lambda n, rng: np.exp(rng.normal(size=n)),
    "log-normal, sigma 2": lambda n, rng: np.exp(2 * rng.normal(size=n)),
    "normal, one image 40 SD away": lambda n, rng: np.r_[rng.normal(size=n - 1), 40.0],
}


def of(sums: Array, questions: Array) -> Cells:
    """Name the images of sums, shape (G, K), and repeat their questions for every k."""
    names = tuple(f"{i:06d}" for i in range(len(sums)))
    counts = np.repeat(questions[:, None].astype(np.float64), sums.shape[1], axis=1)
    return Cells(tuple(2**i for i in range(sums.shape[1])), names, sums, counts)


def end_of_complexity(loss: float, counts: NDArray[np.int64], rng: Rng) -> Cells:
    """Answers at two k, the second `loss` logits worse; image slopes alike at both."""
    n = len(counts)
    logits = 1 + rng.normal(size=(n, 1)) + rng.normal(0, 0.3, (n, 2)) - loss * np.array([0.0, 1])
    return of(rng.binomial(counts[:, None], expit(logits)).astype(np.float64), counts)


def crowded(n_sets: int, seed: int) -> list[list[str]]:
    """Low end: the first of two k wins; high end: they tie, the border of the null."""
    rows = []
    for n_images in (67, 200):
        for name, counts in COUNTS.items():
            rng = np.random.default_rng(seed)
            rejected = held = 0
            effective = []
            for _ in range(n_sets):
                ends = [end_of_complexity(loss, counts(n_images, rng), rng) for loss in (1.5, 0.0)]
                found = common_optimum(
                    ends[0].ks,
                    [end.means() for end in ends],
                    block_diag(*(end.test_covariance() for end in ends)),
                    [n_images] * 2,
                    rng,
                    n_draws=DRAWS,
                )
                rejected += found.p <= 0.05
                named = dict(zip(("low", "high"), ends, strict=True))
                (gain,) = (
                    g
                    for g in gains(named, ("low", "high"), 1, rng, n_draws=DRAWS)
                    if g.group == "high"
                )
                held += gain.ci_low <= 0 <= gain.ci_high
                effective.append(ends[1].effective_images())
            rows.append(
                [name, f"{n_images}", f"{np.median(effective):.0f}"]
                + [f"{count / n_sets:.3f}" for count in (rejected, held)]
            )
    return rows


def unrelated(n_images: int, c: Array, rng: Rng) -> pd.DataFrame:
    """Simulate answers that have nothing to do with c: 4 questions an image, five k."""
    x = np.log2(KS) - 2
    image = np.repeat(np.arange(n_images), 4)
    logits = 1 + (rng.normal(0, 0.8, n_images)[image] + rng.normal(0, 1.2, len(image)))[:, None]
    slopes = rng.normal(0, 0.3, n_images)[image] + rng.normal(0, 0.3, len(image))
    score = rng.random((len(image), len(KS))) < expit(logits + slopes[:, None] * x)
    repeated = np.repeat(image, len(KS))
    return pd.DataFrame(
        {
            "image_id": [f"{i:06d}" for i in repeated],
            "sample_id": np.repeat(np.arange(len(image)), len(KS)),
            "k": np.tile(KS, len(image)),
            "score": score.ravel().astype(np.float64),
            "c": c[repeated],
        }
    )


def long_tails(n_sets: int, seed: int) -> list[list[str]]:
    """Test k × c where it is nil."""
    rows = []
    for n_images in (200, 600):
        for name, draw in COMPLEXITY.items():
            rng = np.random.default_rng(seed)
            rejected = np.zeros(4)
            effective = []
            for _ in range(n_sets):
                table = unrelated(n_images, draw(n_images, rng), rng)
                c = standardise(table.drop_duplicates("image_id").set_index("image_id")["c"])
                data = prepare(table, c, [])
                logit, linear = (
                    interaction_test(fit_curve(data, "saturated", link)).p or 0.0
                    for link in ("logit", "identity")
                )
                shuffled = permutation_test(cells_of(table), c.to_numpy(), None, rng, 99).p
                p = [logit, linear, max(logit, linear), shuffled or 0.0]
                rejected += np.asarray(p) <= 0.05
                square = c.to_numpy() ** 2
                effective.append(square.sum() ** 2 / (square**2).sum())
            rows.append(
                [name, f"{n_images}", f"{np.median(effective):.0f}"]
                + [f"{share:.3f}" for share in rejected / n_sets]
            )
    return rows


def rare(n_images: int, margin: float, whole: bool, rng: Rng) -> Cells:
    """Two k with the same answers, but that the first loses `margin` on rare images."""
    right = (rng.random((n_images, 4)) < 0.95).astype(np.float64)
    sums = np.repeat(right.sum(axis=1)[:, None], 2, axis=1)
    if whole:
        sums[rng.random(n_images) < margin / 0.95, 0] = 0
    else:
        sums[:, 0] -= ((rng.random((n_images, 4)) < margin / 0.95) * right).sum(axis=1)
    return of(sums, np.full(n_images, 4))


def rare_losses(n_sets: int, seed: int) -> list[list[str]]:
    """Ask of a k exactly the margin behind whether it is within the margin."""
    rows = []
    for whole in (True, False):
        for n_images in (50, 150, 400):
            for margin in (0.01, 0.03):
                rng = np.random.default_rng(seed)
                equal = smallest = held = 0
                for _ in range(n_sets):
                    ends = [rare(n_images, margin, whole, rng) for _ in range(2)]
                    equal += 1 in within_margin(ends, margin).within
                    smallest += non_inferior("all", ends[0], margin, rng, DRAWS).k == 1
                    held += single_k(ends, rng, [1]).limit >= margin
                rows.append(
                    ["all of an image" if whole else "single ones", f"{n_images:,}"]
                    + [f"{100 * margin:.0f}"]
                    + [f"{count / n_sets:.3f}" for count in (smallest, equal, held)]
                )
    return rows


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Lay rows out."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


TEXT = """# Where the answer is too sure

```sh
python benchmarks/hard_cases.py --sets {sets} -o docs/hard_cases.md
```

Cases that [operating_characteristics.md](operating_characteristics.md) and the other tables do
not have, {sets} simulated sets each, seed {seed} (Monte Carlo error {error:.3f} near .05). What
Optik says where it meets them stands below each table.

## Questions crowded on few images

Two k; at the simple end the first is best, at the complex end both are: the border of the null of
one common k. *counts as*: the images of equal size that would weigh as unevenly, (Σn)² / Σn²,
median.

{crowded}

Below 30 of these the answer warns: the covariance comes from as good as one image, and neither
the t nor the bootstrap knows it.

## Complexity with a long tail

Answers that have nothing to do with complexity, 4 questions an image, five k. *counts as*: (Σh)²
/ Σh² of squared distances h from the mean.

{tails}

Below 40 of these, and of half of what normal complexity gives, the answer warns (from 90 images
on) and points to the test by shuffling, which keeps its level. The headline is not touched:
buckets do not know how far away an image lies.

## k that differ on rare images

Of two k the smaller gives the same answers but is wrong on rare images (all 4 questions of the
image, or single ones), so that it is exactly the margin behind at both ends. *smallest k*: it is
said to be within the margin at one end; *equivalence*: within it at both; *cost limit*: the limit
holds.

{rare}

One test at .05 should err in .05. Losses that come image by image and are expected on fewer than
about 10 images are often not in the data at all, and t alone, whose ridge of one pseudo-answer
knows questions and not images, then named a k wrongly in up to .575 (50 images, 1 point). So
where fewer than 10 images lose, limits and equivalence do not go below the exact binomial ones.
"""


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("-o", "--out", type=Path)
    chosen = parser.parse_args()
    n, seed = chosen.sets, chosen.seed
    text = TEXT.format(
        sets=n,
        seed=seed,
        error=(0.05 * 0.95 / n) ** 0.5,
        crowded=markdown(
            ["questions", "images an end", "counts as", "rejected", "gain's interval holds"],
            crowded(n, seed),
        ),
        tails=markdown(
            ["complexity", "images", "counts as", "logit", "probability", "both", "shuffled"],
            long_tails(n, seed),
        ),
        rare=markdown(
            [
                "wrong answers",
                "images an end",
                "margin, points",
                "smallest k, wrongly",
                "equivalence, wrongly",
                "cost limit holds",
            ],
            rare_losses(n, seed),
        ),
    )
    if chosen.out is None:
        print(text)
    else:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
