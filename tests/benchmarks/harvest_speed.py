"""How fast the exact searches harvest: `python tests/benchmarks/harvest_speed.py [--runs 5]`.

Searched, written, verified and made rows of: one process, one thread, a second of its core's time.
Medians of alternating runs (every search once, then every search again), with the smallest and the
largest. Every run has problems of its own, as a harvest has, so that no cache is warm from the run
before. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from ltf_lite.harvest import rows_of
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import Problem, get_task

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
PROBLEMS = 300  # a run and a search
SEARCHES = (("dfs", 4, 4), ("bfs", 4, 4), ("dfs", 64, 64), ("bfs", 64, 256))


def harvested(search: tuple[str, int, int], problems: list[Problem]) -> int:
    """Rows of verified paths."""
    name, paths, failures = search
    reasoner = get_reasoner(name, paths=paths, failures=failures)
    solutions = solve(reasoner, problems, TASK, dialect="compact")
    return sum(len(rows_of(each, TASK, "compact", reasoner, "none", 0)) for each in solutions)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    lots = [(run, search) for run in range(runs) for search in SEARCHES]
    problems = iter(TASK.problems("train", PROBLEMS * (len(lots) + 1), 1))
    harvested(SEARCHES[0], [next(problems) for _ in range(PROBLEMS)])  # what is loaded only once
    speeds: dict[tuple[str, int, int], list[float]] = {search: [] for search in SEARCHES}
    kept = dict.fromkeys(SEARCHES, 0)
    for _, search in lots:
        own = [next(problems) for _ in range(PROBLEMS)]
        began = time.process_time()
        rows = harvested(search, own)
        speeds[search].append(rows / (time.process_time() - began))
        kept[search] += rows
    print(f"{runs} alternating runs of {PROBLEMS} problems: median (smallest, largest)")
    for search, found in speeds.items():
        name, paths, failures = search
        print(
            f"{name}, paths={paths}, failures={failures}: "
            f"{median(found):,.0f} paths a second ({min(found):,.0f}, {max(found):,.0f}), "
            f"{kept[search] / runs / PROBLEMS:.1f} a problem"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
