"""Soft accuracy of VQA (Antol et al. 2015): how many of ten people gave this answer.

Three published forms, all of them with the normalisation of the benchmark:

* `vqa_soft`: the evaluator of the benchmark's authors (`vqaEval.py` of GT-Vision-Lab/VQA). It
  leaves one answer out at a time and normalises only where the people's answers differ.
* `vqa_soft_evalai`: the processing of the EvalAI servers as published with Pythia and MMF (M4C),
  which TextVQA, VizWiz and OK-VQA are scored by. Every text is normalised, after lower-casing and
  after commas and question marks are dropped. It leaves one answer out at a time too.
* `vqa_soft_simple`: the formula as the paper writes it, min(n / 3, 1) with n people of ten; it is
  never below `vqa_soft`. Normalised as in `vqa_soft`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.scoring.pairs import Texts, number_lists, over_pairs
from complexity.errors import InputError

PUNCTUATION = tuple(r""";/[]"{}()=+\_-><@`,?!""")
ARTICLES = frozenset({"a", "an", "the"})
NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
    )
} | {"none": "0"}
# The contractions of the benchmark's definition (visualqa.org, "Adding apostrophe if a contraction
# is missing it"; the list is that of vqaEval.py, Aishwarya Agrawal and Tsung-Yi Lin, BSD). Each
# stands for its spellings with any one apostrophe left out. Those with a capital letter are not
# here, for words are lower case when they are looked up.
_WITH_APOSTROPHE = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
CONTRACTIONS = {
    word[:place] + word[place + 1 :]: word
    for word in _WITH_APOSTROPHE.split()
    for place, letter in enumerate(word)
    if letter == "'"
} | {"somebody'd": "somebodyd"}  # the definition has this one the wrong way round

_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
# The evaluator hands re.UNICODE (32) to re.sub where the number of replacements belongs.
_PERIODS = 32


def normalise(text: str) -> str:
    """Normalise a text as `vqaEval.py` does where the people's answers differ.

    Punctuation other than apostrophe and colon is removed (next to a blank somewhere in the text,
    or if the text has a number with a comma in it) or made a blank (otherwise); periods not
    before a digit go, up to 32 of them; lower case; number words to ten (and *none*) become
    digits; articles go; apostrophes missing from contractions are put in; one blank between
    words.

    Parameters
    ----------
    text : str
        An answer, without line breaks and tabs.

    Returns
    -------
    str
        Of Python 3's reading of the rule: digits, case and blanks are Unicode's.
    """
    made = text
    number = _COMMA_IN_NUMBER.search(text) is not None
    for mark in PUNCTUATION:
        beside = mark + " " in text or " " + mark in text
        made = made.replace(mark, "" if beside or number else " ")
    made = _PERIOD.sub("", made, count=_PERIODS)
    words = (NUMBERS.get(word, word) for word in made.lower().split())
    kept = (word for word in words if word not in ARTICLES)
    return " ".join(CONTRACTIONS.get(word, word) for word in kept)


def normalise_evalai(text: str) -> str:
    """Normalise a text as EvalAI does, whatever the other answers are.

    Lower case, commas and question marks dropped, a blank before ``'s``; then `normalise`.
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return normalise(_one_line(text))


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def _left_out(matches: int, people: int) -> float:
    """Mean of min(matches / 3, 1) over the choices of all people but one."""
    among = matches * min((matches - 1) / 3, 1.0) if matches else 0.0
    return (among + (people - matches) * min(matches / 3, 1.0)) / people


def _simple(matches: int, people: int) -> float:
    return min(matches / 3, 1.0)


def vqa_soft(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score by the evaluator of the VQA benchmark's authors.

    Mean over the ten people of min(n / 3, 1), n of the other nine having given the answer:
    0, .3, .6, .9 or 1. Line breaks and tabs are blanks; blanks around a text do not matter. Only
    where the people's answers differ are all texts normalised (`normalise`); where all ten agree,
    the prediction must be their answer letter for letter, upper and lower case included.

    Parameters
    ----------
    predictions : Series of str
        One answer a row.
    answers : Series of list of str
        The people's answers of the same row, two or more.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1].

    Raises
    ------
    InputError
        A question with fewer than two answers, of which nothing is left without one.

    References
    ----------
    `PythonEvaluationTools/vqaEvaluation/vqaEval.py` of github.com/GT-Vision-Lab/VQA, commit
    a013f004; Antol et al. (2015), doi:10.1109/ICCV.2015.279.
    """
    return _score(predictions, answers, _left_out, "vqa-soft", always=False)


def vqa_soft_simple(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score by the paper's formula, min(n / 3, 1) with n people who gave the answer.

    Texts, parameters and results are those of `vqa_soft`, but a question may have one answer.

    References
    ----------
    Antol et al. (2015), section 5, doi:10.1109/ICCV.2015.279.
    """
    return _score(predictions, answers, _simple, "vqa-soft-simple", always=False)


def vqa_soft_evalai(predictions: pd.Series, answers: pd.Series) -> np.ndarray:
    """Score as the EvalAI servers do: TextVQA, VizWiz, OK-VQA.

    As `vqa_soft`, but every text is normalised by `normalise_evalai`.

    References
    ----------
    `mmf/utils/m4c_evaluators.py` of github.com/facebookresearch/mmf, commit b0ffc7fb.
    """
    return _score(predictions, answers, _left_out, "vqa-soft-evalai", always=True)


def _score(
    predictions: pd.Series,
    answers: pd.Series,
    soft: Callable[[int, int], float],
    name: str,
    *,
    always: bool,
) -> np.ndarray:
    codes, distinct = number_lists(answers)
    least = 1 if soft is _simple else 2
    few = [number for number, item in enumerate(distinct) if len(item) < least]
    if few:
        rows = int(np.isin(codes, few).sum())
        raise InputError(
            f"scorer {name} leaves one person's answer out at a time, but {rows:,} of "
            f"{len(codes):,} predictions are for questions with fewer than two answers; "
            f"give every person's answer, or use scorer: exact"
        )
    plain = functools.cache(_one_line)
    normal = functools.cache(
        normalise_evalai if always else lambda text: normalise(_one_line(text))
    )

    @functools.cache
    def heard(people: Texts) -> tuple[bool, Texts]:
        differ = always or len({plain(text) for text in people}) > 1
        return differ, tuple((normal if differ else plain)(text) for text in people)

    def rule(said: str, people: Texts) -> float:
        differ, texts = heard(people)
        return soft(texts.count((normal if differ else plain)(said)), len(texts))

    return over_pairs(rule, predictions, answers)


def unanimous_near_misses(predictions: pd.Series, answers: pd.Series) -> int:
    """Count predictions that `vqa_soft` refuses only because all people agree.

    Parameters
    ----------
    predictions, answers : Series
        As for `vqa_soft`.

    Returns
    -------
    int
        Rows whose answers are all one text, which the prediction is after normalisation only
        (``Yes.`` for ten times ``yes``).
    """

    def rule(said: str, people: Texts) -> float:
        said, agreed = _one_line(said), {_one_line(text) for text in people}
        if len(agreed) != 1 or said in agreed:
            return 0.0
        return float(normalise(said) == normalise(agreed.pop()))

    return int(over_pairs(rule, predictions, answers).sum())
