"""How the command line is read: options anywhere, nearest names, one sentence for what is wrong."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from ltf_lite.core.errors import USAGE
from ltf_lite.core.text import signs

ARROW = "->"  # of a problem in words of its own; with a blank before it, it is no option
NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # what the standard library takes for no option


class Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, and where to read more."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"ltf: {signs(message)} (`{self.prog} --help` says what there is)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """The standard library's own names every choice and not the nearest."""
        if action.choices is None or value in action.choices:
            return
        from ltf_lite.core.plugins import nearest  # pydantic takes a moment

        names = [str(name) for name in action.choices]
        what = action.option_strings[-1] if action.option_strings else action.dest
        self.error(f"there is no {what} {value!r}; {nearest(str(value), names)}")


class Verb(Parser):
    """A command. `names` says at the end of its help what there is to choose from.

    It is called only when the help is read: to look for plugins takes a moment.
    """

    names: Callable[[], str] | None = None
    _mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What a command acts on may stand before its options, after them or between them."""
        # The standard library asks this parser again for each half, and loses what "--" divides.
        if self._mixed:
            return super().parse_known_args(args, namespace)
        args = [f" {word}" if word == ARROW else word for word in args or ()]
        if "--" in args:
            found, unread = super().parse_known_args(args, namespace)
        else:
            self._mixed = True
            try:
                found, unread = self.parse_known_intermixed_args(args, namespace)
            finally:
                self._mixed = False
        if unread:
            self.error(self._unknown(unread))
        return found, unread

    def _unknown(self, words: Sequence[str]) -> str:
        """What is wrong with words that nothing of this command takes."""
        for word in words:
            option = word.partition("=")[0]
            if option.startswith("-") and not NUMBER.fullmatch(option):
                near = get_close_matches(option, self._option_string_actions, 1)
                way = f"; did you mean {near[0]}?" if near else ""
                return f"there is no option {option}{way}"
        return f"too many words: {' '.join(words)}"

    def format_help(self) -> str:
        told = super().format_help()
        return f"{told}\n{self.names()}\n" if self.names else told
