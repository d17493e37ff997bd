"""The commands that ask and check: solve, search, verify."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltf_lite.app.cli.common import (
    DONE,
    MODEL,
    UsageError,
    Verb,
    add_dialect,
    add_json,
    print_json,
    settings,
    whole,
)
from ltf_lite.core.errors import LtfError, sentence

if TYPE_CHECKING:
    from ltf_lite.app.answer.ask import Answer
    from ltf_lite.tasks import Problem, Task

# How an answer was chosen among several paths, by the picker of its choice.
PICKED = {
    "votes": "most frequent answer",
    "likelihood": "likeliest",
    "value": "judged best",
    "verifier": "verifier picked (upper bound)",
}


def add(verbs: Any) -> None:
    """Give the parser these commands."""
    verb = verbs.add_parser("solve", help="answer problems with a model")
    _add_task(verb)
    verb.add_argument("problem", nargs="?", help='one problem: "25 5 5 33 -> 27"')
    _add_target(verb)
    verb.add_argument(
        "--problems",
        type=Path,
        help="a file of problems, - for stdin: a line is "
        '"25 5 5 33 -> 27" in quotes, or a JSON object with its parts',
    )
    verb.add_argument("--model", default="tiny-base", help=MODEL)
    add_dialect(verb)
    verb.add_argument(
        "--reasoner",
        default="single-pass",
        metavar="WAY",
        help="single-pass, self-consistency (votes), best-of-n (the likeliest), oracle (the "
        "verifier picks: an upper bound), or a reasoner",
    )
    verb.add_argument("--n", type=int, default=32, help="samples to choose among (default 32)")
    verb.add_argument("--temperature", type=float, default=0.7, help="of samples (default 0.7)")
    _add_set(verb)
    add_json(verb)
    verb.names = lambda: f"{_tasks()}\n{_reasoners()}"
    verb.set_defaults(run=solve)

    verb = verbs.add_parser("search", help="search one problem and show the whole tree")
    _add_task(verb)
    verb.add_argument("problem", help='the problem: "25 5 5 33 -> 27"')
    _add_target(verb)
    verb.add_argument("--reasoner", default="tot", metavar="NAME", help="default: tot")
    verb.add_argument("--model", default="tiny-base", help=MODEL)
    add_dialect(verb)
    _add_set(verb)
    add_json(verb)
    verb.names = lambda: f"{_tasks()}\n{_reasoners()}"
    verb.set_defaults(run=search)

    verb = verbs.add_parser("verify", help="check paths: JSONL on stdin, verdicts on stdout")
    _add_task(verb)
    verb.names = _tasks
    verb.set_defaults(run=verify)


def _add_task(verb: Verb) -> None:
    verb.add_argument("task", help="the name of a task")
    verb.add_argument(
        "--task-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the task, as in a preset",
    )


def _add_target(verb: Verb) -> None:
    verb.add_argument("--target", help='"25 5 5 33" --target 27 is "25 5 5 33 -> 27"')


def _add_set(verb: Verb) -> None:
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the reasoner, as in a preset: --set beam=8",
    )
    verb.add_argument("--seed", type=whole("a seed", 0, 10**18), default=0)


def _tasks() -> str:
    from ltf_lite.tasks import TASKS

    return f"tasks: {', '.join(TASKS.names())}"


def _reasoners() -> str:
    from ltf_lite.reasoners import REASONERS

    told = (f"{REASONERS.name_of(plugin)} ({plugin.title})" for plugin in REASONERS.all())
    return f"reasoners: {', '.join(told)}"


def _task(args: argparse.Namespace) -> Task:
    from ltf_lite.tasks import TASKS, TaskError, get_task

    given = settings(args.task_set, "--task-set")
    try:
        return get_task(args.task, **given)
    except TaskError as error:
        if given or args.task not in TASKS.names():
            raise
        raise TaskError(f"{error}; settings are given as --task-set NAME=VALUE") from error


def _problem(args: argparse.Namespace, task: Task) -> Problem:
    """The problem of the command line; raises TaskError."""
    from ltf_lite.app.answer.ask import posed

    target = "" if args.target is None else f" -> {args.target}"
    return posed(task, f"{args.problem}{target}")


def solve(args: argparse.Namespace) -> int:
    from ltf_lite.app.answer.ask import CHAINS, SINGLE_PASS, ask, way_of

    if not 1 <= args.n <= 1024:
        raise UsageError(f"--n must be from 1 to 1024, not {args.n}")
    if not 0 < args.temperature <= 5:
        raise UsageError(f"--temperature must be above 0 and at most 5, not {args.temperature}")
    if (args.problem is None) == (args.problems is None):
        raise UsageError('give one problem ("25 5 5 33 -> 27") or a file with --problems')
    samples = args.reasoner in CHAINS and args.reasoner != SINGLE_PASS
    own = {"n": args.n, "temperature": args.temperature} if samples else {}
    way = way_of(args.reasoner, {**own, **settings(args.set)})
    task = _task(args)
    lines = (
        [_problem(args, task)]
        if args.problem is not None
        else list(_many_problems(task, args.problems))
    )
    for answer in ask(lines, task, args.model, way, args.seed, args.dialect):
        print_json(answer.as_dict()) if args.json else print(_in_words(answer))
    return DONE


def search(args: argparse.Namespace) -> int:
    from ltf_lite.app.answer import ask as asking

    way = asking.way_of(args.reasoner, settings(args.set))
    task = _task(args)
    problem = _problem(args, task)
    asked = problem, task, args.model, way, args.seed, args.dialect
    if args.json:
        print_json(asking.search(*asked).as_dict())
    else:
        from ltf_lite.report.tree.text import show

        model = f", {args.model}" if way.reasoner.asks_model else ""
        title = f"{problem.text}: {way.reasoner.label}{model}"
        show(lambda watch: asking.search(*asked, watch), way.reasoner, title)
    return DONE


def _many_problems(task: Task, file: Path) -> Iterator[Problem | str]:
    """A problem for each line, or the sentence that says why the line is none."""
    from ltf_lite.app.answer.ask import posed

    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the problems {file}: {error.strerror}") from error
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            yield posed(task, data.get("problem", data) if isinstance(data, dict) else data)
        except LtfError as error:
            yield f"line {number}: {sentence(error)}"
        except (ValueError, RecursionError):
            yield f"line {number}: it is no JSON"


def _in_words(answer: Answer) -> str:
    if answer.problem is None or answer.verdict is None:
        return f"not asked: {answer.error}"
    from ltf_lite.report.kinds import word_of

    verdict = answer.verdict
    state = "solved" if verdict.correct else f"not solved ({word_of(verdict.kind or '', {})})"
    body = "".join(f"  {line}\n" for line in answer.text.strip().splitlines())
    cost = f"{_how(answer)}; {answer.tokens} tokens, {1000 * answer.seconds:.1f} ms"
    return f"{answer.problem.text}: {state}\n{body}  {verdict.message}\n  ({cost})"


def _how(answer: Answer) -> str:
    """The way, and how the answer was chosen where there was a choice."""
    picker = answer.choice.picker if answer.choice else None
    if picker not in PICKED:
        return answer.way
    how = PICKED[picker]
    if picker == "verifier" and not answer.correct:
        how = "none right, the likeliest"
    return f"{answer.way}, {how} among {answer.paths} paths"


def verify(args: argparse.Namespace) -> int:
    from ltf_lite.tasks.batch import verify_lines

    verify_lines(_task(args), sys.stdin.buffer, sys.stdout)
    return DONE
