"""GGUF files of many architectures: what is asked before or beside a prompt changes no answer."""

from __future__ import annotations

from contextlib import closing

import llama_cpp as lc
import numpy as np
import pytest

from ltf_lite.engines import Sampling
from ltf_lite.engines.llama.engine import LlamaCppEngine
from tests import tiny_gguf

HEAD = "Use 5, 33 and 30 to make 60. 33 - 5 = 28 What is left? " * 3
# Beginnings in common: long, none, a whole other prompt, a part of one.
PROMPTS = [
    HEAD + "Use 25 and 7",
    HEAD + "make 12 of 3, 9 and 30 please now",
    "a",
    HEAD,
    HEAD + HEAD + "25",
    HEAD[: len(HEAD) // 2] + "7",
    "Use 5",
]
TAILS = [" 30 and 33", " = 60", "x", " what do we know? 123", " left", " 1", ""]
GREEDY = Sampling(max_tokens=16)
SAMPLED = Sampling(n=3, temperature=1.0, max_tokens=8)
SEEDS = list(range(len(PROMPTS)))


def opened(file, sequences=32):
    return closing(LlamaCppEngine(file, exact=True, sequences=sequences))


def asked(engine, which):
    """Greedy tokens, sampled texts and scores of some of the prompts, in one call each."""
    prompts = [PROMPTS[k] for k in which]
    greedy = [row[0] for row in engine.generate_tokens(prompts, GREEDY)]
    drawn = engine.generate(prompts, SAMPLED, [SEEDS[k] for k in which])
    scores = engine.score(prompts, [TAILS[k] for k in which])
    texts = [[completion.text for completion in row] for row in drawn]
    return greedy, texts, [score.logprob for score in scores]


@pytest.mark.parametrize("kind", tiny_gguf.KINDS)
@pytest.mark.slow(seconds=2)
def test_an_answer_does_not_depend_on_what_was_asked_before_or_beside_it(kind, tmp_path):
    file = tiny_gguf.tiny(tmp_path, kind)
    everything = list(range(len(PROMPTS)))
    alone = []
    for k in everything:
        with opened(file) as engine:
            alone.append(asked(engine, [k]))
    wanted = [[row[part][0] for row in alone] for part in range(3)]
    assert len({tuple(tokens) for tokens in wanted[0]}) > 3
    with opened(file, sequences=3) as engine:
        together = asked(engine, everything)
        again = [asked(engine, [k]) for k in everything]
    one_by_one = [[row[part][0] for row in again] for part in range(3)]
    for found in (together, one_by_one):
        assert found[0] == wanted[0]
        assert found[1] == wanted[1]
        assert found[2] == pytest.approx(wanted[2], abs=0.01)


@pytest.mark.slow
def test_a_prompt_is_not_shared_behind_its_sliding_window(tmp_path, monkeypatch):
    """A small cache gives cells away that no token of the held prompt will look at again."""
    monkeypatch.setattr("ltf_lite.engines.llama.context.CELLS", 1)
    file = tiny_gguf.tiny(tmp_path, "gemma3")
    words = HEAD.split()
    rng = np.random.default_rng(0)

    def text(n):
        return " ".join(rng.choice(words) for _ in range(n))

    head = text(120)
    prompts = [head + " " + text(48) for _ in range(3)]
    part = head[: len(head) // 2] + " 7 7"
    with opened(file) as engine:
        wanted = engine.score([part], TAILS[:1])[0].logprob
    with opened(file) as engine:
        for turn in range(13):
            busy = Sampling(n=3, temperature=1.0, max_tokens=119, seed=turn)
            engine.generate([prompts[turn % 3]], busy)
        held = lc.llama_memory_seq_pos_min(engine._open._memory, engine.sequences)
        assert held > len(engine.encode(part)), "the cache is whole: nothing is tried"
        assert engine.score([part], TAILS[:1])[0].logprob == pytest.approx(wanted, abs=1e-3)
