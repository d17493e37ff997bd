"""The report of a run: one HTML page that needs nothing else, PNGs, and results.csv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ltf_lite.evaluation.cost import Price
from ltf_lite.files import write_text
from ltf_lite.report.figures import as_svg
from ltf_lite.report.picture import write_png
from ltf_lite.report.sections import Section, sections
from ltf_lite.report.tables import Table, as_csv
from ltf_lite.tasks import NumbersGame

PAGE, RESULTS = "index.html", "results.csv"
PRICE = Price()


def write(
    folder: Path, manifest: Mapping[str, Any], task: NumbersGame, searched: Mapping[str, int],
    price: Price = PRICE,
) -> Path:  # fmt: skip
    """Write the report of the run in a folder, whatever was there before; returns the page.

    `task` has the run's settings, `searched` of how many training problems each reasoner of its
    search was asked. Raises CostError for a price that can't be applied.
    """
    parts, out = sections(folder, manifest, task, searched, price), folder / "report"
    out.mkdir(exist_ok=True)
    pictures = {f"{each.name}.png": each.figure for part in parts for each in part.pictures}
    for old in out.glob("*.png"):
        if old.name not in pictures:  # of data that is no longer there
            old.unlink()
    for name, figure in pictures.items():
        write_png(figure, out / name)
    preset = manifest["preset"]
    write_text(out / RESULTS, as_csv([*_about(preset), *_tables(parts)]))
    write_text(out / PAGE, _page(preset, parts))
    return out / PAGE


def _page(preset: Mapping[str, Any], parts: Iterable[Section]) -> str:
    """The page; whatever a model or a preset wrote is escaped, only pictures are markup."""
    house = Environment(
        loader=PackageLoader("ltf_lite", "report"), autoescape=True, undefined=StrictUndefined
    )
    house.tests["number"] = lambda value: isinstance(value, Number)
    house.filters["svg"] = lambda each: Markup(as_svg(each.figure, each.label))
    page = house.get_template("page.html")
    return page.render(title=preset["name"], about=preset["about"], sections=list(parts))


def _about(preset: Mapping[str, Any]) -> list[Table]:
    return [Table("page", preset["name"], (), [], preset["about"])]


def _tables(parts: Iterable[Section]) -> Iterator[Table]:
    """Everything that the page says in words or numbers, as tables for results.csv."""
    for part in parts:
        said = " ".join(filter(None, (part.alarm, part.text)))
        yield Table(f"page.{part.name}", part.title, (), [], said)
        for picture in part.pictures:
            yield Table(f"picture.{picture.name}", picture.label, (), [])
        yield from part.tables
        for group in part.groups:
            yield Table(f"page.{part.name}.{group.name}", group.title, (), [])
            yield from group.cards
