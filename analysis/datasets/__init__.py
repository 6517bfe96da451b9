"""Questions about images: one reader per format, all giving the samples table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.datasets import (
    chartqa,
    clevr,
    docvqa,
    easy_vqa,
    gqa,
    hf_parquet,
    nlvr,
    pope,
    table,
    textvqa,
    vizwiz,
    vqa_v2,
)
from analysis.frames import name_rows, read_as, texts
from analysis.schemas import SAMPLES
from analysis.validation import check
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

READERS: dict[str, Callable[[Study], pd.DataFrame]] = {
    "table": table.read,
    "easy-vqa": easy_vqa.read,
    "nlvr": nlvr.read,
    "vqa-v2": vqa_v2.read,
    "ok-vqa": vqa_v2.read,
    "textvqa": textvqa.read,
    "vizwiz": vizwiz.read,
    "gqa": gqa.read,
    "clevr": clevr.read,
    "chartqa": chartqa.read,
    "docvqa": docvqa.read,
    "pope": pope.read,
    "hf-parquet": hf_parquet.read,
}
"""Format of a manifest's `samples` to its reader.

A reader returns the samples table's columns, unchecked; `dataset` may be left out.
"""


def read_samples(study: Study) -> pd.DataFrame:
    """Read a study's questions.

    Parameters
    ----------
    study : Study
        Its manifest's `samples` says where and how.

    Returns
    -------
    DataFrame
        The samples table (`analysis.tables.SAMPLES`), in file order, other columns kept.

    Raises
    ------
    InputError
        The file is missing or is not what it should be; first five offending rows.
    """
    samples = study.manifest.samples
    frame = READERS[samples.format](study)
    path = study.locate(samples.path, "samples", "path")
    where, row = str(path), name_rows(path)
    if "dataset" not in frame.columns:
        frame.insert(0, "dataset", texts([study.name] * len(frame), index=frame.index))
    frame = check(frame, SAMPLES, where, row=row, theirs=samples.columns)
    # For messages about columns that the user still calls by the file's name.
    frame.attrs["theirs"] = {theirs: ours for ours, theirs in samples.columns.items()}
    if frame.empty:
        raise InputError(f"{where}: no questions in it; give one row per question about an image")
    other = (frame["dataset"] != study.name).to_numpy()
    if other.any():
        rows = [f"'{frame['dataset'].iloc[i]}' in {row(int(i))}" for i in np.flatnonzero(other)]
        raise InputError(
            f"{where}: questions of another data set than '{study.name}' ({listing(rows)}); "
            f"correct the manifest's name, or keep only the rows of '{study.name}'"
        )
    return frame


def object_counts(
    study: Study, samples: pd.DataFrame, images: Collection[str] | None = None
) -> dict[str, float] | None:
    """Take the objects in each image from the annotations, if the manifest says so.

    Parameters
    ----------
    study : Study
        Its manifest's `object_count` names the column or the file.
    samples : DataFrame
        From `read_samples`.
    images : collection of str, optional
        Image ids to look up in a file; those of `samples` when left out.

    Returns
    -------
    dict of str to float, or None
        Image id to count; images without one are left out. None: to be counted in the image.

    Raises
    ------
    InputError
        See `analysis.counts.annotated`.
    """
    from analysis.counts import annotated

    found = annotated(study, samples, images)
    return None if found is None else found.counts


def by_image(samples: pd.DataFrame, column: str, where: str) -> pd.Series:
    """Turn a column of samples that belongs to the image into one value per image.

    Parameters
    ----------
    samples : DataFrame
        From `read_samples`.
    column : str
        The column; gaps are ignored where another question has the value.
    where : str
        What asks for the column, for messages.

    Returns
    -------
    Series
        Values by image id, in the order of samples; missing where no question has one.

    Raises
    ------
    InputError
        No such column, or several values for one image.
    """
    if column not in samples.columns:
        names = [str(name) for name in samples.columns]
        raise InputError(
            f"{where}: the samples have no column '{column}'{read_as(samples, column)}; "
            f"they have {listing(names, shown=12)}"
        )
    pairs = samples[["image_id", column]].dropna().drop_duplicates()
    several = pairs.loc[pairs["image_id"].duplicated(keep=False)]
    if len(several):
        said = [
            f"{image} ({listing(group[column], shown=3)})"
            for image, group in several.groupby("image_id", sort=False)
        ]
        raise InputError(
            f"{where}: '{column}' differs between the questions of one image: {listing(said)}; "
            f"it must be one value per image"
        )
    images = pd.Index(samples["image_id"].unique(), name="image_id")
    return pairs.set_index("image_id")[column].reindex(images)
