"""The app's strings: every language says everything, with the same facts in it."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import ltf_lite.ui
from ltf_lite.pipeline.train import STAGES
from ltf_lite.tasks.base import KINDS
from ltf_lite.ui.asked import SEARCHES, SLIDERS
from ltf_lite.ui.words import LANGUAGES, speaker

SOURCES = [file.read_text() for file in Path(ltf_lite.ui.__file__).parent.glob("*.py")]


def facts(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_strings_with_the_same_facts(language):
    english, own = LANGUAGES["en"], LANGUAGES[language]
    assert set(own) == set(english)
    assert [key for key in own if facts(own[key]) != facts(english[key])] == []
    assert all(text.strip() for text in own.values())


def test_japanese_is_japanese():
    kana = re.compile("[぀-ヿ一-鿿]")
    assert [key for key, text in LANGUAGES["ja"].items() if not kana.search(text)] == []


def test_every_string_is_said_and_every_said_string_is_there():
    literal = {
        key for text in SOURCES for key in re.findall(r"""\bsay\(\s*["']([^"'{]+)["']""", text)
    }
    made = {key for text in SOURCES for key in re.findall(r"""\bf["']([a-z.]+\.)\{""", text)}
    english = set(LANGUAGES["en"])
    assert literal <= english
    rooms = {room + "." for text in SOURCES for room in re.findall(r'words_of\(\s*"(\w+)"', text)}
    prefixes = (*made, *rooms, "single.", "search.")  # the last two by side
    assert all(any(key.startswith(prefix) for key in english) for prefix in rooms)
    quoted = {
        key for key in english if any(f'= "{key}"' in t or f'else "{key}"' in t for t in SOURCES)
    }
    assert {k for k in english - literal - quoted if not k.startswith(prefixes)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_chosen_by_name_has_a_word(language):
    say = speaker(language)
    names = [f"way.{way}" for way in SEARCHES] + [f"slider.{name}" for name in SLIDERS]
    names += [f"kind.{kind}" for kind in KINDS] + [f"stage.{stage.name}" for stage in STAGES]
    assert all(say(name) for name in names)


def test_facts_are_put_in():
    assert "12" in speaker("ja")("ratio.sentence", times="12")
    with pytest.raises(KeyError):
        speaker("fr")
