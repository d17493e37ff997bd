"""One worker as the process sees it that sends the parts: its actor, what it is at, its faults."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from ltf_lite.core.errors import LONGEST, LtfError
from ltf_lite.pipeline.executors.ray.cluster import Shape
from ltf_lite.pipeline.executors.ray.job import Share
from ltf_lite.pipeline.executors.ray.worker import Hello, Look, Metered, Setup, Worker

OPENING = 3600.0  # seconds for a model to be opened, or for files to be sent
State = Literal["coming", "preparing", "receiving", "idle", "working", "gone"]


@dataclass(frozen=True)
class Fault:
    """Why a worker was lost, and on which node, None where it had none yet.

    `refused` is what the engine says itself: it hardly says otherwise elsewhere.
    """

    worker: int
    node: str | None
    why: str
    refused: bool = False


@dataclass
class Slot:
    """A worker and its state. `pending` is the answer that is waited for, `looking` that of `look`.

    `coming` until it has a place in the cluster. `faults` are those since it last ended a part.
    """

    number: int
    shape: Shape
    actor: Any = None
    hello: Hello | None = None
    state: State = "coming"
    part: Share | None = None
    pending: Any = None
    looking: Any = None
    beats: int = -1
    moved: float = 0.0
    opening: bool = False
    metered: Metered = "none"
    faults: list[Fault] = field(default_factory=list)

    def begin(self) -> None:
        """Ask the cluster for a place."""
        import ray

        options = {"num_cpus": self.shape.cores, "num_gpus": self.shape.cards}
        kind = ray.remote(Worker).options(
            **options, max_concurrency=2, max_restarts=0, max_task_retries=0
        )
        self.actor = kind.remote(self.shape.cores)
        self.hello, self.looking, self.part = None, None, None
        self.ask("coming", self.actor.hello.remote())

    def ask(self, state: State, pending: Any) -> None:
        """Wait for an answer from now on."""
        self.state, self.pending = state, pending
        self.beats, self.opening, self.moved = -1, False, time.monotonic()

    def prepare(self, setup: Setup) -> None:
        self.ask("preparing", self.actor.prepare.remote(setup, self.metered))

    def rest(self) -> None:
        self.state, self.pending, self.part, self.looking = "idle", None, None, None

    def end(self) -> None:
        """End the actor in any state, also one that hangs."""
        import ray

        with suppress(Exception):  # it may be gone
            ray.kill(self.actor, no_restart=True)
        self.state, self.pending, self.part, self.looking = "gone", None, None, None

    def look(self) -> Look | None:
        """What it is at, where it has answered since it was last asked; None where it has not."""
        import ray

        found: Look | None = None
        if self.looking is not None:
            ready, _ = ray.wait([self.looking], timeout=0)
            if not ready:
                return None
            with suppress(Exception):  # what ended it is told by what it was asked for
                found = ray.get(self.looking)
                self._hear(found)
        self.looking = self.actor.look.remote()
        return found

    def _hear(self, found: Look) -> None:
        self.opening = found.opening
        if found.beats != self.beats:
            self.beats, self.moved = found.beats, time.monotonic()

    def stalled(self, patience: float) -> bool:
        """Whether it has not moved for so long, or longer while it opens a model or gets files."""
        if self.state not in ("preparing", "receiving", "working"):
            return False
        slow = self.opening or self.state != "working"
        return time.monotonic() - self.moved > (max(patience, OPENING) if slow else patience)

    @property
    def name(self) -> str:
        """It, for a sentence."""
        where = f" on {self.hello.host} (process {self.hello.process})" if self.hello else ""
        return f"worker {self.number}{where}"


def real(faults: Sequence[Fault], alive: set[str]) -> list[Fault]:
    """The faults that count: those of a node that is gone say nothing of what was done there."""
    return [fault for fault in faults if fault.node is None or fault.node in alive]


def refused(error: BaseException) -> bool:
    """Whether an error is one of ours, with a sentence."""
    return isinstance(getattr(error, "cause", None), LtfError)


def reason(error: BaseException) -> str:
    """Why an actor's answer did not come, in words."""
    from ray import exceptions

    if isinstance(error, exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if isinstance(cause, LtfError):
            return str(cause)
        text = " ".join(str(cause).split())[:LONGEST]
        return f"{type(cause).__name__}: {text}"
    if isinstance(error, exceptions.OutOfMemoryError):
        return "its machine ran out of memory"
    if isinstance(error, exceptions.ActorUnavailableError):
        return "it can't be reached any more"
    if isinstance(error, exceptions.RayActorError):
        return _why_dead(str(error))
    return " ".join(str(error).split())[:LONGEST]


def _why_dead(said: str) -> str:
    """Of Ray's account of a dead actor, which is a page, what a person needs."""
    ended = "has died" in said or "was terminated" in said
    if "node" in said and ended and "process" not in said:
        return "its machine was lost"
    if "ModuleNotFoundError" in said or "failed to import" in said:
        return "ltf_lite can't be imported there: install the same version on every machine"
    if "OOM" in said and "was killed" in said and "Some common causes" not in said:
        return "its machine ran out of memory"
    if "creation task" in said or "__init__" in said:
        return "it could not begin: " + " ".join(said.split())[-LONGEST:]
    return "its process was ended"
