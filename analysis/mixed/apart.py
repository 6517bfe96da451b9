"""Shares of a piece of work done by other processes.

The processes are fresh interpreters that import this module and never the caller's script
(as those of `complexity.workers`), so that a script needs no ``__main__`` guard and a notebook
will do. What they get and give is pickled: the work is an object of an importable class.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from complexity.errors import InputError

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from analysis.mixed.apart import serve; serve()"
#: Pieces a worker: enough that none waits long for the last.
PIECES = 1


class Work(Protocol):
    """What can be done in pieces."""

    def one(self, index: int) -> Any:
        """Do the piece of this number; the same wherever it is done."""
        ...


def do(work: Work, n: int, workers: int) -> list[Any]:
    """Do the pieces 0 to n − 1 of a work.

    Parameters
    ----------
    work : Work
        Pickled for every process when there are several.
    n : int
    workers : int
        Processes, at least 1; with 1 all is done in this one.

    Returns
    -------
    list
        One result a piece, in order.

    Raises
    ------
    InputError
        For fewer than one worker, and when a process ends before it answered.
    """
    if workers < 1:
        raise InputError(f"workers counts processes, from 1 on, not {workers}")
    if workers == 1 or n < 2:
        return [work.one(index) for index in range(n)]
    shares = [range(start, n, workers * PIECES) for start in range(min(n, workers * PIECES))]
    sent = pickle.dumps(work)
    running: set[subprocess.Popen[bytes]] = set()
    stopped = threading.Event()
    found: list[Any] = [None] * n
    with ThreadPoolExecutor(workers) as threads:
        jobs = [threads.submit(_ask, sent, share, running, stopped) for share in shares]
        try:
            for share, job in zip(shares, jobs, strict=True):
                for index, result in zip(share, job.result(), strict=True):
                    found[index] = result
        except BaseException:
            # An interrupt too: nobody waits for the rest any more.
            stopped.set()
            for process in list(running):
                process.kill()
            raise
    return found


def _ask(
    sent: bytes,
    share: Sequence[int],
    running: set[subprocess.Popen[bytes]],
    stopped: threading.Event,
) -> list[Any]:
    if stopped.is_set():
        return []
    process = subprocess.Popen(
        [sys.executable, "-c", _BOOT, *(path for path in sys.path if isinstance(path, str))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | dict.fromkeys(_ONE_THREAD, "1"),
    )
    running.add(process)
    try:
        answer, _ = process.communicate(pickle.dumps((sent, list(share))))
    finally:
        running.discard(process)
    if process.returncode != 0:
        raise InputError(
            f"a worker process ended with code {process.returncode} before it answered (see above; "
            "memory?); use workers=1"
        )
    results: list[Any] = pickle.loads(answer)
    return results


def serve() -> None:
    """Be a worker process: one request on standard input, one answer on standard output."""
    # Whatever a library prints must not get into the answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sent, share = pickle.loads(sys.stdin.buffer.read())
    work: Work = pickle.loads(sent)
    pickle.dump([work.one(index) for index in share], answers)
    answers.close()
