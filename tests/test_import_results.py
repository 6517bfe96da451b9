"""Logs that the tools wrote (tests/logs), imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from log_files import LOGS, lines, lm_row, lmms_row, shapes_logs
from small_study import read_manifest, small_study, write_manifest
from tiny_study import tiny
from typer.testing import CliRunner

import analysis
import complexity
from analysis.cli import app
from analysis.joining import join
from analysis.results.importing import import_logs
from analysis.tables import RESULTS, check
from complexity.files import to_json

FOLDER_K = "file:/k(?P<k>[0-9]+)/"
FOLDER_MODEL = "/k[0-9]+/(?P<model>[^/]+)/"


def optik(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def paths(tool: str, pattern: str) -> list[Path]:
    found = sorted((LOGS / tool).glob(pattern))
    assert found
    return found


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def scores(frame: pd.DataFrame) -> dict[int, list[float]]:
    return {int(k): rows["score"].tolist() for k, rows in frame.groupby("k")}


def test_lmms_eval_as_it_writes() -> None:
    frame, problems = import_logs(
        *("lmms-eval", paths("lmms-eval", "k*/*/*_samples_*.jsonl")), k=FOLDER_K, model="tiny"
    )
    rows = read(paths("lmms-eval", "k4/*/*.jsonl")[0])
    assert scores(frame)[4] == [row["exact_match"] for row in rows]
    assert sorted(scores(frame)) == [1, 4]
    assert frame["sample_id"].tolist() == [str(i) for i in range(8)] * 2
    assert frame.loc[8:, "prediction"].tolist() == [row["filtered_resps"] for row in rows]
    assert frame["dataset"].isna().all()
    assert {str(item).split(": ", 1)[1] for item in problems} == {"score: exact_match"}


def test_k_and_model_come_from_what_the_run_says() -> None:
    frame, _ = import_logs(
        "lmms-eval",
        paths("lmms-eval", "k*/*/*_samples_*.jsonl"),
        k="metadata:config.model_args.num_experts_per_tok",
        model="metadata:model_name",
    )
    assert frame["k"].unique().tolist() == [1, 4]
    assert frame["model"].unique().tolist() == ["tiny-moe"]


def test_lm_eval_as_it_writes() -> None:
    files = paths("lm-eval", "k*/samples_count_shapes_*.jsonl")
    frame, _ = import_logs(
        "lm-eval", files, k="metadata:task.metadata.k", model="dummy", filter="strict-match"
    )
    assert scores(frame) == {1: [0.0] * 8, 4: [0.0] * 8}
    assert frame["prediction"].unique().tolist() == ["lol"]  # what lm-eval's dummy model says
    chosen, _ = import_logs(
        "lm-eval",
        paths("lm-eval", "k*/samples_choose_count_*.jsonl"),
        k="metadata:task.metadata.k",
        model="dummy",
        columns={"sample_id": "doc.question_id"},
    )
    rows = read(paths("lm-eval", "k1/samples_choose_*")[0])
    assert scores(chosen)[1] == [row["acc"] for row in rows]
    assert chosen["sample_id"].head(3).tolist() == ["q0", "q1", "q2"]
    assert "prediction" not in chosen  # likelihoods of choices are no text


@pytest.mark.parametrize("suffix", ["xlsx", "tsv", "json"])
def test_vlmevalkit_as_it_writes(suffix: str) -> None:
    frame, problems = import_logs(
        "vlmevalkit", paths("vlmevalkit", f"k4/*.{suffix}"), k=FOLDER_K, model="t", scorer="exact"
    )
    right = read(paths("lmms-eval", "k4/*/*.jsonl")[0])
    assert scores(frame)[4] == [row["exact_match"] for row in right]  # the same replies
    assert frame["sample_id"].tolist() == [str(i) for i in range(8)]
    assert "against the log's own right answers" in str(problems[0])
    waiting, notes = import_logs(
        "vlmevalkit", paths("vlmevalkit", f"k4/*.{suffix}"), k="4", model="t"
    )
    assert "score" not in waiting
    assert "the join scores them by the manifest's rule" in str(notes[0])


def test_logs_of_rows_written_for_tests_look_like_the_tools_own() -> None:
    lmms = read(paths("lmms-eval", "k4/*/*.jsonl")[0])[0]
    assert list(lmms_row(0, "1", "1", 1.0)) == list(lmms)
    lm = read(paths("lm-eval", "k1/samples_count_*")[0])[0]
    assert list(lm_row(0, "1", "1", 1.0)) == list(lm)


def test_the_command_says_what_it_took(tmp_path: Path) -> None:
    out = tmp_path / "results.parquet"
    logs = paths("lmms-eval", "k*/*/*_samples_*.jsonl")
    result = optik("import", "lmms-eval", *logs, "--k", FOLDER_K, "--model", "tiny", "-o", out)
    assert result.exit_code == 0, result.output
    assert "tiny  k = 4: 8 samples, mean score 0.8750" in result.output
    assert f"16 rows: {out}" in result.output
    assert len(pd.read_parquet(out)) == 16


def test_predictions_are_scored_by_the_studys_rule_and_matched_by_row(tmp_path: Path) -> None:
    study = tiny(tmp_path, latency=None)
    log = lines(
        tmp_path / "x_samples_t.jsonl",
        [
            lmms_row(0, "2", "2", 0.0),
            lmms_row(1, "red", "red", 0.0),
            lmms_row(2, "7", "8", 0.0),
        ],
    )
    frame, problems = import_logs(
        *("lmms-eval", [log]), study=study, k="2", model="m", metric="none", match="row"
    )
    assert frame["sample_id"].tolist() == ["001", "002", "10"]
    assert frame["dataset"].unique().tolist() == ["tiny"]
    assert frame["score"].tolist() == [1.0, 1.0, 0.0]
    assert frame["scorer"].unique().tolist() == ["exact"]
    assert "3 of 3 samples matched by row" in "\n".join(map(str, problems))
    check(frame, RESULTS, "imported")


def test_repeats_are_numbered_when_said(tmp_path: Path) -> None:
    files = [
        lines(tmp_path / f"r{n}" / "k2_samples_t.jsonl", [lmms_row(i, "1", "1", 1.0)])
        for n in range(2)
        for i in (0,)
    ]
    frame, _ = import_logs(
        "lmms-eval", files, k="file:k(?P<k>[0-9]+)", model="m", repeats=True, run="r"
    )
    assert frame["repeat"].tolist() == [0, 1]


def test_percent_and_truth_values(tmp_path: Path) -> None:
    log = lines(tmp_path / "a.jsonl", [lmms_row(0, "1", "1", 100), lmms_row(1, "1", "2", 33.3)])
    frame, notes = import_logs("lmms-eval", [log], k="1", model="m", percent=True)
    assert frame["score"].tolist() == pytest.approx([1.0, 0.333])
    assert "divided by 100" in str(notes[0])
    log = lines(tmp_path / "b.jsonl", [lmms_row(0, "1", "1", True), lmms_row(1, "1", "2", False)])
    assert import_logs("lmms-eval", [log], k="1", model="m").frame["score"].tolist() == [1, 0]


def test_a_metric_that_is_an_object_gives_its_score(tmp_path: Path) -> None:
    rows = [lmms_row(i, "yes", "yes", None) for i in range(2)]
    for row in rows:
        del row["exact_match"]
        row["pope_accuracy"] = {"question_id": "1", "score": 1.0, "prediction": "yes"}
    log = lines(tmp_path / "a.jsonl", rows)
    frame, notes = import_logs("lmms-eval", [log], k="1", model="m")
    assert frame["score"].tolist() == [1.0, 1.0]
    assert str(notes[0]).endswith("score: pope_accuracy.score")


def test_a_table_is_imported_too(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,item,right\nm,007,1\nm,008,0\n")
    frame, _ = import_logs(
        "table", [path], k="2", model="column:name", columns={"sample_id": "item", "score": "right"}
    )
    assert frame["sample_id"].tolist() == ["007", "008"]
    assert frame["k"].tolist() == [2, 2]


# --- end to end -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a part of the shapes study at four k, with its results as logs beside it."""
    folder = tmp_path_factory.mktemp("shapes") / "study"
    small_study(folder, n_images=150)
    shapes_logs(folder, folder / "logs")
    return folder


def answers(study: analysis.Study) -> dict[str, str]:
    """Answer the study's question, by model, spelled out to the last digit."""
    samples = analysis.read_samples(study)
    results, _ = analysis.read_results(study, samples)
    counts = samples.groupby("image_id", sort=False)["n_objects"].first()
    measured = complexity.measure(
        study.image_source(),
        metrics=["object_count"],
        dataset=study.name,
        object_counts=analysis.object_counts(study, samples),
        workers=1,
    )
    assert set(measured["image_id"]) == set(counts.index)
    buckets = complexity.cut(measured["object_count"], metric="object_count", n=3)
    labels = pd.Series(buckets.assign(measured["object_count"]), index=measured["image_id"])
    joined = join(study.name, samples, measured, labels.astype(str), results)
    assert joined.report.rows == 2 * 4 * len(samples)
    found = analysis.analyse(joined.table, "object_count", labels)
    return {answer.model: to_json(answer.to_dict()) for answer in found}


@pytest.fixture(scope="module")
def by_table(shapes: Path) -> dict[str, str]:
    return answers(analysis.load_study(shapes))


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "logs/lmms/k*/*/*.jsonl", "format": "lmms-eval"},
        {"path": "logs/lm/k*/*/*.jsonl", "format": "lm-eval"},
    ],
)
def test_logs_in_the_manifest_give_the_answer_of_the_table(
    shapes: Path, by_table: dict[str, str], tmp_path: Path, entry: dict[str, Any]
) -> None:
    manifest = read_manifest(shapes / "manifest.yaml")
    how = {
        "k": {"file_name": "/k(?P<k>[0-9]+)/"},
        "model": {"file_name": FOLDER_MODEL},
        "match": "row",
    }
    manifest["results"] = [entry | how]
    manifest["data_root"] = str(shapes)
    assert answers(analysis.load_study(write_manifest(tmp_path, manifest))) == by_table


@pytest.mark.parametrize(("format_", "folder"), [("lmms-eval", "lmms"), ("lm-eval", "lm")])
def test_imported_logs_give_the_answer_of_the_table(
    shapes: Path, by_table: dict[str, str], tmp_path: Path, format_: str, folder: str
) -> None:
    out = tmp_path / "results.parquet"
    logs = sorted((shapes / "logs" / folder).rglob("*.jsonl"))
    result = optik(
        *("import", format_, *logs, "--manifest", shapes, "--match", "row", "-o", out),
        *("--k", FOLDER_K, "--model", f"file:{FOLDER_MODEL}"),
    )
    assert result.exit_code == 0, result.output
    manifest = read_manifest(shapes / "manifest.yaml")
    manifest["results"] = [{"path": str(out)}]
    manifest["data_root"] = str(shapes)
    assert answers(analysis.load_study(write_manifest(tmp_path, manifest))) == by_table


# --- memory -----------------------------------------------------------------------------------

READ = """
import resource, sys
from analysis.results.importing import import_logs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frame = import_logs("lm-eval", [sys.argv[1]], k="1", model="m").frame
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(frame), (after - before) // 1024)
"""


def test_a_large_log_is_read_in_little_memory(tmp_path: Path) -> None:
    path, filler = tmp_path / "large.jsonl", "x" * 50_000
    with open(path, "w") as handle:
        for i in range(2_000):
            row = lm_row(i, "1", "1", 1.0)
            row["arguments"]["gen_args_0"]["arg_0"] = filler
            handle.write(json.dumps(row) + "\n")
    assert path.stat().st_size > 100e6
    run = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    rows, grown = map(int, run.stdout.split())
    assert rows == 2_000
    assert grown < 30  # MiB, of a log of 100
