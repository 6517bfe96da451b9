"""One question to an OpenAI-compatible server, streamed and timed.

The standard library's client is used with one blocking connection per thread: a token's time is
then taken where its bytes arrive, with no event loop in between, and nothing need be installed.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from complexity.errors import InputError

_LONGEST = 64 * 1024 * 1024
_SHOWN = 300
#: Answers that another try may mend: time-out, conflict, too early, too many requests.
_PASSING = frozenset({408, 409, 425, 429})
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


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


class _LetGo(RequestFailed):
    """The server closed the connection without a word."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes
    ----------
    connect : float
        For a connection.
    silence : float
        For the next byte; the first token's wait is such a silence.
    whole : float
        For a whole answer, however steadily it drips.
    """

    connect: float = 10.0
    silence: float = 120.0
    whole: float = 600.0


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


def data_url(data: bytes) -> str:
    """Spell an image file as a data URL.

    PNG, JPEG, GIF and WebP go as they are; other formats are decoded and sent as PNG.

    Parameters
    ----------
    data : bytes
        An image file.

    Returns
    -------
    str
        ``data:image/…;base64,…``

    Raises
    ------
    complexity.image.UnreadableImage
        Another format, and it cannot be decoded.
    """
    kind = next((name for magic, name in _MAGIC if data.startswith(magic)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        kind, data = "image/png", _as_png(data)
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _as_png(data: bytes) -> bytes:
    import io

    from PIL import Image

    from complexity.image import UnreadableImage

    made = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.convert("RGB").save(made, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from error
    return made.getvalue()


def chat_body(
    question: str, image: str | None, *, model: str | None, max_tokens: int, seed: int,
    more: Mapping[str, Any] | None = None,
) -> bytes:  # fmt: skip
    """Spell a greedy, streamed chat completion: the image, then the question.

    Parameters
    ----------
    question : str
        The text.
    image : str or None
        A data URL; None asks without an image.
    model : str or None
        The name the server knows the model by; None leaves it out.
    max_tokens : int
        Longest answer.
    seed : int
        Sent along; greedy decoding does not need it.
    more : mapping, optional
        Further fields; they win over ours.

    Returns
    -------
    bytes
        JSON.
    """
    parts: list[dict[str, Any]] = []
    if image is not None:
        parts.append({"type": "image_url", "image_url": {"url": image}})
    parts.append({"type": "text", "text": question})
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "seed": seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if model is not None:
        body["model"] = model
    return json.dumps(body | dict(more or {}), ensure_ascii=False).encode()


@dataclass
class Connection:
    """A kept connection to one server, for one thread.

    Parameters
    ----------
    base : str
        The server's URL, with or without ``/v1``.
    timeouts : Timeouts
        How long to wait.
    key : str or None
        Sent as a bearer token.
    """

    base: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        self._host, self._port = parts.hostname or "", parts.port
        self._safe = parts.scheme == "https"
        self._root = parts.path.rstrip("/").removesuffix("/v1")
        self._open: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def get(self, path: str) -> Any:
        """Fetch JSON, such as ``/v1/models``.

        Raises
        ------
        RequestFailed
            No server, no such path, or no JSON.
        """
        try:
            response = self._send("GET", path, None)
            content = b"".join(_pieces(response, self._deadline(), self._socket))
            return json.loads(content)
        except (ValueError, UnicodeDecodeError) as error:
            raise RequestFailed(f"{path}: not JSON ({error})", lasting=True) from error
        finally:
            self.close()

    def ask(self, body: bytes) -> Reply:
        """Ask one question and wait for the whole answer.

        Parameters
        ----------
        body : bytes
            From `chat_body`.

        Returns
        -------
        Reply
            Times from just before the request is sent over an open connection.

        Raises
        ------
        RequestFailed
            No whole answer, and whether another try may mend it.
        """
        deadline = self._deadline()
        response, start = self._post(body)
        whole = False
        try:
            reply = _read(_events(_pieces(response, deadline, self._socket)), start)
            whole = response.isclosed() and not response.will_close
            return reply
        finally:
            # What is left of a broken answer must not be taken for the next one.
            if not whole:
                response.close()
                self.close()

    def _post(self, body: bytes) -> tuple[http.client.HTTPResponse, float]:
        """Send a question, over a fresh connection where the server let go of the kept one."""
        kept = self._open is not None
        self._connect()
        start = time.perf_counter()
        try:
            return self._send("POST", "/v1/chat/completions", body), start
        except _LetGo:
            if not kept:
                raise
            self._connect()
            start = time.perf_counter()
            return self._send("POST", "/v1/chat/completions", body), start

    def _deadline(self) -> float:
        return time.perf_counter() + self.timeouts.whole

    def _connect(self) -> http.client.HTTPConnection:
        if self._open is not None and self._open.sock is not None:
            return self._open
        kind = http.client.HTTPSConnection if self._safe else http.client.HTTPConnection
        made = kind(self._host, self._port, timeout=self.timeouts.connect)
        try:
            made.connect()
        except (OSError, http.client.HTTPException) as error:
            lasting = isinstance(error, ssl.SSLCertVerificationError)
            raise RequestFailed(
                f"no connection to {self.base}: {_plain(error)}", unreachable=True, lasting=lasting
            ) from error
        # A request and its first token are small: waiting to fill packets would be measured.
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open = made
        return made

    def _send(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, */*"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        connection = self._connect()
        # Kept apart: a response that ends its connection takes the socket over from it.
        self._socket = connection.sock
        self._socket.settimeout(self.timeouts.silence)
        try:
            connection.request(method, self._root + path, body=body, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            gone = isinstance(error, http.client.RemoteDisconnected | ConnectionError)
            raise (_LetGo if gone else RequestFailed)(f"no answer: {_plain(error)}") from error
        if response.status != 200:
            failed = _refused(response, self._deadline(), self._socket)
            response.close()
            self.close()
            raise failed
        return response


def _refused(
    response: http.client.HTTPResponse, deadline: float, sock: socket.socket | None
) -> RequestFailed:
    try:
        content = b"".join(_pieces(response, deadline, sock)).decode("utf-8", "replace")
    except RequestFailed:
        content = ""
    said = " ".join(content.split())[:_SHOWN]
    passing = response.status in _PASSING or (response.status >= 500 and response.status != 501)
    return RequestFailed(
        f"HTTP {response.status} {response.reason}" + (f": {said}" if said else ""),
        lasting=not passing,
        wait_s=_wait(response.headers.get("Retry-After")),
        status=response.status,
    )


def _wait(header: str | None) -> float:
    """Read Retry-After: seconds, or a date."""
    if header is None:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0


def _pieces(
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
        try:
            piece = response.read1(65536)
        except TimeoutError as error:
            raise RequestFailed("the server fell silent") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RequestFailed(f"the connection broke: {_plain(error)}") from error
        if not piece:
            return
        total += len(piece)
        if total > _LONGEST:
            raise RequestFailed("the answer does not end", lasting=True)
        yield piece


def _events(pieces: Iterator[bytes]) -> Iterator[tuple[str, float]]:
    """Yield the data of server-sent events with the time when their last byte came.

    An event is one ``data:`` line here: none of the servers splits JSON over lines.
    """
    rest = b""
    for piece in pieces:
        now = time.perf_counter()
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].decode("utf-8", "replace").strip(), now
    if rest.startswith(b"data:"):
        yield rest[5:].decode("utf-8", "replace").strip(), time.perf_counter()


def _read(events: Iterator[tuple[str, float]], start: float) -> Reply:
    """Put an answer together; one that ends without saying so is refused."""
    texts: list[str] = []
    times: list[float] = []
    finish: str | None = None
    ended: float | None = None
    usage: Mapping[str, Any] = {}
    done = False
    for data, now in events:
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
            lasting = isinstance(code, int) and 400 <= code < 500 and code not in _PASSING
            said = _error(event["error"])
            raise RequestFailed(f"error in the stream: {said}", lasting=lasting)
        if isinstance(event.get("usage"), dict):
            usage = event["usage"]
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {}
            seen = delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning")
            if seen:
                times.append((now - start) * 1000)
            texts.append(delta.get("content") or "")
            if choice.get("finish_reason"):
                finish, ended = str(choice["finish_reason"]), now
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


def _whole_text(pieces: list[str]) -> str:
    """Join pieces of text; halves of a character meet, one that stays alone is replaced."""
    joined = "".join(pieces)
    return joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _error(value: Any) -> str:
    said = value.get("message", value) if isinstance(value, dict) else value
    return " ".join(str(said).split())[:_SHOWN]


def _plain(error: BaseException) -> str:
    said = str(error) or type(error).__name__
    return "it took too long" if isinstance(error, TimeoutError) else said


def checked_url(text: str, where: str) -> str:
    """Check a server's base URL.

    Parameters
    ----------
    text : str
        Such as ``http://localhost:8000`` or ``https://host/v1``.
    where : str
        What asks, for messages.

    Returns
    -------
    str
        The URL without a slash at its end.

    Raises
    ------
    InputError
        Not an http or https URL with a host, or one with a query or a password.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        raise InputError(f"{where}: '{text}' is not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"{where}: '{text}' is not a server's base URL; give one such as http://localhost:8000"
        )
    if parts.query or parts.fragment or parts.username or parts.password:
        raise InputError(
            f"{where}: give the base URL alone, without query or password; name the environment "
            f"variable that holds a key in --api-key-env"
        )
    return text.rstrip("/").removesuffix("/chat/completions")
