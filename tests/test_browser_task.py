"""A task of one's own in a real browser, from a file to a training.

The model is tiny-base, which has 1.2 M weights and knows Countdown alone: its answers to sums are
nonsense, and nothing here is a measure of anything.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.app_server import BROWSERS, App
from tests.test_browser import PICTURES, PROBLEM, choose, drawer, opened, tab

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: one of {BROWSERS} is needed")

SUMS = "question,answer\n" + "".join(f"What is {k} + {k + 3}?,{2 * k + 3}\n" for k in range(40))
LONG = 60_000  # milliseconds that a pilot may take on a busy machine


def brought(page, file: Path) -> None:
    page.locator("#task-file input").set_input_files(file)
    page.locator("#own-upload").click()


def pictured(page, name: str) -> None:
    """A picture at each width, and nothing wider than the page."""
    PICTURES.mkdir(exist_ok=True)
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(400)
        wide = page.evaluate("document.documentElement.scrollWidth")
        page.screenshot(path=PICTURES / f"{name}-{width}-light.png", full_page=True)
        assert wide <= width, f"{name} is {wide} wide"


@pytest.mark.slow(seconds=19)
def test_from_a_file_to_a_training(browser, served: App, tmp_path):
    sums = tmp_path / "my sums.csv"
    sums.write_text(SUMS)
    pages = opened(browser, served)
    page = next(pages)
    tab(page, "own")
    brought(page, sums)
    page.locator("#own-notice", has_text="Kept as my-sums.csv").wait_for()
    page.wait_for_function(
        "document.querySelector('#own-task input').value === 'my-sums.csv'", timeout=LONG
    )
    page.locator("#own-check").click()
    page.locator("#own-checked", has_text="the check passed").wait_for()
    said = page.locator("#own-checked").inner_text()
    assert "40 / 40" in said
    assert "Question: What is" in said
    page.locator("#own-problems input[type=number]").fill("4")
    page.locator("#own-pilot").click()
    page.locator("#own-status", has_text="asking the model").wait_for()
    next(pages, None)  # the page is closed; the pilot goes on
    for page in opened(browser, served):
        tab(page, "own")
        page.locator("#own-status section").wait_for(timeout=LONG)
        said = page.locator("#own-status").inner_text()
        assert "Bring more problems first" in said  # 40 are too few, whatever the model knows
        assert "single pass" in said
        assert "Headroom" in said
        assert "The rule" in said
        page.locator("#own-check").click()
        page.locator("#own-checked section").wait_for()
        pictured(page, "own")
        page.locator("#own-train").click()
        page.locator("#train-needs", has_text="as its pilot proposed").wait_for()
        assert page.locator("#preset input").input_value() == "my-sums"
    preset = yaml.safe_load((served.runs.parent / "presets" / "my-sums.yaml").read_text())
    assert preset["name"] == "my-sums"
    assert preset["task"]["file"].endswith("runs/tasks/my-sums.csv")


@pytest.mark.slow
def test_a_pilot_is_stopped(browser, served, tmp_path):
    (tmp_path / "stop.csv").write_text(SUMS + "Is it over?,7\n")
    for page in opened(browser, served):
        tab(page, "own")
        brought(page, tmp_path / "stop.csv")
        page.locator("#own-notice", has_text="Kept as stop.csv").wait_for()
        page.locator("#own-stop").click()
        page.locator("#own-notice [role=alert]", has_text="nothing is working").wait_for()
        page.locator("#own-pilot").click()
        page.locator("#own-status", has_text="asking the model").wait_for()
        page.locator("#own-pilot").click()
        page.locator("#own-notice [role=alert]", has_text="is under way").wait_for()
        page.locator("#own-stop").click()
        page.locator("#own-notice", has_text="The pilot was stopped").wait_for()
        page.locator("#own-status [role=alert]", has_text="stopped before its end").wait_for()
        assert not page.locator("#own-train").is_visible()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("x.py", "print(1)", "must end in"), ("x.json", SUMS, "not JSON"), ("x.csv", "", "is empty"),
     ("large.csv", SUMS + "x" * (21 << 20), "20 MB at most"),
     ("x.csv", "<img src=x onerror=alert(1)>,b\n1,2\n", "which column")],
)  # fmt: skip
@pytest.mark.slow
def test_a_file_that_is_not_taken_is_a_sentence(browser, served, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    before = sorted((served.runs / "tasks").iterdir()) if (served.runs / "tasks").exists() else []
    for page in opened(browser, served):
        tab(page, "own")
        brought(page, tmp_path / name)
        page.locator("#own-notice [role=alert]", has_text=said).wait_for()
        assert page.locator("#own-notice img").count() == 0
    assert (sorted((served.runs / "tasks").iterdir()) if before else []) == before


@pytest.mark.slow
def test_a_question_of_ones_own_in_free_text(browser, served, tmp_path):
    (tmp_path / "words.csv").write_text(SUMS)
    for page in opened(browser, served):
        tab(page, "own")
        brought(page, tmp_path / "words.csv")
        page.locator("#own-notice", has_text="Kept as words.csv").wait_for()
        tab(page, "compare")
        drawer(page)
        choose(page, "task", "words.csv")
        page.wait_for_function(f"document.querySelector('{PROBLEM}').value.includes('What is')")
        box = page.locator(PROBLEM)
        assert box.evaluate("e => e.getBoundingClientRect().height") > 80
        box.fill("What is seven times six?\n<b>Say it in words.</b>")
        choose(page, "way", "Self-consistency")
        page.locator("#compare").click()
        page.locator("#search .ltf-state", has_text="olved").wait_for()
        page.locator("#compare:not([disabled])").wait_for()
        assert page.locator("#single .ltf-whole").inner_text().strip()
        assert page.locator("#search b").count() == 0
        pictured(page, "free-text")


@pytest.mark.slow
def test_a_typed_task_is_a_generator_or_nothing(browser, served):
    for page in opened(browser, served):
        tab(page, "own")
        for typed in ("my_task.py", "../../my_task.py"):
            page.locator("#own-task input").fill(typed)
            page.keyboard.press("Enter")
            page.locator("#own-check").click()
            page.locator("#own-notice [role=alert]", has_text="no such task").wait_for()
