"""One sentence of advice, by a rule that is printed with it."""

from __future__ import annotations

from dataclasses import dataclass

from ltf_lite.evaluation.types import Rate

ENOUGH = 100  # training problems
WEAK = 0.05  # oracle@8 at most: the model finds next to nothing to learn from
ROOM = 0.05  # headroom at least
DOUBT = 0.2  # share of undecided paths at most
RULE = (
    f"The rule, the first that holds: over {DOUBT:.0%} of the paths undecided: the verifier cannot "
    f"decide; fewer than {ENOUGH} training problems: too few problems; oracle@8 below {WEAK:.0%}: "
    f"model too weak; headroom below {ROOM:.0%}, or its interval holds 0: no headroom; else worth "
    "it."
)


@dataclass(frozen=True)
class Facts:
    """What the rule looks at; `train` counts the training problems there are."""

    single: Rate
    oracle: Rate
    headroom: Rate
    train: int
    undecided: float
    break_even: float | None


@dataclass(frozen=True)
class Advice:
    """`kind` is undecided, too_few, too_weak, no_headroom or worth_it; `sentence` says it."""

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
    if facts.train < ENOUGH:
        told = f"Too few problems: {facts.train} to train on, and {ENOUGH} are the least."
        return Advice("too_few", told)
    if oracle.rate < WEAK:
        told = f"in {oracle.rate:.0%} of the problems one of 8 samples is right"
        way = "take a larger model, easier problems, or show it worked examples"
        return Advice("too_weak", f"The model is too weak: only {told}; {way}.")
    if room.rate < ROOM or room.low <= 0:
        told = f"8 samples solve {points} more than the single pass"
        return Advice("no_headroom", f"No headroom: {told}, so there is little to learn from it.")
    paid = ""
    if facts.break_even is not None:
        paid = f", and training has paid after about {facts.break_even:,.0f} questions"
    return Advice(
        "worth_it",
        f"Worth it: the best of 8 samples solves {points} more than the single pass{paid}.",
    )
