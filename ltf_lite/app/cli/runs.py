"""The commands of runs: train, again, sweep, repair, report, monitor."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltf_lite.app.cli.common import (
    BELOW,
    DONE,
    FAILED,
    MODEL,
    UsageError,
    add_dialect,
    add_executor,
    add_json,
    complain,
    path,
    print_json,
    tell,
    whole,
)

if TYPE_CHECKING:
    from ltf_lite.evaluation.cost import Price
    from ltf_lite.presets import Preset

PRESET = "a name that `ltf presets` lists, or a YAML file"


def add(verbs: Any) -> None:
    """Give the parser these commands."""
    _add_train(verbs)
    _add_again(verbs)
    _add_sweep(verbs)
    _add_repair(verbs)
    _add_report(verbs)
    _add_monitor(verbs)


def _add_train(verbs: Any) -> None:
    verb = verbs.add_parser("train", help="search, harvest, tune, evaluate and export a preset")
    verb.add_argument("preset", help=PRESET)
    verb.add_argument("--out", type=path, help="the run's folder (default: runs/<preset>)")
    verb.add_argument(
        "--force-new",
        action="store_true",
        help="set a run that is in the folder aside and start anew",
    )
    verb.add_argument(
        "--quick",
        action="store_true",
        help="the preset's short form, where it has one: a first look in a few minutes",
    )
    add_executor(verb)
    verb.add_argument(
        "--dry-run",
        action="store_true",
        help="only estimate what memory tuning needs; writes nothing",
    )
    verb.add_argument(
        "--card",
        type=whole("a card's memory", 1, 1000),
        metavar="GB",
        help="with --dry-run: whether it fits a card of that size",
    )
    add_json(verb)
    verb.set_defaults(run=train, loads=True)


def _add_again(verbs: Any) -> None:
    verb = verbs.add_parser("again", help="search again with a run's tuned model, and tune on")
    verb.add_argument("folder", type=path, metavar="RUN", help="the run's folder")
    verb.add_argument(
        "--rounds",
        type=whole("the count of rounds", 1, 100),
        default=1,
        help="at most so many; none after one that gains nothing (default 1)",
    )
    verb.add_argument("--out", type=path, help="the (first) new run's folder (default: beside RUN)")
    add_executor(verb)
    add_json(verb)
    verb.set_defaults(run=again, loads=True)


def _add_sweep(verbs: Any) -> None:
    verb = verbs.add_parser("sweep", help="tune with many settings on one search, and compare")
    verb.add_argument("preset", help=PRESET)
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help="values of a tuning or harvest.NAME setting, all crossed "
        "(default: the preset's sweep.grids)",
    )
    verb.add_argument(
        "--seeds",
        type=whole("the count of seeds", 1, 1000),
        help="seeds of each (default: the preset's sweep.seeds, else 1)",
    )
    verb.add_argument(
        "--from",
        dest="source",
        type=path,
        metavar="RUN",
        help="go on from that run's tuned model, on its harvest",
    )
    verb.add_argument("--out", type=path, help="the sweep's folder (default: runs/<preset>.sweep)")
    add_json(verb)
    verb.set_defaults(run=sweep, loads=True)


def _add_repair(verbs: Any) -> None:
    verb = verbs.add_parser("repair", help="give a run's tuned model back the search that it lost")
    verb.add_argument("folder", type=path, metavar="RUN", help="the run's folder")
    verb.add_argument(
        "--steps", type=whole("the count of steps", 1, 10**6), help="of tuning (default 600)"
    )
    verb.add_argument("--out", type=path, help="the new run's folder (default: RUN-repaired)")
    add_json(verb)
    verb.set_defaults(run=repair, loads=True)


def _add_report(verbs: Any) -> None:
    verb = verbs.add_parser("report", help="write the report of a run, and say what it came to")
    verb.add_argument("folder", type=path, help="the run's folder")
    verb.add_argument(
        "--per-hour",
        type=float,
        metavar="PRICE",
        help="what an hour of the machine costs (default 0.50)",
    )
    verb.add_argument(
        "--per-kwh", type=float, metavar="PRICE", help="what a kilowatt-hour costs, instead"
    )
    verb.add_argument(
        "--watts", type=float, help="the machine's power, instead of what it reported"
    )
    add_json(verb)
    verb.set_defaults(run=report, loads=True)


def _add_monitor(verbs: Any) -> None:
    verb = verbs.add_parser("monitor", help="measure a deployed model again: has it fallen?")
    verb.add_argument("folder", type=path, metavar="RUN", help="the folder of the run it came from")
    verb.add_argument("--model", required=True, help=MODEL)
    add_dialect(verb)
    verb.add_argument(
        "--problems",
        type=whole("the count of problems", 1, 10**9 - 1),
        metavar="N",
        help="ask only the first N test problems",
    )
    add_json(verb)
    verb.set_defaults(run=monitor, loads=True)


def train(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline, presets

    if args.card and not args.dry_run:
        raise UsageError("--card is a question for --dry-run: give both")
    preset = presets.worked_on(_preset(args.preset, args.quick), args.executor)
    if args.dry_run:
        return dry_run(preset, args)
    folder = args.out or Path("runs") / preset.name
    run = pipeline.train(preset, folder, args.force_new)
    if args.json:
        print_json(asdict(pipeline.summary(run)))
    else:
        tell(pipeline.closing(run))
    return BELOW if pipeline.short(run) else DONE


def _preset(name: str, quick: bool = False) -> Preset:
    """The preset of that name; it is said where one's own stands in for one of ours."""
    from ltf_lite import presets
    from ltf_lite.core.progress import say

    preset = presets.quick(name) if quick else presets.load(name)
    if presets.in_place_of(name):
        say(f"{presets.find(name)} is taken, not the preset {name} that came with ltf.")
    return preset


def dry_run(preset: Preset, args: argparse.Namespace) -> int:
    from ltf_lite.core import machine
    from ltf_lite.pipeline.needs import preview, preview_text

    said = preview(preset, args.card, *machine.free_memory())
    print_json(asdict(said)) if args.json else tell(preview_text(said))
    return FAILED if said.fits is False else DONE


def sweep(args: argparse.Namespace) -> int:
    from ltf_lite.pipeline import Run
    from ltf_lite.pipeline.repair import continued
    from ltf_lite.pipeline.sweep.grid import grid, grids
    from ltf_lite.pipeline.sweep.sweep import sweep as run_sweep
    from ltf_lite.report.sweep import as_markdown

    preset, source = _preset(args.preset), None
    if args.source:
        source = Run.load(args.source)
        preset = continued(preset, source)
    folder = args.out or Path("runs") / f"{preset.name}.sweep"
    named = {} if args.set else grids(preset)
    seeds = args.seeds or (preset.sweep.seeds if preset.sweep else 1)
    found = run_sweep(preset, named or {"": grid(preset, args.set)}, seeds, folder, source)
    if args.json:
        print_json({"sweep": str(folder), **asdict(found)})
    else:
        tell(as_markdown(found))
    failed = [row.cell for row in found.rows if row.failed]
    if failed:
        return complain(f"these settings failed, the table says why: {', '.join(failed)}", FAILED)
    return DONE


def again(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline
    from ltf_lite.pipeline.again import again as next_round
    from ltf_lite.pipeline.again import rise_sentence

    folder, out, told, code = args.folder, args.out, [], DONE
    for _ in range(args.rounds):
        run, rise = next_round(folder, out, args.executor)
        folder, out = run.folder, None
        told.append({"rise": asdict(rise), **asdict(pipeline.summary(run))})
        if not args.json:
            tell(pipeline.closing(run))
            tell(rise_sentence(run, rise))
        code = BELOW if pipeline.short(run) else DONE
        if not rise.rose:
            break
    if args.json:
        print_json(told)
    return code


def repair(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline
    from ltf_lite.pipeline.repair import STEPS
    from ltf_lite.pipeline.repair import repair as repair_run

    run = repair_run(args.folder, args.out, args.steps or STEPS)
    if args.json:
        print_json(asdict(pipeline.summary(run)))
    else:
        tell(pipeline.closing(run))
    return BELOW if pipeline.short(run) else DONE


def report(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline

    price = _price(args)
    run = pipeline.Run.load(args.folder)
    pipeline.summary(run)  # a file that can't be read is better named as that than as changed
    run.check()
    if pipeline.missing(run) is None:
        from ltf_lite.core.progress import say
        from ltf_lite.pipeline.run.lock import UnwritableError
        from ltf_lite.pipeline.stages.report import rewrite

        try:
            run = rewrite(args.folder, price)
        except UnwritableError as error:
            say(f"the report is not written anew: {error}")
    if args.json:
        print_json(asdict(pipeline.summary(run)))
    else:
        tell(pipeline.closing(run))
    return DONE


def _price(args: argparse.Namespace) -> Price:
    from ltf_lite.evaluation.cost import CostError, price_of

    try:
        return price_of(args.per_hour, args.per_kwh, args.watts)
    except CostError as error:
        raise UsageError(str(error)) from error


def monitor(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline
    from ltf_lite.pipeline.monitor import as_text
    from ltf_lite.pipeline.monitor import monitor as measure_again

    run = pipeline.Run.load(args.folder)
    found = measure_again(run, args.model, args.problems, args.dialect)
    print_json(asdict(found)) if args.json else tell(as_text(found))
    return BELOW if found.fallen else DONE
