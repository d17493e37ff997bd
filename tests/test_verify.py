"""The verdict, exactly: every kind, its precedence, both styles, and nothing that can hurt."""

from __future__ import annotations

import io
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltf_lite.tasks import get_task
from ltf_lite.tasks.batch import BAD_INPUT, verify_lines
from ltf_lite.tasks.numbers.text import MAX_LINE, Step
from tests.clock import own_seconds
from tests.second_verifier import slow_verdict, some_path

COUNTDOWN = get_task("countdown")
KINDS = COUNTDOWN.kinds
CAPPED = get_task("countdown", max_intermediate=150)
GAME24 = get_task("game24")
PROBLEM = COUNTDOWN.problem({"numbers": [25, 5, 5, 33], "target": 27})
PUZZLE = GAME24.problem({"numbers": [3, 3, 8, 8], "target": 24})

S1, S2, S3 = (
    "25 + 5 = 30 (left: 5 33 30)\n",
    "30 / 5 = 6 (left: 33 6)\n",
    "33 - 6 = 27 (left: 27)\n",
)
ANSWER = "Answer: 33 - ((25 + 5) / 5) = 27"
GOOD = S1 + S2 + S3 + ANSWER
C = "25+5=30,33,5\n30/5=6,33\n33-6=27\n"
M = 10_000_000


def verdict(text: str, task=COUNTDOWN, problem=PROBLEM):
    return task.verify(problem, task.parse(problem, text))


def judged(text: str, task=COUNTDOWN, problem=PROBLEM) -> tuple[str | None, int | None]:
    found = verdict(text, task, problem)
    assert found.correct == (found.kind is None) == (found.fatal_step is None)
    assert found.kind is None or found.kind in KINDS
    assert found.message
    return found.kind, found.fatal_step


# -- every kind -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD + "\n",
        GOOD + "\nAnswer: 1\nand so on",  # what follows the answer is not read
        S1 + S2 + S3 + "Answer: 33 - (25 + 5) / 5",
        S1 + S2 + S3 + "answer:33-(25+5)/5=27=27.0=54/2",
        "5 + 25 = 30 (left: 30 33 5)\n" + S2 + S3 + ANSWER,  # any order is right
        "25.0 + 5 = 60/2 (left: 5, 33, 30)\n" + S2 + S3 + ANSWER,
        GOOD.replace("/", "÷").replace("-", "−"),
        "33 × 5 = 165 (left: 165 25 5)\n165 - 25 = 140 (left: 140 5)\n"
        "140 X 5 = 700 (left: 700)\nAnswer: 1".replace("X", "/").replace("700", "28"),
        C,
        C + "27",
        C + "27.0\n",
        C + "Answer: 27",
        C + "Answer:",
        C + "Answer: " + "33 - (25+5)/5",
        C + "33-(25+5)/5",
        # the mark of an answer may be missing, or be another
        S1 + S2 + S3 + "33 - ((25 + 5) / 5) = 27",
        S1 + S2 + S3 + "33 - ((25 + 5) / 5) = 27\nThat is right.",
        S1 + S2 + S3 + "**Answer:** `33 - ((25 + 5) / 5)`",
        S1 + S2 + S3 + "The final answer is 33 - ((25 + 5) / 5) = 27.",
        S1 + S2 + S3 + "Answer\uff1a 33 - ((25 + 5) / 5) = 27\u3002",
        # other signs
        S1 + S2 + S3 + ANSWER + ".",
        S1 + S2 + S3 + ANSWER + " .\n",
        S1 + S2 + S3 + "Answer: $33 - ((25 + 5) / 5) = 27$.",
        S1 + S2 + S3 + r"Answer: \(33 - ((25 + 5) \div 5)\)",
        S1 + S2 + S3 + r"Answer: \boxed{33 - \left((25 + 5) \div 5\right) = 27}",
        S1 + S2 + S3 + r"\[ \boxed{33 - \frac{25 + 5}{5}} = 27 \]",
        S1 + S2 + S3 + r"Answer: 33 - \dfrac{(25 + 5)}{5}",
        S1 + S2 + S3 + "Answer: 33 \u2013 [25 + 5] \u2215 5",
        S1 + S2 + S3 + "Answer: \uff13\uff13 \uff0d (25\uff0b5)\uff0f5 \uff1d \uff12\uff17",
        (S1 + S2 + S3 + ANSWER).replace("/", r"\div"),
        (S1 + S2 + S3 + ANSWER).translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789+-=():"}),
        S1.replace(")", ").") + S2 + "$33 - 6 = 27$ (left: 27)\n" + ANSWER,
        S1 + r"\frac{30}{5} = 6 (left: 33 6)" + "\n" + S3 + ANSWER,
        S1 + "(30) / (5) = 6 (left: 33 6)\n" + S3 + ANSWER,
        C.replace("6,33", "6,33.") + "27.",
        C + r"\boxed{27}",
        "`25+5=30,33,5`\n30/5=6,33\n33-6=27\n",
    ],
)
def test_correct_paths(text):
    problem = PROBLEM
    if "140" in text:
        problem = COUNTDOWN.problem({"numbers": [25, 5, 5, 33], "target": 28})
        text = text.replace("Answer: 1", "Answer: (33 x 5 − 25) / 5 = 28")
    assert judged(text, problem=problem) == (None, None)


@pytest.mark.parametrize(
    ("text", "kind", "step"),
    [
        # format
        ("Let me think.\n" + GOOD, "format", 0),
        (S1 + "so 30 / 5 = 6\n" + S3 + ANSWER, "format", 1),
        (S1 + "30 / 5 = 6 left: 33 6\n", "format", 1),
        (S1 + "30 / 5 = 6 (left: 33 6", "format", 1),
        (S1 + S2 + S3 + "27", "format", 3),  # a plain number answers compact paths only
        (S1 + S2 + S3 + "27 + 0 = 27 (left: 27)", "format", 3),
        ("25+5=30,33,5\n27\n", "format", 1),
        ("٢٥ + ٥ = ٣٠ (left: 5 33 30)", "format", 0),
        ("25 + 5 = 1e9 (left: 5 33 30)", "format", 0),
        ("25 + 5 = 1/0 (left: 5 33 30)", "format", 0),
        ("25 + 5 = 30 (left: 5 33 1/0)", "format", 0),
        ("25 ^ 5 = 30 (left: 5 33 30)", "format", 0),
        ("1/0 + 5 = 30 (left: 5 33 30)", "format", 0),
        # illegal
        ("25 + 6 = 31 (left: 5 33 31)", "illegal", 0),
        ("25 + 25 = 50 (left: 5 5 33 50)", "illegal", 0),
        (S1 + "25 / 5 = 5 (left: 33 5)", "illegal", 1),
        ("-25 + 5 = -20 (left: 5 33 -20)", "illegal", 0),
        # arithmetic
        ("25 + 5 = 31 (left: 5 33 31)", "arithmetic", 0),
        ("33 / 5 = 6 (left: 25 5 6)", "arithmetic", 0),
        # bookkeeping
        ("25 + 5 = 30 (left: 5 33)", "bookkeeping", 0),
        ("25 + 5 = 30 (left: 5 5 33 30)", "bookkeeping", 0),
        ("25 + 5 = 30 (left: )", "bookkeeping", 0),
        ("25+5=30\n", "bookkeeping", 0),
        # dead ends
        ("25 * 5 = 125 (left: 5 33 125)", "dead_end", 0),
        ("25 - 33 = -8 (left: 5 5 -8)", "dead_end", 0),  # a result that the rules forbid
        ("33 / 5 = 33/5 (left: 25 5 33/5)", "dead_end", 0),
        ("33 / 5 = 6.6 (left: 25 5 6.6)", "dead_end", 0),
        (S1 + S2 + "33 + 6 = 39 (left: 39)\n" + ANSWER, "dead_end", 2),
        # incomplete
        ("", "incomplete", 0),
        (" \n\t\n", "incomplete", 0),
        (S1, "incomplete", 1),
        (S1 + "Answer: 33 - 5", "incomplete", 1),
        (S1 + S2 + S3, "incomplete", 3),
        (S1 + S2 + S3 + "Answer: ", "incomplete", 3),
        ("25+5=30,33,5\n", "incomplete", 1),
        ("25+5=30,33,5\nAnswer: 27", "incomplete", 1),
        (S1 + S2 + "33-6=27\n", "incomplete", 3),  # compact only if every step is
        # right answers without their steps
        (ANSWER, "no_steps", 0),
        ("33 - (25+5)/5", "no_steps", 0),
        ("**33 - (25+5)/5 = 27.**", "no_steps", 0),
        (S1 + ANSWER, "no_steps", 1),
        (S1 + "33 - (25+5)/5", "no_steps", 1),
        ("25 * 5 = 125 (left: 5 33 125)\n" + ANSWER, "dead_end", 0),
        ("33 - (25+5)/6", "format", 0),
        # answers that cannot be read
        (S1 + S2 + S3 + "Answer: 33 - ((25 + 5) / 5) =", "unclear", 3),
        (S1 + S2 + S3 + "Answer: 33 - ((25 + 5) / 5", "unclear", 3),
        (S1 + S2 + S3 + "Answer: I give up", "unclear", 3),
        (S1 + S2 + S3 + "Answer: about 33 - ((25 + 5) / 5)", "unclear", 3),
        (S1 + S2 + S3 + "Answer: 33 - ((25 + 5) / 5) = 27, I think", "unclear", 3),
        (C + "Answer: no", "unclear", 3),
        # wrong answers
        (S1 + S2 + S3 + "Answer: 33 - ((25 + 5) / 5) = x = 28", "wrong_answer", 3),
        (S1 + S2 + S3 + "33 - ((25 + 5) / 5) = 27\nAnswer: 28", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 27", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 33 - ((25 + 5) / 5) = 28", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 33 - ((25 + 5) / 5) = 27 = 28", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 33 - 5 - 5 / 5", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 33 - 6", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 33 - (25 + 5) / 5 + 0", "wrong_answer", 3),
        (S1 + S2 + S3 + "Answer: 33 / (25 - 5 * 5)", "wrong_answer", 3),
        (S1 + S2 + "33-6=27\nAnswer: 27", "wrong_answer", 3),
        (C + "28", "wrong_answer", 3),
        (C + "-27", "wrong_answer", 3),
        (C + "1/0", "wrong_answer", 3),
        (C + "Answer: 54 / 2", "wrong_answer", 3),
        (C + "Answer: 27 = 28", "wrong_answer", 3),
    ],
)
def test_kinds_and_fatal_steps(text, kind, step):
    assert judged(text) == (kind, step)
    assert slow_verdict(PROBLEM, COUNTDOWN.rules, text) == (kind, step)


def test_division_by_zero_is_arithmetic():
    problem = COUNTDOWN.problem({"numbers": [5, 5, 7], "target": 7})
    text = "5 - 5 = 0 (left: 7 0)\n7 / 0 = 0 (left: 0)"
    assert judged(text, problem=problem) == ("arithmetic", 1)


def test_what_the_rules_allow_is_the_tasks():
    text = "8/3=8/3,8,3\n3-8/3=1/3,8\n8/1/3=24\n24"
    assert judged(text, GAME24, PUZZLE) == (None, None)
    twins = COUNTDOWN.problem(PUZZLE.data)
    assert judged(text, problem=twins) == ("dead_end", 0)
    product = "33 * 5 = 165 (left: 25 5 165)"
    twenty_eight = COUNTDOWN.problem({"numbers": [25, 5, 5, 33], "target": 28})
    assert judged(product, problem=twenty_eight) == ("incomplete", 1)
    assert judged(product, CAPPED, twenty_eight) == ("dead_end", 0)


def test_a_problem_without_a_solution_is_a_dead_end_at_the_first_right_step():
    problem = COUNTDOWN.problem({"numbers": [1, 1, 1], "target": 99})
    assert judged("1+1=2,1\n2+1=3\n", problem=problem) == ("dead_end", 0)
    assert judged("1+1=3,1\n", problem=problem) == ("arithmetic", 0)


# -- precedence -----------------------------------------------------------------------------------


def test_within_a_step_the_first_of_the_kinds_holds():
    assert judged("7 + 6 = 99 (left: 1)") == ("illegal", 0)
    assert judged("25 + 5 = 99 (left: 1)") == ("arithmetic", 0)
    assert judged("25 * 5 = 125 (left: 1)") == ("bookkeeping", 0)
    assert judged("25 - 33 = -8 (left: 1)") == ("bookkeeping", 0)
    assert judged("7 / 0 = 1 (left: 1)") == ("illegal", 0)


def test_the_first_fatal_step_gives_the_kind_whatever_follows():
    dead = "25 * 5 = 125 (left: 5 33 125)\n"
    assert judged(dead + "nonsense\n" + ANSWER) == ("dead_end", 0)
    assert judged("nonsense\n" + dead) == ("format", 0)
    assert judged(S1 + "30 / 5 = 7 (left: 33 7)\nnonsense\n") == ("arithmetic", 1)


# -- how it is written ----------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_white_space_is_free(data):
    blanks = st.text(" \t\r\u00a0\u2003", max_size=3)
    lines = st.text(" \t\r\n", max_size=4)
    spaced = ""
    for line in GOOD.split("\n"):
        spaced += data.draw(lines)
        for k, word in enumerate(line.replace("(", "( ").replace(")", " )").split()):
            # between two numbers of `left` a blank is needed
            spaced += data.draw(blanks) + (" " if k else "") + word
        spaced += data.draw(blanks) + "\n"
    assert judged(spaced) == (None, None)
    assert judged(S1.replace(" ", "").replace("53330", "5,33,30") + S2 + S3 + ANSWER)[0] is None
    assert judged("\n" * 500 + GOOD.replace("\n", "\r\n\r\n")) == (None, None)


def test_divisions_of_fractions_without_blanks_are_read_as_they_were_meant():
    text = "3/8=3/8,8,3\n3/8/3=1/8,8\n"  # (3/8) / 3
    assert judged(text, GAME24, PUZZLE)[0] == "dead_end"
    text = "8/3=8/3,8,3\n8/8/3=3,3\n"  # 8 / (8/3)
    assert judged(text, GAME24, PUZZLE)[0] != "illegal"


@pytest.mark.parametrize("style", ["standard", "compact"])
def test_every_solution_is_correct_in_both_styles(style):
    rng = random.Random(1)
    game24 = [PUZZLE, *GAME24.problems("train", 10, 0)]
    for task, problems in ((COUNTDOWN, COUNTDOWN.problems("train", 10, 0)), (GAME24, game24)):
        for problem in problems:
            solutions = list(task.solutions(problem))
            assert solutions
            for path in rng.sample(solutions, min(40, len(solutions))):
                text = task.write(problem, path, style)
                found = verdict(text, task, problem)
                assert found.correct, (text, found)


def test_a_path_that_misses_is_written_without_a_false_claim():
    path = [COUNTDOWN.moves(PROBLEM, COUNTDOWN.start(PROBLEM))[0]]
    assert "Answer" not in COUNTDOWN.write(PROBLEM, path, "standard")
    while len(path[-1].left) > 1:
        path.append(COUNTDOWN.moves(PROBLEM, path[-1].left)[0])
    text = COUNTDOWN.write(PROBLEM, path, "standard")
    assert text.rstrip().endswith(f"= {path[-1].result}")
    assert not verdict(text).correct


# -- spans ----------------------------------------------------------------------------------------


def test_spans_are_characters_of_the_text():
    text = "\n  25 + 5 = 30 (left: 5 33 30)  \n\nhm\n\t30 ÷ 5 = 6 (left: 33 6)\nAnswer: 1  "
    path = COUNTDOWN.parse(PROBLEM, text)
    assert path.form == "standard"
    assert [text[line.start : line.end] for line in path.lines] == [
        "25 + 5 = 30 (left: 5 33 30)",
        "hm",
        "30 ÷ 5 = 6 (left: 33 6)",
    ]
    assert [text[line.decision : line.decision_end] for line in path.lines] == [
        "25 + 5",
        "hm",
        "30 ÷ 5",
    ]
    assert [line.step is None for line in path.lines] == [False, True, False]
    assert path.answer
    assert text[path.answer.start : path.answer.end] == "Answer: 1"
    compact = COUNTDOWN.parse(PROBLEM, C + "27\n")
    assert compact.form == "compact"
    assert [(C + "27\n")[x.decision : x.decision_end] for x in compact.lines] == [
        "25+5",
        "30/5",
        "33-6",
    ]
    assert compact.answer
    assert compact.answer.text == "27"


@given(st.text(st.sampled_from("25+5=30,3 (left:)\n\tAnswer/6\u00a0"), max_size=120))
@settings(max_examples=150, deadline=None)
def test_spans_fit_any_text(text):
    path = COUNTDOWN.parse(PROBLEM, text)
    for line in [*path.lines, *([path.answer] if path.answer else [])]:
        assert text[line.start : line.end] == line.text == line.text.strip()
        assert line.start <= line.decision <= line.decision_end <= line.end


def test_legal_is_the_step_of_the_verifier():
    left = COUNTDOWN.start(PROBLEM)
    assert COUNTDOWN.legal(left, Step(25, "+", 5, 30, (5, 33, 30))) == (33, 30, 5)
    for wrong in (
        Step(25, "+", 6, 31, (5, 33, 31)),
        Step(25, "+", 5, 31, (5, 33, 31)),
        Step(25, "+", 5, 30, (5, 33)),
        Step(25, "-", 33, -8, (5, 5, -8)),
        Step(25, "/", 0, 0, (5, 5, 0)),
    ):
        assert COUNTDOWN.legal(left, wrong) is None
    assert GAME24.legal((8, 3), Step(3, "-", 8, -5, (-5,))) == (-5,)


# -- whatever a model writes ----------------------------------------------------------------------


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
@pytest.mark.slow
def test_no_text_raises(text):
    for line in (text, S1 + text, S1 + S2 + S3 + "Answer: " + text, C + text):
        judged(line)
        judged(line, GAME24, PUZZLE)


@given(st.text(st.sampled_from("0123456789+-*/()=. x÷,"), max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_answer_raises(text):
    assert judged(S1 + S2 + S3 + "Answer: " + text)[0] in (
        None,
        "wrong_answer",
        "incomplete",
        "unclear",
    )


@pytest.mark.parametrize("task", [COUNTDOWN, GAME24, CAPPED], ids=["countdown", "game24", "capped"])
@given(st.integers(0, 10**9))
@settings(max_examples=400, deadline=None)
@pytest.mark.slow
def test_a_slow_verifier_of_its_own_agrees_on_mutated_paths(task, seed):
    rng = random.Random(seed)
    problem = rng.choice(_pool(task))
    text = some_path(task, problem, rng)
    assert judged(text, task, problem) == slow_verdict(problem, task.rules, text), text


_pools: dict[int, list] = {}


def _pool(task) -> list:
    return _pools.setdefault(id(task), task.problems("train", 30, 0))


@pytest.mark.parametrize(
    "text",
    [
        "1" * M,
        " " * M,
        "\n" * M,
        "\0" * M,
        "\ud800" * M,
        "٣" * M,
        "(" * M,
        "25" + " " * M + "+ 5 = 30",
        "answer" + " " * M,
        "Answer: " + "(" * M,
        C + "Answer: 27" + "=27" * (M // 3),
        C + "Answer: 33-(25+5)/5" + " " * M,
        C + "Answer: " + "(" * 300 + "27" + ")" * 90,
        C + "9" * 4301,
        C + "Answer: " + "*".join(["9" * 30] * 12),
        C + "Answer: " + "/".join(["7" * 12] * 28),
        "9" * 4301 + " + 5 = 30 (left: 1)",
        "25 + 5 = " + "9" * 4301 + " (left: 1)",
        "1+1=1" + ",1" * 197,
        "1+1=1," + ("1" * 30 + ",") * 12 + "x",
        "1/1/" * 99,
        "1+1=1" + " " * 394,
        ("1+1=1 (left:" + " " * 380 + "\n") * 64,
        "1+1=1," + "1 , " * 98,
        "1 + 1 = 1 (left:" + "1 " * 190,
        ("x" * 100 + "\n") * 100_000,
    ],
    ids=range(26),
)
def test_no_text_takes_long(text):
    def verify():
        for task, problem in ((COUNTDOWN, PROBLEM), (GAME24, PUZZLE)):
            found = task.verify(problem, task.parse(problem, text))
            assert len(found.message) < 500

    assert own_seconds(verify, 2) < 2


def test_a_line_that_is_too_long_is_no_step_and_no_answer():
    assert judged(S1.strip() + " " * M + "\n" + S2 + S3 + ANSWER) == (None, None)
    assert judged("25 +" + " " * MAX_LINE + "5 = 30 (left: 5 33 30)\n") == ("format", 0)
    assert judged(S1 + S2 + S3 + ANSWER + "=27" * MAX_LINE) == ("wrong_answer", 3)


def test_six_large_numbers_are_exact():
    problem = COUNTDOWN.problem({"numbers": [9999] * 6, "target": 1})
    product = 9999**4
    text = (
        "9999*9999=99980001,9999,9999,9999,9999\n"
        f"99980001*9999={9999**3},9999,9999,9999\n{9999**3}*9999={product},9999,9999\n"
    )
    assert judged(text, problem=problem)[0] == "dead_end"


# -- ltf verify -----------------------------------------------------------------------------------


def verified(raw: bytes, task=COUNTDOWN) -> tuple[list[dict], tuple[int, int]]:
    out = io.StringIO()
    counts = verify_lines(task, io.BytesIO(raw), out)
    assert out.getvalue() == "" or out.getvalue().endswith("\n")
    assert out.getvalue().isascii()
    return [json.loads(line) for line in out.getvalue().splitlines()], counts


def _line(text: str = GOOD, **problem) -> bytes:
    return json.dumps({"problem": problem or PROBLEM.data, "text": text}).encode()


def test_a_verdict_a_line():
    lines = [_line(), _line(S1), _line(C), _line("\ud800\0"), _line(numbers=[1, 1], target=99)]
    found, counts = verified(b"\n".join(lines))  # the last line has no end
    assert counts == (5, 0)
    assert [(v["kind"], v["fatal_step"]) for v in found] == [
        (None, None),
        ("incomplete", 1),
        (None, None),
        ("format", 0),
        ("illegal", 0),
    ]
    assert [v["correct"] for v in found] == [True, False, True, False, False]
    assert all(set(v) == {"correct", "kind", "fatal_step", "message"} for v in found)
    assert verified(b"") == ([], (0, 0))
    assert verified(b"\r\n".join(lines) + b"\r\n")[0] == found
    assert verified(b"\xef\xbb\xbf" + lines[0] + b"\n")[0] == found[:1]


BAD_LINES = [
    b"",
    b" \t",
    b"\r",
    b"\xff\xfe",
    b"\x00\x00",
    _line().replace(b"27", b"\xff"),
    b"nonsense",
    b"{",
    b"null",
    b"[]",
    b"NaN",
    b"5",
    b'"x"',
    b"{}",
    b'{"problem": {}}',
    b'{"text": "x"}',
    b'{"problem": null, "text": ""}',
    b'{"problem": {"numbers": [1, 2], "target": 3}, "text": 5}',
    b'{"problem": {"numbers": [1, 2], "target": 3}, "text": null}',
    b'{"problem": {"numbers": [NaN, 2], "target": 3}, "text": ""}',
    b'{"problem": {"numbers": [1, 2], "target": Infinity}, "text": ""}',
    b'{"problem": {"numbers": [0, 2], "target": 3}, "text": ""}',
    b'{"problem": {"numbers": [-3, 2], "target": 3}, "text": ""}',
    b'{"problem": {"numbers": [1e9, 2], "target": 3}, "text": ""}',
    '{"problem": {"numbers": ["٣", 2], "target": 3}, "text": ""}'.encode(),
    b'{"problem": {"numbers": [' + b"9" * 5000 + b', 2], "target": 3}, "text": ""}',
    b'{"problem": {"numbers": [' + b"1," * 10**5 + b'1], "target": 3}, "text": ""}',
    b'{"problem": {"numbers": [' + b"[" * 500 + b"]" * 500 + b', 2], "target": 3}, "text": ""}',
    b"[" * 10**6,
    b'{"a":' * 10**5,
    b"9" * 10**7,
    _line() + _line(),
    _line() + b"\xef\xbb\xbf",
    "\ufeff".encode() + _line(),
]


def test_a_line_that_cannot_be_read_is_bad_input_and_stops_nothing():
    raw = b"\n".join(each for bad in BAD_LINES for each in (_line(), bad)) + b"\n"
    found, counts = verified(raw)
    assert own_seconds(lambda: verified(raw), 5) < 5
    assert counts == (2 * len(BAD_LINES), len(BAD_LINES))
    assert all(verdict["correct"] for verdict in found[::2])
    for line, bad in zip(BAD_LINES, found[1::2], strict=True):
        assert (bad["correct"], bad["kind"], bad["fatal_step"]) == (False, BAD_INPUT, None), line
        assert 5 < len(bad["message"]) < 200
        assert "\n" not in bad["message"]


def test_what_the_verifier_does_not_need_is_not_read():
    data = {"problem": PROBLEM.data, "text": GOOD, "logprob": float("nan"), "id": 10**4000}
    assert verified(json.dumps(data).encode())[0][0]["correct"]


def test_a_line_longer_than_memory_should_hold_is_skipped(monkeypatch):
    monkeypatch.setattr("ltf_lite.core.json_text.MAX_BYTES", 300)
    for long in (b"x" * 299, b"x" * 300, b"x" * 301, b"x" * 1000):
        found, counts = verified(_line() + b"\n" + long + b"\n" + _line() + b"\n" + long)
        assert counts == (4, 2)
        assert [v["correct"] for v in found] == [True, False, True, False]


@given(st.lists(st.binary(max_size=60), max_size=20))
@settings(max_examples=60, deadline=None)
def test_as_many_lines_out_as_in(lines):
    raw = b"\n".join(line.replace(b"\n", b"") for line in lines) + (b"\n" if lines else b"")
    found, counts = verified(raw)
    assert len(found) == len(lines) == counts[0]


def test_more_lines_than_one_chunk_come_out_in_order():
    texts = [GOOD, S1] * 700
    found, counts = verified(b"\n".join(map(_line, texts)), COUNTDOWN)
    assert counts == (1400, 0)
    assert [v["correct"] for v in found] == [True, False] * 700
