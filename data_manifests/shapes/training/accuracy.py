"""Print the shares of right answers by k, in percent, as the README of the study has them.

python -m data_manifests.shapes.training.accuracy [FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import complexity


def tables(folder: Path) -> str:
    """Make the table of a study's results: all questions, and those of each third of the images.

    Parameters
    ----------
    folder : Path
        With samples.parquet and results.parquet.

    Returns
    -------
    str
        Markdown. Thirds are those of the manifest: quantiles of the number of objects over
        images. The last line has the largest standard error of a cell, by images (questions
        about one image are not independent).
    """
    samples = pd.read_parquet(
        folder / "samples.parquet", columns=["sample_id", "image_id", "n_objects"]
    )
    results = pd.read_parquet(
        folder / "results.parquet", columns=["checkpoint", "sample_id", "k", "correct"]
    )
    images = samples.drop_duplicates("image_id").set_index("image_id")["n_objects"]
    cuts = complexity.cut(images, metric="object_count", n=3)
    bucket = pd.Series(cuts.assign(images), index=images.index).astype(str)
    wide = results.pivot_table(index=["checkpoint", "sample_id"], columns="k", values="correct")
    wide = wide.reset_index(level="checkpoint").join(samples.set_index("sample_id"))
    ks = [column for column in wide if isinstance(column, int)]
    lines = [
        "| checkpoint | objects | " + " | ".join(f"k = {k}" for k in ks) + " |",
        "|---" * (2 + len(ks)) + "|",
    ]
    errors = []
    for name in results["checkpoint"].drop_duplicates():
        rows = wide[wide["checkpoint"] == name]
        parts = [("all", rows)]
        for label in bucket[images.sort_values().index].drop_duplicates():
            part = rows[rows["image_id"].map(bucket) == label]
            parts.append((f"{part['n_objects'].min()} to {part['n_objects'].max()}", part))
        for label, part in parts:
            right = part[ks].mean()
            lines.append(
                f"| `{name}` | {label} | " + " | ".join(f"{100 * x:.1f}" for x in right) + " |"
            )
            sums = (part[ks] - right).groupby(part["image_id"]).sum()
            errors.append(np.sqrt((sums**2).sum()) / len(part))
    lines += [
        "",
        f"Standard errors of a cell: at most {np.ceil(1000 * np.max(errors)) / 10:.1f} points.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1])
    print(tables(parser.parse_args().folder))


if __name__ == "__main__":
    main()
