"""Figures as inline SVG: what they say, on any page, many of them, from threads."""

from __future__ import annotations

import gc
import re
import sys
import warnings
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from ltf_lite.core.seals import HASHES
from ltf_lite.evaluation.success import wilson
from ltf_lite.report.figures.batch import batch_figure, batch_table
from ltf_lite.report.figures.curves import curves_figure
from ltf_lite.report.figures.drawing import LOOKS, WORDS, as_svg, looks, search_looks
from ltf_lite.report.figures.headline import headline_figure, write_png
from ltf_lite.report.figures.kinds import kinds_figure
from ltf_lite.report.kinds import kinds_of
from ltf_lite.tasks import get_task
from ltf_lite.tuning.types import LogLine, Validation
from tests.clock import own_seconds
from tests.records import CHANCE, SEARCH, SINGLE_PASS, best_of, oracle, record, result

KINDS = list(get_task("countdown").kinds)


def line(step: int, learning: float, forgetting: float, success: float, valid: float) -> LogLine:
    return LogLine(step, learning, forgetting, 1e-4, 1.0, Validation(success, valid_steps=valid))


LINES = [
    line(100, 0.11, 2.1, 0.60, 0.99),
    line(200, 0.08, 2.2, 0.75, 0.98),
    line(300, 0.06, 2.3, 0.70, 0.99),
]
RECORDS = [
    record("none", "random", kinds={"success": 3, "incomplete": 7}),
    record("base", "tot", kinds={"success": 5, "dead_end": 90, "illegal": 5}),
    record("tuned", "tot", kinds={"success": 50, "dead_end": 40, "format": 10}),
    record("base", "rap", kinds={}),
]


class Side(NamedTuple):
    rate: float
    low: float
    high: float
    seconds: float
    tokens: float
    runtime: str = ""


class Point(NamedTuple):
    n: int
    single: Side
    search: Side
    ratio: float | None


def side(solved: int, n: int, seconds: float, tokens: float) -> Side:
    return Side(solved / n, *wilson(solved, n), seconds, tokens)


POINTS = [
    Point(n, side(n // 2, n, 0.007, 26), side(n - n // 4, n, 0.15, 1229), 0.15 / 0.007)
    for n in range(1, 41)
]
ROWS = [
    result(model, reasoner, choice, rate, low=rate - 0.04, high=rate + 0.04, seconds=seconds)
    for model, reasoner, choice, rate, seconds in (
        ("none", "random", CHANCE, 0.13, 0.0001),
        ("base", "cot", SINGLE_PASS, 0.18, 0.001),
        ("base", "tot", SEARCH, 0.57, 0.047),
        ("base", "cot", oracle(32), 0.72, 0.025),
        ("tuned", "cot", SINGLE_PASS, 0.59, 0.001),
        ("tuned", "cot", best_of(32), 0.61, 0.024),
    )
]
DRAW = {
    "headline": lambda: headline_figure(ROWS),
    "curves": lambda: curves_figure(LINES),
    "kinds": lambda: kinds_figure(RECORDS, KINDS),
    "batch": lambda: batch_figure(POINTS),
}


def texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return ["".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_fits_any_page(name):
    svg = as_svg(DRAW[name](), "A & <b>")
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["width"] == "100%"
    assert "height" not in root.attrib
    assert "viewBox" in root.attrib
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "A & <b>"
    assert texts(svg)  # letters, no outlines of letters
    assert "currentColor" in svg
    fixed = re.findall(r"(?:fill|stroke)(?:: |=\")(#[0-9a-f]{6}|black|white)", svg)
    assert not fixed, "a colour that is the same on light and dark"
    assert not re.search(r"<style|<metadata|<!DOCTYPE|<\?xml|<script", svg)


def test_figures_on_one_page_share_no_id():
    pair = [as_svg(DRAW["kinds"](), "kinds") for _ in range(2)]
    first, second = (set(re.findall(r'\sid="([^"]+)"', svg)) for svg in pair)
    assert first
    assert not first & second
    for svg, ids in zip(pair, (first, second), strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used
        assert used <= ids


def test_the_learning_curves_say_the_best_step():
    said = texts(as_svg(curves_figure(LINES), "curves"))
    for word in (
        "learning",
        "forgetting",
        "problems solved",
        "valid steps",
        "training step",
        "kept: 75.0 % at step 200",
    ):
        assert word in said


def test_a_method_that_forgets_nothing_has_one_loss():
    none = Validation(0.0, valid_steps=0.99)
    lines = [replace(line, forgetting=0.0, validation=none) for line in LINES]
    said = texts(as_svg(curves_figure(lines), "curves"))
    assert "forgetting" not in said
    assert {"learning", "kept: 0.0 % at step 300"} <= set(said)


def test_the_kinds_stand_under_their_reasoner():
    figure = kinds_figure(RECORDS, KINDS)
    said = texts(as_svg(figure, "kinds"))
    assert {"tree of thoughts", "base", "tuned", "success", "dead end", "illegal", "format"} <= set(
        said
    )
    assert not {"random", "rap", "incomplete"} & set(said)  # asks no model, has none, had none
    widths = [round(p.get_width()) for p in figure.axes[0].patches if p.get_width() > 1]
    assert widths == [5, 5, 90, 50, 10, 40]  # in the order of the kinds
    hatches = {p.get_hatch() for p in figure.axes[0].patches if p.get_width() > 1}
    assert len(hatches) == 4  # told apart without colour


def test_the_legend_of_the_batch_lies_over_nothing():
    figure = batch_figure(POINTS)
    figure.canvas.draw()
    (legend,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert not box.overlaps(figure.axes[0]._left_title.get_window_extent())


def test_the_batch_shows_both_rates_and_the_ratio():
    figure = batch_figure(POINTS)
    said = texts(as_svg(figure, "batch"))
    assert {"single pass", "search", "problems asked", "21.4×"} <= set(said)
    above = figure.axes[0]
    assert len(above.collections) == 2  # the intervals
    styles = {line.get_linestyle() for line in above.get_lines()}
    assert len(styles) == 2
    no_ratio = batch_figure([POINTS[0]._replace(ratio=None)])
    assert not any("×" in text for text in texts(as_svg(no_ratio, "batch")))


@pytest.mark.parametrize(
    ("draw", "data"),
    [
        (curves_figure, LINES),
        (lambda records: kinds_figure(records, KINDS), RECORDS[1:]),
        (batch_figure, POINTS),
    ],
)
def test_nothing_yet_and_one_point_are_figures_too(draw, data):
    assert "nothing yet" in texts(as_svg(draw([]), "empty"))
    assert "nothing yet" not in texts(as_svg(draw(data[:1]), "one"))


def test_a_kind_that_only_a_task_knows_has_a_bar_a_look_and_a_word():
    class Asking:
        kinds = {"ambiguous": "It can be read in two ways.", "wrong_answer": "It is wrong."}  # noqa: RUF012

    made = [
        record("base", "cot", kinds={"success": 1, "ambiguous": 5, "off_topic": 4}),
        record("tuned", "cot", kinds={"success": 8, "ambiguous": 1, "wrong_answer": 1}),
    ]
    kinds = kinds_of(Asking(), made)
    assert kinds == ["ambiguous", "wrong_answer", "off_topic"]  # the task's, then what is found
    figure = kinds_figure(made, kinds)
    said = texts(as_svg(figure, "kinds"))
    assert {"success", "ambiguous", "off topic", "wrong answer"} <= set(said)
    bars = [p for p in figure.axes[0].patches if p.get_width() > 1]
    assert [round(p.get_width()) for p in bars] == [10, 50, 40, 80, 10, 10]  # nothing is left out
    assert len({(p.get_facecolor(), p.get_hatch()) for p in bars}) == 4
    words = {**WORDS, "ambiguous": "曖昧"}
    assert "曖昧" in texts(as_svg(kinds_figure(made, kinds, words), "種類"))


def test_every_kind_looks_different_and_those_of_number_games_as_ever():
    many = [*KINDS, *(f"own_{k}" for k in range(40))]
    found = looks(many)
    assert list(found) == ["success", *many]
    assert len(set(found.values())) == len(found)
    assert {kind: found[kind] for kind in LOOKS} == LOOKS
    assert looks(["ambiguous"])["ambiguous"] not in LOOKS.values()
    searches = search_looks(["a", "b", "a", "c"])
    assert list(searches) == ["a", "b", "c"]
    assert len({(look.line, look.marker) for look in searches.values()}) == 3


def test_another_language_draws_without_a_warning():
    words = {word: f"{text} 学習" for word, text in WORDS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = texts(as_svg(curves_figure(LINES, words), "曲線"))
        as_svg(kinds_figure(RECORDS, KINDS, words), "種類")
        as_svg(batch_figure(POINTS, words), "比較")
    assert "learning 学習" in said


def test_the_table_says_the_same():
    last = batch_table(POINTS)
    assert "| single pass | 50.0 % [35.2, 64.8] | 40 | 26 | 7.0 | – |" in last
    assert "Search generated 21.4 times the single pass's tokens." in last
    assert "two engines" not in last
    end = POINTS[-1]
    other = end._replace(search=end.search._replace(runtime="transformers, float32"))
    assert "The times are of two engines" in batch_table([other])
    assert batch_table([])


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_takes_a_moment(name):
    assert own_seconds(lambda: as_svg(DRAW[name](), name), 0.5) < 0.5


@pytest.mark.slow
def test_threads_draw_at_once_and_nothing_is_kept():
    def draw(k: int) -> str:
        name = list(DRAW)[k % len(DRAW)]
        return as_svg(DRAW[name](), name)

    alone = [len(draw(k)) for k in range(4)]
    before = _resident()
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(draw, range(100)))
    assert [len(svg) for svg in drawn] == [alone[k % 4] for k in range(100)]
    del drawn
    gc.collect()
    assert _resident() - before < 40 * 2**20
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def _resident() -> int:
    """Bytes of memory this process holds."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("no /proc here")
    return int(pages.read_text().split()[1]) * 4096


CROWD = [  # way of answering, rate, seconds of the base: as of a run with samples and two searches
    ("cot", SINGLE_PASS, 0.07, 0.006),
    ("cot", oracle(4), 0.12, 0.016),
    ("cot", best_of(4), 0.04, 0.016),
    ("rap", SEARCH, 0.2, 0.15),
    ("tot", SEARCH, 0.17, 0.093),
    ("cot", best_of(2), 0.05, 0.017),
]


def test_no_name_of_a_crowd_lies_over_another():
    rows = [
        result(model, way, choice, rate, low=rate / 2, high=rate + 0.2, seconds=seconds * factor)
        for way, choice, rate, seconds in CROWD
        for model, factor in (("base", 1.0), ("tuned", 0.8))
    ]
    figure = headline_figure(rows, of="seconds")
    figure.canvas.draw()
    (axes,) = figure.axes
    names = [text for text in axes.texts if ": " in text.get_text()]
    assert len(names) == 12
    within, boxes = axes.get_window_extent(), [name.get_window_extent() for name in names]
    for k, box in enumerate(boxes):
        assert box.x0 > within.x0 - 8
        assert box.x1 < within.x1 + 8
        assert not any(box.overlaps(other) for other in boxes[:k]), names[k].get_text()


def test_the_headline_is_written_whole(tmp_path):
    file = tmp_path / "headline.png"
    write_png(headline_figure(ROWS), file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"headline.png", HASHES}
    said = texts(as_svg(headline_figure(ROWS), "headline"))
    assert {"tuned: single pass", "base: tree of thoughts", "random legal steps"} <= set(said)
