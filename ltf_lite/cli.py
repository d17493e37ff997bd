"""The commands. Each parses, calls and prints; what is heavy is imported where it is used."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ltf_lite import __version__, cli_ask, presets
from ltf_lite.cli_common import DONE, FAILED, FALLEN, USAGE, UsageError, add_json, print_json
from ltf_lite.tasks import TaskError
from ltf_lite.threads import wait_briefly

RESUMED = ("train", "sweep")  # commands that go on where they were stopped


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 usage, 3 done but fallen."""
    wait_briefly()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except (UsageError, TaskError, presets.PresetError) as error:
        return _complain(error, USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        resumed = "; the same command goes on where it stopped" if args.command in RESUMED else ""
        return _complain(f"stopped{resumed}", FAILED)
    except Exception as error:
        if os.environ.get("LTF_DEBUG"):
            raise
        from ltf_lite.pipeline.train import sentence

        own = type(error).__module__.startswith("ltf_lite.")
        return _complain(error if own else sentence(error, args.command), FAILED)


def _complain(problem: object, code: int) -> int:
    print(f"ltf: {problem}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="ltf", description="Search once, tune on what search found, answer at once."
    )
    top.add_argument("--version", action="version", version=f"ltf_lite {__version__}")
    verbs = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    verb = verbs.add_parser("train", help="search, harvest, tune, evaluate and export a preset")
    verb.add_argument("preset", help="a name that `ltf presets` lists, or a YAML file")
    verb.add_argument("--out", type=Path, help="the run's folder (default: runs/<preset>)")
    verb.add_argument("--force-new", action="store_true",
                      help="set a run that is in the folder aside and start anew")  # fmt: skip
    verb.add_argument("--dry-run", action="store_true",
                      help="only estimate what memory tuning needs; writes nothing")  # fmt: skip
    verb.add_argument("--card", type=_count, metavar="GB",
                      help="with --dry-run: whether it fits a card of that size")  # fmt: skip
    add_json(verb)
    verb.set_defaults(run=train)

    verb = verbs.add_parser("sweep", help="tune with many settings on one search, and compare")
    verb.add_argument("preset", help="a name that `ltf presets` lists, or a YAML file")
    verb.add_argument("--set", action="append", default=[], metavar="NAME=VALUE,VALUE",
                      help="values of a tuning or harvest.NAME setting, all crossed "
                      "(default: the preset's sweep.grids)")  # fmt: skip
    verb.add_argument("--seeds", type=_count,
                      help="seeds of each (default: the preset's sweep.seeds, else 1)")  # fmt: skip
    verb.add_argument("--out", type=Path, help="the sweep's folder (default: runs/<preset>.sweep)")
    add_json(verb)
    verb.set_defaults(run=sweep)

    cli_ask.add(verbs)

    verb = verbs.add_parser("app", help="open the web app: search and single pass side by side")
    verb.add_argument("models", nargs="*", metavar="MODEL",
                      help="more models: GGUF files, run or model folders, servers")  # fmt: skip
    verb.add_argument("--runs", type=Path, default=Path("runs"), help="where the runs are")
    verb.add_argument("--language", choices=("en", "ja"), default="en")
    verb.add_argument("--port", type=_port, help="by default the first free one from 7860 on")
    verb.add_argument("--host", default="127.0.0.1",
                      help="listen there instead of on this machine alone")  # fmt: skip
    verb.add_argument("--share", action="store_true",
                      help="let anyone use it, through Gradio's public tunnel")  # fmt: skip
    verb.set_defaults(run=open_app)

    verb = verbs.add_parser("report", help="write the report of a run, and say what it came to")
    verb.add_argument("folder", type=Path, help="the run's folder")
    verb.add_argument("--per-hour", type=float, metavar="PRICE",
                      help="what an hour of the machine costs (default 0.50)")  # fmt: skip
    verb.add_argument("--per-kwh", type=float, metavar="PRICE",
                      help="what a kilowatt-hour costs, instead")  # fmt: skip
    verb.add_argument("--watts", type=float,
                      help="the machine's power, instead of what it reported")  # fmt: skip
    add_json(verb)
    verb.set_defaults(run=show_report)

    verb = verbs.add_parser("monitor", help="measure a deployed model again: has it fallen?")
    verb.add_argument("folder", type=Path, metavar="RUN", help="the folder of the run it came from")
    verb.add_argument("--model", required=True,
                      help="a GGUF file, a model directory, a server, or tiny-base")  # fmt: skip
    verb.add_argument("--problems", type=_many, metavar="N",
                      help="ask only the first N test problems")  # fmt: skip
    add_json(verb)
    verb.set_defaults(run=monitor)

    verb = verbs.add_parser("presets", help="list the presets")
    add_json(verb)
    verb.set_defaults(run=list_presets)

    verb = verbs.add_parser("doctor", help="say what this machine can run")
    add_json(verb)
    verb.set_defaults(run=show_doctor)
    return top


def train(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline

    if args.card and not args.dry_run:
        raise UsageError("--card is a question for --dry-run: give both")
    preset = presets.load(args.preset)
    if args.dry_run:
        return dry_run(preset, args)
    folder = args.out or Path("runs") / preset.name
    run = pipeline.train(preset, folder, args.force_new)
    if args.json:
        print_json(pipeline.summary(run))
    else:
        print(pipeline.closing(run))
    return FALLEN if pipeline.below(run) else DONE


def dry_run(preset: presets.Preset, args: argparse.Namespace) -> int:
    from ltf_lite import doctor
    from ltf_lite.pipeline.fit import preview, preview_text

    said = preview(preset, args.card, *doctor.free_memory())
    print_json(said) if args.json else print(preview_text(said))
    return FAILED if said["fits"] is False else DONE


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"a number from 1 to 1000, not {text!r}")
    return int(text)


def _many(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"a number from 1 up, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def sweep(args: argparse.Namespace) -> int:
    from ltf_lite.pipeline.grid import grid, grids
    from ltf_lite.pipeline.sweep import sweep as run_sweep
    from ltf_lite.report.sweep import as_markdown

    preset = presets.load(args.preset)
    folder = args.out or Path("runs") / f"{preset.name}.sweep"
    named = {} if args.set else grids(preset)
    seeds = args.seeds or (preset.sweep.seeds if preset.sweep else 1)
    found = run_sweep(preset, named or {"": grid(preset, args.set)}, seeds, folder)
    print_json({"sweep": str(folder), **found}) if args.json else print(as_markdown(found))
    failed = [row["cell"] for row in found["rows"] if row["failed"]]
    if failed:
        return _complain(f"these settings failed, the table says why: {', '.join(failed)}", FAILED)
    return DONE


def open_app(args: argparse.Namespace) -> int:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from ltf_lite.ui.app import open_app

    open_app(args.runs, tuple(args.models), args.host, args.port, args.share, args.language)
    return DONE


def show_report(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline

    price = _price(args)
    run = pipeline.Run.load(args.folder)
    if pipeline.missing(run) is None:
        from ltf_lite.pipeline.stages.report import rewrite

        run = rewrite(args.folder, price)
    if args.json:
        print_json(pipeline.summary(run))
    else:
        print(pipeline.closing(run))
    return DONE


def _price(args: argparse.Namespace):
    from ltf_lite.evaluation.cost import CostError, price_of

    try:
        return price_of(args.per_hour, args.per_kwh, args.watts)
    except CostError as error:
        raise UsageError(str(error)) from error


def monitor(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline
    from ltf_lite.pipeline.monitor import as_text
    from ltf_lite.pipeline.monitor import monitor as measure_again

    found = measure_again(pipeline.Run.load(args.folder), args.model, args.problems)
    print_json(found) if args.json else print(as_text(found))
    return FALLEN if found["fallen"] else DONE


def list_presets(args: argparse.Namespace) -> int:
    found = [presets.load(str(file)) for file in presets.available().values()]
    if args.json:
        print_json([preset.model_dump(mode="json") for preset in found])
    else:
        for preset in found:
            print(f"{preset.name:<24} {preset.about}")
    return DONE


def show_doctor(args: argparse.Namespace) -> int:
    from ltf_lite import doctor

    found = doctor.facts()
    print_json({**found, "advice": doctor.advice(found)}) if args.json else print(
        doctor.table(found)
    )
    return DONE


if __name__ == "__main__":
    raise SystemExit(main())
