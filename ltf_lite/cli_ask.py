"""The commands that ask and check: solve, search, verify."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ltf_lite import presets
from ltf_lite.cli_common import DONE, UsageError, add_json, print_json, settings
from ltf_lite.tasks import TASKS, NumbersGame, Problem, TaskError, get_task

PICKERS = {
    "best-of-n": "verifier picked",
    "self-consistency": "most frequent answer",
    "tot": "judged best",
    "rap": "judged best",
}


def add(verbs: Any) -> None:
    """Give the parser these commands."""
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
    add_json(verb)
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
    add_json(verb)
    verb.set_defaults(run=search)

    verb = verbs.add_parser("verify", help="check paths: JSONL on stdin, verdicts on stdout")
    verb.add_argument("task", choices=TASKS)
    verb.set_defaults(run=verify)


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 up, not {text!r}")
    return int(text)


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
        print_json(answer) if args.json else print(_in_words(answer))
    return DONE


def search(args: argparse.Namespace) -> int:
    from ltf_lite import solving

    section = presets.reasoner({"name": args.reasoner, **settings(args.set)}, "the reasoner")
    task = get_task(args.task)
    problem = solving.typed_problem(task, args.numbers, _target(args))
    asked = problem, task, args.model, section, args.seed
    if args.json:
        print_json(solving.search(*asked).as_dict())
    else:
        from ltf_lite.report.tree import show

        title = f"{args.numbers} -> {problem.target}: {section.label}, {args.model}"
        show(lambda watch: solving.search(*asked, watch), title)
    return DONE


def _target(args: argparse.Namespace) -> str | None:
    if args.target is None and args.task != "game24":
        raise UsageError("the problem needs a --target")
    return args.target


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
