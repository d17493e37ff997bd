"""Which columns of a person's file hold the question, the answer, the choices and the split."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ltf_lite.tasks.answers import read_gold
from ltf_lite.tasks.contract import Split, TaskError
from ltf_lite.tasks.table import text_of

# Names of pairs of columns, the likeliest first: question, answer.
PAIRS = (
    ("question", "answer"),
    ("question", "answerkey"),  # ARC, OpenBookQA
    ("problem", "solution"),
    ("problem", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("input", "target"),
    ("instruction", "output"),  # alpaca, with an `input` beside
    ("instruction", "response"),
    ("input", "output"),
    ("query", "answer"),
    ("query", "response"),
    ("question", "solution"),
    ("question", "output"),
    ("question", "label"),
    ("text", "label"),
)
TALKS = ("conversations", "messages", "conversation")  # sharegpt, chat
CHOICES = ("choices", "options")
SPLIT = ("split", "subset", "partition")
ASKS, ANSWERS = ("human", "user"), ("gpt", "assistant", "model", "chatgpt")
SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
}
LETTERS = string.ascii_uppercase


class Columns(NamedTuple):
    """The columns of a file; `talk` is one that holds a whole conversation, `more` an input that
    belongs to the question."""

    question: str = ""
    answer: str = ""
    split: str = ""
    choices: str = ""
    talk: str = ""
    more: str = ""
    lettered: tuple[str, ...] = ()  # columns A, B, C, D


class Asked(NamedTuple):
    """What a row holds: the question with its choices, the gold answer, and how one gets there."""

    question: str
    answer: str
    solution: str
    choices: Mapping[str, str]
    split: Split | None


def columns_of(
    names: Sequence[str], question: str | None, answer: str | None, split: str | None
) -> Columns:
    """The columns among these names, named or guessed; raises TaskError that lists them."""
    low = {name.strip().casefold(): name for name in reversed(names)}
    for named in (question, answer, split):
        if named is not None and named not in names:
            raise TaskError(f"there is no column {named!r}; there are {_listed(names)}")
    found = Columns(
        split=split or _first(low, SPLIT),
        choices=_first(low, CHOICES),
        more=low.get("input", "") if "instruction" in low else "",
        lettered=tuple(low[each] for each in "abcdefgh" if each in low),
    )
    found = found._replace(lettered=found.lettered if len(found.lettered) > 1 else ())
    if question and answer:
        return found._replace(question=question, answer=answer)
    for one, other in PAIRS:
        asked, told = question or low.get(one), answer or low.get(other)
        if asked and told and asked != told:
            return found._replace(question=asked, answer=told)
    if talk := _first(low, TALKS):
        return found._replace(talk=talk)
    raise TaskError(
        f"which column is the question and which the answer cannot be told; there are "
        f"{_listed(names)}: name them by question_column and answer_column"
    )


def read(row: Mapping[str, Any], columns: Columns) -> Asked:
    """What a row asks; raises TaskError that says which part of it is missing."""
    question, told = _talk(row, columns) if columns.talk else _pair(row, columns)
    choices = _choices(row, columns)
    if not question:
        raise TaskError(f"the column {columns.question or columns.talk!r} is empty")
    if not told:
        raise TaskError(f"the column {columns.answer or columns.talk!r} is empty: no answer")
    answer = read_gold(told)
    if choices:
        answer = _letter(told, choices)
        listed = "\n".join(f"{letter}) {text}" for letter, text in choices.items())
        question = f"{question}\n{listed}"
    solution = told if answer != told and not choices else ""
    return Asked(question, answer, solution, choices, _split(row, columns))


def _pair(row: Mapping[str, Any], columns: Columns) -> tuple[str, str]:
    for name in (columns.question, columns.answer):
        if name not in row:
            raise TaskError(f"there is no {name!r}; there are {_listed(list(row))}")
    asked, more = text_of(row[columns.question]), text_of(row.get(columns.more))
    return f"{asked}\n{more}" if more else asked, text_of(row[columns.answer])


def _talk(row: Mapping[str, Any], columns: Columns) -> tuple[str, str]:
    """The first question of a conversation and the first answer behind it."""
    turns = row.get(columns.talk)
    asked = ""
    for turn in turns if isinstance(turns, list) else []:
        if not isinstance(turn, Mapping):
            continue
        who = text_of(turn.get("from", turn.get("role"))).casefold()
        said = text_of(turn.get("value", turn.get("content")))
        if who in ASKS and not asked:
            asked = said
        elif who in ANSWERS and asked:
            return asked, said
    return asked, ""


def _choices(row: Mapping[str, Any], columns: Columns) -> dict[str, str]:
    """Letter → text; choices are a list, or `{"text": [...], "label": [...]}` (ARC)."""
    if columns.lettered and not columns.choices:
        told = {name.strip().upper(): text_of(row.get(name)) for name in columns.lettered}
        return {letter: text for letter, text in told.items() if text}
    own = row.get(columns.choices) if columns.choices else None
    if isinstance(own, Mapping) and isinstance(own.get("text"), list):
        own = own["text"]
    if isinstance(own, Mapping):
        own = list(own.values())
    if not isinstance(own, list) or not 1 < len(own) <= len(LETTERS):
        return {}
    texts = [text_of(each.get("text") if isinstance(each, Mapping) else each) for each in own]
    return dict(zip(LETTERS, texts, strict=False))


def _letter(told: str, choices: Mapping[str, str]) -> str:
    """The letter of an answer that is a letter, a count from 0, or the text of a choice."""
    if told.upper() in choices:
        return told.upper()
    if told.isdecimal() and len(told) < 3 and told not in choices.values():
        at = int(told)
        if at < len(choices):
            return list(choices)[at]
    same = [letter for letter, text in choices.items() if text.casefold() == told.casefold()]
    if len(same) != 1:
        raise TaskError(f"the answer {told[:60]!r} is none of the choices {', '.join(choices)}")
    return same[0]


def _split(row: Mapping[str, Any], columns: Columns) -> Split | None:
    if not columns.split:
        return None
    told = text_of(row.get(columns.split)).casefold()
    if told not in SPLITS:
        raise TaskError(f"the split is train, validation or test, not {told[:40]!r}")
    return SPLITS[told]


def _first(low: Mapping[str, str], names: Sequence[str]) -> str:
    return next((low[name] for name in names if name in low), "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in list(names)[:20]) or "none"
