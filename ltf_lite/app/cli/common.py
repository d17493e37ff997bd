"""What the commands share: the last sentence, `--json`, `--set NAME=VALUE`, numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ltf_lite.app.cli.parsing import Parser, Verb
from ltf_lite.core.errors import BELOW, DONE, FAILED, USAGE, UsageError
from ltf_lite.core.json_text import as_json
from ltf_lite.core.places import place
from ltf_lite.core.text import signs, sound

MODEL = (
    "a run's folder, a model folder, a GGUF file, a hub name, a server, tiny-base, tiny-tuned or "
    "smollm2"
)


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


def add_executor(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--executor",
        type=_executor,
        metavar="NAME",
        help="where the search is worked on, in place of the preset's: local, ray (a cluster), or "
        "with settings '{name: ray, address: HOST:PORT, workers: 4}'",
    )


def _executor(told: str) -> dict[str, Any]:
    """The settings that a name or YAML tells."""
    from ltf_lite.core.yaml_text import YamlError, load_yaml

    if not told.startswith("{"):
        return {"name": told}
    try:
        found: dict[str, Any] = load_yaml(told, "--executor")
    except YamlError as error:
        like = "'{name: ray, address: HOST:PORT, workers: 4}'"
        raise argparse.ArgumentTypeError(f"settings are written like {like}") from error
    return found


def _dialect(name: str) -> str:
    from ltf_lite.core.plugins import nearest
    from ltf_lite.engines.dialect import AUTO, NAMES

    names = [*NAMES, AUTO]
    if name not in names:
        raise argparse.ArgumentTypeError(f"there is no {name!r}; {nearest(name, names)}")
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
    "add_executor",
    "add_json",
    "complain",
    "path",
    "print_json",
    "settings",
    "tell",
    "whole",
]
