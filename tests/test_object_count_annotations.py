from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from tiny_study import json_lines, tiny, write_study
from typer.testing import CliRunner

import analysis.json_stream
from analysis.checking import inspect
from analysis.cli import app
from analysis.counts import annotated, clevr, coco, nlvr
from analysis.counts.matching import Counted, match
from analysis.datasets import read_samples
from analysis.json_stream import elements
from analysis.manifest import load_study
from complexity.errors import InputError

COCO: dict[str, Any] = {
    "info": {"year": 2017},
    "licenses": [{"id": 1}],
    "images": [
        {"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 426},
        {"id": 285, "file_name": "000000000285.jpg"},
        {"id": 632, "file_name": "000000000632.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 139, "category_id": 64, "iscrowd": 0, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 139, "category_id": 72, "iscrowd": 0, "segmentation": [[1.5, 2]]},
        {"id": 3, "image_id": 632, "category_id": 1, "iscrowd": 0},
        {"id": 4, "image_id": 632, "category_id": 1, "iscrowd": 1, "segmentation": {"size": [1]}},
    ],
    "categories": [{"id": 1, "name": "person"}],
}
CLEVR: dict[str, Any] = {
    "info": {"split": "val"},
    "scenes": [
        {"image_filename": "CLEVR_val_000000.png", "image_index": 0, "objects": [{}, {}, {}]},
        {"image_filename": "CLEVR_val_000001.png", "image_index": 1, "objects": []},
    ],
}
NLVR = {
    "identifier": "12-3",
    "sentence": "there is a box",
    "label": "true",
    "directory": "9",
    "structured_rep": [[{}, {}], [], [{}]],
}


def saved(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_coco_counts_instances_and_knows_empty_from_absent(tmp_path: Path) -> None:
    found = coco.read(saved(tmp_path, "i.json", COCO))
    # The crowd is one object; image 285 is listed without any.
    assert found.counts == {"000000000139.jpg": 2, "000000000285.jpg": 0, "000000000632.jpg": 2}
    assert found.crowds == {"000000000632.jpg"}
    without = coco.read(tmp_path / "i.json", "none")
    assert without.counts["000000000632.jpg"] == 1
    assert without.crowds == found.crowds


def test_coco_in_another_order_and_without_names(tmp_path: Path) -> None:
    swapped = dict(reversed(COCO.items()))
    assert list(swapped)[1] == "annotations"
    assert coco.read(saved(tmp_path, "a.json", swapped)) == coco.read(
        saved(tmp_path, "b.json", COCO)
    )
    bare = COCO | {"images": [{"id": item["id"]} for item in COCO["images"]]}  # as LVIS has it
    found = match(coco.read(saved(tmp_path, "c.json", bare)), ["train/000000000139.jpg"], "c")
    assert found.counts == {"train/000000000139.jpg": 2}


@pytest.mark.parametrize(
    "image",
    [
        "000000000139.jpg",
        "val2017/000000000139.jpg",
        "val2017/000000000139.png",
        "shard-00/000000000139",
        "COCO_val2014_000000000139.jpg",
        "val2014/COCO_val2014_000000000139.jpg",
        "139",
        "139.jpg",
    ],
)
def test_coco_images_are_found_by_name_stem_or_number(tmp_path: Path, image: str) -> None:
    found = match(coco.read(saved(tmp_path, "i.json", COCO)), [image, "other.jpg"], "i.json")
    assert found.counts == {image: 2}


def test_numbers_that_are_not_the_names_are_not_used() -> None:
    # Entry 1 is file 7: an image named 1 is another one.
    counted = Counted({"000007.jpg": 4, "b.jpg": 1}, {1: "000007.jpg", 2: "b.jpg"})
    assert match(counted, ["1.jpg", "7.jpg", "b.jpg"], "x").counts == {"b.jpg": 1}


def test_a_name_in_two_folders_needs_its_folder() -> None:
    counted = Counted({"train/1.png": 1, "val/1.png": 2})
    assert match(counted, ["val/1.png", "test/1.png"], "x").counts == {"val/1.png": 2}


def test_two_images_that_are_one_entry_are_refused() -> None:
    with pytest.raises(InputError, match=r"'1\.png' is both 'a/1.png' and 'b/1.png'"):
        match(Counted({"1.png": 1}), ["a/1.png", "b/1.png"], "x")


def test_a_file_of_another_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"none of the 1 images is in it.*'a.png'.*'b.png'"):
        match(Counted({"a.png": 1}), ["b.png"], "x")


def _changed(**keys: Any) -> dict[str, Any]:
    return {k: v for k, v in (COCO | keys).items() if v is not None}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_changed(images=None), "has no list 'images'"),
        (_changed(annotations=None, images=None), "no list 'images' and 'annotations'"),
        (_changed(images={"1": {}}), "'images' is not a list"),
        (_changed(images=[{"file_name": "a.jpg"}]), "'images' has an entry without 'id'"),
        (_changed(images=[{"id": "7"}]), "'images' has '7' as 'id', a whole number"),
        (_changed(images=[3]), "'images' holds 3, which is not a mapping"),
        (_changed(images=[{"id": 139}, {"id": 139}]), "'images' has image 139 twice"),
        (_changed(images=[{"id": 139, "file_name": 5}]), "has file_name 5 for image 139"),
        (
            _changed(images=[{"id": 139, "file_name": "a"}, {"id": 632, "file_name": "a"}]),
            "'images' has file_name 'a' twice",
        ),
        (_changed(annotations=[{"image_id": 9}]), "image_id 9, which 'images' does not list"),
        (_changed(annotations=[{"id": 1}]), "'annotations' has an entry without 'image_id'"),
        (_changed(annotations=[{"image_id": 139, "iscrowd": "no"}]), "iscrowd 'no'"),
        ([1, 2], "not a JSON object with the lists"),
        ("", "not a JSON object with the lists"),
        (json.dumps(COCO)[:-40], "damaged or cut off"),
        (json.dumps(COCO).replace("632, ", "632; "), "damaged or cut off"),
    ],
)  # fmt: skip
def test_coco_of_a_wrong_layout_is_refused(tmp_path: Path, content: object, expected: str) -> None:
    path = saved(tmp_path, "instances.json", content)
    with pytest.raises(InputError) as error:
        coco.read(path)
    assert expected in str(error.value)
    assert str(path) in str(error.value)


def test_clevr_counts_objects(tmp_path: Path) -> None:
    counted = clevr.read(saved(tmp_path, "s.json", CLEVR))
    found = match(counted, ["val/CLEVR_val_000000.png", "val/CLEVR_val_000001.png"], "s.json")
    assert list(found.counts.values()) == [3, 0]


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ({"objects": []}, "scene 3 has no text 'image_filename'"),
        (7, "scene 3 has no text 'image_filename'"),
        ({"image_filename": "x.png"}, "scene 3 (x.png) has no list 'objects'"),
        (
            {"image_filename": "CLEVR_val_000000.png", "objects": []},
            "scene 3: 'CLEVR_val_000000.png' was there before, with 3 objects instead of 0",
        ),
    ],
)
def test_clevr_of_a_wrong_layout_is_refused(tmp_path: Path, scene: Any, expected: str) -> None:
    path = saved(tmp_path, "s.json", {"scenes": [*CLEVR["scenes"], scene]})
    with pytest.raises(InputError) as error:
        clevr.read(path)
    assert expected in str(error.value)
    with pytest.raises(InputError, match="has no list 'scenes'"):
        clevr.read(saved(tmp_path, "i.json", COCO))


def test_nlvr_counts_items_for_each_order_of_the_boxes(tmp_path: Path) -> None:
    counted = nlvr.read(saved(tmp_path, "dev.json", json_lines([NLVR])))
    images = ["images/9/dev-12-3-0.png", "9/dev-12-3-5.png"]
    assert match(counted, images, "dev.json").counts == dict.fromkeys(images, 3.0)
    with pytest.raises(InputError, match="row 1 lacks structured_rep"):
        nlvr.read(saved(tmp_path, "bad.json", json_lines([NLVR | {"structured_rep": None}])))


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_streamed_elements_are_those_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(analysis.json_stream, "_CHUNK", chunk)
    content = {
        "a": [1, 23, -4.5e3, 'x\\"]', "é\u2028", None, True, [], {}, {"b": [{"c": "}"}]}],
        "skipped": [1, [2]],
        "text": "[not a list]",
        "number": 1234,
        "b": [],
        "last": {"a": [99]},
    }
    for indent in (None, 2):
        path = saved(tmp_path, "x.json", json.dumps(content, indent=indent, ensure_ascii=False))
        assert [v for _, v in elements(path, ("a", "b"))] == content["a"]
    path.write_text("\ufeff {}  ", "utf-8")
    assert list(elements(path, ())) == []


def test_only_a_part_of_the_file_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis.json_stream, "_CHUNK", 1000)
    held = []
    more = analysis.json_stream._Reader._more

    def watched(self: Any) -> None:
        more(self)
        held.append(len(self._text))

    monkeypatch.setattr(analysis.json_stream._Reader, "_more", watched)
    path = saved(tmp_path, "x.json", {"a": [{"n": [i] * 20} for i in range(5000)], "z": "q" * 3000})
    assert len(list(elements(path, ("a",)))) == 5000
    assert max(held) < 10_000 < path.stat().st_size


def test_damage_in_the_middle_is_found_without_reading_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis.json_stream, "_CHUNK", 1000)
    monkeypatch.setattr(analysis.json_stream, "_FAR", 100)
    rows = ", ".join(["[1, 2]"] * 5000)
    path = saved(tmp_path, "x.json", '{"a": [[1 2], ' + rows + "]}")
    with pytest.raises(InputError, match="damaged or cut off"):
        list(elements(path, ("a",)))
    path.write_bytes(b'{"a": ["\xff"]}')
    with pytest.raises(InputError, match="UTF-8"):
        list(elements(path, ("a",)))
    with pytest.raises(InputError, match="cannot be read"):
        list(elements(tmp_path / "none.json", ("a",)))


SAMPLES = """\
sample_id,image_id,question,answers
1,000000000139.png,how many?,2
2,000000000285.png,how many?,0
3,000000000632.png,how many?,2
4,000000000999.png,how many?,5
"""


def a_study(folder: Path, files: Mapping[str, object], **count: Any) -> Path:
    pictures = {}
    for i, name in enumerate(("139", "285", "632", "999")):
        picture = np.zeros((24, 24 + i, 3), dtype=np.uint8)
        picture[4:9, 4 : 9 + i] = 255
        encoded = cv2.imencode(".png", picture)[1].tobytes()
        pictures[f"images/{name:0>12}.png"] = encoded
    texts = {name: json.dumps(content) for name, content in files.items()}
    return write_study(
        folder,
        {"samples.csv": SAMPLES, **pictures, **texts},
        results=None,
        latency=None,
        object_count={"from": "annotations", **count},
        analysis={
            "primary": {"metric": "edge_density"},
            "metrics": ["edge_density", "object_count"],
        },
    )


def measured(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).set_index("image_id")


def test_a_run_takes_counts_from_coco(tmp_path: Path) -> None:
    manifest = a_study(tmp_path / "s", {"i.json": COCO}, path="i.json", format="coco")
    runner = CliRunner()
    told = runner.invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
    assert told.exit_code == 0, told.output
    table = measured(tmp_path / "run" / "complexity.parquet")
    assert table["object_count"].fillna(-1).tolist() == [2, 0, 2, -1]
    assert table["object_count_source"].fillna("").tolist() == ["annotations"] * 3 + [""]
    assert table["error"].iloc[3] == "object_count: no annotation for this image"
    assert table["error"].iloc[:3].isna().all()

    # Other annotations are other counts.
    more = {**COCO, "annotations": [*COCO["annotations"], {"id": 9, "image_id": 285}]}
    saved(manifest.parent, "i.json", more)
    told = runner.invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
    assert told.exit_code == 0, told.output
    assert measured(tmp_path / "run" / "complexity.parquet")["object_count"].iloc[1] == 1

    out = tmp_path / "c.parquet"
    told = runner.invoke(app, ["measure", str(manifest), "-o", str(out)])
    assert told.exit_code == 0, told.output
    assert measured(out)["object_count"].fillna(-1).tolist() == [2, 1, 2, -1]


def test_check_tells_empty_images_from_those_not_annotated(tmp_path: Path) -> None:
    manifest = a_study(tmp_path, {"i.json": COCO}, path="i.json", format="coco")
    told = CliRunner().invoke(app, ["check", str(manifest)])
    assert told.exit_code == 0, told.output
    assert (
        "3 of 4 images are in the file, with 0 to 2 objects; 1 of them without any" in told.output
    )
    assert "1 image not in the file, so without a count: 000000000999.png" in told.output
    assert "images with a crowd, outlined as a whole: 1;" in told.output


def test_several_files_are_one_and_must_agree(tmp_path: Path) -> None:
    other = {"images": [{"id": 999, "file_name": "000000000999.jpg"}], "annotations": []}
    files: dict[str, object] = {"i_1.json": COCO, "i_2.json": other}
    manifest = a_study(tmp_path, files, path="i_*.json", format="coco")
    study = load_study(manifest)
    found = annotated(study, read_samples(study))
    assert found is not None
    assert sorted(found.counts.values()) == [0, 0, 2, 2]
    report = found.report(read_samples(study)["image_id"])
    assert report == {
        "images": 4,
        "counted": 4,
        "without_objects": 2,
        "with_crowd": 1,
        "not_annotated": 0,
        "not_annotated_first": [],
    }
    saved(tmp_path, "i_3.json", {"images": [{"id": 7}], "annotations": []})  # of another split
    again = annotated(study, read_samples(study))
    assert again == found
    other["images"].append({"id": 139, "file_name": "000000000139.jpg"})
    saved(tmp_path, "i_2.json", other)
    with pytest.raises(InputError, match=r"different counts for one image: 000000000139.png \(2"):
        annotated(study, read_samples(study))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ({"from": "annotations", "path": "i.json"}, "path and format go together"),
        ({"from": "annotations", "column": "n", "path": "i", "format": "coco"}, "not both"),
        ({"from": "annotations", "path": "i", "format": "cocoo"}, "(did you mean 'coco'?)"),
        ({"from": "annotations", "path": "i", "format": "clevr", "crowd": "one"}, "format: coco"),
        ({"from": "annotations", "column": "n", "score": 0.5}, "goes with from: detector only"),
        ({"from": "proto", "path": "i", "format": "coco"}, "goes with from: annotations only"),
        ({"from": "detector"}, "needs 'model'"),
        ({"from": "detector", "model": "m.onnx", "score": 1.5}, "less than or equal to 1"),
        ({"from": "detector", "model": "m.onnx", "style": "yolo8"}, "(did you mean 'yolov8'?)"),
        ({"from": "detector", "model": "m.onnx", "pixels": "bytes"}, "(did you mean 'byte'?)"),
        ({"from": "detector", "model": "m.onnx", "column": "n"}, "from: annotations only"),
    ],
)
def test_keys_of_the_manifest(tmp_path: Path, count: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as error:
        tiny(tmp_path, object_count=count)
    assert expected in str(error.value)
    assert "object_count" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    manifest = a_study(tmp_path, {"instances.json": COCO}, path="instance.json", format="coco")
    told = CliRunner().invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
    assert told.exit_code == 1
    said = [item for item in inspect(load_study(manifest)) if item.where.startswith("object_count")]
    assert said and said[0].level in ("wrong", "missing")
