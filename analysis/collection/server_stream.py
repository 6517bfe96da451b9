"""An answer as it streams in: bytes, events, text with the times of its pieces."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 64 * 1024 * 1024
SHOWN = 300
#: Statuses that another try may mend: time-out, conflict, too early, too many requests.
PASSING = frozenset({408, 409, 425, 429})


class RequestFailed(Exception):
    """A request that gave no whole answer.

    Attributes
    ----------
    lasting : bool
        Whether another try would fail alike.
    unreachable : bool
        Whether no server was there at all.
    wait_s : float
        Seconds that the server asked to wait before the next try; 0 where it did not.
    status : int or None
        The HTTP status, where it was another than 200.
    """

    def __init__(
        self, what: str, *, lasting: bool = False, unreachable: bool = False, wait_s: float = 0,
        status: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(what)
        self.status = status
        self.lasting = lasting
        self.unreachable = unreachable
        self.wait_s = wait_s


@dataclass(frozen=True)
class Reply:
    """A whole answer and when it came.

    Attributes
    ----------
    text : str
        The answer.
    ttft_ms : float or None
        Sending the request to the first token; None for an answer without any.
    total_ms : float
        Sending the request to the end of generation: where the server says why it ended.
    token_ms : tuple of float
        When each piece of text came; a server may put several tokens into a piece.
    n_prompt_tokens, n_new_tokens : int or None
        As the server counts them (image tokens are among the prompt's); None where it does not.
    finish : str or None
        Why generation ended: ``stop``, ``length``.
    """

    text: str
    ttft_ms: float | None
    total_ms: float
    token_ms: tuple[float, ...]
    n_prompt_tokens: int | None
    n_new_tokens: int | None
    finish: str | None

    @property
    def decode_ms(self) -> float | None:
        """All tokens after the first, ms; None for an answer without any."""
        return None if self.ttft_ms is None else self.total_ms - self.ttft_ms


def acknowledge_at_once(sock: socket.socket) -> None:
    """Let the next bytes be acknowledged as they arrive, where the system can (Linux).

    Servers that gather small writes (Nagle's algorithm) hold a token back until the one before is
    acknowledged, and systems put that off by 40 ms or more: tokens would come late, in bunches.
    The setting does not last; it is made before every read.
    """
    option = getattr(socket, "TCP_QUICKACK", None)
    if option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, 1)


def pieces(
    response: http.client.HTTPResponse, deadline: float, sock: socket.socket | None
) -> Iterator[bytes]:
    """Yield bytes as they arrive, until the response ends or its time is up."""
    total = 0
    while True:
        left = deadline - time.perf_counter()
        if left <= 0:
            raise RequestFailed("the answer took too long")
        if sock is not None and sock.fileno() >= 0:
            sock.settimeout(min(left, sock.gettimeout() or left))
            acknowledge_at_once(sock)
        try:
            piece = response.read1(65536)
        except TimeoutError as error:
            raise RequestFailed("the server fell silent") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RequestFailed(f"the connection broke: {plain(error)}") from error
        if not piece:
            return
        total += len(piece)
        if total > _LONGEST:
            raise RequestFailed("the answer does not end", lasting=True)
        yield piece


def events(arriving: Iterator[bytes]) -> Iterator[tuple[str, float]]:
    """Yield the data of server-sent events with the time when their last byte came.

    An event is one ``data:`` line here: none of the servers splits JSON over lines.
    """
    rest = b""
    for piece in arriving:
        now = time.perf_counter()
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].decode("utf-8", "replace").strip(), now
    if rest.startswith(b"data:"):
        yield rest[5:].decode("utf-8", "replace").strip(), time.perf_counter()


def read_reply(stream: Iterator[tuple[str, float]], start: float) -> Reply:
    """Put an answer together; one that ends without saying so is refused."""
    texts: list[str] = []
    times: list[float] = []
    finish: str | None = None
    ended: float | None = None
    usage: Mapping[str, Any] = {}
    done = False
    for data, now in stream:
        if data == "[DONE]":
            done = True
            continue
        try:
            event = json.loads(data)
            if not isinstance(event, dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise RequestFailed(f"not JSON in the stream: {data[:80]!r}") from error
        if event.get("error"):
            code = event["error"].get("code") if isinstance(event["error"], dict) else None
            lasting = isinstance(code, int) and 400 <= code < 500 and code not in PASSING
            said = _error(event["error"])
            raise RequestFailed(f"error in the stream: {said}", lasting=lasting)
        if isinstance(event.get("usage"), dict):
            usage = event["usage"]
        for choice in event.get("choices") or []:
            said, thought, why = _piece(choice)
            if said or thought:
                times.append((now - start) * 1000)
            texts.append(said)
            if why:
                finish, ended = why, now
    if finish is None and not done:
        raise RequestFailed("the stream ended before the answer did")
    total = (ended - start) * 1000 if ended is not None else (times[-1] if times else None)
    if total is None:
        raise RequestFailed("the stream ended without an answer")
    return Reply(
        _whole_text(texts),
        times[0] if times else None,
        total,
        tuple(times),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        finish,
    )


def _piece(choice: Any) -> tuple[str, str, str | None]:
    """Take text, thoughts before it, and the reason for ending from one piece of an answer."""
    try:
        delta = choice.get("delta") or {}
        said = delta.get("content") or ""
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        why = choice.get("finish_reason")
        if isinstance(said, str):
            return said, str(thought), None if why is None else str(why)
    except AttributeError:
        pass
    raise RequestFailed(f"not a chat completion in the stream: {str(choice)[:80]}", lasting=True)


def _whole_text(pieces: list[str]) -> str:
    """Join pieces of text; halves of a character meet, one that stays alone is replaced."""
    joined = "".join(pieces)
    return joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _error(value: Any) -> str:
    said = value.get("message", value) if isinstance(value, dict) else value
    return " ".join(str(said).split())[:SHOWN]


def plain(error: BaseException) -> str:
    """Say what went wrong with a connection."""
    said = str(error) or type(error).__name__
    return "it took too long" if isinstance(error, TimeoutError) else said
