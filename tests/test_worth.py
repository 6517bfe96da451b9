from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from optimum_cases import simulate, tertiles
from test_figures import assert_tidy, footnote, legend_texts

from analysis.report import figures, worth_frames
from analysis.report.worth_tables import policy_words
from analysis.report.worth_words import worth_sentences
from analysis.worth import Worth, worth
from complexity.errors import InputError
from complexity.files import to_json

KS = (1, 2, 4, 8)
FAST = {"n_boot": 200, "n_repeats": 2}


def peaked(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return 1.5 - 0.3 * z - 0.6 * (x - 1.0 - 0.5 * z) ** 2


def table(**options: Any) -> pd.DataFrame:
    return simulate(peaked, ks=KS, **{"n_images": 90, **options})


def latencies(rows: pd.DataFrame, every: int = 1, per_k: float = 1.0) -> pd.DataFrame:
    """One item a sample of every so many images: 10 ms, per_k ms for each k, noise by item."""
    images = sorted(rows["image_id"].unique())[::every]
    timed = rows[rows["image_id"].isin(images)]
    noise = pd.Series(
        np.random.default_rng(1).normal(0, 0.5, timed["sample_id"].nunique()),
        index=timed["sample_id"].unique(),
    )
    return pd.DataFrame(
        {
            "model": timed["model"],
            "item": timed["sample_id"],
            "k": timed["k"],
            "ms": 10 + per_k * timed["k"] + noise.reindex(timed["sample_id"]).to_numpy(),
        }
    )


def one(rows: pd.DataFrame, latency: pd.DataFrame | None = None, **options: Any) -> Worth:
    (found,) = worth(rows, "objects", tertiles(rows), latency, **{**FAST, **options})
    return found


def test_everything_is_answered_with_latency() -> None:
    rows = table()
    found = one(rows, latencies(rows))
    assert [item.group for item in found.utility] == ["all", "low", "mid", "high"]
    assert [item.group for item in found.non_inferior] == ["all", "low", "mid", "high"]
    assert [item.policy for item in found.value] == [
        "accuracy",
        *["utility"] * 3,
        "equal accuracy",
        "within margin",
    ]
    assert found.latency is not None
    assert found.latency.by_bucket
    assert found.latency.n_items == rows["sample_id"].nunique()
    # Prices at which the span of latency, 7 ms, counts 1, 3 and 10 points.
    prices = [item.price for item in found.value if item.price is not None]
    assert prices == pytest.approx([0.01 / 7, 0.03 / 7, 0.1 / 7])
    overall = found.utility[0]
    by_k = rows.groupby("k")["score"].mean()
    assert overall.accuracy == pytest.approx(tuple(by_k))
    assert np.diff(overall.ms) == pytest.approx([1, 2, 4])
    for end in overall.break_evens:
        gap = by_k[end.slower] - by_k[end.faster]
        assert end.price == pytest.approx(gap / (end.slower - end.faster))
        assert end.ci_low is not None and end.ci_high is not None
        assert end.ci_low <= end.price <= end.ci_high
    assert found.notes == ()


def test_the_same_seed_gives_the_same_bytes_and_models_do_not_meddle() -> None:
    rows = table()
    both = pd.concat([rows, table(seed=2, model="other")])
    labels = tertiles(rows)
    first = to_json([w.to_dict() for w in worth(both, "objects", labels, **FAST)])
    again = to_json([w.to_dict() for w in worth(both, "objects", labels, **FAST)])
    assert first == again
    shuffled = both.sample(frac=1, random_state=1)
    assert {w.model: w for w in worth(shuffled, "objects", labels, **FAST)}["m"] == one(rows)
    assert to_json([one(rows).to_dict()]) == to_json(json.loads(first)[:1])
    assert one(rows, seed=3) != one(rows)


def test_without_latency_it_says_what_is_missing() -> None:
    rows = table()
    found = one(rows)
    assert found.utility == ()
    assert [item.policy for item in found.value] == ["accuracy"]
    assert found.value[0].ms is None
    assert any("without latency there are no prices" in note for note in found.notes)
    other = latencies(rows).assign(model="other")
    assert one(rows, other).notes[0].startswith("no latency of this model")


def test_few_timed_samples_stand_for_every_bucket() -> None:
    rows = table()
    found = one(rows, latencies(rows, every=6))
    assert found.latency is not None
    assert not found.latency.by_bucket
    assert any("the same for every bucket" in note for note in found.notes)
    assert any("taken as known" in note for note in found.notes)
    assert len({item.ms for item in found.utility}) == 1
    # The policy's latency is that of the k it asks for, weighted by questions.
    value = found.value[0]
    assert value.ms is not None
    unnamed = latencies(rows, every=6).assign(item=lambda f: "request " + f["item"])
    assert one(rows, unnamed).latency is not None


def test_one_request_that_was_timed() -> None:
    rows = table()
    single = pd.DataFrame({"model": "m", "item": "request 0", "k": KS, "ms": [1.0, 2, 3, 4]})
    found = one(rows, single)
    assert found.latency is not None
    assert "taken as known" in found.latency.resampled
    assert found.utility[0].share[0] is not None


def test_constant_latency_and_a_k_that_was_not_timed() -> None:
    rows = table()
    flat = one(rows, latencies(rows, per_k=0.0))
    assert flat.utility[0].break_evens == ()
    assert sum(start is not None for start in flat.utility[0].price_from) == 1
    assert [item.policy for item in flat.value] == ["accuracy"]
    assert any("latency is the same at every k" in note for note in flat.notes)
    timed = latencies(rows)
    partly = one(rows, timed[timed["k"] != 8])
    assert partly.utility[0].ks == (1, 2, 4)
    assert any("k = 8 was not timed" in note for note in partly.notes)
    assert partly.value[0].ms is None  # accuracy may choose the k without latency
    assert partly.value[1].ms is not None
    assert one(rows, timed[timed["k"] == 8]).latency is None


def test_perfect_accuracy_and_two_k() -> None:
    rows = table(n_images=600).assign(score=1.0)
    found = one(rows, latencies(rows))
    assert found.non_inferior[0].k == 1
    assert found.utility[0].break_evens == ()
    for item in found.value:
        assert item.moved == 0
        assert item.accuracy.estimate == 0
    two = table()
    two = two[two["k"].isin([1, 4])]
    found = one(two, latencies(two))
    assert found.ks == (1, 4)
    assert len(found.value) == 6


def test_answers_that_never_differ_are_named() -> None:
    rows = table()
    # k = 1 and k = 2 answer alike; which of them is first differs by nothing.
    value = rows[rows["k"] == 2].set_index("sample_id")["score"]
    first = rows["k"] == 1
    rows.loc[first, "score"] = value.loc[rows.loc[first, "sample_id"]].to_numpy()
    rows = rows[rows["k"] < 4]
    found = one(rows, latencies(rows, per_k=-1.0))
    slow = [item for item in found.value if item.policy == "accuracy"]
    assert slow[0].moved == 0


def test_empty_and_single_buckets() -> None:
    rows = table()
    labels = tertiles(rows).cat.add_categories("none")
    (found,) = worth(rows, "objects", labels, **FAST)
    assert found.buckets == ("low", "mid", "high")
    assert any("none has no results" in note for note in found.notes)
    one_bucket = pd.Series(
        pd.Categorical(["x"] * len(labels), categories=["x"], ordered=True), index=labels.index
    )
    (found,) = worth(rows, "objects", one_bucket, **FAST)
    assert found.value == ()
    assert any("one bucket" in note for note in found.notes)
    lonely = labels.astype(str).where(np.arange(len(labels)) > 0, "alone")
    lonely = lonely.astype(pd.CategoricalDtype(["alone", "low", "mid", "high"], ordered=True))
    (found,) = worth(rows, "objects", lonely, **FAST)
    assert [item.group for item in found.non_inferior] == ["all", "low", "mid", "high"]
    assert any("one image" in note for note in found.notes)


def test_few_images_give_a_reduced_answer() -> None:
    found = one(table(n_images=12))
    assert found.value == ()
    assert any("too few to learn on some" in note for note in found.notes)
    assert found.non_inferior[0].k is None


def test_incomplete_samples_and_images_without_complexity_are_set_aside() -> None:
    rows = table()
    lacking = rows[~((rows["k"] == 4) & (rows["image_id"] < "i0010"))]
    found = one(lacking)
    assert found.n_images == 80
    assert any("lack some k" in note for note in found.notes)
    unmeasured = rows.assign(objects=rows["objects"].where(rows["image_id"] >= "i0005"))
    assert worth(unmeasured, "objects", tertiles(rows), **FAST)[0].n_images == 85


def test_wrong_input_is_named() -> None:
    rows = table()
    labels = tertiles(rows)
    timed = latencies(rows)
    with pytest.raises(InputError, match="no column 'score'"):
        worth(rows.drop(columns="score"), "objects", labels)
    with pytest.raises(InputError, match="holds text"):
        worth(rows, "kind", labels)
    with pytest.raises(InputError, match="margin is 1"):
        worth(rows, "objects", labels, margin=1.0)
    with pytest.raises(InputError, match="no column 'ms'"):
        worth(rows, "objects", labels, timed.drop(columns="ms"))
    with pytest.raises(InputError, match="more than one phase"):
        worth(rows, "objects", labels, timed.assign(phase=np.arange(len(timed)) % 2))
    with pytest.raises(InputError, match="one k only"):
        worth(rows[rows["k"] == 1], "objects", labels)
    with pytest.raises(InputError, match="a bucket"):
        worth(rows, "objects", labels.iloc[:0])


def spelled(*models: str) -> list[dict[str, Any]]:
    rows = pd.concat([table(seed=i, model=model) for i, model in enumerate(models)])
    timed = latencies(rows[rows["model"] != "untimed"])
    return [w.to_dict() for w in worth(rows, "objects", tertiles(rows), timed, **FAST)]


def test_frames_have_the_columns_that_are_documented() -> None:
    found = spelled("a-model", "untimed")
    for name, make in (
        ("worth_utility", worth_frames.utility_by_price),
        ("worth_smallest_k", worth_frames.smallest_k),
        ("worth_policies", worth_frames.policy_values),
    ):
        frame = make(found)
        assert list(frame) == list(worth_frames.MEANINGS[name])
        assert frame.notna().any().all()
        assert list(make([])) == list(frame)


def test_figures_and_words() -> None:
    found = spelled("a-model", "untimed")
    frame = worth_frames.utility_by_price(found)
    ranges = {"low": "≤ 8", "mid": "8 < c ≤ 16", "high": "> 16"}
    fig = figures.best_k_by_price(frame, metric="object_count", bucket_ranges=ranges)
    assert_tidy(fig)
    on = frame[frame["price_from"].notna()]
    assert legend_texts(fig) == [str(k) for k in sorted(on["k"].unique())]
    assert len(fig.axes[0].patches) == len(on)
    values = worth_frames.policy_values(found)
    drawn = pd.DataFrame(
        {
            "model": values["model"],
            "what": [policy_words(*item) for item in zip(values.policy, values.price, strict=True)],
            "value": values["accuracy"],
            "low": values["accuracy_low"],
            "high": values["accuracy_high"],
            "naive": values["accuracy_naive"],
            "oracle": values["accuracy_oracle"],
        }
    )
    fig = figures.policy_value(drawn, unit="points", metric="object_count")
    assert_tidy(fig)
    assert "optimistic" in footnote(fig)
    bare = figures.policy_value(drawn.assign(naive=np.nan, oracle=np.nan), unit="ms")
    assert not bare.legends

    sentences = worth_sentences(found, ("cpu", "prefill_ms"))
    assert len(sentences) == 4
    assert sentences[0].startswith("Smallest k within 1 point of the best (95 %): a-model ")
    assert "a-model" in sentences[2]
    assert "untimed" not in sentences[2]
    assert len(worth_sentences(found[1:])) == 2
    assert worth_sentences([]) == []
    many = worth_sentences([{**found[1], "model": f"m{i}"} for i in range(9)])
    assert "(and 5 in tables/worth_*)" in many[0]
    assert "m4" not in " ".join(many)
