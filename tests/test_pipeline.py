from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_study import contents, read_manifest, small_study, write_manifest

import analysis
from analysis import stages
from analysis.report.words import answer_text
from complexity.errors import InputError

STAGES = ["measure", "buckets", "join", "optimum", "latency", "worth", "robustness", "report"]


def stages_done(folder: Path) -> dict[str, float]:
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return {name: stage["seconds"] for name, stage in record["stages"].items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, analysis.RunResult]:
    base = tmp_path_factory.mktemp("finished")
    manifest = small_study(base / "study", metrics=["object_count", "edge_density"])
    return manifest, base / "run", analysis.run(manifest, base / "run", workers=1)


def test_a_run_leaves_every_promised_file(finished: tuple[Path, Path, analysis.RunResult]) -> None:
    _, folder, result = finished
    assert result.status == "finished"
    assert result.computed == tuple(STAGES)
    names = set(contents(folder))
    expected = {"complexity.parquet", "buckets.json", "table.parquet", "join.json"}
    expected |= {"fits/latency.json", "fits/accuracy_object_count.json"}
    expected |= {"tables/latency_by_k.csv"}
    expected |= {f"tables/latency_by_k_prefill_ms.{suffix}" for suffix in ("md", "tex")}
    expected |= {"optimum/object_count.json", "optimum/edge_density.json"}
    for table in (
        "descriptives",
        "accuracy_by_k",
        "coefficients_accuracy",
        "coefficients_latency",
        "random_effects_latency",
        "interaction_tests",
        "shift_tests",
        "p_by_k",
        "gains_by_k",
        "optimal_k",
        "quadratic",
        "methods_side_by_side",
        "worth_smallest_k",
        "worth_policies",
        "worth_utility",
        "specification_agreement",
        "left_out",
    ):
        expected |= {f"tables/{table}.{suffix}" for suffix in ("csv", "md", "tex")}
    for figure in (
        "accuracy_vs_k",
        "latency_vs_k",
        "accuracy_latency_frontier",
        "optimal_k_vs_complexity",
        "example_images",
        "worth_best_k_by_price",
        "worth_of_choosing_k",
        "worth_of_choosing_k_ms",
        "specification_curve",
    ):
        expected |= {f"figures/{figure}.{suffix}" for suffix in ("pdf", "svg", "png")}
    assert expected <= names
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["error"] is None
    assert record["seed"] == 20261123
    assert len(record["manifest_sha256"]) == 64
    assert record["versions"]["optik"]
    assert record["command"][0] == "analysis.run"
    assert not list(folder.glob("**/.*"))


def test_the_table_is_the_join_of_its_parts(
    finished: tuple[Path, Path, analysis.RunResult],
) -> None:
    manifest, _, result = finished
    table = result.table()
    results = pd.read_parquet(manifest.parent / "results.parquet")
    assert len(table) == len(results)
    merged = table.merge(
        results.rename(columns={"checkpoint": "model"}), on=["model", "sample_id", "k"]
    )
    assert (merged["score"] == merged["correct"]).all()
    samples = pd.read_parquet(manifest.parent / "samples.parquet").set_index("sample_id")
    truth = samples.loc[table["sample_id"], "n_objects"].to_numpy()
    assert (table["object_count"].to_numpy() == truth).all()
    latency = pd.read_parquet(manifest.parent / "latency.parquet")
    mean = latency.groupby(["model", "sample_id", "k"])["prefill_ms"].mean()
    has = table["latency_ms"].notna()
    keys = list(table.loc[has, ["model", "sample_id", "k"]].itertuples(index=False, name=None))
    np.testing.assert_allclose(table.loc[has, "latency_ms"], mean.loc[keys])
    assert has.sum() == len(mean)


def test_a_second_run_recomputes_nothing_and_answers_the_same(
    finished: tuple[Path, Path, analysis.RunResult],
) -> None:
    manifest, folder, first = finished
    before = contents(folder)
    second = analysis.run(manifest, folder, workers=1)
    assert second.computed == ()
    assert second.kept == tuple(STAGES)
    assert second.answer == first.answer
    assert contents(folder) == before


def test_two_runs_are_byte_identical_whatever_the_number_of_workers(
    finished: tuple[Path, Path, analysis.RunResult], tmp_path: Path
) -> None:
    manifest, folder, _ = finished
    analysis.run(manifest, tmp_path / "again", workers=2)
    assert contents(tmp_path / "again") == contents(folder)


def test_a_changed_setting_redoes_what_depends_on_it(
    finished: tuple[Path, Path, analysis.RunResult], tmp_path: Path
) -> None:
    metrics = ["object_count", "edge_density"]
    manifest = small_study(tmp_path / "study", n_images=24, metrics=metrics)
    folder = tmp_path / "run"
    analysis.run(manifest, folder, workers=1)
    content = read_manifest(manifest)

    content["title"] = "Another title"
    write_manifest(manifest.parent, content)
    assert analysis.run(manifest, folder, workers=1).computed == ()

    content["seed"] = 7
    write_manifest(manifest.parent, content)
    assert analysis.run(manifest, folder, workers=1).computed == (
        "optimum",
        "worth",
        "robustness",
        "report",
    )

    content["analysis"]["metrics"] = ["object_count", "entropy_gray"]
    write_manifest(manifest.parent, content)
    again = analysis.run(manifest, folder, workers=1)
    assert "measure" in again.computed
    assert not (folder / "optimum" / "edge_density.json").exists()
    assert (folder / "optimum" / "entropy_gray.json").exists()


def test_one_changed_image_is_measured_alone(tmp_path: Path) -> None:
    manifest = small_study(tmp_path / "study", n_images=24, as_files=True)
    folder = tmp_path / "run"
    analysis.run(manifest, folder, workers=1)
    before = analysis.pipeline.stages.read_complexity(folder).set_index("image_id")
    images = sorted((manifest.parent / "images").iterdir())
    images[3].write_bytes(images[4].read_bytes())
    analysis.run(manifest, folder, workers=1)
    after = analysis.pipeline.stages.read_complexity(folder).set_index("image_id")
    metrics = ["edge_density", "entropy_gray", "entropy_lab", "segment_count"]
    changed = (before[metrics] != after[metrics]).any(axis=1)
    assert list(changed[changed].index) == [images[3].name]
    source, copy = after.loc[images[4].name, metrics], after.loc[images[3].name, metrics]
    assert (source == copy).all()


def test_an_unreadable_image_ends_nothing(tmp_path: Path) -> None:
    manifest = small_study(tmp_path / "study", n_images=30, as_files=True)
    broken = sorted((manifest.parent / "images").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:200])
    result = analysis.run(manifest, tmp_path / "run", workers=1)
    assert result.status == "finished"
    row = result.complexity().set_index("image_id").loc[broken.name]
    assert isinstance(row["error"], str)
    assert row["error"]
    joined = json.loads((tmp_path / "run" / "join.json").read_text(encoding="utf-8"))
    assert broken.name in json.dumps(joined)
    assert f"1 of 30 images could not be read: {broken.name}" in " ".join(result.answer.split())


def test_cells_missing_at_random_set_most_samples_aside_and_say_so(tmp_path: Path) -> None:
    ks = (1, 2, 3, 4, 6, 8, 12, 16)
    manifest = small_study(
        tmp_path / "study",
        n_images=40,
        models=("fixed4",),
        ks=ks,
        metrics=["object_count"],
        covariates=[],
    )
    path = manifest.parent / "results.parquet"
    results = pd.read_parquet(path)
    kept = results[np.random.default_rng(5).random(len(results)) >= 0.1]
    kept.to_parquet(path)
    n_k = kept.groupby("sample_id")["k"].nunique()
    whole, sampled = int((n_k == len(ks)).sum()), len(n_k)
    assert 0.35 < whole / sampled < 0.5  # .9 ** 8 = .43
    result = analysis.run(manifest, tmp_path / "run", workers=1)

    joined = json.loads((tmp_path / "run" / "join.json").read_text(encoding="utf-8"))
    incomplete = joined["incomplete"]
    assert (incomplete["count"], incomplete["of"]) == (sampled - whole, sampled)
    assert len(incomplete["examples"]) == 5
    assert all(" lacks k = " in example for example in incomplete["examples"])
    assert (joined["complete_samples"], joined["sampled"]) == ({"fixed4": whole}, sampled)
    # Nothing is dropped from the table: only the comparison of k sets samples aside.
    assert joined["rows"] == len(kept) == len(pd.read_parquet(tmp_path / "run" / "table.parquet"))
    said = (
        f"fixed4: fewer than half: {whole} of {sampled} samples with results have every k; its k "
        "are compared on these only"
    )
    assert said in joined["notes"]
    assert said in " ".join(result.answer.split())
    sparsest = kept.groupby("k")["sample_id"].nunique()
    aside = (
        f"{sampled - whole} of {sampled} samples lack some k and are set aside, so that every k is "
        f"judged on the same questions; k = {sparsest.idxmin()} has the fewest results "
        f"({sparsest.min()})."
    )
    written = [file.read_text(encoding="utf-8") for file in (tmp_path / "run/optimum").iterdir()]
    assert any(aside in text for text in written)


def test_the_answer_says_yes_no_or_too_few(tmp_path: Path) -> None:
    metrics = ["object_count"]
    manifest = small_study(tmp_path / "study", n_images=100, metrics=metrics, covariates=[])
    path = manifest.parent / "results.parquet"
    results = pd.read_parquet(path)
    samples = pd.read_parquet(manifest.parent / "samples.parquet").set_index("sample_id")
    many = samples.loc[results["sample_id"], "n_objects"].to_numpy() > 12
    best = np.where(many, 8, 2)
    # fixed4 shifts from 2 to 8; anyk is nearly always right, whatever k.
    draws = np.random.default_rng(1).random(len(results))
    shifted = draws < np.where(results["k"] == best, 0.95, 0.3)
    correct = np.where(results["checkpoint"] == "fixed4", shifted, True)
    results.assign(correct=correct.astype(int)).to_parquet(path)
    said: list[str] = []
    result = analysis.run(manifest, tmp_path / "run", workers=1, say=said.append)
    answer = " ".join(result.answer.split())
    assert "Yes for fixed4: no single k is best at both ends of object_count." in answer
    assert "No shift is shown for anyk" in answer
    assert "No k is best at both ends" in answer
    # Every interval names its method, here and in the table.
    assert re.search(r"difference \S+ points \[\S+, \S+\] \(95 %, max-t over k\)\.", answer)
    assert answer.count("(95 %, max-t): ") == 2
    notes = (result.folder / "tables" / "gains_by_k.md").read_text(encoding="utf-8")
    assert "95 % interval, max-t, simultaneous over all pairs of k" in notes
    # Times stand in one column, below one another.
    times = [line for line in said if re.fullmatch(r"\w+ +[\d.]+ s", line)]
    assert len(times) == len(STAGES)
    assert len({len(line) for line in times}) == 1

    few = small_study(tmp_path / "few", n_images=24, metrics=metrics)
    answer = " ".join(analysis.run(few, tmp_path / "other", workers=1).answer.split())
    assert "Too few data to tell for fixed4" in answer
    assert "few images (bucket 'low'" in answer


def test_without_results_it_stops_after_the_buckets(tmp_path: Path) -> None:
    manifest = small_study(tmp_path / "study", n_images=24)
    content = read_manifest(manifest)
    results, latency = content.pop("results"), content.pop("latency")
    write_manifest(manifest.parent, content)
    result = analysis.run(manifest, tmp_path / "run", workers=1)
    assert result.status == "no results"
    assert "results:" in result.answer
    names = set(contents(tmp_path / "run"))
    assert {"buckets.json", "tables/descriptives.csv", "figures/example_images.pdf"} <= names
    assert "table.parquet" not in names

    content["results"], content["latency"] = results, latency
    write_manifest(manifest.parent, content)
    result = analysis.run(manifest, tmp_path / "run", workers=1)
    assert result.status == "finished"
    assert result.kept == ("measure", "buckets")

    del content["results"], content["latency"]
    write_manifest(manifest.parent, content)
    result = analysis.run(manifest, tmp_path / "run", workers=1)
    assert result.status == "no results"
    assert set(contents(tmp_path / "run")) == names


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("brief")
    metrics = ["object_count", "edge_density"]
    manifest = small_study(base / "study", n_images=40, models=("fixed4",), metrics=metrics)
    analysis.run(manifest, base / "run", workers=1)
    return manifest, base / "run"


@pytest.mark.xdist_group("kill")
@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.8, 2.6, 3.6, 5.0])
def test_killed_and_run_again_gives_the_same_bytes(
    brief: tuple[Path, Path], tmp_path: Path, seconds: float
) -> None:
    manifest, folder = brief
    command = [
        sys.executable,
        "-m",
        "analysis.cli",
        "run",
        str(manifest),
        "-o",
        str(tmp_path / "r"),
    ]
    process = subprocess.Popen(
        [*command, "--workers", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert contents(tmp_path / "r") == contents(folder)
    record = json.loads((tmp_path / "r" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"


def test_damaged_outputs_are_made_again(
    finished: tuple[Path, Path, analysis.RunResult], tmp_path: Path
) -> None:
    manifest, folder, _ = finished
    run = tmp_path / "run"
    analysis.run(manifest, run, workers=1)
    (run / "tables" / "optimal_k.csv").write_text("gone", encoding="utf-8")
    (run / "optimum" / "object_count.json").unlink()
    assert analysis.run(manifest, run, workers=1).computed == ("optimum", "report")
    table = run / "table.parquet"
    table.write_bytes(table.read_bytes()[:100])
    assert "join" in analysis.run(manifest, run, workers=1).computed
    assert contents(run) == contents(folder)


def test_constant_metrics(tmp_path: Path) -> None:
    manifest = small_study(tmp_path / "study", n_images=24)
    samples = pd.read_parquet(manifest.parent / "samples.parquet").assign(n_objects=3)
    samples.to_parquet(manifest.parent / "samples.parquet", index=False)
    with pytest.raises(InputError, match="object_count"):
        analysis.run(manifest, tmp_path / "run", workers=1)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "failed"
    assert "object_count" in record["error"]

    content = read_manifest(manifest)
    content["analysis"]["primary"]["metric"] = "edge_density"
    write_manifest(manifest.parent, content)
    result = analysis.run(manifest, tmp_path / "run", workers=1)
    assert result.status == "finished"
    cuts = json.loads((tmp_path / "run" / "buckets.json").read_text(encoding="utf-8"))
    assert "set_aside" in cuts["object_count"]
    assert not (tmp_path / "run" / "optimum" / "object_count.json").exists()


def test_latencies_without_any_spread_are_refused_and_said(
    finished: tuple[Path, Path, analysis.RunResult], tmp_path: Path
) -> None:
    manifest, done, _ = finished
    folder, study = tmp_path / "run", analysis.load_study(manifest)
    shutil.copytree(done, folder)
    latency, _ = analysis.read_latency(study)
    exact = latency["prefill_ms"].where(latency["model"] != "anyk", 10.0 + latency["k"])
    samples = analysis.read_samples(study)
    stages.fit_latency(study, samples, latency.assign(prefill_ms=exact), folder)
    fits = json.loads((folder / "fits" / "latency.json").read_text(encoding="utf-8"))
    timed = {(fit["model"], fit["phase"]) for fit in fits}
    assert ("fixed4", "prefill_ms") in timed
    assert ("anyk", "prefill_ms") not in timed
    said = " ".join(answer_text(study, folder).split())
    assert "latency of anyk on cpu-1thread-fp32, prefill_ms: no regression of it: " in said
    assert "no variance is left" in said


def test_one_further_metric_is_spelled_as_one(
    finished: tuple[Path, Path, analysis.RunResult],
) -> None:
    manifest, folder, _ = finished
    said = " ".join(answer_text(analysis.load_study(manifest), folder).split())
    assert "further answers (1 metric), Holm-adjusted together" in said


def test_nothing_is_written_when_the_input_is_wrong(tmp_path: Path) -> None:
    manifest = small_study(tmp_path / "study", n_images=24)
    results = pd.read_parquet(manifest.parent / "results.parquet")
    results.loc[5, "k"] = 0
    results.to_parquet(manifest.parent / "results.parquet", index=False)
    with pytest.raises(InputError, match="row 6"):
        analysis.run(manifest, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_folder_of_another_study_is_refused(
    finished: tuple[Path, Path, analysis.RunResult], tmp_path: Path
) -> None:
    manifest = small_study(tmp_path / "study", n_images=24)
    content = read_manifest(manifest)
    content["name"] = "other"
    write_manifest(manifest.parent, content)
    with pytest.raises(InputError, match="'small'"):
        analysis.run(manifest, finished[1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not the folder of a run"):
        analysis.run(manifest, tmp_path / "mine")


@pytest.mark.parametrize(
    "buckets",
    [
        {"edges": [4, 12]},
        {"column": "background"},
        {
            "column": "background",
            "order": ["plain", "stripes", "checker", "dots", "bricks", "zigzag", "blocks"],
        },
        {"n": 2},
    ],
)
def test_bucket_schemes(tmp_path: Path, buckets: dict[str, object]) -> None:
    manifest = small_study(tmp_path / "study", buckets=buckets, metrics=["object_count"])
    result = analysis.run(manifest, tmp_path / "run", workers=1)
    assert result.status == "finished"
    table = result.table()
    cuts = json.loads((tmp_path / "run" / "buckets.json").read_text(encoding="utf-8"))
    assert set(table["bucket"].dropna()) == set(cuts["object_count"]["labels"])


def test_the_shipped_study_is_left_alone(finished: tuple[Path, Path, analysis.RunResult]) -> None:
    manifest, _, _ = finished
    assert {p.name for p in manifest.parent.iterdir()} == {
        "images.parquet",
        "latency.parquet",
        "manifest.yaml",
        "results.parquet",
        "samples.parquet",
    }
    assert pq.read_table(manifest.parent / "images.parquet").num_rows == 60


def test_no_public_name_gives_way_to_a_module() -> None:
    modules = {path.stem for path in Path(analysis.__path__[0]).iterdir()}
    assert not modules & set(analysis.__all__)
