"""The in-process engine: a model folder or a name on the Hub, opened with transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ltf_lite.engines.plugin import EnginePlugin

if TYPE_CHECKING:
    from ltf_lite.engines.base import Engine
    from ltf_lite.engines.dialect import Dialect
    from ltf_lite.engines.refs import ModelRef


class Torch(EnginePlugin):
    """The engine of a preset that names none: it searches with the base itself."""

    title: ClassVar[str] = "transformers"
    opens: ClassVar[tuple[str, ...]] = ("folder", "hub")

    name: Literal["torch"] = "torch"

    def open(
        self,
        ref: ModelRef,
        dialect: Dialect | None,
        exact: bool = False,
        load_in_4bit: bool = False,
        adapter: str | Path | None = None,
    ) -> Engine:
        from ltf_lite.engines.torch.engine import TorchEngine

        return TorchEngine.open(ref.place, ref.given, load_in_4bit, adapter, dialect)

    def for_base(self, base: ModelRef, dialect: Dialect, load_in_4bit: bool) -> Engine:
        from ltf_lite.engines.refs import loadable

        return self.open(loadable(base), dialect, load_in_4bit=load_in_4bit)


PLUGIN = Torch
