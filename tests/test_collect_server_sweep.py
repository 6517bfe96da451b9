"""A sweep of k over servers: what is written, and that nothing is lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from server_faults import FaultyServer, question_of
from server_study import png, server_study
from typer.testing import CliRunner

from analysis.cli import app
from analysis.collection.server import Timeouts
from analysis.collection.server_asking import Patience
from analysis.collection.server_sweep import Asking, Servers, collect_from_servers, plan_jobs
from analysis.manifest import load_study
from analysis.results import read_latency, read_results
from complexity.errors import InputError

KS = (1, 2, 4)
ASKING = Asking(
    max_tokens=4, patience=Patience(tries=2, first_s=0.01), timeouts=Timeouts(2, 5, 20), warmup=0
)


@contextmanager
def three(**model: Any) -> Iterator[dict[int, FaultyServer]]:
    """Servers of k = 1, 2, 4 that answer every question with their k."""
    with ExitStack() as stack:
        yield {k: stack.enter_context(FaultyServer(answer=f" {k}", **model)) for k in KS}


def servers_at(found: dict[int, FaultyServer], **more: Any) -> Servers:
    return Servers(urls={k: server.url for k, server in found.items()}, **more)


def command(found: dict[int, FaultyServer], study: Path, out: Path, *more: str) -> list[str]:
    where = [f"--endpoint={k}={server.url}" for k, server in found.items()]
    return ["collect", str(study), *where, "-o", str(out), *more]


def test_the_tables_are_those_that_a_study_reads(tmp_path: Path) -> None:
    path = server_study(tmp_path / "study")
    out = tmp_path / "study" / "collected.parquet"
    with three(meta={}) as found:
        done = CliRunner().invoke(app, command(found, path, out, "--concurrency=2"))
    assert done.exit_code == 0, done.output
    assert "18 answers" in done.stdout
    assert "k = 1, 2, 4: the servers do not report their k; it is as given" in done.stdout
    manifest = path.read_text() + "\nresults: [{path: collected.parquet}]\n"
    path.write_text(manifest + "latency: [{path: collected.latency.parquet}]\n")
    study = load_study(path)
    results, _ = read_results(study)
    assert len(results) == 18 and (results["model"] == "m").all()
    assert (results["prediction"] == results["k"].astype(str)).all()
    assert (results["score"] == (results["k"] == 2)).all()
    latency, _ = read_latency(study)
    assert len(latency) == 18 and sorted(latency["order"]) == list(range(18))
    assert (latency["batch"] == 2).all() and (latency["decode_mode"] == "server").all()
    assert (latency["ttft_ms"] <= latency["total_ms"]).all()
    assert latency["total_ms"].to_numpy() == pytest.approx(
        latency["ttft_ms"].to_numpy() + latency["decode_ms"].to_numpy()
    )
    assert (latency["n_new_tokens"] == 2).all() and (latency["n_prompt_tokens"] == 7).all()
    about = json.loads((tmp_path / "study" / "collected.provenance.json").read_text())
    assert (about["answers"], about["failures"]) == (18, 0)
    assert {e["basis"] for e in about["sessions"][0]["endpoints"]} == {"claimed"}


def test_an_image_goes_before_its_question_with_the_instruction_after(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path, questions=1, images=1))
    with three(owned_by="llamacpp") as found:
        asking = Asking(instruction="One word.", more={"top_k": 1}, warmup=2)
        collect_from_servers(study, servers_at(found), tmp_path / "o.csv", asking=asking)
    for server in found.values():
        assert len(server.bodies) == 3  # two to warm up
        image, text = server.bodies[-1]["messages"][0]["content"]
        assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
        assert text["text"] == "what is 0? One word."
        assert server.bodies[-1]["cache_prompt"] is False and server.bodies[-1]["top_k"] == 1


def test_vllm_is_kept_from_answering_out_of_its_prompt_cache(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path))
    with three(owned_by="vllm") as found:
        collect_from_servers(study, servers_at(found), tmp_path / "o.csv", asking=ASKING)
    salts = [body["cache_salt"] for server in found.values() for body in server.bodies]
    assert len(set(salts)) == len(salts) == 18


def test_every_question_has_its_own_random_order_of_k() -> None:
    samples = pd.DataFrame(
        {"sample_id": [f"s{n}" for n in range(60)], "image_id": "a", "question": "q"}
    )
    jobs = plan_jobs(samples, KS, 2, seed=3)
    assert jobs == plan_jobs(samples, KS, 2, seed=3)
    assert jobs != plan_jobs(samples, KS, 2, seed=4)
    assert len({job.key for job in jobs}) == len(jobs) == 60 * 3 * 2
    orders = Counter(tuple(job.k for job in jobs[i : i + 3]) for i in range(0, len(jobs), 3))
    assert set(map(frozenset, orders)) == {frozenset(KS)} and len(orders) == 6
    assert len({tuple(job.sample_id for job in jobs[i : i + 6]) for i in range(0, 360, 6)}) == 60


def test_failures_are_listed_and_asked_again(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path, **{"images/i1.png": b"no image"}))
    out = tmp_path / "o.csv"

    def behave(n: int, body: dict[str, Any]) -> str:
        return "status 400" if question_of(body) == "what is 3?" else "fine"

    with three() as found:
        found[2].behave = behave
        first = collect_from_servers(study, servers_at(found), out, asking=ASKING)
        failures = pd.read_csv(tmp_path / "o.failures.csv")
        keys = set(zip(failures["sample_id"], failures["k"], strict=True))
        assert keys == {("s3", 2), *((s, k) for s in ("s1", "s4") for k in KS)}
        assert len(first.results) == 18 - 7 == len(first.latency)
        assert failures["error"].str.contains("HTTP 400").sum() == 1
        assert any("7 of 18 requests got no answer" in note for note in first.notes)
        asked = sum(len(server.bodies) for server in found.values())
        (tmp_path / "images" / "i1.png").write_bytes(png(1))
        found[2].behave = lambda n, body: "fine"
        second = collect_from_servers(study, servers_at(found), out, asking=ASKING)
        assert sum(len(server.bodies) for server in found.values()) == asked + 7
    assert len(second.results) == 18 and not len(second.failures)
    assert not (tmp_path / "o.failures.csv").exists()
    assert second.latency["order"].is_unique


@pytest.mark.parametrize(("concurrency", "at"), [(1, {9}), (3, {2, 22})])
def test_killed_at_any_point_nothing_is_lost_or_doubled(
    tmp_path: Path, concurrency: int, at: set[int]
) -> None:
    path = server_study(tmp_path / "study", questions=10)
    out = tmp_path / "o.csv"
    running: list[subprocess.Popen[bytes]] = []
    with three() as found:
        total = 0

        def behave(n: int, body: dict[str, Any]) -> str:
            nonlocal total
            with lock:
                total += 1
                now = total
            if now in at:
                running[-1].kill()  # SIGKILL, with this and other requests in flight
            return "fine"

        lock = found[1].lock
        for server in found.values():
            server.behave = behave
        arguments = command(found, path, out, f"--concurrency={concurrency}", "--seed=5")
        code = "from analysis.cli import main; main()"
        for _ in range(len(at) + 1):
            running.append(
                subprocess.Popen(
                    [sys.executable, "-c", code, *arguments],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            )
            said = running[-1].communicate(timeout=60)[1]
            if running[-1].returncode == 0:
                break
            assert running[-1].returncode != 1, said
            assert not out.exists()
            with (tmp_path / "o.log.jsonl").open("ab") as log:
                log.write(b'{"kind":"answer","sam')  # as if it was killed while writing
        assert running[-1].returncode == 0, said
    assert len(running) == len(at) + 1
    results, latency = pd.read_csv(out), pd.read_csv(tmp_path / "o.latency.csv")
    keys = [(f"s{n}", k) for n in range(10) for k in KS]
    assert list(zip(results["sample_id"], results["k"], strict=True)) == keys
    assert list(zip(latency["sample_id"], latency["k"], strict=True)) == keys
    assert (results["prediction"] == results["k"]).all()
    records = [json.loads(line) for line in (tmp_path / "o.log.jsonl").read_text().splitlines()]
    answers = Counter((r["sample_id"], r["k"]) for r in records if r.get("kind") == "answer")
    assert set(answers) == set(keys) and set(answers.values()) == {1}


def test_a_finished_sweep_asks_nothing_and_writes_the_same(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path))
    out = tmp_path / "o.parquet"
    with three() as found:
        collect_from_servers(study, servers_at(found), out, asking=ASKING)
        before = out.read_bytes(), (tmp_path / "o.latency.parquet").read_bytes()
        asked = sum(len(server.bodies) for server in found.values())
        collect_from_servers(study, servers_at(found), out, asking=ASKING)
        assert sum(len(server.bodies) for server in found.values()) == asked
        assert before == (out.read_bytes(), (tmp_path / "o.latency.parquet").read_bytes())
        other = Asking(max_tokens=9)
        with pytest.raises(InputError, match=r"begun for another request.*max_tokens was 4, is 9"):
            collect_from_servers(study, servers_at(found), out, asking=other)


def test_questions_that_cannot_be_scored_are_refused_before_any_is_asked(tmp_path: Path) -> None:
    rows = b"sample_id,image_id,question,answers\na,i0.png,what?,[]\n"
    study = load_study(server_study(tmp_path, **{"samples.csv": rows}))
    with three() as found, pytest.raises(InputError, match=r"no answer to score by \(a\)"):
        collect_from_servers(study, servers_at(found), tmp_path / "o.csv", asking=ASKING)


def test_an_image_that_is_not_there_fails_alone(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path))
    (tmp_path / "images" / "i2.png").unlink()
    with three() as found:
        done = collect_from_servers(study, servers_at(found), tmp_path / "o.csv", asking=ASKING)
    assert set(done.failures["sample_id"]) == {"s2", "s5"} and len(done.results) == 12
    assert done.failures["error"].str.contains("i2.png").all()


def test_a_part_of_the_questions_is_the_same_part_again(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path, questions=12, images=6))
    asked = []
    for place, seed in enumerate((1, 1, 2)):
        asking = Asking(samples=5, seed=seed, warmup=0)
        with three() as found:
            out = tmp_path / f"o{place}.csv"
            done = collect_from_servers(study, servers_at(found), out, asking=asking)
        assert len(done.results) == 15
        asked.append(sorted(set(done.results["sample_id"])))
    assert asked[0] == asked[1] != asked[2]


def test_a_key_is_sent_and_kept_out_of_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = server_study(tmp_path / "study", questions=1, images=1)
    monkeypatch.setenv("MY_KEY", "very-secret")
    with three() as found:
        arguments = command(found, path, tmp_path / "out" / "o.csv", "--api-key-env=MY_KEY")
        assert CliRunner().invoke(app, arguments).exit_code == 0
        assert all(set(server.keys) == {"Bearer very-secret"} for server in found.values())
    written = list((tmp_path / "out").iterdir())
    assert len(written) == 4
    assert not any(b"very-secret" in file.read_bytes() for file in written)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give --model and --k, or servers in --endpoint or --serve"),
        (["--endpoint", "1=http://127.0.0.1:9", "--serve", "x"], "not both"),
        (["--endpoint", "1=http://127.0.0.1:9"], "k = 1, http.*no connection"),
        (["--endpoint", "1=http://127.0.0.1:9", "--k", "1,2"], "no --endpoint for k = 2"),
        (["--endpoint", "1=http://127.0.0.1:9", "--concurrency", "0"], "--concurrency: 0"),
        (["--endpoint", "1=http://127.0.0.1:9", "--warm-up=-1"], "--warm-up: -1"),
        (["--endpoint", "1=http://h", "--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["--serve", "serve {k} {port}", "--model", "m"], "--serve needs the k"),
        (["--serve", "serve {port}", "--k", "1"], r"\{k\} missing"),
        (["--serve", "serve {k} {port} {x}", "--k", "1"], "not x"),
        (["--serve", "serve '{k} {port}", "--k", "1"], "double braces|quotation"),
        (["--serve", "serve {k} {port}", "--k", "1"], "--name"),
        (["--serve", "no-such-program {k} {port}", "--k", "1", "--name", "m"], "cannot run"),
    ],
)
def test_requests_that_are_wrong(tmp_path: Path, options: list[str], said: str) -> None:
    import re

    path = server_study(tmp_path / "study")
    done = CliRunner().invoke(app, ["collect", str(path), *options, "-o", str(tmp_path / "o.csv")])
    assert done.exit_code == 1
    assert re.search(said, done.output), done.output


def test_servers_that_disagree_on_a_name_need_one(tmp_path: Path) -> None:
    study = load_study(server_study(tmp_path, questions=1))
    with three() as found:
        found[2].model["id"] = "other"
        with pytest.raises(InputError, match=r"do not agree on a name \(m, other\)"):
            collect_from_servers(study, servers_at(found), tmp_path / "o.csv", asking=ASKING)
        done = collect_from_servers(
            study, servers_at(found), tmp_path / "o.csv", model="x", asking=ASKING
        )
        assert set(done.results["model"]) == {"x"}
        assert found[2].bodies[0]["model"] == "other" and found[1].bodies[0]["model"] == "m"
