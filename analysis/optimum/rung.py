"""The mixed-model opinion: the richest random effects that hold, and the optimum under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.mixed.integrating import averaged
from analysis.mixed.ladder import Ladder, fit_ladder, rungs_of
from analysis.mixed.modes import model_of
from analysis.mixed.result import MixedFit
from analysis.numerals import k_list, p_value, percent
from analysis.optimum.cells import best_index
from analysis.optimum.constrained import CURVE, constrained, interaction_lrt, no_shift_test
from analysis.optimum.curves import CurveData
from analysis.optimum.quadratic import NO_SIZE, Z95
from analysis.optimum.reported import ReportedTest
from complexity.errors import InputError

Array = NDArray[np.float64]
#: Standardised complexities at which optima are given.
AT = (-1.0, 0.0, 1.0)
#: The ladder ends before random intercepts alone, under which tests of k × c reject true nulls
#: too often.
RUNGS = rungs_of()[:3]
#: Above this share of questions answered alike at every k nothing is fitted. In simulations with
#: eight k the averaged accuracies of Laplace's fits are off by .01 to .02 with up to 62 % of
#: such questions, by .03 to .18 with 72 to 91 %.
TOO_CONSTANT = 0.7
#: Averaged accuracies that miss the observed ones by more than this are warned of.
MISS = 0.03
METHOD = "logistic mixed model, maximum likelihood by Laplace's approximation"
#: What the random effects of a question and its image are made of.
TERMS = ("Intercept", "x", "I(x ** 2)")


@dataclass(frozen=True)
class RungOptimum:
    """The optimum at one complexity, of the average question and of the population.

    Attributes
    ----------
    c : float
        Standardised complexity.
    conditional_k : int
        Arg max over the grid for an image and a question whose random effects are zero.
    conditional_vertex : float or None
        log2 k of that curve's top; None unless its curvature is certainly negative (upper 95 %
        limit, Wald).
    marginal_k : int
        Arg max over the grid of the accuracy averaged over images and questions.
    marginal_vertex : float or None
        log2 k of its top between the smallest and the largest k; None where the top is at
        one of these, or `conditional_vertex` is.
    accuracy : dict of int to float
        Averaged accuracy by k.
    """

    c: float
    conditional_k: int
    conditional_vertex: float | None
    marginal_k: int
    marginal_vertex: float | None
    accuracy: Mapping[int, float]


@dataclass(frozen=True)
class MixedModel:
    """What the mixed model says of one model's results; a second opinion.

    Attributes
    ----------
    reason : str or None
        Why nothing was fitted; then everything else is empty.
    method, formula : str or None
    rung : str or None
        Random terms kept: the richest of the ladder that are neither singular nor unconverged.
    held : bool
        False when no rung of the ladder is such; then `rung` is the last that converged.
    left : dict of str to str
        Why each other rung was left. Never for a p-value.
    loglik : float or None
    random : tuple of dict
        Standard deviations and correlations (`group`, `term`, `term2`, `sd_or_corr`).
    interaction : ReportedTest
        Likelihood-ratio test of x × c and x² × c.
    no_shift : ReportedTest
        Constrained likelihood-ratio test of b1·b5 = b2·b4, or why it is not given.
    common_vertex : float or None
        log2 k of the optimum that all complexities share under that null.
    optima : tuple of RungOptimum
    warnings : tuple of str
    """

    reason: str | None
    method: str | None
    formula: str | None
    rung: str | None
    held: bool
    left: Mapping[str, str]
    loglik: float | None
    random: tuple[Mapping[str, object], ...]
    interaction: ReportedTest
    no_shift: ReportedTest
    common_vertex: float | None
    optima: tuple[RungOptimum, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Give plain values, as ``optik shift --json`` has them under ``mixed_model``."""
        optima = [
            {**asdict(item), "accuracy": {str(k): a for k, a in item.accuracy.items()}}
            for item in self.optima
        ]
        return {**asdict(self), "optima": optima}

    def lines(self) -> list[str]:
        """Say it in a line or two."""
        if self.rung is None:
            return [f"mixed model: {self.reason}"]
        if not self.held:
            found = [f"mixed model: no test, no rung of the ladder holds (the last: {self.rung})"]
            return [*found, self._tops()]
        tests = [
            f"{name} {p_value(test.p)} (likelihood ratio, {test.df:g} df)"
            for name, test in (("k × complexity", self.interaction), ("no shift", self.no_shift))
            if test.p is not None
        ]
        if self.no_shift.p is None:
            tests.append(f"no shift: {self.no_shift.method}")
        return [f"mixed model, {self.rung}: {'; '.join(tests)}", self._tops()]

    def _tops(self) -> str:
        marginal, conditional = (
            k_list([getattr(item, name) for item in self.optima], "and")
            for name in ("marginal_k", "conditional_k")
        )
        return (
            f"its best k at complexity -1, 0 and +1 SD: {marginal} averaged over images and "
            f"questions; conditional (the average image and question): {conditional}"
        )


def climb(
    data: CurveData,
    samples: Sequence[object] | pd.Series,
    reasons: Sequence[str] = (),
    *,
    too_constant: float = TOO_CONSTANT,
) -> MixedModel:
    """Fit the ladder of random effects under a quadratic, and read tests and optima off it.

    Parameters
    ----------
    data : CurveData
        Rows of one model.
    samples : sequence, length n
        Question of each row.
    reasons : sequence of str
        Why the quadratic's shift must not be read as one (`hypotheses.why_no_size`): then the
        constrained test is not made, and the first reason is given instead.
    too_constant : float
        Share of questions answered alike at every k above which nothing is fitted.

    Returns
    -------
    MixedModel
    """
    frame = ready_frame(data, samples)
    why = why_not(data, frame, too_constant)
    if why is not None:
        return unfitted(why)
    try:
        ladder = fit_ladder(fixed_part(data), frame, RUNGS, family="binomial")
    except InputError as error:
        return unfitted(f"not fitted: {error}")
    return read(data, ladder, reasons)


def ready_frame(data: CurveData, samples: Sequence[object] | pd.Series) -> pd.DataFrame:
    """Lay out the columns of the formula: `score`, `x`, `c`, `z0` …, `image`, `question`."""
    columns: dict[str, object] = {"score": data.score, "x": np.log2(data.k), "c": data.c}
    columns |= {f"z{i}": data.covariates[:, i] for i in range(data.covariates.shape[1])}
    codes = pd.factorize(np.asarray(samples, dtype=object))[0]
    return pd.DataFrame({**columns, "image": data.image, "question": codes})


def fixed_part(data: CurveData) -> str:
    """Outcome and fixed part in the columns of `ready_frame`."""
    covariates = [f"z{i}" for i in range(data.covariates.shape[1])]
    return "score ~ " + " + ".join(["(x + I(x**2)) * c", *covariates])


def why_not(data: CurveData, frame: pd.DataFrame, too_constant: float) -> str | None:
    """Say why no mixed model is to be fitted; None where one may be."""
    if ((data.score > 0) & (data.score < 1)).any():
        return (
            "soft scores have a quasi-likelihood only: no mixed model, no likelihood-ratio test "
            "(the image-clustered tests hold for them)"
        )
    if len(data.ks) < 3:
        return "the quadratic needs three values of k"
    by_question = frame.groupby("question")["score"]
    share = float((by_question.max() == by_question.min()).mean())
    if share > too_constant:
        return (
            f"not fitted: {percent(share, 0)} of the questions are answered alike at every k, and "
            f"above {percent(too_constant, 0)} Laplace's approximation misses the accuracies"
        )
    return None


def unfitted(reason: str) -> MixedModel:
    """Give the answer without a fit."""
    none = ReportedTest(None, None, None, None, reason)
    return MixedModel(reason, None, None, None, False, {}, None, (), none, none, None, (), ())


def read(data: CurveData, ladder: Ladder, reasons: Sequence[str]) -> MixedModel:
    """Read tests and optima off the rung kept."""
    fit = ladder.kept
    left = {
        rung.random: rung.left_for or ""
        for rung in ladder.rungs
        if rung.random != ladder.rung or not ladder.held
    }
    warnings = [text for text in fit.warnings if "singular" not in text]
    vertex = None
    if not ladder.held:
        why = "not given: no rung of the ladder holds (singular or not converged)"
        interaction = no_shift = ReportedTest(None, None, None, None, why)
        warnings.append(
            "no rung of the ladder of random effects holds: optima are those of the last"
        )
    else:
        interaction = interaction_lrt(fit)
        if reasons:
            why = "not given: " + reasons[0].removeprefix(NO_SIZE)
            no_shift = ReportedTest(None, None, None, None, why)
        else:
            found = constrained(fit)
            no_shift = no_shift_test(found)
            vertex = found.vertex if found.converged else None
    miss = float(np.abs(averaged_rows(data, fit) - observed(data)).max())
    if miss > MISS:
        warnings.append(
            f"the mixed model's averaged accuracies miss the observed ones by up to "
            f"{100 * miss:.1f} points: its optima are not to be trusted"
        )
    names = list(dict.fromkeys(name.partition("[")[0] for name in data.covariate_names))
    formula = "score ~ " + " + ".join(["(x + I(x**2)) * c", *names, ladder.rung])
    return MixedModel(
        reason=None,
        method=METHOD,
        formula=formula,
        rung=ladder.rung,
        held=ladder.held,
        left=left,
        loglik=fit.loglik,
        random=tuple(
            {"group": v.group, "term": v.term, "term2": v.term2, "sd_or_corr": v.sd_or_corr}
            for v in fit.random
        ),
        interaction=interaction,
        no_shift=no_shift,
        common_vertex=vertex,
        optima=tuple(optimum_at(data, fit, c) for c in AT),
        warnings=tuple(warnings),
    )


def spread_of(fit: MixedFit) -> Array:
    """Covariance of all random effects on (1, x, x²) together, shape (3, 3)."""
    model = model_of(fit)
    total = np.zeros((3, 3))
    for block, covariance in zip(model.design.random, model.covariances, strict=True):
        at = [TERMS.index(name) for name in block.names]
        total[np.ix_(at, at)] += covariance
    return total


def population(x: Array, logits: Array, shares: Array, spread: Array) -> Array:
    """Accuracy averaged over random effects and covariates.

    Parameters
    ----------
    x : ndarray, shape (n,)
        log2 k.
    logits : ndarray, shape (n, m)
        Without the random effects, by x and mix of covariates.
    shares : ndarray, shape (m,)
        Share of each mix; sums to 1.
    spread : ndarray, shape (3, 3)
        Covariance of the random effects on (1, x, x²).

    Returns
    -------
    ndarray, shape (n,)
    """
    columns = np.column_stack([np.ones_like(x), x, x**2])
    variance = np.einsum("ni,ij,nj->n", columns, spread, columns)
    mean = averaged(logits.ravel(), np.repeat(variance, logits.shape[1]))[0]
    return np.asarray(mean.reshape(logits.shape) @ shares, dtype=np.float64)


def population_top(
    grid: Array, curve: tuple[float, float], base: Array, shares: Array, spread: Array
) -> float | None:
    """log2 k at which the averaged accuracy is largest; None at an end of the grid.

    Parameters
    ----------
    grid : ndarray, shape (n,)
        Ascending values of x; the largest is looked for between the neighbours of the best one.
    curve : tuple of float
        Coefficients of x and x² at the complexity asked for.
    base : ndarray, shape (m,)
        Logits at x = 0 by mix of covariates.
    shares, spread
        As in `population`.
    """
    from scipy.optimize import minimize_scalar

    def below(x: Array) -> Array:
        logits = base + (curve[0] * x + curve[1] * x**2)[:, None]
        return -population(x, logits, shares, spread)

    best = int(np.argmin(below(grid)))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda x: float(below(np.array([x]))[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    at = float(found.x)
    return at if grid[0] + 1e-4 < at < grid[-1] - 1e-4 else None


def optimum_at(data: CurveData, fit: MixedFit, c: float) -> RungOptimum:
    """Find the optima at one standardised complexity, conditional and averaged."""
    index = [fit.names.index(name) for name in CURVE]
    b1, b2, b4, b5 = fit.params[index]
    covariates = [fit.names.index(f"z{i}") for i in range(data.covariates.shape[1])]
    at_zero = fit.params[fit.names.index("Intercept")] + c * fit.params[fit.names.index("c")]
    base = at_zero + data.profiles @ fit.params[covariates]
    slope, bend = float(b1 + b4 * c), float(b2 + b5 * c)
    x = np.log2(np.asarray(data.ks, dtype=np.float64))
    logits = base + (slope * x + bend * x**2)[:, None]
    spread = spread_of(fit)
    accuracy = population(x, logits, data.profile_shares, spread)
    weights = np.zeros(len(fit.names))
    weights[index] = 0.0, 1.0, 0.0, c
    sure = bend + Z95 * float(np.sqrt(np.maximum(weights @ fit.cov @ weights, 0.0))) < 0
    top = None
    if sure:
        fine = np.unique(np.r_[x, (x[1:] + x[:-1]) / 2])
        top = population_top(fine, (slope, bend), base, data.profile_shares, spread)
    return RungOptimum(
        c=c,
        conditional_k=data.ks[best_index(slope * x + bend * x**2)],
        conditional_vertex=-slope / (2 * bend) if sure else None,
        marginal_k=data.ks[best_index(accuracy)],
        marginal_vertex=top,
        accuracy={k: float(a) for k, a in zip(data.ks, accuracy, strict=True)},
    )


def averaged_rows(data: CurveData, fit: MixedFit) -> Array:
    """Averaged accuracy by k of the rows' own complexities and covariates, shape (K,)."""
    logits = model_of(fit).design.X @ fit.params
    x = np.log2(np.asarray(data.ks, dtype=np.float64))
    columns = np.column_stack([np.ones_like(x), x, x**2])
    variance = np.einsum("ni,ij,nj->n", columns, spread_of(fit), columns)
    place = np.searchsorted(np.asarray(data.ks), data.k)
    mean = averaged(logits, variance[place])[0]
    return np.bincount(place, weights=mean) / np.bincount(place)


def observed(data: CurveData) -> Array:
    """Observed accuracy by k, shape (K,)."""
    place = np.searchsorted(np.asarray(data.ks), data.k)
    return np.bincount(place, weights=data.score) / np.bincount(place)
