from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_study import MANIFEST, RESULTS, SAMPLES, tiny

from analysis.checking import Finding, inspect
from analysis.manifest import Study, load_study


def found(study: Study, level: str) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for item in inspect(study):
        if item.level == level:
            made.setdefault(item.where, []).append(f"{item.what} | {item.remedy}")
    return made


def whole(folder: Path, files: dict[str, str] | None = None, **manifest: Any) -> Study:
    (folder / "images").mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(folder / "images" / name)
    return tiny(folder, files, **manifest)


def test_a_whole_study(tmp_path: Path) -> None:
    choice = {"latency": {"device": "cpu", "phase": "prefill_ms"}}
    study = whole(
        tmp_path,
        analysis=MANIFEST["analysis"] | choice,
        object_count={"from": "annotations", "column": "n_objects"},
    )
    assert {item.level for item in inspect(study)} == {"ok"}
    said = found(study, "ok")
    assert said["images.source"] == ["2 images | "]
    assert said["samples"] == ["3 questions about 2 images | "]
    assert said["object_count"] == ["2 of 2 images have a count, 2 to 7 | "]
    assert said["results"] == [
        "6 rows | ", "m: k = 1, 2 | ", "all 3 (sample, model) pairs have every k | ",
    ]  # fmt: skip


def test_without_results_the_way_to_get_them_is_said(tmp_path: Path) -> None:
    study = whole(tmp_path, results=None, latency=None)
    missing = found(study, "missing")
    assert set(missing) == {"results", "latency"}
    assert "add to the manifest `results:` with `path`" in missing["results"][0]
    assert found(study, "wrong") == {}


def test_every_part_is_tried(tmp_path: Path) -> None:
    study = tiny(
        tmp_path,
        {"samples.csv": SAMPLES.replace("10,b", "001,b"), "latency.csv": "device\n"},
        images={"source": "images", "sha256": {"x.png": "0" * 64}},
        results=[{"path": "absent.csv"}],
    )
    wrong = found(study, "wrong")
    assert list(wrong) == ["images.source", "images.sha256", "samples", "results", "latency"]
    assert "the same key twice: row 1 and row 3" in wrong["samples"][0]
    assert "no file" in wrong["results"][0]


def test_no_data_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NLVR_DIR", raising=False)
    findings = inspect(load_study("nlvr"))
    assert [item.level for item in findings] == ["missing", "missing", "note"]
    assert "NLVR_DIR is not set" in findings[0].what
    package = inspect(tiny(tmp_path, data_root={"package": "nobody_s_package"}))
    assert "pip install nobody-s-package" in package[0].what


def test_images_that_are_not_there(tmp_path: Path) -> None:
    study = whole(tmp_path, {"samples.csv": SAMPLES.replace("b.png", "c.png")})
    notes = found(study, "note")
    assert "1 of 2 images that samples refer to are not in the source: c.png" in notes["samples"][0]
    assert "1 image without a question" in notes["images.source"][0]
    text = SAMPLES.replace(".png", "")
    wrong = found(whole(tmp_path, {"samples.csv": text}), "wrong")
    assert "none of the 2 images that samples refer to is in the source" in wrong["samples"][0]
    assert "samples have 'a', 'b', the source has 'a.png', 'b.png'" in wrong["samples"][0]


def test_what_does_not_match_is_noted(tmp_path: Path) -> None:
    text = RESULTS.replace("m,001,2,1\n", "m,none,2,1\n")
    notes = found(whole(tmp_path, {"results.csv": text}), "note")
    assert any("pairs without every k (kept): 1 of 3: m × 001 lacks k = 2" in n
               for n in notes["results"])  # fmt: skip
    assert any("1 of 4: none" in n for n in notes["results"])
    wrong = found(whole(tmp_path, {"results.csv": RESULTS.replace(",2,", ",1,")}), "wrong")
    assert "the same key twice" in wrong["results"][0]
    one = "".join(line for line in RESULTS.splitlines(keepends=True) if ",2," not in line)
    wrong = found(whole(tmp_path, {"results.csv": one}), "wrong")
    assert "every model has results at one k only" in wrong["results"][0]


def test_names_that_samples_lack(tmp_path: Path) -> None:
    more = {"covariates": ["question_typ"], "buckets": {"column": "bckt"},
            "latency": {"device": "gpu", "phase": "prefill_ms"}}  # fmt: skip
    wrong = found(whole(tmp_path, analysis=MANIFEST["analysis"] | more), "wrong")
    assert "did you mean 'question_type'?" in wrong["analysis.covariates"][0]
    assert "no column 'bckt'" in wrong["analysis.buckets.column"][0]
    assert "no latencies of device 'gpu'" in wrong["results"][0]


def test_finding_is_plain() -> None:
    assert Finding("ok", "what", "where").remedy == ""
