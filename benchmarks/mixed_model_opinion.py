"""How often the mixed model's tests reject, and where its accuracies miss: simulated studies.

python benchmarks/mixed_model_opinion.py [--sets 400]

Answers to 4 questions an image at 8 k from a logit with slopes in log2 k by image and by
question. In the nulls the curve is stretched with complexity while its optimum stays, so that
there is an interaction and no shift. Prints docs/mixed_model_opinion.md's tables.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd
from scipy.special import expit

from analysis.optimum.curves import CurveData, prepare, standardise
from analysis.optimum.rung import (
    MixedModel,
    averaged_rows,
    climb,
    fixed_part,
    observed,
    ready_frame,
)

KS = (1, 2, 3, 4, 6, 8, 12, 16)
#: Images; SDs of (intercept, slope) by image and by question; stretch; shift.
STUDIES = (
    (200, (0.8, 0.4), (1.0, 0.4), 0.3, 0.0),
    (600, (0.8, 0.4), (1.0, 0.4), 0.3, 0.0),
    (200, (0.8, 0.2), (1.0, 0.4), 0.3, 0.0),
    (200, (0.8, 0.1), (1.0, 0.4), 0.3, 0.0),
    (200, (0.8, 0.4), (1.0, 0.4), 0.0, 0.3),
)
#: SDs of the questions' intercepts, and levels in these SDs, for the second table.
SPREADS = (
    (1.2, 1.2),
    (3.0, 0.3),
    (3.0, 1.2),
    (5.0, 0.3),
    (5.0, 1.2),
    (8.0, 0.3),
    (8.0, 1.2),
    (12.0, 1.2),
    (20.0, 1.2),
)


def study(
    n_images: int,
    image: tuple[float, float],
    question: tuple[float, float],
    stretch: float,
    shift: float,
    rng: np.random.Generator,
    *,
    bend: float = 0.25,
    level: float = 1.0,
) -> tuple[CurveData, pd.Series]:
    """Simulate one study: data for curves, and the question of each row."""
    i, q, k = (part.ravel() for part in np.indices((n_images, 4, len(KS))))
    inner = i * 4 + q
    x, c = np.log2(KS)[k] - 2, rng.normal(size=n_images)
    by_image = rng.normal(size=(n_images, 2)) * image
    by_question = rng.normal(size=(n_images * 4, 2)) * question
    eta = level - 0.5 * c[i] - bend * (1 + stretch * c[i]) * (x - shift * c[i]) ** 2
    eta = eta + by_image[i, 0] + by_image[i, 1] * x + by_question[inner, 0]
    eta = eta + by_question[inner, 1] * x
    table = pd.DataFrame(
        {
            "image_id": [f"i{number:04d}" for number in i],
            "sample_id": inner,
            "k": np.asarray(KS)[k],
            "score": (rng.uniform(size=len(x)) < expit(eta)).astype(float),
        }
    )
    by_id = pd.Series(c, index=[f"i{number:04d}" for number in range(n_images)])
    return prepare(table, standardise(by_id), []), table["sample_id"]


def rate(ps: list[float | None]) -> str:
    """Share of tests at or below .05 with its Monte Carlo standard error."""
    made = np.array([p for p in ps if p is not None])
    if not len(made):
        return "–"
    share = float((made <= 0.05).mean())
    return f"{share:.3f} ± {np.sqrt(share * (1 - share) / len(made)):.3f} of {len(made)}"


def tests_table(sets: int, seed: int) -> list[str]:
    """Rejection rates of both tests, and which rung was kept."""
    lines = [
        "| images | slope SD by image, question | stretch | shift | no shift | no k × c "
        "| rungs 1, 2, 3, none |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, (n, image, question, stretch, shift) in enumerate(STUDIES):
        rng = np.random.default_rng([seed, number])
        found: list[MixedModel] = [
            climb(*study(n, image, question, stretch, shift, rng)) for _ in range(sets)
        ]
        kept = Counter(len(one.left) if one.held else 3 for one in found)
        lines.append(
            f"| {n} | {image[1]:g}, {question[1]:g} | {stretch:g} | {shift:g} | "
            f"{rate([one.no_shift.p for one in found])} | "
            f"{rate([one.interaction.p for one in found])} | "
            f"{', '.join(str(kept[i]) for i in range(4))} |"
        )
    return lines


def accuracy_table(seed: int) -> list[str]:
    """How far averaged accuracies are off, by the share of questions answered alike."""
    from analysis.mixed import fit

    lines = ["| question SD | accuracy | answered alike | largest miss |", "|---|---|---|---|"]
    for number, (sd, level) in enumerate(SPREADS):
        rng = np.random.default_rng([seed, 100 + number])
        slope = 0.3 * max(1.0, sd / 3)
        data, samples = study(
            800, (0.8, 0.15), (sd, slope), 0.0, 0.0, rng, bend=0.15, level=level * sd
        )
        frame = ready_frame(data, samples)
        fitted = fit(
            f"{fixed_part(data)} + (1 + x | image) + (1 + x | image:question)",
            frame,
            family="binomial",
        )
        by_question = frame.groupby("question")["score"]
        alike = float((by_question.max() == by_question.min()).mean())
        miss = float(np.abs(averaged_rows(data, fitted) - observed(data)).max())
        lines.append(f"| {sd:g} | {frame['score'].mean():.2f} | {alike:.0%} | {miss:.3f} |")
    return lines


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261123)
    asked = parser.parse_args()
    print("\n".join(accuracy_table(asked.seed)), flush=True)
    print()
    print("\n".join(tests_table(asked.sets, asked.seed)))


if __name__ == "__main__":
    main()
