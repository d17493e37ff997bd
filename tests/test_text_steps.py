"""Steps of free text, and how a path of it failed."""

from __future__ import annotations

import pytest

from ltf_lite.tasks.contract import Verdict
from ltf_lite.tasks.failures import (
    FREE_TEXT_KINDS,
    Failure,
    as_cut_off,
    failure_kind,
    repeated,
)
from ltf_lite.tasks.text_steps import LONG_LINES, LONGEST, MOST, TextSteps, begun, same, split
from tests.clock import own_seconds
from tests.free_text import Sums

TASK = Sums()
PROBLEM = TASK.problem({"sum": [2, 2]})
LONG = "word " * (LONG_LINES // 4)


def steps(text: str) -> list[str]:
    return [text[start:end] for start, end in split(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n\n\t\n", []),
        ("a\nb\n", ["a", "b"]),
        ("\n\na \n  b\r\nc", ["a", "b", "c"]),
        ("a\nb\n\nAnswer: 4", ["a", "b", "Answer: 4"]),  # one blank line makes no paragraphs
        ("a\nb\n\nc\n\nd\ne", ["a\nb", "c", "d\ne"]),
        ("a\n \nb\n\nc\nd", ["a", "b", "c\nd"]),
        (f"{LONG}\n{LONG}\n\n{LONG}", [f"{LONG}\n{LONG}".strip(), LONG.strip()]),
        ("Step 1: a\nb\nStep 2: c", ["Step 1: a\nb", "Step 2: c"]),
        (
            "so:\n**Step 1:**\na\n\nb\n## Step 2\nc\n",
            ["so:", "**Step 1:**\na\n\nb", "## Step 2\nc"],
        ),
        ("## Solution\na\nstep by step\n", ["## Solution", "a", "step by step"]),
    ],
)
def test_a_step_is_a_line_a_paragraph_or_what_stands_under_a_heading(text, found):
    assert steps(text) == found


def test_spans_are_in_order_and_leave_out_nothing_but_blanks():
    text = "intro\n\n Step 1: a \nb\n\n\nStep 2:\n c\u2028d \x00\ud800\nStep 3"
    at, left = 0, []
    for start, end in split(text):
        assert at <= start < end <= len(text)
        left.append(text[at:start])
        at = end
    assert not "".join([*left, text[at:]]).strip()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 + 2 = 4", "2+2=4"),
        ("- Add them", "add  them"),
        ("1. Add them", "2) add them"),
        ("Step 1: Add them", "**Step 2:** Add them"),
        ("## Step 3 - Add them", "Add them"),
        ("**Answer: 4**", "Answer: 4"),
        ("\uff12 + 2", "2 + 2"),
        ("STRASSE", "straße"),
    ],
)
def test_two_spellings_of_one_thought_are_the_same(one, other):
    assert same(one) == same(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.5 + 2", "5 + 2"), ("-3 + 1", "3 + 1"), ("left: 1 2", "left: 12"), ("2**3", "2*3")],
)
def test_two_thoughts_are_not_the_same(one, other):
    assert same(one) != same(other)


@pytest.mark.parametrize(
    "line", ["", " ", "Step 2:", "**Step 3**", "## Step 1", "4.", "---", "***"]
)
def test_a_line_without_words_only_begins_a_step(line):
    assert begun(line)
    assert TextSteps(TASK).take(PROBLEM, (), line, "", True) is None


def test_a_path_is_finished_by_its_answer_and_by_nothing_else():
    own = TextSteps(TASK)
    state = own.start(PROBLEM)
    for k in range(LONGEST):
        taken = own.take(PROBLEM, state, f"thought {k}", "", True)
        assert taken is not None
        assert not own.finished(PROBLEM, state)
        state = taken.state
    assert own.take(PROBLEM, state, "one more", "", True) is None
    answered = own.take(PROBLEM, ("2 and 2 are 4.",), "Answer: 5", "", True)
    assert answered is not None
    assert own.finished(PROBLEM, answered.state)


def test_an_answer_in_the_line_of_a_step_gets_a_line_of_its_own():
    own = TextSteps(TASK)
    taken = own.take(PROBLEM, (), "2 and 2 are 4. Answer: 4", "", True)
    assert taken is not None
    assert taken.text == "2 and 2 are 4.\nAnswer: 4"
    assert own.finished(PROBLEM, taken.state)
    kept = own.take(PROBLEM, (), "Is the answer: even?  The answer: who knows", "", True)
    assert kept is not None
    assert kept.text == "Is the answer: even?  The answer: who knows"


def test_a_step_that_is_too_long_leads_nowhere():
    own = TextSteps(TASK)
    assert own.take(PROBLEM, (), "x" * MOST, "", True) is not None
    assert own.take(PROBLEM, (), "x" * (MOST + 1), "", True) is None


HOSTILE = [
    "#" * 20_000,
    "- " * 10_000,
    " " * 20_000 + "x",
    "x" + " " * 20_000 + "answer",
    "\n" * 20_000,
    "Step 1" * 3_000,
    "Step 1:\n" * 2_500,
    "answer " * 3_000,
    "*_" * 10_000,
    "1. " * 7_000,
    "(1) a\n" * 3_000,
    "\ud800\x00\u202e" * 5_000,
    "\ufdfa" * 10_000,  # one sign of eighteen letters
    "a b " * 5_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_take_no_time(text):
    def read():
        spans = split(text)
        same(text)
        failure_kind(text, spans, False, "length")
        TextSteps(TASK).take(PROBLEM, (), text[:MOST], "", True)

    assert own_seconds(read, 1.5) < 1.5


# -- failure kinds ---------------------------------------------------------------------------


def kind(text: str, has_answer: bool = False, finished_by: str = "stop") -> tuple[str, int]:
    told = failure_kind(text, split(text), has_answer, finished_by)  # type: ignore[arg-type]
    assert told.kind in FREE_TEXT_KINDS
    assert told.sentence
    return told.kind, told.step


def test_why_a_path_failed():
    assert kind("a\nb") == ("no_answer", 2)
    assert kind("") == ("no_answer", 0)
    assert kind("a\nb", finished_by="length") == ("cut_off", 2)
    assert kind("a\nAnswer:") == ("format", 2)
    assert kind("a\n**Answer:**  ") == ("format", 2)
    assert kind("a\nb", has_answer=True) == ("wrong_answer", 2)
    assert kind("a\nAnswer: 4\nThe final answer is: 5", has_answer=True) == ("format", 3)
    assert kind("a\nAnswer: 4\n**Answer:** 4.", has_answer=True) == ("wrong_answer", 3)
    assert kind("a\nAnswer: 4\nThe answer is clear", has_answer=True) == ("wrong_answer", 3)


def test_repetition_is_told_with_the_step_where_it_begins():
    assert kind("a\nb\n" + "so\n" * 5) == ("repetition", 3)
    assert kind("a\n" + "so\n" * 5, finished_by="length") == ("repetition", 2)
    assert kind("a\n" + "b\nc\n" * 4) == ("repetition", 3)
    assert kind("a\nb " + "we go on and " * 9) == ("repetition", 1)
    assert kind("a\n" + "so\n" * 9, has_answer=True) == ("wrong_answer", 10)
    assert repeated("0 0 0 0 0 1", [(0, 11)]) is None
    assert repeated("so\nso\nso", [(0, 2), (3, 5), (6, 8)]) is None


def test_a_task_s_own_kind_comes_first():
    own = failure_kind("a", [(0, 1)], False, own=lambda text, steps: Failure("mine", 0, "it is"))
    assert own == Failure("mine", 0, "it is")
    assert failure_kind("a", [(0, 1)], False, own=lambda *_: None).kind == "no_answer"


def test_only_a_path_without_an_answer_was_cut_off():
    right = Verdict(True, None, None, "")
    assert as_cut_off(right) is right
    wrong = Verdict(False, "wrong_answer", 2, "")
    assert as_cut_off(wrong) is wrong
    cut = as_cut_off(Verdict(False, "no_answer", 2, ""))
    assert (cut.kind, cut.fatal_step) == ("cut_off", 2)
    assert TASK.cut_off(Verdict(False, "repetition", 2, "")).kind == "repetition"
