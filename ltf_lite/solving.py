"""Answer problems for a user: the path chosen, its verdict, tokens and seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ltf_lite.engines import Engine, open_engine
from ltf_lite.preset_reasoners import ReasonerSection
from ltf_lite.reasoners import TREES, CoT, Reasoner, Solution, Watch, attempt_of, get_reasoner
from ltf_lite.tasks import NumbersGame, Problem, TaskError

SINGLE_PASS, SELF_CONSISTENCY, BEST_OF_N = "single-pass", "self-consistency", "best-of-n"
CHAINS = (SINGLE_PASS, SELF_CONSISTENCY, BEST_OF_N)
WAYS = (*CHAINS, *TREES)
TOGETHER = 256  # problems asked in one engine call


class Asking(NamedTuple):
    """How to answer, one of `WAYS`; with `best-of-n` the verifier picks: it is the user's own."""

    reasoner: str = SINGLE_PASS
    n: int = 32
    temperature: float = 0.7
    seed: int = 0


def typed_problem(task: NumbersGame, numbers: str, target: str | None) -> Problem:
    """The problem that a user typed; raises TaskError if it is none or has no solution."""
    data: dict[str, Any] = {"numbers": numbers.replace(",", " ").split()}
    problem = task.problem(data if target is None else {**data, "target": target})
    if not task.solvable(problem):
        shown = " ".join(map(str, problem.numbers))
        raise TaskError(f"{shown} can't reach {problem.target}: the problem has no solution")
    return problem


def search(
    problem: Problem, task: NumbersGame, model: str, section: ReasonerSection, seed: int,
    watch: Watch | None = None,
) -> Solution:  # fmt: skip
    """One problem searched with any reasoner, the whole tree kept; raises EngineError."""
    reasoner = get_reasoner(section.name, **section.settings())
    engine = open_engine(model) if reasoner.needs_engine else None
    try:
        (solution,) = reasoner.solve([problem], task, engine, seed, watch)
        return solution
    finally:
        if engine:
            engine.close()


def ask(
    lines: Sequence[Problem | str], task: NumbersGame, model: str, asking: Asking
) -> Iterator[dict[str, Any]]:
    """One answer for each line, in order; a line that is no problem gets its sentence back."""
    problems = [line for line in lines if isinstance(line, Problem)]
    engine = open_engine(model) if problems else None
    try:
        found = iter(answers(problems, task, engine, asking)) if engine else iter(())
        for line in lines:
            yield next(found) if isinstance(line, Problem) else {"error": line}
    finally:
        if engine:
            engine.close()


def answers(
    problems: Sequence[Problem], task: NumbersGame, engine: Engine, asking: Asking
) -> Iterator[dict[str, Any]]:
    """Ask all problems together, so many at a time; seconds are a problem's share."""
    reasoner: Reasoner = CoT(asking.n, asking.temperature)
    if asking.reasoner == SINGLE_PASS:
        reasoner = CoT()
    elif asking.reasoner in TREES:
        reasoner = get_reasoner(asking.reasoner)
    for at in range(0, len(problems), TOGETHER):
        part = problems[at : at + TOGETHER]
        began = time.perf_counter()
        solutions = list(reasoner.solve(part, task, engine, asking.seed))
        seconds = (time.perf_counter() - began) / len(part)
        for solution in solutions:
            yield _answer(solution, task, asking, seconds)


def _answer(
    solution: Solution, task: NumbersGame, asking: Asking, seconds: float
) -> dict[str, Any]:
    index = pick(solution, asking.reasoner)
    nothing = attempt_of(task, solution.problem, "")
    chosen = nothing if index is None else solution.attempts[index]
    return {
        "problem": solution.problem.as_dict(),
        "text": chosen.text,
        "verdict": chosen.verdict.as_dict(),
        "reasoner": asking.reasoner,
        "paths": len(solution.attempts),
        "tokens": solution.tokens,
        "seconds": round(seconds, 6),
    }


def pick(solution: Solution, way: str) -> int | None:
    """The index of the attempt to show; None where a search came to no answer."""
    right = [k for k, attempt in enumerate(solution.attempts) if attempt.verdict.correct]
    if way == BEST_OF_N and right:
        return right[0]
    if way not in CHAINS:  # with `oracle` the verifier chooses, and the choice says so
        return next(i for c, i in solution.choices.items() if c in (way, f"oracle {way}"))
    name = "self-consistency@" if way == SELF_CONSISTENCY else "best-of-n@"
    chosen = next((i for c, i in solution.choices.items() if c.startswith(name)), None)
    return chosen or 0
