"""How a command ends that was ended from outside: by Ctrl-C, or by the signal to terminate."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

AGAIN = 0.05  # seconds after which an interrupt that was lost is said again


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is: everything that tidies up after that does it for this too."""


def _raise(*_: Any) -> NoReturn:
    raise Terminated


@contextmanager
def heeding_signals() -> Iterator[None]:
    """Meanwhile no Ctrl-C is lost, and SIGTERM raises Terminated.

    Not where whoever started this process ignores SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = sys.unraisablehook
    coming: list[threading.Timer] = []
    unheeded = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            coming.append(_again(lost.exc_value))
        else:
            usual(lost)

    sys.unraisablehook = hook
    if unheeded:
        signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        for each in coming:
            each.cancel()
        sys.unraisablehook = usual
        if unheeded:
            with suppress(ValueError):
                signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _again(lost: KeyboardInterrupt) -> threading.Timer:
    """Send once more what Python could raise nowhere.

    It can't in a callback of C code, of a weak reference or of the garbage collector, and imports
    are full of those.
    """
    number = signal.SIGTERM if isinstance(lost, Terminated) else signal.SIGINT
    later = threading.Timer(AGAIN, _send, [number])
    later.daemon = True
    later.start()
    return later


def _send(number: signal.Signals) -> None:
    if hasattr(signal, "pthread_kill"):  # ends a wait of the main thread, too
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
