"""A Ray cluster as it stands: its machines, and how many workers have a place on them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltf_lite.core.errors import LONGEST
from ltf_lite.pipeline.run.folder import RunError

if TYPE_CHECKING:
    from ltf_lite.pipeline.executors.ray import Ray

GIB = 2**30
AUTO, EXAMPLE = "auto", "10.0.0.5:6379"
ANSWER = 10.0  # seconds for an address to answer: Ray itself would try for minutes
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anyone
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_raylet_start_wait_time_s": "20",
}
START = "`ray start --head` starts one here, and `ray start --address=HOST:PORT` adds a machine"


@dataclass(frozen=True)
class Node:
    """A machine of a cluster: its cores, its cards and their kind, and bytes of memory."""

    id: str
    host: str
    cores: int
    cards: int
    kind: str
    memory: int


@dataclass(frozen=True)
class Shape:
    """What a worker takes: cores, which are its threads too, and cards. `count` None: all."""

    count: int | None
    cores: int
    cards: int

    def places(self, found: Sequence[Node]) -> int:
        """How many such workers these machines hold."""
        fits = [node.cores // self.cores for node in found]
        if self.cards:
            fits = [min(n, node.cards // self.cards) for n, node in zip(fits, found, strict=True)]
        return sum(fits)

    def __str__(self) -> str:
        cards = f" and {many(self.cards, 'card')}" if self.cards else ""
        return f"{many(self.cores, 'core')}{cards}"


class HeadLost(RunError):
    """The cluster's head is gone: whoever asks Ray anything now waits a minute, and is ended."""


@contextmanager
def connected(address: str) -> Iterator[str]:
    """Connected to the cluster at the given address meanwhile; raises RunError with a sentence."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    at = _found(address)
    _hush()
    try:
        ray.init(address=at, log_to_driver=False, logging_level=logging.CRITICAL)
    except (Exception, SystemExit) as error:  # it ends the process where nobody answers
        said = " ".join(str(error).split())[:LONGEST]
        raise RunError(f"the Ray cluster at {at} can't be used: {said}") from error
    try:
        yield at
    except HeadLost:
        raise  # with nobody to take leave of
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()


def _found(address: str) -> str:
    """The address of a cluster that answers; raises RunError.

    `auto` is that of RAY_ADDRESS, as everywhere in Ray, or of this machine.
    """
    at = _here() if address == AUTO else address
    host, _, port = at.rpartition(":")
    if not (host and port.isdecimal()):
        raise RunError(f"{at!r} is no address of a Ray cluster: write HOST:PORT, such as {EXAMPLE}")
    if why := silent(at):
        raise RunError(f"no Ray cluster answers at {at} ({why}): {START}")
    return at


def _here() -> str:
    """The address of the cluster that Ray itself takes where none is told; raises RunError."""
    from ray._private.services import get_ray_address_from_environment

    try:
        found: str = get_ray_address_from_environment(AUTO, None)
    except ConnectionError:
        raise RunError(f"no Ray cluster runs on this machine: {START}") from None
    return found


def silent(at: str) -> str:
    """Why nobody answers at HOST:PORT; empty where somebody does."""
    host, _, port = at.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), ANSWER):
            return ""
    except (OSError, ValueError, OverflowError) as error:
        return str(error)


def _hush() -> None:
    """Keep Ray's own accounts of lost workers off the output: each is told here in a sentence."""
    from ray._private import worker

    with suppress(AttributeError):
        worker.print_to_stdstream = lambda *_, **__: None


def nodes() -> list[Node]:
    """The machines of the cluster that are alive, those that hold nothing too."""
    import ray

    found = []
    for told in ray.nodes():
        has = told["Resources"]
        kinds = [name.partition(":")[2] for name in has if name.startswith("accelerator_type:")]
        if told["Alive"]:
            found.append(
                Node(
                    id=told["NodeID"],
                    host=told["NodeManagerHostname"],
                    cores=int(has.get("CPU", 0)),
                    cards=int(has.get("GPU", 0)),
                    kind=", ".join(kinds),
                    memory=int(has.get("memory", 0)),
                )
            )
    return sorted(found, key=lambda node: (node.host, node.id))


def shape(wanted: Ray, threads: int | None) -> Shape:
    """What a worker takes of the cluster as it stands.

    Without cards it takes as many cores as leave every worker a place, unless the preset names its
    threads.
    """
    found = nodes()
    some = any(node.cards for node in found)
    cards = wanted.gpus if wanted.gpus is not None else int(some)
    if threads or cards:
        return Shape(wanted.workers, threads or 1, cards)
    count = wanted.workers or sum(node.cores > 0 for node in found)
    most = max((node.cores for node in found), default=1)
    sizes = (Shape(wanted.workers, cores, 0) for cores in range(most, 0, -1))
    fitting = (size for size in sizes if size.places(found) >= count)
    return next(fitting, Shape(wanted.workers, 1, 0))


def check_room(address: str, wanted: Shape) -> None:
    """Refuse a cluster on which no worker has a place; raises RunError."""
    found = nodes()
    if not wanted.places(found):
        raise RunError(
            f"no worker has a place on the Ray cluster at {address}: each takes {wanted}, and "
            f"{in_words(found)}; set `executor: {{gpus: 0}}` or fewer `threads` in the preset, or "
            "add a machine"
        )


def in_words(found: Sequence[Node]) -> str:
    """What there is, for a sentence."""
    each = [
        f"{node.host} has {many(node.cores, 'core')} and {many(node.cards, 'card')}"
        for node in found
    ]
    return ", ".join(each) or "there is no machine"


def many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if count else f"no {what}s"
