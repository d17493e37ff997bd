"""What each picture of a run comes to, in a sentence: better, worse, or not told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from ltf_lite.app.web.first import Look, look_of, search_pair, single_pair, verdict
from ltf_lite.app.web.ways import title_of
from ltf_lite.app.web.words import Say
from ltf_lite.core.files import read_as
from ltf_lite.core.text import escape, in_questions
from ltf_lite.evaluation.budget import BudgetPoint
from ltf_lite.evaluation.compare import SEED, Difference, Side
from ltf_lite.evaluation.retention import SINGLE_PASS
from ltf_lite.evaluation.significance import discordant, mcnemar, paired_interval
from ltf_lite.evaluation.types import read_abilities
from ltf_lite.pipeline import Run
from ltf_lite.reasoners.choice import SINGLE_PASS as SINGLE
from ltf_lite.report.kinds import kinds_of, word_of
from ltf_lite.report.outcome import busy
from ltf_lite.report.results import headline, records, rows_of, sure
from ltf_lite.report.sections import PRICE
from ltf_lite.report.tables.cost import paid
from ltf_lite.report.tables.differences import Differences, differences
from ltf_lite.report.tables.kinds import kind_changes
from ltf_lite.report.tables.success import budget_points
from ltf_lite.report.worse import worse_sentences
from ltf_lite.tuning.types import TuningResult


class Verdict(NamedTuple):
    """A word and a sentence."""

    look: Look
    text: str


def of_run(run: Run, say: Say) -> dict[str, str]:
    """Name of a section → its verdict as HTML, where the run has what it needs."""
    apart = differences(run.at, run.preset.task.name)
    parts = (_headline, _budgets, _learning, _kept, _failures, _pays)
    found = {name: told for part in parts for name, told in part(run, apart, say)}
    return {name: html(told, say) for name, told in found.items()}


def html(told: Verdict, say: Say) -> str:
    word = say(f"verdict.{told.look}")
    return (
        f'<p class="ltf-judged ltf-{told.look}"><strong>{escape(word)}</strong> '
        f"{escape(told.text)}</p>"
    )


def of_marks(one: Sequence[bool], other: Sequence[bool], say: Say) -> Verdict:
    """What right and wrong answers of a single pass and of a search to the same problems tell."""
    b, c = discordant(one, other)
    low, high = (100 * end for end in paired_interval(one, other, SEED))
    first, second = (Side("", "", "", {}, SINGLE, fmean(each)) for each in (one, other))
    points, p = 100 * (b - c) / len(one), mcnemar(one, other)
    pair = Difference(first, second, len(one), points, low, high, b, c, p)
    return Verdict(look_of(pair), verdict(pair, "search", say))


def _headline(run: Run, apart: Differences, say: Say) -> Iterator[tuple[str, Verdict]]:
    found = headline(rows_of(records(run.at, run.preset.task.name)))
    pair = single_pair(apart.single)
    if found is None or pair is None:
        return
    told = [verdict(pair, "first", say)]
    if found.search and (other := search_pair(apart.single, found.search)):
        way = title_of(found.search.reasoner, found.search.choice, say)
        told.append(say("verdict.search", way=way, told=verdict(other, "search", say)))
    told.append(say.told(worse_sentences(run.at, run.preset.task.name)))
    waited = busy(run.manifest)
    if waited is not None:
        told.append(say("verdict.busy", share=f"{100 * waited:.0f}"))
    yield "headline", Verdict(look_of(pair), " ".join(filter(None, told)))


def _budgets(run: Run, apart: Differences, say: Say) -> Iterator[tuple[str, Verdict]]:
    """The tuned single pass against the base's best search at the largest budget."""
    asked = run.preset.budgets
    points = budget_points(run.at, asked.tokens, run.preset.task.name) if asked else []
    ours = next((p for p in points if p.model == "tuned" and p.kind == SINGLE_PASS), None)
    theirs = [p for p in points if p.model == "base" and p.kind == "search" and p.budget]
    if ours is None or not theirs:
        return
    most = max(p.budget or 0 for p in theirs)
    best = max((p for p in theirs if p.budget == most), key=lambda p: sure(p.rate))
    text = say(
        "verdict.budget",
        budget=f"{most:,}",
        search=_percent(best),
        single=_percent(ours),
        tokens=f"{ours.tokens:,.0f}",
    )
    yield "equal_budgets", Verdict(_apart(ours, best), text)


def _percent(point: BudgetPoint) -> str:
    return f"{100 * point.rate.rate:.1f}"


def _apart(one: BudgetPoint, other: BudgetPoint) -> Look:
    """Intervals that share nothing tell two rates apart."""
    if one.rate.low > other.rate.high:
        return "better"
    return "worse" if one.rate.high < other.rate.low else "same"


def _learning(run: Run, apart: Differences, say: Say) -> Iterator[tuple[str, Verdict]]:
    """The kept checkpoint on the validation problems against the base on them."""
    if not (run.at.tuning_result.is_file() and run.at.base_abilities.is_file()):
        return
    now = read_as(run.at.tuning_result, TuningResult).validation
    told = read_abilities(run.at.base_abilities, run.preset.task.name).abilities
    base = next((one for one in told if one.kind == SINGLE_PASS), None)
    if base is None or base.low is None or base.high is None:
        return
    look: Look = "better" if now.low > base.high else "worse" if now.high < base.low else "same"
    text = say(
        "verdict.learning", before=f"{100 * base.value:.1f}", after=f"{100 * now.success:.1f}"
    )
    yield "learning", Verdict(look, text)


def _kept(run: Run, apart: Differences, say: Say) -> Iterator[tuple[str, Verdict]]:
    """Whether the tuned model still searches as the base did."""
    pairs = [each for each in apart.same if each.first.choice.kind == "search"]
    if not pairs:
        return
    worst = min(pairs, key=lambda each: (look_of(each) != "worse", each.points))
    told = (
        say(
            "verdict.kept",
            way=title_of(each.first.reasoner, each.first.choice, say),
            points=f"{each.points:+.1f}",
            low=f"{each.low:+.1f}",
            high=f"{each.high:+.1f}",
        )
        for each in pairs
    )
    yield "kept", Verdict(look_of(worst), " ".join(told))


def _failures(run: Run, apart: Differences, say: Say) -> Iterator[tuple[str, Verdict]]:
    """Which way to fail became rarer or more frequent the most, of single passes."""
    found, pair = records(run.at, run.preset.task.name), single_pair(apart.single)
    changes = kind_changes(found, kinds_of(run.preset.task, found))
    own: Mapping[str, float] = {} if pair is None else changes.get(pair.first.label, {})
    if pair is None or not own:
        return
    words, most = say.picture("figure"), max(own, key=lambda kind: abs(own[kind]))
    text = say("verdict.failures", kind=word_of(most, words), points=f"{own[most]:+.1f}")
    yield "failures", Verdict(look_of(pair), text)


def _pays(run: Run, apart: Differences, say: Say) -> Iterator[tuple[str, Verdict]]:
    """After how many questions training has cost less than the best search."""
    rows = rows_of(records(run.at, run.preset.task.name))
    found = paid(run.manifest.stages, rows, apart.single, PRICE)
    if not found or not found.searches:
        return
    best = max(found.searches, key=lambda row: sure(row.cost.result.rate))
    if best.questions is None:
        yield "break_even", Verdict("worse", say("verdict.never"))
        return
    looks: dict[str, Look] = {"better": "better", "worse": "worse", "can't tell": "same"}
    text = say(f"verdict.pays.{looks[best.quality]}", n=in_questions(best.questions))
    assumed = say("verdict.price", price=f"{PRICE.per_hour:g}")
    yield "break_even", Verdict(looks[best.quality], f"{text} {assumed}")
