"""The Python interface for notebooks: `import ltf_lite`, then `model`, `task`, `ask`, `search`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from ltf_lite.app.answer.ask import SINGLE_PASS, Answer, Way, answers, posed, way_of
from ltf_lite.core.threads import wait_briefly
from ltf_lite.engines import Engine, EngineError, open_engine
from ltf_lite.engines.dialect import dialect as dialect_of
from ltf_lite.reasoners import able
from ltf_lite.tasks import Problem, Task, get_task

wait_briefly()  # before torch is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

AnyProblem = str | Mapping[str, Any] | Problem


class Model:
    """A model that is open. Close it, or use it in a `with` block."""

    def __init__(self, reference: str | Path, dialect: str | None = None) -> None:
        self.name = str(reference)
        self._engine: Engine | None = open_engine(
            reference, dialect_of(dialect) if dialect else None
        )

    @property
    def engine(self) -> Engine:
        """What generates and scores; raises EngineError once the model is closed."""
        if self._engine is None:
            raise EngineError(f"the model {self.name!r} is closed")
        return self._engine

    @property
    def dialect(self) -> str:
        """The name of the dialect in which it is asked."""
        return self.engine.dialect.name

    def close(self) -> None:
        """Free its memory; a second time does nothing."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._engine is None else f"dialect {self.dialect!r}"
        return f"<ltf_lite model {self.name!r}, {state}>"


def model(reference: str | Path, dialect: str | None = None) -> Model:
    """Open a model.

    `reference` is a run's folder, a model folder, a GGUF file, a name on the Hugging Face Hub, the
    address of a server (`http://HOST:PORT/v1#NAME`), `tiny-base` or `smollm2`. `dialect` is
    `few_shot`, `zero_shot`, `compact`, `chat` (through the model's chat template), `few_shot_chat`
    (with worked examples as earlier turns) or `auto` (`chat` where it has one); by default it is
    the model's own. Raises EngineError.
    """
    return Model(reference, dialect)


def task(name: str, **settings: Any) -> Task:
    """The task of that name, such as `countdown`, with its settings; raises TaskError."""
    return get_task(name, **settings)


@overload
def ask(
    model: Model | str | Path,
    task: Task | str,
    problem: AnyProblem,
    way: str = SINGLE_PASS,
    seed: int = 0,
    **settings: Any,
) -> Answer: ...
@overload
def ask(
    model: Model | str | Path,
    task: Task | str,
    problem: list[Any],
    way: str = SINGLE_PASS,
    seed: int = 0,
    **settings: Any,
) -> list[Answer]: ...
def ask(
    model: Model | str | Path,
    task: Task | str,
    problem: AnyProblem | list[Any],
    way: str = SINGLE_PASS,
    seed: int = 0,
    **settings: Any,
) -> Answer | list[Answer]:
    """Answer a problem, or a list of problems together.

    `model` is an open model, or a reference that is opened for this call. `task` is a task or its
    name. A problem is what a person types (`"25 5 5 33 -> 27"`), its data, or a `Problem`. `way` is
    `single-pass`, `self-consistency`, `best-of-n`, `oracle` or a reasoner's name; `settings` are
    the reasoner's. Raises LtfError with a sentence.
    """
    found = _answers(model, task, problem, way_of(way, settings), seed, False)
    return found if isinstance(problem, list) else found[0]


@overload
def search(
    model: Model | str | Path | None,
    task: Task | str,
    problem: AnyProblem,
    reasoner: str = "tot",
    seed: int = 0,
    **settings: Any,
) -> Answer: ...
@overload
def search(
    model: Model | str | Path | None,
    task: Task | str,
    problem: list[Any],
    reasoner: str = "tot",
    seed: int = 0,
    **settings: Any,
) -> list[Answer]: ...
def search(
    model: Model | str | Path | None,
    task: Task | str,
    problem: AnyProblem | list[Any],
    reasoner: str = "tot",
    seed: int = 0,
    **settings: Any,
) -> Answer | list[Answer]:
    """Like `ask`, and keep what was searched: every path in `.solution`, the nodes in `.tree`.

    A reasoner that asks no model (`dfs`, `bfs`, `random`) takes None for the model.
    """
    found = _answers(model, task, problem, way_of(reasoner, settings), seed, True)
    return found if isinstance(problem, list) else found[0]


def _answers(
    model: Model | str | Path | None,
    task: Task | str,
    problem: AnyProblem | list[Any],
    way: Way,
    seed: int,
    keep: bool,
) -> list[Answer]:
    chosen = get_task(task) if isinstance(task, str) else task
    asked = problem if isinstance(problem, list) else [problem]
    problems = [posed(chosen, each) for each in asked]
    able(way.reasoner, chosen)
    with _engine(model, way) as engine:
        return list(answers(problems, chosen, way, engine, seed, keep))


@contextmanager
def _engine(model: Model | str | Path | None, way: Way) -> Iterator[Engine | None]:
    """The engine of a model that is open, or of one that is opened for this call."""
    if not way.reasoner.asks_model:
        yield None
    elif isinstance(model, Model):
        yield model.engine
    elif model is None:
        raise EngineError(f"{way.reasoner.name} asks a model: name one")
    else:
        with Model(model) as own:
            yield own.engine
