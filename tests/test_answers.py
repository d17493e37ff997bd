"""Where the answer stands: every marker, the last one, nothing out of a thought, linear time."""

from __future__ import annotations

import pytest

from ltf_lite.tasks.answers import MAX_TEXT, find_answer, read_gold
from tests.clock import own_seconds

FOUND = [
    ("Answer: 5", "5"),
    ("answer : 5", "5"),
    ("Step 1\nAnswer: five apples  \n", "five apples"),
    ("**Answer:** 5", "5"),
    ("**Answer: 5**", "5"),
    ("**Answer**: 5", "5"),
    ("*Answer:* 5", "5"),
    ("__Answer:__ 5", "5"),
    ("__Answer: __5__", "5"),
    ("> ### Final Answer: **5**.", "5"),
    ("- Final answer: `5`", "5"),
    ("Correct answer: B", "B"),
    ("The answer: 5", "5"),
    ("So the answer is 5", "5"),
    ("Hence, the final answer is: $5$", "$5$"),
    ("THE ANSWER IS **5**.", "5"),
    ("so\n#### 1,234", "1,234"),
    ("#### Answer: 5", "5"),
    ("\\boxed{5}", "5"),
    ("$$\\boxed{\\frac{1}{2}}$$", "\\frac{1}{2}"),
    ("\\boxed {5}", "5"),
    ("\\boxed{a \\} b}", "a \\} b"),
    ("\\boxed{1} and \\boxed{2}", "2"),
    ("\\boxed{1} and \\boxed{2", "1"),
    ("{ \\boxed{1}", "1"),
    ("} \\boxed{1}", "1"),
    ("\\boxed{\\boxed{5}}", "5"),
    ("<answer>5</answer>", "5"),
    ("<ANSWER>\n 5 \n</ANSWER>", "5"),
    ("<answer>1</answer> or <answer>2</answer>", "2"),
    ("<answer>1</answer> <answer>2", "1"),
    ("<answer>\\boxed{5}</answer>", "5"),
    ("Final answer: \\boxed{5}", "5"),
    ("\\boxed{1}\nAnswer: 2", "2"),
    ("Answer: 1\n\\boxed{2}", "2"),
    ("Answer: 1\nAnswer: 2", "2"),
    ("Answer: 1\nAnswer:", "1"),
    ("Answer: 1\nAnswer: **", "1"),
    ("Answer:\n\n  5\n", "5"),
    ("Answer:\nAnswer: 5", "5"),
    ("Answer: _ Q _ _", "_ Q _ _"),
    ("Answer: x = 5; y = 6", "x = 5; y = 6"),
    ("<think>Answer: 4</think>Answer: 5", "5"),
    ("<think>\n\\boxed{4}\n</think>\nThe answer is 5", "5"),
    ("Answer: 5 <think>Answer: 6", "5"),
    ("Answer: 4</think>\\boxed{5}", "5"),
    ("a</think>Answer: 1</think>Answer: 5<think>Answer: 2</think>", "5"),
    ("<THINK>Answer: 4</THINK> Answer: 5", "5"),
]
NONE = [
    "",
    "5",
    "answer 5",
    "My Answer: 5",
    "Answers: 5",
    "Answer:",
    "Answer: **",
    "####",
    "##### 5",
    "\\boxed{",
    "\\boxed{}",
    "boxed{5}",
    "<answer>5",
    "5</answer>",
    "<think>Answer: 5",
    "<think>Answer: 5</think>",
    "Answer: 5</think>",
    "<think>a</think>b</think>",
]


@pytest.mark.parametrize(("text", "answer"), FOUND)
def test_the_last_marker_says_the_answer(text, answer):
    found = find_answer(text)
    assert found is not None
    assert found.text == answer
    assert text[found.start : found.end] == answer


@pytest.mark.parametrize("text", NONE)
def test_a_text_without_an_answer_has_none(text):
    assert find_answer(text) is None


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("He has 6 * 7 = <<6*7=42>>42.\n#### 42", "42"),
        ("#### 1\n#### 1,234", "1,234"),
        ("We get $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("\\boxed{1}, then \\boxed{2}", "2"),
        (" Paris \n", "Paris"),
        ("####", "####"),
        ("\\boxed{", "\\boxed{"),
        ("", ""),
    ],
)
def test_a_data_sets_solution_gives_its_answer(text, gold):
    assert read_gold(text) == gold


PIECES = [
    *("Answer:", "Answer:\n", "\\boxed{", "\\boxed{}", "<answer>", "<answer></answer>", "<think>"),
    *("</think>", "<think></think>", "#", "#### ", "####\n", " ", "\n", "*", "\\", "{", "}"),
    *("the answer is ", "the answer is\n", "Answer: *\n", "the ", "__", "_ ", ">", "\0", "é"),
]


@pytest.mark.slow
def test_any_text_takes_time_that_grows_with_it_alone():
    for piece in PIECES:
        text = (piece * MAX_TEXT)[: 5 * MAX_TEXT]
        texts = (text, text + "Answer: 5", "\\boxed{" + text, text + "}" * 1000)

        def read():
            for each in texts:  # noqa: B023
                find_answer(each)
                read_gold(each)

        assert own_seconds(read, 2) < 2, piece
