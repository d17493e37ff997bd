"""How often the fatal step is found without a solver, on countdown, where the solver knows it.

Run with: python tests/benchmarks/fatal_step.py [failed problems] [seed]
Prints a Markdown table. The base's searches are harvested as in a run; the ways of `harvest.fatal`
see the paths and whether they are right, and nothing of what the solver says.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ltf_lite.engines import open_engine
from ltf_lite.evaluation.success import wilson
from ltf_lite.harvest import Row, rows_of
from ltf_lite.harvest.fatal import Way, find
from ltf_lite.reasoners import Reasoner, get_reasoner, solve
from ltf_lite.tasks import Path, Problem, Solver, Split, Task, Verdict, get_task

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999, draw="walk")  # as in `tiny`
REASONERS = {
    "cot": get_reasoner("cot", n=8, temperature=1.0),
    "tot": get_reasoner("tot"),
}
WAYS: tuple[Way, ...] = ("brother", "rollouts", "auto")
CHUNK = 40  # problems searched at a time until enough have failed
HEAD = "| {} | way | says something | exact | within one step | first step: exact | tokens a path |"


class Hidden(Task):
    """Countdown without its solver: a path is right or wrong, and that is all."""

    name: str = "countdown"

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        return TASK.problems(split, n, seed)

    def problem(self, data: Any) -> Problem:
        return TASK.problem(data)

    def prompt(self, problem: Problem, dialect: str) -> str:
        return TASK.prompt(problem, dialect)

    def parse(self, problem: Problem, text: str) -> Path:
        return TASK.parse(problem, text)

    def verify(self, problem: Problem, path: Path) -> Verdict:
        right = TASK.verify(problem, path).correct
        return Verdict(right, None if right else "wrong_answer", None, "")

    def stop(self, dialect: str) -> list[str]:
        return TASK.stop(dialect)

    def room(self, problem: Problem, dialect: str) -> int:
        return TASK.room(problem, dialect)


def searched(reasoner: Reasoner, engine: Any, seed: int) -> Iterator[tuple[Problem, list[Row]]]:
    """Problems and their rows, as many as are asked for."""
    pool = TASK.problems("train", 2000, seed)
    for at in range(0, len(pool), CHUNK):
        for found in solve(reasoner, pool[at : at + CHUNK], TASK, engine, seed + at):
            name = engine.dialect.name
            yield found.problem, rows_of(found, TASK, name, reasoner, engine.name, seed)


def chosen(
    reasoner: Reasoner, engine: Any, count: int, seed: int
) -> dict[str, tuple[list[Row], list[Row]]]:
    """One failed path of each of so many problems, drawn, and the right paths of these problems.

    As they come, and of problems with a right path among those of the search.
    """
    draw = random.Random(seed)
    every: tuple[list[Row], list[Row]] = ([], [])
    solved: tuple[list[Row], list[Row]] = ([], [])
    for _, rows in searched(reasoner, engine, seed):
        bad = [row for row in rows if not row.correct and row.text.strip()]
        good = [row for row in rows if row.correct]
        if not bad:
            continue
        one = draw.choice(bad)
        for failed, right in (every, solved) if good else (every,):
            if len(failed) < count:
                failed.append(one)
                right += good
        if len(solved[0]) == count:
            break
    return {"all": every, "solved": solved}


def share(hits: Sequence[bool]) -> str:
    """A share in per cent with Wilson's interval."""
    if not hits:
        return "–"
    low, high = wilson(sum(hits), len(hits))
    return f"{100 * sum(hits) / len(hits):.0f} % ({100 * low:.0f}–{100 * high:.0f})"


def measure(failed: list[Row], right: list[Row], engine: Any, way: Way, seed: int) -> str:
    """The cells of one way: how often it speaks, and how often it is right where it does."""
    hidden = [replace(row, kind="wrong_answer", fatal_step=None) for row in failed]
    found = find(hidden, Hidden(), way, engine, seed, right)
    pairs = [(a.fatal_step, b.fatal_step) for a, b in zip(found, failed, strict=True)]
    said = [(own, truth) for own, truth in pairs if own is not None and truth is not None]
    cells = (
        way,
        f"{len(said)} of {len(failed)}",
        share([own == truth for own, truth in said]),
        share([abs(own - truth) < 2 for own, truth in said]),
        share([truth == 0 for _, truth in said]),
        f"{sum(row.fatal_tokens for row in found) / len(found):.0f}",
    )
    return " | ".join(cells)


def main(count: int, seed: int) -> None:
    assert not isinstance(Hidden(), Solver)
    engine = open_engine("tiny-base")
    print(HEAD.format("failed paths of"))
    print("| --- " * 7 + "|")
    for name, reasoner in REASONERS.items():
        for kind, (failed, right) in chosen(reasoner, engine, count, seed).items():
            steps = [row.fatal_step for row in failed]
            told = {k: steps.count(k) for k in sorted(set(steps), key=str)}
            print(f"{name}, {kind}: true fatal steps {told}", file=sys.stderr)
            for way in WAYS:
                began = time.perf_counter()
                cells = measure(failed, right, engine, way, seed)
                print(f"| {name}, {kind} | {cells} |", flush=True)
                print(f"{way}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    engine.close()


if __name__ == "__main__":
    asked = [int(each) for each in sys.argv[1:3]]
    main(*(asked + [60, 0][len(asked) :]))
