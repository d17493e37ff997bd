"""The server engine: any OpenAI-compatible completions endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ltf_lite.engines.plugin import EnginePlugin, no_adapter

if TYPE_CHECKING:
    from ltf_lite.engines.base import Engine
    from ltf_lite.engines.dialect import Dialect
    from ltf_lite.engines.refs import ModelRef


class Server(EnginePlugin):
    """A server at `url` that has the base; `model` is its name there, if it has several.

    `concurrency` requests are under way at once.
    """

    title: ClassVar[str] = "server"
    opens: ClassVar[tuple[str, ...]] = ("server",)

    name: Literal["server"] = "server"
    url: str
    model: str | None = None
    concurrency: int = Field(32, gt=0, le=1024)

    @classmethod
    def of(cls, ref: ModelRef) -> EnginePlugin:
        url, _, model = ref.place.partition("#")
        return cls(url=url, model=model or None)

    def open(
        self,
        ref: ModelRef,
        dialect: Dialect | None,
        exact: bool = False,
        load_in_4bit: bool = False,
        adapter: str | Path | None = None,
    ) -> Engine:
        no_adapter(ref, load_in_4bit, adapter)
        url, _, model = ref.place.partition("#")
        return self._opened(url, model or None, dialect)

    def for_base(self, base: ModelRef, dialect: Dialect, load_in_4bit: bool) -> Engine:
        return self._opened(self.url, self.model, dialect)

    def _opened(self, url: str, model: str | None, dialect: Dialect | None) -> Engine:
        from ltf_lite.engines.server.engine import ServerEngine

        return ServerEngine(url, model, dialect, self.concurrency)


PLUGIN = Server
