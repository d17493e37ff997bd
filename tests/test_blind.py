"""Two answers judged blind: what is shown, what is counted, and what may be said of it."""

from __future__ import annotations

import html
import re

import pytest
from gradio_client import Client

from ltf_lite.app.web.blind import pressed
from ltf_lite.app.web.preferred import EQUAL, LEAST, Judging, Pair, Vote, shown
from ltf_lite.engines import TINY_BASE, TINY_TUNED
from ltf_lite.evaluation.significance import exact_interval
from tests.app_server import App, Page

FORM = ("countdown", "", TINY_TUNED, TINY_BASE, "tot", 8, 1, 3, 5000, 0)
NAMES = ("the first", "the second")
ROUNDS = 14  # both orders come up in so many


def votes(*counts: int) -> tuple[Vote, ...]:
    """So many for the first way, for the second, and equal ones; the first is always right."""
    better = [way for way, n in zip((0, 1, EQUAL), counts, strict=True) for _ in range(n)]
    return tuple(Vote(str(k), way, (True, None)) for k, way in enumerate(better))


@pytest.mark.parametrize("turned", [False, True])
def test_a_judgement_is_of_the_way_and_not_of_its_place(turned):
    pair = Pair("p", turned, (True, False))
    better = [Judging(pair=pair).judged(pressed).votes[0].better for pressed in range(3)]
    assert better == [1, 0, EQUAL] if turned else [0, 1, EQUAL]
    once = Judging(pair=pair).judged(0)
    assert once.judged(0) == once  # a second click


def test_below_six_unequal_judgements_nothing_is_claimed(desk):
    told = shown(Judging("", NAMES, None, votes(5, 0, 30)), desk)
    assert f"Too few to tell: 5 judgements were not equal, and it takes at least {LEAST}" in told
    assert "ltf-same" in told
    assert "ltf-better" not in told
    assert "Nothing was judged" in shown(Judging(), desk)


def test_six_alike_are_told_with_the_sign_test_and_its_interval(desk):
    told = shown(Judging("", NAMES, None, votes(0, 6, 4)), desk)
    assert "the second was preferred: in 6 of the 6" in told
    assert "100 % [54 to 100], p = 0.031" in told
    assert "ltf-better" in told
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", told)
    assert cells == ["the first", "0", "10 of 10", "the second", "6", "–", "Equal", "4", ""]


def test_what_is_within_chance_is_not_told_apart(desk):
    told = shown(Judging("", NAMES, None, votes(6, 3, 1)), desk)
    assert "Not told apart: the first was preferred in 6 of the 9" in told
    assert "ltf-same" in told


def test_the_interval_leaves_a_half_out_where_the_test_is_below_five_percent():
    assert exact_interval(6, 6)[0] > 0.5
    assert exact_interval(5, 5)[0] < 0.5
    low, high = exact_interval(3, 10)
    assert (round(low, 4), round(high, 4)) == (0.0667, 0.6525)  # of any table


def test_who_stops_has_no_pair_and_keeps_what_was_judged(desk):
    desk.tickets.begin(None)
    desk.tickets.stop(None)
    judging = Judging(votes=votes(1, 0, 0), pair=Pair("p", False, (True, True)))
    handler = pressed(desk, "drawn")
    seen = list(handler(None, *FORM, "before-single", judging, desk.token))
    state, *_ = seen[-1]
    assert state.pair is None
    assert [button["visible"] for button in seen[-1][5:8]] == [False] * 3
    assert not desk.tickets.runs(None)


# -- the page ------------------------------------------------------------------------------------


def press(page: Page, element: str, pair: str = "before-single", **form) -> list:
    names = ("task", "problem", "single", "search", "way", "n", "beam", "iterations", "budget",
             "seed")  # fmt: skip
    values = {**dict(zip(names, FORM, strict=True)), **form}
    return page.pressed(f"blind-{element}", *values.values(), pair, None)


def visible(found: list) -> list[bool]:
    return [button["visible"] for button in found[5:8]]


def text(pane: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", pane)).strip()


def answers(client: Client, problem: str) -> tuple[str, str]:
    """What the base and the tuned model answer, as the comparison shows it with names."""
    values = (FORM[0], problem, *FORM[2:])
    panes = client.predict(*values, api_name="/compare")[2:4]
    lines = (re.findall(r"<code>(.*?)</code>", pane) for pane in panes)
    one, other = ("\n".join(map(html.unescape, each)) for each in lines)
    return one, other


@pytest.mark.slow(seconds=15)
def test_rounds_are_judged_without_names_and_told_with_them(served: App):
    """Whoever always prefers the tuned model's answer finds that at the end."""
    page, client = Page(served, "judge"), Client(served.url, verbose=False)
    found = press(page, "draw")
    better, places, problems = 0, set(), set()
    for done in range(ROUNDS):
        assert visible(found) == [True] * 3
        assert f"{done} judged" in found[8]
        everything = "".join(part for part in found if isinstance(part, str))
        assert not re.search(
            r"tiny|token|olved|\d s\b|ltf-good|ltf-bad|before|after", everything, re.I
        )
        target, numbers = re.search(r"Make (\d+) from ([\d, ]+)", found[2]).groups()
        problem = f"{numbers.replace(',', '')} -> {target}"
        problems.add(problem)
        base, tuned = answers(client, problem)
        shown_ones = [text(pane)[1:].strip() for pane in found[3:5]]
        assert sorted(shown_ones) == sorted([base, tuned])
        vote = "equal" if base == tuned else "ab"[shown_ones.index(tuned)]
        better += vote != "equal"
        places |= {vote} - {"equal"}
        found = press(page, f"vote-{vote}")
    assert len(problems) == ROUNDS  # none comes twice
    assert places == {"a", "b"}
    assert better >= LEAST
    (result,) = page.pressed("blind-show", None)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", result)
    assert cells[0].startswith("Before training: one answer · tiny-base")
    assert cells[3].startswith("After training: one answer · tiny-tuned")
    assert (cells[1], cells[4], cells[7]) == ("0", str(better), str(ROUNDS - better))
    assert all(cell.endswith(f"of {ROUNDS}") for cell in (cells[2], cells[5]))
    assert "was preferred: in" in result


def test_a_typed_problem_is_judged_once_and_not_where_it_was_compared(served):
    page = Page(served, "typist")
    found = press(page, "start", problem="44 41 4 23 -> 66")
    assert visible(found) == [True] * 3
    assert "Make 66 from 44, 41, 4, 23" in found[2]
    assert "1 judged" in press(page, "vote-equal")[8]
    found = press(page, "start", problem="41 44 4 23 -> 66")
    assert "judged already: here is another one" in found[1]
    assert "Make 66 from 41, 44, 4, 23" not in found[2]
    assert visible(found) == [True] * 3
    answers(Client(served.url, verbose=False), "25 5 5 33 -> 27")
    told = press(page, "start", problem="25 5 5 33 -> 27")
    assert "shown with their names: here is another one" in told[1]
    assert "Make 27 from" not in told[2]
    assert visible(told) == [True] * 3
    again = press(page, "draw")
    assert "1 judged" in again[8]  # it is kept


def test_the_first_button_needs_no_problem(served):
    found = press(Page(served, "newcomer"), "start", problem="")
    assert found[1] == ""
    assert "Make" in found[2]
    assert visible(found) == [True] * 3


def test_other_ways_are_counted_anew(served):
    page = Page(served, "changer")
    press(page, "draw")
    assert "1 judged" in press(page, "vote-a")[8]
    found = press(page, "vote-a", pair="single-search")
    assert "begins anew" in found[1]
    assert "0 judged" in found[8]
    assert "Nothing was judged" in page.pressed("blind-show", None)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "1 1 1 1 -> 99"}, "no solution"),
        ({"problem": "x"}, "whole number"),
        ({"pair": "a-b"}, "no such two ways"),
        ({"pair": None}, "no such two ways"),
        ({"task": "chess"}, "there is no such task"),
        ({"single": "../x"}, "choose one of the list"),
        ({"seed": -3}, "Seed must be a whole number"),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(served, change, words):
    found = press(Page(served, "wrong"), "start", **change)
    assert words in found[1]
    assert 'role="alert"' in found[1]
    assert visible(found) == [False] * 3


@pytest.mark.slow
def test_who_has_no_token_judges_nothing(served):
    page = Page(served, "stranger", token="guessed")
    for element in ("start", "draw", "vote-a", "vote-b", "vote-equal"):
        assert "load it anew" in press(page, element, problem="44 41 4 23 -> 66")[1]
