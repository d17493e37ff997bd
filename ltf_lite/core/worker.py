"""A process of its own for code that may hang, die or write: it answers calls, and is killed.

Calls and answers are lines of JSON over a pipe; nothing is pickled. The time limit is this side's:
a child that is late is killed with all that it started. `worker_main` is the child, `confined` is
what it may not do. The child ends when its pipe closes. PR_SET_PDEATHSIG is not used for it: that
fires when the thread that started it ends, not only the process.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from ltf_lite.core.errors import LtfError
from ltf_lite.core.worker_child import Child, Late, Over

SECONDS = 2.0  # that a call may take
STARTING = 60.0  # seconds that the imports of a first start may take
MEMORY = 2 << 30  # bytes that a child may have besides what its imports took
LONGEST = 20_000  # characters of a text that are sent; the rest is cut off
DEEPEST = 50  # levels of lists and objects that are sent
CHUNK = 200  # calls a message


class WorkerError(LtfError):
    """A call that has no result."""


class Timeout(WorkerError):
    """The call took too long; its process was killed."""


class Died(WorkerError):
    """The process ended within the call."""


class Raised(WorkerError):
    """The function raised, or its result is no JSON or too large; the process lives on."""


class NotLoaded(WorkerError):
    """The code could not be loaded, so no call can be made."""


class Worker:
    """One process that is started at the first call, used again, and replaced when it is lost.

    `target` is a module, `package.module`, or `package.module:function` where only that one may be
    called. `setup` is a function of it that is run once before the process is confined: it imports
    what the calls need. `fresh` runs each call in a copy of the process where the system can, so
    that no call changes what a later one sees. Any thread may call; calls wait for each other.
    """

    def __init__(
        self,
        target: str,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        *,
        setup: str = "",
        fresh: bool = False,
        starting: float = STARTING,
    ) -> None:
        module, _, self._only = target.partition(":")
        self._order = {
            "module": module,
            "setup": setup,
            "seconds": seconds,
            "memory": memory,
            "fresh": fresh,
        }
        self.seconds, self.starting = seconds, starting
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._names: list[str] = []
        self._end: weakref.finalize[Any, Any] | None = None

    @classmethod
    def of_file(cls, path: str | Path, seconds: float = SECONDS, **settings: Any) -> Worker:
        """A worker for the functions of a Python file; only the child, confined, runs the file."""
        worker = cls("", seconds, **settings)
        worker._order["file"] = str(Path(path).expanduser().resolve())
        return worker

    def names(self) -> list[str]:
        """The public functions that can be called; raises NotLoaded."""
        with self._lock:
            self._ready()
            return [name for name in self._names if not self._only or name == self._only]

    def call(self, function: str, *args: Any) -> Any:
        """What the function gives for JSON arguments; raises WorkerError."""
        result = self.call_all(function, [args])[0]
        if isinstance(result, WorkerError):
            raise result
        return result

    def call_all(self, function: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """A result or a WorkerError for each list of arguments, in their order.

        Each call has its own time. One that hangs or kills the process costs only itself. Raises
        NotLoaded where nothing can be called.
        """
        if self._only and function != self._only:
            raise NotLoaded(f"only {self._only} may be called here, not {function}")
        waiting = [_text(function, args) for args in calls]
        results: list[Any] = []
        with self._lock:
            while len(results) < len(waiting):
                part = waiting[len(results) : len(results) + CHUNK]
                sent = list(takewhile(lambda each: isinstance(each, str), part))
                results += self._run(sent) if sent else part[:1]
        return results

    def _run(self, calls: list[Any]) -> list[Any]:
        """The results of calls, up to the one that cost the process its life."""
        child, results = self._ready(), []
        try:
            child.send(f'{{"calls": [{", ".join(calls)}]}}', self.seconds)
            for _ in calls:
                results.append(_result(child.receive(self.seconds)))
        except Late:
            self._drop()
            results.append(Timeout(f"it took longer than {self.seconds:g} s"))
        except Over as error:
            self._drop()
            results.append(Died(f"the process ended ({error})"))
        except (
            BaseException
        ):  # an answer may still come, which the next call would take for its own
            self._drop()
            raise
        return results

    def _ready(self) -> Child:
        """The process; a lost one is replaced. Raises NotLoaded."""
        if self._child is not None and self._child.alive():
            return self._child
        self._drop()
        try:
            child = Child()
        except OSError as error:
            raise NotLoaded(f"no process can be started: {error.strerror or error}") from error
        self._child, self._end = child, weakref.finalize(self, child.kill)
        self._names = self._loaded(child)
        return child

    def _loaded(self, child: Child) -> list[str]:
        """Let the process load the code; what it offers."""
        try:
            child.send(json.dumps(self._order), self.starting)
            answer = child.receive(self.starting)
        except Late as error:
            self._drop()
            raise NotLoaded(f"the code is not loaded after {self.starting:g} s") from error
        except Over as error:
            self._drop()
            raise NotLoaded(f"the process ended while it loaded the code ({error})") from error
        except BaseException:
            self._drop()
            raise
        if "raised" in answer:
            self._drop()
            raise NotLoaded(str(answer["raised"]))
        return [str(name) for name in answer.get("ok", [])]

    def _drop(self) -> None:
        """End the process, if there is one."""
        if self._end is not None:
            self._end()
        self._child = self._end = None

    def close(self) -> None:
        """End the process; a later call starts another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _result(answer: dict[str, Any]) -> Any:
    if "raised" in answer:
        return Raised(str(answer["raised"]))
    if "died" in answer:
        return Died(f"the process ended ({answer['died']})")
    return answer.get("ok")


def _text(function: str, args: Sequence[Any]) -> str | Raised:
    """A call as JSON, or why it is none."""
    try:
        return json.dumps([function, _bounded(list(args))])
    except (TypeError, ValueError, RecursionError) as error:
        return Raised(f"the arguments cannot be sent: {error}"[:300])


def _bounded(value: Any, depth: int = 0) -> Any:
    """The value with every text cut; raises ValueError where it is too deep to send."""
    if isinstance(value, str):
        return value[:LONGEST]
    if depth > DEEPEST:
        raise ValueError("they are nested too deep")
    if isinstance(value, Mapping):
        return {str(key)[:LONGEST]: _bounded(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bounded(each, depth + 1) for each in value]
    return value
