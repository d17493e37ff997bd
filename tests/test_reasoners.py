"""Chain of thought: what is sampled, how it is chosen among, and the tree it makes."""

from __future__ import annotations

import pytest

from ltf_lite.engines import Dialect, open_engine
from ltf_lite.reasoners import Choice, ReasonerError, get_reasoner, path_to, solve
from ltf_lite.reasoners.choice import SINGLE_PASS, majority
from ltf_lite.tasks import get_task
from tests.fake_engine import FakeEngine

TASK = get_task("countdown", numbers=(1, 50))
PROBLEMS = TASK.problems("validation", 30, 5)


def test_single_pass_is_one_greedy_path():
    engine = open_engine("tiny-base")
    for solution in solve(get_reasoner("cot", max_tokens=40), PROBLEMS, TASK, engine):
        assert solution.choices == {SINGLE_PASS: 0}
        assert len(solution.attempts) == 1
    assert engine.usage.calls == 1  # all problems in one call


def test_sampling_reports_every_choice_and_names_the_oracle():
    engine = open_engine("tiny-base")
    reasoner = get_reasoner("cot", n=4, temperature=1.0, max_tokens=40)
    for solution in solve(reasoner, PROBLEMS[:5], TASK, engine):
        likeliest = Choice("best_of_n", 4, picker="likelihood")
        assert set(solution.choices) == {
            Choice("sample", picker="chance"),
            Choice("self_consistency", 4, picker="votes"),
            likeliest,
            Choice("oracle", 4, picker="verifier"),
        }
        assert [c.kind for c in solution.choices if c.is_bound] == ["oracle"]
        assert {c.kind for c in solution.choices if c.is_search} == {
            "self_consistency",
            "best_of_n",
        }
        best = solution.choices[likeliest]
        assert solution.attempts[best].logprob == max(a.logprob for a in solution.attempts)


def test_equal_answers_are_equal_whatever_the_order():
    problem = TASK.problem({"numbers": [2, 3, 4, 5], "target": 14})

    def answer(text):
        return TASK.answer(TASK.parse(problem, text))

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
    (solution,) = solve(reasoner, [problem], TASK, engine)
    tree = solution.tree
    assert [node.text for node in tree] == [
        "",
        "25+5=30,33,5",
        "30/5=6,33",
        "33-6=27",
        "30+5=35,33",
        "what?",
    ]
    assert [node.parent for node in tree] == [None, 0, 1, 2, 1, 0]
    assert [node.visits for node in tree] == [0, 2, 1, 1, 1, 1]
    assert [node.verdict and node.verdict.kind for node in tree] == [
        None,
        None,
        None,
        None,
        "dead_end",
        "format",
    ]
    assert tree[3].verdict.correct
    assert [a.node for a in solution.attempts] == [3, 4, 5]
    assert path_to(tree, 3) == [1, 2, 3]
    assert solution.tokens == sum(a.tokens for a in solution.attempts)


def test_what_was_written_beyond_the_stop_is_kept_apart():
    class Talker(FakeEngine):
        dialect = Dialect("few_shot")

    said = "25 + 5 = 30 (left: 5 33 30)\n\nInput: 1 2"
    problem = TASK.problem({"numbers": [25, 5, 5, 33], "target": 27})
    (solution,) = solve(get_reasoner("cot"), [problem], TASK, Talker(lambda *_: said))
    (attempt,) = solution.attempts
    assert attempt.text == "25 + 5 = 30 (left: 5 33 30)"
    assert attempt.beyond == "\n\nInput: 1 2"
    assert attempt.finished


@pytest.mark.parametrize("n", [1, 4])
def test_a_chain_has_the_room_its_task_finds_enough(n):
    engine = open_engine("tiny-base")  # its context is 128 tokens: no default may ask for more
    reasoner = get_reasoner("cot", n=n, temperature=float(n > 1))
    for solution in solve(reasoner, PROBLEMS[:3], TASK, engine):
        assert all(attempt.finished for attempt in solution.attempts)


def test_a_label_tells_what_differs_from_the_defaults_and_equal_settings_have_one():
    assert get_reasoner("cot").label == get_reasoner("cot", n=1, top_p=1.0).label == "cot"
    told = get_reasoner("cot", n=4, temperature=0.7, budget={"tokens": 90}, problems=5)
    assert told.label == "cot budget=90 n=4 temperature=0.7"
    assert told.unlimited.label == "cot n=4 temperature=0.7"
    assert told.settings() == {"budget": 90, "n": 4, "temperature": 0.7}


@pytest.mark.parametrize("name", ["dfs", "bfs", "random"])
def test_a_reasoner_that_needs_more_than_a_task_has_is_refused_by_name(name, tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "2 + 2?", "answer": "4"}\n')
    task = get_task("reference", file=str(file))
    problem = task.problem({"question": "2 + 2?", "answer": "4"})
    with pytest.raises(ReasonerError) as error:
        next(solve(get_reasoner(name), [problem], task))
    assert str(error.value) == (
        f"{name} needs an exact solver, which reference has none of; use cot, rap or tot"
    )


def test_a_tree_is_searched_on_free_text_by_lines(tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "2 + 2?", "answer": "4"}\n')
    task = get_task("reference", file=str(file))
    problem = task.problem({"question": "2 + 2?", "answer": "4"})

    def write(prompt: str, rng) -> str:
        if "Judgement:" in prompt:
            return "sure" if "Answer: 4" in prompt else "likely"
        if prompt.endswith("2 + 2?\n"):
            return f"Two and two make {rng.choice(['four', 'five'])}.\n"
        return f"Answer: {rng.choice([4, 5])}\n"

    for name in ("tot", "rap"):
        engine = FakeEngine(write)
        engine.dialect = Dialect("zero_shot")
        (solution,) = solve(get_reasoner(name, samples=6), [problem], task, engine)
        chosen = solution.chosen("search")
        assert chosen is not None, name
        assert chosen.verdict.correct, name
        assert {a.verdict.kind for a in solution.attempts} <= {None, "wrong_answer"}
        assert max(len(path_to(solution.tree, k)) for k in range(len(solution.tree))) == 2
