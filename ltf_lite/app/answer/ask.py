"""Answer problems for a user. The commands, the app and the Python interface all answer here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ltf_lite import presets
from ltf_lite.core.errors import UsageError
from ltf_lite.core.plugins import nearest
from ltf_lite.engines import Engine, open_engine
from ltf_lite.engines.dialect import dialect as dialect_of
from ltf_lite.reasoners import (
    REASONERS,
    Choice,
    Reasoner,
    Solution,
    Watch,
    able,
    attempt_of,
    solve,
)
from ltf_lite.reasoners.choice import Kind, likeliest
from ltf_lite.tasks import Problem, Solver, Task, TaskError, Verdict

SINGLE_PASS = "single-pass"
# Ways that are a choice among chains of thought; every reasoner is a way by its own name.
CHAINS: Mapping[str, Kind] = {
    SINGLE_PASS: "single_pass",
    "self-consistency": "self_consistency",
    "best-of-n": "best_of_n",
    "oracle": "oracle",
}
SAMPLES, TEMPERATURE = 32, 0.7
TOGETHER = 256  # problems asked in one engine call
WRITTEN = "compact"  # the dialect of a reasoner that asks no model


@dataclass(frozen=True)
class Way:
    """A way to answer: a reasoner, and the kind of its choices that is the answer.

    Without a `kind` it is the reasoner's own choice.
    """

    name: str
    reasoner: Reasoner
    kind: Kind | None = None

    def choose(self, solution: Solution) -> tuple[Choice | None, int | None]:
        """The choice and the index of its attempt; no index where nothing was chosen.

        Among samples there is one to show: where the choice is empty, the likeliest.
        """
        own = [(c, k) for c, k in solution.choices.items() if self.kind in (None, c.kind)]
        chosen = next((pair for pair in own if pair[1] is not None), None)
        choice, index = chosen or (own[0] if own else (None, None))
        attempts = solution.attempts
        if self.kind == "oracle":
            index = next((k for k, a in enumerate(attempts) if a.verdict.correct), None)
        if self.kind and index is None and attempts:
            index = likeliest([attempt.logprob for attempt in attempts])[0]
        return choice, index


@dataclass(frozen=True)
class Answer:
    """What was answered to a problem, its verdict, and how it was found.

    `way` is how it was asked for, `reasoner` the reasoner with its settings, `choice` how the
    answer was chosen among `paths`. `tokens` were generated; `seconds` are the problem's share of
    what was asked together. Of a line that is no problem there is only the `error`. `solution` has
    every path and the tree, where they were asked for.
    """

    problem: Problem | None = None
    text: str = ""
    verdict: Verdict | None = None
    way: str = ""
    reasoner: str = ""
    choice: Choice | None = None
    paths: int = 0
    tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    solution: Solution | None = field(default=None, repr=False, compare=False)

    @property
    def correct(self) -> bool:
        return self.verdict is not None and self.verdict.correct

    @property
    def tree(self) -> Sequence[Any]:
        """The nodes that were searched, the problem first; empty where they were not kept."""
        return self.solution.tree if self.solution else ()

    def as_dict(self) -> dict[str, Any]:
        """The answer for JSON, always with the same keys; the solution is left out."""
        return {
            "problem": self.problem and self.problem.as_dict(),
            "text": self.text,
            "verdict": self.verdict and self.verdict.as_dict(),
            "way": self.way,
            "reasoner": self.reasoner,
            "choice": self.choice and asdict(self.choice),
            "paths": self.paths,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "error": self.error,
        }


def ways() -> list[str]:
    """The names of all ways to answer."""
    return [*CHAINS, *REASONERS.names()]


def way_of(name: str, settings: Mapping[str, Any] | None = None) -> Way:
    """The way of that name; `settings` are its reasoner's, as in a preset.

    Raises UsageError for a name that is none, PresetError that names a bad setting.
    """
    own = dict(settings or {})
    if name not in CHAINS:
        if name not in REASONERS.names():
            raise UsageError(f"there is no way to answer {name!r}; {nearest(name, ways())}")
        return Way(name, presets.reasoner({**own, "name": name}, name))
    if name != SINGLE_PASS:
        own = {"n": SAMPLES, "temperature": TEMPERATURE, **own}
    reasoner = presets.reasoner({**own, "name": "cot"}, name)
    if name == SINGLE_PASS and not reasoner.single_pass:
        raise presets.PresetError(
            f"{name}: it is one greedy chain of thought, without samples, temperature or budget"
        )
    return Way(name, reasoner, CHAINS[name])


def posed(task: Task, data: Any) -> Problem:
    """The problem of what a user typed, or of JSON: its data, or a whole `Problem` as a dict.

    Raises TaskError if it is none, or if the task knows that it has no solution.
    """
    if isinstance(data, Problem):
        problem = data
    else:
        whole = isinstance(data, Mapping) and {"id", "text", "data"} <= data.keys()
        problem = task.problem(data["data"] if whole else data)
    if isinstance(task, Solver) and not task.solvable(problem):
        why = f": {task.limits}" if task.limits else ""
        raise TaskError(f"the problem {problem.text} has no solution{why}")
    return problem


@contextmanager
def opened(model: str, way: Way, task: Task, dialect: str | None = None) -> Iterator[Engine | None]:
    """The engine that a way asks, closed afterwards; None where it asks none.

    Without a `dialect` the model is asked in its own.

    Raises ReasonerError where the way can't work on the task, before anything is opened.
    """
    able(way.reasoner, task)
    spoken = dialect_of(dialect) if dialect else None
    engine = open_engine(model, spoken) if way.reasoner.asks_model else None
    try:
        yield engine
    finally:
        if engine:
            engine.close()


def ask(
    lines: Sequence[Problem | str],
    task: Task,
    model: str,
    way: Way,
    seed: int = 0,
    dialect: str | None = None,
) -> Iterator[Answer]:
    """One answer for each line, in order; a line that is no problem gets its sentence back."""
    problems = [line for line in lines if isinstance(line, Problem)]
    if not problems:
        yield from (Answer(error=str(line)) for line in lines)
        return
    with opened(model, way, task, dialect) as engine:
        found = answers(problems, task, way, engine, seed)
        for line in lines:
            yield next(found) if isinstance(line, Problem) else Answer(error=line)


def search(
    problem: Problem,
    task: Task,
    model: str,
    way: Way,
    seed: int = 0,
    dialect: str | None = None,
    watch: Watch | None = None,
) -> Solution:
    """One problem searched, the whole tree kept; raises what `opened` and the engine raise."""
    with opened(model, way, task, dialect) as engine:
        (solution,) = solve(way.reasoner, [problem], task, engine, seed, watch, written(engine))
        return solution


def answers(
    problems: Sequence[Problem],
    task: Task,
    way: Way,
    engine: Engine | None,
    seed: int = 0,
    keep: bool = False,
) -> Iterator[Answer]:
    """Ask all problems together, so many at a time; `keep` keeps each problem's solution."""
    size = TOGETHER if way.reasoner.asks_model else 1
    for at in range(0, len(problems), size):
        part = problems[at : at + size]
        began = time.perf_counter()
        found = solve(way.reasoner, part, task, engine, seed, None, written(engine))
        solutions = list(found)
        seconds = round((time.perf_counter() - began) / len(part), 6)
        for solution in solutions:
            yield _answer(solution, task, way, seconds, keep)


def written(engine: Engine | None) -> str | None:
    """The dialect to write in where no engine says it."""
    return None if engine else WRITTEN


def _answer(solution: Solution, task: Task, way: Way, seconds: float, keep: bool) -> Answer:
    choice, index = way.choose(solution)
    chosen = None if index is None else solution.attempts[index]
    chosen = chosen or attempt_of(task, solution.problem, "")
    return Answer(
        problem=solution.problem,
        text=chosen.text,
        verdict=chosen.verdict,
        way=way.name,
        reasoner=way.reasoner.label,
        choice=choice,
        paths=len(solution.attempts),
        tokens=solution.tokens,
        seconds=seconds,
        solution=solution if keep else None,
    )
