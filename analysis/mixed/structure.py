"""How the random effects of a model hang together: a chain of nested groupings, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.coordinates import in_basis
from analysis.mixed.design import RandomBlock

IntArray = npt.NDArray[np.int64]


class Plan(NamedTuple):
    """The order of elimination, as `analysis.mixed.kernels` describes it."""

    first: IntArray
    closes: IntArray
    q: IntArray
    around: IntArray
    offset: IntArray
    ptr: IntArray
    inner: IntArray
    outer: IntArray
    place: IntArray
    width: IntArray
    largest: int


@dataclass(frozen=True, eq=False)
class Structure:
    """Random effects in the order of elimination.

    Rows that meet the same groups of all factors form a cell. Cells are numbered along the
    chain, so that those of an innermost group stand together.

    Attributes
    ----------
    Z : ndarray, shape (n, kz), float64
        Columns of the chain's factors from the innermost outwards, then of the crossed ones;
        rows as in the design.
    cell : ndarray, shape (n,), int64
        Cell of each row.
    theta_row, theta_column : ndarray, shape (n_theta,), int64
        Entry of the (kz, kz) relative factor that each parameter fills: the lower triangles
        of the model's blocks, row by row, in the order of the model's blocks.
    diagonal : ndarray, int64
        The parameters on a diagonal.
    n_levels, span : ndarray, shape (F,), int64
        Groups and columns of each factor; the first `depth` factors are the chain.
    depth : int
    level : ndarray, shape (cells, F), int64
        Group of each cell.
    parents : tuple of ndarray, int64
        For each level of the chain the group around each group; empty for the outermost.
    base : ndarray, shape (F,), int64
        Where a factor's effects begin among all effects (chain first).
    plan : Plan
    n_chain, n_crossed : int
        Number of effects of the chain, and of the border.
    """

    Z: FloatArray
    cell: IntArray
    theta_row: IntArray
    theta_column: IntArray
    diagonal: IntArray
    n_levels: IntArray
    span: IntArray
    depth: int
    level: IntArray
    parents: tuple[IntArray, ...]
    base: IntArray
    plan: Plan
    n_chain: int
    n_crossed: int

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.level)

    def where(self, p: int) -> IntArray:
        """Slices of the kernels' store when the equations hold p fixed columns."""
        plan, ends = self.plan, [*self.plan.offset[1:], len(self.plan.ptr) - 1]
        sizes = [
            plan.q[d] ** 2
            + plan.q[d] * (plan.around[d] + p + np.diff(plan.ptr[plan.offset[d] : ends[d] + 1]))
            for d in range(self.depth)
        ]
        return np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)

    def factor(self, theta: FloatArray) -> FloatArray:
        """Relative covariance factor, block diagonal lower triangular, shape (kz, kz)."""
        lower = np.zeros((self.Z.shape[1], self.Z.shape[1]))
        lower[self.theta_row, self.theta_column] = theta
        return lower

    def order(self) -> IntArray | None:
        """Rows by cell, those of a cell in their own order; None where they stand so."""
        if (self.cell[1:] >= self.cell[:-1]).all():
            return None
        return np.argsort(self.cell, kind="stable").astype(np.int64)

    def part(self, kept: npt.NDArray[np.bool_]) -> tuple[IntArray, Structure]:
        """Keep some outermost groups of the chain, whole.

        Parameters
        ----------
        kept : ndarray, shape (cells,), bool

        Returns
        -------
        rows : ndarray, int64
            Rows that are kept.
        structure : Structure
            Of these rows. Crossed groups that they do not meet are gone.
        """
        rows = np.flatnonzero(kept[self.cell]).astype(np.int64)
        number = np.cumsum(kept) - 1
        level = self.level[kept]
        for f in range(self.depth, level.shape[1]):
            level[:, f] = np.unique(level[:, f], return_inverse=True)[1]
        return rows, _indexed(
            self.Z[rows],
            number[self.cell[rows]].astype(np.int64),
            (self.theta_row, self.theta_column, self.diagonal),
            level,
            self.span,
            self.depth,
        )


@dataclass(frozen=True, eq=False)
class _Factor:
    """Blocks over the same partition of the rows."""

    codes: IntArray
    n_levels: int
    blocks: tuple[int, ...]
    n_columns: int


def arrange(blocks: Sequence[RandomBlock], transforms: Sequence[FloatArray] = ()) -> Structure:
    """Find the chain of nested groupings that leaves least, number its groups, index the rest.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        At least one.
    transforms : sequence of ndarray, shape (q, q), optional
        Blocks are taken in the basis that these give (`analysis.mixed.coordinates`).

    Returns
    -------
    Structure
    """
    factors = _factors(blocks)
    chain = _chain(factors)
    crossed = [f for f in range(len(factors)) if f not in chain]
    ordered = [factors[f] for f in [*chain, *crossed]]
    cell, level = _cells(ordered, len(chain))
    Z, *thetas = _columns(blocks, transforms, ordered)
    span = np.array([factor.n_columns for factor in ordered], dtype=np.int64)
    return _indexed(Z, cell, (thetas[0], thetas[1], thetas[2]), level, span, len(chain))


def _indexed(
    Z: FloatArray,
    cell: IntArray,
    thetas: tuple[IntArray, IntArray, IntArray],
    codes: IntArray,
    span: IntArray,
    depth: int,
) -> Structure:
    """Give sorted cells their groups' numbers along the chain, and list what meets what."""
    level = codes.copy()
    first, closes = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    begins = np.zeros(len(codes), dtype=np.bool_)
    begins[0] = True
    # Groups begin where a group around them does, too: from the outermost inwards.
    starts = []
    for f in reversed(range(depth)):
        begins = begins | np.r_[True, codes[1:, f] != codes[:-1, f]]
        level[:, f] = np.cumsum(begins) - 1
        starts.append(begins)
    first = np.flatnonzero(starts[-1]).astype(np.int64)
    closes = np.ones(len(first), dtype=np.int64)
    for begins in starts[:-1]:
        closes += np.r_[begins[first[1:]], True]
    n_levels = level.max(axis=0) + 1
    base = np.concatenate([[0], np.cumsum(n_levels * span)]).astype(np.int64)
    q = span[:depth].copy()
    around = np.array([q[d + 1 :].sum() for d in range(depth)], dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(n_levels[:depth])]).astype(np.int64)
    n_chain = int(base[depth])
    columns = base[depth:-1] - n_chain + level[:, depth:] * span[depth:]
    ptr, inner, outer, place = _meetings(level[:, :depth], n_levels[:depth], columns, span[depth:])
    local = np.diff(ptr)
    largest = max(
        int(q[d] + around[d] + local[offset[d] : offset[d + 1]].max()) for d in range(depth)
    )
    plan = Plan(
        first=np.r_[first, len(level)].astype(np.int64),
        closes=closes,
        q=q,
        around=around,
        offset=offset[:-1].copy(),
        ptr=ptr,
        inner=inner,
        outer=outer,
        place=np.ascontiguousarray(place),
        width=span[depth:].copy(),
        largest=largest,
    )
    return Structure(
        Z=Z,
        cell=cell,
        theta_row=thetas[0],
        theta_column=thetas[1],
        diagonal=thetas[2],
        n_levels=n_levels,
        span=span,
        depth=depth,
        level=level,
        parents=(
            *(level[starts[depth - 1 - d], d + 1] for d in range(depth - 1)),
            np.zeros(0, dtype=np.int64),
        ),
        base=base[:-1].copy(),
        plan=plan,
        n_chain=n_chain,
        n_crossed=int(base[-1]) - n_chain,
    )


def _factors(blocks: Sequence[RandomBlock]) -> list[_Factor]:
    """Put blocks over the same groups together, whatever the groups are called."""
    found: list[list[int]] = []
    for index, block in enumerate(blocks):
        for members in found:
            other = blocks[members[0]]
            if block.n_levels == other.n_levels and _nested(block, other):
                members.append(index)
                break
        else:
            found.append([index])
    return [
        _Factor(
            blocks[members[0]].codes,
            blocks[members[0]].n_levels,
            tuple(members),
            sum(len(blocks[index].names) for index in members),
        )
        for members in found
    ]


def _chain(factors: list[_Factor]) -> list[int]:
    """Choose nested factors, innermost first, with as many effects as can be."""
    order = sorted(range(len(factors)), key=lambda f: -factors[f].n_levels)
    best: dict[int, tuple[int, list[int]]] = {}
    # From the coarsest to the finest: the best chain that begins with each factor.
    for f in reversed(order):
        inside = factors[f]
        effects, rest = 0, list[int]()
        for g, (total, chain) in best.items():
            if total > effects and _nested(inside, factors[g]):
                effects, rest = total, chain
        best[f] = (effects + inside.n_levels * inside.n_columns, [f, *rest])
    return max(best.values(), key=lambda item: item[0])[1]


def _nested(inside: RandomBlock | _Factor, outside: RandomBlock | _Factor) -> bool:
    """Tell whether each group of the one lies in a single group of the other."""
    if inside.codes is outside.codes:
        return True
    met = np.zeros(inside.n_levels, dtype=np.int64)
    met[inside.codes] = outside.codes
    return bool((met[inside.codes] == outside.codes).all())


def _cells(ordered: list[_Factor], depth: int) -> tuple[IntArray, IntArray]:
    """Cell of each row, and the group of each cell in each factor."""
    inmost = ordered[0]
    row = np.zeros(inmost.n_levels, dtype=np.int64)
    row[inmost.codes] = np.arange(len(inmost.codes))
    # Innermost groups contiguous within the groups around them.
    order = np.lexsort([factor.codes[row] for factor in ordered[:depth]])
    cell = inmost.codes
    if (order[1:] < order[:-1]).any():
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        cell = rank[cell]
    row = row[order]
    for factor in ordered[depth:]:
        numbers, pairs = pd.factorize(cell * factor.n_levels + factor.codes)
        order = np.argsort(pairs)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        cell = rank[numbers]
        row = np.empty(len(order), dtype=np.int64)
        row[cell] = np.arange(len(cell))
    return cell, np.column_stack([factor.codes[row] for factor in ordered])


def _meetings(
    level: IntArray, n_levels: IntArray, columns: IntArray, width: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """List the crossed columns that each group of the chain meets: ptr, inner, outer, place."""
    n, n_crossed = columns.shape
    if n_crossed == 0:
        none = np.zeros(0, dtype=np.int64)
        total = int(n_levels.sum())
        return np.zeros(total + 1, dtype=np.int64), none, none, np.zeros((n, 0), dtype=np.int64)
    stride = int(columns.max()) + int(width[-1]) + 1
    keys = []  # per level: group · stride + column, sorted
    for d in range(level.shape[1]):
        met = [
            pd.unique(level[:, d] * stride + columns[:, c])[:, None] + np.arange(width[c])
            for c in range(n_crossed)
        ]
        keys.append(np.sort(np.concatenate([part.ravel() for part in met])))
    counts = [
        np.bincount(key // stride, minlength=total)
        for key, total in zip(keys, n_levels, strict=True)
    ]
    ptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    outer = np.concatenate([key % stride for key in keys]).astype(np.int64)
    inner = []
    for d in range(level.shape[1] - 1):
        above = np.empty(n_levels[d], dtype=np.int64)
        above[level[:, d]] = level[:, d + 1]
        group, column = keys[d] // stride, keys[d] % stride
        starts = np.cumsum(counts[d + 1]) - counts[d + 1]
        inner.append(
            np.searchsorted(keys[d + 1], above[group] * stride + column) - starts[above[group]]
        )
    inner.append(keys[-1] % stride)
    starts = np.cumsum(counts[0]) - counts[0]
    place = np.searchsorted(keys[0], level[:, :1] * stride + columns) - starts[level[:, :1]]
    return ptr, np.concatenate(inner).astype(np.int64), outer, place.astype(np.int64)


def _columns(
    blocks: Sequence[RandomBlock], transforms: Sequence[FloatArray], ordered: list[_Factor]
) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Columns in the factors' order, and where each block's parameters go."""
    Z = np.empty((len(blocks[0].Z), sum(factor.n_columns for factor in ordered)))
    begin: dict[int, int] = {}
    done = 0
    for factor in ordered:
        for index in factor.blocks:
            begin[index] = done
            done += len(blocks[index].names)
            columns = blocks[index].Z
            Z[:, begin[index] : done] = (
                in_basis(columns, transforms[index]) if len(transforms) else columns
            )
    theta_row, theta_column = [], []
    for index, block in enumerate(blocks):
        lower = np.tril_indices(len(block.names))
        theta_row.append(begin[index] + lower[0])
        theta_column.append(begin[index] + lower[1])
    row, column = np.concatenate(theta_row), np.concatenate(theta_column)
    diagonal = np.flatnonzero(row == column)
    return Z, row.astype(np.int64), column.astype(np.int64), diagonal.astype(np.int64)
