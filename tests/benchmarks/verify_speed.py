"""Paths a second that `ltf verify` checks on one core, JSON in to JSON out.

Run with: python tests/benchmarks/verify_speed.py [paths]
"""

from __future__ import annotations

import io
import json
import random
import sys
import time

from ltf_lite.tasks import Problem, get_task
from ltf_lite.tasks.batch import verify_lines
from ltf_lite.tasks.numbers.game import NumbersGame


def solved(task: NumbersGame, problem: Problem, rng: random.Random) -> str:
    """A correct path: random moves among those that keep the problem solvable."""
    left, path = task.start(problem), []
    while len(left) > 1:
        moves = list(task.moves(problem, left))
        rng.shuffle(moves)
        path.append(next(move for move in moves if task.solvable(problem, move.left)))
        left = path[-1].left
    return task.write(problem, path, rng.choice(("standard", "compact")))


def walked(task: NumbersGame, problem: Problem, rng: random.Random) -> str:
    """Random legal moves: nearly always a dead end somewhere."""
    left, path = task.start(problem), []
    while len(left) > 1:
        path.append(rng.choice(task.moves(problem, left)))
        left = path[-1].left
    return task.write(problem, path, rng.choice(("standard", "compact")))


def spoilt(task: NumbersGame, problem: Problem, rng: random.Random) -> str:
    """A correct path with one digit changed."""
    text = solved(task, problem, rng)
    at = rng.choice([k for k, sign in enumerate(text) if sign.isdigit()])
    return text[:at] + str(rng.randrange(10)) + text[at + 1 :]


def paths(task: NumbersGame, count: int, seed: int = 0) -> bytes:
    """JSON lines: a third each of correct paths, random walks and spoilt ones."""
    rng = random.Random(seed)
    problems = task.problems("train", min(count, 1000), seed)
    lines = []
    for k in range(count):
        problem = problems[k % len(problems)]
        text = rng.choice((solved, walked, spoilt))(task, problem, rng)
        lines.append(json.dumps({"problem": problem.data, "text": text}) + "\n")
    return "".join(lines).encode()


def main(argv: list[str] | None = None) -> int:
    """Print paths a second for countdown and game24, with cold caches."""
    args = sys.argv[1:] if argv is None else argv
    count = int(args[0]) if args else 20_000
    for name in ("countdown", "game24"):
        task = get_task(name)
        lines = paths(task, count)
        forget()
        began, cpu = time.perf_counter(), time.process_time()
        verify_lines(task, io.BytesIO(lines), io.StringIO())
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(f"{name}: {count / wall:,.0f} paths/s ({count / cpu:,.0f} a CPU second)")
    return 0


def forget() -> None:
    """Empty the solver's memory, so that making the paths does not help to verify them."""
    from ltf_lite.tasks.numbers import solver

    solver._reaches.cache_clear()


if __name__ == "__main__":
    raise SystemExit(main())
