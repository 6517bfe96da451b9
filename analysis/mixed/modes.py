"""Conditional modes of random effects, with their conditional covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import Design
from analysis.mixed.model import Model
from analysis.threads import one_thread
from complexity.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from analysis.mixed.result import MixedFit
    from analysis.mixed.structure import Structure
    from analysis.mixed.system import System


@dataclass(frozen=True, eq=False)
class Modes:
    """Random effects of one block of a design at their conditional modes.

    Attributes
    ----------
    values : ndarray, shape (n_levels, q)
        Modes, rows in the order of the block's codes, columns those of its design.
    covariances : ndarray, shape (n_levels, q, q)
        Their covariance given the outcomes, at the estimated parameters.
    """

    values: FloatArray
    covariances: FloatArray


@dataclass(frozen=True, eq=False)
class Found:
    """All modes of a fit.

    Attributes
    ----------
    blocks : tuple of Modes
        One per block of the design.
    variance : ndarray, shape (n,)
        Variance of the random effects in each row's linear predictor, given the outcomes.
    """

    blocks: tuple[Modes, ...]
    variance: FloatArray


_KNOWN: WeakKeyDictionary[MixedFit, Found] = WeakKeyDictionary()


def random_effects(fit: MixedFit) -> pd.DataFrame:
    """Tabulate the conditional modes of the random effects (BLUPs in linear models).

    Parameters
    ----------
    fit : MixedFit
        With random terms.

    Returns
    -------
    DataFrame
        ``group`` (grouping factor), ``level`` (as lme4 names it: ``i01:q1``), ``term``
        (column that varies), ``mode`` (units of the linear predictor per unit of the column)
        and ``sd`` (its conditional standard deviation); groupings with most levels first,
        levels sorted within a term.

    Raises
    ------
    InputError
        For a fit without random terms.

    Notes
    -----
    The standard deviations are lme4's (``ranef(condVar = TRUE)``; Bates et al. 2015,
    doi:10.18637/jss.v067.i01): those of the random effects given the outcomes, fixed effects
    and variances taken as known. What is not known about these is not in them. In logistic
    models they come from the curvature at the mode.
    """
    model = model_of(fit)
    parts = []
    for block, labels, modes in zip(
        model.design.random, labels_of(model.design), modes_of(fit).blocks, strict=True
    ):
        sds = np.sqrt(np.maximum(np.diagonal(modes.covariances, axis1=1, axis2=2), 0))
        order = np.argsort(labels, kind="stable")
        parts += [
            pd.DataFrame(
                {
                    "group": block.group,
                    "level": labels[order],
                    "term": name,
                    "mode": modes.values[order, j],
                    "sd": sds[order, j],
                }
            )
            for j, name in enumerate(block.names)
        ]
    sizes = list(fit.n_groups)
    parts.sort(key=lambda part: sizes.index(part["group"].iloc[0]))
    return pd.concat(parts, ignore_index=True)


def mode_covariance(fit: MixedFit, group: str, level: str) -> pd.DataFrame:
    """Conditional covariance of one group's modes.

    Parameters
    ----------
    fit : MixedFit
    group : str
        Grouping factor.
    level : str
        As `random_effects` names it.

    Returns
    -------
    DataFrame, shape (q, q)
        Rows and columns are the terms that vary between the groups. Terms of separate blocks
        (``||``) have no covariance here, as they have no row of `random_effects` in common.

    Raises
    ------
    InputError
        For unknown groups and levels.
    """
    model = model_of(fit)
    groups = [block.group for block in model.design.random]
    if group not in groups:
        raise InputError(f"no grouping factor '{group}'{did_you_mean(group, groups)}")
    names: list[str] = []
    found: list[FloatArray] = []
    for block, labels, modes in zip(
        model.design.random, labels_of(model.design), modes_of(fit).blocks, strict=True
    ):
        if block.group != group:
            continue
        (code,) = np.nonzero(labels == str(level))
        if not len(code):
            raise InputError(
                f"'{group}' has no level '{level}'{did_you_mean(str(level), [*labels])}"
            )
        names += block.names
        found.append(modes.covariances[code[0]])
    whole = np.full((len(names), len(names)), np.nan)
    start = 0
    for part in found:
        stop = start + len(part)
        whole[start:stop, start:stop] = part
        start = stop
    return pd.DataFrame(whole, index=names, columns=names)


def model_of(fit: MixedFit, *, mixed: bool = True) -> Model:
    """Give what a fit was made of.

    Raises
    ------
    InputError
        When the fit does not hold it, and (with `mixed`) when it has no random terms.
    """
    if fit.model is None:
        raise InputError(f"this fit of '{fit.formula}' does not hold its data; fit it again")
    if mixed and not fit.model.design.random:
        raise InputError(f"formula '{fit.formula}' has no random terms")
    return fit.model


def modes_of(fit: MixedFit) -> Found:
    """Modes of every block of the design, computed once for a fit; none without random terms."""
    if fit not in _KNOWN:
        model = model_of(fit, mixed=False)
        none = Found((), np.zeros(len(model.design.y)))
        _KNOWN[fit] = _find(fit, model) if model.design.random else none
    return _KNOWN[fit]


@one_thread
def _find(fit: MixedFit, model: Model) -> Found:
    from analysis.mixed.assemble import ready
    from analysis.mixed.linear_mixed import unit_length
    from analysis.mixed.structure import arrange

    design = model.design
    ready(fit.family)
    scaled, lengths = unit_length(design.random)
    structure = arrange(scaled)
    solved = _linear if fit.family == "gaussian" else _logistic
    system, effects = solved(structure, design, model.theta, fit.params)
    sigma = 1.0 if fit.residual_sd is None else fit.residual_sd
    own, leverage = system.own_blocks()
    # A block's columns begin at the row of its first parameter.
    at, found = 0, []
    widths = np.cumsum(structure.span)
    for block, length in zip(design.random, lengths, strict=True):
        q, begin = len(block.names), int(structure.theta_row[at])
        at += q * (q + 1) // 2
        f = int(np.searchsorted(widths, begin, side="right"))
        span, levels, base = (
            int(a[f]) for a in (structure.span, structure.n_levels, structure.base)
        )
        columns = slice(int(widths[f]) - span, int(widths[f]))
        lower = system.lower[begin : begin + q, columns] / length[:, None]
        rows = slice(base, base + levels * span)
        place = np.empty(levels, dtype=np.int64)
        place[block.codes[structure.rows]] = structure.level[:, f]
        values = effects[rows].reshape(levels, span)[place] @ lower.T
        inverse = own[rows, :span].reshape(levels, span, span)[place]
        found.append(Modes(values, sigma**2 * (lower @ inverse @ lower.T)))
    variance = np.empty(len(leverage))
    variance[structure.rows] = sigma**2 * leverage
    return Found(tuple(found), variance)


def _linear(
    structure: Structure, design: Design, theta: FloatArray, params: FloatArray
) -> tuple[System, FloatArray]:
    """Solve (V'V + I) u = V'(y − X beta)."""
    from analysis.mixed.system import System

    rows = structure.rows
    system = System(structure, np.empty((len(rows), 0)))
    system.factorise(theta, np.ones(len(rows)))
    return system, system.solve(np.ascontiguousarray((design.y - design.X @ params)[rows]))[0]


def _logistic(
    structure: Structure, design: Design, theta: FloatArray, params: FloatArray
) -> tuple[System, FloatArray]:
    """Find the modes at which the deviance was approximated, and factorise there."""
    from analysis.mixed.logistic_mixed import Laplace

    trials = np.ones(len(design.y)) if design.trials is None else design.trials
    laplace = Laplace(structure, design.y, design.X, trials)
    value, _ = laplace.deviance(np.r_[theta, params])
    if not np.isfinite(value):
        raise InputError("the modes of the random effects cannot be found: the fit diverged")
    return laplace.system, laplace.modes


def labels_of(design: Design) -> list[npt.NDArray[np.object_]]:
    """Name the groups of each block as lme4 does, in the order of its codes."""
    assert design.encoder is not None
    found = []
    for block, grouping in zip(design.random, design.encoder.groupings, strict=True):
        # The inner groups of a/b are called b:a, and their levels as the name has them.
        named = tuple(block.group.split(":"))
        if sorted(named) == sorted(grouping.factors):
            grouping = replace(grouping, factors=named)
        found.append(grouping.labels())
    return found
