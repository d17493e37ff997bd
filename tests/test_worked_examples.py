"""Worked examples of a person's own, shown in place of the task's."""

from __future__ import annotations

import pytest

from ltf_lite.core.prompt import Prompt
from ltf_lite.presets import PresetError, parse
from ltf_lite.tasks import get_task
from tests.conftest import SMALL

OWN = [
    {"question": "What is 2 plus 3?", "answer": "2 + 3 = 5\nAnswer: 5\n"},
    {"question": "What is 4 plus 4?", "answer": "4 + 4 = 8\n\nAnswer: 8"},
    {"question": "What is 1 plus 6?", "answer": "1 + 6 = 7\nAnswer: 7"},
]


@pytest.fixture
def sums(tmp_path):
    file = tmp_path / "sums.jsonl"
    file.write_text(
        "".join(
            f'{{"question": "What is {a} plus {b}?", "answer": "{a + b}"}}\n'
            for a in range(9)
            for b in range(9)
        )
    )
    return str(file)


def test_they_come_before_the_question_in_words_and_in_a_chat(sums):
    task = get_task(sums, examples=OWN)
    problem = task.problem("What is 7 plus 8?")
    asked = task.prompt(problem, "few_shot")
    assert asked.startswith(
        "Question: What is 2 plus 3?\n2 + 3 = 5\nAnswer: 5\n\nQuestion: What is"
    )
    assert "4 + 4 = 8\nAnswer: 8\n\n" in asked  # a blank line would end it
    assert asked.endswith("Answer: 7\n\nQuestion: What is 7 plus 8?\n")  # all three, not `shots`
    chat = task.prompt(problem, "few_shot_chat")
    assert isinstance(chat, Prompt)
    assert [said for _, said in chat.turns] == [each["answer"].strip() for each in OWN]
    assert chat.turns[0][0] == f"What is 2 plus 3?\n\n{task.instruction}"
    assert chat.question == f"What is 7 plus 8?\n\n{task.instruction}"


def test_a_problem_is_no_example_of_itself(sums):
    task = get_task(sums, examples=OWN)
    turns = task.prompt(task.problem("What is 4 plus 4?"), "few_shot_chat").turns
    assert len(turns) == 2
    assert "4 + 4" not in str(turns)


def test_without_them_the_task_shows_its_own(sums):
    task = get_task(sums)
    asked = task.prompt(task.problem("What is 7 plus 8?"), "few_shot")
    assert asked.count("Question: ") == 3


@pytest.mark.parametrize("wrong", [[{"question": "What?"}], [{"question": "", "answer": "5"}]])
def test_half_an_example_is_refused_by_name(sums, wrong):
    with pytest.raises(PresetError, match=r"task\.\S*examples"):
        parse({**SMALL, "task": {"file": sums, "examples": wrong}}, "small")
