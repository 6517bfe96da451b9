"""Image sources that are made by a function of this package: `images.source.rendered`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study
    from complexity.sources_rendered import RenderedImages

SUM = "image_sha256_rgb"
"""Column of samples with the SHA-256 of an image's RGB bytes, hexadecimal; checked if there."""


@dataclass(frozen=True)
class Made:
    """A function that makes images.

    Attributes
    ----------
    function : str
        ``package.module:function``, image id to RGB: a `complexity.sources_rendered.Renderer`.
    version : str
        Changes whenever it makes other pixels.
    ids : str
        Regular expression of its image ids.
    example : str
        What ids look like, in words.
    """

    function: str
    version: str
    ids: str
    example: str


RENDERERS = {
    "shapes": Made(
        "analysis.datasets.shapes:render",
        "2",
        r"[sl][0-9]{5}",
        "s00000 to s99999 (the study's) and l00000 to l99999 (the large study's)",
    ),
}
"""What `images.source.rendered` may name."""


def rendered_images(study: Study, name: str) -> RenderedImages:
    """Open the images that a study's samples name, to be made by a function.

    Parameters
    ----------
    study : Study
        With samples; their column `image_sha256_rgb`, if there, is checked of every image.
    name : str
        Of `RENDERERS`.

    Returns
    -------
    RenderedImages

    Raises
    ------
    InputError
        The samples cannot be read, name images that are not of this function, or have a sum
        that is no SHA-256.
    """
    from analysis.datasets import by_image, read_samples
    from complexity.sources_rendered import RenderedImages

    made = RENDERERS[name]
    samples = read_samples(study)
    ids = pd.Series(samples["image_id"].unique(), dtype=str)
    foreign = ids[~ids.str.fullmatch(made.ids)]
    if len(foreign):
        raise InputError(
            f"{len(foreign):,} of the {len(ids):,} images that the samples name are not of "
            f"'{name}': {listing(map(repr, foreign))}; its ids are {made.example}"
        )
    sums = dict.fromkeys(ids.tolist(), "")
    if SUM in samples.columns:
        found = by_image(samples, SUM, study.at("samples"))
        sums |= {str(key): str(value).lower() for key, value in found.dropna().items()}
        odd = {key: text for key, text in sums.items() if not re.fullmatch(r"[0-9a-f]{64}|", text)}
        if odd:
            shown = listing(f"{text!r} of {key}" for key, text in odd.items())
            raise InputError(
                f"'{SUM}' of the samples has {len(odd):,} that are no SHA-256 (64 hexadecimal "
                f"digits): {shown}; correct them, or leave them empty"
            )
    return RenderedImages(f"rendered: {name}", made.function, made.version, sums)
