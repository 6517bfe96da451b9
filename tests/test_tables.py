from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.frames import name_rows, read_frame
from analysis.tables import (
    ANALYSIS,
    LATENCY,
    RESULTS,
    SAMPLES,
    SCHEMAS,
    check,
    read_table,
    write_table,
)
from complexity.errors import InputError


def results(**columns: Any) -> pd.DataFrame:
    """Six results, good but for the columns given."""
    base: dict[str, Any] = {
        "dataset": "d",
        "run": "r",
        "model": "m",
        "sample_id": [f"q{i}" for i in range(6)],
        "k": [1, 2, 4, 8, 1, 2],
        "repeat": 0,
        "score": [0, 1, 0.5, 1, 0, 1],
    }
    return pd.DataFrame(base | columns)


def refused(**columns: Any) -> str:
    with pytest.raises(InputError) as caught:
        check(results(**columns), RESULTS, "r.csv")
    return str(caught.value)


def test_every_column_has_a_meaning() -> None:
    for schema in SCHEMAS:
        assert schema.row
        assert set(schema.key) <= set(schema.names)
        assert all(column.meaning for column in schema.columns)


def test_types_and_order_are_set() -> None:
    frame = results()[["score", "k", "repeat", "sample_id", "model", "run", "dataset"]]
    made = check(frame.assign(aside=1), RESULTS, "r.csv")
    assert list(made.columns) == ["dataset", "run", "model", "sample_id", "k", "repeat", "score"]
    assert made["score"].dtype == np.float64
    assert made["k"].dtype == np.int64


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"k": [1, 0, -1, 2, 3, 4]}, "column 'k' has 0 in row 2, -1 in row 3, but must be at least "
         "1 (number of active experts per token, at least 1); correct or leave out these rows"),
        ({"k": [1, 2, 4.5, 2, 1, 1]}, "column 'k' must be a whole number (number of active experts "
         "per token, at least 1); it has 4.5 in row 3; correct these"),
        ({"k": ["1", "two", "4", "8", "1", "2"]}, "it has 'two' in row 2; correct these"),
        ({"k": [True, 2, 4, 8, 1, 2]}, "must be a whole number"),
        ({"score": [0, 1.2, 0, 1, -0.1, 1]}, "column 'score' has 1.2 in row 2, -0.1 in row 5, but "
         "must be between 0 and 1 (accuracy of the answer, in [0, 1]); correct or leave out"),
        ({"score": [87, 1, 0, 100, 55.5, 1]}, "87.0 in row 1, 100.0 in row 4, 55.5 in row 5, but "
         "must be between 0 and 1 (accuracy of the answer, in [0, 1]); are these percentages? then "
         "divide the column by 100, else correct"),
        ({"score": [0, np.nan, 1, 1, 1, 1]}, "column 'score' is empty in row 2; fill it in "
         "(accuracy of the answer, in [0, 1]) or leave the row out"),
        ({"score": [0, np.inf, 1, 1, 1, 1]}, "has inf in row 2"),
        ({"score": ["0", "right", "1", "1", "1", "1"]}, "must be a number (accuracy of the answer, "
         "in [0, 1]); it has 'right' in row 2"),
        ({"score": [2.0] * 6}, "2.0 in row 1, 2.0 in row 2, 2.0 in row 3, 2.0 in row 4, 2.0 in row "
         "5 and 1 more"),
        ({"sample_id": [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]}, "column 'sample_id' must be text or whole "
         "numbers, compared as they are written; it has 1.0 in row 1, 2.0 in row 2"),
        ({"sample_id": ["a", "", "c", None, "e", "f"]}, "column 'sample_id' is empty in row 2, row "
         "4; fill it in"),
        ({"sample_id": ["a", "b", "c", "d", "e", {"id": 1}]}, "it has {'id': 1} in row 6; write"),
        ({"sample_id": "q", "k": [1, 2, 1, 8, 1, 4]}, "the same key twice: row 1 and row 3 (run r, "
         "model m, sample_id q, k 1, repeat 0); row 1 and row 5 (run r, model m, sample_id q, k 1, "
         "repeat 0); number true repeats in a column `repeat`, tell runs apart in a column `run`, "
         "or keep one of them"),
    ],
)  # fmt: skip
def test_refused_with_rows_and_remedy(columns: dict[str, Any], said: str) -> None:
    message = refused(**columns)
    assert message.startswith("r.csv: ")
    assert said in message


def test_missing_column_suggests_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        check(results().rename(columns={"score": "scores"}), RESULTS, "r.csv")
    assert str(caught.value) == (
        "r.csv: no column 'score' (accuracy of the answer, in [0, 1]) (did you mean 'scores'?); "
        "its columns are dataset, run, model, sample_id, k, repeat, scores"
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(refused(k=0, score=7).splitlines()) == 2


def test_messages_use_the_names_of_the_file() -> None:
    with pytest.raises(InputError, match=r"column 'correct' \(our 'score'\) has 7\.0 in row 1"):
        check(results(score=7.0), RESULTS, "r.csv", theirs={"score": "correct"})


def test_negative_and_infinite_times() -> None:
    frame = pd.DataFrame({column.name: [None, None] for column in LATENCY.columns})
    frame = frame.assign(
        dataset="d", run="r", model="m", device="cpu", k=[1, 2], batch=1, repeat=0, request=0
    )
    frame = frame.assign(order=0)
    check(frame.assign(prefill_ms=[0.0, 5.0]), LATENCY, "l.csv")
    with pytest.raises(InputError, match=r"column 'prefill_ms' has -1\.5 in row 2, but must be "
                       r"finite and not negative"):  # fmt: skip
        check(frame.assign(prefill_ms=[1.0, -1.5]), LATENCY, "l.csv")
    with pytest.raises(InputError, match="has inf in row 1"):
        check(frame.assign(prefill_ms=[np.inf, 1.0]), LATENCY, "l.csv")


def test_whole_numbers_as_ids_become_their_decimal_text() -> None:
    made = check(results(sample_id=[1, 2, 30, 4, 5, 6]), RESULTS, "r.parquet")
    assert made["sample_id"].tolist() == ["1", "2", "30", "4", "5", "6"]
    mixed = check(results(sample_id=["007", 7, "a", 1, 2, 3]), RESULTS, "r.parquet")
    assert mixed["sample_id"].tolist() == ["007", "7", "a", "1", "2", "3"]
    category = pd.Categorical(["a", "b", "c", "d", "e", "f"])
    assert check(results(sample_id=category), RESULTS, "r")["sample_id"].tolist() == list("abcdef")


def test_true_and_false_are_scores() -> None:
    made = check(results(score=[True, False] * 3), RESULTS, "r")
    assert made["score"].tolist() == [1, 0, 1, 0, 1, 0]
    made = check(results(score=["True", "false", "1", "0", "TRUE", "0.5"]), RESULTS, "r")
    assert made["score"].tolist() == [1, 0, 1, 0, 1, 0.5]


def test_whole_floats_are_whole_numbers() -> None:
    assert check(results(k=[1.0, 2.0, 4.0, 8.0, 1.0, 2.0]), RESULTS, "r")["k"].dtype == np.int64


@pytest.mark.parametrize(
    ("given_answer", "expected"),
    [("red", ["red"]), (["a", "b"], ["a", "b"]), (3, ["3"]), ([], []), (np.array(["x"]), ["x"])],
)
def test_answers_become_lists(given_answer: Any, expected: list[str]) -> None:
    frame = pd.DataFrame({"dataset": ["d"], "sample_id": "q", "image_id": "i", "question": "?"})
    frame["answers"] = pd.Series([given_answer], dtype=object)
    assert check(frame, SAMPLES, "s")["answers"].tolist() == [expected]


@pytest.mark.parametrize("wrong", [None, 1.5, True, ["a", None], [["a", "b"]], {"a": 1}])
def test_answers_of_other_kinds_are_refused(wrong: Any) -> None:
    frame = pd.DataFrame({"dataset": ["d"], "sample_id": "q", "image_id": "i", "question": "?"})
    frame["answers"] = pd.Series([wrong], dtype=object)
    with pytest.raises(InputError, match=r"'answers' must hold a text.* in row 1; an unknown"):
        check(frame, SAMPLES, "s")


def write(folder: Path, suffix: str, frame: pd.DataFrame) -> Path:
    path = folder / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif suffix.startswith(".csv"):
        frame.to_csv(path, index=False)
    elif suffix == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".tsv", ".jsonl", ".ndjson"])
def test_every_format_reads_the_same(tmp_path: Path, suffix: str) -> None:
    frame = results(sample_id=["007", "7", "1e3", "NA", "null", "é ü"])
    made = read_table(write(tmp_path, suffix, frame), RESULTS)
    pd.testing.assert_frame_equal(made, check(frame, RESULTS, "r"))


def test_csv_ids_stay_text_and_covariates_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(
        "sample_id,image_id,question,answers,dataset,hard,code,size\n"
        "007,01,a?,010,d,1,01,2.5\n"
        '7,1.0,b?,"[""x"", ""y""]",d,2,02,\n'
        '8,NA,c?,"[not json]",d,,03,-1e2\n'
    )
    made = read_table(path, SAMPLES)
    assert made["sample_id"].tolist() == ["007", "7", "8"]
    assert made["image_id"].tolist() == ["01", "1.0", "NA"]
    assert made["answers"].tolist() == [["010"], ["x", "y"], ["[not json]"]]
    assert made["code"].tolist() == ["01", "02", "03"]
    assert made["hard"].tolist()[:2] == [1, 2]
    assert np.isnan(made["hard"].iloc[2])
    assert made["size"].tolist()[2] == -100


def test_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfk,score\n1,0\n")
    assert list(read_frame(path).columns) == ["k", "score"]


def test_whole_numbers_with_gaps_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": pa.array([2**53 + 1, None, 7])}), path)
    assert read_frame(path)["id"].tolist() == [2**53 + 1, None, 7]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.parquet", b"not parquet", "cannot be read"),
        ("t.parquet", b"", "cannot be read"),
        ("t.csv", b"", "cannot be read"),
        ("t.csv", b"a,b\n1,\xff\n", "cannot be read (it is not UTF-8); save the file as UTF-8"),
        ("t.csv", b"a,b\n1,2,3\n4,5,6,7\n", "more cells in line 3"),
        ("t.csv", b"a,a\n1,2\n", "column 'a' is there more than once"),
        ("t.csv.gz", b"plain", "cannot be read"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        ("t.jsonl", b"[1, 2]\n", "line 1 is not a JSON object"),
        ("t.xlsx", b"", "a table is expected in a file that ends in .parquet, .pq, .csv"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / name, RESULTS)
    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)


def test_missing_file_suggests_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "results.csv").touch()
    with pytest.raises(InputError, match=r"no such file \(did you mean 'results\.csv'\?\)"):
        read_table(tmp_path / "result.csv", RESULTS)
    with pytest.raises(InputError, match="nor a folder"):
        read_table(tmp_path / "none" / "result.csv", RESULTS)


def test_gzipped_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "1"}\n\n{"b": 2}\n'))
    frame = read_frame(path)
    assert frame["a"].tolist() == ["1", None] or frame["a"].isna().tolist() == [False, True]
    assert len(frame) == 2


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_write_then_read(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "dataset": "d",
            "sample_id": ["007", "é", "a,b"],
            "image_id": "i",
            "question": ["", 'say "x"\nthen y', "?"],
            "answers": [["a"], ["[1]", "b, c"], []],
            "extra": [0.1, 1 / 3, 2.0],
        }
    )
    path = tmp_path / f"s{suffix}"
    made = write_table(frame, path, SAMPLES)
    pd.testing.assert_frame_equal(read_table(path, SAMPLES), made)
    first = path.read_bytes()
    write_table(frame, path, SAMPLES)
    assert path.read_bytes() == first
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_nothing_is_written_when_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_table(results(k=0), tmp_path / "r.parquet", RESULTS)
    with pytest.raises(InputError, match=r"written as \.parquet or \.csv"):
        write_table(results(), tmp_path / "r.json", RESULTS)
    assert list(tmp_path.iterdir()) == []


def test_analysis_table_needs_only_what_shift_needs() -> None:
    frame = pd.DataFrame(
        {"model": ["m"], "image_id": "i", "sample_id": "q", "k": 4, "score": 1, "edges": 0.3}
    )
    made = check(frame, ANALYSIS, "t.csv")
    assert list(made.columns) == ["model", "sample_id", "image_id", "k", "score", "edges"]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.text(max_size=8).filter(lambda t: t != ""), min_size=1, max_size=20, unique=True)
)
def test_any_text_survives_as_a_key(ids: list[str]) -> None:
    frame = results().iloc[[0] * len(ids)].assign(sample_id=ids)
    assert check(frame, RESULTS, "r")["sample_id"].tolist() == ids


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_duplicates_are_found_whatever_their_order(ids: list[int]) -> None:
    frame = results().iloc[[0] * len(ids)].assign(sample_id=[str(i) for i in ids])
    if len(set(ids)) == len(ids):
        check(frame, RESULTS, "r")
    else:
        with pytest.raises(InputError, match="the same key twice"):
            check(frame, RESULTS, "r")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "model;sample_id;k;score\nm;q;1;0\n", "this file is separated by ';'; save it "
         "with commas or as .tsv"),
        ("t.csv", "model\tsample_id\tk\nm\tq\t1\n", "separated by tabs; save it with commas, or "
         "name it .tsv"),
        ("t.tsv", "model,sample_id,k\nm,q,1\n", "separated by commas; save it with tabs, or name "
         "it .csv"),
    ],
)  # fmt: skip
def test_another_separator(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / name, RESULTS)
    assert said in str(caught.value)
    assert "did you mean" not in str(caught.value)


def test_decimal_commas() -> None:
    said = refused(score=["0", "0,5", "1", "0,25", "1", "1"])
    assert "it has '0,5' in row 2, '0,25' in row 4; these have a decimal comma: write 0.5" in said
    assert "decimal comma" not in refused(score=["0", "0,5", "right", "1", "1", "1"])


def test_rows_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    # The second record spans two lines, and an empty line is no row.
    path.write_text('a,b\n1,x\n2,"y\nz"\n\n3,w\n', encoding="utf-8")
    assert len(read_frame(path)) == 3
    assert [name_rows(path)(i) for i in range(3)] == [
        "row 1 (line 2)", "row 2 (line 3)", "row 3 (line 6)",
    ]  # fmt: skip
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n', encoding="utf-8")
    assert name_rows(path)(1) == "row 2 (line 3)"
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1, 2]}).to_parquet(path)
    assert name_rows(path)(1) == "row 2"
