"""What a manifest may say: one class per block, unknown keys refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from analysis.manifest_block import Block, Items, Text
from analysis.manifest_block import one_of as _one_of
from analysis.manifest_block import problem as _problem
from analysis.manifest_counts import ObjectCount
from complexity.errors import did_you_mean

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]

PHASES = ("vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms")
Phase = Literal["vision_ms", "prefill_ms", "ttft_ms", "decode_ms", "total_ms"]


class Package(Block):
    """Data inside an installed Python package."""

    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        description="import name of the package"
    )


class Rendered(Block):
    """Images that are made when they are asked for; no files."""

    rendered: Text = Field(description="what makes them, from the image ids of samples: shapes")

    @field_validator("rendered")
    @classmethod
    def _known(cls, value: str) -> str:
        from analysis.datasets.rendered import RENDERERS

        return _one_of(value, tuple(RENDERERS), "renderer")


class Images(Block):
    """Where the images are."""

    source: Text | Rendered = Field(
        description="folder, glob, image, Parquet file or tar shards, relative to data_root; "
        "{rendered: shapes} makes the images that the samples name"
    )
    id: Text | None = Field(None, description="Parquet: the column with the image ids")
    sha256: dict[str, Sha256] = Field(
        default_factory=dict,
        description="files (relative to data_root) and the SHA-256 they must have",
    )

    @model_validator(mode="after")
    def _no_column(self) -> Images:
        if self.id is not None and isinstance(self.source, Rendered):
            raise _problem("is for Parquet files; rendered images have the samples' ids", "id")
        return self


class Samples(Block):
    """Where the questions are."""

    format: str = Field(
        "table", description="reader: table, vqa-v2, gqa, clevr, … (docs/your_data.md)"
    )
    path: Text = Field(description="file (of some formats several: a glob), relative to data_root")
    annotations: Text | None = Field(
        None, description="vqa-v2: the file with the answers; gqa: scene graphs, for object counts"
    )
    image_name: Text | None = Field(
        None,
        description="how image files are called where questions have numbers only, such as "
        "COCO_val2014_{image_id:012d}.jpg",
    )
    columns: dict[str, Text] = Field(
        default_factory=dict, description="our column name: the file's"
    )

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        from analysis.datasets import READERS

        return _one_of(value, tuple(READERS), "samples format")


class Taken(Block):
    """A value taken from a column, from the file's name, or the same for all rows."""

    column: Text | None = Field(None, description="the file's column")
    file_name: Text | None = Field(
        None,
        description="regular expression searched in the file's name (with a / in it: in the whole "
        "path), with a group named so",
    )
    metadata: Text | None = Field(
        None, description="logs: what the run says under this key; dots lead inwards"
    )

    @model_validator(mode="after")
    def _just_one(self) -> Taken:
        ways = ("column", "value", "file_name", "metadata")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise _problem(
                "give just one of column, value, file_name and metadata"
                + (f", not {' and '.join(given)}" if given else "")
            )
        return self


class TakenText(Taken):
    """A text for each row."""

    value: Text | None = Field(None, description="the same for all rows of the file")


class TakenNumber(Taken):
    """A number of experts for each row."""

    value: Annotated[int, Field(ge=1)] | None = Field(
        None, description="the same for all rows of the file"
    )


def _needs_group(taken: Taken, group: str) -> Taken:
    if taken.file_name is not None:
        try:
            groups = re.compile(taken.file_name).groupindex
        except re.error as error:
            raise _problem(
                f"'{taken.file_name}' is not a regular expression ({error})", "file_name"
            ) from None
        if group not in groups:
            part = "[0-9]+" if group == "k" else "[^_]+"
            raise _problem(
                f"'{taken.file_name}' has no group named '{group}'; "
                f"mark the part to take, such as (?P<{group}>{part})",
                "file_name",
            )
    return taken


class Entry(Block):
    """What result files and latency files have in common."""

    path: Text = Field(description="file or glob, relative to data_root")
    format: str = Field(
        "table", description="reader: table, or the tool that wrote the log (docs/import.md)"
    )
    k: TakenNumber = Field(TakenNumber(column="k"), description="number of active experts")
    model: TakenText = Field(TakenText(column="model"), description="name of the model")
    columns: dict[str, Text] = Field(
        default_factory=dict, description="our column name: the file's"
    )

    @field_validator("k", "model", "device", check_fields=False)
    @classmethod
    def _group(cls, value: Taken, info: Any) -> Taken:
        return _needs_group(value, info.field_name)

    def _check_columns(self, allowed: tuple[str, ...], apart: tuple[str, ...]) -> None:
        for name in self.columns:
            if name in apart:
                raise _problem(
                    f"name this column in '{name}: {{column: …}}' instead", f"columns.{name}"
                )
            if name not in allowed:
                raise _problem(
                    f"unknown column of ours{did_you_mean(name, allowed)}; "
                    f"known: {', '.join(allowed)}",
                    f"columns.{name}",
                )


class ResultsEntry(Entry):
    """Per-k results: one file, or several of one layout."""

    metric: Text | None = Field(
        None,
        description="logs: the metric that is the score; none: score the predictions by `scorer`",
    )
    filter: Text | None = Field(None, description="lm-eval: the filter whose rows are taken")
    percent: bool = Field(False, description="logs: the scores are percent")
    match: Text = Field(
        "sample_id",
        description="logs: what their sample is in our samples: a column, or row for the place "
        "in the file, from 0",
    )
    repeats: bool = Field(
        False, description="logs: several of one model and k are true repeats, numbered in order"
    )

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        from analysis.results import RESULT_READERS

        return _one_of(value, tuple(RESULT_READERS), "results format")

    @model_validator(mode="after")
    def _known_columns(self) -> ResultsEntry:
        from analysis.schemas import RESULTS

        apart = ("k", "model")
        self._check_columns(tuple(n for n in RESULTS.names if n not in apart), apart)
        if self.format != "table":
            self._check_log_columns()
        else:
            for name in ("metric", "filter", "percent", "match", "repeats"):
                if name in self.model_fields_set:
                    raise _problem("is for logs; for a table name columns", name)
        return self

    def _check_log_columns(self) -> None:
        for name in self.columns:
            if name not in ("sample_id", "prediction"):
                raise _problem(
                    "of a log only sample_id and prediction can be named; its score is named by "
                    "'metric'",
                    f"columns.{name}",
                )


class PhaseColumns(Block):
    """Long form: one phase a row."""

    column: Text = Field(description="the file's column that names the phase")
    value: Text = Field(description="the file's column with the milliseconds")
    map: dict[str, Phase] = Field(
        description="the file's phase: ours; phases left out are counted", min_length=1
    )


class LatencyEntry(Entry):
    """Latencies: one file, or several of one layout."""

    device: TakenText = Field(TakenText(column="device"), description="what the model ran on")
    phase: PhaseColumns | None = Field(None, description="for files with one phase a row")

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        from analysis.results import LATENCY_READERS

        return _one_of(value, tuple(LATENCY_READERS), "latency format")

    @model_validator(mode="after")
    def _known_columns(self) -> LatencyEntry:
        from analysis.schemas import LATENCY

        apart = ("k", "model", "device")
        allowed = tuple(n for n in LATENCY.names if n not in apart)
        if self.phase is not None:
            allowed = tuple(n for n in allowed if n not in PHASES)
        self._check_columns(allowed, apart)
        return self


class Primary(Block):
    """The comparison declared before looking at the data."""

    metric: Text = Field(description="complexity metric")
    curve: Literal["saturated"] = Field("saturated", description="k as a factor")
    model: Text = Field("all", description="a model's name, or all: one answer per model, Holm")


class BucketRule(Block):
    """How images are grouped by complexity; for display and policies."""

    scheme: Literal["quantile", "edges", "column"] | None = Field(
        None, description="told by what is given when left out; quantile by default"
    )
    n: Annotated[int, Field(ge=2, le=100)] | None = Field(None, description="quantile: how many")
    edges: Items[float] | None = Field(
        None, description="interior cut points, rising; intervals are closed on the right"
    )
    column: Text | None = Field(None, description="a column of samples that names the bucket")
    order: Items[Text] | None = Field(None, description="column: the buckets from low to high")

    @model_validator(mode="before")
    @classmethod
    def _tell_scheme(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("scheme") is None:
            data["scheme"] = next((s for s in ("edges", "column") if data.get(s)), "quantile")
        if data["scheme"] == "quantile":
            data.setdefault("n", 3)
        return data

    @model_validator(mode="after")
    def _consistent(self) -> BucketRule:
        own = {"quantile": ("n",), "edges": ("edges",), "column": ("column", "order")}
        scheme = self.scheme or "quantile"
        for name in ("n", "edges", "column", "order"):
            if getattr(self, name) is not None and name not in own[scheme]:
                raise _problem(f"does not go with scheme: {scheme}; remove one of them", name)
        if getattr(self, own[scheme][0]) is None:
            raise _problem(f"scheme: {scheme} needs '{own[scheme][0]}'")
        if self.edges is not None:
            rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
            if not self.edges or not rising:
                raise _problem("must be one or more cut points, each above the one before", "edges")
        if self.order is not None and len(set(self.order)) < len(self.order):
            raise _problem("names a bucket twice", "order")
        return self


class LatencyChoice(Block):
    """The latency that enters the analysis table and the frontier."""

    device: Text
    phase: Phase


class Analysis(Block):
    """What is asked of the data."""

    primary: Primary = Field(description="declared before looking; part of the hash")
    metrics: Items[str] = Field(description="complexity metrics to measure", min_length=1)
    buckets: BucketRule = Field(default_factory=lambda: BucketRule.model_validate({}))
    latency: LatencyChoice | None = None
    covariates: Items[Text] = Field((), description="columns of samples to adjust for")
    margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01, description="non-inferiority margin, in accuracy"
    )

    @field_validator("metrics")
    @classmethod
    def _registered(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from complexity.registry import all_metrics

        known = tuple(metric.name for metric in all_metrics())
        for name in value:
            _one_of(name, known, "metric")
        if len(set(value)) < len(value):
            raise _problem("names a metric twice")
        return value

    @model_validator(mode="after")
    def _primary_among_metrics(self) -> Analysis:
        name = self.primary.metric
        if name not in self.metrics:
            raise _problem(
                f"primary.metric '{name}' is not among metrics"
                f"{did_you_mean(name, self.metrics)}; add it there",
            )
        return self


class About(Block):
    """What every manifest says of its study."""

    version: Literal[1] = Field(description="of the manifest's layout")
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="short name; the `dataset` of every table"
    )
    title: Text = Field(description="one line")
    license: Text = Field(description="of the data")
    citation: str | None = Field(None, description="how to cite the data")
    fetch: Text | None = Field(
        None,
        description="what to fetch, and from where; said by `optik check` while data are missing",
    )
    data_root: str | Package = Field(
        ".",
        description="folder, relative to the manifest; ${VAR} is an environment variable; "
        "{package: NAME} is an installed package's folder",
    )


class Manifest(About):
    """A study: its data and what is asked of them."""

    images: Images
    samples: Samples
    object_count: ObjectCount = Field(
        default_factory=lambda: ObjectCount.model_validate({"from": "proto"})
    )
    results: Items[ResultsEntry] = Field((), description="per-k results; may come later")
    latency: Items[LatencyEntry] = Field((), description="latencies; may come later")
    scorer: str = Field("exact", description="rule for results that carry predictions only")
    analysis: Analysis
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("scorer")
    @classmethod
    def _known_scorer(cls, value: str) -> str:
        from analysis.scoring import SCORERS

        return _one_of(value, tuple(SCORERS), "scorer")
