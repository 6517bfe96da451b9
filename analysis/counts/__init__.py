"""Where object counts come from: a column, an annotation file, a detector, or the image itself.

One reader per format of annotation files; each gives a `Counted`, which is then matched with
the study's images.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.counts import clevr, coco, nlvr
from analysis.counts.matching import Annotated, Counted, NoneFound, match
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study
    from complexity.detector import Detector

READERS: dict[str, Callable[[Path, str], Counted]] = {
    "coco": coco.read,
    "clevr": clevr.read,
    "nlvr": nlvr.read,
}
"""Format of a manifest's `object_count` to its reader: (file, what crowds count) -> counts."""

__all__ = ["READERS", "Annotated", "Counted", "annotated", "match", "of_column", "study_detector"]


def annotated(
    study: Study, samples: pd.DataFrame, images: Collection[str] | None = None
) -> Annotated | None:
    """Take the objects in each image from the annotations, if the manifest says so.

    Parameters
    ----------
    study : Study
        Its manifest's `object_count` names the column or the file.
    samples : DataFrame
        From `analysis.datasets.read_samples`.
    images : collection of str, optional
        Image ids to look up in a file; those of `samples` when left out.

    Returns
    -------
    Annotated, or None
        Counts by image id; images without one are left out. None: counted in the image.

    Raises
    ------
    InputError
        No such column or file, a file of another layout, values that are not counts, or two
        counts for one image.
    """
    rule = study.manifest.object_count
    if rule.column is not None:
        return of_column(samples, rule.column, study.at("object_count", "column"))
    if rule.path is None or rule.format is None:
        return None
    wanted = list(dict.fromkeys(samples["image_id"] if images is None else images))
    read, crowd = READERS[rule.format], rule.crowd or coco.CROWDS[0]
    parts, refused = [], []
    for path in study.files(rule.path, "object_count", "path"):
        try:
            parts.append(match(read(path, crowd), wanted, str(path)))
        except NoneFound as error:  # fine beside a file that has them
            refused.append(error)
    if not parts:
        raise refused[0]
    return _together(parts, study.at("object_count", "path"))


def of_column(samples: pd.DataFrame, column: str, where: str) -> Annotated:
    """Take counts from a column of samples, one value per image.

    Parameters
    ----------
    samples : DataFrame
        From `analysis.datasets.read_samples`.
    column : str
        The column.
    where : str
        What asks for it, for messages.

    Raises
    ------
    InputError
        No such column, values that are not counts, or two counts for one image.
    """
    from analysis.datasets import by_image

    values = by_image(samples, column, where)
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = (numbers.isna() & values.notna()) | (numbers < 0) | np.isinf(numbers)
    if wrong.any():
        said = [f"{values[i]!r} for image {i}" for i in values.index[wrong]]
        raise InputError(f"{where}: '{column}' is not a count: {listing(said)}; correct these")
    numbers = numbers.dropna().astype("float64")
    return Annotated(dict(zip(numbers.index.tolist(), numbers.tolist(), strict=True)))


def _together(parts: Iterable[Annotated], where: str) -> Annotated:
    counts: dict[str, float] = {}
    crowds: set[str] = set()
    for part in parts:
        twice = [
            f"{image} ({counts[image]:g} and {count:g})"
            for image, count in part.counts.items()
            if counts.get(image, count) != count
        ]
        if twice:
            raise InputError(
                f"{where}: the files give different counts for one image: {listing(twice)}; keep "
                "one of them"
            )
        counts |= part.counts
        crowds |= part.crowds
    return Annotated(counts, frozenset(crowds))


def study_detector(study: Study) -> Detector | None:
    """Open the detector that counts a study's objects, if its manifest names one.

    Raises
    ------
    InputError
        See `complexity.detector.open_detector`; the manifest's key is named.
    """
    rule = study.manifest.object_count
    if rule.model is None:
        return None
    from complexity.detector import open_detector

    path = study.file(rule.model, "object_count", "model")
    try:
        return open_detector(
            path,
            score=rule.score,
            nms=rule.nms,
            size=rule.size,
            style=rule.style,
            pixels=rule.pixels,
            classes=rule.classes,
        )
    except InputError as error:
        raise InputError(f"{study.at('object_count')}: {error}") from error
