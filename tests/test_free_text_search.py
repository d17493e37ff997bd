"""Tree searches on free text, with every way to value a state, on an engine without a model."""

from __future__ import annotations

import math
import random
from typing import Any, get_args

import pytest

from ltf_lite.engines import Dialect, Score
from ltf_lite.reasoners import get_reasoner, path_to, solve
from ltf_lite.reasoners.values import NO, YES, Value, p_yes
from ltf_lite.tasks.steps import prompts_of
from ltf_lite.tasks.text_steps import LONGEST
from tests.fake_engine import FakeEngine
from tests.free_text import OwnJudge, Sums

TASK = Sums()
PROBLEMS = TASK.problems("train", 3, 0)


class Speaker(FakeEngine):
    """Says yes where the reasoning so far has no `wrong` in it; keeps what it was asked to rate."""

    dialect = Dialect("zero_shot")

    def __init__(self, write) -> None:
        super().__init__(write)
        self.rated: list[tuple[str, str]] = []

    def score(self, prompts, continuations) -> list[Score]:
        self.rated += zip(prompts, continuations, strict=True)
        sure = [(tail in YES) == ("wrong" not in head) for head, tail in self.rated]
        with self.usage.call():
            return [Score(-0.5 if own else -5.0, 1) for own in sure[-len(prompts) :]]


def writer(slips: float = 0.0):
    """One thought in three is wrong and leads to a wrong answer; a right one does so seldom."""

    def write(prompt: str, rng: random.Random) -> str:
        if "Judgement:" in prompt:
            return "impossible" if "wrong" in prompt else "sure"
        if "my own question" in prompt:
            return "sure"
        total = sum(int(n) for n in prompt.split("?")[0].split(": ")[1].split(" + "))
        first = rng.choice(["We add them.", "- we  add them .", "We take the wrong way."])
        thought = first if prompt.count("\n") == 1 else ""
        wrong = "wrong" in prompt + thought or rng.random() < slips
        return f"{thought}\n".lstrip() + f"Answer: {total + wrong}\n"

    return write


write = writer()


def searched(name: str, engine: FakeEngine | None = None, task=TASK, **settings: Any):
    engine = engine or Speaker(write)
    return list(solve(get_reasoner(name, **settings), PROBLEMS, task, engine, 3)), engine


@pytest.mark.parametrize("value", get_args(Value))
@pytest.mark.parametrize("name", ["tot", "rap"])
def test_every_value_finds_the_answer(name, value):
    solutions, _ = searched(name, value=value, samples=24, votes=6)
    for solution in solutions:
        chosen = solution.chosen("search")
        assert chosen is not None
        assert chosen.verdict.correct or value == "logprob"  # which knows nothing of right
        assert {a.verdict.kind for a in solution.attempts} <= {None, "wrong_answer"}


@pytest.mark.parametrize("value", get_args(Value))
@pytest.mark.parametrize("name", ["tot", "rap"])
def test_a_search_ends_at_the_answer_and_is_the_same_again(name, value):
    (first, _), (again, _) = (searched(name, value=value, samples=6) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert [(n.parent, n.text, n.value) for n in one.tree] == [
            (n.parent, n.text, n.value) for n in other.tree
        ]
        assert max(len(path_to(one.tree, k)) for k in range(len(one.tree))) == 2
        assert all("Answer" in a.text for a in one.attempts)


def test_two_spellings_of_one_thought_are_one_child():
    (solution, *_), _ = searched("tot", samples=16)
    first = [node.text for node in solution.tree if node.parent == 0]
    assert len(first) == 2
    assert sum("wrong" in text for text in first) == 1


@pytest.mark.parametrize("value", ["prompt", "yes"])
def test_a_distinct_state_is_asked_about_once(value):
    solutions, engine = searched("tot", value=value, samples=16, votes=1)
    states = sum(len(solution.tree) - 1 for solution in solutions)
    if value == "yes":
        assert len(set(engine.rated)) == len(engine.rated) == states * len(YES + NO)
    else:
        judged = [p for asked in engine.asked for p in asked if "Judgement:" in p]
        assert len(set(judged)) == len(judged) == states


def test_yes_is_the_share_of_yes_among_both_words():
    both = [Score(math.log(p), 1) for p in (0.3, 0.1, 0.05, 0.05)]
    assert p_yes(both) == pytest.approx(0.8)
    assert p_yes([Score(-2000.0, 1)] * 4) == pytest.approx(0.5)
    assert p_yes([Score(-math.inf, 1)] * 4) == 0.5
    solutions, _ = searched("tot", value="yes", samples=16)
    for node in solutions[0].tree[1:]:
        way = " ".join(solutions[0].tree[k].text for k in path_to(solutions[0].tree, node.parent))
        lost = "wrong" in way + node.text
        assert node.value == pytest.approx(1 / (1 + math.exp(4.5 if lost else -4.5)))


def test_consistency_is_the_share_of_ways_that_say_what_most_ways_say():
    engine = Speaker(writer(slips=0.1))
    solutions, _ = searched("tot", engine, value="consistency", samples=24, votes=40)
    for solution in solutions:
        total = sum(solution.problem.data["sum"])
        for node in solution.tree:
            if node.parent != 0 or node.state is None:
                continue
            lost = "wrong" in node.text
            assert node.value == 0.0 if lost else 0.5 < (node.value or 0) < 1
        assert solution.chosen("search").text.endswith(f"Answer: {total}\n")


@pytest.mark.parametrize(
    ("said", "first"),
    [
        (["\n", "\n", "We add them.\n"], "We add them."),
        (["Step 1:\n", "We add them.\n"], "Step 1:\nWe add them."),
        (["\n", "## Step 1\n", "We add.\n"], "## Step 1\nWe add."),
        (["We add. Answer: 3\n"], "We add.\nAnswer: 3"),
        (["\n", "\n", "\n"], ""),
        ([""], ""),
    ],
)
def test_a_step_that_was_only_begun_is_gone_on_with(said, first):
    left = iter(said)
    engine = Speaker(lambda prompt, rng: "sure" if "Judgement" in prompt else next(left))
    growths = list(
        solve(get_reasoner("tot", samples=1, beam=1, budget={"tokens": 10_000}), PROBLEMS[:1], TASK,
              _ending(engine, left), 3)
    )  # fmt: skip
    tree = growths[0].tree
    assert tree[1].text == first
    assert (tree[1].state is None) == (not first)
    assert tree[0].tokens == tree[1].length


def _ending(engine: Speaker, left) -> Speaker:
    """The engine, which answers wrongly once it has said all that it is to say."""
    begun = engine.write

    def write(prompt: str, rng: random.Random) -> str:
        try:
            return begun(prompt, rng)
        except StopIteration:
            return "Answer: 0\n"

    engine.write = write
    return engine


def test_a_step_that_the_token_limit_cut_off_leads_nowhere():
    engine = Speaker(lambda prompt, rng: "we add " * 30)
    (solution, *_), _ = searched("tot", engine, samples=2, max_tokens=20)
    assert [node.state for node in solution.tree[1:]] == [None]
    assert [a.verdict.kind for a in solution.attempts] == ["cut_off"]
    assert not solution.attempts[0].finished
    (solution, *_), _ = searched("cot", engine, max_tokens=8)
    assert solution.attempts[0].verdict.kind == "cut_off"
    (solution, *_), _ = searched("cot", Speaker(lambda *_: "Answer: 0"), max_tokens=9)
    assert solution.attempts[0].verdict.kind == "wrong_answer"


@pytest.mark.parametrize("value", get_args(Value))
@pytest.mark.parametrize("name", ["tot", "rap"])
@pytest.mark.parametrize(
    "said",
    ["", "\n" * 50, " \t\n", "\x00\u202e\n", "Answer:\n", "x" * 5000, "---\n", "Answer: 1"],
    ids=lambda text: repr(text)[:12],
)
def test_hostile_texts_end_a_search_without_a_fault(name, value, said):
    engine = Speaker(lambda prompt, rng: said)
    solutions, _ = searched(name, engine, value=value, iterations=3) if name == "rap" else searched(
        name, engine, value=value, beam=1, samples=1, votes=1
    )  # fmt: skip
    for solution in solutions:
        assert max(len(path_to(solution.tree, k)) for k in range(len(solution.tree))) <= LONGEST + 1
        assert not any(a.verdict.correct for a in solution.attempts) or said == "Answer: 1"


def test_a_task_brings_its_own_questions_and_gets_the_others():
    task = OwnJudge()
    prompts = prompts_of(task)
    problem = PROBLEMS[0]
    assert prompts.judge(problem, (), (), "zero_shot").startswith("my own question")
    assert prompts.propose(problem, (), "zero_shot") is None
    assert prompts.read_value("sure") == 1.0
    assert problem.text in prompts.yes(problem, ("a",), ["a"], "zero_shot")
    assert "Judge" in prompts_of(TASK).judge(problem, (), (), "zero_shot")
    _, engine = searched("tot", Speaker(write), task)
    assert any(p.startswith("my own question") for asked in engine.asked for p in asked)
