"""A Modelfile as Ollama reads it, by the grammar that its documentation and its parser have.

There is no Ollama here. The reader below is a reading of that grammar: instructions by name, values
bare, in quotes or in three of them, without any escapes; parameters with the types that are named.
"""

from __future__ import annotations

import re

import pytest

from ltf_lite.engines.template import Frame
from ltf_lite.export.formats.ollama import modelfile

INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE"}
PARAMETERS = {
    **dict.fromkeys(("num_ctx", "repeat_last_n", "seed", "num_predict", "top_k"), int),
    **dict.fromkeys(("repeat_penalty", "temperature", "top_p", "min_p"), float),
    "stop": str,
}
VALUE = re.compile(
    r'"""(.*?)"""[ \t]*(?:\n|\Z)|"(.*?)"[ \t]*(?:\n|\Z)|([^"\n][^\n]*)(?:\n|\Z)', re.S
)
HEAD = re.compile(r"([A-Za-z]+)[ \t]+")


def read(text: str) -> list[tuple[str, str]]:
    """(instruction or parameter, value) in order; raises ValueError for what is no Modelfile."""
    found, at = [], 0
    while at < len(text):
        if text[at] in "\n \t":
            at += 1
            continue
        head = HEAD.match(text, at)
        if head is None or head[1].upper() not in INSTRUCTIONS:
            raise ValueError(f"no instruction: {text[at : at + 20]!r}")
        name, at = head[1].upper(), head.end()
        if name == "PARAMETER":
            own = re.compile(r"(\w+)[ \t]+").match(text, at)
            name, at = own[1], own.end()
        value = VALUE.match(text, at)
        if value is None:
            raise ValueError(f"no value of {name}")
        found.append((name, next(each for each in value.groups() if each is not None)))
        at = value.end()
    if not any(name == "FROM" for name, _ in found):
        raise ValueError("no FROM line")
    return found


FRAME = Frame("<s>Play.</s><u>", "</u>\n<a>", "</a>", system="Play.")


@pytest.mark.parametrize("frame", [None, FRAME])
@pytest.mark.parametrize("stop", [[], ["\n\n", "Question:"], ['"', '\n"'], ["</a>", "\n"]])
def test_ollama_reads_what_was_meant(stop, frame):
    told = read(modelfile("m.q8_0.gguf", stop, 64, frame))
    assert told[0] == ("FROM", "./m.q8_0.gguf")
    assert [value for name, value in told if name == "stop"] == stop
    for name, value in told:
        if name in PARAMETERS:
            assert PARAMETERS[name](value) is not None
        else:
            assert name in INSTRUCTIONS
    said = dict(told)
    assert (float(said["temperature"]), float(said["repeat_penalty"])) == (0, 1)
    assert int(said["num_predict"]) == 64
    template = said["TEMPLATE"].replace("{{ .System }}", said.get("SYSTEM", ""))
    framed = (FRAME.before, FRAME.after) if frame else ("", "\n")
    assert template.split("{{ .Prompt }}") == list(framed)


def test_what_is_no_modelfile_is_seen():
    for wrong in ("TEMPLATE x\n", "FORM ./m.gguf\n", 'FROM ./m.gguf\nSYSTEM """open\n'):
        with pytest.raises(ValueError, match=r"no "):
            read(wrong)
