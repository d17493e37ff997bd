"""The commands that ask and check: solve, search, verify."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ltf_lite.app.cli.common import (
    DONE,
    FAILED,
    MODEL,
    UsageError,
    Verb,
    add_dialect,
    add_json,
    complain,
    path,
    print_json,
    settings,
    tell,
    whole,
)
from ltf_lite.core.progress import duration

if TYPE_CHECKING:
    from ltf_lite.app.answer.ask import Answer, Way
    from ltf_lite.tasks import Problem, Task

SAMPLES, TEMPERATURE = 32, 0.7  # where the command names none

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
    add_task(verb)
    verb.add_argument("problem", nargs="*", help="one problem: 25 5 5 33 --target 27")
    _add_target(verb)
    verb.add_argument(
        "--problems",
        type=path,
        help="a file of problems, - for stdin: a line is "
        '"25 5 5 33 -> 27" in quotes, or a JSON object with its parts; in .txt it is the problem '
        "as typed, and .csv has a column `problem` or one for each part",
    )
    verb.add_argument("--model", help=f"{MODEL} (default: tiny-base, of number games)")
    add_dialect(verb)
    verb.add_argument(
        "--reasoner",
        default="single-pass",
        metavar="WAY",
        help="single-pass, self-consistency (votes), best-of-n (the likeliest), oracle (the "
        "verifier picks: an upper bound), or a reasoner",
    )
    verb.add_argument("--n", type=int, help=f"samples to choose among (default {SAMPLES})")
    verb.add_argument("--temperature", type=float, help=f"of samples (default {TEMPERATURE})")
    _add_set(verb)
    add_json(verb)
    verb.names = lambda: f"{tasks_there()}\n{_reasoners()}"
    verb.set_defaults(run=solve, loads=True)

    verb = verbs.add_parser("search", help="search one problem and show the whole tree")
    add_task(verb)
    verb.add_argument("problem", nargs="+", help="the problem: 25 5 5 33 --target 27")
    _add_target(verb)
    verb.add_argument("--reasoner", default="tot", metavar="NAME", help="default: tot")
    verb.add_argument("--model", help=f"{MODEL} (default: tiny-base, of number games)")
    add_dialect(verb)
    _add_set(verb)
    add_json(verb)
    verb.names = lambda: f"{tasks_there()}\n{_reasoners()}"
    verb.set_defaults(run=search, loads=True)

    verb = verbs.add_parser("verify", help="check paths: JSONL on stdin, verdicts on stdout")
    add_task(verb)
    verb.names = tasks_there
    verb.set_defaults(run=verify)


def add_task(verb: Verb) -> None:
    """Give a command its task."""
    verb.add_argument("task", help="the name of a task, a file of questions, a Python file")
    verb.add_argument(
        "--task-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the task, as in a preset",
    )


def _add_target(verb: Verb) -> None:
    verb.add_argument(
        "--target",
        metavar="NUMBER",
        help='what a number game has to reach; as part of a problem in quotes: "25 5 5 33 -> 27"',
    )


def _add_set(verb: Verb) -> None:
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the reasoner, as in a preset: --set beam=8",
    )
    verb.add_argument("--seed", type=whole("a seed", 0, 10**18), default=0)


def tasks_there() -> str:
    """The tasks there are, for the help of a command."""
    from ltf_lite.tasks import REFERENCES, TASKS

    return f"tasks: {', '.join(TASKS.names())}, {REFERENCES}"


def _reasoners() -> str:
    from ltf_lite.reasoners import REASONERS

    told = (f"{REASONERS.name_of(plugin)} ({plugin.title})" for plugin in REASONERS.all())
    return f"reasoners: {', '.join(told)}"


def task_of(args: argparse.Namespace) -> Task:
    """The task of the command line; raises TaskError."""
    from ltf_lite.tasks import MISSING, TASKS, TaskError, get_task

    given = settings(args.task_set, "--task-set")
    try:
        task = get_task(args.task, **given)
        if task.content == MISSING:
            raise TaskError(f"cannot read {task.reference}: there is no such file")
        return task
    except TaskError as error:
        if given or args.task not in TASKS.names():
            raise
        raise TaskError(f"{error}; settings are given as --task-set NAME=VALUE") from error


def _problem(args: argparse.Namespace, task: Task) -> Problem:
    """The problem of the command line; raises TaskError."""
    from ltf_lite.app.answer.ask import posed

    text = " ".join(args.problem)
    if args.target is not None and "->" in text:
        raise UsageError("the target is given twice: after the -> and by --target")
    if args.target is not None and not task.aims:
        raise UsageError(f"a problem of {task.reference} has no target: leave --target out")
    if task.aims and args.problem[-1] == "-":  # of "->", the rest of which is a file by now
        raise UsageError("a shell takes > for itself: say --target NUMBER instead, or use quotes")
    return posed(task, text if args.target is None else f"{text} -> {args.target}")


def _model(args: argparse.Namespace, task: Task, way: Way) -> str:
    """The model of the command line; raises UsageError where the embedded base is no choice."""
    from ltf_lite.engines import TINY_BASE
    from ltf_lite.tiny import KNOWS

    if args.model is None and way.reasoner.asks_model and task.name not in KNOWS:
        raise UsageError(
            f"name a model with --model: {TINY_BASE}, which is asked where none is named, knows "
            f"{' and '.join(KNOWS)} alone"
        )
    return args.model or TINY_BASE


def solve(args: argparse.Namespace) -> int:
    from ltf_lite.app.answer.ask import CHAINS, SINGLE_PASS, ask, way_of

    if bool(args.problem) == (args.problems is not None):
        raise UsageError("give one problem (25 5 5 33 --target 27) or a file with --problems")
    sampled = args.reasoner in CHAINS and args.reasoner != SINGLE_PASS
    own = _samples(args) if sampled or (args.n, args.temperature) != (None, None) else {}
    if own and not sampled:
        able = ", ".join(name for name in CHAINS if name != SINGLE_PASS)
        raise UsageError(f"--n and --temperature belong to {able}, not to {args.reasoner}")
    way = way_of(args.reasoner, {**own, **settings(args.set)})
    task = task_of(args)
    many = args.problems is not None
    lines, places = _many(task, args.problems) if many else ([_problem(args, task)], [{}])
    answers = ask(lines, task, _model(args, task, way), way, args.seed, args.dialect)
    asked = 0
    for place, answer in zip(places, answers, strict=True):
        print_json({**place, **answer.as_dict()}) if args.json else tell(_in_words(answer))
        asked += answer.problem is not None
    return _judged(args.problems, len(lines), asked)


def _judged(file: Path | None, lines: int, asked: int) -> int:
    """The exit code of what was asked; what of a file was left out is said."""
    name = "standard input" if str(file) == "-" else file
    if not lines:
        return complain(
            f"there is no problem in {name}: a line is a problem in quotes, or a JSON object",
            FAILED,
        )
    if not asked:
        return complain(f"no line of {name} could be asked", FAILED)
    if asked < lines:
        left = lines - asked
        return complain(f"{left} of {lines} problems of {name} could not be asked", FAILED)
    return DONE


def _samples(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of samples; raises UsageError for what is out of bounds."""
    n = SAMPLES if args.n is None else args.n
    temperature = TEMPERATURE if args.temperature is None else args.temperature
    if not 1 <= n <= 1024:
        raise UsageError(f"--n must be from 1 to 1024, not {n}")
    if not 0 < temperature <= 5:
        raise UsageError(f"--temperature must be above 0 and at most 5, not {temperature}")
    return {"n": n, "temperature": temperature}


def search(args: argparse.Namespace) -> int:
    from ltf_lite.app.answer import ask as asking

    way = asking.way_of(args.reasoner, settings(args.set))
    task = task_of(args)
    problem = _problem(args, task)
    name = _model(args, task, way)
    asked = problem, task, name, way, args.seed, args.dialect
    if args.json:
        print_json(asking.search(*asked).as_dict())
    else:
        from ltf_lite.report.tree.text import show

        model = f", {name}" if way.reasoner.asks_model else ""
        title = f"{problem.text}: {way.reasoner.label}{model}"
        show(lambda watch: asking.search(*asked, watch), way.reasoner, title)
    return DONE


def _many(task: Task, file: Path) -> tuple[list[Problem | str], list[dict[str, Any]]]:
    """A problem for each line, or the sentence that says why it is none; and where it stands."""
    from ltf_lite.app.answer.lines import id_of, lines_of, problem_of

    try:
        with _opened(file) as stream:
            lines = list(lines_of(stream, str(file), task))
    except OSError as error:
        raise UsageError(f"cannot read the problems {file}: {error.strerror}") from error
    places = [{"line": line.number, "id": id_of(line)} for line in lines]
    return [problem_of(task, line) for line in lines], places


def _opened(file: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if str(file) == "-" else open(file, "rb")


def _in_words(answer: Answer) -> str:
    if answer.problem is None or answer.verdict is None:
        return f"not asked: {answer.error}"
    from ltf_lite.report.kinds import word_of
    from ltf_lite.tasks.free import OPEN

    verdict = answer.verdict
    word = word_of(verdict.kind or "", {})
    state = word if verdict.kind in OPEN else f"not solved ({word})"
    state = "solved" if verdict.correct else state
    body = "".join(f"  {line}\n" for line in answer.text.strip().split("\n"))
    took = answer.seconds
    time = f"{1000 * took:.1f} ms" if took < 1 else duration(took)
    cost = f"{_how(answer)}; {answer.tokens} tokens, {time}"
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

    verify_lines(task_of(args), sys.stdin.buffer, sys.stdout)
    return DONE
