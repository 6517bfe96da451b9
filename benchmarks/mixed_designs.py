"""The models that `mixed_models.py` times, and the data they are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Written out, because not every engine expands ``(x + x2) * c``.
FIXED = "x + x2 + c + x:c + x2:c"


@dataclass(frozen=True)
class Case:
    """A model to fit.

    Attributes
    ----------
    name : str
    family : str
        ``gaussian`` or ``binomial``.
    outcome : str
    random : tuple of str
        Random terms, each ``columns | group``.
    data : str
        Which table of `DATA`.
    fixed : str
    """

    name: str
    family: str
    outcome: str
    random: tuple[str, ...]
    data: str
    fixed: str = FIXED

    @property
    def formula(self) -> str:
        """The model in lme4's notation."""
        terms = " + ".join(f"({term})" for term in self.random)
        return f"{self.outcome} ~ {self.fixed} + {terms}"


RANDOM = {
    "intercepts": (("1 | image", "1 | item"), "vqa"),
    "image slope": (("1 + x | image", "1 | item"), "vqa"),
    "slopes at both levels": (("1 + x + x2 | image", "1 + x | item"), "vqa"),
    "crossed, slope": (("1 + x | image", "1 | model"), "models"),
}
CASES = (
    *(Case(name, "gaussian", "ms", random, data) for name, (random, data) in RANDOM.items()),
    *(Case(name, "binomial", "y", random, data) for name, (random, data) in RANDOM.items()),
)
#: statsmodels issue 9097: two categorical covariates and a number, 125,066 groups.
MANY_GROUPS = Case("125,066 groups", "gaussian", "value", ("1 | unit",), "units", "a + b + number")
#: As many rows as students' ratings of lecturers in lme4's InstEval.
CROSSED = Case(
    "3,000 x 1,100 crossed", "gaussian", "ms", ("1 | rater", "1 | rated"), "ratings", "x"
)
SPECIAL = (MANY_GROUPS, CROSSED)


def vqa(rows: int, models: int = 1, seed: int = 20261123) -> pd.DataFrame:
    """Draw answers: four questions an image, eight k, slopes of log k at both levels.

    Parameters
    ----------
    rows : int
        About so many.
    models : int
        Each answers every question at every k.
    seed : int

    Returns
    -------
    DataFrame
        image, item (a question about an image) and model (str), x, x2, c, y (0 or 1), ms.
    """
    rng = np.random.default_rng(seed)
    ks = np.log2([1, 2, 3, 4, 6, 8, 12, 16]) / 4
    images = max(rows // (4 * len(ks) * models), 2)
    image, question, model, x = (
        part.ravel()
        for part in np.meshgrid(
            np.arange(images), np.arange(4), np.arange(models), ks, indexing="ij"
        )
    )
    image, question, model = image.astype(int), question.astype(int), model.astype(int)
    item = image * 4 + question
    c = rng.normal(size=images)[image]
    b = (rng.normal(size=(images, 3)) * [0.9, 0.6, 0.6])[image]
    d = (rng.normal(size=(images * 4, 2)) * [1.0, 0.8])[item]
    eta = 0.3 + 0.8 * x - 0.4 * x**2 - 0.5 * c + 0.3 * c * x
    eta += b[:, 0] + b[:, 1] * x + b[:, 2] * x**2 + d[:, 0] + d[:, 1] * x
    eta += (rng.normal(size=models) * 0.5)[model]
    return pd.DataFrame(
        {
            "image": pd.Series(image).map("i{}".format),
            "item": pd.Series(item).map("q{}".format),
            "model": pd.Series(model).map("m{}".format),
            "x": x,
            "x2": x**2,
            "c": c,
            "y": (rng.random(len(x)) < 1 / (1 + np.exp(-eta))).astype(int),
            "ms": 20 + eta + rng.normal(size=len(x)) * 0.7,
        }
    )


def units(groups: int = 125_066, seed: int = 20261123) -> pd.DataFrame:
    """Draw two values of each of many units: value, unit and a, b (str), number."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(groups), 2)
    a, b = rng.integers(0, 4, len(unit)), rng.integers(0, 6, len(unit))
    number = rng.normal(size=len(unit))
    value = 1 + 0.2 * a - 0.1 * b + 0.5 * number + rng.normal(size=groups)[unit]
    return pd.DataFrame(
        {
            "unit": pd.Series(unit).map("u{}".format),
            "a": pd.Series(a).map("a{}".format),
            "b": pd.Series(b).map("b{}".format),
            "number": number,
            "value": value + rng.normal(size=len(unit)),
        }
    )


def ratings(
    raters: int = 3_000, rated: int = 1_100, rows: int = 73_000, seed: int = 20261123
) -> pd.DataFrame:
    """Draw ratings, every rater of some of the rated: ms, rater and rated (str), x."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, raters, rows), rng.integers(0, rated, rows)
    x = rng.normal(size=rows)
    ms = 3 + 0.3 * x + 0.3 * rng.normal(size=raters)[one] + 0.5 * rng.normal(size=rated)[other]
    return pd.DataFrame(
        {
            "rater": pd.Series(one).map("s{}".format),
            "rated": pd.Series(other).map("d{}".format),
            "x": x,
            "ms": ms + rng.normal(size=rows) * 1.2,
        }
    )


def table(name: str, rows: int) -> pd.DataFrame:
    """Make the table that a case names.

    Parameters
    ----------
    name : str
        ``vqa``, ``models`` (four models answer), ``units`` or ``ratings``.
    rows : int
        About so many, for the first two.
    """
    if name == "units":
        return units()
    if name == "ratings":
        return ratings()
    return vqa(rows, 4 if name == "models" else 1)
