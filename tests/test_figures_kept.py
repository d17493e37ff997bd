"""Figures of what was kept, of equal budgets and of break-even: what a reader learns from them."""

from __future__ import annotations

import warnings
from itertools import combinations

import pytest

from ltf_lite.evaluation import wilson
from ltf_lite.evaluation.cost import Price, break_even
from ltf_lite.report.drawing import WORDS, as_svg
from ltf_lite.report.figures_cost import break_even_figure, budget_figure
from ltf_lite.report.figures_kept import kinds_change_figure, retention_figure
from ltf_lite.report.picture import headline_figure
from tests.test_figures import RECORDS, texts

NAMES = ("single_pass", "valid_steps", "sample", "tot", "rap", "sibling", "heldout_nll")
BASE = {"abilities": {name: {"ability": name} for name in NAMES}}
FLOORS = {"tot": 0.9, "rap": 0.9, "heldout_nll": 1.1}


def line(step: int, success: float, shortfall: float = 0.0, **kept: float | None) -> dict:
    rest = dict.fromkeys(NAMES, 1.0) | {"sibling": None}
    return {"step": step, "success": success, "shortfall": shortfall, "kept": rest | kept}


LINES = [line(100, 0.3, single_pass=3.0, tot=0.95), line(200, 0.5, 0.3, single_pass=5.0, tot=0.6)]


def point(model: str, answer: str, tokens: float, solved: int) -> dict:
    low, high = wilson(solved, 200)
    return {"model": model, "answer": answer, "budget": None, "tokens": tokens,
            "rate": solved / 200, "low": low, "high": high, "n": 200}  # fmt: skip


POINTS = [
    point(model, answer, tokens, solved + more)
    for model, more in (("base", 0), ("tuned", 30))
    for answer, tokens, solved in (
        ("single pass", 27, 20), ("self-consistency", 27, 15), ("self-consistency", 108, 30),
        ("best of n", 108, 40), ("tree of thoughts", 900, 60), ("RAP", 800, 50),
    )
]  # fmt: skip


def asked(answer: str, choice: str, seconds: float, model: str = "base") -> dict:
    return {"model": model, "answer": answer, "choice": choice, "label": choice, "rate": 0.4,
            "n": 200, "seconds": seconds, "alone": None}  # fmt: skip


def paying(*searches: tuple[str, str, float, float]) -> dict:
    """`break_even` with training for 360; a search is its name, choice, seconds, and points less
    than the single pass's."""
    told = [{"second": {"choice": choice, "label": choice}, "n": 200, "points": points,
             "p": 0.001 if points else 1.0} for _, choice, _, points in searches]  # fmt: skip
    return break_even({"tune": {"seconds": 360.0}}, asked("single pass", "greedy", 0.01, "tuned"),
                      [asked(*search[:3]) for search in searches], told, Price(3600.0))  # fmt: skip


PAID = paying(("self-consistency@8", "self-consistency@8", 0.11, 5.0),
              ("tree of thoughts", "tot", 0.21, -9.0), ("RAP", "rap", 0.41, 0.0),
              ("best of 2 by likelihood", "best-of-n@2", 0.01, 5.0))  # fmt: skip
CROWD = [
    {"model": model, "choice": choice, "rate": rate, "low": rate - 0.05, "high": rate + 0.2,
     "seconds": seconds}
    for model, choice, rate, seconds in (
        ("none", "random", 0.12, 0.0001), ("base", "greedy", 0.03, 0.02),
        ("base", "sample", 0.02, 0.011), ("base", "self-consistency@8", 0.03, 0.09),
        ("base", "best-of-n@8", 0.03, 0.09), ("base", "tot", 0.22, 0.3), ("base", "rap", 0.17, 0.3),
        ("tuned", "greedy", 0.15, 0.04), ("tuned", "sample", 0.11, 0.015),
        ("tuned", "self-consistency@8", 0.12, 0.12), ("tuned", "best-of-n@8", 0.1, 0.12),
        ("tuned", "tot", 0.25, 0.5), ("tuned", "rap", 0.25, 0.7),
    )
]  # fmt: skip
DRAW = {
    "retention": lambda words: retention_figure(BASE, LINES, FLOORS, words),
    "kinds_change": lambda words: kinds_change_figure(RECORDS, words),
    "budgets": lambda words: budget_figure(POINTS, words),
    "break_even": lambda words: break_even_figure(PAID, words),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_has_no_fixed_colour_and_draws_in_another_language(name):
    words = {word: f"{text} 学習" for word, text in WORDS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = as_svg(DRAW[name](words), name)
    assert "currentColor" in svg
    assert 'fill="#' not in svg
    assert any("学習" in text for text in texts(svg))


@pytest.mark.parametrize("name", DRAW)
def test_text_is_legible_where_a_phone_shrinks_a_figure_most(name):
    figure = DRAW[name](WORDS)
    axes = figure.axes[0]
    said = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label]
    said += axes.get_legend().get_texts() if axes.get_legend() else []
    assert min(text.get_fontsize() for text in said) * 0.85 >= 9


@pytest.mark.parametrize("name", [*DRAW, "headline"])
def test_no_word_lies_on_another(name):
    figure = DRAW[name](WORDS) if name in DRAW else headline_figure(CROWD)
    figure.canvas.draw()
    axes = figure.axes[0]
    legend = axes.get_legend()
    said = [*axes.texts, axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    said += legend.get_texts() if legend else []
    low, high = axes.get_window_extent().intervalx
    boxes = [text.get_window_extent() for text in said if text.get_text()]
    boxes = [box for box in boxes if box.x1 > low - 200 and box.x0 < high + 200]
    crossed = [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    assert crossed == []


def test_retention_starts_at_the_base_and_names_floors_and_the_kept_step():
    figure = retention_figure(BASE, LINES, FLOORS)
    said = texts(as_svg(figure, "retention"))
    assert "kept: step 100" in said
    wanted = ("single pass", "tree of thoughts (≥ 0.9)", "RAP (≥ 0.9)",
              "NLL of other text (≤ 1.1)", "sibling task: the base has 0")  # fmt: skip
    assert set(wanted) <= set(said)
    drawn = {each.get_label(): each for each in figure.axes[0].get_lines()}
    assert list(drawn["single pass"].get_xdata()) == [0, 100, 200]
    assert list(drawn["single pass"].get_ydata()) == [1, 3, 5]
    looks = {(str(each.get_linestyle()), each.get_marker()) for each in drawn.values()}
    assert len({marker for _, marker in looks}) >= 6  # told apart without colour


def test_a_kept_step_below_a_floor_says_so():
    lost = [line(100, 0.3, 0.2, tot=0.72), line(200, 0.5, 0.3, tot=0.63)]
    said = texts(as_svg(retention_figure(BASE, lost, FLOORS), "retention"))
    assert "kept: step 100, below a floor" in said


def test_a_second_search_of_a_kind_is_named_with_its_settings():
    base = {"abilities": {"tot": {}, "tot beam=8": {}}}
    lines = [line(100, 0.3, **{"tot beam=8": 0.8})]
    said = texts(as_svg(retention_figure(base, lines, FLOORS), "retention"))
    assert "tree of thoughts beam=8 (≥ 0.9)" in said


def test_the_change_of_kinds_has_a_side_and_a_number():
    figure = kinds_change_figure(RECORDS)
    said = texts(as_svg(figure, "change"))
    assert {"tot", "dead_end", "−50.0", "illegal", "−5.0", "format", "+10.0"} <= set(said)
    assert not {"random", "rap", "success"} & set(said)
    assert [round(bar.get_width()) for bar in figure.axes[0].patches] == [10, -5, -50]


def test_equal_budgets_tell_answers_and_models_apart():
    figure = budget_figure(POINTS)
    said = texts(as_svg(figure, "budgets"))
    assert {"single pass", "self-consistency", "best of n by likelihood", "tree of thoughts", "RAP",
            "base", "tuned"} <= set(said)  # fmt: skip
    assert figure.axes[0].get_xscale() == "log"
    assert len(figure.axes[0].containers) == 10  # an answer of a model each, with its intervals


def test_break_even_says_after_how_many_questions_and_beside_which_quality():
    figure = break_even_figure(PAID)
    legend = figure.axes[0].get_legend().get_texts()
    said = {text.get_text().replace("\n", " ") for text in legend}
    assert {"self-consistency@8: paid after 3,600 questions", "best of 2 by likelihood: never paid",
            "tree of thoughts: none at equal quality (hollow: at 1,800)",
            "RAP: after 900, which solves more is not known (hollow)"} <= said  # fmt: skip
    points = {line.get_label().partition(":")[0]: line for line in figure.axes[0].get_lines()}
    for name, at, cost, hollow in (("self-consistency@8", 3600, 396, False),
                                   ("tree of thoughts", 1800, 378, True)):  # fmt: skip
        assert list(points[name].get_xdata()) == [pytest.approx(at)]
        assert list(points[name].get_ydata()) == [pytest.approx(cost)]
        assert (points[name].get_markerfacecolor() == "white") is hollow


@pytest.mark.parametrize(
    "figure",
    [retention_figure({}, [], {}), retention_figure({}, [{"step": 1, "success": 0.1}], {}),
     kinds_change_figure([]), kinds_change_figure(RECORDS[:2]), budget_figure([]),
     break_even_figure(paying())],
)  # fmt: skip
def test_where_nothing_is_known_the_figure_says_so(figure):
    assert "nothing yet" in texts(as_svg(figure, "empty"))
