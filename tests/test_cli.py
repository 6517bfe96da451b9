from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_study import read_manifest, small_study, write_manifest
from typer.testing import CliRunner

from analysis.cli import app

Change = Callable[[Path, Any], None]


def optik(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_study(
        tmp_path_factory.mktemp("cli") / "study",
        n_images=30,
        metrics=["object_count", "edge_density"],
    )


@pytest.fixture(scope="module")
def table(study: Path) -> Path:
    out = study.parents[1] / "run"
    result = optik("run", study, "-o", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    return out / "table.parquet"


@pytest.mark.parametrize(
    "command", ["", "demo", "run", "check", "measure", "import", "fit", "shift", "metrics"]
)
def test_help_can_be_followed(command: str) -> None:
    result = optik(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    commands = result.output.partition("Commands:")[2]
    assert "..." not in commands, "a summary is too long for its line"


@pytest.mark.parametrize(
    "arguments", [["run"], ["bogus"], ["fit", "x.csv"], ["measure", ".", "-o", "x", "--workers", 0]]
)
def test_a_wrong_request_is_a_usage_error(arguments: list[object]) -> None:
    assert optik(*arguments).exit_code == 2


def test_check_says_what_is_there(study: Path) -> None:
    result = optik("check", study)
    assert result.exit_code == 0, result.output
    assert "Nothing is wrong" in result.output
    assert "wrong " not in result.output


def test_check_lists_every_problem_at_once(tmp_path: Path) -> None:
    manifest = small_study(tmp_path, n_images=6)
    content = read_manifest(manifest)
    content["samples"]["path"] = "sample.parquet"
    content["results"][0]["path"] = "result.parquet"
    write_manifest(tmp_path, content)
    result = optik("check", manifest)
    assert result.exit_code == 1
    assert "samples.parquet" in result.output
    assert "results.parquet" in result.output


def test_run_prints_the_answer_and_then_that_nothing_changed(study: Path, table: Path) -> None:
    result = optik("run", study, "-o", table.parent, "--workers", 1)
    assert result.exit_code == 0
    assert "nothing recomputed" in result.output
    assert "What this cannot tell" in result.output
    record = json.loads((table.parent / "run.json").read_text(encoding="utf-8"))
    assert record["command"][0] == "optik"


def results_of(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = folder / "results.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def unknown_key(folder: Path, content: Any) -> None:
    content["images"]["sourc"] = content["images"].pop("source")


def wrong_type(folder: Path, content: Any) -> None:
    content["seed"] = "many"


def missing_file(folder: Path, content: Any) -> None:
    (folder / "samples.parquet").unlink()


def wrong_checksum(folder: Path, content: Any) -> None:
    content["images"]["sha256"] = {"images.parquet": "0" * 64}


def duplicate_key(folder: Path, content: Any) -> None:
    results_of(folder, lambda frame: pd.concat([frame, frame.iloc[:7]]))


def k_of_zero(folder: Path, content: Any) -> None:
    results_of(folder, lambda frame: frame.assign(k=frame["k"].where(frame.index != 2, 0)))


def score_above_one(folder: Path, content: Any) -> None:
    results_of(folder, lambda frame: frame.assign(correct=frame["correct"] * 1.2))


def negative_latency(folder: Path, content: Any) -> None:
    path = folder / "latency.parquet"
    frame = pd.read_parquet(path)
    frame.loc[frame.index[4], "prefill_ms"] = -3.0
    frame.to_parquet(path)


def unknown_samples_only(folder: Path, content: Any) -> None:
    results_of(folder, lambda frame: frame.assign(sample_id="other/" + frame["sample_id"]))


def one_k_only(folder: Path, content: Any) -> None:
    results_of(folder, lambda frame: frame[frame["k"] == 4])


def empty_image_folder(folder: Path, content: Any) -> None:
    (folder / "pictures").mkdir()
    content["images"] = {"source": "pictures"}


def unknown_covariate(folder: Path, content: Any) -> None:
    content["analysis"]["covariates"] = ["question_typ"]


def not_yaml(folder: Path, content: Any) -> None:
    (folder / "manifest.yaml").write_text("name: [unclosed", encoding="utf-8")
    content.clear()


EARLY: list[tuple[Change, list[str]]] = [
    (unknown_key, ["line", "sourc", "did you mean 'source'"]),
    (wrong_type, ["line", "seed"]),
    (missing_file, ["samples.parquet"]),
    (wrong_checksum, ["images.parquet", "SHA-256"]),
    (duplicate_key, ["results.parquet", "row", "twice", "and 2 more"]),
    (k_of_zero, ["results.parquet", "row 3", "at least 1"]),
    (score_above_one, ["results.parquet", "1.2", "and "]),
    (negative_latency, ["latency.parquet", "-3", "row 5"]),
    (unknown_samples_only, ["none of the", "'other/s"]),
    (one_k_only, ["one k only", "k = 4"]),
    (empty_image_folder, ["pictures", "image"]),
    (unknown_covariate, ["question_typ", "did you mean 'question_type'"]),
    (not_yaml, ["manifest.yaml", "not YAML"]),
]


@pytest.mark.parametrize(("change", "said"), EARLY, ids=lambda item: getattr(item, "__name__", ""))
def test_bad_input_is_named_and_nothing_is_written(
    tmp_path: Path, change: Change, said: list[str]
) -> None:
    manifest = small_study(tmp_path / "study", n_images=6)
    content = read_manifest(manifest)
    change(tmp_path / "study", content)
    if content:
        write_manifest(tmp_path / "study", content)
    result = optik("run", manifest, "-o", tmp_path / "run")
    assert result.exit_code == 1
    assert result.output.startswith("optik: ")
    assert "Traceback" not in result.output
    for text in said:
        assert text in result.output
    assert not (tmp_path / "run").exists()


def no_result_for_a_bucket(folder: Path, content: Any) -> None:
    samples = pd.read_parquet(folder / "samples.parquet")
    many = samples.loc[samples["n_objects"] > samples["n_objects"].quantile(2 / 3), "sample_id"]
    results_of(folder, lambda frame: frame[~frame["sample_id"].isin(many)])


def constant_complexity(folder: Path, content: Any) -> None:
    path = folder / "samples.parquet"
    pd.read_parquet(path).assign(n_objects=5).to_parquet(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_result_for_a_bucket, ["bucket 'high'", "add results"]),
        (constant_complexity, ["object_count is 5", "another metric"]),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_what_only_measuring_can_show_is_a_failed_run(
    tmp_path: Path, change: Change, said: list[str]
) -> None:
    manifest = small_study(tmp_path / "study", n_images=12, metrics=["object_count"])
    change(tmp_path / "study", read_manifest(manifest))
    result = optik("run", manifest, "-o", tmp_path / "run", "--workers", 1)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    for text in said:
        assert text in result.output
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "failed"
    assert not (tmp_path / "run" / "tables").exists()


def test_measure_writes_a_table_and_says_what_failed(study: Path, tmp_path: Path) -> None:
    photos = small_study(tmp_path / "files", n_images=6, as_files=True).parent / "images"
    (photos / "notes.png").write_text("not an image", encoding="utf-8")
    result = optik("measure", photos, "-o", tmp_path / "c.csv", "--metrics", "entropy_gray")
    assert result.exit_code == 0, result.output
    assert "7 images measured" in result.output
    assert "notes.png" in result.output
    assert list(pd.read_csv(tmp_path / "c.csv").columns)[-1] == "entropy_gray"

    result = optik("measure", study, "-o", tmp_path / "c.parquet", "--metrics", "object_count")
    assert result.exit_code == 0, result.output
    truth = pd.read_parquet(study.parent / "samples.parquet").drop_duplicates("image_id")
    measured = pd.read_parquet(tmp_path / "c.parquet").set_index("image_id")["object_count"]
    assert (measured.loc[truth["image_id"]].to_numpy() == truth["n_objects"].to_numpy()).all()


@pytest.mark.parametrize("source", ["nowhere", "nowhere/*.png", "empty"])
def test_measure_refuses_what_is_not_there(tmp_path: Path, source: str) -> None:
    (tmp_path / "empty").mkdir()
    result = optik("measure", tmp_path / source, "-o", tmp_path / "c.parquet")
    assert result.exit_code == 1
    assert result.output.startswith("optik: ")
    assert not (tmp_path / "c.parquet").exists()


def test_metrics_lists_and_explains() -> None:
    listed = optik("metrics")
    assert listed.exit_code == 0
    for name in ("edge_density", "entropy_gray", "entropy_lab", "segment_count", "object_count"):
        assert name in listed.output
        explained = optik("metrics", name)
        assert explained.exit_code == 0
        assert "source:" in explained.output
        assert "range:" in explained.output
    missed = optik("metrics", "edge_densty")
    assert missed.exit_code == 1
    assert "did you mean 'edge_density'" in missed.output


def test_fit_json_has_the_promised_keys(table: Path) -> None:
    result = optik(
        *("fit", table, "--family", "binomial", "--cluster", "image_id", "--json"),
        *("--formula", "score ~ C(k) + object_count"),
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    keys = "fixed random loglik deviance aic bic n_obs n_groups residual_sd method converged"
    assert {*keys.split(), "singular", "seconds"} <= set(content)
    assert set(content["fixed"][0]) == {
        "term",
        "estimate",
        "se",
        "statistic",
        "df",
        "p",
        "ci_low",
        "ci_high",
    }
    terms = [row["term"] for row in content["fixed"]]
    assert terms == ["Intercept", "C(k)[2]", "C(k)[4]", "C(k)[8]", "object_count"]

    mixed = optik("fit", table, "--formula", "latency_ms ~ C(k) + (1 | sample_id)", "--json")
    assert mixed.exit_code == 0, mixed.output
    content = json.loads(mixed.output)
    assert content["method"] == "reml"
    assert content["random"][0]["group"] == "sample_id"
    text = optik("fit", table, "--formula", "latency_ms ~ C(k) + (1 | sample_id)")
    assert text.exit_code == 0
    assert "sample_id" in text.output


def test_fit_refuses_plainly(table: Path) -> None:
    for formula, said in [
        ("score ~ C(kk)", "kk"),
        ("score ~ (", "formula"),
        ("nothing ~ k", "nothing"),
    ]:
        result = optik("fit", table, "--formula", formula)
        assert result.exit_code == 1, formula
        assert said in result.output
        assert "Traceback" not in result.output


def test_shift_agrees_with_the_run(table: Path) -> None:
    result = optik(
        *("shift", table, "--complexity", "object_count", "--covariates", "question_type"),
        "--json",
    )
    assert result.exit_code == 0, result.output
    answers = json.loads(result.output)
    saved = json.loads((table.parent / "optimum" / "object_count.json").read_text("utf-8"))
    assert [answer["model"] for answer in answers] == ["fixed4", "anyk"]
    for answer, other in zip(answers, saved, strict=True):
        assert answer["shift"]["p"] == other["shift"]["p"]
        assert answer["shift"]["common_k"] == other["shift"]["common_k"]
        assert answer["interaction"]["statistic"] == other["interaction"]["statistic"]
        assert answer["optimum"] == other["optimum"]
        for key in ("model", "metric", "interaction", "shift", "optimum", "lack_of_fit"):
            assert key in answer
        assert set(answer["interaction"]) >= {"statistic", "df", "p", "method"}
        assert set(answer["shift"]) >= {
            "p",
            "method",
            "common_k",
            "estimate",
            "ci_low",
            "ci_high",
            "unit",
        }
        assert isinstance(answer["warnings"], list)
    text = optik("shift", table, "--complexity", "edge_density")
    assert text.exit_code == 0
    assert "one k at both ends" in text.output


def test_shift_reads_csv_and_refuses_plainly(table: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(table)
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert optik("shift", tmp_path / "t.csv", "--complexity", "object_count").exit_code == 0
    bad = {
        "object_cont": (frame, "did you mean 'object_count'"),
        "object_count": (frame.assign(score=2.0), "row 1: 2.0"),
        "constant": (frame.assign(constant=1.0), "constant has the same value"),
        "edge_density": (pd.concat([frame, frame.iloc[:1]]), "twice"),
    }
    for metric, (content, said) in bad.items():
        content.to_parquet(tmp_path / "t.parquet", index=False)
        result = optik("shift", tmp_path / "t.parquet", "--complexity", metric)
        assert result.exit_code == 1
        assert said in result.output
        assert "Traceback" not in result.output
    result = optik("shift", tmp_path / "none.parquet", "--complexity", "x")
    assert result.exit_code == 1
    assert "no such file" in result.output


def test_studies_without_results_stop_after_the_buckets(tmp_path: Path) -> None:
    result = optik("run", "easy_vqa", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "no per-k results yet" in result.output
    assert "results:" in result.output
    assert (tmp_path / "run" / "buckets.json").is_file()
    assert not (tmp_path / "run" / "table.parquet").exists()


def test_interrupted_it_leaves_with_130_and_resumes(study: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "analysis.cli", "run", str(study), "-o", str(tmp_path / "run")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    assert "resumes" in messages
    assert "Traceback" not in messages
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"
    assert optik("run", study, "-o", tmp_path / "run", "--workers", 1).exit_code == 0
