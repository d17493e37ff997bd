"""What a search asks: the examples are true, none gives its own problem away, short forms match."""

from __future__ import annotations

import re

import pytest

from ltf_lite.tasks import get_task
from ltf_lite.tasks.numbers import prompts as search_prompts
from ltf_lite.tasks.numbers.examples import solved
from ltf_lite.tasks.numbers.rules import evaluate, parse_number
from ltf_lite.tasks.numbers.solver import solvable, state
from ltf_lite.tasks.numbers.text import Step, read_step, write_line
from ltf_lite.tasks.steps import VALUES, prompts_of
from ltf_lite.tiny import corpus
from tests.clock import own_seconds

COUNTDOWN, GAME24 = get_task("countdown"), get_task("game24")

LOOKS = [COUNTDOWN, GAME24, get_task("countdown", count=3, numbers=(1, 20), draw="walk")]


def judge(problem, left, dialect):
    return COUNTDOWN.judge(problem, left, (), dialect)


def step_of(line: str) -> Step | None:
    read = read_step(line.strip())
    return read and read[0]


@pytest.mark.parametrize("task", LOOKS, ids=lambda task: str(task.look.numbers))
@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_judged_examples_are_judged_rightly(task, size):
    judged = search_prompts.judged(task.look, size)
    assert {word for _, _, word in judged} >= {"sure", "impossible"}
    for own, thought, word in judged:
        reached = solvable(own.left, own.target, task.rules)
        assert word in VALUES
        assert word != "sure" or reached, thought
        assert word != "impossible" or not reached, thought
        for part in thought.replace(", and ", "\n").split("\n"):
            said, result = part.split(" = ")
            assert evaluate(said)[0] == parse_number(result), part


@pytest.mark.parametrize("task", LOOKS, ids=lambda task: str(task.look.numbers))
@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_answers_in_the_last_judgement_are_what_is_said_of_them(task, size):
    words = set()
    for numbers, target, answer, _, word in search_prompts.finished(task.look, size):
        value, used = evaluate(answer.split("=")[0])
        right = value == target and sorted(used) == sorted(numbers)
        assert right == (word == "sure"), answer
        words.add(word)
    assert words == {"sure", "impossible"}


@pytest.mark.parametrize("task", LOOKS, ids=lambda task: str(task.look.numbers))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_examples_of_yes_and_no_are_true_and_as_many(task, size):
    problem = task.problem({"numbers": [1, 2, 3, 4], "target": 24})
    prompt = prompts_of(task).yes(problem, (4, 3, 2, 1)[:size], (), "few_shot")
    shots = re.findall(r"Numbers: ([\d ]+), target (\d+)\nAnswer: (yes|no)\n", prompt)
    for numbers, target, word in shots:
        left = state(map(int, numbers.split()))
        assert len(left) == size
        assert solvable(left, int(target), task.rules) == (word == "yes"), numbers
    words = [word for *_, word in shots]
    assert words.count("yes") == words.count("no") == 4
    assert prompt.endswith("\nAnswer:")


@pytest.mark.parametrize("task", [COUNTDOWN, GAME24])
def test_proposed_examples_are_legal_steps(task):
    problem = task.problem({"numbers": [1, 2, 3, 4], "target": 24})
    prompt = task.propose(problem, (4, 3, 2, 1), "few_shot")
    left, steps = None, 0
    for line in prompt.split("\n"):
        if line.startswith("Input: "):
            left = state(int(n) for n in line[7:].split(",")[0].split())
        elif step_of(line) is not None:
            assert task.take(problem, left, line, "few_shot", True) is not None, line
            steps += 1
    assert steps >= 24
    assert prompt.endswith("Input: 4 3 2 1, target 24\nPossible next steps:\n")


def test_a_proposal_need_not_say_what_is_left():
    problem = COUNTDOWN.problem("25 5 5 33 -> 27")
    left = COUNTDOWN.start(problem)
    taken = COUNTDOWN.take(problem, left, "25 + 5 = 30", "few_shot", True)
    assert taken.state == (33, 30, 5)
    assert step_of(taken.text).left in {(30, 33, 5), (30, 5, 33)}  # the path says it
    assert COUNTDOWN.take(problem, left, "25 + 5 = 31", "few_shot", True) is None
    assert COUNTDOWN.take(problem, left, "25 + 6 = 31", "few_shot", True) is None
    assert COUNTDOWN.take(problem, left, "25 + 5 = 30 (left: 30)", "few_shot", True) is None
    believed = COUNTDOWN.take(problem, left, "25 + 5 = 31", "few_shot", False)
    assert sorted(believed.state) == [5, 31, 33]
    assert COUNTDOWN.take(problem, left, "25+5=30", "compact", True) is None


def test_no_example_is_about_the_state_that_is_asked():
    for size in (2, 3, 4):
        own, *_ = solved(COUNTDOWN.look, size, 1)
        problem = COUNTDOWN.problem({"numbers": list(own.left), "target": own.target})
        shown = f"{' '.join(map(str, own.left))}, target {own.target}"
        for ask in (COUNTDOWN.propose, judge):
            assert ask(problem, own.left, "few_shot").count(shown) == 1
        assert COUNTDOWN.yes(problem, own.left, (), "few_shot").count(shown) == 1


@pytest.mark.parametrize("task", [COUNTDOWN, GAME24])
def test_states_of_one_size_share_all_but_themselves(task):
    """An engine computes the examples once for all of them."""
    problem = task.problem({"numbers": [1, 2, 3, 4], "target": 24})
    for one, other in ((19, 8, 6), (32, 7, 2)), ((14, 10), (33, 2)):
        for ask in (task.propose, task.judge, task.yes):
            rest = ("few_shot",) if ask == task.propose else ((), "few_shot")
            first, second = (ask(problem, left, *rest).split("\n\n") for left in (one, other))
            assert first[:-1] == second[:-1]
            assert len(first) > 4


def test_the_last_judgement_shows_the_answer_and_the_problem():
    problem = COUNTDOWN.problem({"numbers": [25, 5, 5, 33], "target": 27})
    steps = ["25+5=30,33,5", "30/5=6,33", "33-6=27"]
    prompt = COUNTDOWN.judge(problem, (27,), steps, "few_shot")
    assert "Input: 25 5 5 33, target 27\nAnswer: 33 - ((25 + 5) / 5) = 27\n" in prompt
    assert COUNTDOWN.judge(problem, (27,), steps, "compact") == "27:27!\n"


def test_compact_prompts_are_those_the_embedded_base_learned():
    problem = COUNTDOWN.problem({"numbers": [25, 5, 5, 33], "target": 27})
    left = (33, 25, 5, 5)
    assert COUNTDOWN.propose(problem, left, "compact") == corpus.prompt(left, 27, "?")
    assert judge(problem, left, "compact") == corpus.prompt(left, 27, "!")


SURE, LIKELY, IMPOSSIBLE = 1.0, 0.05, 0.00005


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("likely\n", LIKELY),
        ("Sure", SURE),
        ("Impossible.", IMPOSSIBLE),
        ("**LIKELY**", LIKELY),
        ("That is sure.", SURE),
        # the judgement's own line
        ("first impossible, then\nJudgement: sure", SURE),
        ("Judgement: impossible\nbut it was likely before", IMPOSSIBLE),
        ("**Judgment:** Sure", SURE),
        ("Judgement:\nlikely", LIKELY),
        ("it seemed sure\nimpossible\n\n", IMPOSSIBLE),
        ("sure, since nothing makes it impossible", SURE),
        ("I am sure it is impossible", IMPOSSIBLE),
        # whole words
        ("unsure", None),
        ("unlikely", None),
        ("surely", None),
        ("measure it", None),
        # negation
        ("not sure", None),
        ("I am not at all sure", None),
        ("It isn't likely", None),
        ("It isn\u2019t likely, it is impossible", IMPOSSIBLE),
        ("This is not impossible", None),
        ("It is likely, not sure", LIKELY),
        ("No, impossible", IMPOSSIBLE),
        # words that judge nothing
        ("make sure that 22 cannot be left", None),
        ("sure or impossible?", None),
        ("Judge: sure, likely or impossible.\nlikely", LIKELY),
        ("sure / likely / impossible", None),
        ("who knows", None),
        ("", None),
    ],
)
def test_a_judgement_is_a_word_of_its_own_that_is_meant(text, value):
    assert COUNTDOWN.read_value(text) == value


@pytest.mark.parametrize("text", ["not " * 10**5 + "sure", "sure, " * 10**5, "judgement " * 10**5])
def test_no_judgement_takes_long(text):
    assert own_seconds(lambda: COUNTDOWN.read_value(text), 1) < 1


def test_a_searched_path_is_written_so_that_it_verifies():
    problem = GAME24.problem({"numbers": [3, 3, 8, 8]})
    lines = [
        "8 / 3 = 8/3 (left: 8 8/3 3)",
        "3 - 8/3 = 1/3 (left: 8 1/3)",
        "8 / 1/3 = 24 (left: 24)",
    ]
    text = GAME24.joined(lines, "few_shot", True)
    assert GAME24.verify(problem, GAME24.parse(problem, text)).correct
    assert "Answer" not in GAME24.joined(lines[:2], "few_shot", False)
    for line in lines:
        assert write_line(step_of(line), "few_shot") == line
    assert write_line(step_of("25 + 5 = 30 (left: 5 33 30)"), "compact") == ("25+5=30,5,33")
    odd = step_of("25 + 5 = 30 (left: 5 33)")  # the result is not among what is left
    assert step_of(write_line(odd, "compact")) == odd
