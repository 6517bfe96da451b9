"""Images measured one by one, in this process or in others that may die or hang."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from complexity.errors import InputError
from complexity.files import sha256_bytes
from complexity.one_image import Task, measure_image
from complexity.places import Cell
from complexity.registry import Function
from complexity.rows import CRASHED, Row, timed_out
from complexity.worker_process import Progress, WorkerDied, WorkerProcess

#: Seconds that one image may take in a worker process.
TIMEOUT = 60.0
# Loading libraries and compiling kernels is no image's fault: it has time of its own.
_READY_SECONDS = 180.0
_STARTS = 3
_PARQUET = "pyarrow.parquet"


def sendable(functions: Mapping[str, Function]) -> bool:
    """Say whether another process can find the functions: by module and name, not in a script."""
    try:
        pickle.dumps(dict(functions))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return all(getattr(f, "__module__", None) != "__main__" for f in functions.values())


def cores() -> int:
    """Count the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def measure_here(
    chunks: Iterable[list[Task]], functions: Mapping[str, Function]
) -> Generator[list[Row]]:
    """Measure images in this process, chunk by chunk and in order."""
    for chunk in chunks:
        yield [measure_image(task, functions) for task in chunk]


def measure_apart(
    chunks: Iterable[list[Task]],
    functions: Mapping[str, Function],
    workers: int,
    timeout: float = TIMEOUT,
) -> Generator[list[Row]]:
    """Measure images in worker processes.

    Parameters
    ----------
    chunks : iterable of list of Task
        Taken as they are needed: at most ``workers + 1`` are held at a time.
    functions : mapping of str to callable
        Every metric by name; see `sendable`.
    workers : int
        Processes, at least 1.
    timeout : float
        Seconds for one image. One that takes longer has its process killed, and an error
        row.

    Yields
    ------
    list of Row
        One a chunk, in the order of completion. Where a process dies over an image, the rest
        of the chunk goes to another and the image comes last, on its own and with nothing
        beside it: if its process dies again, it gets an error row (`CRASHED`).

    Raises
    ------
    InputError
        No worker process can be started.
    """
    chunks = iter(chunks)
    again: deque[list[Task]] = deque()
    suspects: list[Task] = []
    with (
        ThreadPoolExecutor(workers) as threads,
        contextlib.closing(Pool(functions, timeout)) as pool,
    ):
        running: set[Future[Answer]] = set()

        def refill() -> None:
            while len(running) <= workers:
                chunk = again.popleft() if again else next(chunks, None)
                if chunk is None:
                    return
                running.add(threads.submit(pool.ask, chunk))

        refill()
        while running:
            # The timeout lets an interrupt through where a wait without one is deaf to it.
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                running.discard(future)
                answer = future.result()
                if answer.rest:
                    again.append(answer.rest)
                if answer.culprit is not None and answer.late:
                    late = error_row(answer.culprit, timed_out(timeout), answer.sha256)
                    answer.rows.append(late)
                elif answer.culprit is not None:
                    suspects.append(answer.culprit)
                if answer.rows:
                    yield answer.rows
            refill()
        pool.dismiss()
        for task in suspects:
            # Handed to a thread, because only then an interrupt stops the waiting.
            future = threads.submit(pool.ask, [task])
            while not wait([future], timeout=1.0).done:
                pass
            yield judged(future.result(), timeout)


def judged(answer: Answer, timeout: float) -> list[Row]:
    """Turn the answer to one image on its own into its row: there is no second chance."""
    if answer.culprit is None:
        return answer.rows
    error = timed_out(timeout) if answer.late else CRASHED
    return [error_row(answer.culprit, error, answer.sha256)]


def error_row(task: Task, error: str, sha256: str | None = None) -> Row:
    """Make the row of an image that could not be measured.

    Parameters
    ----------
    task : Task
        The image.
    error : str
        Why.
    sha256 : str, optional
        Of its bytes. When left out they are read here, but for an image in a Parquet file or an
        archive: reading it may be what went wrong, and nothing could stop it here.
    """
    if sha256 is None and task.item.place is None:
        with contextlib.suppress(Exception):
            sha256 = sha256_bytes(task.item.read())
    return Row(task.item.image_id, sha256=sha256, error=error)


@dataclass
class Answer:
    """What came of a chunk.

    Attributes
    ----------
    rows : list of Row
        Of the images measured.
    culprit : Task or None
        The image over which the process ended.
    late : bool
        Whether it was ended because that image took too long.
    rest : list of Task
        The images after that one.
    sha256 : str or None
        Of the culprit's bytes, where the process read them from a file that holds several images.
    """

    rows: list[Row] = field(default_factory=list)
    culprit: Task | None = None
    late: bool = False
    rest: list[Task] = field(default_factory=list)
    sha256: str | None = None

    @property
    def stalled(self) -> bool:
        """Whether the process was ended while it read a file that holds several images."""
        place = None if self.culprit is None else self.culprit.item.place
        return self.late and place is not None and self.sha256 is None


class Pool:
    """Worker processes: started when asked for, replaced when dead, killed on `close`.

    Parameters
    ----------
    functions : mapping of str to callable
        Every metric by name.
    timeout : float
        Seconds for one image.
    """

    def __init__(self, functions: Mapping[str, Function], timeout: float = TIMEOUT) -> None:
        self._setup = pickle.dumps(dict(functions))
        self._timeout = timeout
        self._idle: list[WorkerProcess] = []
        self._all: set[WorkerProcess] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._warm = True
        threading.Thread(target=self._watch, daemon=True).start()

    def ask(self, chunk: list[Task]) -> Answer:
        """Have one process measure a chunk; any number of threads may ask at a time.

        Images that are described by their places are read by the process. Its time is up when
        it has nothing to say for so long: neither bytes that have come nor an image read nor one
        measured.

        Raises
        ------
        InputError
            No process can be started, or a file that holds several images is damaged.
        OSError
            Such a file cannot be opened.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        answer = Answer()
        try:
            if worker is None:
                worker = self._start()
            self._load(worker, chunk)
            worker.send(pickle.dumps(chunk))
            for _ in chunk:
                answer.rows.append(self._row(worker, answer))
        except WorkerDied:
            left = chunk[len(answer.rows) :]
            answer.culprit, answer.rest = left[0], left[1:]
            answer.late = worker is not None and worker.overdue
            if worker is not None:
                self._drop(worker)
            return answer
        except (InputError, OSError):
            if worker is not None:
                self._spare(worker)
            raise
        self._spare(worker)
        return answer

    def _row(self, worker: WorkerProcess, answer: Answer) -> Row:
        """Await the next image's row, and note what is said of the image before it comes."""
        answer.sha256 = None
        while True:
            said: Row | Progress | InputError | OSError = worker.receive(self._timeout)
            if isinstance(said, Row):
                return said
            if not isinstance(said, Progress):
                raise said
            answer.sha256 = said.sha256

    @staticmethod
    def _load(worker: WorkerProcess, chunk: list[Task]) -> None:
        """Have a process load what reads the images: that takes no image's time."""
        if _PARQUET not in worker.loaded and any(isinstance(t.item.place, Cell) for t in chunk):
            worker.send(pickle.dumps(_PARQUET))
            worker.receive(_READY_SECONDS)
            worker.loaded.add(_PARQUET)

    def _spare(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._idle.append(worker)

    def _start(self) -> WorkerProcess:
        """Start a process and see it ready.

        One that ends before that may have been killed from outside, like any other: only
        several in a row mean that none can be had.
        """
        for n in range(_STARTS):
            try:
                with self._lock:
                    if self._closed.is_set():
                        raise WorkerDied
                    worker = WorkerProcess()
                    self._all.add(worker)
            except OSError as error:
                raise _not_started(str(error)) from None
            try:
                worker.send(self._setup)
                failure: str | None = worker.receive(_READY_SECONDS)
                if failure is not None:
                    raise _not_started(failure)
                if self._warm:
                    worker.send(pickle.dumps(None))
                    # A metric may hang or crash on any image: then images are to show it.
                    self._warm = n == 0
                    worker.receive(_READY_SECONDS)
                return worker
            except WorkerDied:
                self._drop(worker)
                if self._closed.is_set():
                    raise
        raise _not_started("it ended before it was ready")

    def _drop(self, worker: WorkerProcess) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.kill()

    def _watch(self) -> None:
        step = min(1.0, max(0.01, self._timeout / 10))
        while not self._closed.wait(step):
            now = time.monotonic()
            with self._lock:
                for worker in self._all:
                    worker.end_if_overdue(now)

    def dismiss(self) -> None:
        """Let idle processes go, and their memory with them."""
        with self._lock:
            gone, self._idle = self._idle, []
            self._all.difference_update(gone)
        for worker in gone:
            worker.kill()

    def close(self) -> None:
        """End every process."""
        self._closed.set()
        with self._lock:
            gone, self._all = self._all, set()
        for worker in gone:
            worker.kill()


def _not_started(why: str) -> InputError:
    return InputError(
        f"a worker process could not be started: {why}. Measure in this process "
        "instead (workers=1, without a timeout)."
    )
