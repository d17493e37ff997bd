"""How many threads torch and llama.cpp may use, and how these wait for each other."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

# Threads that sleep at once gain nothing from a second core on small models; threads that spin as
# long as libgomp lets them (100 times this) starve each other as soon as another process wants the
# cores. On two cores this many turns gave search 1.4 and llama.cpp twice the speed of sleeping,
# and cost a quarter of it where two processes shared the cores.
SPIN = "3000"
ASKED = "OMP_NUM_THREADS"
MOST = 1024  # more threads than this are no wish, but a mistake
CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def wait_briefly() -> None:
    """Settle in the environment what OpenMP reads once, when torch or llama.cpp is loaded.

    Waiting threads spin for a moment, unless the environment says how they wait. Their number is
    told where OpenMP would not find it: it knows no quota, and no number that is not well written.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    unread = ASKED in os.environ and _asked() is None
    if unread or (ASKED not in os.environ and cores() < _reachable()):
        os.environ[ASKED] = str(cores())


def threads() -> int:
    """Threads for one model: what OMP_NUM_THREADS asks for, else every core that may be used."""
    return _asked() or cores()


def cores() -> int:
    """Cores that this process may use, by its affinity and by the quota of its cgroups."""
    quota = _quota()
    return _reachable() if quota is None else min(_reachable(), max(1, math.ceil(quota)))


def _asked() -> int | None:
    """OMP_NUM_THREADS as OpenMP reads it: a number a level of nesting, the first of them ours."""
    first = re.match(r"\s*([0-9]{1,9})\s*(?:,|$)", os.environ.get(ASKED, ""))
    return int(first[1]) if first and 0 < int(first[1]) <= MOST else None


def _reachable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota() -> float | None:
    """Cores by the smallest CPU quota of this process's cgroups; None where there is none."""
    found = []
    for folder in _own_cgroups():
        try:
            if (folder / "cpu.max").exists():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            found.append(float(quota) / float(period))
        except (OSError, ValueError, ZeroDivisionError):  # no quota there, or none ("max")
            continue
    return min((cores for cores in found if cores > 0), default=None)


def _own_cgroups() -> list[Path]:
    """The folders of this process's cgroups that limit CPUs, and of those around them.

    In a container the own group is often shown as the top, and its path names nothing: then the
    top is asked.
    """
    folders: list[Path] = []
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top in (CGROUPS, CGROUPS / controllers if controllers else CGROUPS / "unified"):
            own = top / path.lstrip("/")
            folders += [at for at in (own, *own.parents) if at.is_relative_to(top)]
    return list(dict.fromkeys(folders))


__all__ = ["cores", "threads", "wait_briefly"]
