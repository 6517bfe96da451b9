"""The test of a common optimum under every reasonable choice: a specification curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.optimum.cells import Cells, best_index, cells_of, complete_samples
from analysis.optimum.common import common_on_curve, common_optimum
from analysis.optimum.curves import Curve as CurveOfK
from analysis.optimum.curves import (
    CurveData,
    averaged_curve,
    fit_curve,
    lack_of_fit_design,
    prepare,
    standardise,
)
from analysis.optimum.hypotheses import widened_test
from analysis.robustness.rungs import on_rungs
from complexity.errors import InputError

Array = NDArray[np.float64]
Ends = Literal["halves", "thirds", "quarters", "equal widths", "±1 SD"]
Curve = Literal["means", "logit", "linear", "quadratic"]
Coding = Literal["score", "right", "exact"]
SHARES: dict[Ends, float] = {"halves": 1 / 2, "thirds": 1 / 3, "quarters": 1 / 4}
EQUAL: Ends = "equal widths"
#: Draws behind a p: its Monte Carlo error near .05 is .0015.
DRAWS = 20_000
#: A score from here on counts as right when scores are made right or wrong.
RIGHT = 0.5
#: Ends of equal widths hold at least so many images.
FEWEST = 8


@dataclass(frozen=True)
class Specification:
    """One way to ask whether a single k is optimal at both ends of complexity.

    Attributes
    ----------
    metric : str
        What complexity is.
    ends : {"halves", "thirds", "quarters", "equal widths", "±1 SD"}
        Which images are its ends: shares of the images, outer thirds of the range of complexity
        (5 to 95 %), or a regression's curve at ±1 SD.
    curve : {"means", "logit", "linear", "quadratic"}
        Means at the ends; or the saturated logit, or linear probability model, of k × c; or a
        quadratic logit in log2 k, where it is not rejected against the saturated one.
    coding : {"score", "right", "exact"}
        The score as it is; right from `RIGHT` on, or at 1 only (soft scores only).
    adjusted : bool
        Whether the regression adjusts for the covariates.
    effects : str
        ``clustered`` by image, without random effects; or ``rung 1`` to ``rung 3``, the random
        effects of a mixed logit (`analysis.optimum.rung.RUNGS`), for the first metric only and
        where that rung is neither singular nor unconverged.
    """

    metric: str
    ends: Ends
    curve: Curve
    coding: Coding
    adjusted: bool
    effects: str = "clustered"


@dataclass(frozen=True)
class Verdict:
    """What a specification says.

    Attributes
    ----------
    specification : Specification
    p : float
        Of the null that some k is optimal at both ends.
    common : tuple of int
        The k not rejected.
    best_low, best_high : int
        Arg max at the ends, ties to the smaller.
    """

    specification: Specification
    p: float
    common: tuple[int, ...]
    best_low: int
    best_high: int


def verdicts(
    rows: pd.DataFrame,
    complexity: pd.DataFrame,
    covariates: Sequence[str],
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
) -> list[Verdict]:
    """Ask the question of one model's results in every way.

    Parameters
    ----------
    rows : DataFrame
        Of one model: `image_id`, `sample_id`, `k`, `score` and the covariates.
    complexity : DataFrame, index image id
        One column per metric, the primary one first.
    covariates : sequence of str
    rng : numpy.random.Generator
        The source of the Monte Carlo p-values.
    alpha : float
        Level of the sets of k.

    Returns
    -------
    list of Verdict
        Metric by metric. A specification that cannot be fitted is left out.
    """
    rows = complete_samples(rows)[0]
    soft = bool(((rows["score"] > 0) & (rows["score"] < 1)).any())
    found = []
    codings: tuple[Coding, ...] = ("score", "right", "exact") if soft else ("score",)
    for coding in codings:
        coded = rows
        if coding != "score":
            least = RIGHT if coding == "right" else 1.0
            coded = rows.assign(score=(rows["score"] >= least).astype(float))
        cells = cells_of(coded)
        for metric in complexity.columns:
            c = complexity[metric].dropna()
            known = np.isin(np.asarray(cells.images), c.index.to_numpy(dtype=str))
            part = cells.take(known)
            if len(part.images) < 8 or c.nunique() < 2:
                continue
            name = str(metric)
            values = c.loc[list(part.images)].to_numpy(dtype=np.float64)
            for ends in (*SHARES, EQUAL):
                spec = Specification(name, ends, "means", coding, adjusted=False)
                found.append(_at_ends(spec, part, values, rng, alpha))
            found += _on_curves(
                name, coding, coded, c, covariates, rng, alpha, metric == complexity.columns[0]
            )
    return [verdict for verdict in found if verdict is not None]


def ends_of(values: Array, share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Images at or below one quantile of complexity, and those above the opposite one."""
    low = values <= np.quantile(values, share)
    high = values > np.quantile(values, 1 - share)
    return low, high


def outer_thirds(values: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Images in the lower and in the upper third of the range from the 5 to the 95 % quantile."""
    low, high = np.quantile(values, [0.05, 0.95])
    width = (high - low) / 3
    return values <= low + width, values > high - width


def has_two_ends(values: Array, share: float) -> bool:
    """Whether `ends_of` gives two groups of two or more images that share none."""
    low, high = ends_of(values, share)
    return min(int(low.sum()), int(high.sum())) >= 2 and not bool((low & high).any())


def _at_ends(
    spec: Specification, cells: Cells, values: Array, rng: np.random.Generator, alpha: float
) -> Verdict | None:
    from scipy.linalg import block_diag

    equal = spec.ends == EQUAL
    masks = outer_thirds(values) if equal else ends_of(values, SHARES[spec.ends])
    fewest = FEWEST if equal else 2
    if min(mask.sum() for mask in masks) < fewest or (masks[0] & masks[1]).any():
        return None
    ends = [cells.take(mask) for mask in masks]
    found = common_optimum(
        cells.ks,
        [end.means() for end in ends],
        block_diag(*(end.test_covariance() for end in ends)),
        [len(end.images) for end in ends],
        rng,
        alpha=alpha,
        n_draws=DRAWS,
    )
    best = [cells.ks[best_index(end.means())] for end in ends]
    return Verdict(spec, found.p, found.kept, best[0], best[1])


def _on_curves(
    metric: str,
    coding: Coding,
    rows: pd.DataFrame,
    c: pd.Series,
    covariates: Sequence[str],
    rng: np.random.Generator,
    alpha: float,
    primary: bool,
) -> Iterator[Verdict | None]:
    scaled = standardise(c.astype(float))
    used = [name for name in covariates if name != metric]
    for names in ([], used) if used else ([],):
        kept = rows[rows["image_id"].isin(scaled.index)].dropna(subset=names)
        if kept["image_id"].nunique() < 8:
            continue
        data = prepare(kept, scaled, names)
        at = (
            max(-1.0, float(np.quantile(data.c, 0.05))),
            min(1.0, float(np.quantile(data.c, 0.95))),
        )
        curves: tuple[Curve, ...] = ("logit", "linear")
        if _quadratic_fits(data, alpha):
            curves += ("quadratic",)
        for curve in curves:
            spec = Specification(metric, "±1 SD", curve, coding, bool(names))
            shape: CurveOfK = "quadratic" if curve == "quadratic" else "saturated"
            try:
                fitted = fit_curve(data, shape, "identity" if curve == "linear" else "logit")
            except InputError:
                continue
            if fitted.fit.separated or not fitted.fit.converged:
                continue
            found = common_on_curve(data, fitted, rng, alpha=alpha, n_draws=DRAWS)
            best = [data.ks[best_index(averaged_curve(data, fitted, x)[0])] for x in at]
            yield Verdict(spec, found.p, found.kept, best[0], best[1])
        if primary and len(names) == len(used):
            for rung, found, tops in on_rungs(
                data, kept["sample_id"], at, rng, alpha=alpha, n_draws=DRAWS
            ):
                spec = Specification(metric, "±1 SD", "logit", coding, bool(names), f"rung {rung}")
                yield Verdict(spec, found.p, found.kept, *tops)


def _quadratic_fits(data: CurveData, alpha: float) -> bool:
    """Whether a quadratic is not rejected against the saturated curve, complexity included."""
    if len(data.ks) < 4:
        return False
    test = widened_test(data, *lack_of_fit_design(data))
    return test.p is not None and test.p > alpha


def as_frame(found: Sequence[Verdict], model: str) -> pd.DataFrame:
    """Lay verdicts out, one a row.

    Returns
    -------
    DataFrame
        `model`, `metric`, `ends`, `curve`, `coding`, `adjusted`, `p`, `common` (list of int),
        `best_low`, `best_high`.
    """
    return pd.DataFrame(
        [
            {
                "model": model,
                **vars(verdict.specification),
                "p": verdict.p,
                "common": list(verdict.common),
                "best_low": verdict.best_low,
                "best_high": verdict.best_high,
            }
            for verdict in found
        ]
    )
