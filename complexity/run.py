"""One run over images: what is known of them already, what is left, and where it is measured."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from complexity.errors import InputError, listing
from complexity.files import sha256_bytes, sha256_file
from complexity.ledger import Ledger
from complexity.one_image import Task
from complexity.parts import GROUP, partial_folder, publish, whole_parts, write_part
from complexity.registry import Function
from complexity.rows import Row, error_text
from complexity.sources import ImageItem, ImageSource
from complexity.workers import TIMEOUT, cores, measure_apart, measure_here, sendable

if TYPE_CHECKING:
    from tqdm import tqdm

#: Fewer images than this are measured in the calling process: new ones take a second to start.
FEW = 32
# A chunk is what a worker gets at a time and what an interruption can lose.
_CHUNK_IMAGES = 64
_CHUNK_BYTES = 16_000_000
_SHOWN = 5


@dataclass(frozen=True)
class How:
    """Where images are measured: see `measure`."""

    workers: int | None
    timeout: float | None
    dask: str | None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(
                f"workers is {self.workers}; give 1 or more, or leave it out for all cores."
            )
        if self.timeout is not None and not (0 < self.timeout < math.inf):
            raise InputError(f"timeout is {self.timeout}; give the seconds one image may take.")


class Run:
    """One call of `measure`: a source, what is known of it, and the rows so far.

    Parameters
    ----------
    images : ImageSource
        The images.
    about : mapping
        What the numbers rest on; see `complexity.rows.to_table`.
    functions : mapping of str to callable
        The metrics to compute, by name.
    only : collection of str or None
        Image ids to measure.
    how : How
        Where.
    target : Path or None
        The file to write.
    dataset : str or None
        Name of the data set.
    finishing : callable
        What is still to be done to every row of the table, in place.

    Raises
    ------
    InputError
        `only` names no image of the source.
    """

    def __init__(
        self,
        images: ImageSource,
        about: Mapping[str, Any],
        functions: Mapping[str, Function],
        *,
        only: Collection[str] | None,
        how: How,
        target: Path | None,
        dataset: str | None,
        finishing: Callable[[Row], None],
    ) -> None:
        self._images, self._functions, self._finishing = images, functions, finishing
        self._only, self._n = _wanted(images, only)
        self.about = about
        self._dataset, self._how, self._target = dataset, how, target
        self.computed = 0
        self.written = 0
        self.failed = 0
        self.examples: list[tuple[str, str]] = []

    def __enter__(self) -> Run:
        with ExitStack() as stack:
            self._partial = (
                None if self._target is None else stack.enter_context(partial_folder(self._target))
            )
            self._ledger = stack.enter_context(closing(Ledger(self.about)))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    @property
    def reused(self) -> int:
        """Images of which nothing was computed."""
        return self._n - self.computed

    def measure(self) -> None:
        """See that every image has its row in the ledger."""
        if self._target is not None and self._partial is not None:
            for path in (self._target, *whole_parts(self._partial)):
                self._ledger.add_known(path)
        bar = _progress("measure", self._n)
        # Closed at once when interrupted: that is what ends the worker processes.
        with bar, closing(self._computed(bar.update)) as chunks:
            for chunk in chunks:
                fresh = [row for row in chunk if not row.unchanged]
                if fresh and self._partial is not None:
                    write_part(self._partial, fresh, self.about)
                self._ledger.finish(map(self._ledger.completed, chunk))
                self.computed += len(fresh)
                bar.update(len(chunk))
        if self._ledger.n_finished() < self._n:
            gone = (i for i in self._images.ids() if self._only is None or i in self._only)
            error = "the source no longer has it"
            self._ledger.finish(
                [Row(i, error=error) for i in gone if not self._ledger.is_finished(i)]
            )

    def rows(self) -> Generator[list[Row]]:
        """Yield the rows of the table in order, in batches."""
        for rows in self._ledger.finished(GROUP):
            for row in rows:
                self._finishing(row)
            yield rows

    def publish(self) -> None:
        """Write the table, where there is a file to write."""
        if self._target is not None and self._partial is not None:
            batches = map(self._noted, self.rows())
            publish(batches, self.about, self._dataset, self._partial, self._target)

    def _noted(self, rows: list[Row]) -> list[Row]:
        """Count what is written."""
        self.written += len(rows)
        for row in rows:
            if row.error is not None or row.reasons:
                self.failed += 1
                if len(self.examples) < _SHOWN:
                    self.examples.append((row.image_id, error_text(row, self.about["metrics"])))
        return rows

    def _computed(self, skipped: Callable[[int], object]) -> Generator[list[Row]]:
        """Measure what is left to measure; chunks of rows in any order."""
        timeout = TIMEOUT if self._how.timeout is None else self._how.timeout
        if self._how.dask is not None:
            from complexity.dask_cluster import Work, measure_on_cluster

            described = map(self._described, self._images.described(self._only))
            work = Work.of(self._functions, self.about, timeout)
            on_cluster = measure_on_cluster(_chunks(described, _CHUNK_IMAGES), work, self._how.dask)
            with closing(on_cluster) as measured:
                yield from measured
            return
        items = self._images.items(self._only)
        suspects = self._ledger.has_suspects()
        tasks = self._tasks(items, skipped)
        first = list(islice(tasks, FEW))
        if not first:
            return
        count = self._how.workers
        if count is None:
            count = 1 if len(first) < FEW and not suspects else cores()
        apart = count > 1 or suspects or self._how.timeout is not None
        if apart and not sendable(self._functions):
            warnings.warn(
                "a metric is defined in a script, a notebook or another function, where worker "
                "processes cannot find it: measuring in this process alone. Define it in a module "
                "that can be imported.",
                RuntimeWarning,
                stacklevel=4,
            )
            apart = False
        left = len(first) if len(first) < FEW else max(FEW, self._n - self._ledger.n_known())
        size = max(1, min(_CHUNK_IMAGES, math.ceil(left / (4 * count))))
        chunks = _chunks(chain(first, tasks), size)
        if not apart:
            yield from measure_here(chunks, self._functions)
            return
        count = min(count, math.ceil(left / size))
        with closing(measure_apart(chunks, self._functions, count, timeout)) as measured:
            yield from measured

    def _missing(self, row: Row) -> tuple[str, ...]:
        """Metrics to compute, given a row that is known."""
        if row.error is not None:
            return ()
        return tuple(n for n in self._functions if n not in row.values and n not in row.reasons)

    def _tasks(
        self, items: Iterable[ImageItem], skipped: Callable[[int], object]
    ) -> Iterator[Task]:
        """Compare images with what is known of them; finish the rows that need nothing."""
        names = tuple(self._functions)
        with ThreadPoolExecutor(min(8, cores())) as threads:
            for batch in _batches(items):
                known = self._ledger.known([item.image_id for item in batch])
                hashed = [item for item in batch if item.image_id in known]
                sums = dict(
                    zip((i.image_id for i in hashed), threads.map(_sha256, hashed), strict=True)
                )
                whole: list[Row] = []
                for item in batch:
                    row = known.get(item.image_id, {}).get(sums.get(item.image_id, ""))
                    if row is None:
                        yield Task(item, names)
                    elif missing := self._missing(row):
                        yield Task(item, missing, row.sha256)
                    else:
                        whole.append(row)
                self._ledger.finish(whole)
                skipped(len(whole))

    def _described(self, item: ImageItem) -> Task:
        """Make the task of an image that is read, and compared, elsewhere."""
        for row in self._ledger.known([item.image_id]).get(item.image_id, {}).values():
            return Task(item, self._missing(row), row.sha256)
        return Task(item, tuple(self._functions))


def _wanted(images: ImageSource, only: Collection[str] | None) -> tuple[frozenset[str] | None, int]:
    """Say which images are wanted, None for all, and how many they are."""
    if only is None:
        return None, images.count()
    ids = images.ids()
    wanted = frozenset(only)
    matched = wanted.intersection(ids)
    if wanted and not matched:
        raise InputError(
            f"none of the {len(wanted):,} images asked for is in {images.label}: asked for "
            f"{listing(sorted(map(repr, wanted)), shown=3)}, it has "
            f"{listing(map(repr, ids), shown=3)}. Image ids are paths in the source, suffix "
            "included; both must be spelled the same."
        )
    return (None if len(matched) == len(ids) else matched), len(matched)


def _sha256(item: ImageItem) -> str:
    """Hash an image's bytes; one that cannot be read gets an empty text."""
    if item.data is not None:
        return sha256_bytes(item.data)
    try:
        if item.place is not None:
            return sha256_bytes(item.read())
        return sha256_file(item.path) if item.path is not None and item.path.is_file() else ""
    except OSError:
        return ""


def _progress(what: str, images: int) -> tqdm[Any]:
    from tqdm import tqdm

    # disable=None: a bar for a terminal, nothing in a log.
    return tqdm(total=images, desc=what, unit="image", disable=None, file=sys.stderr)


def _batches(items: Iterable[ImageItem]) -> Iterator[list[ImageItem]]:
    """Part images into batches that are few and small enough to be held."""
    batch: list[ImageItem] = []
    held = 0
    for item in items:
        batch.append(item)
        held += item.weight
        if len(batch) >= _CHUNK_IMAGES or held >= _CHUNK_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _chunks(tasks: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """Part tasks into chunks for a worker."""
    chunk: list[Task] = []
    held = 0
    for task in tasks:
        chunk.append(task)
        held += task.item.weight
        if len(chunk) >= size or held >= _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk
