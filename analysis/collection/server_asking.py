"""Ask many questions at once: concurrency, retries with back-off, servers that are gone."""

from __future__ import annotations

import queue
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from analysis.collection.endpoints import Endpoint
from analysis.collection.server import Connection, Timeouts
from analysis.collection.server_stream import Reply, RequestFailed
from complexity.errors import InputError

#: Questions in a row that find no server, each after all its tries, before the sweep stops.
_GONE = 3
#: Questions in a row that a server refuses without having answered any.
_REFUSED = 20
_LONGEST_WAIT_S = 300.0


@dataclass(frozen=True)
class Patience:
    """How often and how slowly a failing request is tried again.

    The wait before try n + 1 is ``first_s · 2^(n-1)``, at most `longest_s`, times a number drawn
    evenly from [0.5, 1.5] so that requests which failed together do not come back together; or
    what the server asks for (Retry-After), if that is longer, up to five minutes.

    Attributes
    ----------
    tries : int
        At least 1.
    first_s, longest_s : float
        Seconds.
    """

    tries: int = 5
    first_s: float = 1.0
    longest_s: float = 60.0

    def wait_s(self, attempt: int, asked_s: float, draw: random.Random) -> float:
        """Seconds to wait after try number `attempt` (from 1)."""
        wait = min(self.longest_s, self.first_s * 2.0 ** (attempt - 1)) * draw.uniform(0.5, 1.5)
        return min(_LONGEST_WAIT_S, max(wait, asked_s))


@dataclass(frozen=True)
class Job:
    """One question to one server.

    Attributes
    ----------
    sample_id : str
    image_id : str
    question : str
    k : int
    repeat : int
    """

    sample_id: str
    image_id: str
    question: str
    k: int
    repeat: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What is asked once."""
        return self.sample_id, self.k, self.repeat


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes
    ----------
    job : Job
    order : int
        Its place among all jobs as they were begun.
    tries : int
        Requests made; 0 where the question could not be put.
    reply : Reply or None
        Of the last try; None when all failed.
    error : str
        Why, then.
    unreachable : bool
        Whether no server was there.
    """

    job: Job
    order: int
    tries: int
    reply: Reply | None
    error: str = ""
    unreachable: bool = False


@dataclass
class _Shared:
    """What the threads of one sweep have in common."""

    jobs: Iterator[tuple[int, Job]]
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    done: queue.SimpleQueue[Outcome | BaseException | None] = field(
        default_factory=queue.SimpleQueue
    )

    def next(self) -> tuple[int, Job] | None:
        """Take the next job, in order."""
        with self.lock:
            return None if self.stop.is_set() else next(self.jobs, None)


def ask_all(
    jobs: Iterable[Job],
    endpoints: Mapping[int, Endpoint],
    body: Callable[[Job, Endpoint], bytes],
    *,
    concurrency: int = 1,
    patience: Patience | None = None,
    timeouts: Timeouts | None = None,
    key: str | None = None,
    seed: int = 0,
    first: int = 0,
) -> Iterator[Outcome]:
    """Put jobs to servers, at most `concurrency` at a time, begun in their order.

    Parameters
    ----------
    jobs : iterable of Job
        In the order to begin them.
    endpoints : mapping of int to Endpoint
        By k.
    body : callable
        Spells a request; called in the asking thread. `OSError`, `ValueError`,
        `UnreadableImage` and `InputError` become the job's error.
    concurrency : int
        Requests in flight, over all servers.
    patience, timeouts
        How long to try and to wait.
    key : str, optional
        Bearer token.
    seed : int
        Of the back-off's jitter.
    first : int
        `order` of the first job.

    Yields
    ------
    Outcome
        As they end, in no fixed order, one per job.

    Raises
    ------
    InputError
        A server is gone, or refuses everything.
    """
    shared = _Shared(iter(enumerate(jobs, first)))
    patience = patience or Patience()

    def work() -> None:
        kept: dict[str, Connection] = {}
        try:
            while (taken := shared.next()) is not None:
                order, job = taken
                endpoint = endpoints[job.k]
                if endpoint.url not in kept:
                    kept[endpoint.url] = Connection(endpoint.url, timeouts or Timeouts(), key)
                outcome = _one(
                    job, order, endpoint, kept[endpoint.url], body, patience, seed, shared.stop
                )
                if outcome is not None:
                    shared.done.put(outcome)
        except BaseException as error:  # carried over to the thread that waits
            shared.done.put(error)
        finally:
            for connection in kept.values():
                connection.close()
            shared.done.put(None)

    # Daemons: Ctrl-C does not wait for a server that is silent.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    health = _Health(endpoints)
    working = len(threads)
    try:
        while working:
            try:
                # Not for ever: on Windows Ctrl-C does not reach a thread that waits so.
                item = shared.done.get(timeout=0.5)
            except queue.Empty:
                continue
            if item is None:
                working -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
                health.see(item)
    finally:
        shared.stop.set()


def _one(
    job: Job, order: int, endpoint: Endpoint, connection: Connection,
    body: Callable[[Job, Endpoint], bytes], patience: Patience, seed: int, stop: threading.Event,
) -> Outcome | None:  # fmt: skip
    """Try a job until it is answered, its tries are used up, or the sweep stops (None)."""
    from complexity.image import UnreadableImage

    draw = random.Random(f"{seed}/{job.sample_id}/{job.k}/{job.repeat}")
    try:
        spelled = body(job, endpoint)
    except (OSError, ValueError, UnreadableImage, InputError) as error:
        return Outcome(job, order, 0, None, f"no question to put: {error}")
    for attempt in range(1, patience.tries + 1):
        try:
            return Outcome(job, order, attempt, connection.ask(spelled))
        except RequestFailed as error:
            if error.lasting or attempt == patience.tries:
                return Outcome(job, order, attempt, None, str(error), error.unreachable)
            if stop.wait(patience.wait_s(attempt, error.wait_s, draw)):
                return None
    return None


class _Health:
    """Stops a sweep whose servers are gone, instead of failing every question that is left."""

    def __init__(self, endpoints: Mapping[int, Endpoint]) -> None:
        self._endpoints = endpoints
        self._answered: set[int] = set()
        self._gone: dict[int, int] = defaultdict(int)
        self._refused: dict[int, int] = defaultdict(int)

    def see(self, outcome: Outcome) -> None:
        """Take one outcome in.

        Raises
        ------
        InputError
            The last straw.
        """
        k = outcome.job.k
        if outcome.reply is not None:
            self._answered.add(k)
            self._gone[k] = self._refused[k] = 0
        elif outcome.unreachable:
            self._gone[k] += 1
        elif outcome.tries:
            self._refused[k] += 1
        where = f"k = {k}, {self._endpoints[k].url}"
        if self._gone[k] >= _GONE:
            raise InputError(
                f"{where}: the server is gone ({outcome.error}); start it again, and the same "
                f"command goes on where this one stopped"
            )
        if k not in self._answered and self._refused[k] >= _REFUSED:
            raise InputError(
                f"{where}: the server has answered none of {self._refused[k]} questions; the last "
                f"one: {outcome.error}; mend that, and the same command goes on"
            )
