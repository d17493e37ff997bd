"""A searched tree as text: every state with its value, the winning path marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from ltf_lite.core.pace import paced
from ltf_lite.core.progress import duration
from ltf_lite.core.text import printable, signs
from ltf_lite.evaluation.naming import name_of
from ltf_lite.reasoners import Attempt, Node, Reasoner, Solution, Watch, path_to
from ltf_lite.report.kinds import word_of
from ltf_lite.tasks import Verdict
from ltf_lite.tasks.contract import State

GOOD, BAD = "green", "red"
WIDEST = 8  # children of a node that are shown; the best of them


def show(search: Callable[[Watch | None], Solution], reasoner: Reasoner, title: str) -> None:
    """Print a search's tree, growing where the output is a terminal, and what it came to.

    The answer comes last: of a large tree the end is what is still on the screen.
    """
    console = _Console(highlight=False)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            draw = paced(lambda _, tree: live.update(render(tree, title), refresh=True))
            solution = search(draw)
            live.update(render(solution.tree, title, chosen_node(solution)), refresh=True)
    else:
        solution = search(None)
        console.print(render(solution.tree, title, chosen_node(solution)), soft_wrap=True)
    told = f"{summary(solution, reasoner)}\n{answer(solution)}"
    console.print(signs(told), markup=False, emoji=False, soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end the program; `| head` is no failure


def summary(solution: Solution, reasoner: Reasoner) -> str:
    """What a search came to: its answer, whether any path was right, and what it cost."""
    lines, title = [], reasoner.title or reasoner.name
    for choice, index in solution.choices.items():
        name = name_of(choice, title, reasoner.settings())
        if index is not None:
            verdict = solution.attempts[index].verdict
            lines.append(f"{name}: {verdict.message if verdict.correct else _wrong(verdict)}")
        elif choice.kind not in ("oracle", "sample"):
            lines.append(f"{name}: no answer")
    right = sum(attempt.verdict.correct for attempt in solution.attempts)
    lines.append(f"oracle: {right} of {len(solution.attempts)} paths are right")
    took = solution.seconds
    seconds = f"{took:.2f} s" if took < 10 else duration(took)
    lines.append(f"{len(solution.tree)} nodes, {solution.tokens} tokens, {seconds} in the model")
    return "\n".join(lines)


def answer(solution: Solution) -> str:
    """The steps of the reasoner's own answer, a line each, and whether they are right."""
    chosen = _chosen(solution)
    if chosen is None or not chosen.text.strip():
        return "no answer"
    title = "the answer, right:" if chosen.verdict.correct else "the answer, not right:"
    return "\n".join([title, *(f"  {line}" for line in chosen.text.strip().split("\n"))])


def _wrong(verdict: Verdict) -> str:
    return f"not solved ({word_of(verdict.kind or '', {})}): {verdict.message}"


def plain(state: State) -> str:
    """A state that is a sequence, as a person reads it."""
    parts = state if isinstance(state, tuple | list) else [state]
    return " ".join(map(str, parts))


def chosen_node(solution: Solution) -> int | None:
    """The node where the reasoner's own answer ends; None if it chose nothing."""
    chosen = _chosen(solution)
    return chosen.node if chosen else None


def _chosen(solution: Solution) -> Attempt | None:
    picks = [index for index in solution.choices.values() if index is not None]
    return solution.attempts[picks[0]] if picks else None


def render(tree: Sequence[Node], title: str, chosen: int | None = None) -> Tree:
    """The tree for rich; `chosen` is the node whose path is marked."""
    children: dict[int, list[int]] = {}
    for index, node in enumerate(tree):
        if node.parent is not None:
            children.setdefault(node.parent, []).append(index)
    marked: dict[int, str] = {}
    if chosen is not None:
        verdict = tree[chosen].verdict
        colour = GOOD if verdict is not None and verdict.correct else BAD
        marked = dict.fromkeys(path_to(tree, chosen), f"bold {colour}")
    top = Tree(Text(printable(title), style="bold"))
    _grow(top, tree, children, marked)
    return top


def _grow(
    top: Tree, tree: Sequence[Node], children: dict[int, list[int]], marked: dict[int, str]
) -> None:
    branches = [(0, top)]  # no recursion: a path may have more steps than Python has frames
    for index, branch in branches:
        own = sorted(
            children.get(index, []),
            key=lambda k: (k in marked, tree[k].visits, tree[k].value or 0.0),
            reverse=True,
        )
        for child in own[:WIDEST]:
            branches.append((child, branch.add(_label(tree[child], marked.get(child, "")))))
        if len(own) > WIDEST:
            branch.add(Text(f"… and {len(own) - WIDEST} more", style="dim"))


def _label(node: Node, style: str) -> Text:
    """Step, value and visits, and how the path ended, in words as well as in colour.

    A `style` marks the path of the answer.
    """
    label = Text.assemble((printable(node.text) or "(nothing)", style))
    facts = []
    if node.value is not None:
        facts.append(f"value {node.value:.3f}")
    if node.visits:
        facts.append(f"visits {node.visits}")
    if facts:
        label.append(f"  {', '.join(facts)}", style="dim")
    if node.verdict is not None:
        right = node.verdict.correct
        ending = "✓ correct" if right else f"✗ {word_of(node.verdict.kind or '', {})}"
        label.append(f"  {ending}", style=GOOD if right else BAD)
    if style and node.verdict is not None:
        label.append("  ← the answer", style="bold")
    return label
