"""Logs that go wrong: each is refused with what, where and how to mend it, or left out and said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from log_files import LOGS, lines, lm_row, lmms_row
from openpyxl import Workbook
from tiny_study import tiny

import analysis
from analysis.results.importing import Imported, import_logs
from complexity.errors import InputError

KS = {"k": "file:k(?P<k>[0-9]+)", "model": "m"}


def logs(folder: Path, ks: tuple[int, ...] = (1, 2), n: int = 4, **more: Any) -> list[Path]:
    return [
        lines(
            folder / f"k{k}_samples_t.jsonl", [lmms_row(i, "1", "1", 1.0, **more) for i in range(n)]
        )
        for k in ks
    ]


def refused(*arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        import_logs(*arguments, **{**KS, **options})
    return str(caught.value)


def lenient(*arguments: Any, **options: Any) -> Imported:
    return import_logs(*arguments, lenient=True, **{**KS, **options})


def test_other_prompts_at_another_k(tmp_path: Path) -> None:
    one, two = logs(tmp_path)
    rows = [lmms_row(i, "1", "1", 1.0, input=f"Shortly: question {i}") for i in range(4)]
    lines(two, rows)
    said = refused("lmms-eval", [one, two])
    assert f"{two}: other prompts than in {one} for 4 of 4 samples: 0, 1, 2, 3" in said
    assert "evaluate every k with the same task, template and few-shot examples" in said


def test_other_right_answers_at_another_k(tmp_path: Path) -> None:
    one, two = logs(tmp_path)
    lines(two, [lmms_row(i, "9", "1", 1.0) for i in range(4)])
    assert "other right answers than in" in refused("lmms-eval", [one, two])


def test_another_task_version(tmp_path: Path) -> None:
    files = []
    for k, version in ((1, 1.0), (2, 2.0)):
        folder = tmp_path / f"k{k}"
        files.append(
            lines(folder / "samples_t_2026-11-01T12-00-00.jsonl", [lm_row(0, "1", "1", 1.0)])
        )
        run = {"versions": {"t": version}, "configs": {"t": {}}}
        (folder / "results_2026-11-01T12-00-00.json").write_text(json.dumps(run))
    said = refused("lm-eval", files, k="file:/k(?P<k>[0-9]+)/")
    assert f"{files[1]}: task version t 2.0, but t 1.0 in {files[0]}" in said
    assert "evaluate every k with one version of the task" in said


def test_the_same_k_twice(tmp_path: Path) -> None:
    one = logs(tmp_path / "a", ks=(4,))
    two = logs(tmp_path / "b", ks=(4,))
    said = refused("lmms-eval", [*one, *two])
    assert f"{two[0]}: m at k = 4 is in {one[0]} already; correct the k of one of them" in said
    assert "--repeats" in said


def test_a_k_missing_for_some_samples(tmp_path: Path) -> None:
    one = logs(tmp_path, ks=(1,))
    two = logs(tmp_path, ks=(2,), n=2)
    said = refused("lmms-eval", [*one, *two])
    assert "m at k = 2: 2 of 4 samples that another k has are missing: 2, 3; evaluate them" in said
    frame, problems = lenient("lmms-eval", [*one, *two])
    assert len(frame) == 6
    assert [item.level for item in problems] == ["note", "note", "problem"]


def test_a_document_twice(tmp_path: Path) -> None:
    path = lines(tmp_path / "k1.jsonl", [lmms_row(i, "1", "1", 1.0) for i in (0, 1, 2, 1)])
    said = refused("lmms-eval", [path])
    assert f"{path}: doc_id '1' more than once ('1' in row 2, row 4)" in said
    assert "a task with several filters" in said
    frame, _ = lenient("lmms-eval", [path])
    assert frame["sample_id"].tolist() == ["0", "2"]


def test_a_half_written_last_line(tmp_path: Path) -> None:
    (path,) = logs(tmp_path, ks=(1,))
    with open(path, "a") as handle:
        handle.write('{"doc_id": 4, "target": "1", "filtered_')
    said = refused("lmms-eval", [path])
    assert f"{path}: the last line (line 5) is half-written; let the evaluation finish" in said
    frame, problems = lenient("lmms-eval", [path])
    assert len(frame) == 4
    assert "the last line (line 5) is half-written" in str(problems[0])


def test_a_broken_line_in_the_middle(tmp_path: Path) -> None:
    (path,) = logs(tmp_path, ks=(1,))
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], "{oops", *text[1:]]) + "\n")
    assert "not a JSON object: line 2; each line must be one" in refused("lmms-eval", [path])
    assert len(lenient("lmms-eval", [path]).frame) == 4


def test_scores_in_percent(tmp_path: Path) -> None:
    path = lines(tmp_path / "k1.jsonl", [lmms_row(0, "1", "1", 100.0), lmms_row(1, "1", "2", 0.0)])
    said = refused("lmms-eval", [path])
    assert "exact_match reaches 100, and scores are in [0, 1]; if it is percent, say so" in said
    low = lines(tmp_path / "b" / "k1.jsonl", [lmms_row(0, "1", "1", 1.0)])
    assert "no exact_match is above 1" in refused("lmms-eval", [low], percent=True)


def test_a_score_out_of_every_range(tmp_path: Path) -> None:
    path = lines(tmp_path / "k1.jsonl", [lmms_row(0, "1", "1", 1400.0)])
    assert "score" in refused("lmms-eval", [path])


def test_several_metrics_and_several_filters() -> None:
    log = sorted((LOGS / "lm-eval").glob("k4/samples_count_*"))
    said = refused("lm-eval", log, k="4")
    assert "rows of several filters (strict-match, flexible-extract); name one" in said
    said = refused("lm-eval", log, k="4", filter="strict")
    assert "no filter 'strict'" in said
    assert "strict-match, flexible-extract" in said


def test_several_metrics(tmp_path: Path) -> None:
    path = lines(tmp_path / "k1.jsonl", [lmms_row(0, "1", "1", 1.0, anls=0.5)])
    said = refused("lmms-eval", [path])
    assert "several metrics (exact_match, anls); name the one that is the score" in said
    assert import_logs("lmms-eval", [path], metric="anls", **KS).frame["score"].tolist() == [0.5]
    assert "no metric 'anl' (did you mean 'anls'?)" in refused("lmms-eval", [path], metric="anl")


def test_k_is_never_guessed(tmp_path: Path) -> None:
    (path,) = logs(tmp_path, ks=(1,))
    said = refused("lmms-eval", [path], k=None)
    assert f"{path}: no column 'k'; say in --k where it is: --k 4, --k 'file:" in said
    said = refused("lmms-eval", [path], k="metadata:config.k")
    assert "the run says no text or whole number under 'config.k'" in said
    assert "it says nothing" in said
    said = refused("lmms-eval", [path], k="four")
    assert said.startswith("--k four: a whole number is expected")
    twice = lines(tmp_path / "k8" / "k1.jsonl", [lmms_row(0, "1", "1", 1.0)])
    said = refused("lmms-eval", [twice], k="file:(/|^)k(?P<k>[0-9]+)")
    assert "finds '1', '8' in" in said
    assert "make it find one k only" in said


def test_predictions_for_another_split(tmp_path: Path) -> None:
    study = tiny(tmp_path, latency=None)  # right answers 2, red, 7
    path = lines(
        tmp_path / "k1.jsonl",
        [lmms_row(i, word, word, 1.0) for i, word in enumerate(["7", "2", "red"] * 3)],
    )
    said = refused("lmms-eval", [path], study=study, match="row")
    assert "6 rows are of no sample of the study: 3, 4, 5, 6, 7 and 1 more" in said
    assert "is it a log of another split" in said


def test_right_answers_of_other_samples(tmp_path: Path) -> None:
    words = ["2", "red", "7", "dog", "blue", "9"]
    rows = "".join(f"s{i},a.png,what?,{word},count,1\n" for i, word in enumerate(words))
    header = "sample_id,image_id,question,answers,question_type,n_objects\n"
    study = tiny(tmp_path, {"samples.csv": header + rows}, latency=None)
    right = [lmms_row(i, word, word, 1.0) for i, word in enumerate(words)]
    path = lines(tmp_path / "k1.jsonl", right)
    assert len(import_logs("lmms-eval", [path], study=study, match="row", **KS).frame) == 6
    shuffled = [row | {"doc_id": (row["doc_id"] + 1) % 6} for row in right]
    path = lines(tmp_path / "k1.jsonl", shuffled)
    said = refused("lmms-eval", [path], study=study, match="row")
    assert "6 of 6 right answers in the log are not those of the sample it is matched with" in said
    assert "s1 ('2', samples 'red')" in said
    assert "it is of another split or order" in said


def test_right_answers_as_places_among_choices(tmp_path: Path) -> None:
    """A place (0, 1, ...) must not be taken for the word of another sample."""
    n = 8
    table = "".join(f"q{i},a.png,how many?,{i % 4 + 1}\n" for i in range(n))
    study = tiny(
        tmp_path, {"samples.csv": f"sample_id,image_id,question,answers\n{table}"}, latency=None
    )
    paths = sorted((LOGS / "lm-eval").glob("k4/samples_choose_count_*"))
    frame, problems = import_logs("lm-eval", paths, study=study, k="4", model="m", match="row")
    assert frame["sample_id"].tolist() == [f"q{i}" for i in range(n)]
    assert any("8 of 8 samples matched by row" in str(item) for item in problems)
    rows = [json.loads(line) for line in paths[0].read_text().splitlines()]
    bare = lines(tmp_path / "k4.jsonl", [row | {"doc": {"question": "?"}} for row in rows])
    assert len(import_logs("lm-eval", [bare], study=study, match="row", **KS).frame) == n
    turned = lines(
        tmp_path / "k5.jsonl", [row | {"doc_id": (i + 1) % n} for i, row in enumerate(rows)]
    )
    assert "8 of 8 right answers in the log" in refused(
        "lm-eval", [turned], study=study, match="row"
    )


def test_ids_that_match_nothing(tmp_path: Path) -> None:
    study = tiny(tmp_path, latency=None)
    (path,) = logs(tmp_path, ks=(1,))
    said = refused("lmms-eval", [path], study=study, match="question")
    assert "samples' column 'question' has 'how many?' more than once" in said
    assert "no column 'doc_hash'" in refused("lmms-eval", [path], study=study, match="doc_hash")
    with_hash = tmp_path / "h"
    rows = "sample_id,image_id,question,answers,doc_hash\n001,a.png,a?,1,x\n002,a.png,b?,1,y\n"
    study = tiny(with_hash, {"samples.csv": rows}, latency=None)
    said = refused(
        "lmms-eval", [path], study=study, match="doc_hash", columns={"sample_id": "doc_hash"}
    )
    assert "none of its 4 sample ids" in said
    assert "is in samples' doc_hash ('x', 'y')" in said


def test_samples_match_by_hash(tmp_path: Path) -> None:
    rows = "sample_id,image_id,question,answers,doc_hash\n001,a.png,a?,1,x\n002,a.png,b?,1,y\n"
    study = tiny(tmp_path, {"samples.csv": rows}, latency=None)
    found = [lmms_row(9, "1", "1", 1.0, doc_hash="y"), lmms_row(8, "1", "1", 0.0, doc_hash="x")]
    path = lines(tmp_path / "k1.jsonl", found)
    frame, _ = import_logs(
        *("lmms-eval", [path]),
        study=study,
        match="doc_hash",
        columns={"sample_id": "doc_hash"},
        **KS,
    )
    assert frame["sample_id"].tolist() == ["002", "001"]


def test_a_log_in_a_manifest_is_read_strictly(tmp_path: Path) -> None:
    rows = "".join(json.dumps(lmms_row(i, w, w, 1.0)) + "\n" for i, w in enumerate(["2", "red"]))
    entry = {
        "path": "k*.jsonl",
        "format": "lmms-eval",
        "k": {"file_name": "k(?P<k>[0-9]+)"},
        "model": {"value": "m"},
        "match": "row",
    }
    files = {"k1.jsonl": rows, "k2.jsonl": rows}
    study = tiny(tmp_path, files, results=[entry], latency=None)
    frame, notes = analysis.read_results(study)
    assert frame["sample_id"].tolist() == ["001", "002"] * 2
    assert any("2 of 3 samples matched by row; not in the log: 10" in note for note in notes)
    study = tiny(tmp_path, files | {"k2.jsonl": rows + '{"doc'}, results=[entry], latency=None)
    with pytest.raises(InputError, match=r"the last line .line 3. is half-written"):
        analysis.read_results(study)
    study = tiny(tmp_path, files, results=[entry, entry], latency=None)
    with pytest.raises(InputError, match=r"m at k = 1 is in .*k1.jsonl already"):
        analysis.read_results(study)


def sheet(path: Path, rows: list[list[Any]]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_a_sheet_with_renamed_columns(tmp_path: Path) -> None:
    path = sheet(tmp_path / "k1.xlsx", [["index", "question", "predictions"], [0, "a?", "1"]])
    said = refused("vlmevalkit", [path])
    assert "no column 'prediction' (did you mean 'predictions'?)" in said
    assert "--column prediction=…" in said
    frame, _ = import_logs("vlmevalkit", [path], columns={"prediction": "predictions"}, **KS)
    assert frame["prediction"].tolist() == ["1"]
    path = sheet(tmp_path / "k2.xlsx", [["id", "prediction"], ["q", "1"]])
    assert "no column 'index'; its columns are id, prediction" in refused("vlmevalkit", [path])
    frame, _ = import_logs("vlmevalkit", [path], columns={"sample_id": "id"}, **KS)
    assert frame["sample_id"].tolist() == ["q"]


def test_a_sheet_with_failures_and_empty_cells(tmp_path: Path) -> None:
    rows = [
        ["index", "answer", "prediction", "hit"],
        [0, "1", "1", 1],
        [1, "2", None, 0],
        [2, "3", "Failed to obtain answer via API.", 0],
    ]
    path = sheet(tmp_path / "k1.xlsx", rows)
    assert "1 predictions say 'Failed to obtain answer': row 3" in refused("vlmevalkit", [path])
    frame, problems = lenient("vlmevalkit", [path], metric="hit")
    assert frame["score"].tolist() == [1.0, 0.0]
    assert frame["prediction"].tolist() == ["1", ""]
    assert any("1 empty predictions" in str(item) for item in problems)


@pytest.mark.parametrize("last", ["1\ty", '"1"\t"y"', "1"])
def test_a_half_written_last_row(tmp_path: Path, last: str) -> None:
    """A row without its prediction must not read as an empty one."""
    path = tmp_path / "k1.tsv"
    path.write_text(f"index\tanswer\tprediction\n0\tx\tx\n{last}")
    assert "the last line is half-written" in refused("vlmevalkit", [path])
    path.write_text('index\tanswer\tprediction\n0\tx\tx\n1\ty\t"two\nlines"')
    frame, _ = import_logs("vlmevalkit", [path], **KS)
    assert frame["prediction"].tolist() == ["x", "two\nlines"]


def test_a_sheet_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "k1.xlsx"
    path.write_bytes(b"PK\x03\x04 cut off")
    assert "cannot be read as a sheet" in refused("vlmevalkit", [path])
    path = tmp_path / "k1.pkl"
    path.write_bytes(b"")
    assert "end in .xlsx, .tsv or .json" in refused("vlmevalkit", [path])


def test_wrong_requests(tmp_path: Path) -> None:
    assert "unknown format 'lmms' (did you mean 'lmms-eval'?)" in refused("lmms", ["x"])
    assert "no such file" in refused("lmms-eval", [tmp_path / "none.jsonl"])
    assert "no logs to import" in refused("lmms-eval", [])
    (path,) = logs(tmp_path, ks=(1,))
    assert "--device is for latencies" in refused("lmms-eval", [path], device="cpu")
    assert "--match needs the samples of a study" in refused("lmms-eval", [path], match="row")
    assert "--scorer soft: unknown" in refused("lmms-eval", [path], scorer="soft")
    empty = tmp_path / "k2.jsonl"
    empty.write_text("")
    assert "no rows in it" in refused("lmms-eval", [empty])
    other = lines(tmp_path / "k3.jsonl", [{"id": 1, "reply": "x"}])
    assert "no field 'doc_id'" in refused("lmms-eval", [other])


def test_a_log_that_is_no_text_says_so(tmp_path: Path) -> None:
    """Every line being broken is another trouble than a half-written last one."""
    rows = "".join(json.dumps(lmms_row(i, "1", "1", 1.0)) + "\n" for i in range(3))
    path = tmp_path / "k1.jsonl"
    path.write_bytes(rows.encode("utf-16"))
    said = refused("lmms-eval", [path])
    assert "no rows in it" in said
    assert "each line must be one, in UTF-8" in said
    assert "half-written" not in said
    path.write_text(f'{{"a": {"[" * 100_000}{"]" * 100_000}}}\n{rows}')
    assert "not a JSON object: line 1; each line" in refused("lmms-eval", [path])


def test_a_gzipped_log_that_is_damaged(tmp_path: Path) -> None:
    rows = "".join(json.dumps(lmms_row(i, "1", "1", 1.0)) + "\n" for i in range(50))
    packed = bytearray(gzip.compress(rows.encode(), mtime=0))
    packed[60:70] = b"x" * 10
    path = tmp_path / "k1.jsonl.gz"
    path.write_bytes(packed)
    assert "the gzipped file is cut off or damaged" in refused("lmms-eval", [path])


def test_a_folder_for_a_log(tmp_path: Path) -> None:
    assert "a folder; name the logs in it" in refused("lmms-eval", [tmp_path])


def test_scores_that_are_all_no_number(tmp_path: Path) -> None:
    (path,) = logs(tmp_path, ks=(1,), exact_match=float("nan"))
    assert "no score in row 1, row 2, row 3, row 4" in refused("lmms-eval", [path])


def test_half_a_character_in_a_reply(tmp_path: Path) -> None:
    """A reply that was cut within a character is kept, half of a pair becoming U+FFFD."""
    rows = [lmms_row(0, "1", "caf\u00e9 \ud83d", 1.0, input="\ud83d?"), lmms_row(1, "1", "1", 1.0)]
    path = tmp_path / "k1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    frame, _ = import_logs("lmms-eval", [path], **KS)
    assert frame["prediction"].tolist() == ["caf\u00e9 \ufffd", "1"]
    frame.to_parquet(tmp_path / "stored.parquet")


def test_ids_of_no_sample_are_refused_by_the_command(tmp_path: Path) -> None:
    study = tiny(tmp_path, latency=None)
    path = lines(tmp_path / "k1.jsonl", [lmms_row(90 + i, "x", "x", 1.0) for i in range(2)])
    said = refused("lmms-eval", [path], study=study)
    assert "none of its 2 sample ids ('90', '91') is in samples" in said
    assert "--match row" in said
    frame, problems = lenient("lmms-eval", [path], study=study)
    assert len(frame) == 2
    assert any(item.level == "problem" for item in problems)


def test_a_key_of_the_run_that_is_no_number() -> None:
    said = refused("vllm", [LOGS / "vllm" / "k1.json"], k="metadata:model_id", device="H200")
    assert "'model_id' finds 'tiny-moe'" in said
    assert said.endswith("correct the key")


def test_tables_that_are_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "k1.csv"
    path.write_text("sample_id,score\n")
    assert "no rows in it" in refused("table", [path])
    path.write_text("sample_id,score\na,1\nb,\n")
    assert "column 'score' is empty in row 2 (line 3)" in refused("table", [path])
    for option in ("percent", "repeats"):
        assert f"--{option} is for logs" in refused("table", [path], **{option: True})
    assert "--column score=NAME" in refused("table", [path], metric="hit")
    said = refused("table", [path], device="cpu", columns={"sample_id": "sample_id"})
    assert "no column of times; name one in --column OURS=THEIRS (vision_ms" in said


@pytest.mark.parametrize("rows", ["a,1,no\nb,1,hello, world\n", "a,1,hello, world\nb,1,no\n"])
def test_an_unquoted_comma_in_a_reply(tmp_path: Path, rows: str) -> None:
    """The rest of the reply must not be lost, nor the columns be moved."""
    path = tmp_path / "k1.csv"
    path.write_text(f"sample_id,unused,prediction\n{rows}")
    assert "than the header has columns; put texts" in refused("table", [path])
    path.with_suffix(".tsv").write_text("index\tanswer\tprediction\n0\tx\ty\t\n1\tx\ty\t\n")
    assert "more cells in the first row" in refused("vlmevalkit", [path.with_suffix(".tsv")])
