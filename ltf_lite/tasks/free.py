"""What tasks of free text share: prompts, the answer behind its marker, and its verdict.

Such a task gives problems whose data has a `question` and, where it is known, the `answer`. A
verifier compares. What can't be compared is no failure: it is dropped and counted.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from ltf_lite.tasks.answers import MAX_TEXT, Found, find_answer
from ltf_lite.tasks.contract import Line, Path, Problem, Task, Verdict
from ltf_lite.tasks.verifiers import Judgement, Verifier

INSTRUCTION = 'Think step by step, one step a line. End with a line that begins with "Answer:".'
SHOWN = 80  # characters of an answer in a verdict
_LINE = re.compile(r"\S[^\n]*")


class FreeText(Task):
    """A task whose paths are lines of text that end with an answer.

    `instruction` is what a model is told that is shown no worked examples; `shots` is how many of
    those a few-shot prompt has; `path_tokens` are enough for a path.
    """

    kinds: ClassVar[Mapping[str, str]] = {
        "no_answer": "There is no answer behind a marker such as “Answer:”.",
        "wrong_answer": "The answer is not the right one.",
        "undecided": "It could not be said whether the answer is right.",
        "unchecked": "The right answer is not known.",
    }
    spared: ClassVar[frozenset[str]] = frozenset({"undecided", "unchecked"})

    instruction: str = INSTRUCTION
    shots: int = Field(2, ge=0, le=16)
    path_tokens: int = Field(256, gt=0, le=16_384)

    @abstractmethod
    def worked(self) -> Sequence[Problem]:
        """Training problems for the worked examples of a few-shot prompt, `shots` and one more."""

    @abstractmethod
    def judge(self, problem: Problem, answer: str) -> Judgement:
        """Whether an answer is right; raises nothing."""

    def checks(self, problem: Problem) -> bool:
        """Whether it is known what the right answer is."""
        return bool(problem.data.get("answer"))

    def gold(self, problem: Problem) -> str | None:
        answer = problem.data.get("answer")
        if not answer:
            return None
        solution = str(problem.data.get("solution") or "")
        found = find_answer(solution)
        way = solution[: line_of(solution, found)[0]].rstrip() if found else ""
        return f"{way}\nAnswer: {answer}" if way else f"Answer: {answer}"

    def prompt(self, problem: Problem, dialect: str) -> str:
        if dialect == "chat":
            return f"{problem.text}\n\n{self.instruction}"
        others = self.worked() if dialect == "few_shot" else ()
        shown = [each for each in others if each.id != problem.id][: self.shots]
        shots = "".join(f"Question: {p.text}\n{_one_block(self.gold(p))}\n\n" for p in shown)
        told = f"{self.instruction}\n\n" if dialect == "few_shot" and not shots else ""
        return f"{told}{shots}Question: {problem.text}\n"

    def stop(self, dialect: str) -> list[str]:
        return [] if dialect == "chat" else ["\n\n", "Question:"]

    def room(self, problem: Problem, dialect: str) -> int:
        return self.path_tokens

    def parse(self, problem: Problem, text: str) -> Path:
        text = text[:MAX_TEXT]
        found = find_answer(text)
        begin, stop = (len(text), len(text)) if found is None else line_of(text, found)
        lines = tuple(
            Line(m[0].rstrip(), m.start(), m.end(), m.start(), m.end())
            for m in _LINE.finditer(text, 0, begin)
        )
        if found is None:
            return Path(lines, None)
        shown = text[begin:stop].strip()
        return Path(lines, Line(shown, begin, stop, found.start, found.end, found.text))

    def verify(self, problem: Problem, path: Path) -> Verdict:
        at = len(path.lines)
        if path.answer is None:
            return Verdict(False, "no_answer", at, "there is no line that begins with 'Answer:'")
        said = str(path.answer.step).strip()
        if not self.checks(problem):
            return Verdict(False, "unchecked", None, f"the answer is {said[:SHOWN]!r}, unchecked")
        found = self.judge(problem, said)
        read = f" (read as {found.read[:SHOWN]})" if found.read not in ("", said) else ""
        if found.right is None:
            return Verdict(False, "undecided", None, f"{said[:SHOWN]!r}: {found.why}")
        if found.right:
            return Verdict(True, None, None, f"correct: {said[:SHOWN]}{read}")
        why = f": {found.why}" if found.why else ""
        message = f"the answer is {said[:SHOWN]!r}{read}, which is wrong{why}"
        return Verdict(False, "wrong_answer", at, message)

    def answer(self, path: Path) -> str | None:
        return None if path.answer is None else self.same(str(path.answer.step))

    def same(self, answer: str) -> str:
        """An answer so that equal ones are equal texts: what samples vote by."""
        return " ".join(answer.split()).casefold()


def line_of(text: str, found: Found) -> tuple[int, int]:
    """Where the line of an answer begins and ends; it begins with its marker's line."""
    begin = text.rfind("\n", 0, found.start) + 1
    if not text[begin : found.start].strip() and found.marker != "\\boxed":
        begin = text.rfind("\n", 0, len(text[:begin].rstrip())) + 1
    end = text.find("\n", found.end)
    return begin, len(text) if end < 0 else end


def _one_block(text: str | None) -> str:
    """A worked example without blank lines: they end a few-shot path."""
    return re.sub(r"\n\s*\n", "\n", text or "")


def compared(verifier: Verifier, problem: Problem, answer: str) -> Judgement:
    """What a verifier says of an answer to a problem with a known one."""
    return verifier.judge(answer, str(problem.data["answer"]), problem.data)


def told(data: Any, question: str = "question") -> bool:
    """Whether the data of a problem has a question that is a text."""
    return (
        isinstance(data, Mapping)
        and isinstance(data.get(question), str)
        and bool(data[question].strip())
    )


def named(verifier: Any) -> Any:
    """The settings of a verifier of which only the name is given."""
    return {"name": verifier} if isinstance(verifier, str) else verifier
