"""Whether a task can be trusted: its prompts, its own right answers, wrong ones, and its splits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltf_lite.core.text import printable
from ltf_lite.tasks.contract import SPLITS, Problem, Solver, Task, TaskError

MOST = 200  # problems of each split
SHOWN = 5  # prompts, and problems of one fault
# No answer to any question: nothing, no numbers, and expressions that only code could work out.
GIVEN_UP, PATIENCE = 5, 4.0  # undecided verdicts, and seconds, after which no more are tried
PROBES = (
    "",
    "Answer:",
    "Answer: nan",
    "Answer: inf",
    "Answer: 9**9**9**9",
    "Answer: __import__('os').getpid()",
    "Answer: " + "(" * 500,
    "Answer: 1 2 3 4 5 6 7 8 9",
)
Lengths = Callable[[Sequence[str]], "list[int] | None"]


@dataclass(frozen=True)
class Tally:
    """How many texts of a kind were tried, and how many the verifier called right.

    `undecided` are those of which it could say nothing. `wrong` shows some that went against what
    they should be: problem, text, message.
    """

    tried: int
    right: int
    undecided: int
    wrong: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Check:
    """What a check of a task found.

    `splits` counts the problems looked at; `lengths` are the smallest, median and largest count
    of a prompt and of a right path in `unit`. `faults` make the check fail, `remarks` do not.
    """

    task: str
    dialect: str
    splits: dict[str, int]
    prompts: tuple[str, ...]
    golds: Tally
    others: Tally
    probes: Tally
    unit: str
    lengths: dict[str, tuple[int, int, int]]
    seconds_a_verdict: float
    faults: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, **asdict(self)}


def check(task: Task, dialect: str = "zero_shot", lengths: Lengths | None = None) -> Check:
    """Check a task on at most MOST problems of each split; raises TaskError if it has none."""
    drawn = {split: task.up_to(split, MOST, 0) for split in SPLITS}
    problems = [problem for split in SPLITS for problem in drawn[split]]
    if not problems:
        raise TaskError(f"{task.name} has no problems")
    golds = [(problem, gold_of(task, problem, dialect)) for problem in problems]
    known = [(problem, gold) for problem, gold in golds if gold is not None]
    began = time.perf_counter()
    tally = _tried(task, known, True)
    seconds = (time.perf_counter() - began) / max(1, tally.tried)
    others = _tried(task, _others(task, known), False)
    probes = _tried(task, _probes(task, problems[:3]), False)
    prompts = [task.prompt(problem, dialect) for problem in problems]
    counted, unit = _lengths(prompts, [gold for _, gold in known], lengths)
    return Check(
        task=task.sign,
        dialect=dialect,
        splits={split: len(own) for split, own in drawn.items()},
        prompts=tuple(prompts[:SHOWN]),
        golds=tally,
        others=others,
        probes=probes,
        unit=unit,
        lengths=counted,
        seconds_a_verdict=seconds,
        faults=tuple(_faults(task, drawn, tally, others, probes)),
        remarks=tuple(_remarks(task, drawn, tally, probes)),
    )


def gold_of(task: Task, problem: Problem, dialect: str) -> str | None:
    """The text of a right path: the task's own, else the first solution of its solver."""
    gold = task.gold(problem)
    if gold is None and isinstance(task, Solver) and task.solvable(problem):
        solution = next(iter(task.solutions(problem)), None)
        return None if solution is None else task.write(problem, solution, dialect)
    return gold


def _tried(task: Task, texts: Iterable[tuple[Problem, str]], right: bool) -> Tally:
    """What the verifier says of texts that are all right, or all not."""
    tried = called = undecided = 0
    wrong = []
    began = time.perf_counter()
    for problem, text in texts:
        if undecided >= GIVEN_UP and time.perf_counter() - began > PATIENCE:
            break
        verdict = task.verify(problem, task.parse(problem, text))
        tried += 1
        called += verdict.correct
        undecided += verdict.kind in task.spared
        if verdict.correct != right:
            wrong.append((problem.text, text, verdict.message))
    return Tally(tried, called, undecided, tuple(wrong[:SHOWN]))


def _others(task: Task, known: Sequence[tuple[Problem, str]]) -> Iterator[tuple[Problem, str]]:
    """Each problem with the right path of another that answers something else."""
    for (problem, own), (_, other) in zip(known, [*known[1:], *known[:1]], strict=True):
        if task.answer(task.parse(problem, own)) != task.answer(task.parse(problem, other)):
            yield problem, other


def _probes(task: Task, problems: Sequence[Problem]) -> Iterator[tuple[Problem, str]]:
    for problem in problems:
        for probe in (*PROBES, *_expressions(task, problem)):
            yield problem, probe


def _expressions(task: Task, problem: Problem) -> list[str]:
    """What equals the right answer only for a verifier that evaluates what a model wrote."""
    gold = gold_of(task, problem, "zero_shot")
    answer = task.answer(task.parse(problem, gold)) if gold else None
    whole = answer is not None and answer.strip().isdecimal()
    return [f"Answer: {answer}+0", f"Answer: 1*{answer}"] if whole else []


def _lengths(
    prompts: list[str], golds: list[str], lengths: Lengths | None
) -> tuple[dict[str, tuple[int, int, int]], str]:
    """Smallest, median and largest; in tokens where a model's tokenizer is at hand."""
    unit, found = "characters", {}
    for name, texts in (("prompt", prompts), ("right path", golds)):
        told = lengths(texts) if lengths else None
        if told is not None:
            unit = "tokens"
        counts = sorted(told or map(len, texts))
        if counts:
            found[name] = (counts[0], counts[len(counts) // 2], counts[-1])
    return found, unit


def _faults(
    task: Task, drawn: dict[Any, list[Problem]], golds: Tally, others: Tally, probes: Tally
) -> list[str]:
    faults = []
    if golds.right < golds.tried:
        missed = golds.tried - golds.right
        faults.append(
            f"{missed} of {golds.tried} right answers are not called right by the verifier: "
            f"{printable(golds.wrong[0][2], 120)}"
        )
    if others.right:
        faults.append(
            f"{others.right} of {others.tried} answers of other problems are called right"
        )
    if probes.right:
        faults.append(f"{probes.right} of {probes.tried} texts without an answer are called right")
    seen: dict[str, str] = {}
    for split, problems in drawn.items():
        for problem in problems:
            if seen.setdefault(problem.id, split) != split:
                faults.append(f"the problem {printable(problem.text, 60)} is in two splits")
    return faults


def _remarks(task: Task, drawn: dict[Any, list[Problem]], golds: Tally, probes: Tally) -> list[str]:
    remarks = list(task.remarks())
    for split, problems in drawn.items():
        if len(problems) < 30:
            remarks.append(f"only {len(problems)} {split} problems: 30 tell something, 200 enough")
    if not golds.tried:
        remarks.append("no right answers are known: the verifier cannot be checked on them")
    if probes.undecided:
        remarks.append(
            f"{probes.undecided} of {probes.tried} texts without an answer are undecided: does the "
            "verifier run what a model wrote, or raise on it?"
        )
    return remarks


def as_text(found: Check) -> str:
    """The check for a person."""
    lines = [f"{found.task}: {'passed' if found.passed else 'FAILED'}"]
    for number, prompt in enumerate(found.prompts, 1):
        lines += [f"-- prompt {number} ({found.dialect})", *_indented(prompt)]
    lines.append("--")
    lines.append("problems looked at: " + ", ".join(f"{n} {s}" for s, n in found.splits.items()))
    for name, (low, middle, high) in found.lengths.items():
        lines.append(f"{name}: {low} to {high} {found.unit}, median {middle}")
    for name, tally, want in (
        ("right answers called right", found.golds, "all"),
        ("answers of other problems called right", found.others, "none"),
        ("texts without an answer called right", found.probes, "none"),
    ):
        undone = f", {tally.undecided} undecided" if tally.undecided else ""
        lines.append(f"{name}: {tally.right} of {tally.tried} (must be {want}){undone}")
        for problem, text, message in tally.wrong:
            shown = f"{printable(problem, 70)} | {printable(text, 50)} | {printable(message, 90)}"
            lines.append(f"    {shown}")
    lines.append(f"a verdict takes {1000 * found.seconds_a_verdict:.2f} ms")
    lines += [f"fault: {each}" for each in found.faults]
    lines += [f"remark: {each}" for each in found.remarks]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text[:2000].split("\n")]


__all__ = ["Check", "Tally", "as_text", "check", "gold_of"]
