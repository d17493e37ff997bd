"""`python -m tests.benchmarks.bit_flips [COUNT] [SEED]`: bits that turn over in a run's files.

Of a small run that a kill left half finished, at least COUNT random bits are turned over, one at a
time, in every kind of file that it goes on with. It prints how many of each were tried and how many
would have been used as they are, and exits with 1 if there is one.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import yaml

from tests.conftest import SMALL, ltf
from tests.rot import flips, half_finished, used


def main(count: int = 300, seed: int = 0) -> int:
    with tempfile.TemporaryDirectory() as place:
        preset, folder = Path(place, "small.yaml"), Path(place, "small")
        preset.write_text(yaml.safe_dump(SMALL))
        made = ltf("train", preset, "--out", folder)
        assert made.returncode == 0, made.stderr
        return campaign(folder, count, seed)


def campaign(folder: Path, count: int, seed: int) -> int:
    """Turn bits of a finished run over, which is spoilt by it, and print the table."""
    run = half_finished(folder)
    files = len(list(used(run)))
    found = flips(run, random.Random(seed), -(-count // files))
    print(f"{'kind of file':<42}{'tried':>8}{'used':>8}")
    for kind, n in sorted(found.tried.items()):
        print(f"{kind:<42}{n:>8}{len(found.unnoticed.get(kind, ())):>8}")
    print(f"{f'all, {files} files':<42}{found.tried.total():>8}{len(found.missed):>8}")
    for each in found.missed:
        print(each)
    return 1 if found.missed else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
