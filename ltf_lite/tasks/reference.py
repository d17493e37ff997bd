"""Questions and answers from a file: any problem whose answer can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path as File
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from ltf_lite.core.places import place
from ltf_lite.core.seals import hash_file
from ltf_lite.core.text import sound
from ltf_lite.tasks import columns as cols
from ltf_lite.tasks.answers import read_gold
from ltf_lite.tasks.contract import MISSING, Problem, Split, TaskError
from ltf_lite.tasks.draw import drawn, enough, split_of, unique
from ltf_lite.tasks.free import FreeText, compared, named, told
from ltf_lite.tasks.table import READERS, rows
from ltf_lite.tasks.verifiers import VERIFIERS, Judgement, Verifier

LOOKED_AT = 200  # rows from which the verifier is guessed
SCANNED = 1_000_000  # rows that a check looks through
GUESSED = ("choice", "number", "exact")  # the first that can compare every answer


class Reference(FreeText):
    """The questions of `file`, compared with their answers by `verifier`.

    Without a verifier it is told by the answers: letters of choices, numbers, else texts. Columns
    are guessed where they are not named. A `split_column` says which split a row is of; else the
    hash of the question does.
    """

    title: ClassVar[str] = "questions and answers"
    files: ClassVar[tuple[str, ...]] = ("file",)

    name: Literal["reference"] = "reference"
    file: str
    verifier: Annotated[VERIFIERS.any() | None, BeforeValidator(named)] = None  # type: ignore[valid-type]
    question_column: str | None = None
    answer_column: str | None = None
    split_column: str | None = None

    @classmethod
    def meant(cls, reference: str) -> dict[str, Any] | None:
        return {"file": reference} if File(reference).suffix.lower() in READERS else None

    @property
    def content(self) -> str:
        try:
            return hash_file(place(self.file))
        except OSError:
            return MISSING

    @property
    def sign(self) -> str:
        return File(self.file).stem

    @property
    def reference(self) -> str:
        return self.file

    # -- problems ------------------------------------------------------------------------------

    def rows(self) -> Iterator[tuple[int, Problem, Split]]:
        """Every row of the file: its line, its problem and its split; raises TaskError."""
        columns: cols.Columns | None = None
        wanted = self.question_column, self.answer_column, self.split_column
        for line, row in rows(self.file):
            try:
                columns = columns or cols.columns_of(list(row), *wanted)
                asked = cols.read(row, columns)
            except TaskError as error:
                raise TaskError(f"{self.file}, line {line}: {error}") from error
            problem = self._made(asked.question, asked.answer, asked.solution, asked.choices)
            yield line, problem, asked.split or split_of(problem.id)
        if columns is None:
            raise TaskError(f"{self.file} has no questions: it is empty")

    def _of(self, split: Split) -> Iterator[Problem]:
        """The problems of a split; one that is there twice is of the split it is first in."""
        own: dict[str, Split] = {}

        def stream() -> Iterator[Problem]:
            for _, problem, own["now"] in self.rows():
                yield problem

        return (problem for problem in unique(stream()) if own["now"] == split)

    def problems(self, split: Split, n: int, seed: int) -> list[Problem]:
        found, there = drawn(self._of(split), n, f"{split}:{seed}")
        return enough(found, there, n, split, self.file)

    def up_to(self, split: Split, n: int, seed: int) -> list[Problem]:
        return drawn(self._of(split), n, f"{split}:{seed}")[0]

    def problem(self, data: Any) -> Problem:
        """The problem of its data, or of a question that a person typed.

        The answer of a typed question is known if it is one of the file; else it goes unchecked.
        """
        if isinstance(data, str):
            typed = sound(data).strip()
            if not typed:
                raise TaskError("a question is a text that is not empty")
            choices = f"{typed}\nA) "  # of a question that was typed without them
            known = (
                problem
                for _, problem, _ in self.rows()
                if problem.text == typed or problem.text.startswith(choices)
            )
            return next(known, None) or self._made(typed, "", "", {})
        if isinstance(data, Mapping) and _is_row(data):
            wanted = self.question_column, self.answer_column, self.split_column
            asked = cols.read(data, cols.columns_of(list(data), *wanted))
            return self._made(asked.question, asked.answer, asked.solution, asked.choices)
        if not told(data):
            raise TaskError('a problem is an object like {"question": "2 + 2?", "answer": "4"}')
        answer, choices = data.get("answer"), data.get("choices")
        if answer is not None and not isinstance(answer, str):
            raise TaskError("the answer of a problem is a text")
        if choices is not None and not _texts(choices):
            raise TaskError('choices are texts by letter, as {"A": "red", "B": "blue"}')
        parts = (data.get(key) or "" for key in ("question", "answer", "solution"))
        question, answer, solution = (sound(str(part)).strip() for part in parts)
        return self._made(question, answer, solution, choices or {})

    def _made(
        self, question: str, answer: str, solution: str, choices: Mapping[str, str]
    ) -> Problem:
        data: dict[str, Any] = {"question": question}
        data |= {"answer": answer} if answer else {}
        data |= {"solution": solution} if solution else {}
        data |= {"choices": dict(choices)} if choices else {}
        digest = hashlib.sha256(question.encode()).hexdigest()[:16]
        return Problem(self.name, f"reference:{digest}", question, data)

    @cached_property
    def _worked(self) -> list[Problem]:
        return list(islice(self._of("train"), self.shots + 1))

    def worked(self) -> list[Problem]:
        return self._worked

    def remarks(self) -> list[str]:
        """Questions that stand there twice, and answers that cannot be compared."""
        seen: dict[str, tuple[int, str, Split]] = {}
        twice = other = crossing = 0
        refused: list[str] = []
        for line, problem, split in islice(self.rows(), SCANNED):
            answer = str(problem.data["answer"])
            first = seen.setdefault(problem.id, (line, self.same(answer), split))
            if first[0] != line:
                twice += 1
                other += first[1] != self.same(answer)
                crossing += first[2] != split
            elif why := self.comparing.refuses(answer, problem.data):
                refused.append(f"line {line}: {why}")
        told = {
            "questions stand there twice: the first is taken": twice,
            "of them with another answer": other,
            "of them in another split: it is in the first one only": crossing,
            f"answers cannot be compared by {self.comparing.name}, the first in "
            f"{refused[0] if refused else ''}": len(refused),
        }
        verifier = f"answers are compared by {self.comparing.name}: {self.comparing.title}"
        return [verifier, *(f"{n:,} {what}" for what, n in told.items() if n)]

    # -- verdicts ------------------------------------------------------------------------------

    @cached_property
    def comparing(self) -> Verifier:
        """The verifier: the one that is set, or the one that the answers of the file tell."""
        if self.verifier is not None:
            return self.verifier
        first = [problem for _, problem, _ in islice(self.rows(), LOOKED_AT)]
        for name in GUESSED:
            verifier = VERIFIERS.get(name).model_validate({})
            data = [problem.data for problem in first]
            if not any(verifier.refuses(str(each["answer"]), each) for each in data):
                return verifier
        return VERIFIERS.get("exact").model_validate({})

    def compare(self, problem: Problem, answer: str) -> Judgement:
        return compared(self.comparing, problem, answer)

    def same(self, answer: str) -> str:
        return self.comparing.key(answer)


def _is_row(data: Mapping[str, Any]) -> bool:
    """Whether the data is a row of a file with columns of its own, not a problem's data."""
    ours = {"question", "answer", "solution", "choices"}
    answer = data.get("answer")
    whole = isinstance(answer, str) and read_gold(answer) != answer.strip()
    return whole or isinstance(data.get("choices"), list) or bool(data.keys() - ours)


def _texts(choices: Any) -> bool:
    return isinstance(choices, Mapping) and all(
        isinstance(text, str) for pair in choices.items() for text in pair
    )


PLUGIN = Reference
