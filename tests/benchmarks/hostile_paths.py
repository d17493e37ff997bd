"""`python -m tests.benchmarks.hostile_paths [COUNT] [SEED]`: what no model should write, verified.

COUNT random and mutated texts for each of countdown, game24 and a free-text task go through
`ltf verify`'s own reader, some of them in lines that are no JSON. No exception, a verdict for each
line, and it is right exactly where a second verifier of its own says so. It prints a table and
exits with 1 where that does not hold.
"""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ltf_lite.core.text import sound
from ltf_lite.tasks import Problem, Task, get_task
from ltf_lite.tasks.batch import BAD_INPUT, verify_lines
from tests.second_verifier import mutated, slow_answer, slow_verdict, some_path

CHUNK = 1000
FEW = 4  # problems a chunk: the second verifier remembers what can be reached in few
PIECES = (
    *("\ud800", "\udfff", "\0", "\ufeff", "\u202e", "\u2028", "\x85", "\x1b[2J", "e\u0301", "\r"),
    *("9" * 4400, "(" * 300, "-" * 50, "1e999", "nan", "inf", "0x1F", "1_000", "**", "//", "<<"),
    *("Answer:", "answer :", "Answer: Answer:", "(left:", "(left: )", "= = =", "1/0", "0/0", ","),
    *("__import__('os')", "{}", "%s", "</script>", "日本", "٣", "½", "²", "🙂", "\n\n", "\t"),
)

Right = Callable[[Problem, str], bool]


def wild(rng: random.Random) -> str:
    """Characters and pieces that nobody expects."""
    parts: list[str] = []
    for _ in range(rng.randrange(30)):
        kind = rng.random()
        if kind < 0.4:
            parts.append(chr(rng.randrange(0x110000)))
        elif kind < 0.7:
            parts.append(rng.choice(PIECES))
        else:
            parts.append("".join(rng.choices("0123456789+-*/=(),. \n", k=rng.randrange(12))))
    return "".join(parts)


def hostile(some: str, rng: random.Random) -> str:
    """A path that was mutated, one with a wild piece in it, or a wild text."""
    kind = rng.random()
    if kind < 0.6:
        return some
    if kind < 0.8:
        at = rng.randrange(len(some) + 1)
        return some[:at] + rng.choice(PIECES) + some[at:]
    return wild(rng)


def free_text(problem: Problem, rng: random.Random) -> str:
    """A few lines and the answer of a question, mutated."""
    lines = [wild(rng) for _ in range(rng.randrange(3))]
    text = "\n".join([*lines, f"Answer: {problem.data['answer']}{rng.choice(['', '.', ' .'])}"])
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        text = mutated(text, rng)
    return text


def line_of(problem: Problem, text: str, rng: random.Random) -> tuple[bytes, bool]:
    """A line for the verifier, and whether it can be read."""
    raw = json.dumps({"problem": problem.data, "text": text}).encode()
    if rng.random() < 0.98:
        return raw, True
    bad = [b"", raw[: rng.randrange(1, len(raw))], b"[" * 5000, b"\xff" + raw, b"null", raw + b"}"]
    return rng.choice(bad), False


def tried(
    task: Task, problems: list[Problem], write: Any, right: Right, count: int, rng: random.Random
) -> tuple[Counter[str], list[str]]:
    """What became of the texts of a task, and every one that did not fare as it had to."""
    found, wrong = Counter[str](), []
    for begin in range(0, count, CHUNK):
        asked, some = [], rng.sample(problems, FEW)
        for _ in range(min(CHUNK, count - begin)):
            problem = rng.choice(some)
            text = hostile(write(problem, rng), rng)
            asked.append((problem, text, *line_of(problem, text, rng)))
        out = io.StringIO()
        verify_lines(task, io.BytesIO(b"\n".join(raw for *_, raw, _ in asked) + b"\n"), out)
        verdicts = [json.loads(line) for line in out.getvalue().splitlines()]
        if len(verdicts) != len(asked):
            wrong.append(f"{len(verdicts)} verdicts of {len(asked)} lines")
            continue
        for (problem, text, _, whole), verdict in zip(asked, verdicts, strict=True):
            wanted = right(problem, sound(text)) if whole else False
            if verdict["correct"] != wanted or (verdict["kind"] == BAD_INPUT) == whole:
                wrong.append(f"{problem.text} {text!r}: {verdict}")
            found[verdict["kind"] or "right"] += 1
    return found, wrong


def free(folder: Path) -> Task:
    """A free-text task whose answers are of several kinds."""
    answers = ["4", "Paris", "−7.5 °C", "e = mc²", "Straße", "a.b.", "日本 語", "no  more"]
    rows = [{"question": f"Question {k}?", "answer": answers[k % 8]} for k in range(80)]
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return get_task("reference", file=str(file))


def campaign(count: int, seed: int, folder: Path) -> Iterator[tuple[str, Counter[str], list[str]]]:
    """Name of each task, what became of `count` texts of it, and those that fared wrong."""
    for name in ("countdown", "game24", "reference"):
        task: Any = free(folder) if name == "reference" else get_task(name)
        rng = random.Random(f"{name} {seed}")

        def game(problem: Problem, rng: random.Random, task: Any = task) -> str:
            return some_path(task, problem, rng)

        def right(problem: Problem, text: str, task: Any = task) -> bool:
            if task.name == "reference":
                return slow_answer(problem.data["answer"], text)
            return slow_verdict(problem, task.rules, text) == (None, None)

        write = free_text if name == "reference" else game
        problems = task.problems("train", 40, seed)
        yield name, *tried(task, problems, write, right, count, rng)


def main(count: int = 40_000, seed: int = 0) -> int:
    began, total, failed = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as place:
        for name, kinds, wrong in campaign(count, seed, Path(place)):
            total, failed = total + kinds.total(), failed + len(wrong)
            told = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
            print(f"{name}: {kinds.total()} texts, {len(wrong)} wrong; {told}", flush=True)
            for each in wrong[:20]:
                print(each[:400])
    print(f"{total} texts, {failed} wrong, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
