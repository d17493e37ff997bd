"""Plugins: the folder is the registry, and other packages add to it by entry points.

A plugin is a pydantic class. Its fields are its settings with their bounds, one of them its name;
its class variables say the rest (title, flags). A module offers it as `PLUGIN`. No list names it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from ltf_lite.core.errors import USAGE, LtfError
from ltf_lite.core.progress import say


class PluginError(LtfError, ValueError):
    """A plugin that is not there or cannot be imported."""

    code = USAGE


class Settings(BaseModel):
    """Settings of a preset: unknown ones are refused, and nothing changes them later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Plugin(Settings):
    """A class of settings that does something; `title` is how tables and the app call it.

    `files` are its settings that name a file of this machine: another machine is sent those.
    """

    title: ClassVar[str] = ""
    files: ClassVar[tuple[str, ...]] = ()


P = TypeVar("P", bound=Plugin)


def files_of(plugin: Plugin) -> list[str]:
    """The files of this machine that a plugin's settings name."""
    told = (getattr(plugin, name) for name in plugin.files)
    return [file for file in told if file is not None]


def moved(plugin: P, places: Mapping[str, str]) -> P:
    """The same plugin, as new, where its files lie at other `places`, by their own."""
    own = {name: getattr(plugin, name) for name in plugin.files}
    there = {name: places.get(file, file) for name, file in own.items()}
    return type(plugin).model_validate({**plugin.model_dump(), **there})


class Registry(Generic[P]):
    """The plugins of a folder by name, and those that other packages add under its name.

    `package` is the folder's, and the group of the entry points; `what` is what one of them is
    called; `base` is the class that all of them extend; `key` is the field that holds a plugin's
    name.
    """

    def __init__(
        self, package: str, what: str, base: type[Plugin] = Plugin, key: str = "name"
    ) -> None:
        self.package, self.what, self.base, self.key = package, what, base, key

    @cached_property
    def _found(self) -> dict[str, type[P]]:
        found = {self.name_of(plugin): plugin for plugin in _in_folder(self.package, self.base)}
        for entry in entry_points(group=self.package):
            plugin = self._loaded(entry)
            if plugin is not None:
                found.setdefault(self.name_of(plugin), plugin)  # nobody replaces one of ours
        return found

    def _loaded(self, entry: EntryPoint) -> type[P] | None:
        """The plugin of an entry point; one that fails is told and left out."""
        try:
            plugin = entry.load()
            if not issubclass(plugin, self.base):
                raise TypeError(f"it is no {self.base.__name__}")
            self.name_of(plugin)
            return plugin
        except Exception as error:  # it is another's code
            say(f"warning: the {self.what} {entry.name} ({entry.value}) is left out: {error!r}")
            return None

    def name_of(self, plugin: type[P]) -> str:
        """The name under which a plugin is chosen."""
        return plugin.model_fields[self.key].default

    def names(self) -> list[str]:
        return list(self._found)

    def all(self) -> list[type[P]]:
        return list(self._found.values())

    def get(self, name: str) -> type[P]:
        """The plugin of that name; raises PluginError with the nearest name."""
        if name not in self._found:
            raise PluginError(f"there is no {self.what} {name!r}; {nearest(name, self.names())}")
        return self._found[name]

    def any(self, default: str | None = None) -> Any:
        """A pydantic type: any of the plugins, told apart by the field that holds the name.

        `default` is the plugin where the field is left out.
        """

        def tag(value: Any) -> Any:
            if isinstance(value, dict):
                return value.get(self.key, default)
            return getattr(value, self.key, None)

        tagged = tuple(Annotated[one, Tag(name)] for name, one in self._found.items())
        return Annotated[Union[tagged], Discriminator(tag)]  # noqa: UP007 - made at run time


def _in_folder(package: str, base: type[Plugin]) -> Iterator[type[Any]]:
    """`PLUGIN` of every module of a folder; a folder in it that has none is looked into as well.

    Plugins of another base belong to another registry.
    """
    for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
        plugin = getattr(import_module(module.name), "PLUGIN", None)
        if plugin is None and module.ispkg:
            yield from _in_folder(module.name, base)
        elif plugin is not None and issubclass(plugin, base):
            yield plugin


def nearest(word: str, words: list[str]) -> str:
    """`did you mean tot?`, or the words there are."""
    near = get_close_matches(word, words, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(words) or 'none'}"
