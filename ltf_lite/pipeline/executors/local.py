"""On this machine: one engine in this process, and a pool of processes for what asks no model."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import ClassVar, Literal

from ltf_lite.core.parent import die_with_parent
from ltf_lite.core.threads import threads as usual
from ltf_lite.engines import Engine
from ltf_lite.harvest import Row, write_shard
from ltf_lite.pipeline.executors.part import Brought, Part, Search, brought, done, work
from ltf_lite.pipeline.executors.plugin import ExecutorPlugin
from ltf_lite.pipeline.hearing import Advance, hearing
from ltf_lite.pipeline.opening import Opening


class Local(ExecutorPlugin):
    """The executor of a preset that names none."""

    title: ClassVar[str] = "this machine"

    name: Literal["local"] = "local"

    def open(
        self, search: Search, parts: Sequence[Part], opening: Opening, threads: int | None
    ) -> Here:
        return Here(search, threads or usual(), opening)


class Here:
    """The parts one after the other; a context that ends its processes and its engine."""

    def __init__(self, search: Search, processes: int, opening: Opening) -> None:
        self.search, self.opening = search, opening
        self.engine: Engine | None = None
        self.pool = ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),
            initializer=die_with_parent,  # idle workers notice by no other means
        )

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            stack.callback(self.pool.shutdown)
            if self.engine is not None:
                stack.callback(self.engine.close)

    def run(self, parts: Sequence[Part], advance: Advance) -> Iterator[tuple[Part, Brought]]:
        """As `Executor.run`, in the parts' order."""
        if parts and parts[0].reasoner.asks_model:
            return self._by_engine(parts, advance)
        return self._by_pool(parts)

    def _by_engine(self, parts: Sequence[Part], advance: Advance) -> Iterator[tuple[Part, Brought]]:
        if self.engine is None:
            self.engine = self.opening.open()
        usage = self.engine.usage
        for part in parts:
            tokens, seconds = usage.tokens_out, usage.seconds
            with hearing(self.engine, advance, f"a shard of {len(part.problems)}"):
                rows = done(part, self.search, self.engine)
            taken = usage.seconds - seconds
            speed = (usage.tokens_out - tokens) / taken if taken else None
            yield part, brought(rows, speed)

    def _by_pool(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Brought]]:
        one = partial(work, search=self.search)
        futures: list[Future[list[Row]]] = [self.pool.submit(one, part) for part in parts]
        for part, future in zip(parts, futures, strict=True):
            rows = future.result()
            write_shard(self.search.harvest, part.number, rows)
            yield part, brought(rows)


PLUGIN = Local
