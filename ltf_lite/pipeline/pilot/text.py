"""A pilot for a person."""

from __future__ import annotations

from ltf_lite.core.progress import duration
from ltf_lite.core.text import in_questions
from ltf_lite.evaluation.success import too_few
from ltf_lite.evaluation.types import Rate
from ltf_lite.pipeline.needs.fits import in_words
from ltf_lite.pipeline.pilot.measure import Pilot
from ltf_lite.pipeline.pilot.plan import BATCH, PASSES, Planned


def as_text(found: Pilot) -> str:
    """What was asked, a line a way, the headroom, the planned run, and the advice last."""
    asked = found.asked
    lines = [
        f"{asked.task} on {asked.model} ({asked.runtime}), asked in {asked.dialect}: "
        f"{asked.problems} training problems, {duration(found.seconds)}",
        f"{'':<26}{'right':>24}{'tokens':>9}{'seconds':>9}",
    ]
    for way in found.ways:
        rate = f"{100 * way.rate.rate:5.1f} % {interval(way.rate)}"
        lines.append(f"{way.name:<26}{rate:>24}{way.tokens:>9.0f}{way.seconds:>9.2f}")
    lines.append("tokens are written and seconds taken a problem, asked in bulk")
    if found.left_out:
        lines.append(f"the tree search was left out: {found.left_out}")
    if (few := too_few(asked.problems, "problems")) is not None:
        lines.append(few)
    room = found.headroom
    lines.append(
        f"headroom (oracle less single pass): {100 * room.rate:.1f} points {interval(room)}"
    )
    lines.append(f"how the paths ended: {_kinds(found)}")
    lines += _plan(found.planned)
    lines += [found.advice.rule, found.advice.sentence]
    return "\n".join(lines)


def interval(rate: Rate) -> str:
    """A 95 % interval, in points."""
    return f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _kinds(found: Pilot) -> str:
    every = sum(found.kinds.values())
    shares = (f"{kind.replace('_', ' ')} {n / every:.0%}" for kind, n in found.kinds.items())
    return ", ".join(shares)


def _plan(planned: Planned) -> list[str]:
    counts = ", ".join(f"{n} {split}" for split, n in planned.problems.items())
    lines = [
        f"a run on {planned.base}: {counts} problems; about {planned.successes} successes, "
        f"{planned.steps} steps of {BATCH} ({PASSES} passes)"
    ]
    if planned.total is not None:
        parts = ", ".join(f"{name} {duration(s)}" for name, s in planned.seconds.items())
        lines.append(
            f"estimated, not measured: {duration(planned.total)} here ({parts}; merge, export "
            "and report not counted)"
        )
    else:
        lines.append("its time is not estimated: this model tells no reading speed")
    if planned.peak is not None:
        free = {True: ", which is free", False: ", which is NOT free here", None: ""}[planned.fits]
        lines.append(f"memory of tuning: about {in_words(planned.peak)}{free}")
    else:
        lines.append(f"memory of tuning: not known, as {planned.base} tells no shape here")
    if planned.questions is None:
        lines.append("no break-even: no search solved more than the single pass at a higher cost")
    else:
        lines.append(
            f"break-even against {planned.against}: about {in_questions(planned.questions)} "
            "questions"
        )
    return lines
