"""The report of a run: one HTML page that needs nothing else, PNGs, and results.csv."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from numbers import Number
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ltf_lite.core.files import write_text
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest
from ltf_lite.core.text import signs
from ltf_lite.evaluation.cost import Price
from ltf_lite.presets import Preset
from ltf_lite.report.figures.drawing import as_svg
from ltf_lite.report.figures.headline import write_png
from ltf_lite.report.sections import PRICE, sections
from ltf_lite.report.tables.base import Table, as_csv
from ltf_lite.report.told import Picture, Section


def write(folder: RunFolder, manifest: Manifest, preset: Preset, price: Price = PRICE) -> Path:
    """Write the report of a run, whatever was there before; returns the page.

    Raises CostError for a price that cannot be applied.
    """
    parts, out = sections(folder, manifest, preset, price), folder.report
    out.mkdir(exist_ok=True)
    pictures = {f"{each.name}.png": each.figure for part in parts for each in part.pictures}
    for old in out.glob("*.png"):
        if old.name not in pictures:  # of data that is no longer there
            old.unlink()
    for name, figure in pictures.items():
        write_png(figure, out / name)
    about = Table("page", preset.name, (), [], preset.about)
    write_text(folder.results, as_csv([about, *_tables(parts)]))
    write_text(folder.page, page(preset, preset.about, parts))
    return folder.page


def page(
    preset: Preset,
    about: str,
    parts: Iterable[Section],
    language: str = "en",
    say: Callable[[str], str] = str,
) -> str:
    """The page; whatever a model or a preset wrote is escaped, only pictures are markup.

    `about` and the parts are in the `language`, in which `say` says the page's own English.
    """
    house = Environment(
        loader=PackageLoader("ltf_lite", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
    )
    house.tests["number"] = lambda value: isinstance(value, Number)
    house.filters["svg"] = _svg
    found = house.get_template("page.html")
    return found.render(
        title=preset.name, about=about, sections=list(parts), language=language, say=say
    )


def _seen(value: Any) -> Any:
    """What a text says, with signs for what acts unseen; markup of ours stays."""
    return signs(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _svg(picture: Picture) -> Markup:
    return Markup(as_svg(picture.figure, picture.spoken))


def _tables(parts: Iterable[Section]) -> Iterator[Table]:
    """Everything that the page says in words or numbers, as tables for results.csv."""
    for part in parts:
        said = " ".join(filter(None, (part.alarm, part.text)))
        yield Table(f"page.{part.name}", part.title, (), [], said)
        for picture in part.pictures:
            yield Table(f"picture.{picture.name}", picture.label, (), [], picture.says)
        yield from part.tables
        for group in part.groups:
            yield Table(f"page.{part.name}.{group.name}", group.title, (), [])
            yield from group.cards
