"""A task of free text without a solver: the sum of two numbers, in words, with an answer line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from ltf_lite.tasks import Path, Problem, Split, Task, Verdict
from ltf_lite.tasks.contract import Line
from ltf_lite.tasks.failures import FREE_TEXT_KINDS, as_cut_off, failure_kind
from ltf_lite.tasks.text_steps import split

_ANSWER = re.compile(r"^Answer:[ \t]*(\S.*)$", re.MULTILINE)


class Sums(Task):
    kinds: ClassVar[Mapping[str, str]] = FREE_TEXT_KINDS

    name: str = "sums"

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        return [self.problem({"sum": [k + 1, seed + 2]}) for k in range(n)]

    def problem(self, data: Any) -> Problem:
        a, b = data["sum"]
        return Problem("sums", f"sums:{a}+{b}", f"{a} + {b}?", {"sum": [a, b]})

    def prompt(self, problem: Problem, dialect: str) -> str:
        return f"Question: {problem.text}\n"

    def parse(self, problem: Problem, text: str) -> Path:
        match = _ANSWER.search(text)
        end = match.start() if match else len(text)
        lines = tuple(Line(text[a:b], a, b, a, b) for a, b in split(text[:end]))
        if match is None:
            return Path(lines, None)
        return Path(lines, Line(match[0], *match.span(), *match.span(1), match[1].strip()))

    def verify(self, problem: Problem, path: Path) -> Verdict:
        if path.answer and path.answer.step == str(sum(problem.data["sum"])):
            return Verdict(True, None, None, "correct")
        text = "\n".join(line.text for line in path.lines)
        spans, at = [], 0
        for line in path.lines:
            spans.append((at, at + len(line.text)))
            at += len(line.text) + 1
        return Verdict(False, *failure_kind(text, spans, path.answer is not None))

    def cut_off(self, verdict: Verdict) -> Verdict:
        return as_cut_off(verdict)


class OwnJudge(Sums):
    """The same with one question of its own."""

    def judge(self, problem: Problem, state: Any, lines: Any, dialect: str) -> str:
        return f"my own question about {problem.text}\n"
