"""How child processes begin: as copies of one that has imported what they need, or anew."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from ltf_lite.core.text import speak_any

LOADED = "ltf_lite.pipeline.loaded"  # imports what stages need, once for all of them
# The process that they are copied for, told to the one that is copied: that may begin so late that
# it finds another parent.
ASKED_BY = "LTF_COPIED_FOR"
WARNINGS = "PYTHONWARNINGS"
# A process that has asked for its cards can't be copied, and imports ask for them.
CARDS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))


def copies() -> bool:
    """Whether processes begin as copies: on Linux, where there is no card."""
    return sys.platform == "linux" and not any(card.exists() for card in CARDS)


def context() -> BaseContext:
    """What processes of this package are made with; none inherits threads or an engine."""
    if sys.platform != "win32":
        _track_quietly()
    if not copies():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver  # not on Windows, as DupFd

    os.environ[ASKED_BY] = str(os.getpid())
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([LOADED])
    # A Ctrl-C reaches every process of a terminal: in the one that is copied it would end an import
    # in a traceback. What a signal mask holds back, it inherits, and so do its copies.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return found


def _track_quietly() -> None:
    """Start the process that removes what a killed one leaves of semaphores, if there is none yet.

    It does so in any case; its warning, after a Ctrl-C, tells a person of nothing to be done. Begun
    by the server of copies, it would inherit that one's signal mask.
    """
    from multiprocessing import resource_tracker

    kept = os.environ.get(WARNINGS)
    os.environ[WARNINGS] = ",".join(filter(None, [kept, "ignore:resource_tracker"]))
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ[WARNINGS]
        if kept is not None:
            os.environ[WARNINGS] = kept


class Surroundings:
    """Environment and output of this process as it is now, for a child to take over.

    The process that children are copied from has those of the time when it was started. Made and
    pickled where the child is started, and in no other place.
    """

    def __init__(self) -> None:
        self.environment = dict(os.environ)

    def __getstate__(self) -> dict[str, Any]:
        if not copies():
            return {"environment": self.environment, "outputs": {}}
        from multiprocessing.reduction import DupFd

        # One that was closed when Python began is None; its number may be another file's by now.
        own = {1: sys.__stdout__, 2: sys.__stderr__}
        outputs = {number: DupFd(number) for number, stream in own.items() if stream is not None}
        return {"environment": self.environment, "outputs": outputs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.environment, self.outputs = state["environment"], state["outputs"]

    def take_over(self) -> None:
        """Give this process the surroundings of the one that started it, and Ctrl-C."""
        for number, output in self.outputs.items():
            own = output.detach()
            os.dup2(own, number)
            os.close(own)
        speak_any()
        os.environ.clear()
        os.environ.update(self.environment)
        if copies():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
