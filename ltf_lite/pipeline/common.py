"""What several stages need: the problems and the models of a run, threads, and seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

from ltf_lite.core.files import BrokenFile, read_jsonl
from ltf_lite.core.places import place
from ltf_lite.core.ranks import ranks
from ltf_lite.core.threads import threads
from ltf_lite.engines import Dialect, model_path
from ltf_lite.engines.dialect import COMPACT, chats, searches
from ltf_lite.pipeline.run.folder import Run, RunError
from ltf_lite.reasoners import Reasoner
from ltf_lite.tasks import Problem, Split
from ltf_lite.tuning.methods import METHODS
from ltf_lite.tuning.settings import Tuning

PLAIN = "sft"

Item = TypeVar("Item")


def problems_of(run: Run, split: Split) -> list[Problem]:
    """The problems that the run drew for a split; raises BrokenFile."""
    file = run.at.problems(split)
    try:
        return [Problem(**row) for row in read_jsonl(file)]
    except TypeError:
        raise BrokenFile(file) from None


def single_pass_of(run: Run) -> Reasoner:
    """The preset's single pass; the schema holds that there is one."""
    return next(each for each in run.preset.evaluation if each.single_pass)


def plain(tuning: Tuning) -> Tuning:
    """The same tuning by the method that forgets nothing."""
    shared = tuning.model_dump(include=set(Tuning.model_fields) - {"method"})
    return METHODS.get(PLAIN)(**shared)


def threads_of(run: Run) -> int:
    """Threads for torch and llama.cpp: the preset's, else what `threads` says.

    Processes that share a tuning share them.
    """
    own = run.preset.threads
    return max(1, own // ranks().world) if own else threads()


def set_threads(run: Run) -> None:
    """Give torch the threads of a run, and keep the libraries' bars out of ours."""
    give_threads(threads_of(run))


def give_threads(count: int) -> None:
    """Give torch so many threads, and keep the libraries' bars out of ours."""
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(count)
    transformers_logging.disable_progress_bar()


def asked_in(run: Run) -> Dialect:
    """The dialect in which the base is asked."""
    ask, _ = run.preset.dialects
    return _spoken(run, ask)


def learnt(run: Run) -> Dialect:
    """The dialect that the tuned model learns and is asked in."""
    _, learn = run.preset.dialects
    return _spoken(run, learn)


def _spoken(run: Run, name: str) -> Dialect:
    """The dialect of that name with what the preset, or else the base, says of it."""
    if name == COMPACT:
        return Dialect(name, search=searches(model_path(run.preset.model.base)))
    return Dialect(name, system=run.preset.system) if chats(name) else Dialect(name)


def base_of(run: Run) -> str:
    """The model folder or hub name of the run's base; raises EngineError."""
    return model_path(run.preset.model.base)


def previous_of(run: Run) -> Run | None:
    """The run that this one goes on from; raises RunError, BrokenFile."""
    if run.preset.previous is None:
        return None
    try:
        return Run.load(place(run.preset.previous))
    except RunError:
        raise RunError(
            f"{run.folder} goes on from the run {run.preset.previous}, which is not there any "
            "more: put it back"
        ) from None


def round_of(run: Run) -> int:
    """Which round of search, harvest and tune a run is, from 0; raises RunError, BrokenFile."""
    before = previous_of(run)
    return round_of(before) + 1 if before else 0


def searched_in(run: Run) -> Dialect:
    """The dialect in which the model that searches is asked."""
    return learnt(run) if run.preset.previous else asked_in(run)


def seed_of(*parts: Any) -> int:
    """A seed from these parts alone, so that a resumed stage draws what it would have drawn."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
