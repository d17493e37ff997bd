"""Bounds of time that a busy machine does not break: a thread's own seconds, the best of tries."""

import time
from collections.abc import Callable


def own_seconds(act: Callable[[], object], limit: float, tries: int = 3) -> float:
    """CPU seconds that this thread spends in `act`: the first below `limit`, else the least."""
    best = float("inf")
    for _ in range(tries):
        began = time.thread_time()  # other threads and other programs do not count
        act()
        best = min(best, time.thread_time() - began)
        if best < limit:
            break
    return best
