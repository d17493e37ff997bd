"""The moving picture of the README: a question, Compare, three answers.

`python -m tests.benchmarks.app_picture runs .readme/compare.webp` opens the app over a folder of
runs in a browser, compares one problem as a person does, and keeps what the screen shows.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.app_server import BROWSERS, app

SIZE = {"width": 1180, "height": 860}
WIDTH = 900  # pixels of the picture
LOOK, EVERY = 12, 120  # frames while it is answered at most, milliseconds between them
BEFORE, AFTER = 2000, 5000  # milliseconds that the first and the last frame stay


def shot(page: Page) -> Image.Image:
    """What the screen shows now."""
    whole = Image.open(io.BytesIO(page.screenshot()))
    height = round(whole.height * WIDTH / whole.width)
    return whole.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)


def frames(page: Page, url: str) -> list[tuple[Image.Image, int]]:
    """Frames with the milliseconds that each stays: another problem, Compare, its answers."""
    page.goto(f"{url}/?__theme=light")
    page.locator("#ratio .ltf-verdict").wait_for()
    page.locator("#examples button:visible").nth(1).click()
    page.wait_for_timeout(1500)
    found = [(shot(page), BEFORE)]
    page.evaluate("window.ltfStill = true")  # the page does not move under the picture
    page.locator("#compare").click()
    while len(found) < LOOK and page.locator("#compare[disabled]").count():
        found.append((shot(page), EVERY))
    page.locator("#compare:not([disabled])").wait_for()
    page.locator("#ratio .ltf-verdict").wait_for()
    page.wait_for_timeout(500)
    return [*found, (shot(page), AFTER)]


def main(runs: Path, file: Path) -> None:
    """Make the picture."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    with app(runs) as served, sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = found.new_page(viewport=SIZE)
        page.set_default_timeout(120_000)
        images, times = zip(*frames(page, served.url), strict=True)
        found.close()
    first, *rest = images
    first.save(file, save_all=True, append_images=rest, duration=list(times), loop=0, quality=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
