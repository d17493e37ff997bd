"""On a Ray cluster: workers on its machines hold an engine each and are sent parts.

This process alone writes shards and records, so no disk is shared. Order and seeds of the parts are
those of one machine, and so are the rows and the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ltf_lite.pipeline.executors.plugin import ExecutorPlugin

if TYPE_CHECKING:
    from ltf_lite.pipeline.asking import Question
    from ltf_lite.pipeline.executors.part import Part, Search
    from ltf_lite.pipeline.executors.ray.pool import Pool
    from ltf_lite.pipeline.opening import Opening
    from ltf_lite.tasks import Task


class Ray(ExecutorPlugin):
    """The cluster at `address`, HOST:PORT; `auto` is the one that runs on this machine.

    `workers` None is one for each card, or where there are none one for each machine. `gpus` is the
    cards of a worker; None is one where the cluster has cards. A worker that neither writes a token
    nor ends a problem for `patience` seconds is ended, and its part given to another.
    """

    title: ClassVar[str] = "Ray"

    name: Literal["ray"] = "ray"
    address: str = "auto"
    workers: int | None = Field(None, gt=0)
    gpus: int | None = Field(None, ge=0)
    patience: float = Field(900, gt=0)

    @property
    def lacking(self) -> str | None:
        if find_spec("ray") is None:
            return 'Ray is not installed here: `pip install "ltf-lite[ray]"` brings it'
        return None

    def check(self, threads: int | None) -> None:
        from ltf_lite.pipeline.executors.ray import cluster

        with cluster.connected(self.address):
            cluster.check_room(self.address, cluster.shape(self, threads))

    def open(
        self, search: Search, parts: Sequence[Part], opening: Opening, threads: int | None
    ) -> Pool:
        from ltf_lite.pipeline.executors.ray.pool import Pool
        from ltf_lite.pipeline.executors.ray.searching import Searching

        return Pool(self, Searching(search), parts, opening, threads)

    def asking(
        self, task: Task, questions: Sequence[Question], opening: Opening, threads: int | None
    ) -> Pool:
        from ltf_lite.pipeline.executors.ray.asking import Asking
        from ltf_lite.pipeline.executors.ray.pool import Pool

        return Pool(self, Asking(task), questions, opening, threads)


PLUGIN = Ray
