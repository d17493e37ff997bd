"""What a model is asked about a number game: a path, next steps, a value, a last judgement.

The compact dialect has short forms of its own; the others get a few worked examples.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltf_lite.tasks.numbers.rules import Rules, shown
from ltf_lite.tasks.numbers.solver import State, moves, solutions, state
from ltf_lite.tasks.numbers.text import COMPACT, write_standard

PROPOSALS = 8  # steps in an example of proposing

EXAMPLES = (((2, 4, 8, 9), 24), ((4, 9, 10, 13), 24), ((1, 4, 8, 8), 24))
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


def ask(numbers: Sequence[int], target: int, dialect: str, rules: Rules) -> str:
    """Ask for a path: `compact`, `few_shot`, or `zero_shot`, which is few-shot without examples.

    `chat` has the words of `zero_shot`.
    """
    if dialect == COMPACT:
        # The target first, so that a causal model reads every number in its light.
        return f"{target}:{','.join(map(str, state(numbers)))}\n"
    own = state(numbers)  # an example must not give its own solution away
    examples = EXAMPLES if dialect == "few_shot" else ()
    shots = "".join(_shot(*each, rules) for each in examples if state(each[0]) != own)
    return f"{_rules(rules)}\n\n{shots}Input: {_numbers(numbers)}, target {target}\n"


def _rules(rules: Rules) -> str:
    """The rules of the game and how a path is written, for a model that knows neither."""
    allowed = "whole numbers from 0 up" if rules.integers else "any exact fractions"
    return (
        "Combine all the numbers with + - * / so that the result is the target. Each number is "
        "used exactly once. Write one step a line: two of the numbers left, their exact "
        f"result, and the numbers left after it. Results may be {allowed}. "
        "After the last step write the answer as one expression."
    )


def _shot(numbers: tuple[int, ...], target: int, rules: Rules) -> str:
    path = next(solutions(state(numbers), target, rules))
    return f"Input: {_numbers(numbers)}, target {target}\n{write_standard(path)}\n"


def propose(left: State, target: int, dialect: str, rules: Rules) -> str:
    """Ask for possible next steps, one a line."""
    if dialect == COMPACT:
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


def value(left: State, target: int, dialect: str) -> str:
    """Ask whether the target can still be reached from these numbers."""
    if dialect == COMPACT:
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


def last(numbers: Sequence[int], target: int, left: State, answer: str, dialect: str) -> str:
    """Ask whether a finished answer is right."""
    if dialect == COMPACT:
        return value(left, target, dialect)
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
