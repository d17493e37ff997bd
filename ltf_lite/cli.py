"""The commands. Each parses, calls and prints; what is heavy is imported where it is used."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ltf_lite import __version__, presets
from ltf_lite.tasks import TASKS, NumbersGame, Problem, TaskError, get_task
from ltf_lite.threads import wait_briefly

DONE, FAILED, USAGE = 0, 1, 2
PICKERS = {
    "best-of-n": "verifier picked",
    "self-consistency": "most frequent answer",
    "tot": "judged best",
    "rap": "judged best",
}


class UsageError(ValueError):
    """Arguments that do not fit together, with a sentence for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 usage."""
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
        return _complain("stopped; the same command goes on where it stopped", FAILED)
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
    _json(verb)
    verb.set_defaults(run=train)

    verb = verbs.add_parser("solve", help="answer problems with a model")
    verb.add_argument("task", choices=TASKS)
    verb.add_argument("numbers", nargs="?", help='the numbers of one problem: "25 5 5 33"')
    verb.add_argument("--target", help="the target of one problem (game24: always 24)")
    verb.add_argument("--problems", type=Path, help="a JSONL file of problems, - for stdin")
    verb.add_argument("--model", default="tiny-base",
                      help="a GGUF file, a model directory, or tiny-base")  # fmt: skip
    verb.add_argument("--reasoner", default="single-pass",
                      choices=("single-pass", "self-consistency", "best-of-n", "tot", "rap"),
                      help="best-of-n: the verifier picks among n samples")  # fmt: skip
    verb.add_argument("--n", type=int, default=32, help="samples of a search (default 32)")
    verb.add_argument("--temperature", type=float, default=0.7)
    verb.add_argument("--seed", type=_seed, default=0)
    _json(verb)
    verb.set_defaults(run=solve)

    verb = verbs.add_parser("search", help="search one problem and show the whole tree")
    verb.add_argument("task", choices=TASKS)
    verb.add_argument("numbers", help='the numbers of the problem: "25 5 5 33"')
    verb.add_argument("--target", help="the target of the problem (game24: always 24)")
    verb.add_argument("--reasoner", default="tot", help="tot, rap, cot, bfs, dfs or random")
    verb.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                      help="a setting of the reasoner, as in a preset: --set beam=8")  # fmt: skip
    verb.add_argument("--model", default="tiny-base",
                      help="a GGUF file, a model directory, a server, or tiny-base")  # fmt: skip
    verb.add_argument("--seed", type=_seed, default=0)
    _json(verb)
    verb.set_defaults(run=search)

    verb = verbs.add_parser("verify", help="check paths: JSONL on stdin, verdicts on stdout")
    verb.add_argument("task", choices=TASKS)
    verb.set_defaults(run=verify)

    verb = verbs.add_parser("report", help="show the report of a run")
    verb.add_argument("folder", type=Path, help="the run's folder")
    _json(verb)
    verb.set_defaults(run=show_report)

    verb = verbs.add_parser("presets", help="list the presets")
    _json(verb)
    verb.set_defaults(run=list_presets)

    verb = verbs.add_parser("doctor", help="say what this machine can run")
    _json(verb)
    verb.set_defaults(run=show_doctor)
    return top


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 up, not {text!r}")
    return int(text)


def _json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON for a machine to read")


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)


def train(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline

    preset = presets.load(args.preset)
    folder = args.out or Path("runs") / preset.name
    run = pipeline.train(preset, folder, args.force_new)
    if args.json:
        _print_json(pipeline.summary(run))
    else:
        print(pipeline.closing(run))
    return DONE


def solve(args: argparse.Namespace) -> int:
    from ltf_lite.solving import Asking, ask, typed_problem

    if not 1 <= args.n <= 1024:
        raise UsageError(f"--n must be from 1 to 1024, not {args.n}")
    if not 0 < args.temperature <= 5:
        raise UsageError(f"--temperature must be above 0 and at most 5, not {args.temperature}")
    task = get_task(args.task)
    if (args.numbers is None) == (args.problems is None):
        raise UsageError('give one problem ("25 5 5 33" --target 27) or a file with --problems')
    if args.numbers is not None:
        lines: list[Problem | str] = [typed_problem(task, args.numbers, _target(args))]
    else:
        lines = list(_many_problems(task, args.problems))
    asking = Asking(args.reasoner, args.n, args.temperature, args.seed)
    for answer in ask(lines, task, args.model, asking):
        _print_json(answer) if args.json else print(_in_words(answer))
    return DONE


def search(args: argparse.Namespace) -> int:
    from ltf_lite import solving

    section = presets.reasoner({"name": args.reasoner, **_settings(args.set)}, "the reasoner")
    task = get_task(args.task)
    problem = solving.typed_problem(task, args.numbers, _target(args))
    asked = problem, task, args.model, section, args.seed
    if args.json:
        _print_json(solving.search(*asked).as_dict())
    else:
        from ltf_lite.report.tree import show

        title = f"{args.numbers} -> {problem.target}: {section.label}, {args.model}"
        show(lambda watch: solving.search(*asked, watch), title)
    return DONE


def _target(args: argparse.Namespace) -> str | None:
    if args.target is None and args.task != "game24":
        raise UsageError("the problem needs a --target")
    return args.target


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`["beam=8", "budget.tokens=500"]` as a preset has it."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        *way, last = name.split(".")
        if not equals or not all([*way, last]):
            raise UsageError(f"--set takes NAME=VALUE, not {pair!r}")
        at = found
        for part in way:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise UsageError(f"--set {pair}: {part} was given a value before")
        try:
            at[last] = yaml.safe_load(value)
        except yaml.YAMLError:
            at[last] = value
    return found


def _many_problems(task: NumbersGame, file: Path):
    """A problem for each line, or the sentence that says why the line is none."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the problems {file}: {error.strerror}") from error
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            problem = task.problem(data.get("problem", data) if isinstance(data, dict) else data)
            yield problem if task.solvable(problem) else f"line {number}: it has no solution"
        except (ValueError, RecursionError) as error:
            own = isinstance(error, TaskError)
            yield f"line {number}: {error if own else 'it is no JSON'}"


def _in_words(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"not asked: {answer['error']}"
    verdict, problem = answer["verdict"], answer["problem"]
    state = "solved" if verdict["correct"] else f"not solved ({verdict['kind']})"
    head = f"{' '.join(map(str, problem['numbers']))} -> {problem['target']}: {state}"
    how = answer["reasoner"]
    if how in PICKERS:
        picker = PICKERS[how]
        if how == "best-of-n" and not verdict["correct"]:
            picker = "none right, the likeliest"
        how += f", {picker} among {answer['paths']} paths"
    body = "\n".join(f"  {line}" for line in answer["text"].strip().splitlines())
    cost = f"{how}; {answer['tokens']} tokens, {1000 * answer['seconds']:.1f} ms"
    return f"{head}\n{body}\n  {verdict['message']}\n  ({cost})"


def verify(args: argparse.Namespace) -> int:
    from ltf_lite.tasks.batch import verify_lines

    verify_lines(get_task(args.task), sys.stdin.buffer, sys.stdout)
    return DONE


def show_report(args: argparse.Namespace) -> int:
    from ltf_lite import pipeline

    run = pipeline.Run.load(args.folder)
    if args.json:
        _print_json(pipeline.summary(run))
    else:
        print(pipeline.closing(run))
    return DONE


def list_presets(args: argparse.Namespace) -> int:
    found = [presets.load(str(file)) for file in presets.available().values()]
    if args.json:
        _print_json([preset.model_dump(mode="json") for preset in found])
    else:
        for preset in found:
            print(f"{preset.name:<20} {preset.about}")
    return DONE


def show_doctor(args: argparse.Namespace) -> int:
    from ltf_lite import doctor

    found = doctor.facts()
    _print_json({**found, "advice": doctor.advice(found)}) if args.json else print(
        doctor.table(found)
    )
    return DONE


if __name__ == "__main__":
    raise SystemExit(main())
