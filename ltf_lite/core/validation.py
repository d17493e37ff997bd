"""What is wrong with settings, in one sentence that names the setting and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

FEW = 8  # settings that are all named where none is near
LONGEST = 120  # characters of a value in a sentence


def sentence(error: ValidationError, where: str, top: Any) -> str:
    """The first thing that is wrong with the settings of `top`, a pydantic type.

    It names `where` the settings stand, the setting's way through them, and the nearest name.
    """
    # An unknown key comes first: it is often why another one seems to be missing.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    kind, said, context = first["type"], first["input"], first.get("ctx", {})
    here = _follow(first["loc"], top)
    path = ".".join(here.way)
    if kind == "extra_forbidden":
        return f"{where}: there is no setting {_shown(path)}{_beside(first['loc'], top)}"
    place = f"{where}: {path}" if path else where
    if kind == "union_tag_not_found" and not isinstance(said, dict):
        way = f", as {{{here.key}: {said[:LONGEST]}}}" if isinstance(said, str) else ""
        return f"{place}: must be a mapping of settings{way}, not {_shown(said)}"
    if kind in ("missing", "union_tag_not_found"):
        name = path if kind == "missing" else _joined(path, here.key)
        return f"{where}: the setting {name!r} is missing"
    if kind in ("literal_error", "union_tag_invalid"):
        if kind == "union_tag_invalid":
            said, place = context["tag"], f"{where}: {_joined(path, here.key)}"
        choices = re.findall(r"'([^']*)'", context.get("expected_tags") or context["expected"])
        return (
            f"{place}: there is no {_shown(said)}{_nearest(said, choices)} "
            f"(there are {', '.join(choices)})"
        )
    reason = first["msg"].removeprefix("Value error, ")
    told = kind == "value_error" or isinstance(said, (dict, list))
    return f"{place}: {reason}" if told else f"{place}: {reason}, not {_shown(said)}"


def _shown(said: Any) -> str:
    """A value in a sentence, cut where it is long."""
    if isinstance(said, str):
        return repr(said) if len(said) <= LONGEST else f"{said[:LONGEST]!r}…"
    try:
        text = repr(said)
    except ValueError:  # Python writes no number of so many digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class _Part(NamedTuple):
    """A section that a setting may hold; `tag` is the name it goes by among others."""

    section: type[BaseModel]
    tag: str | None = None


class _Place(NamedTuple):
    """Where a location of pydantic's ends: the sections there, the way as the file has it.

    `tag` names the plugin there, `union` are all from which it was chosen.
    """

    parts: list[_Part]
    way: list[str]
    tag: str = ""
    union: Sequence[_Part] = ()

    @property
    def key(self) -> str:
        """The setting by which one of the plugins here is chosen."""
        return next(
            key
            for part in self.parts
            for key, field in part.section.model_fields.items()
            if part.tag is not None and field.default == part.tag
        )


def _parts(annotation: Any, tag: str | None = None) -> Iterator[_Part]:
    """The sections that an annotation speaks of, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield _Part(annotation, tag)
        return
    if get_origin(annotation) is Annotated:
        tag = _tag(get_args(annotation)) or tag
    for inner in get_args(annotation):
        yield from _parts(inner, tag)


def _parts_of(field: FieldInfo) -> Iterator[_Part]:
    """The sections of a field; of a union of one, pydantic keeps the tag beside the annotation."""
    return _parts(field.annotation, _tag(field.metadata))


def _tag(metadata: Iterable[Any]) -> str | None:
    return next((str(one.tag) for one in metadata if isinstance(one, Tag)), None)


def _follow(location: Sequence[int | str], top: Any) -> _Place:
    """Where a location ends. A plugin's name in it is a tag of pydantic's, no key of the file."""
    place = _Place(list(_parts(top)), [])
    for part in location:
        tagged = [each.section for each in place.parts if each.tag == part]
        if tagged:
            sections = [_Part(section) for section in tagged]
            place = _Place(sections, place.way, str(part), place.parts)
            continue
        way = [*place.way, str(part)]
        if isinstance(part, int):
            place = _Place(place.parts, way)
            continue
        fields = [
            each.section.model_fields[part]
            for each in place.parts
            if part in each.section.model_fields
        ]
        place = _Place([each for field in fields for each in _parts_of(field)], way)
    return place


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _beside(location: Sequence[int | str], top: Any) -> str:
    """Whose setting an unknown one would be, and the nearest that there is."""
    *way, key = location
    beside = _follow(way, top)
    of = f" of {beside.tag}" if beside.tag else ""
    if any(key in part.section.model_fields for part in beside.union):
        return f"{of}: leave it out, or choose another"  # it is the setting of another plugin
    names = [key for part in beside.parts for key in part.section.model_fields]
    few = f"; there are {', '.join(names)}" if names and len(names) <= FEW else ""
    return of + (_nearest(key, names) or few)


def _nearest(word: Any, words: list[str]) -> str:
    near = get_close_matches(str(word)[:LONGEST], words, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
