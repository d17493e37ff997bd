"""A task that is a Python file of the user: `problems()` and `verify(problem, text)`.

The file runs only in a worker process: never in this one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path as File
from typing import Any, ClassVar, Literal

from pydantic import Field

from ltf_lite.core.places import place
from ltf_lite.core.prompt import chats
from ltf_lite.core.seals import hash_file
from ltf_lite.core.worker import Raised, Worker, WorkerError
from ltf_lite.tasks.answers import find_answer
from ltf_lite.tasks.contract import MISSING, Line, Path, Problem, Split, TaskError, Verdict
from ltf_lite.tasks.draw import drawn, enough, split_of, unique
from ltf_lite.tasks.free import SHOWN, FreeText
from ltf_lite.tasks.verifiers import Judgement

PAGE = 500  # problems asked of the worker at a time
MOST = 200_000  # problems that are read; a generator may have no end
LISTING = 60.0  # seconds for a page of them
TEXTS = ("question", "text", "prompt", "problem")  # what of a problem is shown
MORE_TEXTS = "`text`, `prompt` or `problem`"
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Own(FreeText):
    """The problems of the file `python`, judged by it; a call may take `seconds`.

    `problems()` yields dicts. `verify(problem, text)` gives True or False, None for undecided, or
    a dict with `correct` and any of `kind`, `fatal_step` and `message`. The file may also have
    `prompt(problem)`, `steps(text)` (texts of the steps in their order), `fatal(problem, text)`
    (the number of the first wrong step, from 0), `answer(problem, text)` (what samples vote by)
    and `KINDS`, a dict of failure kinds with a sentence each.
    """

    title: ClassVar[str] = "a Python file"
    files: ClassVar[tuple[str, ...]] = ("python",)

    name: Literal["python"] = "python"
    python: str
    seconds: float = Field(2.0, gt=0, le=600)

    @classmethod
    def meant(cls, reference: str) -> dict[str, Any] | None:
        return {"python": reference} if File(reference).suffix.lower() == ".py" else None

    @property
    def content(self) -> str:
        try:
            return hash_file(place(self.python))
        except OSError:
            return MISSING

    @property
    def sign(self) -> str:
        return File(self.python).stem

    @property
    def reference(self) -> str:
        return self.python

    # -- the file ------------------------------------------------------------------------------

    @cached_property
    def _path(self) -> str:
        path = place(self.python)
        if not path.is_file():
            raise TaskError(f"there is no file {self.python}")
        return str(path.resolve())

    @cached_property
    def _worker(self) -> Worker:
        return Worker("ltf_lite.tasks.own_worker", seconds=self.seconds)

    @cached_property
    def _described(self) -> Mapping[str, Any]:
        return self._in(Worker("ltf_lite.tasks.own_worker", seconds=LISTING), "described")

    def _has(self, function: str) -> bool:
        return function in self._described["functions"]

    def _in(self, worker: Worker, function: str, *args: Any) -> Any:
        """What a function of the worker gives; raises TaskError that names the file."""
        try:
            return worker.call(function, self._path, *args)
        except WorkerError as error:
            said = str(error).removeprefix("FileError: ")
            told = f"{self.python}: {said}" if isinstance(error, Raised) else self._lost(error)
            raise TaskError(told) from error

    def _lost(self, error: WorkerError) -> str:
        return f"{self.python} cannot be used: {error}"

    def _call(self, function: str, *args: Any) -> Any:
        return self._worker.call("asked", self._path, function, list(args))

    # -- problems ------------------------------------------------------------------------------

    def _all(self) -> Iterator[Problem]:
        self._described  # noqa: B018 - the file is refused before it is asked for problems
        with Worker("ltf_lite.tasks.own_worker", seconds=LISTING) as worker:
            at = 0
            while at < MOST and (found := self._in(worker, "page", at, PAGE)):
                yield from (self._of(data) for data in found)
                at += len(found)
        if not at:
            raise TaskError(f"{self.python}: problems() gives none")

    def _split(self, split: Split) -> Iterator[Problem]:
        return (problem for problem in unique(self._all()) if split_of(problem.id) == split)

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        found, there = drawn(self._split(split), n, f"{split}:{seed}")
        return enough(found, there, n, split, self.python)

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        return drawn(self._split(split), n, f"{split}:{seed}")[0]

    def problem(self, data: Any) -> Problem:
        """The problem of its dict, or of a text that a person typed.

        A text that is none of the file's is a problem with that `question` alone.
        """
        if isinstance(data, str):
            typed = data.strip()
            if not typed:
                raise TaskError("a problem is a text that is not empty")
            known = (each for each in self._all() if each.text == typed)
            return next(known, None) or self._of({"question": typed})
        if not isinstance(data, Mapping) or not data:
            raise TaskError("a problem of a Python file is one of its dicts")
        return self._of(data)

    def _of(self, data: Mapping[str, Any]) -> Problem:
        named = (data[name] for name in TEXTS if isinstance(data.get(name), str))
        text = next((each.strip() for each in named if each.strip()), "")
        if not text:  # not the whole dict: it may hold the answer
            raise TaskError(
                f"{self.python}: a problem has a text as its `question`, or {MORE_TEXTS}"
            )
        digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
        return Problem(self.name, f"{self.sign}:{digest}", text, dict(data))

    @cached_property
    def _worked(self) -> list[Problem]:
        golds = (each for each in islice(self._split("train"), 200) if self.gold(each))
        return list(islice(golds, self.shots + 1))

    def worked(self) -> list[Problem]:
        return self._worked

    def gold(self, problem: Problem) -> str | None:
        answer = problem.data.get("answer")
        if not isinstance(answer, str | int | float) or isinstance(answer, bool):
            return None
        text = str(answer)
        return text if "\n" in text or find_answer(text) else f"Answer: {text}"

    # -- asking and judging --------------------------------------------------------------------

    def prompt(self, problem: Problem, dialect: str) -> str:
        if chats(dialect) or not self._has("prompt"):
            return super().prompt(problem, dialect)
        return self.asked_in_chat(problem)

    def asked_in_chat(self, problem: Problem) -> str:
        if not self._has("prompt"):
            return super().asked_in_chat(problem)
        try:
            return str(self._call("prompt", dict(problem.data)))
        except WorkerError as error:
            raise TaskError(f"{self.python}: {error}") from error

    def prompt_rule(self, dialect: str) -> str:
        own = self._has("prompt")
        return "what `prompt(problem)` of the task writes" if own else super().prompt_rule(dialect)

    def parse(self, problem: Problem, text: str) -> Path:
        path = super().parse(problem, text)
        if not self._has("steps"):
            return path
        try:
            steps = self._call("steps", text)
        except WorkerError:
            return path
        lines, at = [], 0
        end = path.answer.start if path.answer else len(text)
        for step in steps:
            start = text.find(step, at, end) if step.strip() else -1
            if start >= 0:
                at = start + len(step)
                lines.append(Line(step, start, at, start, at))
        return path._replace(lines=tuple(lines))

    def verify(self, problem: Problem, path: Path) -> Verdict:
        """What the file says of the whole text; what it cannot say is undecided."""
        text = path.form
        try:
            said = self._call("verify", dict(problem.data), text)
            if isinstance(said, Mapping):
                return self._read(problem, path, said)
            if said is None:
                return Verdict(False, "undecided", None, "verify() does not decide it")
            if not isinstance(said, bool):
                kind = type(said).__name__
                return Verdict(
                    False, "undecided", None, f"verify() gives {kind}, not True or False"
                )
            return self._read(problem, path, {"correct": said})
        except WorkerError as error:
            told = str(error).removeprefix("FileError: ")
            return Verdict(False, "undecided", None, f"verify(): {told}")

    def _read(self, problem: Problem, path: Path, said: Mapping[str, Any]) -> Verdict:
        shown = str(path.answer.step).strip()[:SHOWN] if path.answer else ""
        if said.get("correct") is True:
            return Verdict(True, None, None, str(said.get("message") or f"correct: {shown!r}"))
        if said.get("correct") is not False:
            return Verdict(False, "undecided", None, "the verdict of verify() says no `correct`")
        none = path.answer is None
        kind = str(said.get("kind") or ("no_answer" if none else "wrong_answer"))
        kind = kind if _KIND.fullmatch(kind) else "wrong_answer"
        fatal = said.get("fatal_step")
        if fatal is None and self._has("fatal"):
            fatal = self._call("fatal", dict(problem.data), path.form)
        lines = len(path.all_lines())
        known = isinstance(fatal, int) and not isinstance(fatal, bool) and 0 <= fatal <= lines
        message = str(said.get("message") or self._described["kinds"].get(kind) or "it is wrong")
        return Verdict(False, kind, fatal if known else None, message)

    def compare(self, problem: Problem, answer: str) -> Judgement:
        """Whether a text that is only this answer is right."""
        verdict = self.verify(problem, self.parse(problem, f"Answer: {answer}"))
        return Judgement(None if verdict.kind == "undecided" else verdict.correct, verdict.message)


PLUGIN = Own
