"""What an engine is as a plugin: which model references it opens, and how a preset names it."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ltf_lite.core.plugins import Plugin, Registry
from ltf_lite.engines.base import Engine, EngineError

if TYPE_CHECKING:
    from ltf_lite.engines.dialect import Dialect
    from ltf_lite.engines.refs import ModelRef


class EnginePlugin(Plugin):
    """A way to open models; its fields are the settings of a preset's `engine`.

    `opens` are the kinds of a ModelRef that it opens without being named. Any engine opens a
    reference `NAME:REST` with its own name.
    """

    opens: ClassVar[tuple[str, ...]] = ()

    name: str

    @classmethod
    def of(cls, ref: ModelRef) -> EnginePlugin:
        """The engine with no more settings than a reference tells."""
        return cls.model_validate({})

    @abstractmethod
    def open(
        self,
        ref: ModelRef,
        dialect: Dialect | None,
        exact: bool = False,
        load_in_4bit: bool = False,
        adapter: str | Path | None = None,
    ) -> Engine:
        """The engine of a model, as `open_engine` describes it; raises EngineError.

        Without a `dialect` the model is asked in its own.
        """

    @abstractmethod
    def for_base(self, base: ModelRef, dialect: Dialect, load_in_4bit: bool) -> Engine:
        """The engine with which a preset searches; raises EngineError."""


ENGINES: Registry[EnginePlugin] = Registry("ltf_lite.engines", "engine", EnginePlugin)


def engine_for(ref: ModelRef) -> EnginePlugin:
    """The engine that opens a reference: the one it names, else the first that opens its kind."""
    if ref.kind in ENGINES.names():
        return ENGINES.get(ref.kind).of(ref)
    kind = next((each for each in ENGINES.all() if ref.kind in each.opens), None)
    if kind is None:
        raise EngineError(f"no engine opens {ref.given!r} ({ref.kind})")
    return kind.of(ref)


def no_adapter(ref: ModelRef, load_in_4bit: bool, adapter: str | Path | None) -> None:
    """Refuse what only a model folder or a name on the Hub can have; raises EngineError."""
    if load_in_4bit or adapter is not None:
        what = "loaded in 4 bits" if load_in_4bit else "given an adapter"
        raise EngineError(
            f"{ref.given!r} cannot be {what}: name a model folder or a name on the Hub"
        )
