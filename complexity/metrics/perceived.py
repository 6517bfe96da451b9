"""How complex people would call an image: a combination calibrated on their ratings."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from complexity.image import PreparedImage
from complexity.metrics.perceived_features import SCALES, features
from complexity.registry import metric

#: Written by ``benchmarks/fit_perceived.py``, which says how.
COEFFICIENTS = Path(__file__).with_name("perceived.json")


@dataclass(frozen=True)
class Calibration:
    """The fitted combination.

    Attributes
    ----------
    names : tuple of str
        Features, as `complexity.metrics.perceived_features.features` names them.
    means, sds : ndarray of float, shape (terms,)
        Of each feature over the images fitted to.
    slopes : ndarray of float, shape (terms,)
        Change of the logit of the rating per standard deviation of the feature.
    intercept : float
        Logit of the rating where every feature is at its mean.
    limit : float
        Standard deviations beyond which a feature counts no further.
    """

    names: tuple[str, ...]
    means: NDArray[np.float64]
    sds: NDArray[np.float64]
    slopes: NDArray[np.float64]
    intercept: float
    limit: float

    def rating(self, found: dict[str, float]) -> float:
        """Turn features into a rating in (0, 100)."""
        values = np.array([found[name] for name in self.names])
        standard = np.clip((values - self.means) / self.sds, -self.limit, self.limit)
        logit = self.intercept + math.fsum(self.slopes * standard)
        return 100.0 / (1.0 + math.exp(-logit))


def read_calibration(text: str) -> Calibration:
    """Read coefficients as ``benchmarks/fit_perceived.py`` writes them.

    Parameters
    ----------
    text : str
        JSON.
    """
    fit: dict[str, Any] = json.loads(text)
    terms = fit["terms"]
    means, sds, slopes = (
        np.array([term[part] for term in terms], dtype=float) for part in ("mean", "sd", "slope")
    )
    names = tuple(term["feature"] for term in terms)
    return Calibration(names, means, sds, slopes, fit["intercept"], fit["limit"])


_TEXT = COEFFICIENTS.read_text(encoding="utf-8")
_CALIBRATION = read_calibration(_TEXT)


@metric(
    name="perceived",
    version=1,
    unit="rating, 0 to 100",
    range=(0.0, 100.0),
    summary="how complex people would rate the image: cheap features calibrated on ratings",
    reference="fitted to the ratings of SAVOIAS: Saraee, Jalal & Betke 2018, "
    "doi:10.48550/arXiv.1810.01771",
    parameters={
        "scales": [*SCALES],
        "terms": len(_CALIBRATION.names),
        # With other coefficients the values are others: tables are then measured again.
        "coefficients": hashlib.sha256(_TEXT.encode()).hexdigest()[:16],
    },
    presets=("all",),
)
def perceived(image: PreparedImage) -> float:
    """Perceived complexity: a rating that people would give, foretold from cheap features.

    A ridge regression of people's ratings on features of edges, gradients, colours, regions
    and emptiness at several scales (`complexity.metrics.perceived_features`), seven of them
    metrics of the preset ``lite``. Each feature is standardised, cut at four standard
    deviations and weighted; a logistic curve turns the sum into a rating between 0 and 100.
    Weights, curve and provenance are in ``complexity/metrics/perceived.json``; how well it
    agrees with people, on images and on kinds of images that it has not seen, in
    ``docs/agreement.md``.

    The ratings, of 1,416 images of seven kinds, are relative to the kind of image: 0 and 100
    are the least and the most complex scene among scenes, painting among paintings. The fit
    therefore explains differences within kinds; a difference between, say, a painting and a
    chart is extrapolated from these. It knows no things: neither what is shown, nor whether
    it is familiar, readable or moving, so that a crowd and a patterned carpet may count
    alike. Small images (under 256 pixels) lack the finest of its scales. Nearly invariant to
    flips and to rotations by 90 degrees.

    Parameters
    ----------
    image : PreparedImage
        The image.

    Returns
    -------
    float
        In (0, 100). A constant image is near the low end, not at 0, and not always below one
        with a single thing in it.

    Raises
    ------
    UndefinedMetric
        For an image of fewer than 32 pixels on a side.
    """
    return _CALIBRATION.rating(features(image))
