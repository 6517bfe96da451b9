"""A run on yes/no questions: scored by POPE's rule, with its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import read_manifest, small_study, write_manifest

import analysis
from analysis.report.yes_no_table import write_yes_no


def test_a_yes_no_study_from_replies_to_table(tmp_path: Path) -> None:
    path = small_study(
        tmp_path / "study", n_images=40, models=("fixed4",), ks=(1, 4), metrics=["object_count"]
    )
    folder = path.parent
    rng = np.random.default_rng(1)
    samples = pd.read_parquet(folder / "samples.parquet")
    samples["answer"] = rng.choice(["yes", "no"], len(samples))
    samples.to_parquet(folder / "samples.parquet", index=False)
    results = pd.read_parquet(folder / "results.parquet").drop(columns="correct")
    truth = results["sample_id"].map(samples.set_index("sample_id")["answer"])
    wrong = rng.random(len(results)) < np.where(results["k"] == 1, 0.5, 0.1)
    says_yes = (truth == "yes") ^ wrong
    results["prediction"] = np.where(says_yes, "Yes, there is.", "No. There is none.")
    results.to_parquet(folder / "results.parquet", index=False)
    manifest = read_manifest(path)
    manifest["results"][0]["columns"] = {"prediction": "prediction"}
    manifest.pop("latency")
    manifest["analysis"].pop("latency")
    write_manifest(folder, manifest)
    exact = analysis.run(path, tmp_path / "run", workers=1)
    table = pd.read_parquet(tmp_path / "run" / "table.parquet")
    assert table["score"].eq(0).all()
    assert not (tmp_path / "run" / "tables" / "yes_no.csv").exists()

    # Another scorer: the join and what follows are redone, the measuring is not.
    write_manifest(folder, manifest | {"scorer": "yes-no"})
    again = analysis.run(path, tmp_path / "run", workers=1)
    assert "measure" in again.kept
    assert "join" in again.computed
    assert exact.status == again.status == "finished"
    table = pd.read_parquet(tmp_path / "run" / "table.parquet")
    summary = pd.read_csv(tmp_path / "run" / "tables" / "yes_no.csv")
    whole = summary[summary["question_type"] == "all"]
    assert whole["k"].tolist() == [1, 4]
    assert whole["accuracy"].tolist() == pytest.approx(table.groupby("k")["score"].mean().tolist())
    ratio = says_yes.groupby(results["k"]).mean()
    assert whole["yes_ratio"].tolist() == pytest.approx(ratio.tolist())
    kinds = set(samples["question_type"])
    assert set(summary["question_type"]) == {"all", *kinds}
    assert (tmp_path / "run" / "tables" / "yes_no.tex").is_file()


def test_replies_that_cannot_be_summed_up(tmp_path: Path) -> None:
    samples = pd.DataFrame({"sample_id": ["1"], "answers": [["yes"]]})
    scored = pd.DataFrame({"model": ["m"], "sample_id": ["1"], "k": [1], "score": [1.0]})
    assert write_yes_no(scored, samples, tmp_path) == []
    stray = scored.assign(sample_id="2", prediction="yes")
    assert write_yes_no(stray, samples, tmp_path) == []
    some = pd.concat([scored.assign(prediction=None), scored.assign(prediction="maybe", k=2)])
    paths = write_yes_no(some, samples, tmp_path)
    made = pd.read_csv(paths[0])
    assert made[["k", "n", "unread"]].to_numpy().tolist() == [[2, 1, 1]]
