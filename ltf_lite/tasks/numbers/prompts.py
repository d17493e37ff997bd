"""What a model is asked about a number game: a path, next steps, a value, a last judgement.

The compact dialect has short forms of its own; the others get a few worked examples, as large as
what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltf_lite.tasks.numbers.examples import Look, Worked, misses, options, solved, unsolvable
from ltf_lite.tasks.numbers.rules import Number, Rules, shown
from ltf_lite.tasks.numbers.solver import Move, State, expression, state
from ltf_lite.tasks.numbers.text import COMPACT, write_standard

PATHS = 8  # examples of a path
LISTS = 4  # examples of proposing
PROPOSALS = 12  # steps in one of them, at most
SHOTS = 4  # examples of yes, and as many of no
ANSWERS = "ynnynyyn"  # of the examples of yes or no: as many of each, in no order to go on with


def _numbers(left: Sequence) -> str:
    return " ".join(map(shown, left))


def _others(examples: Sequence[Worked], left: State, target: int) -> list[Worked]:
    """The examples that are not the very thing that is asked."""
    return [own for own in examples if (own.left, own.target) != (left, target)]


def ask(numbers: Sequence[Number], target: int, dialect: str, look: Look) -> str:
    """Ask for a path: `compact`, `few_shot`, or `zero_shot`, which is rules without examples.

    `chat` has the words of `zero_shot`.
    """
    own = state(numbers)
    if dialect == COMPACT:
        # The target first, so that a causal model reads every number in its light.
        return f"{target}:{','.join(map(str, own))}\n"
    if dialect != "few_shot":
        return f"{_rules(look.rules)}\n\nInput: {_numbers(numbers)}, target {target}\n"
    shots = "".join(
        f"Input: {_numbers(left)}, target {aim}\n{write_standard(path)}\n"
        for left, aim, path in solved(look, len(own), PATHS)
        if left != own  # an example must not give its own solution away
    )
    return (
        "Combine all the numbers with + - * / so that the result is the target. Use each number "
        f"once. Results are {_allowed(look.rules)}.\n\n"
        f"{shots}Input: {_numbers(own)}, target {target}\n"
    )


def _allowed(rules: Rules) -> str:
    return "whole numbers from 0 up" if rules.integers else "exact, fractions too"


def _rules(rules: Rules) -> str:
    """The rules of the game and how a path is written, for a model that knows neither."""
    allowed = "whole numbers from 0 up" if rules.integers else "any exact fractions"
    return (
        "Combine all the numbers with + - * / so that the result is the target. Each number is "
        "used exactly once. Write one step a line: two of the numbers left, their exact "
        f"result, and the numbers left after it. Results may be {allowed}. "
        "After the last step write the answer as one expression."
    )


def propose(left: State, target: int, dialect: str, look: Look) -> str:
    """Ask for possible next steps, one a line; what is left after one goes without saying."""
    if dialect == COMPACT:
        return f"{target}:{','.join(map(str, left))}?\n"
    shots = "".join(
        f"Input: {_numbers(own.left)}, target {own.target}\nPossible next steps:\n"
        f"{_lines(options(own.left, look.rules, PROPOSALS))}\n\n"
        for own in _others(solved(look, len(left), LISTS), left, target)
    )
    return (
        "Combine two of the numbers with + - * / in one step on the way to the target. List "
        f"different steps with their results, which are {_allowed(look.rules)}.\n\n"
        f"{shots}Input: {_numbers(left)}, target {target}\nPossible next steps:\n"
    )


def _lines(moves: Sequence[Move], between: str = "\n") -> str:
    return between.join(f"{m.a} {m.op} {m.b} = {m.result}" for m in moves)


def value(left: State, target: int, dialect: str, look: Look) -> str:
    """Ask whether the target can still be reached from these numbers."""
    if dialect == COMPACT:
        return f"{target}:{','.join(map(str, left))}!\n"
    shots = "".join(
        f"Numbers: {_numbers(own.left)}, target {own.target}\n{thought}\nJudgement: {word}\n\n"
        for own, thought, word in judged(look, len(left))
        if (own.left, own.target) != (left, target)
    )
    return (
        "Can all of these numbers, combined with + - * / and each used once, reach the target? "
        f"Try ways, then judge: sure, likely or impossible.\n\n{shots}"
        f"Numbers: {_numbers(left)}, target {target}\n"
    )


def judged(look: Look, size: int) -> list[tuple[Worked, str, str]]:
    """Examples of judging: a problem, what is tried, and the judgement.

    Of two numbers every step is tried. Of more a way is found, or it is not and may be there.
    """
    reached, missed = solved(look, size, 3), unsolvable(look, size, 2)
    open_ = reached[2:] if size > 2 else ()
    parts = [(reached[:1], "sure"), (missed[:1], "impossible"), (open_, "likely")]
    parts += [(reached[1:2], "sure"), (missed[1:], "impossible")]
    return [(own, _thought(own, word, look.rules), word) for part, word in parts for own in part]


def _thought(own: Worked, word: str, rules: Rules) -> str:
    if len(own.left) == 2:
        return _lines(options(own.left, rules, PROPOSALS))
    ways = [*misses(own, rules, 1), own.path] if word == "sure" else misses(own, rules, 2)
    return "\n".join(_lines(way, ", and ") for way in ways)


def doubt(left: State, target: int, look: Look) -> str:
    """Ask whether the target can still be reached, to be gone on with by yes or no."""
    size = max(2, len(left))
    good, bad = iter(solved(look, size, SHOTS)), iter(unsolvable(look, size, SHOTS))
    drawn = [next(good if sign == "y" else bad, None) for sign in ANSWERS]
    cases = [
        (own, "yes" if sign == "y" else "no")
        for own, sign in zip(drawn, ANSWERS, strict=True)
        if own
    ]
    if len(left) == 1:  # where a path ends
        cases = [(own._replace(left=(own.path[-1].result,)), answer) for own, answer in cases]
    shots = "".join(
        f"Numbers: {_numbers(own.left)}, target {own.target}\nAnswer: {answer}\n\n"
        for own, answer in cases
        if (own.left, own.target) != (left, target)
    )
    return (
        "Can all of these numbers, combined with + - * / and each used once, reach the target? "
        f"Answer yes or no.\n\n{shots}Numbers: {_numbers(left)}, target {target}\nAnswer:"
    )


def last(
    numbers: Sequence[int], target: int, left: State, answer: str, dialect: str, look: Look
) -> str:
    """Ask whether a finished answer is right."""
    if dialect == COMPACT:
        return value(left, target, dialect, look)
    shots = "".join(
        f"Input: {_numbers(given)}, target {aim}\nAnswer: {said}\n{why}\nJudgement: {word}\n\n"
        for given, aim, said, why, word in finished(look, len(numbers))
        if given != state(numbers)
    )
    return (
        "Does the answer use each number of the input exactly once and reach the target? Say why, "
        f"then judge: sure or impossible.\n\n{shots}"
        f"Input: {_numbers(numbers)}, target {target}\nAnswer: {answer}\n"
    )


def finished(look: Look, size: int) -> list[tuple[State, int, str, str, str]]:
    """Examples of the last judgement: numbers, target, an answer, why, and the judgement."""
    right, other = solved(look, size, 4), unsolvable(look, size, 2)
    found = [_right(own) for own in right[:2]] + [_elsewhere(own) for own in other[:1]]
    found += [_right(own) for own in right[2:3]] + [_untrue(own) for own in other[1:]]
    return found + [_unused(own) for own in right[3:] if size > 2]


def _right(own: Worked) -> tuple[State, int, str, str, str]:
    said = f"{expression(own.path)} = {own.target}"
    why = f"each number once, and the result is {own.target}"
    return own.left, own.target, said, why, "sure"


def _elsewhere(own: Worked) -> tuple[State, int, str, str, str]:
    result = own.path[-1].result
    said, why = f"{expression(own.path)} = {result}", f"{result} is not {own.target}"
    return own.left, own.target, said, why, "impossible"


def _untrue(own: Worked) -> tuple[State, int, str, str, str]:
    way, result = expression(own.path), own.path[-1].result
    why = f"{way} is {result}, and {result} is not {own.target}"
    return own.left, own.target, f"{way} = {own.target}", why, "impossible"


def _unused(own: Worked) -> tuple[State, int, str, str, str]:
    """An answer that leaves the last step out."""
    way, left = own.path[:-1], own.path[-2].left
    unused = _numbers(left[1:])
    why = f"{unused} is not used"
    return own.left, int(way[-1].result), f"{expression(way)} = {way[-1].result}", why, "impossible"
