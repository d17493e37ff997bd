"""Answers while they are made, as whoever watches the app sees them, on the embedded base."""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import pytest
import torch

from ltf_lite import engines
from ltf_lite.app.answer import live, pool
from ltf_lite.app.answer import snapshot as answering
from ltf_lite.app.answer.ask import ways
from ltf_lite.app.answer.live import Pool, Side
from ltf_lite.core import pace
from ltf_lite.core.errors import LtfError
from ltf_lite.engines import EngineError, Stopped
from ltf_lite.evaluation.success import wilson
from ltf_lite.reasoners import Node
from ltf_lite.tasks import Line, Path, Problem, Task, Verdict, get_task

TASK = get_task("countdown", numbers=(1, 50))
PROBLEM = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
SIX = TASK.problem({"numbers": [3, 7, 11, 19, 23, 29], "target": 100})
SINGLE = Side("tiny-base", "single-pass")
ENDLESS = Side("tiny-base", "rap", {"iterations": 100_000})


@pytest.fixture(scope="module")
def models() -> Iterator[Pool]:
    torch.set_num_threads(1)
    shared = Pool()
    yield shared
    shared.close()


def last(snapshots):
    """The last of an iterator."""
    *_, end = snapshots
    return end


def ended(side, models, problem=PROBLEM):
    return last(live.answer(problem, TASK, side, models, threading.Event()))


# -- one answer -----------------------------------------------------------------------------------


def test_a_single_pass_comes_to_its_end_with_a_verdict_and_its_cost(models):
    found = ended(SINGLE, models)
    assert found.state == "done"
    assert found.text.splitlines() == list(found.lines)
    path = TASK.parse(PROBLEM, found.text)
    assert found.verdict == TASK.verify(PROBLEM, path)
    assert found.verdict.correct or found.verdict.fatal_step <= len(found.lines)
    assert (found.paths, found.right, found.calls) == (1, int(found.verdict.correct), 1)
    assert 0 < found.first_token < found.seconds
    assert found.tokens_per_second == found.tokens / found.seconds
    assert found.tree[found.chosen].verdict == found.verdict


@pytest.mark.parametrize("way", ways())
def test_every_way_ends_with_an_answer_that_the_tree_leads_to(models, way):
    few = {"rap": {"iterations": 2}}
    few |= {chain: {"n": 4} for chain in ("self-consistency", "best-of-n", "oracle")}
    found = ended(Side("tiny-base", way, few.get(way, {}), 3), models)
    assert found.state == "done"
    assert found.hidden == 0
    assert found.tree[0].parent is None
    if way in ("bfs", "dfs", "random"):
        assert (found.tokens, found.calls, found.first_token) == (0, 0, None)
        assert found.tokens_per_second is None
    else:
        assert found.tokens == sum(node.tokens for node in found.tree)
    if found.chosen is not None:
        steps, at = [], found.chosen
        while at:
            steps, at = [found.tree[at].text, *steps], found.tree[at].parent
        assert steps == list(found.lines)


def test_an_oracle_is_picked_by_the_verifier_and_best_of_n_by_the_model(models):
    own = {"n": 64, "temperature": 1.5}
    problem = TASK.problem("7 12 20 31 -> 46")
    oracle, best = (ended(Side("tiny-base", way, own), models, problem)
                    for way in ("oracle", "best-of-n"))  # fmt: skip
    assert (oracle.paths, best.paths) == (64, 64)
    assert 0 < oracle.right == best.right < 64
    assert oracle.verdict.correct
    assert not best.verdict.correct  # the likeliest of them is none of the right ones


def test_an_answer_of_nothing_has_the_verdict_of_the_empty_path(models):
    hopeless = TASK.problem({"numbers": [1, 1, 1, 1], "target": 99})
    found = ended(Side("", "bfs"), models, hopeless)
    assert (found.state, found.chosen, found.lines, found.text) == ("done", None, (), "")
    assert found.verdict.kind == "incomplete"


def test_what_was_shown_never_changes_and_the_tree_grows(models):
    shown, then = [], []
    stop = threading.Event()
    for snapshot in live.answer(PROBLEM, TASK, ENDLESS, models, stop):
        shown.append(snapshot)
        then.append(copy.deepcopy(tuple(snapshot.tree)))
        if len(shown) >= 8 and snapshot.paths:
            stop.set()
    assert [tuple(snapshot.tree) for snapshot in shown] == then
    running = [snapshot for snapshot in shown if snapshot.state == "running"]
    assert len({len(snapshot.tree) for snapshot in running}) > 2
    for one, other in pairwise(running):
        assert one.seconds < other.seconds
        assert one.tokens <= other.tokens
        assert one.paths <= other.paths
    assert running[-1].paths > 0  # ends are judged while the search goes on
    assert sum(bool(node.verdict) for node in running[-1].tree) == running[-1].paths


def test_the_text_of_a_single_pass_is_shown_while_it_is_written(models, monkeypatch):
    monkeypatch.setattr(pace, "PAUSE", 0.0)
    monkeypatch.setattr(pace, "SHARE", 0)
    seen: list[str] = []
    real = answering.Answering._tell

    def told(self, *args, **facts):
        real(self, *args, **facts)
        seen.append(self.latest.text)

    monkeypatch.setattr(answering.Answering, "_tell", told)
    found = ended(SINGLE, models)
    assert len(set(seen)) > 10
    assert all(found.text.startswith(text) for text in seen)


def test_a_large_tree_is_cut_but_for_the_chosen_path(models):
    found = ended(Side("", "bfs"), models, SIX)
    assert len(found.tree) <= answering.NODES
    assert found.hidden > 1000
    assert found.verdict.correct
    assert found.tree[found.chosen].verdict.correct
    for index, node in enumerate(found.tree[1:], 1):
        assert 0 <= node.parent < index
        taken = TASK.take(SIX, found.tree[node.parent].state, node.text, "compact", True)
        assert taken.state == node.state


@pytest.mark.parametrize(("count", "chosen"), [(1, None), (5000, 4999), (5000, None), (2000, 7)])
def test_a_cut_tree_keeps_every_path_whole(count, chosen):
    tree = [Node(None), *(Node(k // 5, text=str(k)) for k in range(1, count))]
    kept, at = answering.cut(tree, chosen)
    most = min(count, answering.NODES)
    assert most - 10 < len(kept) <= most  # room is kept for the whole way to the chosen node
    own = [kept[node.parent].text if node.parent else "" for node in kept[1:]]
    assert own == [tree[tree[int(n.text)].parent].text for n in kept[1:]]
    assert at is None if chosen is None else kept[at].text == str(chosen)
    assert kept[0] is not tree[0]


# -- stopping and failing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "problem"),
    [(ENDLESS, PROBLEM),
     (Side("tiny-base", "tot", {"samples": 128, "votes": 64, "beam": 64}), PROBLEM),
     (Side("", "bfs", {"paths": 10**6, "failures": 10**6}), SIX)],
    ids=["rap", "tot", "bfs"],
)  # fmt: skip
@pytest.mark.slow
def test_a_search_is_stopped_within_a_second_and_keeps_what_it_found(
    as_served, models, side, problem
):
    stop, pressed = threading.Event(), 0.0
    for snapshot in live.answer(problem, TASK, side, models, stop):
        if not pressed and snapshot.state == "running" and snapshot.seconds > 0.3:
            pressed = time.perf_counter()
            stop.set()
    assert time.perf_counter() - pressed < 2  # a second, and a busy machine
    assert snapshot.state == "stopped"
    assert len(snapshot.tree) > 1 or snapshot.text
    assert (snapshot.verdict, snapshot.chosen, snapshot.error) == (None, None, "")
    assert ended(SINGLE, models).lines == ended(SINGLE, models).lines


def test_stopping_counts_the_tokens_of_the_call_that_it_broke_off(models):
    stop = threading.Event()
    for snapshot in live.answer(PROBLEM, TASK, Side("tiny-base", "best-of-n", {"n": 512}), models,
                                stop):  # fmt: skip
        if snapshot.tokens:
            stop.set()
    assert snapshot.state == "stopped"
    assert snapshot.tokens > 0
    assert snapshot.text


def test_who_leaves_early_ends_the_answer(models):
    before = threading.active_count()
    snapshots = live.compare(PROBLEM, TASK, (SINGLE, ENDLESS), models, threading.Event())
    for _, search in snapshots:
        if search.state == "running":
            break
    assert threading.active_count() > before
    snapshots.close()
    assert threading.active_count() == before
    with models.borrow("tiny-base", lambda: True) as engine:  # it was given back
        assert engine.listener is None


def test_a_model_that_cannot_be_opened_is_a_sentence_and_tried_again(models, tmp_path):
    side = Side(str(tmp_path / "none.gguf"), "tot")
    for _ in range(2):
        single, search = last(
            live.compare(PROBLEM, TASK, (SINGLE, side), models, threading.Event())
        )
        assert single.state == "done"
        assert search.state == "failed"
        assert "none.gguf" in search.error
        assert "\n" not in search.error
        assert live.ratio(single, search) is None


def test_any_other_error_is_a_sentence_too_and_its_engine_is_not_used_again(models, monkeypatch):
    with models.borrow("tiny-base") as engine:
        monkeypatch.setattr(type(engine), "generate", lambda *_: 1 / 0)
    found = ended(SINGLE, models)
    assert (found.state, found.error) == (
        "failed", "the answer broke off: ZeroDivisionError: division by zero",
    )  # fmt: skip
    monkeypatch.undo()
    assert ended(SINGLE, models).state == "done"
    with models.borrow("tiny-base") as other:
        assert other is not engine


@pytest.mark.parametrize(
    ("way", "settings", "word"),
    [("guess", {}, "guess"), ("tot", {"beams": 2}, "beams"), ("tot", {"beam": 0}, "beam"),
     ("best-of-n", {"n": 0}, "n"), ("self-consistency", {"temperature": 0}, "temperature"),
     ("single-pass", {"n": 4, "temperature": 1}, "greedy"),
     ("oracle", {"beam": 2}, "beam"), ("bfs", {"iterations": 3}, "iterations"),
     ("single-pass", {"name": "tot", "beam": 3}, "beam")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_by_name(models, way, settings, word):
    side = Side("tiny-base", way, settings)
    with pytest.raises(LtfError, match=word) as caught:
        live.check(side, TASK)
    assert caught.value.code == 2
    assert "\n" not in str(caught.value)
    found = ended(side, models)
    assert (found.state, found.error) == ("failed", str(caught.value))


def test_settings_reach_the_reasoner():
    way = live.check(Side("m", "self-consistency", {"n": 8, "budget": {"tokens": 99}}), TASK)
    assert way.reasoner.settings() == {"n": 8, "temperature": 0.7, "budget": 99}
    way = live.check(Side("m", "tot", {"oracle": True}), TASK)
    assert way.reasoner.settings() == {"oracle": True}


def test_a_search_whose_answer_the_verifier_picks_shows_that_answer(models):
    easy = TASK.problem({"numbers": [3, 4], "target": 7})
    found = ended(Side("tiny-base", "tot", {"oracle": True}), models, easy)
    assert found.verdict.correct


class Plain(Task):
    """Free text with an answer: no steps, no solver."""

    name: str = "plain"
    kinds: ClassVar[dict[str, str]] = {"silent": "It says nothing.", "wrong": "It is not 7."}

    def problems(self, split, n, seed):
        return [self.problem(f"{k} and 4?") for k in range(n)]

    def problem(self, data):
        return Problem("plain", f"plain:{data}", str(data), {"asked": str(data)})

    def prompt(self, problem, dialect):
        return f"7:{problem.text[:1]},4\n"  # what the embedded base can go on with

    def parse(self, problem, text):
        found = [Line(m[0], m.start(), m.end(), m.start(), m.end())
                 for m in re.finditer(r"\S[^\n]*", text)]  # fmt: skip
        return Path(tuple(found[:-1]), found[-1]) if found else Path((), None)

    def verify(self, problem, path):
        if path.answer is None:
            return Verdict(False, "silent", None, "there is no answer")
        right = path.answer.text.endswith("=7")
        return Verdict(right, None if right else "wrong", None, path.answer.text)

    def room(self, problem, dialect):
        return 12


@pytest.mark.parametrize("way", ["single-pass", "self-consistency", "oracle", "tot", "rap"])
def test_a_task_of_free_text_is_answered_like_any_other(models, way):
    task, few = Plain(), {"samples": 2, "votes": 1, "max_tokens": 12}
    settings = {"tot": {**few, "beam": 1}, "rap": {**few, "iterations": 2}}
    settings |= {"self-consistency": {"n": 2}, "oracle": {"n": 2}}
    side = Side("tiny-base", way, settings.get(way, {}))
    found = last(live.answer(task.problem("3 and 4?"), task, side, models, threading.Event()))
    assert (found.state, found.error) == ("done", "")
    assert found.verdict.kind in (None, "silent", "wrong")
    assert found.paths > 0
    assert found.tokens == sum(node.tokens for node in found.tree)


@pytest.mark.parametrize("way", ["dfs", "bfs", "random"])
def test_a_way_that_needs_more_than_a_task_has_is_refused_by_name(models, way):
    task = Plain()
    snapshots = live.answer(task.problem("?"), task, Side("", way), models, threading.Event())
    found = last(snapshots)
    assert found.state == "failed"
    assert found.error.startswith(f"{way} needs an exact solver, which plain has none of; use")


# -- two sides, and a batch -----------------------------------------------------------------------


def test_the_single_pass_comes_first_and_neither_pays_for_the_other(models, monkeypatch):
    asked: list[str] = []
    real = answering.Answering._solve

    def solve(self, *args):
        asked.append(f"{self.side.way} begins")
        real(self, *args)
        asked.append(f"{self.side.way} ends")

    monkeypatch.setattr(answering.Answering, "_solve", solve)
    stop = threading.Event()
    pairs = list(live.compare(PROBLEM, TASK, (SINGLE, Side("tiny-base", "tot")), models, stop))
    assert asked == ["single-pass begins", "single-pass ends", "tot begins", "tot ends"]
    single, search = pairs[-1]
    assert (single.state, search.state) == ("done", "done")
    found = live.ratio(single, search)
    assert found == (search.tokens / single.tokens, search.seconds / single.seconds)
    other = replace(search, runtime="llama.cpp, Q8_0")
    assert live.ratio(single, other) == (found.tokens, None)
    assert all(live.ratio(*pair) is None for pair in pairs[:-1])
    assert all(b.state == "waiting" for a, b in pairs if a.state != "done")


@pytest.mark.slow
def test_loading_is_a_state_of_its_own_and_no_part_of_the_seconds(monkeypatch):
    real = pool.open_engine

    def slow(*model):
        time.sleep(4)
        return real(*model)

    monkeypatch.setattr(pool, "open_engine", slow)
    own = Pool()
    states = [s.state for s in live.answer(PROBLEM, TASK, SINGLE, own, threading.Event())]
    assert states[0] == "loading"
    assert states[-1] == "done"
    own.close()
    own = Pool()
    assert ended(SINGLE, own).seconds < 2
    own.close()


@pytest.mark.slow
def test_stopped_while_it_loads_it_ends_within_a_second(monkeypatch):
    opened = []

    def slow(*model):
        time.sleep(6)
        opened.append(engines.open_engine(*model))
        return opened[-1]

    monkeypatch.setattr(pool, "open_engine", slow)
    own, stop = Pool(), threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.perf_counter()
    assert last(live.answer(PROBLEM, TASK, SINGLE, own, stop)).state == "stopped"
    assert time.perf_counter() - began < 4  # long before it is loaded
    with own.borrow("tiny-base") as engine:  # what was loaded is kept
        assert [engine] == opened
    own.close()


@pytest.mark.slow
def test_snapshots_come_ten_times_a_second_at_most(models):
    stop, times = threading.Event(), []
    threading.Timer(1.0, stop.set).start()
    for _ in live.compare(PROBLEM, TASK, (SINGLE, ENDLESS), models, stop):
        times.append(time.perf_counter())
    assert 4 <= len(times) <= 16


def test_a_batch_counts_what_each_problem_answered_alone_comes_to(models):
    problems = TASK.problems("test", 4, 1)
    side = Side("tiny-base", "best-of-n", {"n": 8, "temperature": 1.0})
    points = list(live.batch(problems, TASK, SINGLE, side, models, threading.Event()))
    assert [point.n for point in points] == [1, 2, 3, 4]
    for name, own in (("single", SINGLE), ("search", side)):
        alone = [ended(own, models, problem) for problem in problems]
        solved = sum(snapshot.verdict.correct for snapshot in alone)
        tally = getattr(points[-1], name)
        assert tally.solved == solved
        assert tally.rate == solved / 4
        assert (tally.low, tally.high) == wilson(solved, 4)
        assert tally.tokens == sum(snapshot.tokens for snapshot in alone) / 4
    one, other = points[-1].single, points[-1].search
    assert points[-1].ratio == pytest.approx(other.tokens / one.tokens)
    assert one.runtime == other.runtime == "transformers, float32"


def test_a_batch_ends_at_once_when_stopped_and_says_why_it_cannot_go_on(models, tmp_path):
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.perf_counter()
    assert list(live.batch([PROBLEM] * 9, TASK, SINGLE, ENDLESS, models, stop)) == []
    assert time.perf_counter() - began < 3
    none = Side(str(tmp_path / "none.gguf"), "single-pass")
    with pytest.raises(EngineError, match=r"none\.gguf"):
        list(live.batch([PROBLEM], TASK, none, SINGLE, models, threading.Event()))


def test_nothing_is_kept_of_an_answer(models):
    ended(SINGLE, models)
    before = threading.active_count()
    for _ in range(10):
        ended(SINGLE, models)
    assert threading.active_count() == before


# -- the pool -------------------------------------------------------------------------------------


class Opened:
    """Opens engines as the pool does, and knows which are open."""

    def __init__(self, monkeypatch) -> None:
        self.all: list[str] = []
        self.open: list[str] = []
        self.most = 0
        monkeypatch.setattr(pool, "open_engine", self)

    def __call__(self, model, dialect=None):
        engine = engines.open_engine("tiny-base")
        self.all.append(model)
        self.open.append(model)
        self.most = max(self.most, len(self.open))
        close = engine.close

        def closed():
            self.open.remove(model)
            close()

        engine.close = closed
        return engine


def test_eight_who_ask_at_once_share_one_engine_one_at_a_time(monkeypatch):
    opened, own = Opened(monkeypatch), Pool()
    found: list[live.Snapshot] = []
    threads = [threading.Thread(target=lambda: found.append(ended(SINGLE, own))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.all == ["tiny-base"]
    assert [snapshot.state for snapshot in found] == ["done"] * 8
    assert len({(snapshot.text, snapshot.tokens) for snapshot in found}) == 1
    own.close()
    assert opened.open == []


def test_the_engine_that_was_not_used_for_longest_is_closed(monkeypatch):
    opened, own = Opened(monkeypatch), Pool(most=2)
    for model in ("a", "b", "a", "c", "a"):
        with own.borrow(model):
            pass
    assert opened.all == ["a", "b", "c"]
    assert opened.open == ["a", "c"]
    assert opened.most == 2


def test_two_models_are_never_asked_at_once(monkeypatch):
    own, most, within = Pool(), 0, []

    def ask(model: str) -> None:
        nonlocal most
        with own.borrow(model):
            within.append(model)
            most = max(most, len(within))
            time.sleep(0.02)
            within.remove(model)

    Opened(monkeypatch)
    threads = [threading.Thread(target=ask, args=(model,)) for model in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_an_engine_in_use_is_never_closed_and_who_waits_can_give_up(monkeypatch):
    opened, own = Opened(monkeypatch), Pool(most=1)
    with own.borrow("a"):
        with pytest.raises(Stopped), own.borrow("b", lambda: True):
            pass
        with pytest.raises(Stopped), own.borrow("a", lambda: True):
            pass
        own.close()
        assert opened.open == ["a"]
    assert opened.open == []  # it was closed when it came back
    with own.borrow("b"):
        assert opened.open == ["b"]
    own.close()
