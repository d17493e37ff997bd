"""The Python interface, as a notebook uses it, on the embedded base."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ltf_lite
from ltf_lite.core.errors import LtfError
from ltf_lite.engines import EngineError
from ltf_lite.tasks import TaskError

EXAMPLE = """\
import ltf_lite

countdown = ltf_lite.task("countdown")
with ltf_lite.model("tiny-base") as model:                      # or "runs/tiny", a GGUF file, ...
    answer = ltf_lite.ask(model, countdown, "25 5 5 33 -> 27")  # a single pass
    print(answer.text, answer.correct, answer.verdict.message)
    found = ltf_lite.search(model, countdown, "25 5 5 33 -> 27", "tot", beam=3)
    print(found.text, found.correct, len(found.tree), "nodes", found.tokens, "tokens")
    problems = countdown.problems("test", 20, seed=0)           # many are asked together
    print(sum(each.correct for each in ltf_lite.ask(model, countdown, problems)), "of 20")
"""


@pytest.fixture(scope="module")
def model():
    with ltf_lite.model("tiny-base") as opened:
        yield opened


def test_the_example_of_the_readme_runs(capsys):
    exec(compile(EXAMPLE, "example", "exec"), {})
    told = capsys.readouterr().out
    assert "nodes" in told
    assert "of 20" in told


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, ltf_lite; first = set(sys.modules); dir(ltf_lite)\n"
        "print([m for m in ('pydantic', 'torch', 'transformers', 'numpy') if m in first])\n"
        "ltf_lite.ask\n"
        "print([m for m in ('torch', 'transformers', 'llama_cpp', 'gradio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_everything_that_is_offered_is_there_and_nothing_else_is():
    for name in ltf_lite.__all__:
        assert getattr(ltf_lite, name)
        assert name in dir(ltf_lite)
    for name in ("Answer", "Model", "ask", "model", "search", "task"):
        assert getattr(ltf_lite, name).__doc__
    with pytest.raises(AttributeError, match="solve_all"):
        ltf_lite.solve_all  # noqa: B018


def test_an_answer_is_typed_and_is_json(model):
    task = ltf_lite.task("countdown")
    answer = ltf_lite.ask(model, task, "25 5 5 33 -> 27")
    assert isinstance(answer, ltf_lite.Answer)
    assert answer.problem == task.problem("25 5 5 33 -> 27")
    assert answer.verdict == task.verify(answer.problem, task.parse(answer.problem, answer.text))
    assert (answer.way, answer.reasoner, answer.paths, answer.error) == (
        "single-pass", "cot", 1, None,
    )  # fmt: skip
    assert answer.choice.kind == "single_pass"
    assert answer.tokens > 0
    assert answer.seconds > 0
    assert answer.solution is None
    assert len(answer.tree) == 0
    assert json.loads(json.dumps(answer.as_dict()))["verdict"] == answer.verdict.as_dict()


def test_problems_may_be_typed_data_or_problems_and_many_are_a_list(model):
    task = ltf_lite.task("countdown", numbers=(1, 50))
    asked = ["25 5 5 33 -> 27", {"numbers": [3, 4], "target": 7}, task.problem("7 3 2 -> 12")]
    many = ltf_lite.ask(model, task, asked)
    assert [answer.problem.text for answer in many] == [
        "25 5 5 33 -> 27",
        "3 4 -> 7",
        "7 3 2 -> 12",
    ]
    alone = [ltf_lite.ask(model, task, problem) for problem in asked]
    assert [answer.text for answer in many] == [answer.text for answer in alone]
    assert ltf_lite.ask(model, task, []) == []


@pytest.mark.parametrize(
    ("way", "kind", "picker"),
    [("self-consistency", "self_consistency", "votes"), ("best-of-n", "best_of_n", "likelihood"),
     ("oracle", "oracle", "verifier")],
)  # fmt: skip
def test_ways_choose_among_the_same_samples(model, way, kind, picker):
    answer = ltf_lite.ask(model, "countdown", "7 12 20 31 -> 46", way, n=64, temperature=1.5)
    assert (answer.choice.kind, answer.choice.n, answer.choice.picker) == (kind, 64, picker)
    assert answer.paths == 64
    kept = ltf_lite.search(model, "countdown", "7 12 20 31 -> 46", way, n=64, temperature=1.5)
    assert kept.text == answer.text
    right = [attempt for attempt in kept.solution.attempts if attempt.verdict.correct]
    assert right
    if way == "oracle":
        assert answer.text == right[0].text
    if way == "best-of-n":
        best = max(kept.solution.attempts, key=lambda attempt: attempt.logprob)
        assert answer.text == best.text


def test_a_search_keeps_its_tree(model):
    found = ltf_lite.search(model, "countdown", "7 3 2 -> 12", "tot", beam=2)
    assert found.tree[0].state == (7, 3, 2)
    assert found.tokens == sum(node.tokens for node in found.tree)
    assert found.text in [attempt.text for attempt in found.solution.attempts]
    two = ltf_lite.search(model, "countdown", ["7 3 2 -> 12", "3 4 -> 7"], "tot", beam=2)
    assert [answer.solution.problem.text for answer in two] == ["7 3 2 -> 12", "3 4 -> 7"]


@pytest.mark.parametrize("reasoner", ["dfs", "bfs", "random"])
def test_a_search_without_a_model_needs_none(reasoner):
    found = ltf_lite.search(None, "countdown", "7 3 2 -> 12", reasoner)
    assert found.tokens == 0
    assert found.tree
    assert reasoner == "random" or found.correct


def test_a_model_is_closed_at_the_end_of_its_block_and_a_reference_is_enough():
    with ltf_lite.model("tiny-base") as model:
        assert model.dialect == "compact"
        assert "tiny-base" in repr(model)
    assert "closed" in repr(model)
    with pytest.raises(EngineError, match="closed"):
        ltf_lite.ask(model, "countdown", "3 4 -> 7")
    model.close()
    assert ltf_lite.ask("tiny-base", "countdown", "3 4 -> 7").text


def test_a_model_can_be_asked_in_another_dialect():
    with ltf_lite.model("tiny-base", dialect="zero_shot") as model:
        assert model.dialect == "zero_shot"
    with pytest.raises(EngineError, match="few_shot"):
        ltf_lite.model("tiny-base", dialect="klingon")


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: ltf_lite.task("chess"), TaskError, "countdown"),
        (lambda: ltf_lite.model("nowhere.gguf"), EngineError, "nowhere.gguf"),
        (lambda: ltf_lite.ask("tiny-base", "countdown", "1 1 1 1 -> 99"), TaskError, "no solution"),
        (lambda: ltf_lite.ask("tiny-base", "countdown", ["3 4 -> 7", "x"]), TaskError, "number"),
        (lambda: ltf_lite.ask("tiny-base", "countdown", "3 4 -> 7", "guess"), LtfError, "guess"),
        (lambda: ltf_lite.search("tiny-base", "countdown", "3 4 -> 7", beem=1), LtfError, "beam"),
        (lambda: ltf_lite.search(None, "countdown", "3 4 -> 7"), EngineError, "asks a model"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(ask, error, words):
    with pytest.raises(error, match=words) as caught:
        ask()
    assert isinstance(caught.value, LtfError)
    assert "\n" not in str(caught.value)
