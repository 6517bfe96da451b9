"""The richest random effects that the data bear: a ladder, left downwards only for cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.mixed.design import check_columns
from analysis.mixed.fitting import Family, Method, fit
from analysis.mixed.formula import parse
from analysis.mixed.result import MixedFit
from complexity.errors import InputError, listing


@dataclass(frozen=True, eq=False)
class Rung:
    """A set of random terms that was tried.

    Attributes
    ----------
    random : str
        The random terms.
    fit : MixedFit or None
        None where the data cannot bear the terms at all.
    left_for : str or None
        Why it was left; None for the rung kept.
    """

    random: str
    fit: MixedFit | None
    left_for: str | None


@dataclass(frozen=True, eq=False, repr=False)
class Ladder:
    """Fits from the richest random effects down to the first that holds.

    Attributes
    ----------
    rungs : tuple of Rung
        Those tried, the richest first.
    kept : MixedFit
        The fit to use.
    rung : str
        Its random terms.
    held : bool
        The rung kept is neither singular nor unconverged. False when no rung was: then it is
        the last one that could be fitted.
    words : str
        Which rung was kept, and why each other was left, one line each.
    """

    rungs: tuple[Rung, ...]
    kept: MixedFit
    rung: str
    held: bool
    words: str

    def __repr__(self) -> str:
        return self.words


def fit_ladder(
    fixed: str,
    data: pd.DataFrame,
    rungs: Sequence[str],
    *,
    family: Family = "gaussian",
    method: Method | None = None,
    weights: str | None = None,
) -> Ladder:
    """Fit with the richest random terms, and with simpler ones only where those fail.

    A rung is left because a random effect has no variance, a correlation is at its limit,
    the search did not converge, or there are too few rows for the terms; never for a p-value
    or an information criterion, which would make the errors of the fixed effects too small.

    Parameters
    ----------
    fixed : str
        Outcome and fixed part: ``correct ~ x * c``.
    data : DataFrame
    rungs : sequence of str
        Random terms, the richest first (`rungs_of`).
    family, method, weights
        As `analysis.mixed.fit` has them.

    Returns
    -------
    Ladder

    Raises
    ------
    InputError
        Without rungs, and when no rung can be fitted: what is wrong with the last one.
    """
    if isinstance(rungs, str) or not list(rungs):
        raise InputError(
            "a ladder is a list of random terms, the richest first: ['(1 + x | image)', "
            "'(1 | image)']"
        )
    if "|" in fixed:
        raise InputError(f"'{fixed}' has random terms; they belong to the rungs")
    tried: list[Rung] = []
    for random in rungs:
        # A misspelt column is to be mended, not stepped over.
        check_columns(parse(f"{fixed} + {random}"), data)
        try:
            found = fit(f"{fixed} + {random}", data, family=family, method=method, weights=weights)
        except InputError as error:
            tried.append(Rung(random, None, f"it cannot be fitted: {error}"))
            continue
        reason = left_for(found)
        tried.append(Rung(random, found, reason))
        if reason is None:
            break
    fitted = [(rung, rung.fit) for rung in tried if rung.fit is not None]
    if not fitted:
        raise InputError(f"no rung of the ladder: {tried[-1].left_for}")
    held = fitted[-1][0].left_for is None
    # When none holds: a simpler one that converged rather than one that did not.
    sound = [pair for pair in fitted if pair[1].converged] or fitted
    rung, kept = sound[-1]
    lines = [f"random effects kept: {rung.random}"]
    if not held:
        lines[0] += f", although {rung.left_for}: no rung holds"
    lines += [f"left: {other.random}: {other.left_for}" for other in tried if other is not rung]
    return Ladder(tuple(tried), kept, rung.random, held, "\n".join(lines))


def left_for(found: MixedFit) -> str | None:
    """Say why a fit's rung is to be left; None when it holds."""
    if not found.converged:
        return "the search did not converge"
    if not found.singular:
        return None
    zero = [
        f"{part.term} by {part.group}"
        for part in found.random
        if part.term2 is None and part.sd_or_corr < 1e-4
    ]
    limit = [
        f"{part.term}, {part.term2} by {part.group}"
        for part in found.random
        if part.term2 is not None and abs(part.sd_or_corr) > 1 - 1e-6
    ]
    reasons = []
    if zero:
        reasons.append(f"no variance of {listing(zero)}")
    if limit:
        reasons.append(f"a correlation at its limit ({listing(limit)})")
    return "singular: " + (
        " and ".join(reasons) if reasons else "a combination of random effects has no variance"
    )


def rungs_of(
    x: str = "x", image: str = "image", question: str = "question", curve: str | None = None
) -> tuple[str, ...]:
    """Give the ladder of designs in which every question of an image is seen at every k.

    Parameters
    ----------
    x : str
        Column of log2 k.
    image, question : str
        Columns of the nested groupings.
    curve : str, optional
        How the effect of k varies between images on the richest rung; default
        ``x + I(x**2)``.

    Returns
    -------
    tuple of str
        The curve by image and a slope by question; slopes at both; a slope by image;
        intercepts.
    """
    inner = f"{image}:{question}"
    return (
        f"(1 + {curve or f'{x} + I({x}**2)'} | {image}) + (1 + {x} | {inner})",
        f"(1 + {x} | {image}) + (1 + {x} | {inner})",
        f"(1 + {x} | {image}) + (1 | {inner})",
        f"(1 | {image}) + (1 | {inner})",
    )
