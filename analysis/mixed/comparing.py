"""Likelihood-ratio tests of nested models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtrc

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design, RandomBlock
from analysis.mixed.modes import model_of
from analysis.mixed.predicting import trials_of
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit

#: A column whose part outside a span is shorter than this share of it lies within.
_WITHIN = 1e-7
#: Twice the log-likelihoods may differ by this in the wrong direction: their own precision.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class LikelihoodRatioTest:
    """A test of a model against a larger one that contains it.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods, not negative.
    df : int
        Parameters that the larger model has more.
    p : float
        From chi-square with `df` degrees of freedom.
    p_mixture : float or None
        From the even mixture of chi-square with 0 and with 1 degree of freedom, where the
        models differ by one variance alone.
    method : str
        Which reference gave p, in words.
    warnings : tuple of str
        What a reader of p must know.
    """

    statistic: float
    df: int
    p: float
    p_mixture: float | None
    method: str
    warnings: tuple[str, ...] = ()


def lr_test(smaller: MixedFit, larger: MixedFit) -> LikelihoodRatioTest:
    """Test a model against a larger one fitted to the same rows.

    Parameters
    ----------
    smaller, larger : MixedFit
        Both by maximum likelihood, or both by REML with the same fixed part.

    Returns
    -------
    LikelihoodRatioTest
        Where variances are tested, which are zero at the edge of what is possible, p is too
        large (conservative); a warning says so, and `p_mixture` is exact for large samples
        where one variance alone is tested (Self & Liang 1987, doi:10.1080/01621459.1987.10478472;
        Stram & Lee 1994, doi:10.2307/2533455).

    Raises
    ------
    InputError
        For other families, methods, outcomes or rows; REML fits with different fixed parts;
        quasi-likelihoods and cluster-robust fits; fits that did not converge; and models of
        which the smaller is not contained in the larger.

    Notes
    -----
    The fixed part of the smaller must lie in the span of the larger's columns, and each of its
    random terms within one of the larger's over the same groups. Of a random term over finer
    groups than any of the larger's it is only known that its columns lie in that one's span:
    a warning says then that the models are taken to be nested.
    """
    for fit in (smaller, larger):
        _check_likelihood(fit)
    one, two = model_of(smaller, mixed=False).design, model_of(larger, mixed=False).design
    _check_alike(smaller, larger, one, two)
    df = parameters(larger) - parameters(smaller)
    if df <= 0:
        raise InputError(
            f"'{larger.formula}' has not more parameters than '{smaller.formula}': give the "
            "smaller model first, and models of which one contains the other"
        )
    outside = _outside(one.X, two.X)
    if outside.any():
        names = [name for name, is_out in zip(one.names, outside, strict=True) if is_out]
        raise InputError(
            f"{listing(names)} of '{smaller.formula}' cannot be had from the fixed part of "
            f"'{larger.formula}': the models are not nested"
        )
    if smaller.method == "reml":
        _check_reml(one, two)
    warnings = _random_part(smaller, larger, one.random, two.random)
    assert smaller.loglik is not None
    assert larger.loglik is not None
    statistic = 2 * (larger.loglik - smaller.loglik)
    if statistic < -_ROUNDING:
        raise InputError(
            f"'{larger.formula}' fits worse than '{smaller.formula}' (log-likelihood "
            f"{larger.loglik:.4f} and {smaller.loglik:.4f}): the models are not nested"
        )
    statistic = max(statistic, 0.0)
    mixture = None
    variances = _variances(two.random) - _variances(one.random)
    if variances > 0:
        warnings.append(
            "a variance is tested, which cannot be negative: p from chi-square is conservative"
        )
        if variances == df == 1:
            mixture = 0.5 * float(chdtrc(1, statistic)) if statistic > 0 else 1.0
            warnings[-1] += "; p_mixture is from the even mixture of chi-square with 0 and 1 df"
    elif smaller.singular or larger.singular:
        warnings.append(
            "a fit is singular, at the edge of what is possible: the chi-square reference is rough"
        )
    how = "REML" if smaller.method == "reml" else "ML"
    return LikelihoodRatioTest(
        statistic,
        df,
        float(chdtrc(df, statistic)),
        mixture,
        f"likelihood ratio ({how}), chi-square with {df} df",
        tuple(warnings),
    )


def _check_likelihood(fit: MixedFit) -> None:
    if fit.loglik is None:
        raise InputError(
            f"'{fit.formula}' has been corrected for bias and has no likelihood; compare the fits "
            "before the correction"
            if "corrected" in fit.engine
            else f"'{fit.formula}' is a quasi-likelihood (outcomes between 0 and 1): no "
            "likelihood-ratio test; use wald_test with its robust covariance"
        )
    if fit.covariance != "model":
        raise InputError(
            f"'{fit.formula}' was fitted with a {fit.covariance} covariance: its likelihood takes "
            "rows as independent; use wald_test"
        )
    if not fit.converged:
        raise InputError(f"'{fit.formula}' did not converge: its likelihood is not its maximum")


def _check_alike(smaller: MixedFit, larger: MixedFit, one: Design, two: Design) -> None:
    for what in ("family", "method"):
        first, second = getattr(smaller, what), getattr(larger, what)
        if first != second:
            raise InputError(
                f"the models differ in {what} ({first} and {second}): fit both alike"
                + (", with method='ml'" if what == "method" else "")
            )
    if len(one.y) != len(two.y):
        raise InputError(
            f"the models were fitted to {len(one.y):,} and {len(two.y):,} rows: fit both to the "
            "same rows (leave out those with missing values first)"
        )
    same = np.array_equal(one.y, two.y) and np.array_equal(trials_of(one), trials_of(two))
    if same and one.frame is not None and two.frame is not None:
        shared = [name for name in one.frame if name in two.frame]
        same = all(
            np.array_equal(one.frame[name].to_numpy(), two.frame[name].to_numpy())
            for name in shared
        )
    if not same:
        raise InputError(
            "the models were fitted to different rows or outcomes: fit both to the same table, "
            "rows in the same order"
        )


def parameters(fit: MixedFit) -> int:
    """Count fixed effects and parameters of the random effects; the residual is in both fits."""
    return len(fit.params) + len(model_of(fit, mixed=False).theta)


def _outside(columns: FloatArray, span: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each column lies outside the span of others."""
    basis = np.linalg.qr(span / np.linalg.norm(span, axis=0))[0]
    unit = columns / np.linalg.norm(columns, axis=0)
    rest: npt.NDArray[np.bool_] = np.linalg.norm(unit - basis @ (basis.T @ unit), axis=0) > _WITHIN
    return rest


def _check_reml(one: Design, two: Design) -> None:
    """REML likelihoods are of different contrasts of the outcome when fixed parts differ."""
    if _outside(two.X, one.X).any():
        raise InputError(
            "REML likelihoods of models with different fixed parts cannot be compared: fit both "
            "with method='ml'"
        )
    # The criterion holds log |X'X|, which depends on how the same span is written.
    sizes = [np.linalg.slogdet(design.X.T @ design.X)[1] for design in (one, two)]
    if abs(sizes[0] - sizes[1]) > 1e-6:
        raise InputError(
            "the fixed parts are the same but coded differently, which REML likelihoods depend "
            "on: write them alike, or fit both with method='ml'"
        )


def _variances(blocks: Sequence[RandomBlock]) -> int:
    return sum(len(block.names) for block in blocks)


def _random_part(
    smaller: MixedFit, larger: MixedFit, one: Sequence[RandomBlock], two: Sequence[RandomBlock]
) -> list[str]:
    """Check that each random term of the smaller is in one of the larger; give warnings."""
    warnings = []
    for block in one:
        name = f"({' + '.join(block.names)} | {block.group})"
        over = [other for other in two if _pairs(block, other) == block.n_levels == other.n_levels]
        if any(not _outside(block.Z, other.Z).any() for other in over):
            continue
        coarser = [other for other in two if _pairs(block, other) == block.n_levels]
        if not over and any(_within_groups(block, other) for other in coarser):
            warnings.append(
                f"{name} of the smaller model is not in the larger one, which has coarser groups: "
                "the models are taken to be nested"
            )
            continue
        raise InputError(
            f"the random term {name} of '{smaller.formula}' is not part of '{larger.formula}': "
            "the models are not nested"
        )
    return warnings


def _pairs(block: RandomBlock, other: RandomBlock) -> int:
    """Count the combinations of groups: as many as groups where these are within the others."""
    return len(pd.unique(block.codes * other.n_levels + other.codes))


def _within_groups(block: RandomBlock, other: RandomBlock) -> bool:
    """Whether columns of finer groups lie in the span of the coarser groups' columns."""
    order = np.argsort(other.codes, kind="stable")
    starts = np.flatnonzero(np.diff(other.codes[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        span = other.Z[rows]
        for code in pd.unique(block.codes[rows]):
            columns = block.Z[rows] * (block.codes[rows] == code)[:, None]
            fitted = span @ np.linalg.lstsq(span, columns, rcond=None)[0]
            if np.abs(columns - fitted).max() > _WITHIN * max(1.0, float(np.abs(columns).max())):
                return False
    return True
