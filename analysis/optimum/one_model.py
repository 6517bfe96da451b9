"""From one model's scores to its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.numerals import p_value
from analysis.optimum.answer import CurvePoint, Optimum, ShiftAnswer
from analysis.optimum.cells import (
    Cells,
    best_index,
    cells_of,
    complete_samples,
    winners,
    without_differences,
)
from analysis.optimum.common import (
    DRAWS,
    CommonOptimum,
    common_on_curve,
    common_optimum,
    gaussian_draws,
)
from analysis.optimum.curves import (
    CurveData,
    CurveFit,
    averaged_curve,
    fit_curve,
    linearity_design,
    prepare,
)
from analysis.optimum.equivalence import within_margin
from analysis.optimum.gains import gains, gains_method, single_k
from analysis.optimum.hypotheses import (
    interaction_test,
    quadratic_opinion,
    why_no_size,
    widened_test,
)
from analysis.optimum.max_t import Reference, best_set
from analysis.optimum.permutation import permutation_test, strata_of
from analysis.optimum.spline import spline_opinion
from analysis.optimum.thin import steered, thin_groups
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.optimum.rung import MixedModel

ALONG = (0.05, 0.25, 0.5, 0.75, 0.95)


def answer_model(
    model: str,
    rows: pd.DataFrame,
    metric: str,
    by_image: pd.Series,
    c: pd.Series,
    labels: pd.Series,
    *,
    empty_k: str | None,
    n_lost: int,
    covariates: Sequence[str],
    every_bucket: bool,
    margin: float,
    mixed_model: bool,
    rng: np.random.Generator,
    n_boot: int,
    alpha: float,
    method: Reference,
) -> ShiftAnswer:
    """Answer where one model's optimal k is and whether it shifts.

    Parameters
    ----------
    model : str
        Its name.
    rows : DataFrame
        Its rows with a score and the metric, sorted by image, sample and k.
    metric : str
        The complexity metric.
    by_image, c : Series, index image id
        The metric of every image of the table, and the same standardised.
    labels : Series of ordered categories, index image id
        Buckets.
    empty_k : str or None
        A note on its k without a score.
    n_lost : int
        Its samples whose image has no value of the metric.
    rng : Generator
        Its own stream.
    covariates, every_bucket, margin, mixed_model, n_boot, alpha, method
        As `analysis.optimum.analyse` has them.

    Raises
    ------
    InputError
        When an end of complexity has fewer than two images.
    """
    rows, incomplete = complete_samples(rows)
    warnings = [note for note in (empty_k, incomplete) if note]
    if n_lost:
        warnings.append(f"{n_lost:,} samples whose image has no {metric} are left out.")
    adjusted = rows.dropna(subset=list(covariates))
    unadjusted = rows["sample_id"].nunique() - adjusted["sample_id"].nunique()
    if unadjusted:
        empty = [name for name in covariates if rows[name].isna().any()]
        warnings.append(
            f"{unadjusted:,} samples without {listing(empty)} are left out of the regressions."
        )
    cells = cells_of(rows)
    alike = without_differences(cells)
    if alike:
        warnings.append(alike)
    groups = _groups(cells, labels, model, metric, incomplete)
    ends = list(groups) if every_bucket else [next(iter(groups)), list(groups)[-1]]
    absent = [str(name) for name in labels.cat.categories if str(name) not in groups]
    if absent:
        warnings.append(
            f"bucket {listing(absent)} has no results of this model: the ends compared are "
            f"'{ends[0]}' and '{ends[-1]}'."
        )
    warnings += thin_groups(groups)
    # Streams of their own: leaving one of these out does not change another's figures.
    resampling, shuffling, bending = rng.spawn(3)
    common = _common([groups[name] for name in ends], rng, alpha)
    if common.borderline():
        warnings.append(
            f"k = {listing(common.borderline())} is in or out of the common set by less than the "
            "Monte Carlo error of its p."
        )
    optimum = [
        _optimum(name, part, by_image, rng, n_boot, alpha, method) for name, part in groups.items()
    ]
    overall = _optimum("all", cells, by_image, rng, n_boot, alpha, method)

    data = prepare(adjusted, c, covariates)
    saturated = fit_curve(data, "saturated")
    linear = fit_curve(data, "saturated", "identity")
    interaction = interaction_test(saturated)
    interaction_probability = interaction_test(linear)
    linearity = widened_test(data, *linearity_design(data))
    if linearity.p is not None and linearity.p <= alpha:
        warnings.append(
            "the curve does not change linearly with complexity (curve × c², "
            f"{p_value(linearity.p)}): trust the buckets before the regression line."
        )
    decisive = saturated
    if interaction.p is None and interaction_probability.p is not None:
        warnings.append(
            f"the logit could not be fitted ({interaction.method}); only the probability scale "
            "speaks of an interaction."
        )
        decisive = linear
    elif interaction.p is None:
        warnings.append(f"an interaction could not be tested: {interaction.method}.")
    lack_of_fit, quadratic, fits = quadratic_opinion(data, c, resampling)
    reasons = why_no_size(quadratic, lack_of_fit, optimum, ends, cells.ks, alpha)
    warnings += reasons
    spline, bent = spline_opinion(data, saturated, c, bending, alpha)
    of_images = c.loc[list(cells.images)].to_numpy(dtype=np.float64)
    permutation = permutation_test(
        cells, of_images, strata_of(cells.images, rows, list(covariates)), shuffling
    )
    warnings += steered(of_images, cells.counts[:, 0], metric, permutation)
    usable = decisive.fit.converged and interaction_probability.p is not None
    return ShiftAnswer(
        model=model,
        metric=metric,
        rung=_mixed_model(data, adjusted["sample_id"], reasons) if mixed_model else None,
        ks=cells.ks,
        n_images=len(cells.images),
        n_samples=int(rows["sample_id"].nunique()),
        interaction=interaction,
        interaction_probability=interaction_probability,
        linearity=linearity,
        common=common,
        ends=tuple(ends),
        common_curve=common_on_curve(data, decisive, rng, alpha=alpha) if usable else None,
        optimum=tuple(optimum),
        overall=overall,
        gains=gains({**groups, "all": cells}, (ends[0], ends[-1]), overall.k, rng, method),
        single=single_k([groups[name] for name in ends], rng, common.kept),
        equivalence=within_margin([groups[name] for name in ends], margin, alpha=alpha),
        permutation=permutation,
        along=_along(data, decisive, by_image, c, rng, n_boot) if usable else (),
        lack_of_fit=lack_of_fit,
        quadratic=quadratic,
        quadratic_shown=not reasons,
        spline=spline,
        warnings=tuple(warnings),
        fits=(saturated, *fits, *bent),
        gains_method=gains_method(method),
    )


def _mixed_model(data: CurveData, samples: pd.Series, reasons: Sequence[str]) -> MixedModel:
    from analysis.optimum.rung import climb

    return climb(data, samples, reasons)


def _groups(
    cells: Cells, labels: pd.Series, model: str, metric: str, incomplete: str | None
) -> dict[str, Cells]:
    of_image = labels.reindex(list(cells.images))
    groups = {}
    for name in labels.cat.categories:
        part = cells.take((of_image == name).to_numpy())
        if len(part.images) == 0:
            continue
        groups[str(name)] = part
    thin = [name for name, part in groups.items() if len(part.images) < 2]
    if len(groups) < 2 or thin:
        where = f"'{thin[0]}' has one image" if thin else "there is one bucket with results"
        raise InputError(
            f"complexity cannot be compared for model '{model}' and {metric}: {where}. "
            "Use fewer or other buckets, or more images."
            + (f" Of this model {incomplete}" if incomplete else "")
        )
    return groups


def _common(
    groups: Sequence[Cells],
    rng: np.random.Generator,
    alpha: float,
    n_draws: int = DRAWS,
) -> CommonOptimum:
    from scipy.linalg import block_diag

    return common_optimum(
        groups[0].ks,
        [part.means() for part in groups],
        block_diag(*(part.test_covariance() for part in groups)),
        [len(part.images) for part in groups],
        rng,
        alpha=alpha,
        n_draws=n_draws,
    )


def _optimum(
    name: str,
    part: Cells,
    by_image: pd.Series,
    rng: np.random.Generator,
    n_boot: int,
    alpha: float,
    method: Reference,
) -> Optimum:
    best = best_index(part.means())
    # A stream of its own: the check does not change another's figures.
    (checking,) = rng.spawn(1)
    found = best_set(part, rng, method=method, alpha=alpha)
    check = best_set(part, checking, method="bootstrap", alpha=alpha)
    shares = winners(part.bootstrap_means(n_boot, rng)).mean(axis=0)
    return Optimum(
        bucket=name,
        complexity=float(by_image.loc[list(part.images)].mean()),
        n_images=len(part.images),
        k=part.ks[best],
        share=float(shares[best]),
        set=found.kept,
        shares={k: float(share) for k, share in zip(part.ks, shares, strict=True)},
        tied=tuple(k for k, won in zip(part.ks, winners(part.means()), strict=True) if won > 0),
        set_method=found.method,
        set_bootstrap=check.kept,
    )


def _along(
    data: CurveData,
    fitted: CurveFit,
    by_image: pd.Series,
    c: pd.Series,
    rng: np.random.Generator,
    n_draws: int,
) -> tuple[CurvePoint, ...]:
    points = []
    for level in ALONG:
        at = float(c.quantile(level))
        accuracy, jacobian = averaged_curve(data, fitted, at)
        spread = jacobian @ fitted.fit.cov @ jacobian.T
        noise = gaussian_draws(spread, n_draws, rng)
        shares = winners(accuracy + noise).mean(axis=0)
        best = best_index(accuracy)
        points.append(
            CurvePoint(
                complexity=float(by_image.quantile(level)),
                c=at,
                k=data.ks[best],
                share=float(shares[best]),
                shares={k: float(s) for k, s in zip(data.ks, shares, strict=True)},
            )
        )
    return tuple(points)
