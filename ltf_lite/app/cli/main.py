"""The commands. Each parses, calls and prints; what is heavy is imported where it is used."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ltf_lite import __version__
from ltf_lite.app.cli import about, after, ask, demo, runs, tasks
from ltf_lite.app.cli.common import DONE, FAILED, USAGE, Parser, Verb, complain
from ltf_lite.core.errors import LtfError, disk_full, of_system, sentence
from ltf_lite.core.text import speak_any
from ltf_lite.core.threads import wait_briefly

RESUMED = ("train", "sweep")  # commands that go on where they were stopped


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 failed, 2 usage, 3 done but below a floor."""
    wait_briefly()
    speak_any()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    given = sys.argv[1:] if argv is None else argv
    top, commands = parser()
    if given and given[0] not in commands and not given[0].startswith("-"):
        from ltf_lite.core.plugins import nearest

        return complain(f"there is no command {given[0]!r}; {nearest(given[0], commands)}", USAGE)
    if not given:
        top.print_help(sys.stderr)
        return USAGE
    args = top.parse_args(given)
    resumed = "; the same command goes on where it stopped" if args.command in RESUMED else ""
    try:
        return args.run(args)
    except LtfError as error:
        return complain(error, error.code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return complain(f"stopped{resumed}", FAILED)
    except Exception as error:
        if os.environ.get("LTF_DEBUG"):
            raise
        way = resumed if of_system(error) or disk_full(error) else ""
        return complain(f"{args.command}: {sentence(error)}{way}", FAILED)


def parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of all commands, and their names."""
    top = Parser(prog="ltf", description="Search once, tune on what search found, answer at once.")
    top.add_argument("--version", action="version", version=f"ltf_lite {__version__}")
    verbs = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Verb)
    for group in (demo, runs, after, ask, tasks, about):
        group.add(verbs)
    return top, list(verbs.choices)


if __name__ == "__main__":
    raise SystemExit(main())
