"""Bootstrap of a fit: parametric, or of clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from analysis.mixed.apart import do
from analysis.mixed.clustered import FEW_CLUSTERS, FloatArray
from analysis.mixed.refit import Refit, Refits
from analysis.mixed.result import MixedFit
from analysis.mixed.simulating import Simulator, check_seed, stream
from analysis.threads import one_thread
from complexity.errors import InputError, did_you_mean, listing

Kind = Literal["parametric", "cluster"]
Interval = Literal["percentile", "basic", "normal", "bca"]
Statistic = Callable[[Refit], Mapping[str, float]]


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap:
    """Draws of a bootstrap.

    Attributes
    ----------
    names : tuple of str, length m
        Fixed effects, ``SD group term``, ``correlation group term, term`` and
        ``SD residual``, or those of the statistic.
    estimate : ndarray, shape (m,)
        Of the fit.
    draws : ndarray, shape (n_sets, m)
        NaN in the rows of failed refits, and where a statistic is not defined (a correlation
        with a random effect of no variance).
    kind : str
        ``parametric`` or ``cluster``.
    method : str
        What was drawn and how it was fitted, in words.
    seed : int
    n_failed : int
        Refits that did not converge or could not be made.
    singular_share : float
        Of the refits that were made: with a random effect of no variance, or a correlation at
        its limit.
    failures : mapping of str to int
        Why, and how often.
    acceleration : ndarray, shape (m,), or None
        Of the BCa interval; None where it cannot be had.
    warnings : tuple of str
    """

    names: tuple[str, ...]
    estimate: FloatArray
    draws: FloatArray
    kind: Kind
    method: str
    seed: int
    n_failed: int
    singular_share: float
    failures: Mapping[str, int] = field(default_factory=dict)
    acceleration: FloatArray | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    def _columns(self) -> list[FloatArray]:
        return [column[np.isfinite(column)] for column in self.draws.T]

    def se(self) -> FloatArray:
        """Give standard deviations of the draws, shape (m,); NaN with fewer than two."""
        return np.array([np.std(c, ddof=1) if len(c) > 1 else np.nan for c in self._columns()])

    def bias(self) -> FloatArray:
        """Mean of the draws less the estimate, shape (m,)."""
        means = [c.mean() if len(c) else np.nan for c in self._columns()]
        return np.asarray(np.array(means) - self.estimate)

    def __repr__(self) -> str:
        lines = [self.method, self.tidy().to_string(index=False)]
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])

    def conf_int(self, level: float = 0.95, kind: Interval = "percentile") -> FloatArray:
        """Give bootstrap intervals.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        kind : {"percentile", "basic", "normal", "bca"}
            Quantiles of the draws; these mirrored at the estimate; estimate less bias, plus
            and minus normal quantiles times the standard error; quantiles corrected for bias
            and acceleration (Efron 1987, doi:10.1080/01621459.1987.10478410), for draws of
            clusters.

        Returns
        -------
        ndarray, shape (m, 2)

        Raises
        ------
        InputError
            For another kind or level, and BCa without an acceleration.
        """
        if kind not in get_args(Interval):
            raise InputError(f"unknown interval '{kind}'{did_you_mean(kind, get_args(Interval))}")
        if not 0 < level < 1:
            raise InputError(f"a confidence level lies between 0 and 1, not {level:g}")
        if kind == "normal":
            width = float(ndtri((1 + level) / 2)) * self.se()
            centre = self.estimate - self.bias()
            return np.column_stack([centre - width, centre + width])
        tails = np.array([(1 - level) / 2, (1 + level) / 2])
        at = np.tile(tails, (len(self.names), 1))
        if kind == "bca":
            at = self._corrected(tails)
        found = np.full((len(self.names), 2), np.nan)
        for j, draws in enumerate(self._columns()):
            if len(draws) > 1 and np.isfinite(at[j]).all():
                found[j] = np.quantile(draws, at[j])
        if kind == "basic":
            found = 2 * self.estimate[:, None] - found[:, ::-1]
        return found

    def _corrected(self, tails: FloatArray) -> FloatArray:
        if self.acceleration is None:
            raise InputError(
                "no BCa interval: it needs the influence of single clusters, which is had for "
                "draws of clusters, away from the boundary and without crossed factors; use "
                "'percentile' or 'basic'"
            )
        found = np.empty((len(self.names), 2))
        for j, draws in enumerate(self._columns()):
            below = np.mean(draws < self.estimate[j]) + np.mean(draws == self.estimate[j]) / 2
            z0 = ndtri(below) if 0 < below < 1 else np.nan
            moved = z0 + ndtri(tails)
            found[j] = ndtr(z0 + moved / (1 - self.acceleration[j] * moved))
        return found

    def tidy(self, level: float = 0.95, kind: Interval = "percentile") -> pd.DataFrame:
        """Tabulate.

        Returns
        -------
        DataFrame
            ``term``, ``estimate``, ``bias``, ``se``, ``ci_low``, ``ci_high``, ``n_used``
            (draws in which it is defined); ``attrs`` hold `method`, `n_failed` and the
            interval's ``kind``.
        """
        interval = self.conf_int(level, kind)
        frame = pd.DataFrame(
            {
                "term": list(self.names),
                "estimate": self.estimate,
                "bias": self.bias(),
                "se": self.se(),
                "ci_low": interval[:, 0],
                "ci_high": interval[:, 1],
                "n_used": [len(column) for column in self._columns()],
            }
        )
        frame.attrs.update(method=self.method, n_failed=self.n_failed, interval=kind)
        return frame


@dataclass(frozen=True, eq=False)
class _Draws:
    """The work of one set: a refit, or why there is none."""

    refits: Refits
    simulator: Simulator | None
    seed: int
    one_step: bool

    def one(self, index: int) -> Refit | str:
        try:
            if self.simulator is not None:
                return self.refits.outcome(self.simulator.draw(self.seed, index))
            n = self.refits.n_clusters
            counts = np.bincount(stream(self.seed, index).integers(n, size=n), minlength=n)
            if self.one_step:
                return self.refits.one_step(counts)
            return self.refits.clusters(counts)
        except InputError as error:
            return str(error)


@one_thread
def bootstrap(
    fit: MixedFit,
    n_sets: int = 999,
    kind: Kind = "parametric",
    *,
    cluster: str | npt.ArrayLike | None = None,
    statistic: Statistic | None = None,
    seed: int = 0,
    workers: int = 1,
    one_step: bool = False,
) -> Bootstrap:
    """Draw new data and refit, many times.

    Parameters
    ----------
    fit : MixedFit
        Mixed or not.
    n_sets : int
        At least 2.
    kind : {"parametric", "cluster"}
        New outcomes from the model, its random effects drawn anew; or clusters drawn with
        replacement, every copy with groups of its own.
    cluster : str or array_like, optional
        For clusters: see `analysis.mixed.refit.Refits`. Default: the outermost grouping, or
        the cluster of a cluster-robust fit.
    statistic : callable, optional
        From a `Refit` to named numbers. Default: fixed effects, SDs and correlations of the
        random effects, residual SD.
    seed : int
        Not negative. Draws depend on nothing else, not on the number of workers.
    workers : int
        Processes.
    one_step : bool
        For clusters: one step from the estimates instead of a refit (`Refits.one_step`).

    Returns
    -------
    Bootstrap
        Failed refits are counted and their reasons kept; they are NaN in the draws.

    Raises
    ------
    InputError
        For options that do not go together, fits that cannot be drawn from, and one-step
        draws where they would mislead.
    """
    if kind not in get_args(Kind):
        raise InputError(f"unknown bootstrap '{kind}'{did_you_mean(kind, get_args(Kind))}")
    if not isinstance(n_sets, (int, np.integer)) or n_sets < 2:
        raise InputError(f"n_sets counts the draws, from 2 on, not {n_sets}")
    check_seed(seed)
    if kind == "parametric" and (cluster is not None or one_step):
        raise InputError("cluster and one_step are for kind='cluster'; leave them out")
    simulator = Simulator(fit) if kind == "parametric" else None
    refits = Refits(fit, cluster)
    if kind == "cluster" and not refits.n_clusters:
        raise InputError("nothing to draw: name the cluster (cluster='image')")
    cut = refits.cut_through() if kind == "cluster" else ()
    if cut and cluster is None:
        groups = listing(dict.fromkeys(block.group for block in refits.groupings()))
        raise InputError(
            f"the groupings cross ({groups}): name the cluster to draw (cluster=...). What varies "
            "between the levels of the others is then not in the errors; kind='parametric' has it"
        )
    if one_step:
        refused = refits.one_step_refused()
        if refused is not None:
            raise InputError(refused)
    names, estimate, measure = _measured(refits, statistic)
    refits.prepare(drawing=simulator is None, one_step=one_step)
    found = do(_Draws(refits, simulator, seed, one_step), n_sets, workers)
    draws = np.full((n_sets, len(names)), np.nan)
    failures: Counter[str] = Counter()
    made = singular = 0
    for row, refit in zip(draws, found, strict=True):
        if isinstance(refit, str):
            failures[refit] += 1
        elif not refit.converged:
            failures["the search did not converge"] += 1
        else:
            made += 1
            singular += refit.singular
            row[:] = measure(refit)
    n_failed = sum(failures.values())
    warnings = []
    if n_failed:
        reasons = listing(f"{count} × {reason}" for reason, count in failures.most_common())
        warnings.append(f"{n_failed} of {n_sets} refits failed and are left out: {reasons}")
    share = singular / made if made else float("nan")
    if singular:
        warnings.append(f"{singular} of {made} refits were singular")
    if cut:
        warnings.append(
            f"the levels of {listing(cut)} were kept in every draw: errors leave out what varies "
            "between them"
        )
    if kind == "cluster" and refits.n_clusters < FEW_CLUSTERS:
        warnings.append(
            f"only {refits.n_clusters} clusters: the bootstrap's errors tend to be too small"
        )
    return Bootstrap(
        names=names,
        estimate=estimate,
        draws=draws,
        kind=kind,
        method=_words(refits, n_sets, one_step=one_step, parametric=simulator is not None),
        seed=int(seed),
        n_failed=n_failed,
        singular_share=share,
        failures=dict(failures),
        acceleration=None if simulator is not None else _acceleration(refits, measure),
        warnings=tuple(warnings),
    )


def _measured(
    refits: Refits, statistic: Statistic | None
) -> tuple[tuple[str, ...], FloatArray, Callable[[Refit], FloatArray]]:
    """Names, the fit's own values, and how to get those of a refit."""
    if statistic is None:
        return refits.labels, refits.values(refits.estimate), refits.values
    given = statistic(refits.estimate)
    if not isinstance(given, Mapping) or not given:
        raise InputError("a statistic gives named numbers: {'name': value, ...}")
    names = tuple(str(name) for name in given)

    def measure(refit: Refit) -> FloatArray:
        values = statistic(refit)
        return np.array([float(values[name]) for name in given])

    return names, np.array([float(value) for value in given.values()]), measure


def _acceleration(refits: Refits, measure: Callable[[Refit], FloatArray]) -> FloatArray | None:
    """Acceleration from leaving out each cluster in turn, by one step."""
    if not refits.can_leave_out():
        return None
    everything = np.ones(refits.n_clusters, dtype=np.int64)
    without = []
    for g in range(refits.n_clusters):
        counts = everything.copy()
        counts[g] = 0
        try:
            without.append(measure(refits.left_out(counts)))
        except InputError:
            return None
    apart = np.mean(without, axis=0) - np.array(without)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (apart**3).sum(axis=0) / (6 * (apart**2).sum(axis=0) ** 1.5)
    return np.asarray(found, dtype=np.float64)


def _words(refits: Refits, n_sets: int, *, one_step: bool, parametric: bool) -> str:
    if parametric:
        return f"parametric bootstrap, {n_sets} sets, random effects drawn anew"
    assert refits.clusters_drawn is not None
    how = "one step each" if one_step else "refitted"
    name, n = refits.clusters_drawn.name, refits.n_clusters
    return f"cluster bootstrap, {n_sets} draws of {n} clusters ({name}), {how}"
