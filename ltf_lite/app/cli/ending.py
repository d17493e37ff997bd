"""How a command ends that was ended from outside: by Ctrl-C, or by the signal to terminate."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is: everything that tidies up after that does it for this too."""


def _raise(*_: Any) -> NoReturn:
    raise Terminated


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Meanwhile SIGTERM raises Terminated, unless whoever started this process ignores it."""
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
