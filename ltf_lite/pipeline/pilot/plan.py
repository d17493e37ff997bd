"""What a training run on this task would be: how large, how long, how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ltf_lite.core.errors import LtfError
from ltf_lite.engines import base_ref
from ltf_lite.engines.dialect import asked_and_learnt, learnt_from
from ltf_lite.evaluation.types import Record
from ltf_lite.tasks import SPLITS, Prompts, Task

MOST = {"train": 1000, "validation": 50, "test": 200}  # problems of a first run
TREES = 50  # test problems that a tree search is asked
PASSES = 3  # over the successes
BATCH = 8
SAMPLES = 8
STEPS = (50, 2000)  # the least and the most
BACKWARD = 3.0  # a tuned token costs as much as so many that are read: forward, and twice backward
PER_PROBLEM = 4  # successes of a problem that are learnt from, at most
RATES = ((1e9, 5e-4), (4e9, 2e-4), (float("inf"), 1e-4))  # weights below which: learning rate


def tree_of(task: Task) -> dict[str, Any]:
    """The tree search of a pilot, as a preset has it.

    Free text has no short question about a state: its steps are worth what they are likely. Such a
    path may never end, so the search has no more tokens than the samples may take.
    """
    if isinstance(task, Prompts):
        return {"name": "tot", "beam": 3}
    budget = {"tokens": SAMPLES * getattr(task, "path_tokens", 256)}
    return {"name": "tot", "beam": 3, "expand": "sample", "value": "logprob", "budget": budget}


@dataclass(frozen=True)
class Planned:
    """The run that is proposed, and what it is estimated to take.

    `seconds` are by stage, from this pilot's speed; None where the model tells no speed. `peak` is
    the memory of tuning in bytes and `fits` whether it is free here; both None where the base's
    shape is not known. `questions` is the break-even `against` the search that solved most. `tree`
    says whether a tree search is asked, `path_tokens` how long an answer is where that is set,
    `ask` in which dialect the base is asked where a run would not ask it in that anyway.
    """

    base: str
    problems: dict[str, int]
    successes: int
    steps: int
    learning_rate: float
    max_length: int
    seconds: dict[str, float] = field(default_factory=dict)
    peak: int | None = None
    fits: bool | None = None
    against: str = ""
    questions: float | None = None
    tree: bool = True
    path_tokens: int | None = None
    ask: str | None = None

    @property
    def total(self) -> float | None:
        return sum(self.seconds.values()) if "tune" in self.seconds else None


def plan(
    task: Task, base: str, records: Sequence[Record], dialect: str, speed: float | None
) -> Planned:
    """The run that follows from what was measured; `speed` is tokens read a second.

    The records are of the single pass, the samples, and the tree search where there was one.
    """
    single, samples, *trees = records
    problems: dict[str, int] = {split: len(task.up_to(split, MOST[split], 0)) for split in SPLITS}
    right = [path.verdict.correct for path in samples.paths]
    each = min(PER_PROBLEM, sum(right) / max(1, samples.n))
    successes = round(each * problems["train"])
    steps = min(STEPS[1], max(STEPS[0], round(PASSES * successes / BATCH)))
    prompt, path = _lengths(task, single, dialect)
    weights = _weights(base)
    rate = next(rate for limit, rate in RATES if (weights or 0) < limit)
    longest = max((path.tokens for path in samples.paths), default=64)
    found = Planned(
        base=base,
        problems=problems,
        successes=successes,
        steps=steps,
        learning_rate=rate,
        max_length=max(128, 64 * -(-round(1.5 * prompt + longest) // 64)),
        tree=bool(trees),
        path_tokens=task.model_dump(exclude_defaults=True).get("path_tokens"),
        ask=_ask(base, dialect),
    )
    seconds = _seconds(found, records, (prompt + path) * BATCH * BACKWARD, speed)
    total = sum(seconds.values())
    against, search, better = _best(single, samples, *trees)
    saving = search - single.seconds / single.n
    questions = total / saving if "tune" in seconds and saving > 0 and better else None
    peak, fits = _memory(task, found)
    return replace(
        found, seconds=seconds, against=against, questions=questions, peak=peak, fits=fits
    )


def _best(single: Record, samples: Record, tree: Record | None = None) -> tuple[str, float, bool]:
    """The search that solves most without the verifier's help, and its seconds a problem.

    Also whether it solves more than the single pass.
    """
    least = _solved(single, "single_pass")
    voted = _solved(samples, "self_consistency")
    searched = _solved(tree, "search") if tree else 0.0
    if tree is None or searched < voted:
        return "self-consistency", samples.seconds / samples.n, voted > least
    return "the tree search", tree.seconds / tree.n, searched > least


def _solved(record: Record, kind: str) -> float:
    found = record.of(kind)
    return found.rate.rate if found else 0.0


def _lengths(task: Task, single: Record, dialect: str) -> tuple[float, float]:
    """Tokens of a learnt prompt and of a path, in the mean."""
    asked = fmean(len(task.prompt(problem, dialect)) for problem in single.problems)
    taught = fmean(len(task.prompt(problem, learnt_from(dialect))) for problem in single.problems)
    return single.tokens_in / single.n * taught / max(1.0, asked), single.tokens_out / single.n


def _seconds(
    found: Planned, records: Sequence[Record], step: float, speed: float | None
) -> dict[str, float]:
    """Seconds by stage; `step` is the tokens of a step, as if they were only read."""
    single, samples, *trees = (record.seconds / record.n for record in records)
    problems = found.problems
    test = problems["test"] * (single + samples) + min(TREES, problems["test"]) * sum(trees)
    seconds = {
        "search": problems["train"] * (single + samples),
        "evaluate": 2 * test + 4 * problems["validation"] * single,
    }
    return seconds | ({"tune": found.steps * step / speed} if speed else {})


def _ask(base: str, dialect: str) -> str | None:
    """The dialect for the preset to say; None where a run asks the base in it anyway."""
    try:
        own, _ = asked_and_learnt(base_ref(base).place, None, None)
    except LtfError:  # no base: what serves it was asked
        own = ""
    return None if own == dialect else dialect


def _weights(base: str) -> int | None:
    from ltf_lite.tuning.shapes import read_config, shape_of

    try:
        shape = shape_of(read_config(base, False))
    except LtfError:
        return None
    return shape.layers * sum(a * b for a, b in shape.linear.values())


def _memory(task: Task, found: Planned) -> tuple[int | None, bool | None]:
    """The peak of tuning here, and whether so much is free."""
    from ltf_lite.core import machine
    from ltf_lite.pipeline.needs import preview
    from ltf_lite.pipeline.pilot.preset import parsed

    try:
        card, free = machine.free_memory()
        said = preview(parsed(task, found), None, card, free, online=False)
    except LtfError:
        return None, None
    peak = (said.card if card else said.cpu).whole.total
    return peak, None if free is None else said.here.fits is not None
