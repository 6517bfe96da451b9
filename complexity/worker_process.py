"""A process that measures images: both ends of its two pipes.

It is a fresh interpreter that imports this module and nothing of the caller's: unlike
`multiprocessing`'s, it never runs the caller's script a second time, so `measure` may be called
from a script without a ``__main__`` guard, from standard input and from a notebook. The end of
its pipe in tells it that its parent is gone, however that went, and it leaves at once.

Rows come back one by one: when the process ends over an image, or is ended because it took too
long, the one not answered is the culprit, and nothing else of its chunk is lost.

Images that lie in a Parquet file or an archive (see `complexity.places`) are read here, too. On the
way to one, signs of progress come back (`Progress`): time is up when nothing comes, not when an
archive is long.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np

from complexity.errors import InputError
from complexity.files import sha256_bytes
from complexity.image import prepare_array
from complexity.one_image import Task, measure_image
from complexity.places import fetched
from complexity.registry import Function
from complexity.rows import Row, of_exception

_LENGTH = struct.Struct("<Q")
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_BOOT = (
    "import sys; sys.path[:] = sys.argv[1:]; from complexity.worker_process import serve; serve()"
)


# Signs of progress that follow each other more closely are not sent.
_OFTEN = 0.05


class WorkerDied(Exception):
    """A worker process ended before it answered."""


@dataclass(frozen=True)
class Progress:
    """What a process says on the way to the next row.

    Attributes
    ----------
    sha256 : str or None
        Hexadecimal, of the image's bytes: they have been read, its measuring begins. None while
        reading goes on.
    """

    sha256: str | None = None


class WorkerProcess:
    """One process, seen from its parent.

    Attributes
    ----------
    deadline : float
        When a watchdog shall end it, on `time.monotonic`'s clock.
    overdue : bool
        Whether a watchdog has.
    loaded : set of str
        Modules that it was told to import.
    """

    def __init__(self) -> None:
        self.deadline = math.inf
        self.overdue = False
        self.loaded: set[str] = set()
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

    def send(self, message: bytes) -> None:
        """Send a message; `WorkerDied` when nobody takes it."""
        to = self._process.stdin
        assert to is not None
        try:
            _send(to, message)
        except (OSError, ValueError):  # ValueError: closed by another thread
            raise WorkerDied from None

    def receive(self, seconds: float = math.inf) -> Any:
        """Wait for an answer; `WorkerDied` when none comes, or none in time."""
        back = self._process.stdout
        assert back is not None
        self.deadline = time.monotonic() + seconds
        try:
            return pickle.loads(_receive(back))
        except (OSError, EOFError, ValueError):
            raise WorkerDied from None
        finally:
            self.deadline = math.inf

    def end_if_overdue(self, now: float) -> None:
        """End the process if its time is up, and whatever a library has started in it."""
        if now >= self.deadline and not self.overdue:
            self.overdue = True
            self._strike()

    def kill(self) -> None:
        """End the process and close the pipes."""
        self._strike()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            # What is left in a buffer has no reader any more.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _strike(self) -> None:
        if os.name == "posix" and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()


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


def serve() -> None:
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
            message: list[Task] | str | None = pickle.loads(messages.get())
            if message is None:
                _warm_up(functions)
                _send(answers, pickle.dumps(None))
            elif isinstance(message, str):
                importlib.import_module(message)
                _send(answers, pickle.dumps(None))
            else:
                for answer in _answers(message, functions, _Beat(answers)):
                    _send(answers, pickle.dumps(answer))
    os._exit(0)


class _Beat:
    """Says that reading goes on, but not too often."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers, self._last = answers, -math.inf

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last >= _OFTEN:
            self._last = now
            _send(self._answers, pickle.dumps(Progress()))


def _answers(
    chunk: list[Task], functions: Mapping[str, Function], progress: Callable[[], object]
) -> Iterator[Row | Progress | InputError | OSError]:
    """Read and measure images; an error of a file that holds several is the last answer."""
    items = fetched((task.item for task in chunk), progress)
    for task in chunk:
        try:
            item = next(items)
        except (InputError, OSError) as error:
            yield error
            return
        if task.item.place is not None and item.data is not None:
            yield Progress(sha256_bytes(item.data))
        yield measure_image(replace(task, item=item), functions)


def _warm_up(functions: Mapping[str, Function]) -> None:
    """Load and compile what the metrics need, so that no image's time is spent on it."""
    levels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for function in functions.values():
        with contextlib.suppress(Exception):
            function(prepare_array(levels))


def _listen(messages: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            messages.put(_receive(sys.stdin.buffer))
    finally:
        # End of file: the parent is done or dead, be the main thread busy or not.
        os._exit(0)
