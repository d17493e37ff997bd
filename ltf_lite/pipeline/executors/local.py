"""On this machine: one engine in this process, and a pool of processes for what asks no model."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial

from ltf_lite.core.parent import die_with_parent
from ltf_lite.engines import Engine
from ltf_lite.harvest import Row, write_shard
from ltf_lite.pipeline.executors.part import Brought, Part, Search, brought, done, work
from ltf_lite.pipeline.hearing import Advance, hearing


class Local:
    """Works on parts and writes their shards; a context that ends its processes and its engine.

    `open_engine` is called for the first reasoner that asks a model, and not before.
    """

    def __init__(self, search: Search, processes: int, open_engine: Callable[[], Engine]) -> None:
        self.search, self.open_engine = search, open_engine
        self.engine: Engine | None = None
        self.pool = ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),
            initializer=die_with_parent,  # idle workers notice by no other means
        )

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            stack.callback(self.pool.shutdown)
            if self.engine is not None:
                stack.callback(self.engine.close)

    def run(self, parts: Sequence[Part], advance: Advance) -> Iterator[tuple[Part, Brought]]:
        """Work on parts of one reasoner; each part once its shard is on disk, in their order.

        `advance` hears, by 0, what an engine has written of a part.
        """
        if parts and parts[0].reasoner.asks_model:
            return self._by_engine(parts, advance)
        return self._by_pool(parts)

    def _by_engine(self, parts: Sequence[Part], advance: Advance) -> Iterator[tuple[Part, Brought]]:
        if self.engine is None:
            self.engine = self.open_engine()
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
