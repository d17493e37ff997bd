"""Number games: combine all numbers by + - * / to reach a target. Rules, verifier, prompts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from ltf_lite.tasks import text as styles
from ltf_lite.tasks.arithmetic import ExpressionError, Number, Rules, apply, evaluate
from ltf_lite.tasks.base import Line, Path, Problem, TaskError, Verdict
from ltf_lite.tasks.solver import Move, State, expression, moves, solutions, solvable, state

MAX_NUMBERS = 6
LARGEST = 9999  # of a problem's numbers and target

EXAMPLES = (((2, 4, 8, 9), 24), ((4, 9, 10, 13), 24), ((1, 4, 8, 8), 24))


def _fail(kind: str, index: int, message: str) -> Verdict:
    return Verdict(False, kind, index, message)


def whole_number(value: Any, what: str, least: int = 1, most: int = LARGEST) -> int:
    """A whole number from JSON or from a command line's text; raises TaskError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        shown = repr(value)[:40]
        raise TaskError(f"{what} must be a whole number from {least} to {most}, not {shown}")
    return value


@dataclass
class NumbersGame:
    """Steps, verifier and prompts that countdown and game24 share."""

    name: ClassVar[str]

    @property
    def rules(self) -> Rules:
        return Rules(integers=False)

    def problem(self, data: Any) -> Problem:
        """The problem of `{"numbers": [...], "target": ...}`; raises TaskError."""
        if not isinstance(data, dict) or not isinstance(data.get("numbers"), (list, tuple)):
            raise TaskError('a problem is an object like {"numbers": [25, 5, 5, 33], "target": 27}')
        numbers = tuple(whole_number(x, "a number of a problem") for x in data["numbers"])
        if not 2 <= len(numbers) <= MAX_NUMBERS:
            raise TaskError(f"a problem has 2 to {MAX_NUMBERS} numbers, not {len(numbers)}")
        return Problem(self.name, numbers, whole_number(data.get("target"), "the target", 0))

    # -- steps -------------------------------------------------------------------------------

    def start(self, problem: Problem) -> State:
        return state(problem.numbers)

    def legal(self, left: State, step: styles.Step) -> State | None:
        """The state after a step, or None if the step breaks a rule or is wrong."""
        verdict = self._check(left, step, 0)
        return None if verdict else state(step.left)

    def moves(self, left: State) -> tuple[Move, ...]:
        return moves(left, self.rules)

    def solvable(self, problem: Problem, left: State | None = None) -> bool:
        """Whether the target can still be reached, from the start or from the numbers left."""
        return solvable(self.start(problem) if left is None else left, problem.target, self.rules)

    def solutions(self, problem: Problem):
        """All solutions, lazily, each a list of moves."""
        return solutions(self.start(problem), problem.target, self.rules)

    # -- text --------------------------------------------------------------------------------

    def parse(self, problem: Problem, text: str) -> Path:
        return styles.read_path(text, len(problem.numbers) - 1)

    def write(self, problem: Problem, path: list[Move], style: str) -> str:
        """A solution as text, in the style a model is tuned on."""
        if style == "compact":
            return styles.write_compact(path)
        return styles.write_standard(path, problem.target)

    def stop(self, style: str) -> list[str]:
        """Where a completion ends besides the end token."""
        return [] if style == "compact" else ["\n\n", "Input:"]

    def prompt(self, problem: Problem, style: str) -> str:
        if style == "compact":
            return f"{','.join(map(str, self.start(problem)))}>{problem.target}\n"
        shots = EXAMPLES if style == "few_shot" else ()
        return self.instructions() + "\n\n" + "".join(self._shot(*shot) for shot in shots) + (
            f"Input: {' '.join(map(str, problem.numbers))}, target {problem.target}\n"
        )

    def instructions(self) -> str:
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
            f"{styles.write_standard(path, target)}\n"
        )

    # -- verifier ----------------------------------------------------------------------------

    def verify(self, problem: Problem, path: Path) -> Verdict:
        """The verdict of a path, whatever it holds: first fatal step, then what is missing."""
        left, full = self.start(problem), len(problem.numbers) - 1
        for index, line in enumerate(path.lines):
            if index == full or line.step is None:
                return _fail("format", index, f"line {index} is no step: {line.text[:60]!r}")
            step = styles.Step(*line.step)
            verdict = self._check(left, step, index) or self._reach(problem, step, index)
            if verdict:
                return verdict
            left = state(step.left)
        if len(path.lines) < full:
            return _fail("incomplete", len(path.lines), f"step {len(path.lines)} is missing")
        return self._answer(problem, path.answer, path.compact, full)

    def _check(self, left: State, step: styles.Step, index: int) -> Verdict | None:
        rest = list(left)
        for operand in (step.a, step.b):
            if operand not in rest:
                return _fail("illegal", index, f"{operand} is not among the numbers left")
            rest.remove(operand)
        result = apply(step.a, step.op, step.b)
        said = f"{step.a} {step.op} {step.b}"
        if result is None:
            return _fail("arithmetic", index, f"{said} divides by zero")
        if result != step.result:
            return _fail("arithmetic", index, f"{said} is {result}, not {step.result}")
        if Counter(step.left) != Counter([*rest, result]):
            real = " ".join(map(str, state([*rest, result])))
            return _fail("bookkeeping", index, f"the numbers left are {real}")
        return None

    def _reach(self, problem: Problem, step: styles.Step, index: int) -> Verdict | None:
        if not self.rules.allows(step.result):
            return _fail("dead_end", index, f"{self.name} allows no intermediate {step.result}")
        if not self.solvable(problem, state(step.left)):
            real = " ".join(map(str, step.left))
            return _fail("dead_end", index, f"{problem.target} can't be reached from {real}")
        return None

    def _answer(self, problem: Problem, line: Line | None, compact: bool, full: int) -> Verdict:
        text = styles.answer_text(line) if line else ""
        if not text and not compact:
            return _fail("incomplete", full, "the answer is missing")
        try:
            body, *claims = text.split("=")
            value, used = evaluate(body) if text else (problem.target, [])
            claimed = [evaluate(claim)[0] for claim in claims]
        except ExpressionError as error:
            return _fail("wrong_answer", full, f"the answer is no expression: {error}")
        if not (compact and len(used) <= 1) and Counter(used) != Counter(problem.numbers):
            return _fail("wrong_answer", full, "the answer does not use each number once")
        wrong: list[Number] = [v for v in (value, *claimed) if v != problem.target]
        if wrong:
            return _fail("wrong_answer", full, f"the answer is {wrong[0]}, not {problem.target}")
        return Verdict(True, None, None, f"correct: reaches {problem.target}")


__all__ = ["NumbersGame", "expression"]
