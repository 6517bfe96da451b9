from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_study import LATENCY, RESULTS, SAMPLES, json_lines, tiny

from analysis.manifest import load_study
from analysis.results import read_latency, read_results
from complexity.errors import InputError


def refused_results(
    folder: Path, text: str, *, files: dict[str, str] | None = None, **entry: Any
) -> str:
    study = tiny(
        folder, {"results.csv": text} | (files or {}), results=[{"path": "results.csv"} | entry]
    )
    with pytest.raises(InputError) as caught:
        read_results(study)
    return str(caught.value)


def test_plain_results(tmp_path: Path) -> None:
    results, notes = read_results(tiny(tmp_path))
    assert notes == ()
    assert list(results.columns) == [
        "dataset", "run", "model", "sample_id", "k", "repeat", "score",
    ]  # fmt: skip
    assert results["run"].unique().tolist() == ["results"]
    assert results["sample_id"].tolist() == ["001", "001", "002", "002", "10", "10"]
    assert results["score"].tolist() == [0, 1, 1, 1, 0.25, 0.5]
    assert results["repeat"].tolist() == [0] * 6


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("m,001,2,1", "m,001,0,1", "csv: column 'k' has 0 in row 2 (line 3), but must be at "
         "least 1"),
        ("m,001,2,1", "m,001,4.5,1", "column 'k' must be a whole number"),
        ("m,001,2,1", "m,001,2,1.2", "'score' has 1.2 in row 2 (line 3), but must be between 0 "
         "and 1"),
        ("m,001,2,1", "m,001,2,nan", "it has 'nan' in row 2 (line 3)"),
        ("m,001,2,1", "m,001,2,", "column 'score' is empty in row 2 (line 3); fill it in"),
        ("m,001,2,1", "m,001,1,1", "results.csv: the same key twice: row 1 (line 2) and row 2 "
         "(line 3) (run results, "
         "model m, sample_id 001, k 1, repeat 0); number true repeats"),
        ("m,001,2,1", ",001,2,1", "column 'model' is empty in row 2 (line 3)"),
        ("model,", "modle,", "results.csv: no column 'model'; say in "),
        (",k,", ",kk,", "results.csv: no column 'k'; say in "),
        (",score", ",skore", "results.csv: neither a score nor a prediction; name the column in "),
        ("sample_id,", "sample,", "results.csv: no column 'sample_id' (the question's id, unique "
         "in the data set) (did you mean 'sample'?); its columns are model, sample, k, score"),
    ],
)  # fmt: skip
def test_refused_with_file_row_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in RESULTS
    assert said in refused_results(tmp_path, RESULTS.replace(old, new, 1))


def test_percentages_are_guessed_at(tmp_path: Path) -> None:
    text = RESULTS.replace("m,001,2,1", "m,001,2,87")
    assert "are these percentages? then divide the column by 100" in refused_results(tmp_path, text)


def test_only_the_header(tmp_path: Path) -> None:
    assert "no rows in it" in refused_results(tmp_path, "model,sample_id,k,score\n")


def test_whole_floats_are_k(tmp_path: Path) -> None:
    text = RESULTS.replace(",1,", ",1.0,").replace(",2,", ",2.0,")
    results, _ = read_results(tiny(tmp_path, {"results.csv": text}))
    assert results["k"].tolist() == [1, 2] * 3


def test_no_results_yet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no per-k results yet; add `results:` with `path`"):
        read_results(tiny(tmp_path, results=None))


def test_k_and_model_from_the_file_name(tmp_path: Path) -> None:
    text = "sample_id,correct\n001,1\n10,0\n"
    entry = {
        "path": "runs/*.csv",
        "k": {"file_name": "_k(?P<k>[0-9]+)"},
        "model": {"file_name": "^(?P<model>[^_]+)_"},
        "columns": {"score": "correct"},
    }
    files = {f"runs/{model}_k{k:02d}.csv": text for model in ("a", "b") for k in (2, 16)}
    results, _ = read_results(tiny(tmp_path, files, results=[entry]))
    assert results["model"].tolist() == ["a"] * 4 + ["b"] * 4
    assert results["k"].tolist() == [2, 2, 16, 16] * 2
    assert results["run"].iloc[0] == "a_k02"
    study = tiny(tmp_path, {"runs/other.csv": text}, results=[entry])
    with pytest.raises(InputError, match=r"results\[0\]\.k\.file_name: '_k\(\?P<k>\[0-9\]\+\)' "
                       r"does not find k in the file name 'other\.csv'"):  # fmt: skip
        read_results(study)
    word = entry | {"k": {"file_name": "_(?P<k>k[0-9]+)"}}
    (tmp_path / "runs" / "other.csv").unlink()
    with pytest.raises(InputError, match=r"finds 'k02' in 'a_k02\.csv', which is not a whole"):
        read_results(tiny(tmp_path, results=[word]))


def test_k_and_model_given(tmp_path: Path) -> None:
    text = "sample_id,score\n001,1\n"
    entries = [{"path": f"k{k}.csv", "k": {"value": k}, "model": {"value": "m"}} for k in (1, 8)]
    study = tiny(tmp_path, {"k1.csv": text, "k8.csv": text}, results=entries)
    results, _ = read_results(study)
    assert results[["model", "k", "run"]].to_numpy().tolist() == [["m", 1, "k1"], ["m", 8, "k8"]]


def test_the_same_result_in_two_files(tmp_path: Path) -> None:
    text = RESULTS.replace("model,", "run,model,").replace("\nm", "\nr1,m")
    study = tiny(
        tmp_path,
        {"a.csv": text, "b.csv": text.splitlines()[0] + "\nr1,m,002,1,1\n"},
        results=[{"path": "a.csv"}, {"path": "b.csv"}],
    )
    with pytest.raises(InputError) as caught:
        read_results(study)
    assert re.search(
        r"results: the same key twice: \S*a\.csv row 3 \(line 4\) and \S*b\.csv row 1 \(line 2\) "
        r"\(run r1, model m, "
        r"sample_id 002, k 1, repeat 0\)",
        str(caught.value),
    )


def test_absent_column_of_the_mapping(tmp_path: Path) -> None:
    said = refused_results(tmp_path, RESULTS, columns={"score": "scoer"})
    assert "results.csv: no column 'scoer' (did you mean 'score'?)" in said
    assert "results[0].columns.score asks for; its columns are model, sample_id, k, score" in said
    said = refused_results(tmp_path, RESULTS, k={"column": "topk"})
    assert "results.csv: no column 'topk'" in said
    assert "results[0].k asks for" in said


def test_messages_name_the_file_s_column(tmp_path: Path) -> None:
    text = RESULTS.replace("score", "correct").replace("m,10,1,0.25", "m,10,1,3")
    said = refused_results(tmp_path, text, columns={"score": "correct"})
    assert "column 'correct' (our 'score') has 3.0 in row 5 (line 6)" in said


def test_rows_of_other_data_sets(tmp_path: Path) -> None:
    lines = RESULTS.splitlines()
    text = "\n".join(
        [f"dataset,{lines[0]}", *(f"other,{row}" for row in lines[1:3])]
        + [f"tiny,{row}" for row in lines[3:5]]
        + [f",{row}" for row in lines[5:]]
    )
    results, notes = read_results(tiny(tmp_path, {"results.csv": text}))
    assert results["dataset"].unique().tolist() == ["tiny"]
    assert len(results) == 4
    assert notes == ("results.csv: rows of other data sets were left out: other (2 rows)",)
    # Rows are numbered as in the file, whatever was left out.
    assert "row 4 (line 5)" in refused_results(tmp_path, text.replace("m,002,2,1", "m,002,2,9"))
    text = text.replace("tiny", "other").replace("\n,", "\nother,")
    assert "all rows are of another data set than 'tiny': other (6 rows)" in refused_results(
        tmp_path, text
    )


def test_predictions_are_scored(tmp_path: Path) -> None:
    text = "model,sample_id,k,prediction\nm,001,1,2\nm,001,2, 2 \nm,002,1,RED\nm,002,2,\n"
    results, notes = read_results(tiny(tmp_path, {"results.csv": text}))
    assert results["score"].tolist() == [1, 1, 1, 0]
    assert results["scorer"].unique().tolist() == ["exact"]
    assert notes == ("results.csv: predictions were scored by the rule 'exact'",)


def test_predictions_for_unknown_samples_have_no_score(tmp_path: Path) -> None:
    text = "model,sample_id,k,prediction\nm,001,1,2\nm,none,1,2\n"
    results, _ = read_results(tiny(tmp_path, {"results.csv": text}))
    assert results["score"].iloc[0] == 1
    assert np.isnan(results["score"].iloc[1])


def test_predictions_that_cannot_be_scored(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"model": "m", "sample_id": "001", "k": 1, "prediction": "2"},
        {"model": "m", "sample_id": "001", "k": 2, "prediction": None},
    ]
    entry = {"path": "r.jsonl"}
    said = refused_results(tmp_path, RESULTS, files={"r.jsonl": json_lines(rows)}, **entry)
    assert "r.jsonl: no prediction in row 2 (line 2); leave out what was not asked" in said
    rows[1]["prediction"] = 2.5
    said = refused_results(tmp_path, RESULTS, files={"r.jsonl": json_lines(rows)}, **entry)
    assert "column of the prediction must be text or whole numbers" in said
    text = "model,sample_id,k,prediction\nm,001,1,2\n"
    samples = SAMPLES.replace("how many?,2", "how many?,[]")
    said = refused_results(tmp_path, text, files={"samples.csv": samples})
    assert "no answer to score the predictions for samples 001 by" in said


def test_shapes(shapes: Path) -> None:
    results, notes = read_results(load_study(shapes))
    assert notes == ()
    assert len(results) == 192_000
    # What the evaluation on the GPU printed when it wrote the tables, in percent.
    published = {
        "fixed4": [69.02, 74.77, 75.62, 75.58, 75.33, 75.17, 74.78, 74.23],
        "anyk": [73.74, 73.94, 73.83, 73.92, 73.82, 73.77, 73.75, 73.88],
    }
    means = 100 * results.pivot_table(index="model", columns="k", values="score")
    assert sorted(means.index) == sorted(published)
    for model, expected in published.items():
        assert means.loc[model].to_numpy() == pytest.approx(expected, abs=0.005 + 1e-9)


# --- latency


def test_wide_latency(tmp_path: Path) -> None:
    latency, notes = read_latency(tiny(tmp_path))
    assert notes == ()
    assert latency["prefill_ms"].tolist() == [10, 12.5, 11]
    assert latency["total_ms"].isna().all()
    assert latency["order"].tolist() == [0, 1, 2]
    assert latency[["batch", "repeat", "request"]].to_numpy().tolist() == [[1, 0, 0]] * 3
    assert latency["run"].unique().tolist() == ["latency"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2,12.5", "2,-12.5", "latency.csv: column 'prefill_ms' has -12.5 in row 2 (line 3), but "
         "must be "
         "finite and not negative (prompt through the language model, ms)"),
        ("2,12.5", "2,inf", "in row 2 (line 3)"),
        ("2,12.5", "2,fast", "it has 'fast' in row 2 (line 3)"),
        ("2,12.5", "0,12.5", "column 'k' has 0 in row 2 (line 3)"),
        ("2,12.5", "1,12.5", "the same key twice: row 1 (line 2) and row 2 (line 3) (run "
         "latency, model m, device "
         "cpu, sample_id 001, k 1, batch 1, repeat 0, request 0)"),
        ("prefill_ms", "prefill", "latency.csv: no column of times; name one in "),
        ("device,", "where,", "latency.csv: no column 'device'; say in "),
    ],
)  # fmt: skip
def test_refused_latency(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_latency(tiny(tmp_path, {"latency.csv": LATENCY.replace(old, new, 1)}))
    assert said in str(caught.value)


def test_latency_without_a_sample(tmp_path: Path) -> None:
    text = "device,model,k,request,prefill_ms\ncpu,m,1,0,5\ncpu,m,1,1,6\n"
    latency, _ = read_latency(tiny(tmp_path, {"latency.csv": text}))
    assert latency["sample_id"].isna().all()
    text = LATENCY.replace("m,001,1", "m,,1")
    latency, _ = read_latency(tiny(tmp_path, {"latency.csv": text}))
    assert latency["sample_id"].isna().tolist() == [True, False, False]


LONG = """\
device,model,sample_id,k,part,ms
cpu,m,001,1,pre,10
cpu,m,001,1,see,3
cpu,m,001,1,wall,99
cpu,m,10,1,pre,11
cpu,m,001,2,see,4
cpu,m,001,2,pre,12
"""
PHASE = {"column": "part", "value": "ms", "map": {"pre": "prefill_ms", "see": "vision_ms"}}


def long(folder: Path, text: str = LONG, **phase: Any) -> Any:
    entry = {"path": "latency.csv", "phase": PHASE | phase}
    return tiny(folder, {"latency.csv": text}, latency=[entry])


def test_long_latency_becomes_wide(tmp_path: Path) -> None:
    latency, notes = read_latency(long(tmp_path))
    made = latency[["sample_id", "k", "prefill_ms", "vision_ms", "order"]]
    expected = pd.DataFrame(
        {
            "sample_id": ["001", "10", "001"],
            "k": [1, 1, 2],
            "prefill_ms": [10.0, 11.0, 12.0],
            "vision_ms": [3.0, np.nan, 4.0],
            "order": [0, 1, 2],
        }
    )
    pd.testing.assert_frame_equal(made, expected, check_dtype=False)
    assert notes == (
        "latency.csv: phases that the manifest does not map were left out: wall (1 rows)",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("see,4", "see,-4", "latency.csv: column 'ms' has -4 in row 5 (line 6), but must be "
         "finite and not"),
        ("see,4", "see,", "latency.csv: column 'ms' is empty in row 5 (line 6)"),
        ("2,see,4", "1,pre,4", "the same key twice: row 1 (line 2) and row 5 (line 6) (model m, "
         "device cpu, "
         "sample_id 001, k 1, batch 1, request 0, phase prefill_ms); number true repeats"),
        (",part,", ",phase,", "latency.csv: no column 'part', which "),
    ],
)  # fmt: skip
def test_refused_long_latency(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_latency(long(tmp_path, LONG.replace(old, new, 1)))
    assert said in str(caught.value)


def test_phase_that_is_not_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no phase 'prefil'.*phase\.map names; the file has pre"):
        read_latency(long(tmp_path, map={"prefil": "prefill_ms"}))


def test_two_phases_may_become_one_on_different_devices(tmp_path: Path) -> None:
    text = LONG + "gpu,m,001,1,event,2\n"
    study = long(tmp_path, text, map={"pre": "prefill_ms", "event": "prefill_ms"})
    latency, _ = read_latency(study)
    assert latency.loc[latency["device"] == "gpu", "prefill_ms"].tolist() == [2]


def test_shapes_latency(shapes: Path) -> None:
    latency, notes = read_latency(load_study(shapes))
    raw = pd.read_parquet(shapes / "latency.parquet")
    assert notes == ()
    # Every timed question at every k.
    for (device, _, _), rows in raw.groupby(["device", "model", "repeat"]):
        asked = 200 if device == "cpu-1thread-fp32" else 40
        assert rows.groupby("k").size().tolist() == [asked] * 8
    assert len(raw) == 8 * 2 * (2 * 200 + 3 * 40)
    key = ["device", "model", "sample_id", "k", "repeat"]
    theirs, ours = raw.set_index(key), latency.set_index(key)
    assert ours.index.is_unique
    for column in ("vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms"):
        assert ours[column].notna().all()
        assert np.array_equal(ours.loc[theirs.index, column], theirs[column])
    whole = (latency["ttft_ms"] + latency["decode_ms"] - latency["total_ms"]).abs()
    assert whole.max() < 0.001
