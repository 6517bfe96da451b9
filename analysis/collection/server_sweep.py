"""Sweep k over servers: who is asked what in which order, what is kept, and the tables."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.collection.endpoints import Endpoint, check_template, probe, served
from analysis.collection.log import Log
from analysis.collection.request import Outputs
from analysis.collection.server import Timeouts
from analysis.collection.server_asking import Job, Outcome, Patience, ask_all
from analysis.collection.server_request import chat_body, data_url
from analysis.collection.server_tables import Collected, write_tables
from complexity.errors import InputError, listing

if TYPE_CHECKING:
    from analysis.manifest import Study

Progress = Callable[[str, int, int], Any]

_REMEDY = "finish that one with its own options, give another -o, or remove the file and its tables"


@dataclass(frozen=True)
class Servers:
    """Where the model runs, one server per k.

    Attributes
    ----------
    urls : mapping of int to str
        k to base URL, of servers that run; or
    template : str or None
        a command with ``{k}`` and ``{port}`` that starts one, and
    ks : tuple of int
        the k to start it at.
    together : bool
        Start all at once, so that the k of a question follow each other in random order. Else
        one after another, in random order: every server has the machine to itself, but what
        changes with time changes with k.
    ready_s : float
        Seconds that starting may take.
    model : str or None
        The name to ask for, where a server has several.
    key : str or None
        Bearer token; kept out of all files.
    """

    urls: Mapping[int, str] = field(default_factory=dict)
    template: str | None = None
    ks: tuple[int, ...] = ()
    together: bool = False
    ready_s: float = 1800.0
    model: str | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def all_k(self) -> tuple[int, ...]:
        """Every k, ascending."""
        return tuple(sorted(self.ks if self.template is not None else self.urls))


@dataclass(frozen=True)
class Asking:
    """How the questions are put.

    Attributes
    ----------
    instruction : str
        Appended to every question after a blank.
    max_tokens : int
        Longest answer.
    samples : int or None
        Questions to draw, stratified by complexity; None: all.
    repeats : int
        Times that each question is put at each k.
    concurrency : int
        Requests in flight; the latency table's `batch`.
    seed : int or None
        Of all orders and draws; the manifest's by default.
    warmup : int
        Untimed requests to every server before the first timed one.
    more : mapping
        Further fields of the request, such as ``{"chat_template_kwargs": …}``.
    """

    instruction: str = ""
    max_tokens: int = 32
    samples: int | None = None
    repeats: int = 1
    concurrency: int = 1
    seed: int | None = None
    warmup: int = 1
    more: Mapping[str, Any] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    timeouts: Timeouts = field(default_factory=Timeouts)


def collect_from_servers(
    study: Study, servers: Servers, out: Path, *, model: str | None = None,
    device: str = "server", asking: Asking | None = None, progress: Progress | None = None,
) -> Collected:  # fmt: skip
    """Ask every question at every k, and write results and latencies.

    Every answer is on disk before it counts as had: killed at any moment, the same call goes on
    where it stopped. Questions without an answer are asked again by the same call.

    Parameters
    ----------
    study : Study
        Its samples, images and scorer.
    servers : Servers
        Where the model runs.
    out : Path
        The results table, ``.parquet`` or ``.csv``. Beside it: ``.latency`` of the same kind,
        ``.provenance.json``, ``.log.jsonl``, and ``.failures.csv`` where something failed.
    model : str, optional
        Its name in the tables; by default what all servers call it.
    device : str
        What it runs on, in the latency table.
    asking : Asking, optional
        How the questions are put.
    progress : callable, optional
        Given a name, a total and what is done already, returns a context manager with an
        `update(n)`.

    Returns
    -------
    Collected

    Raises
    ------
    InputError
        The request is wrong, a server does not answer or runs at another k, or a file is of
        another sweep.
    """
    from analysis.datasets import read_samples

    asking, outputs = asking or Asking(), Outputs.beside(out)
    outputs.refuse_to_replace()
    _check(servers, asking)
    samples = read_samples(study)
    none = samples.loc[samples["answers"].str.len() == 0, "sample_id"]
    if len(none):
        raise InputError(
            f"{study.shown}: {len(none):,} questions have no answer to score by ({listing(none)}); "
            f"give answers, or leave these questions out"
        )
    seed = study.manifest.seed if asking.seed is None else asking.seed
    chosen = _chosen(study, samples, asking.samples, seed)
    with ExitStack() as stack:
        endpoints = {
            k: probe(k, url, model=servers.model, key=servers.key, timeouts=asking.timeouts)
            for k, url in sorted(servers.urls.items())
        }
        name = model or servers.model or _common_name(endpoints.values(), servers)
        request = {
            "from": "servers",
            "model": name,
            "k": list(servers.all_k),
            "questions": _fingerprint(chosen),
            "instruction": asking.instruction,
            "max_tokens": asking.max_tokens,
            "repeats": asking.repeats,
            "more": dict(asking.more),
            "device": device,
            "seed": seed,
        }
        log = stack.enter_context(Log(outputs.log, request, _REMEDY))
        plan = plan_jobs(chosen, servers.all_k, asking.repeats, seed, asking.instruction)
        sweep = _Sweep(study, asking, seed, log, servers.key, len(plan), progress or _silent)
        if servers.template is None:
            sweep.run(plan, endpoints)
        else:
            for ks in _blocks(servers, seed):
                with ExitStack() as running:
                    block = sweep.left([job for job in plan if job.k in ks])
                    if not block:
                        continue
                    started = {
                        k: running.enter_context(
                            served(
                                servers.template, k, ready_s=servers.ready_s, key=servers.key,
                                model=servers.model, timeouts=asking.timeouts,
                            )
                        )
                        for k in sorted({job.k for job in block})
                    }  # fmt: skip
                    sweep.run(block, started)
        return write_tables(study, chosen, plan, log, request, outputs)


def plan_jobs(
    samples: pd.DataFrame, ks: Sequence[int], repeats: int, seed: int, instruction: str = ""
) -> list[Job]:
    """Put every question at every k in order: questions shuffled, k shuffled within each.

    Parameters
    ----------
    samples : DataFrame
        `sample_id`, `image_id`, `question`.
    ks : sequence of int
        Without repetition.
    repeats : int
        Each is a pass over the k of a question, in an order of its own.
    seed : int
        The same seed and samples give the same order.
    instruction : str
        Appended to every question after a blank.

    Returns
    -------
    list of Job
    """
    rng = np.random.default_rng([seed, 0x5E])
    rows = samples[["sample_id", "image_id", "question"]].to_numpy(dtype=object)
    return [
        Job(str(sample), str(image), f"{question} {instruction}".strip(), ks[place], repeat)
        for sample, image, question in rows[rng.permutation(len(rows))]
        for repeat in range(repeats)
        for place in rng.permutation(len(ks))
    ]


class _Sweep:
    """Runs jobs and logs what becomes of them."""

    def __init__(
        self, study: Study, asking: Asking, seed: int, log: Log, key: str | None, total: int,
        progress: Progress,
    ) -> None:  # fmt: skip
        self._asking, self._seed, self._log, self._key = asking, seed, log, key
        self._images = _Images(study.image_source().read)
        self._progress, self._total = progress, total
        answered = log.of("answer")
        self._had = {(r["sample_id"], r["k"], r["repeat"]) for r in answered}
        self._order = 1 + max((r["order"] for r in log.records if "order" in r), default=-1)

    def left(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs without an answer yet."""
        return [job for job in jobs if job.key not in self._had]

    def run(self, jobs: Sequence[Job], endpoints: Mapping[int, Endpoint]) -> None:
        """Ask what is not answered yet."""
        left = self.left(jobs)
        if not left:
            return
        self._log.append(
            {
                "kind": "session",
                "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "concurrency": self._asking.concurrency,
                "endpoints": [asdict(endpoint) for endpoint in endpoints.values()],
                "timeouts": asdict(self._asking.timeouts),
                "patience": asdict(self._asking.patience),
            }
        )
        self._warm(left, endpoints)
        with self._progress("answers", self._total, len(self._had)) as bar:
            for outcome in self._ask(left, endpoints, self._order, self._asking.concurrency):
                self._keep(outcome)
                if outcome.reply is not None:
                    bar.update(1)

    def _warm(self, jobs: Sequence[Job], endpoints: Mapping[int, Endpoint]) -> None:
        """Ask each server something first: its first request loads and compiles."""
        first = {job.k: job for job in reversed(jobs)}
        warm = [job for job in first.values() for _ in range(self._asking.warmup)]
        for _ in self._ask(warm, endpoints, 0, 1):
            pass

    def _ask(
        self, jobs: Sequence[Job], endpoints: Mapping[int, Endpoint], first: int, concurrency: int
    ) -> Iterator[Outcome]:
        asking = self._asking
        return ask_all(
            jobs, endpoints, self._body, concurrency=concurrency, patience=asking.patience,
            timeouts=asking.timeouts, key=self._key, seed=self._seed, first=first,
        )  # fmt: skip

    def _body(self, job: Job, endpoint: Endpoint) -> bytes:
        asking = self._asking
        return chat_body(
            job.question,
            self._images.get(job.image_id),
            model=endpoint.model,
            max_tokens=asking.max_tokens,
            seed=self._seed,
            more=_cold(endpoint.kind, job) | dict(asking.more),
        )

    def _keep(self, outcome: Outcome) -> None:
        job, reply = outcome.job, outcome.reply
        self._order = max(self._order, outcome.order + 1)
        about = {"sample_id": job.sample_id, "k": job.k, "repeat": job.repeat}
        about |= {"order": outcome.order, "tries": outcome.tries}
        if reply is None:
            self._log.append({"kind": "failure", **about, "error": outcome.error})
            return
        self._had.add(job.key)
        measured = asdict(reply) | {"batch": self._asking.concurrency}
        self._log.append({"kind": "answer", **about, **measured})


class _Images:
    """Images as data URLs; the last few are kept, for the k of one question come together."""

    def __init__(self, read: Callable[[str], bytes], kept: int = 64) -> None:
        self._read, self._kept = read, kept
        self._lock = threading.Lock()
        self._urls: OrderedDict[str, str] = OrderedDict()

    def get(self, image_id: str) -> str:
        """Return an image; for threads."""
        with self._lock:
            if image_id not in self._urls:
                self._urls[image_id] = data_url(self._read(image_id))
                while len(self._urls) > self._kept:
                    self._urls.popitem(last=False)
            return self._urls[image_id]


def _cold(kind: str, job: Job) -> dict[str, Any]:
    """Ask a server not to answer from an earlier prompt's cache: that would be its time, not k's.

    llama.cpp has a switch; vLLM keeps prompts of different salts apart.
    """
    if kind == "llamacpp":
        return {"cache_prompt": False}
    if kind == "vllm":
        return {"cache_salt": f"{job.sample_id}/{job.repeat}/{os.urandom(8).hex()}"}
    return {}


def _chosen(study: Study, samples: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    if n is None or n >= len(samples):
        return samples
    from analysis.collection.sampling import complexity_of, stratified

    return stratified(samples, complexity_of(study), n, seed=seed)


def _blocks(servers: Servers, seed: int) -> list[set[int]]:
    """Group the k whose servers run at one time, in the order to start them."""
    if servers.together:
        return [set(servers.all_k)]
    ks = np.array(servers.all_k)
    return [{int(k)} for k in np.random.default_rng([seed, 0xB1]).permutation(ks)]


def _check(servers: Servers, asking: Asking) -> None:
    if servers.template is not None:
        if servers.urls:
            raise InputError("give --endpoint or --serve, not both")
        check_template(servers.template)
        wrong = [k for k in servers.ks if k < 1]
        if wrong or not servers.ks:
            raise InputError(
                f"--k: {listing(wrong) or 'none given'}; --serve needs the k to start servers at, "
                f"whole numbers from 1"
            )
        if len(set(servers.ks)) < len(servers.ks):
            raise InputError("--k: a k is there twice; name each once")
    elif not servers.urls:
        raise InputError("no server: give --endpoint K=URL for every k, or --serve COMMAND")
    for option, value in (
        ("--repeats", asking.repeats),
        ("--concurrency", asking.concurrency),
        ("--max-new-tokens", asking.max_tokens),
        ("--tries", asking.patience.tries),
    ):
        if value < 1:
            raise InputError(f"{option}: {value} is too few; give 1 or more")
    if asking.warmup < 0:
        raise InputError(f"--warm-up: {asking.warmup} is too few; give 0 or more")


def _common_name(endpoints: Any, servers: Servers) -> str:
    names = sorted({endpoint.model or "" for endpoint in endpoints})
    if servers.template is not None or len(names) != 1 or not names[0]:
        why = (
            "servers that are yet to be started have no name"
            if servers.template is not None
            else f"the servers do not agree on a name ({listing(n or 'none' for n in names)})"
        )
        raise InputError(f"--name: {why}; give the name that the tables shall have")
    return names[0]


def _fingerprint(samples: pd.DataFrame) -> str:
    """Tell one set of questions from another."""
    rows = samples[["sample_id", "image_id", "question"]].to_numpy(dtype=object).tolist()
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]


class _Silence:
    def update(self, n: int) -> None:
        """Show nothing."""


def _silent(name: str, total: int, initial: int) -> Any:
    return nullcontext(_Silence())
