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
    assert "the same key twice: row 1 (line 2) and row 3 (line 4)" in wrong["samples"][0]
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
    wrong = found(study, "wrong")
    assert "1 of 2 images that samples refer to are not in the source: c.png" in wrong["samples"][0]
    assert "1 image without a question" in found(study, "note")["images.source"][0]
    wrong = found(whole(tmp_path, {"samples.csv": SAMPLES.replace("b.png", "b.PNG")}), "wrong")
    assert "they would match if upper and lower case were spelled the same" in wrong["samples"][0]
    text = SAMPLES + "".join(f"x{i},x{i}.png,?,1,count,1\n" for i in range(18))
    for i in range(17):
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / f"x{i}.png")
    few = whole(tmp_path, {"samples.csv": text})
    assert "1 of 20 images that samples refer to" in found(few, "note")["samples"][0]
    assert found(few, "wrong") == {}
    text = SAMPLES.replace(".png", "")
    wrong = found(whole(tmp_path, {"samples.csv": text}), "wrong")
    assert "none of the 2 images that samples refer to is in the source" in wrong["samples"][0]
    assert "samples have 'a', 'b', the source has 'a.png', 'b.png'" in wrong["samples"][0]


def test_what_does_not_match_is_noted(tmp_path: Path) -> None:
    text = RESULTS.replace("m,001,2,1\n", "m,none,2,1\n")
    notes = found(whole(tmp_path, {"results.csv": text}), "note")
    assert any("on samples with every k): 1 of 3: m × 001 lacks k = 2" in n
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


def test_a_k_of_which_no_id_is_known(tmp_path: Path) -> None:
    """A spreadsheet took the leading zeros of one file; the k must not vanish in silence."""
    lost = "model,sample_id,k,score\nm,1,4,1\nm,2,4,0\n"
    entries = [{"path": "results.csv"}, {"path": "k4.csv"}]
    wrong = found(whole(tmp_path, {"k4.csv": lost}, results=entries), "wrong")["results"]
    assert "k4.csv: none of the 2 sample ids in it (m at k = 4) is in samples" in wrong[0]
    assert "they would match without leading zeros" in wrong[0]
    one = whole(tmp_path, {"results.csv": RESULTS + "m,1,4,1\nm,2,4,0\n"})
    wrong = found(one, "wrong")["results"]
    assert "all results of m at k = 4 are for samples that samples do not have" in wrong[0]
    assert "they would match without leading zeros" in wrong[0]
    part = whole(tmp_path, {"results.csv": RESULTS.replace("m,001,2", "m,1,2")})
    notes = found(part, "note")["results"]
    assert any("(set aside): 1 of 4: 1; they would match without leading zeros" in n for n in notes)


def test_samples_with_every_k_are_counted(tmp_path: Path) -> None:
    text = "".join(RESULTS.splitlines(keepends=True)[:4])
    notes = found(whole(tmp_path, {"results.csv": text}), "note")["results"]
    assert any(n.startswith("m: 1 of 2 samples with results have every k; its k are compared on "
                            "these only") for n in notes)  # fmt: skip
    text += "m,10,1,1\n"
    notes = found(whole(tmp_path, {"results.csv": text}), "note")["results"]
    assert any(n.startswith("m: fewer than half: 1 of 3 samples") for n in notes)


def bucketed(folder: Path, metric: str, **more: Any) -> Study:
    rule = {"primary": {"metric": metric}, "buckets": more}
    counted = {"from": "annotations", "column": "n_objects"}
    return whole(folder, analysis=MANIFEST["analysis"] | rule, object_count=counted)


def test_bucket_edges_that_no_image_can_cross(tmp_path: Path) -> None:
    where = "analysis.buckets.edges"
    wrong = found(bucketed(tmp_path, "edge_density", edges=[0.5, 1, 40]), "wrong")[where][0]
    assert "edge_density is between 0 and 1, so no image can lie on both sides of 1, 40" in wrong
    assert found(bucketed(tmp_path, "edge_density", edges=[0.0, 0.5]), "wrong") == {}
    wrong = found(bucketed(tmp_path, "object_count", edges=[-1, 3]), "wrong")[where][0]
    assert "object_count is from 0 up" in wrong
    notes = found(bucketed(tmp_path, "object_count", edges=[1, 3, 7]), "note")[where]
    assert notes[0].startswith("no image has a count at or below 1; counts are 2 to 7")
    assert notes[1].startswith("no image has a count above 7")
    assert len(notes) == 2


def test_bucket_order_that_lacks_a_label(tmp_path: Path) -> None:
    text = SAMPLES.replace("color", "count").replace("how many?,7,count", "how many?,7,few")
    rule = {"buckets": {"column": "question_type", "order": ["few", "other"]}}
    study = whole(tmp_path, {"samples.csv": text}, analysis=MANIFEST["analysis"] | rule)
    wrong = found(study, "wrong")["analysis.buckets.column"][0]
    assert "buckets.order leaves out count" in wrong


def test_covariates_by_the_file_s_name_and_with_gaps(tmp_path: Path) -> None:
    text = SAMPLES.replace("image_id", "file").replace("color,2", "color,")
    samples = {"path": "samples.csv", "columns": {"image_id": "file"}}
    analysis = MANIFEST["analysis"] | {"covariates": ["file", "n_objects"]}
    study = whole(tmp_path, {"samples.csv": text}, samples=samples, analysis=analysis)
    assert (
        "'file' is read as image_id; name that" in found(study, "wrong")["analysis.covariates"][0]
    )
    gap = found(study, "note")["analysis.covariates"][0]
    assert "'n_objects' is empty in 1 of 3 samples: these are left out of the regressions" in gap
    text = "\n".join(f"{line},{x}" for line, x in zip(SAMPLES.splitlines(), ["src", "a", "", "b"],
                                                     strict=True))  # fmt: skip
    analysis = MANIFEST["analysis"] | {"covariates": ["src"]}
    study = whole(tmp_path, {"samples.csv": text + "\n"}, analysis=analysis)
    assert "'src' is empty in 1 of 3" in found(study, "note")["analysis.covariates"][0]


def test_counting_proto_objects_unasked_is_noted(tmp_path: Path) -> None:
    assert "counts proto-objects" in found(whole(tmp_path), "note")["object_count"][0]
    asked = whole(tmp_path, object_count={"from": "proto"})
    assert "object_count" not in found(asked, "note")


def test_finding_is_plain() -> None:
    assert Finding("ok", "what", "where").remedy == ""
