"""The fatal step of failed paths where no solver knows it.

Three ways, in this order. `brother`: the step at which a path leaves the right path of its problem
that it goes along with longest; free. `rollouts`: a binary search for the first step after which no
completion of the model's is right (OmegaPRM, arXiv 2406.06592). `whole`: nobody knows.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ltf_lite.engines import Completion, Engine, Prompt, Sampling
from ltf_lite.engines.base import common
from ltf_lite.harvest.store import Row
from ltf_lite.reasoners import Node
from ltf_lite.reasoners.lockstep import Generate, Turn, lockstep
from ltf_lite.tasks import Problem, Solver, Task
from ltf_lite.tasks.text_steps import same

Way = Literal["auto", "brother", "rollouts", "whole"]

COMPLETIONS = 8  # of a prefix at first
MORE = 3  # times as many again where none of them is right
PATHS = 8  # of a problem and part whose steps are rolled out; of the others the whole is taken
TEMPERATURE = 0.7

Asking = Generator[str, bool, int | None]
Place = tuple[str, str]  # a problem's id and what was asked


def find(
    rows: Sequence[Row],
    task: Task,
    way: Way,
    engine: Engine | None = None,
    seed: int = 0,
    others: Iterable[Row] = (),
) -> list[Row]:
    """The rows, those of failed paths with the fatal step that the way finds, and what it cost.

    `others` are rows of the same harvest with right paths too. A solver's verdict stays as it is,
    and so does one that names a step before the path's end. Raises what the engine raises.
    """
    found = list(rows)
    if isinstance(task, Solver):
        return found
    unknown = [k for k, row in enumerate(found) if _unknown(row, task)]
    right = _right_paths([*rows, *others], task) if way != "whole" else {}
    shared = {k: brother(found[k], right, task) for k in unknown}
    if way in ("auto", "brother"):
        for k, step in shared.items():
            if step is not None:
                found[k] = replace(found[k], fatal_step=step, fatal_by="brother")
    if way in ("auto", "rollouts") and engine is not None:
        left = [k for k in unknown if found[k].fatal_by is None]
        told = rollouts([found[k] for k in left], task, engine, seed, [shared[k] for k in left])
        for k, row in zip(left, told, strict=True):
            found[k] = row
    for k in unknown:
        if found[k].fatal_by is None:
            found[k] = replace(found[k], fatal_step=None, fatal_by="whole")
    return found


def _unknown(row: Row, task: Task) -> bool:
    """Whether a path failed and its verdict only says that, or what its end lacks."""
    if row.correct or row.kind in task.spared:
        return False
    steps = task.parse(row.problem, row.text).lines
    return row.fatal_step is None or row.fatal_step >= len(steps)


# -- brothers --------------------------------------------------------------------------------


def _steps(row: Row, task: Task) -> tuple[str, ...]:
    """What each step of a path says, its answer last."""
    return tuple(same(line.text) for line in task.parse(row.problem, row.text).all_lines())


def _right_paths(rows: Iterable[Row], task: Task) -> dict[Place, list[tuple[str, ...]]]:
    known: dict[Place, list[tuple[str, ...]]] = defaultdict(list)
    for row in rows:
        if row.correct:
            known[row.problem.id, row.prompt].append(_steps(row, task))
    return known


def brother(row: Row, right: Mapping[Place, Sequence[tuple[str, ...]]], task: Task) -> int | None:
    """The step after the longest beginning that a right path shares; None if there is none.

    It is the number of steps where all of them are a right path's: then the rest is missing.
    """
    own = _steps(row, task)
    others = right.get((row.problem.id, row.prompt), ())
    return max((common(own, other) for other in others), default=None)


# -- rollouts --------------------------------------------------------------------------------


def rollouts(
    rows: Sequence[Row],
    task: Task,
    engine: Engine,
    seed: int,
    shared: Sequence[int | None] | None = None,
) -> list[Row]:
    """The rows with the fatal step that completions find, if there is hope at the start.

    `shared` is how many steps of each row a right path has too: so far there is hope. All paths are
    searched in lock step, with one engine call a round.
    """
    known = shared or [None] * len(rows)
    groups: dict[str, list[int]] = defaultdict(list)
    for k, row in enumerate(rows):
        groups[row.problem.id].append(k)
    searches = []
    for id, places in groups.items():
        draw = random.Random(f"fatal:{seed}:{id}")
        chosen = sorted(draw.sample(places, min(PATHS, len(places))))
        asks = [_Ask(rows[k], halving(prefixes(rows[k], task), known[k])) for k in chosen]
        searches.append(_Halving(asks, chosen, task, engine.dialect.name))
    turns = [Turn(each.problem, each.tree, each.search()) for each in searches]
    lockstep(turns, engine, _own_seed(seed))
    found = list(rows)
    for each in searches:
        for place, row in zip(each.places, each.told(), strict=True):
            found[place] = row
    return found


def _own_seed(seed: int) -> int:
    """A seed that shares no draws with the search whose paths these are."""
    return int.from_bytes(hashlib.sha256(f"fatal:{seed}".encode()).digest()[:4], "big")


@dataclass
class _Ask:
    """One path: how its halving goes on, and what it waits for."""

    row: Row
    asking: Asking
    wanted: str | None = None
    step: int | None = None
    completions: int = 0

    def go_on(self, hopeful: bool | None) -> None:
        try:
            self.wanted = next(self.asking) if hopeful is None else self.asking.send(hopeful)
        except StopIteration as end:
            self.wanted, self.step = None, end.value


class _Halving:
    """The failed paths of one problem; what they share is asked once, and the first one pays."""

    def __init__(self, asks: list[_Ask], places: list[int], task: Task, dialect: str) -> None:
        self.task, self.asks, self.places = task, asks, places
        self.problem: Problem = asks[0].row.problem
        self.asked = task.prompt(self.problem, dialect)
        self.tree = [Node(None) for _ in asks]
        self.hopeful: dict[tuple[str, str], bool] = {}
        self.tried: set[tuple[str, str]] = set()
        most, stop = task.room(self.problem, dialect), tuple(task.stop(dialect))
        self.sampling = Sampling(COMPLETIONS, TEMPERATURE, 1.0, most, stop)

    def search(self) -> Generator[Any, Any, None]:
        for ask in self.asks:
            ask.go_on(None)
        while wanted := self._wanted():
            payers, keys = [], []
            for key, payer in wanted.items():
                times = MORE if key in self.tried else 1
                payers += [payer] * times
                keys += [key] * times
            found = yield Generate(payers, [self._begun(*key) for key in keys], self.sampling)
            self._hear(payers, keys, found)
            self._go_on()

    def _begun(self, prompt: str, begun: str) -> Prompt:
        """A harvested prompt with the beginning of a reply; only the task knows earlier turns."""
        return Prompt.of(self.asked if prompt == self.asked else prompt).replied(begun)

    def _wanted(self) -> dict[tuple[str, str], int]:
        """What is to be asked → the path that pays for it."""
        wanted: dict[tuple[str, str], int] = {}
        for k, ask in enumerate(self.asks):
            if ask.wanted is not None:
                wanted.setdefault((ask.row.prompt, ask.wanted), k)
        return wanted

    def _hear(
        self,
        payers: list[int],
        keys: list[tuple[str, str]],
        found: list[list[Completion]],
    ) -> None:
        """A prefix is hopeful once a completion is right, and not if none of all of them is."""
        right = dict.fromkeys(keys, False)
        for payer, key, completions in zip(payers, keys, found, strict=True):
            self.asks[payer].completions += len(completions)
            right[key] = right[key] or any(self._right(key[1], own) for own in completions)
        for key, any_right in right.items():
            if any_right or key in self.tried:
                self.hopeful[key] = any_right
            self.tried.add(key)

    def _right(self, begun: str, completion: Completion) -> bool:
        path = self.task.parse(self.problem, begun + completion.text)
        return self.task.verify(self.problem, path).correct

    def _go_on(self) -> None:
        for ask in self.asks:
            while ask.wanted is not None and (ask.row.prompt, ask.wanted) in self.hopeful:
                ask.go_on(self.hopeful[ask.row.prompt, ask.wanted])

    def told(self) -> list[Row]:
        return [
            replace(
                ask.row,
                fatal_step=ask.row.fatal_step if ask.step is None else ask.step,
                fatal_by=None if ask.step is None else "rollouts",
                fatal_completions=ask.completions,
                fatal_tokens=node.tokens,
                fatal_seconds=node.seconds,
            )
            for ask, node in zip(self.asks, self.tree, strict=True)
        ]


def prefixes(row: Row, task: Task) -> list[str]:
    """The path up to each of its steps; also all of it, where it has no answer yet."""
    path = task.parse(row.problem, row.text)
    lines = path.all_lines()
    found = [row.text[: line.start] if k else "" for k, line in enumerate(lines)]
    whole = [] if path.answer or not lines else [row.text.rstrip() + "\n"]
    return found + whole


def halving(begun: Sequence[str], known: int | None = None) -> Asking:
    """Ask whether beginnings are hopeful; the step after the last hopeful one, None if none is.

    That of so many steps is `known` to be. What begins with a hopeless beginning is hopeless, and
    so is the path itself.
    """
    if known is None and not (begun and (yield begun[0])):
        return None
    low, high = known or 0, len(begun)
    while high - low > 1:
        middle = (low + high) // 2
        if (yield begun[middle]):
            low = middle
        else:
            high = middle
    return low
