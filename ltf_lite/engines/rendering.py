"""`python -m ltf_lite.engines.rendering`: render a chat template, and do nothing else.

A template is a program of others. It runs here, in a process that ends with it: sandboxed, with
little time and little memory. The job comes as JSON on standard input, and what was rendered goes
as JSON to standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ltf_lite.engines.template import DAY, SECONDS

MEMORY = 1 << 30  # bytes of address space
LONGEST = 1 << 20  # characters of a rendered chat
WORDS = 200  # characters of what a template says where it refuses


class Generation(Extension):
    """`{% generation %}` marks what a model wrote; nothing here asks for the mark."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def environment(asked_date: Callable[[], None]) -> ImmutableSandboxedEnvironment:
    """Jinja as transformers has it for chat templates; `asked_date` hears who asks the date."""

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def day(form: str) -> str:
        asked_date()
        return DAY.strftime(form)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = day
    return made


def rendered(job: dict[str, Any]) -> dict[str, Any]:
    """The texts of a job's chats, None for one that the template refuses, and what it said."""
    dates: list[bool] = []
    texts: list[str | None] = []
    said = ""
    try:
        template = environment(lambda: dates.append(True)).from_string(job["template"])
    except Exception as error:
        return {"texts": [None] * len(job["chats"]), "said": _words(error), "dated": False}
    for chat in job["chats"]:
        try:
            text = template.render(**job["names"], tools=None, documents=None, **chat)
            if len(text) > LONGEST:
                raise TemplateError(f"it writes {len(text):,} characters")
            texts.append(text)
        except Exception as error:  # what a foreign program raises has no type
            said = said or _words(error)
            texts.append(None)
    return {"texts": texts, "said": said, "dated": bool(dates)}


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:WORDS] or type(error).__name__


def limit() -> None:
    """Little time and memory, where the system knows such limits."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        for kind, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY)):
            _, hard = resource.getrlimit(kind)
            own = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (own, own))


def main() -> None:
    job = json.load(sys.stdin)
    limit()
    json.dump(rendered(job), sys.stdout)


if __name__ == "__main__":
    main()
