"""Many images to one table: in parallel, resumable, never computing anything twice."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import warnings
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from complexity import image, registry
from complexity.errors import InputError, listing
from complexity.files import plain, sha256_bytes, sha256_file, write_parquet
from complexity.registry import Metric
from complexity.rows import (
    OBJECTS,
    KnownRows,
    NotATable,
    Row,
    read_csv,
    read_parquet,
    to_frame,
    to_table,
)
from complexity.sources import ImageItem, ImageSource, open_source
from complexity.workers import Task, cores, measure_apart, measure_here, sendable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from tqdm import tqdm

    from complexity.detector import Detector

#: Fewer images than this are measured in the calling process: new ones take a second to start.
FEW = 32
# A chunk is what a worker gets at a time and what an interruption can lose.
_CHUNK_IMAGES = 64
_CHUNK_BYTES = 16_000_000


def measure(
    source: str | Path | ImageSource | Sequence[str | Path],
    *,
    metrics: str | Sequence[str] = "card",
    dataset: str | None = None,
    object_counts: Mapping[str, float] | None = None,
    detector: Detector | None = None,
    only: Collection[str] | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
) -> pd.DataFrame:
    """Measure the visual complexity of images.

    An image that cannot be read, a metric without a value on an image and an image that
    brings its worker process down each cost their own values, never the run.

    With `out`, finished images are kept beside it in ``<out>.partial/`` until the table is
    whole. A later call, after an interruption or after images, metrics or annotations have
    changed, reads every image's bytes but computes only what `out` and the kept parts lack
    for those very bytes, this image policy and each metric's version and parameters. The
    resulting file does not depend on what was reused.

    Parameters
    ----------
    source : str, Path, ImageSource or sequence of str or Path
        Folder, glob, image, Parquet file or tar shards (see `open_source`), or several, of
        which no two may have an image id in common.
    metrics : str or sequence of str
        A preset (``card``, ``lite``, ``all``), names parted by commas, or a list.
    dataset : str, optional
        Value of the column `dataset`; null when left out.
    object_counts : mapping of str to float, optional
        Number of objects by image id, from annotations. `object_count` is then taken from
        here and no proto-objects are sought.
    detector : Detector, optional
        From `complexity.open_detector`: `object_count` is then what it finds in the prepared
        image. Another model, or other thresholds, and the images are measured again.
    only : collection of str, optional
        Image ids to measure; those that the source lacks are passed over.
    workers : int, optional
        Processes. 1 measures in this process. When left out: one a core, or this process
        for fewer than 32 images. Only with worker processes does a fault that kills the
        process (not an exception) stay with its image; after one, the image is tried again in
        a worker process whatever is given here.
    out : str or Path, optional
        File to write, atomically: Parquet (``.parquet``, ``.pq``), with what the numbers rest
        on in its metadata (see `read_complexity`), or ``.csv``, from which nothing is reused.

    Returns
    -------
    DataFrame
        One row per image, in the order of ``source.ids()``: `dataset`, `image_id`, `sha256`
        (text, hexadecimal, of the file's bytes), `width`, `height` (Int64, pixels, after
        EXIF orientation), `error` (text: why the image cannot be read, then
        ``metric: reason`` for each metric without a value, parted by ``; ``), with
        `object_count` also `object_count_source` (text: ``annotations``, ``proto`` or
        ``detector …``; null without a count), then one float64 column per metric in the order
        asked for. ``attrs["optik"]`` is the file's
        metadata, ``attrs["reused"]`` counts images of which nothing was computed and
        ``attrs["computed"]`` the others.

    Raises
    ------
    InputError
        For an unknown metric, annotations and a detector at once, a source that cannot be
        opened, ids that occur twice, `only` without any image of the source, or an `out` that
        cannot be written.
    """
    chosen = registry.resolve(metrics)
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; give 1 or more, or leave it out for all cores.")
    if object_counts is not None and detector is not None:
        raise InputError("object counts come from annotations or from a detector; give one.")
    target = None if out is None else _target(out, source)
    images = _open(source)
    ids = images.ids()
    if only is not None:
        wanted = set(only)
        matched = [image_id for image_id in ids if image_id in wanted]
        if wanted and not matched:
            raise InputError(
                f"none of the {len(wanted):,} images asked for is in {images.label}: asked for "
                f"{listing(sorted(map(repr, wanted)), shown=3)}, it has "
                f"{listing(map(repr, ids), shown=3)}. Image ids are paths in the source, suffix "
                "included; both must be spelled the same."
            )
        ids = matched
    annotated = object_counts is not None
    about = _about(chosen, annotated, detector)
    functions = {m.name: m.function for m in chosen if not (annotated and m.name == OBJECTS)}
    if detector is not None and OBJECTS in functions:
        functions[OBJECTS] = detector

    partial = None if target is None else _make_partial(target)
    try:
        known = KnownRows(about, frozenset(ids))
        if target is not None and partial is not None:
            for path in (target, *sorted(partial.glob("part-*.parquet"))):
                known.add(path)
        rows, tasks = _plan(images, ids, known, functions)
        computed = len(ids) - len(rows)
        # Closed at once when interrupted: that is what ends the worker processes.
        with closing(_computed(images, tasks, functions, workers, known.crashed)) as chunks:
            for chunk in chunks:
                if partial is not None:
                    _write_part(partial, chunk, about)
                for fresh in chunk:
                    rows[fresh.image_id] = known.complete(fresh)
        ordered = [rows.get(i) or Row(i, error="the source no longer has it") for i in ids]
        if object_counts is not None and any(m.name == OBJECTS for m in chosen):
            for row in ordered:
                _annotate(row, object_counts.get(row.image_id))
        table = to_table(ordered, about, dataset)
        if target is not None and partial is not None:
            _publish(table, partial, target)
    finally:
        # After an interruption the parts stay; an empty folder would only puzzle.
        if partial is not None:
            with suppress(OSError):
                partial.rmdir()
    frame = to_frame(table)
    frame.attrs |= {"reused": len(ids) - computed, "computed": computed}
    return frame


def read_complexity(path: str | Path) -> pd.DataFrame:
    """Read a complexity table.

    Parameters
    ----------
    path : str or Path
        What `measure` wrote: Parquet or CSV.

    Returns
    -------
    DataFrame
        As `measure` returns it. ``attrs["optik"]`` says what the numbers rest on:
        ``policy`` (version of the image policy), ``metrics`` (by name: ``version``,
        ``parameters`` and ``source``: ``image``, ``detector`` or ``annotations``; the latter
        have neither version nor parameters), ``optik`` (version of the program) and, with a
        detector, ``onnxruntime`` (its version). It is empty for a CSV file.

    Raises
    ------
    InputError
        The file is absent, or no such table.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; `optik measure … -o {path}` makes one.")
    try:
        return to_frame(read_csv(path) if path.suffix.lower() == ".csv" else read_parquet(path))
    except NotATable as error:
        raise InputError(
            f"{path}: not a complexity table ({error}); write it anew with `optik measure`."
        ) from None


def _target(out: str | Path, source: object) -> Path:
    path = Path(out)
    if path.suffix.lower() not in (".parquet", ".pq", ".csv"):
        raise InputError(f"{path}: name a file that ends in .parquet or .csv to write the table.")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file to write the table.")
    inputs = [source] if isinstance(source, str | Path) else source
    for item in inputs if isinstance(inputs, Sequence) else ():
        if Path(item).resolve() == path.resolve():
            raise InputError(f"{path}: is what shall be measured; write the table elsewhere.")
    return path


def _make_partial(target: Path) -> Path:
    partial = target.with_name(target.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({partial}: {error.strerror}); name a file in a folder "
            "where you may write."
        ) from None
    return partial


@dataclass(frozen=True)
class _Joined:
    """Several sources as one."""

    parts: tuple[ImageSource, ...]

    @property
    def label(self) -> str:
        return listing(part.label for part in self.parts)

    @cached_property
    def homes(self) -> dict[str, ImageSource]:
        homes: dict[str, ImageSource] = {}
        twice: dict[str, str] = {}
        for part in self.parts:
            for image_id in part.ids():
                if image_id in homes:
                    where = f"{homes[image_id].label} and {part.label}"
                    twice.setdefault(image_id, f"'{image_id}' (in {where})")
                homes[image_id] = part
        if twice:
            raise InputError(
                f"{len(twice):,} image ids occur in more than one source: "
                f"{listing(twice.values())}; name the folder above them, so that ids tell them "
                "apart, or measure each source into a table of its own."
            )
        return homes

    def ids(self) -> list[str]:
        return sorted(self.homes)

    def items(self, only: Collection[str] | None = None) -> Iterator[ImageItem]:
        for part in self.parts:
            yield from part.items(only)

    def read(self, image_id: str) -> bytes:
        home = self.homes.get(image_id, self.parts[0])
        return home.read(image_id)

    def fingerprint(self) -> str:
        return sha256_bytes(" ".join(part.fingerprint() for part in self.parts).encode())


def _open(source: str | Path | ImageSource | Sequence[str | Path]) -> ImageSource:
    if isinstance(source, str | Path):
        return open_source(source)
    if not isinstance(source, Sequence):
        return source
    if not source:
        raise InputError("no source is named; give a folder, a glob, an image or a Parquet file.")
    parts = tuple(open_source(item) for item in source)
    return parts[0] if len(parts) == 1 else _Joined(parts)


def _about(
    metrics: Iterable[Metric], annotated: bool, detector: Detector | None = None
) -> dict[str, Any]:
    """Everything that the numbers of a table rest on; see `read_complexity`."""
    try:
        version = metadata.version("optik")
    except metadata.PackageNotFoundError:
        version = "unknown"
    entries: dict[str, object] = {}
    for item in metrics:
        if annotated and item.name == OBJECTS:
            entries[item.name] = {"version": None, "parameters": {}, "source": "annotations"}
        elif detector is not None and item.name == OBJECTS:
            entries[item.name] = detector.entry()
        else:
            entries[item.name] = {
                "version": item.version,
                "parameters": plain(item.parameters),
                "source": "image",
            }
    about = {"policy": image.POLICY_VERSION, "metrics": entries, "optik": version}
    return about if detector is None else about | {"onnxruntime": detector.runtime()}


def _plan(
    images: ImageSource, ids: Sequence[str], known: KnownRows, names: Collection[str]
) -> tuple[dict[str, Row], dict[str, Task]]:
    """Part the images into known rows and tasks, by id; `_chunks` fills in a task's item."""
    rows: dict[str, Row] = {}
    tasks = {image_id: Task(ImageItem(image_id), tuple(names)) for image_id in ids}
    for image_id, sha256 in _hashes(images, known.rows.keys()):
        row = known.rows[image_id].get(sha256)
        if row is None:
            continue
        missing = tuple(n for n in names if n not in row.values and n not in row.reasons)
        if row.error is not None or not missing:
            rows[image_id] = row
            del tasks[image_id]
        else:
            tasks[image_id] = Task(ImageItem(image_id), missing, sha256)
    return rows, tasks


def _hashes(images: ImageSource, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """Hash images' bytes; those that cannot be read get an empty text."""

    def sha256(item: ImageItem) -> str:
        if item.data is not None:
            return sha256_bytes(item.data)
        try:
            return sha256_file(item.path) if item.path is not None and item.path.is_file() else ""
        except OSError:
            return ""

    if not ids:
        return
    items = images.items(ids)
    with _progress("compare", len(ids)) as bar, ThreadPoolExecutor(min(8, cores())) as threads:
        while batch := list(islice(items, _CHUNK_IMAGES)):
            yield from zip((i.image_id for i in batch), threads.map(sha256, batch), strict=True)
            bar.update(len(batch))


def _progress(what: str, images: int) -> tqdm[Any]:
    from tqdm import tqdm

    # disable=None: a bar for a terminal, nothing in a log.
    return tqdm(total=images, desc=what, unit="image", disable=None, file=sys.stderr)


def _computed(
    images: ImageSource,
    tasks: Mapping[str, Task],
    functions: Mapping[str, registry.Function],
    workers: int | None,
    crashed: Collection[str],
) -> Generator[list[Row]]:
    """Measure what is left to measure; chunks of rows in any order."""
    if not tasks:
        return
    few = len(tasks) < FEW and not crashed
    count = workers if workers is not None else 1 if few else cores()
    apart = count > 1 or bool(crashed)
    if apart and not sendable(functions):
        warnings.warn(
            "a metric is defined in a script, a notebook or another function, where worker "
            "processes cannot find it: measuring in this process alone. Define it in a module "
            "that can be imported.",
            RuntimeWarning,
            stacklevel=3,
        )
        apart = False
    size = max(1, min(_CHUNK_IMAGES, math.ceil(len(tasks) / (4 * count))))
    chunks = _chunks(images.items(tasks.keys()), tasks, size)
    count = min(count, math.ceil(len(tasks) / size))
    measured = measure_apart(chunks, functions, count) if apart else measure_here(chunks, functions)
    with _progress("measure", len(tasks)) as bar, closing(measured):
        for rows in measured:
            yield rows
            bar.update(len(rows))


def _chunks(
    items: Iterable[ImageItem], tasks: Mapping[str, Task], size: int
) -> Iterator[list[Task]]:
    chunk: list[Task] = []
    held = 0
    for item in items:
        task = tasks[item.image_id]
        chunk.append(Task(item, task.missing, task.sha256))
        held += len(item.data or b"")
        if len(chunk) >= size or held >= _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _annotate(row: Row, count: float | None) -> None:
    if count is not None and math.isfinite(count):
        row.values[OBJECTS] = float(count)
    else:
        row.reasons[OBJECTS] = "no annotation for this image"


def _write_part(partial: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    # Named by content, so that no two runs ever write different parts under one name.
    table = to_table(rows, about)
    key = json.dumps([about, *([r.image_id, r.sha256, sorted(r.values)] for r in rows)])
    write_parquet(partial / f"part-{sha256_bytes(key.encode())[:20]}.parquet", table)


def _publish(table: pa.Table, partial: Path, target: Path) -> None:
    """Put the whole table in its place and clear the parts away."""
    # Written among the parts first: a run killed here leaves nothing beside the target.
    whole = partial / f"whole{target.suffix.lower()}"
    if whole.suffix == ".csv":
        to_frame(table).to_csv(whole, index=False, lineterminator="\n", encoding="utf-8")
        with open(whole, "rb+") as handle:
            os.fsync(handle.fileno())
    else:
        write_parquet(whole, table)
    whole.replace(target)
    shutil.rmtree(partial, ignore_errors=True)
