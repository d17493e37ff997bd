"""Paths to look at, line by line with the fatal step marked, each as a table of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ltf_lite.files import read_json
from ltf_lite.harvest.browse import counts, failures, marked, saving_step
from ltf_lite.report.tables import Cell, Table, cell
from ltf_lite.report.tree import printable
from ltf_lite.tasks import NumbersGame
from ltf_lite.tasks.base import KINDS

EACH = 3  # paths of a kind, and problems of an outcome
STATES = {"right": "", "fatal": "fatal step", "after": "after the fatal step",
          "missing": "missing here"}  # fmt: skip
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


def failed_paths(folder: Path, task: NumbersGame, seed: int) -> list[Group]:
    """For every failure kind of the harvest a few paths, of different reasoners where it can be."""
    store, groups = folder / "harvest", []
    counted = counts(store)
    for kind in KINDS:
        sizes: dict[str, int] = {}
        for row in counted:
            if row["kind"] == kind:
                sizes[row["reasoner"]] = sizes.get(row["reasoner"], 0) + row["n"]
        cards = []
        for number, (reasoner, at) in enumerate(_drawn(sizes, seed, kind), 1):
            rows, _, _ = failures(store, kind, reasoner, offset=at, limit=1)
            cards += [card(f"{kind}.{number}", row, task, row["reasoner"]) for row in rows]
        if cards:
            n = f"{sum(sizes.values()):,} of the harvested paths"
            groups.append(Group(kind, f"{kind}: {n}", cards))
    return groups


def _drawn(sizes: Mapping[str, int], seed: int, kind: str) -> list[tuple[str, int]]:
    """Reasoners and which of their paths: one of each first, the most frequent before others."""
    rng = random.Random(f"failed paths:{seed}:{kind}")
    pools = {name: rng.sample(range(n), min(n, EACH)) for name, n in sizes.items()}
    order = [(turn, name) for turn in range(EACH) for name in pools if turn < len(pools[name])]
    return [(name, pools[name][turn]) for turn, name in order[:EACH]]


def side_by_side(folder: Path, task: NumbersGame, seed: int) -> list[Group]:
    """Test problems answered by base and tuned single pass: a few of every outcome.

    The cards of a group are in pairs, the base's before the tuned model's.
    """
    base, tuned = (_single_pass(folder, model) for model in ("base", "tuned"))
    rng = random.Random(f"side by side:{seed}")
    groups = []
    for outcome, (name, title) in OUTCOMES.items():
        pool = [k for k in base if k in tuned
                and (tuned[k]["correct"], base[k]["correct"]) == outcome]  # fmt: skip
        cards = []
        for number, key in enumerate(rng.sample(pool, min(EACH, len(pool))), 1):
            for model, paths in (("base", base), ("tuned", tuned)):
                row = {**paths[key], **paths[key]["problem"], "task": task.name}
                cards.append(card(f"{name}.{number}.{model}", row, task, model, f"{model}: "))
        if cards:
            groups.append(Group(name, f"{title}: {len(pool):,} test problems", cards))
    return groups


def _single_pass(folder: Path, model: str) -> dict[str, dict[str, Any]]:
    """The greedy path of every test problem, by the problem."""
    for file in sorted((folder / "evaluation" / model).glob("*.test.json")):
        record = read_json(file)
        if record["model"] == model and "greedy" in record["rates"]:
            return {json.dumps(p["problem"], sort_keys=True): p for p in record["paths"]}
    return {}


def card(name: str, row: Mapping[str, Any], task: NumbersGame, by: str, title: str = "") -> Table:
    """One path: its verdict, its lines, the step that would have saved it, and whose it is.

    `row` is one of the harvest, or what an evaluation record says of a path with its problem.
    """
    lines, why = marked(dict(row), task)
    saved = all(line["state"] == "right" for line in lines) and bool(lines)
    verdict = why if saved else f"{row['kind']}: {why}"
    said: list[tuple[Cell, ...]] = [
        (Cell("solved" if saved else "failed", "solved" if saved else "not solved"),
         cell(printable(verdict))),
        *((Cell(line["state"], STATES[line["state"]]), cell(printable(line["text"])))
          for line in lines),
    ]  # fmt: skip
    if not saved and (step := saving_step({"prompt": _prompt(row, task), **row}, task)):
        said.append((cell("instead"), cell(f"would have saved it: {step}")))
    tokens = f", {row['tokens']} tokens" if row["tokens"] else ""
    said.append((cell("by"), cell(f"{by}{tokens}")))
    problem = f"{' '.join(map(str, row['numbers']))} → {row['target']}"
    return Table(f"path.{name}", f"{title}{problem}", ("state", "text"), said)


def _prompt(row: Mapping[str, Any], task: NumbersGame) -> str:
    """The prompt in the style that a recorded path is written in."""
    problem = task.problem({"numbers": row["numbers"], "target": row["target"]})
    style = "compact" if task.parse(problem, row["text"]).compact else "standard"
    return task.prompt(problem, style)
