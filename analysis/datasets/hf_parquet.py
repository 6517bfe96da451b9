"""Data sets of the Hugging Face Hub: Parquet shards with the image in every row."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.frames import pick, plain_columns, read_frame
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

# Where lists of objects keep the text of an answer.
_INNER = ("answer", "text", "value")


def read(study: Study) -> pd.DataFrame:
    """Read shards (``data/validation-*.parquet``), columns renamed as `samples.columns` says.

    Answers may be a text, a list of texts, or a list of objects with a text under ``answer``,
    ``text`` or ``value``. A class label is a number in such files: give texts.
    `options` are a list.

    On the Hub the image is in every row, the same one once for each of its questions. `image_id`
    must be a column that is different in each row and the same as `images.id`. Rows whose images
    have the same bytes are then questions about one image: that of the first of them.
    """
    samples = study.manifest.samples
    paths = study.files(samples.path, "samples", "path")
    where = study.at("samples", "columns")
    frames = []
    for path in paths:
        plain = plain_columns(path)
        if plain is None:
            raise InputError(f"{path}: Parquet is expected; is samples.format right?")
        frames.append(
            pick(read_frame(path, columns=plain), samples.columns, path=path, where=where)
        )
    frame = pd.concat(frames, ignore_index=True)
    for name in ("answers", "options"):
        if name in frame.columns:
            frame[name] = pd.Series([_texts(item) for item in frame[name]], dtype=object)
    if "answers" in frame.columns:
        none = [
            n + 1 for n, item in enumerate(frame["answers"]) if isinstance(item, list) and not item
        ]
        if none:
            raise InputError(
                f"{paths[0]}: no answer in row {listing(none)} of {len(frame):,}; test splits are "
                f"often published without: take the validation split, or leave these rows out"
            )
    if "image_id" not in frame.columns:
        return frame
    own = frame["image_id"].astype(str)
    if own.duplicated().any():
        twice = own[own.duplicated()].unique()
        raise InputError(
            f"{paths[0]}: {len(twice):,} values of the image_id column "
            f"'{samples.columns.get('image_id', 'image_id')}' occur more than once: "
            f"{listing(twice)}; name one that is different in each row (such as the question's id) "
            f"here and in images.id: the same image in several rows is recognised by its bytes"
        )
    first: dict[bytes, str] = {}
    sums = [one for path in paths for one in _sums(path)]
    if len(sums) == len(frame):
        pairs = zip(own, sums, strict=True)
        frame["image_id"] = [name if s is None else first.setdefault(s, name) for name, s in pairs]
    return frame


def _texts(item: Any) -> Any:
    if item is None or isinstance(item, str | int):
        return [] if item is None else item
    try:
        items = list(item)
    except TypeError:
        return item
    return [_inner(one) if isinstance(one, dict) else one for one in items]


def _inner(item: dict[str, Any]) -> Any:
    return next((item[key] for key in _INNER if isinstance(item.get(key), str)), item)


def _sums(path: Path) -> list[bytes | None]:
    """Hash the image of each row; empty if there is no image column, None where it is a link."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as parquet:
        column = None
        for field in parquet.schema_arrow:
            if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
                column = field.name
            elif pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
                column = f"{field.name}.bytes"
            if column is not None:
                break
        if column is None:
            return []
        made: list[bytes | None] = []
        for batch in parquet.iter_batches(64, columns=[column], use_threads=False):
            cells = batch.column(0)
            if pa.types.is_struct(cells.type):
                cells = cells.field("bytes")
            made += [
                None if cell is None else hashlib.sha256(cell).digest()
                for cell in cells.to_pylist()
            ]
    return made
