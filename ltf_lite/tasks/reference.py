"""Questions and answers from a file: any problem whose answer can be compared.

A line of the JSONL file is `{"question": "...", "answer": "..."}`. The answer of a path is what
stands behind its last `Answer:`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from ltf_lite.core.json_text import BLANK, json_lines
from ltf_lite.core.json_text import Line as JsonLine
from ltf_lite.core.places import open_regular
from ltf_lite.core.text import sound
from ltf_lite.tasks.contract import Line, Path, Problem, Split, Task, TaskError, Verdict, share
from ltf_lite.tasks.verifiers import VERIFIERS
from ltf_lite.tasks.verifiers.exact import Exact

VALIDATION, TEST = 0.1, 0.2  # shares of the problems; a problem's split depends on its text alone
MAX_TEXT = 20_000  # characters of a path that are read
_ANSWER = re.compile(r"^[ \t]*answer[ \t]*:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_LINE = re.compile(r"\S[^\n]*")


class Reference(Task):
    """The questions of `file`, compared with their answers by `verifier`."""

    title: ClassVar[str] = "questions and answers"
    kinds: ClassVar[Mapping[str, str]] = {
        "no_answer": "There is no line that begins with “Answer:”.",
        "wrong_answer": "The answer is not the one of the file.",
    }

    name: Literal["reference"] = "reference"
    file: str
    verifier: VERIFIERS.any() = Field(default_factory=Exact)  # type: ignore[valid-type]

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        splits: dict[Split, list[Problem]] = {"train": [], "validation": [], "test": []}
        for problem in {each.id: each for each in self._read()}.values():
            part = share(problem.id)
            split: Split = "test" if part < TEST else "train"
            if TEST <= part < TEST + VALIDATION:
                split = "validation"
            splits[split].append(problem)
        return splits

    def _read(self) -> list[Problem]:
        try:
            with open_regular(self.file) as stream:
                lines = [line for line in json_lines(stream) if line.wrong != BLANK]
        except OSError as error:
            reason = error.strerror or error
            raise TaskError(f"reference: cannot read {self.file}: {reason}") from error
        return [self._of_line(line) for line in lines]

    def _of_line(self, line: JsonLine) -> Problem:
        if line.wrong:
            raise TaskError(f"{self.file}, line {line.number} {line.wrong}")
        try:
            return self.problem(line.data)
        except TaskError as error:
            raise TaskError(f"{self.file}, line {line.number}: {error}") from error

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        pool = self._splits[split]
        if n > len(pool):
            raise TaskError(f"reference: {self.file} has {len(pool)} {split} problems, not {n}")
        return random.Random(f"reference:{split}:{seed}").sample(pool, n)

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        return self.problems(split, min(n, len(self._splits[split])), seed)

    def problem(self, data: Any) -> Problem:
        """The problem of a line of the file, or a question that a person typed.

        A typed question must be one of the file: nothing else says what its answer is.
        """
        if isinstance(data, str):
            known = {p.text: p for pool in self._splits.values() for p in pool}
            if data.strip() not in known:
                raise TaskError(f"reference: {self.file} has no question {data[:60]!r}")
            return known[data.strip()]
        if not isinstance(data, Mapping) or not all(
            isinstance(data.get(key), str) and data[key].strip() for key in ("question", "answer")
        ):
            raise TaskError('a problem is an object like {"question": "2 + 2?", "answer": "4"}')
        question, answer = (sound(data[key]).strip() for key in ("question", "answer"))
        digest = hashlib.sha256(question.encode()).hexdigest()[:16]
        told = {"question": question, "answer": answer}
        return Problem(self.name, f"reference:{digest}", question, told)

    def prompt(self, problem: Problem, dialect: str) -> str:
        shots = ""
        if dialect == "few_shot":
            others = [p for p in self._splits["train"][:3] if p.id != problem.id][:2]
            shots = "".join(f"Question: {p.text}\nAnswer: {p.data['answer']}\n\n" for p in others)
        return f"{shots}Question: {problem.text}\n"

    def parse(self, problem: Problem, text: str) -> Path:
        text = text[:MAX_TEXT]
        match = next(reversed(list(_ANSWER.finditer(text))), None)
        end = len(text) if match is None else match.start()
        lines = tuple(
            Line(m[0].rstrip(), m.start(), m.end(), m.start(), m.end())
            for m in _LINE.finditer(text, 0, end)
        )
        if match is None:
            return Path(lines, None)
        span = match.start(1), match.end(1)
        return Path(lines, Line(match[0].strip(), match.start(), match.end(), *span, match[1]))

    def verify(self, problem: Problem, path: Path) -> Verdict:
        at = len(path.lines)
        if path.answer is None:
            return Verdict(False, "no_answer", at, "there is no line that begins with 'Answer:'")
        said = str(path.answer.step).strip()
        if self.verifier.right(said, problem.data["answer"]):
            return Verdict(True, None, None, f"correct: {said[:80]}")
        return Verdict(False, "wrong_answer", at, f"the answer is {said[:80]!r}, which is wrong")

    def answer(self, path: Path) -> str | None:
        return None if path.answer is None else " ".join(str(path.answer.step).split()).casefold()

    def stop(self, dialect: str) -> list[str]:
        return [] if dialect == "chat" else ["\n\n", "Question:"]


PLUGIN = Reference
