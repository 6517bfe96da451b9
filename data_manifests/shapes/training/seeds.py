"""Print how far two seeds of a training recipe differ, and how far the recipes do.

python -m data_manifests.shapes.training.seeds [STUDY]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from data_manifests.shapes.training.accuracy import HERE, heading, read

Array = NDArray[np.float64]
AGAINST = 4
LEVEL = 0.95


def paired(values: Array) -> tuple[Array, Array]:
    """Return mean and half-width of the 95 % interval, images as the units (Student's t).

    Parameters
    ----------
    values : ndarray, shape (images, ks)
        A difference between checkpoints of every image: paired, since each was asked about it.

    Returns
    -------
    mean, half : ndarray, shape (ks,)
        In the unit of `values`. Images weigh alike; each has as many questions.
    """
    n = len(values)
    half = t.ppf((1 + LEVEL) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0), half


def two_samples(first: Array, second: Array) -> Array:
    """Return the half-width of the 95 % interval of a difference of two means, pooled variance.

    Parameters
    ----------
    first, second : ndarray, shape (seeds, ks)
        One value a checkpoint, over the same images: training runs are the units. With two of
        each recipe the interval has two degrees of freedom.

    Returns
    -------
    ndarray, shape (ks,)
        By Student's two-sample t, which takes runs of both recipes to spread alike.
    """
    degrees = len(first) + len(second) - 2
    squares = sum(((x - x.mean(axis=0)) ** 2).sum(axis=0) for x in (first, second))
    error = np.sqrt(squares / degrees * (1 / len(first) + 1 / len(second)))
    return np.asarray(t.ppf((1 + LEVEL) / 2, degrees) * error)


def by_image(folder: Path) -> tuple[dict[str, list[Array]], list[int]]:
    """Return the share of right answers by recipe, seed, image and k, in percent.

    Returns
    -------
    dict of list of ndarray, shape (images, ks)
        By recipe, one array a seed, in the order of the seeds: checkpoints are named RECIPE
        (seed 0) or RECIPE_seedN.
    list of int
        The k.
    """
    samples, results = read(folder)
    results["image_id"] = results["sample_id"].map(samples.set_index("sample_id")["image_id"])
    wide = results.pivot_table(index=["checkpoint", "image_id"], columns="k", values="correct")
    recipes: dict[str, list[Array]] = {}
    for name in results["checkpoint"].drop_duplicates():
        recipes.setdefault(name.partition("_seed")[0], []).append(100 * wide.loc[name].to_numpy())
    return recipes, [int(k) for k in wide.columns]


def rows(recipes: Mapping[str, list[Array]]) -> list[tuple[str, Array, Array]]:
    """Return label, estimate and half-width of each line of a table; see `by_image`."""
    found = [
        (f"`{name}`, seed 1 less seed 0", *paired(one - zero))
        for name, (zero, one) in recipes.items()
    ]
    (first, theirs), (second, others) = recipes.items()
    label = f"`{first}` less `{second}`, both seeds"
    mean, half = paired(np.mean(theirs, axis=0) - np.mean(others, axis=0))
    found.append((f"{label}; over images", mean, half))
    runs = (np.array([x.mean(axis=0) for x in seeds]) for seeds in (theirs, others))
    found.append((f"{label}; over training runs", mean, two_samples(*runs)))
    return found


def tables(folder: Path) -> str:
    """Make the two tables: of accuracy at each k, and of accuracy at each k less that at k = 4.

    Parameters
    ----------
    folder : Path
        Of a manifest with two seeds of each of two recipes.

    Returns
    -------
    str
        Markdown; points of accuracy, ± the half-width of the 95 % interval.
    """
    recipes, ks = by_image(folder)
    base = ks.index(AGAINST)
    kept = [place for place in range(len(ks)) if place != base]
    lines = heading("accuracy", ks) + [_line(*row) for row in rows(recipes)]
    turned = {name: [x[:, kept] - x[:, [base]] for x in seeds] for name, seeds in recipes.items()}
    lines += ["", *heading(f"less that at k = {AGAINST}", [ks[place] for place in kept])]
    lines += [_line(*row) for row in rows(turned)]
    return "\n".join(lines)


def _line(label: str, mean: Array, half: Array) -> str:
    cells = (f"{m:+.1f} ± {h:.1f}".replace("-", "−") for m, h in zip(mean, half, strict=True))
    return f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = HERE.parent / "shapes_seeds"
    parser.add_argument("study", type=Path, nargs="?", default=default, help="of a manifest")
    print(tables(parser.parse_args().study))


if __name__ == "__main__":
    main()
