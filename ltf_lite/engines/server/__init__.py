"""The server engine: any OpenAI-compatible completions endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from ltf_lite.engines.plugin import EnginePlugin, no_adapter

if TYPE_CHECKING:
    from ltf_lite.engines.base import Engine
    from ltf_lite.engines.dialect import Dialect
    from ltf_lite.engines.refs import ModelRef


class Server(EnginePlugin):
    """A server at `url` that has the base, or several at `urls`; `model` is its name there.

    The name may be left out where they have one model only. `concurrency` requests are under way
    at once, at each of them.
    """

    title: ClassVar[str] = "server"
    opens: ClassVar[tuple[str, ...]] = ("server",)

    name: Literal["server"] = "server"
    url: str | None = None
    urls: tuple[str, ...] | None = Field(None, min_length=1)
    model: str | None = None
    concurrency: int = Field(32, gt=0, le=1024)

    @model_validator(mode="after")
    def _has_an_address(self) -> Server:
        if (self.url is None) == (self.urls is None):
            raise ValueError("a server needs url: ADDRESS, or of several urls: [ADDRESS, ...]")
        return self

    @property
    def _addresses(self) -> tuple[str, ...]:
        return self.urls or (self.url or "",)

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
        return self._opened((url,), model or None, dialect)

    def for_base(self, base: ModelRef, dialect: Dialect, load_in_4bit: bool) -> Engine:
        return self._opened(self._addresses, self.model, dialect)

    def _opened(self, urls: Sequence[str], model: str | None, dialect: Dialect | None) -> Engine:
        from ltf_lite.engines.server.engine import ServerEngine

        return ServerEngine(urls, model, dialect, self.concurrency)


PLUGIN = Server
