"""Who is asked in the dialect `few_shot_chat`: tasks, searches, servers, presets, tuned models."""

from __future__ import annotations

import importlib
import json
import random
import shutil
from contextlib import closing
from dataclasses import replace

import pytest

from ltf_lite import presets
from ltf_lite.engines import (
    Dialect,
    EngineError,
    Prompt,
    Sampling,
    open_engine,
    resolve,
)
from ltf_lite.engines.dialect import asked_and_learnt, spoken, tell
from ltf_lite.engines.llama.check import metadata
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.export.formats.ollama import modelfile
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.harvest import read
from ltf_lite.harvest.fatal import find
from ltf_lite.pipeline.graph import STAGES
from ltf_lite.pipeline.run.folder import Run
from ltf_lite.reasoners import get_reasoner, solve
from ltf_lite.tasks import get_task
from ltf_lite.tasks.numbers import prompts
from tests.fake_engine import FakeEngine
from tests.llama_server import free_port, serving
from tests.test_chat import BASES, OWN, PRESET
from tests.test_fatal_step import row
from tests.test_presets import changed
from tests.test_turns import ASKED, TURNS, chatting

GAME = get_task("countdown")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatting(tmp_path_factory.mktemp("turns") / "model")


# -- tasks ----------------------------------------------------------------------------------------


def test_free_text_shows_its_examples_as_turns(tmp_path):
    lines = [
        {"question": f"{k} + 1?", "answer": f"{k} + 1 = {k + 1}\n#### {k + 1}"} for k in range(80)
    ]
    questions = tmp_path / "sums.jsonl"
    questions.write_text("".join(json.dumps(each) + "\n" for each in lines))
    task = get_task("reference", file=str(questions), shots=3)
    problem = task.problems("test", 1, 0)[0]
    prompt = task.prompt(problem, "few_shot_chat")
    assert prompt.question == task.prompt(problem, "chat")
    assert prompt.turns == tuple(
        (task.prompt(each, "chat"), task.gold(each)) for each in task.worked()[:3]
    )
    first = int(prompt.turns[0][0].split()[0])
    assert prompt.turns[0][1] == f"{first} + 1 = {first + 1}\nAnswer: {first + 1}"  # its steps too
    shown = task.prompt(task.worked()[0], "few_shot_chat")  # its own answer is not told
    assert len(shown.turns) == 3
    assert shown.question not in dict(shown.turns)
    assert task.stop("few_shot_chat") == []


def test_a_python_file_with_its_own_prompt_shows_examples_too(tmp_path):
    python = tmp_path / "own.py"
    python.write_text(
        "def problems():\n"
        "    for k in range(80):\n        yield {'question': str(k), 'answer': k + 1}\n"
        "def verify(problem, text):\n    return str(problem['answer']) in text\n"
        "def prompt(problem):\n    return 'After ' + problem['question'] + '?'\n"
    )
    task = get_task("python", python=str(python))
    problem = task.problems("test", 1, 0)[0]
    prompt = task.prompt(problem, "few_shot_chat")
    assert prompt.question == task.prompt(problem, "chat") == f"After {problem.text}?"
    assert [asked[:6] for asked, _ in prompt.turns] == ["After "] * 2


def test_a_number_game_shows_its_examples_as_turns():
    problem = GAME.problem("3 4 6 -> 24")
    prompt = GAME.prompt(problem, "few_shot_chat")
    assert prompt.question == GAME.prompt(problem, "chat")
    assert GAME.stop("few_shot_chat") == []
    for asked, answered in prompt.turns:
        numbers = asked.rsplit("Input: ", 1)[1].replace(", target", " ->").strip()
        own = GAME.problem(numbers)
        assert asked == GAME.prompt(own, "chat")
        assert GAME.verify(own, GAME.parse(own, answered)).correct
        assert asked not in dict(GAME.prompt(own, "few_shot_chat").turns)
    assert len(prompt.turns) == prompts.PATHS


# -- who is asked so, and what learns ------------------------------------------------------------


def test_who_is_asked_with_turns_learns_the_plain_chat(folder, tmp_path):
    assert asked_and_learnt(folder, "few_shot_chat", None) == ("few_shot_chat", "chat")
    assert asked_and_learnt(folder, "chat", "few_shot_chat") == ("chat", "few_shot_chat")
    model = {"base": str(folder), "ask": "few_shot_chat", "system": "Be brief."}
    preset = presets.parse(changed("model", model), "here")
    assert (preset.dialects, preset.system) == (("few_shot_chat", "chat"), "Be brief.")


def test_a_model_says_that_it_learnt_with_turns(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    tell(copy, "few_shot_chat", "Be brief.")
    assert spoken(copy) == Dialect("few_shot_chat", system="Be brief.")
    assert asked_and_learnt(copy, None, "auto") == ("few_shot_chat", "few_shot_chat")
    file = write_gguf(copy, tmp_path / "m.gguf", "f32")
    assert metadata(file, "ltf.dialect") == "few_shot_chat"
    assert metadata(file, "tokenizer.chat_template") == OWN
    for model in (copy, file):
        for wanted in (None, Dialect("few_shot_chat"), Dialect("auto")):
            with closing(open_engine(model, wanted)) as engine:
                assert engine.dialect.name == "few_shot_chat"
                assert engine.dialect.frame.before == "<|begin|>[system] Be brief.<|end|>\n[user] "
    frame = engine.dialect.frame.opened(ASKED)  # a program that knows one question reads all
    assert frame.before + ASKED.question.strip() + frame.after == engine.dialect.render(ASKED)
    told = modelfile("m.gguf", [], 50, frame)
    assert "[user] 2 + 2?<|end|>\n[assistant] 2 + 2 = 4\nAnswer: 4<|end|>\n[user] " in told


class Speaker(FakeEngine):
    dialect = Dialect("few_shot_chat")


def sums(tmp_path):
    questions = tmp_path / "sums.csv"
    lines = [f"{k} + 1?,{k + 1}\n" for k in range(80)]
    questions.write_text("question,answer\n" + "".join(lines))
    return get_task("reference", file=str(questions))


@pytest.mark.parametrize("name", ["cot", "tot", "rap"])
def test_a_search_goes_on_behind_the_turns(name, tmp_path):
    task = sums(tmp_path)
    problem = task.problems("test", 1, 0)[0]

    def write(prompt: str, rng: random.Random) -> str:
        if "Judgement:" in prompt:
            return "sure"
        if "We add." in prompt:
            return "Answer: 1\n"
        return "We add.\n" if prompt.endswith("---\n") else "---\nWe add.\n"

    engine = Speaker(write)
    list(solve(get_reasoner(name), [problem], task, engine, 0))
    whole = task.prompt(problem, "few_shot_chat")
    asked = [each for call in engine.asked for each in call if "Judgement:" not in each]
    assert {(each.question, each.turns) for each in asked} == {(whole.question, whole.turns)}
    # a step that was only begun is gone on with as a reply, not as a part of the question
    assert name == "cot" or {each.reply for each in asked} >= {"", "---\n", "---\nWe add.\n"}


def test_rollouts_of_a_harvest_are_asked_with_the_turns(tmp_path):
    task = sums(tmp_path)
    problem = task.problems("test", 1, 0)[0]
    whole = task.prompt(problem, "few_shot_chat")
    lost = replace(row("We add.\nSo.\nAnswer: 5000\n"), problem=problem, prompt=str(whole))
    engine = Speaker(lambda prompt, rng: f"Answer: {problem.data['answer']}\n")
    (found,) = find([lost], task, "rollouts", engine, 1)
    assert found.fatal_by == "rollouts"
    asked = [each for call in engine.asked for each in call]
    assert {(each.question, each.turns) for each in asked} == {(whole.question, whole.turns)}
    assert {each.reply for each in asked} > {"", "We add.\n"}


@pytest.mark.slow
def test_a_server_is_asked_with_earlier_messages(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    tell(own, "few_shot_chat", "Be brief.")
    file, port = write_gguf(own, tmp_path / "m.gguf", "f32"), free_port()
    asked = [Prompt("3 * 4?", turns=TURNS[:2]), Prompt("3 * 4?", turns=TURNS[1:2]), "3 * 4?"]
    sampling = Sampling(max_tokens=10)
    with closing(LlamaCppEngine(file, exact=True)) as engine:
        wanted = [c.text for (c,) in engine.generate(asked, sampling)]
        lengths = sum(engine.lengths(asked))
    assert len(set(wanted)) > 1
    url = f"http://127.0.0.1:{port}/v1"
    with serving(file, port, alias=None), closing(open_engine(url)) as engine:
        assert engine.dialect == Dialect("few_shot_chat", system="Be brief.")
        said = [c.text for (c,) in engine.generate(asked, sampling)]
        # the server leaves halves of characters out, and one at the end of its count as well
        whole = [text.replace("\ufffd", "") for text in wanted]
        assert [own[: len(text)] for own, text in zip(said, whole, strict=True)] == whole
        assert engine.usage.tokens_in == lengths
        with pytest.raises(EngineError, match=r"does not go on with a reply"):
            engine.generate([asked[0].replied("It is")], sampling)


def test_a_pilot_proposes_to_ask_as_it_asked(folder, tmp_path):
    from ltf_lite.pipeline.pilot.measure import pilot
    from ltf_lite.pipeline.pilot.preset import parsed

    for dialect, dialects in (
        ("few_shot_chat", ("few_shot_chat", "chat")),
        (None, ("few_shot", "zero_shot")),
    ):
        task = sums(tmp_path).model_copy(update={"path_tokens": 8})
        found = pilot(task, str(folder), 2, 0, dialect)
        assert parsed(task, found.planned).dialects == dialects


# -- all of it -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_asks_with_turns_learns_the_plain_chat(tmp_path):
    base = shutil.copytree(resolve("tiny-base").place, tmp_path / "base")
    (base / "ltf.json").unlink()
    (base / "chat_template.jinja").write_text(BASES)
    config = json.loads((base / "config.json").read_text()) | {"max_position_embeddings": 4096}
    (base / "config.json").write_text(json.dumps(config))
    model = {"base": str(base), "ask": "few_shot_chat"}
    (tmp_path / "run").mkdir()
    run = Run.prepare(tmp_path / "run", presets.parse(PRESET | {"model": model}, "here"), False)
    for stage in STAGES:
        importlib.import_module(f"ltf_lite.pipeline.stages.{stage.name}").main(run)
    rows = list(read(run.folder / "harvest"))
    assert {row.reasoner for row in rows} >= {"dfs", "cot"}
    task = run.preset.task
    assert all(row.prompt == task.prompt(row.problem, "few_shot_chat") for row in rows)
    assert json.loads((run.folder / "model" / "ltf.json").read_text()) == {"dialect": "chat"}
    with closing(open_engine(run.folder)) as engine:
        assert engine.dialect.name == "chat"
    assert json.loads((run.folder / "gguf" / "parity.json").read_text())["passed"]
