"""Pilot and training to the end on tasks of every kind, each with a base that half learnt it.

`python -m tests.benchmarks.any_task FOLDER [NAME ...]` prints a Markdown table; what is there is
not made again. The bases have 1.2 M weights, were pretrained on the task's own text with slips, and
know nothing else (`tests/half_taught.py`): this shows that the way works, not what a language model
gains.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from ltf_lite.evaluation.compare import compared
from ltf_lite.evaluation.types import read_record
from ltf_lite.tasks import Problem, Task, get_task
from ltf_lite.tasks.example import write_example
from tests.half_taught import make, sums
from tests.word_problems import problems as word_problems

HERE = Path(__file__).parents[2]
# Task → its reference, its settings, and how long its base is pretrained.
TASKS = {
    "sums.py": ("my_task/my_task.py", {}, 3000),
    "words.jsonl": ("my_task/questions.jsonl", {}, 1500),
    "chain_sum": (
        "reasoning-gym:chain_sum",
        {"config": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}},
        700,
    ),
    "gcd": ("reasoning-gym:gcd", {"config": {"max_numbers": 2, "max_value": 60}}, 700),
    "simple_equations": (
        "reasoning-gym:simple_equations",
        {"config": {"max_terms": 2, "max_value": 20}},
        900,
    ),
    "number_sequence": (
        "reasoning-gym:number_sequence",
        {"config": {"min_value": 0, "max_value": 50, "max_complexity": 1}},
        700,
    ),
    "lcm": ("reasoning-gym:lcm", {"config": {"max_numbers": 2, "max_value": 20}}, 700),
    "products": ("reasoning-gym:products", {"config": {"max_terms": 2, "max_digits": 1}}, 500),
}


def ltf(*args: object) -> str:
    command = [sys.executable, "-m", "ltf_lite", *map(str, args)]
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, args))}: {done.stderr[-800:]}")
    return done.stdout


def run(name: str) -> str:
    """A row of the table."""
    reference, settings, steps = TASKS[name]
    task, base, preset = get_task(reference, **settings), Path("bases") / name, Path(f"{name}.yaml")
    if not (base / "config.json").exists():
        make(task, base, steps, more=_more(name, task))
    told = [part for key, value in settings.items() for part in _told(key, value)]
    piloted = Path(f"{name}.pilot.json")
    if not piloted.exists():
        found = ltf(
            "pilot", reference, *told, "--task-set", "path_tokens=48", "--model", base,
            "--out", preset, "--json",
        )  # fmt: skip
        piloted.write_text(found)
    pilot = json.loads(piloted.read_text())
    ltf("train", preset, "--out", Path("runs") / name)
    return row(name, pilot, Path("runs") / name)


def _more(name: str, task: Task) -> list[Problem]:
    """What a base is pretrained on where the task's own problems are few."""
    if name == "words.jsonl":
        return [task.problem(each) for each in _answered()]
    return sums(task) if name == "sums.py" else []


def _answered() -> list[dict[str, str]]:
    """Word problems besides those of the task, as its file gives them."""
    known = {each["question"] for each in word_problems()}
    more = [each for each in word_problems(5000, seed=1) if each["question"] not in known]
    ways = [each["answer"].rsplit("\n#### ", 1) for each in more]
    return [
        {"question": each["question"], "answer": way[1], "solution": each["answer"]}
        for each, way in zip(more, ways, strict=True)
    ]


def _told(key: str, value: object) -> tuple[str, str]:
    return "--task-set", f"{key}={json.dumps(value)}"


def row(name: str, pilot: dict, folder: Path) -> str:
    ways = {way["name"]: way["rate"]["rate"] for way in pilot["ways"]}
    files = [*(folder / "evaluation").glob("*/*.test.json")]
    records = [read_record(file) for file in files]
    single = {r.model: r.single_pass.rate for r in records if r.single_pass}
    against = compared(records)[0]
    cells = [
        name,
        " / ".join(f"{100 * ways[way]:.0f}" for way in list(ways)),
        pilot["advice"]["kind"].replace("_", " "),
        *(
            f"{100 * r.rate:.1f} % [{100 * r.low:.1f}, {100 * r.high:.1f}]"
            for r in (single["base"], single["tuned"])
        ),
        f"{against.points:+.1f} [{against.low:+.1f}, {against.high:+.1f}], p = {against.p:.2g}",
        str(against.n),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[*TASKS, []])
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(args.folder)
    if not Path("my_task").exists():
        write_example(Path())
    rows = []
    for name in args.names or TASKS:
        rows.append(run(name))
        print(rows[-1], file=sys.stderr, flush=True)
    print("| task | pilot: 1 / sc@8 / oracle@8 / tree, % | advice | base | tuned | by | n |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
