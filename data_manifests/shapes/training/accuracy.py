"""Print the shares of right answers by k, in percent, as the READMEs of the studies have them.

python -m data_manifests.shapes.training.accuracy [STUDY]
python -m data_manifests.shapes.training.accuracy --large
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

import complexity
from analysis.manifest import load_study

HERE = Path(__file__).parents[1]
RECORDS = (HERE / "provenance.json", HERE.parent / "shapes_seeds" / "provenance.json")


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the samples and the results that a study's manifest names.

    Parameters
    ----------
    folder : Path
        With manifest.yaml.

    Returns
    -------
    samples : DataFrame
        Columns sample_id, image_id, n_objects.
    results : DataFrame
        Columns checkpoint, sample_id, k, correct; checkpoints in the manifest's order.
    """
    study = load_study(folder)
    samples = pd.read_parquet(
        study.locate(study.manifest.samples.path), columns=["sample_id", "image_id", "n_objects"]
    )
    columns = ["checkpoint", "sample_id", "k", "correct"]
    parts = [
        pd.read_parquet(study.locate(entry.path), columns=columns)
        for entry in study.manifest.results
    ]
    return samples, pd.concat(parts, ignore_index=True)


def tables(folder: Path) -> str:
    """Make the table of a study's results: all questions, and those of each third of the images.

    Parameters
    ----------
    folder : Path
        With manifest.yaml; see `read`.

    Returns
    -------
    str
        Markdown. Thirds are those of the manifest: quantiles of the number of objects over
        images. The last line has the largest standard error of a cell, by images (questions
        about one image are not independent).
    """
    samples, results = read(folder)
    images = samples.drop_duplicates("image_id").set_index("image_id")["n_objects"]
    cuts = complexity.cut(images, metric="object_count", n=3)
    bucket = pd.Series(cuts.assign(images), index=images.index).astype(str)
    wide = results.pivot_table(index=["checkpoint", "sample_id"], columns="k", values="correct")
    wide = wide.reset_index(level="checkpoint").join(samples.set_index("sample_id"))
    ks = [column for column in wide if isinstance(column, int)]
    lines = heading("checkpoint | objects", ks)
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


def large(records: Iterable[Path] = RECORDS) -> str:
    """Make the table of all checkpoints on the 25,000 images, from what `evaluate` recorded.

    Parameters
    ----------
    records : iterable of Path
        The studies' provenance.json: their `evaluation` has the shares by checkpoint and k.

    Returns
    -------
    str
        Markdown, with all digits that are recorded.
    """
    right = {
        said.removeprefix("large "): found["right"]["all"]
        for path in records
        for said, found in json.loads(path.read_text(encoding="utf-8"))["evaluation"].items()
        if said.startswith("large ")
    }
    lines = heading("checkpoint", [int(k) for k in next(iter(right.values()))])
    for name, shares in right.items():
        lines.append(
            f"| `{name}` | " + " | ".join(f"{100 * x:.2f}" for x in shares.values()) + " |"
        )
    return "\n".join(lines)


def heading(first: str, ks: Iterable[int]) -> list[str]:
    """Return the two lines above a Markdown table of one column per k."""
    line = f"| {first} | " + " | ".join(f"k = {k}" for k in ks) + " |"
    return [line, "|---" * (line.count("|") - 1) + "|"]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, nargs="?", default=HERE, help="folder of a manifest")
    parser.add_argument("--large", action="store_true", help="25,000 images, as recorded")
    given = parser.parse_args()
    print(large() if given.large else tables(given.study))


if __name__ == "__main__":
    main()
