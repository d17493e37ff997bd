"""The verifier of reasoning-gym's problems: its own scorers, in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from ltf_lite.core.worker import Raised, Worker, WorkerError
from ltf_lite.tasks.verifiers import NOTHING, SHOWN, Judgement, Verifier
from ltf_lite.tasks.verifiers.outside import judged, needs, worker
from ltf_lite.tasks.verifiers.plain import plain

# Generators whose scorer runs the answer as Python (0.1.25). Each of their calls has a process of
# its own, so that no answer changes how the next one is judged.
RUN = frozenset(
    [
        "binary_matrix",
        "countdown",
        "intermediate_integration",
        "n_queens",
        "polynomial_multiplication",
        "puzzle24",
        "simple_integration",
        "spiral_matrix",
        "string_insertion",
    ]
)
GRIDS = frozenset(("arc_agi", "rearc"))  # these compare tuples, which JSON has not
# What such an answer may call; anything else that looks like a call is not run.
CALLS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "sec",
        "csc",
        "cot",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "exp",
        "log",
        "ln",
        "sqrt",
        "abs",
        "erf",
    ]
)
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)\s*\(")
_CODE = re.compile(r"__|\blambda\b|\bimport\b|[A-Za-z_)\]]\s*\.\s*[A-Za-z_]|:=")
_NO_NUMBER = re.compile(r"(?<![A-Za-z])(?:nan|inf|infinity)(?:[ij])?(?![A-Za-z])", re.IGNORECASE)


class Gym(Verifier):
    """Full marks by the scorer of the problem's generator; part marks are wrong.

    The problem's data has `generator`, the name of a data set of reasoning-gym, and `entry`, an
    item of it. nan and inf are refused before, and so is what looks like code where the scorer
    would run it. An answer that the scorer cannot read is wrong; one that takes longer than two
    seconds is undecided.
    """

    title: ClassVar[str] = "reasoning-gym's scorer"

    name: Literal["gym"] = "gym"

    @model_validator(mode="after")
    def _installed(self) -> Gym:
        needs("reasoning_gym", "gym")
        return self

    def judge(self, answer: str, gold: str, data: Mapping[str, Any] = NOTHING) -> Judgement:
        return self.judge_all([(answer, gold, data)])[0]

    def judge_all(self, triples: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[Judgement]:
        asked = [
            (_first(answer, gold, data), answer.strip(), data) for answer, gold, data in triples
        ]
        made = [first for first, _, _ in asked]
        for runs in (False, True):
            places = [
                at for at, (first, _, data) in enumerate(asked)
                if first is None and (data["generator"] in RUN) == runs
            ]  # fmt: skip
            calls = [
                (asked[at][2]["generator"], asked[at][1], asked[at][2]["entry"]) for at in places
            ]
            results = _worker(runs).call_all("scored", calls) if calls else []
            for at, result in zip(places, results, strict=True):
                made[at] = _judged(result)
        return [each or Judgement(None, "it was not asked") for each in made]

    def refuses(self, gold: str, data: Mapping[str, Any] = NOTHING) -> str | None:
        if why := _incomplete(data):
            return why
        own = data["entry"].get("answer")
        if own is None:  # five generators have no answer of their own
            return None
        judgement = self.judge(str(own), gold, data)
        return None if judgement.right else f"its own answer does not pass: {judgement.why}"


def _worker(runs: bool) -> Worker:
    return worker("gym", fresh=runs, setup="prepare")


def _incomplete(data: Mapping[str, Any]) -> str | None:
    """What is missing in a problem's data."""
    entry = data.get("entry")
    if not isinstance(data.get("generator"), str) or not isinstance(entry, Mapping):
        return "the problem has no `generator` and `entry` of reasoning-gym"
    return None


def _first(answer: str, gold: str, data: Mapping[str, Any]) -> Judgement | None:
    """What can be said without the scorer."""
    if why := _incomplete(data):
        return Judgement(None, why)
    said = plain(answer)
    if not said:
        return Judgement(False, "it is empty")
    own = str(data["entry"].get("answer") or gold)
    if _NO_NUMBER.search(said) and not _NO_NUMBER.search(own):
        return Judgement(False, "it is not a number", said[:SHOWN])
    if data["generator"] in RUN and (
        _CODE.search(answer) or any(call[1] not in CALLS for call in _CALL.finditer(answer))
    ):
        return Judgement(False, "it looks like code, which is not run", said[:SHOWN])
    return None


def _judged(result: Any) -> Judgement:
    if isinstance(result, Raised) and not str(result).startswith("MemoryError"):
        return Judgement(False, "the scorer cannot read it")
    if isinstance(result, (WorkerError, list, tuple)):
        return judged(result)
    return Judgement(None, "the scorer gave no mark")


# From here on: what runs in the worker.


def prepare() -> None:
    """Import the generators."""
    import reasoning_gym  # noqa: F401


@cache
def _dataset(generator: str) -> Any:
    from reasoning_gym import create_dataset

    return create_dataset(generator, size=1, seed=0)


def scored(generator: str, answer: str, entry: dict[str, Any]) -> tuple[bool | None, str, str]:
    """A judgement's parts."""
    try:
        dataset = _dataset(generator)
    except Exception as error:
        return None, f"there is no generator {generator!r}: {error}"[:200], ""
    if generator in GRIDS:
        entry["metadata"]["output"] = tuple(map(tuple, entry["metadata"]["output"]))
    score = float(dataset.score_answer(answer, entry))
    if score >= 1:
        return True, "", answer[:SHOWN]
    return False, f"it has {score:.2f} of 1", answer[:SHOWN]


PLUGIN = Gym
