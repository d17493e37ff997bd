"""Answers as HTML: solved or not and why, what it cost, the path, the tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from ltf_lite.app.answer.live import Snapshot, ratio
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


def pane(snapshot: Snapshot, title: str, task: Task, say: Say, problem: str | None = None) -> str:
    """One side of a comparison; a `problem`'s text shows the tree too and not the path alone."""
    head = f'<div class="ltf-title">{escape(title)}</div>{state_line(snapshot, task, say)}'
    shown = whole(snapshot) if isinstance(task, FreeText) else ""
    body = head + metrics(snapshot, say) + (shown or written(snapshot, say))
    if problem is not None and len(snapshot.tree) > 1:
        body += tree_block(snapshot, problem, task, say)
    look = f'class="ltf-pane ltf-{colour(snapshot, task)}" aria-label="{escape(title)}"'
    return f"<section {look}>{body}</section>"


def empty(title: str, text: str) -> str:
    """A side that has nothing to show yet."""
    return (
        f'<section class="ltf-pane" aria-label="{escape(title)}"><div class="ltf-title">'
        f'{escape(title)}</div><p class="ltf-dim">{escape(text)}</p></section>'
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
        head, why = say("state.failed"), snapshot.error
    elif snapshot.state != "done" or snapshot.verdict is None:
        head, why = say(f"state.{snapshot.state}"), ""
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
    if verdict.fatal_step is None or isinstance(task, FreeText):
        return f"{kind} ({verdict.message})"
    step = verdict.fatal_step
    if step >= len(lines):
        return f"{say('verdict.missing', step=step + 1)} {kind}"
    where = say("verdict.step", step=step + 1, line=lines[step][:LONGEST])
    return f"{where} {kind} ({verdict.message})"


def metrics(snapshot: Snapshot, say: Say) -> str:
    """Times, tokens and their speed, engine calls, paths, the engine."""
    speed = snapshot.tokens_per_second
    facts = {
        "seconds": seconds(snapshot.seconds),
        "first_token": seconds(snapshot.first_token),
        "speed": "–" if speed is None else f"{speed:,.0f}",
        "tokens": f"{snapshot.tokens:,}",
        "calls": f"{snapshot.calls:,}",
        "paths": _paths(snapshot, say),
        "runtime": snapshot.runtime or "–",
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
    return f'<div class="ltf-scroll">{as_svg(drawn, label)}</div>'


def tree_block(snapshot: Snapshot, problem: str, task: Task, say: Say) -> str:
    """The tree as a picture to scroll, and as text."""
    tree, words, shown = _open(snapshot, task), say.picture("tree"), steps_of(task).shown
    if colour(snapshot, task) == "open" and snapshot.verdict is not None:
        words["no_answer"] = say.name(snapshot.verdict.kind or "")
    drawn = (tree, snapshot.chosen)
    picture = tree_svg(*drawn, words, shown, problem)
    size = say("tree.nodes", n=len(snapshot.tree) + snapshot.hidden)
    look = f'class="ltf-tree" tabindex="0" role="group" aria-label="{escape(size)}"'
    block = f"<div {look}>{picture}</div>"
    if snapshot.state not in ("done", "stopped"):
        return block
    text = escape(tree_text(*drawn, shown, problem))
    return block + folded(say("tree.as_text", n=len(snapshot.tree)), f"<pre>{text}</pre>")


def _open(snapshot: Snapshot, task: Task) -> Sequence[Node]:
    """The tree without verdicts that say of no path whether it is right."""
    return [
        replace(node, verdict=None) if node.verdict and node.verdict.kind in task.spared else node
        for node in snapshot.tree
    ]


def folded(title: str, body: str) -> str:
    """Something to open; `body` is HTML."""
    return f'<details class="ltf-text"><summary>{escape(title)}</summary>{body}</details>'


def verdict_of_both(
    single: Snapshot, search: Snapshot, say: Say, spared: frozenset[str] = frozenset()
) -> str:
    """The ratio of their tokens in large type, and who solved it, in a sentence.

    Verdicts of the `spared` kinds say of nobody that he solved it.
    """
    if single.state != "done" or search.state != "done":
        return ""
    if single.verdict is None or search.verdict is None:
        return ""
    solved = (single.verdict.correct, search.verdict.correct)
    who = {
        (True, True): "both",
        (True, False): "single",
        (False, True): "search",
        (False, False): "neither",
    }[solved]
    if {single.verdict.kind, search.verdict.kind} & spared:
        who = "open"
    large, told = "", [say(f"ratio.{who}")]
    found = ratio(single, search)
    if found is not None:
        number = _times(found.tokens)
        large = f'<span class="ltf-large">{number}×</span>'
        told.insert(0, say("ratio.sentence", times=number))
        slow = say("ratio.engines") if found.seconds is None else ""
        told.append(slow or say("ratio.seconds", times=_times(found.seconds or 0)))
    return (
        f'<div class="ltf-ratio" role="status">{large}<span>{escape(" ".join(told))}</span></div>'
    )


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def notice(text: str) -> str:
    """A sentence that says what can't be done."""
    return f'<p class="ltf-notice" role="alert">{escape(text)}</p>' if text else ""


def grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; everything in it is text."""
    top = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="ltf-scroll">{whole}</div>'


def part(title: str, body: str) -> str:
    """A part of a page with its title; `body` is HTML."""
    return f"<div><h3>{escape(title)}</h3>{body}</div>"
