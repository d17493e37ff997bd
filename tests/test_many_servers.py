"""Several servers of one model, asked as one: who is asked, who dies, who comes back."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from ltf_lite import presets
from ltf_lite.engines import TINY_TUNED, Dialect, Sampling, Stopped, resolve, used
from ltf_lite.engines.server import client as server_client
from ltf_lite.engines.server import pool
from ltf_lite.engines.server.choosing import (
    ALIKE,
    BUSIER,
    KEPT,
    Endpoint,
    Held,
    Ticket,
    chosen,
    next_in,
)
from ltf_lite.engines.server.engine import ServerEngine
from ltf_lite.harvest import Row, read
from ltf_lite.pipeline.stages import search
from tests.llama_server import free_port, serving
from tests.test_presets import changed
from tests.test_search_stage import prepared
from tests.test_server_engine import DROP, Server, completion, refusal

COMPACT = Dialect("compact")
HEADER = "These are the rules, and some worked examples.\n" * 20
GAMES = [f"{k}:{k},{k + 3},7,{k * 5}\n" for k in range(30, 70)]


# -- who is asked next ---------------------------------------------------------------------------


def three() -> list[Endpoint]:
    return [Endpoint(None, 100) for _ in range(3)]  # type: ignore[arg-type]


def asked(ends: list[Endpoint], prompt: str) -> int | None:
    end = chosen(ends, prompt)
    if end is None:
        return None
    end.take()
    return ends.index(end)


def test_what_has_nothing_in_common_goes_to_whom_has_the_least_to_do():
    ends = three()
    assert [asked(ends, f"{k}?") for k in range(6)] == [0, 1, 2, 0, 1, 2]
    ends[1].flying = 0
    assert [asked(ends, f"{k}!") for k in range(3)] == [1, 1, 0]
    for end in ends:
        end.flying = 0  # one request at a time: all have the same share of them
    for k in range(30):
        ends[asked(ends, f"{k}.")].flying = 0
    assert max(end.asked for end in ends) - min(end.asked for end in ends) <= 1
    ends[0].away = "the server is not there"
    assert 0 not in [asked(ends, f"{k},") for k in range(6)]
    for end in ends:
        end.away = "the server is not there"
    assert asked(ends, "?") is None


def test_a_problem_stays_where_it_was_unless_that_server_is_clearly_busier():
    ends = three()
    # each has the examples first, which all have then
    assert [asked(ends, HEADER + f"Input: {k} 41 23 4, target 9\n") for k in "678"] == [0, 1, 2]
    first = HEADER + "Input: 44 41 23 4, target 66\n"
    assert asked(ends, first) == 0
    assert asked(ends, first + "44 + 41 = 85 (left: 85 23 4)\n") == 0
    for _ in range(BUSIER - 1):
        assert asked(ends, first + str(ends[0].flying)) == 0
    assert [end.flying for end in ends] == [2 + BUSIER, 1, 1]
    assert asked(ends, first + "more") == 1
    ends[2].flying = 40  # among many, a few more are not much
    ends[0].flying = ends[1].flying = 50
    assert asked(ends, first + "44 + 41 = 85 (left: 85 23 4)\n23") == 0


def test_who_has_nothing_to_do_helps_the_one_for_which_the_most_wait():
    ends = three()
    for k, end in enumerate(ends):
        end.most = end.flying = 2
        end.waiting.extend(Ticket(None, f"{k}{i}") for i in range(2 * k))  # type: ignore[arg-type]
    assert next_in(ends) is None
    ends[1].flying = 1
    assert next_in(ends)[1].prompt == "10"  # its own first
    ends[1].flying, ends[0].flying = 2, 0
    assert [next_in(ends)[1].prompt for _ in range(3)] == ["23", "22", "21"]
    ends[0].away = "the server is not there"
    assert next_in(ends) is None


def test_what_a_server_had_is_found_by_its_beginning_and_forgotten_in_the_end():
    draw, held = random.Random(0), Held()
    prompts = ["".join(draw.choices("ab", k=draw.randrange(30))) for _ in range(1000)]
    for prompt in [*prompts, *prompts]:
        held.add(prompt)
    for _ in range(200):
        wanted = "".join(draw.choices("ab", k=20))
        longest = max(
            next((k for k in range(len(p)) if not wanted.startswith(p[: k + 1])), len(p))
            for p in prompts
        )
        assert held.shared(wanted) == longest
    held = Held()
    for k in range(KEPT + 1):
        held.add(f"{k:05} is a number")
    assert held.shared("00000 is a number") < 17 - ALIKE
    assert held.shared("00001 is a number") == 17


# -- answers of servers that are as a test sets them ---------------------------------------------


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    with ExitStack() as stack:
        running = [stack.enter_context(Server()) for _ in range(3)]
        for server in running:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        for server in running:
            server.shutdown()


def opened(servers: list[Server], **options) -> closing[ServerEngine]:
    urls = [server.url for server in servers]
    engine = ServerEngine(urls, "m", Dialect("zero_shot"), **options)
    for server in servers:
        server.seen.clear()
    return closing(engine)


@pytest.mark.slow
def test_the_samples_and_steps_of_a_problem_go_to_one_server(servers):
    def slow(body, count):
        time.sleep(0.005)
        return 200, {}, completion()

    for server in servers:
        server.answer = slow
    with opened(servers, concurrency=4) as engine:
        problems = [HEADER + f"Input: {k * 7919 % 1000} 41 23 4\n" for k in range(60)]
        for step in ("", "1 + 1 = 2\n", "1 + 1 = 2\n2 + 2 = 4\n"):
            asked = [problem + step for problem in problems]
            done = engine.generate(asked, Sampling(n=2, temperature=1.0))
            assert [len(row) for row in done] == [2] * 60
    seen = [[request["prompt"] for request in server.seen] for server in servers]
    assert sum(map(len, seen)) == 360
    assert min(map(len, seen)) > 60  # each has its share
    where = [
        {k for k, prompts in enumerate(seen) if any(p.startswith(problem) for p in prompts)}
        for problem in problems
    ]
    assert sum(len(each) == 1 for each in where) > 40
    assert sum(map(len, where)) < 90


def test_each_server_is_asked_no_more_at_once_than_was_said(servers):
    with opened(servers, concurrency=2) as engine:
        for server in servers:
            server.answer = lambda *_: (time.sleep(0.01), (200, {}, completion()))[1]
            server.most = 0
        servers[1].answer = lambda *_: (503, {}, {"error": "no"})
        engine.generate([str(k) for k in range(60)], Sampling())
    assert [server.most for server in servers if server is not servers[1]] == [2, 2]


class Ear:
    """Ends a call once three completions are whole."""

    def __init__(self) -> None:
        self.tokens = 0

    def stopped(self) -> bool:
        return self.tokens >= 6

    def heard(self, tokens: int, texts: Callable[[], list[str]]) -> None:
        self.tokens = tokens


def test_after_a_call_that_was_stopped_the_next_one_is_as_if_it_had_not_been(servers):
    with opened(servers, concurrency=1) as engine:
        for server in servers:
            server.answer = lambda *_: (time.sleep(0.1), (200, {}, completion()))[1]
        engine.listener = Ear()
        with pytest.raises(Stopped):
            engine.generate([str(k) for k in range(90)], Sampling())
        until(lambda: not any(end.load for end in engine._client.ends))
        assert sum(len(server.seen) for server in servers) < 60
        engine.listener = None
        engine.generate([str(k) for k in range(9)], Sampling())
        assert not any(end.load for end in engine._client.ends)


@pytest.mark.parametrize("trouble", [(503, {}, {"error": "no"}), (500, {}, ""), DROP])
def test_a_failing_server_loses_its_requests_to_the_others(servers, trouble):
    def answer(body, count):
        return 200, {}, completion(text=body["prompt"])

    for server in servers:
        server.answer = answer
    with opened(servers) as engine:
        servers[2].answer = lambda *_: trouble
        prompts = [str(k) for k in range(100)]
        began = time.monotonic()
        assert [row[0].text for row in engine.generate(prompts, Sampling())] == prompts
        assert time.monotonic() - began < 5
        assert len(servers[0].seen) + len(servers[1].seen) == 100
        assert engine.usage.tokens_out == 200
        servers[2].answer = answer
        until(lambda: not engine._client.ends[2].away)
        engine.generate(prompts, Sampling())
        assert engine.usage.tokens_out == 400
    # once it was back, one request more than the looks at it
    assert any(request["prompt"] in prompts for request in servers[2].seen[-20:])


def test_what_is_wrong_with_one_server_s_answers_ends_the_call_as_with_one_alone(servers):
    with opened(servers) as engine:
        for body, words in (({"hello": 1}, "answers wrongly"), ("<html>", "broken JSON")):
            servers[1].answer = lambda *_, body=body: (200, {}, body)
            said = refusal(lambda: engine.generate(list("abcdefgh"), Sampling()))
            assert words in said
            assert servers[1].url in said
        servers[1].answer = lambda *_: (400, {}, {"error": "too long"})
        assert "too long" in refusal(lambda: engine.generate(list("abcdefgh"), Sampling()))


def test_a_prompt_that_no_server_can_answer_ends_the_call(servers, monkeypatch):
    monkeypatch.setattr(server_client, "RETRIES", 1)

    def answer(body, count):
        return (500, {}, "oh") if body["prompt"] == "bad" else (200, {}, completion())

    for server in servers:
        server.answer = answer
    with opened(servers) as engine:
        assert "HTTP 500: oh" in refusal(lambda: engine.generate(["a", "bad", "c"], Sampling()))
        assert sum(r["prompt"] == "bad" for server in servers for r in server.seen) == 6


def test_names_and_tokens_are_to_be_the_same_everywhere(servers):
    urls = [server.url for server in servers]
    servers[1].models = {"data": [{"id": "other"}]}
    said = refusal(lambda: ServerEngine(urls, dialect=COMPACT))
    assert f"the server at {urls[1]} has the model 'other', and the one at {urls[0]} 'm'" in said
    servers[1].models = servers[0].models
    more = completion() | {"usage": {"prompt_tokens": 8, "completion_tokens": 2}}
    servers[2].answer = lambda *_: (200, {}, more)
    said = refusal(lambda: ServerEngine(urls, dialect=COMPACT))
    assert f"the server at {urls[2]} has another model" in said
    assert "7 tokens there, and 8 here" in said
    assert "named twice" in refusal(lambda: ServerEngine([urls[0], urls[0][:-3]]))
    with opened(servers[:2]) as engine:
        assert engine.name == f"{urls[0]},{urls[1]}#m"


# -- llama-cpp-python's own ----------------------------------------------------------------------


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def standing(base_gguf: Path) -> Iterator[dict[int, subprocess.Popen]]:
    """Two servers that nobody ends, by their ports."""
    with ExitStack() as stack:
        found = [free_port() for _ in range(2)]
        yield {port: stack.enter_context(serving(base_gguf, port)) for port in found}


@pytest.fixture(scope="module")
def ports(standing) -> list[int]:
    """Where the two are, and, last, a free port."""
    return [*standing, free_port()]


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def completions(file: Path, port: int) -> int:
    """How many requests a server's log tells of."""
    return file.with_suffix(f".{port}.log").read_text().count("POST /v1/completions")


@contextmanager
def asking(ports: list[int], **options) -> Iterator[ServerEngine]:
    with closing(ServerEngine([*map(address, ports)], "base", COMPACT, **options)) as engine:
        yield engine


SAMPLES = Sampling(n=3, temperature=1.0, max_tokens=24, stop=("\n\n",))


def texts(engine: ServerEngine) -> list[list[tuple[str, int]]]:
    """What it says to GAMES, with the tokens; log p may differ in the last place."""
    return [[(each.text, each.tokens) for each in row] for row in engine.generate(GAMES, SAMPLES)]


def key(row: Row) -> tuple:
    return row.problem.id, row.text, row.label, row.kind, row.seed, row.tokens


def spent(work: Callable[[], object]) -> tuple[int, int, int]:
    """The calls, and tokens read and written, that the engines count while something is done."""
    before = used()
    work()
    now = used()
    return (
        now.calls - before.calls,
        now.tokens_in - before.tokens_in,
        now.tokens_out - before.tokens_out,
    )


@pytest.mark.slow(seconds=60)
def test_a_harvest_through_three_servers_of_which_one_dies_is_that_through_one(
    tmp_path, base_gguf, ports
):
    """Killed while it has requests, and started again at once."""
    sections = [
        {"name": "cot"},
        {"name": "cot", "n": 4, "temperature": 0.8},
        {"name": "tot", "beam": 2, "problems": 5},
        {"name": "cot", "n": 8, "temperature": 1.0},
    ]
    urls, last = [*map(address, ports)], ports[2]
    alone = {"name": "server", "url": urls[0], "model": "base"}
    one = prepared(tmp_path / "one", sections, 40, engine=alone)
    expected = spent(lambda: search.main(one))
    many = prepared(
        tmp_path / "many", sections, 40, engine={"name": "server", "urls": urls, "model": "base"}
    )
    assert many.manifest.preset["engine"]["urls"] == urls
    ready, done, killed = (threading.Event() for _ in range(3))

    def kill_and_start_again() -> None:
        with serving(base_gguf, last) as server:
            ready.set()
            until(lambda: completions(base_gguf, last) > 60)
            server.kill()
            killed.set()
            server.wait(30)
        with serving(base_gguf, last):  # it may be back before the end, or not
            done.wait(300)

    restarting = threading.Thread(target=kill_and_start_again, daemon=True)
    restarting.start()
    ready.wait(60)
    try:
        found = spent(lambda: search.main(many))
        assert killed.is_set()
    finally:
        done.set()
        restarting.join(60)
    assert found == expected
    rows = list(read(many.folder / "harvest"))
    assert list(map(key, rows)) == list(map(key, read(one.folder / "harvest")))
    assert {row.engine for row in rows} == {",".join(f"{url}/v1" for url in urls) + "#base"}


def test_scores_are_those_of_one_server(ports):
    prompts, tails = GAMES[:12], ["1+2=3"] * 12
    with asking(ports[:1]) as one, asking(ports[:2]) as many:
        expected, found = one.score(prompts, tails), many.score(prompts, tails)
        assert [each.tokens for each in found] == [each.tokens for each in expected]
        assert [p for p, _ in found] == pytest.approx([p for p, _ in expected], abs=1e-3)
        assert many.usage.tokens_in == one.usage.tokens_in


@pytest.mark.slow
def test_one_that_is_not_there_yet_is_taken_in_once_it_is(ports, base_gguf, capfd):
    with asking(ports) as engine:
        said = capfd.readouterr().err
        assert said.startswith(f"warning: the server at {address(ports[2])}/v1 cannot be reached")
        assert said.count("\n") == 1
        expected = texts(engine)
        with serving(base_gguf, ports[2]):
            until(lambda: not engine._client.ends[2].away)
            before = completions(base_gguf, ports[2])
            assert texts(engine) == expected
            assert completions(base_gguf, ports[2]) > before + 10


@pytest.mark.slow
def test_one_that_hangs_costs_no_more_than_its_patience(ports, base_gguf, monkeypatch):
    monkeypatch.setattr(pool, "PATIENCE", 1.0)
    monkeypatch.setattr(pool, "SLOWER", 0.0)
    monkeypatch.setattr(pool, "LOOK", 1.0)
    with serving(base_gguf, ports[2]) as server, asking(ports, concurrency=4) as engine:
        expected = texts(engine)
        server.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert texts(engine) == expected
        assert time.monotonic() - began < 30
        assert "within 1 seconds" in engine._client.ends[2].away
        server.send_signal(signal.SIGCONT)
        until(lambda: not engine._client.ends[2].away)
        assert texts(engine) == expected


@pytest.mark.slow
def test_another_model_is_refused_and_not_taken_back(ports, base_gguf, tmp_path, capfd):
    tuned = tmp_path / "tuned.gguf"
    tuned.symlink_to(resolve(TINY_TUNED).place)
    url = f"{address(ports[2])}/v1"
    with serving(tuned, ports[2]):
        said = refusal(lambda: ServerEngine([*map(address, ports)], "base", COMPACT))
        assert f"the server at {url} has another model than the others: after " in said
    with asking(ports) as engine:
        expected = texts(engine)
        with serving(tuned, ports[2]):
            until(lambda: "another model" in engine._client.ends[2].away)
            assert texts(engine) == expected
        assert capfd.readouterr().err.count("has another model than the others") == 1
        with serving(base_gguf, ports[2]):
            until(lambda: not engine._client.ends[2].away)
        assert f"the server at {url} is back" in capfd.readouterr().err


@pytest.mark.slow
def test_when_all_are_dead_one_sentence_names_them_all(base_gguf, monkeypatch):
    monkeypatch.setattr(server_client, "RETRIES", 2)
    ports = [free_port() for _ in range(2)]
    urls = [f"{address(port)}/v1" for port in ports]
    said = refusal(lambda: ServerEngine(urls, "base", COMPACT))
    assert all(url in said for url in urls)
    with (
        serving(base_gguf, ports[0]) as first,
        serving(base_gguf, ports[1]) as second,
        asking(ports) as engine,
    ):
        expected = texts(engine)
        for server in (first, second):
            server.kill()
            server.wait(30)
        began = time.monotonic()
        said = refusal(lambda: engine.generate(GAMES, SAMPLES))
        assert 1 < time.monotonic() - began < 10
        assert f"no server is left of {urls[0]} or {urls[1]}: " in said
        assert "goes on where it stopped" in said
        with serving(base_gguf, ports[1]):
            assert texts(engine) == expected


@pytest.mark.parametrize("told", [{}, {"url": "http://h:1", "urls": ["http://h:2"]}])
def test_a_preset_says_one_address_or_several(told):
    with pytest.raises(presets.PresetError) as caught:
        presets.parse(changed("engine", {"name": "server", **told}), "here")
    assert str(caught.value) == (
        "here: engine: a server needs url: ADDRESS, or of several urls: [ADDRESS, ...]"
    )
