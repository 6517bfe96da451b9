"""Contrasts of marginal means and slopes: differences, odds ratios, ratios of probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.margins.adjusting import Adjust, check_adjust
from analysis.mixed.margins.contrast_weights import Custom, Method, weights_of
from analysis.mixed.margins.estimates import Estimates, Shown, families_of
from analysis.mixed.margins.grid import row_of
from analysis.mixed.margins.means import joined, names_of
from analysis.mixed.margins.rows import Predictions, combine, to_probability
from complexity.errors import InputError, did_you_mean

_DEFAULT_ADJUST: dict[str, Adjust] = {
    "pairwise": "tukey",
    "reference": "mvt",
    "consecutive": "mvt",
    "poly": "none",
}


def contrasts(
    estimates: Estimates,
    method: Method | Custom = "pairwise",
    *,
    by: str | Sequence[str] | None = None,
    reference: object = None,
    ratio: bool | None = None,
    level: float | None = None,
    adjust: str | None = None,
    across: bool = False,
) -> Estimates:
    """Compare marginal means or slopes, or compare comparisons.

    Parameters
    ----------
    estimates : Estimates
        What `marginal_means`, `slopes` or `contrasts` made; contrasts of contrasts are
        interactions.
    method : {"pairwise", "reference", "consecutive", "poly"} or mapping
        As `analysis.mixed.margins.contrast_weights.weights_of` has them; or weights by name:
        ``{"few - many": {1: 0.5, 2: 0.5, 8: -1}}``.
    by : str or sequence of str, optional
        Columns within whose combinations the others are compared, each a family of its own;
        without it those of `estimates`.
    reference : object, optional
        Level for ``reference``; the first without it.
    ratio : bool, optional
        Ratios instead of differences: odds ratios of means that were averaged on the link,
        ratios of probabilities of those averaged on the response scale. Default: odds ratios
        where probabilities are shown that were averaged on the link, else differences. False
        there takes differences of the probabilities shown.
    level : float, optional
        That of `estimates` without it.
    adjust : str, optional
        ``none``, ``bonferroni``, ``holm``, ``sidak``, ``fdr`` (Benjamini–Hochberg), ``tukey``
        (the studentised range; pairwise only) or ``mvt`` (the largest of the correlated |t|,
        also for simultaneous intervals). Default: ``tukey`` for pairwise, ``mvt`` for
        reference and consecutive, ``none`` for poly and weights. With unequal degrees of
        freedom each comparison is referred to its own.
    across : bool
        Adjust over all comparisons at once, not within each combination of `by`; not with
        ``tukey``, whose place ``mvt`` takes by default.

    Returns
    -------
    Estimates
        Errors of ratios by the delta method, intervals transformed, statistics and p of the
        log ratio being 0.

    Raises
    ------
    InputError
        For an unknown method, column or level, ratios of what may be negative, and tukey
        for anything but all pairwise comparisons.
    """
    if not isinstance(estimates, Estimates):
        raise InputError(
            "contrasts compares what marginal_means or slopes made, as in "
            "contrasts(marginal_means(fit, 'k'))"
        )
    families = estimates.by if by is None else names_of(by)
    columns = [str(name) for name in estimates.levels.columns]
    for name in families:
        if name not in columns:
            raise InputError(f"by: no column '{name}'{did_you_mean(name, columns)} among {columns}")
    compared = [name for name in columns if name not in families]
    value, gradient, scale, shown, words = _comparable(estimates, ratio)
    label = "contrast" if "contrast" not in columns else "contrast of contrasts"
    rows: list[dict[str, object]] = []
    made = []
    for members in families_of(estimates.levels, families):
        part = estimates.levels.iloc[members]
        labels = [" ".join(str(item) for item in row) for row in part[compared].to_numpy(object)]
        sign = "/" if shown == "exp" else "-"
        names, weights = weights_of(method, labels, reference=reference, sign=sign)
        if shown == "exp" and np.abs(weights.sum(axis=1)).max() > 1e-9:
            raise InputError("weights of a ratio add up to zero; give ratio=False for other sums")
        shared = row_of(part[list(families)], 0)
        rows += [{**shared, label: name} for name in names]
        made.append(Predictions(weights @ value[members], combine(weights, gradient[members])))
    found = joined(iter(made))
    pairwise = isinstance(method, str) and method == "pairwise"
    default = _DEFAULT_ADJUST.get(method, "none") if isinstance(method, str) else "none"
    if across and default == "tukey":
        default = "mvt"
    chosen = check_adjust(default if adjust is None else adjust)
    if chosen == "tukey" and (not pairwise or across):
        raise InputError("tukey is for all pairwise differences; choose mvt, sidak or holm here")
    n_means = len(estimates.levels) // max(1, len(made)) if pairwise and not across else None
    return Estimates(
        kind="contrasts",
        what=words,
        levels=pd.DataFrame(rows, columns=[*families, label]),
        value=found.value,
        gradient=found.gradient,
        source=estimates.source,
        scale=scale,
        shown=shown,
        by=() if across else families,
        level=estimates.level if level is None else level,
        adjust=chosen,
        n_means=n_means,
        notes=estimates.notes,
        details=estimates.details,
    )


def _comparable(
    estimates: Estimates, ratio: bool | None
) -> tuple[FloatArray, FloatArray, str, Shown, str]:
    """Bring estimates to the scale on which their differences are taken."""
    value, gradient, scale = estimates.value, estimates.gradient, estimates.scale
    logistic = estimates.details["family"] == "binomial"
    if estimates.kind == "contrasts":
        if ratio is not None and ratio != (estimates.shown == "exp"):
            raise InputError("ratio is chosen where means are compared first; leave it out here")
        what = "ratio of ratios" if estimates.shown == "exp" else "difference of differences"
        return value, gradient, scale, estimates.shown, what
    as_ratio = estimates.shown == "logistic" if ratio is None else ratio
    if as_ratio and (not logistic or estimates.kind == "slopes"):
        raise InputError("ratios are of probabilities or odds; these are compared by differences")
    if as_ratio:
        if scale == "link":
            return value, gradient, scale, "exp", _with_random("odds ratio", estimates)
        words = _with_random("ratio of probabilities", estimates)
        found = Predictions(np.log(value), gradient / value[:, None])
        return found.value, found.gradient, "log", "exp", words
    if estimates.shown == "logistic":
        found = to_probability(value, _blank(estimates))
        return found.value, found.gradient, "response", "as is", f"difference: {estimates.what}"
    return value, gradient, scale, "as is", f"difference: {estimates.what}"


def _blank(estimates: Estimates) -> FloatArray:
    """Make what is undefined NaN, before a small slope hides it."""
    return np.where(estimates.undefined[:, None], np.nan, estimates.gradient)


def _with_random(words: str, estimates: Estimates) -> str:
    return words + (", random effects integrated out" if estimates.details["population"] else "")
