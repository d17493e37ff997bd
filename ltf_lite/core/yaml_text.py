"""YAML of settings, read within bounds: what is ambiguous or would fill the memory is refused.

A text is looked through event by event before anything is built of it, so that no alias, depth or
number can cost more than the few kilobytes that settings are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.places import open_regular

BYTES = 1 << 16  # of a file
DEPTH = 20  # of lists and mappings within each other
NODES = 10_000  # values, those that aliases repeat counted again
DIGITS = 64  # of a number
SHOWN = 80  # characters of a name in a sentence
WORDS = ("str", "merge")  # what a name in a mapping may be
NO_NAME = "a setting's name must be a word, not what stands on line {}"

# The parser in C is ten times as fast; not every build of PyYAML has it.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlError(LtfError, ValueError):
    """YAML that is none, or that no settings can be."""

    code = USAGE


class SyntaxFault(YamlError):
    """A text that is no YAML."""


class _Loader(_Parser):
    """What settings are made of: text, numbers, true and false, nothing, lists, mappings."""


_PLAIN = ("str", "int", "float", "bool", "null", "seq", "map", "merge")
_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.removeprefix(_TAG) in _PLAIN]
    for first, found in _Parser.yaml_implicit_resolvers.items()
}
_Loader.yaml_constructors = {
    tag: make
    for tag, make in _Parser.yaml_constructors.items()
    if tag is None or tag.removeprefix(_TAG) in _PLAIN
}
_resolver = yaml.resolver.Resolver()


def read_yaml(file: str | Path) -> Any:
    """The data of a YAML file; raises YamlError with a sentence that names the file."""
    try:
        with open_regular(file) as stream:
            raw = stream.read(BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise YamlError(f"cannot read {file}: {getattr(error, 'strerror', error)}") from error
    if len(raw) > BYTES:
        raise YamlError(f"{file} is larger than the {BYTES // 1024} KiB that settings may have")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(f"cannot read {file}: it is not UTF-8") from error
    return load_yaml(text, str(file))


def load_yaml(text: str, where: str) -> Any:
    """The data of a YAML text.

    Raises YamlError with a sentence that names `where` it stands: SyntaxFault where it is no YAML,
    else for a key that is given twice and for what is too large or too deep for settings.
    """
    if len(text) > BYTES:
        raise YamlError(f"{where} is larger than the {BYTES // 1024} KiB that settings may have")
    try:
        _Look(where).through(text)
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise SyntaxFault(f"{where}: it is no YAML: {_reason(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"{where}: it cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    told = re.sub(r'\s*in "<\w+ string>",', " on", " ".join(str(error).split()))
    return told[:200]


def _line(event: yaml.Event) -> int:
    """The line on which it stands, from 1."""
    return event.start_mark.line + 1 if event.start_mark else 1


@dataclass
class _Part:
    """A list or mapping that is being read; `keys` are a mapping's, with their lines."""

    anchor: str | None
    keys: dict[str, int] | None
    nodes: int = 1
    key: str = ""
    at_key: bool = True


@dataclass
class _Look:
    """A look through the events of a text; each `_` method raises YamlError."""

    where: str
    parts: list[_Part] = field(default_factory=list)
    anchors: dict[str, int | None] = field(default_factory=dict)  # nodes; None while still open

    def through(self, text: str) -> None:
        for event in yaml.parse(text, _Parser):
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                part = self.parts.pop()
                self._add(part.nodes, part.anchor)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line, text, kind = _line(event), event.value, event.tag or "str"
        if event.implicit[0]:
            kind = _resolver.resolve(yaml.ScalarNode, text, (True, False))
        kind = kind.removeprefix(_TAG)
        if kind in ("int", "float") and len(text) > DIGITS:
            self._refuse(f"the number on line {line} has {len(text)} digits")
        if self._at_key():
            if kind not in WORDS:
                self._refuse(f"{text[:SHOWN]!r} on line {line} is no name of a setting")
            self._key(self.parts[-1], text, line)
        self._add(1, event.anchor)

    def _at_key(self) -> bool:
        """Whether what comes next is a name in a mapping."""
        return bool(self.parts) and self.parts[-1].keys is not None and self.parts[-1].at_key

    def _key(self, part: _Part, key: str, line: int) -> None:
        part.key = key
        assert part.keys is not None
        if key in part.keys:
            way = ".".join(each.key[:SHOWN] for each in self.parts if each.key)
            first = part.keys[key]
            lines = f"on the lines {first} and {line}" if first != line else f"on line {line}"
            self._refuse(f"{way} is given twice, {lines}: leave one out")
        part.keys[key] = line

    def _alias(self, event: yaml.AliasEvent) -> None:
        line, name = _line(event), str(event.anchor)
        if self._at_key():
            self._refuse(NO_NAME.format(line))
        if self.anchors.get(name, 1) is None:
            self._refuse(f"*{name[:SHOWN]} on line {line} is a part of itself")
        self._add(self.anchors.get(name) or 1, None)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        line, mapping = _line(event), isinstance(event, yaml.MappingStartEvent)
        if self._at_key():
            self._refuse(NO_NAME.format(line))
        if len(self.parts) == DEPTH:
            self._refuse(f"line {line} is more than {DEPTH} lists and mappings deep")
        if event.anchor:
            self.anchors[event.anchor] = None
        self.parts.append(_Part(event.anchor, {} if mapping else None))

    def _add(self, nodes: int, anchor: str | None) -> None:
        """A value of so many nodes is complete."""
        if anchor:
            self.anchors[anchor] = nodes
        if self.parts:
            part = self.parts[-1]
            part.nodes += nodes
            part.at_key = not part.at_key
            if part.nodes > NODES:
                self._refuse(f"more than {NODES} values are no settings")

    def _refuse(self, why: str) -> None:
        raise YamlError(f"{self.where}: {why}")
