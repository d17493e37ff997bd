"""Who reads the app in Japanese reads no English sentence, whoever wrote it."""

from __future__ import annotations

import ast
import json
import re
import time
from itertools import pairwise
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest

import ltf_lite
from ltf_lite import presets
from ltf_lite.app.answer.ask import posed
from ltf_lite.app.answer.pool import Pool
from ltf_lite.app.web import failures, first, found, sections, served, train, verdicts
from ltf_lite.app.web.asked import searches
from ltf_lite.app.web.desk import Desk, sentence
from ltf_lite.app.web.japanese_report import SETTINGS
from ltf_lite.app.web.phrases import Phrases
from ltf_lite.app.web.shelf import Shelf
from ltf_lite.app.web.ways import title_of_way
from ltf_lite.app.web.words import LANGUAGES, PHRASES, speaker
from ltf_lite.core.errors import LtfError
from ltf_lite.evaluation.types import Rate
from ltf_lite.pipeline import Run
from ltf_lite.pipeline.pilot.advice import ENOUGH, Facts, advise
from ltf_lite.report.figures.batch import batch_table
from ltf_lite.tasks import get_task
from ltf_lite.tasks.check import check
from tests.test_figures import POINTS

SAY = speaker("ja")
HOUSE = Path(ltf_lite.__file__).parent
# Three words of English after each other, where they are no code and no address.
ENGLISH = re.compile(r"(?<![\w./-])[A-Za-z][a-z']+(?: [a-z][a-z'-]*){2,}(?![\w/])")
NAMES = ("Tree of Thoughts",)
CODE = re.compile(
    r"<(style|code)\b.*?</\1>|`[^`]*`|<details><summary>プリセット.*?</details>", re.S
)


def english(html: str) -> list[str]:
    """The English sentences that a page shows or has read out."""
    said = re.findall(r'(?:aria-label|title|data-name)="([^"]*)"', html)
    text = " | ".join([re.sub(r"<[^>]*>", " | ", CODE.sub(" | ", html)), *said])
    for name in NAMES:
        text = text.replace(name, "")
    return ENGLISH.findall(text)


@pytest.fixture(scope="module")
def desk(small_run: Path) -> Desk:
    return Desk(Shelf(small_run.parent), Pool(), SAY)


def test_the_test_finds_english():
    assert english("<p>the answer is wrong</p>")
    assert english('<svg aria-label="a picture of it">')
    assert not english("<p>答えは <code>let it be so</code> です。Countdown 1..100</p>")


def test_the_strings_of_the_app_have_no_english_sentence():
    assert {key: text for key, text in LANGUAGES["ja"].items() if english(text)} == {}
    own = {key: text for key, text in PHRASES["ja"].items() if english(text)}
    assert own == {}
    assert [title_of_way(way, SAY) for way in searches() if english(title_of_way(way, SAY))] == []


@pytest.mark.slow
def test_a_run_is_shown_in_japanese(small_run, desk):
    run = Run.load(small_run)
    judged = verdicts.of_run(run, SAY)
    for section in sections.of_run(run, SAY):
        if section.name != "manifest":  # settings
            html = sections.html(section, SAY, judged.get(section.name, ""))
            assert english(html) == [], section.name
    assert english(first.boxes(desk, "small/small.q8_0.gguf")) == []
    assert english(failures.kinds_of_run(run, SAY)) == []


def test_the_report_is_had_in_japanese(small_run):
    html = served._said(small_run, 0, "ja")
    assert '<html lang="ja">' in html
    begin, end = (
        html.index('<section id="manifest"'),
        html.index("</section>", html.index('id="manifest"')),
    )
    page = re.sub(
        r"<title>.*?</title>|a run small enough for a test", "", html[:begin] + html[end:]
    )
    assert english(page) == []
    assert "採用: ステップ" in page
    assert "思考の木" in page


def test_failures_are_browsed_in_japanese(small_run, desk):
    show = failures._show(desk, True)
    html = show("small", "", "", "", 1)
    kinds = html[1]["choices"]
    assert len(kinds) > 3
    for _, kind in kinds:
        *lists, told, drawn, listed = show("small", kind, "", "", 1)
        assert english(told + drawn + listed) == []
        titles = [title for each in lists[1:4] for title, _ in each["choices"]]
        assert [title for title in titles if english(title)] == []


def test_every_preset_says_in_japanese_what_it_is_for_and_needs(desk):
    for name in presets.available():
        try:
            html = train._needs(desk)(name)
        except LtfError as error:  # of a base whose shape is not known here
            html = sentence(error, SAY)
        assert english(html) == [], name
        about = presets.load(name).about
        assert SAY.told(about) != about


def test_many_problems_are_compared_in_japanese():
    other = POINTS[-1]._replace(search=POINTS[-1].search._replace(runtime="transformers, float32"))
    assert english(batch_table([other], SAY.told)) == []
    assert "エンジンが違う" in batch_table([other], SAY.told)
    assert english(batch_table([], SAY.told)) == []


@pytest.mark.parametrize(
    "typed",
    ["1 1 1 1 -> 99", "٣ 4 -> 7", "-> 7", "3 4", "1 2 3 4 5 6 7 -> 9", "3 4 -> 7 -> 8", "hi", ""],
)  # fmt: skip
def test_a_bad_problem_is_refused_in_japanese(typed):
    with pytest.raises(LtfError) as error:
        posed(get_task("countdown"), typed)
    told = sentence(error.value, SAY)
    assert english(told) == []
    assert told != str(error.value)


@pytest.mark.parametrize(
    "path",
    ["", "44+23=67 | 4 41 67", "44+99=143 | 4 41 143", "44+23=68 | 4 41 68", "hello",
     "44+23=67 | 1 2", "44-41=3 | 3 4 23\n23-4=19 | 3 19\n19*3=57 | 57", "44/0=1 | 1 2 3",
     "44-41=3 | 3 4 23"],
)  # fmt: skip
def test_verifiers_of_number_games_speak_japanese(path):
    task = get_task("countdown")
    problem = task.problem("44 41 4 23 -> 66")
    verdict = task.verify(problem, task.parse(problem, path))
    assert not verdict.correct
    assert english(SAY.told(verdict.message)) == []
    assert SAY.told(verdict.message) != verdict.message


@pytest.mark.parametrize("verifier", ["exact", "number", "math", "choice", "json"])
@pytest.mark.parametrize(
    "text", ["", "Answer: 5", "Answer: 4", "Answer: five cm", "Answer:", "Answer: 3\nAnswer: 5"]
)  # fmt: skip
def test_verifiers_of_free_text_speak_japanese(tmp_path, verifier, text):
    file = tmp_path / "questions.csv"
    file.write_text("question,answer\n2+2?,4\n1+1?,2\n")
    task = get_task("reference", file=str(file), verifier=verifier)
    problem = next(iter(task.problems("train", 1, 0)))
    verdict = task.verify(problem, task.parse(problem, text))
    assert english(SAY.told(verdict.message)) == []


FILES = {
    "empty.csv": "",
    "short.csv": "question,answer\n1\n2+2?,4,5,6\n",
    "none.csv": "a,b,c\n1,2,3\n",
    "twice.csv": "question,question,answer\n1,2,3\n",
    "text.txt": "hello",
    "bad.jsonl": "{\n",
    "list.jsonl": "[1]\n",
    "words.json": '"hello"',
    "blank.csv": 'question,answer\n"",4\n',
    "good.csv": "question,answer\n2+2?,4\n2+2?,5\n1+1?,two of them\n",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_questions_is_checked_in_japanese(tmp_path, name):
    file = tmp_path / name
    file.write_text(FILES[name])
    try:
        html = found.checked(check(get_task("reference", file=str(file))), SAY)
        html = re.sub(r"<pre.*?</pre>", "", html, flags=re.S)
    except LtfError as error:
        html = sentence(error, SAY)
    assert english(html.replace(str(tmp_path), "")) == []


class Case(NamedTuple):
    oracle: float
    headroom: tuple[float, float, float]
    problems: int
    undecided: float
    break_even: float | None


@pytest.mark.parametrize(
    "case",
    [
        Case(0.5, (0.2, 0.1, 0.3), 500, 0.5, None),
        Case(0.5, (0.2, 0.1, 0.3), 5, 0.0, None),
        Case(0.01, (0.0, 0.0, 0.0), 500, 0.0, None),
        Case(0.5, (0.2, -0.1, 0.3), 500, 0.0, None),
        Case(0.5, (0.01, 0.0, 0.02), 500, 0.0, None),
        Case(0.5, (0.2, 0.1, 0.3), 500, 0.0, None),
        Case(0.5, (0.2, 0.1, 0.3), 500, 0.0, 1234.0),
    ],
)
def test_a_pilot_advises_in_japanese(case):
    rate = Rate(case.oracle, 0.0, 1.0, 50)
    facts = Facts(
        rate, rate, Rate(*case.headroom, 50), dict.fromkeys(ENOUGH, case.problems), case.undecided,
        case.break_even,
    )  # fmt: skip
    advice = advise(facts)
    for text in (advice.sentence, advice.rule):
        assert english(SAY.told(text)) == []
        assert SAY.told(text) != text


def test_facts_of_a_sentence_are_said_too_and_what_is_not_known_stays():
    say = Phrases(
        {"it is {what}, not {n}": "{n} ではなく{what}", "red": "赤", "a, {n} of {n1}": "x"}
    )
    assert say("it is red, not 1,234.5") == "1,234.5 ではなく赤"
    assert say("it is blue, not 3") == "3 ではなくblue"
    assert say("it is red, not many") == "it is red, not many"  # {n} is a number
    assert say("who: red") == "who: 赤"
    assert say("red, green") == "赤、green"
    assert say("something else, again") == "something else, again"
    assert say("12 [3.4]") == "12 [3.4]"


WORDS = ("train", "the target", "model, run", "it is wrong", "a 'model' \"run\"", "base: tuned")


@pytest.mark.parametrize("word", WORDS)
def test_what_a_model_or_a_person_wrote_stays_as_it_is(tmp_path, word):
    """Words that the program has too, in an answer, a line, or what was typed."""
    file = tmp_path / "questions.csv"
    file.write_text("question,answer\n2+2?,4\n1+1?,2\n")
    task = get_task("reference", file=str(file), verifier="exact")
    problem = next(iter(task.problems("train", 1, 0)))
    game = get_task("countdown")
    messages = [task.verify(problem, task.parse(problem, f"Answer: {word}")).message]
    problem = task.problem({"question": "2+2?", "answer": word})
    messages.append(task.verify(problem, task.parse(problem, f"Answer: {word}")).message)
    problem = game.problem("44 41 4 23 -> 66")
    messages.append(game.verify(problem, game.parse(problem, word)).message)
    messages.append(f"line 3: a problem is written like '25 5 5 33 -> 27', not {word!r}")
    for message in messages:
        told = SAY.told(message)
        assert repr(word) in told
        assert told != message
    assert SAY.told(f"would have saved it: {word}").endswith(word)
    assert repr(word)[:-1] in SAY.told(f"the answer is {word!r}"[:-1])  # cut off


def test_a_long_text_takes_no_time_whatever_stands_in_it():
    """Of each phrase with facts: its own words over and over, and an end that it has not."""
    say, began = speaker("ja"), time.process_time()
    for text in PHRASES["ja"]:
        words = [literal for literal, _, _, _ in Formatter().parse(text) if literal]
        for unit in ("".join(words), "x".join(words)):
            say.told(f"{unit}x" * (20_000 // (len(unit) + 1)) + "\x00")
    assert time.process_time() - began < 20


@pytest.mark.slow
def test_every_phrase_is_one_that_ltf_lite_says():
    """A phrase of which the English is said nowhere is never shown.

    A sentence is put together of parts, so not every pair of its words stands in one string.
    """
    said = " ".join(_texts())
    unsaid = []
    for phrase in PHRASES["ja"].keys() - SETTINGS.keys():
        parts = [part.rstrip(" :.(").split() for part, _, _, _ in Formatter().parse(phrase)]
        pairs = [" ".join(pair) for words in parts for pair in pairwise(words)]
        pairs = pairs or [words[0] for words in parts if words]
        if sum(pair in said for pair in pairs) < 0.7 * len(pairs):
            unsaid.append(phrase)
    assert unsaid == []


def _texts() -> list[str]:
    """Every string of the sources, and what presets say; kinds as people read them."""
    found = [file.read_text() for file in (HOUSE.parent / "presets").glob("*.yaml")]
    found += [kind.replace("_", " ") for kind in LANGUAGES["ja"]]
    for file in HOUSE.rglob("*.py"):
        if file.name.startswith("japanese"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    found += [file.read_text() for file in Path(json.__file__).parent.glob("*.py")]
    return [*found, (HOUSE / "report" / "page.html").read_text()]
