"""`ltf monitor`: whether a deployed model still does what it did when it was first measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path
from typing import Any

from ltf_lite import __version__
from ltf_lite.engines import TINY_BASE, Engine, EngineError, open_engine
from ltf_lite.evaluation import history
from ltf_lite.evaluation.fallen import FALLEN, SEED, judged, parts
from ltf_lite.evaluation.heldout import paragraphs
from ltf_lite.evaluation.history import Measurement
from ltf_lite.evaluation.retention import HELDOUT_NLL
from ltf_lite.evaluation.significance import ratio_interval
from ltf_lite.evaluation.success import FEW
from ltf_lite.pipeline.abilities import heldout_file, measure
from ltf_lite.pipeline.common import set_threads, style_of
from ltf_lite.pipeline.run import Run, RunError
from ltf_lite.progress import say

HISTORY = "monitor.sqlite"


def monitor(run: Run, model: str, count: int | None) -> dict[str, Any]:
    """Measure a model on the run's first `count` test problems (None: all), and keep it.

    It is whatever `open_engine` opens. The result has a row for each ability beside its first
    measurement in the run's history, `level`, below which a p is significant, and the names of
    those that have `fallen`. Raises RunError, HistoryError, EngineError.
    """
    if not (run.folder / "problems" / "test.jsonl").is_file():
        raise RunError(f"{run.folder} has no test problems yet: `ltf train` draws them first")
    warnings: list[str] = []

    def warn(text: str) -> None:
        say(f"warning: {text}")
        warnings.append(text)

    file = run.folder / HISTORY
    if aside := history.prepare(file):
        warn(f"{file} was broken: it is set aside as {aside.name}; a new history begins, and what "
             "is measured now is its first")  # fmt: skip
    at, count = datetime.now(timezone.utc), count or run.preset.problems.test
    abilities = _measured(run, model, count, warn)
    head = (at.isoformat(timespec="seconds"), _place(model), __version__)
    now = [_measurement(head, name, ability) for name, ability in abilities.items()]
    rows, level = judged(now, history.append(file, now))
    few = ", ".join(f"{one.ability} ({one.n})" for one in now if one.n < FEW)
    if few:
        warn(f"nothing can be concluded from fewer than {FEW} problems: {few}")
    return {
        "run": str(run.folder), "model": _place(model), "at": head[0], "version": __version__,
        "problems": count, "level": level, "rows": rows,
        "fallen": [row["ability"] for row in rows if row["verdict"] == FALLEN],
        "warnings": warnings,
    }  # fmt: skip


def _place(model: str) -> str:
    """A model by a name that is the same from every folder; a link stays a link.

    What a link leads to may change: that is a deployed model whose history is wanted.
    """
    here = model != TINY_BASE and Path(model).exists()
    return os.path.abspath(model) if here else model.rstrip("/")


def _measured(
    run: Run, model: str, count: int, warn: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    set_threads(run)
    # a server can't tell the style that its model was tuned in
    style = style_of(run) if model.startswith(("http://", "https://")) else None
    engine = open_engine(model, style=style)
    try:
        text = heldout_file(run.preset)
        if text:
            paragraphs(text)  # that it can't be read is better known now than after the searches
        why = _cannot_score(engine) if text else None
        if why:
            warn(f"the held-out text is left out: {why}")
        say(f"measuring {model} on {count} test problems of {run.folder}")
        return measure(run, engine, "test", count, heldout=why is None)
    finally:
        engine.close()


def _cannot_score(engine: Engine) -> str | None:
    try:
        engine.score(["1 +"], [" 1"])
    except EngineError as error:
        return str(error)
    return None


def _measurement(head: tuple[str, str, str], name: str, ability: Mapping[str, Any]) -> Measurement:
    what = (*head, name, ability["label"], ability["problems"], ability["n"])
    if name != HELDOUT_NLL:
        each = ability["each"] if ability["solved"] is None else ability["solved"]
        return Measurement(*what, ability["rate"], ability["low"], ability["high"], each)
    if not isfinite(ability["nll"]):
        raise RunError(f"{head[1]} is broken: its NLL of {ability['label']} is {ability['nll']}")
    each = [(-logprob, tokens) for logprob, tokens in ability["each"]]
    low, high = ratio_interval(parts(each), SEED) if len(each) > 1 else (None, None)
    return Measurement(*what, ability["nll"], low, high, each)


def as_text(found: Mapping[str, Any]) -> str:
    """The result as a table for a person, the verdict below it."""
    head = ("ability", "first", "measured", "now", "difference", "p", "")
    table = [head, *(_cells(row) for row in found["rows"])]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    compared = sum(row["first"] is not None for row in found["rows"])
    if not compared:
        end = "Measured for the first time: later measurements are compared with these values."
    else:
        end = (f"{compared} compared with their first value: one has fallen where it is worse and "
               f"p < 0.05 / {compared} = {found['level']:.2g} (Bonferroni).\n")  # fmt: skip
        end += f"FALLEN: {', '.join(found['fallen'])}" if found["fallen"] else "None has fallen."
    return "\n".join([f"{found['model']}, {found['at']}", "", *lines, "", end])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    first, now, nll = row["first"], row["now"], row["ability"] == HELDOUT_NLL
    name = row["ability"]
    if first is None:
        return name, "", "", _shown(now, nll), "", "", row["verdict"]
    apart = f"{row['difference']:+.4f} nats" if nll else f"{100 * row['difference']:+.1f} points"
    verdict = row["verdict"].upper() if row["verdict"] == FALLEN else row["verdict"]
    return (name, _shown(first, nll), first["at"][:10], _shown(now, nll), apart,
            f"{row['p']:.2g}", verdict)  # fmt: skip


def _shown(one: Mapping[str, Any], nll: bool) -> str:
    unit, places, times = (" nats", 4, 1) if nll else (" %", 1, 100)
    value = f"{times * one['value']:.{places}f}{unit}"
    if one["low"] is None:
        return value
    return f"{value} [{times * one['low']:.{places}f}, {times * one['high']:.{places}f}]"
