"""The command that lets a shell complete all others: verbs, options, and the names there are."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ltf_lite.app.cli.common import DONE, path

SHELLS = ("bash", "zsh", "fish")
HOW = """\
to have it in every shell:
  bash    echo 'eval "$(ltf completion bash)"' >> ~/.bashrc
  zsh     echo 'eval "$(ltf completion zsh)"' >> ~/.zshrc    (below compinit)
  fish    ltf completion fish > ~/.config/fish/completions/ltf.fish"""


def add(verbs: Any) -> None:
    """Give the parser this command."""
    verb = verbs.add_parser(
        "completion",
        help="print what lets a shell complete these commands",
        epilog=HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("shell", choices=SHELLS, help=" or ".join(SHELLS))
    verb.set_defaults(run=completion)


def completion(args: argparse.Namespace) -> int:
    import shtab

    from ltf_lite.app.cli.main import parser  # it imports this module

    top = parser()[0]
    _tell_names(top, names())
    print(shtab.complete(top, shell=args.shell))
    return DONE


def names() -> dict[str, Sequence[str]]:
    """Name of an argument → what it may be, beside a file."""
    from ltf_lite import presets
    from ltf_lite.app.answer.ask import ways
    from ltf_lite.engines import bases
    from ltf_lite.engines.dialect import AUTO, NAMES
    from ltf_lite.tasks import TASKS

    return {
        "preset": list(presets.available()),
        "task": TASKS.names(),
        "reasoner": ways(),
        "model": bases(),
        "models": bases(),
        "base": bases(),
        "dialect": [*NAMES, AUTO],
    }


def _tell_names(top: argparse.ArgumentParser, known: Mapping[str, Sequence[str]]) -> None:
    """Say at every argument of the commands what a shell may complete there."""
    import shtab

    for action in _arguments(top):
        if action.dest in known:
            action.complete = _names_or_files(action.dest, known[action.dest])  # type: ignore[attr-defined]
        elif action.type is path or action.dest == "folder":
            action.complete = shtab.FILE  # type: ignore[attr-defined]


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _arguments(verb)
        else:
            yield action


def _names_or_files(what: str, found: Sequence[str]) -> dict[str, Any]:
    """How each shell completes one of some names, or a file."""
    function, words = f"_ltf_{what}", " ".join(found)
    return {
        "bash": function,
        "zsh": function,
        "fish": f"{words} (__fish_complete_path (commandline -ct))",
        "preamble": {
            "bash": f'{function}() {{ compgen -W "{words}" -- "$1"; compgen -f -- "$1"; }}',
            "zsh": f"{function}() {{ _alternative 'names:{what}:({words})' 'files:file:_files' }}",
        },
    }
