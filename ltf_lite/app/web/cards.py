"""Answers as HTML: solved or not and why, what it cost, the path, the tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from ltf_lite.app.answer.live import Ratio, Snapshot, ratio
from ltf_lite.app.web.words import Say
from ltf_lite.core.text import escape
from ltf_lite.reasoners import Node
from ltf_lite.report.figures.drawing import as_svg
from ltf_lite.report.tree.svg import tree_svg, tree_text
from ltf_lite.tasks import Task, Verdict
from ltf_lite.tasks.free import FreeText
from ltf_lite.tasks.steps import steps_of

UNCHECKED = "unchecked"  # the kind of a verdict where the right answer is not known
LONGEST = 400  # characters shown of a line that a model wrote


def pane(snapshot: Snapshot, title: str, task: Task, say: Say, model: str = "") -> str:
    """One way of answering: solved or not, its tokens in large type, its path; the rest folded."""
    shown = whole(snapshot) if isinstance(task, FreeText) else ""
    body = (
        f'<div class="ltf-title">{escape(title)}</div>{state_line(snapshot, task, say)}'
        f"{cost_line(snapshot, say)}{shown or written(snapshot, say)}"
    )
    if snapshot.state == "done":
        body += folded(say("pane.more"), metrics(snapshot, say, model))
    look = f'class="ltf-pane ltf-{colour(snapshot, task)}" aria-label="{escape(title)}"'
    return f"<section {look}>{body}</section>"


def empty(title: str, text: str) -> str:
    """A side that has nothing to show yet."""
    return (
        f'<section class="ltf-pane" aria-label="{escape(title)}"><div class="ltf-title">'
        f'{escape(title)}</div><p class="ltf-dim">{escape(text)}</p></section>'
    )


def cost_line(snapshot: Snapshot, say: Say) -> str:
    """What was written in large type, and the time beside it in small; "" before it began."""
    if snapshot.state in ("waiting", "loading", "failed"):
        return ""
    number = f'<strong class="ltf-number">{snapshot.tokens:,}</strong>'
    return (
        f'<p class="ltf-cost">{number} {escape(say("metric.tokens"))} '
        f'<span class="ltf-dim">{escape(seconds(snapshot.seconds))}</span></p>'
    )


def colour(snapshot: Snapshot, task: Task) -> str:
    """`good`, `bad`, or `open` while there is no verdict, or where it can't be said."""
    if snapshot.state == "failed":
        return "bad"
    if snapshot.state != "done" or snapshot.verdict is None:
        return "open"
    if snapshot.verdict.kind in task.spared:
        return "open"
    return "good" if snapshot.verdict.correct else "bad"


def state_line(snapshot: Snapshot, task: Task, say: Say) -> str:
    """Solved or not and why, or what is being done."""
    if snapshot.state == "failed":
        head, why = say("state.failed"), say.told(snapshot.error)
    elif snapshot.state != "done" or snapshot.verdict is None:
        head, why = say(f"state.{snapshot.state}"), ""
        if snapshot.state == "waiting" and snapshot.ahead:
            why = say("state.ahead", n=snapshot.ahead)
    elif snapshot.verdict.correct:
        head, why = "✓ " + say("verdict.solved"), ""
    else:
        why = reason(snapshot.verdict, snapshot.lines, task, say)
        head = "✗ " + say("verdict.not_solved")
        if snapshot.verdict.kind in task.spared:
            head = "? " + say("verdict.open")
    return f'<p class="ltf-state"><strong>{escape(head)}</strong> {escape(why)}</p>'


def reason(verdict: Verdict, lines: Sequence[str], task: Task, say: Say) -> str:
    """Why a path is wrong and at which step, in words."""
    kind = say.kind(verdict.kind or "", task)
    if not lines:
        return say("verdict.nothing")
    said = say.told(verdict.message)
    if verdict.fatal_step is None or isinstance(task, FreeText):
        return f"{kind} ({said})"
    step = verdict.fatal_step
    if step >= len(lines):
        return f"{say('verdict.missing', step=step + 1)} {kind}"
    where = say("verdict.step", step=step + 1, line=lines[step][:LONGEST])
    return f"{where} {kind} ({said})"


def metrics(snapshot: Snapshot, say: Say, model: str = "") -> str:
    """Times and speed, engine calls, paths, the engine and its model."""
    speed = snapshot.tokens_per_second
    facts = {
        "seconds": seconds(snapshot.seconds),
        "first_token": seconds(snapshot.first_token),
        "speed": "–" if speed is None else f"{speed:,.0f}",
        "calls": f"{snapshot.calls:,}",
        "paths": _paths(snapshot, say),
        "runtime": snapshot.runtime or "–",
        **({"model": model} if model else {}),
    }
    cells = "".join(
        f"<div><dt>{escape(say(f'metric.{name}'))}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )
    return f'<dl class="ltf-metrics">{cells}</dl>'


def _paths(snapshot: Snapshot, say: Say) -> str:
    """How many paths are right, where that is known."""
    unknown = snapshot.verdict is not None and snapshot.verdict.kind == UNCHECKED
    right = "?" if unknown else snapshot.right
    return say("metric.paths_of", right=right, paths=snapshot.paths)


def seconds(value: float | None) -> str:
    """`7 ms`, `1.24 s`, `35 s`; – for none."""
    if value is None:
        return "–"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def written(snapshot: Snapshot, say: Say) -> str:
    """The path line by line with the fatal step marked; while it is written, the text so far."""
    if snapshot.state != "done" or snapshot.verdict is None:
        caret = '<span class="ltf-caret"></span>' if snapshot.state == "running" else ""
        return f'<pre class="ltf-path">{escape(snapshot.text)}{caret}</pre>'
    rows = [
        step_line(line, _stands(snapshot.verdict, k), say) for k, line in enumerate(snapshot.lines)
    ]
    return f'<ol class="ltf-path">{"".join(rows)}</ol>' if rows else ""


def whole(snapshot: Snapshot) -> str:
    """All that was written, the answer that was taken marked; "" until it is done."""
    if snapshot.state != "done" or not snapshot.text.strip():
        return ""
    start, end = snapshot.taken or (len(snapshot.text),) * 2
    parts = snapshot.text[:start], snapshot.text[start:end], snapshot.text[end:]
    before, answer, behind = map(escape, parts)
    marked = f'<mark class="ltf-taken">{answer}</mark>' if answer else ""
    return f'<pre class="ltf-path ltf-whole" tabindex="0">{before}{marked}{behind}</pre>'


def _stands(verdict: Verdict, index: int) -> str:
    """How a line stands to the fatal step; where none is known, no line of a failure is right."""
    if verdict.correct:
        return "right"
    if verdict.fatal_step is None or index > verdict.fatal_step:
        return "after"
    return "fatal" if index == verdict.fatal_step else "right"


def step_line(line: str, state: str, say: Say) -> str:
    """A line of a path: `right`, `fatal`, `after` the fatal one, or `missing`."""
    note = f" <em>{escape(say(f'step.{state}'))}</em>" if state in ("fatal", "missing") else ""
    return f'<li class="ltf-{state}"><code>{escape(line[:LONGEST])}</code>{note}</li>'


def figure(drawn: Figure, label: str) -> str:
    """A figure for the page, to scroll where the page is narrower than it can be read."""
    look = f'class="ltf-scroll" tabindex="0" role="group" aria-label="{escape(label)}"'
    return f"<div {look}>{as_svg(drawn, label)}</div>"


def tree_block(snapshot: Snapshot, problem: str, task: Task, say: Say) -> str:
    """The tree as a picture that fits its window and can be made larger, and as text."""
    if len(snapshot.tree) < 2:
        return ""
    tree, words, shown = _open(snapshot, task, say), say.picture("tree"), steps_of(task).shown
    if colour(snapshot, task) == "open" and snapshot.verdict is not None:
        words["no_answer"] = say.name(snapshot.verdict.kind or "")
    drawn = (tree, snapshot.chosen)
    picture = tree_svg(*drawn, words, shown, problem)
    size = say("tree.nodes", n=len(snapshot.tree) + snapshot.hidden)
    look = f'class="ltf-tree" tabindex="0" role="group" aria-label="{escape(size)}"'
    note = f'<p class="ltf-dim">{escape(say("searched.legend"))}</p>'
    valued = any(node.value is not None for node in snapshot.tree)
    block = f"{_zoom(say)}{note if valued else ''}<div {look}>{picture}</div>"
    block = f'<section class="ltf-searched"><h3>{escape(say("searched.title"))}</h3>{block}'
    if snapshot.state not in ("done", "stopped"):
        return f"{block}</section>"
    text = escape(tree_text(*drawn, shown, problem))
    size = say("tree.as_text", n=len(snapshot.tree))
    return f"{block}{folded(size, f'<pre>{text}</pre>')}</section>"


def _zoom(say: Say) -> str:
    """Buttons that make the tree larger and smaller; the page's script listens to them."""
    buttons = "".join(
        f'<button type="button" data-zoom="{step}" aria-label="{escape(say(f"searched.{name}"))}">'
        f"{sign}</button>"
        for name, step, sign in (
            ("smaller", "0.8", "−"),
            ("fit", "0", "⤢"),
            ("larger", "1.25", "+"),
        )
    )
    return f'<div class="ltf-zoom" role="group">{buttons}</div>'


def _open(snapshot: Snapshot, task: Task, say: Say) -> Sequence[Node]:
    """The tree without verdicts that say of no path whether it is right, the others in words."""
    return [_judged(node, task, say) if node.verdict else node for node in snapshot.tree]


def _judged(node: Node, task: Task, say: Say) -> Node:
    found = node.verdict
    if found is None or found.kind in task.spared:
        return replace(node, verdict=None)
    return replace(node, verdict=found._replace(message=say.told(found.message)))


def folded(title: str, body: str) -> str:
    """Something to open; `body` is HTML."""
    return f'<details class="ltf-text"><summary>{escape(title)}</summary>{body}</details>'


def verdict_of(
    before: Snapshot,
    after: Snapshot,
    search: Snapshot,
    say: Say,
    spared: frozenset[str] = frozenset(),
) -> str:
    """Who solved it, and what search cost beside the tuned single pass, in a sentence or two.

    Verdicts of the `spared` kinds say of nobody that he solved it. Where neither the search nor
    the tuned single pass solved it, their costs are not compared.
    """
    sides = (before, after, search)
    verdicts = [side.verdict for side in sides if side.state == "done" and side.verdict]
    if len(verdicts) < len(sides):
        return ""
    if {verdict.kind for verdict in verdicts} & spared:
        return _verdict([say("verdict.unchecked")])
    marks = "".join(str(int(verdict.correct)) for verdict in verdicts)
    told = [say(f"solved.{marks}")]
    found = ratio(after, search)
    if found is not None and marks[1:] != "00":
        told.append(_costs(after, search, found, say))
    return _verdict(told)


def _costs(after: Snapshot, search: Snapshot, found: Ratio, say: Say) -> str:
    """The tokens of both; their times where one engine in one precision answered both."""
    told = say(
        "ratio.sentence",
        search=f"{search.tokens:,}",
        single=f"{after.tokens:,}",
        times=_times(found.tokens),
    )
    if found.seconds is None:
        return f"{told} {say('ratio.engines')}"
    return f"{told} {say('ratio.seconds', times=_times(found.seconds))}"


def _verdict(sentences: Sequence[str]) -> str:
    lead, rest = escape(sentences[0]), escape(" ".join(sentences[1:]))
    return f'<p class="ltf-verdict" role="status"><strong>{lead}</strong> {rest}</p>'


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def notice(text: str) -> str:
    """A sentence that says what can't be done."""
    return f'<p class="ltf-notice" role="alert">{escape(text)}</p>' if text else ""


def remark(text: str) -> str:
    """A sentence that is good to know and stops nothing."""
    return f'<p class="ltf-remark" role="status">{escape(text)}</p>' if text else ""


def grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; everything in it is text. On a narrow page each row becomes a list of its cells."""
    top = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{escape(str(name))}">{escape(str(cell))}</td>'
            for name, cell in zip(head, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    name = escape(" · ".join(map(str, head)))
    look = f'class="ltf-scroll ltf-grid" tabindex="0" role="group" aria-label="{name}"'
    return f"<div {look}>{whole}</div>"


def part(title: str, body: str) -> str:
    """A part of a page with its title; `body` is HTML."""
    return f"<div><h3>{escape(title)}</h3>{body}</div>"
