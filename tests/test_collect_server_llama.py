"""Servers that Optik starts and ends itself, real llama.cpp servers among them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest
from gguf_models import write_moe, write_projector
from server_study import server_study
from typer.testing import CliRunner

from analysis.cli import app
from analysis.collection.endpoints import served
from analysis.collection.server import Connection, Timeouts
from analysis.collection.server_request import chat_body, data_url
from complexity.errors import InputError

PROGRAM = Path(__file__).with_name("llama_server.py")
KS = (1, 2, 8)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command that serves a tiny random model at k, images and all."""
    folder = tmp_path_factory.mktemp("gguf")
    for k in KS:
        write_moe(folder / f"moe-{k}.gguf", k)
    projector = write_projector(folder / "projector.gguf")
    words = [sys.executable, str(PROGRAM), f"{folder}/moe-{{k}}.gguf", str(projector), "{port}"]
    return shlex.join(words)


def sweep(template: str, study: Path, out: Path, *more: str) -> pd.DataFrame:
    arguments = ["collect", str(study), "--serve", template, "--k", "1,2,8", "--name", "tiny"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(out), "--max-new-tokens=6", *more])
    assert done.exit_code == 0, done.output
    assert "k = 1, 2, 8: k is what the servers printed when they started" in done.stdout
    return pd.read_csv(out)


def test_a_real_server_per_k_answers_about_images(template: str, tmp_path: Path) -> None:
    path = server_study(tmp_path / "study", questions=4, images=2)
    first = sweep(template, path, tmp_path / "a.csv")
    assert len(first) == 12 and set(first["k"]) == set(KS)
    # Servers side by side answer as those that run one after another.
    second = sweep(template, path, tmp_path / "b.csv", "--together", "--concurrency=2")
    pd.testing.assert_series_equal(first["prediction"], second["prediction"])
    # k is a matter of the model's: random experts say other things at another k.
    said = {k: part["prediction"].tolist() for k, part in first.groupby("k")}
    assert all(one != eight for one, eight in zip(said[1], said[8], strict=True))
    latency = pd.read_csv(tmp_path / "a.latency.csv")
    assert (latency["n_new_tokens"] == 6).all() and (latency["n_prompt_tokens"] > 10).all()
    assert (latency["ttft_ms"] > 0).all() and (latency["decode_ms"] > 0).all()
    log = [json.loads(line) for line in (tmp_path / "a.log.jsonl").read_text().splitlines()]
    endpoints = [
        e for record in log if record.get("kind") == "session" for e in record["endpoints"]
    ]
    assert [e["kind"] for e in endpoints] == ["llamacpp"] * 3
    assert all(e["basis"] == "logged" for e in endpoints)


def test_the_image_reaches_a_real_model(template: str, tmp_path: Path) -> None:
    from server_study import png

    with served(template, 2) as endpoint, Connection(endpoint.url) as connection:
        said = [
            connection.ask(chat_body("what?", image, model=endpoint.model, max_tokens=8, seed=0))
            for image in (data_url(png(1)), data_url(png(1)), data_url(png(2)), None)
        ]
    assert said[0].text == said[1].text != said[2].text
    counts = [reply.n_prompt_tokens or 0 for reply in said]
    assert counts[0] == counts[2] > counts[3] > 0
    assert len(said[0].token_ms) > 1


def test_a_server_at_another_k_than_said_is_refused(template: str) -> None:
    wrong = template.replace("moe-{k}", "moe-1") + " {k}"
    with (
        pytest.raises(InputError, match=r"k = 8, .*says \(logged\) that it runs at k = 1"),
        served(wrong, 8),
    ):
        pass


STAND_IN = """
import os, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = b'{"data": [{"id": "m"}]}' if self.path == "/v1/models" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *args):
        pass

sleeper = "import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", sleeper])
with open(sys.argv[2], "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def stand_in(folder: Path) -> tuple[str, Path]:
    """Write a server with a child of its own; return its command and the file of their ids."""
    (folder / "server.py").write_text(STAND_IN)
    names = folder / "pids.txt"
    words = [sys.executable, str(folder / "server.py"), "{port}", str(names), "{k}"]
    return shlex.join(words), names


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for yet does not."""
    if sys.platform == "win32":
        listed = subprocess.run(["tasklist", "/FI", f"PID eq {pid}"], capture_output=True)
        return str(pid).encode() in listed.stdout
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True)
    state = listed.stdout.decode().strip()
    return bool(state) and not state.startswith("Z")


def all_gone(pids: list[int]) -> bool:
    for _ in range(300):
        if not any(map(alive, pids)):
            return True
        time.sleep(0.05)
    return False


def test_a_server_and_its_children_end_with_the_sweep(tmp_path: Path) -> None:
    command, names = stand_in(tmp_path)
    with served(command, 3) as endpoint:
        assert (endpoint.k, endpoint.basis, endpoint.model) == (3, "claimed", "m")
        pids = [int(part) for part in names.read_text().split()]
        assert all(map(alive, pids))
    assert all_gone(pids)


def test_a_server_ends_when_the_sweep_is_killed(tmp_path: Path) -> None:
    command, names = stand_in(tmp_path)
    code = f"""
        from analysis.collection.endpoints import served
        with served({command!r}, 3):
            print("up", flush=True)
            import time
            time.sleep(600)
    """
    sweep = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert sweep.stdout is not None and sweep.stdout.readline().strip() == b"up"
    pids = [int(part) for part in names.read_text().split()]
    assert all(map(alive, pids))
    sweep.kill()
    sweep.communicate()
    assert all_gone(pids)


def test_a_server_that_ends_or_never_listens_shows_its_last_lines(tmp_path: Path) -> None:
    ends = shlex.join([sys.executable, "-c", "print('no such model'); exit(3)", "{k}", "{port}"])
    with pytest.raises(InputError, match=r"(?s)k = 2 ended with 3 before.*no such model"):
        served(ends, 2).__enter__()
    sleeps = [sys.executable, "-u", "-c", "import time; print('loading'); time.sleep(60)"]
    silent = shlex.join([*sleeps, "{k}", "{port}"])
    with pytest.raises(InputError, match=r"(?s)not ready after 2 s.*loading"):
        served(silent, 2, ready_s=2, timeouts=Timeouts()).__enter__()
