"""What tasks of free text share: prompts, the answer behind its marker, and its verdict.

Such a task gives problems whose data has a `question` and, where it is known, the `answer`. A
verifier compares. What can't be compared is no failure: it is dropped and counted.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from ltf_lite.core.plugins import Settings
from ltf_lite.core.prompt import FEW_SHOT_CHAT, Prompt, chats
from ltf_lite.tasks.answers import MAX_TEXT, Found, find_answer
from ltf_lite.tasks.contract import Line, Path, Problem, Task, Verdict
from ltf_lite.tasks.failures import FREE_TEXT_KINDS, as_cut_off, failure_kind
from ltf_lite.tasks.text_steps import split
from ltf_lite.tasks.verifiers import Judgement, Verifier

INSTRUCTION = 'Think step by step, one step a line. End with a line that begins with "Answer:".'
OPEN = frozenset(("undecided", "unchecked"))  # verdicts that say neither right nor wrong
SHOWN = 80  # characters of an answer in a verdict


class Worked(Settings):
    """A worked example: a question, and all that is to be written for it, steps and answer."""

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class FreeText(Task):
    """A task whose paths are lines of text that end with an answer.

    `instruction` is what a model is told that is shown no worked examples; `shots` is how many of
    those a few-shot prompt or chat has, and `examples` are some of a person's own in their place,
    all of them shown; `path_tokens` are enough for a path.
    """

    kinds: ClassVar[Mapping[str, str]] = {
        **FREE_TEXT_KINDS,
        "undecided": "It could not be said whether the answer is right.",
        "unchecked": "The right answer is not known.",
    }
    spared: ClassVar[frozenset[str]] = OPEN
    parts: ClassVar[tuple[str, ...]] = ("question",)

    instruction: str = INSTRUCTION
    shots: int = Field(2, ge=0, le=16)
    examples: tuple[Worked, ...] = Field((), max_length=16)
    path_tokens: int = Field(256, gt=0, le=16_384)

    @abstractmethod
    def worked(self) -> Sequence[Problem]:
        """Training problems for the worked examples of a few-shot prompt, `shots` and one more."""

    @abstractmethod
    def compare(self, problem: Problem, answer: str) -> Judgement:
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
        shown = self._shown(problem) if dialect in ("few_shot", FEW_SHOT_CHAT) else []
        if chats(dialect):
            asked = self.asked_in_chat(problem)
            turns = [(self.asked_in_chat(other), said) for other, said in shown]
            return Prompt(asked, turns=turns) if turns else asked
        shots = "".join(f"Question: {p.text}\n{_one_block(gold)}\n\n" for p, gold in shown)
        told = f"{self.instruction}\n\n" if dialect == "few_shot" and not shots else ""
        return f"{told}{shots}Question: {problem.text}\n"

    def prompt_rule(self, dialect: str) -> str:
        if chats(dialect):
            return f"the question, a blank line, then “{self.instruction}”"
        shown = "worked examples as below, a blank line, then " if dialect == "few_shot" else ""
        return f"{shown}`Question: ` and the question, then a line break"

    def asked_in_chat(self, problem: Problem) -> str:
        """What the user of a chat says."""
        return f"{problem.text}\n\n{self.instruction}"

    def _shown(self, problem: Problem) -> list[tuple[Problem, str]]:
        """The worked examples of a prompt and how each is answered; the problem is none of them."""
        if self.examples:
            own = [e for e in self.examples if e.question.strip() != problem.text.strip()]
            return [(self._example(problem, e.question), e.answer.strip()) for e in own]
        known = ((p, self.gold(p)) for p in self.worked() if p.id != problem.id)
        return [(p, gold) for p, gold in known if gold][: self.shots]

    def _example(self, problem: Problem, question: str) -> Problem:
        return replace(problem, text=question.strip(), data={"question": question.strip()})

    def stop(self, dialect: str) -> list[str]:
        return [] if chats(dialect) else ["\n\n", "Question:"]

    def room(self, problem: Problem, dialect: str) -> int:
        return self.path_tokens

    def parse(self, problem: Problem, text: str) -> Path:
        text = text[:MAX_TEXT]
        found = find_answer(text)
        begin, stop = (len(text), len(text)) if found is None else line_of(text, found)
        spans = split(text[:begin])
        lines = tuple(Line(text[start:end], start, end, start, end) for start, end in spans)
        if found is None:
            return Path(lines, None, text)
        shown = text[begin:stop].strip()
        return Path(lines, Line(shown, begin, stop, found.start, found.end, found.text), text)

    def verify(self, problem: Problem, path: Path) -> Verdict:
        if path.answer is None:
            return self._failed(path, "")
        said = str(path.answer.step).strip()
        if not self.checks(problem):
            return Verdict(False, "unchecked", None, f"the answer is {said[:SHOWN]!r}, unchecked")
        found = self.compare(problem, said)
        read = f" (read as {found.read[:SHOWN]!r})" if found.read not in ("", said) else ""
        if found.right is None:
            return Verdict(False, "undecided", None, f"{said[:SHOWN]!r}: {found.why}")
        if found.right:
            return Verdict(True, None, None, f"correct: {said[:SHOWN]!r}{read}")
        why = f": {found.why}" if found.why else ""
        return self._failed(path, f"the answer is {said[:SHOWN]!r}{read}, which is wrong{why}")

    def _failed(self, path: Path, wrong: str) -> Verdict:
        """The verdict of a path that is not right; `wrong` says why its answer is not."""
        spans = [(line.start, line.end) for line in path.lines]
        kind, step, sentence = failure_kind(path.form, spans, path.answer is not None)
        message = wrong if kind == "wrong_answer" else sentence
        return Verdict(False, kind, step, message)

    def cut_off(self, verdict: Verdict) -> Verdict:
        return as_cut_off(verdict)

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


def _one_block(text: str) -> str:
    """A worked example without blank lines: they end a few-shot path."""
    return re.sub(r"\n\s*\n", "\n", text)


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
