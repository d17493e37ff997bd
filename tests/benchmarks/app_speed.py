"""The app as its users feel it: start, first node of a tree, Stop, many users at once.

    python tests/benchmarks/app_speed.py [--runs runs] [--times 5]

Medians (smallest, largest). Needs Chromium or Chrome for what is on the screen.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from gradio_client import Client
from playwright.sync_api import sync_playwright

from tests.app_server import BROWSERS, app

USERS = 16
PROBLEMS = (("44 41 4 23 -> 66", "44 41 23 4"), ("7 12 20 31 -> 46", "31 20 12 7"))
# task, problem, single pass, search, way, n, beam, iterations, budget, seed
ASKED = ("countdown", "44 41 4 23 -> 66", "tiny-base", "tiny-base", "tot", 32, 5, 10, 5000, 0)


def spread(name: str, values: list[float], unit: str = "s") -> None:
    middle = statistics.median(values)
    print(f"{name}: {middle:.2f} {unit} ({min(values):.2f}, {max(values):.2f}), n = {len(values)}")


def starts(runs: Path, times: int) -> None:
    """From the start of the process to the first whole page."""
    values = []
    for _ in range(times):
        with app(runs) as served:
            values.append(served.seconds)
    spread("start to first page", values)


def on_screen(url: str, times: int) -> None:
    """From the click to the first node on the screen, to the end, and from Stop to stopped."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    first, ends, stops = [], [], []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(url)
        page.wait_for_selector("#compare")
        for k in range(times + 1):
            page.locator("#compare:not([disabled])").wait_for()
            problem, root = PROBLEMS[k % 2]  # the last tree is still on the screen
            page.locator("#problem input, #problem textarea").fill(problem)
            began = time.perf_counter()
            page.locator("#compare").click()
            page.locator("#tree svg g", has_text=root).first.wait_for()
            seen = time.perf_counter()
            page.locator("#ratio .ltf-verdict").wait_for()
            if k:  # the first opens the models
                first.append(seen - began)
                ends.append(time.perf_counter() - began)
        page.locator("#settings button").first.click()
        page.locator("#way input").click()
        page.get_by_role("option", name="RAP").first.click()
        page.locator("#iterations input[type=number]").fill("50")
        for _ in range(times):
            page.locator("#compare:not([disabled])").wait_for()
            page.locator("#compare").click()
            page.locator("#search .ltf-state", has_text="running").wait_for()
            began = time.perf_counter()
            page.locator("#stop").click()
            page.locator("#search .ltf-state", has_text="stopped").wait_for()
            stops.append(time.perf_counter() - began)
        chromium.close()
    spread("click to first node on the screen", first)
    spread("click to both verdicts (tree of thoughts)", ends)
    spread("Stop to stopped (RAP, 50 iterations)", stops)


def users(url: str) -> None:
    """So many users, each with a problem of their own, at the same moment."""
    clients = [Client(url, verbose=False) for _ in range(USERS)]

    def ask(k: int) -> tuple[float, bool]:
        began = time.perf_counter()
        job = clients[k].submit(
            ASKED[0], f"{k + 2} {k + 3} -> {2 * k + 5}", *ASKED[2:], api_name="/compare"
        )
        job.result(timeout=300)
        page = "".join(str(part) for state in job.outputs() for part in state)
        return time.perf_counter() - began, f"{k + 3} {k + 2}" in page

    with ThreadPoolExecutor(USERS) as pool:
        found = list(pool.map(ask, range(USERS)))
    print(f"{USERS} users at once: {sum(own for _, own in found)} got their own answer")
    spread("their seconds", [seconds for seconds, _ in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, help="a folder of runs (default: none)")
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = args.runs or Path(folder) / "runs"
        runs.mkdir(exist_ok=True)
        starts(runs, args.times)
        with app(runs) as served:
            on_screen(served.url, args.times)
            users(served.url)


if __name__ == "__main__":
    main()
