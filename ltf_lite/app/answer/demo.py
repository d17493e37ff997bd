"""A first look without a run: the embedded base, its search, and a copy that was tuned before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ltf_lite import presets
from ltf_lite.app.answer.ask import SINGLE_PASS, Answer, Way, answers, opened, way_of
from ltf_lite.engines import TINY_BASE, TINY_TUNED, resolve
from ltf_lite.evaluation.success import rate_of
from ltf_lite.evaluation.types import Rate
from ltf_lite.tasks import Problem, Task

PRESET = "tiny"  # whose problems these are, and which tuned the copy
ASKED = 20  # problems


@dataclass(frozen=True)
class Shown:
    """One way to answer: what it came to on all problems, and its answer to the one shown."""

    model: str
    way: str
    rate: Rate
    tokens: float
    answer: Answer


@dataclass(frozen=True)
class Demo:
    """A problem with an answer of each way; `of` are all problems that were asked."""

    problem: Problem
    of: int
    shown: tuple[Shown, ...]


def demo(seed: int = 0, advance: Callable[[str], None] = lambda _: None) -> Demo:
    """Ask the base, its tree of thoughts and the tuned copy the same problems, in 8 bits.

    All through llama.cpp. The problems' targets were in no training. Shown is the first that the
    base's single pass does not solve, where there is one. `advance` hears what is asked. Raises
    EngineError, ExportError.
    """
    task: Task = presets.load(PRESET).task
    problems = task.problems("test", ASKED, seed + 1)  # seed 0 is the preset's own
    single, search = way_of(SINGLE_PASS, {"max_tokens": 40}), way_of("tot")
    with tempfile.TemporaryDirectory() as folder:
        base = _in_8_bits(Path(folder))
        asked = (
            (TINY_BASE, "single pass", base, single),
            (TINY_BASE, "tree of thoughts", base, search),
            (TINY_TUNED, "single pass", TINY_TUNED, single),
        )
        told = []
        for name, title, model, way in asked:
            advance(f"{name}, {title}")
            told.append((name, title, _answers(model, way, task, problems)))
    first = told[0][2]
    at = next((k for k, answer in enumerate(first) if not answer.correct), 0)
    shown = (_shown(name, title, found, at) for name, title, found in told)
    return Demo(problems[at], len(problems), tuple(shown))


def _in_8_bits(folder: Path) -> str:
    """The embedded base as such a file as the tuned copy is."""
    from ltf_lite.export.gguf.quantize import quantize
    from ltf_lite.export.gguf.write import write_gguf

    whole = write_gguf(resolve(TINY_BASE).place, folder / "base.f16.gguf")
    return str(quantize(whole, folder / "base.q8_0.gguf"))


def _answers(model: str, way: Way, task: Task, problems: Sequence[Problem]) -> list[Answer]:
    with opened(model, way, task) as engine:
        return list(answers(problems, task, way, engine))


def _shown(model: str, title: str, found: Sequence[Answer], at: int) -> Shown:
    solved = sum(answer.correct for answer in found)
    tokens = fmean(answer.tokens for answer in found)
    return Shown(model, title, rate_of(solved, len(found)), tokens, found[at])
