"""Crossed effects eliminated in a sparse order answer as those in a dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
from test_mixed_engine import STRUCTURES, small

from analysis.mixed import border, kernels_sparse
from analysis.mixed.border import Border, Dense, Sparse, border_of
from analysis.mixed.design import RandomBlock, build
from analysis.mixed.formula import parse
from analysis.mixed.linear_mixed import Profiled
from analysis.mixed.logistic_mixed import Laplace
from analysis.mixed.structure import Structure, arrange

CROSSED = [random for random in STRUCTURES if "model" in random]


def always_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FEWEST", 0), ("SPARSE", 1.0), ("SLOWER", 0.0)):
        monkeypatch.setattr(border, name, value)


@pytest.mark.parametrize("random", CROSSED)
def test_deviances_and_gradients_are_the_same(random: str, monkeypatch: pytest.MonkeyPatch) -> None:
    design = build(parse(f"ms ~ x + z + {random}"), small())
    structure = arrange(design.random)
    shares = (design.y > np.median(design.y)).astype(float)
    size = len(structure.theta_row)
    point = np.random.default_rng(2).normal(size=size + design.X.shape[1])
    found = []
    for kind in (Dense, Sparse):
        profiled = Profiled(structure, design.y, design.X, reml=True)
        laplace = Laplace(structure, shares, design.X, np.ones(len(shares)))
        assert type(profiled.system.border) is type(laplace.system.border) is kind
        # A second time, so that nothing may be left of the first.
        for theta in (0.5 * point[:size], point[:size]):
            one, two = profiled.deviance(theta), laplace.deviance(np.r_[theta, point[size:]])
        explained = profiled.system.explained(np.ones(design.X.shape[1] + 1))
        found.append([*one, *two, laplace.modes, explained, profiled.squares_slope(theta)])
        always_sparse(monkeypatch)
    for dense, sparse in zip(*found, strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=1e-8, atol=1e-9)


def linked(n: int, seed: int) -> Structure:
    """Pupils in two classes each, most in neighbouring ones."""
    rng = np.random.default_rng(seed)
    pupil = np.repeat(np.arange(4 * n), 2)
    room = (pupil // 4 + np.where(rng.random(8 * n) < 0.5, 1, 0)) % n
    ones = np.ones((8 * n, 1))
    return arrange(
        [RandomBlock("p", ("a",), ones, pupil, 4 * n), RandomBlock("r", ("a",), ones, room, n)]
    )


def test_the_kind_is_chosen_by_what_is_tied() -> None:
    chain = linked(300, 1)
    assert isinstance(border_of(chain, 3), Sparse)
    assert isinstance(border_of(linked(50, 1), 3), Dense)
    rng = np.random.default_rng(1)
    n, ones = 9_000, np.ones((9_000, 1))
    many = [
        RandomBlock(
            name, ("a",), ones, np.r_[np.arange(count), rng.integers(0, count, n - count)], count
        )
        for name, count in (("s", 900), ("d", 250))
    ]
    assert isinstance(border_of(arrange(many), 3), Dense)


def test_the_pattern_is_that_of_the_factor() -> None:
    rng = np.random.default_rng(3)
    n = 60
    lower = np.tril(rng.random((n, n)) < 0.04, -1)
    matrix = n * np.eye(n) - (lower + lower.T)
    columns = [np.flatnonzero(lower[:, j]) for j in range(n)]
    starts = np.cumsum([0, *(len(column) for column in columns)]).astype(np.int64)
    begin, rows = kernels_sparse.pattern(starts, np.concatenate(columns).astype(np.int64))
    # With no positive entry off the diagonal nothing cancels.
    factor = np.linalg.cholesky(matrix)
    for j in range(n):
        np.testing.assert_array_equal(
            rows[begin[j] : begin[j + 1]], np.flatnonzero(factor[j + 1 :, j]) + j + 1
        )


@pytest.mark.parametrize("spoiled", [np.nan, -1e9])
def test_what_cannot_be_factorised_leaves_no_trace(spoiled: float) -> None:
    structure = linked(300, 2)
    rng = np.random.default_rng(4)
    half = rng.normal(size=(8, 3))
    moved: Border = border_of(structure, 3)
    assert isinstance(moved, Sparse)
    for attempt in range(2):
        matrix = moved.room(half.T @ half)
        matrix[:300, 300:] += 0.01
        if attempt == 0:
            matrix[5, 5] = spoiled
            assert not moved.factorise(matrix, fixed=True)
    assert moved.factorise(matrix, fixed=True)
    expected = np.linalg.cholesky(half.T @ half - 300 * 0.01**2)
    np.testing.assert_allclose(np.triu(moved.corner), expected.T, rtol=1e-9)
    assert moved.logdet == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", [Dense, Sparse])
def test_a_last_column_of_which_nothing_is_left_is_said(kind: type[Border]) -> None:
    chosen = border_of(linked(300, 2), 2) if kind is Sparse else Dense(300, 2)
    assert isinstance(chosen, kind)
    matrix = chosen.room(np.array([[4.0, 2.0], [2.0, 1.0]]))
    assert chosen.factorise(matrix, fixed=True)
    assert chosen.exhausted
    assert chosen.corner[0, 0] == 2.0
    matrix = chosen.room(np.array([[-4.0, 2.0], [2.0, 1.0]]))
    assert not chosen.factorise(matrix, fixed=True)
