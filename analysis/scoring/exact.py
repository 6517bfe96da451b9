"""Exact match: GQA, CLEVR, NLVR, easy-VQA and whatever has one right answer."""

from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().casefold()


def exact(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score 1 where the prediction is one of the accepted answers, else 0.

    White space around a text, upper and lower case and the way accents are encoded
    (Unicode NFC) do not matter; everything else does, full stops included.

    Parameters
    ----------
    predictions : Series of str
        One answer a row.
    answers : Series of list of str
        The accepted answers of the same row.

    Returns
    -------
    ndarray of float64, shape (n,)
        0.0 or 1.0.
    """
    # Every distinct text is normalised once: sweeps repeat few answers many times.
    said, spelled = pd.factorize(predictions)
    normal = np.array([_normal(text) for text in spelled] or [""], dtype=object)
    # Lists that are one object (all rows of a sample) need unpacking once only.
    unique = {id(item): item for item in answers}
    accepted = {key: {_normal(text) for text in item} for key, item in unique.items()}
    return np.fromiter(
        (normal[code] in accepted[id(item)] for code, item in zip(said, answers, strict=True)),
        dtype=np.float64,
        count=len(answers),
    )
