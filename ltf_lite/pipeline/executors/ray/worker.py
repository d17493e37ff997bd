"""What an actor of the cluster is: it holds an engine, once a part asks for one.

It runs on another machine and writes nothing of the run: what it finds, it gives back.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ltf_lite import __version__
from ltf_lite.core.manifest import Spent
from ltf_lite.core.places import place
from ltf_lite.core.threads import ASKED, wait_briefly
from ltf_lite.engines import Engine, Usage
from ltf_lite.pipeline.executors.ray.job import Job, Share
from ltf_lite.pipeline.executors.ray.parcel import Parcel
from ltf_lite.pipeline.opening import Opening
from ltf_lite.pipeline.run import spending
from ltf_lite.pipeline.run.energy import Meter, cards, counters

Metered = Literal["all", "cards", "none"]


@dataclass(frozen=True)
class Hello:
    """Who a worker is: its node in the cluster, its machine and process, its ltf_lite's version."""

    node: str
    host: str
    process: int
    version: str


@dataclass(frozen=True)
class Setup:
    """What all parts need: the job, what is asked, and the files of both by their paths."""

    job: Job
    opening: Opening
    parcels: Mapping[str, Parcel]


@dataclass(frozen=True)
class Done:
    """What a worker found in a part, as the job gives it.

    `tokens` are those written for it, in so many `seconds` inside the engine.
    """

    number: int
    found: Any
    tokens: int
    seconds: float
    spent: Spent


@dataclass(frozen=True)
class Look:
    """How far a worker is: `beats` grow with all that it does, `opening` while it opens a model."""

    beats: int
    opening: bool
    spent: Spent


class Worker:
    """Works on one part at a time; `look` may be asked meanwhile."""

    def __init__(self, threads: int) -> None:
        os.environ[ASKED] = str(threads)  # before any library reads it
        wait_briefly()
        self.threads = threads
        self.setup: Setup | None = None
        self.engine: Engine | None = None
        self.beats, self.opening = 0, False
        self.names: dict[str, str] = {}
        self.meter = Meter([])

    def hello(self) -> Hello:
        import ray

        node = ray.get_runtime_context().get_node_id()
        return Hello(node, platform.node(), os.getpid(), __version__)

    def prepare(self, setup: Setup, metered: Metered) -> list[str]:
        """Make ready for parts; the paths of the files that this machine lacks are given back."""
        places = {path: parcel.here() for path, parcel in setup.parcels.items()}
        if lacking := [path for path, at in places.items() if at is None]:
            return lacking
        there = {path: at for path, at in places.items() if at is not None}
        self.names = {at: str(place(path)) for path, at in there.items()}
        self.setup = replace(setup, job=setup.job.moved(there), opening=setup.opening.moved(there))
        counted = {"all": counters, "cards": lambda: [*cards()], "none": list}
        self.meter = Meter(counted[metered]())
        return []

    def receive(self, parcel: Parcel, refs: Sequence[tuple[str, list[Any]]]) -> None:
        """Keep a parcel whose blocks are in the cluster's store; one of them is held at a time."""
        import ray

        def blocks() -> Any:
            for name, (ref,) in refs:
                self.beats += 1
                yield name, ray.get(ref)

        parcel.keep(blocks())

    def work(self, part: Share, earlier: Any) -> Done:
        """What is found in a part; raises what the engine raises."""
        assert self.setup is not None
        engine = self._opened() if part.reasoner.asks_model else None
        before = replace(engine.usage) if engine else Usage()
        found = self.setup.job.do(part, engine, earlier, self._beat)
        usage = engine.usage if engine else before
        return Done(
            number=part.number,
            found=found,
            tokens=usage.tokens_out - before.tokens_out,
            seconds=usage.seconds - before.seconds,
            spent=spending.here(self.meter),
        )

    def look(self) -> Look:
        calls = self.engine.usage.calls if self.engine else 0
        return Look(self.beats + calls, self.opening, spending.here(self.meter))

    def _beat(self) -> None:
        self.beats += 1

    def _named(self, engine: str) -> str:
        """The engine's name as the machine that sends the parts has it: with its own paths."""
        for at, path in self.names.items():
            engine = engine.replace(at, path)
        return engine

    def _opened(self) -> Engine:
        """The engine, opened once."""
        if self.engine is None:
            assert self.setup is not None
            from ltf_lite.pipeline.common import give_threads

            self.opening = True
            give_threads(self.threads)
            self.engine = self.setup.opening.open()
            self.engine.name = self._named(self.engine.name)
            self.engine.listener = _Pulse(self._beat)
            self.opening = False
        return self.engine


class _Pulse:
    """An engine's listener, by which it is seen that it writes."""

    def __init__(self, beat: Callable[[], object]) -> None:
        self.beat = beat

    def stopped(self) -> bool:
        return False

    def heard(self, tokens: int, texts: Callable[[], list[str]]) -> None:
        self.beat()
