"""What README and docs show is what the commands beside it give."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from small_study import SHAPES, contents, write_manifest
from typer.testing import CliRunner

import analysis
from analysis.cli import app
from analysis.studies import shipped

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
YOUR_DATA = (ROOT / "docs" / "your_data.md").read_text(encoding="utf-8")


def refresh() -> Any:
    """Load docs/refresh.py."""
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.xdist_group("demo")
def test_the_answer_is_what_the_demo_prints(tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("demo") / "shapes"
    result = CliRunner().invoke(app, ["demo", "-o", str(out)])
    assert result.exit_code == 0, result.output
    shown = re.search(
        r"<!-- demo:begin -->\n```text\n(.*?)```\n<!-- demo:end -->", README, re.DOTALL
    )
    assert shown is not None
    assert shown[1] in result.output
    page = ROOT / "docs" / "methods_side_by_side.md"
    assert page.read_text(encoding="utf-8") == refresh().methods_page(out)
    # The README's commands on the run's table.
    for line in re.findall(r"^\.venv/bin/optik (?:shift|fit) .*$", README, re.MULTILINE):
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)][1:]
        words = [word.replace("runs/shapes", str(out)) for word in words]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, ["demo", "-o", str(out)])
    assert "nothing recomputed" in again.output
    assert len(contents(out)) > 50


def test_every_link_leads_somewhere(root: Path) -> None:
    for page in [*root.glob("*.md"), *(root / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_layout_in_contributing_is_the_layout(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert block is not None
    folder = root
    for line in block[1].splitlines():
        indented, name = line.startswith(" "), line.split()[0]
        if not indented and name.endswith("/"):
            folder = root / name
        assert (folder / name if indented else root / name).exists(), line


def test_the_manifest_in_the_guide_works(tmp_path: Path) -> None:
    study = tmp_path / "my_study"
    (study / "images").mkdir(parents=True)
    (study / "results").mkdir()
    images = pq.read_table(SHAPES / "images.parquet").slice(0, 60).to_pylist()
    for row in images:
        (study / "images" / f"{row['image_id']}.webp").write_bytes(row["image"]["bytes"])
    samples = pd.read_parquet(SHAPES / "samples.parquet")
    samples = samples[samples["image_id"].isin([row["image_id"] for row in images])]
    pd.DataFrame(
        {
            "question_id": samples["sample_id"],
            "file": samples["image_id"] + ".webp",
            "question": samples["question"],
            "answer": samples["answer"],
        }
    ).to_csv(study / "questions.csv", index=False)
    results = pd.read_parquet(SHAPES / "results.parquet")
    results = results[results["sample_id"].isin(samples["sample_id"])]
    for k, rows in results[results["checkpoint"] == "fixed4"].groupby("k"):
        out = rows[["sample_id", "correct"]].rename(columns={"sample_id": "question_id"})
        out.to_csv(study / "results" / f"k{k}.csv", index=False)
    timed = pd.read_parquet(SHAPES / "latency.parquet")
    timed = timed[timed["device"].eq("cpu-1thread-fp32") & timed["model"].eq("fixed4")]
    timed = timed.iloc[:400].assign(sample_id=samples["sample_id"].iloc[0])
    timed = timed.drop_duplicates(["k", "repeat"]).rename(columns={"prefill_ms": "prefill"})
    timed = timed.rename(columns={"sample_id": "question_id"})
    timed[["question_id", "k", "repeat", "prefill"]].to_csv(study / "latency.csv", index=False)
    block = re.search(r"```yaml\n(version: 1.*?)```", YOUR_DATA, re.DOTALL)
    extra = re.search(r"```yaml\n(latency:.*?)```", YOUR_DATA, re.DOTALL)
    assert block is not None
    assert extra is not None
    manifest = yaml.safe_load(block[1])
    assert manifest["name"] == "my_study"
    added = yaml.safe_load(extra[1])
    manifest["latency"] = added["latency"]
    manifest["analysis"] |= added["analysis"]
    write_manifest(study, manifest)
    checked = CliRunner().invoke(app, ["check", str(study)])
    assert checked.exit_code == 0, checked.output
    result = analysis.run(study, tmp_path / "run", workers=1)
    assert result.status == "finished"
    assert set(result.table()["model"]) == {"my-moe-vlm"}


def test_the_constraints_name_no_address(root: Path) -> None:
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert all("==" in line for line in text.splitlines() if line.strip())


def test_the_wheel_carries_its_studies(root: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(root)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("optik-*.whl")
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
        studies = {name for name in archive.namelist() if name.startswith("analysis/_studies/")}
        assert sum(archive.getinfo(name).file_size for name in studies) < 9e6
    # What the demo reads, and neither checkpoints nor what only makes a study again.
    needed = {"manifest.yaml", "README.md", "provenance.json"}
    needed |= {f"{table}.parquet" for table in ("images", "samples", "results", "latency")}
    assert {f"analysis/_studies/shapes/{name}" for name in needed} <= studies
    assert not any("/models/" in name or "/training/" in name for name in studies)
    for name in ("shapes_large", "shapes_seeds"):
        assert f"analysis/_studies/{name}/results.parquet" in studies
    script = (
        "import analysis.studies as s, pathlib;"
        "from analysis.manifest import load_study;"
        "print(pathlib.Path(s.__file__).parents[1], *s.shipped(), load_study('shapes').name,"
        "all(file.exists for file in load_study('shapes_seeds').data_files()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=target,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(target), *shipped(), "shapes", "True"]
    checked = subprocess.run(
        [sys.executable, "-m", "analysis.cli", "check", "shapes"],
        cwd=target,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(target) in checked.stdout
    assert "12,000 questions about 3,000 images" in checked.stdout


def test_the_page_of_tables_is_the_schemas(root: Path) -> None:
    page = (root / "docs" / "tables.md").read_text(encoding="utf-8")
    assert page == refresh().tables_page()
