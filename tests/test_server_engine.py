"""The server engine where servers differ, are busy, break off, or say no."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier

import pytest

from ltf_lite.engines import Dialect, EngineError, Sampling, open_engine
from ltf_lite.engines.server import client as server_client
from ltf_lite.engines.server.engine import ServerEngine

KEY = "sk-very-secret-0123456789"
DROP = None  # an answer that is none: the connection is closed


def completion(text="yes", logprobs=(-0.5, -0.25), finish="stop", **logprob_fields):
    """The body of an answer; two tokens to a prompt of seven."""
    found = {"tokens": ["y", "es"], "text_offset": [0, 1], "token_logprobs": list(logprobs)}
    choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": found | logprob_fields}
    return {
        "id": "1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


class Server(ThreadingHTTPServer):
    """Answers completion requests with what `answer` makes of (request, how many came before).

    That is (status, headers, body) or DROP; `seen` are the requests. `models` is its list, `pages`
    what else it has.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable = lambda body, count: (200, {}, completion())
        self.models: dict = {"data": [{"id": "m", "object": "model"}]}
        self.pages: dict = {}  # path → JSON, or None for no such page
        self.asked_for: list[str] = []  # paths
        self.instead: Callable | None = None  # answers a request by itself
        self.seen: list[dict] = []
        self.at_once = self.most = 0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked_for.append(self.path)
        known = {"/v1/models": self.server.models, **self.server.pages}
        found = known.get(self.path)
        self.reply(404 if found is None else 200, {}, found)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            count = len(server.seen)
            server.seen.append(body | {"authorization": self.headers["Authorization"]})
            server.at_once += 1
            server.most = max(server.most, server.at_once)
        if server.instead is not None:
            server.instead(self)
            return
        reply = server.answer(body, count)
        with server.lock:
            server.at_once -= 1
        if reply is DROP:
            self.close_connection = True
        else:
            self.reply(*reply)

    def reply(self, status, headers, body):
        raw = body if isinstance(body, (str, bytes)) else json.dumps(body)
        raw = raw.encode() if isinstance(raw, str) else raw
        kind = "text/html" if isinstance(body, str) else "application/json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(raw), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("LTF_API_KEY", KEY)
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def engine(server) -> Iterator[ServerEngine]:
    opened = ServerEngine(server.url)
    yield opened
    opened.close()


def refusal(ask: Callable) -> str:
    """The one sentence of the EngineError that `ask` raises."""
    with pytest.raises(EngineError) as caught:
        ask()
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- what is asked, and what is made of the answers ----------------------------------------------


def test_one_request_a_sample_whatever_the_server_makes_of_n(engine, server):
    done = engine.generate(["a", "b"], Sampling(n=3, temperature=0.5, top_p=0.9, stop=("\n",)))
    assert [len(row) for row in done] == [3, 3]
    assert (done[0][0].text, done[0][0].tokens, done[0][0].logprob) == ("yes", 2, -0.75)
    assert len(server.seen) == 6
    assert len({(r["prompt"], r["seed"]) for r in server.seen}) == 6
    for request in server.seen:
        assert request.get("n", 1) == 1
        assert 0 <= request["seed"] < 2**31
        wanted = {"model": "m", "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "max_tokens": 64}
        assert wanted.items() <= request.items()
        # no server's or model's own sampling defaults
        assert (request["min_p"], request["repetition_penalty"]) == (0, 1)
        assert request["top_k"] > 10**6
    assert (engine.usage.calls, engine.usage.tokens_in, engine.usage.tokens_out) == (1, 14, 12)


def test_answers_find_their_prompts_in_whatever_order_they_come(engine, server):
    def late(body, count):
        time.sleep(0.002 * (20 - int(body["prompt"])))
        return 200, {}, completion(text=body["prompt"])

    server.answer = late
    prompts = [str(k) for k in range(20)]
    done = engine.generate(prompts, Sampling(n=2, temperature=1.0))
    assert [[c.text for c in row] for row in done] == [[p, p] for p in prompts]


def test_no_more_requests_at_once_than_asked_for(server):
    three = Barrier(3)

    def together(body, count):
        three.wait(30)  # each is answered only when two others have come
        return 200, {}, completion()

    server.answer = together
    engine = ServerEngine(server.url, concurrency=3)
    engine.generate(["a"] * 30, Sampling())
    engine.close()
    assert server.most == 3


def test_no_tokens_asked_for_no_request_made(engine, server):
    assert [c.text for c in engine.generate(["a"], Sampling(n=2, max_tokens=0))[0]] == ["", ""]
    assert engine.score(["a"], [""]) == [(0.0, 0)]
    assert server.seen == []


def test_the_log_probabilities_of_llama_server_are_read_too(engine, server):
    content = [{"token": "y", "logprob": -1.0}, {"token": "es", "logprob": -2.0}]
    server.answer = lambda *_: (
        200,
        {},
        completion(token_logprobs=None, tokens=None, text_offset=None, content=content),
    )
    assert engine.generate(["a"], Sampling())[0][0].logprob == -3.0


def test_a_server_without_log_probabilities_still_generates(engine, server):
    body = completion(finish="length")
    body["choices"][0]["logprobs"] = None
    server.answer = lambda *_: (200, {}, body)
    (done,) = engine.generate(["a"], Sampling())[0]
    assert (done.text, done.tokens, done.finished) == ("yes", 2, False)
    assert done.logprob is None


# -- scoring -------------------------------------------------------------------------------------


def echoing(tokens, logprobs, offsets):
    """An answer to "ab cd" with these tokens, and to "ab" that agrees with it."""

    def answer(body, _):
        if body["prompt"] == "ab cd":
            assert body["echo"]
            fields = {"tokens": tokens, "token_logprobs": logprobs, "text_offset": offsets}
            return 200, {}, completion(text="ab cd!", **fields)
        echo = body.get("echo")
        if echo:
            fields = {"tokens": ["ab", " c"], "token_logprobs": [None, -1], "text_offset": [0, 2]}
            return 200, {}, completion(text="ab c", **fields)
        fields = {"tokens": [" c"], "token_logprobs": [-1], "text_offset": [2]}
        return 200, {}, completion(text=" c", **fields)

    return answer


@pytest.mark.parametrize(
    ("tokens", "logprobs", "offsets"),
    [
        (["ab", " c", "d", "!"], [None, -1, -2, -9], [0, 2, 4, 5]),
        (["<s>", "ab", " c", "d", "!"], [None, -9, -1, -2, -9], [0, 3, 5, 7, 8]),  # as vLLM does
        (["ab", " c", "d", "!"], [None, -1, -2, -9], [-1, -1, -1, -1]),  # as SGLang does
        (["a", "b c", "d", "!"], [None, -1, -2, -9], [0, 1, 4, 5]),  # over the border
    ],
)
def test_the_continuation_s_tokens_are_found(engine, server, tokens, logprobs, offsets):
    server.answer = echoing(tokens, logprobs, offsets)
    assert engine.score(["ab"], [" cd"]) == [(-3.0, 2)]


@pytest.mark.parametrize("last", [[], [-7.15]])  # left out, or another's
def test_log_probabilities_that_stand_beside_the_wrong_tokens_are_refused(engine, server, last):
    def shifted(body, _):
        if not body.get("echo"):
            return 200, {}, completion(text="!", tokens=["!"], logprobs=[-1.0], text_offset=[2])
        fields = {
            "tokens": ["a", "b", "!"][: 2 + len(last)],
            "text_offset": [0, 1, 2][: 2 + len(last)],
        }
        return 200, {}, completion(text="ab!", logprobs=[None, -3.0, *last], **fields)

    server.answer = shifted
    assert "not those of the tokens" in refusal(lambda: engine.score(["ab"], [" cd"]))


def test_a_server_that_does_not_echo_cannot_score(engine, server):
    said = refusal(lambda: engine.score(["ab"], [" cd"]))
    assert server.url in said
    assert "echo" in said
    assert "value: prompt" in said


# -- trouble -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        (429, {"Retry-After-Ms": 5}, {"error": {"message": "busy"}}),
        (503, {}, {"error": "no"}),
        DROP,
    ],
)
def test_a_busy_or_failing_server_is_asked_again(engine, server, trouble):
    server.answer = lambda _, count: trouble if count < 2 else (200, {}, completion())
    assert engine.generate(["a", "b"], Sampling())[1][0].text == "yes"
    assert len(server.seen) == 4


def test_a_server_that_knows_only_openai_s_own_settings_is_asked_with_those(engine, server):
    def strict(body, _):
        if "top_k" in body:
            return 400, {}, {"error": {"message": "Unrecognized request argument: top_k"}}
        return 200, {}, completion()

    server.answer = strict
    found = engine.generate(["a", "b", "c"], Sampling(n=4, temperature=1.0))
    assert all(c.text == "yes" for row in found for c in row)
    before = len(server.seen)
    engine.generate(["a"], Sampling())
    assert len(server.seen) == before + 1  # remembered


@pytest.mark.slow
def test_a_server_that_dies_in_mid_call_ends_the_call_with_one_sentence(server, monkeypatch):
    monkeypatch.setattr(server_client, "RETRIES", 1)
    server.answer = lambda _, count: (200, {}, completion()) if count < 30 else DROP
    engine = ServerEngine(server.url)
    said = refusal(lambda: engine.generate(["a"] * 500, Sampling()))
    assert server.url in said
    assert "goes on where it stopped" in said
    time.sleep(0.5)  # those on their way arrive
    count = len(server.seen)
    assert count < 200  # the other requests were given up
    time.sleep(0.2)
    assert len(server.seen) == count
    server.answer = lambda *_: (200, {}, completion())
    assert engine.generate(["a"], Sampling())[0][0].text == "yes"  # it is back
    engine.close()


def test_nobody_there():
    said = refusal(lambda: open_engine("http://127.0.0.1:9/v1"))
    assert "http://127.0.0.1:9/v1 cannot be reached" in said


def test_a_server_that_keeps_failing(server, monkeypatch):
    monkeypatch.setattr(server_client, "RETRIES", 1)
    server.answer = lambda *_: (500, {}, {"error": {"message": "out of\nmemory " + "x" * 500}})
    engine = ServerEngine(server.url)
    said = refusal(lambda: engine.generate(["a"], Sampling()))
    engine.close()
    assert "HTTP 500: out of memory xxx" in said
    assert len(said) < 400


def test_one_that_does_not_answer_in_time(server, monkeypatch):
    monkeypatch.setattr(server_client, "RETRIES", 0)
    server.answer = lambda *_: time.sleep(1)
    engine = ServerEngine(server.url, timeout=0.2)
    assert "within 0.2 seconds" in refusal(lambda: engine.generate(["a"], Sampling()))
    engine.close()


def test_the_key_is_sent_and_never_told(engine, server, caplog):
    caplog.set_level(logging.DEBUG)
    engine.generate(["a"], Sampling())
    assert server.seen[0]["authorization"] == f"Bearer {KEY}"
    words = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
    for code in (401, 403, 400, 404):
        server.answer = lambda *_, code=code: (code, {}, words)
        said = refusal(lambda: engine.generate(["a"], Sampling()))
        assert f"HTTP {code}" in said
        assert ("LTF_API_KEY" in said) == (code in (401, 403))
    assert KEY not in repr(engine) + engine.name + caplog.text


def test_the_server_s_own_words_about_a_request_it_refuses(engine, server):
    words = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
    for body in ({"error": {"message": words}}, {"message": words}, {"detail": words}):
        server.answer = lambda *_, body=body: (400, {}, body)
        assert words in refusal(lambda: engine.generate(["a"], Sampling()))
    assert len(server.seen) == 3  # asking again would not help


@pytest.mark.parametrize("body", ["<html>hello</html>", {"hello": 1}, {"choices": []}])
def test_what_is_no_completions_server(engine, server, body):
    server.answer = lambda *_: (200, {}, body)
    assert server.url in refusal(lambda: engine.generate(["a"], Sampling()))


# -- names and addresses -------------------------------------------------------------------------


def test_the_model_s_name(server):
    named = open_engine(f"{server.url}/#other/name", Dialect("zero_shot"))
    named.generate(["a"], Sampling())
    assert server.seen[0]["model"] == "other/name"
    assert (named.name, named.dialect.name) == (f"{server.url}#other/name", "zero_shot")
    named.close()
    server.models = {"data": [{"id": f"m{k}"} for k in range(9)]}
    said = refusal(lambda: open_engine(server.url))
    assert "9 models, 'm0', 'm1'" in said
    assert f"{server.url}#m0" in said
    server.models = {"data": []}
    assert "names no model" in refusal(lambda: open_engine(server.url))


def test_addresses():
    assert server_client.endpoint("http://h:8000") == "http://h:8000/v1"
    assert server_client.endpoint("https://h/v1/") == "https://h/v1"
    assert server_client.endpoint("https://h/api") == "https://h/api/v1"
    assert server_client.endpoint("https://h/v1beta/openai/") == "https://h/v1beta/openai"
    for bad in (
        "h:8000",
        "ftp://h/v1",
        "http://",
        "http://h:port/v1",
        "http://h:99999",
        "http://[",
    ):
        with pytest.raises(EngineError, match=r"127\.0\.0\.1:8000"):
            server_client.endpoint(bad)
    with pytest.raises(EngineError) as caught:
        server_client.endpoint("http://me:hush@h:port/v1")
    assert "hush" not in str(caught.value)
    for secret in ("http://me:hush@h/v1", "http://h/v1?key=hush"):
        with pytest.raises(EngineError, match="LTF_API_KEY") as caught:
            server_client.endpoint(secret)
        assert "hush" not in str(caught.value)


def test_close_twice_and_then_ask(engine):
    engine.close()
    engine.close()
    for ask in (lambda: engine.generate(["a"], Sampling()), lambda: engine.score(["a"], ["b"])):
        assert "closed" in refusal(ask)
