"""llama.cpp's cache holds a prompt of each kind that is asked, and what it holds is right."""

from __future__ import annotations

import random

import pytest

from ltf_lite.engines.base import Sampling
from ltf_lite.engines.llama.context import MAX_SEQUENCES, LlamaContext
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.llama.prompts import HELD, Prompts

WORDS = [*"123456789+-*/=(),", "10", "20", "30"]


def text(seed: int, count: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(WORDS) for _ in range(count))


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """How many tokens of each prompt go through llama.cpp."""
    found, begin = [], LlamaContext.begin

    def look(self, sequence, ids):
        entries = begin(self, sequence, ids)
        found.append(len(entries))
        return entries

    monkeypatch.setattr(LlamaContext, "begin", look)
    return found


def test_kinds_of_questions_that_take_turns_are_each_spared_their_header(base_gguf, computed):
    headers = [text(kind, 25) for kind in range(HELD)]
    one = Sampling(max_tokens=4)
    engine = LlamaCppEngine(base_gguf, threads=1, exact=True)
    asked = [header + text(turn, 3) for turn in range(10, 14) for header in headers]
    told = []
    for prompt in asked:
        told += engine.generate([prompt], one)
    lengths = [len(ids) for ids in engine.asked(asked)]
    assert all(got >= length - 2 for got, length in zip(computed, lengths[:HELD], strict=False))
    assert all(got <= 6 for got in computed[HELD:])
    engine.close()
    for prompt, got in zip(asked, told, strict=True):
        with_nothing = LlamaCppEngine(base_gguf, threads=1, exact=True)
        ((alone,),) = with_nothing.generate([prompt], one)
        with_nothing.close()
        assert got[0].text == alone.text
        assert got[0].logprob == pytest.approx(alone.logprob, abs=1e-4)


def test_scores_and_texts_take_turns_too(base_gguf, computed):
    engine = LlamaCppEngine(base_gguf, threads=1, exact=True)
    heads = [text(1, 60), text(2, 60)]
    first = engine.score([heads[0]], [text(3, 4)])
    engine.generate([heads[1]], Sampling(max_tokens=2))
    again = engine.score([heads[0]], [text(3, 4)])
    assert again[0].logprob == pytest.approx(first[0].logprob, abs=1e-5)
    assert computed[-1] == 1
    engine.close()


def test_what_is_held_has_room_and_places():
    rng, prompts = random.Random(0), Prompts(8, 100)
    where: dict[int, list[int]] = {}
    for _ in range(3000):
        kind, length = rng.randrange(9), rng.randrange(1, 130)
        ids = [1000 * kind + k for k in range(length)]
        at, gone = prompts.take(ids)
        for each in gone:
            del where[each]
        assert at not in where
        where[at] = ids
        assert where == dict(prompts)
        assert set(where) <= set(range(8, 8 + HELD))
        assert len(where) == 1 or sum(map(len, where.values())) <= 100


def test_a_prompt_takes_the_place_of_the_one_it_resembles():
    prompts, header = Prompts(0, 1000), [*range(40)]
    at, _ = prompts.take([*header, 1, 2])
    prompts.take([50, 51, 52])
    assert prompts.take([*header, 3, 4, 5]) == (at, [at])
    assert len(dict(prompts)) == 2


def test_the_least_recently_used_goes():
    prompts = Prompts(0, 1000)
    places = [prompts.take([kind] * 10)[0] for kind in range(HELD)]
    prompts.used(places[0])
    assert prompts.take([HELD] * 10) == (places[1], [places[1]])


def test_sequences_leave_room_for_what_is_held(base_gguf):
    engine = LlamaCppEngine(base_gguf, threads=1, sequences=MAX_SEQUENCES)
    engine.generate(["1+1="], Sampling(n=MAX_SEQUENCES, temperature=1.0, max_tokens=2))
    engine.close()
