"""Answers as HTML: what is said of them, and that nothing a model writes is more than text."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from ltf_lite.app.answer import live
from ltf_lite.app.web import cards
from ltf_lite.app.web.words import speaker
from ltf_lite.reasoners import Node
from ltf_lite.tasks import Verdict, get_task

SAY, TASK = speaker("en"), get_task("countdown")
HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(1)>&amp;\x00'
SIDE = live.Side("tiny-base", "tot")
WRONG = Verdict(False, "dead_end", 1, "27 can't be reached from 8")


def done(verdict: Verdict | None, **facts) -> live.Snapshot:
    tree = (Node(None, state=(8, 5)), Node(0, HOSTILE, verdict=verdict))
    base = live.Snapshot(SIDE, "done", tree, seconds=0.5, tokens=25, calls=2, chosen=1)
    return replace(base, verdict=verdict, **facts)


def test_what_a_model_writes_is_text_wherever_it_is_shown():
    for state in ("running", "done", "stopped", "failed"):
        snapshot = replace(
            done(WRONG, lines=("8-5=3", HOSTILE), text=HOSTILE, error=HOSTILE), state=state
        )
        html = cards.pane(snapshot, HOSTILE, TASK, SAY, HOSTILE)
        assert "<script" not in html
        assert "<img" not in html
        ElementTree.fromstring(html.replace("\x00", "").replace("<br>", "<br/>"))
    assert "<script" not in cards.notice(HOSTILE)
    assert "<script" not in cards.grid([HOSTILE], [[HOSTILE]])


def test_the_fatal_step_is_named_and_marked():
    snapshot = done(WRONG, lines=("33-25=8,5,5", "8*5=40,5", "40-5=35"))
    html = cards.pane(snapshot, "x", TASK, SAY)
    assert "step 2, “8*5=40,5”, loses it. After it the target can no longer be reached." in html
    assert html.count('class="ltf-fatal"') == 1
    assert html.index("ltf-right") < html.index("ltf-fatal") < html.index("ltf-after")


@pytest.mark.parametrize(
    ("verdict", "lines", "words"),
    [
        (Verdict(False, "incomplete", 1, "step 2 is missing"), ("1+2=3,4",), "step 2 is missing"),
        (Verdict(False, "incomplete", 0, "step 1 is missing"), (), "no answer was given"),
        (Verdict(False, "arithmetic", 0, "2 + 2 is 4"), ("2+2=5",), "The arithmetic is wrong"),
    ],
)
def test_why_an_answer_is_wrong_in_words(verdict, lines, words):
    assert words in cards.reason(verdict, lines, TASK, SAY)


class Colours(type(TASK)):
    """A task with a failure kind of its own, and with verdicts that know no fatal step."""

    kinds: ClassVar[dict[str, str]] = {"too_red": "The colour is too red."}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_kind_that_no_language_knows_is_said_by_its_task(language):
    say, task = speaker(language), Colours()
    assert say.kind("too_red", task) == "The colour is too red."
    assert say.name("too_red") == "too red"
    assert say.kind("strange", task) == "strange"
    wrong = Verdict(False, "too_red", None, "it is #ff0000")
    html = cards.pane(done(wrong, lines=("red", "green")), "x", task, say)
    assert "The colour is too red. (it is #ff0000)" in html
    assert html.count('class="ltf-after"') == 2  # of no line it is known that it is right
    assert "ltf-right" not in html


def test_what_cannot_be_said_is_neither_right_nor_wrong():
    """A typed question whose answer nobody knows: its path is shown whole, its answer marked."""
    task = get_task("reference", file="nothing.csv")
    text = f"It is 6 * 7.\n{HOSTILE}\n\nAnswer: **42**\nThat is all. {'x' * 900}"
    problem = task._made("What is 6 * 7?", "", "", {})
    path = task.parse(problem, text)
    verdict = task.verify(problem, path)
    assert verdict.kind == "unchecked"
    lines = tuple(line.text for line in path.all_lines())
    taken = (path.answer.decision, path.answer.decision_end)
    snapshot = done(verdict, text=text, lines=lines, taken=taken, runtime="x", tokens=9)
    html = cards.pane(snapshot, "x", task, SAY)
    assert "ltf-open" in html
    assert not {"ltf-good", "ltf-bad", "ltf-fatal"} & set(re.findall("ltf-[a-z]+", html))
    assert "No verdict: </strong>" in html or "No verdict:</strong>" in html
    assert '<mark class="ltf-taken">42</mark>' in html
    assert "That is all." in html
    assert "x" * 900 in html
    assert "<script" not in html
    told = cards.verdict_of(snapshot, snapshot, snapshot, SAY, task.spared)
    assert "could not be checked" in told
    assert "None of" not in told
    wrong = replace(snapshot, verdict=Verdict(False, "wrong_answer", 2, "it is wrong"))
    assert "ltf-bad" in cards.pane(wrong, "x", task, SAY)
    assert '<mark class="ltf-taken">42</mark>' in cards.pane(wrong, "x", task, SAY)


def test_the_kinds_of_number_games_have_japanese_words():
    say = speaker("ja")
    for kind, english in TASK.kinds.items():
        assert say.kind(kind, TASK) != english
        assert say.name(kind) != kind.replace("_", " ")


def test_the_costs_are_compared_when_all_are_done_and_not_before():
    right = Verdict(True, None, None, "correct: reaches 3")
    base = done(WRONG, tokens=22, runtime="transformers, float32")
    one = done(right, seconds=0.5, tokens=20, runtime="transformers, float32")
    other = done(right, seconds=24.0, tokens=620, runtime="transformers, float32")
    html = cards.verdict_of(base, one, other, SAY)
    assert "solves in one answer what needed search before" in html
    assert "wrote 620 tokens, the trained model 20: 31 times as many" in html
    assert "48 times as long" in html
    apart = cards.verdict_of(base, one, replace(other, runtime="llama.cpp, Q8_0"), SAY)
    assert "31 times" in apart
    assert "Two engines" in apart
    assert "as long" not in apart
    exact = cards.verdict_of(base, one, replace(other, tokens=0, runtime=""), SAY)
    assert "times" not in exact
    assert cards.verdict_of(base, one, replace(other, state="stopped"), SAY) == ""


def test_where_neither_solved_it_nothing_is_said_of_its_cost():
    sides = [done(WRONG, tokens=tokens, runtime="x") for tokens in (20, 20, 620)]
    html = cards.verdict_of(*sides, SAY)
    assert "None of the three solved it." in html
    assert "31" not in html
    only = replace(sides[2], verdict=Verdict(True, None, None, "correct"))
    assert "31 times" in cards.verdict_of(sides[0], sides[1], only, SAY)


def test_the_tokens_are_the_large_number():
    html = cards.pane(done(WRONG, lines=("8-5=3",)), "x", TASK, SAY, "a model")
    assert '<strong class="ltf-number">25</strong> tokens' in html
    assert "500 ms" in html.partition("ltf-number")[2]
    assert "a model" in html.partition("<details")[2]  # what few ask for is folded


def test_a_real_search_is_shown_with_its_tree_as_picture_and_as_text():
    task, pool = get_task("countdown"), live.Pool()
    problem = task.problem("44 41 4 23 -> 66")
    *_, last = live.answer(problem, task, live.Side("tiny-base", "tot"), pool, threading.Event())
    pool.close()
    html = cards.tree_block(last, problem.text, task, SAY)
    assert html.count("<svg") == 1
    assert "how promising" in html  # what the numbers in its boxes are
    assert html.count("data-zoom") == 3
    assert "The tree as text" in html
    html = cards.pane(last, "search", task, SAY)
    assert f">{last.calls}<" in html
    japanese = cards.pane(last, "search", task, speaker("ja"))
    assert "解け" in japanese
    assert "dead_end" not in japanese.split("<details")[0]


def test_a_tree_that_nobody_checked_has_no_colours_of_right_and_wrong():
    task = get_task("reference", file="nothing.csv")
    verdict = Verdict(False, "unchecked", None, "the answer is '42', unchecked")
    tree = (Node(None, state=None), Node(0, "Answer: 42", verdict=verdict))
    snapshot = replace(done(verdict, lines=("Answer: 42",), text="Answer: 42"), tree=tree)
    pane = cards.pane(snapshot, "x", task, SAY)
    html = cards.tree_block(snapshot, "What is 6 * 7?", task, SAY)
    picture = html.partition("</style>")[2].partition("</svg>")[0]
    assert "42" in picture
    assert not re.search(r'class="[^"]*\b(good|bad|right|way-good|way-bad)\b', picture)
    assert "✗" not in html + pane
    assert "? of 0" in pane
    assert "unchecked" in html.partition('aria-label="2 nodes')[2].partition(">")[0]
