"""What a check and a pilot of a task found, as HTML. All of it is text of files and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ltf_lite.app.web import cards
from ltf_lite.app.web.words import Say
from ltf_lite.core.progress import duration
from ltf_lite.core.text import escape, in_questions, printable
from ltf_lite.evaluation.success import too_few
from ltf_lite.pipeline.needs.fits import in_words
from ltf_lite.pipeline.pilot import Pilot, Planned
from ltf_lite.pipeline.pilot.text import interval
from ltf_lite.tasks.check import Check, Tally

PROMPT = 2000  # characters of a prompt that are shown
CELL = 120  # characters of a cell


def checked(found: Check, say: Say) -> str:
    """A check: whether it passed, why not, remarks, verdicts in a table, and the prompts."""
    word, look = ("passed", "good") if found.passed else ("failed", "bad")
    sign = "✓" if found.passed else "✗"
    head = f"{sign} {printable(found.task, CELL)}: {say(f'check.{word}')}"
    faults = "".join(cards.notice(say.told(each)) for each in found.faults)
    remarks = "".join(f"<li>{escape(say.told(each))}</li>" for each in found.remarks)
    splits = _counted(found.splits, say)
    lead = [say("check.problems", splits=splits), *_lengths(found, say)]
    return (
        f'<section class="ltf-pane ltf-{look}"><p class="ltf-state"><strong>{escape(head)}</strong>'
        f"</p>{faults}<p>{escape(' '.join(lead))}</p>{_tallies(found, say)}"
        f'<ul class="ltf-list">{remarks}</ul>{_prompts(found, say)}</section>'
    )


def _lengths(found: Check, say: Say) -> list[str]:
    words = {"prompt": "check.prompt_length", "right path": "check.path_length"}
    return [
        say(words[name], low=low, middle=middle, high=high)
        for name, (low, middle, high) in found.lengths.items()
    ]


def _tallies(found: Check, say: Say) -> str:
    """How many texts of each kind the verifier called right, and those that went wrong."""
    kinds = (("golds", found.golds), ("others", found.others), ("probes", found.probes))
    wanted = {"golds": "check.all", "others": "check.none", "probes": "check.none"}
    head = ["", say("check.right"), say("check.must"), say("check.undecided")]
    rows = [
        (say(f"check.{name}"), f"{own.right:,} / {own.tried:,}", say(wanted[name]), own.undecided)
        for name, own in kinds
    ]
    return cards.grid(head, rows) + _wrong([own for _, own in kinds], say)


def _wrong(tallies: Sequence[Tally], say: Say) -> str:
    rows = [
        (printable(problem, CELL), printable(text, CELL), say.told(printable(message, CELL)))
        for own in tallies
        for problem, text, message in own.wrong
    ]
    if not rows:
        return ""
    head = [say("problem"), say("check.text"), say("check.said")]
    return cards.folded(say("check.against", n=len(rows)), cards.grid(head, rows))


def _prompts(found: Check, say: Say) -> str:
    """The first prompt, and the others to open."""
    shown = [f'<pre class="ltf-prompt">{escape(each[:PROMPT])}</pre>' for each in found.prompts]
    if not shown:
        return ""
    title = f"<h4>{escape(say('check.prompts', dialect=found.dialect))}</h4>"
    more = cards.folded(say("check.more", n=len(shown) - 1), "".join(shown[1:]))
    return title + shown[0] + (more if len(shown) > 1 else "")


def piloted(found: Pilot, preset: str, say: Say) -> str:
    """A pilot: the advice first, then each way in a table, what a run would be, and the preset."""
    asked, advice = found.asked, found.advice
    look = "good" if advice.kind == "worth_it" else "open"
    lead = say(
        "pilot.asked", task=asked.task, model=asked.model, n=asked.problems, engine=asked.runtime,
        time=duration(found.seconds),
    )  # fmt: skip
    few = "" if too_few(asked.problems) is None else say("pilot.few", n=asked.problems)
    return (
        f'<section class="ltf-pane ltf-{look}"><p class="ltf-state"><strong>'
        f"{escape(say(f'advice.{advice.kind}'))}</strong></p>"
        f'<p class="ltf-lead">{escape(say.told(advice.sentence))}</p>'
        f'<p class="ltf-dim">{escape(say.told(advice.rule))}</p>'
        f"<h4>{escape(say('pilot.measured'))}</h4><p>{escape(lead)}</p>{_ways(found, say)}"
        f"{cards.notice(few)}{_facts(found, say)}"
        f"<h4>{escape(say('pilot.run'))}</h4>{_run(found.planned, say)}"
        f"{cards.folded(say('pilot.preset'), f'<pre>{escape(preset)}</pre>')}</section>"
    )


def _ways(found: Pilot, say: Say) -> str:
    names = ("way", "rate", "interval", "tokens", "seconds")
    rows = [
        (
            say.told(printable(way.name, CELL)),
            f"{100 * way.rate.rate:.1f} %",
            interval(way.rate),
            f"{way.tokens:,.0f}",
            f"{way.seconds:.2f}",
        )
        for way in found.ways
    ]
    return cards.grid([say(f"pilot.{name}") for name in names], rows)


def _facts(found: Pilot, say: Say) -> str:
    """Headroom, how the paths ended, and what was left out."""
    room, every = found.headroom, max(1, sum(found.kinds.values()))
    kinds = ", ".join(f"{say.name(kind)} {n / every:.0%}" for kind, n in found.kinds.items())
    told = [
        say("pilot.headroom", points=f"{100 * room.rate:.1f}", interval=interval(room)),
        say("pilot.kinds", kinds=kinds),
    ]
    if found.left_out:
        told.append(say("pilot.left_out", why=say.told(found.left_out)))
    return _listed(told)


def _run(planned: Planned, say: Say) -> str:
    """The run that is proposed, and what it is estimated to take."""
    counts = _counted(planned.problems, say)
    told = [
        say(
            "pilot.planned", base=planned.base, problems=counts, successes=planned.successes,
            steps=planned.steps,
        )
    ]  # fmt: skip
    if planned.total is None:
        told.append(say("pilot.no_time"))
    else:
        parts = ", ".join(
            f"{say.known(f'stage.{name}', name)} {duration(seconds)}"
            for name, seconds in planned.seconds.items()
        )
        told.append(say("pilot.time", total=duration(planned.total), parts=parts))
    if planned.peak is None:
        told.append(say("pilot.no_memory", base=planned.base))
    else:
        words = {True: "pilot.free", False: "pilot.not_free", None: "pilot.memory"}
        told.append(say(words[planned.fits], peak=in_words(planned.peak)))
    if planned.questions is not None:
        told.append(
            say(
                "pilot.break_even",
                search=say.told(planned.against),
                questions=in_questions(planned.questions),
            )
        )
    return _listed(told)


def _counted(splits: Mapping[str, int], say: Say) -> str:
    """How many problems each split has."""
    return say.told(", ".join(f"{n:,} {split}" for split, n in splits.items()))


def _listed(sentences: Sequence[str]) -> str:
    return f'<ul class="ltf-list">{"".join(f"<li>{escape(each)}</li>" for each in sentences)}</ul>'
