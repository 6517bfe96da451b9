"""How the random effects of a model hang together: a chain of nested groupings, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.mixed.clustered import FloatArray
from analysis.mixed.design import RandomBlock

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Structure:
    """Random effects in the order of elimination, rows sorted by the chain.

    Attributes
    ----------
    rows : ndarray, shape (n,), int64
        Where each sorted row stood.
    Z : ndarray, shape (n, kz), float64
        Columns of the chain's factors from the innermost outwards, then of the crossed ones.
    theta_row, theta_column : ndarray, shape (n_theta,), int64
        Entry of the (kz, kz) relative factor that each parameter fills: the lower triangles
        of the model's blocks, row by row, in the order of the model's blocks.
    diagonal : ndarray, int64
        The parameters on a diagonal.
    n_levels, span : ndarray, shape (F,), int64
        Groups and columns of each factor; the first `depth` factors are the chain.
    depth : int
    level : ndarray, shape (n, F), int64
        Group of each row.
    base : ndarray, shape (F,), int64
        Where a factor's effects begin among all effects (chain first).
    first, closes, q, around, offset, ptr, inner, outer, place, width, where
        As `analysis.mixed.kernels` describes them.
    largest : int
        Size of the largest group's matrix, fixed effects left out.
    n_chain, n_crossed : int
        Number of effects of the chain, and of the border.
    """

    rows: IntArray
    Z: FloatArray
    theta_row: IntArray
    theta_column: IntArray
    diagonal: IntArray
    n_levels: IntArray
    span: IntArray
    depth: int
    level: IntArray
    base: IntArray
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
    n_chain: int
    n_crossed: int

    def where(self, p: int) -> IntArray:
        """Slices of the kernels' store when the equations hold p fixed effects."""
        sizes = [
            self.q[d] ** 2 + self.q[d] * (self.around[d] + p + np.diff(self.ptr[self._groups(d)]))
            for d in range(self.depth)
        ]
        return np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)

    def _groups(self, d: int) -> slice:
        stop = self.offset[d + 1] if d + 1 < self.depth else len(self.ptr) - 1
        return slice(int(self.offset[d]), int(stop) + 1)

    def factor(self, theta: FloatArray) -> FloatArray:
        """Relative covariance factor, block diagonal lower triangular, shape (kz, kz)."""
        lower = np.zeros((self.Z.shape[1], self.Z.shape[1]))
        lower[self.theta_row, self.theta_column] = theta
        return lower


@dataclass(frozen=True, eq=False)
class _Factor:
    """Blocks over the same partition of the rows."""

    codes: IntArray
    n_levels: int
    blocks: tuple[int, ...]
    n_columns: int


def arrange(blocks: Sequence[RandomBlock]) -> Structure:
    """Find the chain of nested groupings that leaves least, sort by it, index the rest.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        At least one.

    Returns
    -------
    Structure
    """
    factors = _factors(blocks)
    chain = _chain(factors)
    crossed = [f for f in range(len(factors)) if f not in chain]
    ordered = [factors[f] for f in [*chain, *crossed]]
    depth = len(chain)
    # Innermost groups contiguous within the groups around them.
    rows = np.lexsort([factor.codes for factor in ordered[:depth]]).astype(np.int64)
    level = np.empty((len(rows), len(ordered)), dtype=np.int64)
    closes = np.zeros(0, dtype=np.int64)
    first = np.zeros(0, dtype=np.int64)
    for f, factor in enumerate(ordered):
        codes = factor.codes[rows]
        if f >= depth:
            level[:, f] = codes
            continue
        begins = np.r_[True, codes[1:] != codes[:-1]]
        level[:, f] = np.cumsum(begins) - 1
        if f == 0:
            first = np.flatnonzero(begins).astype(np.int64)
            closes = np.ones(len(first), dtype=np.int64)
        else:
            ends = level[np.r_[first[1:] - 1, len(rows) - 1], f]
            closes += np.r_[ends[1:] != ends[:-1], True]
    span = np.array([factor.n_columns for factor in ordered], dtype=np.int64)
    n_levels = np.array([factor.n_levels for factor in ordered], dtype=np.int64)
    base = np.concatenate([[0], np.cumsum(n_levels * span)]).astype(np.int64)
    q = span[:depth]
    around = np.array([q[d + 1 :].sum() for d in range(depth)], dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(n_levels[:depth])]).astype(np.int64)
    n_chain = int(base[depth])
    columns = base[depth:-1] - n_chain + level[:, depth:] * span[depth:]
    ptr, inner, outer, place = _meetings(level[:, :depth], n_levels[:depth], columns, span[depth:])
    local = np.diff(ptr)
    largest = max(
        int(q[d] + around[d] + local[offset[d] : offset[d + 1]].max()) for d in range(depth)
    )
    Z, theta_row, theta_column, diagonal = _columns(blocks, ordered, rows)
    return Structure(
        rows=rows,
        Z=Z,
        theta_row=theta_row,
        theta_column=theta_column,
        diagonal=diagonal,
        n_levels=n_levels,
        span=span,
        depth=depth,
        level=level,
        base=base[:-1],
        first=np.r_[first, len(rows)].astype(np.int64),
        closes=closes.astype(np.int64),
        q=q,
        around=around,
        offset=offset[:-1],
        ptr=ptr,
        inner=inner,
        outer=outer,
        place=place,
        width=span[depth:].copy(),
        largest=largest,
        n_chain=n_chain,
        n_crossed=int(base[-1]) - n_chain,
    )


def _factors(blocks: Sequence[RandomBlock]) -> list[_Factor]:
    """Put blocks over the same groups together, whatever the groups are called."""
    found: list[tuple[IntArray, IntArray, list[int]]] = []
    for index, block in enumerate(blocks):
        same = pd.factorize(block.codes)[0]
        for other, _, members in found:
            if np.array_equal(same, other):
                members.append(index)
                break
        else:
            found.append((same, block.codes, [index]))
    return [
        _Factor(
            codes,
            blocks[members[0]].n_levels,
            tuple(members),
            sum(len(blocks[index].names) for index in members),
        )
        for _, codes, members in found
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


def _nested(inside: _Factor, outside: _Factor) -> bool:
    pairs = pd.unique(inside.codes * outside.n_levels + outside.codes)
    return len(pairs) == inside.n_levels


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
            np.unique(level[:, d] * stride + columns[:, c])[:, None] + np.arange(width[c])
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
    blocks: Sequence[RandomBlock], ordered: list[_Factor], rows: IntArray
) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Columns in the factors' order, and where each block's parameters go."""
    begin: dict[int, int] = {}
    pieces, done = [], 0
    for factor in ordered:
        for index in factor.blocks:
            begin[index] = done
            pieces.append(blocks[index].Z[rows])
            done += len(blocks[index].names)
    theta_row, theta_column = [], []
    for index, block in enumerate(blocks):
        lower = np.tril_indices(len(block.names))
        theta_row.append(begin[index] + lower[0])
        theta_column.append(begin[index] + lower[1])
    row, column = np.concatenate(theta_row), np.concatenate(theta_column)
    return (
        np.ascontiguousarray(np.hstack(pieces)),
        row.astype(np.int64),
        column.astype(np.int64),
        np.flatnonzero(row == column).astype(np.int64),
    )
