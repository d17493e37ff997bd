"""Whoever listens to an engine hears what it writes while it writes it, and can end the call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import pytest
import torch

from ltf_lite.engines import Sampling, Stopped, open_engine
from ltf_lite.engines.server.engine import ServerEngine
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.reasoners import exact, get_reasoner, solve
from ltf_lite.tasks import get_task
from tests import tiny_models
from tests.test_server_engine import DROP, Server, completion

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
PROBLEMS = TASK.problems("validation", 4, 3)
PROMPTS = [TASK.prompt(problem, "compact") for problem in PROBLEMS]
SAMPLED = Sampling(n=3, temperature=1.0, max_tokens=40, seed=5)


class Ear:
    """Keeps what it hears, and stops the call after so many token steps, or when it is told to."""

    def __init__(self, steps: int | None = None) -> None:
        self.steps, self.told = steps, threading.Event()
        self.heards: list[tuple[int, list[str]]] = []

    def stopped(self) -> bool:
        return self.told.is_set() or (self.steps is not None and len(self.heards) >= self.steps)

    def heard(self, tokens: int, texts: Callable[[], list[str]]) -> None:
        self.heards.append((tokens, texts()))


@pytest.fixture(scope="module", params=["torch", "llamacpp"])
def fresh(request):
    """Opens the embedded base."""
    torch.set_num_threads(1)
    model = "tiny-base" if request.param == "torch" else request.getfixturevalue("base_gguf")
    return lambda: open_engine(model)


@pytest.fixture(scope="module")
def engine(fresh):
    opened = fresh()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def nobody_listens(request):
    yield
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").listener = None


# -- hearing --------------------------------------------------------------------------------------


def test_a_listener_hears_every_text_grow_token_by_token(engine):
    engine.listener = ear = Ear()
    rows = engine.generate(PROMPTS, SAMPLED)
    completions = [completion for row in rows for completion in row]
    assert len(ear.heards) >= max(completion.tokens for completion in completions)
    for (fewer, earlier), (more, later) in pairwise(ear.heards):
        assert fewer < more
        assert all(b.startswith(a) for a, b in zip(earlier, later, strict=True))
    assert ear.heards[-1] == (sum(c.tokens for c in completions), [c.text for c in completions])


def test_what_is_heard_is_cut_at_stop_strings(engine):
    engine.listener = ear = Ear()
    ((found,),) = engine.generate(PROMPTS[:1], Sampling(max_tokens=40, stop=("\n",)))
    assert found.beyond.startswith("\n")
    assert all("\n" not in text for _, (text,) in ear.heards)
    assert ear.heards[-1][1] == [found.text]


def test_listening_changes_no_answer(engine, fresh):
    engine.clear()
    engine.listener = Ear()
    heard = engine.generate(PROMPTS, SAMPLED)
    assert heard == fresh().generate(PROMPTS, SAMPLED)


# -- stopping -------------------------------------------------------------------------------------


def test_a_stopped_call_ends_at_that_token_and_leaves_nothing_behind(engine, fresh):
    expected = fresh().generate(PROMPTS, SAMPLED)
    engine.listener = ear = Ear(4)
    with pytest.raises(Stopped):
        engine.generate(PROMPTS, SAMPLED)
    assert len(ear.heards) == 4
    engine.listener = None
    assert engine.generate(PROMPTS, SAMPLED) == expected


def test_nothing_is_asked_of_the_model_once_the_listener_has_stopped(engine):
    engine.listener = ear = Ear(0)
    with pytest.raises(Stopped):
        engine.generate(PROMPTS, SAMPLED)
    with pytest.raises(Stopped):
        engine.score(PROMPTS, PROMPTS)
    assert len(ear.heards) <= 1


def test_a_cleared_engine_answers_the_same(engine):
    answers = []
    for _ in range(2):
        engine.clear()
        answers.append(engine.generate(PROMPTS, SAMPLED))
    assert answers[0] == answers[1]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A random model of 90 million parameters, whose passes take seconds on a core."""
    folder = tmp_path_factory.mktemp("large") / "model"
    return tiny_models.llama(
        folder, hidden_size=1024, intermediate_size=3072, num_hidden_layers=8,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=512,
    )  # fmt: skip


def questions(count: int) -> list[str]:
    """Prompts of 60 numbers that share no beginning."""
    return [" ".join(str(k * n + k) for n in range(60)) for k in range(1, count + 1)]


@pytest.mark.parametrize("kind", ["torch", "llamacpp"])
@pytest.mark.slow(seconds=18)
def test_a_long_forward_pass_is_stopped_within_a_second(large, kind):
    torch.set_num_threads(1)
    file = write_gguf(large, large / "m.f32.gguf", "f32") if kind == "llamacpp" else large
    engine = open_engine(str(file))
    for ask in (
        lambda n: engine.generate(questions(n), Sampling(max_tokens=2)),
        lambda n: engine.score(questions(n), ["1"] * n),
    ):
        size, whole = 5, 0.0
        while whole < 2:  # a fast machine is given more, so that there is a middle to stop in
            engine.clear()
            began = time.perf_counter()
            expected = ask(size := size * 2)
            whole = time.perf_counter() - began
        engine.clear()
        engine.listener = ear = Ear()
        threading.Timer(0.2, ear.told.set).start()
        began = time.perf_counter()
        with pytest.raises(Stopped):
            ask(size)
        assert time.perf_counter() - began < 0.2 + whole / 2  # a second, or what a busy one takes
        assert not ear.heards  # it was within the first pass
        engine.listener = None
        engine.clear()
        assert ask(size) == expected
    engine.close()


def test_a_server_that_is_slow_is_left_within_a_second():
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    engine = ServerEngine(server.url)

    def slow(body, count):
        if body["prompt"] == "slow":
            time.sleep(8)
            return DROP
        return 200, {}, completion(text=body["prompt"])

    server.answer = slow
    engine.listener = ear = Ear()
    threading.Timer(0.5, ear.told.set).start()
    began = time.perf_counter()
    with pytest.raises(Stopped):
        engine.generate(["quick", "slow"], Sampling())
    assert time.perf_counter() - began < 4  # long before the server answers
    assert ear.heards[-1] == (2, ["quick", ""])
    engine.listener = ear = Ear()
    assert [row[0].text for row in engine.generate(["a", "b"], Sampling())] == ["a", "b"]
    assert ear.heards[-1] == (4, ["a", "b"])
    engine.close()
    server.shutdown()
    server.server_close()


# -- searches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tot", "rap", "cot"])
def test_a_watch_that_stops_ends_all_searches(engine, name, monkeypatch):
    closed = []
    own = type(get_reasoner(name))
    method = "_breadth" if name == "tot" else "search"
    real = getattr(own, method)

    def followed(*args):
        try:
            yield from real(*args)
        finally:
            closed.append(name)

    monkeypatch.setattr(own, method, followed)

    def watch(problem, tree):
        raise Stopped

    with pytest.raises(Stopped):
        list(solve(get_reasoner(name), PROBLEMS, TASK, engine, 0, watch))
    assert closed == [name] * len(PROBLEMS)


@pytest.mark.parametrize("name", ["bfs", "dfs"])
def test_a_search_without_a_model_shows_its_tree_and_is_stopped_while_it_goes_on(name, monkeypatch):
    monkeypatch.setattr(exact, "PAUSE", 0.0)
    problem = TASK.problem({"numbers": [3, 7, 11, 19, 23, 29], "target": 100})
    seen: list[tuple[int, str]] = []

    def watch(_, tree):
        seen.append((len(tree), tree[len(tree) - 1].text))
        if len(seen) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        list(solve(get_reasoner(name, paths=10**6), [problem], TASK, None, 0, watch, "compact"))
    sizes = [size for size, _ in seen]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < 500
    assert all("=" in text for _, text in seen[1:])


@pytest.mark.slow
def test_a_large_search_without_a_model_is_looked_at_again_and_again(as_served):
    problem = TASK.problem({"numbers": [3, 7, 11, 19, 23, 29], "target": 100})
    looks = [time.perf_counter()]
    (found,) = solve(
        get_reasoner("bfs", paths=10**6, failures=10**6), [problem], TASK, None, 0,
        lambda *_: looks.append(time.perf_counter()),
    )  # fmt: skip
    assert len(found.tree) > 10_000
    assert len(looks) > 5
    gaps = [b - a for a, b in pairwise(looks)]
    assert median(gaps) < 0.5
    assert max(gaps) < 1  # what Stop promises


def test_a_tree_read_while_it_grows_is_whole_afterwards():
    problem = TASK.problem({"numbers": [3, 7, 11, 19, 23, 29], "target": 100})
    read = []
    (plain,) = solve(get_reasoner("bfs"), [problem], TASK, None, 0)
    (found,) = solve(
        get_reasoner("bfs"), [problem], TASK, None, 0, lambda _, tree: read.append(list(tree))
    )
    assert list(found.tree) == list(plain.tree) == read[-1]
