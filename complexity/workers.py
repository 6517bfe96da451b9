"""Images measured one by one, in this process or in others that may die.

The worker processes are fresh interpreters that import this module and nothing of the
caller's: unlike `multiprocessing`'s, they never run the caller's script a second time, so
`measure` may be called from a script without a ``__main__`` guard, from standard input and
from a notebook. Each has one pipe in and one pipe out. The end of the pipe in tells it that
its parent is gone, however that went, and it leaves at once.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

from complexity.errors import InputError
from complexity.files import sha256_bytes
from complexity.image import UnreadableImage, prepare
from complexity.registry import Function, UndefinedMetric
from complexity.rows import CRASHED, Row, of_exception, one_line
from complexity.sources import ImageItem

_LENGTH = struct.Struct("<Q")
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from complexity.workers import _serve; _serve()"


@dataclass(frozen=True)
class Task:
    """One image to measure.

    Attributes
    ----------
    item : ImageItem
        The image. One with a path is read where it is measured.
    missing : tuple of str
        Metrics to compute if the bytes are those of `sha256`; else all are computed.
    sha256 : str or None
        Hexadecimal; the bytes for which the other metrics are known already.
    """

    item: ImageItem
    missing: tuple[str, ...] = ()
    sha256: str | None = None


class WorkerDied(Exception):
    """A worker process ended before it answered."""


def measure_image(task: Task, functions: Mapping[str, Function]) -> Row:
    """Read, decode and measure one image.

    Parameters
    ----------
    task : Task
        The image and what is wanted of it.
    functions : mapping of str to callable
        Every metric by name.

    Returns
    -------
    Row
        Errors are in it; nothing but what stops a program is raised.
    """
    row = Row(task.item.image_id)
    try:
        data = task.item.read()
        row.sha256 = sha256_bytes(data)
        image = prepare(data)
    except UnreadableImage as error:
        row.error = one_line(str(error))
        return row
    except OSError as error:
        # The text of a system's error holds a path of this machine; its reason alone does not.
        row.error = one_line(f"cannot be read: {error.strerror or error}")
        return row
    except Exception as error:
        row.error = of_exception(error)
        return row
    row.width, row.height = image.width, image.height
    for name in task.missing if row.sha256 == task.sha256 else functions:
        try:
            value = float(image.shared(functions[name]))
        except UndefinedMetric as error:
            row.reasons[name] = one_line(str(error))
        except Exception as error:
            row.reasons[name] = of_exception(error)
        else:
            if math.isfinite(value):
                row.values[name] = value
            else:
                row.reasons[name] = f"the metric gave {value}"
    return row


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
    chunks: Iterable[list[Task]], functions: Mapping[str, Function], workers: int
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

    Yields
    ------
    list of Row
        One a chunk, in the order of completion. The images of a chunk whose process died
        come last, one by one and with nothing beside them: the one that kills its process
        even so gets an error row (`CRASHED`).

    Raises
    ------
    InputError
        No worker process can be started.
    """
    chunks = iter(chunks)
    suspects: list[Task] = []
    with ThreadPoolExecutor(workers) as threads, contextlib.closing(_Pool(functions)) as pool:
        running: dict[Future[list[Row]], list[Task]] = {}

        def refill() -> None:
            for chunk in islice(chunks, workers + 1 - len(running)):
                running[threads.submit(pool.ask, chunk)] = chunk

        refill()
        while running:
            # The timeout lets an interrupt through where a wait without one is deaf to it.
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                chunk = running.pop(future)
                try:
                    rows = future.result()
                except WorkerDied:
                    suspects.extend(chunk)
                else:
                    yield rows
            refill()
        pool.dismiss()
        for task in suspects:
            # Handed to a thread, because only then an interrupt stops the waiting.
            answer = threads.submit(pool.ask, [task])
            while not wait([answer], timeout=1.0).done:
                pass
            try:
                yield answer.result()
            except WorkerDied:
                yield [_crashed(task)]


def _crashed(task: Task) -> Row:
    sha256 = None
    with contextlib.suppress(Exception):
        sha256 = sha256_bytes(task.item.read())
    return Row(task.item.image_id, sha256=sha256, error=CRASHED)


class _Pool:
    """Worker processes: started when asked for, replaced when dead, killed on `close`."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._setup = pickle.dumps(dict(functions))
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, chunk: list[Task]) -> list[Row]:
        """Have one process measure a chunk; `WorkerDied` when it dies over it."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = self._start()
        try:
            rows: list[Row] = pickle.loads(worker.ask(pickle.dumps(chunk)))
        except WorkerDied:
            with self._lock:
                self._all.discard(worker)
            worker.kill()
            raise
        with self._lock:
            self._idle.append(worker)
        return rows

    def _start(self) -> _Worker:
        try:
            with self._lock:
                if self._closed:
                    raise WorkerDied
                worker = _Worker()
                self._all.add(worker)
            failure: str | None = pickle.loads(worker.ask(self._setup))
        except (OSError, WorkerDied) as error:
            failure = str(error) or "it ended before it was ready"
        if failure is not None:
            raise InputError(
                f"a worker process could not be started: {failure}. Measure in this process "
                "instead (workers=1, `--workers 1`)."
            )
        return worker

    def dismiss(self) -> None:
        """Let idle processes go, and their memory with them."""
        with self._lock:
            gone, self._idle = self._idle, []
            self._all.difference_update(gone)
        for worker in gone:
            worker.kill()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            gone, self._all = self._all, set()
        for worker in gone:
            worker.kill()


class _Worker:
    """One process and its two pipes."""

    def __init__(self) -> None:
        # A process group of its own: the terminal's Ctrl-C is the parent's to handle.
        apart: dict[str, Any] = (
            {"process_group": 0}
            if os.name == "posix"
            else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, *(p for p in sys.path if isinstance(p, str))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(_ONE_THREAD, "1"),
            **apart,
        )

    def ask(self, message: bytes) -> bytes:
        """Send a message and wait for its answer; `WorkerDied` when none comes."""
        to, back = self._process.stdin, self._process.stdout
        assert to is not None and back is not None
        try:
            _send(to, message)
            return _receive(back)
        except (OSError, EOFError, ValueError):  # ValueError: closed by another thread
            raise WorkerDied from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # What is left in a buffer has no reader any more.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    message = stream.read(length)
    if len(message) < length:
        raise EOFError
    return message


def _serve() -> None:
    """Be a worker process: answer what comes in on standard input until it ends."""
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(messages,), daemon=True).start()
    functions: dict[str, Function] = {}
    failure = None
    try:
        import cv2

        cv2.setNumThreads(1)
        functions = pickle.loads(messages.get())
    except Exception as error:
        failure = of_exception(error)
    # A broken pipe: the parent is gone, and there is nobody left to tell.
    with contextlib.suppress(OSError):
        _send(answers, pickle.dumps(failure))
        while True:
            chunk: list[Task] = pickle.loads(messages.get())
            _send(answers, pickle.dumps([measure_image(task, functions) for task in chunk]))
    os._exit(0)


def _listen(messages: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            messages.put(_receive(sys.stdin.buffer))
    finally:
        # End of file: the parent is done or dead, be the main thread busy or not.
        os._exit(0)
