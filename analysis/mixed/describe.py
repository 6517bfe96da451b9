"""A fit as text for reading."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit


def summary(fit: MixedFit) -> str:
    """Lay out a fit: what was fitted, fixed effects, random effects as SDs, warnings.

    Scaled residuals are Pearson's over the residual standard deviation, as lme4 shows them.

    Parameters
    ----------
    fit : MixedFit

    Returns
    -------
    str
        Several lines, the last one without a line end.
    """
    kind = "Linear" if fit.family == "gaussian" else "Logistic"
    kind += " mixed model" if fit.random else " regression"
    if fit.random or fit.family == "gaussian":
        kind += f" fitted by {fit.method.upper()}"
    lines = [
        f"{kind} ({fit.engine})",
        f"  {fit.formula}",
        f"  {fit.n_obs:,} rows{_dropped(fit)}{_groups(fit)}",
        f"  {_likelihood(fit)}",
        f"  {_verdict(fit)}",
        f"  Covariance: {fit.covariance}. p-values: {fit.p_values}.",
        "",
        "Fixed effects",
    ]
    columns = (fit.params, fit.bse, fit.tvalues, fit.pvalues, fit.conf_int())
    rows = [
        [
            name,
            number(estimate),
            number(se),
            number(statistic, 2),
            p_value(p),
            f"[{number(interval[0])}, {number(interval[1])}]",
        ]
        for name, estimate, se, statistic, p, interval in zip(fit.names, *columns, strict=True)
    ]
    head = ["term", "estimate", "SE", fit.statistic, "p", "95 % interval"]
    if isinstance(fit.df, np.ndarray):
        head.insert(4, "df")
        for row, df in zip(rows, fit.df, strict=True):
            row.insert(4, number(float(df), 1))
    lines += _table(head, rows)
    if fit.random or fit.residual_sd is not None:
        lines += ["", "Random effects (standard deviations and correlations)"]
        rows = [
            [part.group, part.term if part.term2 is None else f"{part.term}, {part.term2}", *shown]
            for part in fit.random
            for shown in [_spread(part.term2, part.sd_or_corr)]
        ]
        if fit.residual_sd is not None:
            rows.append(["residual", "", number(fit.residual_sd), ""])
        lines += _table(["group", "term", "SD", "correlation"], rows, left=2)
    if fit.random and fit.converged and fit.model is not None:
        quantiles = np.quantile(fit.residuals("scaled"), [0, 0.25, 0.5, 0.75, 1])
        lines += ["", "Scaled residuals"]
        shown = [number(float(value), 2) for value in quantiles]
        lines += _table(["min", "1st quarter", "median", "3rd quarter", "max"], [shown], left=0)
    if fit.warnings:
        lines += ["", *[f"Warning: {text}" for text in fit.warnings]]
    return "\n".join(lines)


def _spread(term2: str | None, value: float) -> list[str]:
    return [number(value), ""] if term2 is None else ["", number(value, 2)]


def _dropped(fit: MixedFit) -> str:
    return f" ({fit.n_dropped:,} with missing values left out)" if fit.n_dropped else ""


def _groups(fit: MixedFit) -> str:
    return "".join(f"; {name}: {count:,}" for name, count in fit.n_groups.items())


def _likelihood(fit: MixedFit) -> str:
    if fit.loglik is None or fit.aic is None or fit.bic is None:
        return f"Quasi-likelihood: no log-likelihood, no AIC; deviance {fit.deviance:,.2f}"
    name = "REML log-likelihood" if fit.method == "reml" else "Log-likelihood"
    return f"{name} {fit.loglik:,.3f}; AIC {fit.aic:,.2f}; BIC {fit.bic:,.2f}"


def _verdict(fit: MixedFit) -> str:
    if not fit.converged:
        return "Not converged: see the warnings"
    return "Converged, at the edge: singular" if fit.singular else "Converged"


def number(value: float, digits: int | None = None) -> str:
    """Show a number with four significant digits, or with fixed decimals."""
    if not math.isfinite(value):
        return "–"
    if digits is not None:
        return f"{value:.{digits}f}"
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3e}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 3
    return f"{value:.{min(decimals, 7)}f}"


def p_value(value: float) -> str:
    """Show a p-value; never as zero."""
    if not math.isfinite(value):
        return "–"
    return "< .0001" if value < 1e-4 else f"{value:.4f}".removeprefix("0")


def _table(head: list[str], rows: list[list[str]], left: int = 1) -> list[str]:
    """Align columns: the first `left` to the left, the rest to the right."""
    cells = [head, *rows]
    widths = [max(len(row[j]) for row in cells) for j in range(len(head))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if j < left else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
