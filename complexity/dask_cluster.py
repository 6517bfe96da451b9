"""Images measured on an existing Dask cluster.

What travels: to the workers, where images lie (paths, spans of tar shards, rows of Parquet
files; never pixels), so the files must be there under the same paths; back, finished rows. So no
folder need be shared for the output: parts and the table are written by the caller alone.

What fails: images are read, decoded and measured in child processes of the Dask workers, so one
that hangs or crashes its process, in a Parquet file or an archive as in a file of its own, does so
there; the Dask worker kills the process and goes on. A file that stalls the reading twice in a row,
or is damaged, ends the run with a message. A Dask worker that dies has its chunks measured
elsewhere by the scheduler. One that is blamed for too many deaths is split by the caller, half by
half, until the image is alone that nobody survives, and gets an error row. Without scheduler the
run ends; the same command resumes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from complexity import image, registry
from complexity.errors import InputError
from complexity.files import plain, sha256_bytes
from complexity.one_image import Task
from complexity.registry import Function
from complexity.rows import CRASHED, Row, ended_its_process
from complexity.rows import timed_out as timed_out_text
from complexity.workers import Answer, Pool, error_row, judged

if TYPE_CHECKING:
    from distributed import Client, Future

# How long a cluster may be silent, or without any worker, before the run gives up.
_PATIENCE = 60.0
_CONNECT = 15.0
# Processes that have had nothing to do for so long are let go.
_IDLE = 30.0


@dataclass(frozen=True)
class Work:
    """What a Dask worker must know beside the images.

    Attributes
    ----------
    functions : bytes
        The metrics by name, pickled: each by its module and name.
    versions : mapping
        What the numbers rest on: ``policy`` and, by metric, version and parameters.
    timeout : float
        Seconds for one image.
    """

    functions: bytes
    versions: Mapping[str, Any]
    timeout: float

    @classmethod
    def of(
        cls, functions: Mapping[str, Function], about: Mapping[str, Any], timeout: float
    ) -> Work:
        """Make it from what a run knows."""
        return cls(pickle.dumps(dict(functions)), about, timeout)


# On the workers


@dataclass
class _Kept:
    """The processes of one Dask worker."""

    work: Work
    pool: Pool
    users: int = 0
    used: float = 0.0


_kept: list[_Kept] = []
_lock = threading.Lock()


def measure_chunk(tasks: list[Task], work: Work) -> list[Row]:
    """Measure images on a Dask worker, in child processes of it.

    Parameters
    ----------
    tasks : list of Task
        Images described by their places.
    work : Work

    Returns
    -------
    list of Row
        One an image.

    Raises
    ------
    InputError
        The worker has another version of a metric, lacks it, or cannot read the file.
    """
    rows: list[Row] = []
    left, before = tasks, Answer()
    with _pool(work) as pool:
        while left:
            answer = _asked(pool, left)
            if not answer.rows and answer.stalled and before.stalled:
                _see_that_it_moves(answer, before, work.timeout)
            rows += answer.rows
            if answer.culprit is not None and answer.late:
                late = timed_out_text(work.timeout)
                rows.append(error_row(answer.culprit, late, answer.sha256))
            elif answer.culprit is not None:
                rows += judged(_asked(pool, [answer.culprit]), work.timeout)
            left, before = answer.rest, answer
    return rows


def _asked(pool: Pool, tasks: list[Task]) -> Answer:
    """Have images measured; word that a file is not there."""
    try:
        return pool.ask(tasks)
    except OSError as error:
        raise InputError(
            f"a Dask worker cannot read '{error.filename or tasks[0].item.path}' "
            f"({error.strerror}): the images must lie under the same path on every worker."
        ) from None


def _see_that_it_moves(answer: Answer, before: Answer, timeout: float) -> None:
    """Refuse a file in which reading stalls at one image and then at the next.

    What lies behind in a compressed archive or a row group is not to be had without what lies
    before: each image of it would take its whole time.
    """
    one, two = before.culprit, answer.culprit
    if one is not None and two is not None and one.item.path == two.item.path:
        raise InputError(
            f"reading '{two.item.path}' on a Dask worker stalls: nothing came for {timeout:g} s at "
            f"'{one.item.image_id}', then again at '{two.item.image_id}'. Raise --timeout if the "
            "storage is slow, or write the file again, and run the same command again: what is "
            "finished is kept."
        )


@contextlib.contextmanager
def _pool(work: Work) -> Iterator[Pool]:
    """Lend the processes for some work, which are kept from chunk to chunk."""
    with _lock:
        mine = next((one for one in _kept if one.work == work), None)
        if mine is None:
            mine = _Kept(work, Pool(_loaded(work), work.timeout))
            _kept.append(mine)
        mine.users += 1
    try:
        yield mine.pool
    finally:
        with _lock:
            mine.users -= 1
            mine.used = time.monotonic()
        later = threading.Timer(_IDLE, _let_go)
        later.daemon = True
        later.start()


def _let_go() -> None:
    with _lock:
        for one in list(_kept):
            if one.users == 0 and time.monotonic() - one.used >= _IDLE - 1:
                _kept.remove(one)
                one.pool.close()


def _loaded(work: Work) -> dict[str, Function]:
    """Unpickle the metrics and see that they are the caller's."""
    try:
        functions: dict[str, Function] = pickle.loads(work.functions)
    except Exception as error:
        raise InputError(
            f"a Dask worker lacks a metric ({type(error).__name__}: {error}); install the same "
            "version of Optik, and any metrics of your own, on every worker."
        ) from None
    here: dict[str, Any] = {"the image policy": image.POLICY_VERSION}
    there: dict[str, Any] = {"the image policy": work.versions["policy"]}
    for metric in registry.all_metrics():
        entry = work.versions["metrics"].get(metric.name)
        if metric.name in functions and entry is not None and entry["source"] == "image":
            here[metric.name] = [metric.version, plain(metric.parameters)]
            there[metric.name] = [entry["version"], entry["parameters"]]
    differing = [name for name in here if here[name] != there[name]]
    if differing:
        raise InputError(
            f"a Dask worker has another version of {', '.join(differing)}; install the same "
            "version of Optik on every worker."
        )
    return functions


# At the caller's


def measure_on_cluster(
    chunks: Iterable[list[Task]], work: Work, address: str
) -> Generator[list[Row]]:
    """Measure images on the workers of a Dask scheduler.

    Parameters
    ----------
    chunks : iterable of list of Task
        Images described by their places. At most twice as many as the workers have threads,
        and two, are held at a time.
    work : Work
        The metrics and the timeout.
    address : str
        Of the scheduler.

    Yields
    ------
    list of Row
        One a chunk, in the order of completion.

    Raises
    ------
    InputError
        `distributed` is not installed, the scheduler cannot be reached or is lost, it has no
        worker, or the workers cannot read the images or have other metrics.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            "--dask needs Dask's distributed: pip install 'optik[dask]', here and on every worker."
        ) from None
    lost = (OSError, TimeoutError, asyncio.TimeoutError, distributed.CancelledError)
    with _quiet():
        try:
            client = distributed.Client(  # type: ignore[no-untyped-call]
                address, timeout=_CONNECT, set_as_default=False, name="optik"
            )
        except (*lost, ValueError) as error:
            raise InputError(
                f"no Dask scheduler can be reached at {address} ({_first_line(error)}); start one "
                "with `dask scheduler`, and workers with `dask worker ADDRESS`."
            ) from None
        try:
            yield from _Conversation(client, address, work).rows(iter(chunks))
        except lost as error:
            raise InputError(
                f"the Dask scheduler at {address} is gone ({type(error).__name__}). The images "
                "finished so far are kept: start it and its workers and run the same command again "
                "to go on."
            ) from None
        finally:
            with contextlib.suppress(Exception):
                client.close(timeout=2)  # type: ignore[no-untyped-call]


class _Conversation:
    """Chunks under way on a cluster."""

    def __init__(self, client: Client, address: str, work: Work) -> None:
        self._client, self._address, self._work = client, address, work
        self._running: dict[Future[Any], list[Task]] = {}
        self._tried: set[str] = set()
        self._threads = 0
        self._heard = time.monotonic()

    def rows(self, chunks: Iterator[list[Task]]) -> Generator[list[Row]]:
        """Yield the rows of chunks as they come."""
        import distributed

        self._await_workers()
        again: deque[list[Task]] = deque()
        suspects: deque[Task] = deque()
        while True:
            while len(self._running) < 2 * self._threads + 2:
                chunk = again.popleft() if again else next(chunks, None)
                if chunk is None:
                    break
                self._submit(chunk)
            # Whatever shares a Dask worker with the culprit is blamed with it: those left
            # over are tried again one by one, with nothing beside them.
            alone = not self._running
            if alone and not suspects:
                return
            if alone:
                self._submit([suspects.popleft()])
            for future in self._done():
                tasks = self._running.pop(future)
                try:
                    rows: list[Row] = future.result(timeout=_PATIENCE)
                except distributed.scheduler.KilledWorker:
                    if len(tasks) > 1:
                        half = len(tasks) // 2
                        again += [tasks[:half], tasks[half:]]
                    elif tasks[0].item.image_id in self._tried:
                        yield [error_row(tasks[0], CRASHED, _sha256(tasks[0]))]
                    else:
                        self._tried.add(tasks[0].item.image_id)
                        suspects.append(tasks[0])
                    continue
                finally:
                    future.release()  # type: ignore[no-untyped-call]
                self._see_that_images_are_there(tasks, rows)
                yield rows

    def _submit(self, chunk: list[Task]) -> None:
        future = self._client.submit(
            measure_chunk, chunk, self._work, pure=False, key=f"optik-{_unique()}"
        )
        self._running[future] = chunk

    def _done(self) -> list[Future[Any]]:
        """Wait for some chunk; look after the cluster where none comes."""
        import distributed

        try:
            with self._client.as_current():
                done = distributed.wait(  # type: ignore[no-untyped-call]
                    list(self._running), timeout=1.0, return_when="FIRST_COMPLETED"
                ).done
        except TimeoutError:
            done = set()
        if done:
            self._heard = time.monotonic()
            return list(done)
        if self._client.status != "running":
            raise TimeoutError("the connection is closed")
        if time.monotonic() - self._heard > 5:
            self._await_workers()
            self._heard = time.monotonic()
        return []

    def _await_workers(self) -> None:
        """See that there are workers; count their threads."""
        end = time.monotonic() + _PATIENCE
        while True:
            threads = self._client.nthreads()  # type: ignore[no-untyped-call]
            if threads:
                self._threads = sum(threads.values())
                return
            if time.monotonic() > end:
                raise InputError(
                    f"the Dask scheduler at {self._address} has no worker; start some with "
                    f"`dask worker {self._address}` and run the same command again."
                )
            time.sleep(0.2)

    def _see_that_images_are_there(self, tasks: list[Task], rows: list[Row]) -> None:
        """Refuse a cluster without the images, whose rows would all be errors."""
        paths = {task.item.image_id: task.item.path for task in tasks}
        for row in rows:
            path = paths.get(row.image_id)
            hung = ended_its_process(row.error)
            if row.sha256 is None and not hung and path is not None and path.is_file():
                with contextlib.suppress(OSError):
                    path.open("rb").close()
                    raise InputError(
                        f"a Dask worker cannot read '{path}' ({row.error}), which is readable "
                        "here: the images must lie under the same path on every worker."
                    )


def _sha256(task: Task) -> str | None:
    """Hash an image's bytes, where they can be read."""
    with contextlib.suppress(Exception):
        return sha256_bytes(task.item.read())
    return None


def _unique() -> str:
    import uuid

    return uuid.uuid4().hex


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log of a lost connection to itself: the error says it."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = [(log, log.level) for log in map(logging.getLogger, names)]
    for log, _ in before:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in before:
            log.setLevel(level)
