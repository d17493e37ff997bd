"""Which nodes of a searched tree are drawn, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ltf_lite.reasoners import Node, path_to

WIDEST = 12  # children of a node that are drawn
MOST = 150  # nodes that are drawn, but for those of a longer chosen path
SIBLINGS, COUSINS = 8.0, 16.0  # pixels between boxes of one parent, of two parents

Contour = list[tuple[float, float]]  # a subtree's highest and lowest pixel, a depth


class Shown(NamedTuple):
    """The nodes drawn, each with its drawn children, and how many nodes below it are left out.

    Where some are, the last child is `~node`, which stands for them. `size` nodes and `depth`
    steps are the whole tree's.
    """

    children: dict[int, list[int]]
    left_out: dict[int, int]
    size: int
    depth: int


def choose(tree: Sequence[Node], chosen: int | None) -> Shown:
    """The path to `chosen`, and of every node the best children, as many as there is room for.

    Children keep the order in which they were found, so that a growing tree does not shuffle.
    """
    children: list[list[int]] = [[] for _ in tree]
    for index, node in enumerate(tree):
        if node.parent is not None:
            children[node.parent].append(index)
    levels = [[0]]
    while below := [child for index in levels[-1] for child in children[index]]:
        levels.append(below)
    sizes, right = [1] * len(tree), [0] * len(tree)
    for level in reversed(levels):
        for index in level:
            verdict = tree[index].verdict
            sizes[index] += sum(sizes[child] for child in children[index])
            right[index] = sum(right[child] for child in children[index])
            right[index] += verdict is not None and verdict.correct
    marked = set() if chosen is None else set(path_to(tree, chosen))

    def worth(index: int) -> tuple:
        node = tree[index]
        return index in marked, right[index] > 0, node.visits, node.value or 0.0, sizes[index]

    kept = _room(children, lambda own: sorted(own, key=worth, reverse=True), marked)
    out = {
        index: sum(sizes[child] for child in children[index]) - sum(sizes[child] for child in own)
        for index, own in kept.items()
    }
    drawn = {index: [*own, ~index] if out[index] else own for index, own in kept.items()}
    return Shown(drawn, {k: n for k, n in out.items() if n}, sizes[0], len(levels) - 1)


def _room(
    children: Sequence[list[int]], ranked: Callable[[list[int]], list[int]], marked: set[int]
) -> dict[int, list[int]]:
    """As many of the best children of every node as leave the whole within `MOST`."""
    best: dict[int, list[int]] = {}
    kept: dict[int, list[int]] = {}
    for most in range(WIDEST, 0, -1):
        kept, level, total, full = {}, [0], 1, False
        while level:
            below: list[int] = []
            for index in level:
                if index not in best:
                    best[index] = ranked(children[index])
                own = sorted(best[index][:most])
                if total + len(own) > MOST:
                    full, own = True, [child for child in own if child in marked]
                kept[index] = own
                total += len(own)
                below += own
            level = below
        if not full:
            break
    return kept


def place(
    children: Mapping[int, Sequence[int]], heights: Mapping[int, float]
) -> dict[int, tuple[int, float]]:
    """Depth and middle (pixels from the top) of every box: parents in the middle of their children.

    Subtrees are as near to each other as their boxes allow and never overlap.
    """
    order = [0]
    for index in order:
        order += children.get(index, ())
    shifts: dict[int, float] = {}
    below: dict[int, Contour] = {}
    for index in reversed(order):
        own = children.get(index, ())
        contour: Contour = []
        for child in own:
            contour, shifts[child] = _beside(contour, below.pop(child))
        middle = (shifts[own[0]] + shifts[own[-1]]) / 2 if own else 0.0
        for child in own:
            shifts[child] -= middle
        half = heights[index] / 2
        below[index] = [(-half, half), *((top - middle, end - middle) for top, end in contour)]
    placed = {0: (0, -min(top for top, _ in below[0]))}
    for index in order:
        depth, middle = placed[index]
        for child in children.get(index, ()):
            placed[child] = depth + 1, middle + shifts[child]
    return placed


def _beside(above: Contour, below: Contour) -> tuple[Contour, float]:
    """Both contours as one, the second moved down until it is free, and by how much."""
    gaps = [SIBLINGS] + [COUSINS] * len(above)
    pairs = zip(above, below, gaps, strict=False)
    shift = max((high[1] + gap - low[0] for high, low, gap in pairs), default=0.0)
    moved = [(top + shift, end + shift) for top, end in below]
    both = [(high[0], low[1]) for high, low in zip(above, moved, strict=False)]
    return both + above[len(moved) :] + moved[len(above) :], shift
