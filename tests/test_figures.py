"""Figures as inline SVG: what they say, on any page, many of them, from threads."""

from __future__ import annotations

import gc
import json
import re
import sys
import time
import warnings
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ltf_lite.evaluation import wilson
from ltf_lite.report import figures
from ltf_lite.report.picture import headline_figure, write_png

LINES = [
    {"step": 100, "learning": 0.11, "forgetting": 2.1, "success": 0.60, "valid_steps": 0.99},
    {"step": 200, "learning": 0.08, "forgetting": 2.2, "success": 0.75, "valid_steps": 0.98},
    {"step": 300, "learning": 0.06, "forgetting": 2.3, "success": 0.70, "valid_steps": 0.99},
]
RECORDS = [
    {"model": "none", "label": "random", "kinds": {"success": 3, "incomplete": 7}},
    {"model": "base", "label": "tot", "kinds": {"success": 5, "dead_end": 90, "illegal": 5}},
    {"model": "tuned", "label": "tot", "kinds": {"success": 50, "dead_end": 40, "format": 10}},
    {"model": "base", "label": "rap", "kinds": {}},
]


def side(solved: int, n: int, seconds: float, tokens: float) -> dict:
    low, high = wilson(solved, n)
    return {"solved": solved, "rate": solved / n, "low": low, "high": high, "seconds": seconds,
            "tokens": tokens}  # fmt: skip


POINTS = [
    {"n": n, "single": side(n // 2, n, 0.007, 26), "search": side(n - n // 4, n, 0.15, 1229),
     "ratio": 0.15 / 0.007}
    for n in range(1, 41)
]  # fmt: skip
ROWS = [
    {"model": model, "choice": choice, "rate": rate, "low": rate - 0.04, "high": rate + 0.04,
     "seconds": seconds}
    for model, choice, rate, seconds in (
        ("none", "random", 0.13, 0.0001), ("base", "greedy", 0.18, 0.001),
        ("base", "tot", 0.57, 0.047), ("base", "oracle@32", 0.72, 0.025),
        ("tuned", "greedy", 0.59, 0.001), ("tuned", "best-of-n@32", 0.61, 0.024),
    )
]  # fmt: skip
DRAW = {
    "headline": lambda: headline_figure(ROWS),
    "curves": lambda: figures.curves_figure(LINES),
    "kinds": lambda: figures.kinds_figure(RECORDS),
    "batch": lambda: figures.batch_figure(POINTS),
}


def texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)
    return ["".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_fits_any_page(name):
    svg = figures.as_svg(DRAW[name](), "A & <b>")
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
    pair = [figures.as_svg(DRAW["kinds"](), "kinds") for _ in range(2)]
    first, second = (set(re.findall(r'\sid="([^"]+)"', svg)) for svg in pair)
    assert first
    assert not first & second
    for svg, ids in zip(pair, (first, second), strict=True):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used
        assert used <= ids


def test_the_learning_curves_say_the_best_step():
    said = texts(figures.as_svg(figures.curves_figure(LINES), "curves"))
    for word in ("learning", "forgetting", "problems solved", "valid steps", "training step",
                 "kept: 75.0 % at step 200"):  # fmt: skip
        assert word in said


def test_a_method_that_forgets_nothing_has_one_loss():
    lines = [{**line, "forgetting": 0.0, "success": 0.0} for line in LINES]
    said = texts(figures.as_svg(figures.curves_figure(lines), "curves"))
    assert "forgetting" not in said
    assert {"learning", "kept: 0.0 % at step 300"} <= set(said)


def test_the_kinds_stand_under_their_reasoner():
    figure = figures.kinds_figure(RECORDS)
    said = texts(figures.as_svg(figure, "kinds"))
    assert {"tot", "base", "tuned", "success", "dead_end", "illegal", "format"} <= set(said)
    assert not {"random", "rap", "incomplete"} & set(said)  # asks no model, has none, had none
    widths = [round(p.get_width()) for p in figure.axes[0].patches if p.get_width() > 1]
    assert widths == [5, 90, 5, 50, 40, 10]
    hatches = {p.get_hatch() for p in figure.axes[0].patches if p.get_width() > 1}
    assert len(hatches) == 4  # told apart without colour


def test_the_batch_shows_both_rates_and_the_ratio():
    figure = figures.batch_figure(POINTS)
    said = texts(figures.as_svg(figure, "batch"))
    assert {"single pass", "search", "problems asked", "21.4×"} <= set(said)
    above = figure.axes[0]
    assert len(above.collections) == 2  # the intervals
    styles = {line.get_linestyle() for line in above.get_lines()}
    assert len(styles) == 2
    no_ratio = figures.batch_figure([{**POINTS[0], "ratio": None}])
    assert not any("×" in text for text in texts(figures.as_svg(no_ratio, "batch")))


@pytest.mark.parametrize(
    "draw", [figures.curves_figure, figures.kinds_figure, figures.batch_figure]
)
def test_nothing_yet_and_one_point_are_figures_too(draw):
    assert "nothing yet" in texts(figures.as_svg(draw([]), "empty"))
    one = {"curves_figure": LINES, "kinds_figure": RECORDS[1:], "batch_figure": POINTS}
    svg = figures.as_svg(draw(one[draw.__name__][:1]), "one")
    assert "nothing yet" not in texts(svg)


def test_another_language_draws_without_a_warning():
    words = {word: f"{text} 学習" for word, text in figures.WORDS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = texts(figures.as_svg(figures.curves_figure(LINES, words), "曲線"))
        figures.as_svg(figures.kinds_figure(RECORDS, words), "種類")
        figures.as_svg(figures.batch_figure(POINTS, words), "比較")
    assert "learning 学習" in said


def test_the_table_says_the_same():
    last = figures.batch_table(POINTS)
    assert "| single pass | 50.0 % [35.2, 64.8] | 40 | 26 | 7.0 |" in last
    assert "Search took 21.4 times" in last
    assert figures.batch_table([])


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_takes_a_moment(name):
    def seconds() -> float:
        began = time.thread_time()  # of this thread: other work on the machine does not count
        figures.as_svg(DRAW[name](), name)
        return time.thread_time() - began

    assert min(seconds() for _ in range(4)) < 0.25


def test_threads_draw_at_once_and_nothing_is_kept():
    def draw(k: int) -> str:
        name = list(DRAW)[k % len(DRAW)]
        return figures.as_svg(DRAW[name](), name)

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


def test_the_headline_is_written_whole(tmp_path):
    file = tmp_path / "headline.png"
    write_png(headline_figure(ROWS), file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert json.dumps([p.name for p in tmp_path.iterdir()]) == '["headline.png"]'
    said = texts(figures.as_svg(headline_figure(ROWS), "headline"))
    assert {"tuned: single pass", "base: tot", "random legal steps"} <= set(said)
