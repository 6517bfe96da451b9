"""Regressions of the score on k, complexity and covariates: curves that bend with complexity.

Three curves in k, each interacted with the standardised complexity c. The *saturated* one has
k as a factor and decides; the *quadratic* and the natural cubic *spline*, in x = log2 k,
describe. All are fitted by a logit whose covariance is clustered by image: with greedy decoding
the answers to one question at different k are strongly dependent, and curves differ between
images, which a random intercept alone does not absorb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.mixed.clustered import ClusteredFit
from analysis.mixed.linear import linear_clustered
from analysis.mixed.logit import logit_clustered
from analysis.optimum.spline_basis import knots_of, spline_columns

Array = NDArray[np.float64]
Curve = Literal["saturated", "quadratic", "spline"]
Link = Literal["logit", "identity"]
#: A standard error below this is rounding: scores lie in [0, 1] and c is standardised.
ROUNDING = 1e-9


@dataclass(frozen=True)
class CurveData:
    """Rows of one model, ready for curves.

    Attributes
    ----------
    ks : tuple of int, length K
        The k grid, ascending.
    k : ndarray of int, shape (n,)
        k of each row.
    score : ndarray, shape (n,)
        Score of each row, in [0, 1].
    c : ndarray, shape (n,)
        Complexity, standardised over images.
    covariates : ndarray, shape (n, q)
        Dummy and standardised numeric covariates; q may be 0.
    covariate_names : tuple of str, length q
        Their names.
    image : ndarray of int, shape (n,)
        Image of each row, as a code.
    profiles : ndarray, shape (m, q)
        The distinct rows of covariates over samples.
    profile_shares : ndarray, shape (m,)
        Share of the samples with each profile; sums to 1.
    """

    ks: tuple[int, ...]
    k: NDArray[np.int64]
    score: Array
    c: Array
    covariates: Array
    covariate_names: tuple[str, ...]
    image: NDArray[np.intp]
    profiles: Array
    profile_shares: Array


@dataclass(frozen=True)
class CurveFit:
    """A fitted curve.

    Attributes
    ----------
    curve : str
        ``saturated``, ``quadratic`` or ``spline``.
    link : str
        ``logit`` or ``identity`` (a linear probability model).
    formula : str
        The model in lme4's notation.
    fit : ClusteredFit
        Coefficients with their image-clustered covariance.
    """

    curve: Curve
    link: Link
    formula: str
    fit: ClusteredFit

    def to_json(self) -> dict[str, object]:
        """Spell the fit as a dict with the keys of ``optik fit --json`` that apply."""
        from scipy import stats

        fit = self.fit
        # A coefficient that is known but for rounding has no test.
        se = np.where(fit.se < ROUNDING, np.nan, fit.se)
        t = fit.params / se
        half = stats.t.ppf(0.975, fit.df) * se
        fixed = [
            {
                "term": name,
                "estimate": fit.params[i],
                "se": se[i],
                "statistic": t[i],
                "df": fit.df,
                "p": 2 * stats.t.sf(abs(t[i]), fit.df),
                "ci_low": fit.params[i] - half[i],
                "ci_high": fit.params[i] + half[i],
            }
            for i, name in enumerate(fit.names)
        ]
        return {
            "curve": self.curve,
            "formula": self.formula,
            "family": "binomial" if self.link == "logit" else "gaussian",
            "link": self.link,
            "covariance": "cluster-robust CR1 by image_id, t with G - 1 df",
            "fixed": fixed,
            "loglik": fit.loglik,
            "deviance": fit.deviance,
            "n_obs": fit.n_obs,
            "n_groups": {"image_id": fit.n_clusters},
            "converged": fit.converged,
            "separated": fit.separated,
            "warnings": fit.warnings,
        }


def standardise(values: pd.Series) -> pd.Series:
    """Centre on the mean and divide by the standard deviation (ddof 1), over images.

    Parameters
    ----------
    values : Series of float
        One value per image.
    """
    return (values - values.mean()) / values.std(ddof=1)


def prepare(table: pd.DataFrame, c: pd.Series, covariates: Sequence[str]) -> CurveData:
    """Collect what the curves need from the rows of one model.

    Parameters
    ----------
    table : DataFrame
        Rows with `image_id`, `sample_id`, `k`, `score` and the covariates; none missing.
    c : Series of float
        Standardised complexity by image id.
    covariates : sequence of str
        Columns to adjust for: text becomes dummies (first level, in sorted order, as the
        reference), numbers are standardised over samples. A constant one is left out.
    """
    samples = table.drop_duplicates("sample_id").set_index("sample_id")
    parts: list[pd.DataFrame] = []
    for name in covariates:
        column = samples[name]
        if column.nunique() < 2:
            continue
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            parts.append(standardise(column.astype(float)).to_frame(name))
        else:
            dummies = pd.get_dummies(column.astype(str), dtype=float).iloc[:, 1:]
            dummies.columns = [f"{name}[{level}]" for level in dummies.columns]
            parts.append(dummies)
    design = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=samples.index)
    by_sample = design.to_numpy(dtype=np.float64)
    profiles, counts = np.unique(by_sample, axis=0, return_counts=True)
    if by_sample.shape[1] == 0:
        profiles, counts = np.zeros((1, 0)), np.array([len(samples)])
    position = samples.index.get_indexer(pd.Index(table["sample_id"]))
    return CurveData(
        ks=tuple(int(k) for k in np.sort(table["k"].unique())),
        k=table["k"].to_numpy(dtype=np.int64),
        score=table["score"].to_numpy(dtype=np.float64),
        c=c.reindex(table["image_id"]).to_numpy(dtype=np.float64),
        covariates=by_sample[position],
        covariate_names=tuple(str(name) for name in design.columns),
        image=pd.factorize(table["image_id"].astype(str), sort=True)[0],
        profiles=profiles,
        profile_shares=counts / counts.sum(),
    )


def basis(curve: Curve, ks: Sequence[int], k: NDArray[np.int64] | Array) -> tuple[Array, list[str]]:
    """Columns of a curve in k, without intercept.

    Parameters
    ----------
    curve : {"saturated", "quadratic", "spline"}
        Dummies of every k but the smallest; x and x² with x = log2 k; or a natural cubic
        spline in x (`analysis.optimum.spline_basis`).
    ks : sequence of int
        The k grid.
    k : ndarray of int or float, shape (n,)
        Where to evaluate, for the saturated curve at k of the grid.

    Returns
    -------
    ndarray, shape (n, q), and list of str
        The columns and their names.
    """
    if curve == "saturated":
        columns = [(k == level).astype(np.float64) for level in ks[1:]]
        return np.column_stack(columns), [f"C(k)[{level}]" for level in ks[1:]]
    if curve == "spline":
        columns_of_x = spline_columns(ks, np.log2(k))
        return columns_of_x, [f"ns(x)[{i + 1}]" for i in range(columns_of_x.shape[1])]
    x = np.log2(k)
    return np.column_stack([x, x**2]), ["x", "I(x**2)"]


def design(
    curve: Curve, ks: Sequence[int], k: NDArray[np.int64] | Array, c: Array, covariates: Array
) -> Array:
    """Model matrix: intercept, curve, c, curve × c, covariates; shape (n, p)."""
    columns, _ = basis(curve, ks, k)
    ones = np.ones((len(k), 1))
    return np.hstack([ones, columns, c[:, None], columns * c[:, None], covariates])


def fit_curve(data: CurveData, curve: Curve, link: Link = "logit") -> CurveFit:
    """Fit ``score ~ curve(k) * c + covariates`` with image-clustered covariance.

    Parameters
    ----------
    data : CurveData
        Rows of one model.
    curve : {"saturated", "quadratic", "spline"}
        The curve in k.
    link : {"logit", "identity"}
        A logit, or a linear probability model.
    """
    X = design(curve, data.ks, data.k, data.c, data.covariates)
    fitter = logit_clustered if link == "logit" else linear_clustered
    fit = fitter(data.score, X, data.image, names=column_names(data, curve))
    return CurveFit(curve, link, _formula(curve, data.ks, data.covariate_names), fit)


def settled(cov: Array) -> Array:
    """Set the covariance of coefficients known but for rounding to exactly 0.

    Where the answers at two k are the same, question by question, their contrast has no
    variance. Rounding leaves it one of about 1e-33, and an estimate of about 1e-16: by a ratio
    of the two anything can be significant. Exact zeros let a Wald test lower its rank instead.

    Parameters
    ----------
    cov : ndarray, shape (p, p)
        Covariance of coefficients; NaN stays.
    """
    known = np.diag(cov) < ROUNDING**2
    return np.where(known[:, None] | known, 0.0, cov)


def lack_of_fit_design(data: CurveData) -> tuple[Array, list[str], list[str]]:
    """Quadratic design widened to the saturated one, for the test of lack of fit.

    Returns
    -------
    X : ndarray, shape (n, p)
        The quadratic design, then dummies of all k but the first, a middle and the last one,
        alone and times c: together they span the saturated design.
    names : list of str, length p
        Column names.
    extra : list of str, length 2 (K - 3)
        The names whose coefficients are 0 when the quadratic fits; those in c come last.
    """
    X = design("quadratic", data.ks, data.k, data.c, data.covariates)
    names = column_names(data, "quadratic")
    ks = data.ks
    free = [level for level in ks if level not in (ks[0], ks[len(ks) // 2], ks[-1])]
    dummies = np.column_stack([(data.k == level).astype(np.float64) for level in free])
    extra = [f"C(k)[{level}]" for level in free]
    extra += [f"{name}:c" for name in extra]
    return np.hstack([X, dummies, dummies * data.c[:, None]]), names + extra, extra


def linearity_design(data: CurveData) -> tuple[Array, list[str], list[str]]:
    """Saturated design widened by c² and curve × c², for the test that c enters linearly.

    Returns
    -------
    X : ndarray, shape (n, p)
    names : list of str, length p
    extra : list of str, length K - 1
        The curve × c² terms, whose coefficients are 0 when the curve bends linearly in c.
    """
    columns, names = basis("saturated", data.ks, data.k)
    square = (data.c**2)[:, None]
    X = design("saturated", data.ks, data.k, data.c, data.covariates)
    extra = [f"{name}:I(c**2)" for name in names]
    return (
        np.hstack([X, square, columns * square]),
        [*column_names(data, "saturated"), "I(c**2)", *extra],
        extra,
    )


def column_names(data: CurveData, curve: Curve) -> list[str]:
    """Names of the columns of `design`."""
    _, names = basis(curve, data.ks, data.k[:1])
    return ["Intercept", *names, "c", *(f"{name}:c" for name in names), *data.covariate_names]


def averaged_curve(
    data: CurveData, fitted: CurveFit, c: float, at: Array | None = None
) -> tuple[Array, Array]:
    """Population-averaged accuracy by k at one complexity, with its Jacobian.

    The predicted probability is averaged over the samples' covariates (marginal
    standardisation), not taken at their mean: it is the accuracy one would see if images of
    complexity c carried the study's mix of covariates.

    Parameters
    ----------
    data : CurveData
        The rows behind the fit.
    fitted : CurveFit
        The curve.
    c : float
        Standardised complexity.
    at : ndarray, shape (K,), optional
        The k to average at, whole or not, for curves that have values between the k of the
        grid; without it the k of the grid.

    Returns
    -------
    accuracy : ndarray, shape (K,)
        Averaged accuracy at each k.
    jacobian : ndarray, shape (K, p)
        Its derivative by the coefficients, for delta-method errors.
    """
    m = len(data.profiles)
    levels = np.asarray(data.ks, dtype=np.float64) if at is None else at
    ks = np.repeat(levels, m)
    profiles = np.tile(data.profiles, (len(levels), 1))
    X = design(fitted.curve, data.ks, ks, np.full(len(ks), c), profiles)
    eta = X @ fitted.fit.params
    if fitted.link == "logit":
        mu = 1 / (1 + np.exp(-eta))
        slope = mu * (1 - mu)
    else:
        mu, slope = eta, np.ones_like(eta)
    shape = (len(levels), m)
    accuracy = mu.reshape(shape) @ data.profile_shares
    weighted = (slope[:, None] * X).reshape(*shape, X.shape[1])
    return accuracy, np.einsum("kmp,m->kp", weighted, data.profile_shares)


def _formula(curve: Curve, ks: Sequence[int], covariate_names: Sequence[str]) -> str:
    terms = list(dict.fromkeys(name.partition("[")[0] for name in covariate_names))
    base = {"saturated": "C(k) * c", "quadratic": "(x + I(x**2)) * c"}.get(curve)
    if base is None:
        inner, ends = (", ".join(f"{x:.4g}" for x in part) for part in knots_of(ks))
        base = f"ns(x, knots=c({inner}), Boundary.knots=c({ends})) * c"
    return "score ~ " + " + ".join([base, *terms])
