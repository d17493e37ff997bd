"""The child of `core.worker`: it loads code, confines itself, and answers one call after another.

It imports little, so that it starts soon. What the code prints goes nowhere: the pipe is moved away
from standard input and output first.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import ModuleType
from typing import IO, Any

from ltf_lite.core import confined

MOST = 1 << 20  # characters of a result
SHOWN = 300  # characters of an exception


def main() -> None:
    """Take the order, load its code, and answer until the pipe is closed."""
    asked, told = _pipe()
    lines: SimpleQueue[bytes] = SimpleQueue()
    order = json.loads(asked.readline())
    confined.without_network()  # before there is a second thread, which a user namespace forbids
    threading.Thread(target=_listen, args=(asked, lines), daemon=True).start()
    try:
        module = _load(order)
        names = [name for name, each in vars(module).items() if callable(each) and name[:1] != "_"]
        _tell(told, {"ok": names})
    except BaseException as error:
        _tell(told, {"raised": _said(error)})
        return
    while True:
        for name, args in json.loads(lines.get())["calls"]:
            confined.limit_time(2 * order["seconds"] + 2)
            if order["fresh"] and hasattr(os, "fork"):
                _answer_in_copy(told, module, name, args, 2 * order["seconds"] + 2)
            else:
                _tell(told, _answer(module, name, args))


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    """The two ends of the pipe; what the code reads and writes meets nothing."""
    asked, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, 2):
        os.dup2(nothing, place)
    return asked, told


def _listen(asked: IO[bytes], lines: SimpleQueue[bytes]) -> None:
    """Hand on what is asked; end the process as soon as nobody can ask any more."""
    while line := asked.readline():
        lines.put(line)
    os._exit(0)


def _load(order: dict[str, Any]) -> ModuleType:
    """The module with the functions; the process is confined when it returns."""
    if "file" in order:
        confined.confine(order["memory"], processes=not order["fresh"])
        return _load_file(order["file"])
    module = importlib.import_module(order["module"])
    if order["setup"]:
        getattr(module, order["setup"])()
    confined.confine(order["memory"], processes=not order["fresh"])
    return module


def _load_file(path: str) -> ModuleType:
    with open(path, "rb") as stream:
        code = compile(stream.read(), path, "exec")
    module = ModuleType("task_file")
    module.__file__ = path
    sys.modules[module.__name__] = module  # data classes look for it
    sys.path.append(os.path.dirname(path))
    exec(code, module.__dict__)
    return module


def _answer(module: ModuleType, name: str, args: list[Any]) -> dict[str, Any]:
    """The result of a call, or what went wrong."""
    try:
        function: Callable[..., Any] = getattr(module, name)
        answer = {"ok": function(*args)}
        if len(json.dumps(answer)) > MOST:
            return {"raised": f"the result is longer than {MOST} characters"}
        return answer
    except BaseException as error:  # also one that would end the process
        return {"raised": _said(error)}


def _answer_in_copy(
    told: IO[bytes], module: ModuleType, name: str, args: list[Any], seconds: float
) -> None:
    """Answer in a copy of this process, which then ends: nothing that the call changed is left."""
    copy = os.fork()
    if not copy:
        try:
            confined.die_with_parent()
            confined.limit_time(seconds)
            confined.without_processes()
            _tell(told, _answer(module, name, args))
        finally:
            os._exit(0)
    _, status = os.waitpid(copy, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        _tell(told, {"died": f"exit code {code}" if code > 0 else f"signal {-code}"})


def _tell(told: IO[bytes], answer: dict[str, Any]) -> None:
    told.write(json.dumps(answer).encode() + b"\n")
    told.flush()


def _said(error: BaseException) -> str:
    """An exception in one line, also one that cannot say what it is."""
    text = ""
    with suppress(BaseException):
        text = " ".join(str(error)[: 10 * SHOWN].split())[:SHOWN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it ends
    main()
