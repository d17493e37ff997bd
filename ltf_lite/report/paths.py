"""Paths to look at, line by line with the fatal step marked, each as a table of its own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ltf_lite.core.folder import RunFolder
from ltf_lite.core.text import printable
from ltf_lite.evaluation.types import AskedPath, Record, read_record
from ltf_lite.harvest.browse import counts, failures, marked, saving_step
from ltf_lite.harvest.store import Row
from ltf_lite.report.figures.drawing import WORDS
from ltf_lite.report.kinds import Titles, ordered, title_in, word_of
from ltf_lite.report.results import sorted_files
from ltf_lite.report.tables.base import Cell, Table, cell
from ltf_lite.tasks import Problem, Task

EACH = 3  # paths of a kind, and problems of an outcome
STATES = {
    "right": "",
    "fatal": "fatal step",
    "after": "after the fatal step",
    "missing": "missing here",
}
OUTCOMES = {
    (True, False): ("only_tuned", "Only the tuned model solved it"),
    (False, True): ("only_base", "Only the base solved it"),
    (True, True): ("both", "Both solved it"),
    (False, False): ("neither", "Neither solved it"),
}


class Group(NamedTuple):
    """Paths that belong together under a title: cards of one kind, or pairs side by side."""

    name: str
    title: str
    cards: list[Table]


def failed_paths(
    harvest: Path,
    task: Task,
    seed: int,
    words: Mapping[str, str] = WORDS,
    titles: Titles = MappingProxyType({}),
) -> list[Group]:
    """For every failure kind of the harvest a few paths, of different reasoners where it can be."""
    groups, counted = [], counts(harvest)
    for kind in ordered(task.kinds, (row.kind for row in counted)):
        sizes: dict[str, int] = {}
        for row in counted:
            if row.kind == kind:
                sizes[row.label] = sizes.get(row.label, 0) + row.n
        cards = []
        for number, (label, at) in enumerate(_drawn(sizes, seed, kind), 1):
            rows, _, _ = failures(harvest, kind, label, offset=at, limit=1)
            cards += [
                card(f"{kind}.{number}", row, task, title_in(titles, row.label)) for row in rows
            ]
        if cards:
            n = f"{sum(sizes.values()):,} of the harvested paths"
            groups.append(Group(kind, f"{word_of(kind, words)}: {n}", cards))
    return groups


def _drawn(sizes: Mapping[str, int], seed: int, kind: str) -> list[tuple[str, int]]:
    """Reasoners and which of their paths: one of each first, the most frequent before others."""
    rng = random.Random(f"failed paths:{seed}:{kind}")
    pools = {name: rng.sample(range(n), min(n, EACH)) for name, n in sizes.items()}
    order = [(turn, name) for turn in range(EACH) for name in pools if turn < len(pools[name])]
    return [(name, pools[name][turn]) for turn, name in order[:EACH]]


class Asked(NamedTuple):
    """A test problem and the path of a single pass for it."""

    record: Record
    problem: Problem
    path: AskedPath

    @property
    def right(self) -> bool:
        return self.path.verdict.correct


def side_by_side(folder: RunFolder, task: Task, seed: int) -> list[Group]:
    """Test problems answered by base and tuned single pass: a few of every outcome.

    The cards of a group are in pairs, the base's before the tuned model's.
    """
    base, tuned = (_single_pass(folder, task, model) for model in ("base", "tuned"))
    rng = random.Random(f"side by side:{seed}")
    groups = []
    for outcome, (name, title) in OUTCOMES.items():
        pool = [k for k in base if k in tuned and (tuned[k].right, base[k].right) == outcome]
        cards = []
        for number, key in enumerate(rng.sample(pool, min(EACH, len(pool))), 1):
            for model, asked in (("base", base), ("tuned", tuned)):
                row = _row(asked[key])
                cards.append(card(f"{name}.{number}.{model}", row, task, model, f"{model}: "))
        if cards:
            groups.append(Group(name, f"{title}: {len(pool):,} test problems", cards))
    return groups


def _single_pass(folder: RunFolder, task: Task, model: str) -> dict[str, Asked]:
    """The single pass of every test problem, by the problem's id."""
    for file in sorted_files(folder.evaluation(model)):
        record = read_record(file, task.name)
        if record.model == model and record.single_pass:
            known = {problem.id: problem for problem in record.problems}
            return {p.problem: Asked(record, known[p.problem], p) for p in record.paths}
    return {}


def _row(asked: Asked) -> Row:
    """An evaluated path as a row of a harvest, which is what cards are made of."""
    record, path = asked.record, asked.path
    return Row(
        problem=asked.problem,
        prompt="",
        text=path.text,
        answer=path.answer,
        correct=path.verdict.correct,
        kind=path.verdict.kind,
        fatal_step=path.verdict.fatal_step,
        reasoner=record.reasoner,
        settings="",
        label=record.label,
        round=0,
        engine="",
        logprob=path.logprob,
        tokens=path.tokens,
        seed=record.seed,
    )


def card(name: str, row: Row, task: Task, by: str, title: str = "") -> Table:
    """One path: its verdict, its lines, the step that would have saved it, and whose it is."""
    lines, why = marked(row, task)
    verdict = why if row.correct else f"{row.kind}: {why}"
    state = Cell("solved", "solved") if row.correct else Cell("failed", "not solved")
    said: list[tuple[Cell, ...]] = [(state, cell(printable(verdict)))]
    for line in lines:
        said.append((Cell(line.state, STATES[line.state]), cell(printable(line.text))))
    if not row.correct and (step := saving_step(row, task)):
        said.append((cell("instead"), cell(f"would have saved it: {printable(step)}")))
    tokens = f", {row.tokens} tokens" if row.tokens else ""
    said.append((cell("by"), cell(f"{by}{tokens}")))
    return Table(f"path.{name}", f"{title}{printable(row.problem.text)}", ("state", "text"), said)
