"""Parts to workers, and what to do when one is lost: nothing is lost, doubled, or waited for ever.

A part goes to the first worker that is free, once the parts that it builds on are on the disk. One
whose worker was lost goes back to the front of the queue.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ltf_lite import __version__
from ltf_lite.core.progress import say
from ltf_lite.pipeline.executors.ray import cluster
from ltf_lite.pipeline.executors.ray.job import Garbage, Job, Share
from ltf_lite.pipeline.executors.ray.parcel import Parcel
from ltf_lite.pipeline.executors.ray.slot import Fault, Slot, real, reason, refused
from ltf_lite.pipeline.executors.ray.worker import Done, Hello, Metered, Setup
from ltf_lite.pipeline.hearing import Advance
from ltf_lite.pipeline.opening import Opening
from ltf_lite.pipeline.run import spending
from ltf_lite.pipeline.run.folder import RunError

if TYPE_CHECKING:
    from ltf_lite.pipeline.executors.ray import Ray

EVERY = 1.0  # seconds between two looks at the workers
SLOWLY = 5.0  # and at the cluster
PLACE = 300.0  # seconds in which some worker must have a place
FEWER = 20.0  # seconds without a place after which it is said that a worker has none
HEAD = 10.0  # in which the head of the cluster must answer
FETCH = 600.0  # seconds for an answer that is there to arrive
TRIES = 3  # real faults of a part, or of a worker since it last ended one
AGAIN = "the same command goes on where it stopped"


class Pool:
    """A context that is connected to the cluster and has workers in it.

    With the job that a search is, it is an Executor.
    """

    def __init__(
        self,
        wanted: Ray,
        job: Job,
        parts: Sequence[Share],
        opening: Opening,
        threads: int | None,
    ) -> None:
        self.wanted, self.job, self.opening, self.threads = wanted, job, opening, threads
        self.parts = {part.number: part for part in parts}
        self.queue = sorted(self.parts)
        self.needs = job.needs(parts)
        self.brought: dict[int, Any] = {}
        self.faults: dict[int, list[Fault]] = {}  # of parts
        self.slots: list[Slot] = []
        self.blocks: dict[str, list[tuple[str, list[Any]]]] = {}
        self.looked = self.grown = self.placed = time.monotonic()
        self.told = False  # that fewer workers have a place
        self.open = ExitStack()

    def __enter__(self) -> Pool:
        if not self.parts:
            return self
        self.at = self.open.enter_context(cluster.connected(self.wanted.address))
        self.open.push(self._end)
        self.shape = cluster.shape(self.wanted, self.threads)
        cluster.check_room(self.wanted.address, self.shape)
        self.setup = _setup(self.job, self.opening)
        self.placed = time.monotonic()
        self._grow()
        return self

    def __exit__(self, *error: Any) -> None:
        self.open.__exit__(*error)

    def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        for slot in self.slots if kind is not cluster.HeadLost else ():
            slot.end()

    # -- the work ------------------------------------------------------------------------------

    def run(self, parts: Sequence[Any], advance: Advance) -> Iterator[tuple[Any, Any]]:
        """As `Executor.run`, in the order in which they are done.

        Meanwhile parts of later reasoners are worked on too, where workers are free.
        """
        import ray

        left = {part.number for part in parts}
        while left:
            for number in sorted(left & self.brought.keys()):
                left.remove(number)
                yield self.parts[number], self.brought[number]
            if not left:
                return
            self._hand_out()
            pending = {slot.pending: slot for slot in self.slots if slot.pending is not None}
            ready, _ = ray.wait([*pending], timeout=EVERY) if pending else ([], [])
            for ref in ready:
                self._heard(pending[ref], ref)
            self._look(advance)

    def _hand_out(self) -> None:
        """Give each idle worker the first part whose earlier ones are done."""
        for slot in self.slots:
            if slot.state != "idle":
                continue
            number = next((n for n in self.queue if self._can_begin(n, slot)), None)
            if number is None:
                continue
            self.queue.remove(number)
            slot.part = part = self.parts[number]
            slot.ask("working", slot.actor.work.remote(part, self.job.earlier(part)))

    def _can_begin(self, number: int, slot: Slot) -> bool:
        """Whether a worker may take a part now; with whom it was lost only where no other may."""
        if not self.needs.get(number, set()) <= self.brought.keys():
            return False
        lost_with = {fault.worker for fault in self.faults.get(number, ())}
        there = {each.number for each in self.slots if each.state not in ("coming", "gone")}
        return slot.number not in lost_with or there <= lost_with

    def _heard(self, slot: Slot, ref: Any) -> None:
        """Take an answer of a worker; one that is an error, or no answer, ends the worker."""
        import ray

        try:
            answer = ray.get(ref, timeout=FETCH)
            if slot.state == "coming":
                self._greeted(slot, answer)
            elif slot.state == "working":
                self._done(slot, answer)
            elif slot.state == "receiving":
                slot.prepare(self.setup)
            elif answer:
                self._send(slot, answer)
            else:
                slot.rest()
        except Garbage as error:
            self._lost(slot, str(error))
        except ray.exceptions.RayError as error:
            self._lost(slot, reason(error), refused(error))

    def _greeted(self, slot: Slot, hello: Hello) -> None:
        slot.hello = hello
        if hello.version != __version__:
            raise Garbage(
                f"it has ltf_lite {hello.version}, and this machine {__version__}: install the "
                "same version on every machine"
            )
        slot.metered = self._metered(slot, hello.host)
        slot.prepare(self.setup)

    def _send(self, slot: Slot, lacking: Sequence[str]) -> None:
        """Send the first of the files that a worker lacks."""
        import ray

        path = lacking[0]
        if path not in self.blocks:
            say(f"  {path} is sent to the workers that lack it")
            parcel = self.setup.parcels[path]
            self.blocks[path] = [(name, [ray.put(block)]) for name, block in parcel.blocks()]
        parcel = self.setup.parcels[path]
        slot.ask("receiving", slot.actor.receive.remote(parcel, self.blocks[path]))

    def _metered(self, slot: Slot, host: str) -> Metered:
        """What a worker meters: no device is counted twice, and this machine is metered here."""
        if host == platform.node():
            return "none"
        others = [each for each in self.slots if each is not slot and each.metered == "all"]
        return "cards" if any(each.hello and each.hello.host == host for each in others) else "all"

    def _done(self, slot: Slot, answer: Any) -> None:
        """Keep what a worker found, once it is seen to be what was asked for."""
        part, done = slot.part, answer
        assert part is not None
        if not isinstance(done, Done) or done.number != part.number:
            raise Garbage("it gave back what it was not asked for")
        found = self.job.checked(part, done.found)
        self._spent(slot, done)
        speed = done.tokens / done.seconds if done.seconds else None
        self.brought[part.number] = self.job.keep(part, found, speed)
        slot.faults.clear()
        slot.rest()

    def _spent(self, slot: Slot, answer: Any) -> None:
        spending.elsewhere(str(slot.actor), answer.spent)

    # -- faults --------------------------------------------------------------------------------

    def _lost(self, slot: Slot, why: str, refused: bool = False) -> None:
        """End a worker, put its part back, and begin another in its place; raises RunError.

        Not without end: a part may fail so often, and a worker in a row.
        """
        fault = Fault(slot.number, slot.hello.node if slot.hello else None, why, refused)
        slot.faults.append(fault)
        part, name = slot.part, slot.name
        slot.end()
        back = ""
        if part is not None:
            self.queue = sorted([*self.queue, part.number])
            self.faults.setdefault(part.number, []).append(fault)
            back = f"; its part of {part.reasoner.label} is done again"
        say(f"warning: {name} was lost: {why}{back}")
        alive = {node.id for node in cluster.nodes()}
        if part is not None and refused and _said_twice(self.faults[part.number], why):
            raise RunError(f"{why}; {AGAIN}")
        if part is not None and len(real(self.faults[part.number], alive)) >= TRIES:
            raise RunError(
                f"{TRIES} workers were lost with the same part ({part.reasoner.label}, "
                f"{len(part.problems)} problems from {part.problems[0].id} on), the last because: "
                f"{why}; {AGAIN}"
            )
        if len(real(slot.faults, alive)) < TRIES:
            slot.begin()
        elif all(each.state == "gone" for each in self.slots):
            raise RunError(f"no worker is left: {why}; {AGAIN}")

    def _look(self, advance: Advance) -> None:
        """Ask how far the workers are, end those that hang, and see for which there is room."""
        now = time.monotonic()
        if now - self.looked < EVERY:
            return
        self.looked = now
        self._heed_head()
        for slot in self.slots:
            if slot.state == "working" and (found := slot.look()):
                self._spent(slot, found)
            if slot.stalled(self.wanted.patience):
                self._lost(slot, f"it did nothing for {now - slot.moved:.0f} seconds")
        self._grow()
        self._wait(now)
        busy = sum(slot.state == "working" for slot in self.slots)
        advance(0, f"{busy} of {len(self.slots)} workers at work: {_tokens():,} tokens")

    def _heed_head(self) -> None:
        """Raises HeadLost where the cluster's head stays silent; until then Ray is not asked."""
        began = time.monotonic()
        while cluster.silent(self.at):
            if time.monotonic() - began > HEAD:
                raise cluster.HeadLost(f"the head of the Ray cluster at {self.at} is lost; {AGAIN}")
            time.sleep(EVERY)

    def _grow(self) -> None:
        """Begin the workers that are lacking, also where a machine has joined; a part each."""
        if self.slots and time.monotonic() - self.grown < SLOWLY:
            return
        self.grown = time.monotonic()
        count = self.shape.count or self.shape.places(cluster.nodes())
        for number in range(len(self.slots) + 1, min(count, len(self.parts)) + 1):
            self.slots.append(Slot(number, self.shape))
            self.slots[-1].begin()

    def _wait(self, now: float) -> None:
        """Say where fewer workers than asked for have a place; raises RunError where none has."""
        placed = [slot for slot in self.slots if slot.state not in ("coming", "gone")]
        if placed:
            self.placed = now
        elif now - self.placed > PLACE:
            raise RunError(
                f"no worker has had a place on the Ray cluster for {PLACE:.0f} seconds: each takes "
                f"{self.shape}, and {cluster.in_words(cluster.nodes())}, which may be at other "
                f"work; {AGAIN}"
            )
        late = any(slot.state == "coming" and now - slot.moved > FEWER for slot in self.slots)
        if late and not self.told:
            self.told = True
            say(
                f"  {len(placed)} of {len(self.slots)} workers have a place: each takes "
                f"{self.shape}, and {cluster.in_words(cluster.nodes())}; the others join as soon "
                "as there is room"
            )


def _said_twice(faults: Sequence[Fault], why: str) -> bool:
    return sum(fault.refused and fault.why == why for fault in faults) > 1


def _tokens() -> int:
    """The tokens that the workers have written so far."""
    return sum(spent.tokens_out for spent in spending.others())


def _setup(job: Job, opening: Opening) -> Setup:
    """What workers need, without what this process holds open."""
    paths = dict.fromkeys([*opening.files, *job.files])
    return Setup(job.moved({}), opening.moved({}), {path: Parcel.of(path) for path in paths})
