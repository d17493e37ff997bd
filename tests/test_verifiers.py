"""Verifiers: what each takes for the same answer, and what it refuses to compare with."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from functools import cache

import pytest
from pydantic import ValidationError

from ltf_lite.core.worker import Worker
from ltf_lite.tasks.verifiers import VERIFIERS, Judgement, Verifier
from ltf_lite.tasks.verifiers.choice import Choice
from ltf_lite.tasks.verifiers.exact import Exact
from ltf_lite.tasks.verifiers.json import Json
from ltf_lite.tasks.verifiers.number import Number
from ltf_lite.tasks.verifiers.regex import Regex
from tests import verdicts


def math():
    pytest.importorskip("math_verify", reason="math-verify, of the extra `math`, compares formulas")
    return VERIFIERS.get("math")()


def gym():
    pytest.importorskip("reasoning_gym", reason="the extra `gym` has the problems")
    return VERIFIERS.get("gym")()


def agreed(verifier: Verifier, table: verdicts.Verdicts, data=None, least=40) -> None:
    """Every answer of a table has the verdict that the table says, one by one and all at once."""
    triples = [
        (answer, gold, data or {}, right)
        for gold, both in table.items()
        for right, answers in zip((True, False), both, strict=True)
        for answer in answers.split(" | ")
    ]
    assert len(triples) >= least
    judged = verifier.judge_all([each[:3] for each in triples])
    wrong = [(t, j) for t, j in zip(triples, judged, strict=True) if j.right is not t[3]]
    assert wrong == []
    assert all(bool(each.why) is (each.right is not True) for each in judged)
    assert all(len(each.why) <= 200 and len(each.read) <= 200 for each in judged)
    answer, gold, told, right = triples[0]
    assert verifier.right(answer, gold, told) is right
    assert [verifier.refuses(gold, data or {}) for gold in table] == [None] * len(table)


def test_exact():
    agreed(Exact(), verdicts.EXACT)
    assert not Exact(case=True).right("paris", "Paris")
    assert Exact(case=True).right("**Paris**.", "Paris")
    assert Exact().key("**Paris**.") == Exact().key("PARIS") == "paris"
    assert Exact().refuses(" ")
    assert Exact().refuses(" . ")


def test_number():
    agreed(Number(), verdicts.NUMBER, least=150)
    for gold in ("", "nan", "10-5", "5 or 6", "x", "9**9", "1e1000000"):
        assert "is not one number" in str(Number().refuses(gold))
        assert Number().judge("5", gold).right is None
    assert Number().key("$1,000.0") == Number().key("1000 apples") == "1000"
    assert Number().key("12%") != Number().key("12")


def test_number_within_a_tolerance():
    near, part = Number(tolerance=0.5), Number(relative=0.01)
    assert near.right("5.5", "5")
    assert near.right("4.5", "5")
    assert not near.right("5.51", "5")
    assert part.right("101", "100")
    assert part.right("-99", "-100")
    assert not part.right("101.1", "100")
    assert not near.right("nan", "5")
    assert not near.right("5%", "5")
    for bad in ({"tolerance": -1}, {"relative": -1}, {"tolerance": float("nan")}):
        with pytest.raises(ValidationError):
            Number(**bad)


def test_choice():
    agreed(Choice(), verdicts.CHOICE)
    agreed(Choice(), verdicts.CHOICE_OF_TEXTS, {"choices": verdicts.CAPITALS}, least=20)
    listed = {"choices": ["red", "green"]}
    assert Choice().right("green", "B", listed)
    assert not Choice().right("C", "B", listed)
    assert "no choice" in str(Choice().refuses("C", listed))
    assert "no choice" in str(Choice().refuses("Paris"))
    assert Choice().judge("B", "Paris").right is None
    assert Choice().key("(b)") == Choice().key("option B") == "B"


def test_json():
    agreed(Json(), verdicts.JSON)
    for gold in ("", "{", "NaN", '{"a": 1, "a": 1}', "[" * 60 + "]" * 60, "[" * 100_000):
        assert "no JSON" in str(Json().refuses(gold))
    assert Json().right("[" * 40 + "]" * 40, "[" * 40 + " ]" * 40)
    assert Json().key('{"b": 1.0, "a": 2}') == Json().key('{"a":2,"b":1}')
    assert Json().key("1.50") == Json().key("15e-1") != Json().key("15")


def test_regex():
    count = 0
    for pattern, table in verdicts.REGEX.items():
        count += sum(len(a.split(" | ")) for both in table.values() for a in both)
        gold = {gold or "x": both for gold, both in table.items()}
        agreed(Regex(pattern=pattern), gold, least=5)
    assert count >= 40
    assert Regex(pattern="AB", case=False).right("ab", "x")
    assert Regex(pattern="(?P<answer>.*)", case=False).right("PARIS.", "Paris")
    assert not Regex(pattern="(?P<answer>.*)").right("PARIS.", "Paris")
    with pytest.raises(ValidationError, match="no pattern"):
        Regex(pattern="(")
    with pytest.raises(ValidationError):
        Regex(pattern="")


@pytest.mark.slow
def test_a_pattern_that_never_ends_is_undecided():
    bad = Regex(pattern="(a+)+b")
    judged = bad.judge_all([("aab", "x", {}), ("a" * 40, "x", {}), ("ab", "x", {})])
    assert [each.right for each in judged] == [True, None, True]
    assert "in time" in judged[1].why


def test_math():
    verifier = math()
    agreed(verifier, verdicts.MATH, least=100)
    for gold in ("", "nan", "(", "x+", "$4$ and $5$"):
        assert verifier.refuses(gold), gold
    assert verifier.judge("5", "(").right is not True
    assert verifier.key("10/2") == verifier.key("5") == "5"
    assert verifier.key("$x + 1$") == verifier.key("x+1")


ENTRY = {"question": "1 + 4 =", "answer": "5", "metadata": {"difficulty": {}}}
SIMPLE = (
    "5 | 5  |  5 # 10-5 | 12% | nan | 6 | 5 or 6 | five |  | inf | it is 5 | 55 | 5% | 5, 6 | x"
)


def test_gym_wants_full_marks():
    verifier = gym()
    right, wrong = SIMPLE.split(" # ")
    told = {"generator": "chain_sum", "entry": ENTRY}
    agreed(verifier, {"5": (right, wrong)}, told, least=15)
    entry = {"question": "", "answer": "3.0 + 4.0i", "metadata": {"result": [3.0, 4.0]}}
    told = {"generator": "complex_arithmetic", "entry": entry}
    agreed(verifier, {"3.0 + 4.0i": ("3.0 + 4.0i | 3+4i", "3.1+4i | nan | nan+nanj | x")}, told, 5)
    assert "no `generator`" in str(verifier.refuses("5"))
    assert "no generator" in str(verifier.refuses("5", {"generator": "x", "entry": ENTRY}))
    assert verifier.judge("5", "5").right is None
    bad = {"generator": "chain_sum", "entry": {**ENTRY, "answer": "nan"}}
    assert "does not pass" in str(verifier.refuses("5", {**bad, "entry": {"answer": {}}}))


@pytest.mark.slow
def test_gym_takes_the_answer_of_each_generator_and_no_part_of_it():
    verifier = gym()
    names = ("gcd", "countdown", "puzzle24", "n_queens", "spiral_matrix", "string_insertion")
    names += ("simple_integration", "polynomial_multiplication", "binary_matrix", "arc_agi", "lcm")
    names += ("products", "base_conversion", "spell_backward", "coin_flip", "simple_equations")
    items = items_of(names)
    triples = [(str(e["answer"]), "", {"generator": n, "entry": e}) for n, e in items]
    assert [j.right for j in verifier.judge_all(triples)] == [True] * len(names)
    for said in ("", "nan", "-77", "x"):
        wrong = [(said, gold, told) for _, gold, told in triples]
        right = [j.right for j in verifier.judge_all(wrong)]
        assert True not in right, (said, right)
    assert [verifier.refuses(*each[1:]) for each in triples[:4]] == [None] * 4


@cache
def generators() -> Worker:
    """Makes problems, so that nothing of what it needs is imported here."""
    return Worker("tests.gym_items", seconds=20)


def items_of(names):
    return [(name, generators().call("item", name)) for name in names]


def test_gym_knows_the_scorers_that_run_answers():
    gym()
    from ltf_lite.tasks.verifiers.gym import RUN

    assert set(generators().call("running")) - {"number_sorting"} == RUN  # that one runs its own


@pytest.mark.slow
def test_gym_never_runs_code():
    verifier = gym()
    item = dict(items_of(["countdown"]))["countdown"]
    told = {"generator": "countdown", "entry": item}
    for code in ("__import__('os').getpid()", "open('x','w')", "exit()", "(1).real", "[x:=1]"):
        assert "not run" in verifier.judge(code, "", told).why
    assert "in time" in verifier.judge("9**9**9**9", "", told).why


LOADED = """
import sys
from ltf_lite.tasks.verifiers import VERIFIERS
VERIFIERS.names()
print(*({"sympy", "math_verify", "reasoning_gym", "torch"} & set(sys.modules)))
"""


def test_no_verifier_imports_what_is_heavy():
    asked = [sys.executable, "-c", LOADED]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(("name", "package"), [("math", "math_verify"), ("gym", "reasoning_gym")])
def test_a_missing_extra_is_one_sentence(monkeypatch, name, package):
    from ltf_lite.tasks.verifiers import outside

    monkeypatch.setattr(outside, "find_spec", lambda asked: None)
    with pytest.raises(
        ValidationError, match=rf"it needs {package}: pip install 'ltf-lite\[{name}"
    ):
        VERIFIERS.get(name)()


def test_a_verifier_may_have_right_alone_but_not_nothing():
    class Old(Verifier):
        name: str = "old"

        def right(self, answer: str, gold: str) -> bool:  # type: ignore[override]
            return answer == gold

    class New(Verifier):
        name: str = "new"

        def judge(self, answer, gold, data=None):
            return Judgement(None if answer == "?" else answer == gold)

    assert Old().judge("a ", "a", {"x": 1}) == Judgement(False, "it is not the answer", "a")
    assert Old().judge_all([("a", "a", {})])[0].right is True
    assert New().right("a", "a") is True
    assert New().right("?", "?") is False
    assert New().key(" A  b") == "a b"
    assert New().refuses(" ")
    assert not New().refuses("a")
    with pytest.raises(TypeError, match="has no method judge"):
        type("Bad", (Verifier,), {"__module__": __name__})


def test_every_verifier_says_what_it_reads():
    assert {"exact", "number", "choice", "regex", "json", "math", "gym"} <= set(VERIFIERS.names())
    for kind in VERIFIERS.all():
        assert kind.title
        assert len(inspect.getdoc(kind) or "") > 100
        assert json.dumps(kind.model_json_schema())
