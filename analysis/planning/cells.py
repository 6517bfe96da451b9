"""One cell of a power study: many simulated sets of one scenario, and where the count is kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.planning.evaluate import DRAWS, headline
from analysis.planning.scenario import Scenario, draw
from analysis.record import code_fingerprint, fingerprint, versions
from analysis.threads import one_thread
from complexity.errors import InputError
from complexity.files import write_json

ALPHA = 0.05
#: Sets that one process simulates before it reports.
CHUNK = 20
FOLDER = "cells"


@dataclass(frozen=True)
class Outcome:
    """What the tests said of the sets of one cell.

    Attributes
    ----------
    sets : int
    shift, interaction : int
        Sets in which no k is left that serves both ends of complexity; in which the curve
        changes with complexity.
    untested : int
        Sets whose interaction could not be tested (separation); counted as not found.
    kept : int
        k not rejected as serving both ends, summed over sets.
    """

    sets: int
    shift: int
    interaction: int
    untested: int
    kept: int


def seed_of(scenario: Scenario, seed: int) -> int:
    """Give a cell its own stream: from what it is, not from its place among others."""
    return int(fingerprint({"scenario": asdict(scenario), "seed": seed})[:32], 16)


@one_thread
def simulate(scenario: Scenario, entropy: int, first: int, last: int) -> Outcome:
    """Draw and judge the sets `first` to `last` − 1 of a cell.

    Parameters
    ----------
    scenario : Scenario
    entropy : int
        See `seed_of`; every set draws from a stream of its own.
    first, last : int

    Returns
    -------
    Outcome
    """
    shift = interaction = untested = kept = 0
    for number in range(first, last):
        rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(number,)))
        found = headline(draw(scenario, rng), rng, DRAWS)
        shift += found.shift <= ALPHA
        interaction += found.interaction <= ALPHA  # NaN is not
        untested += bool(np.isnan(found.interaction))
        kept += len(found.kept)
    return Outcome(last - first, shift, interaction, untested, kept)


class Store:
    """Finished cells in a folder, one file each, whole or absent.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = None if folder is None else folder / FOLDER
        # A cell made by other code or libraries is another cell.
        self._made_by = {"code": code_fingerprint(), "versions": versions()}

    def path(self, entropy: int, n_sets: int) -> Path | None:
        """Where a cell lies."""
        if self.folder is None:
            return None
        name = fingerprint({"cell": str(entropy), "sets": n_sets, **self._made_by})[:32]
        return self.folder / f"{name}.json"

    def read(self, entropy: int, n_sets: int) -> Outcome | None:
        """Give a finished cell, None where there is none."""
        path = self.path(entropy, n_sets)
        if path is None or not path.is_file():
            return None
        try:
            outcome = Outcome(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            return None  # not whole: it is simulated again
        return outcome if outcome.sets == n_sets else None

    def write(self, entropy: int, n_sets: int, outcome: Outcome) -> None:
        """Keep a finished cell."""
        path = self.path(entropy, n_sets)
        if path is not None:
            write_json(path, asdict(outcome))


@dataclass(frozen=True)
class Job:
    """Some sets of one cell."""

    cell: int
    scenario: Scenario
    entropy: int
    first: int
    last: int


def jobs_of(cell: int, scenario: Scenario, entropy: int, n_sets: int) -> list[Job]:
    """Cut a cell into pieces for workers."""
    starts = range(0, n_sets, CHUNK)
    return [Job(cell, scenario, entropy, i, min(i + CHUNK, n_sets)) for i in starts]


def together(parts: Iterable[Outcome]) -> Outcome:
    """Add up the pieces of a cell."""
    rows = [list(asdict(part).values()) for part in parts]
    return Outcome(*(int(total) for total in np.sum(rows, axis=0)))


def work(jobs: Sequence[Job], workers: int) -> Generator[tuple[Job, Outcome]]:
    """Do jobs, here or in other processes, in the order of completion.

    Parameters
    ----------
    jobs : sequence of Job
    workers : int
        1 works in this process.

    Yields
    ------
    Job and Outcome
        Outcomes do not depend on the number of workers.

    Raises
    ------
    InputError
        When a worker process dies.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, simulate(job.scenario, job.entropy, job.first, job.last)
        return
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_begin
    )
    try:
        running: dict[Future[Outcome], Job] = {}
        waiting = iter(jobs)

        def refill() -> None:
            # Few at a time, so that an interrupt is not kept waiting.
            for job in waiting:
                ask: tuple[Any, ...] = (job.scenario, job.entropy, job.first, job.last)
                running[pool.submit(simulate, *ask)] = job
                if len(running) > 2 * workers:
                    return

        refill()
        while running:
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
            refill()
    except BrokenProcessPool:
        raise InputError(
            "a worker process ended before it was done (out of memory, or a script without "
            "`if __name__ == '__main__':` around its work). Simulate in this process instead "
            "(workers=1, `--workers 1`)."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """Make a worker process leave Ctrl-C to its parent, and leave with its parent."""
    from multiprocessing import connection, parent_process

    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
