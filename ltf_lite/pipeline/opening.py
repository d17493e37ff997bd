"""How the models of a run are opened, here or on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ltf_lite.core.plugins import files_of, moved
from ltf_lite.engines import (
    Dialect,
    Engine,
    EnginePlugin,
    ModelRef,
    base_ref,
    loadable,
    open_engine,
    resolve,
)
from ltf_lite.pipeline.common import asked_in, learnt, previous_of
from ltf_lite.pipeline.run.folder import Run


@dataclass(frozen=True)
class Opening:
    """A model and how it is asked. `engine` is the preset's; without one the model's kind tells it.

    `adapter` is the folder of a LoRA adapter.
    """

    model: ModelRef
    dialect: Dialect | None = None
    load_in_4bit: bool = False
    adapter: str | None = None
    engine: EnginePlugin | None = None

    def open(self) -> Engine:
        """The engine; raises EngineError."""
        if self.engine is not None and self.dialect is not None:
            return self.engine.for_base(self.model, self.dialect, self.load_in_4bit)
        return open_engine(
            self.model, self.dialect, load_in_4bit=self.load_in_4bit, adapter=self.adapter
        )

    @property
    def files(self) -> list[str]:
        """The files and folders of this machine that it needs."""
        if self.engine is not None and self.engine.files:
            return files_of(self.engine)  # they are the model
        model = [self.model.place] if self.model.kind in ("folder", "gguf") else []
        return [*model, *([self.adapter] if self.adapter else [])]

    def moved(self, places: Mapping[str, str]) -> Opening:
        """The same where its files lie at other `places`, by their own."""
        place, adapter = self.model.place, self.adapter
        return replace(
            self,
            model=replace(self.model, place=places.get(place, place)),
            adapter=places.get(adapter, adapter) if adapter else None,
            engine=moved(self.engine, places) if self.engine else None,
        )


def search_opening(run: Run) -> Opening:
    """What searches: the base by the preset's engine, or the previous run's tuned model.

    Raises EngineError, RunError and BrokenFile.
    """
    if before := previous_of(run):
        return opening_of(before, "tuned")
    model = run.preset.model
    return Opening(resolve(model.base), asked_in(run), model.load_in_4bit, engine=run.preset.engine)


def opening_of(run: Run, model: str) -> Opening:
    """What answers as the run's `base` or as its `tuned` model; raises EngineError.

    A run in 4 bits is answered for in 4 bits, by the base and the adapter beside it: what was tuned
    and validated. The card that it was tuned on may not hold the merged model, which tells its
    dialect itself.
    """
    quantized = run.preset.model.load_in_4bit
    if model == "tuned" and not quantized:
        return Opening(resolve(run.at.model))
    base = loadable(base_ref(run.preset.model.base))  # of a GGUF file what was tuned is asked
    if model == "base":
        return Opening(base, asked_in(run), quantized)
    return Opening(base, learnt(run), True, str(run.at.adapter))


def search_engine(run: Run) -> Engine:
    """The engine that searches; raises as `search_opening` does."""
    return search_opening(run).open()


def engine_of(run: Run, model: str) -> Engine:
    """The engine that answers as the run's `base` or as its `tuned` model; raises EngineError."""
    return opening_of(run, model).open()
