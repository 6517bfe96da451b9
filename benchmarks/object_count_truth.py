"""Compare `object_count` with the number of objects that scenes really hold.

shapes: 3,000 scenes of 128 x 128 pixels on seven kinds of background, objects that overlap among
clutter: the study that ships.
NLVR (Suhr et al. 2017): dev images of 400 x 100, three boxes of items each; give the folder
that holds ``dev.json`` and ``images/<directory>/dev-<identifier>-0.png``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from scipy.stats import pearsonr, spearmanr

from complexity.image import prepare
from complexity.metrics.objects import object_count


def shapes(folder: Path) -> pd.DataFrame:
    """Count the scenes of the shapes study.

    Returns
    -------
    DataFrame
        One row per image: background, clutter, truth, counted.
    """
    samples = pd.read_parquet(folder / "samples.parquet").drop_duplicates("image_id")
    table = samples.merge(pd.read_parquet(folder / "images.parquet"), on="image_id")
    return pd.DataFrame(
        {
            "background": table["background"],
            "clutter": table["clutter"],
            "truth": table["n_objects"].astype(float),
            "counted": [object_count(prepare(image["bytes"])) for image in table["image"]],
        }
    )


def nlvr(folder: Path) -> pd.DataFrame:
    """Count the items of NLVR's dev images.

    Returns
    -------
    DataFrame
        One row per image: background (``NLVR``), truth, counted.
    """
    rows = []
    for line in (folder / "dev.json").read_text(encoding="utf-8").splitlines():
        scene = json.loads(line)
        path = folder / "images" / scene["directory"] / f"dev-{scene['identifier']}-0.png"
        truth = float(sum(len(box) for box in scene["structured_rep"]))
        rows.append(("NLVR", truth, object_count(prepare(path.read_bytes()))))
    return pd.DataFrame(rows, columns=["background", "truth", "counted"])


def agreement(table: pd.DataFrame) -> dict[str, float]:
    """Say how well counts agree with the truth.

    Parameters
    ----------
    table : DataFrame
        Columns truth, counted.

    Returns
    -------
    dict of str to float
        Images, Spearman and Pearson correlations, mean error (counted less truth), mean
        absolute error, share counted exactly.
    """
    error = table["counted"] - table["truth"]
    return {
        "images": float(len(table)),
        "spearman": float(spearmanr(table["counted"], table["truth"]).statistic),
        "pearson": float(pearsonr(table["counted"], table["truth"]).statistic),
        "mean_error": float(error.mean()),
        "mean_abs_error": float(error.abs().mean()),
        "exact": float((error == 0).mean()),
    }


def main() -> None:
    """Print the agreement by background and by quarter of clutter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shapes", type=Path, default=Path("data_manifests/shapes"))
    parser.add_argument("--nlvr", type=Path, help="left out when not given")
    options = parser.parse_args()
    scenes = shapes(options.shapes)
    rows = {f"shapes: {kind}": agreement(part) for kind, part in scenes.groupby("background")}
    for marks, part in scenes.groupby(pd.qcut(scenes["clutter"], 4)):
        rows[f"shapes: {marks.right:.0f} marks of clutter at most"] = agreement(part)
    rows["shapes: all"] = agreement(scenes)
    if options.nlvr:
        rows["NLVR dev"] = agreement(nlvr(options.nlvr))
    table = pd.DataFrame.from_dict(rows, orient="index").astype({"images": int})
    print(table.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
