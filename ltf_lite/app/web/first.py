"""What a run came to, in three boxes: one answer before, one after, and the search before."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ltf_lite.app.web import cards
from ltf_lite.app.web.desk import Desk
from ltf_lite.app.web.ways import title_of
from ltf_lite.app.web.words import Say, speaker
from ltf_lite.core.text import escape
from ltf_lite.evaluation.compare import Difference
from ltf_lite.evaluation.success import FEW
from ltf_lite.evaluation.types import Result
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run import jobs
from ltf_lite.report.figures.outcome import outcome_figure
from ltf_lite.report.outcome import outcome, sentence
from ltf_lite.report.results import Headline, headline, results
from ltf_lite.report.tables.differences import differences
from ltf_lite.report.worse import worse_sentences

Look = Literal["better", "worse", "same"]
COLOURS: dict[Look, str] = {"better": " ltf-good", "worse": " ltf-bad", "same": ""}


def boxes(desk: Desk, name: Any) -> str:
    """The boxes of the run that a model came out of, or what can be done without one.

    Raises UsageError where there is no such model, and BrokenFile for a file of its run.
    """
    say, model = desk.say, desk.shelf.model(name)
    if model.folder is None:
        return _none(say, say("first.shipped") if model.tuned else say("first.none"))
    run = Run.load(model.folder)
    run.check("baseline", "evaluate")
    found = headline(results(run.at, run.preset.task.name))
    if found is None:
        return _none(say, say("first.unfinished"))
    single = differences(run.at, run.preset.task.name).single
    lead = say("first.lead", run=model.folder.name, n=f"{found.tuned.rate.n:,}")
    fell = say.told(worse_sentences(run.at, run.preset.task.name))
    shown = _before(found, say) + _after(found, single, fell, say) + _search(found, single, say)
    over = f'<p class="ltf-dim ltf-over">{escape(lead)}</p>{_unfinished(run, say)}'
    return f'{over}<div class="ltf-boxes">{shown}</div>{picture(run, say)}'


def _unfinished(run: Run, say: Say) -> str:
    """That a run which has results is not done yet: its report and its files come last."""
    stage = next((each for each in STAGES if run.entry(each.name).status != "done"), None)
    if stage is None:
        return ""
    works = jobs.working(run.folder) is not None
    word = "first.finishing" if works else "first.not_finished"
    return cards.remark(say(word, stage=say.known(f"stage.{stage.name}", stage.title)))


def picture(run: Run, say: Say) -> str:
    """Quality, cost and break-even as one picture, to open under what it says in a sentence."""
    return _picture(run.at.path, run.at.manifest.stat().st_mtime_ns, say.language)


@lru_cache(maxsize=16)  # it is drawn once, and not at every opening of the page
def _picture(folder: Path, changed: int, language: str) -> str:
    run, say = Run.load(folder), speaker(language)
    task = run.preset.task.name
    single = differences(run.at, task).single
    found = outcome(run.manifest.stages, results(run.at, task), single)
    if found is None:
        return ""
    words = say.picture("figure")
    told = sentence(found, words)
    return cards.folded(
        say("first.picture", told=told), cards.figure(outcome_figure(found, words), told)
    )


def _none(say: Say, text: str) -> str:
    title = escape(say("first.title"))
    return f'<div class="ltf-first"><h2>{title}</h2><p>{escape(text)}</p></div>'


def _before(found: Headline, say: Say) -> str:
    return _box(found.base, say("first.before"), say("first.as_it_was"), "", say)


def _after(found: Headline, single: list[Difference], fell: str, say: Say) -> str:
    """The tuned single pass against the base's, and what else `fell` by training."""
    pair = single_pair(single)
    told = "" if pair is None else verdict(pair, "first", say)
    look = "" if pair is None else COLOURS[look_of(pair)]
    return _box(found.tuned, say("first.after"), told, look, say, fell)


def _search(found: Headline, single: list[Difference], say: Say) -> str:
    """The base's best search against the tuned single pass."""
    search = found.search
    if search is None:
        return ""
    pair = search_pair(single, search)
    told = [] if pair is None else [verdict(pair, "search", say)]
    solves = search.rate.rate > 0 or found.tuned.rate.rate > 0
    if found.tokens is not None and solves:
        told.append(say("first.times", times=f"{found.tokens:,.0f}"))
    if search.rate.n != found.tuned.rate.n:
        told.append(say("first.fewer", n=f"{search.rate.n:,}"))
    title = say("first.search", way=title_of(search.reasoner, search.choice, say))
    return _box(search, title, " ".join(told), "", say)


def single_pair(single: list[Difference]) -> Difference | None:
    """The tuned single pass against the base's."""
    return next((each for each in single if each.second.choice.kind == "single_pass"), None)


def search_pair(single: list[Difference], search: Result) -> Difference | None:
    """The tuned single pass against a search of the base."""
    asked = search.choice, search.label
    return next((e for e in single if (e.second.choice, e.second.label) == asked), None)


def look_of(pair: Difference) -> Look:
    """What a difference allows to say."""
    if not pair.real or not pair.points:
        return "same"
    return "better" if pair.points > 0 else "worse"


def verdict(pair: Difference, of: str, say: Say) -> str:
    """What a difference allows to say, with its interval in points: `of` the single pass before
    tuning (`first`), or of the `search`.
    """
    if pair.n < FEW:
        return say("first.few", n=pair.n)
    sign = -1 if of == "search" else 1  # of the search it is said how much more it solves
    low, high = sorted((sign * pair.low, sign * pair.high))
    points, word = sign * pair.points, "same"
    if pair.real:
        word = "more" if points > 0 else "less"
    shown = abs(points) if word != "same" else points
    if word == "less":
        low, high = -high, -low
    facts = {"points": f"{shown:.1f}", "low": f"{low:.1f}", "high": f"{high:.1f}"}
    return say(f"against.{of}.{word}", **facts)


def _box(found: Result, title: str, told: str, look: str, say: Say, fell: str = "") -> str:
    rate, worse = found.rate, f'<p class="ltf-fell">{escape(fell)}</p>' if fell else ""
    solved = f"{100 * rate.rate:.1f} %"
    between = say("first.interval", low=f"{100 * rate.low:.1f}", high=f"{100 * rate.high:.1f}")
    return (
        f'<section class="ltf-box{look}" aria-label="{escape(title)}">'
        f'<div class="ltf-title">{escape(title)}</div><dl>'
        f'<div><dd class="ltf-number">{solved}</dd>'
        f"<dt>{escape(say('first.solved'))} <span>{escape(between)}</span></dt></div>"
        f'<div><dd class="ltf-number">{found.cost.tokens:,.0f}</dd>'
        f"<dt>{escape(say('metric.tokens'))}</dt></div></dl><p>{escape(told)}</p>{worse}</section>"
    )
