"""What an active expert costs in time: mixed models and ratios that separate k from noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.latency import Z95
from analysis.mixed.wald import WaldTest
from complexity.errors import InputError
from complexity.files import plain

if TYPE_CHECKING:
    from analysis.mixed import MixedFit


#: A residual below this share of the times' spread, in a fit that did not converge, is none.
EXACT = 1e-3
#: Share of the largest time by which means of the same times may differ.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Step:
    """How much longer one k takes than the k before it.

    Attributes
    ----------
    k, next_k : int
        Neighbours on the grid.
    ratio : float
        Mean latency at `next_k` over that at `k`, items timed at both.
    ci_low, ci_high : float
        95 % interval: normal on the log scale, delta method, paired within items and clustered
        by `cluster` where the items have one. NaN with one item.
    n_items : int
    """

    k: int
    next_k: int
    ratio: float
    ci_low: float
    ci_high: float
    n_items: int


@dataclass(frozen=True)
class LatencyFit:
    """Latency regressions of one device, phase and model.

    Attributes
    ----------
    device, phase, model : str
        What was timed.
    fit : MixedFit
        k as a factor: decides.
    linear : MixedFit
        ``a + b k`` in its place: b is the cost of one more active expert, in ms.
    lack_of_fit : WaldTest or None
        That the means by k lie on a line; None with two k. Where it is rejected b is no more
        than the average slope.
    complexity : WaldTest or None
        That neither the level nor the curve in k moves with complexity, at the same number of
        image tokens where they vary; None without complexity.
    steps : tuple of Step
    """

    device: str
    phase: str
    model: str
    fit: MixedFit
    linear: MixedFit
    lack_of_fit: WaldTest | None
    complexity: WaldTest | None
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, object]:
        """Spell it as ``fits/latency.json`` holds it; wall times left out."""
        named = {"device": self.device, "phase": self.phase, "model": self.model}
        found = {
            **named,
            **_spelled(self.fit),
            "linear": _spelled(self.linear),
            "lack_of_fit": None if self.lack_of_fit is None else vars(self.lack_of_fit),
            "complexity": None if self.complexity is None else vars(self.complexity),
            "steps": [vars(step) for step in self.steps],
        }
        value = plain(found)
        assert isinstance(value, dict)
        return value


class LatencyFits(list[LatencyFit]):
    """Fits in order; what could not be fitted does not end the others.

    Parameters
    ----------
    found : iterable of LatencyFit
    refused : mapping of str to str
        What was timed (``latency of MODEL on DEVICE, PHASE``) and could not be fitted, and why.

    Attributes
    ----------
    refused : dict of str to str
    """

    def __init__(
        self, found: Iterable[LatencyFit] = (), refused: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(found)
        self.refused = dict(refused or {})


def _spelled(fit: MixedFit) -> dict[str, object]:
    content = {"formula": fit.formula, **fit.to_json()}
    content.pop("seconds")  # the only figure that differs between two equal runs
    return content


def fit_latency(items: pd.DataFrame, c: pd.Series | None) -> LatencyFits:
    """Fit ``ms ~ C(k) + c + image tokens + session + order + (1 | item)`` and its variants.

    One set of fits for each device × phase × model. k enters as a factor, because a doubling
    of k costs next to nothing where launches dominate and most of the time where the experts
    do; the line beside it gives the cost of one more expert.

    Parameters
    ----------
    items : DataFrame
        From `analysis.latency.by_item`; with a column `cluster` (the image of the item) the
        intervals of the steps are clustered by it, else by item.
    c : Series of float, index item, or None
        Standardised complexity of each item's image; items without it are left out.

    Returns
    -------
    LatencyFits
        In order of device, phase and model. A group with one k, under two items, a constant
        time (a phase that never runs) or one time for all k (an image encoded once) is left
        out: it says nothing of k; one that cannot be fitted (too few rows,
        times without any spread about their means) is in `refused`. Order, then session,
        tokens and c, leave the formula where they cannot be told from the rest, as in a session
        that took the questions by complexity.
    """
    fits, refused = [], {}
    keys = ["device", "phase", "model"]
    for (device, phase, model), rows in items.groupby(keys, sort=False, observed=True):
        if min(rows[name].nunique() for name in ("k", "item", "ms")) < 2 or _once_for_all(rows):
            continue
        try:
            fits.append(fit_group(str(device), str(phase), str(model), rows, c))
        except InputError as error:
            refused[f"latency of {model} on {device}, {phase}"] = str(error)
    return LatencyFits(fits, refused)


def _once_for_all(rows: pd.DataFrame) -> bool:
    """Say whether each item was timed once and that time stands at all of its k."""
    if not rows["item"].duplicated().any():
        return False
    times = rows.groupby("item", observed=True)["ms"]
    apart = float((times.max() - times.min()).max())
    return apart <= ROUNDING * float(rows["ms"].abs().max())


def fit_group(
    device: str, phase: str, model: str, rows: pd.DataFrame, c: pd.Series | None
) -> LatencyFit:
    """Fit one group of `fit_latency`; see there.

    Raises
    ------
    InputError
        It cannot be fitted.
    """
    data, terms = rows, list[str]()
    if c is not None:
        known = rows.assign(c=c.reindex(rows["item"]).to_numpy()).dropna(subset=["c"])
        if known["item"].nunique() >= 2 and known["c"].nunique() >= 2:
            data = known
            terms.append("c")
    if data["image_tokens"].max() > data["image_tokens"].min():
        terms.append("image_tokens")
    if len(data["run"].unique()) > 1:
        terms.append("run")
    if data["order"].max() > data["order"].min():
        terms.append("order")
    random = " + (1 | item)" if data.groupby("item", observed=True).size().max() > 1 else ""
    fitted, kept = _fit_what_can_be_told(data, terms, random)
    spread = EXACT * float(data["ms"].std())
    if not fitted.converged and (fitted.residual_sd or 0.0) < spread:
        # Some likelihoods only flatten out where no variance is left.
        raise InputError("each time is the sum of its item's and its k's: no variance is left")
    rest = "".join(f" + {term}" for term in kept)
    linear = _fit(f"ms ~ k{rest}{random}", data)
    complexity = None
    if "c" in kept:
        others = "".join(f" + {term}" for term in kept if term != "c")
        try:
            moved = _fit(f"ms ~ C(k) * c{others}{random}", data)
            complexity = moved.wald_test(["c", "C(k):c"])
        except InputError:
            # Too few rows for a curve at each complexity.
            complexity = None
    ks = [int(k) for k in np.sort(data["k"].unique())]
    return LatencyFit(
        device=device,
        phase=phase,
        model=model,
        fit=fitted,
        linear=linear,
        lack_of_fit=_off_the_line(fitted, ks),
        complexity=complexity,
        steps=step_ratios(data),
    )


def _fit_what_can_be_told(
    data: pd.DataFrame, terms: list[str], random: str
) -> tuple[MixedFit, list[str]]:
    rest = "".join(f" + {term}" for term in terms)
    try:
        return _fit(f"ms ~ C(k){rest}{random}", data), terms
    except InputError:
        if not terms:
            raise
        return _fit_what_can_be_told(data, terms[:-1], random)


def _fit(formula: str, data: pd.DataFrame) -> MixedFit:
    from analysis.mixed import fit

    return fit(formula, data)


def _off_the_line(fitted: MixedFit, ks: Sequence[int]) -> WaldTest | None:
    """Test that the factor's means change by the same amount per expert between all k."""
    if len(ks) < 3:
        return None
    columns = [0, *fitted.terms["C(k)"]]
    means = np.zeros((len(ks), len(fitted.names)))
    # The first k is the reference: its effect is 0.
    means[np.arange(1, len(ks)), columns[1:]] = 1.0
    slopes = np.diff(means, axis=0) / np.diff(ks)[:, None]
    return fitted.wald_test(np.diff(slopes, axis=0))


def step_ratios(items: pd.DataFrame) -> tuple[Step, ...]:
    """Compare the mean latency of each k with that of the k before it.

    Parameters
    ----------
    items : DataFrame
        Rows of one device, phase and model from `analysis.latency.by_item`; `cluster`
        optional.

    Returns
    -------
    tuple of Step
        One per pair of neighbours on the grid with items timed at both.
    """
    value = items.pivot_table(index="item", columns="k", values="ms", observed=True)
    cluster = (
        items.drop_duplicates("item").set_index("item")["cluster"].reindex(value.index)
        if "cluster" in items
        else pd.Series(value.index, index=value.index)
    )
    steps = []
    ks = [int(k) for k in value.columns]
    for k, next_k in pairwise(ks):
        both = value[[k, next_k]].dropna()
        if not len(both) or not (both.mean() > 0).all():
            continue
        before, after = both[k].mean(), both[next_k].mean()
        influence = (both[next_k] / after - both[k] / before) / len(both)
        sums = influence.groupby(cluster.loc[both.index].to_numpy()).sum().to_numpy()
        g = len(sums)
        se = float(np.sqrt((sums**2).sum() * g / (g - 1))) if g > 1 else float("nan")
        ratio = float(after / before)
        low, high = ratio * np.exp(-Z95 * se), ratio * np.exp(Z95 * se)
        steps.append(Step(k, next_k, ratio, float(low), float(high), len(both)))
    return tuple(steps)
