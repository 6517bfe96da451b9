"""An OpenAI-compatible server on loopback that misbehaves as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Behaviour = Callable[[int, dict[str, Any]], str]


def question_of(body: dict[str, Any]) -> str:
    return str(body["messages"][0]["content"][-1]["text"])


class FaultyServer:
    """Answers ``answer`` in two pieces, unless `behave` (request number, body) says otherwise.

    fine | status N | drop | stall | truncate | malformed | error | odd | silent-finish | empty
    """

    def __init__(
        self, behave: Behaviour = lambda n, body: "fine", answer: str = "42", **model: Any
    ) -> None:
        self.behave = behave
        self.answer = answer
        self.model = {"id": "m", "owned_by": "test"} | model
        self.headers: dict[str, str] = {}
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.connections: set[Any] = set()
        self.in_flight = self.most = 0
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.Lock()
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultyServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                found = self.path == "/v1/models"
                content = json.dumps({"data": [outer.model]} if found else {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    number = len(outer.bodies)
                    outer.bodies.append(body)
                    outer.keys.append(self.headers.get("Authorization"))
                    outer.connections.add(self.client_address)
                    outer.in_flight += 1
                    outer.most = max(outer.most, outer.in_flight)
                try:
                    outer.gate.wait(20)
                    self.act(outer.behave(number, body), number)
                except OSError:  # the client gave up
                    self.close_connection = True
                finally:
                    with outer.lock:
                        outer.in_flight -= 1

            def act(self, what: str, number: int) -> None:
                if what.startswith("status"):
                    content = json.dumps({"error": {"message": f"no {number}"}}).encode()
                    self.send_response(int(what.split()[1]))
                    for name, value in outer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.event({"choices": [{"delta": {"role": "assistant", "content": None}}]})
                if what == "empty":
                    self.finish_reason("stop", 0)
                    return
                half = len(outer.answer) // 2
                self.piece(outer.answer[:half])
                if what == "stall":
                    outer.ended.wait(20)
                if what == "malformed":
                    self.chunk(b'data: {"choices": [\n\n')
                if what == "error":
                    self.event({"error": {"message": "out of memory", "code": 500}})
                if what == "odd":
                    self.event({"choices": ["text"]})
                if what == "drop":
                    self.close_connection = True
                    return
                if what == "truncate":
                    self.chunk(b"")
                    return
                self.piece(outer.answer[half:])
                if what == "silent-finish":
                    self.chunk(b"data: [DONE]\n\n")
                    self.chunk(b"")
                    return
                self.finish_reason("stop", 2)

            def finish_reason(self, why: str, tokens: int) -> None:
                self.event({"choices": [{"delta": {}, "finish_reason": why}]})
                self.event(
                    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}}
                )
                self.chunk(b"data: [DONE]\n\n")
                self.chunk(b"")

            def piece(self, text: str) -> None:
                self.event({"choices": [{"delta": {"content": text}}]})

            def event(self, content: dict[str, Any]) -> None:
                self.chunk(b"data: " + json.dumps(content).encode() + b"\n\n")

            def chunk(self, content: bytes) -> None:
                self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
                self.wfile.flush()

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of clients that were killed."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
