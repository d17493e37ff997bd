"""What an executor is as a plugin: where a search is done, and an evaluation's questions asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from pydantic import TypeAdapter, ValidationError

from ltf_lite.core.plugins import Plugin, Registry
from ltf_lite.core.validation import sentence
from ltf_lite.presets import Preset, PresetError

if TYPE_CHECKING:
    from ltf_lite.pipeline.asking import Answers, Question
    from ltf_lite.pipeline.executors.part import Brought, Part, Search
    from ltf_lite.pipeline.hearing import Advance
    from ltf_lite.pipeline.opening import Opening
    from ltf_lite.tasks import Task


class Executor(Protocol):
    """Works on parts and writes their shards, each one whole or not at all."""

    def run(self, parts: Sequence[Part], advance: Advance) -> Iterator[tuple[Part, Brought]]:
        """Work on parts of one reasoner; each part once its shard is on disk.

        `advance` hears, by 0, what is being written of them.
        """


class Asker(Protocol):
    """Asks a model elsewhere."""

    def run(
        self, parts: Sequence[Question], advance: Advance
    ) -> Iterator[tuple[Question, Answers]]:
        """Ask these of the questions; each with its answers, in any order."""


class ExecutorPlugin(Plugin):
    """A place to work; its fields are the settings of a preset's `executor`."""

    name: str

    @property
    def lacking(self) -> str | None:
        """What is not installed that it needs, with the way to get it; None where all is here."""
        return None

    def check(self, threads: int | None) -> None:
        """Refuse what cannot work, before anything is searched; raises RunError.

        `threads` are the preset's, None where it names none.
        """

    @abstractmethod
    def open(
        self, search: Search, parts: Sequence[Part], opening: Opening, threads: int | None
    ) -> AbstractContextManager[Executor]:
        """An executor for all `parts` that a search lacks, which it is then told to run.

        What searches is opened by `opening` for the first part that asks a model, and not before.
        """

    def asking(
        self, task: Task, questions: Sequence[Question], opening: Opening, threads: int | None
    ) -> AbstractContextManager[Asker] | None:
        """Who asks the model of `opening` the questions of an evaluation elsewhere.

        None where this process asks them itself.
        """
        return None


EXECUTORS: Registry[ExecutorPlugin] = Registry(
    "ltf_lite.pipeline.executors", "executor", ExecutorPlugin
)


def executor_of(preset: Preset) -> ExecutorPlugin:
    """The preset's executor; raises PresetError that names the setting, or what it lacks."""
    kind = EXECUTORS.any(default="local")
    try:
        found: ExecutorPlugin = TypeAdapter(kind).validate_python(preset.executor.model_dump())
    except ValidationError as error:
        raise PresetError(sentence(error, "executor", kind)) from error
    if found.lacking:
        raise PresetError(f"executor: {found.lacking}")
    return found
