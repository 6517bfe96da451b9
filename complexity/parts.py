"""Parts of a table that is being made: each whole, and marked as such, or not there.

``<out>.partial/`` holds, for every chunk of images that is done, ``part-<key>.parquet`` and then
``part-<key>.done``, its completion marker: the number of rows and the SHA-256 of the part. Both
are written under another name, brought to the disk and renamed. A part without a marker that
agrees with it is none.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from complexity.errors import InputError
from complexity.files import sha256_bytes, sha256_file, write_parquet, write_text
from complexity.rows import Row, to_frame, to_table

#: Rows to a row group of the finished table, and to a batch on the way to it.
GROUP = 1024


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """Make the folder of a table's parts; leave it only while there is something in it.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({partial}: {error.strerror}); name a file in a folder "
            "where you may write."
        ) from None
    try:
        yield partial
    finally:
        # After an interruption the parts stay; an empty folder would only puzzle.
        with suppress(OSError):
            partial.rmdir()


def write_part(partial: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Keep a chunk of rows.

    Raises
    ------
    InputError
        It cannot be written, for instance because the disk is full.
    """
    # Named by content, so that no two runs ever write different parts under one name.
    key = json.dumps([about, *([r.image_id, r.sha256, sorted(r.values)] for r in rows)])
    part = partial / f"part-{sha256_bytes(key.encode())[:20]}.parquet"
    with _writing(part):
        write_parquet(part, to_table(rows, about))
        write_text(_marker(part), f"{len(rows)} {sha256_file(part)}\n")


def whole_parts(partial: Path) -> Iterator[Path]:
    """Find the parts whose markers agree with them, sorted by name."""
    for part in sorted(partial.glob("part-*.parquet")):
        with suppress(OSError, ValueError):
            if _marker(part).read_text(encoding="utf-8").split()[1:] == [sha256_file(part)]:
                yield part


def _marker(part: Path) -> Path:
    return part.with_suffix(".done")


def publish(
    batches: Iterable[Sequence[Row]],
    about: Mapping[str, Any],
    dataset: str | None,
    partial: Path,
    target: Path,
) -> None:
    """Write the whole table, batch by batch, put it in its place and clear the parts away.

    Parameters
    ----------
    batches : iterable of sequence of Row
        In order, of `GROUP` rows each but the last.
    about : mapping
        See `complexity.rows.to_table`.
    dataset : str or None
        Name of the data set.
    partial : Path
        The folder of the parts.
    target : Path
        Where the table shall lie: Parquet, or CSV by its suffix.

    Raises
    ------
    InputError
        It cannot be written. The parts are kept.
    """
    # Written among the parts first: a run killed here leaves nothing beside the target.
    whole = partial / f"whole.{os.getpid()}{target.suffix.lower()}"
    try:
        with _writing(target):
            if whole.suffix == ".csv":
                _write_csv(batches, about, dataset, whole)
            else:
                _write_parquet(batches, about, dataset, whole)
            with open(whole, "rb+") as handle:
                os.fsync(handle.fileno())
            whole.replace(target)
    finally:
        whole.unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)


def _write_parquet(
    batches: Iterable[Sequence[Row]], about: Mapping[str, Any], dataset: str | None, path: Path
) -> None:
    import pyarrow.parquet as pq

    schema = to_table([], about).schema
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for rows in batches:
            writer.write_table(to_table(rows, about, dataset))


def _write_csv(
    batches: Iterable[Sequence[Row]], about: Mapping[str, Any], dataset: str | None, path: Path
) -> None:
    with open(path, "w", encoding="utf-8", newline="") as handle:
        to_frame(to_table([], about)).to_csv(handle, index=False, lineterminator="\n")
        for rows in batches:
            frame = to_frame(to_table(rows, about, dataset))
            frame.to_csv(handle, index=False, header=False, lineterminator="\n")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Word that something cannot be written."""
    try:
        yield
    except OSError as error:
        # Arrow's errors carry a number without always a text.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(
            f"{path}: cannot be written ({reason}). Nothing half-written is left, and the images "
            "finished so far are kept: make room and run the same command again to go on."
        ) from None
