"""The part of the Compare tab that shows two answers without names, for a person to judge.

Who is A is told by nothing on the page: both appear at the same time, without tokens, times and
verdicts. What was judged lies in the state of the page alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import gradio as gr

from ltf_lite.app.answer import live
from ltf_lite.app.answer.live import Side, Snapshot
from ltf_lite.app.web import cards, preferred, question
from ltf_lite.app.web.asked import (
    DRAWN,
    LONGEST,
    SEEDS,
    Form,
    asks_model,
    before_of,
    problem_of,
    sides_of,
    task_of,
)
from ltf_lite.app.web.catalogue import titles
from ltf_lite.app.web.desk import QUIET, SIGNED, Desk, answered, choice, streamed, who
from ltf_lite.app.web.preferred import Judging, Pair
from ltf_lite.app.web.turns import ahead, begin, ended, still, turns, waiting
from ltf_lite.app.web.ways import within
from ltf_lite.core.errors import UsageError
from ltf_lite.core.text import escape
from ltf_lite.engines import EngineError
from ltf_lite.tasks import Problem, Task
from ltf_lite.tasks.contract import share

PAIRS = ("before-single", "single-search", "before-search")
VOTES = ("a", "b", "equal")
TRIES = 5  # draws, after which every test problem counts as judged


class Blind(NamedTuple):
    """What stands there and is pressed, read or changed."""

    pair: gr.Dropdown
    start: gr.Button
    stop: gr.Button
    draw: gr.Button
    told: gr.HTML
    question: gr.HTML
    panes: list[gr.HTML]
    votes: list[gr.Button]
    counted: gr.HTML
    show: gr.Button
    result: gr.HTML
    state: gr.State
    token: gr.Textbox


class Ways(NamedTuple):
    """The two ways that are judged, what they are called, and a key of all that they depend on."""

    task: Task
    sides: tuple[Side, Side]
    names: tuple[str, str]
    key: str


def blind_part(desk: Desk) -> Blind:
    """Lay it out."""
    say = desk.say
    with gr.Accordion(say("blind.title"), open=False, elem_id="blind-box"):
        gr.Markdown(say("blind.intro"))
        with gr.Row():
            pair = choice(
                [(say(f"blind.pair.{name}"), name) for name in PAIRS],
                value=PAIRS[0],
                label=say("blind.pair"),
                elem_id="blind-pair",
                min_width=240,
                scale=3,
            )
            button: dict[str, Any] = {"min_width": 140, "scale": 1}
            start = gr.Button(say("blind.start"), elem_id="blind-start", **button)
            stop = gr.Button(say("stop"), variant="stop", elem_id="blind-stop", visible=False)
            draw = gr.Button(say("draw"), elem_id="blind-draw", **button)
        told, asked = gr.HTML(elem_id="blind-notice"), gr.HTML(elem_id="blind-question")
        with gr.Row():
            panes = []
            for name in ("a", "b"):
                with gr.Column(min_width=260):
                    panes.append(gr.HTML(_empty(name, desk), elem_id=f"blind-{name}"))
        with gr.Row():
            votes = [
                gr.Button(say(f"blind.vote.{vote}"), elem_id=f"blind-vote-{vote}", visible=False)
                for vote in VOTES
            ]
        counted = gr.HTML(_counted(Judging(), desk), elem_id="blind-count")
        show = gr.Button(say("blind.show"), elem_id="blind-show")
        result = gr.HTML(elem_id="blind-result")
    state, token = gr.State(Judging()), gr.Textbox(visible=False)
    return Blind(
        pair, start, stop, draw, told, asked, panes, votes, counted, show, result, state, token
    )


def connect_blind(desk: Desk, part: Blind, fields: list[Any], every: list[gr.Button]) -> None:
    """The typed problem, a drawn one, or a judgement and then a drawn one; and what it came to."""
    outputs = [part.state, part.told, part.question, *part.panes, *part.votes]
    outputs += [part.counted, part.result, *every]
    inputs = [*fields, part.pair, part.state, part.token]
    presses = {"typed": part.start, "drawn": part.draw, **dict(zip(VOTES, part.votes, strict=True))}
    for press, button in presses.items():
        button.click(begin(desk), None, [*every, part.told], **QUIET).then(
            streamed(pressed(desk, press), lambda note: _nothing(note, desk), desk.say),
            inputs,
            outputs,
            js=SIGNED,
            **turns(public=False),
        )
    told = answered(lambda judging: preferred.shown(judging, desk), lambda note: note, desk.say)
    part.show.click(told, part.state, part.result, **QUIET)


def pressed(desk: Desk, press: str) -> Callable[..., Iterator[list[Any]]]:
    """Shows the `typed` problem or a `drawn` one, or takes one of the VOTES and draws the next."""

    def next_pair(request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        *rest, chosen, judging, token = values
        ticket = desk.tickets.of(who(request))
        try:
            desk.vouched(token)
            form = Form(*rest)
            if press in VOTES:
                judging = judging.judged(VOTES.index(press))
            judging = judging._replace(pair=None)
            yield [*_page(judging, desk), *still()]  # it is kept, whatever becomes of the next one
            ways, note = _ways(desk, form, chosen), ""
            if judging.key != ways.key:
                note = cards.remark(desk.say("blind.anew")) if judging.votes else ""
                judging = Judging(ways.key, ways.names)
            problem, other = (_typed if press == "typed" else _drawn)(desk, form, judging)
            note += other
            yield [*_page(judging, desk, note, problem), *still()]
            work = _answers(problem, ways, desk, ticket)
            last = yield from waiting(work, partial(_waiting, judging, desk, note, problem))
            if error := next((each.error for each in last if each.state == "failed"), ""):
                raise EngineError(error)
            if any(each.state == "stopped" for each in last):
                yield [*_page(judging, desk, note), *ended()]
                return
            judging = judging._replace(pair=_pair(problem, ways, form, last))
            yield [*_page(judging, desk, note, problem, last), *ended()]
        finally:
            desk.tickets.end(who(request), ticket)

    return next_pair


def _answers(
    problem: Problem, ways: Ways, desk: Desk, ticket: Event
) -> Generator[int, None, tuple[Snapshot, ...]]:
    """Both answers at their end; yields how many others come first."""
    told, last = 0, tuple[Snapshot, ...]()
    for last in live.compare(problem, ways.task, ways.sides, desk.pool, ticket):
        first = max((each.ahead for each in last if each.state == "waiting"), default=0)
        if first != told:
            yield (told := first)
    return last


def _ways(desk: Desk, form: Form, chosen: Any) -> Ways:
    """The two ways of the form that are chosen; raises LtfError for what can't be asked."""
    if chosen not in PAIRS:
        raise UsageError(desk.say("blind.no_pair"))
    task = task_of(desk, form)
    single, search = sides_of(desk, form, task)
    called = {name: title for title, name in titles(desk.shelf, desk.say)}
    base, tuned = (called.get(str(name), str(name)) for name in (form.search, form.single))
    way = desk.say("search.of", way=within(form.way, desk.say))
    own = {
        "before": (before_of(search), f"{desk.say('before.title')} · {base}"),
        "single": (single, f"{desk.say('single.title')} · {tuned}"),
        "search": (search, f"{way} · {base}" if asks_model(form.way) else way),
    }
    one, other = (own[name] for name in chosen.split("-"))
    sides = one[0], other[0]
    return Ways(task, sides, (one[1], other[1]), repr((form.task, sides)))


def _typed(desk: Desk, form: Form, judging: Judging) -> tuple[Problem, str]:
    """The problem in the question field; another one, and why, where it would not be blind."""
    if not str(form.problem or "").strip():
        return _drawn(desk, form, judging)
    problem = problem_of(desk, form)
    named = _named(desk, form, problem.text) or _named(desk, form, form.problem)
    if not named and problem.id not in judging.seen:
        return problem, ""
    why = desk.say("blind.known" if named else "blind.twice")
    return _drawn(desk, form, judging)[0], cards.remark(why)


def _named(desk: Desk, form: Form, text: Any) -> bool:
    """Whether the answers to a problem were shown with their names, above on the tab."""
    asked = (form.single, form.search, form.task, text)
    return desk.recent.get(tuple(map(str, asked))) is not None


def _drawn(desk: Desk, form: Form, judging: Judging) -> tuple[Problem, str]:
    """A random test problem that was neither judged nor compared; raises UsageError for none."""
    task = task_of(desk, form)
    for _ in range(TRIES):
        seed = secrets.randbelow(SEEDS)
        drawn = (task.up_to(split, DRAWN, seed) for split in ("test", "train"))
        for problem in next(filter(None, drawn), []):
            new = problem.id not in judging.seen and not _named(desk, form, problem.text)
            if new and len(problem.text) <= LONGEST:
                return problem, ""
    raise UsageError(desk.say("blind.all"))


def _pair(problem: Problem, ways: Ways, form: Form, last: tuple[Snapshot, ...]) -> Pair:
    marks = tuple(_right(each, ways.task) for each in last)
    return Pair(problem.id, _turned(problem, form.seed), (marks[0], marks[1]))


def _turned(problem: Problem, seed: Any) -> bool:
    """Whether the second way is A: by chance, and the same whenever a problem comes again."""
    return share(f"blind:{seed}:{problem.id}") < 0.5


def _right(last: Snapshot, task: Task) -> bool | None:
    """Whether an answer is right; None where that can't be said."""
    if last.verdict is None or last.verdict.kind in task.spared:
        return None
    return last.verdict.correct


def _page(
    judging: Judging,
    desk: Desk,
    note: str = "",
    problem: Problem | None = None,
    last: tuple[Snapshot, ...] = (),
) -> list[Any]:
    """Everything of the part but its buttons; A and B are empty until both are answered."""
    asked = "" if problem is None else question.shown(problem, desk.say)
    if last and judging.pair:
        texts = [each.text for each in (reversed(last) if judging.pair.turned else last)]
        panes = [_pane(name, text, desk) for name, text in zip("ab", texts, strict=True)]
    else:
        panes = [_empty(name, desk, waits=problem is not None) for name in "ab"]
    votes = [gr.update(visible=bool(last))] * len(VOTES)
    return [judging, note, asked, *panes, *votes, _counted(judging, desk), ""]


def _waiting(judging: Judging, desk: Desk, note: str, problem: Problem, n: int) -> list[Any]:
    return [*_page(judging, desk, note + ahead(n, desk), problem), *still()]


def _nothing(note: str, desk: Desk) -> list[Any]:
    """What is shown where something went wrong; what was judged stays."""
    hidden = [gr.update(visible=False)] * len(VOTES)
    panes = [_empty(name, desk) for name in "ab"]
    return [gr.skip(), note, "", *panes, *hidden, gr.skip(), gr.skip(), *ended()]


def _pane(name: str, text: str, desk: Desk) -> str:
    shown = f'<pre class="ltf-path ltf-whole" tabindex="0">{escape(text.strip())}</pre>'
    if not text.strip():
        shown = f'<p class="ltf-dim">{escape(desk.say("verdict.nothing"))}</p>'
    title = name.upper()
    return (
        f'<section class="ltf-pane" aria-label="{title}">'
        f'<div class="ltf-title">{title}</div>{shown}</section>'
    )


def _empty(name: str, desk: Desk, waits: bool = False) -> str:
    told = desk.say("blind.waiting" if waits else "blind.empty")
    return cards.empty(name.upper(), told)


def _counted(judging: Judging, desk: Desk) -> str:
    told = desk.say("blind.count", n=len(judging.votes))
    return f'<p role="status">{escape(told)}</p>'
