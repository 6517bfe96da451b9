"""From a pilot's answers to a scenario in which its accuracies, and its noise, come out again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.cells import Cells, cells_of, complete_samples
from analysis.optimum.curves import standardise
from analysis.planning.components import (
    CONSTANT,
    Components,
    by_mixed_model,
    by_moments,
    moments,
    without_complexity,
)
from analysis.planning.scenario import Scenario, draw, slices
from analysis.shift import checked
from analysis.threads import one_thread
from complexity.errors import InputError, did_you_mean, listing

Array = NDArray[np.float64]
#: Complexities kept of a pilot with more images: as many equally likely quantiles.
MOST_VALUES = 500
#: Slices of complexity over which a calibration averages.
SLICES = 100
#: Scores that stand for the distribution of right, and of wrong, soft answers.
SOFT_LEVELS = 20
#: Largest main effect of complexity looked for, logits per standard deviation.
MOST_MAIN = 64.0
#: Simulated studies behind `Pilot.noise`.
CHECKS = 40
_DIGITS = 6


@dataclass(frozen=True)
class Pilot:
    """What a pilot says of studies to come.

    Attributes
    ----------
    scenario : Scenario
        At the pilot's own size and k, its optimum not moving.
    model, metric : str
    n_images, n_samples : int
        Images and questions with an answer at every k.
    accuracy : tuple of float, length K
        Mean score by k; the scenario's population-averaged accuracy equals it.
    method : str
        How the variance between images and questions was had.
    noise : float
        Standard error of the difference between two k in studies drawn from the scenario,
        over the pilot's own: the median over pairs of k. Near 1 where the scenario is as noisy
        as the pilot.
    warnings : tuple of str
        What the reader must know.
    """

    scenario: Scenario
    model: str
    metric: str
    n_images: int
    n_samples: int
    accuracy: tuple[float, ...]
    method: str
    noise: float
    warnings: tuple[str, ...]


@one_thread
def pilot_scenario(
    table: pd.DataFrame, metric: str, *, model: str | None = None, floor: float = 0.0
) -> Pilot:
    """Estimate the scenario behind a pilot.

    The curve goes through the accuracies measured: a monotone cubic of logits in log2 k,
    calibrated so that accuracy averaged over complexity, images and questions is the pilot's
    at every k. The main effect of complexity is calibrated to the pilot's covariance of
    complexity and score. Images and questions have intercepts and slopes in log2 k (see
    `components`). Scores between 0 and 1 are taken as right from .5 on; right and wrong answers
    then score as the pilot's do.

    A change of the curve with complexity that the pilot itself shows is left out: what moves is
    asked for as a shift.

    Parameters
    ----------
    table : DataFrame
        As for `analysis.shift.shift_of_table`.
    metric : str
        Column with the complexity of the image.
    model : str, optional
        Which model; needed where the table has several.
    floor : float
        Accuracy of guessing, in [0, 1).

    Returns
    -------
    Pilot

    Raises
    ------
    InputError
        When the table is not such a table or too small, has several models and none is named,
        or its accuracy is not above the floor.
    """
    rows = checked(table, metric)
    name = _model(rows, model)
    rows = rows[(rows["model"] == name) & rows["score"].notna() & rows[metric].notna()]
    n_k = rows["k"].nunique()
    if n_k < 2:
        raise InputError(f"'{name}' has answers at {n_k} k; a curve in k needs two.")
    rows, note = complete_samples(rows)
    by_image = rows.drop_duplicates("image_id").set_index("image_id")[metric].astype(float)
    if len(by_image) < 6 or by_image.nunique() < 2:
        raise InputError(
            f"'{name}' has {len(by_image)} images with {by_image.nunique()} values of "
            f"'{metric}'; a pilot needs six images, of more than one complexity."
        )
    c = standardise(by_image)
    cells = cells_of(rows)
    warnings = [] if note is None else [note]
    base, n_samples = _skeleton(rows, c, cells, floor, warnings)
    accuracy = cells.means()
    low, high = _score_range(base)
    edge = 0.5 / n_samples
    inside = np.clip(accuracy, low + edge, high - edge)
    if (accuracy < low + edge).any():
        k = cells.ks[int(np.argmin(accuracy))]
        raise InputError(
            f"'{name}' has accuracy {accuracy.min():.3f} at k = {k}, not above the {low:.3f} of "
            "guessing: name a lower floor."
        )
    if (accuracy > high - edge).any():
        warnings.append("the accuracy at some k is perfect; it is taken as half an error short.")
    parts = _components(rows, c, base)
    tilt = float(
        np.mean(c.reindex(list(cells.images)).to_numpy() * (cells.sums / cells.counts).mean(axis=1))
    )
    scenario = calibrated(base, parts, inside, tilt)
    noise = _noise(scenario, cells)
    if not 0.85 <= noise <= 1.18:
        warnings.append(
            f"studies drawn from the fitted scenario have {noise:.2f} times the pilot's standard "
            "errors of differences between k: power is foretold too "
            + ("low." if noise > 1 else "high.")
        )
    return Pilot(
        scenario=scenario,
        model=name,
        metric=metric,
        n_images=len(by_image),
        n_samples=n_samples,
        accuracy=tuple(float(a) for a in accuracy),
        method=parts.method,
        noise=noise,
        warnings=tuple(warnings),
    )


def calibrated(base: Scenario, parts: Components, accuracy: Array, tilt: float | None) -> Scenario:
    """Set the knots, the level and the main effect of a scenario to what was observed.

    Parameters
    ----------
    base : Scenario
        Everything else; its curve and its main effect are replaced.
    parts : Components
    accuracy : ndarray, shape (K,)
        Population-averaged mean score at each k of the base's grid.
    tilt : float or None
        Mean over images of complexity times mean score; None keeps the base's main effect.

    Returns
    -------
    Scenario
        With a measured curve; numbers rounded to six digits, so that they are the same
        wherever they are computed.
    """
    from scipy.optimize import brentq

    low, high = _score_range(base)
    right = (accuracy - low) / (high - low)
    c = slices(base, SLICES)
    log_k = np.log2(np.asarray(base.ks, dtype=np.float64))

    def at(main: float) -> Scenario:
        own = without_complexity(parts, main)
        plain = replace(
            base,
            shape="flat",
            averaged=True,
            level=0.0,
            main=main,
            shift=0.0,
            image_sd=own.image_sd,
            question_sd=own.question_sd,
            image_corr=own.image_corr,
            question_corr=own.question_corr,
        )
        offsets = main * c[:, None] * plain.scale(plain.x)
        logits = logits_for(right, offsets, plain.spread(plain.x))
        top = float(logits.max())
        knots = tuple(
            (round(float(x), 12), round(float(logit - top), _DIGITS))
            for x, logit in zip(log_k, logits, strict=True)
        )
        return replace(plain, shape="measured", level=round(top, _DIGITS), knots=knots)

    def excess(main: float) -> float:
        scores = at(main).accuracy(c).mean(axis=1)
        return float(np.mean(c * scores)) - (tilt or 0.0)

    main = base.main
    if tilt is not None:
        reach = 0.25
        while reach < MOST_MAIN and (excess(-reach) > 0 or excess(reach) < 0):
            reach *= 2
        if excess(-reach) < 0 < excess(reach):
            main = float(brentq(excess, -reach, reach, xtol=1e-4))
        else:
            main = reach * float(np.sign(tilt))
    found = at(round(main, 4))

    def tidy(sds: tuple[float, float]) -> tuple[float, float]:
        return round(sds[0], _DIGITS), round(sds[1], _DIGITS)

    return replace(
        found,
        image_sd=tidy(found.image_sd),
        question_sd=tidy(found.question_sd),
        image_corr=round(found.image_corr, _DIGITS),
        question_corr=round(found.question_corr, _DIGITS),
    )


def logits_for(right: Array, offsets: Array, spread: Array) -> Array:
    """Find the logits whose averages over complexity and random effects are given.

    Parameters
    ----------
    right : ndarray, shape (K,)
        Wanted shares of right answers, inside (0, 1).
    offsets : ndarray, shape (m, K)
        What complexity adds; equally likely rows.
    spread : ndarray, shape (K,)
        Standard deviation of the random effects at each k.

    Returns
    -------
    ndarray, shape (K,)
        By bisection, to 1e-9.
    """
    from analysis.planning.scenario import averaged

    reach = 40.0 + 6 * float(spread.max()) + float(np.abs(offsets).max())
    low, high = np.full(len(right), -reach), np.full(len(right), reach)
    for _ in range(int(np.ceil(np.log2(2 * reach / 1e-9)))):
        middle = (low + high) / 2
        share = averaged(middle + offsets, spread).mean(axis=0)
        low, high = np.where(share < right, middle, low), np.where(share < right, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float64)


def _model(rows: pd.DataFrame, model: str | None) -> str:
    models = list(dict.fromkeys(rows["model"]))
    if not models:
        raise InputError("the table has no rows.")
    if model is None:
        if len(models) > 1:
            raise InputError(
                f"the table has {len(models)} models ({listing(models)}); choose one (--model)."
            )
        return str(models[0])
    if model not in models:
        raise InputError(
            f"the table has no model '{model}'{did_you_mean(model, models)}; it has "
            f"{listing(models)}."
        )
    return model


def _skeleton(
    rows: pd.DataFrame, c: pd.Series, cells: Cells, floor: float, warnings: list[str]
) -> tuple[Scenario, int]:
    """Everything of the scenario but its curve and its effects; and the number of questions."""
    scores = rows["score"].to_numpy(dtype=np.float64)
    n_samples = int(rows["sample_id"].nunique())
    values = np.sort(c.to_numpy(dtype=np.float64))
    if len(values) > MOST_VALUES:
        values = np.quantile(values, (np.arange(MOST_VALUES) + 0.5) / MOST_VALUES)
    values = (values - values.mean()) / values.std()
    soft = bool(((scores > 0) & (scores < 1)).any())
    levels: dict[str, tuple[float, ...]] = {}
    if soft:
        at = (np.arange(SOFT_LEVELS) + 0.5) / SOFT_LEVELS
        for key, part, alone in (
            ("right_scores", scores[scores >= 0.5], 1.0),
            ("wrong_scores", scores[scores < 0.5], 0.0),
        ):
            found = np.quantile(part, at) if len(part) else np.full(SOFT_LEVELS, alone)
            levels[key] = tuple(round(float(v), _DIGITS) for v in found)
        warnings.append(
            "scores between 0 and 1: an answer counts as right from .5 on, and scores as the "
            "pilot's right, or wrong, answers do."
        )
    if n_samples == len(c):
        warnings.append(
            "one question for each image: images and questions cannot be told apart, and all is "
            "laid to the images, so that further questions about an image promise too little."
        )
    if len(c) < 100:
        warnings.append(
            f"a pilot of {len(c)} images knows its own curve roughly: take what follows as rough."
        )
    base = Scenario(
        n_images=len(c),
        n_questions=max(1, round(n_samples / len(c))),
        ks=cells.ks,
        shape="flat",
        floor=floor,
        soft=soft,
        complexity="measured",
        averaged=True,
        values=tuple(round(float(v), _DIGITS) for v in values),
        origin=float(np.log2(cells.ks[0]) + np.log2(cells.ks[-1])) / 2,
        **levels,  # type: ignore[arg-type]
    )
    return base, n_samples


def _score_range(base: Scenario) -> tuple[float, float]:
    """Mean score of guessing, and of knowing."""
    wrong, right = 0.0, 1.0
    if base.soft:
        wrong, right = float(np.mean(base.wrong_scores)), float(np.mean(base.right_scores))
    return wrong + (right - wrong) * base.floor, right


def _components(rows: pd.DataFrame, c: pd.Series, base: Scenario) -> Components:
    wide = rows.pivot_table(index="sample_id", columns="k", values="score")
    scores = wide.to_numpy(dtype=np.float64)
    images = rows.drop_duplicates("sample_id").set_index("sample_id")["image_id"]
    image = pd.factorize(images.reindex(wide.index), sort=True)[0]
    alone = len(wide) == len(c)
    constant = float(np.mean(scores.max(axis=1) == scores.min(axis=1)))
    if not base.soft and base.floor == 0 and constant <= CONSTANT:
        x = dict(zip(base.ks, base.x, strict=True))
        frame = pd.DataFrame(
            {
                "y": rows["score"].to_numpy(dtype=np.float64),
                "k": rows["k"].to_numpy(),
                "c": c.reindex(rows["image_id"]).to_numpy(dtype=np.float64),
                "x": rows["k"].map(x).to_numpy(dtype=np.float64),
                "image_id": rows["image_id"].to_numpy(),
                "sample_id": rows["sample_id"].to_numpy(),
            }
        )
        found = by_mixed_model(frame, alone)
        if found is not None:
            return found
    low, high = _score_range(base)
    return by_moments(moments(scores, image, low, high - low), base.x)


def _noise(scenario: Scenario, cells: Cells) -> float:
    """Compare standard errors of differences between k: simulated over observed."""
    seeds = np.random.SeedSequence(20261123).spawn(CHECKS)
    drawn = [draw(scenario, np.random.default_rng(seed)).cells.covariance() for seed in seeds]
    simulated, observed = _spreads(np.mean(drawn, axis=0)), _spreads(cells.test_covariance())
    questions = scenario.n_images * scenario.n_questions / float(cells.counts[:, 0].sum())
    return float(np.median(np.sqrt(simulated * questions / observed)))


def _spreads(covariance: Array) -> Array:
    upper = np.triu_indices(len(covariance), 1)
    own = np.diag(covariance)
    return np.asarray(own[upper[0]] + own[upper[1]] - 2 * covariance[upper], dtype=np.float64)
