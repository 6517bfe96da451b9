"""Questions put to servers that fail in every way a network can."""

from __future__ import annotations

import base64
import io
import json
import random
import socket
import threading

import numpy as np
import pytest
from PIL import Image
from server_faults import FaultyServer, question_of

from analysis.collection.endpoints import command_for, parse_endpoints, probe
from analysis.collection.server import Connection, Timeouts
from analysis.collection.server_asking import Job, Outcome, Patience, ask_all
from analysis.collection.server_request import chat_body, checked_url, data_url
from analysis.collection.server_stream import Reply, RequestFailed
from complexity.errors import InputError
from complexity.image import UnreadableImage

SHORT = Timeouts(connect=2, silence=0.3, whole=5)
QUICK = Patience(tries=3, first_s=0.01, longest_s=0.02)


def body(question: str = "how many?", **more: object) -> bytes:
    return chat_body(question, None, model="m", max_tokens=4, seed=1, more=more)


def ask(
    server: FaultyServer, timeouts: Timeouts = SHORT, path: str = "", key: str | None = None
) -> Reply:
    with Connection(server.url + path, timeouts, key) as connection:
        return connection.ask(body())


def jobs(n: int, k: int = 1) -> list[Job]:
    return [Job(f"s{i}", "a.png", f"q{i}", k, 0) for i in range(n)]


def outcomes(server: FaultyServer, n: int = 1, **options: object) -> list[Outcome]:
    settings = {"patience": QUICK, "timeouts": SHORT} | options
    endpoint = {1: probe(1, server.url)}
    return list(ask_all(jobs(n), endpoint, lambda j, e: body(j.question), **settings))


def test_a_reply_has_its_text_times_and_counts() -> None:
    with FaultyServer() as server:
        reply = ask(server, path="/v1", key="secret")
    assert (reply.text, reply.finish) == ("42", "stop")
    assert (reply.n_prompt_tokens, reply.n_new_tokens) == (7, 2)
    assert len(reply.token_ms) == 2
    assert reply.ttft_ms == reply.token_ms[0] > 0
    assert reply.ttft_ms <= reply.token_ms[1] <= reply.total_ms
    assert reply.decode_ms == reply.total_ms - reply.ttft_ms
    assert server.keys == ["Bearer secret"]
    sent = server.bodies[0]
    assert (sent["temperature"], sent["stream"], sent["max_tokens"]) == (0, True, 4)


def test_a_connection_is_kept_between_questions() -> None:
    with FaultyServer() as server:
        connection = Connection(server.url, SHORT)
        assert [connection.ask(body()).text for _ in range(3)] == ["42"] * 3
        assert len(server.connections) == 1
        connection.close()


def test_a_kept_connection_that_the_server_let_go_is_no_fault() -> None:
    with FaultyServer() as server:
        connection = Connection(server.url, SHORT)
        connection.ask(body())
        # As after the server's keep-alive time: its end is closed.
        assert connection._open is not None and connection._open.sock is not None
        connection._open.sock.shutdown(socket.SHUT_RDWR)
        assert connection.ask(body()).text == "42"
        assert len(server.bodies) == 2
        connection.close()


def test_an_answer_without_tokens_has_no_first_one() -> None:
    with FaultyServer(lambda n, body: "empty") as server:
        reply = ask(server)
    assert (reply.text, reply.ttft_ms, reply.decode_ms, reply.n_new_tokens) == ("", None, None, 0)
    assert reply.total_ms > 0


def test_a_stream_that_says_it_is_done_is_whole_without_a_reason() -> None:
    with FaultyServer(lambda n, body: "silent-finish") as server:
        reply = ask(server)
    assert (reply.text, reply.n_new_tokens, reply.finish) == ("42", None, None)


@pytest.mark.parametrize(
    ("fault", "said", "lasting"),
    [
        ("drop", "broke|ended before", False),
        ("truncate", "ended before the answer did", False),
        ("stall", "silent", False),
        ("malformed", "not JSON", False),
        ("error", "out of memory", False),
        ("odd", "not a chat completion", True),
        ("status 500", "HTTP 500 .*no 0", False),
        ("status 429", "HTTP 429", False),
        ("status 400", "HTTP 400", True),
        ("status 404", "HTTP 404", True),
    ],
)
def test_each_fault_has_its_name_and_whether_it_lasts(fault: str, said: str, lasting: bool) -> None:
    with (
        FaultyServer(lambda n, body: fault) as server,
        pytest.raises(RequestFailed, match=said) as caught,
    ):
        ask(server)
    assert caught.value.lasting is lasting
    assert not caught.value.unreachable


def test_an_answer_that_drips_for_ever_is_ended() -> None:
    with (
        FaultyServer(lambda n, body: "stall") as server,
        pytest.raises(RequestFailed, match=r"too long|silent"),
    ):
        ask(server, Timeouts(connect=2, silence=60, whole=0.3))


@pytest.mark.parametrize("fault", ["drop", "truncate", "stall", "malformed", "status 500"])
def test_a_fault_that_passes_is_tried_again(fault: str) -> None:
    with FaultyServer(lambda n, body: fault if n < 2 else "fine") as server:
        [outcome] = outcomes(server)
    assert outcome.reply is not None and outcome.reply.text == "42"
    assert outcome.tries == 3 == len(server.bodies)


def test_a_request_that_fails_for_good_is_an_outcome_and_not_the_end() -> None:
    def behave(n: int, sent: dict[str, object]) -> str:
        return {"q1": "status 400", "q3": "status 500"}.get(question_of(sent), "fine")

    with FaultyServer(behave) as server:
        found = {outcome.job.sample_id: outcome for outcome in outcomes(server, 5)}
    assert {s for s, o in found.items() if o.reply is None} == {"s1", "s3"}
    assert (found["s1"].tries, found["s3"].tries) == (1, QUICK.tries)
    assert "HTTP 400" in found["s1"].error


def test_an_image_that_cannot_be_read_fails_alone() -> None:
    def spell(job: Job, endpoint: object) -> bytes:
        if job.sample_id == "s0":
            raise UnreadableImage("no image")
        return body()

    with FaultyServer() as server:
        found = list(ask_all(jobs(2), {1: probe(1, server.url)}, spell, timeouts=SHORT))
        assert len(server.bodies) == 1
    assert [(o.tries, o.reply is None) for o in found] == [(0, True), (1, False)]


def test_retry_after_is_waited_for_and_no_more_than_five_minutes() -> None:
    with FaultyServer(lambda n, body: "status 429") as server:
        server.headers["Retry-After"] = "7"
        with pytest.raises(RequestFailed) as caught:
            ask(server)
        assert caught.value.wait_s == 7
        server.headers["Retry-After"] = "Fri, 31 Dec 2100 23:59:59 GMT"
        with pytest.raises(RequestFailed) as caught:
            ask(server)
        assert caught.value.wait_s > 1e9
        server.headers["Retry-After"] = "soon"
        with pytest.raises(RequestFailed) as caught:
            ask(server)
        assert caught.value.wait_s == 0
    draw = random.Random(0)
    assert QUICK.wait_s(1, 7, draw) == 7
    assert QUICK.wait_s(1, 1e9, draw) == 300


def test_waits_double_up_to_a_limit_with_a_jitter_that_repeats() -> None:
    patience = Patience(tries=9, first_s=1, longest_s=8)
    waits = [patience.wait_s(n, 0, random.Random("a")) for n in range(1, 7)]
    assert waits == [patience.wait_s(n, 0, random.Random("a")) for n in range(1, 7)]
    scale = random.Random("a").uniform(0.5, 1.5)
    np.testing.assert_allclose(np.array(waits) / scale, [1, 2, 4, 8, 8, 8])


@pytest.mark.parametrize("concurrency", [1, 3])
def test_as_many_requests_are_in_flight_as_allowed_and_no_more(concurrency: int) -> None:
    together = threading.Barrier(concurrency)

    def behave(n: int, sent: dict[str, object]) -> str:
        together.wait(20)  # nobody is answered before so many are there
        return "fine"

    with FaultyServer(behave) as server:
        found = outcomes(server, 12, concurrency=concurrency, timeouts=Timeouts())
    assert all(outcome.reply is not None and outcome.tries == 1 for outcome in found)
    assert server.most == concurrency
    assert sorted(outcome.order for outcome in found) == list(range(12))


def test_a_server_that_is_gone_ends_the_sweep() -> None:
    with FaultyServer() as server:
        endpoint = {1: probe(1, server.url)}
    found: list[Outcome] = []
    with pytest.raises(InputError, match="the server is gone"):
        for outcome in ask_all(
            jobs(50), endpoint, lambda j, e: body(), patience=QUICK, timeouts=SHORT
        ):
            found.append(outcome)
    assert len(found) == 3 and all(outcome.unreachable for outcome in found)


def test_a_server_that_refuses_everything_ends_the_sweep() -> None:
    with (
        FaultyServer(lambda n, body: "status 400") as server,
        pytest.raises(InputError, match=r"answered none of 20 questions.*HTTP 400"),
    ):
        outcomes(server, 50)


def test_a_reported_k_is_checked() -> None:
    with FaultyServer(meta={"olmoe.expert_used_count": 4}) as server:
        assert probe(4, server.url).basis == "reported"
        with pytest.raises(InputError, match=r"says \(reported\) that it runs at k = 4"):
            probe(2, server.url)
    with FaultyServer() as server:
        assert probe(2, server.url).basis == "claimed"
        assert probe(2, server.url, log="x\nprint_info: n_expert_used = 2\n").basis == "logged"
        with pytest.raises(InputError, match=r"says \(logged\) that it runs at k = 8"):
            probe(2, server.url, log="print_info: n_expert_used    = 8")


def test_a_server_that_is_not_there_or_has_another_model_is_named() -> None:
    with FaultyServer() as server:
        with pytest.raises(InputError, match="has no model 'x'; it has m"):
            probe(1, server.url, model="x")
        url = server.url
    with pytest.raises(InputError, match=r"k = 1, http.*no connection"):
        probe(1, url, timeouts=SHORT)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["http://localhost:1"], "give K=URL"),
        (["0=http://localhost:1"], "at least 1"),
        (["two=http://localhost:1"], "give K=URL"),
        (["1=http://a", "1=http://b"], "given before"),
        (["1=http://a/", "2=http://a"], "given for k = 1 too"),
        (["1=localhost:8000"], "not a server's base URL"),
        (["1=http://a:x"], "not a URL"),
        (["1=http://me:secret@a"], "--api-key-env"),
    ],
)
def test_endpoints_that_are_wrong(given: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_endpoints(given)


def test_endpoints_are_read() -> None:
    found = parse_endpoints(["4=http://a:8004/v1/", "1=https://b/x/v1/chat/completions"])
    assert found == {1: "https://b/x/v1", 4: "http://a:8004/v1"}
    assert checked_url("http://a", "x") == "http://a"


def test_a_command_is_filled_in_word_by_word() -> None:
    template = r"serve 'a model' --port {port} --over {{\"text\":{{\"experts\":{k}}}}}"
    made = command_for(template, 4, 8004)
    assert made == ["serve", "a model", "--port", "8004", "--over", '{"text":{"experts":4}}']


@pytest.mark.parametrize(
    ("kind", "mime"), [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("WEBP", "webp")]
)
def test_usual_images_go_as_they_are(kind: str, mime: str) -> None:
    made = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), 90, np.uint8)).save(made, kind)
    head, _, tail = data_url(made.getvalue()).partition(",")
    assert head == f"data:image/{mime};base64"
    assert base64.b64decode(tail) == made.getvalue()


def test_other_images_go_as_png_and_no_image_is_refused() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "BMP")
    head, _, tail = data_url(made.getvalue()).partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(tail)))), pixels)
    with pytest.raises(UnreadableImage):
        data_url(b"not an image")


def test_further_fields_win() -> None:
    sent = json.loads(body(temperature=0.5, chat_template_kwargs={"enable_thinking": False}))
    assert sent["temperature"] == 0.5
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
