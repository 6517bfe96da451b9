from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx_graphs
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import FLOAT, INT64, SIDE, UINT8, Graph, detector, disks
from tiny_study import write_study
from typer.testing import CliRunner

import complexity
from analysis.checking import inspect
from analysis.cli import app
from analysis.joining import join
from analysis.manifest import load_study
from complexity.detector import open_detector
from complexity.detector_input import choose_size, letterbox, read_input
from complexity.detector_nms import overlap, suppress
from complexity.detector_styles import NotScores, decode, recognise
from complexity.errors import InputError
from complexity.image import prepare_array

STYLES = ("yolov5", "yolov8", "end-to-end", "detr", "rt-detr", "scored")
CELLS = {(0, 0): "white", (2, 3): "red", (7, 7): "white", (5, 1): "red", (5, 2): "red"}


def usual_pixels(style: str) -> str:
    return "imagenet" if style == "detr" else "unit"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0, 1, 5 and 13 disks, the last two in a wide and a tall picture.

    All of twice the size at which the detectors see them: the way there is part of the test.
    """
    folder = tmp_path_factory.mktemp("disks")
    wide = {(2, 3): "red", (5, 1): "white", (5, 2): "white", (3, 0): "red", (4, 7): "white"}
    tall = {(row, column): "red" for row in range(0, 8, 2) for column in (2, 4, 5)}
    pictures = {
        "none": disks({}),
        "one": disks({(4, 4): "white"}),
        "wide": disks(wide)[16:48],
        "tall": disks(tall | {(1, 3): "white"})[:, 16:48],
    }
    for name, rgb in pictures.items():
        large = cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{name}.png"), large[..., ::-1])
    return folder


COUNTS = {"none.png": 0, "one.png": 1, "tall.png": 13, "wide.png": 5}


def model_of(folder: Path, style: str) -> Path:
    return detector(folder / f"{style}.onnx", style, pixels=usual_pixels(style))


def measured(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).set_index("image_id")


@pytest.mark.parametrize("style", STYLES)
def test_each_style_is_recognised_and_counts(tmp_path: Path, style: str) -> None:
    model = model_of(tmp_path, style)
    found = open_detector(model)
    assert found.style == style
    assert found.size == (SIDE, SIDE)
    assert found.pixels == usual_pixels(style)
    assert found.nms == (0.45 if style.startswith("yolo") else None)
    picture = prepare_array(disks(CELLS))
    assert found(picture) == 5
    assert found(prepare_array(disks({}))) == 0
    boxes = found.detect(picture)
    corners = {(int(y) // 8, int(x) // 8) for x, y in boxes.boxes[:, :2].round()}
    assert corners == set(CELLS)
    assert sorted(boxes.classes) == [0, 0, 1, 1, 1]
    least = boxes.scores.min()
    assert least > 0.8
    assert open_detector(model, score=least)(picture) == 5
    assert open_detector(model, score=np.nextafter(boxes.scores.max(), 2))(picture) == 0
    assert open_detector(model, classes=[1])(picture) == 3
    # The user's word is taken where it can be.
    assert open_detector(model, style=style) == found


@pytest.mark.parametrize("style", STYLES)
def test_measure_counts_with_a_detector(tmp_path: Path, images: Path, style: str) -> None:
    model = model_of(tmp_path, style)
    out = tmp_path / "c.parquet"
    told = CliRunner().invoke(
        app,
        ["measure", str(images), "-o", str(out), "--metrics", "object_count", "--detector",
         str(model)],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert f"detector: {style} (64 × 64 pixels" in told.output
    table = measured(out)
    assert table["object_count"].to_dict() == COUNTS
    assert len(set(table["object_count_source"])) == 1
    sha256 = complexity.open_detector(model).sha256
    assert table["object_count_source"].iloc[0].startswith(f"detector sha256={sha256[:12]} ")
    entry = complexity.read_complexity(out).attrs["optik"]["metrics"]["object_count"]
    assert entry["source"] == "detector"
    assert "onnxruntime" in complexity.read_complexity(out).attrs["optik"]
    assert entry["parameters"]["sha256"] == sha256
    assert entry["parameters"]["style"] == style
    assert str(tmp_path) not in json.dumps(entry)


def test_another_model_or_threshold_measures_again(tmp_path: Path, images: Path) -> None:
    model, out = detector(tmp_path / "m.onnx", "yolov8"), tmp_path / "c.parquet"

    def measure(**options: Any) -> pd.DataFrame:
        found = open_detector(model, **options)
        return complexity.measure(images, metrics="object_count", detector=found, out=out)

    first = measure()
    assert first.attrs["computed"] == 4
    again = measure()
    assert (again.attrs["reused"], again.attrs["computed"]) == (4, 0)
    pd.testing.assert_frame_equal(again, first)
    strict = measure(score=0.95)
    assert strict.attrs["computed"] == 4
    assert strict["object_count"].tolist() == [0, 0, 0, 0]
    assert measure().attrs["computed"] == 4
    detector(tmp_path / "m.onnx", "yolov8", score=0.8)  # other weights under the same name
    changed = measure()
    assert changed.attrs["computed"] == 4
    assert changed["object_count_source"].iloc[0] != first["object_count_source"].iloc[0]
    # Nor are proto-objects taken for detections, or the other way round.
    proto = complexity.measure(images, metrics="object_count", out=out)
    assert proto.attrs["computed"] == 4
    assert set(proto["object_count_source"]) == {"proto"}


def test_workers_count_alike(tmp_path: Path, images: Path) -> None:
    found = open_detector(detector(tmp_path / "m.onnx", "yolov5"))
    assert pickle.loads(pickle.dumps(found)) == found
    here = complexity.measure(images, metrics="object_count", detector=found, workers=1)
    apart = complexity.measure(images, metrics="object_count", detector=found, workers=2)
    pd.testing.assert_frame_equal(here, apart)
    assert apart["object_count"].tolist() == list(COUNTS.values())


def test_a_run_counts_with_the_manifests_detector(tmp_path: Path, images: Path) -> None:
    rows = "".join(f"{i},{name},how many?,1\n" for i, name in enumerate(COUNTS))
    files = {f"images/{p.name}": p.read_bytes() for p in images.iterdir()}
    files["samples.csv"] = b"sample_id,image_id,question,answers\n" + rows.encode()
    count = {"from": "detector", "model": "m.onnx", "score": 0.5, "nms": 0.3, "classes": [0, 1]}
    analysis = {
        "primary": {"metric": "object_count"},
        "metrics": ["object_count"],
        "buckets": {"edges": [2]},
    }

    def write(**other: Any) -> Path:
        return write_study(
            tmp_path / "s",
            files,
            results=None,
            latency=None,
            object_count=count | other,
            analysis=analysis,
        )

    manifest = write()
    detector(tmp_path / "s" / "m.onnx", "yolov8")

    def run() -> tuple[list[float], str, str]:
        told = CliRunner().invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
        assert told.exit_code == 0, told.output
        table = measured(tmp_path / "run" / "complexity.parquet")
        return table["object_count"].tolist(), table["object_count_source"].iloc[0], told.stderr

    counts, source, _ = run()
    assert counts == list(COUNTS.values())
    assert "score=0.5 nms=0.3 classes=0,1" in source
    assert "unchanged" in run()[2].splitlines()[0]
    found = {item.where: item.what for item in inspect(load_study(manifest))}
    assert "style yolov8 (64 × 64 pixels, unit), score from 0.5" in found["object_count"]


def test_changed_weights_are_measured_again_by_a_run(tmp_path: Path, images: Path) -> None:
    rows = "".join(f"{i},{name},how many?,1\n" for i, name in enumerate(COUNTS))
    files = {f"images/{p.name}": p.read_bytes() for p in images.iterdir()}
    files["samples.csv"] = b"sample_id,image_id,question,answers\n" + rows.encode()
    manifest = write_study(
        tmp_path / "s",
        files,
        results=None,
        latency=None,
        object_count={"from": "detector", "model": "m.onnx"},
        analysis={
            "primary": {"metric": "edge_density"},
            "metrics": ["edge_density", "object_count"],
        },
    )
    seen = []
    for score in (0.9, 0.1):
        detector(tmp_path / "s" / "m.onnx", "end-to-end", score=score)
        told = CliRunner().invoke(app, ["run", str(manifest), "-o", str(tmp_path / "run")])
        assert told.exit_code == 0, told.output
        seen.append(measured(tmp_path / "run" / "complexity.parquet")["object_count"].tolist())
    assert seen == [list(COUNTS.values()), [0, 0, 0, 0]]


def test_a_study_names_its_detector_itself(tmp_path: Path) -> None:
    manifest, model = write_study(tmp_path), detector(tmp_path / "m.onnx", "yolov8")
    told = CliRunner().invoke(
        app, ["measure", str(manifest), "-o", str(tmp_path / "c.csv"), "--detector", str(model)]
    )
    assert told.exit_code == 1
    with pytest.raises(InputError, match="annotations or from a detector"):
        found = open_detector(model)
        complexity.measure(tmp_path, object_counts={}, detector=found)


# --- inputs


@pytest.mark.parametrize(
    ("kind", "last", "pixels"),
    [
        (FLOAT, False, "byte"),
        (FLOAT, True, "unit"),
        (FLOAT, False, "imagenet"),
        (UINT8, True, "byte"),
        (UINT8, False, "byte"),
        (onnx_graphs.TensorProto.FLOAT16, False, "unit"),
    ],
)
def test_layouts_and_types_of_the_input(tmp_path: Path, kind: int, last: bool, pixels: str) -> None:
    model = detector(tmp_path / "m.onnx", "yolov8", kind=kind, last=last, pixels=pixels)
    found = open_detector(model, pixels=None if kind == UINT8 else pixels)
    assert found.pixels == pixels
    assert found(prepare_array(disks(CELLS))) == 5


def test_an_open_size_is_the_users_or_the_models(tmp_path: Path) -> None:
    shape = ("batch", 3, "height", "width")
    model = detector(tmp_path / "m.onnx", "yolov8", shape=shape)
    assert open_detector(model, size=SIDE)(prepare_array(disks(CELLS))) == 5
    # The graph's boxes are those of 64 pixels, so that it breaks at the usual 640.
    with pytest.raises(InputError, match=r"fails on a plain image of 640 × 640 pixels .*size"):
        open_detector(model)
    said = {"imgsz": f"[{SIDE}, {SIDE}]", "names": "{0: 'white disk', 1: 'red disk'}"}
    named = detector(tmp_path / "n.onnx", "yolov8", shape=shape, metadata=said)
    assert open_detector(named).size == (SIDE, SIDE)
    assert open_detector(named, classes=["red disk"])(prepare_array(disks(CELLS))) == 3
    with pytest.raises(InputError, match=r"no class 'red disc' \(did you mean 'red disk'\?\)"):
        open_detector(named, classes=["red disc"])
    with pytest.raises(InputError, match="has no class 2"):
        open_detector(named, classes=[2])
    with pytest.raises(InputError, match="does not name its classes; give 'red' by its number"):
        open_detector(model, size=SIDE, classes=["red"])
    with pytest.raises(InputError, match="no class shall count"):
        open_detector(named, classes=[])
    fixed = detector(tmp_path / "f.onnx", "yolov8")
    with pytest.raises(InputError, match="size is 32, but the model's input is fixed at 64 × 64"):
        open_detector(fixed, size=32)


def test_columns_beyond_the_named_classes_are_no_scores(tmp_path: Path) -> None:
    # As of masks or keypoints: with the list of names only its classes count.
    said = {"names": "['white']"}
    model = detector(tmp_path / "m.onnx", "yolov8", metadata=said)
    assert open_detector(model)(prepare_array(disks(CELLS))) == 2


class Said:
    def __init__(self, name: str, type: str, shape: list[Any]) -> None:
        self.name, self.type, self.shape = name, type, shape


FLOATS = "tensor(float)"


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([Said("x", FLOATS, [1, 3, 64])], "the input has 3 axes instead of 4 (x: tensor(float) "),
        ([Said("x", FLOATS, [])], "the input has 0 axes"),
        ([Said("x", FLOATS, [4, 3, 64, 64])], "is a batch of 4 images"),
        ([Said("x", FLOATS, [1, 1, 64, 64])], "no axis of the input holds three channels"),
        ([Said("x", "tensor(double)", [1, 3, 64, 64])], "the input is tensor(double)"),
        ([], "not one image input but none"),
        (
            [Said("x", FLOATS, [1, 3, None, 9]), Said("y", FLOATS, [1])],
            "not one image input but x: tensor(float) (1, 3, ?, 9); y: tensor(float) (1)",
        ),
    ],
)
def test_inputs_that_are_no_image(inputs: list[Said], expected: str) -> None:
    with pytest.raises(InputError) as error:
        read_input(inputs, "m.onnx")
    assert expected in str(error.value)
    assert str(error.value).startswith("m.onnx: ")


def test_a_graph_that_takes_no_image_is_refused(tmp_path: Path) -> None:
    graph = Graph()
    flat = graph.rename(graph.add("Relu", "image"), "o")
    for shape, expected in (((3, 64, 64), "the input has 3 axes instead of 4"), (None, "no axis")):
        wrong = [("image", FLOAT, shape or (1, 5, 64, 64))]
        model = graph.save(tmp_path / "m.onnx", wrong, [(flat, FLOAT)])
        with pytest.raises(InputError, match=expected):
            open_detector(model)


@pytest.mark.parametrize(("sides", "cells"), [((8, 8), 64), (("h", "w"), SIDE * SIDE)])
def test_a_mask_of_pixels_is_all_ones(tmp_path: Path, sides: tuple[Any, Any], cells: int) -> None:
    # As older exports of DETR take one: its sum is the graph's only source of class 0.
    graph = Graph()
    mask = graph.add("Cast", "pixel_mask", to=FLOAT)
    total = graph.add("ReduceSum", mask, graph.put([1, 2], np.int64), keepdims=1)
    same = graph.add("Cast", graph.add("Equal", total, graph.put(float(cells))), to=FLOAT)
    score = graph.add("Mul", same, graph.put(0.9))
    box = graph.put([[[8.0], [8.0], [4.0], [4.0]]])
    one = graph.add("Concat", box, score, axis=1)
    many = graph.add("Concat", *[one] * 9, axis=2)
    bright = graph.add("ReduceMean", "image", axes=[1, 2, 3], keepdims=1)
    none = graph.add("Mul", graph.add("Reshape", bright, graph.put([1, 1, 1], np.int64)),
                     graph.put(0.0))  # fmt: skip
    model = graph.save(
        tmp_path / "m.onnx",
        [("image", FLOAT, (1, 3, SIDE, SIDE)), ("pixel_mask", INT64, (1, *sides))],
        [(graph.rename(graph.add("Add", many, none), "output0"), FLOAT)],
    )
    assert open_detector(model)(prepare_array(disks({}))) == 1


def test_size_of_half_open_inputs() -> None:
    half = read_input([Said("x", FLOATS, [1, 3, 320, "w"])], "m")
    assert choose_size(half, None, None, "m") == (320, 640)
    assert choose_size(half, 320, (64, 64), "m") == (320, 320)
    assert choose_size(half, None, (64, 96), "m") == (320, 96)


def test_letterbox_keeps_the_shape() -> None:
    wide = np.full((10, 40, 3), 200, dtype=np.uint8)
    fitted = letterbox(wide, 80, 80)
    assert (fitted.left, fitted.top, fitted.scale) == (0, 30, (2.0, 2.0))
    assert (fitted.canvas[30:50] == 200).all()
    assert (fitted.canvas[:30] == 114).all() and (fitted.canvas[50:] == 114).all()
    thin = letterbox(np.zeros((1000, 1, 3), dtype=np.uint8), 10, 10)
    assert (thin.canvas == 0).any(axis=2).sum() == 10


# --- outputs


def test_no_style_is_refused_with_the_shapes(tmp_path: Path) -> None:
    graph = Graph()
    mean = graph.add("ReduceMean", "image", axes=[2, 3], keepdims=0)
    model = graph.save(
        tmp_path / "m.onnx",
        [("image", FLOAT, (1, 3, 64, 64))],
        [(graph.rename(mean, "embedding"), FLOAT)],
    )
    with pytest.raises(InputError) as error:
        open_detector(model)
    assert "the outputs fit no style of detector" in str(error.value)
    assert "It gives embedding (1, 3)." in str(error.value)
    assert "yolov8 is (1, 4 + c, n)" in str(error.value)
    with pytest.raises(InputError, match="the outputs are not those of style 'detr'"):
        open_detector(model, style="detr")
    with pytest.raises(InputError, match=r"unknown style 'yolo8' \(did you mean 'yolov8'\?\)"):
        open_detector(model, style="yolo8")


def zeros(*shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"out{i}": np.zeros(shape, dtype=np.float32) for i, shape in enumerate(shapes)}


@pytest.mark.parametrize(
    ("outputs", "named", "style"),
    [
        (zeros((1, 25200, 85)), None, "yolov5"),
        (zeros((1, 25200, 85), (1, 3, 80, 80, 85), (1, 3, 40, 40, 85)), None, "yolov5"),
        (zeros((1, 25200, 6)), None, "yolov5"),  # one class; 25,200 boxes at 640 pixels
        (zeros((1, 84, 8400)), None, "yolov8"),
        (zeros((1, 5, 8400)), None, "yolov8"),
        (zeros((1, 6, 8400)), 2, "yolov8"),
        (zeros((1, 116, 8400), (1, 32, 160, 160)), 80, "yolov8"),  # with masks
        (zeros((1, 300, 6)), 80, "end-to-end"),
        (zeros((1, 0, 6)), None, "end-to-end"),
        (zeros((1, 1, 6)), None, "end-to-end"),
        (zeros((1, 300, 80), (1, 300, 4)) | {"out0": np.full((1, 300, 80), -4.0)}, None, "rt-detr"),
        (
            {"hidden": np.zeros((1, 9, 256)), "pred_boxes": np.zeros((1, 9, 4)),
             "logits": np.concatenate([np.full((1, 9, 3), -4.0), np.ones((1, 9, 1))], axis=2)},
            None,
            "detr",
        ),
        (
            {"boxes": np.zeros((7, 4)), "labels": np.zeros(7, int), "scores": np.zeros(7)},
            None,
            "scored",
        ),
    ],
)  # fmt: skip
def test_styles_by_shape(outputs: dict[str, np.ndarray], named: int | None, style: str) -> None:
    assert recognise(outputs, (640, 640), named, None, "m") == style


@pytest.mark.parametrize(
    ("outputs", "styles"),
    [
        (zeros((1, 2000, 6)), ["yolov5", "end-to-end"]),
        (zeros((1, 5, 6)), ["yolov8", "end-to-end"]),
        (zeros((1, 300, 92), (1, 300, 4)), ["detr", "rt-detr"]),
    ],
)
def test_where_several_styles_fit_the_user_is_asked(
    outputs: dict[str, np.ndarray], styles: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        recognise(outputs, (640, 640), None, None, "m")
    assert all(style in str(error.value).split("; name one")[0] for style in styles)
    for style in styles:
        assert recognise(outputs, (640, 640), None, style, "m") == style


@pytest.mark.parametrize(
    "outputs",
    [
        zeros((1, 116, 8400), (1, 32, 160, 160)),  # masks, and no list of classes
        zeros((1, 8400, 5)),
        zeros((2, 84, 8400)),
        zeros((84, 8400)),
        zeros((1, 84, 8400), (1, 84, 2100)),
        zeros((1, 300, 4)),
        zeros((1, 300, 4), (1, 300, 4)),
        zeros((1, 300, 4), (1, 200, 80)),
        zeros((7, 4), (7,), (6,)),
        {},
    ],
)
def test_other_shapes_fit_none(outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match="fit no style"):
        recognise(outputs, (640, 640), None, None, "m")


def test_turned_outputs_are_read_where_the_style_is_named() -> None:
    table = np.zeros((1, 9, 6), dtype=np.float32)
    table[0, 0] = [10, 10, 4, 4, 0.2, 0.7]
    assert recognise({"o": table}, (64, 64), None, "yolov8", "m") == "yolov8"
    found = decode({"o": table}, "yolov8", (64, 64), None, 0.5)
    assert found.boxes.tolist() == [[8, 8, 12, 12]]
    assert found.classes.tolist() == [1]
    assert found.scores == pytest.approx([0.7])


def test_yolov5_scores_are_products_and_detr_boxes_are_shares() -> None:
    table = np.zeros((1, 9, 7), dtype=np.float32)
    table[0, 3] = [10, 10, 4, 4, 0.5, 0.2, 0.8]
    found = decode({"o": table}, "yolov5", (64, 64), None, 0.25)
    assert found.scores == pytest.approx([0.4])
    logits = np.array([[[np.log(6), np.log(3), 0.0]]])
    boxes = np.array([[[0.5, 0.5, 0.5, 0.25]]])
    found = decode({"logits": logits, "boxes": boxes}, "detr", (40, 80), None, 0.5)
    assert found.scores == pytest.approx([0.6])
    assert found.boxes.tolist() == [[20, 15, 60, 25]]
    found = decode({"logits": logits, "boxes": boxes}, "rt-detr", (40, 80), None, 0.5)
    assert found.scores == pytest.approx([6 / 7])


def test_values_that_are_no_scores_are_refused(tmp_path: Path) -> None:
    table = np.zeros((1, 6, 9), dtype=np.float32)
    for wrong in (3.0, -1.0, np.nan):
        table[0, 4, 0] = wrong
        with pytest.raises(NotScores, match=r"outside \[0, 1\]"):
            decode({"o": table}, "yolov8", (64, 64), None, 0.25)
    # Seen on the first plain image …
    graph = Graph()
    white, red = onnx_graphs.seen(graph, "image", onnx_graphs.LIMITS["unit"])
    odd = [graph.add("Add", one, graph.put(1.5)) for one in (white, red)]
    table_ = graph.add("Concat", graph.put(onnx_graphs.cell_boxes().T[None]), *odd, axis=1)
    model = graph.save(
        tmp_path / "m.onnx",
        [("image", FLOAT, (1, 3, SIDE, SIDE))],
        [(graph.rename(table_, "output0"), FLOAT)],
    )
    with pytest.raises(InputError, match=r"read as style 'yolov8', scores of the detector lie"):
        open_detector(model)
    # … or only where there is something: then that image has no count, with the reason.
    late = open_detector(detector(tmp_path / "late.onnx", "yolov8", score=1.5))
    cv2.imwrite(str(tmp_path / "a.png"), disks(CELLS))
    frame = complexity.measure(tmp_path / "a.png", metrics="object_count", detector=late)
    assert frame["object_count"].isna().all()
    assert "object_count: scores of the detector lie outside" in frame["error"].iloc[0]
    assert frame["object_count_source"].isna().all()


# --- suppression


def slow_suppress(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, limit: float
) -> list[int]:
    """The definition, pair by pair."""

    def area(box: np.ndarray) -> float:
        return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))

    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        for j in kept:
            w = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            h = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            common = max(w, 0) * max(h, 0)
            union = area(boxes[i]) + area(boxes[j]) - common
            if classes[i] == classes[j] and union > 0 and common / union > limit:
                break
        else:
            kept.append(i)
    return kept


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 40),
    limit=st.sampled_from([0.0, 0.25, 0.45, 0.5, 1.0]),
)
def test_suppression_is_its_definition(seed: int, n: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 20, (n, 2))
    boxes = np.hstack([corner, corner + rng.integers(0, 12, (n, 2))]).astype(float)
    scores = rng.integers(1, 6, n) / 5  # ties
    classes = rng.integers(0, 3, n)
    assert suppress(boxes, scores, classes, limit).tolist() == slow_suppress(
        boxes, scores, classes, limit
    )


def test_suppression_agrees_with_opencv() -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 60, (300, 2))
    size = rng.uniform(5, 30, (300, 2))
    scores = (1 + rng.permutation(300)) / 300
    ours = suppress(np.hstack([corner, corner + size]), scores, np.zeros(300, int), 0.45)
    theirs = cv2.dnn.NMSBoxes(np.hstack([corner, size]).tolist(), scores.tolist(), 0.0, 0.45)
    assert ours.tolist() == np.asarray(theirs).ravel().tolist()
    assert 10 < len(ours) < 290


def test_overlap_of_known_boxes() -> None:
    one = np.array([0.0, 0, 4, 4])
    others = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 4, 8, 8], [1, 1, 1, 1], [3, 3, 1, 1]], float)
    assert overlap(one, others).tolist() == [1, pytest.approx(1 / 3), 0, 0, 0]
    assert overlap(others[3], others[3:4]).tolist() == [0]


# --- what goes wrong


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx: the detector cannot be read"):
        open_detector(tmp_path / "none.onnx")
    whole = detector(tmp_path / "m.onnx", "yolov8").read_bytes()
    for content in (b"", b"not a model", whole[: len(whole) // 2]):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.onnx: not a model that onnxruntime .* can"):
            open_detector(tmp_path / "bad.onnx")


def test_wrong_options(tmp_path: Path) -> None:
    model = detector(tmp_path / "m.onnx", "yolov8")
    for options, expected in (
        ({"score": 1.1}, "score is 1.1"),
        ({"nms": -0.1}, "nms is -0.1"),
        ({"size": 0}, "size is 0"),
        ({"pixels": "bytes"}, "did you mean 'byte'"),
    ):
        with pytest.raises(InputError, match=expected):
            open_detector(model, **options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--detector-option", "score=.5"], "goes with --detector"),
        (["--detector", "M", "--metrics", "edge_density"], "object_count is not among the metrics"),
        (["--detector", "M", "--detector-option", "scor=.5"], "(did you mean 'score'?)"),
        (["--detector", "M", "--detector-option", "score=much"], "write score=VALUE, a number"),
        (["--detector", "M", "--detector-option", "size"], "write size=VALUE, a whole number"),
        (["--detector", "none.onnx"], "the detector cannot be read"),
    ],
)
def test_wrong_commands(tmp_path: Path, images: Path, arguments: list[str], expected: str) -> None:
    model = detector(tmp_path / "m.onnx", "yolov8")
    given = [str(model) if argument == "M" else argument for argument in arguments]
    out = tmp_path / "c.csv"
    told = CliRunner().invoke(app, ["measure", str(images), "-o", str(out), *given])
    assert told.exit_code == 1
    assert expected in told.stderr
    assert not out.exists()


def test_options_of_the_command(tmp_path: Path, images: Path) -> None:
    said = {"names": "{0: 'white', 1: 'red'}"}
    model = detector(tmp_path / "m.onnx", "yolov8", metadata=said)
    out = tmp_path / "c.csv"
    options = ["score=.5", "nms=.4", "size=64", "style=yolov8", "pixels=unit", "classes=0, red"]
    told = CliRunner().invoke(
        app,
        ["measure", str(images), "-o", str(out), "--metrics", "object_count,edge_density",
         "--detector", str(model), *(x for o in options for x in ("--detector-option", o))],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    table = complexity.read_complexity(out).set_index("image_id")
    assert table["object_count"].to_dict() == COUNTS
    assert "score=0.5 nms=0.4 classes=0,1" in table["object_count_source"].iloc[0]


def test_without_onnxruntime_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = detector(tmp_path / "absent.onnx", "yolov8", score=0.77)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        open_detector(model)


def test_onnxruntime_is_loaded_only_with_a_model() -> None:
    code = "import sys, complexity, analysis.cli, complexity.detector as d; d.Detector; "
    code += "import analysis.pipeline; print('onnxruntime' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_a_model_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    model = detector(tmp_path / "m.onnx", "yolov8", score=0.61)
    found = open_detector(model)
    detector(tmp_path / "m.onnx", "yolov8", score=0.62)
    from complexity import detector as module

    module._load.cache_clear()
    with pytest.raises(InputError, match="has changed since it was opened"):
        found(prepare_array(disks(CELLS)))


# --- sources do not mix


def test_tables_of_two_sources_are_not_joined() -> None:
    samples = pd.DataFrame(
        {"dataset": "d", "sample_id": ["1", "2"], "image_id": ["a", "b"], "question": "q"}
    )
    complexity_ = pd.DataFrame(
        {
            "dataset": "d",
            "image_id": ["a", "b"],
            "error": None,
            "object_count_source": ["proto", "annotations"],
            "object_count": [1.0, 2.0],
        }
    )
    with pytest.raises(InputError, match=r"several sources \(proto, annotations\)"):
        join("d", samples, complexity_, None, pd.DataFrame())


def test_tables_of_an_earlier_version_are_read(tmp_path: Path, images: Path) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "c.parquet"
    new = complexity.measure(images, metrics="object_count,edge_density", out=out)
    old = pq.read_table(out).drop_columns("object_count_source")
    pq.write_table(old, out)
    pd.testing.assert_frame_equal(complexity.read_complexity(out), new)
    again = complexity.measure(images, metrics="object_count,edge_density", out=out)
    assert again.attrs["reused"] == 4
    new.drop(columns="object_count_source").to_csv(tmp_path / "c.csv", index=False)
    read = complexity.read_complexity(tmp_path / "c.csv")
    assert read["object_count"].tolist() == new["object_count"].tolist()
