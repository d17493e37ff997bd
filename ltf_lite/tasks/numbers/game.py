"""Number games: what countdown and game24 share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from ltf_lite.core.prompt import FEW_SHOT_CHAT, Prompt, chats
from ltf_lite.tasks.contract import Path, Problem, Taken, Task, TaskError, Verdict, Written
from ltf_lite.tasks.numbers import examples, prompts
from ltf_lite.tasks.numbers import grammar as grammars
from ltf_lite.tasks.numbers import text as styles
from ltf_lite.tasks.numbers.examples import Look
from ltf_lite.tasks.numbers.rules import Rules
from ltf_lite.tasks.numbers.solver import Move, State, moves, solutions, solvable, state
from ltf_lite.tasks.numbers.typed import typed
from ltf_lite.tasks.numbers.verdict import KINDS, SPARED, after_step, verdict
from ltf_lite.tasks.steps import read_value

MAX_NUMBERS = 6
LARGEST = 9999  # of a problem's numbers and target
ROOM = {styles.COMPACT: 16}  # tokens a number of the problem
ROOM_IN_WORDS = 96


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


def _printed(value: Any) -> str:
    """A value for a message, short whatever it is (a huge int or a deep list has no `repr`)."""
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a huge number"
    return repr(value) if isinstance(value, (int, float, type(None))) else type(value).__name__


def posed(task: str, numbers: Sequence[int], target: int) -> Problem:
    """The problem of these numbers; its id does not depend on their order."""
    key = "-".join(map(str, sorted(numbers)))
    text = f"{' '.join(map(str, numbers))} -> {target}"
    data = {"numbers": list(numbers), "target": target}
    return Problem(task, f"{task}:{key}>{target}", text, data)


class NumbersGame(Task):
    """All numbers are combined by + - * / to reach a target.

    It has every power: steps, search prompts, grammars and an exact solver.
    """

    kinds: ClassVar[Mapping[str, str]] = KINDS
    spared: ClassVar[frozenset[str]] = SPARED
    aims: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("numbers", "target")

    @cached_property  # asked at every step
    def rules(self) -> Rules:
        return Rules(integers=False)

    @property
    def limits(self) -> str:
        once, most = "every number is used once", self.rules.maximum
        if not self.rules.integers:
            return f"{once}, and fractions may come up on the way"
        whole = "whole numbers from 0 up" if most is None else f"whole numbers from 0 to {most}"
        return f"{once}, and only {whole} may come up on the way"

    @property
    @abstractmethod
    def look(self) -> Look:
        """What its problems look like: worked examples are made alike."""

    def problem(self, data: Any) -> Problem:
        """The problem of `{"numbers": [...], "target": ...}` or of `25 5 5 33 -> 27`."""
        if isinstance(data, str):
            data = typed(data)
        if not isinstance(data, Mapping) or data.get("numbers") is None:
            raise TaskError('a problem is an object like {"numbers": [25, 5, 5, 33], "target": 27}')
        if not isinstance(data["numbers"], (list, tuple)):
            given = _printed(data["numbers"])
            raise TaskError(f"the numbers of a problem are several, like 25 5 5 33, not {given}")
        count, some = len(data["numbers"]), data["numbers"][:MAX_NUMBERS]
        numbers = tuple(whole_number(x, "a number of a problem") for x in some)
        if not 2 <= count <= MAX_NUMBERS:
            raise TaskError(f"a problem has 2 to {MAX_NUMBERS} numbers, not {count}")
        if data.get("target") is None:
            raise TaskError(
                "the target must be a whole number, and none is given: "
                "write it like '25 5 5 33 -> 27' (in a terminal, --target 27)"
            )
        return posed(self.name, numbers, whole_number(data["target"], "the target", 0))

    # -- text --------------------------------------------------------------------------------

    def prompt(self, problem: Problem, dialect: str) -> str:
        own = problem.data["numbers"]
        asked = prompts.ask(own, problem.data["target"], dialect, self.look)
        return Prompt(asked, turns=self._turns(own)) if dialect == FEW_SHOT_CHAT else asked

    def prompt_rule(self, dialect: str) -> str:
        if dialect == styles.COMPACT:
            return "`target:numbers in descending order`, commas between them, then a line break"
        shown = " and worked examples" if dialect == "few_shot" else ""
        return (
            f"the rules of the game{shown} as below, a blank line, then `Input: numbers, target "
            "TARGET` and a line break"
        )

    def _turns(self, own: Sequence[int]) -> Iterator[tuple[str, str]]:
        """The worked examples as earlier turns; none gives the solution of these numbers away."""
        for left, target, path in examples.solved(self.look, len(own), prompts.PATHS):
            if left != state(own):
                asked = prompts.ask(left, target, FEW_SHOT_CHAT, self.look)
                yield asked, styles.write_standard(path)

    def parse(self, problem: Problem, text: str) -> Path:
        return styles.read_path(text, self.longest(problem))

    def verify(self, problem: Problem, path: Path) -> Verdict:
        return verdict(problem.data["numbers"], problem.data["target"], self.rules, path)

    def stop(self, dialect: str) -> list[str]:
        return [] if dialect == styles.COMPACT or chats(dialect) else ["\n\n", "Input:"]

    def room(self, problem: Problem, dialect: str) -> int:
        """Tokens that are enough for a path of a problem, or for what a search asks about it."""
        return ROOM.get(dialect, ROOM_IN_WORDS) * len(problem.data["numbers"])

    def answer(self, path: Path) -> str | None:
        """The set of its steps: the same expression whatever the order of steps and operands."""
        return styles.same_steps([line.step for line in path.lines])

    def rewritten(self, problem: Problem, text: str, dialect: str) -> str | None:
        """The path in another dialect; None where a line of it is no step."""
        path = self.parse(problem, text)
        if path.form == styles.form_of(dialect):
            return text
        steps = [line.step for line in path.lines]
        if not steps or None in steps:
            return None
        complete = len(steps) == self.longest(problem)
        return self.joined([styles.write_line(s, dialect) for s in steps], dialect, complete)

    # -- steps -------------------------------------------------------------------------------

    def start(self, problem: Problem) -> State:
        """The numbers of a problem, before the first step."""
        return state(problem.data["numbers"])

    def take(
        self, problem: Problem, state: State, line: str, dialect: str, checked: bool
    ) -> Taken | None:
        """The numbers left after a step's line; what a model says is left is believed unchecked."""
        read = styles.read_step(line.strip(), state)
        if read is None:
            return None
        step, short, _ = read
        if short and len(step.left) == 1 and styles.form_of(dialect) == styles.STANDARD:
            step = _with_rest(step, state)  # a proposal in words need not say what is left
        if checked:
            after = self.legal(state, step)
        else:
            after = step.left if len(step.left) == len(state) - 1 else None
        if after is None:
            return None
        operands = sorted((step.a, step.b)) if step.op in "+*" else (step.a, step.b)
        return Taken(after, styles.write_line(step, dialect), (*operands, step.op, *sorted(after)))

    def legal(self, left: State, step: styles.Step) -> State | None:
        """The state after a step, or None if the step breaks a rule or is wrong."""
        after = after_step(left, step, 0)
        return None if isinstance(after, Verdict) or not self.rules.allows(step.result) else after

    def finished(self, problem: Problem, state: State) -> bool:
        return len(state) == 1

    def longest(self, problem: Problem) -> int:
        return len(problem.data["numbers"]) - 1

    def joined(self, lines: Sequence[str], dialect: str, finished: bool) -> str:
        """Step lines as the text of a path, with the answer that they come to if it is finished."""
        text = "".join(f"{line}\n" for line in lines)
        steps = _steps(lines)
        if styles.form_of(dialect) == styles.COMPACT or not finished or not steps or None in steps:
            return text
        return f"{text}Answer: {styles.answer_of(steps)}\n"

    def shown(self, state: State) -> str:
        return " ".join(map(str, state))

    # -- what a tree search asks -------------------------------------------------------------

    def propose(self, problem: Problem, state: State, dialect: str) -> str | None:
        return prompts.propose(state, problem.data["target"], dialect, self.look)

    def judge(self, problem: Problem, state: State, lines: Sequence[str], dialect: str) -> str:
        steps = [step for step in _steps(lines) if step]
        if not steps:
            return prompts.value(state, problem.data["target"], dialect, self.look)
        asked = problem.data["numbers"], problem.data["target"]
        return prompts.last(*asked, state, styles.answer_of(steps), dialect, self.look)

    def yes(self, problem: Problem, state: State, lines: Sequence[str], dialect: str) -> str:
        """Of a finished path too the number that it came to says whether it is right."""
        return prompts.doubt(state, problem.data["target"], self.look)

    def judge_stop(self, dialect: str) -> list[str]:
        """A compact judgement is a single line."""
        return ["\n"] if dialect == styles.COMPACT else self.stop(dialect)

    def read_value(self, text: str) -> float | None:
        return read_value(text)

    def grammar(self, problem: Problem, what: Written, dialect: str) -> str:
        compact = styles.form_of(dialect) == styles.COMPACT
        return grammars.grammar(what, self.longest(problem), compact)

    # -- solver ------------------------------------------------------------------------------

    def moves(self, problem: Problem, state: State) -> tuple[Move, ...]:
        return moves(state, self.rules)

    def solvable(self, problem: Problem, state: State | None = None) -> bool:
        left = self.start(problem) if state is None else state
        return solvable(left, problem.data["target"], self.rules)

    def solved(self, problem: Problem, state: State) -> bool:
        return state == (problem.data["target"],)

    def solutions(self, problem: Problem) -> Iterator[list[Move]]:
        return solutions(self.start(problem), problem.data["target"], self.rules)

    def line(self, move: Move, dialect: str) -> str:
        return styles.write_line(styles.Step(*move), dialect)

    def hopeful(self, problem: Problem, state: State, dialect: str) -> Iterator[str]:
        """Sums and products in either order."""
        for move in self.moves(problem, state):
            if self.solvable(problem, move.left):
                yield self.line(move, dialect)
                if move.op in "+*" and move.a != move.b:
                    yield self.line(move._replace(a=move.b, b=move.a), dialect)

    def write(self, problem: Problem, path: Sequence[Move], dialect: str) -> str:
        compact = styles.form_of(dialect) == styles.COMPACT
        return styles.write_compact(path) if compact else styles.write_standard(path)


def _with_rest(step: styles.Step, left: State) -> styles.Step:
    """A step that says what is left after it; as it is where its numbers are not there."""
    rest = list(left)
    if step.a in rest:
        rest.remove(step.a)
        if step.b in rest:
            rest.remove(step.b)
            return step._replace(left=(step.result, *rest))
    return step


def _steps(lines: Sequence[str]) -> list[Any]:
    """The step of each line, None where it is none."""
    return [read[0] if (read := styles.read_step(line.strip())) else None for line in lines]
