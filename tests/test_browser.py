"""The app in a real browser, as a person uses it. Pictures of every tab go to .screenshots/."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from ltf_lite.core.files import hash_file, read_json, write_json
from ltf_lite.core.folder import RunFolder
from ltf_lite.report.results import headline, results
from tests.app_server import BROWSERS, ROOT, App, app
from tests.conftest import SMALL

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: one of {BROWSERS} is needed")

PICTURES = ROOT / ".screenshots"
WIDTHS = (1280, 390)
PROBLEM = "#problem textarea, #problem input"
TABS = ("compare", "own", "runs", "train", "failures")
READY = {  # what a tab shows once it has been read
    "compare": "#result .ltf-box",
    "own": "#own-problems input",
    "runs": "#runs-headline svg",
    "train": "#train-needs details",
    "failures": "#failures-list article",
}
TIME = 20_000  # milliseconds that a page may take on a busy machine
QUICK = {  # a training of a few seconds
    **SMALL, "name": "quick", "problems": {"train": 120, "validation": 8, "test": 8},
    "search": [{"name": "dfs", "paths": 1, "failures": 1}],
    "tuning": {**SMALL["tuning"], "steps": 20, "eval_every": 10},
    "evaluation": [{"name": "cot", "n": 1, "max_tokens": 40}],
    "export": {"greedy_problems": 4, "success_points": 100},
}  # fmt: skip


@pytest.fixture(scope="module")
def served(small_run: Path, tmp_path_factory):
    """An app over a finished run, in a folder with a preset of its own."""
    home = tmp_path_factory.mktemp("home")
    (home / "presets").mkdir()
    (home / "presets" / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    shutil.copytree(small_run, home / "runs" / "small")
    _below(shutil.copytree(small_run, home / "runs" / "below"))
    _of_old(shutil.copytree(small_run, home / "runs" / "old"))
    os.utime(home / "runs" / "small" / "manifest.json")  # the latest
    with app(home / "runs", cwd=home) as running:
        yield running


def _below(run: Path) -> None:
    """Make of a finished run one whose kept checkpoint lost more than its preset allows."""
    own = RunFolder(run)
    found, result = read_json(own.manifest), read_json(own.tuning_result)
    found["preset"]["retention"] = {**found["preset"].get("retention", {}), "single_pass": 0.9}
    result["validation"]["kept"]["single_pass"] = 0.42
    write_json(own.manifest, found)
    _replace(own, "tune", own.tuning_result, result)


def _of_old(run: Path) -> None:
    """Make of a finished run one that another ltf_lite wrote."""
    own = RunFolder(run)
    file = next(own.evaluation("base").glob("*.test.json"))
    record = read_json(file)
    del record["schema"]
    _replace(own, "baseline", file, record)


def _replace(own: RunFolder, stage: str, file: Path, data: dict) -> None:
    """Write a file of a run's stage as if the stage had written it so."""
    write_json(file, data)
    found = read_json(own.manifest)
    found["stages"][stage]["files"][file.relative_to(own.path).as_posix()] = hash_file(file)
    write_json(own.manifest, found)


@pytest.fixture
def page(browser, served: App):
    yield from opened(browser, served)


def opened(browser, served: App, width: int = 1280, path: str = "", **context):
    """A page that fails the test if a script on it fails or it asks the network for anything."""
    own = browser.new_context(viewport={"width": width, "height": 900}, **context)
    own.set_default_timeout(TIME)
    view, errors, strangers = own.new_page(), [], []
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.on("request", lambda request: strangers.append(request.url)
            if not request.url.startswith((served.url, "data:", "blob:")) else None)  # fmt: skip
    view.goto(served.url + path)
    view.wait_for_selector("#compare:not([disabled])", state="attached")
    yield view
    own.close()
    assert errors == []
    assert strangers == []


def tab(page, name: str) -> None:
    page.locator(f"button#tab-{name}-button").click()


def compared(page) -> None:
    """Compare, and wait for what the answers come to."""
    page.locator("#compare").click()
    page.locator("#compare:not([disabled])").wait_for()
    page.locator("#ratio .ltf-verdict").wait_for()


def drawer(page) -> None:
    """Open the settings."""
    page.locator("#settings button").first.click()
    page.locator("#way input").wait_for()


def choose(page, element: str, text: str) -> None:
    """Choose from a list as a person does: open it, click what it says."""
    option = page.get_by_role("option", name=re.compile(text)).first
    for _ in range(5):  # a list that was just filled anew has to be opened again
        page.locator(f"#{element} input").click()
        with suppress(playwright.TimeoutError):
            return option.click(timeout=TIME / 5)
        page.keyboard.press("Escape")
    raise AssertionError(f"{text} is no option of {element}")


@pytest.mark.slow
def test_a_comparison_to_its_end(page):
    compared(page)
    for side in ("#before", "#single", "#search"):
        assert re.search("[Ss]olved", page.locator(f"{side} .ltf-state").inner_text())
        assert re.search(r"\d tokens", page.locator(f"{side} .ltf-cost").inner_text())
        assert "engine calls" in page.locator(f"{side} .ltf-metrics").text_content()
    assert page.locator("#tree svg g title").count() > 3
    page.locator("#tree details summary").click()
    numbers = set(re.findall(r"\d+", page.locator(PROBLEM).input_value().split(" ->")[0]))
    assert numbers <= set(re.findall(r"\d+", page.locator("#tree svg").text_content()))
    assert numbers <= set(re.findall(r"\d+", page.locator("#tree details pre").inner_text()))


@pytest.mark.slow
def test_the_first_screen_says_what_the_run_came_to(page, served):
    """Before, after and search: success, tokens and a sentence; then the question in words."""
    page.locator("#result .ltf-box").first.wait_for()
    told = page.locator("#result .ltf-box").all_inner_texts()
    heads = [text.split(":")[0] for text in told]
    assert heads == ["Before training", "After training", "Before training"]
    found = headline(results(RunFolder(served.runs / "small")))
    rates = [row.rate.rate for row in (found.base, found.tuned, found.search)]
    assert [f"{100 * rate:.1f} %" in text for rate, text in zip(rates, told, strict=True)] == [
        True
    ] * 3
    assert all("%" in text and "tokens" in text for text in told)
    assert re.search("[Bb]etter|[Ww]orse|[Nn]ot told apart", told[1])
    assert re.search("[Ss]olves|Not shown", told[2])
    assert re.fullmatch(
        r"Make \d+ from [\d, ]+\. Use every number once\.",
        page.locator("#question").inner_text().strip(),
    )


@pytest.mark.slow
def test_an_example_is_answered_before_anything_is_pressed(page):
    page.locator("#ratio .ltf-verdict").wait_for()
    assert page.locator("#sides .ltf-number").count() == 3


@pytest.mark.slow
def test_the_address_names_tab_run_and_problem(page, served):
    compared(page)
    first = page.locator(PROBLEM).input_value()
    page.locator("#draw").click()
    second = changed(page, first)
    page.locator("#ratio .ltf-verdict").wait_for(state="detached")  # the old answers are gone
    before = page.url
    compared(page)
    page.wait_for_url(lambda url: url != before)  # it names the problem once there are answers
    answers = page.locator("#single").inner_text()
    page.reload()
    page.locator("#single .ltf-cost").wait_for()
    assert page.locator(PROBLEM).input_value() == second
    assert page.locator("#single").inner_text() == answers  # it is remembered
    page.go_back()
    page.wait_for_function(
        f"(document.querySelector('{PROBLEM}') || {{}}).value === {json.dumps(first)}"
    )
    tab(page, "runs")
    choose(page, "run", "below")
    page.locator("#runs-headline [role=alert]").wait_for()
    assert "tab=runs" in page.url
    page.reload()
    page.locator("#runs-headline [role=alert]", has_text="below a floor").wait_for()
    tab(page, "train")
    page.go_back()
    page.locator("button#tab-runs-button[aria-selected=true]").wait_for()


@pytest.mark.slow
def test_the_language_is_switched_in_the_page(page):
    compared(page)
    page.locator(".ltf-languages a").click()
    page.locator("#compare", has_text="比較する").wait_for()
    page.locator("#single", has_text="トークン").wait_for()
    assert page.evaluate("document.documentElement.lang") == "ja"
    tab(page, "runs")
    page.locator("#runs-headline", has_text="ポイント").wait_for()
    page.locator(".ltf-languages a").click()
    page.locator("button#tab-runs-button[aria-selected=true]", has_text="Runs").wait_for()


@pytest.mark.slow
def test_the_tree_fits_its_window_and_can_be_made_larger(page):
    compared(page)
    page.locator("#tree .ltf-tree[data-scale]").wait_for()
    page.locator('[data-zoom="0"]').click()
    box, drawn = "document.querySelector('#tree .ltf-tree')", "querySelector('svg')"
    page.wait_for_function(
        f"{box} && {box}.{drawn}.getBoundingClientRect().width <= {box}.clientWidth + 1 && "
        f"{box}.{drawn}.getBoundingClientRect().height <= {box}.clientHeight + 1"
    )
    width = f"{box}.{drawn}.getBoundingClientRect().width"
    # The page may set the tree anew as the comparison ends.
    before = page.wait_for_function(f"{box} && {width}").json_value()
    page.locator('[data-zoom="1.25"]').click()
    page.wait_for_function(f"{box} && {width} > 1.2 * {before}")
    answer = page.locator("#tree g.answer")
    if answer.count():  # it is in sight
        inside = page.evaluate(
            f"(() => {{ const a = {box}.querySelector('g.answer').getBoundingClientRect(), "
            f"b = {box}.getBoundingClientRect(); return a.left < b.right && a.top < b.bottom "
            "&& a.bottom > b.top; })()"
        )
        assert inside


SEEN = """
new MutationObserver(() => {
  const nodes = document.querySelectorAll('#tree svg g').length;
  if (nodes) window.seen.add(nodes);
}).observe(document.body, {childList: true, subtree: true});
"""


@pytest.mark.slow
def test_the_tree_grows_while_it_is_searched(page):
    drawer(page)
    choose(page, "way", "RAP")
    page.locator("#iterations input[type=number]").fill("50")
    page.locator("#budget input[type=number]").fill("20000")  # long enough to be watched
    # Whoever looks only now and then may come when it is whole already.
    page.evaluate(f"window.seen = new Set(); {SEEN}")
    page.locator("#compare").click()
    page.wait_for_function("window.seen.size > 1")
    with suppress(playwright.TimeoutError):  # it may have come to its end
        page.locator("#stop").click(timeout=2000)


@pytest.mark.slow
def test_stop_in_the_middle_long_before_its_end(page):
    drawer(page)
    choose(page, "way", "RAP")
    page.locator("#iterations input[type=number]").fill("50")
    page.locator("#budget input[type=number]").fill("20000")
    assert any(_stopped(page) for _ in range(6))
    assert page.locator("#ratio .ltf-verdict").count() == 0
    choose(page, "way", "Tree")
    compared(page)


def _stopped(page) -> bool:
    """Whether a search that was begun is stopped; where the page is busy it may end before."""
    page.locator("#compare").click()
    page.locator("#search .ltf-state", has_text="running").wait_for()
    page.wait_for_selector("#tree svg g")
    with suppress(playwright.TimeoutError):
        page.locator("#stop").click(timeout=2000)
    page.locator("#compare:not([disabled])").wait_for()
    return "stopped" in page.locator("#search .ltf-state").inner_text()


@pytest.mark.parametrize(
    ("problem", "word"),
    [("1 1 1 1 -> 99", "no solution"), ("1 x -> 2", "whole number"), ("1 2", "target must be")],
)
@pytest.mark.slow
def test_a_bad_problem_is_refused_before_anything_runs(page, problem, word):
    page.locator(PROBLEM).fill(problem)
    page.locator("#compare").click()
    page.locator("#notice [role=alert]", has_text=word).wait_for()
    page.wait_for_function(  # the old answers are gone
        "!document.querySelector('#sides .ltf-number, #tree svg, #ratio p')"
    )


def changed(page, before: str) -> str:
    """The problem in the field, once it is another one."""
    page.wait_for_function(f"document.querySelector('{PROBLEM}').value !== {json.dumps(before)}")
    return page.locator(PROBLEM).input_value()


@pytest.mark.slow
def test_a_problem_is_drawn_and_an_example_is_a_click_away(page):
    before = page.locator(PROBLEM).input_value()
    page.locator("#draw").click()
    drawn = changed(page, before)
    example = page.locator("#examples button:visible").nth(1)
    numbers = re.findall(r"\d+", example.inner_text())
    example.click()
    assert sorted(re.findall(r"\d+", changed(page, drawn))) == sorted(numbers)


@pytest.mark.slow
def test_another_task_brings_a_problem_of_its_own(page):
    drawer(page)
    before = page.locator(PROBLEM).input_value()
    choose(page, "task", "24")
    assert changed(page, before).endswith("-> 24")
    compared(page)


@pytest.mark.slow
def test_many_problems_give_rates_with_intervals(page):
    page.locator("#batch-box button").first.click()
    page.locator("#count input[type=number]").fill("3")
    page.locator("#batch").click()
    page.locator("#plot svg").wait_for()
    page.locator("#batch-text", has_text="%").wait_for()
    page.locator("#batch:not([disabled])").wait_for()


@pytest.mark.slow
def test_a_traversal_from_the_page_is_refused(page, served):
    for path in ("gguf/small/..%2f..%2f..%2fetc%2fpasswd", "gradio_api/file=/etc/passwd"):
        said = page.evaluate(f"fetch('/{path}').then(r => r.status)")
        assert said in (403, 404)


@pytest.mark.slow
def test_a_run_shows_its_report_and_its_models(page, served):
    tab(page, "runs")
    page.locator("#runs-stages td", has_text="done").first.wait_for()
    for part in ("headline", "learning", "kept", "failures", "break_even"):
        page.locator(f"#runs-{part} svg").first.wait_for()
    kept = page.locator("#runs-kept svg").text_content()
    assert "kept: step" in kept
    assert "tree of thoughts" in kept
    assert "dead end" in page.locator("#runs-failures svg").last.text_content()
    assert "an hour of this machine" in page.locator("#runs-break_even").inner_text()
    assert page.locator("#runs-notice [role=alert]").count() == 0
    report = (served.runs / "small" / "report" / "index.html").read_text()
    names = re.findall(r'<section id="(\w+)">', report)
    assert len(names) > 8
    shown = page.locator("#runs-sections section").evaluate_all("all => all.map(e => e.id)")
    assert shown == [f"runs-{name}" for name in names]
    summaries = page.locator("#tab-runs summary").all_inner_texts()
    assert all(text.strip() for text in summaries), summaries
    page.locator("#runs-failed_paths summary").first.click()
    page.locator("#runs-failed_paths .ltf-fatal").first.wait_for()
    with page.expect_download() as download:
        page.locator("#runs-files a", has_text="q8_0").click()
    assert download.value.suggested_filename == "small.q8_0.gguf"
    assert Path(download.value.path()).read_bytes()[:4] == b"GGUF"


@pytest.mark.slow
def test_a_run_below_a_floor_says_so_loudly(page):
    tab(page, "runs")
    choose(page, "run", "below")
    page.locator("#runs-headline [role=alert]", has_text="below a floor").wait_for()
    said = page.locator("#runs-headline [role=alert]").inner_text()
    assert "single_pass is 0.42 of the base's (at least 0.9)" in said


@pytest.mark.slow
def test_a_run_of_an_older_version_is_refused_in_a_sentence(page):
    tab(page, "runs")
    choose(page, "run", "old")
    page.locator("#runs-sections [role=alert]", has_text=".test.json").wait_for()
    assert "Something failed" not in page.locator("#runs-sections").inner_text()


@pytest.mark.slow
def test_the_report_opens_from_the_run(page, served):
    tab(page, "runs")
    with page.expect_popup() as opening:
        page.locator("#runs-report a", has_text="Open the report").click()
    report = opening.value
    report.locator("svg").first.wait_for()
    assert report.url == f"{served.url}/report/small"
    assert "a run small enough for a test" in report.locator("body").inner_text()
    with page.expect_download() as download:
        page.locator("#runs-report a", has_text="results.csv").click()
    assert Path(download.value.path()).read_text().startswith("table,row,column,value")


@pytest.mark.slow
def test_failures_are_browsed_by_kind(page):
    tab(page, "failures")
    page.locator("#failures-list article").first.wait_for()
    assert "went away" in page.locator("#failures-kinds").inner_text()
    assert page.locator("#failures-kinds svg").count() == 2
    choose(page, "failures-kind", "dead end")
    page.locator("#failures-list .ltf-fatal").first.wait_for()
    kinds = page.locator("#failures-list .ltf-state strong").all_inner_texts()
    assert set(kinds) == {"dead end"}


@pytest.mark.slow(seconds=39)
def test_a_training_is_started_stopped_taken_up_and_finished(browser, served):
    (first,) = [next(pages := opened(browser, served))]
    tab(first, "train")
    choose(first, "preset", "quick")
    first.locator("#train-needs", has_text="small enough").wait_for()
    assert "not measured" in first.locator("#train-needs").inner_text()  # how long it takes
    first.locator("#train-start").click()
    first.locator("#train-notice", has_text="being trained").wait_for()
    first.locator("#train-stop").wait_for()
    first.locator("#train-start").wait_for(state="hidden")  # it would do nothing
    tab(first, "compare")
    first.locator("#banner", has_text="quick is being trained").wait_for()
    tab(first, "train")
    first.locator("#train-status progress, #train-status td").first.wait_for()
    next(pages, None)  # the browser is closed; the training goes on
    for second in opened(browser, served):
        second.locator("#banner", has_text="quick is being trained").wait_for()
        second.locator("#banner a", has_text="Watch it").click()
        second.locator("#train-stop").wait_for()
        second.locator("#train-stop").click()
        second.locator("#train-notice", has_text="was stopped").wait_for()
        second.locator("#train-start").click()
        second.locator("#train-status", has_text="8 of 8 stages").wait_for(timeout=30 * TIME)
        second.locator("#train-log", has_text="All stages done").wait_for()
        second.locator("#banner", has_text="quick is trained").wait_for()
        second.locator("#train-stop").wait_for(state="hidden")
        second.locator("#train-start").wait_for(state="hidden")
        assert "run=quick" in second.locator("#train-status a").get_attribute("href")
        tab(second, "runs")
        choose(second, "run", "quick")
        second.locator("#runs-files a", has_text="quick.q8_0.gguf").wait_for()


@pytest.mark.slow
def test_the_keyboard_alone_is_enough(page):
    page.locator(PROBLEM).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("44 41 4 23 -> 66")
    page.keyboard.press("Enter")
    page.locator("#compare:not([disabled])").wait_for()
    page.locator("#ratio .ltf-verdict").wait_for()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(
            "(e => e.closest('.ltf-tree') ? 'tree' : e.tagName === 'SUMMARY' ? 'text' "
            ": (e.closest('[id]') || {}).id)(document.activeElement)"
        ))  # fmt: skip
    assert {"compare", "draw", "tree", "text"} <= reached
    page.locator("button#tab-failures-button").focus()
    page.keyboard.press("Enter")
    page.locator("#failures-list article").first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.slow(seconds=11)
def test_every_tab_fits_its_width_and_is_pictured(browser, served, width, theme):
    PICTURES.mkdir(exist_ok=True)
    for view in opened(browser, served, width, f"/?__theme={theme}"):
        compared(view)
        view.locator("#compare:not([disabled])").wait_for()
        for name in TABS:
            tab(view, name)
            if name == "runs":
                choose(view, "run", "^small")  # a later one may have asked no search
                view.locator("#runs-break_even svg").first.wait_for()
            if name == "train":
                view.locator("#train-needs details").wait_for()
            if name == "failures":
                view.locator("#failures-list article").first.wait_for()
            view.wait_for_timeout(400)  # what fades in
            wide = view.evaluate("document.documentElement.scrollWidth")
            view.screenshot(path=PICTURES / f"{name}-{width}-{theme}.png", full_page=True)
            assert wide <= width, f"{name} is {wide} wide"


@pytest.mark.slow
def test_every_picture_has_words(page):
    compared(page)
    tab(page, "runs")
    choose(page, "run", "^small")
    page.locator("#runs-break_even svg").first.wait_for()
    bare = page.evaluate(
        "[...document.querySelectorAll('#tree svg, #runs-sections svg')]"
        ".filter(s => s.getAttribute('role') !== 'img' || "
        "!(s.getAttribute('aria-label') || s.querySelector(':scope > title')))"
        ".map(s => s.outerHTML.slice(0, 80))"
    )
    assert bare == []


@pytest.mark.parametrize(
    ("width", "path"), [(1280, "/?__theme=light"), (390, "/ja?__theme=dark"), (390, "/")]
)
@pytest.mark.slow(seconds=11)
def test_axe_finds_no_serious_fault_on_any_tab(browser, served, width, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for view in opened(browser, served, width, path):
        for name in TABS:
            tab(view, name)
            view.locator(READY[name]).first.wait_for(timeout=3 * TIME)
            view.wait_for_timeout(400)  # what fades in
            found = [
                (each["id"], node["html"][:120])
                for each in axe.run(view).response["violations"]
                if each["impact"] in ("serious", "critical")
                for node in each["nodes"]
            ]
            assert found == [], name
