"""What the commands share: their exit codes, `--json`, and `--set NAME=VALUE`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import yaml

DONE, FAILED, USAGE = 0, 1, 2
FALLEN = 3  # done, but the model has lost an ability


class UsageError(ValueError):
    """Arguments that do not fit together, with a sentence for the user."""


def add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON for a machine to read")


def print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False), flush=True)


def settings(pairs: Sequence[str]) -> dict[str, Any]:
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
