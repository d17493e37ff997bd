"""How the threads of torch and llama.cpp wait for each other; to be set before either is loaded."""

from __future__ import annotations

import os

# Threads that sleep at once gain nothing from a second core on small models; threads that spin as
# long as libgomp lets them (100 times this) starve each other as soon as another process wants the
# cores. On two cores this many turns gave search 1.4 and llama.cpp twice the speed of sleeping,
# and cost a quarter of it where two processes shared the cores.
SPIN = "3000"


def wait_briefly() -> None:
    """Let waiting threads spin for a moment, unless the environment says how they wait."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
