"""What a report says, part by part; a part of which a run has no data is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from ltf_lite.evaluation.cost import Price
from ltf_lite.evaluation.retention import missed, said
from ltf_lite.evaluation.success import too_few
from ltf_lite.files import read_json, read_jsonl
from ltf_lite.report import (
    cost_tables,
    kept_tables,
    kinds_tables,
    paths,
    run_tables,
    success_tables,
)
from ltf_lite.report.figures import curves_figure, kinds_figure
from ltf_lite.report.figures_cost import break_even_figure, budget_figure
from ltf_lite.report.figures_kept import kinds_change_figure, retention_figure
from ltf_lite.report.picture import headline_figure
from ltf_lite.report.results import headline, headline_sentence, records, rows
from ltf_lite.report.tables import Table
from ltf_lite.tasks import NumbersGame


class Picture(NamedTuple):
    """A figure, the name of its PNG file, and its title for who can't see it."""

    name: str
    label: str
    figure: Figure


class Section(NamedTuple):
    """A part of the page: sentences, pictures, tables, then groups of paths; `alarm` is loud."""

    name: str
    title: str
    text: str = ""
    alarm: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    groups: Sequence[paths.Group] = ()


class Told(NamedTuple):
    """What a run's folder holds besides its records."""

    folder: Path
    manifest: Mapping[str, Any]
    task: NumbersGame
    searched: Mapping[str, int]
    results: list[dict[str, Any]]
    price: Price

    @property
    def seed(self) -> int:
        return self.manifest["preset"]["seed"]

    @property
    def floors(self) -> dict[str, float]:
        """Ability → floor, of those that the preset gives one."""
        given = self.manifest["preset"].get("retention", {})
        return {k: v for k, v in given.items() if isinstance(v, float)}

    def read(self, name: str) -> Any:
        """A JSON file of the run, or None where it has none."""
        file = self.folder / name
        return read_json(file) if file.is_file() else None


def sections(
    folder: Path, manifest: Mapping[str, Any], task: NumbersGame, searched: Mapping[str, int],
    price: Price,
) -> list[Section]:  # fmt: skip
    """Every part that a finished run has data for, in the page's order, the headline first.

    `searched` is of how many training problems each reasoner was asked. Raises CostError for a
    price that can't be applied.
    """
    told = Told(folder, manifest, task, searched, rows(folder), price)
    return [
        section
        for part in (_headline, _success, _differences, _samples, _budgets, _curves, _kept, _kinds,
                     _failed, _examples, _side_by_side, _break_even, _parity, _cost,
                     _manifest)
        for section in part(told)
    ]  # fmt: skip


def _headline(told: Told) -> Iterator[Section]:
    facts = headline(told.results)
    picture = Picture("headline", "Success against seconds a problem, models and ways of answering",
                      headline_figure(told.results))  # fmt: skip
    alarm = " ".join(filter(None, (too_few(facts["tuned"]["n"]), _below(told))))
    yield Section("headline", told.manifest["preset"]["name"], headline_sentence(facts), alarm,
                  [picture], [success_tables.headline_table(facts)])  # fmt: skip


def _below(told: Told) -> str:
    """What the kept checkpoint has lost more of than the preset allows; "" for nothing."""
    found = missed(_result(told)["validation"].get("kept", {}), told.floors)
    return f"The kept checkpoint is below a floor: {'; '.join(map(said, found))}." if found else ""


def _success(told: Told) -> Iterator[Section]:
    yield Section("answers", "Success and its cost",
                  tables=[success_tables.success_table(told.results)])  # fmt: skip


def _differences(told: Told) -> Iterator[Section]:
    found = [success_tables.difference_table(told.folder), success_tables.same_table(told.folder)]
    shown = [table for table in found if table]
    if shown:
        yield Section("differences", "Is the difference real?",
                      "Each row compares two ways of answering the same problems.",
                      tables=shown)  # fmt: skip


def _samples(told: Told) -> Iterator[Section]:
    if table := success_tables.pass_table(told.folder):
        yield Section("samples", "More samples", tables=[table])


def _budgets(told: Told) -> Iterator[Section]:
    asked = told.manifest["preset"].get("budgets")
    points = success_tables.budget_points(told.folder, asked["tokens"]) if asked else []
    if table := success_tables.budget_table(points):
        picture = Picture("budgets", "Success against tokens a problem", budget_figure(points))
        yield Section("equal_budgets", "Equal token budgets", pictures=[picture], tables=[table])


def _curves(told: Told) -> Iterator[Section]:
    lines, result = read_jsonl(told.folder / "tuning" / "log.jsonl"), _result(told)
    picture = Picture("curves", "Losses and validation over training steps", curves_figure(lines))
    yield Section("learning", "Learning", kept_tables.choice_sentence(result, told.floors),
                  pictures=[picture],
                  tables=[kept_tables.curves_table(lines, result["step"])])  # fmt: skip


def _result(told: Told) -> dict[str, Any]:
    return told.read("tuning/result.json")


def _kept(told: Told) -> Iterator[Section]:
    lines, result = read_jsonl(told.folder / "tuning" / "log.jsonl"), _result(told)
    base, floors = told.read("tuning/base.json"), told.floors
    pictures = []
    tables = [kept_tables.retention_table(told.folder)]
    if base and (table := kept_tables.checkpoints_table(base, lines, floors, result["step"])):
        picture = retention_figure(base, lines, floors)
        pictures.append(Picture("retention", "What each checkpoint kept", picture))
        tables.insert(0, table)
    shown = [table for table in tables if table]
    if shown:
        yield Section("kept", "What tuning kept", alarm=_below(told), pictures=pictures,
                      tables=shown)  # fmt: skip


def _kinds(told: Told) -> Iterator[Section]:
    found = records(told.folder)
    tables = [kinds_tables.kinds_table(told.folder)]
    pictures = [Picture("kinds", "How paths ended, base and tuned", kinds_figure(found))]
    if change := kinds_tables.kinds_change_table(found):
        tables.insert(0, change)
        pictures.insert(0, Picture("kinds_change", "Which failures went away and which came",
                                   kinds_change_figure(found)))  # fmt: skip
    yield Section("failures", "Failures before and after", pictures=pictures, tables=tables)


def _failed(told: Told) -> Iterator[Section]:
    if groups := paths.failed_paths(told.folder, told.task, told.seed):
        yield Section("failed_paths", "How the base's searches failed",
                      "Harvested paths of every kind, drawn by the run's seed. The first step that "
                      "is illegal, wrong or hopeless is marked, with the step that would have "
                      "saved it where there was one.", groups=groups)  # fmt: skip


def _examples(told: Told) -> Iterator[Section]:
    tables = [kinds_tables.searched_table(told.folder, told.searched)]
    found = told.read("tuning/examples.json")
    if found and (table := kinds_tables.examples_table(found)):
        tables.append(table)
    yield Section("trained_on", "What was searched and trained on", tables=tables)


def _side_by_side(told: Told) -> Iterator[Section]:
    if groups := paths.side_by_side(told.folder, told.task, told.seed):
        yield Section("side_by_side", "Test problems side by side",
                      "Single passes of base and tuned model on the same problems, drawn by the "
                      "run's seed, with the fatal step marked.", groups=groups)  # fmt: skip


def _break_even(told: Told) -> Iterator[Section]:
    if result := cost_tables.paid(told.folder, told.manifest["stages"], told.price):
        picture = Picture("break_even", "Total cost against number of questions",
                          break_even_figure(result))  # fmt: skip
        yield Section("break_even", "When training has paid for itself",
                      cost_tables.in_words(result), pictures=[picture],
                      tables=[cost_tables.break_even_table(result)])  # fmt: skip


def _parity(told: Told) -> Iterator[Section]:
    if parity := told.read("gguf/parity.json"):
        yield Section("exported", "The exported file", tables=run_tables.parity_tables(parity))


def _cost(told: Told) -> Iterator[Section]:
    yield Section("cost", "Cost", tables=[run_tables.stage_table(told.manifest["stages"])])


def _manifest(told: Told) -> Iterator[Section]:
    yield Section("manifest", "Manifest", "Preset, packages, machine and stages.",
                  tables=[run_tables.manifest_table(told.manifest)])  # fmt: skip
