"""The app's strings: every language says everything, with the same facts in it."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import ltf_lite.app.web
from ltf_lite.app.answer.ask import CHAINS
from ltf_lite.app.web.asked import SLIDERS, searches
from ltf_lite.app.web.catalogue import title_of_task
from ltf_lite.app.web.ways import title_of_way
from ltf_lite.app.web.words import LANGUAGES, speaker
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.reasoners import REASONERS
from ltf_lite.report.figures.drawing import WORDS as FIGURE
from ltf_lite.report.tree.svg import WORDS as TREE
from ltf_lite.tasks import TASKS

SOURCES = [file.read_text() for file in Path(ltf_lite.app.web.__file__).parent.glob("*.py")]


def facts(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


# What has a name in English in its own room, which another language may know too.
ELSEWHERE = (
    *("kind.", "name.", "stage.", "section.", "picture.", "way.", "task."),
    *("text.", "table.", "column."),
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_strings_with_the_same_facts(language):
    english, own = LANGUAGES["en"], LANGUAGES[language]
    assert set(english) <= set(own)
    more = {key for key in set(own) - set(english) if not key.startswith(ELSEWHERE)}
    assert more <= {f"figure.{name}" for name in REASONERS.names()}
    assert [key for key in english if facts(own[key]) != facts(english[key])] == []
    assert all(text.strip() for text in own.values())


def test_no_word_stands_twice_in_english():
    source = (Path(ltf_lite.app.web.__file__).parent / "english.py").read_text()
    assert re.findall(r'^    "(?:figure|tree|kind|name|stage|section)\.[^"]*":', source, re.M) == [
        '    "tree.as_text":', '    "tree.nodes":',
    ]  # fmt: skip
    english = LANGUAGES["en"]
    assert {k: english[f"figure.{k}"] for k in FIGURE} == FIGURE
    assert {k: english[f"tree.{k}"] for k in TREE} == TREE


def test_what_is_named_elsewhere_is_said_in_japanese():
    japanese = LANGUAGES["ja"]
    assert all(f"stage.{stage.name}" in japanese for stage in STAGES)
    kinds = {kind for name in TASKS.names() for kind in TASKS.get(name).kinds}
    assert {f"{room}.{kind}" for room in ("kind", "name") for kind in kinds} <= set(japanese)
    assert {f"way.{way}" for way in searches()} <= set(japanese)


def test_japanese_is_japanese():
    kana = re.compile("[぀-ヿ一-鿿]")
    assert [key for key, text in LANGUAGES["ja"].items() if not kana.search(text)] == []


def test_every_string_is_said_and_every_said_string_is_there():
    said = re.compile(r"""\b(?:say|UploadError)\(\s*["']([^"'{]+)["']""")
    literal = {key for text in SOURCES for key in said.findall(text)}
    made = {key for text in SOURCES for key in re.findall(r"""\bf["']([a-z.]+\.)\{""", text)}
    english = set(LANGUAGES["en"])
    assert literal <= english
    rooms = {room + "." for text in SOURCES for room in re.findall(r'picture\(\s*"(\w+)"', text)}
    prefixes = (*made, *rooms, "before.", "single.", "search.")  # the last by side
    assert all(any(key.startswith(prefix) for key in english) for prefix in rooms)
    quoted = {
        key for key in english if any(f'= "{key}"' in t or f'else "{key}"' in t for t in SOURCES)
    }
    assert {k for k in english - literal - quoted if not k.startswith(prefixes)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_chosen_by_name_has_a_word(language):
    say = speaker(language)
    assert all(say(f"slider.{name}") for name in SLIDERS)
    assert all(say(f"way.{way}") for way in CHAINS if way != "single-pass")
    titles = [title_of_way(way, say) for way in searches()]
    titles += [title_of_task(name, say) for name in TASKS.names()]
    assert len(set(titles)) == len(titles)
    assert all(title.strip() for title in titles)


def test_facts_are_put_in():
    assert "12" in speaker("ja")("ratio.sentence", times="12", search="300", single="25")
    with pytest.raises(KeyError):
        speaker("fr")
