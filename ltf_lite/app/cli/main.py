"""The commands. Each parses, calls and prints; what is heavy is imported where it is used."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ltf_lite import __version__
from ltf_lite.app.cli import about, after, ask, completion, demo, runs, tasks
from ltf_lite.app.cli.common import DONE, FAILED, Parser, Verb, complain, tell
from ltf_lite.app.cli.ending import Terminated, heeding_signals
from ltf_lite.core.errors import (
    INTERRUPTED,
    TERMINATED,
    LtfError,
    disk_full,
    of_system,
    sentence,
)
from ltf_lite.core.progress import say
from ltf_lite.core.text import speak_any
from ltf_lite.core.threads import wait_briefly

RESUMED = ("train", "sweep", "again", "repair")  # commands that go on where they were stopped
# What `ltf` alone says.
FIRST = f"""\
ltf_lite {__version__}: search once, tune on what search found, answer at once.

Three things to do:

  ltf demo
      see search beside a tuned copy, in half a minute
  ltf train tiny --quick
      tune a small model on this machine, in a few minutes
  ltf solve countdown 7 12 20 31 --target 46 --model tiny-tuned
      ask a tuned model

`ltf --help` lists all commands.
`ltf COMMAND --help` says what one of them takes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns an exit code.

    0 done, 1 failed, 2 usage, 3 done but below a floor, 130 ended by Ctrl-C, 143 by SIGTERM.
    """
    wait_briefly()
    speak_any()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    given = sys.argv[1:] if argv is None else argv
    if not given:
        tell(FIRST)
        return DONE
    command, resumed = given[0], ""
    try:
        with heeding_signals():
            args = parser()[0].parse_args(given)
            if args.command in RESUMED and not getattr(args, "dry_run", False):
                resumed = "; the same command goes on where it stopped"
            # torch alone takes seconds; who reads a file or a pipe does not wait
            if getattr(args, "loads", False) and sys.stderr.isatty():
                say("loading, a few seconds")
            return args.run(args)
    except LtfError as error:
        return complain(error, error.code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Terminated:
        return complain(f"ended from outside{resumed}", TERMINATED)
    except KeyboardInterrupt:
        return complain(f"stopped{resumed}", INTERRUPTED)
    except Exception as error:
        if os.environ.get("LTF_DEBUG"):
            raise
        way = resumed if of_system(error) or disk_full(error) else ""
        return complain(f"{command}: {sentence(error)}{way}", FAILED)


def parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of all commands, and their names."""
    top = Parser(prog="ltf", description="Search once, tune on what search found, answer at once.")
    top.add_argument("--version", action="version", version=f"ltf_lite {__version__}")
    verbs = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Verb)
    for group in (demo, runs, after, ask, tasks, about, completion):
        group.add(verbs)
    return top, list(verbs.choices)


if __name__ == "__main__":
    raise SystemExit(main())
