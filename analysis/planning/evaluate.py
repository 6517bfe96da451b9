"""What the methods of `analysis.optimum` say of one simulated study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.mixed.linear import linear_clustered
from analysis.mixed.logit import logit_clustered
from analysis.optimum.answer import Optimum
from analysis.optimum.cells import Cells, best_index
from analysis.optimum.common import CommonOptimum, common_on_curve, common_optimum
from analysis.optimum.curves import (
    Curve,
    CurveData,
    CurveFit,
    Link,
    column_names,
    design,
    lack_of_fit_design,
)
from analysis.optimum.equivalence import Equivalence, within_margin
from analysis.optimum.gains import SingleK, single_k
from analysis.optimum.hypotheses import interaction_test, wald_terms, why_no_size
from analysis.optimum.permutation import permutation_test
from analysis.optimum.quadratic import Quadratic, quadratic_shift
from analysis.optimum.reported import ReportedTest
from analysis.planning.scenario import Drawn
from analysis.planning.truth import third_of
from complexity.errors import InputError

Array = NDArray[np.float64]
#: Draws behind the p of one simulated set: its error, .003 near .05, averages out over sets.
DRAWS = 5_000
#: Shuffles behind a permutation p of one simulated set: 199 make .05 exactly attainable.
SHUFFLES = 199
#: Resamples behind the bootstrapped interval of the size of the shift.
RESAMPLES = 400
#: Accuracy that one k for all may lose and still count as equivalent.
MARGIN = 0.02


@dataclass(frozen=True)
class Verdicts:
    """The answers to one simulated study; p is NaN where a test could not be made.

    Attributes
    ----------
    common : CommonOptimum
        No common optimum of the lowest and the highest third.
    on_curve : CommonOptimum or None
        The same on the logit's curves at -1 and +1 SD; None where it could not be fitted.
    sets : tuple of CommonOptimum
        The k not distinguishable from the best: low, high.
    best : tuple of int
        Arg max: low, high.
    interaction, interaction_probability, lack_of_fit : float
        p of the robust Wald tests.
    permutation : float
        p of the studentised permutation of complexity over images, `SHUFFLES` shuffles.
    quadratic : Quadratic or None
    quadratic_shown : bool
        Whether its size of shift would be given.
    equivalence : Equivalence
        To within `MARGIN`.
    single : SingleK
        One k for both ends, and the upper limit of its cost.
    """

    common: CommonOptimum
    on_curve: CommonOptimum | None
    sets: tuple[CommonOptimum, CommonOptimum]
    best: tuple[int, int]
    interaction: float
    interaction_probability: float
    permutation: float
    lack_of_fit: float
    quadratic: Quadratic | None
    quadratic_shown: bool
    equivalence: Equivalence
    single: SingleK


def judge(drawn: Drawn, rng: np.random.Generator, n_draws: int = DRAWS) -> Verdicts:
    """Apply the methods to a simulated study.

    Parameters
    ----------
    drawn : Drawn
    rng : numpy.random.Generator
        Of the Monte Carlo p-values.
    n_draws : int
        Draws behind each of them.

    Returns
    -------
    Verdicts
    """
    from scipy.linalg import block_diag

    cells = drawn.cells
    ends = thirds(drawn)
    covariances = [end.test_covariance() for end in ends]

    def no_common(chosen: list[int]) -> CommonOptimum:
        return common_optimum(
            cells.ks,
            [ends[i].means() for i in chosen],
            block_diag(*(covariances[i] for i in chosen)),
            [len(ends[i].images) for i in chosen],
            rng,
            n_draws=n_draws,
        )

    common = no_common([0, 1])
    data = collapsed(drawn)
    saturated = _fit(data, cells, "saturated", "logit")
    linear = _fit(data, cells, "saturated", "identity")
    usable = saturated.fit.converged and not saturated.fit.separated
    quadratic, lack = _quadratic(data, cells, rng)
    sets = no_common([0]), no_common([1])
    best = cells.ks[best_index(ends[0].means())], cells.ks[best_index(ends[1].means())]
    optima = [
        Optimum(name, 0.0, len(end.images), k, 1.0, found.kept, {}, (k,))
        for name, end, k, found in zip(("low", "high"), ends, best, sets, strict=True)
    ]
    test = ReportedTest(None, None, None, None if np.isnan(lack) else lack, "")
    shuffled = permutation_test(cells, drawn.c, None, rng, SHUFFLES)
    nan = float("nan")
    reasons = why_no_size(quadratic, test, optima, ("low", "high"), cells.ks, 0.05)
    return Verdicts(
        common=common,
        on_curve=common_on_curve(data, saturated, rng, n_draws=n_draws) if usable else None,
        sets=sets,
        best=best,
        interaction=_p(saturated),
        interaction_probability=_p(linear),
        permutation=nan if shuffled.p is None else shuffled.p,
        lack_of_fit=lack,
        quadratic=quadratic,
        quadratic_shown=not reasons,
        equivalence=within_margin(ends, MARGIN),
        single=single_k(ends, rng, common.kept),
    )


@dataclass(frozen=True)
class Headline:
    """What the two tests for a shift and an interaction say of one simulated study.

    Attributes
    ----------
    shift : float
        p of the test that some k is optimal at both ends of complexity.
    kept : tuple of int
        The k not rejected as serving both ends, level .05.
    interaction : float
        p of the robust Wald test that the logit's curve in k does not change with complexity;
        NaN where it could not be made.
    """

    shift: float
    kept: tuple[int, ...]
    interaction: float


def headline(drawn: Drawn, rng: np.random.Generator, n_draws: int = DRAWS) -> Headline:
    """Apply the headline test and the interaction test alone: `judge` without the rest.

    Parameters
    ----------
    drawn : Drawn
    rng : numpy.random.Generator
        Of the Monte Carlo p-value.
    n_draws : int
        Draws behind it.

    Returns
    -------
    Headline
    """
    from scipy.linalg import block_diag

    try:
        ends = thirds(drawn)
    except InputError:
        # Ties left no two ends: such a study would be refused, and finds no shift.
        return Headline(1.0, drawn.cells.ks, float("nan"))
    common = common_optimum(
        drawn.cells.ks,
        [end.means() for end in ends],
        block_diag(*(end.test_covariance() for end in ends)),
        [len(end.images) for end in ends],
        rng,
        n_draws=n_draws,
    )
    try:
        interaction = _p(_fit(collapsed(drawn), drawn.cells, "saturated", "logit"))
    except InputError:
        interaction = float("nan")
    return Headline(common.p, common.kept, interaction)


def thirds(drawn: Drawn) -> tuple[Cells, Cells]:
    """Cells of the images in the lowest and in the highest third of complexity.

    Cut as a study is (`third_of`): where ties merge buckets the lowest and the highest that are
    left are compared.

    Parameters
    ----------
    drawn : Drawn

    Returns
    -------
    tuple of Cells
        Low and high.

    Raises
    ------
    InputError
        When all images have the same complexity, or an end has fewer than two.
    """
    place = third_of(drawn.c)
    ends = [drawn.cells.take(place == i) for i in (0, place.max())]
    if min(len(end.images) for end in ends) < 2:
        raise InputError(
            "ties of complexity leave one image at an end: draw more images, or complexities "
            "with fewer ties"
        )
    return ends[0], ends[1]


def collapsed(drawn: Drawn) -> CurveData:
    """Rows for the regressions: the mean score of an image at a k, weighted by its questions."""
    cells = drawn.cells
    n, n_k = cells.sums.shape
    c = (drawn.c - drawn.c.mean()) / drawn.c.std(ddof=1)
    return CurveData(
        ks=cells.ks,
        k=np.tile(np.asarray(cells.ks, dtype=np.int64), n),
        score=(cells.sums / cells.counts).ravel(),
        c=np.repeat(c, n_k),
        covariates=np.zeros((n * n_k, 0)),
        covariate_names=(),
        image=np.repeat(np.arange(n), n_k),
        profiles=np.zeros((1, 0)),
        profile_shares=np.ones(1),
    )


def _fit(data: CurveData, cells: Cells, curve: Curve, link: Link) -> CurveFit:
    X, names = (
        design(curve, data.ks, data.k, data.c, data.covariates),
        column_names(data, curve),
    )
    if link == "logit":
        weights = cells.counts.ravel()
        fit = logit_clustered(data.score, X, data.image, names=names, weights=weights)
    else:
        # Every cell has as many questions: unweighted means give the same line.
        fit = linear_clustered(data.score, X, data.image, names=names)
    return CurveFit(curve, link, "", fit)


def _quadratic(
    data: CurveData, cells: Cells, rng: np.random.Generator
) -> tuple[Quadratic | None, float]:
    if len(data.ks) < 3:
        return None, float("nan")
    fitted = _fit(data, cells, "quadratic", "logit")
    if fitted.fit.separated or not fitted.fit.converged:
        return None, float("nan")
    c = data.c[:: len(data.ks)]
    span = (float(np.quantile(c, 0.05)), float(np.quantile(c, 0.95)))
    quadratic = quadratic_shift(fitted, span, rng, RESAMPLES)
    if len(data.ks) < 4:
        return quadratic, float("nan")
    X, names, extra = lack_of_fit_design(data)
    try:
        wide = logit_clustered(data.score, X, data.image, names=names, weights=cells.counts.ravel())
    except InputError:
        return quadratic, float("nan")
    if wide.separated or not wide.converged:
        return quadratic, float("nan")
    test = wald_terms(wide.params, wide.cov, wide.names, extra, wide.n_clusters)
    return quadratic, float("nan") if test.p is None else test.p


def _p(fitted: CurveFit) -> float:
    p = interaction_test(fitted).p
    return float("nan") if p is None else p


def projected_slope(c: Array, accuracy: Array, ks: tuple[int, ...]) -> float:
    """Give the slope of the optimum of the quadratic logit nearest to a truth.

    Parameters
    ----------
    c : ndarray, shape (m,)
        Equally likely standardised complexities.
    accuracy : ndarray, shape (m, K)
        Expected score at each.
    ks : tuple of int

    Returns
    -------
    float
        Doublings per standard deviation at c = 0, as the quadratic's size of shift; NaN
        without a maximum there, and with fewer than three k.
    """
    if len(ks) < 3:
        return float("nan")
    data = CurveData(
        ks=ks,
        k=np.tile(np.asarray(ks, dtype=np.int64), len(c)),
        score=accuracy.ravel(),
        c=np.repeat(c, len(ks)),
        covariates=np.zeros((accuracy.size, 0)),
        covariate_names=(),
        image=np.repeat(np.arange(len(c)), len(ks)),
        profiles=np.zeros((1, 0)),
        profile_shares=np.ones(1),
    )
    X = design("quadratic", data.ks, data.k, data.c, data.covariates)
    fit = logit_clustered(data.score, X, data.image, names=column_names(data, "quadratic"))
    return quadratic_shift(CurveFit("quadratic", "logit", "", fit), (-1.0, 1.0)).slope
