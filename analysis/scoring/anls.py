"""ANLS of DocVQA (Biten et al. 2019): credit for answers that are misspelled a little."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from analysis.scoring.pairs import Texts, over_pairs

THRESHOLD = 0.5


def anls(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score 1 less the normalised edit distance to the nearest answer; 0 below one half.

    Texts are compared in lower case, with one blank between words and none around them. The
    distance is divided by the length of the longer of the two texts as given (blanks included).
    The Robust Reading Competition's server keeps a similarity of just .5, as here; the formula
    in the paper (and the package `anls`) gives 0 for it, and divides by the length after
    blanks were tidied.

    Parameters
    ----------
    predictions : Series of str
        One answer a row.
    answers : Series of list of str
        The accepted answers of the same row.

    Returns
    -------
    ndarray of float64, shape (n,)
        0, or from 0.5 to 1; the best over the answers.

    References
    ----------
    The competition's evaluation script, as in `lmms_eval/api/metrics.py` (`anls`) of
    github.com/EvolvingLMMs-Lab/lmms-eval, commit 75571cfe; Biten et al. (2019),
    doi:10.1109/ICCVW.2019.00197.
    """
    tidy = functools.cache(lambda text: " ".join(text.lower().split()))

    def rule(said: str, accepted: Texts) -> float:
        best = 1.0
        for answer in accepted:
            # Upper case counts, as the competition's script has it: ß is two letters long.
            length = max(len(said.upper()), len(answer.upper()))
            one, other = tidy(said), tidy(answer)
            if not length:
                return 1.0
            # A bound that is cheap: one reply may be a page long where the answer is a word.
            if abs(len(one) - len(other)) / length < best:
                best = min(best, edit_distance(one, other) / length)
        return 1 - best if 1 - best >= THRESHOLD else 0.0

    return over_pairs(rule, predictions, answers)


def edit_distance(one: str, other: str) -> int:
    """Count the insertions, deletions and substitutions that turn one text into the other.

    Parameters
    ----------
    one, other : str
        The texts.

    Returns
    -------
    int
        Levenshtein's distance.

    References
    ----------
    Bit-parallel columns: Myers (1999), doi:10.1145/316542.316550, in the form of Hyyrö (2003)
    "A bit-vector algorithm for computing Levenshtein and Damerau edit distances".
    """
    if len(one) < len(other):
        one, other = other, one
    if not other:
        return len(one)
    # A column of the table of distances as differences between neighbours: bits for +1 and -1.
    places: dict[str, int] = {}
    for place, letter in enumerate(other):
        places[letter] = places.get(letter, 0) | 1 << place
    all_bits, last = (1 << len(other)) - 1, 1 << (len(other) - 1)
    up, down, distance = all_bits, 0, len(other)
    for letter in one:
        same = places.get(letter, 0)
        diagonal = ((((same & up) + up) ^ up) | same | down) & all_bits
        across_up = (down | ~(diagonal | up)) & all_bits
        across_down = up & diagonal
        distance += bool(across_up & last) - bool(across_down & last)
        across_up = (across_up << 1 | 1) & all_bits
        across_down = (across_down << 1) & all_bits
        up = (across_down | ~(diagonal | across_up)) & all_bits
        down = across_up & diagonal
    return distance
