"""Marginal means and slopes of a fit.

After Lenth's emmeans (Searle, Speed & Milliken 1980, The American Statistician 34(4),
doi:10.1080/00031305.1980.10483031, for the means), with averages over the rows used and
random effects integrated out besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.margins.adjusting import check_adjust
from analysis.mixed.margins.estimates import COLUMNS, Estimates, Shown
from analysis.mixed.margins.grid import (
    At,
    Cells,
    Weights,
    cells,
    check_known,
    design_of,
    predictors,
)
from analysis.mixed.margins.rows import (
    Predictions,
    RowPredictor,
    Scale,
    averaged,
    combine,
)
from analysis.mixed.result import MixedFit
from complexity.errors import InputError, listing

#: Central differences step by this share of a column's range.
STEP = 1e-4


def marginal_means(
    fit: MixedFit,
    specs: str | Sequence[str] = (),
    *,
    at: At | None = None,
    by: str | Sequence[str] = (),
    weights: Weights = "equal",
    scale: Scale = "link",
    average: Scale = "link",
    population: bool = False,
    level: float = 0.95,
    adjust: str = "none",
) -> Estimates:
    """Estimate marginal means: predictions averaged over the other predictors.

    Parameters
    ----------
    fit : MixedFit
    specs : str or sequence of str
        Predictors whose combinations get a mean each; none: one mean.
    at : mapping of str to value or sequence of values, optional
        Values to take instead of all levels or the mean (`reference_grid`).
    by : str or sequence of str
        More predictors, each of whose combinations is a family of its own.
    weights : {"equal", "proportional", "observed"}
        Average over the grid with equal weights or by how often the other categories occur
        together; or over the rows used, each with the values of `specs`, `by` and `at` put in
        place of its own (g-computation).
    scale : {"link", "response"}
        Of the means shown. From the link averaged, probabilities are the averaged log odds
        transformed, their errors by the delta method, their intervals transformed too
        (emmeans' ``type = "response"``).
    average : {"link", "response"}
        What is averaged. With ``response``, probabilities, and those are shown (emmeans'
        ``regrid``): the average accuracy of a mixture of questions is this.
    population : bool
        Integrate the random effects out of every prediction before it is averaged, for
        logistic mixed models; errors are then those of fixed effects and variances jointly.
        On the link scale: log odds of the average probability. Changes nothing for linear
        models.
    level : float
    adjust : str
        Of the intervals within a family: ``none``, ``bonferroni``, ``sidak``, ``mvt``.

    Returns
    -------
    Estimates

    Raises
    ------
    InputError
        For unknown names, levels and options.
    """
    by, specs = names_of(by), names_of(specs)
    check_names([*by, *specs])
    _check_scale("scale", scale)
    _check_scale("average", average)
    if adjust == "tukey":
        raise InputError("tukey is for pairwise differences; for intervals of means choose mvt")
    predictor = RowPredictor(fit, average, population)
    layout = cells(fit, [*by, *specs], at, weights, population=predictor.integrates)
    found = averages(predictor, layout)
    logistic = fit.family == "binomial"
    shown: Shown = "as is"
    if logistic and average == "link" and scale == "response":
        shown = "logistic"
    words = "mean of the outcome"
    if logistic:
        words = "probability" if "response" in (scale, average) else "log odds"
        words += ", random effects integrated out" if predictor.integrates else ""
    return Estimates(
        kind="means",
        what=words,
        levels=layout.levels,
        value=found.value,
        gradient=found.gradient,
        source=predictor.source,
        scale=average if logistic else "link",
        shown=shown,
        by=by,
        level=level,
        adjust=check_adjust(adjust),
        notes=_notes(fit, predictor, population),
        details=_details(fit, layout, at, weights, average, predictor),
    )


def slopes(
    fit: MixedFit,
    variable: str,
    specs: str | Sequence[str] = (),
    *,
    at: At | None = None,
    by: str | Sequence[str] = (),
    weights: Weights = "equal",
    scale: Scale = "link",
    population: bool = False,
    level: float = 0.95,
    adjust: str = "none",
) -> Estimates:
    """Estimate how the prediction changes with a number, per unit of it.

    Parameters
    ----------
    fit : MixedFit
    variable : str
        A numeric predictor.
    specs : str or sequence of str
        Predictors whose combinations get a slope each; none: one slope.
    at, by, weights
        As in `marginal_means`; ``weights="observed"`` gives average marginal effects over
        the rows used, `variable` at each row's own value unless `at` names it.
    scale : {"link", "response"}
        Slopes of the linear predictor (emmeans' ``emtrends``) or of the mean (the
        probability), then averaged.
    population : bool
        Of the average probability (on the link scale its log odds), random effects
        integrated out.
    level : float
    adjust : str
        Within a family, as `contrasts`, without ``tukey``.

    Returns
    -------
    Estimates
        Derivatives by central differences over 2e-4 of the column's range (a one-sided one
        where a function such as a logarithm ends at the data's edge).

    Raises
    ------
    InputError
        For unknown names, and a variable that is not a number.
    """
    by, specs = names_of(by), names_of(specs)
    check_names([*by, *specs])
    _check_scale("scale", scale)
    if adjust == "tukey":
        raise InputError("tukey is for pairwise differences; for slopes choose mvt")
    predictor = RowPredictor(fit, scale, population)
    random = predictor.integrates
    known = {axis.name: axis for axis in predictors(fit, population=random)}
    check_known(variable, list(known), fit)
    frame = design_of(fit).frame
    assert frame is not None
    column = frame[variable]
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    used_as_category = known[variable].kept and column.nunique() > 2
    if not numeric or used_as_category:
        raise InputError(
            f"'{variable}' is a category in formula '{fit.formula}' and has no slope; compare its "
            "levels by contrasts"
        )
    low, high = float(column.min()), float(column.max())
    step = STEP * (high - low)
    layout = cells(fit, [*by, *specs], at, weights, population=random, held=variable)
    found = joined(
        _difference(predictor, rows, share, variable, step, (low, high))
        for rows, share in layout.parts()
    )
    words = f"change of the {'mean' if fit.family == 'gaussian' else 'log odds'}"
    if fit.family == "binomial" and scale == "response":
        words = "change of the probability"
    words += f" per unit of {variable}"
    if predictor.integrates:
        words += ", random effects integrated out"
    details = _details(fit, layout, at, weights, scale, predictor)
    return Estimates(
        kind="slopes",
        what=words,
        levels=layout.levels,
        value=found.value,
        gradient=found.gradient,
        source=predictor.source,
        scale=scale if fit.family == "binomial" else "link",
        by=by,
        level=level,
        adjust=check_adjust(adjust),
        notes=_notes(fit, predictor, population),
        details={**details, "variable": variable},
    )


def check_names(names: Sequence[str]) -> None:
    """Refuse predictors that are named as columns of the table."""
    taken = [name for name in names if name in COLUMNS]
    if taken:
        raise InputError(
            f"the table has columns {listing(COLUMNS, shown=7)} of its own; rename the predictor "
            f"{listing(taken)}"
        )


def averages(predictor: RowPredictor, layout: Cells) -> Predictions:
    """Average predictions within cells."""
    return joined(averaged(predictor, rows, share) for rows, share in layout.parts())


def joined(parts: Iterable[Predictions]) -> Predictions:
    """Put averages after each other."""
    found = list(parts)
    return Predictions(
        np.concatenate([part.value for part in found]),
        np.concatenate([part.gradient for part in found]),
    )


def _difference(
    predictor: RowPredictor,
    rows: pd.DataFrame,
    share: FloatArray,
    variable: str,
    step: float,
    limits: tuple[float, float],
) -> Predictions:
    """Average the difference quotients of rows."""
    x = rows[variable].to_numpy(dtype=np.float64)
    below, above = x - step, x + step
    try:
        high = predictor(rows.assign(**{variable: above}))
        low = predictor(rows.assign(**{variable: below}))
    except InputError:
        # A logarithm, say, that ends within a step of the data's edge.
        inside = (x >= limits[0]) & (x <= limits[1])
        below = np.where(inside, np.maximum(below, limits[0]), below)
        above = np.where(inside, np.minimum(above, limits[1]), above)
        high = predictor(rows.assign(**{variable: above}))
        low = predictor(rows.assign(**{variable: below}))
    width = above - below
    value = (high.value - low.value) / width
    gradient = (high.gradient - low.gradient) / width[:, None]
    return Predictions(share @ value, combine(share, gradient))


def names_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """Read one name or several."""
    return (names,) if isinstance(names, str) else tuple(str(name) for name in names)


def _check_scale(option: str, given: str) -> None:
    if given not in get_args(Scale):
        raise InputError(f"{option} is link or response, not '{given}'")


def _notes(fit: MixedFit, predictor: RowPredictor, population: bool) -> tuple[str, ...]:
    notes = list(fit.warnings)
    if population and not predictor.integrates:
        why = "the model is linear" if fit.family == "gaussian" else "the fit has no random effects"
        notes.append(f"population=True changes nothing: {why}")
    return tuple(notes)


def _details(
    fit: MixedFit,
    layout: Cells,
    at: At | None,
    weights: Weights,
    average: Scale,
    predictor: RowPredictor,
) -> dict[str, object]:
    named = [str(name) for name in layout.levels.columns]
    rest = [
        axis
        for axis in predictors(fit, at, population=predictor.integrates)
        if axis.name not in named and (weights != "observed" or axis.name in (at or {}))
    ]
    over = [axis.name for axis in rest if len(axis.values) > 1]
    return {
        "weights": weights,
        "average": average,
        "population": predictor.integrates,
        "held": {axis.name: axis.values[0] for axis in rest if len(axis.values) == 1},
        "averaged_over": ["rows used", *over] if weights == "observed" else over,
        "family": fit.family,
    }
