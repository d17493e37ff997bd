"""For verifiers that judge in a process of their own: the worker, and what its loss means."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

from ltf_lite.core.worker import Died, Raised, Timeout, Worker, WorkerError
from ltf_lite.tasks.verifiers import Judgement

PACKAGE = "ltf_lite.tasks.verifiers"


@cache
def worker(module: str, fresh: bool = False, setup: str = "") -> Worker:
    """The one worker of a verifier's module, which all its verifiers share."""
    return Worker(f"{PACKAGE}.{module}", fresh=fresh, setup=setup)


def needs(package: str, extra: str) -> None:
    """Refuse to go on without a package that is no dependency; raises ValueError."""
    if find_spec(package) is None:
        raise ValueError(f"it needs {package}: pip install 'ltf-lite[{extra}]'")


def lost(error: WorkerError) -> Judgement:
    """The judgement where a worker has no result: nobody knows."""
    if isinstance(error, Timeout):
        return Judgement(None, f"it was not compared in time ({error})")
    if isinstance(error, (Died, Raised)):
        return Judgement(None, f"it could not be compared ({error})"[:200])
    raise error


def judged(result: Any) -> Judgement:
    """What a worker's function said as a list, or a worker's error, as a judgement."""
    return lost(result) if isinstance(result, WorkerError) else Judgement(*result)
