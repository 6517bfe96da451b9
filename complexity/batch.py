"""Many images to one table: in parallel, resumable, never computing anything twice."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from complexity import image, registry
from complexity.errors import InputError
from complexity.files import plain
from complexity.registry import Metric
from complexity.rows import OBJECTS, NotATable, Row, read_csv, read_parquet, to_frame, to_table
from complexity.run import How, Run
from complexity.sources import ImageSource
from complexity.sources_joined import open_sources

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from complexity.detector import Detector


@dataclass(frozen=True)
class Measured:
    """What a run of `measure_into` did.

    Attributes
    ----------
    path : Path
        The table.
    images : int
        Its rows.
    failed : int
        Those with something in `error`.
    examples : tuple of (str, str)
        Image id and error of the first five of them.
    reused, computed : int
        Images of which nothing was computed, and the others.
    """

    path: Path
    images: int
    failed: int
    examples: tuple[tuple[str, str], ...]
    reused: int
    computed: int


def measure(
    source: str | Path | ImageSource | Sequence[str | Path],
    *,
    metrics: str | Sequence[str] = "card",
    dataset: str | None = None,
    object_counts: Mapping[str, float] | None = None,
    detector: Detector | None = None,
    only: Collection[str] | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    dask: str | None = None,
    out: str | Path | None = None,
) -> pd.DataFrame:
    """Measure the visual complexity of images.

    An image that cannot be read, a metric without a value on an image and an image that hangs
    its worker process or brings it down each cost their own values, never the run.

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
    timeout : float, optional
        Seconds for one image, after which its worker process is killed and the image gets an
        error row. 60 when left out; given, it makes even few images go to a worker process,
        because nothing can be stopped in this one.
    dask : str, optional
        Address of a Dask scheduler (``tcp://host:8786``): measure on its workers instead of
        here; see `complexity.dask_cluster`. `workers` is then not used.
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
        opened, ids that occur twice, `only` without any image of the source, an `out` that
        cannot be written, worker processes or a Dask cluster that cannot be had.
    """
    how = How(workers, timeout, dask)
    with _run(source, metrics, dataset, object_counts, detector, only, how, out) as run:
        run.measure()
        tables = [to_table(rows, run.about, dataset) for rows in run.rows()]
        run.publish()
    frame = to_frame(_one_table(tables or [to_table([], run.about)]))
    frame.attrs |= {"reused": run.reused, "computed": run.computed}
    return frame


def measure_into(
    source: str | Path | ImageSource | Sequence[str | Path],
    out: str | Path,
    *,
    metrics: str | Sequence[str] = "card",
    dataset: str | None = None,
    object_counts: Mapping[str, float] | None = None,
    detector: Detector | None = None,
    only: Collection[str] | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    dask: str | None = None,
) -> Measured:
    """Measure images into a file, without ever holding the table.

    The memory taken does not grow with the images but for their ids (about 0.1 kB each): rows
    lie in parts beside `out` and in a temporary file until the table is written. Parameters,
    errors and the file are those of `measure`.

    Returns
    -------
    Measured
    """
    how = How(workers, timeout, dask)
    with _run(source, metrics, dataset, object_counts, detector, only, how, out) as run:
        run.measure()
        run.publish()
    return Measured(
        Path(out), run.written, run.failed, tuple(run.examples), run.reused, run.computed
    )


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


def _run(
    source: str | Path | ImageSource | Sequence[str | Path],
    metrics: str | Sequence[str],
    dataset: str | None,
    object_counts: Mapping[str, float] | None,
    detector: Detector | None,
    only: Collection[str] | None,
    how: How,
    out: str | Path | None,
) -> Run:
    """Check a request and make it ready; see `measure`."""
    chosen = registry.resolve(metrics)
    target = None if out is None else _target(out, source)
    if object_counts is not None and detector is not None:
        raise InputError("object counts come from annotations or from a detector; give one.")
    annotated = object_counts is not None
    functions = {m.name: m.function for m in chosen if not (annotated and m.name == OBJECTS)}
    if detector is not None and OBJECTS in functions:
        functions[OBJECTS] = detector
    counted = any(m.name == OBJECTS for m in chosen)

    def finishing(row: Row) -> None:
        if object_counts is not None and counted:
            _annotate(row, object_counts.get(row.image_id))

    return Run(
        open_sources(source),
        _about(chosen, annotated, detector),
        functions,
        only=only,
        how=how,
        target=target,
        dataset=dataset,
        finishing=finishing,
    )


def _one_table(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables)


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


def _annotate(row: Row, count: float | None) -> None:
    if count is not None and math.isfinite(count):
        row.values[OBJECTS] = float(count)
    else:
        row.reasons[OBJECTS] = "no annotation for this image"
