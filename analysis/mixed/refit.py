"""Refits of a model in milliseconds: for bootstraps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.assemble import components, ready
from analysis.mixed.blocks import RandomBlock
from analysis.mixed.clustered import FloatArray
from analysis.mixed.copies import Clusters, clusters_of, copied
from analysis.mixed.logistic_mixed import outermost
from analysis.mixed.refit_mixed import MixedRefits, Refit, searched
from analysis.mixed.refit_plain import refit_plain
from analysis.mixed.result import MixedFit, VarianceComponent
from analysis.mixed.structure import IntArray
from complexity.errors import InputError

__all__ = ["Refit", "Refits"]

#: Fewer clusters than this and one step from the estimates is too rough: bootstrap errors of
#: SDs come out 18 % low with 60 clusters, 12 % with 125, 4 % with 280, 2 % with 560
#: (benchmarks/one_step.py).
FEWEST_CLUSTERS = 200
#: So it is when a relative SD is nearer to zero than this many standard errors.
NEAREST_ZERO = 6.0


class Refits:
    """A fit made ready for being fitted again and again.

    Parameters
    ----------
    fit : MixedFit
        Mixed or not.
    cluster : str, array_like of shape (n,), optional
        What `clusters` draws: a grouping of the random terms, a column of the formula, or a
        label for each row that the fit used. Default: the outermost grouping, or the cluster
        of a fit without random terms. Groupings within the clusters get new groups in every
        copy; groupings that clusters cut through (crossed ones) keep their levels.

    Attributes
    ----------
    labels : tuple of str
        Of `values`: fixed effects by name, ``SD group term``, ``correlation group term,
        term``, ``SD residual``.
    n_clusters : int
        0 where there is nothing to draw.

    Raises
    ------
    InputError
        For a fit without its model, and clusters that cannot be drawn.
    """

    def __init__(self, fit: MixedFit, cluster: str | npt.ArrayLike | None = None) -> None:
        if fit.model is None:
            raise InputError("this fit was not kept with its data; fit it again")
        # What a formula remembers of its data is of no use here, and may not travel.
        design = replace(fit.model.design, encoder=None)
        self.clusters_drawn: Clusters | None = None
        if design.random:
            ready(fit.family)
        if design.random or design.cluster is not None or cluster is not None:
            outer = outermost(design) if design.random else ""
            self.clusters_drawn = clusters_of(design, cluster, outer)
        self.n_clusters = 0 if self.clusters_drawn is None else self.clusters_drawn.n
        self._design = replace(design, frame=None)
        self.family, self.method = fit.family, fit.method
        self._linear, self._reml = fit.family == "gaussian", fit.method == "reml"
        self._params = fit.params
        self._mixed: MixedRefits | None = None
        if design.random:
            self._mixed = MixedRefits(fit, self._design, self.clusters_drawn)
        # As in the fit's own list: most levels first, a grouping's blocks together.
        groups = [block.group for block in design.random]
        self._order = sorted(
            range(len(groups)),
            key=lambda b: (-design.random[b].n_levels, groups.index(groups[b]), b),
        )
        self.estimate = Refit(
            params=fit.params,
            covariances=fit.model.covariances,
            residual_sd=fit.residual_sd,
            converged=fit.converged,
            singular=fit.singular,
            searched=True,
        )
        labels = list(fit.names)
        for component in self._components(self.estimate):
            kind = "SD" if component.term2 is None else "correlation"
            term2 = "" if component.term2 is None else f", {component.term2}"
            labels.append(f"{kind} {component.group} {component.term}{term2}")
        if fit.residual_sd is not None:
            labels.append("SD residual")
        self.labels = tuple(labels)

    def groupings(self) -> tuple[RandomBlock, ...]:
        """Give the random blocks of the fit's design."""
        return self._design.random

    def cut_through(self) -> tuple[str, ...]:
        """Name groupings that clusters cut through: draws keep their levels."""
        drawn = self.clusters_drawn
        if drawn is None:
            return ()
        found = []
        for block in self._design.random:
            pairs = pd.unique(block.codes * drawn.n + drawn.codes)
            if len(pairs) > block.n_levels:
                found.append(block.group)
        return tuple(dict.fromkeys(found))

    def _components(self, refit: Refit) -> Iterator[VarianceComponent]:
        for b in self._order:
            block = self._design.random[b]
            yield from components(block.group, block.names, refit.covariances[b])

    def values(self, refit: Refit) -> FloatArray:
        """Lay out a refit's numbers as `labels` says, shape (len(labels),); NaN where undefined."""
        found = [*refit.params, *(part.sd_or_corr for part in self._components(refit))]
        if refit.residual_sd is not None:
            found.append(refit.residual_sd)
        return np.asarray(found, dtype=np.float64)

    def outcome(self, y: npt.ArrayLike) -> Refit:
        """Fit the same design to another outcome.

        Parameters
        ----------
        y : array_like, shape (n,)
            In the order of the rows that the fit used; shares of the trials for binomial fits.

        Returns
        -------
        Refit

        Raises
        ------
        InputError
            For another length, and outcomes that cannot be fitted (separation).
        """
        values = np.asarray(y, dtype=np.float64)
        if values.shape != self._design.y.shape or not np.isfinite(values).all():
            raise InputError(
                f"an outcome of shape {values.shape} for {len(self._design.y):,} rows; give one "
                "finite value for each row that the fit used"
            )
        if not self._linear and (values.min() < 0 or values.max() > 1):
            raise InputError("a binomial outcome lies in [0, 1]: give shares of the trials")
        if self._mixed is not None:
            return self._mixed.outcome(values)
        ones = np.ones(len(values))
        return refit_plain(self._design, values, ones, self._params, linear=self._linear)

    def clusters(self, counts: npt.ArrayLike) -> Refit:
        """Fit to clusters drawn so many times each.

        Parameters
        ----------
        counts : array_like, shape (n_clusters,), int
            In the sorted order of the clusters' labels.

        Returns
        -------
        Refit

        Raises
        ------
        InputError
            For counts that do not fit, and draws that cannot be fitted (separation, a
            coefficient without rows).
        """
        drawn = self._counts(counts)
        if self._mixed is not None:
            return self._mixed.drawn(drawn)
        assert self.clusters_drawn is not None
        weights = drawn[self.clusters_drawn.codes].astype(np.float64)
        design = self._design
        return refit_plain(design, design.y, weights, self._params, linear=self._linear)

    def clusters_slowly(self, counts: npt.ArrayLike) -> Refit:
        """Do what `clusters` does from nothing, on rows put together: the reference."""
        drawn = self._counts(counts)
        assert self.clusters_drawn is not None
        design = copied(self._design, self.clusters_drawn, drawn)
        if self._mixed is not None:
            return searched(design, linear=self._linear, reml=self._reml)
        return refit_plain(design, design.y, np.ones(len(design.y)), None, linear=self._linear)

    def one_step(self, counts: npt.ArrayLike) -> Refit:
        """Approximate `clusters` by one step from the fit's estimates.

        Halley's step: from the clusters' summed scores, the Hessian of the draw and the third
        derivatives of the whole. Fits
        without random terms are refitted, which costs as little.

        Parameters
        ----------
        counts : array_like, shape (n_clusters,), int

        Returns
        -------
        Refit

        Raises
        ------
        InputError
            Where a step would mislead; `one_step_refused` says why.
        """
        drawn = self._counts(counts)
        if self._mixed is None:
            return self.clusters(drawn)
        refused = self.one_step_refused()
        if refused is not None:
            raise InputError(refused)
        return self._mixed.one_step(drawn)

    def one_step_refused(self) -> str | None:
        """Say why one step from the estimates would mislead; None where it does not."""
        mixed = self._mixed
        if mixed is None:
            return None
        if not mixed.by_group or mixed.structure.n_crossed:
            return "one step needs clusters that hold whole groups, and no crossed factors"
        if self.n_clusters < FEWEST_CLUSTERS:
            return (
                f"only {self.n_clusters} clusters: one step is too rough below {FEWEST_CLUSTERS}; "
                "refit in full"
            )
        if mixed.singular or mixed.nearest_zero() < NEAREST_ZERO:
            return (
                "a random effect's standard deviation is near zero, or a correlation near its "
                "limit: one step cannot tell on which side of it a draw ends; refit in full"
            )
        return None

    def prepare(self, *, drawing: bool, one_step: bool = False) -> None:
        """Compute now what refits share, so that it is there when they are sent elsewhere."""
        if self._mixed is not None:
            self._mixed.prepare(drawing=drawing, one_step=one_step)

    def can_leave_out(self) -> bool:
        """Say whether `left_out` can be had: groups within clusters, no crossed factors."""
        mixed = self._mixed
        if mixed is None:
            return True
        return mixed.by_group and not mixed.structure.n_crossed and not mixed.singular

    def left_out(self, counts: npt.ArrayLike) -> Refit:
        """Approximate `clusters` for counts that are nearly all one, whatever their number."""
        drawn = self._counts(counts)
        return self.clusters(drawn) if self._mixed is None else self._mixed.one_step(drawn)

    def _counts(self, counts: npt.ArrayLike) -> IntArray:
        if self.clusters_drawn is None:
            raise InputError("nothing to draw: give the refits a cluster")
        found = np.asarray(counts)
        if (
            found.shape != (self.n_clusters,)
            or not np.equal(np.mod(found, 1), 0).all()
            or found.min() < 0
        ):
            raise InputError(
                f"counts of shape {found.shape} for {self.n_clusters} clusters; give a whole "
                "number from 0 on for each"
            )
        if np.count_nonzero(found) < 2:
            raise InputError("fewer than two clusters were drawn")
        return found.astype(np.int64)
