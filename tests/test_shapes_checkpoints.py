"""The committed checkpoints give the committed answers."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from small_study import MODELS, SHAPES, small_study
from typer.testing import CliRunner

from analysis.cli import app
from data_manifests.shapes.training.accuracy import tables
from data_manifests.shapes.training.assemble import assemble

KS = (1, 4, 16)


def test_the_checkpoints_give_the_answers_that_ship(tmp_path: Path) -> None:
    """Ten images, four questions each, three k; by `optik collect`, on a CPU in float32."""
    manifest = small_study(tmp_path / "study", n_images=10, ks=KS, metrics=["object_count"])
    key = ["checkpoint", "sample_id", "k"]
    theirs = pd.read_parquet(tmp_path / "study" / "results.parquet").set_index(key).sort_index()
    parts = []
    for name in MODELS:
        out = tmp_path / f"{name}.parquet"
        done = CliRunner().invoke(
            app,
            [
                *("collect", str(manifest), "--model", str(SHAPES / "models" / name)),
                *("--k", ",".join(map(str, KS)), "--timed", "0", "--device", "cpu"),
                *("--dtype", "float32", "--batch", "40", "-o", str(out)),
            ],
        )
        assert done.exit_code == 0, done.output
        parts.append(pd.read_parquet(out))
    ours = pd.concat(parts).rename(columns={"model": "checkpoint"}).set_index(key)
    assert ours.sort_index().index.equals(theirs.index)
    assert len(ours) == 2 * 10 * 4 * len(KS)
    both = theirs.join(ours.add_suffix("_ours"))
    # The committed answers were computed on a GPU: another sum may turn a tie.
    assert (both["prediction"] == both["prediction_ours"]).mean() >= 0.995
    assert (both["correct"] == both["score_ours"]).mean() >= 0.995
    # The answers depend on k, or the test would show little.
    assert theirs.loc["fixed4", "prediction"].groupby("sample_id").nunique().gt(1).any()


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_says_how_it_was_trained(name: str) -> None:
    record = json.loads((SHAPES / "models" / name / "training.json").read_text(encoding="utf-8"))
    assert record["finished"]
    assert record["settings"]["recipe"] == name
    assert record["steps_done"] == record["settings"]["steps"]


def test_the_provenance_names_the_files_that_are_here() -> None:
    record = json.loads((SHAPES / "provenance.json").read_text(encoding="utf-8"))
    for name, expected in record["sha256"].items():
        assert hashlib.sha256((SHAPES / name).read_bytes()).hexdigest() == expected, name
    committed = {p.relative_to(SHAPES).as_posix() for p in SHAPES.rglob("*.parquet")}
    committed |= {p.relative_to(SHAPES).as_posix() for p in (SHAPES / "models").rglob("*.*")}
    assert set(record["sha256"]) == committed


def test_the_table_of_accuracies_is_what_the_script_prints() -> None:
    page = (SHAPES / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- accuracy:begin -->\n(.*?)\n<!-- accuracy:end -->", page, re.DOTALL)
    assert shown is not None
    assert shown[1] == tables(SHAPES)


def test_the_evaluation_that_is_recorded_is_of_these_tables() -> None:
    record = json.loads((SHAPES / "provenance.json").read_text(encoding="utf-8"))["evaluation"]
    results = pd.read_parquet(SHAPES / "results.parquet")
    for name, rows in results.groupby("checkpoint"):
        for k, right in record[f"study {name}"]["right"]["all"].items():
            assert rows.loc[rows["k"] == int(k), "correct"].mean() == pytest.approx(right, abs=6e-5)


def test_assembling_parts_gives_the_table(tmp_path: Path) -> None:
    for table, column in (("results", "checkpoint"), ("latency", "run")):
        whole = pd.read_parquet(SHAPES / f"{table}.parquet")
        parts = []
        for name in whole[column].drop_duplicates():
            parts.append(tmp_path / f"{table}_{name}.parquet")
            whole[whole[column] == name].to_parquet(parts[-1], index=False)
        pd.testing.assert_frame_equal(assemble(parts, tmp_path / f"{table}.parquet"), whole)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{table}.parquet"), whole)
