"""A process that ends soon after the one that started it, in whatever way that ended."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from typing import Any

ORPHANED = 0.2  # seconds after which a process notices that its parent is gone


def die_with_parent() -> None:
    """Let this process end soon after its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: Any) -> None:
    if os.name == "nt":  # there, a process keeps the number of a parent that is gone
        parent.join()
        os._exit(1)
    # Of a copy this is the process that it was copied from, which ends with the one that is meant.
    own = os.getppid()
    while os.getppid() == own and parent.is_alive():
        time.sleep(ORPHANED)
    os._exit(1)
