"""What the commands share: help that names what there is, `--json`, `--set NAME=VALUE`, numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ltf_lite.core.errors import BELOW, DONE, FAILED, USAGE, UsageError
from ltf_lite.core.json_text import as_json
from ltf_lite.core.places import place
from ltf_lite.core.text import signs, sound

MODEL = "a run's folder, a model folder, a GGUF file, a hub name, a server, tiny-base or smollm2"


class Parser(argparse.ArgumentParser):
    """A parser that shows what was typed by signs."""

    def error(self, message: str) -> NoReturn:
        super().error(signs(message))


class Verb(Parser):
    """A command. `names` says at the end of its help what there is to choose from.

    It is called only when the help is read: to look for plugins takes a moment.
    """

    names: Callable[[], str] | None = None
    _mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What a command acts on may stand before its options, after them or between them."""
        # The standard library asks this parser again for each half, and loses what "--" divides.
        if self._mixed or "--" in (args or ()):
            return super().parse_known_args(args, namespace)
        self._mixed = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixed = False

    def format_help(self) -> str:
        told = super().format_help()
        return f"{told}\n{self.names()}\n" if self.names else told


def complain(problem: object, code: int) -> int:
    """Say on the error stream what went wrong, and return the exit code."""
    print(f"ltf: {signs(str(problem))}", file=sys.stderr)
    return code


def add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON for a machine to read")


def add_dialect(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--dialect",
        type=_dialect,
        metavar="NAME",
        help="the words in which the model is asked: compact, few_shot, zero_shot, chat (through "
        "its chat template), few_shot_chat (with worked examples as earlier turns) or auto (chat "
        "where it has a template) (default: what the model says that it learnt)",
    )


def _dialect(name: str) -> str:
    from ltf_lite.engines.dialect import AUTO, NAMES

    if name not in (*NAMES, AUTO):
        raise argparse.ArgumentTypeError(f"there is no {name!r} (there are {', '.join(NAMES)})")
    return name


def print_json(data: Any) -> None:
    print(as_json(data), flush=True)


def tell(text: str) -> None:
    """Print what a command found, for a person."""
    print(signs(text))


def settings(pairs: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """`["beam=8", "budget.tokens=500"]` as a preset has it."""
    from ltf_lite.core.yaml_text import SyntaxFault, load_yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        *way, last = name.split(".")
        if not equals or not all([*way, last]):
            raise UsageError(f"{option} takes NAME=VALUE, not {pair!r}")
        at = found
        for part in way:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise UsageError(f"{option} {pair}: {part} was given a value before")
        if last in at:
            raise UsageError(f"{option} {name} is given twice: leave one out")
        if sound(value) != value:  # a file's name in the bytes of another encoding
            at[last] = value
            continue
        try:
            at[last] = load_yaml(value, f"{option} {name}")
        except SyntaxFault:
            at[last] = value
    return found


def path(text: str) -> Path:
    """Reads an argument that is a path; `~` in it is the home folder."""
    return place(text)


def whole(what: str, low: int, high: int) -> Callable[[str], int]:
    """Reads an argument that is a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 18 or not low <= int(text) <= high:
            bounds = f"from {low} to {high}" if high < 10**9 else f"from {low} up"
            raise argparse.ArgumentTypeError(f"{what} is a whole number {bounds}, not {text!r}")
        return int(text)

    return read


__all__ = [
    "BELOW",
    "DONE",
    "FAILED",
    "MODEL",
    "USAGE",
    "Parser",
    "UsageError",
    "Verb",
    "add_dialect",
    "add_json",
    "complain",
    "path",
    "print_json",
    "settings",
    "tell",
    "whole",
]
