"""Number games: combine all numbers by + - * / to reach a target. Rules, verifier, prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ltf_lite.tasks import search_prompts
from ltf_lite.tasks import text as styles
from ltf_lite.tasks.arithmetic import (
    ExpressionError,
    Number,
    Rules,
    apply,
    evaluate,
    parse_number,
    plain_spelling,
    shown,
)
from ltf_lite.tasks.base import Line, Path, Problem, Split, TaskError, Verdict
from ltf_lite.tasks.solver import Move, State, expression, moves, solutions, solvable, state

MAX_NUMBERS = 6
LARGEST = 9999  # of a problem's numbers and target
ROOM = {"compact": 16}  # tokens a number of the problem
ROOM_IN_WORDS = 96

EXAMPLES = (((2, 4, 8, 9), 24), ((4, 9, 10, 13), 24), ((1, 4, 8, 8), 24))


def _fail(kind: str, index: int, message: str) -> Verdict:
    return Verdict(False, kind, index, message)


def _printed(value: Any) -> str:
    """A value for a message, short whatever it is (a huge int or a deep list has no `repr`)."""
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a huge number"
    return repr(value) if isinstance(value, (int, float, type(None))) else type(value).__name__


def whole_number(value: Any, what: str, least: int = 1, most: int = LARGEST) -> int:
    """A whole number from JSON or from a command line's text; raises TaskError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise TaskError(
            f"{what} must be a whole number from {least} to {most}, not {_printed(value)}"
        )
    return value


def whole_range(value: Any, what: str, least: int, most: int) -> tuple[int, int]:
    """An inclusive range from a list of its two ends; raises TaskError."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise TaskError(f"{what} must be a range like [{least}, {most}], not {_printed(value)}")
    low, high = (whole_number(end, f"{what}: each end", least, most) for end in value)
    if low > high:
        raise TaskError(f"{what} must have the smaller end first, not [{low}, {high}]")
    return low, high


@dataclass
class NumbersGame(ABC):
    """Steps, verifier and prompts that countdown and game24 share."""

    name: ClassVar[str]

    @abstractmethod
    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different solvable problems of a split; raises TaskError if it has not so many."""

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different solvable problems of a split, or all if it has fewer."""
        return self.problems(split, n, seed)

    @property
    def rules(self) -> Rules:
        return Rules(integers=False)

    def problem(self, data: Any) -> Problem:
        """The problem of `{"numbers": [...], "target": ...}`; raises TaskError."""
        if not isinstance(data, dict) or not isinstance(data.get("numbers"), (list, tuple)):
            raise TaskError('a problem is an object like {"numbers": [25, 5, 5, 33], "target": 27}')
        count = len(data["numbers"])
        if not 2 <= count <= MAX_NUMBERS:
            raise TaskError(f"a problem has 2 to {MAX_NUMBERS} numbers, not {count}")
        numbers = tuple(whole_number(x, "a number of a problem") for x in data["numbers"])
        return Problem(self.name, numbers, whole_number(data.get("target"), "the target", 0))

    # -- steps -------------------------------------------------------------------------------

    def start(self, problem: Problem) -> State:
        """The numbers of a problem, before the first step."""
        return state(problem.numbers)

    def legal(self, left: State, step: styles.Step) -> State | None:
        """The state after a step, or None if the step breaks a rule or is wrong."""
        after = _after(left, step, 0)
        return None if isinstance(after, Verdict) or not self.rules.allows(step.result) else after

    def moves(self, left: State) -> tuple[Move, ...]:
        """Every distinct legal step of a state."""
        return moves(left, self.rules)

    def solvable(self, problem: Problem, left: State | None = None) -> bool:
        """Whether the target can still be reached, from the start or from the numbers left."""
        return solvable(self.start(problem) if left is None else left, problem.target, self.rules)

    def solutions(self, problem: Problem) -> Iterator[list[Move]]:
        """All solutions, lazily, each a list of moves."""
        return solutions(self.start(problem), problem.target, self.rules)

    # -- text --------------------------------------------------------------------------------

    def parse(self, problem: Problem, text: str) -> Path:
        """The path that a text holds, right or wrong; any text has one."""
        return styles.read_path(text, len(problem.numbers) - 1)

    def write(self, problem: Problem, path: list[Move], style: str) -> str:
        """A path of moves as text, in the style a model is tuned on."""
        if style == "compact":
            return styles.write_compact(path)
        return styles.write_standard(path)

    def stop(self, style: str) -> list[str]:
        """Where a completion ends besides the end token."""
        return [] if style == "compact" else ["\n\n", "Input:"]

    def room(self, problem: Problem, style: str) -> int:
        """Tokens that are enough for a path of a problem, or for what a search asks about it."""
        return ROOM.get(style, ROOM_IN_WORDS) * len(problem.numbers)

    def prompt(self, problem: Problem, style: str) -> str:
        """What the model is asked: `compact`, `few_shot`, or in plain words."""
        if style == "compact":
            # The target first, so that a causal model reads every number in its light.
            return f"{problem.target}:{','.join(map(str, self.start(problem)))}\n"
        own = state(problem.numbers)  # an example must not give its own solution away
        examples = EXAMPLES if style == "few_shot" else ()
        shots = "".join(self._shot(*each) for each in examples if state(each[0]) != own)
        asked = f"Input: {' '.join(map(str, problem.numbers))}, target {problem.target}\n"
        return f"{self.instructions()}\n\n{shots}{asked}"

    def instructions(self) -> str:
        """The rules of the game and the standard style, for a model that knows neither."""
        allowed = "whole numbers from 0 up" if self.rules.integers else "any exact fractions"
        return (
            "Combine all the numbers with + - * / so that the result is the target. Each number is "
            "used exactly once. Write one step a line: two of the numbers left, their exact "
            f"result, and the numbers left after it. Results may be {allowed}. "
            "After the last step write the answer as one expression."
        )

    def _shot(self, numbers: tuple[int, ...], target: int) -> str:
        path = next(solutions(state(numbers), target, self.rules))
        return (
            f"Input: {' '.join(map(str, numbers))}, target {target}\n"
            f"{styles.write_standard(path)}\n"
        )

    # -- what a tree search needs ------------------------------------------------------------

    def propose_prompt(self, problem: Problem, left: State, style: str) -> str:
        """Ask for possible next steps from the numbers left, one a line."""
        return search_prompts.propose(left, problem.target, style, self.rules)

    def value_prompt(
        self, problem: Problem, left: State, style: str, steps: Sequence[styles.Step] = ()
    ) -> str:
        """Ask how good a state is; with the steps of a finished path, whether its answer is right.

        `read_value` reads what the model says.
        """
        if not steps:
            return search_prompts.value(left, problem.target, style)
        answer = search_prompts.answer_of(steps)
        return search_prompts.last(problem.numbers, problem.target, left, answer, style)

    def value_stop(self, style: str) -> list[str]:
        """Where a judgement ends: a compact one is a single line."""
        return ["\n"] if style == "compact" else self.stop(style)

    def read_value(self, text: str) -> float | None:
        """What a judgement counts, from 0 (impossible) to 1 (sure); None if the text has none."""
        return search_prompts.read_value(text)

    def step(self, line: str) -> styles.Step | None:
        """The step that a line says, right or wrong; None if it is no step."""
        read = styles.read_step(line.strip())
        return read[0] if read else None

    def line(self, step: styles.Step, style: str) -> str:
        """A step as the style writes it."""
        if style == "compact" and step.result in step.left:
            return styles.write_step(Move(*step))
        return styles.write_standard([Move(*step)]).split("\n")[0]

    def joined(self, lines: Sequence[str], style: str, finished: bool) -> str:
        """Step lines as the text of a path, with the answer that they come to if it is finished."""
        text = "".join(f"{line}\n" for line in lines)
        steps = [self.step(line) for line in lines]
        if style == "compact" or not finished or None in steps or not steps:
            return text
        return f"{text}Answer: {search_prompts.answer_of([s for s in steps if s])}\n"

    # -- verifier ----------------------------------------------------------------------------

    def verify(self, problem: Problem, path: Path) -> Verdict:
        """The verdict of a path, whatever it holds: first fatal step, then what is missing."""
        left, full, rules = self.start(problem), len(problem.numbers) - 1, self.rules
        for index, line in enumerate(path.lines):
            if index == full or line.step is None:
                return _fail("format", index, f"line {index + 1} is no step: {line.text[:60]!r}")
            after = _after(left, line.step, index)
            if isinstance(after, Verdict):
                return after
            result, said = line.step[3:]
            if not rules.allows(result):
                why = f"the rules allow no intermediate result {shown(result)}"
                return _fail("dead_end", index, why)
            if not solvable(after, problem.target, rules):
                real = " ".join(map(shown, said))
                return _fail("dead_end", index, f"{problem.target} can't be reached from {real}")
            left = after
        if len(path.lines) < full:
            count = len(path.lines)
            return _fail("incomplete", count, f"step {count + 1} is missing")
        return self._answer(problem, path.answer, path.compact, full)

    def _answer(self, problem: Problem, line: Line | None, compact: bool, full: int) -> Verdict:
        text = styles.answer_text(line) if line else ""
        if not text and not compact:
            return _fail("incomplete", full, "the answer is missing")
        if not text:  # every step is right, and after the last one only the target is left
            return Verdict(True, None, None, f"correct: reaches {problem.target}")
        if len(text) > styles.MAX_LINE:
            return _fail("wrong_answer", full, f"an answer of more than {styles.MAX_LINE} signs")
        body, *claims = plain_spelling(text).split("=")
        number = parse_number(body.strip()) if compact else None
        try:
            value, used = evaluate(body) if number is None else (number, problem.numbers)
            claimed = [_claim(claim) for claim in claims]
        except ExpressionError as error:
            return _fail("wrong_answer", full, f"the answer is no expression: {error}")
        if sorted(used) != sorted(problem.numbers):
            return _fail("wrong_answer", full, "the answer does not use each number once")
        wrong = next((each for each in (value, *claimed) if each != problem.target), None)
        if wrong is not None:
            said = f"the answer is {shown(wrong)}, not {problem.target}"
            return _fail("wrong_answer", full, said)
        return Verdict(True, None, None, f"correct: reaches {problem.target}")


def _after(left: State, step: tuple, index: int) -> State | Verdict:
    """The state after a step, or the verdict that the step is wrong, whatever it leads to."""
    a, op, b, claimed, said = step
    rest = list(left)
    for operand in (a, b):
        if operand not in rest:
            return _fail("illegal", index, f"{shown(operand)} is not among the numbers left")
        rest.remove(operand)
    result = apply(a, op, b)
    if result is None:
        return _fail("arithmetic", index, f"{shown(a)} {op} {shown(b)} divides by zero")
    if result != claimed:
        why = f"{shown(a)} {op} {shown(b)} is {shown(result)}, not {shown(claimed)}"
        return _fail("arithmetic", index, why)
    after = state((*rest, result))
    if state(said) != after:
        return _fail("bookkeeping", index, f"the numbers left are {' '.join(map(shown, after))}")
    return after


def _claim(text: str) -> Number:
    """What stands after a `=`: a number in any spelling, or an expression."""
    value = parse_number(text.strip())
    return evaluate(text)[0] if value is None else value


__all__ = ["NumbersGame", "expression"]
