"""Rows of a complexity table: how they are stored and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Why an image has no row of numbers when its process ended over it.
CRASHED = "the process that measured it died (out of memory, or a fault in a library)"
_LATE = "took longer than "
FIXED = ("dataset", "image_id", "sha256", "width", "height", "error")
#: The metric that need not come from the image alone, and the column that says for each image
#: where its number comes from.
OBJECTS = "object_count"
SOURCE = "object_count_source"
_WHOLE = ("width", "height")
_KEY = b"optik"
# What an unexpected exception looks like in a table: its class, then its message.
_EXCEPTION = re.compile(r"\w*(?:[Ee]rror|Exception|Warning): ")


@dataclass
class Row:
    """What is known of one image.

    Attributes
    ----------
    image_id : str
    sha256 : str or None
        Of the bytes, hexadecimal; None when they could not be read.
    width, height : int or None
        Pixels, after EXIF orientation; None when the image is unreadable.
    error : str or None
        Why the image has no values at all.
    values : dict of str to float
        By metric; finite.
    reasons : dict of str to str
        By metric that has no value on this image.
    unchanged : bool
        The bytes are those for which everything is known already; nothing else is filled in.
    """

    image_id: str
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    error: str | None = None
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    unchanged: bool = False


def timed_out(seconds: float) -> str:
    """Word that an image took too long; `ended_its_process` knows it again."""
    return f"{_LATE}{seconds:g} s to measure: its process was ended (raise --timeout to wait)"


def ended_its_process(error: str | None) -> bool:
    """Tell whether an image has crashed or hung a process: not to be tried in this one."""
    return error is not None and (error == CRASHED or error.startswith(_LATE))


def one_line(text: str) -> str:
    """Make a reason fit to be one of several, parted by ``; ``, in one cell of a table."""
    text = re.sub(r"\s*;\s*", ", ", " ".join(text.split()))
    return text.encode("utf-8", "replace").decode("utf-8") or "no reason given"


def of_exception(error: Exception) -> str:
    """Word an unexpected exception; `lasting` knows it again."""
    return one_line(f"{type(error).__name__}: {str(error) or 'no message'}")


def lasting(reason: str) -> bool:
    """Tell whether the image itself is the reason.

    A mended program, a larger memory or more time may cure the others: they are tried again.
    """
    return not ended_its_process(reason) and _EXCEPTION.match(reason) is None


def parted(text: str | None, names: Iterable[str]) -> tuple[str | None, dict[str, str]]:
    """Split a row's error into the image's own and those of its metrics."""
    options = "|".join(map(re.escape, names))
    if text is None or not options:
        return text, {}
    pieces = re.split(rf"(?:^|; )({options}): ", text)
    return pieces[0] or None, dict(zip(pieces[1::2], pieces[2::2], strict=True))


def to_table(rows: Sequence[Row], about: Mapping[str, Any], dataset: str | None = None) -> pa.Table:
    """Turn rows into an Arrow table that depends on nothing but what is given.

    Parameters
    ----------
    rows : sequence of Row
        The images, in order.
    about : mapping
        ``policy``, ``metrics`` (by name, in the order of the columns) and ``optik``; stored
        in the table's metadata.
    dataset : str, optional
        Name of the data set.

    Returns
    -------
    pyarrow.Table
        Columns `dataset`, `image_id`, `sha256`, `width`, `height`, `error`, with
        `object_count` also `object_count_source` (see `count_source`), then the metrics. A null
        metric without a reason in `error` was not computed.
    """
    import pyarrow as pa

    names = list(about["metrics"])
    # Spelled out rather than taken from pandas, whose metadata vary with how a frame was made.
    schema = _schema(names).with_metadata({_KEY: json.dumps(about, ensure_ascii=False)})
    columns: list[list[Any]] = [
        [dataset] * len(rows),
        [row.image_id for row in rows],
        [row.sha256 for row in rows],
        [row.width for row in rows],
        [row.height for row in rows],
        [error_text(row, names) or None for row in rows],
        *([_sources(about, [OBJECTS in row.values for row in rows])] if OBJECTS in names else ()),
        *([row.values.get(name) for row in rows] for name in names),
    ]
    arrays = [pa.array(v, type=f.type) for v, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def error_text(row: Row, names: Iterable[str]) -> str:
    """Spell a row's cell `error`: its own, then those of its metrics; empty without any."""
    own = [] if row.error is None else [row.error]
    return "; ".join([*own, *(f"{n}: {row.reasons[n]}" for n in names if n in row.reasons)])


def count_source(entry: Mapping[str, Any]) -> str:
    """Name the source of object counts from their entry in a table's metadata.

    Parameters
    ----------
    entry : mapping
        ``source`` and ``parameters``, as `to_table` takes them.

    Returns
    -------
    str
        ``annotations``; ``proto``, counted in the image; or ``detector`` with the beginning of
        the model's SHA-256 and what decides its counts, so that two detectors, or one with two
        thresholds, are two sources.
    """
    if entry["source"] != "detector":
        return "annotations" if entry["source"] == "annotations" else "proto"
    said = dict(entry["parameters"])
    said["sha256"] = str(said["sha256"])[:12]
    return "detector " + " ".join(
        f"{name}={','.join(map(str, v)) if isinstance(v, list) else v}"
        for name, v in said.items()
        if v is not None
    )


def _sources(about: Mapping[str, Any], counted: Iterable[bool]) -> list[str | None]:
    source = count_source(about["metrics"][OBJECTS])
    return [source if there else None for there in counted]


def _schema(metrics: Iterable[str]) -> pa.Schema:
    import pyarrow as pa

    metrics = list(metrics)
    fixed = (*FIXED, SOURCE) if OBJECTS in metrics else FIXED
    types = {name: pa.int64() if name in _WHOLE else pa.string() for name in fixed}
    return pa.schema([*types.items(), *((name, pa.float64()) for name in metrics)])


def basis(table: pa.Table) -> dict[str, Any]:
    """Return what a table's numbers rest on; empty when it does not say."""
    text = (table.schema.metadata or {}).get(_KEY)
    found: dict[str, Any] = {} if text is None else json.loads(text)
    return found


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Turn a table into a frame with nullable integers and ``attrs["optik"]``."""
    import pandas as pd
    import pyarrow as pa

    frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype()}.get
    )
    frame.attrs["optik"] = basis(table)
    return frame


class NotATable(Exception):
    """The file is absent, damaged, or not a complexity table; the message says why."""


def read_parquet(path: Path) -> pa.Table:
    """Read what `to_table` made; anything else raises `NotATable`."""
    import pyarrow as pa

    return pa.concat_tables(read_batches(path, rows=1 << 30)).combine_chunks()


def read_batches(path: Path, rows: int) -> Iterator[pa.Table]:
    """Read what `to_table` made, some rows at a time; anything else raises `NotATable`.

    Yields at least one table, which may be empty.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Read as one file: as a data set, folders named a=b would become columns.
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            empty = file.schema_arrow.empty_table()
            named = basis(empty)
            if "policy" not in named or not isinstance(named.get("metrics"), dict):
                raise NotATable("it does not say what its numbers rest on")
            schema = _schema(named["metrics"]).with_metadata(empty.schema.metadata)
            yield _as(schema, empty, named)
            there = [name for name in schema.names if name in empty.column_names]
            for batch in file.iter_batches(rows, columns=there):
                yield _as(schema, pa.Table.from_batches([batch]), named)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotATable(one_line(str(error))) from None


def _as(schema: pa.Schema, table: pa.Table, named: Mapping[str, Any]) -> pa.Table:
    import pyarrow as pa

    if SOURCE in schema.names and SOURCE not in table.column_names:  # of version 0.1
        there = table.column(OBJECTS).is_valid().to_pylist()
        table = table.append_column(SOURCE, pa.array(_sources(named, there), pa.string()))
    return table.select(schema.names).cast(schema)


def read_csv(path: Path) -> pa.Table:
    """Read a complexity table from CSV; anything else raises `NotATable`."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        with open(path, encoding="utf-8") as handle:
            names = handle.readline().rstrip("\n").split(",")
        schema = _schema(name for name in names if name not in (*FIXED, SOURCE))
        if SOURCE not in names and SOURCE in schema.names:  # of version 0.1
            schema = schema.remove(schema.get_field_index(SOURCE))
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise NotATable(one_line(str(error))) from None
