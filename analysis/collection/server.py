"""One question to an OpenAI-compatible server, streamed and timed.

The standard library's client is used with one blocking connection per thread: a token's time is
then taken where its bytes arrive, with no event loop in between, and nothing need be installed.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from analysis.collection.server_stream import (
    PASSING,
    SHOWN,
    Reply,
    RequestFailed,
    acknowledge_at_once,
    events,
    pieces,
    plain,
    read_reply,
)


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
            content = b"".join(pieces(response, self._deadline(), self._socket))
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
            reply = read_reply(events(pieces(response, deadline, self._socket)), start)
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
                f"no connection to {self.base}: {plain(error)}", unreachable=True, lasting=lasting
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
            acknowledge_at_once(self._socket)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            gone = isinstance(error, http.client.RemoteDisconnected | ConnectionError)
            raise (_LetGo if gone else RequestFailed)(f"no answer: {plain(error)}") from error
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
        content = b"".join(pieces(response, deadline, sock)).decode("utf-8", "replace")
    except RequestFailed:
        content = ""
    said = " ".join(content.split())[:SHOWN]
    passing = response.status in PASSING or (response.status >= 500 and response.status != 501)
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
