"""The manifest's `object_count`: annotations, a detector, or the image itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from analysis.manifest_block import Block, Items, Text, one_of, problem
from complexity.detector_input import PIXELS
from complexity.detector_styles import STYLES

Share = Annotated[float, Field(ge=0, le=1)]

_OWN = {
    "annotations": ("column", "path", "format", "crowd"),
    "detector": ("model", "score", "nms", "size", "style", "pixels", "classes"),
    "proto": (),
}


class ObjectCount(Block):
    """Where the metric object_count comes from."""

    source: Literal["annotations", "detector", "proto"] = Field(
        alias="from",
        description="annotations: a column of samples, or a file; detector: an ONNX model; proto: "
        "counted in the image",
    )
    column: Text | None = Field(None, description="annotations: a column of samples")
    path: Text | None = Field(
        None, description="annotations: file or glob, relative to data_root, instead of a column"
    )
    format: str | None = Field(
        None, description="annotations: layout of the file: coco, clevr, nlvr"
    )
    crowd: Literal["one", "none"] | None = Field(
        None, description="coco: whether a crowd region counts as one object (default) or not"
    )
    model: Text | None = Field(None, description="detector: ONNX file, relative to data_root")
    score: Share | None = Field(None, description="detector: least score; 0.25 by default")
    nms: Share | None = Field(
        None,
        description="detector: overlap (intersection over union) above which two boxes of a class "
        "are one object; by default 0.45 for yolov5 and yolov8, none for the others",
    )
    size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="detector: side of the input in pixels where the model leaves it open"
    )
    style: str | None = Field(
        None,
        description=f"detector: what its outputs are, if shapes leave it open: {', '.join(STYLES)}",
    )
    pixels: str | None = Field(
        None, description=f"detector: range of its input: {', '.join(PIXELS)}"
    )
    classes: Items[Annotated[int, Field(ge=0)] | Text] | None = Field(
        None, description="detector: classes that count, by number or name; all by default"
    )

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        from analysis.counts import READERS

        return None if value is None else one_of(value, tuple(READERS), "format of annotations")

    @field_validator("style")
    @classmethod
    def _known_style(cls, value: str | None) -> str | None:
        return None if value is None else one_of(value, tuple(STYLES), "style of detector")

    @field_validator("pixels")
    @classmethod
    def _known_pixels(cls, value: str | None) -> str | None:
        return None if value is None else one_of(value, PIXELS, "range of pixels")

    @model_validator(mode="after")
    def _keys_of_the_source(self) -> ObjectCount:
        for source, keys in _OWN.items():
            for key in keys:
                if source != self.source and getattr(self, key) is not None:
                    raise problem(f"goes with from: {source} only; remove it or change 'from'", key)
        if self.source == "annotations":
            self._column_or_file()
        if self.source == "detector" and self.model is None:
            raise problem("from: detector needs 'model', the ONNX file")
        return self

    def _column_or_file(self) -> None:
        if self.column is None and self.path is None:
            raise problem(
                "from: annotations needs 'column', the column of samples with the count, or "
                "'path' and 'format', a file of annotations"
            )
        if self.column is not None and self.path is not None:
            raise problem("give column or path, not both", "path")
        if (self.path is None) != (self.format is None):
            raise problem("path and format go together; give both, or a column")
        if self.crowd is not None and self.format != "coco":
            raise problem("goes with format: coco only; remove it", "crowd")
