"""What a tree search asks about a state of a number game: next steps, a value, a last judgement.

Models in the compact style know their own short forms; others get a few worked examples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ltf_lite.tasks.arithmetic import Rules, shown
from ltf_lite.tasks.solver import Move, State, expression, moves, state
from ltf_lite.tasks.text import Step, write_standard

PROPOSALS = 8  # steps in an example of proposing

# What a judgement counts (Yao et al. 2023, arXiv 2305.10601, whose 20 / 1 / 0.001 these are,
# scaled so that certainty is 1).
VALUES = {"sure": 1.0, "likely": 0.05, "impossible": 0.00005}
_WORD = re.compile("|".join(VALUES))

PROPOSE = (((3, 4, 6, 11), 24), ((5, 7, 12), 35))
JUDGE = (
    ((6, 18), 24, "6 + 18 = 24", "sure"),
    ((9, 13), 24, "9 + 13 = 22\n13 - 9 = 4\n9 * 13 = 117", "impossible"),
    ((3, 5, 9), 24, "9 * 3 = 27, and 27 - 5 = 22\n5 * 3 = 15, and 15 + 9 = 24", "sure"),
    ((6, 7, 9), 40, "6 * 7 = 42, close to 40\n9 * 6 = 54, and 54 - 7 = 47", "likely"),
    ((2, 2, 3), 90, "the largest product is 2 * 2 * 3 = 12, far below 90", "impossible"),
)
LAST = (
    ((3, 5, 9, 1), 24, "(3 * 5 + 9) * 1 = 24", "each number once, and the result is 24", "sure"),
    ((2, 6, 7, 9), 40, "6 * 7 - 2 = 40", "9 is not used", "impossible"),
    ((4, 5, 8, 10), 30, "4 * 5 + 8 = 28", "10 is not used, and 28 is not 30", "impossible"),
)


def _numbers(left: Sequence) -> str:
    return " ".join(map(shown, left))


def propose(left: State, target: int, style: str, rules: Rules) -> str:
    """Ask for possible next steps, one a line."""
    if style == "compact":
        return f"{target}:{','.join(map(str, left))}?\n"
    shots = "".join(
        f"Input: {_numbers(numbers)}, target {aim}\nPossible next steps:\n"
        f"{_proposals(state(numbers), rules)}\n"
        for numbers, aim in PROPOSE
        if state(numbers) != left
    )
    return (
        "Two of the numbers are combined with + - * / in one step, and their result takes their "
        "place. List possible next steps on the way to the target, each with the numbers left "
        f"after it.\n\n{shots}Input: {_numbers(left)}, target {target}\nPossible next steps:\n"
    )


def _proposals(left: State, rules: Rules) -> str:
    options = moves(left, rules)
    every = max(1, len(options) // PROPOSALS)  # from all over the list, so that no pair dominates
    return "".join(write_standard([m]).split("Answer")[0] for m in options[::every][:PROPOSALS])


def value(left: State, target: int, style: str) -> str:
    """Ask whether the target can still be reached from these numbers."""
    if style == "compact":
        return f"{target}:{','.join(map(str, left))}!\n"
    shots = "".join(
        f"Numbers: {_numbers(numbers)}, target {aim}\n{thought}\nJudgement: {word}\n\n"
        for numbers, aim, thought, word in JUDGE
        if state(numbers) != left
    )
    return (
        "Can all of these numbers, combined with + - * / and each used once, reach the target? "
        f"Try a few ways, then judge: sure, likely or impossible.\n\n{shots}"
        f"Numbers: {_numbers(left)}, target {target}\n"
    )


def last(numbers: Sequence[int], target: int, left: State, answer: str, style: str) -> str:
    """Ask whether a finished answer is right."""
    if style == "compact":
        return value(left, target, style)
    shots = "".join(
        f"Input: {_numbers(given)}, target {aim}\nAnswer: {said}\n{why}\nJudgement: {word}\n\n"
        for given, aim, said, why, word in LAST
        if state(given) != state(numbers)
    )
    return (
        "Does the answer use each number of the input exactly once and reach the target? Say why, "
        f"then judge: sure or impossible.\n\n{shots}"
        f"Input: {_numbers(numbers)}, target {target}\nAnswer: {answer}\n"
    )


def read_value(text: str) -> float | None:
    """What the last judgement in a text counts; None if there is none."""
    words = _WORD.findall(text)
    return VALUES[words[-1]] if words else None


def answer_of(steps: Sequence[Step]) -> str:
    """The expression of some steps and the result they claim, whether or not they are right."""
    return f"{expression([Move(*step) for step in steps])} = {shown(steps[-1].result)}"
