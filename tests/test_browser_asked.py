"""A file of problems, and two answers judged blind, in a real browser.

The models are tiny-base and tiny-tuned, which come with ltf_lite: nothing here is a measure of
anything.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.app_server import BROWSERS, App
from tests.test_browser import PICTURES, PROBLEM, TIME, WIDTHS, opened

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: one of {BROWSERS} is needed")

PROBLEMS = "44 41 4 23 -> 66\n25 5 5 33 -> 27\n3 4 5 -> 12\nno problem\n"


def looked_at(page, name: str) -> None:
    """A picture at each width, nothing wider than the page, and no serious fault for axe."""
    PICTURES.mkdir(exist_ok=True)
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(400)  # what fades in
        wide = page.evaluate("document.documentElement.scrollWidth")
        page.screenshot(path=PICTURES / f"{name}-{width}.png", full_page=True)
        assert wide <= width, f"{name} is {wide} wide"
        found = [
            (each["id"], node["html"][:120])
            for each in axe.run(page).response["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
        assert found == []


def sent(page, file: Path) -> None:
    page.locator("#problems-file input").set_input_files(file)
    page.locator("#file-start").click()


@pytest.mark.parametrize("path", ["/?__theme=light", "/ja?__theme=dark"])
@pytest.mark.slow(seconds=8)
def test_a_file_of_problems_is_answered_and_downloaded(browser, served: App, tmp_path, path):
    (tmp_path / "p.txt").write_text(PROBLEMS)
    (tmp_path / "empty.txt").write_text("")
    for page in opened(browser, served, path=path):
        page.locator("#file-box button").first.click()
        page.locator("#file-ways input").last.check()
        sent(page, tmp_path / "p.txt")
        page.locator("#file-answers table").wait_for(timeout=3 * TIME)
        page.locator("#file-start:not([disabled])").wait_for()
        assert page.locator("#file-answers tbody tr").count() == 7
        found = {}
        for name in ("answers.jsonl", "answers.csv"):
            with page.expect_download() as download:
                page.locator("#file-answers a", has_text=name).click()
            assert download.value.suggested_filename == name
            found[name] = Path(download.value.path()).read_text(encoding="utf-8-sig")
        rows = [json.loads(line) for line in found["answers.jsonl"].splitlines()]
        assert [row["problem"] for row in rows[::2][:3]] == PROBLEMS.splitlines()[:3]
        assert rows[-1]["error"].startswith("4 行目: " if "ja" in path else "line 4: ")
        assert len(list(csv.reader(found["answers.csv"].splitlines()))) == 8
        looked_at(page, f"file-{'ja' if 'ja' in path else 'en'}")
        sent(page, tmp_path / "empty.txt")
        page.locator("#file-notice [role=alert]").wait_for()
        page.locator("#file-answers table").wait_for(state="detached")


@pytest.mark.slow
def test_a_file_is_stopped_and_keeps_what_was_answered(browser, served, tmp_path):
    lines = [f"{k} {k + 1} {k + 2} -> {3 * k + 3}\n" for k in range(2, 900)]
    (tmp_path / "long.txt").write_text("".join(lines))
    (tmp_path / "large.txt").write_text("".join(lines) * 100)
    for page in opened(browser, served):
        page.locator("#file-box button").first.click()
        page.locator("#file-ways input").last.check()
        sent(page, tmp_path / "large.txt")
        page.locator("#file-notice [role=alert]", has_text="1 MB at most").wait_for()
        sent(page, tmp_path / "long.txt")
        page.wait_for_function(
            "(document.querySelector('#file-progress progress') || {value: 0}).value > 2"
        )
        page.locator("#file-stop").click()
        page.locator("#file-notice", has_text="It ended after").wait_for()
        page.locator("#file-answers table").wait_for()
        page.locator("#file-start:not([disabled])").wait_for()


@pytest.mark.parametrize("path", ["/?__theme=light", "/ja?__theme=dark"])
@pytest.mark.slow(seconds=9)
def test_two_answers_are_judged_blind(browser, served, path):
    for page in opened(browser, served, path=path):
        page.locator("#ratio .ltf-verdict").wait_for()  # the example has its answers
        page.locator("#blind-box button").first.click()
        page.locator("#blind-start").click()
        page.locator("#blind-notice .ltf-remark").wait_for()  # another one: it has names above
        page.locator("#blind-vote-a").wait_for()
        page.locator("#blind-start:not([disabled])").wait_for()
        page.locator(PROBLEM).fill("44 41 4 23 -> 66" if "ja" in path else "25 5 5 33 -> 27")
        page.locator("#blind-start").click()
        for done, vote in enumerate(("a", "b", "equal")):
            page.locator(f"#blind-count p:has-text('{done}')").wait_for()
            page.locator(f"#blind-vote-{vote}").wait_for()
            page.locator("#blind-start:not([disabled])").wait_for()
            if not done:
                looked_at(page, f"blind-{'ja' if 'ja' in path else 'en'}")
            said = page.locator("#blind-a").inner_text() + page.locator("#blind-b").inner_text()
            assert not re.search("token|トークン|tiny|✓|✗", said)
            page.locator(f"#blind-vote-{vote}").click()
        page.locator("#blind-count p:has-text('3')").wait_for()
        page.locator("#blind-vote-a").wait_for()
        page.locator("#blind-show").click()
        page.locator("#blind-result table").wait_for()
        said = page.locator("#blind-result").inner_text()
        assert "tiny-base" in said
        assert "tiny-tuned" in said
        assert re.search("Too few to tell|まだ判断できません", said)
        looked_at(page, f"blind-result-{'ja' if 'ja' in path else 'en'}")
