"""The searched tree as a picture: complete, harmless, readable, quick."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest

from ltf_lite.engines import Engine, open_engine
from ltf_lite.reasoners import Node, get_reasoner, path_to, solve
from ltf_lite.report.tree.layout import MOST, WIDEST
from ltf_lite.report.tree.svg import WORDS, tree_svg, tree_text
from ltf_lite.report.tree.text import chosen_node
from ltf_lite.tasks import Verdict, get_task

SVG = "{http://www.w3.org/2000/svg}"
RIGHT = Verdict(True, None, None, "44 + 22 = 66")
WRONG = Verdict(False, "dead_end", 0, "66 can't be reached from 2")
TASK = get_task("countdown")


def searched(engine: Engine, name: str, numbers: list[int], **settings):
    problem = TASK.problem({"numbers": numbers, "target": 66})
    reasoner = get_reasoner(name, **settings)
    (solution,) = solve(reasoner, [problem], TASK, engine if reasoner.asks_model else None)
    return list(solution.tree), chosen_node(solution)


@pytest.fixture(scope="module")
def trees():
    engine, four = open_engine("tiny-base"), [44, 41, 4, 23]
    yield {
        "tot": searched(engine, "tot", four),
        "rap": searched(engine, "rap", four),
        "bfs": searched(engine, "bfs", four),
        "cot": searched(engine, "cot", four, n=32, temperature=0.7),
        "two": searched(engine, "tot", [44, 22]),
    }
    engine.close()


def boxes(text: str) -> list[ET.Element]:
    return ET.fromstring(text).findall(f"{SVG}g")


def said(box: ET.Element) -> str:
    """What a reader sees in a box."""
    return " | ".join("".join(line.itertext()) for line in box.findall(f"{SVG}text"))


def area(box: ET.Element) -> tuple[float, float, float, float]:
    rect = box.find(f"{SVG}rect")
    assert rect is not None
    left, top, width, height = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
    return left, top, left + width, top + height


def many(width: int, depth: int) -> list[Node]:
    tree, level = [Node(None, state=(1, 2, 3))], [0]
    for _ in range(depth):
        below = []
        for parent in level:
            for k in range(width):
                tree.append(Node(parent, f"{parent}+{k}", (k,), value=k / width, visits=1))
                below.append(len(tree) - 1)
        level = below
    return tree


@pytest.mark.parametrize("name", ["tot", "rap", "bfs", "cot", "two"])
@pytest.mark.slow
def test_every_node_is_drawn_or_counted_and_no_box_hides_another(trees, name):
    tree, chosen = trees[name]
    text = tree_svg(tree, chosen)
    drawn = boxes(text)
    more = [said(box) for box in drawn if box.attrib["class"] == "more"]
    assert len(drawn) - len(more) + sum(int(line.split()[1]) for line in more) == len(tree)
    root = ET.fromstring(text)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    areas = [area(box) for box in drawn]
    assert all(a[0] >= 0 and a[1] >= 0 and a[2] <= width and a[3] <= height for a in areas)
    for a, b in combinations(areas, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_the_root_says_the_numbers_and_stands_in_the_middle_of_its_children(trees):
    tree, chosen = trees["rap"]
    drawn = boxes(tree_svg(tree, chosen))
    assert said(drawn[0]).startswith("44 41 23 4")
    lefts = sorted({area(box)[0] for box in drawn})
    assert len(lefts) == 4  # a column a depth
    middles = [(a[1] + a[3]) / 2 for a in map(area, drawn) if a[0] == lefts[1]]
    root = area(drawn[0])
    assert (root[1] + root[3]) / 2 == pytest.approx((min(middles) + max(middles)) / 2, abs=2)


@pytest.mark.parametrize(("name", "good"), [("tot", True), ("cot", False)])
def test_the_answers_path_is_marked_and_says_whether_it_is_right(trees, name, good):
    tree, chosen = trees[name]
    assert tree[chosen].verdict.correct is good
    root = ET.fromstring(tree_svg(tree, chosen))
    way = "way-good" if good else "way-bad"
    marked = [said(box) for box in root.findall(f"{SVG}g") if way in box.attrib["class"]]
    steps = [tree[index].text for index in path_to(tree, chosen)]
    assert [line.split(" | ")[0] for line in marked[1:]] == steps
    assert len([p for p in root.findall(f"{SVG}path") if way in p.get("class", "")]) == len(steps)
    assert "answer" in marked[-1]
    assert ("✓ correct" if good else "✗ dead end") in marked[-1]
    assert root.attrib["aria-label"] == (
        f"{len(tree)} nodes, depth 3: {'solved' if good else 'not solved'}"
    )


def test_dead_ends_open_nodes_and_right_ends_look_different():
    tree = [
        Node(None, state=(44, 22)),
        Node(0, "44/22=2", (2,), verdict=WRONG),
        Node(0, "44-22=22", (22,)),
        Node(0, "44+22=66", (66,), verdict=RIGHT),
    ]
    looks = {said(box): box.attrib["class"] for box in boxes(tree_svg(tree, None))}
    assert looks == {
        "44 22": "",
        "44/22=2 | ✗ dead end": "dead",
        "44-22=22": "",
        "44+22=66 | ✓ correct": "right",
    }


def test_a_node_tells_value_and_visits_and_the_rest_when_pointed_at():
    node = Node(0, "44/22=2", (2,), 0.12345, -2.5, 7, 81, 0.25, WRONG, 10)
    box = boxes(tree_svg([Node(None, state=(44, 22)), node], None))[1]
    assert "value 0.123" in said(box)
    assert "visits 7" in said(box)
    detail = box.findtext(f"{SVG}title")
    for fact in (
        "44/22=2",
        "left: 2",
        "66 can't be reached from 2",
        "value: 0.12345",
        "visits: 7",
        "log p: -2.500",
        "tokens: 81",
        "seconds: 0.25",
    ):
        assert fact in detail


EVIL = [
    "<script>alert(1)</script>",
    "\"'&<>]]>",
    "\x00\x1b[31m\x07\r\n\t",
    "\ud800",
    "\ufffe",
    "x" * 10_000,
    "\u202egnp",
    "計" * 50,
    "",
    "--><svg onload=x>",
]


def test_whatever_a_model_wrote_the_picture_is_xml_without_it():
    tree = [Node(None, "<b>", None)]
    for text in EVIL:
        bad = Verdict(False, "format", 0, text)
        tree.append(Node(0, text, None, verdict=bad))
    for chosen in (None, *range(len(tree))):
        text = tree_svg(tree, chosen, {**WORDS, "answer": "<answer>"})
        root = ET.fromstring(text.encode())  # encodes, and parses
        assert {e.tag.removeprefix(SVG) for e in root.iter()} == {
            "svg",
            "style",
            "g",
            "title",
            "rect",
            "text",
            "tspan",
            "path",
        }
        assert len(text) < 40_000
        plain = tree_text(tree, chosen)
        assert plain.encode()
        assert not set(plain) & {"\x00", "\x1b", "\x07", "\r", "\ud800"}


def test_a_long_step_is_cut_in_its_box_and_whole_when_pointed_at():
    step = "1234567890+1234567890=2469135780"
    box = boxes(tree_svg([Node(None, state=(1,)), Node(0, step, (2,))], None))[1]
    assert said(box) == step[:21] + "…"
    assert (box.findtext(f"{SVG}title") or "").startswith(step)


@pytest.mark.parametrize(("width", "depth"), [(40, 2), (5, 5), (2, 10), (1, 400)])
def test_a_large_tree_is_cut_but_never_its_answer(width, depth):
    tree = many(width, depth)
    tree[-1].verdict = RIGHT
    for chosen in (None, len(tree) - 1):
        drawn = boxes(tree_svg(tree, chosen))
        nodes = [box for box in drawn if box.attrib["class"] != "more"]
        more = sum(int(said(box).split()[1]) for box in drawn if box.attrib["class"] == "more")
        assert len(nodes) + more == len(tree)
        assert len(nodes) <= MOST + (depth if chosen else 0)
        if width > WIDEST:
            first = [said(box).split(" | ")[0] for box in nodes if said(box).startswith("0+")]
            assert len(first) <= WIDEST
        if chosen:
            assert sum("way-good" in box.attrib["class"] for box in nodes) == depth + 1


def test_a_growing_tree_keeps_its_order(trees):
    """Children stand in the order they were found, whatever their values become."""
    tree = trees["rap"][0]
    before: list[str] = []
    for end in range(1, len(tree) + 1):
        now = [said(box).split(" | ")[0] for box in boxes(tree_svg(tree[:end], None))]
        top = sorted(
            (area(b)[0], area(b)[1], s)
            for b, s in zip(boxes(tree_svg(tree[:end], None)), now, strict=True)
        )
        order = [s for _, _, s in top]
        kept = iter(order)
        assert all(step in kept for step in before), end
        before = order


def test_drawing_is_quick_enough_to_follow_a_search():
    tree = many(3, 5)[:200]
    best = min(_seconds(lambda: tree_svg(tree, 150)) for _ in range(10))
    assert best < 0.03  # 4 ms on one free core


def _seconds(draw) -> float:
    began = time.perf_counter()
    draw()
    return time.perf_counter() - began


def test_other_words_are_used():
    words = {
        **WORDS,
        "value": "価値",
        "dead_end": "行き止まり",
        "more": "件",
        "summary": "{nodes} 個、深さ {depth}",
        "no_answer": "答えなし",
    }
    tree = [*many(20, 1), Node(20, "x", (2,), 0.5, verdict=WRONG)]
    text = tree_svg(tree, None, words)
    assert all(word in text for word in ("価値 0.500", "✗ 行き止まり", "22 個、深さ 2: 答えなし"))
    assert any(line.endswith(" 件") for line in map(said, boxes(text)))


def test_a_kind_that_only_a_task_knows_is_said():
    lost = Verdict(False, "off_topic", 0, "it speaks of something else")
    tree = [Node(None, state=()), Node(0, "It rains.", ("It rains.",), verdict=lost)]
    text = tree_svg(tree, 1, shown=lambda state: state[-1] if state else "", title="Why?")
    root, step = boxes(text)
    assert said(root) == "Why?"  # a state that shows nothing has the problem's text
    assert "✗ off topic" in said(step)
    assert "✗ off topic: it speaks of something else" in (step.findtext(f"{SVG}title") or "")
    named = tree_svg(tree, 1, {**WORDS, "off_topic": "話題がちがう"})
    assert "✗ 話題がちがう" in named
    assert "off topic" in tree_text(tree, 1)


def test_colours_and_text_follow_the_page(trees):
    text = tree_svg(*trees["tot"])
    for name in ("--ltf-good", "--ltf-bad", "--ltf-line", "--ltf-node"):
        assert f"var({name},color-mix(in srgb," in text
    assert "fill:currentColor" in text


def test_the_text_says_what_the_picture_says(trees):
    tree, chosen = trees["tot"]
    text = tree_text(tree, chosen)
    assert text.startswith("44 41 23 4\n")
    for index in path_to(tree, chosen):
        assert tree[index].text in text
    assert "89-23=66  value 1.000, visits 1  ✓ correct  ← the answer" in text
    assert "\x1b" not in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.slow
def test_a_tree_that_is_no_tree_yet():
    assert tree_svg([], None) == ""
    assert tree_text([], None).strip() == ""
    (box,) = boxes(tree_svg([Node(None, state=(7, 3))], 0))
    assert said(box) == "7 3 | answer"
    deep = many(1, 60)
    assert "59+0" in tree_text(deep, None)
    assert tree_text(many(1, 3000), None)
