"""Hostile answers go through every verifier: no fault, no trace, no longer than the limit."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time

import pytest

from ltf_lite.core.worker import SECONDS
from ltf_lite.tasks.answers import MAX_TEXT, find_answer
from ltf_lite.tasks.verifiers import VERIFIERS, Judgement
from tests.clock import own_seconds

TRACE = "ltf-hostile-trace"
SLACK = 4.0  # seconds that a new process and a busy machine may take besides
WRITES = [
    "open('{}', 'w').write('x')",
    "__import__('os').system('touch {}')",
    "__import__('pathlib').Path('{}').touch()",
    "[c for c in ().__class__.__base__.__subclasses__()][0]; open('{}', 'w')",
    "exec(\"open('{}','w')\")",
    "eval(compile(\"open('{}','w')\",'','exec'))",
    "sin(open('{}', 'w'))",
    "\\input{{{}}} \\write18{{touch {}}}",
    "`touch {}` $(touch {}) ; touch {}",
    "getattr(__builtins__, 'open')('{}', 'w')",
    "lambda: open('{}', 'w')",
    "\u200b__import__('os').mknod('{}')",
]
HOSTILE = [
    *("9**9**9**9", "9^9^9^9^9", "9^{9^{9^{9^9}}}", "1000000!", "(1000000!)!", "10**1000000"),
    *("1e1000000", "1e999999999999", "9" * 5000, "9" * 20_000, "1/" * 5000, "1/0", "0/0", "0**-1"),
    *("(" * 500, "(" * 500 + ")" * 500, "[" * 500 + "]" * 500, "{" * 500 + "}" * 500, "\\{" * 500),
    *("\\frac{" * 500, "\\frac{1}{" * 200 + "1" + "}" * 200, "\\sqrt{" * 100 + "2" + "}" * 100),
    *('{"a":' * 500 + "1" + "}" * 500, "[" * 10_000_000, "a" * 10_000_000, "1" * 10_000_000),
    *(
        "\0",
        "5\0",
        "\0" * 1000,
        "\ud800",
        "\udfff\ud800",
        "5\ud83d",
        "\ufeff5",
        "\u202e5",
        "\x1b[2J5",
    ),
    *(
        "nan",
        "NaN",
        "inf",
        "-inf",
        "nan+nanj",
        "infinity",
        "1e400",
        "-1e400",
        "None",
        "True",
        "null",
    ),
    *("$" * 5000, "*" * 20_000, '"' * 20_000, '\\"' * 10_000, "`" * 20_000, " " * 20_000 + "x"),
    *("<think>" * 3000, "Answer:" * 3000, "\\boxed{" * 3000, "####" * 5000, "\r\n" * 10_000),
    *(
        "x" * 30 + "!",
        "a" * 5000 + "!",
        "while True: pass",
        "exit()",
        "quit()",
        "1;exit()",
        "os._exit(0)",
    ),
    *("raise SystemExit", "factorial(10**7)", "x**(10**8)", "Sum(1/n,(n,1,oo))"),
    *("\\sum_{n=1}^{10^9} n!", "\\int_0^1 x^x dx", "\\lim_{x\\to0} x^x", "2^{2^{2^{2^{2^2}}}}"),
    *(
        "é" * 5000,
        "½" * 5000,
        "٣٤",
        "5\u0301" * 3000,
        "\u0301" * 20_000,
        "ﷺ" * 5000,
        "%s%n{0}",
        "日本",
    ),
    *("```json\n" * 2000, "1," * 9000, "A" * 9000, "(B" * 5000, "B) " * 5000, "-" * 9000, "''''''"),
]
PATTERNS = ["(x+x+)+y", "(.*)*{answer}", "(a|aa)+$"]
ENTRY = {
    "question": "",
    "answer": "4",
    "metadata": {"numbers": [1, 3], "target": 4, "difficulty": {}},
}
BOARD = {"question": "", "answer": "", "metadata": {"valid_answers": ["Q _"], "num_removed": 1}}
INTEGRAL = {"question": "", "answer": "x", "metadata": {"integrand": "1", "variable": "x"}}
EXTRAS = {"math": "math_verify", "gym": "reasoning_gym"}


def verifiers():
    """Every verifier with a gold answer and data."""
    yield VERIFIERS.get("exact")(), "Paris", {}
    yield VERIFIERS.get("number")(tolerance=0.1), "4", {}
    yield VERIFIERS.get("choice")(), "B", {"choices": {"A": "x\0", "B": "Paris"}}
    yield VERIFIERS.get("choice")(), "B", {}
    yield VERIFIERS.get("json")(), '{"a": 1}', {}
    yield VERIFIERS.get("regex")(pattern="{answer}.?"), "Paris", {}
    if importlib.util.find_spec("math_verify"):
        yield VERIFIERS.get("math")(), "4", {}
        yield VERIFIERS.get("math")(), "x^2+1", {}
    if importlib.util.find_spec("reasoning_gym"):
        yield VERIFIERS.get("gym")(), "4", {"generator": "chain_sum", "entry": ENTRY}


@pytest.fixture
def trace(tmp_path, monkeypatch):
    """Says what was written: in the working folder, and where a path without a folder leads."""
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []
    assert not os.path.exists(os.path.join(tempfile.gettempdir(), TRACE))


def attacks() -> list[str]:
    places = (TRACE, os.path.join(tempfile.gettempdir(), TRACE))
    code = [each.format(*[place] * 3) for each in WRITES for place in places]
    return code + HOSTILE


@pytest.mark.parametrize("at", range(len(list(verifiers()))))
@pytest.mark.slow
def test_no_hostile_answer_is_right_or_leaves_a_trace(at, trace):
    verifier, gold, data = list(verifiers())[at]
    said = attacks()
    began = time.monotonic()
    judged = verifier.judge_all([(answer, gold, data) for answer in said])
    late = sum(each.right is None for each in judged)
    assert time.monotonic() - began < late * (SECONDS + SLACK) + 20
    assert all(isinstance(each, Judgement) for each in judged)
    assert [a[:50] for a, each in zip(said, judged, strict=True) if each.right] == []
    assert late <= 12, [a[:50] for a, each in zip(said, judged, strict=True) if each.right is None]
    assert all(isinstance(verifier.key(answer), str) for answer in said)
    assert verifier.right(gold, gold, data)


@pytest.mark.parametrize("at", range(len(list(verifiers()))))
def test_no_hostile_gold_answer_is_a_fault(at, trace):
    verifier, _, data = list(verifiers())[at]
    if verifier.name == "gym":
        pytest.skip("its gold answer is the entry's")
    began = time.monotonic()
    golds = [a for a in attacks() if verifier.name != "math" or len(a) < 600]
    for gold in golds:
        told = verifier.refuses(gold, data)
        assert told is None or len(told) < 300
        if verifier.name != "math":  # there each takes a process
            assert isinstance(verifier.judge("5", gold, data), Judgement)
    assert time.monotonic() - began < 40


@pytest.mark.parametrize("generator", ["simple_integration", "string_insertion"])
@pytest.mark.slow
def test_scorers_that_run_answers_leave_no_trace(generator, trace):
    if importlib.util.find_spec("reasoning_gym") is None:
        pytest.skip("reasoning-gym, of the extra `gym`, has the scorers")
    gym = VERIFIERS.get("gym")()
    entry = INTEGRAL if generator == "simple_integration" else BOARD
    data = {"generator": generator, "entry": entry}
    code = [each.format(*[os.path.join(tempfile.gettempdir(), TRACE)] * 3) for each in WRITES]
    code += ["9**9**9**9", "sin(" * 500, "(" * 500, "[" * 500 + "]" * 500, "\0", "\ud800", "nan"]
    began = time.monotonic()
    judged = gym.judge_all([(answer, "", data) for answer in code])
    late = sum(each.right is None for each in judged)
    assert time.monotonic() - began < late * (SECONDS + SLACK) + 10
    assert late <= 2
    assert not any(each.right for each in judged)


def test_scorers_that_are_asked_past_the_filter_are_still_confined(trace):
    """What the filter lets through by mistake meets the worker's walls."""
    if importlib.util.find_spec("reasoning_gym") is None:
        pytest.skip("reasoning-gym, of the extra `gym`, has the scorers")
    from ltf_lite.tasks.verifiers.outside import worker

    place = os.path.join(tempfile.gettempdir(), TRACE)
    code = [f"open('{place}', 'w').write('x')", f"__import__('os').system('touch {place}')"]
    calls = [("string_insertion", f"[str({each})]", BOARD) for each in code]
    worker("gym", fresh=True, setup="prepare").call_all("scored", calls)
    assert not os.path.exists(place)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.slow
def test_no_pattern_holds_a_verdict_up(pattern):
    regex = VERIFIERS.get("regex")(pattern=pattern)
    began = time.monotonic()
    judged = regex.judge("x" * 40, "b")
    assert judged.right is not True
    assert time.monotonic() - began < SECONDS + SLACK


def test_finding_an_answer_is_no_fault_either():
    for text in attacks():
        assert own_seconds(lambda: find_answer(text[:MAX_TEXT]), 1) < 1  # noqa: B023
