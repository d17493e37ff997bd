"""The searches that ask no model: what they find is right, and their tree is what they searched."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from ltf_lite.reasoners import Choice, exact, get_reasoner, path_to, solve
from ltf_lite.tasks import get_task

TASK = get_task("countdown", numbers=(1, 50))
GAME24 = get_task("game24")
PROBLEMS = TASK.problems("validation", 30, 5)
NAMES = ["bfs", "dfs", "random"]


EXACT = Choice("search", picker="solver")


def solutions(
    name, problems=PROBLEMS, task=TASK, seed=0, watch=None, dialect="compact", **settings
):
    reasoner = get_reasoner(name, **settings)
    return list(solve(reasoner, problems, task, None, seed, watch, dialect))


def lines_of(solution, attempt):
    return [line.text for line in TASK.parse(solution.problem, attempt.text).lines]


def some(name, **settings):
    """Solutions with several paths, where the search keeps several."""
    kept = {} if name == "random" else {"paths": 3, "failures": 2}
    return solutions(name, **kept, **settings)


# -- what is found --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bfs", "dfs"])
def test_exact_search_finds_different_right_paths_and_real_failures(name):
    for solution in some(name):
        found = [attempt.verdict for attempt in solution.attempts]
        assert found[0].correct
        most = min(3, len(list(TASK.solutions(solution.problem))))
        # BFS keeps one path a state, so it may miss mere reorderings of the same steps.
        assert 1 <= sum(v.correct for v in found) <= most
        assert name == "bfs" or sum(v.correct for v in found) == most
        assert [v.correct for v in found] == sorted((v.correct for v in found), reverse=True)
        assert {v.kind for v in found if not v.correct} <= {"dead_end"}
        assert sum(not v.correct for v in found) <= 2
        assert len({a.text for a in solution.attempts}) == len(solution.attempts)
        assert solution.choices == {EXACT: 0}
        assert solution.tokens == 0


def test_breadth_first_search_finds_a_path_to_every_problem_and_all_it_can_fail_by():
    for solution in solutions("bfs", paths=10**6, failures=10**6):
        ends = [k for k, node in enumerate(solution.tree) if len(node.state) == 1]
        assert sorted(a.node for a in solution.attempts) == ends
        assert all(len(lines_of(solution, a)) == 3 for a in solution.attempts)
        right = {a.text for a in solution.attempts if a.verdict.correct}
        every = TASK.solutions(solution.problem)
        assert right <= {TASK.write(solution.problem, path, "compact") for path in every}


def test_breadth_first_search_keeps_paths_of_many_beginnings():
    (solution,) = solutions("bfs", PROBLEMS[:1], paths=1, failures=40)
    assert len({lines_of(solution, a)[0] for a in solution.attempts}) > 5


@pytest.mark.parametrize("name", ["bfs", "dfs"])
def test_exact_search_says_nothing_where_there_is_no_solution(name):
    problem = TASK.problem({"numbers": [1, 1, 1, 1], "target": 99})
    (solution,) = solutions(name, [problem])
    assert solution.attempts == []
    assert solution.choices == {EXACT: None}
    assert len(solution.tree) > 1


def test_where_there_is_no_solution_the_dead_ends_can_still_be_kept():
    problem = TASK.problem({"numbers": [1, 1, 1, 1], "target": 99})
    for name in ("bfs", "dfs"):
        (solution,) = solutions(name, [problem], failures=2)
        assert [a.verdict.kind for a in solution.attempts] == ["dead_end"] * 2


def test_random_walk_is_legal_to_its_end_and_depends_on_the_seed_alone():
    first, again, other = (
        [s.attempts[0].text for s in solutions("random", seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    for solution in solutions("random", seed=1):
        (attempt,) = solution.attempts
        assert attempt.verdict.kind in (None, "dead_end")
        assert len(lines_of(solution, attempt)) == 3
        assert solution.choices == {Choice("search", picker="chance"): 0}


def test_random_walk_hits_the_target_with_its_last_step_if_it_can():
    problem = TASK.problem({"numbers": [20, 4], "target": 5})
    assert all(s.attempts[0].text == "20/4=5\n" for s in solutions("random", [problem] * 10))


def test_the_paths_that_breadth_first_search_keeps_depend_on_the_seed_alone():
    one, again, other = (
        [[a.text for a in s.attempts] for s in some("bfs", seed=seed)] for seed in (1, 1, 2)
    )
    assert one == again != other


def test_exact_search_solves_game24_with_fractions():
    problem = GAME24.problem({"numbers": [3, 3, 8, 8]})
    for name in ("bfs", "dfs"):
        (solution,) = solutions(name, [problem], GAME24, dialect="zero_shot")
        assert solution.attempts[0].verdict.correct
        assert "8 / (3 - (8 / 3))" in solution.attempts[0].text


# -- the tree -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", [TASK, GAME24], ids=["countdown", "game24"])
def test_the_tree_is_a_tree_of_legal_steps(name, task):
    for solution in some(name, problems=task.problems("train", 5, 1), task=task):
        root, *nodes = solution.tree
        assert (root.parent, root.text, root.state) == (None, "", task.start(solution.problem))
        for index, node in enumerate(nodes, 1):
            assert 0 <= node.parent < index
            before = solution.tree[node.parent].state
            taken = task.take(solution.problem, before, node.text, "compact", True)
            assert taken.state == node.state
            assert node.visits in (0, 1)
        parents = {node.parent for node in nodes}
        assert all(solution.tree[parent].visits == 1 for parent in parents)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", ["compact", "zero_shot"])
def test_attempts_are_the_lines_on_the_way_to_their_nodes(name, dialect):
    for solution in some(name, dialect=dialect):
        for attempt in solution.attempts:
            way = path_to(solution.tree, attempt.node)
            lines = [solution.tree[index].text for index in way]
            assert lines == lines_of(solution, attempt)
            written = "".join(f"{line}\n" for line in lines)
            assert attempt.text.startswith(written)
            rest = attempt.text[len(written) :]
            assert (
                not rest if dialect == "compact" else len(lines) < 3 or rest.startswith("Answer:")
            )


@pytest.mark.parametrize("name", NAMES)
def test_verdicts_are_the_verifiers_and_stand_where_kept_paths_end(name):
    for solution in some(name):
        ends = {}
        for attempt in solution.attempts:
            fresh = TASK.verify(solution.problem, TASK.parse(solution.problem, attempt.text))
            assert attempt.verdict == fresh
            ends[attempt.node] = fresh
        assert ends == {k: node.verdict for k, node in enumerate(solution.tree) if node.verdict}


def test_the_tree_holds_the_dead_ends_that_are_not_kept():
    (solution,) = solutions("dfs", PROBLEMS[:1], paths=1, failures=0)
    hopeless = [n for n in solution.tree if not TASK.solvable(solution.problem, n.state)]
    assert hopeless
    assert not any(node.visits for node in hopeless if len(node.state) > 1)
    states = [n.state for n in solutions("bfs", PROBLEMS[:1])[0].tree if len(n.state) > 1]
    assert len(states) == len(set(states))  # BFS reaches each state once, but for the ends


@pytest.mark.parametrize("name", NAMES)
def test_a_watch_sees_every_problems_tree(name):
    last: dict[str, int] = {}  # a search that takes long is looked at more than once
    found = some(name, watch=lambda problem, tree: last.update({problem.id: len(tree)}))
    assert list(last.items()) == [(one.problem.id, len(one.tree)) for one in found]


# -- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bfs", "dfs"])
def test_six_numbers_take_bounded_memory_and_time(name, monkeypatch):
    monkeypatch.setattr(exact, "NODES", 20_000)
    problem = TASK.problem({"numbers": [3, 7, 11, 19, 23, 29], "target": 9973})
    began = time.process_time()
    tracemalloc.start()
    (solution,) = solutions(name, [problem], paths=10**6, failures=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(solution.tree) < 20_000 + 90  # a state of six numbers has at most 90 moves
    assert peak < 1000 * 20_000 + (100 << 20 if name == "dfs" else 0)  # DFS asks the solver
    assert time.process_time() - began < 30
    assert all(attempt.verdict.kind != "format" for attempt in solution.attempts)
    if name == "bfs":  # the limit is met before the last level
        assert len(solution.tree) >= 20_000
        assert solution.attempts == []
        assert solution.choices == {EXACT: None}


def test_six_numbers_are_solved_within_the_limit():
    problem = TASK.problem({"numbers": [3, 7, 11, 19, 23, 29], "target": 100})
    for name in ("bfs", "dfs"):
        (solution,) = solutions(name, [problem])
        assert solution.attempts[0].verdict.correct
        assert len(solution.tree) < exact.NODES + 90
