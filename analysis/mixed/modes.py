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
    from analysis.mixed.coordinates import to_columns
    from analysis.mixed.structure import arrange

    design = model.design
    ready(fit.family)
    structure = arrange(design.random, model.transforms)
    solved = _linear if fit.family == "gaussian" else _logistic
    effects, spread = solved(structure, design, model.theta, fit.params)
    sigma = model.sigma
    # A block's columns begin at the row of its first parameter.
    at, found = 0, []
    for block, transform in zip(design.random, model.transforms, strict=True):
        q, begin = len(block.names), int(structure.theta_row[at])
        at += q * (q + 1) // 2
        columns = slice(begin, begin + q)
        # Any cell that meets a group holds what is known of it.
        cell = np.empty(block.n_levels, dtype=np.int64)
        cell[block.codes] = structure.cell
        values = to_columns(effects[cell, columns].T, transform).T
        back = to_columns(np.eye(q), transform)
        inverse = np.moveaxis(spread[columns, columns, cell], -1, 0)
        found.append(Modes(values, sigma**2 * (back @ inverse @ back.T)))
    variance = np.zeros(len(design.y))
    for i, j in np.ndindex(spread.shape[:2]):
        variance += structure.Z[:, i] * spread[i, j, structure.cell] * structure.Z[:, j]
    return Found(tuple(found), sigma**2 * variance)


def _linear(
    structure: Structure, design: Design, theta: FloatArray, params: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve (V'V + I) u = V'(y − X beta): Λ u (cells, kz) and Λ (V'V + I)⁻¹ Λ' (kz, kz, cells)."""
    from analysis.mixed import kernels_rows
    from analysis.mixed.equations import equations

    kz = structure.Z.shape[1]
    sums = np.zeros((structure.n_cells, kz, kz + 1))
    rest = np.ascontiguousarray(design.y - design.X @ params)
    kernels_rows.accumulate(structure.Z, np.empty((len(rest), 0)), rest, structure.cell, sums)
    moments = np.ascontiguousarray(sums.transpose(1, 2, 0))
    system = equations(structure, 1)
    system.factorise(theta, moments)
    _, spread = system.logdet_slope(moments, np.empty(0), spread=True)
    return system.met(system.solved()) @ system.lower.T, spread


def _logistic(
    structure: Structure, design: Design, theta: FloatArray, params: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Find the modes at which the deviance was approximated, and their spread, as `_linear`."""
    from analysis.mixed.logistic_mixed import Laplace

    trials = np.ones(len(design.y)) if design.trials is None else design.trials
    laplace = Laplace(structure, design.y, design.X, trials)
    found = laplace.found(np.r_[theta, params])
    if found is None:
        raise InputError("the modes of the random effects cannot be found: the fit diverged")
    return found


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
