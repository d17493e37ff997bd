"""What a task is: problem, path, verdict, the least a task offers, and the powers it may have."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.plugins import Plugin
from ltf_lite.core.prompt import chats

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Written = Literal["path", "step", "proposals", "judgement"]  # what a model is asked to write


MISSING = "missing"  # the content of what is not there


class TaskError(LtfError, ValueError):
    """A setting or a problem that cannot be."""

    code = USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """One instance of a task.

    `id` is the same wherever the problem comes from, `text` is how a person reads and types it,
    `data` is JSON that only its own task reads.
    """

    task: str
    id: str
    text: str
    data: Mapping[str, Any] = field(hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The problem for JSON; `Problem(**data)` reads it back."""
        return asdict(self)


class Verdict(NamedTuple):
    """What the verifier says of a path; `fatal_step` counts from 0, None when correct."""

    correct: bool
    kind: str | None
    fatal_step: int | None
    message: str

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


class Line(NamedTuple):
    """One line of a path and where it stands in the text.

    `start:end` are the characters of the line, `decision:decision_end` those that choose (of a
    number game the two operands and the operator). `step` is what the task reads in it, None where
    the line is no step.
    """

    text: str
    start: int
    end: int
    decision: int
    decision_end: int
    step: Any = None


class Path(NamedTuple):
    """A parsed chain of thought: step lines, then the answer line if there is one.

    `form` says how it is written, where a task knows several forms.
    """

    lines: tuple[Line, ...]
    answer: Line | None
    form: str = ""

    def all_lines(self) -> list[Line]:
        """The steps and the answer; a verdict's `fatal_step` counts these."""
        return [*self.lines, *([self.answer] if self.answer else [])]


class Task(Plugin):
    """A family of problems with a verifier.

    Its fields are its settings. A task has the five methods below without a body; the others have
    a default that suits free text. `kinds` are its failure kinds, each with a sentence; what ends
    in one of `spared` may be right in other words, and is never forgotten. `test_apart` says what
    test problems alone have, where they are not drawn as validation problems are. `aims` says that
    a problem has a target, typed as `-> 27` after it or as `--target 27`. `parts` are the keys that
    the data of a problem can't do without: the columns of a table of problems.
    """

    name: str
    kinds: ClassVar[Mapping[str, str]] = {"wrong_answer": "The answer is not right."}
    spared: ClassVar[frozenset[str]] = frozenset()
    test_apart: ClassVar[str] = ""
    aims: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different problems of a split; no two splits share one. Raises TaskError."""

    @abstractmethod
    def problem(self, data: Any) -> Problem:
        """The problem of its JSON data, or of what a person typed; raises TaskError."""

    @abstractmethod
    def prompt(self, problem: Problem, dialect: str) -> str:
        """What a model is asked, in a dialect of `engines.dialect`; earlier turns in a `Prompt`."""

    @abstractmethod
    def parse(self, problem: Problem, text: str) -> Path:
        """The path that a text holds, right or wrong; any text has one."""

    @abstractmethod
    def verify(self, problem: Problem, path: Path) -> Verdict:
        """The verdict of a path. It never raises on what a model wrote and never evaluates it."""

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        """`n` different problems of a split, or all if it has fewer."""
        return self.problems(split, n, seed)

    def prompt_rule(self, dialect: str) -> str:
        """How a prompt is made of a problem, in words of Markdown; empty where no rule is known."""
        return ""

    def stop(self, dialect: str) -> list[str]:
        """Where a completion ends besides the end token; a chat's reply ends with that alone."""
        return [] if chats(dialect) else ["\n\n"]

    def room(self, problem: Problem, dialect: str) -> int:
        """Tokens that are enough for a path of a problem."""
        return 256

    def answer(self, path: Path) -> str | None:
        """What a path answers, so that equal answers are equal strings; None if it has none."""
        return path.answer.text.strip() if path.answer else None

    def rewritten(self, problem: Problem, text: str, dialect: str) -> str | None:
        """The same path as a dialect writes it; None where that cannot be said."""
        return text

    def gold(self, problem: Problem) -> str | None:
        """The text of a right path, where the task knows one without searching."""
        return None

    @property
    def limits(self) -> str:
        """What a solution is held to, where it may not be plain: said of a problem without one."""
        return ""

    def remarks(self) -> list[str]:
        """What a person should know of the problems themselves, a sentence each."""
        return []

    @classmethod
    def meant(cls, reference: str) -> dict[str, Any] | None:
        """The settings that a reference other than the task's name means; None if it is another's.

        A file's name or a prefix tells it: `questions.jsonl`, `reasoning-gym:gcd`.
        """
        return None

    @property
    def content(self) -> str:
        """A hash of what the settings only name, such as a file: where it changes, stages rerun.

        MISSING where there is none.
        """
        return ""

    @property
    def sign(self) -> str:
        """A short name for this very task, from which a preset can take its own."""
        return self.name

    def cut_off(self, verdict: Verdict) -> Verdict:
        """The verdict of a path whose text was ended by the token limit and not by the model."""
        return verdict

    @property
    def reference(self) -> str:
        """What names the task in a command."""
        return self.name

    def sibling(self) -> Task | None:
        """A near task that is not tuned on, to watch what tuning makes a model forget."""
        return None


State = Any  # hashable; equal for two ways to the same situation


class Taken(NamedTuple):
    """A step that was taken: the state after it, its line as the dialect writes it, and a key.

    Two steps of one state with equal keys are the same thought.
    """

    state: State
    text: str
    key: Hashable


@runtime_checkable
class Steps(Protocol):
    """A power: a state that steps change. `steps.steps_of` gives any task one of lines."""

    def start(self, problem: Problem) -> State:
        """The state before the first step."""

    def take(
        self, problem: Problem, state: State, line: str, dialect: str, checked: bool
    ) -> Taken | None:
        """What a line leads to; None where it leads nowhere.

        `checked` drops a step that is wrong; otherwise what the line says is believed.
        """

    def finished(self, problem: Problem, state: State) -> bool:
        """Whether a path ends in this state with an answer, right or wrong."""

    def longest(self, problem: Problem) -> int:
        """The most steps of a path."""

    def joined(self, lines: Sequence[str], dialect: str, finished: bool) -> str:
        """Step lines as the text of a path, with its answer if it is finished."""

    def shown(self, state: State) -> str:
        """A state for a person."""


@runtime_checkable
class Prompts(Protocol):
    """A power: what a tree search asks of a model. `steps.prompts_of` gives any task some."""

    def propose(self, problem: Problem, state: State, dialect: str) -> str | None:
        """Ask for next steps, one a line; None where they are sampled from the chain of thought."""

    def judge(self, problem: Problem, state: State, lines: Sequence[str], dialect: str) -> str:
        """Ask how good a state is; of a finished path, whose `lines` are given, its answer."""

    def judge_stop(self, dialect: str) -> list[str]:
        """Where a judgement ends."""

    def read_value(self, text: str) -> float | None:
        """What a judgement counts, from 0 (impossible) to 1 (sure); None if the text has none."""


class Questions(Prompts, Protocol):
    """All that a search asks of a model; `steps.prompts_of` fills in what a task lacks."""

    def yes(self, problem: Problem, state: State, lines: Sequence[str], dialect: str) -> str:
        """Ask whether a path is right so far, to be gone on with by yes or no.

        `lines` are the steps so far, of a finished path with its answer.
        """


@runtime_checkable
class Grammars(Protocol):
    """A power: the form of what a model writes, which decoding can be held to."""

    def grammar(self, problem: Problem, what: Written, dialect: str) -> str:
        """A GBNF grammar of a path (or the rest of one), a step's line, proposals, a judgement.

        Of its form alone: it leaves every legal text of the dialect, and wrong ones as well.
        """


class Move(Protocol):
    """A step of a solver; `left` is the state after it."""

    @property
    def left(self) -> State: ...


@runtime_checkable
class Solver(Steps, Protocol):
    """A power: steps, and exact knowledge of where they lead."""

    def moves(self, problem: Problem, state: State) -> Sequence[Any]:
        """Every distinct legal `Move` of a state."""

    def solvable(self, problem: Problem, state: State | None = None) -> bool:
        """Whether a solution can be reached, from the start or from a state."""

    def solved(self, problem: Problem, state: State) -> bool:
        """Whether this state is a solution."""

    def solutions(self, problem: Problem) -> Iterator[list[Any]]:
        """Every solution as a list of moves, lazily."""

    def line(self, move: Any, dialect: str) -> str:
        """A move as the dialect writes it."""

    def hopeful(self, problem: Problem, state: State, dialect: str) -> Iterator[str]:
        """Every line, in each of its spellings, of a move that can still lead to a solution."""

    def write(self, problem: Problem, path: Sequence[Any], dialect: str) -> str:
        """A path of moves as text."""


# What a refusal calls a power.
POWERS: dict[type, str] = {
    Steps: "steps",
    Prompts: "search prompts",
    Grammars: "grammars",
    Solver: "an exact solver",
}


def share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone: the same problem, the same split."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
