"""What several stages need: the task and the problems of a run, threads, and seeds."""

from __future__ import annotations

import hashlib

from ltf_lite.doctor import cores
from ltf_lite.engines import Engine, model_path, open_engine
from ltf_lite.files import read_jsonl
from ltf_lite.pipeline.run import Run
from ltf_lite.preset_schema import LlamaCppSection, ServerSection
from ltf_lite.tasks import NumbersGame, Problem, Split, get_task


def task_of(run: Run) -> NumbersGame:
    return get_task(run.preset.task.name, **run.preset.task.settings())


def problems_of(run: Run, split: Split) -> list[Problem]:
    task = task_of(run)
    return [task.problem(row) for row in read_jsonl(run.folder / "problems" / f"{split}.jsonl")]


def searched(run: Run) -> dict[str, int]:
    """Reasoner of the search → how many training problems it is asked."""
    most = run.preset.problems.train
    return {section.label: min(section.problems or most, most) for section in run.preset.search}


def threads_of(run: Run) -> int:
    """Threads for torch and llama.cpp: the preset's, else every core this process may use."""
    return run.preset.threads or cores() or 1


def set_threads(run: Run) -> None:
    """Give torch its threads, and keep the libraries' bars out of ours."""
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(threads_of(run))
    transformers_logging.disable_progress_bar()


def style_of(run: Run) -> str:
    """The text style that the base speaks, in which everything of the run is asked."""
    from ltf_lite.engines.torch_engine import read_style

    return read_style(model_path(run.preset.model.base))


def search_engine(run: Run, style: str) -> Engine:
    """The engine that the preset searches with; raises EngineError."""
    section = run.preset.engine
    if isinstance(section, ServerSection):
        from ltf_lite.engines.server import ServerEngine

        return ServerEngine(section.url, section.model, style, section.concurrency)
    if isinstance(section, LlamaCppSection):
        return open_engine(section.file, style=style)
    return engine_of(run, "base")


def engine_of(run: Run, model: str) -> Engine:
    """The engine that answers as the run's `base` or as its `tuned` model; raises EngineError.

    A run in 4 bits is answered for in 4 bits, by the base and the adapter beside it: what was tuned
    and validated. The card that it was tuned on may not hold the merged model.
    """
    base, quantized = run.preset.model.base, run.preset.model.load_in_4bit
    if model == "base":
        return open_engine(base, load_in_4bit=quantized)
    if quantized:
        return open_engine(base, load_in_4bit=True, adapter=run.folder / "tuning" / "adapter")
    return open_engine(run.folder / "model")


def seed_of(*parts) -> int:
    """A seed from these parts alone, so that a resumed stage draws what it would have drawn."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def chunks(items: list, size: int) -> list[list]:
    return [items[at : at + size] for at in range(0, len(items), size)]
