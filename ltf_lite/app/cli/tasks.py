"""The commands of a task of one's own: task check, pilot, init."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ltf_lite.app.cli.ask import add_task, task_of, tasks_there
from ltf_lite.app.cli.common import (
    DONE,
    FAILED,
    MODEL,
    add_dialect,
    add_json,
    path,
    print_json,
    tell,
    whole,
)


def add(verbs: Any) -> None:
    """Give the parser these commands."""
    verb = verbs.add_parser("task", help="check that a task's verifier and problems can be trusted")
    verb.add_argument("verb", choices=("check",), help="check")
    add_task(verb)
    verb.add_argument("--model", help=f"counts lengths in its tokens: {MODEL}")
    add_dialect(verb)
    add_json(verb)
    verb.names = tasks_there
    verb.set_defaults(run=check)

    verb = verbs.add_parser("pilot", help="learn in minutes whether training will pay")
    add_task(verb)
    verb.add_argument("--model", required=True, help=MODEL)
    verb.add_argument("--base", help="the model to tune, where --model is a file that only answers")
    add_dialect(verb)
    verb.add_argument(
        "--problems", type=whole("the count of problems", 2, 10_000), default=50, metavar="N"
    )
    verb.add_argument("--seed", type=whole("a seed", 0, 10**18), default=0)
    verb.add_argument("--out", type=path, help="the preset to write (default: presets/NAME.yaml)")
    add_json(verb)
    verb.names = tasks_there
    verb.set_defaults(run=pilot, loads=True)

    verb = verbs.add_parser("init", help="write an example task and a preset to begin with")
    verb.add_argument("folder", nargs="?", type=path, default=Path("."), help="where (default: .)")
    verb.set_defaults(run=init)


def check(args: argparse.Namespace) -> int:
    from ltf_lite.tasks.check import as_text
    from ltf_lite.tasks.check import check as look_at

    task = task_of(args)
    dialect, lengths, engine = args.dialect or "zero_shot", None, None
    if args.model:
        from ltf_lite.engines import open_engine
        from ltf_lite.engines.dialect import dialect as dialect_of

        spoken = dialect_of(args.dialect) if args.dialect else None
        engine = open_engine(args.model, spoken)
        dialect = engine.dialect.name
        lengths = getattr(engine, "lengths", None)  # a server keeps its tokenizer to itself
    try:
        found = look_at(task, dialect, lengths)
    finally:
        if engine is not None:
            engine.close()
    print_json(found.as_dict()) if args.json else tell(as_text(found))
    return DONE if found.passed else FAILED


def pilot(args: argparse.Namespace) -> int:
    from ltf_lite.core.progress import bar
    from ltf_lite.pipeline import pilot as piloting
    from ltf_lite.pipeline.pilot.preset import name_of

    task = task_of(args)
    file = args.out or Path("presets") / f"{name_of(task)}.yaml"
    piloting.check_free(file)
    with bar("pilot", 3) as advance:
        found = piloting.pilot(
            task, args.model, args.problems, args.seed, args.dialect, args.base, advance
        )
    none = [split for split, n in found.planned.problems.items() if not n]
    if not none:
        piloting.write_preset(piloting.preset_text(task, found.planned, file.stem), file)
    if args.json:
        print_json({**found.as_dict(), "preset": None if none else str(file)})
        return DONE
    way = f"to go on: ltf train {file}"
    if none:
        way = f"no preset is written: there are no {' and no '.join(none)} problems"
    tell(f"{piloting.as_text(found)}\n{way}")
    return DONE


def init(args: argparse.Namespace) -> int:
    from ltf_lite.tasks.example import write_example

    written = write_example(args.folder)
    there = [] if args.folder.resolve() == Path.cwd() else [f"  cd {args.folder}"]
    tell("\n".join([*(f"wrote {file}" for file in written), "to go on:", *there, NEXT]))
    return DONE


NEXT = """\
  ltf task check my_task/questions.jsonl
  ltf task check my_task/my_task.py
  ltf pilot my_task/questions.jsonl --model MODEL
  ltf train presets/my-task.yaml"""
