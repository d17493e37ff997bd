"""What a search asks: the examples are true, none gives its own problem away, short forms match."""

from __future__ import annotations

import time

import pytest

from ltf_lite.tasks import get_task
from ltf_lite.tasks.numbers import prompts as search_prompts
from ltf_lite.tasks.numbers.rules import Rules, evaluate
from ltf_lite.tasks.numbers.solver import solvable, state
from ltf_lite.tasks.numbers.text import Step, read_step, write_line
from ltf_lite.tasks.steps import VALUES
from ltf_lite.tiny import corpus

COUNTDOWN, GAME24 = get_task("countdown"), get_task("game24")


def judge(problem, left, dialect):
    return COUNTDOWN.judge(problem, left, (), dialect)


def step_of(line: str) -> Step | None:
    read = read_step(line.strip())
    return read and read[0]


@pytest.mark.parametrize("integers", [True, False])
def test_the_judged_examples_are_judged_rightly(integers):
    for numbers, target, thought, word in search_prompts.JUDGE:
        reached = solvable(state(numbers), target, Rules(integers))
        assert word in VALUES
        assert word != "sure" or reached, thought
        assert word != "impossible" or not reached, thought


def test_the_answers_in_the_last_judgement_are_what_is_said_of_them():
    for numbers, target, answer, _, word in search_prompts.LAST:
        problem = COUNTDOWN.problem({"numbers": list(numbers), "target": target})
        value, used = evaluate(answer.split("=")[0])
        right = value == target and sorted(used) == sorted(problem.data["numbers"])
        assert right == (word == "sure"), answer


@pytest.mark.parametrize("task", [COUNTDOWN, GAME24])
def test_proposed_examples_are_legal_steps(task):
    problem = task.problem({"numbers": [1, 2, 3, 4], "target": 24})
    prompt = task.propose(problem, (4, 3, 2, 1), "few_shot")
    left = None
    steps = 0
    for line in prompt.split("\n"):
        if line.startswith("Input: "):
            left = state(int(n) for n in line[7:].split(",")[0].split())
        elif (step := step_of(line)) is not None:
            assert task.legal(left, step) is not None, line
            steps += 1
    assert steps >= 12
    assert prompt.endswith("Input: 4 3 2 1, target 24\nPossible next steps:\n")


def test_no_example_is_about_the_state_that_is_asked():
    problem = COUNTDOWN.problem({"numbers": [3, 4, 6, 11], "target": 24})
    for ask in (COUNTDOWN.propose, judge):
        prompt = ask(problem, (11, 6, 4, 3), "few_shot")
        assert prompt.count("3 4 6 11") + prompt.count("11 6 4 3") == 1
    for numbers, *_ in search_prompts.JUDGE:
        prompt = judge(problem, state(numbers), "few_shot")
        assert prompt.count("\nNumbers: ") == len(search_prompts.JUDGE)


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
    began = time.process_time()
    COUNTDOWN.read_value(text)
    assert time.process_time() - began < 1


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
