from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from complexity.buckets import Buckets, ConstantMetric, cut, from_column
from complexity.errors import InputError


def test_tertiles_are_right_closed_and_cut_over_images() -> None:
    values = np.arange(1, 10, dtype=float)
    buckets = cut(values, metric="x")
    # numpy's linear quantiles of 1..9 at 1/3 and 2/3: 1 + 8/3 and 1 + 16/3.
    np.testing.assert_allclose(buckets.edges, [11 / 3, 19 / 3])
    assert buckets.labels == ("low", "mid", "high")
    assert buckets.counts == (3, 3, 3)
    edge = buckets.edges[0]
    assert list(buckets.assign([edge, np.nextafter(edge, 9), np.nan])) == ["low", "mid", np.nan]
    assert buckets.ranges() == ("≤ 3.667", "3.667 < c ≤ 6.333", "> 6.333")


def test_saved_cuts_bucket_new_images_and_lose_none() -> None:
    buckets = cut([1.0, 2.0, 3.0, 4.0], metric="x", n=2)
    again = Buckets.from_dict(json.loads(json.dumps(buckets.to_dict())))
    assert again == buckets
    assert list(again.assign([-1e9, 2.5, 2.6, 1e9])) == ["low", "low", "high", "high"]


def test_fixed_edges_are_interior_cut_points() -> None:
    buckets = cut([1.0, 5.0, 9.0, 30.0], metric="x", scheme="edges", edges=[5, 10])
    assert buckets.counts == (2, 1, 1)
    assert buckets.ranges() == ("≤ 5", "5 < c ≤ 10", "> 10")
    named = cut([1.0, 9.0], metric="x", scheme="edges", edges=[5], labels=["few", "many"])
    assert list(named.assign([5, 6])) == ["few", "many"]


def test_more_buckets_are_numbered() -> None:
    assert cut(np.arange(50.0), metric="x", n=5).labels == tuple(f"{i} of 5" for i in range(1, 6))


@pytest.mark.parametrize(
    "values", [[1, 1, 1, 1, 1, 2], [1, 2, 2, 2, 2, 2], [0, 0, 0, 1, 2], [1, 2]]
)
def test_ties_are_merged_and_said(values: list[float]) -> None:
    buckets = cut(values, metric="x")
    assert len(buckets.labels) == len(buckets.edges) + 1 >= 2
    assert min(buckets.counts) > 0
    if len(buckets.labels) < 3:
        assert any("ties" in note for note in buckets.notes)


def test_an_empty_bucket_is_said() -> None:
    buckets = cut([1.0, 2.0], metric="x", scheme="edges", edges=[5])
    assert buckets.counts == (2, 0)
    assert any("no image" in note for note in buckets.notes)


def test_constant_and_missing_metrics_are_refused() -> None:
    with pytest.raises(ConstantMetric, match="3 on all 4 images"):
        cut([3.0, 3, 3, 3, np.nan], metric="x")
    with pytest.raises(InputError, match="no value on any image"):
        cut([np.nan, np.nan], metric="x")


@pytest.mark.parametrize("edges", [None, [], [2, 1], [1, 1], [1, np.nan], [np.inf]])
def test_bad_edges_are_refused(edges: list[float] | None) -> None:
    with pytest.raises(InputError, match="edges"):
        cut([1.0, 2.0], metric="x", scheme="edges", edges=edges)


def test_bad_numbers_and_labels_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2"):
        cut([1.0, 2.0], metric="x", n=1)
    with pytest.raises(InputError, match="3 different labels"):
        cut([1.0, 2, 3, 4], metric="x", labels=["a", "b"])


def test_buckets_from_a_column() -> None:
    numbers = from_column(pd.Series([10.0, 2.0, 2.0, None]), metric="x")
    assert numbers.labels == ("2", "10")
    assert numbers.counts == (2, 1)
    assert list(numbers.assign([10, "2", None, 3])) == ["10", "2", np.nan, np.nan]
    texts = from_column(["noisy", "plain"], metric="x", order=["plain", "busy", "noisy"])
    assert texts.labels == ("plain", "noisy")
    with pytest.raises(InputError, match="leaves out noisy"):
        from_column(["noisy", "plain"], metric="x", order=["plain"])
    with pytest.raises(InputError, match="two or more"):
        from_column(["plain", "plain"], metric="x")


@given(
    values=hnp.arrays(
        float, st.integers(2, 60), elements=st.floats(-1e6, 1e6, allow_subnormal=False)
    ),
    n=st.integers(2, 6),
)
def test_every_image_has_one_bucket_and_order_is_kept(values: np.ndarray, n: int) -> None:
    if values.min() == values.max():
        return
    buckets = cut(values, metric="x", n=n)
    assigned = buckets.assign(values)
    assert not assigned.isna().any()
    assert tuple(np.bincount(assigned.codes, minlength=len(buckets.labels))) == buckets.counts
    assert sum(buckets.counts) == len(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(assigned.codes[order].astype(int)) >= 0).all()
    shuffled = cut(values[::-1], metric="x", n=n)
    assert shuffled == buckets
