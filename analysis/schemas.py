"""The columns of the five tables that the stages hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "texts", "whole", "number"]
KINDS: dict[Kind, str] = {
    "text": "text",
    "texts": "list of texts",
    "whole": "whole number",
    "number": "number",
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Its name.
    kind : {"text", "texts", "whole", "number"}
        Text; lists of texts; int64 (Int64 where `nullable`); float64.
    meaning : str
        One line for a reader, with unit and range.
    needed : bool
        A table without the column is refused.
    nullable : bool
        The column may have gaps.
    blank : bool
        An empty text is a value; in other columns it is a gap.
    low, high : float or None
        Values outside [low, high] are refused. Infinities always are.
    """

    name: str
    kind: Kind
    meaning: str
    needed: bool = True
    nullable: bool = False
    blank: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table and what makes a row unique.

    Attributes
    ----------
    name : str
        Of the table.
    row : str
        What one row stands for.
    columns : tuple of Column
        In their order.
    key : tuple of str
        Columns that together are unique (those of them that the table has).
    extra : bool
        Whether further columns (covariates, metrics) are kept; otherwise they are dropped.
    repeated : str
        How to mend a key that is there twice.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    extra: bool
    repeated: str = "keep one of them"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)


_DATASET = Column("dataset", "text", "name of the data set: the manifest's `name`")
_RUN = Column("run", "text", "which evaluation run the row comes from (default: the file's stem)")
_MODEL = Column("model", "text", "name of the model or checkpoint")
_SAMPLE = Column("sample_id", "text", "the question's id, unique in the data set")
_IMAGE = Column("image_id", "text", "the image's id in the image source")
_K = Column("k", "whole", "number of active experts per token, at least 1", low=1)
_REPEAT = Column("repeat", "whole", "number of the repeat, from 0", low=0)
_REPEATED = (
    "number true repeats in a column `repeat`, tell runs apart in a column `run`, "
    "or keep one of them"
)


def _ms(name: str, meaning: str) -> Column:
    return Column(f"{name}_ms", "number", f"{meaning}, ms", nullable=True, low=0)


def _tokens(name: str, meaning: str) -> Column:
    return Column(f"n_{name}_tokens", "whole", meaning, nullable=True, low=0)


SAMPLES = TableSchema(
    "samples",
    "question about an image",
    (
        _DATASET,
        _SAMPLE,
        _IMAGE,
        Column("question", "text", "the question as the model is asked it", blank=True),
        Column("answers", "texts", "the accepted answers; a single text becomes a list of one"),
        Column("options", "texts", "the options A, B, … of multiple choice", needed=False),
        Column("question_type", "text", "kind of question", needed=False, nullable=True),
        Column("n_objects", "number", "objects in the scene", needed=False, nullable=True, low=0),
    ),
    key=("sample_id",),
    extra=True,
)
COMPLEXITY = TableSchema(
    "complexity",
    "image",
    (
        Column("dataset", "text", "name of the data set", nullable=True),
        _IMAGE,
        Column("sha256", "text", "SHA-256 of the image file's bytes", nullable=True),
        Column("width", "whole", "pixels, after EXIF orientation", nullable=True, low=1),
        Column("height", "whole", "pixels, after EXIF orientation", nullable=True, low=1),
        Column("error", "text", "why the image, or a metric of it, has no value", nullable=True),
        Column(
            "object_count_source",
            "text",
            "where object_count comes from: annotations, proto, or detector with its SHA-256 and "
            "thresholds; empty without a count",
            needed=False,
            nullable=True,
        ),
    ),
    key=("image_id",),
    extra=True,
)
RESULTS = TableSchema(
    "results",
    "run × model × sample × k × repeat",
    (
        _DATASET,
        _RUN,
        _MODEL,
        _SAMPLE,
        _K,
        _REPEAT,
        Column("score", "number", "accuracy of the answer, in [0, 1]", low=0, high=1),
        Column("prediction", "text", "model's answer", needed=False, nullable=True, blank=True),
        Column("scorer", "text", "the rule that gave the score", needed=False, nullable=True),
        Column(
            "logprob", "number", "log probability (nats) of the answer", needed=False, nullable=True
        ),
    ),
    key=("dataset", "run", "model", "sample_id", "k", "repeat"),
    extra=False,
    repeated=_REPEATED,
)
LATENCY = TableSchema(
    "latency",
    "run × model × device × k × batch × repeat × request",
    (
        _DATASET,
        _RUN,
        _MODEL,
        Column("device", "text", "what the model ran on"),
        Column("sample_id", "text", "the question's id, where one was asked", nullable=True),
        _K,
        Column("batch", "whole", "requests served together", low=1),
        _REPEAT,
        Column("request", "whole", "number of the request in its batch or session", low=0),
        _ms("vision", "vision encoder"),
        _ms("prefill", "prompt through the language model"),
        _ms("ttft", "time to first token"),
        _ms("decode", "all further tokens"),
        _ms("total", "request to last token"),
        _tokens("prompt", "prompt tokens, image tokens included"),
        _tokens("new", "generated tokens"),
        _tokens("image", "image tokens"),
        Column("dtype", "text", "number format of the weights", nullable=True),
        Column("decode_mode", "text", "how tokens were generated", nullable=True),
        Column("order", "whole", "place in the order of measurement, from 0", low=0),
    ),
    key=(
        *("dataset", "run", "model", "device", "sample_id"),
        *("k", "batch", "repeat", "request"),
    ),
    extra=False,
    repeated=_REPEATED,
)
ANALYSIS = TableSchema(
    "analysis",
    "model × sample × k",
    (
        Column("dataset", "text", "name of the data set", needed=False, nullable=True),
        _MODEL,
        _SAMPLE,
        _IMAGE,
        _K,
        Column("bucket", "text", "complexity bucket of the image", needed=False, nullable=True),
        Column("score", "number", "mean score over runs and repeats, in [0, 1]", low=0, high=1),
        Column("n_runs", "whole", "rows averaged in the score", needed=False, low=1),
        Column(
            *("latency_ms", "number"),
            "mean latency of the manifest's device and phase, ms",
            needed=False,
            nullable=True,
            low=0,
        ),
        Column("question_type", "text", "kind of question", needed=False, nullable=True),
    ),
    key=("model", "sample_id", "k"),
    extra=True,
    repeated="average repeats first: one row per model, sample and k",
)
SCHEMAS = (SAMPLES, COMPLEXITY, RESULTS, LATENCY, ANALYSIS)
