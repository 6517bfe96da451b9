"""How well metrics agree with people: the table of docs/agreement.md.

    python benchmarks/human_agreement.py SAVOIAS --keep TABLES -o docs/agreement.md

SAVOIAS is a user's own copy of the public repository (see `savoias`), TABLES a folder for what
was measured, so that a second call takes seconds. Prints, per category of images, Spearman's
and Pearson's correlation with people's ratings of every metric, of `perceived` as shipped and
of its cross-validated kin.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from fit_perceived import Rated, as_rated, held_out, held_out_alone, nested
from numpy.typing import NDArray
from savoias import CATEGORIES
from savoias import metrics as measured
from savoias import terms as features
from scipy.stats import pearsonr, spearmanr

from complexity.files import write_text
from complexity.metrics.perceived import COEFFICIENTS, read_calibration

Array = NDArray[np.float64]
SEEDS = (1, 2, 3)
BEGIN, END = "<!-- agreement:begin -->", "<!-- agreement:end -->"


def row(name: str, of: Callable[[int], float], counts: list[int]) -> str:
    """Write one line of a table: a value per category, and their mean."""
    values = [of(one) for one in range(len(counts))]
    return f"| {name} | " + " | ".join(_number(v) for v in [*values, float(np.mean(values))]) + " |"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1)


def table(
    kind: str,
    metrics: pd.DataFrame,
    others: dict[str, list[Array]],
) -> list[str]:
    """Write a table of correlations.

    Parameters
    ----------
    kind : {"Spearman", "Pearson"}
        Which correlation.
    metrics : DataFrame
        See `savoias.metrics`.
    others : dict of str to list of ndarray
        Predictions, one array per repetition; correlations are averaged over repetitions.
    """
    correlate = spearmanr if kind == "Spearman" else pearsonr
    groups = [np.flatnonzero(metrics["category"] == name) for name in CATEGORIES]
    rating = metrics["rating"].to_numpy()
    counts = [len(group) for group in groups]

    def agreement(values: Array, one: int) -> float:
        own = groups[one][np.isfinite(values[groups[one]])]
        return float(correlate(values[own], rating[own])[0])

    head = " | ".join(f"{name} ({n})" for name, n in zip(CATEGORIES, counts, strict=True))
    lines = [f"| {kind} | {head} | mean |", "|---|" + "---:|" * (len(counts) + 1)]
    for name in metrics.columns[3:]:
        column = metrics[name].to_numpy(dtype=float)
        lines.append(row(f"`{name}`", lambda i, c=column: agreement(c, i), counts))
    for name, repeats in others.items():
        lines.append(
            row(
                f"**{name}**",
                lambda i, r=repeats: float(np.mean([agreement(p, i) for p in r])),
                counts,
            )
        )
    return lines


def predictions(data: Rated) -> dict[str, list[Array]]:
    """Predict ratings in four ways, from the least to the most demanding."""
    text = COEFFICIENTS.read_text(encoding="utf-8")
    about = json.loads(text)
    shipped = read_calibration(text)
    columns = [data.names.index(name) for name in shipped.names]
    own = [shipped.rating(dict(zip(data.names, one, strict=True))) for one in data.values]
    return {
        "`perceived` as shipped, in sample": [np.array(own)],
        "one fit to all categories, cross-validated": [
            held_out(data, columns, about["penalty"], seed) for seed in SEEDS
        ],
        "a fit to each category, cross-validated": [
            held_out_alone(data, columns, seed) for seed in SEEDS
        ],
        "the category left out": [nested(data, about["form"])[0]],
    }


def main() -> None:
    """Print the tables, or write them into the page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a copy of the SAVOIAS repository")
    parser.add_argument("--keep", type=Path, required=True, help="folder for measured tables")
    parser.add_argument("-o", "--out", type=Path, help="page whose marked part is replaced")
    options = parser.parse_args()
    metrics = measured(options.folder, options.keep)
    found = predictions(as_rated(*features(options.folder, options.keep)))
    lines = [*table("Spearman", metrics, found), "", *table("Pearson", metrics, found)]
    if options.out is None:
        print("\n".join(lines))
        return
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    page = options.out.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "\n".join([BEGIN, f"Made at commit {commit}.", "", *lines, END])
    write_text(options.out, before + made + after)


if __name__ == "__main__":
    main()
