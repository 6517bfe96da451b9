"""Fit `perceived` to people's ratings, its form and penalty chosen by nested cross-validation.

    python benchmarks/fit_perceived.py SAVOIAS --keep TABLES -o complexity/metrics/perceived.json

Ratings and features are centred within categories, because ratings are relative to the
category; every category then counts by the square root of its number of images. The loss is
squared, the penalty a ridge on standardised features. Compared are ridge regressions on the
seven metrics of the image policy's size alone, on all features, and on features chosen forward
one by one. For each left-out category, penalty and number of features are chosen on the other
six, by leaving out each of these in turn (the largest penalty within .003 of the best mean
correlation); the left-out category is looked at once. The form
with the highest mean over left-out categories is fitted to everything; all features are kept
where choosing wins less than .01.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from savoias import CATEGORIES, terms
from scipy.optimize import curve_fit
from scipy.stats import spearmanr

from complexity.files import write_text

Array = NDArray[np.float64]
PENALTIES = (0.03, 0.1, 0.2, 0.4, 0.8)
SIZES = (4, 6, 8, 10, 12, 16, 20)
#: Of the features, those at the image policy's size.
LITE = (
    "edge_density",
    "edge_components",
    "msg",
    "entropy_lab",
    "unique_colors",
    "unique_colors_coarse",
    "jpeg_bpp",
)
#: A larger penalty is taken as long as it costs no more than this much correlation.
TOLERANCE = 0.003
#: A form that chooses features must be better by this much than the one that takes all, whose
#: coefficients do not hang on a choice.
EVEN = 0.01
LIMIT = 4.0
FOLDS = 10


@dataclass(frozen=True)
class Rated:
    """Rated images.

    Attributes
    ----------
    names : tuple of str
        Features.
    values : ndarray of float, shape (images, features)
        As measured.
    rating : ndarray of float, shape (images,)
        From 0 to 100, relative to the category.
    category : ndarray of int, shape (images,)
        Index into `savoias.CATEGORIES`.
    """

    names: tuple[str, ...]
    values: Array
    rating: Array
    category: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Rated:
        """Keep some images."""
        return Rated(self.names, self.values[chosen], self.rating[chosen], self.category[chosen])


@dataclass(frozen=True)
class Fit:
    """A linear combination: which features, how standardised, their slopes in rating units.

    `constant` makes it right on average over the images fitted to.
    """

    columns: NDArray[np.int64]
    means: Array
    sds: Array
    slopes: Array
    constant: float = 0.0

    def predict(self, values: Array) -> Array:
        """Predict ratings; shape (images,)."""
        standard = standardise(values[:, self.columns], self.means, self.sds)
        return standard @ self.slopes + self.constant


def standardise(values: Array, means: Array, sds: Array) -> Array:
    """Centre, scale, and cut at `LIMIT` standard deviations."""
    return np.clip((values - means) / sds, -LIMIT, LIMIT)


@dataclass(frozen=True)
class Moments:
    """Second moments within each category, from which any ridge fit follows.

    Attributes
    ----------
    means, sds : ndarray of float, shape (features,)
        For standardising; over all images given.
    gram, cross : ndarray of float, shape (categories, features, features) and (..., features)
        Of centred standardised features, with themselves and with centred ratings.
    variance, weight : ndarray of float, shape (categories,)
        Of the ratings; the category's weight.
    """

    means: Array
    sds: Array
    gram: Array
    cross: Array
    variance: Array
    weight: Array

    def slopes(self, columns: Sequence[int], categories: Sequence[int], penalty: float) -> Array:
        """Fit a ridge to some categories."""
        weight = self.weight[list(categories)]
        weight = weight / weight.sum()
        block = np.ix_(categories, columns, columns)
        gram = np.tensordot(weight, self.gram[block], 1)
        cross = weight @ self.cross[np.ix_(categories, columns)]
        return np.linalg.solve(gram + penalty * np.eye(len(columns)), cross)

    def left_out(self, columns: Sequence[int], categories: Sequence[int], penalty: float) -> float:
        """Mean Pearson correlation over categories, each left out of its own fit."""
        found = []
        for one in categories:
            rest = [other for other in categories if other != one]
            slopes = self.slopes(columns, rest, penalty)
            spread = slopes @ self.gram[one][np.ix_(columns, columns)] @ slopes
            found.append(
                slopes @ self.cross[one][list(columns)] / np.sqrt(spread * self.variance[one])
            )
        return float(np.mean(found))


def moments(data: Rated) -> Moments:
    """Compute second moments within categories."""
    means, sds = data.values.mean(axis=0), data.values.std(axis=0)
    sds = np.where(sds > 0, sds, 1.0)
    standard = standardise(data.values, means, sds)
    gram, cross, variance, weight = [], [], [], []
    for one in range(len(CATEGORIES)):
        own = data.category == one
        n = max(1, int(own.sum()))
        x, y = standard[own], data.rating[own]
        if len(y):
            x, y = x - x.mean(axis=0), y - y.mean()
        gram.append(x.T @ x / n)
        cross.append(x.T @ y / n)
        variance.append(y @ y / n)
        weight.append(np.sqrt(own.sum()))
    return Moments(means, sds, *(np.array(part) for part in (gram, cross, variance, weight)))


def fit(data: Rated, columns: Sequence[int], penalty: float) -> Fit:
    """Fit a ridge on some features to all categories present."""
    m = moments(data)
    present = [int(one) for one in np.unique(data.category)]
    at = np.array(columns)
    found = Fit(at, m.means[at], m.sds[at], m.slopes(columns, present, penalty))
    return replace(found, constant=float(np.mean(data.rating - found.predict(data.values))))


def choose(data: Rated, form: str, categories: Sequence[int]) -> tuple[list[int], float, float]:
    """Choose features and penalty by leaving out each of some categories in turn.

    Parameters
    ----------
    data : Rated
        Only the images of `categories` are used.
    form : {"lite", "all", "forward"}
        Candidates: see the module.
    categories : sequence of int
        At least two.

    Returns
    -------
    columns : list of int
    penalty : float
    correlation : float
        Mean Pearson correlation over the left-out categories.
    """
    m = moments(data.where(np.isin(data.category, categories)))
    every = range(len(data.names))
    candidates: list[tuple[list[int], float]] = []
    if form == "forward":
        for penalty in (0.03, 0.2):
            chosen: list[int] = []
            while len(chosen) < max(SIZES):
                best = max(
                    (m.left_out([*chosen, i], categories, penalty), -i)
                    for i in every
                    if i not in chosen
                )
                chosen.append(-best[1])
                if len(chosen) in SIZES:
                    candidates.append((list(chosen), penalty))
    else:
        columns = [i for i in every if form == "all" or data.names[i] in LITE]
        candidates = [(columns, penalty) for penalty in PENALTIES]
    found = [(c, penalty, m.left_out(c, categories, penalty)) for c, penalty in candidates]
    enough = max(one[2] for one in found) - TOLERANCE
    return max((one for one in found if one[2] >= enough), key=lambda one: (one[1], one[2]))


def nested(data: Rated, form: str) -> tuple[Array, list[tuple[int, float]]]:
    """Predict each category from the others, everything chosen without it.

    Returns
    -------
    predicted : ndarray of float, shape (images,)
    chosen : list of (number of features, penalty)
    """
    predicted = np.empty(len(data.rating))
    chosen = []
    for one in range(len(CATEGORIES)):
        rest = [other for other in range(len(CATEGORIES)) if other != one]
        columns, penalty, _ = choose(data, form, rest)
        out = data.category == one
        predicted[out] = fit(data.where(~out), columns, penalty).predict(data.values[out])
        chosen.append((len(columns), penalty))
    return predicted, chosen


def folds(category: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Deal the images of each category into `FOLDS` folds; shape (images,)."""
    rng = np.random.default_rng(seed)
    dealt = np.empty(len(category), dtype=np.int64)
    for one in np.unique(category):
        own = np.flatnonzero(category == one)
        dealt[rng.permutation(own)] = np.arange(len(own)) % FOLDS
    return dealt


def held_out(data: Rated, columns: Sequence[int], penalty: float, seed: int) -> Array:
    """Predict each fold of every category from the other folds of all categories."""
    predicted = np.empty(len(data.rating))
    dealt = folds(data.category, seed)
    for fold in range(FOLDS):
        out = dealt == fold
        predicted[out] = fit(data.where(~out), columns, penalty).predict(data.values[out])
    return predicted


def held_out_alone(data: Rated, columns: Sequence[int], seed: int) -> Array:
    """Predict each fold from the other folds of its own category.

    The penalty is chosen within the other folds, by `FOLDS` folds of these.
    """
    predicted = np.empty(len(data.rating))
    dealt = folds(data.category, seed)
    for one in range(len(CATEGORIES)):
        for fold in range(FOLDS):
            own = data.category == one
            train, out = data.where(own & (dealt != fold)), own & (dealt == fold)
            inner = folds(train.category, seed + 1)
            error = []
            for penalty in PENALTIES:
                total = 0.0
                for part in range(FOLDS):
                    rest, left = train.where(inner != part), train.where(inner == part)
                    guess = fit(rest, columns, penalty).predict(left.values)
                    total += float(np.sum((left.rating - guess) ** 2))
                error.append(total)
            penalty = PENALTIES[int(np.argmin(error))]
            predicted[out] = fit(train, columns, penalty).predict(data.values[out])
    return predicted


def spearman(data: Rated, predicted: Array) -> Array:
    """Rank correlation with the ratings, by category; shape (categories,)."""
    return np.array(
        [
            spearmanr(predicted[data.category == one], data.rating[data.category == one])[0]
            for one in range(len(CATEGORIES))
        ]
    )


def curve(data: Rated, predicted: Array) -> tuple[float, float]:
    """Fit 100 / (1 + exp(-(a + b p))) to held-out predictions, centred within categories."""
    centred = predicted.copy()
    for one in np.unique(data.category):
        centred[data.category == one] -= predicted[data.category == one].mean()
    weight = np.bincount(data.category)[data.category] ** 0.25
    found, _ = curve_fit(
        lambda p, a, b: 100 / (1 + np.exp(-(a + b * p))),
        centred,
        data.rating,
        p0=(0.0, 0.04),
        sigma=weight,
    )
    return float(found[0]), float(found[1])


def as_rated(rated: pd.DataFrame, measured: pd.DataFrame) -> Rated:
    """Bring the tables of `savoias.terms` into arrays."""
    order = list(CATEGORIES)
    return Rated(
        tuple(measured.columns),
        measured.to_numpy(dtype=float),
        rated["rating"].to_numpy(dtype=float),
        np.array([order.index(one) for one in rated["category"]]),
    )


def main() -> None:
    """Choose, print what was compared, write the coefficients."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a copy of the SAVOIAS repository")
    parser.add_argument("--keep", type=Path, required=True, help="folder for measured tables")
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    data = as_rated(*terms(options.folder, options.keep))

    print(f"| nested, leave one category out | {' | '.join(CATEGORIES)} | mean | chosen |")
    print("|---|" + "---:|" * (len(CATEGORIES) + 1) + "---|")
    means = {}
    for form in ("lite", "all", "forward"):
        predicted, chosen = nested(data, form)
        found = spearman(data, predicted)
        means[form] = found.mean()
        cells = " | ".join(f"{value:.3f}" for value in [*found, found.mean()])
        what = ", ".join(f"{size} at {penalty:g}" for size, penalty in chosen)
        print(f"| {form} | {cells} | {what} |", flush=True)

    best = max(means, key=lambda form: means[form] + EVEN * (form == "all"))
    columns, penalty, _ = choose(data, best, range(len(CATEGORIES)))
    final = fit(data, columns, penalty)
    a, b = curve(data, held_out(data, columns, penalty, options.seed))
    # Where the curve's middle lies: the mean over categories of their mean prediction.
    raw = final.predict(data.values) - final.constant
    middle = np.mean([raw[data.category == one].mean() for one in range(len(CATEGORIES))])
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    written = {
        "data": "SAVOIAS (Saraee, Jalal & Betke 2018, doi:10.48550/arXiv.1810.01771), "
        f"{len(data.rating)} images in {len(CATEGORIES)} categories",
        "script": "benchmarks/fit_perceived.py",
        "commit": commit,
        "seed": options.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "form": best,
        "penalty": penalty,
        "nested_leave_one_category_out_spearman": round(float(means[best]), 4),
        "intercept": round(a - b * float(middle), 6),
        "limit": LIMIT,
        "terms": [
            {
                "feature": data.names[column],
                "mean": round(float(mean), 6),
                "sd": round(float(sd), 6),
                "slope": round(float(b * slope), 6),
            }
            for column, mean, sd, slope in zip(
                final.columns, final.means, final.sds, final.slopes, strict=True
            )
        ],
    }
    write_text(options.out, json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    print(f"\n{best}: {len(columns)} features, penalty {penalty:g}; written to {options.out}")


if __name__ == "__main__":
    main()
