"""Chain of thought: what is sampled, how it is chosen among, and the tree it makes."""

from __future__ import annotations

import pytest

from ltf_lite.engines import open_engine
from ltf_lite.reasoners import get_reasoner, path_to
from ltf_lite.reasoners.cot import answer_of, majority
from ltf_lite.tasks import get_task
from tests.fake_engine import FakeEngine

TASK = get_task("countdown", numbers=(1, 50))
PROBLEMS = TASK.problems("validation", 30, 5)


def test_single_pass_is_one_greedy_path():
    engine = open_engine("tiny-base")
    for solution in get_reasoner("cot", max_tokens=40).solve(PROBLEMS, TASK, engine, 0):
        assert solution.choices == {"greedy": 0}
        assert len(solution.attempts) == 1
    assert engine.usage.calls == 1  # all problems in one call


def test_sampling_reports_every_choice_and_names_the_oracle():
    engine = open_engine("tiny-base")
    reasoner = get_reasoner("cot", n=4, temperature=1.0, max_tokens=40)
    for solution in reasoner.solve(PROBLEMS[:5], TASK, engine, 0):
        assert set(solution.choices) == {"sample", "self-consistency@4", "best-of-n@4", "oracle@4"}
        best = solution.choices["best-of-n@4"]
        assert solution.attempts[best].logprob == max(a.logprob for a in solution.attempts)


def test_equal_answers_are_equal_whatever_the_order():
    problem = TASK.problem({"numbers": [2, 3, 4, 5], "target": 14})

    def answer(text):
        return answer_of(TASK.parse(problem, text))

    assert answer("2+3=5,5,4\n5+5=10,4\n10+4=14\n") == answer("3+2=5,5,4\n5+5=10,4\n4+10=14\n")
    assert answer("5-3=2,4,2\n") != answer("5-2=3,4,3\n")
    assert answer("hello") is None
    assert answer("") is None


def test_majority_breaks_ties_by_rank():
    assert majority(["a", "b", "b", None], [0, 1, 2, 3]) == 1
    assert majority(["a", "b"], [1, 0]) == 1
    assert majority([None, None], [0, 1]) is None


def test_samples_share_the_steps_they_have_in_common():
    texts = iter(["25+5=30,33,5\n30/5=6,33\n33-6=27\n", "25+5=30,33,5\n30+5=35,33\n", "what?"])
    engine = FakeEngine(lambda prompt, rng: next(texts))
    problem = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
    reasoner = get_reasoner("cot", n=3, temperature=1.0)
    (solution,) = reasoner.solve([problem], TASK, engine, 0)
    tree = solution.tree
    assert [node.text for node in tree] == [
        "", "25+5=30,33,5", "30/5=6,33", "33-6=27", "30+5=35,33", "what?",
    ]  # fmt: skip
    assert [node.parent for node in tree] == [None, 0, 1, 2, 1, 0]
    assert [node.visits for node in tree] == [0, 2, 1, 1, 1, 1]
    assert [node.verdict and node.verdict.kind for node in tree] == [
        None, None, None, None, "dead_end", "format",
    ]  # fmt: skip
    assert tree[3].verdict.correct
    assert [a.node for a in solution.attempts] == [3, 4, 5]
    assert path_to(tree, 3) == [1, 2, 3]
    assert solution.tokens == sum(a.tokens for a in solution.attempts)


def test_what_was_written_beyond_the_stop_is_kept_apart():
    class Talker(FakeEngine):
        style = "few_shot"

    said = "25 + 5 = 30 (left: 5 33 30)\n\nInput: 1 2"
    problem = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
    (solution,) = get_reasoner("cot").solve([problem], TASK, Talker(lambda *_: said), 0)
    (attempt,) = solution.attempts
    assert attempt.text == "25 + 5 = 30 (left: 5 33 30)"
    assert attempt.beyond == "\n\nInput: 1 2"
    assert attempt.finished


@pytest.mark.parametrize("n", [1, 4])
def test_a_chain_has_the_room_its_task_finds_enough(n):
    engine = open_engine("tiny-base")  # its context is 128 tokens: no default may ask for more
    reasoner = get_reasoner("cot", n=n, temperature=float(n > 1))
    for solution in reasoner.solve(PROBLEMS[:3], TASK, engine, 0):
        assert all(attempt.finished for attempt in solution.attempts)
