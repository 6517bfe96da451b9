from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.datasets import object_counts, read_samples
from analysis.join_unknown import spelling
from analysis.joining import Joined, check_results, join
from analysis.manifest import load_study
from analysis.results import read_latency, read_results
from complexity.errors import InputError
from complexity.files import to_json

IMAGES = ["a", "b", "c", "d"]


def samples(**columns: Any) -> pd.DataFrame:
    """Eight questions, two an image, in an order that is not sorted."""
    ids = [f"q{i}" for i in (3, 1, 2, 0, 7, 6, 5, 4)]
    base = {"dataset": "d", "sample_id": ids, "image_id": [i for i in IMAGES for _ in "xx"],
            "question": "?", "question_type": ["u", "v"] * 4, "hard": range(8)}  # fmt: skip
    return pd.DataFrame(base | columns)


def complexity(**columns: Any) -> pd.DataFrame:
    base = {"dataset": "d", "image_id": IMAGES, "sha256": "0", "width": 8, "height": 8,
            "error": None, "edges": [0.1, 0.2, 0.3, 0.4]}  # fmt: skip
    return pd.DataFrame(base | columns)


def results(models: tuple[str, ...] = ("z", "m"), ks: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    rows = [(m, s, k) for m in models for k in ks for s in samples()["sample_id"]]
    frame = pd.DataFrame(rows, columns=["model", "sample_id", "k"])
    score = (np.arange(len(frame)) % 3) / 2
    return frame.assign(dataset="d", run="r", repeat=0, score=score)


def labels(values: tuple[str | None, ...] = ("low", "low", "high", "high")) -> pd.Series:
    categories = pd.Categorical(values, ["low", "high"], ordered=True)
    return pd.Series(categories, index=IMAGES)


def joined(**changes: Any) -> Joined:
    parts: dict[str, Any] = {
        "samples": samples(),
        "complexity": complexity(),
        "buckets_label": labels(),
        "results": results(),
        "covariates": ["hard"],
    }
    return join("d", **(parts | changes))


def refused(**changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        joined(**changes)
    return str(caught.value)


def test_everything_matches() -> None:
    made = joined()
    table, report = made.table, made.report
    assert list(table.columns) == [
        "dataset", "model", "sample_id", "image_id", "k", "bucket", "score", "n_runs",
        "latency_ms", "question_type", "hard", "edges",
    ]  # fmt: skip
    order = samples()["sample_id"].tolist()
    expected = [(m, s, k) for m in ("z", "m") for s in order for k in (1, 2)]
    assert list(table[["model", "sample_id", "k"]].itertuples(index=False, name=None)) == expected
    by_image = dict(zip(IMAGES, [0.1, 0.2, 0.3, 0.4], strict=True))
    assert table["edges"].tolist() == [by_image[i] for i in table["image_id"]]
    assert table["bucket"].tolist() == ["low" if i in "ab" else "high" for i in table["image_id"]]
    lookup = results().set_index(["model", "sample_id", "k"])["score"]
    assert table["score"].tolist() == [lookup[key] for key in expected]
    assert table["latency_ms"].isna().all()
    assert report.complete
    assert report.models == ("z", "m")
    assert report.lines() == [
        "32 rows: 2 models, 8 samples of 4 images", "k of every model: 1, 2",
    ]  # fmt: skip
    assert json.loads(to_json(report.to_dict()))["k_grid"] == {"z": [1, 2], "m": [1, 2]}


def test_runs_and_repeats_are_averaged() -> None:
    first = results()
    again = first.assign(repeat=1, score=1.0)
    table = joined(results=pd.concat([first, again])).table
    assert table["n_runs"].unique().tolist() == [2]
    alone = joined().table
    assert np.allclose(table["score"], (alone["score"] + 1) / 2)


def test_what_does_not_match_is_counted_with_examples() -> None:
    theirs = results()
    stray = theirs.iloc[:3].assign(sample_id=["x1", "x2", "x2"], k=[1, 1, 2])
    theirs = pd.concat([theirs[theirs["sample_id"] != "q0"], stray])
    theirs = theirs[~((theirs["model"] == "m") & (theirs["sample_id"] == "q7"))]
    theirs = theirs[
        ~((theirs["model"] == "z") & (theirs["sample_id"] == "q1") & (theirs["k"] == 2))
    ]
    measured = complexity(image_id=["a", "b", "c", "unused"], edges=[0.1, np.nan, 0.3, 0.4],
                          error=[None, "truncated file", None, None])  # fmt: skip
    made = joined(results=theirs, complexity=measured)
    report = made.report
    assert (report.samples_without_results.count, report.samples_without_results.of) == (1, 8)
    assert report.samples_without_results.examples == ("q0",)
    assert report.results_without_samples.examples == ("x1", "x2")
    assert report.images_missing.examples == ("q5 (d)", "q4 (d)")
    assert report.images_unreadable.examples == ("b (truncated file)",)
    assert report.images_without_samples.examples == ("unused",)
    assert report.incomplete.count == 2
    assert report.incomplete.of == 14
    assert report.incomplete.examples == ("z × q1 lacks k = 2", "m × q7 lacks every k")
    assert not report.complete
    # Nothing is dropped in silence: only the stray rows are not in the table.
    assert len(made.table) == len(theirs) - 3
    assert made.table.loc[made.table["image_id"].isin(["b", "d"]), "edges"].isna().all()
    assert any("lacks every k" in line for line in report.lines())


def test_a_metric_undefined_on_an_image() -> None:
    measured = complexity(error=["density: one pixel", None, None, None], density=[np.nan, 1, 2, 3])
    report = joined(complexity=measured).report
    assert report.images_undefined.examples == ("a (density: one pixel)",)
    assert report.images_unreadable.count == 0


def test_many_examples_are_counted() -> None:
    theirs = results()
    stray = pd.concat([theirs.iloc[:1].assign(sample_id=f"x{i}") for i in range(9)])
    report = joined(results=pd.concat([theirs, stray])).report
    assert str(report.results_without_samples) == "9 of 17: x0, x1, x2, x3, x4 and 4 more"


def test_results_of_unknown_samples_only() -> None:
    theirs = results()
    said = refused(results=theirs.assign(sample_id="0" + theirs["sample_id"]))
    assert "none of the 8 sample ids in the results is in samples" in said
    assert "results have '0q3', '0q1', '0q2' and 5 more, samples have 'q3'" in said
    assert "they would match without leading zeros" in said
    other = refused(results=theirs.assign(sample_id=theirs["sample_id"].str.replace("q", "#")))
    assert (
        "both must be spelled the same: name the right column in columns: {sample_id: …}" in other
    )


def test_results_of_one_k_for_unknown_samples_only() -> None:
    theirs = results(ks=(1, 2, 4))
    lost = (theirs["k"] == 4) & (theirs["model"] == "m")
    theirs["sample_id"] = theirs["sample_id"].where(~lost, "0" + theirs["sample_id"])
    said = refused(results=theirs)
    assert (
        "all results of m at k = 4 are for samples that samples do not have: results have" in said
    )
    assert "they would match without leading zeros" in said
    with pytest.raises(InputError, match="all results of m at k = 4 are"):
        check_results("d", samples(), theirs)


def test_notes_hold_what_a_reader_must_know() -> None:
    theirs = results()
    lost = (theirs["k"] == 2) & theirs["sample_id"].isin(["q0", "q1"])
    theirs["sample_id"] = theirs["sample_id"].where(~lost, "0" + theirs["sample_id"])
    theirs = pd.concat([theirs, results(("single",), (4,))])
    measured = complexity(edges=[0.1, np.nan, 0.3, 0.4], error=[None, "zero bytes", None, None])
    report = joined(results=theirs, complexity=measured).report
    assert report.to_dict()["notes"] == [
        "4 rows of results for 2 sample ids that samples do not have: set aside (they would match "
        "without leading zeros)",
        "single was set aside: it has results at k = 4 only",
        "1 of 4 images could not be read: not in what is said about complexity",
        "z: 6 of 8 samples with results have every k; its k are compared on these only",
        "m: 6 of 8 samples with results have every k; its k are compared on these only",
    ]
    assert any("(set aside): 2 of 10" in line and "without leading zeros" in line
               for line in report.lines())  # fmt: skip


def test_a_covariate_by_its_name_in_the_file() -> None:
    asked = samples()
    asked.attrs["theirs"] = {"file": "image_id"}
    assert "'file' is read as image_id; name that" in refused(samples=asked, covariates=["file"])


def test_one_k_only() -> None:
    said = refused(results=results(ks=(4,)))
    assert (
        "every model has results at one k only (z: k = 4, m: k = 4); an effect of k needs" in said
    )


def test_a_model_with_one_k_is_set_aside() -> None:
    theirs = pd.concat([results(("z", "m")), results(("single",), (4,))])
    made = joined(results=theirs)
    assert made.report.models == ("z", "m")
    assert made.report.notes == ("single was set aside: it has results at k = 4 only",)
    assert "single" not in set(made.table["model"])


def test_no_result_in_a_bucket() -> None:
    theirs = results()
    low = set(samples()["sample_id"][:4])
    said = refused(results=theirs[theirs["sample_id"].isin(low)])
    assert "no result at all in bucket 'high' (2 images); add results for questions about these " \
        "images (c, d)" in said  # fmt: skip


def test_a_model_without_a_bucket_is_set_aside() -> None:
    theirs = results()
    low = set(samples()["sample_id"][:4])
    theirs = theirs[(theirs["model"] == "z") | theirs["sample_id"].isin(low)]
    made = joined(results=theirs)
    assert made.report.models == ("z",)
    assert made.report.notes == ("m was set aside: no result in bucket 'high'",)
    only_high = theirs[(theirs["model"] == "m") | ~theirs["sample_id"].isin(low)]
    assert "no model has results in every bucket" in refused(results=only_high)


def test_empty_category_is_no_bucket() -> None:
    """Ties can leave a bucket without an image; it cannot be asked for results."""
    made = joined(buckets_label=labels(("low",) * 4))
    assert made.table["bucket"].unique().tolist() == ["low"]


def test_images_without_a_bucket() -> None:
    table = joined(buckets_label=labels(("low", None, "high", "high"))).table
    assert table["bucket"].isna().tolist() == (table["image_id"] == "b").tolist()
    partial = joined(buckets_label=labels().drop("b")).table
    pd.testing.assert_frame_equal(partial, table)
    assert joined(buckets_label=None).table["bucket"].isna().all()


def test_nothing_left_after_the_join() -> None:
    said = refused(complexity=complexity(image_id=["a.png", "b.png", "c.png", "d.png"]))
    assert (
        "no sample with results has an image with a complexity; the samples' images are 'a'" in said
    )
    said = refused(complexity=complexity(edges=np.nan, error="zero bytes"))
    assert "the images say: zero bytes; replace them" in said
    assert "no image was measured" in refused(complexity=complexity().iloc[:0])


def test_covariates() -> None:
    assert "no column 'hrad' (did you mean 'hard'?)" in refused(covariates=["hrad"])
    renamed = samples().rename(columns={"hard": "edges"})
    assert "the covariate 'edges' has the name of a metric" in refused(
        samples=renamed, covariates=["edges"]
    )
    assert "the name of a column of the analysis table" in refused(
        samples=samples(score=1), covariates=["score"]
    )
    assert "edges" in joined(covariates=["edges"]).table  # a metric serves as it is


def test_rows_of_other_data_sets() -> None:
    theirs = results()
    theirs["dataset"] = np.where(theirs["model"] == "z", "other", None)
    assert joined(results=theirs).report.models == ("m",)
    assert "all rows are of other data sets (other)" in refused(
        results=theirs.assign(dataset="other")
    )


def latency(**columns: Any) -> pd.DataFrame:
    frame = results(("z", "fast")).drop(columns="score")
    frame = pd.concat([frame, frame.assign(repeat=1)], ignore_index=True)
    base = {"device": "cpu", "batch": 1, "request": 0, "total_ms": np.nan,
            "prefill_ms": np.arange(len(frame), dtype=float)}  # fmt: skip
    return frame.assign(**(base | columns))


def test_latency_is_the_mean_by_model_sample_and_k() -> None:
    theirs = pd.concat(
        [latency(), latency(device="gpu", prefill_ms=1e6),
         latency().iloc[:2].assign(sample_id="stray")]
    )  # fmt: skip
    made = joined(latency=theirs, latency_choice=("cpu", "prefill_ms"))
    table = made.table
    expected = latency().groupby(["model", "sample_id", "k"])["prefill_ms"].mean()
    z = table[table["model"] == "z"]
    assert z["latency_ms"].tolist() == [
        expected[key] for key in z[["model", "sample_id", "k"]].itertuples(index=False, name=None)
    ]
    assert table.loc[table["model"] == "m", "latency_ms"].isna().all()
    assert made.report.models_without_latency.examples == ("m",)
    assert made.report.latency_without_samples.examples == ("stray",)
    assert made.report.notes == ("latencies of models without results: fast",)
    assert made.report.complete


def test_latency_of_the_smallest_batch_and_of_no_sample() -> None:
    theirs = pd.concat([latency(), latency(batch=16, prefill_ms=1e6)], ignore_index=True)
    theirs.loc[0, "sample_id"] = None
    made = joined(latency=theirs, latency_choice=("cpu", "prefill_ms"))
    assert made.table["latency_ms"].max() < 1e6
    assert made.report.notes[0].startswith("latency_ms is that of batch 1 (there are 1, 16")
    assert made.report.notes[1].startswith("1 latencies name no sample")


def test_latency_choice_that_is_not_there() -> None:
    said = refused(latency=latency(), latency_choice=("cpus", "prefill_ms"))
    assert "no latencies of device 'cpus' (did you mean 'cpu'?)" in said
    said = refused(latency=latency(), latency_choice=("cpu", "total_ms"))
    assert "no latencies of phase 'total_ms'" in said
    assert "there are prefill_ms" in said
    assert joined(latency=latency()).table["latency_ms"].isna().all()


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(random: Any) -> None:
    """Shuffled inputs give the same table, but for the order of models and samples."""
    key = ["model", "sample_id", "k"]
    expected = joined().table.sort_values(key, ignore_index=True)

    def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.sample(frac=1, random_state=random.randrange(2**32))

    made = joined(
        samples=shuffled(samples()),
        complexity=shuffled(complexity()),
        results=shuffled(results()),
        buckets_label=labels().sample(frac=1, random_state=random.randrange(2**32)),
    ).table.sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(made, expected)


def test_agrees_with_plain_merges_on_shapes(shapes: Path) -> None:
    study = load_study(shapes)
    asked = read_samples(study)
    scores, _ = read_results(study, asked)
    times, _ = read_latency(study)
    counts = object_counts(study, asked)
    assert counts is not None
    measured = pd.DataFrame({"dataset": "shapes", "image_id": list(counts), "sha256": None,
                             "width": 128, "height": 128, "error": None,
                             "object_count": list(counts.values())})  # fmt: skip
    made = join("shapes", asked, measured, None, scores, times,
                ("cpu-1thread-fp32", "prefill_ms"), ["question_type"])  # fmt: skip
    assert made.report.complete
    key = ["model", "sample_id", "k"]
    plain = scores.merge(asked[["sample_id", "image_id", "question_type"]], on="sample_id")
    plain = plain.merge(measured[["image_id", "object_count"]], on="image_id")
    cpu = times[times["device"] == "cpu-1thread-fp32"]
    mean = cpu.groupby(key)["prefill_ms"].mean().rename("latency_ms").reset_index()
    plain = plain.merge(mean, on=key, how="left").sort_values(key, ignore_index=True)
    ours = made.table.sort_values(key, ignore_index=True)
    columns = [*key, "image_id", "score", "question_type", "object_count", "latency_ms"]
    pd.testing.assert_frame_equal(ours[columns], plain[columns])


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (["a_0", "b_0"], "from 0 and the others from 1"),
        (["a_4"], "from 1 and the others from 0"),
        (["a_0", "b_9"], ""),
        (["a_x"], ""),
    ],
)
def test_numbers_that_begin_elsewhere_are_suspected(theirs: list[str], said: str) -> None:
    hint = spelling(theirs, ["a_1", "a_2", "a_3", "b_1", "b_2"])
    assert said in hint
    assert bool(said) == bool(hint)
