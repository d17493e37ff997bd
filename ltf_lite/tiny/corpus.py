"""The embedded base's pretraining text: random legal walks, proposals and value judgements.

It teaches the compact format, the arithmetic and the bookkeeping of Countdown, and little about
how to reach a target: steps are drawn at random, and only in HINDSIGHT of the walks is the target
the number that the walk happened to end in. No problem of the test split appears.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from ltf_lite.tasks.numbers.countdown import Countdown
from ltf_lite.tasks.numbers.game import posed
from ltf_lite.tasks.numbers.solver import Move, State, moves, solvable, state
from ltf_lite.tasks.numbers.text import write_compact, write_step

LARGEST = 999
HIGHEST = 50  # of a drawn number
HIGHEST_TARGET = 100
HINDSIGHT = 0.15
RETRIES = 4  # walks tried for an end that can be a target
PROPOSALS = 3

Document = tuple[str, str]  # prompt, completion


@lru_cache(maxsize=1)
def game() -> Countdown:
    """Countdown as the embedded base knows it."""
    return Countdown(numbers=(1, HIGHEST), max_intermediate=LARGEST)


def prompt(left: State, target: int, mark: str = "") -> str:
    return f"{target}:{','.join(map(str, left))}{mark}\n"


def walk(rng: random.Random, left: State) -> list[Move]:
    """Random legal moves until one number is left."""
    path: list[Move] = []
    while len(left) > 1:
        path.append(rng.choice(moves(left, game().rules)))
        left = path[-1].left
    return path


def _state(rng: random.Random, count: int) -> State:
    """Some numbers: drawn, or what a walk from four drawn numbers has left."""
    drawn = state(rng.randint(1, HIGHEST) for _ in range(4))
    if count == 4 or rng.random() < 0.5:
        return state(drawn[:count])
    return walk(rng, drawn)[3 - count].left


def _held_out(left: State, target: int) -> bool:
    return len(left) == 4 and game().split_of(posed("countdown", left, target)) == "test"  # type: ignore[arg-type]


def _walk_document(rng: random.Random) -> Document:
    left = _state(rng, rng.choices((4, 3, 2), (60, 25, 15))[0])
    path = walk(rng, left)
    target = rng.randint(1, HIGHEST_TARGET)
    if rng.random() < HINDSIGHT:
        for _ in range(RETRIES):
            if 1 <= path[-1].result <= HIGHEST_TARGET:
                target = int(path[-1].result)
                break
            path = walk(rng, left)
    while _held_out(left, target):
        target = rng.randint(1, HIGHEST_TARGET)
    return prompt(left, target), write_compact(path)


def _propose_document(rng: random.Random) -> Document:
    left = _state(rng, rng.choice((4, 3, 2)))
    options = moves(left, game().rules)
    chosen = rng.sample(options, min(PROPOSALS, len(options)))
    target = rng.randint(1, HIGHEST_TARGET)
    return prompt(left, target, "?"), "".join(write_step(move) + "\n" for move in chosen)


def _value_document(rng: random.Random) -> Document:
    left = _state(rng, rng.choice((3, 3, 2, 2, 1)))
    reached = walk(rng, left)[-1].result if len(left) > 1 else left[0]
    target = int(reached) if rng.random() < 0.5 else rng.randint(1, HIGHEST_TARGET)
    hope = "sure" if len(left) < 3 else "likely"
    value = hope if solvable(left, target, game().rules) else "impossible"
    return prompt(left, target, "!"), value + "\n"


def documents(seed: int, weights: tuple[int, int, int] = (82, 7, 11)) -> Iterator[Document]:
    """An endless stream of (prompt, completion), the same for the same seed.

    `weights` are those of walks, proposals and value judgements.
    """
    rng = random.Random(f"corpus:{seed}")
    kinds = (_walk_document, _propose_document, _value_document)
    while True:
        yield rng.choices(kinds, weights)[0](rng)
