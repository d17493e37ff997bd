"""`python -m tests.benchmarks.kills [COUNT] [SEED]`: a small run, killed at random instants.

Nine kinds of kill, over all stages; after each the same command goes on. Each run must end with the
adapter, merged model and GGUF files of one that nobody disturbed, byte by byte, and at no kill may
a file lie there whose tokens are not on the run's account. It prints a table and exits with 1 where
that does not hold.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from ltf_lite.core.manifest import read_manifest
from ltf_lite.pipeline.graph import STAGES
from tests.conftest import SMALL
from tests.killing import KINDS, Kill, Killed, kill_during, made, train, untold

EACH = 14  # kills a run
SMALLER = {
    "problems": {"train": 200, "validation": 10, "test": 12},
    "search": [
        {"name": "cot", "n": 2, "temperature": 1.0, "problems": 30, "max_tokens": 40},
        {"name": "bfs", "paths": 2, "failures": 1, "problems": 20},
        {"name": "dfs", "paths": 4, "failures": 1},
        {"name": "tot", "beam": 2, "problems": 10},
    ],
    "evaluation": [
        {"name": "cot", "n": 1, "max_tokens": 40},
        {"name": "tot", "beam": 2},
        {"name": "dfs"},
    ],
}


def whole(command: list[str]) -> None:
    """Let a run come to its end."""
    end = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert end.returncode == 0, end.stderr


def plan(rng: random.Random, count: int, first: int) -> list[tuple[str, float, Kill]]:
    """Stage, share of the time that it takes, and kind of each kill of a run, in order."""
    stages = sorted(rng.choices(range(len(STAGES)), k=count))
    kinds = [KINDS[(first + k) % len(KINDS)] for k in range(count)]
    rng.shuffle(kinds)
    return [(STAGES[at].name, rng.random(), kind) for at, kind in zip(stages, kinds, strict=True)]


def told(n: int, kind: Kill, found: Killed) -> None:
    last = (found.said.strip().splitlines() or [""])[-1]
    print(f"{n} {kind} in {found.stage}: ended {found.code}, {last[:100]!r}", flush=True)


def table(counts: Counter[tuple[str, str]]) -> None:
    names = [*(stage.name for stage in STAGES), "None"]
    print(f"{'':<14}" + "".join(f"{name:>10}" for name in names) + f"{'all':>8}")
    for kind in map(str, KINDS):
        row = [counts[kind, name] for name in names]
        print(f"{kind:<14}" + "".join(f"{n:>10}" for n in row) + f"{sum(row):>8}")


def main(count: int = 84, seed: int = 0) -> int:
    rng, counts, unlike, traced = random.Random(seed), Counter[tuple[str, str]](), [], 0
    began, runs = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as place:
        preset = Path(place, "small.yaml")
        preset.write_text(yaml.safe_dump(SMALL | SMALLER))
        calm = Path(place, "calm")
        whole(train(preset, calm))
        wanted = made(calm)
        seconds = {name: entry.seconds for name, entry in read_manifest(calm).stages.items()}
        while (done := counts.total()) < count:
            runs += 1
            command, folder = train(preset, Path(place, str(runs))), Path(place, str(runs))
            for stage, share, kind in plan(rng, min(EACH, count - done), done):
                found = kill_during(command, folder, stage, share * seconds[stage], kind)
                if not found.sent:
                    break
                counts[str(kind), str(found.stage)] += 1
                traced += "Traceback" in found.said
                told(counts.total(), kind, found)
                unlike += [f"run {runs}: tokens of {name}" for name in untold(folder)]
            whole(command)
            same = made(folder)
            unlike += [f"run {runs}: {name}" for name in wanted if same.get(name) != wanted[name]]
            unlike += [f"run {runs}: {each.name}" for each in folder.rglob("*.tmp")]
            print(f"run {runs}: {len(same)} files, {len(unlike)} unlike so far", flush=True)
    table(counts)
    print(
        f"{counts.total()} kills over {runs} runs, {len(wanted)} files compared of each;", end=" "
    )
    print(f"unlike: {len(unlike)}, tracebacks: {traced}, {time.monotonic() - began:.0f} s")
    print("\n".join(unlike))
    return 1 if unlike or set(same) != set(wanted) else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
