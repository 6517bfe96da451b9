"""Which server serves which k: given by its URL, or started from a command template."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from analysis.collection import keeper
from analysis.collection.server import Connection, Timeouts
from analysis.collection.server_request import checked_url
from analysis.collection.server_stream import RequestFailed
from complexity.errors import InputError, listing

Basis = Literal["reported", "logged", "claimed"]

_NAMES = frozenset({"expert_used_count", "n_expert_used", "num_experts_per_tok", "moe_topk"})
# What llama.cpp prints on loading a model, overrides taken in (log verbosity 4 or more).
_LOGGED = re.compile(r"n_expert_used\s*=\s*(\d+)")
_LINES = 12


@dataclass(frozen=True)
class Endpoint:
    """A server that runs the model at one k.

    Attributes
    ----------
    k : int
        Number of active experts.
    url : str
        Base URL.
    kind : str
        What serves: ``llamacpp``, ``vllm``, as `/v1/models` says, else ``unknown``.
    model : str or None
        The name to ask for.
    basis : {"reported", "logged", "claimed"}
        How k is known: the server reports it, printed it when it started, or it is only what the
        user says.
    """

    k: int
    url: str
    kind: str
    model: str | None
    basis: Basis


def parse_endpoints(given: Iterable[str]) -> dict[int, str]:
    """Read ``K=URL`` texts.

    Parameters
    ----------
    given : iterable of str
        One per server.

    Returns
    -------
    dict of int to str
        k to base URL, in ascending k.

    Raises
    ------
    InputError
        Not ``K=URL``, a k below 1 or given twice, one URL for two k.
    """
    found: dict[int, str] = {}
    for text in given:
        head, sign, url = text.partition("=")
        if not sign or not head.strip().isdecimal() or int(head) < 1:
            raise InputError(
                f"--endpoint {text}: give K=URL with a whole k of at least 1, such as "
                f"--endpoint 4=http://localhost:8004"
            )
        k = int(head)
        if k in found:
            raise InputError(f"--endpoint {text}: k = {k} was given before; one server per k")
        url = checked_url(url.strip(), f"--endpoint {text}")
        same = [other for other, taken in found.items() if taken == url]
        if same:
            raise InputError(
                f"--endpoint {text}: this URL was given for k = {same[0]} too; a server runs one "
                f"k, chosen when it starts: start one per k"
            )
        found[k] = url
    return dict(sorted(found.items()))


def probe(
    k: int, url: str, *, model: str | None = None, key: str | None = None,
    timeouts: Timeouts | None = None, log: str = "",
) -> Endpoint:  # fmt: skip
    """Ask a server what it is, and check its k where it can be known.

    Parameters
    ----------
    k : int
        What it is meant to run at.
    url : str
        Base URL.
    model : str, optional
        The name to ask for; by default the first that the server lists.
    key : str, optional
        Bearer token.
    timeouts : Timeouts, optional
        How long to wait.
    log : str
        What the server printed so far, where that is known.

    Returns
    -------
    Endpoint

    Raises
    ------
    InputError
        It does not answer, does not have the model, or runs at another k.
    """
    connection = Connection(url, timeouts or Timeouts(), key)
    where = f"k = {k}, {url}"
    try:
        models = connection.get("/v1/models")
    except RequestFailed as error:
        raise InputError(
            f"{where}: {error}; start an OpenAI-compatible server there, and correct the URL or "
            f"the key if it runs"
        ) from error
    entries = models.get("data") if isinstance(models, dict) else None
    rows = [row for row in entries or [] if isinstance(row, dict) and row.get("id")]
    names = [str(row["id"]) for row in rows]
    if model is not None and names and model not in names:
        raise InputError(
            f"{where}: the server has no model '{model}'; it has {listing(names)}: name one of "
            f"these in --served-model, or leave the option out"
        )
    kind = str(rows[0].get("owned_by", "unknown")) if rows else "unknown"
    chosen = [row for row in rows if model is None or row["id"] == model]
    said: list[tuple[Basis, int]] = [("reported", n) for n in _stated(chosen[:1])]
    if kind in ("llamacpp", "unknown"):
        with contextlib.suppress(RequestFailed):
            said += [("reported", n) for n in _stated(connection.get("/props"))]
    said += [("logged", int(n)) for n in _LOGGED.findall(log)[-1:]]
    for basis, found in said:
        if found != k:
            raise InputError(
                f"{where}: the server says ({basis}) that it runs at k = {found}; start it with "
                f"k = {k}, or name it as the server of k = {found}"
            )
    name = model if model is not None else (names[0] if names else None)
    return Endpoint(k, url, kind, name, said[0][0] if said else "claimed")


def _stated(value: Any) -> list[int]:
    """Find the numbers of active experts in a server's JSON, however deep."""
    if isinstance(value, Mapping):
        own = [
            int(item)
            for name, item in value.items()
            if str(name).rsplit(".", 1)[-1] in _NAMES and _is_whole(item)
        ]
        return own + [n for item in value.values() for n in _stated(item)]
    if isinstance(value, list):
        return [n for item in value for n in _stated(item)]
    return []


def _is_whole(item: Any) -> bool:
    return (isinstance(item, int) and not isinstance(item, bool)) or (
        isinstance(item, str) and item.isdecimal()
    )


def check_template(template: str) -> None:
    """Refuse a command template that could not start a server per k.

    Raises
    ------
    InputError
        ``{k}`` or ``{port}`` is missing, other braces, or quotes that do not close.
    """
    example = "--serve 'llama-server -m m.gguf --override-kv olmoe.expert_used_count=int:{k} ...'"
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"--serve {template}: {error}; double braces that are meant") from error
    missing = {"k", "port"} - fields
    if missing:
        raise InputError(
            f"--serve {template}: {' and '.join('{' + m + '}' for m in sorted(missing))} missing; "
            f"write {{k}} and {{port}} where they go: {example}"
        )
    if fields - {"k", "port"}:
        raise InputError(
            f"--serve {template}: only {{k}} and {{port}} can be filled in, not "
            f"{listing(sorted(fields - {'k', 'port'}))}; double braces that are meant: {{{{ }}}}"
        )
    if not words:
        raise InputError("--serve: the command is empty")


def command_for(template: str, k: int, port: int) -> list[str]:
    """Fill a command template in.

    Parameters
    ----------
    template : str
        Split as a shell splits words, then ``{k}`` and ``{port}`` are filled in.
    k, port : int
        What goes there.

    Returns
    -------
    list of str
        Program and arguments.

    Raises
    ------
    InputError
        See `check_template`.
    """
    check_template(template)
    return [word.format(k=k, port=port) for word in shlex.split(template)]


def free_port() -> int:
    """Return a port on loopback that nothing listens on."""
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return int(probe_socket.getsockname()[1])


@contextmanager
def served(
    template: str, k: int, *, ready_s: float = 1800.0, key: str | None = None,
    model: str | None = None, timeouts: Timeouts | None = None,
) -> Iterator[Endpoint]:  # fmt: skip
    """Start a server for one k, wait until it is ready, and end it on leaving.

    Parameters
    ----------
    template : str
        A command with ``{k}`` and ``{port}``; split as a shell splits words, run without one.
    k : int
        Number of active experts.
    ready_s : float
        Seconds that loading may take.
    key, model, timeouts
        See `probe`.

    Yields
    ------
    Endpoint
        On loopback.

    Raises
    ------
    InputError
        See `check_template` and `probe`; or it ended or was not ready in time, with the last
        lines that it printed.
    """
    port = free_port()
    command = command_for(template, k, port)
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="optik-server-") as folder:
        printed = Path(folder) / "log.txt"
        with printed.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-I", str(Path(keeper.__file__).resolve()), *command],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_ready(process, url, k, ready_s, printed, key)
            log = printed.read_text(encoding="utf-8", errors="replace")
            yield probe(k, url, model=model, key=key, timeouts=timeouts, log=log)
        finally:
            assert process.stdin is not None
            # The keeper ends the server, with all its children, when this pipe closes.
            process.stdin.close()
            try:
                process.wait(keeper.GRACE_S * 2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(
    process: subprocess.Popen[bytes], url: str, k: int, ready_s: float, printed: Path,
    key: str | None,
) -> None:  # fmt: skip
    connection = Connection(url, Timeouts(connect=2.0, silence=5.0, whole=10.0), key)
    until = time.monotonic() + ready_s
    while True:
        status = process.poll()
        if status is not None:
            raise InputError(
                f"--serve: the server for k = {k} ended with {status} before it was ready"
                f"{_last(printed)}"
            )
        try:
            # A server that loads answers 503, or not at all.
            connection.get("/v1/models")
            return
        except RequestFailed as error:
            if error.status in (401, 403):
                raise InputError(
                    f"--serve: the server for k = {k} wants a key ({error}); name the environment "
                    f"variable that holds it in --api-key-env"
                ) from error
        if time.monotonic() > until:
            raise InputError(
                f"--serve: the server for k = {k} was not ready after {ready_s:g} s{_last(printed)}"
            )
        time.sleep(0.1)


def _last(printed: Path) -> str:
    lines = printed.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LINES:]
    return "; its last lines:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
