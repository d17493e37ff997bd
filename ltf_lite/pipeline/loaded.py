"""Imports what takes a stage seconds; the process that stages are copied from imports this alone.

Which modules it has imported is all that the copies share: no engine, no thread, no card.
"""

from __future__ import annotations

import logging
import os
import signal
from importlib import import_module

from ltf_lite.pipeline.begin import ASKED_BY

ORPHANED = 0.2  # seconds between two looks whether anybody still waits for this

# On import, bitsandbytes asks for a pack of CPU kernels that nothing here needs.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
parent = int(os.environ.get(ASKED_BY, os.getppid()))


def look(*_: object) -> None:
    """End this process where the one that started it is gone.

    Later it would notice by itself. A thread must not look: the process is to be copied.
    """
    if os.getppid() != parent:
        os._exit(0)


signal.signal(signal.SIGALRM, look)
signal.setitimer(signal.ITIMER_REAL, ORPHANED, ORPHANED)
for stage in ("tune", "search", "export", "report"):
    import_module(f"ltf_lite.pipeline.stages.{stage}")
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_DFL)
