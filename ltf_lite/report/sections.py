"""What a report says, part by part; a part of which a run has no data is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from ltf_lite.core.files import read_as
from ltf_lite.core.folder import RunFolder
from ltf_lite.core.manifest import Manifest
from ltf_lite.evaluation.cost import Price
from ltf_lite.evaluation.retention import read_elsewhere
from ltf_lite.evaluation.success import too_few
from ltf_lite.export.gguf.types import Parity
from ltf_lite.harvest.browse import found_fatal
from ltf_lite.harvest.sampling import Taken
from ltf_lite.presets import Preset
from ltf_lite.report import paths
from ltf_lite.report.figures.cost import break_even_figure, budget_figure
from ltf_lite.report.figures.curves import curves_figure
from ltf_lite.report.figures.drawing import WORDS
from ltf_lite.report.figures.headline import headline_figure
from ltf_lite.report.figures.kept import retention_figure
from ltf_lite.report.figures.kinds import kinds_change_figure, kinds_figure
from ltf_lite.report.figures.outcome import outcome_figure
from ltf_lite.report.kinds import kinds_of
from ltf_lite.report.outcome import busy_sentence, headline_sentence, outcome, sentence
from ltf_lite.report.results import headline, single_pass
from ltf_lite.report.tables import cost as cost_tables
from ltf_lite.report.tables import differences as difference_tables
from ltf_lite.report.tables import kept as kept_tables
from ltf_lite.report.tables import kinds as kinds_tables
from ltf_lite.report.tables import run as run_tables
from ltf_lite.report.tables import success as success_tables
from ltf_lite.report.tables.base import Table
from ltf_lite.report.told import Picture, Section, Told
from ltf_lite.report.worse import worse_sentences

PRICE = Price()


def sections(
    folder: RunFolder,
    manifest: Manifest,
    preset: Preset,
    price: Price = PRICE,
    words: Mapping[str, str] = WORDS,
) -> list[Section]:
    """Every part that a run has data for, in the page's order; the headline is the first.

    The run may be half done. `words` are those of the figures, failure kinds and reasoners among
    them. Raises CostError for a price that cannot be applied, and BrokenFile and ForeignFile for a
    file of the run.
    """
    told = Told(folder, manifest, preset, price, words)
    return [section for part in PARTS for section in part(told)]


def _headline(told: Told) -> Iterator[Section]:
    facts = headline(told.results)
    if facts is None:
        return
    label = "Success against tokens a problem, models and ways of answering"
    pictures = [Picture("headline", label, headline_figure(told.results, told.words))]
    if comes_to := outcome(told.manifest.stages, told.results, told.differences.single):
        drawn, says = outcome_figure(comes_to, told.words), sentence(comes_to, told.words)
        pictures.insert(0, Picture("outcome", "Quality, cost and break-even", drawn, says))
    if len({row.runtime for row in told.results if row.model in ("base", "tuned")} - {""}) == 1:
        timed = headline_figure(told.results, told.words, "seconds")
        pictures.append(Picture("times", "Success against time a problem", timed))
    alarm = " ".join(filter(None, (too_few(facts.tuned.rate.n), told.below)))
    table = success_tables.headline_table(facts)
    text = headline_sentence(facts, told.differences.single, told.manifest)
    fell = worse_sentences(told.folder, told.task)
    text = " ".join(filter(None, (text, fell, busy_sentence(told.manifest))))
    yield Section("headline", told.preset.name, text, alarm, pictures, [table])


def _success(told: Told) -> Iterator[Section]:
    if told.results:
        tables = [success_tables.success_table(told.results), _splits(told)]
        yield Section("answers", "Success and its cost", tables=[each for each in tables if each])


def _splits(told: Told) -> Table | None:
    if not told.base or not told.tuned:
        return None
    found = {name: single_pass(told.results, name) for name in ("base", "tuned")}
    test = {name: row.rate for name, row in found.items() if row}
    apart = told.preset.task.test_apart
    return kept_tables.splits_table(told.base, told.tuned.validation, test, apart)


def _differences(told: Told) -> Iterator[Section]:
    single = difference_tables.difference_table(told.differences.single)
    same = difference_tables.same_table(told.differences.same)
    if shown := [table for table in (single, same) if table]:
        text = "Each row compares two ways of answering the same problems."
        yield Section("differences", "Is the difference real?", text, tables=shown)


def _samples(told: Told) -> Iterator[Section]:
    if table := success_tables.pass_table(told.records):
        yield Section("samples", "More samples", tables=[table])


def _budgets(told: Told) -> Iterator[Section]:
    asked = told.preset.budgets
    points = success_tables.budget_points(told.folder, asked.tokens, told.task) if asked else []
    if table := success_tables.budget_table(points):
        figure = budget_figure(points, told.words)
        picture = Picture("budgets", "Success against tokens a problem", figure)
        yield Section("equal_budgets", "Equal token budgets", pictures=[picture], tables=[table])


def _curves(told: Told) -> Iterator[Section]:
    if not told.log:
        return
    figure = curves_figure(told.log, told.words)
    picture = Picture("curves", "Losses and validation over training steps", figure)
    text = kept_tables.choice_sentence(told.tuned, told.floors) if told.tuned else ""
    text = f"{text} {kept_tables.forgetting_sentence(told.log)}".strip()
    table = kept_tables.curves_table(told.log, told.kept)
    yield Section("learning", "Learning", text, pictures=[picture], tables=[table])


def _kept(told: Told) -> Iterator[Section]:
    pictures, base = [], told.base
    elsewhere = read_elsewhere(told.folder, told.task)
    tables = [kept_tables.retention_table(told.records, elsewhere)]
    if base and (table := kept_tables.checkpoints_table(base, told.log, told.floors, told.kept)):
        figure = retention_figure(base, told.log, told.floors, told.words)
        pictures.append(Picture("retention", "What each checkpoint kept", figure))
        tables.insert(0, table)
    if shown := [table for table in tables if table]:
        title = "What tuning kept"
        yield Section("kept", title, alarm=told.below, pictures=pictures, tables=shown)


def _kinds(told: Told) -> Iterator[Section]:
    found, kinds = told.records, kinds_of(told.preset.task, told.records)
    table = kinds_tables.kinds_table(found, kinds)
    if table is None:
        return
    figure = kinds_figure(found, kinds, told.words)
    tables, pictures = [table], [Picture("kinds", "How paths ended, base and tuned", figure)]
    if change := kinds_tables.kinds_change_table(found, kinds):
        figure = kinds_change_figure(found, kinds, told.words)
        label = "Which failures went away and which came"
        tables.insert(0, change)
        pictures.insert(0, Picture("kinds_change", label, figure))
    yield Section("failures", "Failures before and after", pictures=pictures, tables=tables)


def _failed(told: Told) -> Iterator[Section]:
    preset = told.preset
    groups = paths.failed_paths(
        told.folder.harvest, preset.task, preset.seed, told.words, told.titles
    )
    if groups:
        text = (
            "Harvested paths of every kind, drawn by the run's seed. The first step that is "
            "illegal, wrong or hopeless is marked, with the step that would have saved it where "
            "there was one."
        )
        yield Section("failed_paths", "How the searches failed", text, groups=groups)


def _examples(told: Told) -> Iterator[Section]:
    folder, tables = told.folder, []
    if any(folder.harvest.glob("*.parquet")):
        tables.append(
            kinds_tables.searched_table(folder.harvest, told.preset.searched, told.titles)
        )
        if found := found_fatal(folder.harvest):
            tables.append(kinds_tables.fatal_table(found))
    if folder.examples.is_file():
        known = list(told.preset.task.kinds)
        taken = read_as(folder.examples, Taken)
        tables.append(kinds_tables.examples_table(taken, known, told.titles))
    if tables:
        yield Section("trained_on", "What was searched and trained on", tables=tables)


def _side_by_side(told: Told) -> Iterator[Section]:
    preset = told.preset
    if groups := paths.side_by_side(told.folder, preset.task, preset.seed):
        text = (
            "Single passes of base and tuned model on the same problems, drawn by the run's seed, "
            "with the fatal step marked."
        )
        yield Section("side_by_side", "Test problems side by side", text, groups=groups)


def _break_even(told: Told) -> Iterator[Section]:
    stages, single = told.manifest.stages, told.differences.single
    found = cost_tables.paid(stages, told.results, single, told.price)
    if found and found.searches:  # else every search was measured in another engine
        figure = break_even_figure(found, told.words)
        picture = Picture("break_even", "Total cost against number of questions", figure)
        text, table = cost_tables.in_words(found), cost_tables.break_even_table(found)
        title = "When training has paid for itself"
        yield Section("break_even", title, text, pictures=[picture], tables=[table])


def _parity(told: Told) -> Iterator[Section]:
    if told.folder.parity.is_file():
        parity = read_as(told.folder.parity, Parity)
        alarm = " ".join(f"{each[0].upper()}{each[1:]}." for each in parity.coarse)
        tables = run_tables.parity_tables(parity)
        yield Section("exported", "The exported files", alarm=alarm, tables=tables)


def _cost(told: Told) -> Iterator[Section]:
    if table := run_tables.stage_table(told.manifest.stages):
        yield Section("cost", "Cost", tables=[table])


def _manifest(told: Told) -> Iterator[Section]:
    table = run_tables.manifest_table(asdict(told.manifest))
    text = "Preset, packages, machine and stages."
    yield Section("manifest", "Manifest", text, tables=[table])


PARTS = (
    _headline,
    _success,
    _differences,
    _samples,
    _budgets,
    _curves,
    _kept,
    _kinds,
    _failed,
    _examples,
    _side_by_side,
    _break_even,
    _parity,
    _cost,
    _manifest,
)
