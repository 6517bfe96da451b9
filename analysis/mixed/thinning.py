"""A part of a large data set, to begin the search of the whole from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.mixed.clustered import FloatArray
from analysis.mixed.search import NEAR_ZERO, STEP, Deviance, Minimum, minimise
from analysis.mixed.structure import IntArray, Structure

#: One in so many of the outermost groups is kept.
SHARE = 8
#: Smaller parts than this are no use.
FEWEST_ROWS = 2_000
FEWEST_GROUPS = 60


def thinned(
    structure: Structure,
) -> tuple[npt.NDArray[np.bool_], IntArray, Structure] | None:
    """Keep every eighth of the outermost groups of the chain, whole.

    Returns
    -------
    kept : ndarray, shape (cells,), bool
        Cells that are kept.
    rows : ndarray, int64
        Rows of the design that are kept.
    structure : Structure
        Of these rows.

    None when the part would be too small to be of use.
    """
    outermost = structure.depth - 1
    if int(structure.n_levels[outermost]) // SHARE < FEWEST_GROUPS:
        return None
    if len(structure.cell) // SHARE < FEWEST_ROWS:
        return None
    kept = structure.level[:, outermost] % SHARE == 0
    rows, part = structure.part(kept)
    if len(rows) < FEWEST_ROWS or (part.n_levels < 2).any():
        return None
    return kept, rows, part


#: Directions along which the part's deviance is flatter than this share of its diagonal are
#: taken to be this steep.
FLATTEST = 0.05


def _whitened(part: Minimum) -> FloatArray | None:
    """Directions about one standard error of the whole long, from the part's Hessian."""
    size = np.sqrt(np.abs(np.diag(part.hessian)))
    if not (size > 0).all():
        return None
    values, vectors = np.linalg.eigh(part.hessian / np.outer(size, size))
    floor = FLATTEST if part.singular else 1e-6
    steep = np.maximum(values, floor)
    directions: FloatArray = vectors * np.sqrt(2 / (SHARE * steep)) / size[:, None]
    return directions


def from_part(
    deviance: Deviance,
    searched: Callable[[Minimum | None], Minimum],
    scale: FloatArray,
    structure: Structure,
    *,
    once: bool,
    step: float = STEP,
) -> Minimum | None:
    """Search the whole from where the search of a part ended.

    Parameters
    ----------
    deviance : callable
        Of the whole.
    searched : callable
        Searches the part: from None once; from where that ended, a second time from another
        side, returning what it was given when that leads no lower.
    scale : ndarray, shape (d, d)
        Rough standard errors.
    structure : Structure
        Of the whole.
    once : bool
        Believe a maximum at the boundary that is looked at from one side.
    step : float
        As in `minimise`.

    Returns
    -------
    Minimum or None
        None when the search must begin anew: the part did not converge, or the whole ends at
        a boundary where the part did not.
    """
    part = searched(None)
    best = _continued(deviance, part, scale, structure, step)
    if best is None or once or not best.singular:
        return best
    other = searched(part)
    if other is part:
        return best
    found = _continued(deviance, other, scale, structure, step)
    return found if found is None or found.value < best.value else best


def _continued(
    deviance: Deviance, part: Minimum, scale: FloatArray, structure: Structure, step: float
) -> Minimum | None:
    """Search the whole from the end of one search of the part; None when that tells nothing."""
    if not part.converged:
        return None
    directions = _whitened(part)
    if directions is None:
        return None
    start = part.point.copy()
    # At zero the gradient vanishes by symmetry: step off the boundary.
    off = np.minimum(3 * np.diag(scale)[structure.diagonal], NEAR_ZERO / 2)
    start[structure.diagonal] = np.where(
        np.abs(start[structure.diagonal]) < off, off, start[structure.diagonal]
    )
    found = minimise(deviance, start, directions, structure.diagonal, close=True, step=step)
    settled = found.converged and (part.singular or not found.singular)
    return found if settled else None
