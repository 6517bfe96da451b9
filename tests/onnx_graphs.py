"""Detectors of a few nodes, made here, that really find disks in pixels.

An image of `SIDE` pixels is a grid of cells. A cell with a white pixel holds an object of class
0, one with a red pixel an object of class 1; the box is the cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
CELL = 8
CELLS = SIDE // CELL
N = CELLS * CELLS
# Least value of a light channel and greatest of a dark one, by range of the pixels.
LIMITS = {"unit": (0.8, 0.3), "byte": (204.0, 76.0), "imagenet": (2.0, 0.0)}
FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def disks(cells: Mapping[tuple[int, int], str]) -> NDArray[np.uint8]:
    """Draw disks of 5 pixels, ``white`` or ``red``, in cells (row, column) of a dark image."""
    image = np.full((SIDE, SIDE, 3), 20, dtype=np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for (row, column), colour in cells.items():
        y, x = row * CELL + 4, column * CELL + 4
        inside = (rows - y) ** 2 + (columns - x) ** 2 <= 6
        image[inside] = (250, 250, 250) if colour == "white" else (250, 20, 20)
    return image


class Graph:
    """Nodes and constants under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def put(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def rename(self, old: str, new: str) -> str:
        self.nodes.append(helper.make_node("Identity", [old], [new]))
        return new

    def save(
        self,
        path: Path,
        inputs: Sequence[tuple[str, int, Sequence[Any]]],
        outputs: Sequence[tuple[str, int]],
        metadata: Mapping[str, str] | None = None,
    ) -> Path:
        graph = helper.make_graph(
            self.nodes,
            "disks",
            [helper.make_tensor_value_info(n, kind, list(shape)) for n, kind, shape in inputs],
            [helper.make_tensor_value_info(n, kind, None) for n, kind in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        helper.set_model_props(model, dict(metadata or {}))
        onnx.save(model, path)
        return path


def seen(
    graph: Graph, image: str, limits: tuple[float, float], *, last: bool = False
) -> tuple[str, str]:
    """Add what finds the objects: two outputs of shape (1, 1, n), 1 where a class is, else 0."""
    if last:
        image = graph.add("Transpose", image, perm=[0, 3, 1, 2])
    image = graph.add("Cast", image, to=FLOAT)
    light, dark = graph.put(limits[0]), graph.put(limits[1])
    ends = [graph.put([i], np.int64) for i in range(3)]
    axis = graph.put([1], np.int64)
    red, green = (graph.add("Slice", image, ends[i], ends[i + 1], axis) for i in (0, 1))
    white = graph.add("Greater", green, light)
    only_red = graph.add("And", graph.add("Greater", red, light), graph.add("Less", green, dark))
    flat = graph.put([1, 1, -1], np.int64)
    found = []
    for mask in (white, only_red):
        number = graph.add("Cast", mask, to=FLOAT)
        pooled = graph.add("MaxPool", number, kernel_shape=[CELL] * 2, strides=[CELL] * 2)
        found.append(graph.add("Reshape", pooled, flat))
    return found[0], found[1]


def cell_boxes(shift: float = 0.0) -> NDArray[np.float64]:
    """Centre x, centre y, width, height of every cell in pixels, shape (n, 4)."""
    rows, columns = np.divmod(np.arange(N), CELLS)
    x, y = columns * CELL + CELL / 2 + shift, rows * CELL + CELL / 2
    return np.stack([x, y, np.full(N, CELL), np.full(N, CELL)], axis=1)


def detector(
    path: Path,
    style: str,
    *,
    pixels: str = "unit",
    last: bool = False,
    kind: int = FLOAT,
    shape: Sequence[Any] | None = None,
    score: float = 0.9,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a detector of a style; raw styles give each box twice, half a pixel apart."""
    graph = Graph()
    usual = (1, SIDE, SIDE, 3) if last else (1, 3, SIDE, SIDE)
    white, red = seen(graph, "image", LIMITS[pixels], last=last)
    inputs: list[tuple[str, int, Sequence[Any]]] = [("image", kind, shape or usual)]
    if style in ("yolov5", "yolov8"):
        scores = [graph.add("Mul", one, graph.put(score)) for one in (white, red)]
        if style == "yolov5":  # objectness 1, so that the class's score is the box's
            scores = [graph.put(np.ones((1, 1, N))), *scores]
        copies = []
        for shift in (0.0, 0.5):
            boxes = graph.put(cell_boxes(shift).T[None])
            copies.append(graph.add("Concat", boxes, *scores, axis=1))
        both = graph.add("Concat", *copies, axis=2)
        if style == "yolov5":
            both = graph.add("Transpose", both, perm=[0, 2, 1])
        return graph.save(path, inputs, [(graph.rename(both, "output0"), FLOAT)], metadata)
    either = graph.add("Mul", graph.add("Max", white, red), graph.put(score))
    centred = cell_boxes()
    corners = np.hstack([centred[:, :2] - CELL / 2, centred[:, :2] + CELL / 2])
    if style == "end-to-end":
        table = graph.add("Concat", graph.put(corners.T[None]), either, red, axis=1)
        table = graph.add("Transpose", table, perm=[0, 2, 1])
        return graph.save(path, inputs, [(graph.rename(table, "output0"), FLOAT)], metadata)
    if style == "scored":  # boxes in the units of the sizes that are fed
        inputs.append(("orig_target_sizes", INT64, (1, 2)))
        sizes = graph.add("Cast", "orig_target_sizes", to=FLOAT)
        twice = graph.add("Concat", sizes, sizes, axis=1)
        boxes = graph.add("Mul", graph.put(corners[None] / SIDE), twice)
        row = graph.put([1, -1], np.int64)
        labels = graph.add("Cast", graph.add("Reshape", red, row), to=INT64)
        names = (("labels", labels, INT64), ("boxes", boxes, FLOAT),
                 ("scores", graph.add("Reshape", either, row), FLOAT))  # fmt: skip
        outputs = [(graph.rename(found, name), what) for name, found, what in names]
        return graph.save(path, inputs, outputs, metadata)
    twelve, six = graph.put(12.0), graph.put(6.0)
    logits = [graph.add("Sub", graph.add("Mul", one, twelve), six) for one in (white, red)]
    if style == "detr":
        logits.append(graph.put(np.full((1, 1, N), 2.0)))
    stacked = graph.add("Transpose", graph.add("Concat", *logits, axis=1), perm=[0, 2, 1])
    # Computed, for an output that is a constant would be none of the image's.
    boxes = graph.add("Identity", graph.put(centred[None] / SIDE))
    outputs = [(graph.rename(stacked, "logits"), FLOAT), (graph.rename(boxes, "pred_boxes"), FLOAT)]
    return graph.save(path, inputs, outputs, metadata)
