"""What work is that workers do in parts: a search, or the questions of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ltf_lite.engines import Engine
from ltf_lite.reasoners import Reasoner
from ltf_lite.tasks import Problem


class Garbage(Exception):
    """An answer that is none, with what is wrong about it."""


class Share(Protocol):
    """A part: what one worker is asked at a time."""

    @property
    def number(self) -> int: ...

    @property
    def reasoner(self) -> Reasoner: ...

    @property
    def problems(self) -> tuple[Problem, ...]: ...


class Job(Protocol):
    """What all parts share, and how a part is done, looked at and kept.

    A worker gets it without what this process holds open, and does the part; the rest is done here.
    """

    @property
    def files(self) -> list[str]:
        """The files and folders of this machine that a worker needs besides the model's."""

    def moved(self, places: Mapping[str, str]) -> Job:
        """The same where its files lie at other `places`, by their own."""

    def needs(self, parts: Sequence[Any]) -> dict[int, set[int]]:
        """Part → those of these parts that must be kept before it can begin."""

    def earlier(self, part: Any) -> Any:
        """What a part needs of earlier ones."""

    def do(self, part: Any, engine: Engine | None, earlier: Any, beat: Callable[[], None]) -> Any:
        """Do a part on a worker; `beat` is called whenever something was done."""

    def checked(self, part: Any, found: Any) -> Any:
        """What a worker found, looked at as if a stranger had sent it; raises Garbage."""

    def keep(self, part: Any, found: Any, speed: float | None) -> Any:
        """Keep what was found, of so many tokens a second; what whoever asked is given."""
