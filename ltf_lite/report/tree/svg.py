"""A searched tree as an inline SVG that follows the page's theme, and the same as plain text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from unicodedata import east_asian_width

from rich.console import Console

from ltf_lite.core.text import escape, printable
from ltf_lite.reasoners import Node, path_to
from ltf_lite.report.kinds import word_of
from ltf_lite.report.tree.layout import Shown, choose, place
from ltf_lite.report.tree.text import plain, render
from ltf_lite.tasks import Verdict
from ltf_lite.tasks.contract import State

WORDS: dict[str, str] = {
    "value": "value",
    "visits": "visits",
    "tokens": "tokens",
    "seconds": "seconds",
    "left": "left",
    "more": "more",
    "nothing": "(nothing)",
    "answer": "answer",
    "correct": "correct",
    "summary": "{nodes} nodes, depth {depth}",
    "solved": "solved",
    "not_solved": "not solved",
    "no_answer": "no answer",
}
LABEL, FACTS = 22, 24  # columns of a step's text in its box, of what is known of it
BETWEEN_FACTS = " · "
COLUMN, LINE = 7.9, 17  # pixels: a character of the 13 px font, a line
PADDING, BETWEEN, MARGIN = 10, 40, 4  # pixels: in a box, between depths, around the tree

# A colour mixed with the text's own is dark on a light page and light on a dark one.
STYLE = """
.ltf-svg-tree{--good:var(--ltf-good,color-mix(in srgb,#12843f 70%,currentColor));
--bad:var(--ltf-bad,color-mix(in srgb,#d22f27 70%,currentColor));
--line:var(--ltf-line,color-mix(in srgb,currentColor 42%,transparent));
--node:var(--ltf-node,color-mix(in srgb,currentColor 5%,transparent));max-width:none}
.ltf-svg-tree text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,
'DejaVu Sans Mono',monospace;fill:currentColor;white-space:pre}
.ltf-svg-tree rect{fill:var(--node);stroke:var(--line)}
.ltf-svg-tree path{fill:none;stroke:var(--line);stroke-width:1.3}
.ltf-svg-tree tspan:not(.step){font-size:12px}
.ltf-svg-tree .fact{fill-opacity:.8}
.ltf-svg-tree .dead rect{stroke-dasharray:4 3;fill:none}
.ltf-svg-tree .dead .step{fill-opacity:.8}
.ltf-svg-tree .more rect{fill:none;stroke:none}
.ltf-svg-tree .good{fill:var(--good)}
.ltf-svg-tree .bad{fill:var(--bad)}
.ltf-svg-tree .right rect{stroke:var(--good);stroke-width:1.6}
.ltf-svg-tree .way rect{stroke-width:2.6;stroke-dasharray:none;fill:var(--node)}
.ltf-svg-tree .way .step{font-weight:700;fill-opacity:1}
.ltf-svg-tree path.way{stroke-width:3.4}
.ltf-svg-tree .way-open rect,.ltf-svg-tree path.way-open{stroke:currentColor}
.ltf-svg-tree .way-good rect,.ltf-svg-tree path.way-good{stroke:var(--good)}
.ltf-svg-tree .way-bad rect,.ltf-svg-tree path.way-bad{stroke:var(--bad)}
""".replace("\n", "")


class Box(NamedTuple):
    """What a node's box says: lines of (text, class), its first the step; its class and detail."""

    lines: list[list[tuple[str, str]]]
    look: str
    title: str

    @property
    def width(self) -> float:
        """Pixels."""
        return 2 * PADDING + COLUMN * max(map(_columns, self.lines))

    @property
    def height(self) -> float:
        """Pixels."""
        return PADDING + LINE * len(self.lines)


@dataclass(frozen=True)
class Drawing:
    """A tree with what its boxes say: its words, how a state is shown, what the root is called."""

    tree: Sequence[Node]
    chosen: int | None
    words: Mapping[str, str]
    shown: Callable[[State], str]
    title: str

    def text(self, index: int) -> str:
        """The step of a node; of the root its state, or the title where that shows nothing."""
        node = self.tree[index]
        return node.text if index else self.state(node) or self.title

    def state(self, node: Node) -> str:
        return node.text if node.state is None else self.shown(node.state)

    @cached_property
    def counts(self) -> bool:
        """Whether the visits of this tree tell anything."""
        return any(node.visits > 1 for node in self.tree[1:])


def tree_svg(
    tree: Sequence[Node],
    chosen: int | None,
    words: Mapping[str, str] = WORDS,
    shown: Callable[[State], str] = plain,
    title: str = "",
) -> str:
    """One `<svg>` of a tree, root at the left, the path to node `chosen` marked; "" for no nodes.

    `words` may have failure kinds too. `shown` is how a task shows a state; `title` stands in the
    root where its state shows nothing. Green, red, lines and boxes are the page's `--ltf-good`,
    `--ltf-bad`, `--ltf-line` and `--ltf-node` where it sets them. Width and height are pixels of
    the natural size. Of a large tree the best nodes are drawn, with boxes that count what is left
    out.
    """
    if not tree:
        return ""
    drawing, drawn = Drawing(tree, chosen, words, shown, title), choose(tree, chosen)
    way = {} if chosen is None else dict.fromkeys([0, *path_to(tree, chosen)], _way(tree[chosen]))
    boxes = _boxes(drawing, drawn, way)
    at = _positions(drawn, boxes)
    links = sorted(  # the marked ones last, above the others
        (way.get(child, ""), _link(at[index], boxes[index].width, at[child], way.get(child, "")))
        for index, own in drawn.children.items()
        for child in own
    )
    width = MARGIN + max(left + boxes[index].width for index, (left, _) in at.items())
    height = MARGIN + max(middle + boxes[index].height / 2 for index, (_, middle) in at.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ltf-svg-tree" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(_summary(drawing, drawn))}"><style>{STYLE}</style>'
        f"{''.join(link for _, link in links)}"
        f"{''.join(_drawn(box, *at[index]) for index, box in boxes.items())}</svg>"
    )


def tree_text(
    tree: Sequence[Node],
    chosen: int | None,
    shown: Callable[[State], str] = plain,
    title: str = "",
) -> str:
    """The tree as plain text, lines of 100 characters: what the picture shows, to read or copy."""
    out = io.StringIO()
    depth = choose(tree, chosen).depth if tree else 0
    width = max(100, 4 * min(depth, 80) + 40)  # a deep path needs room beside its guides
    console = Console(file=out, width=width, color_system=None, force_terminal=False, emoji=False)
    root = printable(Drawing(tree, chosen, WORDS, shown, title).text(0)) if tree else ""
    console.print(render(tree, root, chosen))
    return out.getvalue()


def _way(end: Node) -> str:
    if end.verdict is None:
        return "way way-open"
    return "way way-good" if end.verdict.correct else "way way-bad"


def _summary(drawing: Drawing, drawn: Shown) -> str:
    """Nodes, depth and what the answer is, for who cannot see the picture."""
    words, chosen = drawing.words, drawing.chosen
    verdict = None if chosen is None else drawing.tree[chosen].verdict
    state = "no_answer" if verdict is None else "solved" if verdict.correct else "not_solved"
    return f"{words['summary'].format(nodes=drawn.size, depth=drawn.depth)}: {words[state]}"


def _boxes(drawing: Drawing, drawn: Shown, way: Mapping[int, str]) -> dict[int, Box]:
    boxes = {index: _box(drawing, index, way.get(index, "")) for index in drawn.children}
    for index, n in drawn.left_out.items():
        text = f"… {n} {drawing.words['more']}"
        boxes[~index] = Box([[(text, "fact")]], "more", text)
    return boxes


def _positions(shown: Shown, boxes: Mapping[int, Box]) -> dict[int, tuple[float, float]]:
    """Left edge and middle of every box; a depth's boxes begin at the same pixel."""
    placed = place(shown.children, {index: box.height for index, box in boxes.items()})
    widths = [0.0] * (1 + max(depth for depth, _ in placed.values()))
    for index, (depth, _) in placed.items():
        widths[depth] = max(widths[depth], boxes[index].width)
    lefts = [MARGIN + sum(widths[:depth]) + BETWEEN * depth for depth in range(len(widths))]
    return {index: (lefts[depth], MARGIN + middle) for index, (depth, middle) in placed.items()}


def _box(drawing: Drawing, index: int, way: str) -> Box:
    """A node's box."""
    node, words, text = drawing.tree[index], drawing.words, drawing.text(index)
    good = node.verdict is not None and node.verdict.correct
    ends = [_ending(node.verdict, words)] if node.verdict is not None else []
    if index == drawing.chosen:
        ends.append(words["answer"])
    look = "fact" if node.verdict is None else "good" if good else "bad"
    facts = [(" · ".join(ends), look)] if ends else []
    if node.value is not None:
        facts.append((f"{words['value']} {node.value:.3f}", "fact"))
    if drawing.counts and node.visits:
        facts.append((f"{words['visits']} {node.visits}", "fact"))
    lines = [[(_cut(text) or words["nothing"], "step")], *_broken(facts)]
    dead = not good and (node.verdict is not None or node.state is None) and index > 0
    here = "answer " if index == drawing.chosen else ""
    look = f"{here}{'right ' if good else ''}{'dead ' if dead else ''}{way}"
    return Box(lines, look.strip(), _detail(drawing, index))


def _ending(verdict: Verdict, words: Mapping[str, str]) -> str:
    """How a path ended, by sign and by word."""
    if verdict.correct:
        return f"✓ {words['correct']}"
    return f"✗ {printable(word_of(verdict.kind or '', words))}"


def _detail(drawing: Drawing, index: int) -> str:
    """All that is known of a node, a line each."""
    node, words, text = drawing.tree[index], drawing.words, drawing.text(index)
    facts = [printable(text)]
    if node.state is not None and (left := drawing.state(node)) and (left != text or not index):
        facts.append(f"{words['left']}: {printable(left)}")
    if node.verdict is not None:
        ending = _ending(node.verdict, words)
        facts.append(f"{ending}: {printable(node.verdict.message)}")
    if node.value is not None:
        facts.append(f"{words['value']}: {node.value:.6g}")
    if node.visits:
        facts.append(f"{words['visits']}: {node.visits}")
    if node.logprob is not None:
        facts.append(f"log p: {node.logprob:.3f}")
    if node.tokens:
        facts.append(f"{words['tokens']}: {node.tokens}")
    if node.seconds:
        facts.append(f"{words['seconds']}: {node.seconds:.3g}")
    return "\n".join(facts)


def _broken(facts: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Facts on as few lines as they need."""
    lines: list[list[tuple[str, str]]] = []
    for fact in facts:
        if lines and _columns([*lines[-1], fact]) <= FACTS:
            lines[-1].append(fact)
        else:
            lines.append([fact])
    return lines


def _drawn(box: Box, left: float, middle: float) -> str:
    top = middle - box.height / 2
    texts = ""
    for k, line in enumerate(box.lines):
        spans = BETWEEN_FACTS.join(
            f'<tspan class="{look}">{escape(text)}</tspan>' for text, look in line
        )
        texts += f'<text x="{left + PADDING:.0f}" y="{top + LINE * (k + 1):.0f}">{spans}</text>'
    return (
        f'<g class="{box.look}"><title>{escape(box.title)}</title><rect x="{left:.0f}" '
        f'y="{top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="7"/>{texts}</g>'
    )


def _link(start: tuple[float, float], width: float, end: tuple[float, float], way: str) -> str:
    """A curve from the right of one box to the left of another."""
    (x, y), (to_x, to_y) = (start[0] + width, start[1]), end
    bend = (x + to_x) / 2
    look = f' class="{way}"' if way else ""
    curve = f"M{x:.0f} {y:.0f}C{bend:.0f} {y:.0f} {bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    return f'<path{look} d="{curve}"/>'


def _columns(line: list[tuple[str, str]]) -> int:
    """Columns of a line in a fixed-width font."""
    return sum(_wide(text) for text, _ in line) + len(BETWEEN_FACTS) * (len(line) - 1)


def _wide(text: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str) -> str:
    text = printable(text[: LABEL + 1])
    while _wide(text) > LABEL:
        text = text.removesuffix("…")[:-1] + "…"
    return text
