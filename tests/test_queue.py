"""Several visitors at the same moment: each is told how many come before, in their language."""

from __future__ import annotations

import base64
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from gradio_client import Client

from ltf_lite.app.answer.live import Pool
from ltf_lite.app.web.batch import run_batch
from ltf_lite.app.web.blind import pressed
from ltf_lite.app.web.desk import Tickets
from ltf_lite.app.web.file import run_file
from ltf_lite.app.web.preferred import Judging
from ltf_lite.app.web.turns import WAITING
from ltf_lite.engines import TINY_BASE, TINY_TUNED, Stopped
from tests.app_server import App

AHEAD = re.compile(r"(\d+) before you")
FORM = ("countdown", "44 41 4 23 -> 66", TINY_BASE, TINY_BASE, "rap", 8, 2, 40, 20_000, 0)
VISITORS = 3


def told(served: App, start: threading.Barrier) -> list[int]:
    """How many came before a visitor, from their first look at the page to their answer."""
    client = Client(served.url, verbose=False)
    start.wait(60)
    job = client.submit(*FORM, api_name="/compare")
    job.result(timeout=300)
    seen: list[int] = []
    for state in job.outputs():
        for html in state:
            if isinstance(html, str) and (found := AHEAD.search(html)):
                seen.append(int(found[1]))
    return seen


@pytest.mark.slow(seconds=14)
def test_three_visitors_at_once_are_told_how_many_come_before(served):
    start = threading.Barrier(VISITORS)
    with ThreadPoolExecutor(VISITORS) as threads:
        seen = list(threads.map(lambda _: told(served, start), range(VISITORS)))
    # The app itself asks too, once, for the answers that a page shows at first.
    assert all(set(own) <= {1, 2, 3} for own in seen), seen
    assert any(2 in own for own in seen), seen  # who came last waited for both
    assert sum(bool(own) for own in seen) >= 2  # all but one had to wait


@pytest.mark.slow
def test_who_is_alone_waits_for_nobody(served):
    """The first time, the app itself may still be asking."""
    assert any(told(served, threading.Barrier(1)) == [] for _ in range(3))


class Waiting(threading.Thread):
    """Somebody who wants a model, and what they are told until they have it."""

    def __init__(self, pool: Pool, order: list[str], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.pool, self.order, self.told, self.stop = pool, order, list[int](), Event()
        self.start()

    def run(self) -> None:
        try:
            with self.pool.borrow(TINY_BASE, self.stop.is_set, waiting=self.told.append):
                self.order.append(self.name)
        except Stopped:
            self.order.append(f"{self.name} left")


def until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_models_are_asked_in_the_order_of_who_came_and_who_leaves_lets_the_others_up():
    pool, order = Pool(), []
    with pool.borrow(TINY_BASE):
        line = []
        for name in ("first", "second", "third"):
            line.append(Waiting(pool, order, name))
            until(lambda: line[-1].told)
        assert [each.told for each in line] == [[1], [2], [3]]
        line[1].stop.set()
        until(lambda: line[2].told == [3, 2])
    for each in line:
        each.join(30)
    assert order == ["second left", "first", "third"]
    pool.close()


@pytest.mark.slow
def test_a_ticket_tells_how_many_others_there_are():
    tickets = Tickets()
    for k in range(WAITING):
        tickets.begin(f"visitor {k}")
    assert tickets.others("visitor 0") == WAITING - 1
    assert tickets.others("one more") == WAITING
    tickets.leave("visitor 3")
    assert tickets.others("one more") == WAITING - 1


@pytest.mark.parametrize("part", ["batch", "file", "blind"])
def test_every_part_tells_how_many_come_before(desk, tmp_path, part):
    """While another holds the models; the answers come once it has given them back."""
    form = ("countdown", "", TINY_TUNED, TINY_BASE, "dfs", 8, 1, 3, 5000, 0)
    text = base64.b64encode(b"5 6 -> 11").decode()
    work = {
        "batch": lambda: run_batch(desk)(None, *form, 2),
        "file": lambda: run_file(desk)(None, *form, ["single"], "x.txt", text, "9", desk.token),
        "blind": lambda: pressed(desk, "drawn")(
            None, *form, "before-single", Judging(), desk.token
        ),
    }[part]()
    with desk.pool.borrow(TINY_BASE):
        while "1 before you" not in str(next(work)):
            pass
    *_, last = work
    assert "before you" not in str(last)
    assert {"batch": "svg", "file": "answers.csv", "blind": "ltf-whole"}[part] in str(last)
    desk.pool.close()
