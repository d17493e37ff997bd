"""Cost and break-even: worked out by hand, and in the words and tables of the report."""

from __future__ import annotations

import pytest

from ltf_lite.core.manifest import Spent
from ltf_lite.evaluation.compare import Difference, Side
from ltf_lite.evaluation.cost import CostError, Price, break_even, lines, per_second, price_of
from ltf_lite.evaluation.types import Result
from ltf_lite.report.figures.cost import break_even_figure
from ltf_lite.report.figures.drawing import as_svg
from ltf_lite.report.tables.base import as_markdown
from ltf_lite.report.tables.cost import break_even_table, in_words
from tests.records import SEARCH, SINGLE_PASS, result
from tests.test_figures import texts

STAGES = {"search": Spent(seconds=600.0, joules=60_000.0), "tune": Spent(seconds=3000.0)}
SINGLE = result("tuned", "cot", SINGLE_PASS, 0.5, seconds=0.001, alone=0.01)


def search(reasoner: str, rate: float, seconds: float, alone: float | None) -> Result:
    return result("base", reasoner, SEARCH, rate, seconds=seconds, alone=alone)


TOT = search("tot", 0.25, 0.101, 1.01)
RAP = search("rap", 0.75, 0.201, None)


def difference(reasoner: str, points: float, p: float, n: int = 100) -> Difference:
    ours = Side("tuned", "cot", "cot", {}, SINGLE_PASS, 0.5)
    theirs = Side("base", reasoner, reasoner, {}, SEARCH, 0.5)
    return Difference(ours, theirs, n, points, points, points, 0, 0, p)


def test_costs_and_questions_until_break_even_by_hand():
    found = break_even(STAGES, SINGLE, [TOT, RAP], [], Price(per_hour=3600.0))  # 1 a second
    assert (found.seconds, found.training) == (3600.0, 3600.0)
    assert found.single.each == 0.001
    assert found.single.solved == 0.002
    tot, rap = found.searches
    assert (tot.cost.each, tot.cost.solved) == (pytest.approx(0.101), pytest.approx(0.404))
    assert tot.saving == pytest.approx(0.1)
    assert tot.questions == pytest.approx(36_000)
    assert tot.questions_alone == pytest.approx(3600)
    assert rap.questions == pytest.approx(18_000)
    assert rap.questions_alone is None
    # at that number of questions either way has cost the same
    ours, theirs, _ = lines(found)
    assert theirs.each * 36_000 == pytest.approx(ours.fixed + ours.each * 36_000)


def test_the_number_of_questions_does_not_depend_on_the_price():
    prices = Price(per_hour=0.5), Price(None, 0.3, 200.0), Price(None, 0.3)
    counts = [break_even(STAGES, SINGLE, [TOT], [], p).searches[0].questions for p in prices]
    assert counts == pytest.approx([36_000] * 3)


def test_energy_is_paid_by_what_was_measured_or_by_the_power_that_is_told():
    # 60 kJ in 600 s are 100 W: a kWh in ten hours
    assert per_second(Price(None, 0.36), STAGES) == pytest.approx(0.36 / 36_000)
    assert per_second(Price(None, 0.36, 50.0), STAGES) == pytest.approx(0.18 / 36_000)
    with pytest.raises(CostError, match="--watts"):
        per_second(Price(None, 0.36), {"tune": Spent(seconds=3.0)})


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ((0.0, None, None), "above 0"),
        ((None, -1.0, None), "above 0"),
        ((1.0, 1.0, None), "leave"),
        ((None, None, 100.0), "--per-kwh"),
        ((float("nan"), None, None), "above 0"),
    ],
)
def test_prices_that_cannot_be_are_refused(given, word):
    with pytest.raises(CostError, match=word):
        price_of(*given)
    assert price_of() == Price(per_hour=0.5)


@pytest.mark.parametrize(
    ("differences", "quality", "said"),
    [
        ([difference("rap", -25, 0.001)], "worse", "no break-even at equal quality"),
        ([difference("rap", +25, 0.001)], "better", "and solves more"),
        ([difference("rap", -25, 0.4)], "can't tell", "can't tell which"),
        ([difference("rap", +25, 0.001, n=20)], "can't tell", "can't tell which"),
        ([difference("tot", +25, 0.001)], "can't tell", "can't tell which"),
    ],
)
def test_a_single_pass_that_is_worse_never_pays_at_equal_quality(differences, quality, said):
    found = break_even(STAGES, SINGLE, [TOT, RAP], differences, Price())
    assert found.searches[1].quality == quality
    assert said in in_words(found)
    assert "which is an assumption" in in_words(found)
    shown = as_markdown(break_even_table(found))
    assert ("none at equal quality" in shown) == (quality == "worse")
    assert "N = C / (c_search - c_single)" in shown
    assert "18,000" in shown


def test_of_less_than_a_question_one_is_told_everywhere():
    free = {"search": Spent(seconds=0.03)}
    found = break_even(free, SINGLE, [TOT], [difference("tot", 5, 0.001)], Price())
    assert found.searches[0].questions == pytest.approx(0.3)
    row = break_even_table(found).rows[1]
    assert [cell.shown for cell in row if cell.value == found.searches[0].questions] == ["1"]
    assert "from question 1 on" in in_words(found)
    assert "from question 1 on" in " ".join(texts(as_svg(break_even_figure(found), "cost")))


def test_a_search_that_costs_no_more_is_never_made_up_for():
    cheap = search("tot", 0.6, 0.001, 0.01)
    found = break_even(STAGES, SINGLE, [cheap], [], Price())
    assert found.searches[0].questions is None
    assert "never pays" in in_words(found)
    assert "never" in as_markdown(break_even_table(found))
    break_even_figure(found)  # nothing to mark


def test_the_picture_marks_break_even_hollow_unless_it_is_at_equal_quality():
    differences = [difference("tot", 25, 0.001), difference("rap", -25, 0.001)]
    found = break_even(STAGES, SINGLE, [TOT, RAP], differences, Price())
    (axes,) = break_even_figure(found).axes
    marks = {
        round(line.get_xdata()[0]): line.get_markerfacecolor()
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert set(marks) == {36_000, 18_000}
    assert marks[18_000] == "white"
    assert marks[36_000] != "white"
