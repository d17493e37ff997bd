"""The GGUF engine: a file, opened with llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ltf_lite.engines.plugin import EnginePlugin, no_adapter

if TYPE_CHECKING:
    from ltf_lite.engines.base import Engine
    from ltf_lite.engines.dialect import Dialect
    from ltf_lite.engines.refs import ModelRef


class LlamaCpp(EnginePlugin):
    """llama.cpp; a preset names the GGUF `file` of its base."""

    title: ClassVar[str] = "llama.cpp"
    opens: ClassVar[tuple[str, ...]] = ("gguf",)
    files: ClassVar[tuple[str, ...]] = ("file",)

    name: Literal["llamacpp"] = "llamacpp"
    file: str

    @classmethod
    def of(cls, ref: ModelRef) -> EnginePlugin:
        return cls(file=ref.place)

    def open(
        self,
        ref: ModelRef,
        dialect: Dialect | None,
        exact: bool = False,
        load_in_4bit: bool = False,
        adapter: str | Path | None = None,
    ) -> Engine:
        from ltf_lite.engines.llama.engine import LlamaCppEngine

        no_adapter(ref, load_in_4bit, adapter)
        return LlamaCppEngine(ref.place, exact=exact, dialect=dialect)

    def for_base(self, base: ModelRef, dialect: Dialect, load_in_4bit: bool) -> Engine:
        from ltf_lite.engines.refs import resolve

        return self.open(resolve(f"{self.name}:{self.file}"), dialect)


PLUGIN = LlamaCpp
