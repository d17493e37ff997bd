"""How often something that grows is looked at."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import ParamSpec

PAUSE = 0.1  # seconds between two looks …
SHARE = 10  # … or so many times what the last one took, if that is more

P = ParamSpec("P")


def paced(look: Callable[P, None]) -> Callable[P, None]:
    """A look that is left out where the last one was only just taken."""
    due = 0.0

    def often(*args: P.args, **kwargs: P.kwargs) -> None:
        nonlocal due
        began = monotonic()
        if began >= due:
            look(*args, **kwargs)
            ended = monotonic()
            due = ended + max(PAUSE, SHARE * (ended - began))

    return often
