"""The commands that show what is here: presets, doctor, app."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ltf_lite.app.cli.common import (
    DONE,
    FAILED,
    UsageError,
    add_dialect,
    add_json,
    complain,
    path,
    print_json,
    tell,
    whole,
)
from ltf_lite.core.progress import say

if TYPE_CHECKING:
    from ltf_lite.presets import Preset


def add(verbs: Any) -> None:
    """Give the parser these commands."""
    verb = verbs.add_parser("app", help="open the web app: search and single pass side by side")
    verb.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="more models: GGUF files, run or model folders, servers",
    )
    add_dialect(verb)
    verb.add_argument("--runs", type=path, default=Path("runs"), help="where the runs are")
    verb.add_argument("--language", choices=("en", "ja"), default="en")
    verb.add_argument(
        "--port",
        type=whole("a port", 1, 2**16 - 1),
        help="by default the first free one from 7860 on",
    )
    verb.add_argument(
        "--host", default="127.0.0.1", help="listen there instead of on this machine alone"
    )
    verb.add_argument(
        "--share", action="store_true", help="let anyone use it, through Gradio's public tunnel"
    )
    verb.set_defaults(run=app, loads=True)

    verb = verbs.add_parser("presets", help="list the presets")
    add_json(verb)
    verb.set_defaults(run=list_presets)

    verb = verbs.add_parser("doctor", help="say what this machine, or a cluster, can run")
    verb.add_argument(
        "--cluster",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="what a Ray cluster has (default: the one that runs on this machine)",
    )
    verb.add_argument(
        "--preset", help="with --cluster: whether a search of this preset has a place there"
    )
    add_json(verb)
    verb.set_defaults(run=doctor, loads=True)


def app(args: argparse.Namespace) -> int:
    from ltf_lite.core.network import no_proxy_here

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with no_proxy_here(args.share):  # gradio asks itself as it starts, and reads this on import
        from ltf_lite.app.web.app import open_app

    where = args.host, args.port, args.share
    open_app(args.runs, tuple(args.models), *where, args.language, args.dialect)
    return DONE


def list_presets(args: argparse.Namespace) -> int:
    from ltf_lite import presets

    found = {}
    for name, file in presets.available().items():
        try:
            found[name] = presets.load(str(file))
        except presets.PresetError as error:  # one that is wrong hides no other
            complain(error, FAILED)
    if args.json:
        print_json([preset.model_dump(mode="json") for preset in found.values()])
        return DONE
    for name, preset in found.items():
        own = " (your own, in place of the one that came with ltf)"
        about = f"{preset.about}{own if presets.in_place_of(name) else ''}"
        tell(_entry(name, "; ".join(filter(None, [about, *_times(preset)]))))
    say("`ltf train NAME` runs one; those of a sweep name their command.")
    for file in presets.foreign():
        say(f"{file} is no preset and is left out")
    return DONE


def _entry(name: str, text: str) -> str:
    """A name and what it is, within the width of a terminal; one line where there is none."""
    if not sys.stdout.isatty():
        return f"{name:<24} {text}"
    width = max(40, get_terminal_size().columns)
    return fill(text, width, initial_indent=f"{name:<24} ", subsequent_indent=" " * 6)


def _times(preset: Preset) -> list[str]:
    """How long a preset's run takes, and its short form, where the preset says so."""
    found = [preset.takes] if preset.takes else []
    if preset.quick:
        found.append(f"with --quick {preset.quick.get('takes', 'shorter')}")
    return found


def doctor(args: argparse.Namespace) -> int:
    if args.preset and not args.cluster:
        raise UsageError("--preset is a question for --cluster: give both")
    if args.cluster:
        return doctor_of_cluster(args)
    from ltf_lite.core import machine
    from ltf_lite.pipeline.needs import cpu

    facts = machine.facts()
    advice = [*machine.advice(facts), *([] if facts.cards else cpu.tunable(facts))]
    if args.json:
        print_json({**asdict(facts), "advice": advice})
    else:
        tell(machine.table(facts, advice))
    return DONE


def doctor_of_cluster(args: argparse.Namespace) -> int:
    """What a cluster has, and whether a preset fits it."""
    from ltf_lite import presets
    from ltf_lite.pipeline.executors.ray import doctor

    preset = presets.load(args.preset) if args.preset else None
    found = doctor.look(args.cluster, preset)
    print_json(asdict(found)) if args.json else tell(doctor.as_text(found))
    return FAILED if found.fits is False else DONE
