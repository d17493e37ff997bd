"""The embedded base: its text, its tokenizer, and what it can and cannot do."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

import ltf_lite
from ltf_lite import presets
from ltf_lite.engines import Sampling, open_engine
from ltf_lite.tasks import get_task
from ltf_lite.tasks.numbers.game import posed
from ltf_lite.tasks.steps import valid_steps
from ltf_lite.tiny import corpus, tokenizer

WEIGHTS = Path(ltf_lite.__file__).parent / "tiny" / "weights"
GAME = corpus.game()
TINY = presets.load("tiny").task


def test_the_files_are_small_and_their_log_is_there():
    files = list(WEIGHTS.iterdir())
    assert sum(f.stat().st_size for f in files) < 15e6
    log = [json.loads(line) for line in (WEIGHTS / "pretrain.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == max(line["step"] for line in log)
    assert log[-1]["loss"] < log[0]["loss"]


def test_every_number_is_one_token_and_any_text_round_trips():
    tok = tokenizer.build()
    ids = tok([str(n) for n in range(1000)], add_special_tokens=False)["input_ids"]
    assert ids == [[n] for n in range(1000)]
    for text in ("27:33,25,5,5\n", "25+5=30,33,5\n", "left: 5 33 30)\n\n", "é ٣ 🙂\x00", "1234567"):
        assert tok.decode(tok(text, add_special_tokens=False)["input_ids"]) == text
    assert tok("7:7\n")["input_ids"][0] == tok.bos_token_id


def test_the_committed_tokenizer_is_the_one_the_code_builds():
    from transformers import AutoTokenizer

    committed, built = AutoTokenizer.from_pretrained(WEIGHTS), tokenizer.build()
    texts = [text for document in islice(corpus.documents(1), 200) for text in document]
    assert committed(texts)["input_ids"] == built(texts)["input_ids"]
    assert committed.get_vocab() == built.get_vocab()


def test_the_corpus_is_legal_reproducible_and_holds_no_test_problem():
    first = list(islice(corpus.documents(5), 3000))
    assert first == list(islice(corpus.documents(5), 3000))
    assert first != list(islice(corpus.documents(6), 3000))
    kinds = {"?": 0, "!": 0, "": 0}
    for prompt, completion in first:
        target, _, tail = prompt.rstrip("\n").partition(":")
        mark = tail[-1] if tail[-1] in "?!" else ""
        kinds[mark] += 1
        numbers = [int(n) for n in tail.rstrip("?!").split(",")]
        assert numbers == sorted(numbers, reverse=True)
        if mark == "!":
            assert completion in ("sure\n", "likely\n", "impossible\n")
            continue
        problem = posed("countdown", numbers, int(target))
        if mark == "" and len(numbers) == 4:
            assert GAME.split_of(problem) != "test"
        path = GAME.parse(problem, completion)
        if mark == "":
            verdict = GAME.verify(problem, path)
            assert verdict.kind in (None, "dead_end")
            assert len(path.lines) == len(numbers) - 1
        else:
            assert all(GAME.legal(GAME.start(problem), line.step) for line in path.lines)
    assert kinds[""] > kinds["?"] > 0
    assert kinds["!"] > 0


@pytest.mark.parametrize(("temperature", "least"), [(0.0, 0.99), (0.7, 0.97), (1.0, 0.92)])
@pytest.mark.slow
def test_the_base_knows_format_and_arithmetic(temperature, least):
    engine = open_engine("tiny-base")
    problems = TINY.problems("test", 300, 11)
    prompts = [GAME.prompt(p, "compact") for p in problems]
    found = engine.generate(prompts, Sampling(temperature=temperature, max_tokens=40))
    counts = [
        valid_steps(GAME, p, GAME.parse(p, row[0].text))
        for p, row in zip(problems, found, strict=True)
    ]
    assert sum(g for g, _ in counts) / sum(t for _, t in counts) >= least


@pytest.mark.slow
def test_the_base_does_not_know_how_to_aim():
    engine = open_engine("tiny-base")
    problems = TINY.problems("test", 300, 11)
    prompts = [GAME.prompt(p, "compact") for p in problems]
    solved = sum(
        GAME.verify(p, GAME.parse(p, row[0].text)).correct
        for p, row in zip(problems, engine.generate(prompts, Sampling(max_tokens=40)), strict=True)
    )
    assert 0.03 <= solved / len(problems) <= 0.20


def test_the_base_proposes_steps_and_judges_states():
    engine = open_engine("tiny-base")
    problem = get_task("countdown").problem({"numbers": [33, 25, 5, 5], "target": 27})
    (proposals,) = engine.generate(["27:33,25,5,5?\n"], Sampling(max_tokens=60))
    path = GAME.parse(problem, proposals[0].text)
    assert len(path.lines) == corpus.PROPOSALS
    assert all(line.step for line in path.lines)
    (value,) = engine.generate(["27:33,6!\n"], Sampling(max_tokens=8))
    assert value[0].text.strip() in tokenizer.WORDS
