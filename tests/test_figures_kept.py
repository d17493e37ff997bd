"""Figures of what was kept, of equal budgets and of break-even: what a reader learns from them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from ltf_lite.core.manifest import Spent
from ltf_lite.evaluation.budget import BudgetPoint
from ltf_lite.evaluation.compare import Difference, Side
from ltf_lite.evaluation.cost import BreakEven, Price, break_even
from ltf_lite.evaluation.success import rate_of
from ltf_lite.evaluation.types import Abilities, Ability
from ltf_lite.reasoners import Choice
from ltf_lite.report.figures.cost import break_even_figure, budget_figure
from ltf_lite.report.figures.drawing import WORDS, as_svg
from ltf_lite.report.figures.headline import headline_figure
from ltf_lite.report.figures.kept import retention_figure
from ltf_lite.report.figures.kinds import kinds_change_figure
from ltf_lite.tuning.types import LogLine, Validation
from tests.records import CHANCE, SAMPLE, SEARCH, SINGLE_PASS, best_of, record, result, voted
from tests.test_figures import KINDS, RECORDS, texts

NAMES = ("single_pass", "valid_steps", "sample", "tot", "rap", "sibling", "heldout_nll")
FLOORS = {"tot": 0.9, "rap": 0.9, "heldout_nll": 1.1}


def ability(kind: str, by: str = "") -> Ability:
    return Ability(f"{kind} {by}".strip(), kind, kind, "hash", 10, 0.5, by=by)


def abilities(*own: Ability) -> Abilities:
    return Abilities("countdown", "base", own)


BASE = abilities(*map(ability, NAMES))


def line(step: int, success: float, shortfall: float = 0.0, **kept: float | None) -> LogLine:
    rest = dict.fromkeys(NAMES, 1.0) | {"sibling": None}
    found = Validation(success, kept={**rest, **kept}, shortfall=shortfall)
    return LogLine(step, 0.1, 0.1, 1e-4, 1.0, found)


LINES = [line(100, 0.3, single_pass=3.0, tot=0.95), line(200, 0.5, 0.3, single_pass=5.0, tot=0.6)]


def point(model: str, kind: str, reasoner: str, tokens: float, solved: int) -> BudgetPoint:
    return BudgetPoint(model, kind, reasoner, "", None, None, tokens, rate_of(solved, 200))


POINTS = [
    point(model, kind, reasoner, tokens, solved + more)
    for model, more in (("base", 0), ("tuned", 30))
    for kind, reasoner, tokens, solved in (
        ("single_pass", "cot", 27, 20),
        ("self_consistency", "cot", 27, 15),
        ("self_consistency", "cot", 108, 30),
        ("best_of_n", "cot", 108, 40),
        ("search", "tot", 900, 60),
        ("search", "rap", 800, 50),
    )
]


def paying(*searches: tuple[str, Choice, float, float]) -> BreakEven:
    """`break_even` with training for 360; a search is its reasoner, choice, seconds, and by how
    many points the single pass solves more."""
    made = [result("base", name, how, 0.4, n=200, seconds=took) for name, how, took, _ in searches]
    single = result("tuned", "cot", SINGLE_PASS, 0.4, n=200, seconds=0.01)
    ours = Side("tuned", "cot", "cot", {}, SINGLE_PASS, 0.4)
    told = [
        Difference(
            ours,
            Side("base", name, name, {}, how, 0.4),
            200,
            points,
            points - 1,
            points + 1,
            0,
            0,
            0.001 if points else 1.0,
        )
        for name, how, _, points in searches
    ]
    return break_even({"tune": Spent(seconds=360.0)}, single, made, told, Price(3600.0))


PAID = paying(
    ("cot", voted(8), 0.11, 5.0),
    ("tot", SEARCH, 0.21, -9.0),
    ("rap", SEARCH, 0.41, 0.0),
    ("cot", best_of(2), 0.01, 5.0),
)
CROWD = [
    result(model, reasoner, choice, rate, low=rate - 0.05, high=rate + 0.2, seconds=seconds)
    for model, reasoner, choice, rate, seconds in (
        ("none", "random", CHANCE, 0.12, 0.0001),
        ("base", "cot", SINGLE_PASS, 0.03, 0.02),
        ("base", "cot", SAMPLE, 0.02, 0.011),
        ("base", "cot", voted(8), 0.03, 0.09),
        ("base", "cot", best_of(8), 0.03, 0.09),
        ("base", "tot", SEARCH, 0.22, 0.3),
        ("base", "rap", SEARCH, 0.17, 0.3),
        ("tuned", "cot", SINGLE_PASS, 0.15, 0.04),
        ("tuned", "cot", SAMPLE, 0.11, 0.015),
        ("tuned", "cot", voted(8), 0.12, 0.12),
        ("tuned", "cot", best_of(8), 0.1, 0.12),
        ("tuned", "tot", SEARCH, 0.25, 0.5),
        ("tuned", "rap", SEARCH, 0.25, 0.7),
    )
]
DRAW = {
    "retention": lambda words: retention_figure(BASE, LINES, FLOORS, words),
    "kinds_change": lambda words: kinds_change_figure(RECORDS, KINDS, words),
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
    said = words_of(DRAW[name](WORDS))
    assert said
    assert min(text.get_fontsize() for text in said) * 0.85 >= 9


@pytest.mark.parametrize("name", [*DRAW, "headline"])
def test_no_word_lies_on_another(name):
    figure = DRAW[name](WORDS) if name in DRAW else headline_figure(CROWD)
    figure.canvas.draw()
    low, high = figure.axes[0].get_window_extent().intervalx
    boxes = [text.get_window_extent() for text in words_of(figure)]
    boxes = [box for box in boxes if box.x1 > low - 200 and box.x0 < high + 200]
    crossed = [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    assert crossed == []


def words_of(figure: Figure) -> list[Text]:
    """All that is written in a figure, titles and legends among it."""
    said: list[Text] = []
    for axes in figure.axes:
        said += [*axes.texts, axes.xaxis.label, axes._left_title]
        said += [each for each in axes.get_yticklabels() if each.get_text()]
        said += axes.get_xticklabels() if axes.xaxis.get_tick_params()["labelbottom"] else []
        said += axes.get_legend().get_texts() if axes.get_legend() else []
    return [each for each in said if each.get_text().strip()]


def test_retention_starts_at_the_base_and_names_floors_and_the_kept_step():
    figure = retention_figure(BASE, LINES, FLOORS)
    said = texts(as_svg(figure, "retention"))
    assert "kept: step 100" in said
    wanted = (
        "single pass",
        "tree of thoughts (≥ 0.9)",
        "RAP (≥ 0.9)",
        "NLL of other text (n = 10) (≤ 1.1)",
        "sibling task: the base has 0",
    )
    assert set(wanted) <= set(said)
    drawn = {each.get_label(): each for each in figure.axes[0].get_lines()}
    assert list(drawn["single pass"].get_xdata()) == [0, 100, 200]
    assert list(drawn["single pass"].get_ydata()) == [1, 3, 5]
    looks = {(str(each.get_linestyle()), each.get_marker()) for each in drawn.values()}
    assert len({marker for _, marker in looks}) >= 6  # told apart without colour


def test_the_nll_has_a_panel_of_its_own_and_numbers_say_of_how_many():
    base = abilities(*BASE.abilities[:4], replace(ability("rap"), n=7), ability("heldout_nll"))
    figure = retention_figure(base, LINES, FLOORS)
    rates, text = figure.axes
    said = texts(as_svg(figure, "retention"))
    assert "kept of the base on 10 validation problems: tuned / base" in said
    assert "NLL of other text: tuned / base, less is better" in said
    assert "RAP (n = 7) (≥ 0.9)" in said
    assert "NLL of other text (n = 10) (≤ 1.1)" in {line.get_label() for line in text.get_lines()}
    assert not [line for line in rates.get_lines() if "NLL" in str(line.get_label())]
    assert len(retention_figure(abilities(ability("tot")), LINES, FLOORS).axes) == 1


def test_a_kept_step_below_a_floor_says_so():
    lost = [line(100, 0.3, 0.2, tot=0.72), line(200, 0.5, 0.3, tot=0.63)]
    said = texts(as_svg(retention_figure(BASE, lost, FLOORS), "retention"))
    assert "kept: step 100, below a floor" in said


def test_a_second_search_of_a_kind_is_named_with_its_settings():
    base = abilities(ability("tot"), ability("tot", "beam=8"))
    lines = [line(100, 0.3, **{"tot beam=8": 0.8})]
    said = texts(as_svg(retention_figure(base, lines, FLOORS), "retention"))
    assert "tree of thoughts beam=8 (≥ 0.9)" in said


def test_the_change_of_kinds_has_a_side_and_a_number():
    figure = kinds_change_figure(RECORDS, KINDS)
    said = texts(as_svg(figure, "change"))
    assert {"tree of thoughts", "dead end", "−50.0", "illegal", "−5.0", "format", "+10.0"} <= set(
        said
    )
    assert not {"random", "rap", "success"} & set(said)
    assert [round(bar.get_width()) for bar in figure.axes[0].patches] == [10, -5, -50]


def test_a_kind_that_only_a_task_knows_goes_away_and_comes():
    made = [
        record("base", "cot", kinds={"success": 1, "ambiguous": 9}),
        record("tuned", "cot", kinds={"success": 4, "ambiguous": 4, "off_topic": 2}),
    ]
    figure = kinds_change_figure(made, ["ambiguous", "off_topic"])
    said = texts(as_svg(figure, "change"))
    assert {"ambiguous", "−50.0", "off topic", "+20.0"} <= set(said)
    assert [round(bar.get_width()) for bar in figure.axes[0].patches] == [-50, 20]


def test_a_reasoner_of_another_package_has_a_line_and_its_name():
    points = [point("base", "search", name, 100, 9) for name in ("tot", "beam_of_mine")]
    figure = budget_figure(points)
    assert {"tree of thoughts", "beam_of_mine"} <= set(texts(as_svg(figure, "budgets")))
    one, other = (bars.lines[0] for bars in figure.axes[0].containers)
    assert one.get_marker() != other.get_marker()
    base = abilities(ability("tot"), ability("beam_of_mine"))
    lines = [line(100, 0.3, beam_of_mine=0.8)]
    figure = retention_figure(base, lines, {"beam_of_mine": 0.9})
    assert "beam_of_mine (≥ 0.9)" in texts(as_svg(figure, "retention"))


def test_equal_budgets_tell_answers_and_models_apart():
    figure = budget_figure(POINTS)
    said = texts(as_svg(figure, "budgets"))
    assert {
        "single pass",
        "self-consistency",
        "best of n by likelihood",
        "tree of thoughts",
        "RAP",
        "base",
        "tuned",
    } <= set(said)
    assert figure.axes[0].get_xscale() == "log"
    assert len(figure.axes[0].containers) == 10  # an answer of a model each, with its intervals


def test_break_even_says_after_how_many_questions_and_beside_which_quality():
    figure = break_even_figure(PAID)
    legend = figure.axes[0].get_legend().get_texts()
    said = {text.get_text().replace("\n", " ") for text in legend}
    assert {
        "self-consistency@8: paid from question 3,600 on",
        "best of 2 by likelihood: never paid",
        "tree of thoughts: none at equal quality (hollow: at 1,800)",
        "RAP: after 900, which solves more is not known (hollow)",
    } <= said
    points = {line.get_label().partition(":")[0]: line for line in figure.axes[0].get_lines()}
    for name, at, cost, hollow in (
        ("self-consistency@8", 3600, 396, False),
        ("tree of thoughts", 1800, 378, True),
    ):
        assert list(points[name].get_xdata()) == [pytest.approx(at)]
        assert list(points[name].get_ydata()) == [pytest.approx(cost)]
        assert (points[name].get_markerfacecolor() == "white") is hollow


@pytest.mark.parametrize(
    "figure",
    [
        retention_figure(None, [], {}),
        retention_figure(None, [LogLine(1, 0.1, 0.1, 1e-4, 1.0, Validation(0.1))], {}),
        kinds_change_figure([], KINDS),
        kinds_change_figure(RECORDS[:2], KINDS),
        budget_figure([]),
        break_even_figure(paying()),
    ],
)
def test_where_nothing_is_known_the_figure_says_so(figure):
    assert "nothing yet" in texts(as_svg(figure, "empty"))
