"""What can be had besides the page: the GGUF files of runs, their reports, and the numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from ltf_lite.app.web import sections
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.words import LANGUAGES, speaker
from ltf_lite.core.errors import LtfError, UsageError
from ltf_lite.pipeline import Run
from ltf_lite.report.page import page

STATIC = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
# A report is one file with its styles and pictures in it; no script of it runs, nothing is loaded.
PAGE = {
    **STATIC,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'",
}
ENGLISH = "en"  # of the page that a run writes


def download(find: Callable[[str, str], Path], shown: str = "") -> Callable[[Request], Any]:
    """Answers RUN/NAME with the file that the shelf lists under them, and with nothing else.

    The file named `shown` is a page to look at and not to keep.
    """

    async def answer(request: Request) -> Response:
        run, name = request.path_params["run"], request.path_params.get("name", shown)
        try:
            file = find(run, name)
        except UsageError as error:
            return PlainTextResponse(str(error), 404)
        if name == shown:
            return FileResponse(file, headers=PAGE)
        return FileResponse(file, filename=file.name, headers=STATIC)

    return answer


def routes(shelf: Shelf, language: str) -> list[Route]:
    """What can be had besides the page: a run's GGUF files, its report, and the report's CSV.

    The address of the page's own `language` leads to the page, whatever the app was started in.
    """
    return [
        Route(f"/{language}", lambda request: RedirectResponse(_home(request))),
        Route("/gguf/{run}/{name}", download(shelf.gguf)),
        Route("/report/{run}", report(shelf)),
        Route("/report/{run}/{name}", download(shelf.report, "index.html")),
    ]


def _home(request: Request) -> str:
    """The page, with what the address asks of it."""
    return f"./?{request.url.query}" if request.url.query else "./"


def report(shelf: Shelf) -> Callable[[Request], Any]:
    """Answers RUN with its report: as the run wrote it, or in another language of the app."""
    written = download(shelf.report, "index.html")

    async def answer(request: Request) -> Response:
        language, run = request.query_params.get("language", ENGLISH), request.path_params["run"]
        if language == ENGLISH or language not in LANGUAGES:
            return await written(request)
        try:
            file = shelf.report(run, "index.html")
            changed = file.stat().st_mtime_ns
            html = await run_in_threadpool(_said, shelf.run(run), changed, language)
        except (LtfError, OSError) as error:  # it may have gone meanwhile
            return PlainTextResponse(speaker(language).told(str(error)), 404)
        return HTMLResponse(html, headers=PAGE)

    return answer


@lru_cache(maxsize=8)
def _said(folder: Path, changed: int, language: str) -> str:
    """The report of a run in a language, made once as long as the run's own stays the same."""
    run, say = Run.load(folder), speaker(language)
    about = say.told(run.preset.about)
    return page(run.preset, about, sections.of_run(run, say), language, say.told)
