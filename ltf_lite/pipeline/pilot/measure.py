"""Ask a base some problems in each way, and say what that promises of a training run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.engines import Engine, EngineError, open_engine, resolve
from ltf_lite.engines.dialect import dialect as dialect_of
from ltf_lite.evaluation.types import Rate, Record, Scored
from ltf_lite.pipeline.common import seed_of
from ltf_lite.pipeline.hearing import Advance, hearing, quiet
from ltf_lite.pipeline.pilot.advice import Advice, Facts, advise
from ltf_lite.pipeline.pilot.plan import SAMPLES, Planned, plan, tree_of
from ltf_lite.reasoners import REASONERS, Reasoner, solve
from ltf_lite.tasks import Problem, Task
from ltf_lite.tasks.room import within

PROBLEMS = 50
TEMPERATURE = 0.7
NAMES = {
    "single_pass": "single pass",
    "self_consistency": f"self-consistency@{SAMPLES}",
    "oracle": f"oracle@{SAMPLES} (upper bound)",
    "search": "tree search",
}


class PilotError(LtfError, ValueError):
    """A pilot that cannot be."""

    code = USAGE


@dataclass(frozen=True)
class Way:
    """A way of answering: its rate, and a problem's tokens read and written and its seconds."""

    name: str
    label: str
    rate: Rate
    tokens: float
    tokens_in: float
    seconds: float


@dataclass(frozen=True)
class Asked:
    """The task, the model with its engine and dialect, and how many training problems."""

    task: str
    model: str
    runtime: str
    dialect: str
    problems: int
    seed: int


@dataclass(frozen=True)
class Pilot:
    """What a pilot found.

    `headroom` is oracle@8 less the single pass, a share with its interval over the same problems.
    `kinds` counts how the paths ended; `undecided` are those that were neither right nor wrong.
    `left_out` says why there was no tree search; "" where there was one.
    """

    asked: Asked
    ways: tuple[Way, ...]
    headroom: Rate
    kinds: dict[str, int]
    undecided: int
    planned: Planned
    advice: Advice
    seconds: float
    left_out: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def pilot(
    task: Task,
    model: str,
    n: int = PROBLEMS,
    seed: int = 0,
    dialect: str | None = None,
    base: str | None = None,
    advance: Advance = quiet,
) -> Pilot:
    """Ask `n` training problems, or as many as there are, and plan a run.

    `base` is the model to be tuned, where `model` is a file that only answers. `advance` hears of
    each of `parts` as it is done. Raises TaskError, PilotError and EngineError.
    """
    began = time.perf_counter()
    problems = task.up_to("train", n, seed)
    if len(problems) < 2:
        raise PilotError(f"{task.sign} has {len(problems)} training problems: a pilot needs two")
    engine = open_engine(resolve(model), dialect_of(dialect) if dialect else None)
    try:
        task = within(task, getattr(engine, "context", None))
        return _with(task, model, base or model, engine, problems, seed, advance, began)
    finally:
        engine.close()


def reasoners_of(task: Task) -> list[Reasoner]:
    """The single pass, samples, and a tree search."""
    cot, tot = REASONERS.get("cot"), REASONERS.get("tot")
    return [
        cot.model_validate({"name": "cot", "n": 1}),
        cot.model_validate({"name": "cot", "n": SAMPLES, "temperature": TEMPERATURE}),
        tot.model_validate(tree_of(task)),
    ]


def _with(
    task: Task,
    model: str,
    base: str,
    engine: Engine,
    problems: Sequence[Problem],
    seed: int,
    advance: Advance,
    began: float,
) -> Pilot:
    single, samples, tree = reasoners_of(task)
    list(solve(single, problems[:1], task, engine, seed))  # what only a first call pays for
    records = [_ask(each, problems, task, engine, seed, advance) for each in (single, samples)]
    left_out = ""
    try:
        records.append(_ask(tree, problems, task, engine, seed, advance))
    except EngineError as error:  # of a model with little context, its prompts grow too long
        left_out = str(error)
    asked = Asked(task.sign, model, engine.runtime, engine.dialect.name, len(problems), seed)
    ways = _ways(records)
    headroom = _headroom(records)
    kinds = Counter[str]()
    for record in records[:2]:
        kinds.update(record.kinds)
    undecided = sum(kinds[kind] for kind in task.spared)
    speed = _reading_speed(task, engine, records[0])
    planned = plan(task, base, records, engine.dialect.name, speed)
    facts = Facts(
        single=_rate(records[0], "single_pass"),
        oracle=_oracle(records),
        headroom=headroom,
        problems=planned.problems,
        undecided=undecided / max(1, kinds.total()),
        break_even=planned.questions,
    )
    seconds = time.perf_counter() - began
    return Pilot(
        asked, ways, headroom, dict(kinds), undecided, planned, advise(facts), seconds, left_out
    )


def _ask(
    reasoner: Reasoner,
    problems: Sequence[Problem],
    task: Task,
    engine: Engine,
    seed: int,
    advance: Advance,
) -> Record:
    from ltf_lite.evaluation.success import record  # scipy's import takes a second

    usage = engine.usage
    engine.clear()
    calls, tokens_in, began = usage.calls, usage.tokens_in, time.perf_counter()
    own = seed_of(seed, "pilot", reasoner.unlimited.label)
    with hearing(engine, advance, reasoner.label):
        solutions = list(solve(reasoner, problems, task, engine, own))
    seconds = time.perf_counter() - began
    advance(1, reasoner.label)
    return record(
        solutions,
        task,
        model="base",
        reasoner=reasoner,
        split="train",
        seed=own,
        seconds=seconds,
        calls=usage.calls - calls,
        tokens_in=usage.tokens_in - tokens_in,
        runtime=engine.runtime,
    )


def _ways(records: Sequence[Record]) -> tuple[Way, ...]:
    found = []
    for record in records:
        for kind, name in NAMES.items():
            scored = record.of(kind)
            if scored is not None and (kind != "oracle" or record.reasoner != "tot"):
                found.append(_way(record, scored, name))
    return tuple(found)


def _way(record: Record, scored: Scored, name: str) -> Way:
    cost = scored.cost
    return Way(name, record.label, scored.rate, cost.tokens, cost.tokens_in, cost.seconds)


def _rate(record: Record, kind: str) -> Rate:
    scored = record.of(kind)
    assert scored is not None
    return scored.rate


def _oracle(records: Sequence[Record]) -> Rate:
    return _rate(records[1], "oracle")


def _headroom(records: Sequence[Record]) -> Rate:
    from ltf_lite.evaluation.significance import paired_interval

    pairs = (records[1].of("oracle"), records[0].of("single_pass"))
    oracle, single = ([mark == "1" for mark in (each and each.solved) or ""] for each in pairs)
    points = sum(oracle) / len(oracle) - sum(single) / len(single)
    low, high = paired_interval(oracle, single, 0)
    return Rate(points, low, high, len(single))


def _reading_speed(task: Task, engine: Engine, record: Record) -> float | None:
    """Tokens a second that the model reads; None from a server that does not score."""
    texts = [path.text for path in record.paths if path.text.strip()][:8]
    prompts = [task.prompt(problem, engine.dialect.name) for problem in record.problems[:8]]
    if not texts:
        return None
    engine.clear()
    before, began = engine.usage.tokens_in, time.perf_counter()
    try:
        found = engine.score(prompts[: len(texts)], texts)
    except LtfError:
        return None
    seconds = time.perf_counter() - began
    read = max(engine.usage.tokens_in - before, sum(score.tokens for score in found))
    return read / seconds if seconds > 0 and read else None
