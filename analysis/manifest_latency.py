"""What the manifest of a study of latency alone may say: no images, no questions, no scores."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from analysis.manifest_block import Block, Items, Text
from analysis.manifest_block import problem as _problem
from analysis.manifest_model import About, LatencyEntry
from complexity.errors import did_you_mean

#: A manifest with any of these is of a whole study.
APART = ("images", "samples", "results")
#: Keys of whole studies that say nothing where only latencies are, with the reason.
_REFUSED = {
    "analysis": "it asks about accuracy and the complexity of images (primary, metrics, buckets, "
    "covariates, margin)",
    "object_count": "it counts objects in images",
    "scorer": "it scores answers",
}
FLOOR_COLUMNS = ("device", "model", "k", "batch", "active_bytes", "floor_ms")


class Floors(Block):
    """The least time that a decoded token can take: its weights must be read from memory."""

    path: Text = Field(
        description="table (Parquet, CSV, JSON Lines), or JSON with a list of rows under `floors`, "
        "relative to data_root: k, floor_ms; optional device, model, batch (1), active_bytes"
    )
    columns: dict[str, Text] = Field(
        default_factory=dict, description="our column name: the file's"
    )

    @field_validator("columns")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in FLOOR_COLUMNS:
                raise _problem(
                    f"unknown column of ours{did_you_mean(name, FLOOR_COLUMNS)}; known: "
                    f"{', '.join(FLOOR_COLUMNS)}",
                    name,
                )
        return value


class LatencyManifest(About):
    """A study of latency alone."""

    latency: Items[LatencyEntry] = Field(description="the latencies", min_length=1)
    floors: Floors | None = Field(
        None, description="latencies alone: memory floor of a decoded token by k"
    )
    notes: Items[Text] = Field(
        (), description="latencies alone: what a reader must know, said with the answer"
    )
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_whole_studies(cls, data: Any) -> Any:
        for name, why in _REFUSED.items():
            if isinstance(data, dict) and name in data:
                raise _problem(
                    "makes no sense in a study of latency alone (latency without "
                    f"{', '.join(APART)}): {why}; remove it, or add images, samples and analysis "
                    "for a whole study",
                    name,
                )
        return data


def is_latency_alone(content: Any) -> bool:
    """Whether a manifest's content is that of a study of latency alone."""
    return (
        isinstance(content, dict)
        and bool(content.get("latency"))
        and not any(name in content for name in APART)
    )
