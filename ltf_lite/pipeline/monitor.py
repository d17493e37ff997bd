"""`ltf monitor`: whether a deployed model still does what it did when it was first measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from math import isfinite

from ltf_lite import __version__
from ltf_lite.core.progress import bar, say
from ltf_lite.engines import (
    Dialect,
    Engine,
    EngineError,
    ModelRef,
    Prompt,
    open_engine,
    resolve,
)
from ltf_lite.engines.dialect import dialect as dialect_of
from ltf_lite.evaluation import history
from ltf_lite.evaluation.fallen import SEED, Judged, Seen, judged, parts
from ltf_lite.evaluation.heldout import paragraphs
from ltf_lite.evaluation.history import Measurement
from ltf_lite.evaluation.retention import HELDOUT_NLL
from ltf_lite.evaluation.significance import ratio_interval
from ltf_lite.evaluation.success import FEW
from ltf_lite.evaluation.types import Ability
from ltf_lite.pipeline.abilities import besides, heldout_file, measure, named
from ltf_lite.pipeline.common import learnt, set_threads
from ltf_lite.pipeline.run.folder import Run, RunError


@dataclass(frozen=True)
class Monitored:
    """One measurement of a model on a run's first `problems` test problems.

    `rows` has each ability beside its first measurement in the run's history; `level` is the p
    below which a fall is significant; `fallen` names the abilities that have fallen.
    """

    run: str
    model: str
    at: str
    version: str
    problems: int
    level: float
    rows: tuple[Judged, ...]
    fallen: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class _Warnings:
    """Warnings that are said at once and kept."""

    said: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        say(f"warning: {text}")
        self.said.append(text)


def monitor(run: Run, model: str, count: int | None, dialect: str | None = None) -> Monitored:
    """Measure a model on the run's first `count` test problems (None: all), and keep it.

    It is whatever `open_engine` opens. Without a `dialect` it is asked in its own, behind a server
    in the one that the run's model learnt. Raises RunError, BrokenFile,
    HistoryError, EngineError.
    """
    if not run.at.problems("test").is_file():
        raise RunError(f"{run.folder} has no test problems yet: `ltf train` draws them first")
    run.check("problems")
    warnings, file = _Warnings(), run.at.history
    if aside := history.prepare(file):
        warnings.warn(
            f"{file} was broken: it is set aside as {aside.name}; a new history begins, and what "
            "is measured now is its first"
        )
    at, count = datetime.now(timezone.utc), count or run.preset.problems.test
    ref = resolve(model)
    abilities = _measured(run, ref, count, _asked(run, ref, dialect), warnings.warn)
    head = (at.isoformat(timespec="seconds"), _place(ref), __version__)
    now = [_measurement(head, ability) for ability in abilities]
    rows, level = judged(now, history.append(file, now))
    few = ", ".join(f"{one.ability} ({one.n})" for one in now if one.n < FEW)
    if few:
        warnings.warn(f"nothing can be concluded from fewer than {FEW} problems: {few}")
    return Monitored(
        run=str(run.folder),
        model=_place(ref),
        at=head[0],
        version=__version__,
        problems=count,
        level=level,
        rows=tuple(rows),
        fallen=tuple(row.ability for row in rows if row.verdict == "fallen"),
        warnings=tuple(warnings.said),
    )


def _place(ref: ModelRef) -> str:
    """A model by a name that is the same from every folder; a link stays a link.

    What a link leads to may change: that is a deployed model whose history is wanted.
    """
    here = os.path.exists(ref.given)
    return os.path.abspath(ref.given) if here else ref.given.rstrip("/")


def _asked(run: Run, ref: ModelRef, dialect: str | None) -> Dialect | None:
    """The dialect to ask a model in, where that is not for the model to say."""
    if dialect:
        return dialect_of(dialect)
    return learnt(run) if ref.kind == "server" else None


def _measured(
    run: Run, ref: ModelRef, count: int, dialect: Dialect | None, warn: Callable[[str], None]
) -> tuple[Ability, ...]:
    set_threads(run)
    engine = open_engine(ref, dialect)
    try:
        text = heldout_file(run.preset)
        if text:
            paragraphs(text)  # that it can't be read is better known now than after the searches
        why = _cannot_score(engine) if text else None
        if why:
            warn(f"the held-out text is left out: {why}")
        say(f"measuring {ref.given} on {count} test problems of {run.folder}")
        many = len(named(run.preset.evaluation)) + besides(run.preset) - (why is not None)
        with bar("measure", many) as advance:
            return measure(run, engine, "test", count, heldout=why is None, advance=advance)
    finally:
        engine.close()


def _cannot_score(engine: Engine) -> str | None:
    try:
        engine.score([Prompt("1 +", framed=False)], [" 1"])
    except EngineError as error:
        return str(error)
    return None


def _measurement(head: tuple[str, str, str], ability: Ability) -> Measurement:
    what = (*head, ability.name, ability.label, ability.problems, ability.n)
    if ability.kind != HELDOUT_NLL:
        each = list(ability.each) if ability.solved is None else ability.solved
        return Measurement(*what, ability.value, ability.low, ability.high, each)
    if not isfinite(ability.value):
        raise RunError(f"{head[1]} is broken: its NLL of {ability.label} is {ability.value}")
    sums = [(-logprob, tokens) for logprob, tokens in ability.each]
    low, high = ratio_interval(parts(sums), SEED) if len(sums) > 1 else (None, None)
    return Measurement(*what, ability.value, low, high, sums)


def as_text(found: Monitored) -> str:
    """The result as a table for a person, the verdict below it."""
    head = ("ability", "first", "measured", "now", "difference", "p", "")
    table = [head, *(_cells(row) for row in found.rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    return "\n".join([f"{found.model}, {found.at}", "", *lines, "", _verdict(found)])


def _verdict(found: Monitored) -> str:
    compared = sum(row.first is not None for row in found.rows)
    if not compared:
        return "Measured for the first time: later measurements are compared with these values."
    fallen = f"FALLEN: {', '.join(found.fallen)}" if found.fallen else "None has fallen."
    return (
        f"{compared} compared with their first value: one has fallen where it is worse and "
        f"p < 0.05 / {compared} = {found.level:.2g} (Bonferroni).\n{fallen}"
    )


def _cells(row: Judged) -> Sequence[str]:
    nll = row.ability == HELDOUT_NLL
    if row.first is None or row.difference is None:
        return row.ability, "", "", _shown(row.now, nll), "", "", row.verdict
    apart = f"{row.difference:+.4f} nats" if nll else f"{100 * row.difference:+.1f} points"
    verdict = row.verdict.upper() if row.verdict == "fallen" else row.verdict
    first, now, p = _shown(row.first, nll), _shown(row.now, nll), f"{row.p:.2g}"
    return row.ability, first, row.first.at[:10], now, apart, p, verdict


def _shown(one: Seen, nll: bool) -> str:
    unit, places, times = (" nats", 4, 1) if nll else (" %", 1, 100)
    value = f"{times * one.value:.{places}f}{unit}"
    if one.low is None or one.high is None:
        return value
    return f"{value} [{times * one.low:.{places}f}, {times * one.high:.{places}f}]"
