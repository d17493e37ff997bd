"""The generators of reasoning-gym: `reasoning-gym:chain_sum`. Extra: `pip install 'ltf-lite[gym]'`.

The library runs only in a worker process: some of its scorers evaluate what a model wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from itertools import islice
from threading import RLock
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ltf_lite.core.text import sound
from ltf_lite.core.worker import Worker, WorkerError
from ltf_lite.tasks.contract import Problem, Split, TaskError
from ltf_lite.tasks.draw import enough, split_of
from ltf_lite.tasks.free import FreeText, named, told
from ltf_lite.tasks.verifiers import VERIFIERS, Judgement, Verifier

PREFIX = "reasoning-gym:"
NEEDS = "reasoning-gym problems need the library: pip install 'ltf-lite[gym]'"
PAGE = 64  # problems asked of the worker at a time
MOST = 200_000  # entries looked through for one split
_drawing = RLock()  # an app draws from several threads
BARREN = 2_000  # entries without a new problem after which a generator has no more


class Gym(FreeText):
    """Problems of a generator with its own settings (`config`), at a `level` of its curriculum.

    The split of a problem is told by the hash of its question.
    """

    title: ClassVar[str] = "reasoning-gym"

    name: Literal["reasoning-gym"] = "reasoning-gym"
    generator: str
    config: dict[str, Any] = Field(default_factory=dict)
    level: int | None = Field(None, ge=0, le=100)
    verifier: Annotated[VERIFIERS.any() | None, BeforeValidator(named)] = None  # type: ignore[valid-type]

    @classmethod
    def meant(cls, reference: str) -> dict[str, Any] | None:
        own = reference.startswith(PREFIX)
        return {"generator": reference.removeprefix(PREFIX)} if own else None

    @property
    def sign(self) -> str:
        return self.generator

    @property
    def reference(self) -> str:
        return PREFIX + self.generator

    @cached_property
    def _worker(self) -> Worker:
        if find_spec("reasoning_gym") is None:
            raise TaskError(NEEDS)
        return Worker("ltf_lite.tasks.gym_worker", seconds=10)

    @cached_property
    def _known(self) -> dict[str, dict[str, Problem]]:
        return {"train": {}, "validation": {}, "test": {}}

    @cached_property
    def _entries(self) -> Iterator[Problem]:
        return self._made_anew()

    def _made_anew(self) -> Iterator[Problem]:
        """Every problem of the generator in its order; one that takes too long is left out."""
        self._ask("opened", self.generator, dict(self.config), self.level)
        for at in range(0, MOST, PAGE):
            calls = [
                (self.generator, dict(self.config), self.level, k) for k in range(at, at + PAGE)
            ]
            for entry in self._worker.call_all("entry", calls):
                if not isinstance(entry, WorkerError) and entry is not None:
                    yield self._of(entry)

    def _ask(self, function: str, *args: Any) -> Any:
        try:
            return self._worker.call(function, *args)
        except WorkerError as error:
            raise TaskError(f"{PREFIX}{self.generator}: {error}") from error

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        pool, barren = self._known[split], 0
        with _drawing:
            while len(pool) < n and barren < BARREN:
                problem = next(self._entries, None)
                if problem is None:
                    break
                own = self._known[split_of(problem.id)]
                barren = barren + 1 if problem.id in own or own is not pool else 0
                own.setdefault(problem.id, problem)
            return list(islice(pool.values(), n))

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        found = self.up_to(split, n, seed)
        return enough(found, len(found), n, split, PREFIX + self.generator)

    def problem(self, data: Any) -> Problem:
        """The problem of its data; a typed question is unchecked: its answer is not known."""
        if isinstance(data, str):
            data = {"question": data}
        if not told(data):
            raise TaskError('a problem is an object like {"question": "...", "answer": "..."}')
        if not isinstance(data.get("metadata", {}), Mapping):
            raise TaskError("the metadata of a problem is an object")
        return self._of(data)

    def _of(self, entry: Mapping[str, Any]) -> Problem:
        question = sound(str(entry["question"])).strip()
        data: dict[str, Any] = {"question": question, "generator": self.generator}
        if entry.get("answer") not in (None, ""):
            data["answer"] = str(entry["answer"])
        if entry.get("metadata"):
            data["metadata"] = dict(entry["metadata"])
        digest = hashlib.sha256(question.encode()).hexdigest()[:16]
        return Problem(self.name, f"{self.generator}:{digest}", question, data)

    def worked(self) -> list[Problem]:
        return self.up_to("train", self.shots + 1, 0)

    def checks(self, problem: Problem) -> bool:
        return "metadata" in problem.data

    @cached_property
    def _verifier(self) -> Verifier:
        return self.verifier or VERIFIERS.get("gym").model_validate({})

    def compare(self, problem: Problem, answer: str) -> Judgement:
        data = problem.data
        entry = {key: data.get(key) for key in ("question", "answer", "metadata")}
        told = {"generator": data["generator"], "entry": entry}
        return self._verifier.judge(answer, str(data.get("answer", "")), told)

    def same(self, answer: str) -> str:
        return self._verifier.key(answer)


PLUGIN = Gym
