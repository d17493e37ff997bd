"""Servers that answer wrongly, too much, too late or elsewhere: real ones, on loopback."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from ltf_lite.engines import Dialect, EngineError, Sampling
from ltf_lite.engines.server.engine import ServerEngine
from tests.test_server_engine import Server, completion, refusal

FORTY = Sampling(max_tokens=40)
DEEP = "[" * 100_000


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("LTF_API_KEY", "sk-very-secret-0123456789")
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@contextmanager
def opened(url: str, **options) -> Iterator[ServerEngine]:
    engine = ServerEngine(url, "m", Dialect("compact"), **options)
    try:
        yield engine
    finally:
        engine.close()


def changed(**parts) -> dict:
    """A right answer with other parts; `choice_…` are of its choice, `logprobs_…` of those."""
    body = completion()
    for name, value in parts.items():
        where, _, key = name.partition("_")
        if where == "choice":
            body["choices"][0][key] = value
        elif where == "logprobs":
            body["choices"][0]["logprobs"][key] = value
        else:
            body[name] = value
    return body


WRONG = {
    "text is a number": changed(choice_text=5),
    "text is a list": changed(choice_text=["yes"]),
    "usage is a text": changed(usage="x"),
    "too large a count": changed(usage={"completion_tokens": 1e30}),
    "a count of many digits": changed(usage={"completion_tokens": 10**40}),
    "a negative count": changed(usage={"completion_tokens": -1}),
    "a negative count of the prompt": changed(usage={"prompt_tokens": -7}),
    "a count that is a text": changed(usage={"completion_tokens": "2"}),
    "a count that is a truth": changed(usage={"completion_tokens": True}),
    "more tokens than asked for": changed(usage={"completion_tokens": 4000}),
    "log p is a text": changed(logprobs_token_logprobs=["x"]),
    "log p is an object": changed(logprobs_token_logprobs=[{}]),
    "log p are an object": changed(logprobs_token_logprobs={"a": 1}),
    "log p above zero": changed(logprobs_token_logprobs=[7.5]),
    "more log p than asked for": changed(logprobs_token_logprobs=[-1.0] * 400),
    "log probs are a text": changed(choice_logprobs="x"),
    "log p of llama-server": changed(logprobs_token_logprobs=None, logprobs_content=[[]]),
    "a finish reason of its own": changed(choice_finish_reason=[1]),
    "choices missing": {"id": "1", "usage": None},
    "choices null": changed(choices=None),
    "choices empty": changed(choices=[]),
    "choices are a text": changed(choices="abc"),
    "choices of numbers": changed(choices=[1]),
    "a choice without text": changed(choices=[{"message": {"content": "yes"}}]),
    "a list": [],
    "a text": '"yes"',
    "nothing": "",
    "null": "null",
    "NaN": json.dumps(changed(logprobs_token_logprobs=[float("nan")])),
    "infinity": json.dumps(changed(logprobs_token_logprobs=[float("-inf")])),
    "too large for a number": json.dumps(completion()).replace("-0.5", "-1e999"),
    "deep": DEEP,
    "not to its end": json.dumps(completion())[:-9],
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_an_answer_of_the_wrong_shape_is_the_server_s_error(server, body):
    server.answer = lambda *_: (200, {}, body)
    with opened(server.url) as engine:
        said = refusal(lambda: engine.generate(["a"], FORTY))
        assert f"the server at {server.url}" in said
        assert len(said) < 400
        assert server.url in refusal(lambda: engine.score(["a"], ["b"]))
    assert len(server.seen) == 2  # asking again would not help


@pytest.mark.parametrize("models", [[], {"data": "x"}, {"data": [5]}, {"data": [{"id": 5}]}, "x"])
def test_a_list_of_models_of_the_wrong_shape(server, models):
    server.models = models
    assert server.url in refusal(lambda: ServerEngine(server.url))


def test_what_was_wrong_is_named(server):
    with opened(server.url) as engine:
        for body, words in (
            (changed(choice_text=5), "choices.0.text is 5"),
            ({"id": "1"}, "choices is missing"),
            (changed(usage={"completion_tokens": 1e30}), "usage.completion_tokens is 1e+30"),
            ([], "the whole of it is []"),
        ):
            server.answer = lambda *_, body=body: (200, {}, body)
            assert words in refusal(lambda: engine.generate(["a"], FORTY))


# -- odd texts ---------------------------------------------------------------------------------

HALVES = {
    "a surrogate alone": json.dumps(completion(text="y\ud83d")),
    "the other alone": json.dumps(completion(text="\ude00y")),
    "bytes that are no text": json.dumps(completion(text="y@")).encode().replace(b"@", b"\xf0\x9f"),
}


@pytest.mark.parametrize("body", HALVES.values(), ids=HALVES)
def test_half_a_character_costs_one_text_and_no_more(server, body):
    """Models are cut off within a character, where one is several tokens."""
    server.answer = lambda _, count: (200, {}, body if count == 1 else completion())
    with opened(server.url, concurrency=1) as engine:
        done = [row[0].text for row in engine.generate(["a", "b", "c"], FORTY)]
    assert [done[0], done[2]] == ["yes", "yes"]
    assert done[1].encode()  # any file takes it
    assert "y" in done[1]
    assert "\ufffd" in done[1]


def test_whole_characters_stay_as_they_are(server):
    text = "né 日本 \U0001f600 \0"
    for body in (completion(text=text), json.dumps(completion(text=text), ensure_ascii=False)):
        server.answer = lambda *_, body=body: (200, {}, body)
        with opened(server.url) as engine:
            assert engine.generate(["a"], FORTY)[0][0].text == text


def test_a_prompt_with_half_a_character_is_asked_all_the_same(server):
    with opened(server.url) as engine:
        assert engine.generate(["a\ud800"], FORTY)[0][0].text == "yes"
    assert server.seen[0]["prompt"] == "a\ufffd"


def test_a_token_without_a_log_probability_leaves_the_whole_without(server):
    server.answer = lambda *_: (200, {}, changed(logprobs_token_logprobs=[None, -1]))
    with opened(server.url) as engine:
        assert engine.generate(["a"], FORTY)[0][0].logprob is None


# -- too much ----------------------------------------------------------------------------------


def test_far_more_text_than_the_tokens_asked_for_is_refused(server):
    server.answer = lambda *_: (200, {}, completion(text="y" * 60_000))
    with opened(server.url) as engine:
        said = refusal(lambda: engine.generate(["a"], FORTY))
        assert "60,000 characters" in said
        assert "40 tokens" in said
        assert len(engine.generate(["a"], Sampling(max_tokens=1000))[0][0].text) == 60_000


def test_an_answer_without_end_is_not_read_to_its_end(server):
    sent = 0

    def flood(handler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(2000):  # 125 MiB
                handler.wfile.write(b" " * 2**16)
                sent += 2**16
        except OSError:
            pass

    server.instead = flood
    began = time.monotonic()
    with opened(server.url) as engine:
        assert "bytes" in refusal(lambda: engine.generate(["a"], FORTY))
        server.instead = lambda handler: (handler.send_response(500), flood(handler))
    assert sent < 32 * 2**20  # what the sockets hold
    assert time.monotonic() - began < 10


def test_a_packed_answer_is_no_way_around_the_limit(server):
    packed = gzip.compress(b" " * 2**26)
    server.answer = lambda *_: (200, {"Content-Encoding": "gzip"}, packed)
    with opened(server.url) as engine:
        assert "bytes" in refusal(lambda: engine.generate(["a"], FORTY))


def test_long_answers_that_were_asked_for_are_read(server):
    tokens = ["word "] * 3000
    fields = {"tokens": tokens, "text_offset": list(range(3000)), "logprobs": [-0.123456789] * 3000}
    server.answer = lambda *_: (200, {}, changed(usage={"completion_tokens": 3000}) | {
        "choices": completion(text="".join(tokens), **fields)["choices"]})  # fmt: skip
    with opened(server.url) as engine:
        (done,) = engine.generate(["a"], Sampling(max_tokens=3000))[0]
    assert done.tokens == 3000
    assert done.logprob == pytest.approx(-370.370367)


# -- too late ----------------------------------------------------------------------------------


def forever(handler) -> None:
    time.sleep(5)


def drop_by_drop(handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(50):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def headers_without_end(handler) -> None:
    for _ in range(50):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n"[:1])
        time.sleep(0.1)


@pytest.mark.parametrize("hang", [forever, drop_by_drop, headers_without_end])
def test_a_server_that_hangs_costs_one_time_out(server, hang):
    def hanging(handler) -> None:
        with suppress(OSError):
            hang(handler)
        handler.close_connection = True

    server.instead = hanging
    began = time.monotonic()
    with opened(server.url, timeout=0.5) as engine:
        said = refusal(lambda: engine.generate(["a"] * 100, FORTY))
    assert "within 0.5 seconds" in said
    assert time.monotonic() - began < 10  # not one time-out a question
    assert len(server.seen) <= 32  # none was asked twice


def test_a_failing_server_is_asked_again_within_the_time_out_only(server):
    server.answer = lambda *_: (503, {"Retry-After": "3600"}, {"error": "busy"})
    began = time.monotonic()
    with opened(server.url, timeout=1) as engine:
        assert "HTTP 503: busy" in refusal(lambda: engine.generate(["a"], FORTY))
    assert time.monotonic() - began < 5


def test_one_that_takes_connections_and_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"within 0\.3 seconds"):
            ServerEngine(url, timeout=0.3)
        assert time.monotonic() - began < 5


# -- elsewhere ---------------------------------------------------------------------------------


def test_no_request_and_no_key_is_sent_on_to_another_place(server):
    with Server() as other:
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        for code in (301, 302, 303, 307, 308):
            for where in (f"{other.url}/completions", other.url.replace("127.0.0.1", "localhost")):
                server.answer = lambda *_, c=code, w=where: (c, {"Location": w}, "")
                with opened(server.url) as engine:
                    said = refusal(lambda: engine.generate(["a"], FORTY))
                assert where.split("/v1")[0] in said
        other.shutdown()
    assert other.seen == []
    assert other.asked_for == []


def test_a_place_of_its_own_is_followed_but_not_for_ever(server):
    def moved(body, count):
        return (307, {"Location": "/v1/elsewhere"}, "") if count < 1 else (200, {}, completion())

    server.answer = moved
    with opened(server.url) as engine:
        assert engine.generate(["a"], FORTY)[0][0].text == "yes"
        assert server.seen[0].items() <= server.seen[1].items()
        server.answer = lambda *_: (307, {"Location": "/v1/completions"}, "")
        assert server.url in refusal(lambda: engine.generate(["a"], FORTY))
    assert len(server.seen) < 10


@pytest.mark.parametrize("key", ["sk-ü", "sk-a\nb", "sk\x7f"])
def test_a_key_that_is_none_is_a_sentence_without_it(monkeypatch, server, key):
    monkeypatch.setenv("LTF_API_KEY", key)
    with pytest.raises(EngineError, match="LTF_API_KEY") as caught:
        ServerEngine(server.url)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://a b/v1", "http://h/v1\x00", "http://%zz:1/v1", "http://h:٣"]
)
def test_an_address_that_is_none(url):
    with pytest.raises(EngineError):
        ServerEngine(url, timeout=1)
