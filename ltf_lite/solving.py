"""Answer problems for a user: the path chosen, its verdict, tokens and seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ltf_lite.engines import Engine, open_engine
from ltf_lite.reasoners import CoT, Solution
from ltf_lite.tasks import NumbersGame, Problem, TaskError

SINGLE_PASS, SELF_CONSISTENCY, BEST_OF_N = "single-pass", "self-consistency", "best-of-n"
TOGETHER = 256  # problems asked in one engine call
TOKENS_A_NUMBER = {"compact": 16}  # room a number of the problem needs in the answer
TOKENS_A_NUMBER_IN_WORDS = 96


class Asking(NamedTuple):
    """How to answer; with `best-of-n` the verifier picks, since it is the user's own."""

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
    room = TOKENS_A_NUMBER.get(engine.style, TOKENS_A_NUMBER_IN_WORDS)
    tokens = room * max(len(p.numbers) for p in problems)
    if asking.reasoner == SINGLE_PASS:
        reasoner = CoT(max_tokens=tokens)
    else:
        reasoner = CoT(asking.n, asking.temperature, 1.0, tokens)
    for at in range(0, len(problems), TOGETHER):
        part = problems[at : at + TOGETHER]
        began = time.perf_counter()
        solutions = list(reasoner.solve(part, task, engine, asking.seed + at))
        seconds = (time.perf_counter() - began) / len(part)
        for solution in solutions:
            yield _answer(solution, task, asking, seconds)


def _answer(solution: Solution, task: NumbersGame, asking: Asking, seconds: float):
    verdicts = [
        task.verify(solution.problem, task.parse(solution.problem, a.text))
        for a in solution.attempts
    ]
    index = _pick(solution, [v.correct for v in verdicts], asking)
    return {
        "problem": solution.problem.as_dict(),
        "text": solution.attempts[index].text,
        "verdict": verdicts[index].as_dict(),
        "reasoner": asking.reasoner,
        "paths": len(solution.attempts),
        "tokens": sum(a.tokens for a in solution.attempts),
        "seconds": round(seconds, 6),
    }


def _pick(solution: Solution, correct: list[bool], asking: Asking) -> int:
    if asking.reasoner == BEST_OF_N and any(correct):
        return correct.index(True)
    name = "greedy" if len(correct) == 1 else (
        "self-consistency@" if asking.reasoner == SELF_CONSISTENCY else "best-of-n@"
    )  # fmt: skip
    chosen = next((i for c, i in solution.choices.items() if c.startswith(name)), 0)
    return chosen or 0
