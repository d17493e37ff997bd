"""What a person asks a tuned model, put into the prompt that it learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltf_lite.core.errors import LtfError, UsageError
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.progress import say
from ltf_lite.engines import resolve
from ltf_lite.engines.base import common
from ltf_lite.engines.dialect import Dialect
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.refs import KINDS
from ltf_lite.pipeline import Run
from ltf_lite.tasks import TASKS, Problem, Task, TaskError, get_task

ENOUGH = 8  # characters that all prompts of a task share, by which one is known


@dataclass(frozen=True)
class Learnt:
    """A GGUF file, the task that its model learnt (None: nobody says) and how it is asked.

    `context` is in tokens; `begins` says whether a rendered prompt still lacks the token that every
    text begins with. `ends` is what all prompts of the task begin and end with.
    """

    file: Path
    name: str
    task: Task | None
    dialect: Dialect
    context: int
    begins: bool
    ends: tuple[str, str] = ("", "")

    @property
    def stop(self) -> list[str]:
        return self.task.stop(self.dialect.name) if self.task else []

    def asked(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, int | None]:
        """All that the model reads of a chat's last question, and the tokens enough for its answer.

        Each problem is asked alone, as it was learnt. A text that is such a prompt already stays as
        it is. Raises TaskError.
        """
        assert self.task is not None
        text = next((_text(each) for each in reversed(messages) if each["role"] == "user"), "")
        if self._is_prompt(text):
            return self.dialect.render(text), None
        problem = self.task.problem(text)
        name = self.dialect.name
        return self.dialect.render(self.task.prompt(problem, name)), self.task.room(problem, name)

    def _is_prompt(self, text: str) -> bool:
        before, after = self.ends
        known = len(before) + len(after) >= ENOUGH
        return known and text.strip().startswith(before) and text.strip().endswith(after)


def learnt(model: str) -> Learnt:
    """What a reference means, as `ltf solve --model` reads it; raises UsageError, EngineError."""
    ref = resolve(model)
    if ref.kind != "gguf":
        what = KINDS.get(ref.kind, f"for the engine {ref.kind}")
        raise UsageError(
            f"`ltf serve` serves GGUF files, and {ref.given!r} is {what}: name a run that has "
            "exported one, or a GGUF file"
        )
    file = Path(ref.place)
    run = ref.run or _run_of(file)
    with closing(LlamaCppEngine(file, sequences=1)) as engine:
        task = Run.load(run.path).preset.task if run else _named(engine.task)
        dialect = engine.dialect
        (whole,) = engine.asked(["1"])
        begins = whole != engine.encode(dialect.render("1"), begin=False)
        context = engine.context
    name = file.name.removesuffix(".gguf")
    ends = _ends(task, dialect.name) if task else ("", "")
    return Learnt(file, name, task, dialect, context, begins, ends)


def _run_of(file: Path) -> RunFolder | None:
    """The run in whose folder a GGUF file lies."""
    run = RunFolder(file.absolute().parent.parent)
    return run if run.gguf == file.absolute().parent and run.manifest.is_file() else None


def _named(name: str | None) -> Task | None:
    """The task that a file names, with its usual settings; None where it takes more to know it."""
    if name in TASKS.names():
        with suppress(TaskError):
            return get_task(name)
    if name is not None:
        say(f"The file names the task {name} and not its settings: what is asked stays as it is.")
    return None


def _ends(task: Task, dialect: str) -> tuple[str, str]:
    """What two prompts of a task have in common at their beginnings and at their ends."""
    with suppress(LtfError):
        one, other = (task.prompt(problem, dialect).strip() for problem in _two(task))
        before = one[: common(one, other)]
        one, other = one[len(before) :], other[len(before) :]
        after = one[len(one) - common(one[::-1], other[::-1]) :]
        return before.strip(), after.strip()
    return "", ""


def _two(task: Task) -> Iterator[Problem]:
    yield from task.up_to("test", 2, seed=0)


def _text(message: Mapping[str, Any]) -> str:
    """What a message says; of one in parts, the texts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
