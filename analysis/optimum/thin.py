"""Few images, or as good as few: most questions on some, or complexities far from all others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.numerals import p_value, percent
from analysis.optimum.cells import Cells
from analysis.optimum.reported import ReportedTest
from complexity.errors import listing

Array = NDArray[np.float64]
#: Images of a group from which on its means may be taken for normal.
FEW_IMAGES = 30
#: Images that must at least bear on a regression's slopes, and the least share of all images.
BEARING, BEARING_SHARE = 40, 1 / 6


def thin_groups(groups: Mapping[str, Cells]) -> list[str]:
    """Warn of groups whose means lean on few images.

    Where one image has half of the questions of a group the covariance is estimated from as
    good as one image, and the test of a common optimum and the intervals of gains are too sure
    (docs/hard_cases.md).

    Parameters
    ----------
    groups : mapping of str to Cells
        Scores of each group, the same questions at every k.

    Returns
    -------
    list of str
        At most one note on groups with few images, and one on crowded questions.
    """
    few, crowded = [], []
    for name, part in groups.items():
        effective = part.effective_images()
        if len(part.images) < FEW_IMAGES:
            few.append(f"'{name}' {len(part.images)}")
        elif effective < FEW_IMAGES:
            counts = part.counts.max(axis=1)
            share = percent(float(counts.max() / counts.sum()), 0)
            crowded.append(
                f"'{name}': {len(part.images):,} images that count as {effective:.0f}, the "
                f"largest with {share} of the questions"
            )
    lean = f"that want {FEW_IMAGES} or more a bucket"
    notes = []
    if few:
        notes.append(
            f"few images (bucket {listing(few)}): intervals and p-values lean on normal "
            f"approximations {lean}."
        )
    if crowded:
        notes.append(
            f"few images have most of the questions (bucket {listing(crowded)}): intervals and "
            f"p-values lean on normal approximations {lean}, and are too sure here. Take about as "
            "many questions of every image."
        )
    return notes


def steered(c: Array, questions: Array, metric: str, shuffled: ReportedTest) -> list[str]:
    """Warn where a few images of extreme complexity steer the regressions.

    An image bears on a slope in c by its questions times its squared distance from the mean;
    ``(sum h)^2 / sum h^2`` of these says as how many equal ones the images count, a third of
    them where complexity is normal. Where they count as few, true nulls of no k × c are
    rejected too often on both scales, while the test by shuffling keeps its level
    (docs/hard_cases.md).

    Parameters
    ----------
    c : ndarray, shape (G,)
        Standardised complexity of the images.
    questions : ndarray, shape (G,)
        Questions of each.
    metric : str
        The complexity's name.
    shuffled : ReportedTest
        The interaction by shuffling, which does not lean on few images being normal.

    Returns
    -------
    list of str
        At most one note; none with fewer than 90 images, where other notes warn.
    """
    bearing = questions * (c - np.average(c, weights=questions)) ** 2
    effective = float(bearing.sum() ** 2 / (bearing**2).sum()) if bearing.any() else np.inf
    if len(c) < 3 * FEW_IMAGES or effective >= min(BEARING, BEARING_SHARE * len(c)):
        return []
    p = "" if shuffled.p is None else f" ({p_value(shuffled.p)})"
    return [
        f"a few images with extreme {metric} steer the regressions ({len(c):,} images count as "
        f"{effective:.0f}): their tests of k × complexity reject true nulls too often then. Read "
        f"the one by shuffling{p} and the buckets instead, or a transformed {metric}."
    ]
