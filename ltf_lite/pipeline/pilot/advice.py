"""One sentence of advice, by a rule that is printed with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ltf_lite.core.text import in_questions
from ltf_lite.evaluation.types import Rate

# Problems of each split.
ENOUGH = {"train": 100, "validation": 10, "test": 30}
WEAK = 0.05  # oracle@8 at most: the model finds next to nothing to learn from
ROOM = 0.05  # headroom at least
DOUBT = 0.2  # share of undecided paths at most
RULE = (
    f"The rule, the first that holds: over {DOUBT:.0%} of the paths undecided: the verifier cannot "
    f"decide; fewer than {', '.join(f'{n} {split}' for split, n in ENOUGH.items())} problems: too "
    f"few problems; oracle@8 below {WEAK:.0%}: model too weak; headroom below {ROOM:.0%}: no "
    "headroom; its interval holds 0: cannot tell; else worth it."
)


@dataclass(frozen=True)
class Facts:
    """What the rule looks at; `problems` counts those there are of each split."""

    single: Rate
    oracle: Rate
    headroom: Rate
    problems: Mapping[str, int]
    undecided: float
    break_even: float | None


@dataclass(frozen=True)
class Advice:
    """`kind` is undecided, too_few, too_weak, no_headroom, cannot_tell or worth_it.

    `sentence` says it.
    """

    kind: str
    sentence: str
    rule: str = RULE


def advise(facts: Facts) -> Advice:
    """The advice that the rule gives."""
    room, oracle = facts.headroom, facts.oracle
    points = f"{100 * room.rate:.0f} points [{100 * room.low:.0f}, {100 * room.high:.0f}]"
    if facts.undecided > DOUBT:
        share = f"{facts.undecided:.0%}"
        told = f"The verifier cannot decide {share} of the paths: mend it first."
        return Advice("undecided", told)
    few = [f"{facts.problems[s]} {s}, {n} needed" for s, n in ENOUGH.items()
           if facts.problems[s] < n]  # fmt: skip
    if few:
        return Advice("too_few", f"Too few problems: {'; '.join(few)}.")
    if oracle.rate < WEAK:
        told = f"in {oracle.rate:.0%} of the problems one of 8 samples is right"
        way = "take a larger model, easier problems, or show it worked examples"
        return Advice("too_weak", f"The model is too weak: only {told}; {way}.")
    if room.rate >= ROOM and room.low <= 0:
        told = f"8 samples solve {points} more than the single pass"
        return Advice("cannot_tell", f"Cannot tell: {told}; ask more problems.")
    if room.rate < ROOM:
        told = f"8 samples solve {points} more than the single pass"
        return Advice("no_headroom", f"No headroom: {told}, so there is little to learn from it.")
    paid = ""
    if facts.break_even is not None:
        paid = f", and training has paid after about {in_questions(facts.break_even)} questions"
    return Advice(
        "worth_it",
        f"Worth it: the best of 8 samples solves {points} more than the single pass{paid}.",
    )
