"""One model × one metric: is there an interaction, does the optimum shift, where is it?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.mixed.logit import logit_clustered
from analysis.mixed.wald import wald_test
from analysis.optimum.cells import Cells, best_index, cells_of, complete_samples, winners
from analysis.optimum.common import DRAWS, CommonOptimum, common_optimum, gaussian_draws
from analysis.optimum.curves import (
    CurveData,
    CurveFit,
    averaged_curve,
    fit_curve,
    lack_of_fit_design,
    linearity_design,
    prepare,
    settled,
    standardise,
)
from analysis.optimum.quadratic import UNIT, Quadratic, quadratic_shift
from analysis.threads import one_thread
from complexity.errors import InputError, did_you_mean, listing

Array = NDArray[np.float64]
SEED = 20261123
N_BOOT = 2_000
#: The sets of single buckets describe; the common optimum decides and gets more draws.
SET_DRAWS = 50_000
ALPHA = 0.05
FEW_IMAGES = 30
ALONG = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Test:
    """A test as it is reported: chi-square statistic, degrees of freedom, p and how.

    `statistic` and `p` are None where the test could not be made; `method` then says why.
    """

    statistic: float | None
    df: float | None
    df_denom: float | None
    p: float | None
    method: str


@dataclass(frozen=True)
class Optimum:
    """The accuracy-optimal k of a group of images.

    Attributes
    ----------
    bucket : str
        Complexity bucket, or ``all``.
    complexity : float
        Mean of the metric over the images of the bucket.
    n_images : int
        Images in it.
    k : int
        Arg max of accuracy over the k grid; ties go to the smaller k.
    share : float
        Share of the image-cluster bootstrap resamples in which that k is the arg max.
    set : tuple of int
        The k not distinguishable from the best at level .05.
    shares : dict of int to float
        Bootstrap share of every k.
    """

    bucket: str
    complexity: float
    n_images: int
    k: int
    share: float
    set: tuple[int, ...]
    shares: dict[int, float]


@dataclass(frozen=True)
class CurvePoint:
    """Arg max of the saturated regression curve at one complexity, with its Gaussian shares."""

    complexity: float
    c: float
    k: int
    share: float
    shares: dict[int, float]


@dataclass(frozen=True)
class ShiftAnswer:
    """What one model's results say about the optimal k and one complexity metric.

    Attributes
    ----------
    model, metric : str
        What was analysed.
    ks : tuple of int
        The k grid.
    n_images, n_samples : int
        Images and questions behind it.
    interaction : Test
        Robust Wald test that the saturated curve in k does not change with complexity (logit).
    interaction_probability : Test
        The same on the probability scale (linear probability model). Where the two disagree,
        the curves differ by no more than the logit's stretching near 0 and 1.
    linearity : Test
        Robust Wald test that the logit curve changes linearly with complexity (curve × c²).
    common : CommonOptimum
        Headline: no single k is optimal at both ends of complexity; `ends` names the buckets.
    ends : tuple of str
        The buckets compared.
    common_curve : CommonOptimum or None
        The same test on the regression's curves at -1 and +1 SD of complexity.
    optimum : tuple of Optimum
        One per bucket, in order.
    overall : Optimum
        Over all images.
    along : tuple of CurvePoint
        The saturated curve's arg max at quantiles of complexity.
    lack_of_fit : Test
        Quadratic against saturated, complexity terms included.
    quadratic : Quadratic or None
        Second opinion; None with fewer than three k.
    quadratic_shown : bool
        Whether its size of shift may be read as one; `warnings` say why not.
    warnings : tuple of str
        What the reader must know.
    fits : tuple of CurveFit
        The regressions behind it, for the coefficient tables.
    """

    model: str
    metric: str
    ks: tuple[int, ...]
    n_images: int
    n_samples: int
    interaction: Test
    interaction_probability: Test
    linearity: Test
    common: CommonOptimum
    ends: tuple[str, ...]
    common_curve: CommonOptimum | None
    optimum: tuple[Optimum, ...]
    overall: Optimum
    along: tuple[CurvePoint, ...]
    lack_of_fit: Test
    quadratic: Quadratic | None
    quadratic_shown: bool
    warnings: tuple[str, ...]
    fits: tuple[CurveFit, ...]

    def to_dict(self) -> dict[str, object]:
        """Spell the answer as ``optik shift --json`` prints it."""
        q = self.quadratic if self.quadratic_shown else None
        estimate, half = (q.slope, 1.959964 * q.slope_se) if q else (None, None)
        return {
            "model": self.model,
            "metric": self.metric,
            "n_images": self.n_images,
            "n_samples": self.n_samples,
            "ks": self.ks,
            "interaction": asdict(self.interaction),
            "interaction_probability": asdict(self.interaction_probability),
            "linearity": asdict(self.linearity),
            "shift": {
                "p": self.common.p,
                "method": self.common.method,
                "ends": self.ends,
                "common_k": self.common.kept,
                "p_by_k": dict(zip(self.ks, self.common.p_by_k, strict=True)),
                "estimate": estimate,
                "ci_low": None if half is None or estimate is None else estimate - half,
                "ci_high": None if half is None or estimate is None else estimate + half,
                "ci_method": "delta method, image-clustered CR1, normal, 95 %",
                "unit": UNIT,
            },
            "shift_curve": None
            if self.common_curve is None
            else {
                "p": self.common_curve.p,
                "common_k": self.common_curve.kept,
                "method": "the same test on the saturated regression at -1 and +1 SD",
            },
            "overall": asdict(self.overall),
            "optimum": [asdict(item) for item in self.optimum],
            "along": [asdict(item) for item in self.along],
            "lack_of_fit": asdict(self.lack_of_fit),
            "quadratic": None if self.quadratic is None else asdict(self.quadratic),
            "warnings": self.warnings,
        }


@one_thread
def analyse(
    table: pd.DataFrame,
    metric: str,
    labels: pd.Series,
    *,
    covariates: Sequence[str] = (),
    every_bucket: bool = False,
    seed: int = SEED,
    n_boot: int = N_BOOT,
    alpha: float = ALPHA,
) -> tuple[ShiftAnswer, ...]:
    """Answer, for each model of a table, where the optimal k is and whether it shifts.

    Parameters
    ----------
    table : DataFrame
        One row per model × sample × k with `model`, `image_id`, `sample_id`, `k`, `score`,
        the metric and the covariates.
    metric : str
        Column with the complexity of the row's image.
    labels : Series of ordered categories, index image id
        Complexity bucket of each image; its first and last category are the two ends.
    covariates : sequence of str
        Columns the regressions adjust for.
    every_bucket : bool
        Ask for a k that serves every bucket instead of the first and the last (for buckets
        without an order).
    seed : int
        Seed of bootstrap and Monte Carlo; each model and metric draws from its own stream, so
        that adding one does not change another's figures.
    n_boot : int
        Image-cluster bootstrap resamples of the arg max.
    alpha : float
        Level of tests and of the sets of k.

    Returns
    -------
    tuple of ShiftAnswer
        One per model, in the order of first appearance.

    Raises
    ------
    InputError
        When a column is missing, the metric is constant, no model has two values of k, or an
        end of complexity has fewer than two images.
    """
    _check(table, metric, covariates)
    scored = table[table["score"].notna()]
    known = scored[[metric, *covariates]].notna().all(axis=1)
    lost = scored[~known].groupby("model", observed=True)["sample_id"].nunique()
    rows = scored[known]
    rows = rows.assign(image_id=rows["image_id"].astype(str))
    labels = labels.rename(index=str)
    pairs = rows[["image_id", metric]].drop_duplicates()
    twice = pairs.loc[pairs["image_id"].duplicated(), "image_id"].unique()
    if len(twice):
        raise InputError(
            f"'{metric}' differs between rows of one image ({listing(twice)}): complexity is a "
            "property of the image."
        )
    by_image = pairs.set_index("image_id")[metric].astype(float)
    if len(by_image) < 2:
        found = "one image has" if len(by_image) else "no image has"
        raise InputError(
            f"{found} scores together with {listing([metric, *covariates])}: complexity cannot "
            "be compared. Check that the columns are filled and the ids match."
        )
    if by_image.nunique() < 2:
        raise InputError(
            f"{metric} has the same value on every image that has results, so nothing can "
            f"shift with it. Choose another metric (--complexity, or analysis.metrics)."
        )
    c = standardise(by_image)
    answers = []
    for model, of_model in rows.groupby("model", sort=False, observed=True):
        if of_model["k"].nunique() >= 2:
            # A stream of its own for each model and metric.
            digest = hashlib.sha256(f"{model}\0{metric}".encode()).digest()
            stream = np.random.SeedSequence([seed, *digest])
            rng = np.random.default_rng(stream)
            answers.append(
                _one_model(
                    str(model),
                    of_model,
                    metric,
                    by_image,
                    c,
                    labels,
                    n_lost=int(lost.get(model, 0)),
                    covariates=covariates,
                    every_bucket=every_bucket,
                    rng=rng,
                    n_boot=n_boot,
                    alpha=alpha,
                )
            )
    if not answers:
        raise InputError(
            f"every model has results at one k only (k = {listing(sorted(rows['k'].unique()))}): "
            "an optimal k needs results at two or more. Add the others under `results:`."
        )
    return tuple(answers)


def _check(table: pd.DataFrame, metric: str, covariates: Sequence[str]) -> None:
    for name in ("model", "image_id", "sample_id", "k", "score", metric, *covariates):
        if name not in table.columns:
            raise InputError(
                f"the table has no column '{name}'{did_you_mean(name, map(str, table.columns))}. "
                "It needs model, image_id, sample_id, k, score, the metric and the covariates."
            )
    values = table[metric]
    if not pd.api.types.is_numeric_dtype(values) or np.isinf(values.dropna().astype(float)).any():
        raise InputError(
            f"column '{metric}' holds text or infinite values: a complexity metric must be a "
            "finite number (or missing) on every row."
        )


def _one_model(
    model: str,
    rows: pd.DataFrame,
    metric: str,
    by_image: pd.Series,
    c: pd.Series,
    labels: pd.Series,
    *,
    n_lost: int,
    covariates: Sequence[str],
    every_bucket: bool,
    rng: np.random.Generator,
    n_boot: int,
    alpha: float,
) -> ShiftAnswer:
    rows, incomplete = complete_samples(rows)
    warnings = [incomplete] if incomplete else []
    if n_lost:
        warnings.append(
            f"{n_lost:,} samples without {listing([metric, *covariates])} are left out."
        )
    cells = cells_of(rows)
    groups = _groups(cells, labels, model, metric, incomplete)
    ends = list(groups) if every_bucket else [next(iter(groups)), list(groups)[-1]]
    absent = [str(name) for name in labels.cat.categories if str(name) not in groups]
    if absent:
        warnings.append(
            f"bucket {listing(absent)} has no results of this model: the ends compared are "
            f"'{ends[0]}' and '{ends[-1]}'."
        )
    warnings += [
        f"bucket '{name}' has {len(groups[name].images)} images: intervals and p-values there "
        f"lean on normal approximations that want {FEW_IMAGES} or more."
        for name in groups
        if len(groups[name].images) < FEW_IMAGES
    ]
    common = _common([groups[name] for name in ends], rng, alpha)
    if common.borderline():
        warnings.append(
            f"k = {listing(common.borderline())} is in or out of the common set by less than the "
            "Monte Carlo error of its p."
        )
    optimum = [_optimum(name, part, by_image, rng, n_boot, alpha) for name, part in groups.items()]
    overall = _optimum("all", cells, by_image, rng, n_boot, alpha)

    data = prepare(rows, c, covariates)
    saturated = fit_curve(data, "saturated")
    linear = fit_curve(data, "saturated", "identity")
    interaction = _interaction(saturated)
    interaction_probability = _interaction(linear)
    linearity = _widened(data, *linearity_design(data))
    if linearity.p is not None and linearity.p <= alpha:
        warnings.append(
            "the curve does not change linearly with complexity (curve × c², "
            f"p = {linearity.p:.2g}): trust the buckets before the regression line."
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
    lack_of_fit, quadratic, fits = _quadratic_opinion(data, c)
    reasons = _why_not(quadratic, lack_of_fit, optimum, ends, cells.ks, alpha)
    warnings += reasons
    usable = decisive.fit.converged and interaction_probability.p is not None
    return ShiftAnswer(
        model=model,
        metric=metric,
        ks=cells.ks,
        n_images=len(cells.images),
        n_samples=int(rows["sample_id"].nunique()),
        interaction=interaction,
        interaction_probability=interaction_probability,
        linearity=linearity,
        common=common,
        ends=tuple(ends),
        common_curve=_common_on_curve(data, decisive, rng, alpha) if usable else None,
        optimum=tuple(optimum),
        overall=overall,
        along=_along(data, decisive, by_image, c, rng, n_boot) if usable else (),
        lack_of_fit=lack_of_fit,
        quadratic=quadratic,
        quadratic_shown=not reasons,
        warnings=tuple(warnings),
        fits=(saturated, *fits),
    )


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
) -> Optimum:
    best = best_index(part.means())
    shares = winners(part.bootstrap_means(n_boot, rng)).mean(axis=0)
    return Optimum(
        bucket=name,
        complexity=float(by_image.loc[list(part.images)].mean()),
        n_images=len(part.images),
        k=part.ks[best],
        share=float(shares[best]),
        set=_common([part], rng, alpha, SET_DRAWS).kept,
        shares={k: float(share) for k, share in zip(part.ks, shares, strict=True)},
    )


def _interaction(fitted: CurveFit) -> Test:
    fit = fitted.fit
    if fit.separated:
        return Test(None, None, None, None, f"separation at {listing(fit.separated)}")
    if not fit.converged:
        return Test(None, None, None, None, "the fit did not converge")
    terms = [name for name in fit.names if name.startswith("C(k)[") and name.endswith(":c")]
    return _wald(fit.params, fit.cov, fit.names, terms, fit.n_clusters)


def _widened(data: CurveData, X: Array, names: Sequence[str], extra: Sequence[str]) -> Test:
    """Test that the extra terms of a wider logit are all 0."""
    try:
        wide = logit_clustered(data.score, X, data.image, names=names)
    except InputError as error:
        return Test(None, None, None, None, f"not estimable: {error}")
    if wide.separated or not wide.converged:
        return Test(None, None, None, None, "the wider curve could not be fitted")
    return _wald(wide.params, wide.cov, wide.names, extra, wide.n_clusters)


def _wald(
    params: Array, cov: Array, names: Sequence[str], terms: Sequence[str], n_clusters: int
) -> Test:
    if n_clusters <= len(names):
        reason = f"{n_clusters} images are too few for {len(names)} coefficients"
        return Test(None, None, None, None, reason)
    R = np.zeros((len(terms), len(names)))
    for row, term in enumerate(terms):
        R[row, list(names).index(term)] = 1.0
    result = wald_test(params, settled(cov), R, df_denom=n_clusters - 1)
    if not np.isfinite(result.statistic) or result.df < 1:
        return Test(None, None, None, None, "no variation to test")
    method = f"robust Wald, image-clustered CR1, F({result.df:g}, {n_clusters - 1})"
    return Test(result.statistic, result.df, float(n_clusters - 1), result.p, method)


def _common_on_curve(
    data: CurveData, fitted: CurveFit, rng: np.random.Generator, alpha: float
) -> CommonOptimum:
    # Both curves come from one fit, so their joint covariance is drawn at once: the two ends
    # are stacked into one vector and each candidate is compared within its own end.
    # Never beyond the data: a skewed metric may have no image at -1 SD.
    low, jac_low = averaged_curve(data, fitted, max(-1.0, float(np.quantile(data.c, 0.05))))
    high, jac_high = averaged_curve(data, fitted, min(1.0, float(np.quantile(data.c, 0.95))))
    jacobian = np.vstack([jac_low, jac_high])
    covariance = jacobian @ fitted.fit.cov @ jacobian.T
    ridge = np.eye(len(covariance)) / (2 * (len(data.k) / len(data.ks)) ** 2)
    return common_optimum(
        data.ks,
        [low, high],
        covariance + ridge,
        [fitted.fit.n_clusters] * 2,
        rng,
        alpha=alpha,
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


def _quadratic_opinion(
    data: CurveData, c: pd.Series
) -> tuple[Test, Quadratic | None, tuple[CurveFit, ...]]:
    if len(data.ks) < 3:
        return Test(None, None, None, None, "needs four values of k"), None, ()
    fitted = fit_curve(data, "quadratic")
    if not fitted.fit.converged or fitted.fit.separated:
        return Test(None, None, None, None, "the quadratic could not be fitted"), None, ()
    c_range = (float(c.quantile(0.05)), float(c.quantile(0.95)))
    quadratic = quadratic_shift(fitted, c_range)
    if len(data.ks) < 4:
        return Test(None, None, None, None, "needs four values of k"), quadratic, (fitted,)
    test = _widened(data, *lack_of_fit_design(data))
    return test, quadratic, (fitted,)


def _why_not(
    quadratic: Quadratic | None,
    lack_of_fit: Test,
    optimum: Sequence[Optimum],
    ends: Sequence[str],
    ks: Sequence[int],
    alpha: float,
) -> list[str]:
    """Reasons why the quadratic's size of shift must not be read as one; empty if it may."""
    head = "no size of shift is given: "
    if quadratic is None:
        return [head + "the quadratic needs three values of k and a fit that converges."]
    if not quadratic.flat_p <= alpha:
        p = f" (p = {quadratic.flat_p:.2g})" if np.isfinite(quadratic.flat_p) else ""
        return [
            head + f"the curve is not distinguishable from a flat one{p}, where the quadratic's "
            "no-shift test is degenerate."
        ]
    if not quadratic.curvature_negative:
        return [head + "the quadratic is not certain to have a maximum at all complexities."]
    if lack_of_fit.p is None:
        return [head + f"lack of fit could not be tested ({lack_of_fit.method})."]
    if lack_of_fit.p <= alpha:
        return [head + "the quadratic does not fit (lack of fit against the saturated curve)."]
    inside = np.log2(ks[0]), np.log2(ks[-1])
    vertices = quadratic.vertex_low, quadratic.vertex_high
    if not all(inside[0] <= vertex <= inside[1] for vertex in vertices):
        return [head + "the quadratic's optimum lies outside the k that were measured."]
    named = {item.bucket: item for item in optimum}
    for vertex, end in zip(vertices, (ends[0], ends[-1]), strict=True):
        nearest = min(ks, key=lambda k: (abs(np.log2(k) - vertex), k))
        if nearest not in named[end].set:
            return [head + f"the quadratic's optimum disagrees with the arg max of '{end}'."]
    return []
