"""Reasoners: what they find is right, the same for the same seed, and named for what it is."""

from __future__ import annotations

import pytest

from ltf_lite.engines import open_engine
from ltf_lite.reasoners import get_reasoner
from ltf_lite.reasoners.cot import answer_of, majority
from ltf_lite.tasks import get_task

TASK = get_task("countdown", numbers=(1, 50))
PROBLEMS = TASK.problems("validation", 30, 5)


def verdicts(solution, task=TASK):
    return [
        task.verify(solution.problem, task.parse(solution.problem, a.text))
        for a in solution.attempts
    ]


@pytest.mark.parametrize("name", ["bfs", "dfs"])
def test_exact_search_finds_different_right_paths_and_real_failures(name):
    reasoner = get_reasoner(name, paths=3, failures=2)
    for solution in reasoner.solve(PROBLEMS, TASK, None, 0):
        found = verdicts(solution)
        assert found[0].correct
        most = min(3, len(list(TASK.solutions(solution.problem))))
        # BFS keeps one path a state, so it may miss mere reorderings of the same steps.
        assert 1 <= sum(v.correct for v in found) <= most
        assert name == "bfs" or sum(v.correct for v in found) == most
        assert {v.kind for v in found if not v.correct} <= {"dead_end"}
        assert len({a.text for a in solution.attempts}) == len(solution.attempts)
        assert solution.choices == {name: 0}
        assert solution.nodes > 0


def test_exact_search_says_nothing_where_there_is_no_solution():
    problem = TASK.problem({"numbers": [1, 1, 1, 1], "target": 99})
    for name in ("bfs", "dfs"):
        (solution,) = get_reasoner(name).solve([problem], TASK, None, 0)
        assert solution.attempts == []
        assert solution.choices == {name: None}


def test_random_walk_is_legal_to_its_end_and_depends_on_the_seed_alone():
    reasoner = get_reasoner("random")
    first = [s.attempts[0].text for s in reasoner.solve(PROBLEMS, TASK, None, 1)]
    assert first == [s.attempts[0].text for s in reasoner.solve(PROBLEMS, TASK, None, 1)]
    assert first != [s.attempts[0].text for s in reasoner.solve(PROBLEMS, TASK, None, 2)]
    for solution in reasoner.solve(PROBLEMS, TASK, None, 1):
        assert verdicts(solution)[0].kind in (None, "dead_end")


def test_exact_search_solves_game24_with_fractions():
    task = get_task("game24")
    problem = task.problem({"numbers": [3, 3, 8, 8]})
    (solution,) = get_reasoner("dfs", style="zero_shot").solve([problem], task, None, 0)
    assert verdicts(solution, task)[0].correct
    assert "8 / (3 - (8 / 3))" in solution.attempts[0].text


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
