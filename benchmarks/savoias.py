"""SAVOIAS as its public repository lays it out: images, and people's ratings of them.

Saraee, Jalal & Betke 2018, doi:10.48550/arXiv.1810.01771. The images are third parties' and
may not be passed on: they are read from the user's own copy, and nothing of them is kept but
numbers.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import cv2
import pandas as pd

from complexity import all_metrics, measure
from complexity.image import prepare
from complexity.metrics import perceived_features, perceived_kernels
from complexity.metrics.perceived_features import features

#: Folder of images and stem of the rating sheet, by the short name used in tables.
CATEGORIES = {
    "Scenes": ("Scenes", "scenes"),
    "Ads": ("Advertisement", "ad"),
    "Vis.": ("Visualizations", "vis"),
    "Objects": ("Objects", "objects"),
    "Interior": ("Interior Design", "interior_design"),
    "Art": ("Art", "art"),
    "Suprem.": ("Suprematism", "sup"),
}
# `perceived` follows from the features (see `terms`): fitted anew, it is not measured anew.
METRICS = tuple(metric.name for metric in all_metrics() if metric.name != "perceived")


def ratings(folder: Path) -> pd.DataFrame:
    """Read the ratings, and say which images are missing.

    Parameters
    ----------
    folder : Path
        Holds ``Images/<category>/<n>.jpg`` or ``.png`` and
        ``Ground truth/xlsx/global_ranking_<category>.xlsx``, whose column ``gt`` has the rating
        of image n in row n, from 0.

    Returns
    -------
    DataFrame
        One row per image that is there: `category`, `image_id` (path under ``Images``),
        `rating` (0 to 100).
    """
    rows = []
    for category, (images, sheet) in CATEGORIES.items():
        path = folder / "Ground truth" / "xlsx" / f"global_ranking_{sheet}.xlsx"
        if not path.is_file():
            sys.exit(f"no {path}: give the folder of a copy of the SAVOIAS repository")
        for number, rating in enumerate(pd.read_excel(path)["gt"]):
            found = sorted((folder / "Images" / images).glob(f"{number}.*"))
            if found:
                rows.append((category, f"{images}/{found[0].name}", float(rating)))
            else:
                print(f"missing, left out: {images}/{number}", file=sys.stderr)
    return pd.DataFrame(rows, columns=["category", "image_id", "rating"])


def metrics(folder: Path, keep: Path) -> pd.DataFrame:
    """Measure every metric but `perceived` on every rated image.

    Parameters
    ----------
    folder : Path
        See `ratings`.
    keep : Path
        Folder for the table: a second call measures only what has changed since.

    Returns
    -------
    DataFrame
        `category`, `image_id`, `rating`, then one column per metric.
    """
    keep.mkdir(parents=True, exist_ok=True)
    rated = ratings(folder)
    table = measure(
        folder / "Images",
        metrics=METRICS,
        only=set(rated["image_id"]),
        workers=1,
        out=keep / "metrics.parquet",
    )
    names = [*table.attrs["optik"]["metrics"]]
    return rated.merge(table[["image_id", *names]], on="image_id", validate="1:1")


def terms(folder: Path, keep: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure every feature that `perceived` may choose from.

    Returns
    -------
    rated : DataFrame
        See `ratings`.
    terms : DataFrame
        One row per row of `rated`, one column per feature.
    """
    keep.mkdir(parents=True, exist_ok=True)
    rated = ratings(folder)
    return rated, _terms(folder, keep, list(rated["image_id"]))


def _terms(folder: Path, keep: Path, image_ids: list[str]) -> pd.DataFrame:
    # The definitions are in these two files: with others, the kept table is not theirs.
    code = b"".join(
        Path(module.__file__ or "").read_bytes()
        for module in (perceived_features, perceived_kernels)
    )
    path = keep / f"terms-{hashlib.sha256(code).hexdigest()[:12]}.parquet"
    if path.is_file():
        kept = pd.read_parquet(path)
        if list(kept.index) == image_ids:
            return kept.reset_index(drop=True)
    cv2.setNumThreads(1)
    rows = [features(prepare((folder / "Images" / name).read_bytes())) for name in image_ids]
    table = pd.DataFrame(rows, index=pd.Index(image_ids, name="image_id"))
    table.to_parquet(path)
    return table.reset_index(drop=True)
