"""What is special to the GGUF engine: its sampling, its cache, and the files it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ltf_lite.engines import EngineError, Sampling
from ltf_lite.engines.llama.context import LlamaContext
from ltf_lite.engines.llama.engine import LlamaCppEngine
from ltf_lite.engines.llama.sampling import choose
from ltf_lite.export.gguf.write import write_gguf
from tests import tiny_models

PROMPTS = tiny_models.PROMPTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def file(folder):
    return write_gguf(folder, folder / "m.f32.gguf", "f32")


@pytest.fixture(scope="module")
def engine(file):
    opened = LlamaCppEngine(file, exact=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference(folder):
    """The model in float64 and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def logp_of(reference, head, tail):
    """Sum of log p of the ids `tail` after the ids `head`, float64."""
    with torch.inference_mode():
        logp = reference[0](torch.tensor([head + tail])).logits[0].log_softmax(1)
    return sum(float(logp[len(head) - 1 + i, token]) for i, token in enumerate(tail))


# -- generating --------------------------------------------------------------------------------


def test_samples_depend_on_the_seed_and_not_on_how_many_run_together(engine, file):
    wanted = Sampling(n=5, temperature=1.0, top_p=0.9, max_tokens=20, seed=3)
    rows = engine.generate_tokens(PROMPTS, wanted)
    assert [len(row) for row in rows] == [5] * len(PROMPTS)
    assert rows == engine.generate_tokens(PROMPTS, wanted)
    few = LlamaCppEngine(file, exact=True, sequences=3)
    assert rows == few.generate_tokens(PROMPTS, wanted)
    few.close()
    other = Sampling(n=5, temperature=1.0, top_p=0.9, max_tokens=20, seed=4)
    assert rows != engine.generate_tokens(PROMPTS, other)
    assert len({tuple(tokens) for row in rows for tokens in row}) > 20


def test_sampling_follows_the_model_s_probabilities(engine, reference):
    model, tok = reference
    ids = tok("1 + 1 =")["input_ids"]
    with torch.inference_mode():
        probs = (model(torch.tensor([ids])).logits[0, -1] / 0.5).softmax(0)
    n = 2000
    rows = engine.generate_tokens(["1 + 1 ="], Sampling(n=n, temperature=0.5, max_tokens=1))[0]
    best = int(probs.argmax())
    p = float(probs[best])
    seen = sum(row[0] == best for row in rows) / n
    assert abs(seen - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_top_p_leaves_the_tail_out(engine):
    greedy = engine.generate_tokens(PROMPTS, Sampling(max_tokens=8))
    narrow = Sampling(n=3, temperature=1.0, top_p=1e-6, max_tokens=8)
    assert engine.generate_tokens(PROMPTS, narrow) == [row * 3 for row in greedy]


def test_a_nucleus_is_the_fewest_tokens_that_make_up_top_p():
    rng = np.random.default_rng(1)
    for top_p in (1e-6, 0.1, 0.5, 0.9, 0.999):
        logits = rng.normal(0, 3, 200).astype(np.float32)
        probs = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()
        wanted, mass = set(), 0.0
        for token in np.argsort(-probs):
            if mass > top_p:
                break
            wanted.add(int(token))
            mass += probs[token]
        sampling = Sampling(temperature=1.0, top_p=top_p)
        rows = np.tile(logits, (5000, 1))
        tokens, gained = choose(rows, sampling, [np.random.default_rng(k) for k in range(5000)])
        assert set(tokens.tolist()) <= wanted
        for token in wanted:
            p = probs[token] / mass
            assert abs((tokens == token).mean() - p) < 5 * math.sqrt(p * (1 - p) / 5000) + 1e-3
        assert gained == pytest.approx(np.log(probs[tokens]), abs=1e-5)


def test_what_follows_a_stop_string_is_kept_beside_the_completion(engine):
    whole = engine.generate(PROMPTS[:1], Sampling(max_tokens=40))[0][0]
    stop = whole.text[8:10]
    at = whole.text.find(stop)
    done = engine.generate(PROMPTS[:1], Sampling(max_tokens=40, stop=("no such text", stop)))[0][0]
    assert done.text == whole.text[:at]
    assert done.beyond.startswith(stop)
    assert done.tokens < whole.tokens


def test_small_cache_gives_the_same_answers_in_more_waves(engine, file, monkeypatch):
    monkeypatch.setattr("ltf_lite.engines.llama.context.CELLS", 256)
    tight = LlamaCppEngine(file, exact=True)
    wanted = Sampling(n=7, temperature=1.0, max_tokens=60)
    assert tight.generate_tokens(PROMPTS, wanted) == engine.generate_tokens(PROMPTS, wanted)
    tight.close()


# -- what is computed ----------------------------------------------------------------------------


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """The number of tokens of each forward pass."""
    seen: list[int] = []
    whole = LlamaContext.decode

    def counted(self, entries):
        seen.append(len(entries))
        return whole(self, entries)

    monkeypatch.setattr(LlamaContext, "decode", counted)
    return seen


def test_prompts_run_together_and_a_prompt_once_for_its_samples(engine, passes):
    lengths = [len(engine.encode(prompt)) for prompt in PROMPTS]
    engine.generate(PROMPTS, Sampling(n=6, temperature=1.0, max_tokens=1))
    assert len(passes) == 1
    assert sum(passes) <= sum(lengths)


def test_a_common_beginning_is_computed_once(engine, file, passes):
    few_shot = "Use 5, 33 and 30 to make 60. 33 - 5 = 28 What is left? " * 2
    prompts = [few_shot + prompt for prompt in PROMPTS]
    lengths = [len(engine.encode(prompt)) for prompt in prompts]
    beginning = len(engine.encode(few_shot)) - 1
    sampled = Sampling(n=3, temperature=1.0, max_tokens=2)
    rows = engine.generate_tokens(prompts, sampled)
    generated = sum(len(tokens) - 1 for row in rows for tokens in row)
    assert sum(passes) <= sum(lengths) - (len(prompts) - 1) * beginning + generated
    for k, prompt in enumerate(prompts):
        fresh = LlamaCppEngine(file, exact=True)
        assert fresh.generate_tokens([""] * k + [prompt], sampled)[k] == rows[k]
        fresh.close()


# -- scoring -----------------------------------------------------------------------------------


def test_score_equals_a_float64_reference(engine, reference):
    tok = reference[1]
    tails = [" 30 and 33", "= 60", "x", "", " what do we know? 123 456 789"]
    prompts = PROMPTS * 9  # more pairs than sequences
    got = [score.logprob for score in engine.score(prompts, tails * 9)]
    for prompt, tail, value in zip(PROMPTS, tails, got, strict=False):
        ids = tok(tail, add_special_tokens=False)["input_ids"]
        wanted = logp_of(reference, tok(prompt)["input_ids"], ids)
        assert value == pytest.approx(wanted, abs=1e-3 * max(1, len(ids)))
    assert got[:5] == pytest.approx(got[-5:], abs=1e-4)


# -- the edges ---------------------------------------------------------------------------------


def test_too_long_a_pair_to_score_is_refused_with_both_lengths(engine):
    long = "1 " * 500
    length = len(engine.encode(long))
    with pytest.raises(EngineError, match=rf"{length} tokens .* {tiny_models.CONTEXT} tokens"):
        engine.score(["a", long], ["b", "b"])
    assert engine.score(["a"], ["b"])  # and it still works


def test_close_twice_and_then_ask(file):
    opened = LlamaCppEngine(file)
    assert opened.dialect.name == "few_shot"
    assert opened.task is None
    opened.close()
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.generate(["a"], Sampling())


@pytest.mark.parametrize("keep", [0, 3, 30, 2000, 20_000, -100_000, -1])
def test_truncated_files_are_refused_by_name(keep, file, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(EngineError, match=r"broken\.gguf") as refusal:
        LlamaCppEngine(broken)
    assert "\n" not in str(refusal.value)


def test_what_is_no_gguf_is_refused_by_name(file, tmp_path):
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(EngineError, match=r"text\.gguf"):
        LlamaCppEngine(tmp_path / "text.gguf")
    with pytest.raises(EngineError, match=r"absent\.gguf"):
        LlamaCppEngine(tmp_path / "absent.gguf")
    # the header is whole, but llama.cpp knows no such architecture
    (tmp_path / "other.gguf").write_bytes(
        file.read_bytes().replace(
            b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama",
            b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0lemma",
        )
    )
    with pytest.raises(EngineError, match=r"other\.gguf.*lemma"):
        LlamaCppEngine(tmp_path / "other.gguf")


def test_llama_cpp_is_silent(file, capfd):
    LlamaCppEngine(file).close()
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
