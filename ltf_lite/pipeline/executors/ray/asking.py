"""The questions of an evaluation as work for a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltf_lite.core.plugins import files_of, moved
from ltf_lite.engines import Engine
from ltf_lite.pipeline.asking import Answers, Question
from ltf_lite.pipeline.executors.ray.job import Garbage
from ltf_lite.reasoners import Solution
from ltf_lite.tasks import Task


@dataclass(frozen=True)
class Asking:
    """The job that the questions on a task are."""

    task: Task

    @property
    def files(self) -> list[str]:
        return files_of(self.task)

    def moved(self, places: Mapping[str, str]) -> Asking:
        return Asking(moved(self.task, places))

    def needs(self, parts: Sequence[Question]) -> dict[int, set[int]]:
        return {}

    def earlier(self, part: Question) -> None:
        return None

    def do(
        self, part: Question, engine: Engine | None, earlier: None, beat: Callable[[], None]
    ) -> Answers:
        assert engine is not None, "only models are asked elsewhere"
        return part.asked(self.task, engine)

    def checked(self, part: Question, found: Any) -> Answers:
        """The answers, if they are all that was asked for, problem by problem."""
        if not isinstance(found, Answers) or found.sooner.keys() != set(part.budgets):
            raise Garbage("it gave back what it was not asked for")
        for solutions in (found.solutions, *found.sooner.values()):
            own = [each.problem for each in solutions if isinstance(each, Solution)]
            if own != list(part.problems):
                raise Garbage("it gave back answers to problems that it was not asked")
        return found

    def keep(self, part: Question, found: Answers, speed: float | None) -> Answers:
        return found
